# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statuses pass over time, and reads are late."""

from __future__ import annotations

import pytest


def trace(lab, name: str, seconds: float, step: float = 1.0) -> list:
    """The different statuses that reads of a name show within a time."""
    seen = [lab.status(name)]
    for _unused in range(int(seconds / step)):
        lab.advance(step)
        status = lab.status(name)
        if status != seen[-1]:
            seen.append(status)
    return seen


def test_snapshot_grows_and_instance_backs_up(lab):
    lab.seed()
    answer = lab.rds.create_db_snapshot(DBSnapshotIdentifier="Snap", DBInstanceIdentifier="prod-one")["DBSnapshot"]
    assert (answer["Status"], answer["PercentProgress"], answer["DBSnapshotIdentifier"]) == ("creating", 0, "snap")
    assert lab.status("prod-one") == "available"            # the read is late
    with pytest.raises(lab.rds.exceptions.DBSnapshotNotFoundFault):
        lab.describe_snapshot("snap")
    lab.advance(6)
    assert lab.status("prod-one") == "backing-up"
    lab.advance(50)
    halfway = lab.describe_snapshot("snap")
    assert halfway["Status"] == "creating" and 30 < halfway["PercentProgress"] < 70
    lab.finish()
    done = lab.describe_snapshot("snap")
    assert (done["Status"], done["PercentProgress"]) == ("available", 100)
    assert lab.status("prod-one") == "available"


def test_snapshot_duration_depends_on_size(lab):
    lab.seed("small", AllocatedStorage=20)
    lab.seed("large", AllocatedStorage=2000)
    for name in ("small", "large"):
        lab.rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=name)
    lab.advance(200)
    assert lab.describe_snapshot("small")["Status"] == "available"
    assert lab.describe_snapshot("large")["Status"] == "creating"


def test_modify_shows_available_then_modifying_then_available(lab):
    lab.seed()
    answer = lab.rds.modify_db_instance(
        DBInstanceIdentifier="prod-one", DBInstanceClass="db.r6g.large", ApplyImmediately=True)["DBInstance"]
    assert answer["DBInstanceStatus"] == "available"
    assert answer["DBInstanceClass"] == "db.m6g.large"
    assert answer["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.large"}
    assert lab.describe("prod-one")["PendingModifiedValues"] == {}
    lab.advance(6)
    shown = lab.describe("prod-one")
    assert (shown["DBInstanceStatus"], shown["PendingModifiedValues"]) == ("available", {"DBInstanceClass": "db.r6g.large"})
    assert trace(lab, "prod-one", 300) == ["available", "modifying", "rebooting", "available"]
    shown = lab.describe("prod-one")
    assert (shown["DBInstanceClass"], shown["PendingModifiedValues"]) == ("db.r6g.large", {})


def test_reboot(lab, refused):
    lab.seed()
    assert lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")["DBInstance"]["DBInstanceStatus"] == "rebooting"
    assert trace(lab, "prod-one", 120) == ["available", "rebooting", "available"]
    with refused("InvalidParameterCombination", "Multi-AZ"):
        lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one", ForceFailover=True)


def test_reboot_with_failover_swaps_the_zones_late(lab):
    lab.seed(MultiAZ=True, AvailabilityZone="us-east-1a", SecondaryAvailabilityZone="us-east-1c")
    lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one", ForceFailover=True)
    lab.advance(100)
    shown = lab.describe("prod-one")
    assert (shown["DBInstanceStatus"], shown["AvailabilityZone"]) == ("available", "us-east-1a")
    lab.finish()
    shown = lab.describe("prod-one")
    assert (shown["AvailabilityZone"], shown["SecondaryAvailabilityZone"]) == ("us-east-1c", "us-east-1a")


def test_stop_start_and_automatic_start(lab, refused):
    lab.seed()
    lab.rds.stop_db_instance(DBInstanceIdentifier="prod-one")
    assert trace(lab, "prod-one", 250, 5) == ["available", "stopping", "stopped"]
    assert "AutomaticRestartTime" in lab.describe("prod-one")
    for call, members in (("modify_db_instance", {"CopyTagsToSnapshot": True}), ("reboot_db_instance", {}),
                          ("create_db_snapshot", {"DBSnapshotIdentifier": "s"}), ("stop_db_instance", {})):
        with refused("InvalidDBInstanceState"):
            getattr(lab.rds, call)(DBInstanceIdentifier="prod-one", **members)
    lab.rds.start_db_instance(DBInstanceIdentifier="prod-one")
    assert trace(lab, "prod-one", 400, 5) == ["stopped", "starting", "available"]
    with refused("InvalidDBInstanceState"):
        lab.rds.start_db_instance(DBInstanceIdentifier="prod-one")
    lab.rds.stop_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    lab.advance(8 * 86400)
    lab.finish()
    assert lab.status("prod-one") == "available"


