# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots, their encrypted copies, and the keys."""

from __future__ import annotations

import pytest


@pytest.fixture
def key(lab):
    return lab.plane.seed_kms_key("alias/lab", "us-east-1")


def copy(lab, target: str = "copy", source: str = "snap", **members) -> dict:
    lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier=source, TargetDBSnapshotIdentifier=target, **members)
    lab.finish()
    return lab.describe_snapshot(target)


def test_snapshot_tells_what_the_instance_held(lab):
    resource_id = lab.seed(StorageType="io1", Iops=3000, MasterUsername="boss", Endpoint={"Port": 3399})
    shown = lab.snapshot("Snap")
    source = lab.describe("prod-one")
    for member in ("Engine", "EngineVersion", "AllocatedStorage", "StorageType", "Iops", "MasterUsername", "BackupRetentionPeriod",
                   "PreferredBackupWindow", "LicenseModel", "AvailabilityZone", "InstanceCreateTime"):
        assert shown[member] == source[member], member
    assert (shown["DbiResourceId"], shown["Port"], shown["SnapshotType"], shown["Encrypted"]) == (resource_id, 3399, "manual", False)
    assert shown["OptionGroupName"] == "default:mysql-8-0" and shown["VpcId"] == source["DBSubnetGroup"]["VpcId"]
    assert shown["StorageEncryptionType"] == "none" and "KmsKeyId" not in shown
    assert shown["DBSnapshotArn"] == "arn:aws:rds:us-east-1:123456789012:snapshot:snap"


def test_names_of_snapshots(lab, refused):
    lab.seed()
    lab.snapshot("taken")
    with refused("DBSnapshotAlreadyExists"):
        lab.snapshot("Taken")
    for bad in ("9a", "a--b", "a-", "a_b", "a" * 256, "rds:auto"):
        with refused("InvalidParameterValue"):
            lab.snapshot(bad)
    assert lab.snapshot("a" * 255)["DBSnapshotIdentifier"] == "a" * 255
    with refused("DBInstanceNotFound", status=404):
        lab.snapshot("s", "none")


def test_snapshots_are_found_by_everything(lab, refused):
    resource_id = lab.seed()
    lab.seed("other")
    lab.snapshot("one")
    lab.snapshot("two", "other")

    def found(**members):
        return [entry["DBSnapshotIdentifier"] for entry in lab.rds.describe_db_snapshots(**members)["DBSnapshots"]]

    assert found() == ["one", "two"]
    assert found(DBInstanceIdentifier="prod-one") == ["one"]
    assert found(DbiResourceId=resource_id) == ["one"]
    assert found(SnapshotType="manual") == ["one", "two"] and found(SnapshotType="automated") == []
    for name, texts in (("db-instance-id", ["prod-one"]), ("dbi-resource-id", [resource_id]), ("db-snapshot-id", ["one"])):
        assert found(Filters=[{"Name": name, "Values": texts}]) == ["one"]
    assert found(DBInstanceIdentifier="none") == [] and found(Filters=[{"Name": "dbi-resource-id", "Values": ["db-NONE"]}]) == []
    with refused("DBSnapshotNotFound", status=404):
        found(DBSnapshotIdentifier="none")
    with refused("InvalidParameterValue"):
        found(Filters=[{"Name": "colour", "Values": ["red"]}])


@pytest.mark.parametrize("form", ["alias", "id", "arn", "alias-arn"])
def test_encrypted_copy(lab, key, form):
    resource_id = lab.seed()
    lab.snapshot()
    named = {"alias": "alias/lab", "id": key.split("/")[1], "arn": key, "alias-arn": "arn:aws:kms:us-east-1:123456789012:alias/lab"}[form]
    shown = copy(lab, KmsKeyId=named)
    assert (shown["Status"], shown["Encrypted"], shown["KmsKeyId"], shown["StorageEncryptionType"]) == ("available", True, key, "sse-kms")
    assert (shown["DbiResourceId"], shown["SnapshotType"], shown["DBInstanceIdentifier"]) == (resource_id, "manual", "prod-one")
    assert shown["SourceDBSnapshotIdentifier"].endswith(":snapshot:snap")
    target = lab.restore(snapshot="copy")
    assert (target["StorageEncrypted"], target["KmsKeyId"], target["StorageEncryptionType"]) == (True, key, "sse-kms")


def test_plain_copy_stays_plain_and_encrypted_copy_keeps_its_key(lab, key):
    lab.seed()
    lab.seed("locked", StorageEncrypted=True, KmsKeyId=key)
    lab.snapshot()
    lab.snapshot("locked-snap", "locked")
    assert copy(lab)["Encrypted"] is False
    assert copy(lab, "again", "locked-snap")["KmsKeyId"] == key
    other = lab.plane.seed_kms_key("alias/other", "us-east-1")
    assert copy(lab, "re-keyed", "locked-snap", KmsKeyId=other)["KmsKeyId"] == other


