# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore applies RDS's defaults, not the source's values; it remembers what the snapshot held."""

from __future__ import annotations

import pytest

ALL_SET = {
    "DBInstanceClass": "db.r6g.xlarge", "MultiAZ": True, "StorageType": "io1", "Iops": 3000, "AllocatedStorage": 100,
    "PubliclyAccessible": True, "CopyTagsToSnapshot": True, "IAMDatabaseAuthenticationEnabled": True, "DeletionProtection": True,
    "AutoMinorVersionUpgrade": False, "EnabledCloudwatchLogsExports": ["error"], "MonitoringInterval": 60,
    "PerformanceInsightsEnabled": True, "PreferredBackupWindow": "01:00-01:30", "PreferredMaintenanceWindow": "tue:02:00-tue:02:30",
    "BackupRetentionPeriod": 14, "MaxAllocatedStorage": 500, "NetworkType": "DUAL", "CACertificateIdentifier": "rds-ca-rsa4096-g1",
    "EngineLifecycleSupport": "open-source-rds-extended-support-disabled", "DBName": "shop", "MasterUsername": "boss",
    "DatabaseInsightsMode": "standard", "ProcessorFeatures": [{"Name": "coreCount", "Value": "2"}],
    "TagList": [{"Key": "team", "Value": "shop"}], "Endpoint": {"Port": 3399},
}


@pytest.fixture
def source(lab):
    """An instance of which every member differs from RDS's defaults, and a snapshot of it."""
    lab.plane.seed_subnet_group("main", region="us-east-1", network_types=("IPV4", "DUAL"))
    vpc_id = lab.plane.store.region("us-east-1").subnet_groups["main"]["VpcId"]
    group = lab.plane.seed_security_group("app", "us-east-1", vpc_id)
    lab.plane.seed_parameter_group("custom", "mysql8.0", {"max_connections": "77"}, "us-east-1")
    lab.plane.seed_option_group("options", "mysql", "8.0", "us-east-1")
    role = lab.plane.seed_role("monitor")
    lab.seed(DBSubnetGroup={"DBSubnetGroupName": "main"}, VpcSecurityGroups=[{"VpcSecurityGroupId": group}],
             DBParameterGroups=[{"DBParameterGroupName": "custom"}], OptionGroupMemberships=[{"OptionGroupName": "options"}],
             MonitoringRoleArn=role, AssociatedRoles=[{"RoleArn": role, "FeatureName": "s3Import"}], **ALL_SET)
    lab.snapshot()
    return lab.describe("prod-one")


