"""Write the README.md of each role from its argument specification (Galaxy wants one); with --check fail when one is stale instead."""

from __future__ import annotations

import pathlib
import re
import sys

import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent


def page(role: pathlib.Path) -> str:
    """The page of one role."""
    points = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    point = points.get("main") or next(iter(points.values()))
    lines = [f"# dbre.rds_encryption.{role.name}", "", "<!-- Made by tools/roles_page.py from meta/argument_specs.yml; edit that. -->", ""]
    lines += [f"{point['short_description']}.", ""]
    lines += [re.sub(r"\b[CVOI]\(([^)]*)\)", r"`\1`", sentence) for sentence in point["description"]]
    lines += ["", f"`ansible-doc -t role dbre.rds_encryption.{role.name}` has its variables, [docs/variables.md](../../docs/variables.md) those of all roles."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the pages, or check them."""
    stale = []
    for role in sorted(path for path in (TOP / "roles").iterdir() if path.is_dir()):
        goal = role / "README.md"
        if "--check" not in sys.argv[1:]:
            goal.write_text(page(role), encoding="utf-8")
        elif not goal.exists() or goal.read_text(encoding="utf-8") != page(role):
            stale.append(str(goal.relative_to(TOP)))
    if stale:
        print(f"{', '.join(stale)}: run python tools/roles_page.py and commit it.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
