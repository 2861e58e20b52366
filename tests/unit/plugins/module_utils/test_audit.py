# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit calls plaintext, and what it advises."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tag_list
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Prefixes, is_encrypted, storage_encryption
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.audit import Account, audit, count, plaintext

SAID = [
    ({"StorageEncrypted": False}, "none"),
    ({"StorageEncrypted": True}, "sse-kms"),
    ({"Encrypted": True}, "sse-kms"),
    ({}, "none"),
    ({"StorageEncrypted": False, "StorageEncryptionType": "none"}, "none"),
    ({"StorageEncrypted": True, "StorageEncryptionType": "sse-kms"}, "sse-kms"),
    # An Aurora cluster with a key of AWS: plaintext for whoever looks at StorageEncrypted alone.
    ({"StorageEncrypted": False, "StorageEncryptionType": "sse-rds"}, "sse-rds"),
    ({"Encrypted": False, "StorageEncryptionType": "sse-rds"}, "sse-rds"),
    ({"StorageEncrypted": True, "StorageEncryptionType": "none"}, "sse-kms"),
    # A kind that nobody knows yet: not plaintext, and no reason to fail.
    ({"StorageEncrypted": False, "StorageEncryptionType": "sse-new"}, "sse-new"),
]


@pytest.mark.parametrize(("described", "answer"), SAID)
def test_three_different_answers(described, answer):
    assert storage_encryption(described) == answer
    assert is_encrypted(described) == (answer != "none"), "the audit and the run mean the same by it"


def test_an_unknown_kind_of_encryption_is_counted():
    found = audited(instances=[instance("one", StorageEncryptionType="sse-new")])
    assert count(found.values())["instance"] == {"none": 0, "sse-kms": 0, "sse-rds": 0, "sse-new": 1} and not plaintext(found.values())


def instance(identifier: str, **more) -> dict:
    return {
        "DBInstanceIdentifier": identifier,
        "DbiResourceId": f"db-{identifier.upper()}",
        "DBInstanceArn": f"arn:aws:rds:eu-west-1:123456789012:db:{identifier}",
        "DBInstanceClass": "db.m6g.large",
        "DBInstanceStatus": "available",
        "Engine": "mysql",
        "EngineVersion": "8.0.36",
        "AllocatedStorage": 200,
        "StorageEncrypted": False,
        **more,
    }


def audited(**lists) -> dict:
    account = Account("eu-west-1", **{what: tuple(found) for what, found in lists.items()})
    return {(r.kind, r.identifier): r for r in audit(account, Prefixes(), accepted=["known"])}


def test_an_instance_that_can_be_encrypted_is_told_how():
    found = audited(instances=[instance("one"), instance("one-replica", ReadReplicaSourceDBInstanceIdentifier="one"), instance("known")])
    one, replica = found["instance", "one"], found["instance", "one-replica"]
    assert (one.strategy, one.blockers, one.advice) == ("cold", (), "ansible-playbook encrypt.yml -l one")
    assert sum(one.estimate_minutes.values()) > 30
    assert replica.topology == "one" and "moves with its source" in replica.advice and replica.strategy is None
    assert [r.identifier for r in plaintext(found.values())] == ["one", "one-replica"], "what is accepted is no fault"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"DBInstanceStatus": "storage-full"}, "storage-full"),
        ({"TdeCredentialArn": "arn:aws:cloudhsm:x"}, "TDE"),
        ({"Engine": "custom-oracle-ee"}, "RDS Custom"),
        ({"DBInstanceClass": "db.t2.micro"}, "cannot be encrypted"),
    ],
)
def test_what_stands_against_it_is_said(more, words):
    row = audited(instances=[instance("one", **more)])["instance", "one"]
    assert any(words in text for text in row.blockers), row.blockers
    assert "encrypt.yml" not in row.advice


def test_an_original_that_was_replaced_is_to_be_retired():
    marks = {"rds-encryption:name": "one", "rds-encryption:role": "source", "rds-encryption:source-resource-id": "db-OLD-ONE",
             "rds-encryption:target-resource-id": "db-ONE", "rds-encryption:cut-over-at": "2026-11-01T00:00:00Z", "rds-encryption:fence-id": "f1",
             "rds-encryption:fenced": "f1 2026-11-01T00:00:00Z"}
    found = audited(instances=[instance("old-one", TagList=tag_list(marks)), instance("one", StorageEncrypted=True, KmsKeyId="arn:key")])
    assert "retire.yml" in found["instance", "old-one"].advice and found["instance", "old-one"].topology == "one"
    assert found["instance", "one"].encryption == "sse-kms" and found["instance", "one"].advice == ""


def test_snapshots_and_backups_count_too():
    plain = {"Engine": "mysql", "Encrypted": False, "AllocatedStorage": 20}
    found = audited(
        instances=[instance("one")],
        snapshots=[
            {**plain, "DBSnapshotIdentifier": "by-hand", "DBInstanceIdentifier": "one", "DbiResourceId": "db-ONE", "SnapshotType": "manual"},
            {**plain, "DBSnapshotIdentifier": "rds:one-1", "DBInstanceIdentifier": "one", "DbiResourceId": "db-ONE", "SnapshotType": "automated"},
            {**plain, "DBSnapshotIdentifier": "old-one-f1", "SnapshotType": "manual", "TagList": tag_list({"rds-encryption:name": "one"})},
            {**plain, "DBSnapshotIdentifier": "fine", "Encrypted": True, "KmsKeyId": "arn:key", "SnapshotType": "manual"},
        ],
        clusters=[{"DBClusterIdentifier": "c", "Engine": "aurora-mysql", "StorageEncrypted": False, "StorageEncryptionType": "sse-rds"}],
        cluster_snapshots=[{"DBClusterSnapshotIdentifier": "cs", "DBClusterIdentifier": "c", "Engine": "aurora-mysql", "StorageEncrypted": False}],
        backups=[{"DBInstanceIdentifier": "gone", "DbiResourceId": "db-GONE", "Engine": "mysql", "Encrypted": False}],
    )
    assert "--kms-key-id" in found["snapshot", "by-hand"].advice and "--source-db-snapshot-identifier by-hand" in found["snapshot", "by-hand"].advice
    assert "retention" in found["snapshot", "rds:one-1"].advice
    assert "retire.yml" in found["snapshot", "old-one-f1"].advice
    assert found["cluster", "c"].encryption == "sse-rds" and not found["cluster", "c"].advice
    assert "restore it with a KMS key" in found["cluster snapshot", "cs"].advice
    assert "is gone" in found["automated backups", "gone"].advice
    assert count(found.values())["snapshot"] == {"none": 3, "sse-kms": 1, "sse-rds": 0}
    assert len(plaintext(found.values())) == 6
