# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The plan of a fleet for people and machines: one set of data, shown as text and as Markdown.

An entry is what preflight found out about one host: ``{"host", "topology", "dependents", "problems"}``, with the ``topology`` of
``rds_topology_info``, the result of ``rds_dependents`` and the messages of logins that were refused.
"""

from __future__ import annotations

from collections import Counter

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.estimate import together
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.pages import duration_in_words, markdown_table, markdown_text, text_table


def plan_of(entries: list[dict], retire_after_days: int) -> dict:
    """The whole plan as data: the fleet, and each topology."""
    topologies = [_topology(entry) for entry in entries]
    working = [t for t in topologies if t["action"] == "encrypt"]
    return {
        "format": 1,
        "fleet": {
            "topologies": len(topologies),
            "actions": dict(Counter(t["action"] for t in topologies)),
            **together([t["estimate"] for t in working]),
            "quotas": next((t["quotas"] for t in working if t["quotas"]), []),
            "costs": _costs_together([t["costs"] for t in working], retire_after_days),
            "blockers": sum(len(t["blockers"]) for t in topologies),
            "warnings": sum(len(t["warnings"]) for t in topologies),
        },
        "topologies": topologies,
    }


def _topology(entry: dict) -> dict:
    topology, dependents = entry["topology"], entry.get("dependents") or {}
    blockers = [*topology["blockers"], *dependents.get("blockers", [])]
    blockers += [{"code": "login", "resource": topology["name"], "text": problem} for problem in entry.get("problems") or []]
    action = "blocked" if blockers else topology["action"]
    parts = topology.get("estimate", []) if action == "encrypt" else []
    rebinding = [{"phase": "cutover", **step} for step in dependents.get("plan", [])]
    return {
        "host": entry["host"],
        "name": topology["name"],
        "action": action,
        "reason": topology["reason"],
        "engine": topology["engine"],
        "strategy": topology["strategy"],
        "kms_key_arn": topology.get("kms_key_arn"),
        "database_client": topology["database_client"],
        "members": topology["members"],
        "steps": [*topology["steps"], *rebinding],
        "estimate": parts,
        **together([parts]),
        "needs": topology.get("needs", {}),
        "quotas": topology.get("quotas", []),
        "costs": _costs(topology["members"]) if action == "encrypt" else {},
        "blockers": blockers,
        "warnings": [*topology["warnings"], *dependents.get("unread", [])],
        "dependents": dependents.get("dependents", []),
        "dependents_in_words": dependents.get("plan_lines", []),
    }


def _costs(members: list[dict]) -> dict:
    """What is there twice until the originals are retired: GiB, and instances by class. AWS's prices are not known here."""
    doubled = [m for m in members if m["source_exists"]]
    primary = sum(m["storage_gib"] or 0 for m in doubled if m["role"] == "primary")
    return {
        "storage_gib": sum(m["storage_gib"] or 0 for m in doubled),
        # The snapshot behind the fence and its encrypted copy; the seed is one more where RDS has no recent backup.
        "snapshots_gib_at_most": 3 * primary,
        "instances": dict(sorted(Counter(m["instance_class"] or "unknown" for m in doubled).items())),
    }


def _costs_together(costs: list[dict], retire_after_days: int) -> dict:
    instances: Counter = Counter()
    for each in costs:
        instances.update(each["instances"])
    number = sum(instances.values())
    return {
        "storage_gib": sum(each["storage_gib"] for each in costs),
        "snapshots_gib_at_most": sum(each["snapshots_gib_at_most"] for each in costs),
        "instances": dict(sorted(instances.items())),
        "instance_hours_a_day": 24 * number,
        "retire_after_days": retire_after_days,
        "instance_hours_until_retire": {name: 24 * retire_after_days * count for name, count in sorted(instances.items())},
    }


# -- in words ------------------------------------------------------------------------------------------------------------------------------


def about(minutes: int) -> str:
    """A guess in minutes as people say it; nothing where there is nothing to do."""
    return duration_in_words(60 * minutes) if minutes else "-"


_COLUMNS = ("topology", "action", "engine", "GiB", "instances", "alone", "outage alone", "steps", "blockers", "warnings")


def _rows(plan: dict) -> list[tuple]:
    return [
        (
            t["name"],
            t["action"],
            t["engine"] or "-",
            sum(m["storage_gib"] or 0 for m in t["members"]),
            len(t["members"]),
            about(t["minutes"]),
            about(t["outage_minutes"]),
            len(t["steps"]),
            len(t["blockers"]),
            len(t["warnings"]),
        )
        for t in plan["topologies"]
    ]


