# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads of instances, snapshots and automated backups, as late as AWS answers them."""

from __future__ import annotations

import base64
import binascii

from . import view
from .errors import RdsError, instance_not_found, snapshot_not_found, value
from .registry import operation
from .state import Instance, Snapshot


def filters(request: dict, allowed: tuple) -> dict:
    """The filters of a request by name.

    :raises RdsError: a filter that the operation does not have, or one without values.
    """
    result = {}
    for entry in request.get("Filters", []):
        if entry["Name"] not in allowed:
            raise value(f"Unrecognized filter name: {entry['Name']}")
        if not entry.get("Values"):
            raise value(f"The filter {entry['Name']} has no values.")
        result[entry["Name"]] = entry["Values"]
    return result


def page(request: dict, items: list, key, least: int = 20, most: int = 100) -> tuple:
    """One page of items, in the order of their keys, and the marker of the next."""
    size = request.get("MaxRecords", most)
    if not least <= size <= most:
        raise value(f"Invalid value {size} for MaxRecords. Must be between {least} and {most}")
    items = sorted(items, key=key)
    if request.get("Marker"):
        try:
            after = base64.b64decode(request["Marker"].encode(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise value("The marker is invalid.") from None
        items = [item for item in items if str(key(item)) > after]
    if len(items) <= size:
        return items, None
    return items[:size], base64.b64encode(str(key(items[size - 1])).encode()).decode()


def short(text: str) -> str:
    """A name or the name in an ARN, in lower case."""
    return text.lower().split(":")[-1] if text.lower().startswith("arn:") else text.lower()


def seen(plane, call, records) -> list:
    """What a read shows of records; those that a fault hides answer nothing, once less each time."""
    moment, result = plane.read_moment(), []
    for record in records:
        found = record.seen(moment, call.stale)
        if found is not None:
            result.append((record, found))
    return result


def living_and_departed(plane, region: str, place: str, kind) -> list:
    """The records of a region, with those that a late read may still show."""
    state = plane.store.region(region)
    return list(getattr(state, place).values()) + [record for record in state.departed if isinstance(record, kind)]


def _count_hidden(pairs: list) -> list:
    result = []
    for record, found in pairs:
        if record.hidden_reads > 0:
            record.hidden_reads -= 1
        else:
            result.append(found)
    return result


@operation("DescribeDBInstances")
def describe_instances(plane, call, request):
    wanted = filters(request, ("db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine"))
    found = seen(plane, call, living_and_departed(plane, call.region, "instances", Instance))
    name = request.get("DBInstanceIdentifier")
    by_resource = "dbi-resource-id" in wanted
    # A record in the gap of a rename answers to its resource id only.
    found = [(record, entry) for record, entry in found if by_resource or not entry.get("_hidden")]
    if name is not None:
        found = [pair for pair in found if pair[1]["DBInstanceIdentifier"] == short(name) or pair[1]["DbiResourceId"] == name]
    conditions = {
        "db-cluster-id": lambda entry, texts: entry.get("DBClusterIdentifier") in [short(text) for text in texts],
        "db-instance-id": lambda entry, texts: entry["DBInstanceIdentifier"] in [short(text) for text in texts],
        "dbi-resource-id": lambda entry, texts: entry["DbiResourceId"].lower() in [text.lower() for text in texts],
        "engine": lambda entry, texts: entry["Engine"] in texts,
        "domain": lambda entry, texts: any(member.get("Domain") in texts for member in entry.get("DomainMemberships", [])),
    }
    for filter_name, texts in wanted.items():
        found = [pair for pair in found if conditions[filter_name](pair[1], texts)]
    entries = _count_hidden(found)
    if name is not None and not entries:
        raise instance_not_found(name)
    shown, marker = page(request, entries, lambda entry: entry["DBInstanceIdentifier"])
    moment = plane.read_moment()
    return {"DBInstances": [view.shown(entry, moment) for entry in shown], "Marker": marker}


@operation("DescribeDBSnapshots")
def describe_snapshots(plane, call, request):
    wanted = filters(request, ("db-instance-id", "db-snapshot-id", "dbi-resource-id", "snapshot-type", "engine"))
    kind = request.get("SnapshotType")
    if kind not in (None, "manual", "automated", "shared", "public", "awsbackup"):
        raise value(f"Invalid snapshot type: {kind}")
    for parameter, filter_name in (("DBInstanceIdentifier", "db-instance-id"), ("DbiResourceId", "dbi-resource-id")):
        if request.get(parameter):
            wanted[filter_name] = [request[parameter]]
    if kind:
        wanted["snapshot-type"] = [kind]
    found = seen(plane, call, living_and_departed(plane, call.region, "snapshots", Snapshot))
    name = request.get("DBSnapshotIdentifier")
    if name is not None:
        plain = name.lower().split(":snapshot:")[-1] if name.lower().startswith("arn:") else name.lower()
        found = [pair for pair in found if pair[1]["DBSnapshotIdentifier"] == plain]
    conditions = {
        "db-instance-id": lambda entry, texts: entry["DBInstanceIdentifier"] in [short(text) for text in texts],
        "db-snapshot-id": lambda entry, texts: entry["DBSnapshotIdentifier"] in [text.lower() for text in texts],
        "dbi-resource-id": lambda entry, texts: entry["DbiResourceId"].lower() in [text.lower() for text in texts],
        "snapshot-type": lambda entry, texts: entry["SnapshotType"] in texts,
        "engine": lambda entry, texts: entry["Engine"] in texts,
    }
    for filter_name, texts in wanted.items():
        found = [pair for pair in found if conditions[filter_name](pair[1], texts)]
    entries = _count_hidden(found)
    if name is not None and not entries:
        raise snapshot_not_found(name)
    shown, marker = page(request, entries, lambda entry: entry["DBSnapshotIdentifier"])
    moment = plane.read_moment()
    return {"DBSnapshots": [view.shown(entry, moment) for entry in shown], "Marker": marker}


@operation("DescribeDBInstanceAutomatedBackups")
def describe_automated_backups(plane, call, request):
    wanted = filters(request, ("status", "db-instance-id", "dbi-resource-id"))
    entries = list(plane.store.region(call.region).automated_backups.values())
    members = {"status": "Status", "db-instance-id": "DBInstanceIdentifier", "dbi-resource-id": "DbiResourceId"}
    for name, texts in wanted.items():
        entries = [entry for entry in entries if entry[members[name]].lower() in [short(text) for text in texts]]
    for parameter in ("DbiResourceId", "DBInstanceIdentifier", "DBInstanceAutomatedBackupsArn"):
        if request.get(parameter):
            entries = [entry for entry in entries if entry[parameter].lower() == request[parameter].lower()]
    if request.get("DbiResourceId") and not entries:
        raise RdsError("DBInstanceAutomatedBackupNotFound", f"DBInstanceAutomatedBackup {request['DbiResourceId']} not found.")
    shown, marker = page(request, entries, lambda entry: entry["DbiResourceId"])
    return {"DBInstanceAutomatedBackups": shown, "Marker": marker}
