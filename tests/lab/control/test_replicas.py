# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read replicas: what is demanded, what is not inherited, what follows from the end of a source."""

from __future__ import annotations

import pytest


def create(lab, name: str = "reader", source: str = "prod-one", **members) -> dict:
    lab.rds.create_db_instance_read_replica(DBInstanceIdentifier=name, SourceDBInstanceIdentifier=source, **members)
    lab.finish()
    return lab.describe(name)


def test_what_is_not_inherited(lab):
    role = lab.plane.seed_role("monitor")
    lab.plane.seed_parameter_group("custom", "mysql8.0", {}, "us-east-1")
    lab.seed(StorageType="io1", Iops=3000, MultiAZ=True, CopyTagsToSnapshot=True, DeletionProtection=True, MaxAllocatedStorage=500,
             IAMDatabaseAuthenticationEnabled=True, EnabledCloudwatchLogsExports=["error"], MonitoringInterval=60, MonitoringRoleArn=role,
             PerformanceInsightsEnabled=True, TagList=[{"Key": "a", "Value": "b"}], DBParameterGroups=[{"DBParameterGroupName": "custom"}],
             PreferredMaintenanceWindow="tue:02:00-tue:02:30", AutoMinorVersionUpgrade=False,
             AssociatedRoles=[{"RoleArn": role, "FeatureName": "s3Import"}], Endpoint={"Port": 3399})
    reader = create(lab)
    assert reader["BackupRetentionPeriod"] == 0
    for member in ("MultiAZ", "CopyTagsToSnapshot", "DeletionProtection", "IAMDatabaseAuthenticationEnabled", "PerformanceInsightsEnabled"):
        assert reader[member] is False, member
    for member in ("EnabledCloudwatchLogsExports", "MonitoringRoleArn", "MaxAllocatedStorage", "LatestRestorableTime"):
        assert member not in reader, member
    assert (reader["StorageType"], reader["Iops"], reader["MonitoringInterval"]) == ("gp3", 3000, 0)
    assert reader["TagList"] == [] and reader["AssociatedRoles"] == []
    assert reader["PreferredMaintenanceWindow"] != "tue:02:00-tue:02:30"
    source = lab.describe("prod-one")
    for member in ("Engine", "EngineVersion", "MasterUsername", "DBInstanceClass", "AllocatedStorage", "AutoMinorVersionUpgrade",
                   "LicenseModel", "StorageEncrypted", "OptionGroupMemberships"):
        assert reader[member] == source[member], member
    assert reader["DBParameterGroups"][0]["DBParameterGroupName"] == "custom"       # of the source, in its region
    assert reader["DBSubnetGroup"]["DBSubnetGroupName"] == source["DBSubnetGroup"]["DBSubnetGroupName"]
    assert reader["Endpoint"]["Port"] == 3399
    assert reader["DbiResourceId"] != source["DbiResourceId"]


def test_links_and_status(lab):
    lab.seed()
    lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="prod-one")
    lab.advance(10)
    shown = lab.describe("reader")
    assert shown["DBInstanceStatus"] == "creating" and "StatusInfos" not in shown and "Endpoint" not in shown
    assert lab.status("prod-one") == "available"
    lab.finish()
    shown = lab.describe("reader")
    assert shown["ReadReplicaSourceDBInstanceIdentifier"] == "prod-one"
    assert shown["StatusInfos"] == [{"StatusType": "read replication", "Normal": True, "Status": "replicating"}]
    assert lab.describe("prod-one")["ReadReplicaDBInstanceIdentifiers"] == ["reader"]