def _fleet_sentences(plan: dict) -> list[str]:
    fleet = plan["fleet"]
    if not fleet["actions"].get("encrypt"):
        return ["Nothing is to be encrypted."]
    costs = fleet["costs"]
    lines = [
        f"In one run, in which all wait for the slowest at each gate: about {about(fleet['minutes'])}; each topology without writes for about "
        f"{about(fleet['outage_minutes'])}. RDS promises none of these times: rehearse to know them."
    ]
    if fleet["quotas"]:
        lines.append("Quotas: " + "; ".join(_quota(row) for row in fleet["quotas"]) + ".")
    classes = ", ".join(f"{count} x {name}" for name, count in costs["instances"].items())
    lines.append(
        f"Runs on until retire.yml stops or deletes the originals ({costs['retire_after_days']} days after the cutover at the earliest), besides what "
        f"runs today: {costs['storage_gib']} GiB of storage, {costs['instance_hours_a_day']} instance-hours a day ({classes}), and snapshots of up to "
        f"{costs['snapshots_gib_at_most']} GiB."
    )
    return lines


def _quota(row: dict) -> str:
    known = f"{row['used']} of {row['max']} in use" if row["max"] else "use unknown"
    return f"{row['needed']} more {row['unit']} ({known})"


def fleet_lines(plan: dict) -> list[str]:
    """The fleet in a table of text, and what it needs."""
    actions = ", ".join(f"{number} {action}" for action, number in sorted(plan["fleet"]["actions"].items()))
    return [f"The plan of the fleet: {actions}.", *text_table(_COLUMNS, _rows(plan)), *_fleet_sentences(plan)]


def topology_lines(topology: dict) -> list[str]:
    """One topology in lines of text."""
    lines = [f"{topology['name']}: {topology['action']}. {topology['reason']}"]
    if topology["action"] == "none":
        return lines
    lines.append(f"Engine {topology['engine'] or 'unknown'}, strategy {topology['strategy']}, key {topology['kms_key_arn'] or 'unknown'}")
    lines.append(f"SQL checks: {topology['database_client'] or 'none'}")
    lines += [f"  {'  ' * m['level']}{m['name']} ({m['role']}): {_way(m)}" for m in topology["members"]]
    lines += [f"  {number:2}. [{step['phase']}] {step['what']}" for number, step in enumerate(topology["steps"], 1)]
    if topology["dependents_in_words"]:
        lines += ["Hangs on it:", *("  " + line for line in topology["dependents_in_words"])]
    if topology["estimate"]:
        lines.append(f"Expected: about {about(topology['minutes'])}, without writes for about {about(topology['outage_minutes'])}. RDS promises none of it.")
        lines += ["  " + line for line in text_table(("part", "minutes", "known from"), _parts(topology))]
        lines.append(_runs_on(topology))
    lines += [f"BLOCKED ({blocker['code']}): {blocker['text']}" for blocker in topology["blockers"]]
    return lines + [f"WARNING: {warning}" for warning in topology["warnings"]]


def _way(member: dict) -> str:
    return f"{member['source_identifier'] or 'no source'} -> {member['target_identifier']}{'' if member['target_exists'] else ' (to be made)'}"


def _parts(topology: dict) -> list[tuple]:
    return [(part["part"], part["minutes"], part["basis"]) for part in topology["estimate"]]


def _runs_on(topology: dict) -> str:
    costs = topology["costs"]
    classes = ", ".join(f"{count} x {name}" for name, count in costs["instances"].items())
    return (
        f"Runs on until the originals are retired: {costs['storage_gib']} GiB of storage, {classes}, snapshots of up to {costs['snapshots_gib_at_most']} GiB."
    )


def plan_text(plan: dict) -> str:
    """The whole plan as text."""
    blocks = [fleet_lines(plan), *(topology_lines(topology) for topology in plan["topologies"])]
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def plan_markdown(plan: dict) -> str:
    """The whole plan as Markdown."""
    lines = ["# Plan", "", *markdown_table(_COLUMNS, _rows(plan)), ""]
    lines += [f"- {markdown_text(line)}" for line in _fleet_sentences(plan)]
    for topology in plan["topologies"]:
        lines += ["", f"## {markdown_text(topology['name'])}", "", f"**{topology['action']}**: {markdown_text(topology['reason'])}", ""]
        lines += [f"- **BLOCKED ({blocker['code']})**: {markdown_text(blocker['text'])}" for blocker in topology["blockers"]]
        lines += [f"- **WARNING**: {markdown_text(warning)}" for warning in topology["warnings"]]
        if topology["action"] == "none":
            continue
        lines += ["", *markdown_table(("member", "role", "class", "GiB", "way"), [_member(m) for m in topology["members"]])]
        if topology["steps"]:
            steps = [(number, step["phase"], step["what"]) for number, step in enumerate(topology["steps"], 1)]
            lines += ["", "### Steps", "", *markdown_table(("", "phase", "step"), steps)]
        if topology["estimate"]:
            lines += ["", "### Expected", "", *markdown_table(("part", "minutes", "known from"), _parts(topology)), "", markdown_text(_runs_on(topology))]
        if topology["dependents_in_words"]:
            lines += ["", "### Hangs on it", "", *(f"- {markdown_text(line)}" for line in topology["dependents_in_words"])]
    return "\n".join(lines) + "\n"


def _member(member: dict) -> tuple:
    return member["name"], member["role"], member["instance_class"] or "-", member["storage_gib"] or "-", _way(member)