def test_what_is_omitted_gets_the_default(lab, source):
    target = lab.restore()
    assert target["MultiAZ"] is False and "SecondaryAvailabilityZone" not in target
    assert target["StorageType"] == "gp3" and target["Iops"] == 3000 and target["StorageThroughput"] == 125
    assert target["DBSubnetGroup"]["DBSubnetGroupName"] == "default"
    assert target["DBSubnetGroup"]["VpcId"] != source["DBSubnetGroup"]["VpcId"]
    assert target["VpcSecurityGroups"][0]["VpcSecurityGroupId"] != source["VpcSecurityGroups"][0]["VpcSecurityGroupId"]
    assert target["DBParameterGroups"] == [{"DBParameterGroupName": "default.mysql8.0", "ParameterApplyStatus": "in-sync"}]
    assert target["OptionGroupMemberships"] == [{"OptionGroupName": "default:mysql-8-0", "Status": "in-sync"}]
    for member in ("CopyTagsToSnapshot", "IAMDatabaseAuthenticationEnabled", "DeletionProtection", "PerformanceInsightsEnabled"):
        assert target[member] is False, member
    assert target["MonitoringInterval"] == 0 and "MonitoringRoleArn" not in target and "EnhancedMonitoringResourceArn" not in target
    for member in ("EnabledCloudwatchLogsExports", "ProcessorFeatures", "MaxAllocatedStorage", "PerformanceInsightsKMSKeyId",
                   "PerformanceInsightsRetentionPeriod", "MasterUserSecret", "StatusInfos", "KmsKeyId"):
        assert member not in target, member
    assert target["AutoMinorVersionUpgrade"] is True
    assert target["NetworkType"] == "IPV4"
    assert target["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"
    assert target["EngineLifecycleSupport"] == "open-source-rds-extended-support"
    assert target["AssociatedRoles"] == [] and target["DomainMemberships"] == []
    assert target["DatabaseInsightsMode"] == "standard"
    assert target["PreferredMaintenanceWindow"] != source["PreferredMaintenanceWindow"]


def test_what_comes_with_the_snapshot(lab, source):
    target = lab.restore()
    for member in ("Engine", "EngineVersion", "MasterUsername", "DBName", "DBInstanceClass", "AllocatedStorage", "BackupRetentionPeriod",
                   "LicenseModel", "StorageEncrypted", "StorageEncryptionType"):
        assert target[member] == source[member], member
    assert target["Endpoint"]["Port"] == 3399
    assert target["Endpoint"]["Address"] == "new-prod-one.c4lab0double.us-east-1.rds.lab.internal"
    assert target["DbiResourceId"] != source["DbiResourceId"]
    assert target["TagList"] == [{"Key": "team", "Value": "shop"}]      # the snapshot's: CopyTagsToSnapshot was on


def test_what_is_asked_for_is_given(lab, source):
    members = {
        "DBInstanceClass": "db.m7g.large", "Port": 3400, "MultiAZ": True, "DBSubnetGroupName": "main", "PubliclyAccessible": True,
        "AutoMinorVersionUpgrade": False, "StorageType": "io2", "Iops": 5000, "AllocatedStorage": 200, "OptionGroupName": "options",
        "DBParameterGroupName": "custom", "CopyTagsToSnapshot": True, "EnableIAMDatabaseAuthentication": True,
        "EnableCloudwatchLogsExports": ["slowquery", "error"], "DeletionProtection": True, "NetworkType": "DUAL",
        "BackupRetentionPeriod": 3, "PreferredBackupWindow": "05:00-05:30", "CACertificateIdentifier": "rds-ca-rsa4096-g1",
        "EngineLifecycleSupport": "open-source-rds-extended-support-disabled", "DedicatedLogVolume": True,
        "Tags": [{"Key": "a", "Value": "b"}], "VpcSecurityGroupIds": [source["VpcSecurityGroups"][0]["VpcSecurityGroupId"]],
    }
    target = lab.restore(**members)
    for member in ("DBInstanceClass", "MultiAZ", "PubliclyAccessible", "AutoMinorVersionUpgrade", "StorageType", "Iops", "AllocatedStorage",
                   "CopyTagsToSnapshot", "DeletionProtection", "NetworkType", "BackupRetentionPeriod", "PreferredBackupWindow",
                   "CACertificateIdentifier", "EngineLifecycleSupport", "DedicatedLogVolume"):
        assert target[member] == members[member], member
    assert target["IAMDatabaseAuthenticationEnabled"] is True
    assert target["EnabledCloudwatchLogsExports"] == ["error", "slowquery"]
    assert target["TagList"] == [{"Key": "a", "Value": "b"}]
    assert target["Endpoint"]["Port"] == 3400
    assert target["DBParameterGroups"] == [{"DBParameterGroupName": "custom", "ParameterApplyStatus": "in-sync"}]
    assert target["OptionGroupMemberships"][0]["OptionGroupName"] == "options"
    assert target["VpcSecurityGroups"] == source["VpcSecurityGroups"]
    assert target["AvailabilityZone"] != target["SecondaryAvailabilityZone"]
    assert target["CertificateDetails"]["CAIdentifier"] == "rds-ca-rsa4096-g1"
    assert lab.record("new-prod-one").in_force == {"max_connections": "77"}


def test_explicit_false_and_zero_are_honoured(lab, source):
    target = lab.restore(MultiAZ=False, DeletionProtection=False, BackupRetentionPeriod=0, Iops=0, PubliclyAccessible=False,
                         AutoMinorVersionUpgrade=False, CopyTagsToSnapshot=False, Tags=[])
    assert (target["BackupRetentionPeriod"], target["StorageType"], target["PubliclyAccessible"]) == (0, "gp3", False)
    assert target["AutoMinorVersionUpgrade"] is False
    assert "LatestRestorableTime" not in target


def test_baseline_backup_follows_a_restore_with_retention(lab, source):
    lab.plane.settings.baseline_backup = 3000
    lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new-prod-one", DBSnapshotIdentifier="snap")
    assert lab.status("new-prod-one") == "DBInstanceNotFound"
    lab.advance(6)
    shown = lab.describe("new-prod-one")
    assert shown["DBInstanceStatus"] == "creating" and "Endpoint" not in shown
    lab.advance(1210)
    shown = lab.describe("new-prod-one")
    assert shown["DBInstanceStatus"] == "backing-up" and "Endpoint" in shown and "LatestRestorableTime" not in shown
    lab.advance(2900)
    assert lab.status("new-prod-one") == "backing-up"
    lab.finish()
    assert lab.status("new-prod-one") == "available"
    assert "LatestRestorableTime" in lab.describe("new-prod-one")


def test_no_baseline_backup_without_retention(lab, source):
    lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new-prod-one", DBSnapshotIdentifier="snap", BackupRetentionPeriod=0)
    lab.advance(1210)
    assert lab.status("new-prod-one") == "available"


def test_replica_and_snapshot_are_refused_during_the_baseline_backup(lab, source, refused):
    lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new-prod-one", DBSnapshotIdentifier="snap")
    lab.advance(1210)
    with refused("InvalidDBInstanceState"):
        lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="r", SourceDBInstanceIdentifier="new-prod-one")
    with refused("InvalidDBInstanceState"):
        lab.rds.create_db_snapshot(DBInstanceIdentifier="new-prod-one", DBSnapshotIdentifier="s")


