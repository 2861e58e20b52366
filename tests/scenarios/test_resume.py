# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was killed is finished by the same command, wherever it stopped."""

from __future__ import annotations

import collections

import pytest

MOMENTS = {
    "after-seed": lambda call: call["operation"] == "CreateDBSnapshot",
    "in-fence": lambda call: call["operation"] == "ModifyDBInstance" and call["parameters"]["DBInstanceIdentifier"] == "one",
    "after-fence": lambda call: "rds-encryption:fenced" in str(call["parameters"].get("Tags")),
    "after-snapshot": lambda call: call["operation"] == "CreateDBSnapshot" and "-seed-" not in call["parameters"]["DBSnapshotIdentifier"],
    "after-restore": lambda call: call["operation"] == "RestoreDBInstanceFromDBSnapshot",
    "in-cutover": lambda call: call["operation"] == "ModifyDBInstance" and call["parameters"].get("NewDBInstanceIdentifier") == "one",
}


def seed(double) -> dict[str, str]:
    """A topology of two; answers the resource ids."""
    return {"one": double.seed("one", DeletionProtection=True, MaxAllocatedStorage=100), "one-replica": double.seed_replica("one-replica", "one")}


def judge(double, sources: dict[str, str], before: dict) -> None:
    """All is encrypted under its name, the originals are kept, everything was made once, nothing was deleted."""
    there = double.instances()
    assert set(there) == {*sources, *(f"old-{name}" for name in sources)}
    for name, resource_id in sources.items():
        assert there[name]["KmsKeyId"] == double.key()
        assert there[f"old-{name}"]["DbiResourceId"] == resource_id
        for member in ("DBInstanceClass", "DeletionProtection", "BackupRetentionPeriod", "TagList", "MaxAllocatedStorage", "Endpoint"):
            assert there[name].get(member) == before[name].get(member), member
    assert there["one"]["ReadReplicaDBInstanceIdentifiers"] == ["one-replica"]
    assert there["one-replica"]["ReadReplicaSourceDBInstanceIdentifier"] == "one"
    made = collections.Counter(step for step in double.steps() if step[0].startswith(("Create", "Copy", "Restore", "Rename")))
    assert set(made.values()) == {1}, made
    assert not [action for action, _resource in double.steps() if action.startswith("Delete")]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_is_finished_by_the_same_command(double, operator, moment):
    sources = seed(double)
    before = double.instances()
    running = operator.start(["one"])
    double.await_call(MOMENTS[moment], running)
    running.kill()
    # An inventory made from AWS holds what is there now.
    host = "old-one" if moment == "after-snapshot" else "one"
    operator.run([host]).good()
    judge(double, sources, before)
    began = double.now
    assert operator.run([host], "encrypt.yml", "--check").good().changed == {host: 0}
    assert double.mutating(began, accepted=False) == []


def test_old_and_new_names_in_an_inventory_mean_one_topology(double, operator):
    sources = seed(double)
    before = double.instances()
    running = operator.start(["one"])
    double.await_call(MOMENTS["after-restore"], running)
    running.kill()
    run = operator.run(["old-one", "new-one", "old-one-replica"]).good()
    judge(double, sources, before)
    assert "moves with its source" in run.said("old-one-replica")
