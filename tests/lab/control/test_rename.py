# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rename: old name, moving, neither name, new name; identity, tags and replication stay."""

from __future__ import annotations


def rename(lab, name: str, new: str, **members):
    return lab.rds.modify_db_instance(
        DBInstanceIdentifier=name, NewDBInstanceIdentifier=new, ApplyImmediately=True, **members)["DBInstance"]


def both(lab) -> tuple:
    return lab.status("prod-one"), lab.status("old-prod-one")


def test_sequence_of_answers(lab):
    resource_id = lab.seed(TagList=[{"Key": "team", "Value": "shop"}])
    answer = rename(lab, "prod-one", "Old-Prod-One")
    assert answer["DBInstanceIdentifier"] == "prod-one"
    assert answer["DBInstanceStatus"] == "available"
    assert answer["PendingModifiedValues"] == {"DBInstanceIdentifier": "old-prod-one"}
    seen = [both(lab)]
    found = [len(lab.by_resource(resource_id))]
    for _unused in range(160):
        lab.advance(1)
        if both(lab) != seen[-1]:
            seen.append(both(lab))
        if len(lab.by_resource(resource_id)) != found[-1]:
            found.append(len(lab.by_resource(resource_id)))
    missing = "DBInstanceNotFound"
    assert seen == [("available", missing), ("modifying", missing), ("renaming", missing), ("rebooting", missing), (missing, missing),
                    (missing, "available")]
    assert found == [1, 0, 1]
    shown = lab.describe("old-prod-one")
    assert shown["DbiResourceId"] == resource_id
    assert shown["DBInstanceArn"].endswith(":db:old-prod-one")
    assert shown["Endpoint"]["Address"].startswith("old-prod-one.c4lab0double.us-east-1.")
    assert shown["TagList"] == [{"Key": "team", "Value": "shop"}]
    assert shown["PendingModifiedValues"] == {}


def test_resource_id_can_be_made_to_answer_in_the_gap(lab):
    lab.plane.settings.rename_gap_hides_resource_id = False
    resource_id = lab.seed()
    rename(lab, "prod-one", "old-prod-one")
    gap = 0
    for _unused in range(160):
        lab.advance(1)
        assert len(lab.by_resource(resource_id)) == 1
        gap += both(lab) == ("DBInstanceNotFound", "DBInstanceNotFound")
    assert gap >= 10


def test_links_of_replicas_follow_the_names(lab):
    lab.seed()
    lab.seed_replica("reader")
    rename(lab, "prod-one", "old-prod-one")
    lab.finish()
    assert lab.describe("reader")["ReadReplicaSourceDBInstanceIdentifier"] == "old-prod-one"
    rename(lab, "reader", "old-reader")
    lab.finish()
    assert lab.describe("old-prod-one")["ReadReplicaDBInstanceIdentifiers"] == ["old-reader"]
    assert lab.describe("old-reader")["StatusInfos"][0]["Status"] == "replicating"


def test_names_that_are_held_promised_or_not_yet_free_are_refused(lab, refused):
    lab.seed()
    lab.seed("other")
    with refused("DBInstanceAlreadyExists"):
        rename(lab, "prod-one", "other")
    rename(lab, "prod-one", "old-prod-one")
    with refused("DBInstanceAlreadyExists"):
        rename(lab, "other", "old-prod-one")
    with refused("DBInstanceAlreadyExists"):
        rename(lab, "other", "prod-one")
    lab.plane.finish()
    with refused("DBInstanceAlreadyExists"):
        rename(lab, "other", "prod-one")
    lab.finish()
    rename(lab, "other", "prod-one")
    lab.finish()
    assert lab.status("prod-one") == "available"
    assert lab.status("other") == "DBInstanceNotFound"


def test_a_second_rename_while_the_first_runs_is_refused(lab, refused):
    lab.seed()
    rename(lab, "prod-one", "old-prod-one")
    with refused("InvalidDBInstanceState"):
        rename(lab, "prod-one", "old-prod-one")