def test_the_snapshot_counts_not_the_live_instance(lab, source):
    lab.modify(DBInstanceClass="db.m7g.large", BackupRetentionPeriod=2, DeletionProtection=False)
    lab.modify(NewDBInstanceIdentifier="old-prod-one")
    target = lab.restore("first")
    assert (target["DBInstanceClass"], target["BackupRetentionPeriod"]) == ("db.r6g.xlarge", 14)
    lab.rds.delete_db_instance(DBInstanceIdentifier="old-prod-one", SkipFinalSnapshot=True)
    lab.finish()
    target = lab.restore("second")
    assert (target["DBInstanceClass"], target["BackupRetentionPeriod"]) == ("db.r6g.xlarge", 14)


def test_name_must_be_free(lab, source, refused):
    with refused("DBInstanceAlreadyExists"):
        lab.restore("Prod-One")
    lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new-prod-one", DBSnapshotIdentifier="snap")
    with refused("DBInstanceAlreadyExists"):        # though no read shows it yet
        lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new-prod-one", DBSnapshotIdentifier="snap")


def test_snapshot_must_be_available(lab, refused):
    lab.seed()
    lab.rds.create_db_snapshot(DBSnapshotIdentifier="snap", DBInstanceIdentifier="prod-one")
    lab.advance(10)
    with refused("InvalidDBSnapshotState"):
        lab.restore()
    with refused("DBSnapshotNotFound", status=404):
        lab.restore(snapshot="none")


