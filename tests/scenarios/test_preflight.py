# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a run is said in words, for all hosts at once, before anything is changed on any."""

from __future__ import annotations

import pytest
from scenario_lab import REGION

LONG = "a" * 60
FAR = "eu-west-1"

# host -> what must be said of it
BLOCKED = {
    "nowhere": ("unknown_instance", "There is no DB instance nowhere"),
    "stopped": ("status", "stopped is stopped; it must be available"),
    LONG: ("name", "has 64 characters, RDS allows 63"),
    "long-below": ("name", f"needed for {LONG[:-1]}r, has 64 characters"),
    "old-held": ("name_taken", "old-old-held exists already"),
    "new-held": ("name_taken", "new-new-held exists already"),
    "small-class": ("class", "db.t2.micro cannot be encrypted"),
    "member": ("cluster_member", "member of cluster the-cluster"),
    "no-key": ("kms_key", "KMS knows no key alias/nothing"),
    "key-off": ("kms_key", "is Disabled"),
    "key-doomed": ("kms_key", "is PendingDeletion"),
    "key-far": ("kms_key", FAR),
    "key-of-pairs": ("kms_key", "RSA_2048"),
    "pending": ("pending_modified_values", "pending has pending modifications (DBInstanceClass)"),
    "maintained": ("pending_maintenance", "maintained has pending maintenance (an operating system update)"),
    "unrestarted": ("pending_reboot", "waits for a restart"),
    "far-replica": ("cross_region_replica", f"far-replica has replicas in other regions, which are not carried yet: arn:aws:rds:{FAR}"),
}


def state(double) -> dict:
    """All instances, without what moves by itself."""
    return {name: {member: value for member, value in instance.items() if member != "LatestRestorableTime"} for name, instance in double.instances().items()}


@pytest.fixture(scope="module")
def all_blocked(_double, tmp_path_factory):
    """One run over hosts that are all blocked, each by something else, and one that is not; and what the lab saw."""
    double = _double
    double.reset()
    kms = double.client("kms")
    keys = {host: kms.create_key()["KeyMetadata"]["KeyId"] for host in ("key-off", "key-doomed")}
    kms.disable_key(KeyId=keys["key-off"])
    kms.schedule_key_deletion(KeyId=keys["key-doomed"], PendingWindowInDays=7)
    keys["key-far"] = double.client("kms", FAR).create_key()["KeyMetadata"]["Arn"]
    keys["key-of-pairs"] = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    keys["no-key"] = "alias/nothing"
    double.plane.seed_cluster({"DBClusterIdentifier": "the-cluster"}, region=REGION)
    unusual = {
        "small-class": {"DBInstanceClass": "db.t2.micro"},
        "member": {"DBClusterIdentifier": "the-cluster", "Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.08.0", "StorageType": "aurora"},
        "pending": {"PendingModifiedValues": {"DBInstanceClass": "db.m6g.xlarge"}},
        "unrestarted": {"DBParameterGroups": [{"DBParameterGroupName": "default.mariadb10.11", "ParameterApplyStatus": "pending-reboot"}]},
        "far-replica": {"ReadReplicaDBInstanceIdentifiers": [f"arn:aws:rds:{FAR}:123456789012:db:far"]},
    }
    for host in ("fine", *BLOCKED):
        if host != "nowhere":
            double.seed(host, **unusual.get(host, {}))
    double.seed_replica(LONG[:-1] + "r", "long-below")
    double.seed("old-old-held")
    double.seed("new-new-held")
    double.plane.seed_maintenance("maintained", REGION, "system-update", "an operating system update")
    double.plane.settings.update({"instances": 1000, "manual_snapshots": 1000})
    double.client("rds").stop_db_instance(DBInstanceIdentifier="stopped")
    double.await_status("stopped", "stopped")
    hosts = {host: {"rds_encryption_kms_key_id": keys[host]} if host in keys else {} for host in ("fine", *BLOCKED)}
    before, began = state(double), double.now
    run = double.operator(tmp_path_factory.mktemp("blocked")).run(hosts)
    return {"run": run, "mutating": double.mutating(began, accepted=False), "before": before, "after": state(double), "problems": double.problems}


@pytest.mark.parametrize("host", BLOCKED)
def test_a_blocker_is_named_in_words(all_blocked, host):
    code, words = BLOCKED[host]
    run = all_blocked["run"]
    assert words in run.failure(host)
    assert "Nothing was changed on any host" in run.failure(host)
    assert f"BLOCKED ({code}): " in run.said(host)
    assert "Traceback" not in run.output


