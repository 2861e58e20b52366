"""Write docs/attributes.md from the attribute rules; with --check fail when the page is stale instead.

Needs a Python in which the collection can be imported (make setup makes one).
"""

from __future__ import annotations

import pathlib
import sys

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.attributes import (
    CARRY_MEANING,
    LATE,
    NEWEST_BOTOCORE,
    RULES,
    Carry,
    Rule,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import ENGINES

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "attributes.md"

INTRODUCTION = f"""\
# What is carried, and how

<!-- Made by tools/attributes_page.py from plugins/module_utils/_model/attributes.py and engines.py; edit those. -->

RDS describes {len(RULES)} attributes of a DB instance (botocore {NEWEST_BOTOCORE}).
A restore takes only some of them over by itself; the rest starts with defaults. Each attribute has one rule, from which the collection
makes the calls, the comparison that precedes the cutover (`dbre.rds_encryption.rds_attr_diff`), and this page.

An attribute that a newer RDS describes and that has no rule is reported, and counts as a difference unless it is equal on both
instances. A difference that you accept is named in `accepted_differences` and stays in the report.

- **Set** names the parameters: R of RestoreDBInstanceFromDBSnapshot, C of CreateDBInstanceReadReplica (for replicas), M of
  ModifyDBInstance; other operations by their names. A parameter that the installed botocore does not know yet at the restore is set by
  the modification.
- **Compared** says what must hold before the name goes to the target.
- **If it differs** is what the report says about a difference.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for carry in Carry:
        rules = [rule for rule in RULES if rule.carry is carry]
        meaning = CARRY_MEANING[carry]
        parts += [f"## {carry.value.capitalize()}: {meaning} ({len(rules)})", ""]
        parts += ["| attribute | set | compared | if it differs | source |", "| --- | --- | --- | --- | --- |"]
        parts += [_line(rule) for rule in sorted(rules, key=lambda rule: rule.member)]
        parts.append("")
    parts += ["## Last of all", "", "Set after the replicas and everything else, in this order:", ""]
    parts += [f"{number}. `{member}`" for number, member in enumerate(LATE, 1)]
    parts += ["", "## Engines", "", _ENGINE_HEAD, "| --- | --- | --- | --- | --- | --- | --- |"]
    parts += [
        _cells(
            f"`{engine.name}`",
            "yes" if engine.supported else f"no: {engine.unsupported_reason}",
            engine.client or "none (RDS API only)",
            f"from {engine.gp3_threshold_gib} GiB" if engine.gp3_threshold_gib else "any size",
            "at the restore" if engine.storage_at_restore else "by modification",
            engine.replicas_per_source,
            engine.replica_levels,
        )
        for engine in ENGINES
    ]
    return "\n".join(parts) + "\n"


_ENGINE_HEAD = "| engine | encrypted | SQL client | gp3 takes Iops and throughput | storage is set | replicas per source | levels |"


def _line(rule: Rule) -> str:
    later = "M" if rule.operation == "ModifyDBInstance" else rule.operation
    calls = [f"{letter}: {_names(which)}" for letter, which in (("R", rule.restore), ("C", rule.replica), (later, rule.modify)) if which]
    name = f"`{rule.member}`" + (f" ({rule.unit})" if rule.unit else "")
    why = rule.why + (f". Not where it means nothing: {rule.not_applicable}" if rule.not_applicable else "")
    return _cells(name, "<br>".join(calls) or "-", rule.compare.value, why, rule.source)


def _names(which: str | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in ((which,) if isinstance(which, str) else which))


def _cells(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def main() -> int:
    """Write the page, or check it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE} does not say what the rules say: run python tools/attributes_page.py and commit it.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
