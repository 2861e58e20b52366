"""What the collection writes is for its operator alone: every file that a role makes has mode 0600, and one plugin file writes others."""

from __future__ import annotations

import ast
import os
import pathlib
import stat

import pytest
import yaml
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.files import fresh_folder, private_folder, write_private
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

TOP = pathlib.Path(__file__).resolve().parents[2]
WRITERS = ("copy", "template", "lineinfile", "blockinfile", "file", "assemble", "get_url", "replace", "tempfile", "fetch", "unarchive")


def tasks_in(tree):
    """All tasks of a task file, those in blocks too."""
    for task in tree or []:
        yield task
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from tasks_in(task.get(part))


def writers(*folders: str) -> list[tuple[str, dict]]:
    found = []
    for folder in folders:
        for path in sorted((TOP / folder).rglob("*.yml")):
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
            if not isinstance(tree, list):
                continue
            for task in tasks_in(tree):
                found += [(f"{path.relative_to(TOP)}: {task.get('name')}", task[key]) for key in task if key.rpartition(".")[2] in WRITERS]
    return found


def test_every_file_that_a_role_writes_is_private():
    found = writers("roles", "playbooks")
    assert found, "nothing writes a file any more: drop this test"
    assert not [where for where, options in found if str(options.get("mode")) != "0600"]


def test_only_one_plugin_file_writes_files():
    """Then none can be written that is readable by others: it makes files of mode 0600 and folders of mode 0700, and nothing else."""
    faults = []
    for path in (TOP / "plugins").rglob("*.py"):
        if path == TOP / "plugins" / "module_utils" / "_adapter" / "files.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            modes = [each.value for each in [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")] if isinstance(each, ast.Constant)]
            if called in ("write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "makedirs") or called == "open" and set("wax+") & set(str(modes)):
                faults.append(f"{path.relative_to(TOP)}:{node.lineno}: {called}")
    assert not faults


def test_what_that_file_writes_is_private_whole_and_never_shared(tmp_path):
    os.umask(0)
    folder = fresh_folder(str(tmp_path / "deep" / "er"), "run")
    assert fresh_folder(str(tmp_path / "deep" / "er"), "run") == folder + "-2"
    written = write_private(folder, {"a.txt": "one", "below/b.txt": "two\ud800"})
    write_private(folder, {"a.txt": "three"})
    assert [pathlib.Path(path).read_text() for path in written] == ["three", "two\\ud800"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").rglob("*") if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "deep", *(tmp_path / "deep").rglob("*")] if path.is_dir()} == {0o700}
    with pytest.raises(EncryptionError, match="cannot be written"):
        write_private(folder, {"a.txt/b": "a file is no folder"})
    with pytest.raises(EncryptionError, match="cannot be written"):
        private_folder(written[0])
