# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a snapshot before the fence is worth its while, and that it never becomes a target."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tag_list
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import of_this_fence
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.seed import SeedRequest, plan_seed

NOW = datetime(2026, 11, 22, 3, 45, tzinfo=timezone.utc)
REQUEST = SeedRequest(NOW, max_age=14400)
SOURCE = {"DBInstanceIdentifier": "one", "DbiResourceId": "db-ONE", "Engine": "mysql", "DBInstanceStatus": "available", "StorageEncrypted": False}


def topology(**more):
    return find_topology("one", Listing([{**SOURCE, **more}]), Prefixes())


def snapshot(minutes: float | None, status: str = "available", resource_id: str = "db-ONE", tags: dict | None = None, kind: str = "manual") -> dict:
    made = {} if minutes is None else {"SnapshotCreateTime": NOW - timedelta(minutes=minutes)}
    return {"DBSnapshotIdentifier": "s", "DbiResourceId": resource_id, "Status": status, "SnapshotType": kind, "TagList": tag_list(tags or {}), **made}


def seeds(*snapshots) -> list[str]:
    return [step.action for step in plan_seed(topology(), list(snapshots), REQUEST).steps if step.mutates]


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ([], True),
        ([snapshot(30)], False),
        ([snapshot(30, kind="automated")], False),
        ([snapshot(241)], True),
        ([snapshot(30, status="failed")], True),
        ([snapshot(None, status="creating")], True),
        ([snapshot(30, resource_id="db-OTHER")], True),
    ],
)
def test_a_recent_snapshot_of_this_very_source_serves(there, taken):
    assert seeds(*there) == (["CreateDBSnapshot"] if taken else [])


def test_one_that_an_earlier_run_began_is_waited_for():
    mine = {"rds-encryption:role": "seed", "rds-encryption:source-resource-id": "db-ONE"}
    plan = plan_seed(topology(), [snapshot(None, status="creating", tags=mine)], REQUEST)
    assert [(step.action, step.started) for step in plan.steps] == [("CreateDBSnapshot", True), ("WaitUntilReady", False)]
    assert not plan.changes


def test_what_is_fenced_or_encrypted_gets_none():
    marks = {"rds-encryption:name": "one", "rds-encryption:role": "source", "rds-encryption:source-resource-id": "db-ONE", "rds-encryption:fence-id": "f1"}
    fenced = find_topology("one", Listing([{**SOURCE, "DBInstanceIdentifier": "old-one", "TagList": tag_list(marks)}]), Prefixes())
    assert fenced.primary.fenced_by_name
    assert not plan_seed(fenced, [], REQUEST).stages
    assert not plan_seed(topology(StorageEncrypted=True), [], REQUEST).stages


def test_it_is_never_taken_for_the_snapshot_of_a_fence():
    step = plan_seed(topology(), [], REQUEST).steps[0]
    made = {**step.parameters, "TagList": step.parameters["Tags"], "DbiResourceId": "db-ONE"}
    assert step.confirmed(made)
    assert not step.confirmed({**made, "TagList": []}), "a snapshot that somebody else made under this name"
    for fence_id in ("f1", "20261122034500", "seed"):
        assert not of_this_fence(made, SOURCE, fence_id)
    assert replace(REQUEST, now=NOW + timedelta(seconds=1)).stamp != REQUEST.stamp
