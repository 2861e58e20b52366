"""Write docs/variables.md from the argument specifications of the roles; with --check fail when the page is stale instead."""

from __future__ import annotations

import pathlib
import re
import sys

import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "variables.md"
BASE = "rds_encryption"
PHASES = ("preflight", "seed", "prepare", "fence", "build", "validate", "cutover", "report")
# Roles of playbooks of their own.
OTHERS = ("rollback", "retire", "audit", "capture", "rehearse", "evidence")

# What the playbooks themselves read, not the roles: tests/unit/test_pages.py compares this with playbooks/*.yml.
PLAYBOOK_VARIABLES = {
    "rds_encryption_hosts": ("`all`", "Hosts of the plays; only as extra variable (`-e`), since it is read before any host is. `-l` narrows them further."),
    "rds_encryption_region": ("as boto3 finds it", "Region of the instances; otherwise `AWS_REGION` or the profile's."),
    "rds_encryption_profile": ("as boto3 finds it", "Profile of `~/.aws/config`, for instance one that assumes a role."),
    "rds_encryption_endpoint_url": ("AWS", "Another endpoint for every AWS service: the lab, or a gateway of yours."),
}

INTRODUCTION = """\
# Variables

<!-- Made by tools/variables_page.py from roles/*/meta/argument_specs.yml; edit those. -->

All of them may be set wherever Ansible takes variables; `group_vars` of the group of instances is the usual place
([examples](../examples/inventory)). Roles check them by their argument specifications before they do anything; preflight refuses what
contradicts itself.

An inventory host is one topology: a source with its read replicas. The variables of a host hold for the whole topology.

## Of the playbooks

| variable | default | meaning |
| --- | --- | --- |
"""

ROLES = """
## Of the roles

*Read by* names the phase roles that read the variable. `gate` reads none. A strategy role, such as `cold`, reads those of the phases whose
slots it fills.

| variable | type | default | meaning | read by |
| --- | --- | --- | --- | --- |
"""


def specification(role: str) -> dict:
    """The options of all entry points of a role, ``main`` first."""
    text = (TOP / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    points = yaml.safe_load(text)["argument_specs"]
    found: dict = {}
    for point in sorted(points, key=lambda name: name != "main"):
        for name, option in (points[point].get("options") or {}).items():
            found.setdefault(name, option)
    return found


def page() -> str:
    """The whole page."""
    phases = {phase: specification(phase) for phase in (*PHASES, *OTHERS)}
    lines = [_row(f"`{name}`", default, meaning) for name, (default, meaning) in PLAYBOOK_VARIABLES.items()]
    rows = []
    for name, option in specification(BASE).items():
        readers = [phase for phase in phases if name in phases[phase]]
        required = any(phases[phase][name].get("required") for phase in readers)
        kind = f"list of {option['elements']}" if option.get("elements") else option["type"]
        read_by = "all phases" if set(PHASES) <= set(readers) else ", ".join(readers)
        rows.append(_row(f"`{name}`", kind, _default(option, required), _text(option["description"]), read_by))
    return INTRODUCTION + "\n".join(lines) + "\n" + ROLES + "\n".join(rows) + "\n"


def _default(option: dict, required: bool) -> str:
    if required:
        return "**required**"
    if "default" not in option:
        return "-"
    value = option["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _text(description: list[str]) -> str:
    """Sentences without Ansible's markup: C(x), V(x) and O(x) become code."""
    return re.sub(r"\b[CVOI]\(([^)]*)\)", r"`\1`", " ".join(description))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> int:
    """Write the page, or check it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE} does not say what the roles specify: run python tools/variables_page.py and commit it.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