def test_an_instance_that_is_seeded_as_stopped_stays_so_for_seven_days(lab):
    lab.seed(DBInstanceStatus="stopped")
    lab.advance(6 * 86400)
    assert lab.status("prod-one") == "stopped"
    lab.advance(2 * 86400)
    lab.finish()
    assert lab.status("prod-one") == "available"


def test_stop_takes_a_snapshot_first(lab):
    lab.seed()
    lab.rds.stop_db_instance(DBInstanceIdentifier="prod-one", DBSnapshotIdentifier="before-stop")
    lab.finish()
    assert lab.describe_snapshot("before-stop")["Status"] == "available"
    assert lab.status("prod-one") == "stopped"


def test_stop_is_refused_with_replicas_on_a_replica_and_for_mirrored_sql_server(lab, refused):
    lab.seed()
    lab.seed_replica("reader")
    lab.seed("mssql", Engine="sqlserver-se", EngineVersion="15.00.4430.1.v1", MultiAZ=True)
    for name in ("prod-one", "reader", "mssql"):
        with refused("InvalidDBInstanceState"):
            lab.rds.stop_db_instance(DBInstanceIdentifier=name)


def test_delete(lab, refused):
    lab.seed(DeletionProtection=True)
    with refused("InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion protection and try again."):
        lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)
    lab.modify(DeletionProtection=False)
    with refused("InvalidParameterCombination"):
        lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one")
    with refused("InvalidParameterCombination"):
        lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True, FinalDBSnapshotIdentifier="last")
    lab.snapshot("kept")
    lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", FinalDBSnapshotIdentifier="last")
    with refused("InvalidDBInstanceState", "is already being deleted"):
        lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)
    assert trace(lab, "prod-one", 400, 5) == ["available", "deleting", "DBInstanceNotFound"]
    assert lab.describe_snapshot("last")["Status"] == "available"
    assert lab.describe_snapshot("kept")["Status"] == "available"
    with refused("DBInstanceNotFound", status=404):
        lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)


@pytest.mark.parametrize("keep", [False, True])
def test_delete_takes_automated_backups_along_unless_told_not_to(lab, keep):
    lab.seed()
    lab.snapshot()
    resource_id = lab.restore()["DbiResourceId"]
    filters = [{"Name": "dbi-resource-id", "Values": [resource_id]}]
    assert [entry["SnapshotType"] for entry in lab.rds.describe_db_snapshots(Filters=filters)["DBSnapshots"]] == ["automated"]
    lab.rds.delete_db_instance(DBInstanceIdentifier="new-prod-one", SkipFinalSnapshot=True,
                               **({"DeleteAutomatedBackups": False} if keep else {}))
    lab.finish()
    assert bool(lab.rds.describe_db_snapshots(Filters=filters)["DBSnapshots"]) is keep
    assert bool(lab.rds.describe_db_instance_automated_backups(Filters=filters)["DBInstanceAutomatedBackups"]) is keep


def test_mutations_are_refused_while_something_is_in_progress(lab, refused):
    lab.seed()
    lab.rds.create_db_snapshot(DBSnapshotIdentifier="one", DBInstanceIdentifier="prod-one")
    with refused("InvalidDBInstanceState",
                 "Cannot create a snapshot because the database instance prod-one is not currently in the available state."):
        lab.rds.create_db_snapshot(DBSnapshotIdentifier="two", DBInstanceIdentifier="prod-one")
    with refused("InvalidDBInstanceState", "Database instance is not in available state."):
        lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", CopyTagsToSnapshot=True)
    with refused("InvalidDBInstanceState", "DB instance is not in the available state"):
        lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="prod-one")
    with refused("InvalidDBInstanceState", "Instance prod-one is not in available state."):
        lab.rds.stop_db_instance(DBInstanceIdentifier="prod-one")
    with refused("InvalidDBInstanceState"):
        lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")


def test_the_clock_runs_at_the_timescale(lab):
    lab.seed()
    lab.admin("POST", "/_lab/clock", {"timescale": 1000})
    lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")
    lab.plane.clock.wait(60)
    assert lab.status("prod-one") == "available"
    assert lab.record("prod-one").busy == ""


def test_storage_optimization_is_usable_but_not_available(lab, refused):
    lab.seed(BackupRetentionPeriod=7)
    lab.modify(AllocatedStorage=200)
    assert lab.status("prod-one") == "storage-optimization"
    with refused("InvalidDBInstanceState"):
        lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", NewDBInstanceIdentifier="old-prod-one", ApplyImmediately=True)
    for call in ("reboot_db_instance", "stop_db_instance"):
        with refused("InvalidDBInstanceState"):
            getattr(lab.rds, call)(DBInstanceIdentifier="prod-one")
    lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="prod-one", AllocatedStorage=200)
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", CopyTagsToSnapshot=True)
