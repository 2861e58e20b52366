# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.
"""What happened in a run, from what its tasks answered: one set of data for the page, for Markdown, for machines and for the evidence.

A record is what one task said for one host::

    {"host", "phase", "task", "module", "started", "finished", "status", "results": [{"label", "result"}], "failures": [...]}

``module`` is the name of one of ours, or empty. What a result means is told by its keys, not by the module that it came from, so that
another strategy needs nothing here: ``topology``, ``plan`` and ``made_at`` (steps, and when each was made), ``rows`` (attributes), ``accounts``,
``summary`` (data), ``items`` (what is left to the owners), and ``measures``: ``[{"measure", "value", "unit", "text", "resource"}]``; the
measure ``write_outage``, in seconds, stands beside the outage of its instance.
"""

from __future__ import annotations

from datetime import datetime

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.phases import PHASES, PHASES_BY_NAME

WRITE_OUTAGE = "write_outage"
GATE = "gate"


def build_report(run: dict, records: list[dict]) -> dict:
    """The report of a run.

    :param run: ``playbook``, ``started``, ``finished``, ``check``, ``versions``, ``user``, ``failed_hosts``.
    """
    if any(record["failures"] for record in records if record["phase"] != GATE):
        # What a gate says is only that somebody failed before it.
        records = [record for record in records if record["phase"] != GATE]
    hosts = {name: _host(name, [r for r in records if r["host"] == name], run) for name in dict.fromkeys(r["host"] for r in records)}
    failures = [failure for host in hosts.values() for failure in host["failures"]]
    outcomes = [host["outcome"] for host in hosts.values()]
    failed = bool(run.get("failed_hosts"))
    for host in hosts.values():
        if failed and host["outcome"] == "done" and not host["finished"]:
            host["outcome"], host["outcome_text"] = "stopped", "It stopped at a gate, as another host failed. " + host["outcome_text"]
    return {
        "format": 1,
        "run": {**run, "outcome": "failed" if failed else "done" if "done" in outcomes else "nothing to do"},
        "callers": sorted({host["caller"] for host in hosts.values() if host["caller"]}),
        "keys": sorted({host["kms_key_arn"] for host in hosts.values() if host["kms_key_arn"]}),
        "hosts": list(hosts.values()),
        "failures": failures,
    }


def _host(name: str, records: list[dict], run: dict) -> dict:
    results = [(record, each["label"], each["result"]) for record in records for each in record["results"]]
    reads = [(record, result["topology"]) for record, _label, result in results if isinstance(result.get("topology"), dict)]
    first = next((topology for record, topology in reads if record["phase"] == "preflight"), {})
    last = reads[-1][1] if reads else {}
    steps = _steps(results)
    # A rollback takes the tags off: what was known before it counts as well.
    times: dict = {}
    for _record, topology in reads:
        times |= {key: when for key, when in (topology.get("times") or {}).items() if when or key not in times}
    failed = {record["phase"]: record["started"] for record in reversed(records) if record["failures"]}
    failures = [failure for record in records for failure in _failures(record, last.get("name", name))]
    failures = failures if name in run.get("failed_hosts", ()) else []
    return {
        "host": name,
        "name": last.get("name", name),
        "engine": last.get("engine"),
        "strategy": last.get("strategy"),
        "kms_key_arn": first.get("kms_key_arn"),
        "caller": first.get("caller"),
        "finished": bool(last.get("finished")),
        **_outcome(last, steps, failures, results, run),
        "phases": _phases(records, first),
        "steps": steps,
        "times": times,
        "members": [_member(member, times, steps, results, run, failed) for member in last.get("members", [])],
        "warnings": list(dict.fromkeys([*first.get("warnings", []), *(w for _r, _l, result in results for w in result.get("warnings") or [])])),
        "measures": [measure for _r, _l, result in results for measure in result.get("measures") or []],
        "attributes": _latest(results, "rows", _attributes),
        "accounts": _latest(results, "accounts", _accounts),
        "data": _latest(results, "summary", _data),
        "left_to_owners": next((result["items"] for _r, _l, result in reversed(results) if isinstance(result.get("items"), list)), []),
        "dependents": next((result["dependents"] for _r, _l, result in reversed(results) if isinstance(result.get("dependents"), list)), []),
        "failures": failures,
    }


def _outcome(last: dict, steps: list[dict], failures: list[dict], results: list, run: dict) -> dict:
    words = next((result["reason"] for _r, _l, result in reversed(results) if isinstance(result.get("reason"), str)), last.get("reason", ""))
    if failures:
        return {"outcome": "failed", "outcome_text": failures[-1]["cause"]}
    if run.get("check"):
        return {"outcome": "predicted", "outcome_text": words}
    if not steps and (last.get("action", "none") == "none"):
        return {"outcome": "nothing to do", "outcome_text": words}
    return {"outcome": "done", "outcome_text": words}


def _steps(results: list) -> list[dict]:
    """The steps that were made, in order; what is only planned has no time."""
    found = [
        {"phase": record["phase"], **step, "at": at, "until": record["finished"]}
        for record, _label, result in results
        for step, at in zip(result.get("plan") or [], result.get("made_at") or [], strict=False)
    ]
    for step, after in zip(found, [*found[1:], None], strict=False):
        until = after["at"] if after and after["phase"] == step["phase"] else step["until"]
        step["seconds"] = seconds_between(step["at"], until)
    return [{key: value for key, value in step.items() if key != "until"} for step in found]


