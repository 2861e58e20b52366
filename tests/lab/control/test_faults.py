# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request, and the lab's own endpoints."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error

import boto3
import botocore.config
import botocore.exceptions
import pytest


def fault(lab, operation: str, kind: str, **members) -> dict:
    return lab.admin("POST", "/_lab/faults", {"operation": operation, "kind": kind, **members})["faults"][0]


@pytest.mark.parametrize("kind,code,status", [
    ("throttle", "Throttling", 400), ("http_500", "InternalFailure", 500), ("http_503", "ServiceUnavailable", 503),
    ("capacity", "InsufficientDBInstanceCapacity", 400),
])
def test_refusals_befall_the_given_number_of_calls(lab, refused, kind, code, status):
    lab.seed()
    fault(lab, "DescribeDBInstances", kind, count=2)
    for _unused in range(2):
        with refused(code, status=status):
            lab.rds.describe_db_instances()
    assert lab.rds.describe_db_instances()["DBInstances"]
    assert lab.admin("GET", "/_lab/faults")["faults"][0]["hits"] == 2


def test_error_of_choice_with_match_and_skip(lab, refused):
    lab.seed()
    lab.seed("other")
    fault(lab, "ModifyDBInstance", "error", code="AccessDenied", message="no", http_status=403, skip=1,
          match={"DBInstanceIdentifier": "prod-*"})
    lab.modify("other", CopyTagsToSnapshot=True)
    lab.modify(CopyTagsToSnapshot=True)
    with refused("AccessDenied", "no", status=403):
        lab.modify(CopyTagsToSnapshot=False)
    lab.modify(CopyTagsToSnapshot=False)


def test_probability_is_reproducible(lab):
    lab.seed()

    def outcomes():
        lab.admin("DELETE", "/_lab/faults")
        fault(lab, "Describe*", "throttle", count=None, probability=0.5, seed=7)
        result = []
        for _unused in range(30):
            try:
                lab.rds.describe_db_instances()
                result.append(True)
            except botocore.exceptions.ClientError:
                result.append(False)
        return result

    first = outcomes()
    assert first == outcomes()
    assert 5 < first.count(False) < 25


def test_quota_codes_by_operation(lab, refused):
    lab.seed()
    fault(lab, "CreateDBSnapshot", "quota")
    fault(lab, "CreateDBInstanceReadReplica", "quota")
    with refused("SnapshotQuotaExceeded"):
        lab.snapshot()
    with refused("InstanceQuotaExceeded"):
        lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="r", SourceDBInstanceIdentifier="prod-one")


@pytest.mark.parametrize("kind,happened", [("cut_before", False), ("cut_after", True)])
def test_cut_connections(lab, kind, happened):
    lab.seed()
    fault(lab, "CreateDBSnapshot", kind)
    with pytest.raises(botocore.exceptions.HTTPClientError):
        lab.rds.create_db_snapshot(DBSnapshotIdentifier="snap", DBInstanceIdentifier="prod-one")
    lab.finish()
    assert bool(lab.rds.describe_db_snapshots()["DBSnapshots"]) is happened
    call = [entry for entry in lab.admin("GET", "/_lab/calls")["calls"] if entry["operation"] == "CreateDBSnapshot"][0]
    assert call["outcome"] == ("ok, cut after" if happened else "cut before")


