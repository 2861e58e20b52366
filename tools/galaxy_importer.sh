#!/bin/sh
# What Galaxy does with an upload: tools/galaxy_importer.sh dist/X.tar.gz. In an environment of its own, as galaxy-importer pins other libraries.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
archive=$1
home=$top/.cache/galaxy-importer
version=0.4.44
if [ "$(cat "$home/.ready" 2>/dev/null)" != "$version $top" ]; then
    python3 -m venv --clear "$home"
    "$top/.venv/bin/uv" pip install -q --python "$home/bin/python" "galaxy-importer==$version" \
        "$(grep '^ansible-core==' "$top/requirements-dev.txt")" "$(grep '^boto3==' "$top/requirements-dev.txt")"
    # The documentation of our modules takes fragments of amazon.aws.
    packages=$("$home/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    mkdir -p "$packages/ansible_collections"
    ln -sfn "$(echo "$top"/.venv/lib/python3*/site-packages/ansible_collections/amazon)" "$packages/ansible_collections/amazon"
    printf '%s\n' "$version $top" >"$home/.ready"
fi
printf '[galaxy-importer]\nRUN_ANSIBLE_TEST = False\nRUN_ANSIBLE_LINT = False\nCHECK_CHANGELOG = True\nCHECK_REQUIRED_TAGS = True\n' >"$home/importer.cfg"
cd "$home"
export GALAXY_IMPORTER_CONFIG="$home/importer.cfg" PATH="$home/bin:$PATH"
unset ANSIBLE_COLLECTIONS_PATH
# It ends well although it has said ERROR.
python -m galaxy_importer.main "$archive" >importer.log 2>&1 || { tail -20 importer.log; exit 1; }
if grep -E '^(ERROR|WARNING)' importer.log; then exit 1; fi
echo "galaxy-importer: $(grep -c '^Loading' importer.log) parts, no error, no warning"
