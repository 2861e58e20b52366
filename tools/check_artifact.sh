#!/bin/sh
# Build the collection, look at what is in the archive, install it in an empty place with its dependencies, and use it by FQCN from a
# folder that has nothing to do with the checkout.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
packages=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/ansible_collections
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '%s\n' "check_artifact: $*"; }
fail() { say "$*" >&2; exit 1; }

# Nothing of the checkout may help: not the link in site-packages, not an earlier installation, not a configuration file.
export ANSIBLE_COLLECTIONS_SCAN_SYS_PATH=false ANSIBLE_COLLECTIONS_PATH="$work/collections" ANSIBLE_CONFIG="$work/ansible.cfg"
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false
unset PYTHONPATH
: >"$ANSIBLE_CONFIG"

ansible-galaxy collection build "$top" --output-path "$work/dist" >/dev/null
archive=$(echo "$work"/dist/dbre-rds_encryption-*.tar.gz)
tar -tzf "$archive" >"$work/files"
if grep -nE '(^|/)(\.[^/]+|__pycache__|tests|tools|dist|site)(/|$)|\.(pyc|tar\.gz|retry)$' "$work/files"; then
    fail "the archive holds files that are not for users (see build_ignore in galaxy.yml)"
fi
for needed in LICENSE README.md CHANGELOG.md meta/runtime.yml meta/execution-environment.yml requirements.txt bindep.txt; do
    grep -qx "$needed" "$work/files" || fail "the archive lacks $needed"
done
say "built: $(basename "$archive"), $(wc -l <"$work/files") files, $(wc -c <"$archive") bytes"

# The dependencies come from folders, as Galaxy is not asked: their versions are checked against galaxy.yml all the same.
cat >"$work/requirements.yml" <<R
---
collections:
  - {name: "$packages/amazon/aws", type: dir}
  - {name: "$packages/community/mysql", type: dir}
  - {name: "$archive", type: file}
R
cd "$work"
ansible-galaxy collection install -r requirements.yml --offline -p collections >install.log || { cat install.log; fail "it does not install"; }
ansible-galaxy collection verify --offline dbre.rds_encryption >/dev/null
installed=$work/collections/ansible_collections/dbre/rds_encryption
say "installed and verified: $(ansible-galaxy collection list --format json dbre.rds_encryption | python -c '
import json, sys
(path, found), = json.load(sys.stdin).items()
print("dbre.rds_encryption", found["dbre.rds_encryption"]["version"])')"

modules=0
for file in "$installed"/plugins/modules/[a-z]*.py; do
    [ -e "$file" ] || fail "there are no modules in the artifact"
    name=dbre.rds_encryption.$(basename "$file" .py)
    ansible-doc -t module "$name" >/dev/null || fail "ansible-doc $name"
    # An option that no module has: each must refuse it in words, inside the controller (ad hoc) and in a process of its own. A module
    # whose imports do not work cannot.
    controller=$(ansible localhost -c local -m "$name" -a no_such_option=1 2>&1) && fail "$name accepts no_such_option"
    process=$(echo '{"ANSIBLE_MODULE_ARGS": {"no_such_option": 1}}' |
        PYTHONPATH=$work/collections python -m "ansible_collections.dbre.rds_encryption.plugins.modules.$(basename "$file" .py)" 2>&1) &&
        fail "$name accepts no_such_option"
    for answer in "$controller" "$process"; do
        case $answer in
            *"missing required arguments"* | *"one of the following is required"* | *no_such_option*"Supported parameters include"*) ;;
            *) printf '%s\n' "$answer"; fail "$name does not run" ;;
        esac
    done
    modules=$((modules + 1))
done
say "$modules modules documented and runnable"

playbooks=0
for file in "$installed"/playbooks/[a-z]*.yml; do
    [ -e "$file" ] || fail "there are no playbooks in the artifact"
    name=dbre.rds_encryption.$(basename "$file" .yml)
    ansible-playbook "$name" --syntax-check -i localhost, >syntax.log 2>&1 || { cat syntax.log; fail "ansible-playbook $name --syntax-check"; }
    playbooks=$((playbooks + 1))
done
[ -e "$installed/playbooks/plan.yml" ] && [ -e "$installed/playbooks/encrypt.yml" ] || fail "plan.yml or encrypt.yml is not in the artifact"
say "$playbooks playbooks pass --syntax-check by FQCN"

for role in "$installed"/roles/*/; do
    [ -d "$role" ] || fail "there are no roles in the artifact"
    name=dbre.rds_encryption.$(basename "$role")
    ansible-doc -t role "$name" >/dev/null || fail "ansible-doc -t role $name"
done

ansible-builder introspect "$work/collections" >introspect.log 2>&1 || { cat introspect.log; fail "ansible-builder introspect"; }
for library in PyMySQL psycopg; do
    grep -q "$library" introspect.log || { cat introspect.log; fail "an execution environment would lack $library"; }
done
say "an execution environment gets the Python libraries"