@pytest.mark.parametrize("sent", [0, 60])
def test_a_client_that_dies_while_it_sends_has_asked_for_nothing(lab, sent):
    lab.seed()
    body = b"Action=DeleteDBInstance&Version=2014-10-31&SkipFinalSnapshot=true&DBInstanceIdentifier=prod-one&DeleteAutomatedBackups=true"
    head = (f"POST / HTTP/1.1\r\nHost: {lab.server.host}:{lab.server.port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-east-1/rds/aws4_request, Signature=0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    with socket.create_connection((lab.server.host, lab.server.port), timeout=10) as connection:
        connection.sendall(head + body[:sent])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"", "an answer"
    assert lab.status("prod-one") == "available"
    assert [entry["operation"] for entry in lab.admin("GET", "/_lab/calls")["calls"]] == ["DescribeDBInstances"]


def test_botocore_that_repeats_meets_its_own_first_try(lab):
    lab.seed()
    fault(lab, "CreateDBSnapshot", "cut_after")
    client = boto3.client("rds", region_name="us-east-1", endpoint_url=lab.server.url, aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
                          aws_secret_access_key="wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
                          config=botocore.config.Config(retries={"total_max_attempts": 3, "mode": "standard"}))
    with pytest.raises(client.exceptions.DBSnapshotAlreadyExistsFault):
        client.create_db_snapshot(DBSnapshotIdentifier="snap", DBInstanceIdentifier="prod-one")


def test_stale_reads_show_the_version_before(lab):
    lab.seed()
    lab.modify(CopyTagsToSnapshot=True)
    lab.modify(DBInstanceClass="db.r6g.large")
    fault(lab, "DescribeDBInstances", "stale", reads=2)
    assert [lab.status("prod-one") for _unused in range(3)] == ["rebooting", "rebooting", "available"]


def test_not_found_after_create(lab):
    lab.seed()
    fault(lab, "CreateDBSnapshot", "not_found_after_create", reads=2)
    lab.rds.create_db_snapshot(DBSnapshotIdentifier="snap", DBInstanceIdentifier="prod-one")
    lab.advance(10)
    for _unused in range(2):
        with pytest.raises(lab.rds.exceptions.DBSnapshotNotFoundFault):
            lab.describe_snapshot("snap")
    assert lab.describe_snapshot("snap")["Status"] == "creating"


def test_not_found_after_rename(lab):
    lab.seed()
    fault(lab, "ModifyDBInstance", "not_found_after_create", reads=2)
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", NewDBInstanceIdentifier="old-prod-one", ApplyImmediately=True)
    lab.finish()
    assert [lab.status("old-prod-one") for _unused in range(3)] == ["DBInstanceNotFound", "DBInstanceNotFound", "available"]


@pytest.mark.parametrize("status", ["incompatible-restore", "incompatible-parameters", "storage-full", "insufficient-capacity"])
def test_restore_that_ends_badly(lab, refused, status):
    lab.seed()
    lab.snapshot()
    fault(lab, "RestoreDBInstanceFromDBSnapshot", "terminal_status", status=status)
    target = lab.restore()
    assert target["DBInstanceStatus"] == status
    lab.advance(7200)
    assert lab.status("new-prod-one") == status
    events = lab.rds.describe_events(
        SourceType="db-instance", SourceIdentifier="new-prod-one", Duration=600, EventCategories=["failure"])["Events"]
    assert len(events) == 1
    with refused("InvalidDBInstanceState"):
        lab.rds.modify_db_instance(DBInstanceIdentifier="new-prod-one", CopyTagsToSnapshot=True)
    if status == "incompatible-restore":
        with refused("InvalidDBInstanceState"):
            lab.rds.delete_db_instance(DBInstanceIdentifier="new-prod-one", FinalDBSnapshotIdentifier="last")
    lab.rds.delete_db_instance(DBInstanceIdentifier="new-prod-one", SkipFinalSnapshot=True)
    lab.finish()
    assert lab.status("new-prod-one") == "DBInstanceNotFound"


@pytest.mark.parametrize("operation", ["CreateDBSnapshot", "CopyDBSnapshot"])
def test_snapshots_that_end_failed(lab, operation):
    lab.seed()
    if operation == "CopyDBSnapshot":
        lab.snapshot()
    fault(lab, operation, "fails")
    if operation == "CopyDBSnapshot":
        lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier="bad")
    else:
        lab.rds.create_db_snapshot(DBSnapshotIdentifier="bad", DBInstanceIdentifier="prod-one")
    lab.finish()
    assert lab.describe_snapshot("bad")["Status"] == "failed"
    assert lab.status("prod-one") == "available"
    lab.rds.delete_db_snapshot(DBSnapshotIdentifier="bad")


def test_modification_that_ends_available_with_an_event(lab):
    lab.seed()
    fault(lab, "ModifyDBInstance", "ends_with_error_event")
    shown = lab.modify(DBInstanceClass="db.r6g.large", DeletionProtection=True)
    assert (shown["DBInstanceStatus"], shown["DBInstanceClass"], shown["DeletionProtection"]) == ("available", "db.m6g.large", False)
    assert shown["PendingModifiedValues"] == {}
    events = lab.rds.describe_events(SourceType="db-instance", SourceIdentifier="prod-one", EventCategories=["failure"])["Events"]
    assert "failed" in events[0]["Message"]


def test_replica_that_ends_badly(lab):
    lab.seed()
    fault(lab, "CreateDBInstanceReadReplica", "terminal_status", status="failed")
    lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="r", SourceDBInstanceIdentifier="prod-one")
    lab.finish()
    assert lab.status("r") == "failed"


