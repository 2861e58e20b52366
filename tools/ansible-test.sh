#!/bin/sh
# tools/ansible-test.sh COMMAND [ARGUMENTS]: ansible-test on a copy of the checkout, for it insists on a path that ends in
# ansible_collections/NAMESPACE/NAME with the dependencies beside it.
set -eu

checkout=$(git rev-parse --show-toplevel)
cd "$checkout"
PATH=$checkout/.venv/bin:$PATH
python=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
collections=$checkout/.cache/tree/ansible_collections
copy=$collections/dbre/rds_encryption
command=$1
shift

# The copy is a repository of its own: in a folder that git ignores, ansible-test sees no file and passes.
rm -rf "$copy"
mkdir -p "$copy"
git init -q "$copy"
# A file may vanish between the listing and the copy (somebody is editing): that is not an error.
git ls-files -co --exclude-standard -z | tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$copy"
packages=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/ansible_collections
for namespace in amazon community; do ln -sfn "$packages/$namespace" "$collections/$namespace"; done

# ansible-test fetches pip's installer from a site that not every network reaches. It looks in this cache first, under the version of pip
# that ansible-core 2.19 asks for; the wheel of that version, from the same index as all the rest, installs itself just as well.
pip=24.2
cache=$HOME/.ansible/test/cache
installer=$cache/get_pip_$(echo $pip | tr . _).py
mkdir -p "$cache"
if [ ! -s "$installer" ] || [ ! -s "$cache/pip-$pip-py3-none-any.whl" ]; then
    python -m pip -q --disable-pip-version-check download --no-deps -d "$cache" "pip==$pip"
    cat >"$installer" <<P
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-$pip-py3-none-any.whl"))
from pip._internal.cli.main import main
sys.exit(main(["install", "--upgrade"] + [a for a in sys.argv[1:] if a not in ("--no-setuptools", "--no-wheel")]))
P
fi

cd "$copy"
if [ "$command" = sanity ]; then
    # Does it see the files? A fault that it must find, in a file of the kind it is mainly here for.
    fault=plugins/module_utils/_canary.py
    echo 'def broken(:' >$fault
    if found=$(ansible-test sanity --test compile --python "$python" $fault 2>&1); then
        printf '%s\n' "$found" >&2
        echo "ansible-test.sh: a file with a syntax error passed: ansible-test does not see the files of $copy" >&2
        exit 1
    fi
    case $found in
        *_canary.py*) rm $fault ;;
        *) printf '%s\n' "$found" >&2; echo "ansible-test.sh: ansible-test does not run" >&2; exit 1 ;;
    esac
fi
exec ansible-test "$command" --python "$python" "$@"