def _phases(records: list[dict], first: dict) -> list[dict]:
    expected: dict[str, int] = {}
    for part in first.get("estimate", []):
        expected[part["phase"]] = expected.get(part["phase"], 0) + 60 * part["minutes"]
    rows = []
    for phase in PHASES:
        mine = [record for record in records if record["phase"] == phase.name]
        if not mine:
            continue
        started, finished = min(r["started"] for r in mine), max(r["finished"] for r in mine)
        rows.append(
            {
                "phase": phase.name,
                "title": phase.title,
                "started": started,
                "finished": finished,
                "seconds": seconds_between(started, finished),
                "expected_seconds": expected.get(phase.name),
                "status": "failed" if any(r["failures"] for r in mine) else "ok",
                "tasks": [
                    {"task": r["task"], "module": r["module"], "started": r["started"], "finished": r["finished"], "status": r["status"]}
                    for r in mine
                    if r["module"] and r["status"] != "skipped"
                ],
            }
        )
    return rows


def _member(member: dict, times: dict, steps: list[dict], results: list, run: dict, failed: dict[str, str]) -> dict:
    kept = (
        "name",
        "role",
        "level",
        "source_identifier",
        "target_identifier",
        "serving_encrypted",
        "cut_over",
        "kms_key_id",
        "instance_class",
        "storage_gib",
    )
    return {**{key: member.get(key) for key in kept}, "outage": _outage(member, times, steps, results, run, failed)}


def _outage(member: dict, times: dict, steps: list[dict], results: list, run: dict, failed: dict[str, str]) -> dict | None:
    """From when to when nobody served under the name: what this run saw, else what the tags of an earlier one say."""
    renames = [step for step in steps if step["action"] == "Rename"]
    away = next((step["at"] for step in renames if step["resource"] == member["name"]), None)
    back = [step for step in renames if step["resource"] in (member.get("new_identifier"), member.get("old_identifier"))]
    begun, known_from = (away, "this run") if away else (times.get("fenced_at"), "tags of an earlier run")
    if begun is None and "fence" in failed:
        # What a module did before it failed, it does not tell.
        begun, known_from = failed["fence"], "the beginning of the fence that failed; perhaps later"
    if begun is None:
        return None
    if {"cutover", "rollback"} & set(failed):
        known_from += "; whether it is over, the failure says"
    ended = _later(back[-1]["at"], back[-1]["seconds"], steps) if back else times.get("cut_over_at") if member.get("cut_over") else None
    writes = next((m["value"] for _r, _l, r in results for m in r.get("measures") or [] if _is_write_outage(m, member)), None)
    return {
        "from": begun,
        "to": ended,
        "seconds": seconds_between(begun, ended or run["finished"]),
        "over": ended is not None,
        "known_from": known_from,
        "write_seconds": writes,
    }


def _is_write_outage(measure: dict, member: dict) -> bool:
    return measure.get("measure") == WRITE_OUTAGE and measure.get("resource", member["name"]) == member["name"]


def _later(at: str, seconds: float, steps: list[dict]) -> str:
    following = [step["at"] for step in steps if step["at"] > at]
    if following:
        return following[0]
    return datetime.fromtimestamp(_moment(at).timestamp() + seconds, _moment(at).tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ")


def _latest(results: list, key: str, shape) -> list[dict]:
    """What was said last of each pair of instances."""
    found = {label: shape(label, result) for _record, label, result in results if isinstance(result.get(key), (list, dict))}
    return list(found.values())


def _attributes(label: str, result: dict) -> dict:
    rows = [row for row in result["rows"] if row.get("verdict") != "equal"]
    return {"pair": label, "counts": result.get("counts", {}), "rows": rows}


def _accounts(label: str, result: dict) -> dict:
    wanted = ("counts", "accounts", "settings", "problems", "not_restorable", "remarks")
    return {"pair": label, **{key: result.get(key, []) for key in wanted}}


def _data(label: str, result: dict) -> dict:
    tables = [row for row in result.get("tables", []) if row.get("verdict") != "equal"]
    settings = [row for row in result.get("settings", []) if row.get("verdict") != "carried"]
    return {"pair": label, "summary": result["summary"], "tables": tables, "settings": settings, "differences": result.get("differences", [])}


def _failures(record: dict, name: str) -> list[dict]:
    phase = PHASES_BY_NAME.get(record["phase"])
    return [
        {
            "host": record["host"],
            "resource": failure.get("resource") or name,
            "phase": record["phase"] or "outside of the phases",
            "task": record["task"],
            "cause": failure["cause"],
            "state": failure.get("state") or "",
            "next_step": failure.get("next_step") or "",
            "recovery": phase.recovery if phase else "docs/recovery.md",
        }
        for failure in record["failures"]
    ]


def failure_lines(failures: list[dict]) -> list[str]:
    """All failures of a run together, for a terminal."""
    lines = [f"FAILED: {len(failures)} failure{'s' * (len(failures) != 1)}"] if failures else []
    for failure in failures:
        lines.append(f"{failure['host']}, phase {failure['phase']}, {failure['resource']}: {failure['cause']}")
        lines += [f"    State: {failure['state']}"] if failure["state"] else []
        lines += [f"    Next: {failure['next_step']}"] if failure["next_step"] else []
        lines.append(f"    Recovery guide: {failure['recovery']}")
    return lines


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds from one ISO 8601 time to another, never less than 0; None where one is missing or is none."""
    try:
        return max(0.0, (_moment(end) - _moment(start)).total_seconds()) if start and end else None
    except (TypeError, ValueError):
        return None