def test_faults_of_neighbours(lab, refused):
    key = lab.plane.seed_kms_key("alias/lab", "us-east-1")
    lab.admin("POST", "/_lab/faults", {"service": "kms", "operation": "DescribeKey", "kind": "throttle"})
    with refused("Throttling"):
        lab.client("kms").describe_key(KeyId=key)
    assert lab.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_faults_that_are_not_understood_are_refused(lab):
    for bad in ({"kind": "bad-weather"}, {"kind": "throttle", "operatoin": "x"}, {"kind": "error"}, {"kind": "terminal_status"}):
        with pytest.raises(urllib.error.HTTPError) as problem:
            lab.admin("POST", "/_lab/faults", bad)
        assert problem.value.code == 400


def test_calls_are_logged_without_secrets(lab):
    lab.seed()
    lab.admin("DELETE", "/_lab/calls")
    lab.modify(MasterUserPassword="very-secret-99")
    lab.client("secretsmanager").create_secret(Name="s", SecretString="very-secret-99")
    lab.client("kms").list_keys()
    calls = lab.admin("GET", "/_lab/calls")["calls"]
    assert "very-secret-99" not in str(calls)
    assert [(entry["service"], entry["operation"], entry["mutating"], entry["status"]) for entry in calls] == [
        ("rds", "ModifyDBInstance", True, 200), ("rds", "DescribeDBInstances", False, 200), ("secretsmanager", "CreateSecret", True, 200),
        ("kms", "ListKeys", False, 200)]
    assert calls[0]["parameters"]["MasterUserPassword"] == "********"
    assert calls[0]["parameters"]["DBInstanceIdentifier"] == "prod-one"
    assert [entry["operation"] for entry in lab.admin("GET", "/_lab/calls?mutating=true")["calls"]] == ["ModifyDBInstance", "CreateSecret"]
    assert lab.admin("GET", f"/_lab/calls?since={calls[-1]['number']}")["calls"] == []


def test_state_tells_the_whole_truth(lab):
    resource_id = lab.seed()
    lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")
    state = lab.admin("GET", "/_lab/state")["regions"]["us-east-1"]["instances"][resource_id]
    assert (state["name"], state["busy"], state["description"]["DBInstanceIdentifier"]) == ("prod-one", "rebooting", "prod-one")
    assert "correct-horse" not in str(lab.admin("GET", "/_lab/state"))


def test_settings_and_unknown_paths(lab):
    assert lab.admin("POST", "/_lab/settings", {"rename": 5, "instances": 3})["rename"] == 5.0
    for path, data in (("/_lab/settings", {"colour": 1}), ("/_lab/nothing", {})):
        with pytest.raises(urllib.error.HTTPError):
            lab.admin("POST", path, data)


def test_reset(lab):
    lab.seed()
    lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")
    lab.admin("POST", "/_lab/reset", {})
    assert lab.rds.describe_db_instances()["DBInstances"] == []
    lab.seed()
    assert lab.status("prod-one") == "available"


def test_the_truth_can_be_changed_behind_the_back(lab):
    lab.seed()
    lab.admin("POST", "/_lab/instance", {"name": "prod-one", "status": "storage-full", "facts": {"AllocatedStorage": 300, "DBName": "x"}})
    lab.advance(6)
    shown = lab.describe("prod-one")
    assert (shown["DBInstanceStatus"], shown["AllocatedStorage"], shown["DBName"]) == ("storage-full", 300, "x")
    lab.admin("POST", "/_lab/instance", {"name": "prod-one", "status": "available", "facts": {"DBName": None}})
    lab.advance(6)
    assert "DBName" not in lab.describe("prod-one")
    with pytest.raises(urllib.error.HTTPError):
        lab.admin("POST", "/_lab/instance", {"name": "prod-one", "facts": {"Colour": "red"}})


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_is_held_until_it_is_released(lab, when):
    """Reads pass; the second change is held where it was asked to, and its caller never gets an answer."""
    lab.seed()
    fault(lab, "*", f"hold_{when}", mutating=True, skip=1, service="*")
    lab.modify(CopyTagsToSnapshot=True)
    problems = []

    def change():
        try:
            lab.modify(DeletionProtection=True)
        except botocore.exceptions.BotoCoreError as problem:
            problems.append(problem)

    caller = threading.Thread(target=change)
    caller.start()
    deadline = time.monotonic() + 30
    while not lab.admin("GET", "/_lab/held")["held"]:
        assert time.monotonic() < deadline and caller.is_alive()
        time.sleep(0.01)
    assert lab.admin("GET", "/_lab/held")["held"] == [{"service": "rds", "operation": "ModifyDBInstance", "when": when}]
    lab.finish()
    assert lab.describe("prod-one")["DeletionProtection"] is (when == "after")
    lab.admin("POST", "/_lab/release")
    caller.join(30)
    assert len(problems) == 1 and lab.admin("GET", "/_lab/held")["held"] == []
    lab.modify(CopyTagsToSnapshot=False)
