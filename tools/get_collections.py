"""Give the virtual environment this runs in the collections that the checkout needs, and the checkout itself under its FQCN.

Galaxy is not needed: the ansible package on PyPI holds every collection. Only the wanted ones are unpacked, with their MANIFEST.json, so
that ansible-galaxy lists and verifies them as if it had installed them.
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile

PACKAGE = "ansible==12.3.0"  # amazon.aws 10.1.2, community.mysql 3.16.1, awx.awx 24.6.1
# The last one only for the playbook in awx/, which users run with a collection of their own.
WANTED = ("amazon/aws", "community/mysql", "awx/awx")

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
COLLECTIONS = pathlib.Path(sysconfig.get_paths()["purelib"], "ansible_collections")
STAMP = COLLECTIONS / ".unpacked-from"


def unpack() -> None:
    """The wanted collections of the package are in the environment."""
    for name in WANTED:
        shutil.rmtree(COLLECTIONS / name, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.check_call([sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--only-binary=:all:", "-d", folder, PACKAGE])
        with zipfile.ZipFile(next(pathlib.Path(folder).glob("ansible-*.whl"))) as wheel:
            prefixes = tuple(f"ansible_collections/{name}/" for name in WANTED)
            wheel.extractall(COLLECTIONS.parent, [name for name in wheel.namelist() if name.startswith(prefixes)])
    STAMP.write_text(stamp())


def stamp() -> str:
    """What the environment holds after unpack()."""
    return " ".join((PACKAGE, *WANTED))


def link_checkout() -> None:
    """The checkout is importable, and found by ansible, as dbre.rds_encryption."""
    link = COLLECTIONS / "dbre" / "rds_encryption"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(CHECKOUT)


if __name__ == "__main__":
    if sys.prefix == sys.base_prefix:
        sys.exit("get_collections.py: run it with the Python of a virtual environment (make setup does)")
    if not STAMP.is_file() or STAMP.read_text() != stamp():
        unpack()
    link_checkout()
