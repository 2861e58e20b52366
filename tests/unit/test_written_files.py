"""What the collection writes is for its operator alone: every file that a role makes has mode 0600, and no plugin writes any."""

from __future__ import annotations

import ast
import pathlib

import yaml

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


def test_no_plugin_writes_a_file():
    """Then none can be written that is readable by others; results are Ansible's to keep."""
    faults = []
    for path in (TOP / "plugins").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            modes = [each.value for each in [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")] if isinstance(each, ast.Constant)]
            if called in ("write_text", "write_bytes", "mkstemp", "NamedTemporaryFile") or called == "open" and set("wax+") & set(str(modes)):
                faults.append(f"{path.relative_to(TOP)}:{node.lineno}: {called}")
    assert not faults
