# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As a controller runs it: ansible-runner with what the execution environment declares, the slices of one inventory side by side."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest
import yaml
from scenario_lab import QUICK
from scenario_play import KEY, TOP

BIN = pathlib.Path(sys.executable).parent
LIMIT = 300


def run(*command, **more) -> str:
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, check=False, **more)
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A Python environment and a folder of collections with nothing but what the execution environment declares, without its container."""
    folder = tmp_path_factory.mktemp("environment")
    definition = TOP / "awx" / "execution-environment.yml"
    run(BIN / "ansible-builder", "create", "-f", definition, "-c", folder / "context")
    declared = yaml.safe_load(definition.read_text())["dependencies"]
    # What Galaxy would bring: the collection and its dependencies, here as links.
    galaxy = yaml.safe_load((TOP / "galaxy.yml").read_text())
    assert [each["name"] for each in declared["galaxy"]["collections"]] == [f"{galaxy['namespace']}.{galaxy['name']}"]
    collections = folder / "collections" / "ansible_collections"
    for name in (f"{galaxy['namespace']}.{galaxy['name']}", *galaxy["dependencies"]):
        link = collections / name.replace(".", "/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(pathlib.Path(sysconfig.get_paths()["purelib"], "ansible_collections", name.replace(".", "/")).resolve())
    libraries = folder / "libraries.txt"
    run(BIN / "ansible-builder", "introspect", folder / "collections", "--write-pip", libraries)
    run(BIN / "uv", "venv", "-q", "--python", sys.executable, folder / "python")
    run(BIN / "uv", "pip", "install", "-q", "--python", folder / "python" / "bin" / "python", "-c", TOP / "requirements-dev.txt", "-r", libraries,
        declared["ansible_core"]["package_pip"], declared["ansible_runner"]["package_pip"])
    return folder


def job(environment, folder, lab, hosts) -> subprocess.Popen:
    """One job of a controller: a private data folder, and ansible-runner on it."""
    shutil.copytree(TOP / "awx" / "project", folder / "project")
    for part in ("inventory", "env"):
        (folder / part).mkdir()
    variables = {"rds_encryption_kms_key_id": KEY, "rds_encryption_database_access": False, **QUICK}
    (folder / "inventory" / "hosts.json").write_text(json.dumps({"all": {"hosts": dict.fromkeys(hosts, {}), "vars": variables}}))
    exported = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_", "PYTHON"))}
    exported |= {**lab.environment, "PATH": f"{environment / 'python' / 'bin'}:/usr/bin:/bin", "HOME": str(folder),
                 "ANSIBLE_COLLECTIONS_PATH": str(environment / "collections"), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false", "ANSIBLE_FORKS": "5"}
    command = [environment / "python" / "bin" / "ansible-runner", "run", folder, "-p", "encrypt.yml", "--ident", "job", "--quiet"]
    return subprocess.Popen([str(part) for part in command], env=exported, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_two_slices_side_by_side_finish_with_what_the_execution_environment_declares(double, environment, tmp_path):
    for name in ("a", "b", "c"):
        double.seed(name)
    double.seed_replica("a-replica", "a")
    # A controller deals the hosts of an inventory out in turn.
    slices = {tmp_path / "slice-1": ["a", "c"], tmp_path / "slice-2": ["b"]}
    jobs = {folder: job(environment, folder, double, hosts) for folder, hosts in slices.items()}
    for folder, process in jobs.items():
        process.wait(LIMIT)
        said = (folder / "artifacts" / "job" / "stdout").read_text()[-4000:]
        assert (folder / "artifacts" / "job" / "status").read_text() == "successful" and process.returncode == 0, said
    there = double.instances()
    encrypted = {"a", "a-replica", "b", "c"}
    assert set(there) == encrypted | {f"old-{name}" for name in encrypted}
    assert all(there[name]["KmsKeyId"] == double.key() for name in encrypted)
    renames = [resource for action, resource in double.steps() if action == "Rename"]
    assert len(renames) == len(set(renames)) == 2 * len(encrypted), renames
    # Side by side: the one was in the middle of its way when the other fenced.
    assert max(renames.index("a"), renames.index("b")) < min(renames.index("new-a"), renames.index("new-b")), renames