def test_tags_of_copies(lab, refused):
    lab.seed(CopyTagsToSnapshot=True, TagList=[{"Key": "team", "Value": "shop"}])
    assert lab.snapshot(Tags=[{"Key": "run", "Value": "1"}])["TagList"] == [{"Key": "team", "Value": "shop"}, {"Key": "run", "Value": "1"}]
    assert copy(lab, "bare")["TagList"] == []
    assert copy(lab, "tagged", Tags=[{"Key": "a", "Value": "b"}])["TagList"] == [{"Key": "a", "Value": "b"}]
    assert len(copy(lab, "all", CopyTags=True)["TagList"]) == 2
    with refused("InvalidParameterValue"):
        copy(lab, "bad", Tags=[{"Key": "aws:a", "Value": "b"}])
    assert lab.restore("from-bare", "bare")["TagList"] == []
    lab.seed("quiet", TagList=[{"Key": "team", "Value": "shop"}])
    assert lab.snapshot("quiet", "quiet")["TagList"] == []


def test_states_of_a_copy(lab, key, refused):
    lab.seed()
    lab.rds.create_db_snapshot(DBSnapshotIdentifier="snap", DBInstanceIdentifier="prod-one")
    lab.advance(10)
    with refused("InvalidDBSnapshotState"):
        copy(lab, KmsKeyId=key)
    lab.finish()
    with refused("DBSnapshotAlreadyExists"):
        copy(lab, "snap")
    with refused("DBSnapshotNotFound", status=404):
        copy(lab, source="none")
    lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier="copy", KmsKeyId=key)
    lab.advance(450)
    shown = lab.describe_snapshot("copy")
    assert shown["Status"] == "creating" and 40 < shown["PercentProgress"] < 60
    assert lab.status("prod-one") == "available"
    with refused("InvalidDBSnapshotState"):
        lab.restore(snapshot="copy")
    lab.advance(460)
    assert lab.describe_snapshot("copy")["Status"] == "available"


def test_copies_of_one_instance_queue(lab, key):
    lab.seed()
    lab.snapshot()
    for name in ("first", "second"):
        lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier=name, KmsKeyId=key)
    lab.advance(1000)
    assert [lab.describe_snapshot(name)["Status"] for name in ("first", "second")] == ["available", "creating"]
    lab.finish()
    assert lab.describe_snapshot("second")["Status"] == "available"


def test_number_of_copies_in_progress(lab, key, refused):
    lab.plane.settings.copies_in_progress = 2
    lab.seed()
    lab.snapshot()
    for name in ("first", "second"):
        lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier=name, KmsKeyId=key)
    with refused("SnapshotQuotaExceeded"):
        lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier="third", KmsKeyId=key)


def test_deleting_the_source_of_a_copy_ends_it(lab, key):
    lab.seed()
    lab.snapshot()
    lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier="copy", KmsKeyId=key)
    lab.advance(60)
    lab.rds.delete_db_snapshot(DBSnapshotIdentifier="snap")
    lab.finish()
    assert lab.describe_snapshot("copy")["Status"] == "failed"


def test_delete_snapshot(lab, refused):
    lab.seed()
    lab.snapshot()
    assert lab.rds.delete_db_snapshot(DBSnapshotIdentifier="snap")["DBSnapshot"]["Status"] == "deleted"
    assert lab.describe_snapshot("snap")["Status"] == "available"       # a late read
    lab.finish()
    with refused("DBSnapshotNotFound", status=404):
        lab.describe_snapshot("snap")
    lab.rds.create_db_snapshot(DBSnapshotIdentifier="young", DBInstanceIdentifier="prod-one")
    lab.advance(10)
    with refused("InvalidDBSnapshotState"):
        lab.rds.delete_db_snapshot(DBSnapshotIdentifier="young")


def test_automated_snapshots_cannot_be_deleted(lab, refused):
    lab.seed()
    lab.snapshot()
    lab.restore()
    name = lab.rds.describe_db_snapshots(SnapshotType="automated")["DBSnapshots"][0]["DBSnapshotIdentifier"]
    assert name.startswith("rds:new-prod-one-")
    with refused("InvalidDBSnapshotState"):
        lab.rds.delete_db_snapshot(DBSnapshotIdentifier=name)


def test_keys_that_cannot_be_used(lab, key, refused):
    lab.seed()
    lab.snapshot()
    kms = lab.client("kms")
    asymmetric = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    disabled = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=disabled)
    dying = kms.create_key()["KeyMetadata"]["Arn"]
    kms.schedule_key_deletion(KeyId=dying, PendingWindowInDays=7)
    abroad = lab.plane.seed_kms_key("alias/abroad", "eu-west-1")
    for bad in (asymmetric, disabled, dying, abroad, "alias/none", "arn:aws:kms:us-east-1:123456789012:alias/none",
                "11111111-2222-3333-4444-555555555555", "alias/aws/rds", key.replace("123456789012", "999999999999")):
        with refused("KMSKeyNotAccessibleFault"):
            copy(lab, KmsKeyId=bad)
    assert len(lab.rds.describe_db_snapshots()["DBSnapshots"]) == 1


