"""Pages for users say what the code says: the variables, the blockers, the tags, the examples."""

from __future__ import annotations

import importlib.util
import pathlib
import re

import pytest
import yaml

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model import names
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.dependents import KINDS, Fate
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import STRATEGIES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.phases import PHASES

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([TOP / "README.md", TOP / "CONTRIBUTING.md", *(TOP / "docs").glob("*.md")])
PRINTED_BY_THE_ROLE = {"login"}


def tool(name: str):
    """A script of tools/ as a module."""
    specification = importlib.util.spec_from_file_location(name, TOP / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def text_of(*parts: str) -> str:
    return TOP.joinpath(*parts).read_text(encoding="utf-8")


def test_the_page_of_variables_says_what_the_roles_specify():
    variables = tool("variables_page")
    assert variables.PAGE.read_text(encoding="utf-8") == variables.page(), "docs/variables.md is stale: run make docs"
    assert "`rds_encryption_kms_key_id` | str | **required**" in variables.page()


def test_the_page_of_variables_knows_those_of_the_playbooks():
    variables = tool("variables_page")
    read = {name for path in (TOP / "playbooks").glob("*.yml") for name in re.findall(r"\brds_encryption_\w+", path.read_text(encoding="utf-8"))}
    assert read - set(variables.specification(variables.BASE)) == set(variables.PLAYBOOK_VARIABLES)


def blockers() -> set[str]:
    """The codes of all blockers that preflight can raise."""
    sources = text_of("plugins", "module_utils", "_plan", "preflight.py"), text_of("plugins", "module_utils", "_jobs", "topology_info.py")
    dependents = {row.kind for row in KINDS if row.fate is Fate.BLOCKS}
    following = set(re.findall(r"append\(\(\"(\w+)\"", text_of("plugins", "module_utils", "_plan", "follow.py")))
    return dependents | following | {code for source in sources for code in re.findall(r"Blocker\(\s*\"(\w+)\"", source)} | PRINTED_BY_THE_ROLE


def test_the_runbook_explains_every_blocker():
    assert len(blockers()) > 15
    section = text_of("docs", "runbook.md").split("### In preflight")[1].split("\n### ")[0]
    explained = {code for line in section.splitlines() if line.startswith("|") for code in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert explained == blockers()


def test_the_recovery_guide_has_an_anchor_for_every_phase():
    variables = tool("variables_page")
    assert {*variables.PHASES, "rollback", "retire"} <= anchors(TOP / "docs" / "recovery.md")


def test_the_page_of_strategies_knows_every_strategy():
    rows = set(re.findall(r"^\| `(\w+)` \|", text_of("docs", "strategies.md"), flags=re.M))
    assert set(STRATEGIES) <= rows


def test_the_site_lists_every_page():
    listed = set(re.findall(r"^[\w./-]+$", text_of("docs", "docsite", "index.md"), flags=re.M))
    pages = {str(path.relative_to(TOP).with_suffix("")) for path in (*PAGES, *(TOP / "extensions" / "lab").glob("*.md"))}
    assert pages <= listed


def test_every_tag_is_explained():
    tags = {value for name, value in vars(names).items() if name.startswith("TAG_") and name != "TAG_PREFIX"}
    assert len(tags) == names.PRODUCT_TAGS_AT_MOST
    assert set(re.findall(r"rds-encryption:[a-z-]+", text_of("docs", "runbook.md"))) <= tags
    assert set(re.findall(r"`(rds-encryption:[a-z-]+)`", text_of("docs", "architecture.md"))) == tags


def test_variables_that_are_named_exist():
    variables = tool("variables_page")
    known = set(variables.specification(variables.BASE)) | set(variables.PLAYBOOK_VARIABLES)
    for path in [*PAGES, *(TOP / "examples").rglob("*.yml")]:
        # Neither part of a longer word, nor the name of a file or a prefix such as rds_encryption_*.
        found = set(re.findall(r"(?<![\w./-])rds_encryption_\w*[a-z](?![\w*.])", path.read_text(encoding="utf-8")))
        assert found <= known, f"{path.relative_to(TOP)}: {sorted(found - known)}"


def test_modules_and_playbooks_that_are_named_exist():
    parts = {path.stem for folder in ("plugins/modules", "plugins/callback", "playbooks") for path in (TOP / folder).glob("*") if path.stem != "__init__"}
    parts |= {path.name for path in (TOP / "roles").iterdir()} | {"aws", "git", "git_sha"} | set(STRATEGIES)
    for path in [*PAGES, *(TOP / "examples").rglob("*.yml")]:
        named = set(re.findall(r"\bdbre\.rds_encryption\.(\w+)", path.read_text(encoding="utf-8")))
        assert named <= parts, f"{path.relative_to(TOP)}: {sorted(named - parts)}"


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        file, _hash, anchor = link.partition("#")
        goal = (page.parent / file).resolve() if file else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_in_pages_is_valid(page):
    for block in re.findall(r"^```ya?ml\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S):
        assert yaml.safe_load(block) is not None


def test_examples_are_valid():
    files = sorted((TOP / "examples").rglob("*.yml"))
    assert files
    for path in files:
        assert yaml.safe_load(path.read_text(encoding="utf-8")) is not None, path


def test_the_hooks_of_the_examples_run_where_they_should():
    # The names of instances are no machines: without these the tasks of the hooks would go out by SSH. In all, they would catch delegated tasks.
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    assert local.items() <= yaml.safe_load(text_of("examples", "inventory", "group_vars", "prod.yml")).items()
    assert not (TOP / "examples" / "inventory" / "group_vars" / "all.yml").exists()
    for play in yaml.safe_load(text_of("playbooks", "encrypt.yml")) + yaml.safe_load(text_of("playbooks", "plan.yml")):
        assert "connection" not in play, play["name"]
    delegated = [task for path in (TOP / "examples" / "hooks").glob("*.yml") for task in yaml.safe_load(path.read_text()) if "delegate_to" in task]
    assert delegated
    for task in delegated:
        assert "connection" not in task, task["name"]


def test_the_recovery_guide_has_a_heading_for_each_phase():
    """Failures and reports name it as docs/recovery.md#PHASE."""
    headings = set(re.findall(r"^## (.+)$", text_of("docs", "recovery.md"), re.MULTILINE))
    assert {phase.name for phase in PHASES} <= headings
    assert all(phase.recovery == f"docs/recovery.md#{phase.name}" for phase in PHASES)
