# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of fleets as plain data: what the callback notes of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
NIGHT = datetime(2026, 11, 22, 1, tzinfo=timezone.utc)
# phase -> (task, module, minute it begins, minute it ends)
WAY = {
    "preflight": ("Find out what is to be done", "rds_topology_info", 0, 1),
    "seed": ("Take a snapshot before the fence", "rds_seed_snapshot", 1, 6),
    "fence": ("Fence the topology", "rds_fence", 6, 10),
    "build": ("Restore the target", "rds_encrypted_restore", 10, 70),
    "validate": ("Compare the attributes", "rds_attr_diff", 80, 84),
    "cutover": ("Give the names to the encrypted instances", "rds_cutover", 84, 88),
    "report": ("Read where the topology stands", "rds_topology_info", 88, 89),
}


def at(minute: float) -> str:
    return (NIGHT + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


def step(minute: float, action: str, resource: str, what: str) -> dict:
    return {"action": action, "resource": resource, "what": what, "at": at(minute)}


def topology(name: str, *, done: bool = False, replica: bool = True) -> dict:
    """What rds_topology_info says, before or after."""
    members = [(name, "primary", 0)] + ([(f"{name}-replica", "replica", 1)] if replica else [])
    described = [
        {"name": n, "role": role, "level": level, "parent": name if level else None, "old_identifier": f"old-{n}", "new_identifier": f"new-{n}",
         "source_identifier": f"old-{n}" if done else n, "source_exists": True, "target_identifier": n if done else f"new-{n}", "target_exists": done,
         "cut_over": done, "serving_encrypted": done, "kms_key_id": KEY if done else None, "instance_class": "db.r6g.large", "storage_gib": 100}
        for n, role, level in members
    ]
    descriptions = [{"name": n, "side": "source", "description": {"DBInstanceIdentifier": n, "StorageEncrypted": False}} for n, _r, _l in members]
    times = {"fenced_at": at(6), "validated_at": at(84), "cut_over_at": at(85)} if done else {}
    return {
        "name": name, "action": "none" if done else "encrypt", "reason": f"{name} is {'encrypted and cut over' if done else 'not encrypted'}.",
        "engine": "mysql", "strategy": "cold", "finished": done, "members": described, "blockers": [], "warnings": [] if done else [f"{name}: look twice."],
        "steps": [], "estimate": [] if done else [{"part": "fence", "phase": "fence", "minutes": 4, "basis": "assumed", "outage": True}], "times": times,
        "kms_key_arn": KEY, "caller": "arn:aws:sts::111122223333:assumed-role/dbre/night", "descriptions": descriptions, "database_client": "mysql",
        "needs": {}, "quotas": [],
    }


def results_of(phase: str, name: str) -> list[tuple[str, dict]]:
    """(label, result) of what a phase answers."""
    pair = f"old-{name} -> new-{name}"
    told = {
        "preflight": [("", {"topology": topology(name)})],
        "seed": [("", {"plan": [step(1, "CreateDBSnapshot", f"{name}-seed", f"Take snapshot {name}-seed")]})],
        "fence": [("", {"plan": [
            step(6, "AddTagsToResource", name, f"Mark {name}"), step(6.2, "Rename", name, f"Rename {name} to old-{name}"),
            step(6.2, "Rename", f"{name}-replica", f"Rename {name}-replica to old-{name}-replica"),
            step(8, "RebootDBInstance", f"old-{name}", f"Restart old-{name}")]})],
        "build": [("", {"plan": [
            step(10, "CreateDBSnapshot", f"new-{name}-f1", "Take snapshot"), step(13, "CopyDBSnapshot", f"new-{name}-f1-encrypted", "Copy it, encrypted"),
            step(45, "RestoreDBInstanceFromDBSnapshot", f"new-{name}", f"Restore new-{name}")]})],
        "validate": [
            (pair, {"counts": {"equal": 80, "explained": 1}, "rows": [{
                "attribute": "DbiResourceId", "source": "db-A", "target": "db-B", "carry": "by design", "verdict": "explained", "reason": "another one"}]}),
            (pair, {"counts": {"equal": 12}, "accounts": [{"account": "'app'@'%'", "action": "repair", "differs": ["password"], "reason": ""}], "settings": [],
                    "problems": [], "not_restorable": [], "remarks": []}),
            (pair, {"summary": {"tables": 42, "equal": 41, "sampled": 1}, "tables": [{"schema": "shop", "table": "orders", "verdict": "sample equal"}],
                    "differences": [], "settings": []})],
        "cutover": [("", {"plan": [
            step(84, "AddTagsToResource", f"old-{name}", "Note"), step(84.5, "Rename", f"new-{name}", f"Rename new-{name} to {name}"),
            step(84.5, "Rename", f"new-{name}-replica", f"Rename new-{name}-replica"), step(86, "AddTagsToResource", f"old-{name}", "Note the time")]})],
        "report": [
            ("", {"topology": topology(name, done=True)}),
            ("", {"dependents": [], "items": [{"kind": "terraform", "member": name, "text": "If Terraform manages it: import it.",
                                               "commands": [f"terraform import ADDRESS {name}"]}]})],
    }[phase]
    return [(label, made(result)) for label, result in told]


def made(result: dict) -> dict:
    """A result whose steps were made, each at its time."""
    steps = result.get("plan", [])
    more = {"plan": [{key: each[key] for key in each if key != "at"} for each in steps], "made_at": [each["at"] for each in steps]} if steps else {}
    return {**result, **more}


def records(name: str, *, fails_in: str | None = None, stops_before: str | None = None, failure: dict | None = None) -> list[dict]:
    """All that one host said, up to the phase in which it failed or before which it was stopped."""
    found = []
    for phase, (task, module, begins, ends) in WAY.items():
        if phase == stops_before:
            break
        failed = phase == fails_in
        found.append({
            "host": name, "phase": phase, "task": task, "module": module, "started": at(begins), "finished": at(ends), "status": "failed" if failed else "ok",
            "results": [] if failed else [{"label": label, "result": result} for label, result in results_of(phase, name)],
            "failures": [failure or {"cause": f"Restore new-{name}: no way", "state": "old is kept", "next_step": "run again"}] if failed else []})
        if failed:
            break
    return found


def run_of(*failed_hosts: str, **more) -> dict:
    return {"playbook": "encrypt.yml", "started": at(0), "finished": at(90), "check": False, "user": "dbre on controller", "failed_hosts": list(failed_hosts),
            "versions": {"dbre.rds_encryption": "1.0.0", "ansible-core": "2.19.14"}, **more}