def test_parameters_are_honoured(lab):
    role = lab.plane.seed_role("monitor")
    lab.seed()
    reader = create(lab, StorageType="gp2", MultiAZ=True, CopyTagsToSnapshot=True, MonitoringInterval=30, MonitoringRoleArn=role,
                    EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=31, MaxAllocatedStorage=300, Port=3400,
                    DBInstanceClass="db.r6g.large", EnableCloudwatchLogsExports=["error"], EnableIAMDatabaseAuthentication=True,
                    Tags=[{"Key": "x", "Value": "y"}], DeletionProtection=True)
    assert (reader["StorageType"], reader["MultiAZ"], reader["MonitoringInterval"], reader["MaxAllocatedStorage"]) == ("gp2", True, 30, 300)
    assert reader["PerformanceInsightsRetentionPeriod"] == 31 and reader["EnabledCloudwatchLogsExports"] == ["error"]
    assert reader["TagList"] == [{"Key": "x", "Value": "y"}]
    assert reader["DeletionProtection"] is False        # ignored by the creation, as AWS was seen to do
    assert reader["EnhancedMonitoringResourceArn"].endswith(reader["DbiResourceId"])


def test_source_needs_backups(lab, refused):
    lab.seed(BackupRetentionPeriod=0)
    with refused("InvalidDBInstanceState", "Automated backups are not enabled for this database instance."):
        create(lab)


def test_refusals(lab, refused):
    key = lab.plane.seed_kms_key("alias/lab", "us-east-1")
    lab.plane.seed_parameter_group("custom", "mysql8.0", {}, "us-east-1")
    lab.seed()
    lab.seed("pg", Engine="postgres", EngineVersion="16.9")
    with refused("InvalidParameterCombination", "You cannot create an encrypted Read Replica from an unencrypted DB instance."):
        create(lab, KmsKeyId=key)
    with refused("DBSubnetGroupNotAllowedFault"):
        create(lab, DBSubnetGroupName="default")
    with refused("InvalidParameterCombination",
                 "A parameter group can't be specified during Read Replica creation for the following DB engine: postgres"):
        create(lab, source="pg", DBParameterGroupName="default.postgres16")
    with refused("InvalidParameterCombination", "A parameter group can't be specified"):
        create(lab, DBParameterGroupName="custom")
    with refused("InvalidParameterCombination", "availability zone"):
        create(lab, MultiAZ=True, AvailabilityZone="us-east-1a")
    with refused("DBInstanceNotFound", status=404):
        create(lab, source="none")
    with refused("DBInstanceAlreadyExists"):
        create(lab, name="pg")
    with refused("InvalidParameterCombination"):
        create(lab, AllocatedStorage=50)


def test_replica_of_an_encrypted_source_inherits_the_key(lab):
    key = lab.plane.seed_kms_key("alias/lab", "us-east-1")
    lab.seed(StorageEncrypted=True, KmsKeyId=key)
    reader = create(lab)
    assert (reader["StorageEncrypted"], reader["KmsKeyId"], reader["StorageEncryptionType"]) == (True, key, "sse-kms")


def test_managed_password_prevents_replicas(lab, refused):
    lab.seed()
    lab.modify(ManageMasterUserPassword=True)
    with refused("InvalidParameterCombination", "managed"):
        create(lab)


def test_chains(lab, refused):
    lab.seed()
    create(lab, "level-1")
    with refused("InvalidDBInstanceState", "Automated backups are not enabled"):
        create(lab, "level-2", "level-1")
    lab.modify("level-1", BackupRetentionPeriod=1)
    create(lab, "level-2", "level-1")
    lab.modify("level-2", BackupRetentionPeriod=1)
    create(lab, "level-3", "level-2")
    lab.modify("level-3", BackupRetentionPeriod=1)
    with refused("InvalidDBInstanceState", "levels"):
        create(lab, "level-4", "level-3")


def test_backups_on_a_replica_of_an_old_postgres(lab, refused):
    lab.seed(Engine="postgres", EngineVersion="13.20")
    lab.seed_replica("reader", Engine="postgres", EngineVersion="13.20")
    with refused("InvalidDBInstanceState", "DB Backups not supported on a read replica for engine postgres"):
        lab.modify("reader", BackupRetentionPeriod=1)


def test_number_of_replicas(lab, refused):
    lab.seed()
    for number in range(15):
        lab.seed_replica(f"reader-{number}")
    with refused("InstanceQuotaExceeded"):
        create(lab)