def test_a_key_made_with_the_defaults_of_kms_can_be_used(lab):
    lab.seed()
    lab.snapshot()
    copy(lab, KmsKeyId=lab.client("kms").create_key()["KeyMetadata"]["Arn"])
    assert len(lab.rds.describe_db_snapshots()["DBSnapshots"]) == 2


def test_the_service_key_exists_after_its_first_use(lab, refused):
    lab.seed()
    lab.snapshot()
    with refused("NotFoundException"):
        lab.client("kms").describe_key(KeyId="alias/aws/rds")
    lab.modify(EnablePerformanceInsights=True)
    assert lab.client("kms").describe_key(KeyId="alias/aws/rds")["KeyMetadata"]["KeyManager"] == "AWS"
    assert copy(lab, KmsKeyId="alias/aws/rds")["Encrypted"] is True


def test_bad_key_may_fail_the_copy_later(lab):
    lab.plane.settings.kms_copy_fails_later = True
    lab.seed()
    lab.snapshot()
    assert copy(lab, KmsKeyId="alias/none")["Status"] == "failed"


def test_key_disabled_during_the_copy(lab, key):
    lab.seed()
    lab.snapshot()
    lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier="copy", KmsKeyId=key)
    lab.advance(60)
    lab.client("kms").disable_key(KeyId=key)
    lab.finish()
    assert lab.describe_snapshot("copy")["Status"] == "failed"


def test_instance_that_loses_its_key(lab, key, refused):
    lab.seed(StorageEncrypted=True, KmsKeyId=key)
    lab.client("kms").disable_key(KeyId=key)
    lab.advance(1)
    lab.advance(40)
    lab.advance(6)
    assert lab.status("prod-one") == "inaccessible-encryption-credentials-recoverable"
    with refused("KMSKeyNotAccessibleFault"):
        lab.rds.start_db_instance(DBInstanceIdentifier="prod-one")
    lab.client("kms").enable_key(KeyId=key)
    lab.rds.start_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    assert lab.status("prod-one") == "available"
    lab.client("kms").disable_key(KeyId=key)
    for seconds in (1, 40, 7 * 86400 + 60, 6):
        lab.advance(seconds)
    assert lab.status("prod-one") == "inaccessible-encryption-credentials"


def test_restore_needs_the_key(lab, key, refused):
    lab.seed()
    lab.snapshot()
    copy(lab, KmsKeyId=key)
    lab.client("kms").disable_key(KeyId=key)
    with refused("KMSKeyNotAccessibleFault"):
        lab.restore(snapshot="copy")


def test_classes_that_cannot_be_encrypted(lab, key, refused):
    lab.seed(DBInstanceClass="db.t2.micro")
    lab.snapshot()
    copy(lab, KmsKeyId=key)
    with refused("InvalidParameterCombination", "does not support encryption at rest"):
        lab.restore(snapshot="copy")
    assert lab.restore(snapshot="copy", DBInstanceClass="db.t3.micro")["StorageEncrypted"] is True


def test_copy_to_another_region(lab, refused):
    lab.seed()
    arn = lab.snapshot()["DBSnapshotArn"]
    abroad = lab.client("rds", "eu-west-1")
    there = lab.plane.seed_kms_key("alias/there", "eu-west-1")
    here = lab.plane.seed_kms_key("alias/here", "us-east-1")
    with refused("DBSnapshotNotFound", status=404):
        abroad.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier="copy")
    with refused("KMSKeyNotAccessibleFault"):
        abroad.copy_db_snapshot(SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier="copy", KmsKeyId=here, SourceRegion="us-east-1")
    abroad.copy_db_snapshot(SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier="copy", KmsKeyId=there, SourceRegion="us-east-1")
    lab.finish()
    shown = abroad.describe_db_snapshots(DBSnapshotIdentifier="copy")["DBSnapshots"][0]
    assert (shown["KmsKeyId"], shown["SourceRegion"]) == (there, "us-east-1")
    with refused("DBSnapshotNotFound", status=404):
        lab.describe_snapshot("copy")


def test_quota_of_manual_snapshots(lab, refused):
    lab.plane.settings.manual_snapshots = 1
    lab.seed()
    lab.snapshot()
    with refused("SnapshotQuotaExceeded"):
        lab.snapshot("two")
    with refused("SnapshotQuotaExceeded"):
        copy(lab)


def test_quotas_of_instances_and_storage(lab, refused):
    lab.seed()
    lab.snapshot()
    lab.plane.settings.instances = 1
    with refused("InstanceQuotaExceeded"):
        lab.restore()
    with refused("InstanceQuotaExceeded"):
        lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="r", SourceDBInstanceIdentifier="prod-one")
    lab.plane.settings.instances, lab.plane.settings.allocated_storage = 40, 150
    with refused("StorageQuotaExceeded"):
        lab.restore()
    quotas = {entry["AccountQuotaName"]: (entry["Used"], entry["Max"]) for entry in lab.rds.describe_account_attributes()["AccountQuotas"]}
    assert quotas["DBInstances"] == (1, 40) and quotas["AllocatedStorage"] == (100, 150) and quotas["ManualSnapshots"] == (1, 100)