def test_same_name_reboots(lab):
    lab.seed()
    before = [event["Message"] for event in lab.rds.describe_events()["Events"]]
    rename(lab, "prod-one", "prod-one")
    lab.advance(60)
    assert lab.status("prod-one") in ("renaming", "rebooting")
    lab.finish()
    assert lab.status("prod-one") == "available"
    after = [event["Message"] for event in lab.rds.describe_events()["Events"]]
    assert after.count("DB instance restarted") == before.count("DB instance restarted") + 1


def test_without_apply_immediately_it_waits_for_the_window(lab):
    lab.seed()
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", NewDBInstanceIdentifier="old-prod-one")
    lab.advance(3600)
    assert lab.describe("prod-one")["PendingModifiedValues"] == {"DBInstanceIdentifier": "old-prod-one"}
    assert lab.describe("prod-one")["DBInstanceStatus"] == "available"
    lab.admin("POST", "/_lab/maintenance", {"name": "prod-one", "window": True})
    lab.finish()
    assert lab.status("old-prod-one") == "available"


def test_apply_immediately_flushes_what_waited(lab):
    lab.seed()
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", DBInstanceClass="db.r6g.large")
    rename(lab, "prod-one", "old-prod-one")
    lab.finish()
    assert lab.describe("old-prod-one")["DBInstanceClass"] == "db.r6g.large"


def test_rules_of_names(lab, refused):
    lab.seed()
    for bad in ("9lives", "a--b", "ends-", "under_score", "a" * 64, "dot.ted", "-a"):
        with refused("InvalidParameterValue", "is not a valid identifier"):
            rename(lab, "prod-one", bad)
    assert rename(lab, "prod-one", "A" * 63)["PendingModifiedValues"]["DBInstanceIdentifier"] == "a" * 63


def test_tags_belong_to_the_arn_of_today(lab, refused):
    lab.seed()
    old = lab.describe("prod-one")["DBInstanceArn"]
    rename(lab, "prod-one", "old-prod-one")
    lab.finish()
    with refused("DBInstanceNotFound", status=404):
        lab.rds.add_tags_to_resource(ResourceName=old, Tags=[{"Key": "a", "Value": "b"}])
    lab.rds.add_tags_to_resource(ResourceName=old.replace("prod-one", "old-prod-one"), Tags=[{"Key": "a", "Value": "b"}])
    lab.finish()
    assert lab.describe("old-prod-one")["TagList"] == [{"Key": "a", "Value": "b"}]


def test_snapshots_keep_the_old_name_and_the_resource_id(lab):
    resource_id = lab.seed()
    lab.snapshot()
    rename(lab, "prod-one", "old-prod-one")
    lab.finish()
    assert lab.describe_snapshot("snap")["DBInstanceIdentifier"] == "prod-one"
    assert lab.rds.describe_db_snapshots(DBInstanceIdentifier="old-prod-one")["DBSnapshots"] == []
    found = lab.rds.describe_db_snapshots(DbiResourceId=resource_id)["DBSnapshots"]
    assert [entry["DBSnapshotIdentifier"] for entry in found] == ["snap"]


def test_the_reboot_puts_static_parameters_in_force(lab):
    lab.plane.seed_parameter_group("custom", "mysql8.0", {}, "us-east-1")
    lab.seed(DBParameterGroups=[{"DBParameterGroupName": "custom"}])
    lab.rds.modify_db_parameter_group(DBParameterGroupName="custom", Parameters=[
        {"ParameterName": "lower_case_table_names", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}])
    lab.finish()
    assert lab.describe("prod-one")["DBParameterGroups"][0]["ParameterApplyStatus"] == "pending-reboot"
    assert lab.record("prod-one").in_force == {}
    rename(lab, "prod-one", "old-prod-one")
    lab.finish()
    assert lab.describe("old-prod-one")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    assert lab.record("old-prod-one").in_force == {"lower_case_table_names": "1"}
