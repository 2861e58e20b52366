# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.
"""The tables of the report of a run: columns and rows of plain values, for whoever shows them."""

from __future__ import annotations

import json

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.pages import duration_in_words

# (columns, rows)
Table = tuple[tuple[str, ...], list[tuple]]


def run_table(report: dict) -> list[tuple]:
    """Who ran what, when, with what."""
    run = report["run"]
    rows = [
        ("started", run["started"]),
        ("finished", run["finished"]),
        ("identity in AWS", ", ".join(report["callers"]) or "not known"),
        ("user of the controller", run.get("user") or "not known"),
        ("key", ", ".join(report["keys"]) or "not known"),
        ("versions", ", ".join(f"{name} {version}" for name, version in sorted(run.get("versions", {}).items()))),
    ]
    return rows


def outage_in_words(outage: dict | None) -> str:
    """How long nobody served under a name, and whether that is over."""
    if outage is None:
        return "-"
    text = duration_in_words(outage["seconds"])
    return text if outage["over"] else f"{text} so far"


def longest_outage(host: dict) -> dict | None:
    """The outage of the member of a host that was away the longest."""
    outages = [member["outage"] for member in host["members"] if member["outage"]]
    return max(outages, key=lambda outage: outage["seconds"] or 0) if outages else None


def fleet_table(report: dict) -> Table:
    """A row for each host."""
    rows = []
    for host in report["hosts"]:
        encrypted = sum(1 for member in host["members"] if member["serving_encrypted"])
        took = sum(phase["seconds"] or 0 for phase in host["phases"])
        rows.append(
            (
                host["host"],
                host["outcome"],
                host["engine"] or "-",
                f"{encrypted} of {len(host['members'])}",
                outage_in_words(longest_outage(host)),
                duration_in_words(took),
                len(host["steps"]),
                len(host["warnings"]),
            )
        )
    return ("host", "outcome", "engine", "encrypted", "outage", "took", "changes", "warnings"), rows


def _phases(host: dict) -> Table:
    rows = [
        (p["title"], p["started"], duration_in_words(p["seconds"]), duration_in_words(p["expected_seconds"]), p["status"]) for p in host["phases"]
    ]
    return ("phase", "started", "took", "expected", "status"), rows


def _members(host: dict) -> Table:
    rows = []
    for m in host["members"]:
        outage = m["outage"] or {}
        rows.append(
            (
                m["name"],
                m["role"],
                f"yes, {m['kms_key_id'] or 'with a key of AWS'}" if m["serving_encrypted"] else "no",
                m["source_identifier"] or "-",
                outage_in_words(m["outage"]),
                f"{outage['from']} to {outage['to'] or 'now'} ({outage['known_from']})" if outage else "-",
                duration_in_words(outage.get("write_seconds")) if outage else "-",
            )
        )
    return ("instance", "role", "encrypted", "original", "outage", "from and to", "without writes"), rows


def _measures(host: dict) -> Table:
    rows = [
        (m.get("resource", "-"), m.get("measure", "-"), f"{m.get('value', '-')} {m.get('unit', '')}".strip(), m.get("text", ""))
        for m in host["measures"]
    ]
    return ("instance", "measure", "value", "meaning"), rows


def _attributes(host: dict) -> Table:
    rows = [
        (each["pair"], row["attribute"], one_line(row["source"]), one_line(row["target"]), row["verdict"], row["reason"])
        for each in host["attributes"]
        for row in each["rows"]
    ]
    return ("instances", "attribute", "source", "target", "verdict", "reason"), rows


def _accounts(host: dict) -> Table:
    rows = []
    for each in host["accounts"]:
        for account in each["accounts"]:
            why = "; ".join(
                str(part) for part in [account.get("reason"), *(account.get("differs") or []), *(account.get("not_restorable") or [])] if part
            )
            rows.append((each["pair"], account.get("account", "-"), account.get("action", "-"), why))
        rows += [(each["pair"], problem.get("account", "-"), "problem", problem.get("problem", "")) for problem in each["problems"]]
        rows += [
            (each["pair"], setting.get("name", "-"), "setting", f"{setting.get('before')} -> {setting.get('after')}") for setting in each["settings"]
        ]
        if not rows or rows[-1][0] != each["pair"]:
            equal = each["counts"].get("equal", 0) if isinstance(each["counts"], dict) else 0
            rows.append((each["pair"], f"{equal} accounts", "equal", ""))
    return ("instances", "account", "what", "why"), rows


def _data(host: dict) -> Table:
    rows = []
    for each in host["data"]:
        counted = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in each["summary"].items() if number)
        rows.append((each["pair"], "all tables", counted))
        rows += [(each["pair"], f"table {t.get('schema')}.{t.get('table')}", t.get("verdict", "")) for t in each["tables"]]
        rows += [(each["pair"], f"{d.get('kind')} {d.get('schema')}.{d.get('name')}", d.get("verdict", "")) for d in each["differences"]]
        rows += [
            (each["pair"], f"setting {s.get('name')}", f"{s.get('source')} -> {s.get('target')}, {s.get('verdict')}: {s.get('reason')}")
            for s in each["settings"]
        ]
    return ("instances", "what", "found"), rows


def _left(host: dict) -> Table:
    return ("instance", "what", "to do", "commands"), [
        (item.get("member", "-"), item.get("kind", "-"), item.get("text", ""), "\n".join(item.get("commands") or []))
        for item in host["left_to_owners"]
    ]


def _dependents(host: dict) -> Table:
    rows = [(d.get("member", "-"), d.get("kind", "-"), d.get("resource", "-"), d.get("fate", "-"), d.get("text", "")) for d in host["dependents"]]
    return ("instance", "kind", "resource", "fate", "what becomes of it"), rows


def _steps(host: dict) -> Table:
    return ("at", "phase", "change", "took"), [(s["at"], s["phase"], s["what"], duration_in_words(s["seconds"])) for s in host["steps"]]


def _warnings(host: dict) -> Table:
    return ("warning",), [(warning,) for warning in host["warnings"]]


# In the order in which they are shown.
TABLES = (
    ("Phases", _phases),
    ("Instances", _members),
    ("Measured", _measures),
    ("Warnings", _warnings),
    ("Attributes that differ, and why", _attributes),
    ("Accounts and settings", _accounts),
    ("Data checks", _data),
    ("Left to the owners", _left),
    ("What hangs on it", _dependents),
    ("Changes that were made", _steps),
)


def one_line(value) -> str:
    """A value of an attribute as people read it."""
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