def test_deleting_a_source_promotes_its_replicas(lab):
    lab.seed()
    lab.seed_replica("reader")
    lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)
    lab.finish()
    shown = lab.describe("reader")
    assert "ReadReplicaSourceDBInstanceIdentifier" not in shown and "StatusInfos" not in shown


def test_replica_abroad(lab, refused):
    lab.seed()
    abroad = lab.client("rds", "eu-west-1")
    arn = lab.describe("prod-one")["DBInstanceArn"]
    with refused("DBInstanceNotFound", status=404):
        abroad.create_db_instance_read_replica(DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="prod-one")
    abroad.create_db_instance_read_replica(DBInstanceIdentifier="reader", SourceDBInstanceIdentifier=arn, SourceRegion="us-east-1")
    lab.finish()
    assert lab.status("reader") == "DBInstanceNotFound"         # regions are separate
    shown = abroad.describe_db_instances(DBInstanceIdentifier="reader")["DBInstances"][0]
    assert shown["ReadReplicaSourceDBInstanceIdentifier"] == arn
    assert shown["DBParameterGroups"][0]["DBParameterGroupName"] == "default.mysql8.0"
    assert lab.describe("prod-one")["ReadReplicaDBInstanceIdentifiers"] == ["arn:aws:rds:eu-west-1:123456789012:db:reader"]
    lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)
    lab.finish()
    shown = abroad.describe_db_instances(DBInstanceIdentifier="reader")["DBInstances"][0]
    assert shown["StatusInfos"][0]["Status"] == "terminated" and shown["ReadReplicaSourceDBInstanceIdentifier"] == arn


def test_a_final_snapshot_of_a_replica_is_refused(lab, refused):
    lab.seed()
    lab.seed_replica("reader")
    with refused("InvalidDBInstanceState"):
        lab.rds.delete_db_instance(DBInstanceIdentifier="reader", FinalDBSnapshotIdentifier="last")
    lab.rds.delete_db_instance(DBInstanceIdentifier="reader", SkipFinalSnapshot=True)
    lab.finish()
    assert lab.describe("prod-one")["ReadReplicaDBInstanceIdentifiers"] == []


def test_promote(lab, refused):
    lab.seed()
    lab.seed_replica("reader")
    with refused("InvalidDBInstanceState", "DB Instance is not a read replica"):
        lab.rds.promote_read_replica(DBInstanceIdentifier="prod-one")
    with refused("DBInstanceNotFound", status=404):
        lab.rds.promote_read_replica(DBInstanceIdentifier="none")
    lab.rds.promote_read_replica(DBInstanceIdentifier="reader")
    seen = []
    for _unused in range(400):
        lab.advance(1)
        if lab.status("reader") not in seen[-1:]:
            seen.append(lab.status("reader"))
    assert seen == ["available", "modifying", "rebooting", "backing-up", "available"]
    shown = lab.describe("reader")
    assert shown["BackupRetentionPeriod"] == 1 and "ReadReplicaSourceDBInstanceIdentifier" not in shown
    assert lab.describe("prod-one")["ReadReplicaDBInstanceIdentifiers"] == []
    with refused("InvalidDBInstanceState", "DB Instance is not a read replica"):
        lab.rds.promote_read_replica(DBInstanceIdentifier="reader")


def test_backups_of_a_source_cannot_be_switched_off(lab, refused):
    lab.seed()
    lab.seed_replica("reader")
    with refused("InvalidDBInstanceState"):
        lab.modify(BackupRetentionPeriod=0)


@pytest.mark.parametrize("engine,version", [("oracle-se2", "19.0.0.0.ru-2025-01.rur-2025-01.r1"), ("sqlserver-se", "15.00.4430.1.v1")])
def test_engines_without_replicas(lab, refused, engine, version):
    lab.seed(Engine=engine, EngineVersion=version)
    with refused("InvalidParameterCombination"):
        create(lab)