def test_blocked_hosts_keep_all_others_from_being_changed(all_blocked):
    run = all_blocked["run"]
    assert run.rc != 0
    assert all_blocked["mutating"] == []
    assert all_blocked["after"] == all_blocked["before"]
    assert "fine: encrypt. fine is not encrypted." in run.said("fine"), "the plan of the host that is not blocked was not shown"
    assert not run.results(host="fine", task="Fence the topology")
    assert not all_blocked["problems"]


def test_what_is_encrypted_or_a_replica_is_left_alone_and_no_failure(double, operator):
    other = double.plane.seed_kms_key("alias/other", REGION)
    double.seed("done", StorageEncrypted=True, KmsKeyId=double.key())
    double.seed("done-otherwise", StorageEncrypted=True, KmsKeyId=other)
    double.seed("source")
    double.seed_replica("below", "source")
    began = double.now
    run = operator.run(["done", "done-otherwise", "below"]).good()
    assert run.changed == {"done": 0, "done-otherwise": 0, "below": 0}
    assert double.mutating(began, accepted=False) == []
    assert f"done is encrypted already with {double.key()}" in run.said("done")
    assert f"with key {other}, not with {double.key()}" in run.said("done-otherwise") and "re-key" in run.said("done-otherwise")
    assert "below is a read replica of source: it moves with its source" in run.said("below")


@pytest.mark.parametrize("setting, room, words", [
    ("instances", 3, "The run needs 4 more DB instances; 4 of 7 are in use (DBInstances quota)"),
    ("manual_snapshots", 3, "The run needs 6 more manual snapshots; 0 of 3 are in use (ManualSnapshots quota)"),
    ("allocated_storage", 79, "The run needs 80 more GiB of storage; 80 of 159 are in use (AllocatedStorage quota)"),
])
def test_quotas_are_counted_over_the_whole_fleet(double, operator, setting, room, words):
    """Each topology alone would fit in."""
    for name in ("one", "two"):
        double.seed(name)
        double.seed_replica(f"{name}-replica", name)
    used = {"instances": 4, "manual_snapshots": 0, "allocated_storage": 80}[setting]
    double.plane.settings.update({setting: used + room})
    began = double.now
    both = operator.run(["one", "two"])
    assert both.rc != 0 and words in both.failure("one") and words in both.failure("two")
    assert double.mutating(began, accepted=False) == []
    if setting == "instances":
        assert operator.run(["one"], "plan.yml").good().said("one").startswith("one: encrypt.")


@pytest.mark.parametrize("variables, words", [
    ({"kms_key_id": None}, "rds_encryption_kms_key_id"),
    ({"strategy": "hot"}, "hot"),
    ({"login_password": "secret-of-mine-1", "login_secret_id": "prod/db", "login_user": "admin"},
     "Both rds_encryption_login_password and rds_encryption_login_secret_id"),
    ({"login_password": "secret-of-mine-1"}, "rds_encryption_login_user is not"),
    ({"old_prefix": "x-", "new_prefix": "x-"}, "differ from each other"),
    ({"before_fence_tasks": "no/such/file.yml"}, "rds_encryption_before_fence_tasks names no/such/file.yml, which is not a file"),
    ({"validate_tasks": "no/such/file.yml"}, "rds_encryption_validate_tasks names"),
    ({"after_cutover_tasks": "no/such/file.yml"}, "rds_encryption_after_cutover_tasks names"),
    # Used hours later, behind the fence.
    ({"settle_time": -1, "wait_timeout": 10**12, "poll_interval": "nan", "old_prefix": "ü-"},
     "rds_encryption_settle_time must be a number from 0 to 3600. rds_encryption_poll_interval must be a number"),
    ({"data_check_budget": "soon"}, "rds_encryption_data_check_budget"),
    ({"strategy": "mysql_replication", "max_lag": "a bit"}, "rds_encryption_max_lag"),
    ({"drain_timeout": 0, "binlog_retention_hours": 1000, "min_free_storage": 91, "fenced_data_check_budget": -1},
     "rds_encryption_fenced_data_check_budget must be a number from 0 to 2678400. rds_encryption_binlog_retention_hours must be a number from 1 to 168."
     " rds_encryption_min_free_storage must be a number from 0 to 90. rds_encryption_drain_timeout must be a number from 1 to 86400."),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")
def test_a_missing_or_contradictory_variable_stops_everything(double, operator, variables, words):
    double.seed("one")
    double.seed("two")
    began = double.now
    run = operator.run({"one": {}, "two": {}}, **variables)
    assert run.rc != 0
    assert words in run.failure("one") and words in run.failure("two")
    assert double.mutating(began, accepted=False) == []
    assert "secret-of-mine-1" not in run.output
