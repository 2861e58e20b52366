# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of the house (CONTRIBUTING.md): which layer may import what, and what must be said in two places and agree."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import STRATEGIES

TOP = pathlib.Path(__file__).resolve().parents[2]
OURS = "ansible_collections.dbre.rds_encryption."
LICENCE = [
    "# Copyright (c) the dbre.rds_encryption contributors",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
]
PRIVATE = "# PRIVATE to this collection: names and behaviour may change in any release."


def python_files(*folders: str) -> list[pathlib.Path]:
    return sorted(path for folder in folders for path in (TOP / folder).rglob("*.py"))


def yaml_of(path: pathlib.Path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tracked_files() -> list[pathlib.Path]:
    """What is or may be committed; a file that is being moved or deleted is skipped."""
    listed = subprocess.run(
        ["git", "-C", str(TOP), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True
    ).stdout.decode()
    return [TOP / name for name in listed.split("\0") if name and (TOP / name).is_file()]


# -- layers ----------------------------------------------------------------------------------------------------------------------------

# module -> {_entry, _jobs} -> {_plan, _run, _adapter} -> _model. A file imports its own layer or a lower one; the three in the middle never
# each other.
LAYERS = (
    ("plugins/action/", "action", 6),
    ("plugins/callback/", "callback", 6),
    ("plugins/modules/", "modules", 5),
    ("plugins/plugin_utils/_controller", "_controller", 4),
    ("plugins/plugin_utils/_spool", "_spool", 2),
    ("plugins/module_utils/_entry", "_entry", 3),
    ("plugins/module_utils/_jobs/", "_jobs", 3),
    ("plugins/module_utils/_jobs/", "_jobs", 2.5),
    ("plugins/module_utils/_plan/", "_plan", 2),
    ("plugins/module_utils/_run/", "_run", 2),
    ("plugins/module_utils/_adapter/", "_adapter", 2),
    ("plugins/module_utils/_model/", "_model", 1),
    ("plugins/doc_fragments/", "doc_fragments", 0),
)
PURE = ("_model", "_plan")
WITHOUT_CLOCK_OR_LIBRARY = (*PURE, "_run")
OUTSIDE = {"boto3", "botocore", "pymysql", "psycopg2", "psycopg"}
IMPURE = set("asyncio ctypes http io multiprocessing os pathlib random secrets select shutil socket sqlite3 ssl subprocess".split())
IMPURE |= set("tempfile threading urllib uuid".split())


def layer_of(path: str) -> tuple[str, int] | None:
    """Name and rank of the layer that a path or a dotted module (as a path) belongs to."""
    return next(((name, rank) for start, name, rank in LAYERS if path.startswith(start) or path + "/" == start), None)


def imports_of(tree: ast.AST):
    """Each imported dotted name with its line; ``from a import b`` counts as ``a.b``, since b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or "") + "." + alias.name, node.lineno) for alias in node.names)


def layer_faults(path: str, source: str) -> list[str]:
    """What a file under plugins/ imports or calls against the layer rule."""
    mine = layer_of(path)
    if mine is None:
        return [f"{path}: belongs to no known layer"]
    layer, rank = mine
    tree = ast.parse(source)
    faults = []
    for name, line in imports_of(tree):
        where = f"{path}:{line}"
        top = name.split(".")[0]
        if name.startswith("."):
            faults.append(f"{where}: relative import {name}")
        elif name.startswith(OURS):
            theirs = layer_of(name[len(OURS) :].replace(".", "/"))
            if theirs is None:
                faults.append(f"{where}: {name} is outside the layers")
            elif theirs[0] != layer and theirs[1] >= rank:
                faults.append(f"{where}: {layer} imports {theirs[0]} ({name})")
        elif top in OUTSIDE and layer not in ("_adapter", "_entry"):
            faults.append(f"{where}: {layer} imports {top}; only _adapter and _entry may")
        elif top == "time" and layer not in ("_adapter", "callback"):
            faults.append(f"{where}: {layer} imports time; the clock is an argument")
        elif layer in PURE and top in IMPURE:
            faults.append(f"{where}: {layer} imports {top}; it is pure")
        elif layer in WITHOUT_CLOCK_OR_LIBRARY and top not in sys.stdlib_module_names:
            faults.append(f"{where}: {layer} imports {name}; it needs only the standard library")
    if layer in WITHOUT_CLOCK_OR_LIBRARY:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if isinstance(node.func, ast.Name) and called in ("open", "print", "input"):
                    faults.append(f"{path}:{node.lineno}: {layer} calls {called}()")
                if isinstance(node.func, ast.Attribute) and called in ("now", "utcnow", "today"):
                    faults.append(f"{path}:{node.lineno}: {layer} asks for the time of day by {called}(); the clock is an argument")
    return faults


def test_imports_point_one_way():
    files = python_files("plugins")
    assert files, "there are no plugins"
    faults = [fault for path in files for fault in layer_faults(path.relative_to(TOP).as_posix(), path.read_text(encoding="utf-8"))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "path, line",
    [
        ("_plan/restore.py", f"from {OURS}plugins.module_utils._adapter.rds import describe"),
        ("_plan/restore.py", f"from {OURS}plugins.module_utils import _run"),
        ("_run/apply.py", f"from {OURS}plugins.module_utils._adapter import rds"),
        ("_adapter/rds.py", f"import {OURS}plugins.module_utils._plan.restore"),
        ("_model/names.py", f"from {OURS}plugins.module_utils._plan.restore import plan_restore"),
        ("_model/names.py", f"from {OURS}plugins.module_utils._entry import Context"),
        ("_model/names.py", "from ansible.module_utils.basic import AnsibleModule"),
        ("_model/names.py", "import yaml"),
        ("_model/names.py", "import os.path"),
        ("_run/wait.py", "import time"),
        ("_run/wait.py", "import botocore.exceptions"),
        ("_plan/restore.py", "from datetime import datetime; datetime.now()"),
        ("_plan/restore.py", "open('file')"),
        ("_plan/restore.py", "from .compare import compare"),
        ("_newcomer.py", "import re"),
    ],
)
def test_the_layer_rule_sees_a_fault(path, line):
    assert layer_faults(f"plugins/module_utils/{path}", line)


@pytest.mark.parametrize(
    "path, line",
    [
        ("module_utils/_run/apply.py", f"from {OURS}plugins.module_utils._model.errors import EncryptionError"),
        ("module_utils/_plan/restore.py", f"from {OURS}plugins.module_utils._plan.compare import compare"),
        ("module_utils/_adapter/clock.py", "import time"),
        ("module_utils/_entry.py", f"from {OURS}plugins.module_utils._adapter import clock"),
        ("modules/rds_fence.py", f"from {OURS}plugins.module_utils._entry import module_main"),
        ("action/rds_fence.py", f"from {OURS}plugins.modules import rds_fence as module"),
        ("module_utils/_plan/restore.py", "from __future__ import annotations; from dataclasses import dataclass"),
    ],
)
def test_the_layer_rule_lets_the_house_be(path, line):
    assert layer_faults(f"plugins/{path}", line) == []


def test_plugins_and_lab_do_not_know_each_other():
    lab = python_files("extensions/lab")
    assert lab, "there is no lab"
    for path in lab:
        for name, line in imports_of(ast.parse(path.read_text(encoding="utf-8"))):
            assert not name.startswith("ansible_collections"), f"{path.relative_to(TOP)}:{line}: the lab imports {name}"
    for path in (*python_files("plugins"), *(TOP / "roles").rglob("*.yml"), *(TOP / "playbooks").rglob("*.yml")):
        known = re.search(r"rds_lab|extensions/lab|\bmoto\b", path.read_text(encoding="utf-8"))
        assert not known, f"{path.relative_to(TOP)}: knows the lab ({known[0]})"


# -- files -----------------------------------------------------------------------------------------------------------------------------


def test_plugins_carry_the_licence_and_private_utils_say_so():
    faults = []
    for path in python_files("plugins"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#!")]
        if not lines and path.name == "__init__.py":
            continue
        if lines[:3] != LICENCE:
            faults.append(f"{path.relative_to(TOP)}: does not start with the three licence lines")
        if path.parent.name not in ("modules", "action", "callback", "doc_fragments") and PRIVATE not in lines:
            faults.append(f"{path.relative_to(TOP)}: lacks the PRIVATE line")
        if path.parent.name != "doc_fragments" and "from __future__ import annotations" not in lines:
            faults.append(f"{path.relative_to(TOP)}: lacks from __future__ import annotations")
    assert not faults, "\n".join(faults)


def test_no_path_of_one_machine():
    # Put together here, so that this file does not find itself.
    words = ["/" + "work/", "../" + "shared", "/" + "tmp/scratch"]
    faults = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        faults += [f"{path.relative_to(TOP)}: {word}" for word in words if word in text]
    assert not faults, "\n".join(faults)


def test_tools_are_pinned_exactly():
    lines = [line.split("#")[0].strip() for line in (TOP / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()]
    loose = [line for line in lines if line and "==" not in line]
    assert not loose, f"requirements-dev.txt: not an exact version: {loose}"


def test_requirements_repeat_the_dependencies_of_galaxy_yml():
    dependencies = yaml_of(TOP / "galaxy.yml")["dependencies"]
    required = {entry["name"]: entry["version"] for entry in yaml_of(TOP / "requirements.yml")["collections"]}
    assert required == dependencies


# -- modules ---------------------------------------------------------------------------------------------------------------------------


def test_every_module_is_in_the_action_group_and_has_an_action_plugin():
    modules = {path.stem for path in python_files("plugins/modules")} - {"__init__"}
    actions = {path.stem for path in python_files("plugins/action")} - {"__init__"}
    group = yaml_of(TOP / "meta" / "runtime.yml")["action_groups"]["aws"]
    names = {entry for entry in group if isinstance(entry, str)}
    assert {"metadata": {"extend_group": ["amazon.aws.aws"]}} in group
    assert names == modules, f"meta/runtime.yml: action group aws differs from plugins/modules: {sorted(names ^ modules)}"
    assert actions == modules, f"plugins/action differs from plugins/modules: {sorted(actions ^ modules)}"


# -- roles -----------------------------------------------------------------------------------------------------------------------------

# The base role holds the operator variables; the phase and strategy roles depend on it and name, in their specification, those they read.
BASE = "rds_encryption"
NO_DEFAULT = object()


def roles() -> list[pathlib.Path]:
    return sorted(path for path in (TOP / "roles").glob("*") if path.is_dir())


def specification(role: pathlib.Path) -> dict:
    """The options of a role's main entry point; of the base role, which has no such tasks, those of its entry point read."""
    path = role / "meta" / "argument_specs.yml"
    assert path.is_file(), f"roles/{role.name} lacks meta/argument_specs.yml"
    return yaml_of(path)["argument_specs"]["read" if role.name == BASE else "main"].get("options", {})


def defaults(role: pathlib.Path) -> dict:
    path = role / "defaults" / "main.yml"
    return (yaml_of(path) or {}) if path.is_file() else {}


def specification_faults(name: str, options: dict, values: dict) -> list[str]:
    """Where the documented defaults of a role and the real ones differ."""
    faults = [f"roles/{name}: {key} has a default but no option" for key in values if key not in options]
    for key, option in options.items():
        documented, real = option.get("default", NO_DEFAULT), values.get(key, NO_DEFAULT)
        if option.get("required"):
            if real is not NO_DEFAULT or documented is not NO_DEFAULT:
                faults.append(f"roles/{name}: {key} is required and has a default")
        elif documented is NO_DEFAULT and real is not NO_DEFAULT:
            faults.append(f"roles/{name}: the default of {key} is not documented")
        elif documented is not NO_DEFAULT and (documented != real or type(documented) is not type(real)):
            faults.append(f"roles/{name}: {key} is documented as {documented!r} and is {'missing' if real is NO_DEFAULT else repr(real)}")
    return faults


def text_of(*paths: pathlib.Path) -> str:
    """The lines of some files and of all files in some folders, without comments."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    lines = (line for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def variables_in(text: str) -> set[str]:
    """Operator variables that a text mentions: not internals (``__rds_encryption_x``), nor what a task of the text registers."""
    return set(re.findall(r"\brds_encryption_\w+", text)) - set(re.findall(r"\bregister: (rds_encryption_\w+)", text))


def test_what_runs_on_the_controller_does_so_whatever_the_inventory_says():
    """A host's ansible_connection beats the keyword: modules would be run on whatever machine has a database's name."""
    local = [
        (path.relative_to(TOP), task)
        for path in sorted(TOP.glob("roles/*/tasks/*.yml"))
        for task in yaml_of(path)
        if task.get("connection") == "local"
    ]
    assert len(local) > 5
    assert not [f"{path}: {task['name']}" for path, task in local if task["vars"].get("ansible_connection") != "local"]


def test_task_files_of_the_operator_are_included_from_where_preflight_saw_them():
    """Preflight looks below the current folder; include_tasks would look beside the playbook, hours later."""
    lines = [line for path in TOP.glob("roles/*/tasks/*.yml") for line in path.read_text().splitlines() if 'include_tasks: "{{ rds_enc' in line]
    assert len(lines) == 4
    assert [line for line in lines if "| ansible.builtin.expanduser | ansible.builtin.realpath" not in line] == []
    assert "item.path | ansible.builtin.expanduser is ansible.builtin.file" in (TOP / "roles/preflight/tasks/variables.yml").read_text()
    assert "tasks | ansible.builtin.expanduser is ansible.builtin.file" in (TOP / "roles/rollback/tasks/plan.yml").read_text()


def test_nothing_to_do_is_said_once_and_not_for_each_host():
    """Ansible prints the banner of a meta task for each host; a task file without tasks prints none."""
    assert [str(path) for path in TOP.glob("roles/*/tasks/*.yml") if re.search(r"\bmeta: noop", path.read_text())] == []
    empty = [path for path in TOP.glob("roles/*/tasks/*.yml") if yaml_of(path) == []]
    assert {f"{path.parents[1].name}/{path.stem}" for path in empty} == {"cold/preflight", "cold/prepare"}


def test_roles_document_their_defaults():
    assert roles(), "there are no roles"
    base = defaults(TOP / "roles" / BASE)
    faults = []
    for role in roles():
        own = defaults(role)
        if role.name != BASE:
            twice = sorted(set(own) & set(base))
            faults += [f"roles/{role.name}: {key} is an operator variable: its default belongs to roles/{BASE}" for key in twice]
        # A phase role inherits the defaults of the base role, by its dependency on it.
        options = specification(role)
        faults += specification_faults(role.name, options, {**{key: base[key] for key in options if key in base}, **own})
    assert not faults, "\n".join(faults)


def strategies() -> list[pathlib.Path]:
    """The strategy roles: a phase role reads, through them, what their task file of its name reads."""
    return [TOP / "roles" / name.rsplit(".", 1)[-1] for name in (strategy.role for strategy in STRATEGIES.values())]


def test_operator_variables_mean_the_same_in_every_role():
    meaning: dict[str, tuple[str, dict]] = {}
    faults = []
    for role in roles():
        for key, option in specification(role).items():
            # Not "required": a variable may be needed by one phase and not by another.
            aspects = {aspect: option[aspect] for aspect in ("type", "elements", "choices", "default", "no_log") if aspect in option}
            first, known = meaning.setdefault(key, (role.name, aspects))
            if aspects != known:
                faults.append(f"{key}: {aspects} in roles/{role.name}, {known} in roles/{first}")
    assert not faults, "\n".join(faults)


def with_included(files) -> set[pathlib.Path]:
    """Task files with those that they include, of their own role or of another, and what these include."""
    found: set[pathlib.Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        text = file.read_text(encoding="utf-8")
        waiting += [file.parent / name for name in re.findall(r"(?:include|import)_tasks: (\w+\.yml)", text)]
        others = re.findall(r"name: dbre\.rds_encryption\.(\w+)\n\s+tasks_from: (\w+)", text)
        waiting += [TOP / "roles" / role / "tasks" / f"{name}.yml" for role, name in others if role != BASE]
    return found


def test_roles_specify_the_operator_variables_that_they_read():
    """A phase role reads what its own files name, what its slot of each strategy names, and what the shared tasks of the base role name."""
    base = TOP / "roles" / BASE
    strategies = [role for role in roles() if role != base and not (role / "tasks" / "main.yml").is_file()]
    everything = text_of(*((role / folder) for role in roles() for folder in ("tasks", "templates", "vars")))
    registered = set(re.findall(r"\bregister: (rds_encryption_\w+)", everything))
    shared = variables_in(text_of(base / "tasks", base / "vars", *(strategy / "vars" for strategy in strategies)))
    faults = []
    for role in roles():
        options = set(specification(role))
        own = text_of(role / "tasks", role / "templates", role / "vars")
        if role not in strategies:
            slots = [strategy / "tasks" / f"{role.name}.yml" for strategy in strategies]
            own += "\n" + text_of(*with_included(filter(pathlib.Path.is_file, slots)))
            faults += [f"roles/{role.name}: reads {key}, which it does not specify" for key in variables_in(own) - registered - options]
            if role != base:
                unread = options - variables_in(own) - shared
                faults += [f"roles/{role.name}: specifies {key} and does not read it" for key in sorted(unread)]
        if role != base and variables_in(own):
            dependencies = yaml_of(role / "meta" / "main.yml")["dependencies"]
            if f"dbre.rds_encryption.{BASE}" not in [entry["role"] if isinstance(entry, dict) else entry for entry in dependencies]:
                faults.append(f"roles/{role.name}: reads operator variables and does not depend on dbre.rds_encryption.{BASE}")
    assert not faults, "\n".join(faults)


def test_what_later_phases_do_not_validate_preflight_does():
    """A start of validation costs each host a task in each phase; a wrong value is better said before anything is changed, anyway."""
    plays = yaml_of(TOP / "playbooks" / "encrypt.yml")
    calls = [task["ansible.builtin.import_role"] for play in plays for task in play.get("tasks", []) if "ansible.builtin.import_role" in task]
    lenient = {call["name"].rpartition(".")[2] for call in calls if call.get("rolespec_validate") is False} - {"gate"}
    assert len(lenient) > 5 and plays[0]["roles"] == [{"role": "dbre.rds_encryption.preflight"}]
    # That an option means the same in every role is another test's.
    known = specification(TOP / "roles" / "preflight")
    later = [(name, key, option) for name in sorted(lenient) for key, option in specification(TOP / "roles" / name).items()]
    assert not [f"{name}: {key}" for name, key, option in later if key not in known or option.get("required", False) > known[key].get("required", False)]


def imports_under_a_condition(tasks, path: str, condition: bool = False) -> list[str]:
    """Imported task files with results that others use, under a condition of their own or of a block around them."""
    found = []
    for task in tasks:
        here = condition or "when" in task
        for part in ("block", "rescue", "always"):
            found += imports_under_a_condition(task.get(part, []), path, here)
        if here and "ansible.builtin.import_role" in task:
            found.append(f"{path}: {task['name']}")
    return found


def test_what_is_read_is_not_lost_by_a_condition():
    """A condition of an import is one of each of its tasks, and a task that is skipped registers that it was."""
    for path in sorted(TOP.glob("roles/*/tasks/*.yml")):
        assert imports_under_a_condition(yaml_of(path), str(path.relative_to(TOP))) == []
    a_read = {"name": "Read", "ansible.builtin.import_role": {"name": "x"}}
    assert imports_under_a_condition([{"when": "x", "block": [a_read]}, {**a_read, "when": "y"}, {"block": [a_read]}], "p") == ["p: Read", "p: Read"]


def truth_values_taken_at_their_word(text: str, names: set[str]) -> list[str]:
    """Lines that ask a variable for its truth as it is; the value of a module's option is converted by the module."""
    faults = []
    asked = re.compile(r"{[{%]|^\s*(- |when:|that:|until:|failed_when:|changed_when:)")  # the rest is prose
    for line in filter(asked.search, text.splitlines()):
        for name in names & set(re.findall(r"\brds_encryption_\w+", line)):
            an_option = re.search(rf"\w+: \"?{{{{ {name} }}}}\"?$", line)
            if not an_option and not re.search(rf"\b{name} \| (default\(\w+\) \| )?bool\b", line):
                faults.append(line.strip())
    return faults


def test_a_truth_value_may_come_from_the_command_line():
    """-e name=false is a text, and a text is true or, in a condition, an error: behind the fence that is a longer outage."""
    options = specification(TOP / "roles" / BASE)
    truths = {name for name, option in options.items() if option["type"] == "bool"}
    assert len(truths) > 8
    faults = []
    for path in [*TOP.glob("roles/*/tasks/*.yml"), *TOP.glob("roles/*/templates/*"), *TOP.glob("playbooks/*.yml")]:
        faults += [f"{path.relative_to(TOP)}: {line}" for line in truth_values_taken_at_their_word(text_of(path), truths)]
    assert not faults, "\n".join(faults)


def test_the_truth_rule_sees_a_fault():
    good = 'when: a_x | bool\nkill: "{{ a_x }}"\nwhen: a_x | default(false) | bool'.replace("a_x", "rds_encryption_x")
    assert truth_values_taken_at_their_word(good, {"rds_encryption_x"}) == []
    for bad in ("when: rds_encryption_x", "- not rds_encryption_x", 'age: "{{ 1 if rds_encryption_x else omit }}"'):
        assert truth_values_taken_at_their_word(bad, {"rds_encryption_x"}) == [bad]


def test_the_role_rule_sees_a_fault():
    text = {"type": "str", "default": "old-"}
    assert specification_faults("x", {"a": text}, {"a": "old-"}) == []
    assert specification_faults("x", {"a": text}, {"a": "new-"})
    assert specification_faults("x", {"a": text}, {})
    assert specification_faults("x", {"a": {"type": "str"}}, {"a": "old-"})
    assert specification_faults("x", {}, {"a": "old-"})
    assert specification_faults("x", {"a": {"type": "bool", "default": 1}}, {"a": True})
    assert specification_faults("x", {"a": {"type": "str", "required": True}}, {"a": "old-"})


def test_the_variables_rule_sees_a_variable():
    task = 'x: "{{ rds_encryption_old_prefix }}"\nregister: rds_encryption_read\ny: "{{ __rds_encryption_login }}"'
    assert variables_in(task) == {"rds_encryption_old_prefix"}