def test_refusals(lab, source, refused):
    other_vpc = lab.plane.seed_network("other", "us-east-1")["default_security_group"]
    lab.plane.seed_parameter_group("foreign", "mysql8.4", {}, "us-east-1")
    lab.plane.seed_option_group("foreign", "postgres", "16", "us-east-1")
    lab.plane.seed_subnet_group("narrow", azs=["us-east-1b"], region="us-east-1")
    cases = [
        ("InvalidParameterCombination", {"AvailabilityZone": "us-east-1a", "MultiAZ": True}),
        ("InvalidParameterCombination", {"DBParameterGroupName": "foreign"}),
        ("DBParameterGroupNotFound", {"DBParameterGroupName": "none"}),
        ("InvalidParameterCombination", {"OptionGroupName": "foreign"}),
        ("OptionGroupNotFoundFault", {"OptionGroupName": "none"}),
        ("DBSubnetGroupNotFoundFault", {"DBSubnetGroupName": "none"}),
        ("DBSubnetGroupDoesNotCoverEnoughAZs", {"DBSubnetGroupName": "narrow", "MultiAZ": True}),
        ("DBSubnetGroupDoesNotCoverEnoughAZs", {"DBSubnetGroupName": "narrow", "AvailabilityZone": "us-east-1a"}),
        ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}),
        ("InvalidVPCNetworkStateFault", {"VpcSecurityGroupIds": [other_vpc]}),
        ("NetworkTypeNotSupported", {"NetworkType": "DUAL"}),
        ("CertificateNotFound", {"CACertificateIdentifier": "rds-ca-none"}),
        ("InvalidParameterValue", {"Tags": [{"Key": "aws:x", "Value": "y"}]}),
        ("InvalidParameterValue", {"Tags": [{"Key": f"k{number}", "Value": ""} for number in range(51)]}),
        ("InvalidParameterValue", {"DBName": "other"}),
        ("InvalidParameterValue", {"Port": 80}),
        ("InvalidParameterValue", {"BackupRetentionPeriod": 36}),
        ("InvalidParameterValue", {"PreferredBackupWindow": "01:00-01:10"}),
        ("InvalidParameterCombination", {"EnableCloudwatchLogsExports": ["postgresql"]}),
        ("InvalidParameterCombination", {"ManageMasterUserPassword": True}),
        ("InvalidParameterCombination", {"StorageType": "gp3", "DedicatedLogVolume": True}),
        ("InvalidParameterValue", {"DBInstanceClass": "m6g.large"}),
        ("InvalidParameterCombination", {"Engine": "postgres"}),
    ]
    for code, members in cases:
        with refused(code, status=404 if code.endswith(("NotFound", "NotFoundFault")) else 400):
            lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new-prod-one", DBSnapshotIdentifier="snap", **members)
    assert lab.rds.describe_db_instances()["DBInstances"][0]["DBInstanceIdentifier"] == "prod-one"


def test_permanent_options_keep_their_group(lab, refused):
    lab.plane.seed_option_group("tde", "oracle-ee", "19", "us-east-1", [{"OptionName": "TDE", "Permanent": True, "Persistent": True}])
    lab.plane.seed_option_group("plain", "oracle-ee", "19", "us-east-1")
    lab.seed(Engine="oracle-ee", EngineVersion="19.0.0.0.ru-2025-01.rur-2025-01.r1", OptionGroupMemberships=[{"OptionGroupName": "tde"}])
    lab.snapshot()
    assert lab.restore("kept")["OptionGroupMemberships"][0]["OptionGroupName"] == "tde"
    with refused("InvalidParameterCombination", "TDE"):
        lab.restore(OptionGroupName="plain")


def test_retired_versions_are_raised(lab):
    lab.seed(EngineVersion="8.0.32")
    lab.snapshot()
    lab.admin("POST", "/_lab/retire", {"engine": "mysql", "version": "8.0.32", "to": "8.0.44"})
    assert lab.restore()["EngineVersion"] == "8.0.44"


def test_retired_major_versions_are_raised_only_without_extended_support(lab):
    lab.seed(EngineVersion="5.7.44")
    lab.snapshot()
    lab.admin("POST", "/_lab/retire", {"engine": "mysql", "version": "5.7.44", "to": "8.0.44"})
    assert lab.restore("paid")["EngineVersion"] == "5.7.44"
    target = lab.restore("raised", EngineLifecycleSupport="open-source-rds-extended-support-disabled")
    assert target["EngineVersion"] == "8.0.44"
    assert target["DBParameterGroups"][0]["DBParameterGroupName"] == "default.mysql8.0"
