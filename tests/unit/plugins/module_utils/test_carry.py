# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parameters that carry attributes: each trap of RDS is a case, and random sources arrive without an unexplained difference."""

from __future__ import annotations

import copy

import botocore.session
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import broken, needs_reboot, not_ready, settled
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.carry import (
    late_changes,
    missing_roles,
    modifications,
    modify_parameters,
    predict_modified,
    predict_replica,
    predict_restored,
    regions_without_key,
    replica_parameters,
    restore_parameters,
    surplus_tags,
    tag_changes,
    with_backup_keys,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.compare import compare, unexplained

MODEL = botocore.session.get_session().get_service_model("rds")


def accepted(operation):
    return frozenset(MODEL.operation_model(operation).input_shape.members)


RESTORE = accepted("RestoreDBInstanceFromDBSnapshot")
MODIFY = accepted("ModifyDBInstance")
REPLICA = accepted("CreateDBInstanceReadReplica")
KEY = "arn:aws:kms:eu-central-1:111122223333:key/k"


def instance(**changes):
    """A plain MySQL instance as RDS describes it, with changes (None removes a member)."""
    described = dict(
        DBInstanceIdentifier="old-prod-one",
        DBInstanceArn="arn:aws:rds:eu-central-1:111122223333:db:old-prod-one",
        DbiResourceId="db-AAAA",
        DBInstanceStatus="available",
        DBInstanceClass="db.r6g.large",
        Engine="mysql",
        EngineVersion="8.0.36",
        MasterUsername="admin",
        LicenseModel="general-public-license",
        Endpoint={"Address": "old-prod-one.abc.eu-central-1.rds.amazonaws.com", "Port": 3306, "HostedZoneId": "Z"},
        AllocatedStorage=100,
        StorageType="gp2",
        StorageEncrypted=False,
        MultiAZ=False,
        AvailabilityZone="eu-central-1a",
        AutoMinorVersionUpgrade=True,
        PubliclyAccessible=False,
        CopyTagsToSnapshot=False,
        IAMDatabaseAuthenticationEnabled=False,
        BackupRetentionPeriod=7,
        PreferredBackupWindow="01:00-01:30",
        PreferredMaintenanceWindow="sun:03:00-sun:03:30",
        VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-1", "Status": "active"}],
        DBParameterGroups=[{"DBParameterGroupName": "prod", "ParameterApplyStatus": "in-sync"}],
        OptionGroupMemberships=[{"OptionGroupName": "default:mysql-8-0", "Status": "in-sync"}],
        DBSubnetGroup={"DBSubnetGroupName": "prod", "VpcId": "vpc-1"},
        MonitoringInterval=0,
        PerformanceInsightsEnabled=False,
        DeletionProtection=False,
        CACertificateIdentifier="rds-ca-rsa2048-g1",
        NetworkType="IPV4",
        BackupTarget="region",
    )
    described.update(changes)
    return {member: value for member, value in described.items() if value is not None}


def restored(source, parameters=None, **changes):
    """The prediction of the restored target, changed."""
    parameters = restore_parameters(source, RESTORE) if parameters is None else parameters
    target = predict_restored(source, {**parameters, "Tags": source.get("TagList", [])}, target_identifier="new-prod-one", kms_key_arn=KEY)
    return {**target, **changes}


def subset(parameters, names):
    return {name: parameters[name] for name in names if name in parameters}


STORAGE = ("AllocatedStorage", "StorageType", "Iops", "StorageThroughput")
PI = (
    "DatabaseInsightsMode",
    "EnablePerformanceInsights",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
)


# -- Restore ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected", "absent"),
    [
        pytest.param({}, {"MultiAZ": False, "AvailabilityZone": "eu-central-1a"}, [], id="Single-AZ: zone, and MultiAZ false in words"),
        pytest.param({"MultiAZ": True}, {"MultiAZ": True}, ["AvailabilityZone"], id="Multi-AZ with a zone is refused"),
        pytest.param({"BackupRetentionPeriod": 0}, {"BackupRetentionPeriod": 0}, [], id="retention 0 is passed"),
        pytest.param(
            {"PubliclyAccessible": None, "CopyTagsToSnapshot": None, "AutoMinorVersionUpgrade": None},
            {"PubliclyAccessible": False, "CopyTagsToSnapshot": False, "AutoMinorVersionUpgrade": False},
            [],
            id="absent booleans are false, passed in words",
        ),
        pytest.param({"DeletionProtection": True}, {}, ["DeletionProtection"], id="deletion protection is never set here"),
        pytest.param({"MasterUserSecret": {"KmsKeyId": "k"}}, {}, ["ManageMasterUserPassword"], id="managed password is never set here"),
        pytest.param({}, {}, ["Engine", "DBName", "Tags", "DBInstanceIdentifier", "DBSnapshotIdentifier"], id="no identity, no engine"),
        pytest.param({}, {"StorageType": "gp2", "AllocatedStorage": 100}, ["Iops", "StorageThroughput"], id="gp2 is passed in words"),
        pytest.param({"Iops": 300}, {}, ["Iops"], id="gp2 takes no Iops, whatever RDS shows"),
        pytest.param(
            {"StorageType": "gp3", "AllocatedStorage": 399, "Iops": 3000, "StorageThroughput": 125},
            {"StorageType": "gp3"},
            ["Iops", "StorageThroughput"],
            id="gp3 below the threshold refuses what it shows",
        ),
        pytest.param(
            {"StorageType": "gp3", "AllocatedStorage": 400, "Iops": 12000, "StorageThroughput": 500},
            {"Iops": 12000, "StorageThroughput": 500},
            [],
            id="gp3 from the threshold on",
        ),
        pytest.param(
            {"Engine": "oracle-ee", "StorageType": "gp3", "AllocatedStorage": 200, "Iops": 12000, "StorageThroughput": 500},
            {"Iops": 12000},
            ["DBName"],
            id="Oracle has another threshold",
        ),
        pytest.param({"StorageType": "io2", "Iops": 4000}, {"Iops": 4000, "StorageType": "io2"}, ["StorageThroughput"], id="io2"),
        pytest.param(
            {"Engine": "sqlserver-se", "StorageType": "io1", "Iops": 4000, "MultiAZ": True},
            {},
            [*STORAGE, "MultiAZ", "AvailabilityZone"],
            id="SQL Server: no storage and no Multi-AZ at the restore",
        ),
        pytest.param(
            {"Engine": "sqlserver-se"}, {"AvailabilityZone": "eu-central-1a"}, ["EnableIAMDatabaseAuthentication"], id="SQL Server"
        ),
        pytest.param(
            {"EngineLifecycleSupport": "open-source-rds-extended-support-disabled"},
            {"EngineLifecycleSupport": "open-source-rds-extended-support-disabled"},
            [],
            id="the paid default is overridden",
        ),
        pytest.param(
            {"DomainMemberships": [{"Domain": "d-1", "IAMRoleName": "r", "FQDN": "x.y", "Status": "joined"}]},
            {"Domain": "d-1", "DomainIAMRoleName": "r"},
            ["DomainFqdn"],
            id="an AWS managed directory",
        ),
        pytest.param(
            {
                "DomainMemberships": [
                    {
                        "Domain": "-",
                        "FQDN": "x.y",
                        "OU": "OU=a",
                        "AuthSecretArn": "arn:s",
                        "DnsIps": ["2.2.2.2", "1.1.1.1"],
                        "Status": "joined",
                    }
                ]
            },
            {"DomainFqdn": "x.y", "DomainOu": "OU=a", "DomainAuthSecretArn": "arn:s", "DomainDnsIps": ["1.1.1.1", "2.2.2.2"]},
            ["Domain", "DomainIAMRoleName"],
            id="a self-managed directory",
        ),
        pytest.param(
            {
                "VpcSecurityGroups": [
                    {"VpcSecurityGroupId": s, "Status": t} for s, t in (("sg-2", "active"), ("sg-1", "active"), ("sg-0", "removing"))
                ]
            },
            {"VpcSecurityGroupIds": ["sg-1", "sg-2"]},
            [],
            id="security groups without those that are leaving",
        ),
        pytest.param({"DedicatedLogVolume": False}, {}, ["DedicatedLogVolume"], id="no log volume without provisioned IOPS"),
        pytest.param({"DedicatedLogVolume": True, "StorageType": "io1", "Iops": 3000}, {"DedicatedLogVolume": True}, [], id="log volume"),
        pytest.param({"Endpoint": {"Port": 3310}}, {"Port": 3310}, [], id="port"),
        pytest.param(
            {}, {"BackupRetentionPeriod": 7, "PreferredBackupWindow": "01:00-01:30"}, ["PreferredMaintenanceWindow"], id="windows"
        ),
        pytest.param(
            {"Engine": "sqlserver-se", "AdditionalStorageVolumes": [{"VolumeName": "rdsdbdata2", "AllocatedStorage": 200}]},
            {},
            ["AdditionalStorageVolumes"],
            id="SQL Server: further volumes come with the snapshot",
        ),
        pytest.param({"PerformanceInsightsEnabled": True, "MonitoringInterval": 60}, {}, [*PI, "MonitoringInterval"], id="by modify only"),
        pytest.param({"DBCapacityReservationIdentifier": "r"}, {}, ["DBCapacityReservationIdentifier"], id="the source holds it"),
    ],
)
def test_restore_parameters(changes, expected, absent):
    parameters = restore_parameters(instance(**changes), RESTORE)
    assert subset(parameters, expected) == expected
    assert not set(absent) & set(parameters)
    assert not any(value is None for value in parameters.values())
    assert set(parameters) <= RESTORE


LATE_IN_THE_SDK = {"BackupRetentionPeriod", "PreferredBackupWindow", "CACertificateIdentifier", "DedicatedLogVolume"}


def test_what_an_older_sdk_cannot_restore_is_modified():
    source = instance(BackupRetentionPeriod=3, StorageType="io1", Iops=2000, DedicatedLogVolume=True)
    parameters = restore_parameters(source, RESTORE - LATE_IN_THE_SDK)
    assert not LATE_IN_THE_SDK & set(parameters)
    target = restored(source, parameters)
    assert target["BackupRetentionPeriod"] == 3, "RDS takes it from the snapshot"
    change = modify_parameters(source, target, MODIFY)
    assert change["PreferredBackupWindow"] == "01:00-01:30"
    assert change["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"


def test_half_a_domain_membership_is_left_to_the_modification():
    source = instance(
        DomainMemberships=[{"FQDN": "x.y", "OU": "OU=a", "AuthSecretArn": "arn:s", "DnsIps": ["1.1.1.1"], "Status": "joined"}]
    )
    parameters = restore_parameters(source, RESTORE - {"DomainDnsIps"})
    assert not [name for name in parameters if name.startswith("Domain")]
    change = modify_parameters(source, restored(source, parameters), MODIFY)
    assert {name for name in change if name.startswith("Domain")} == {"DomainFqdn", "DomainOu", "DomainAuthSecretArn", "DomainDnsIps"}


def test_prediction_has_the_defaults_of_rds():
    source = instance(
        MultiAZ=True,
        DeletionProtection=True,
        IAMDatabaseAuthenticationEnabled=True,
        CopyTagsToSnapshot=True,
        EnabledCloudwatchLogsExports=["error"],
        PerformanceInsightsEnabled=True,
        MonitoringInterval=60,
        StorageType="io1",
        Iops=2000,
        MaxAllocatedStorage=200,
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
        AssociatedRoles=[{"RoleArn": "arn:r", "FeatureName": "f", "Status": "ACTIVE"}],
        ReadReplicaDBInstanceIdentifiers=["prod-one-replica"],
        TagList=[{"Key": "a", "Value": "1"}],
    )
    target = predict_restored(source, {}, target_identifier="new-prod-one", kms_key_arn=KEY)
    assert not target["MultiAZ"] and not target["DeletionProtection"] and not target["IAMDatabaseAuthenticationEnabled"]
    assert not target["CopyTagsToSnapshot"] and target["EnabledCloudwatchLogsExports"] == [] and target["MonitoringInterval"] == 0
    assert not target["PerformanceInsightsEnabled"] and "MaxAllocatedStorage" not in target and target["AssociatedRoles"] == []
    assert (target["StorageType"], target["Iops"], target["StorageThroughput"]) == ("gp3", 3000, 125)
    assert target["EngineLifecycleSupport"] == "open-source-rds-extended-support"
    assert target["BackupRetentionPeriod"] == 7 and target["EngineVersion"] == "8.0.36" and target["AllocatedStorage"] == 100
    assert target["DBParameterGroups"][0]["DBParameterGroupName"] == "default.mysql8.0"
    assert "PreferredMaintenanceWindow" not in target and "AvailabilityZone" not in target and "DbiResourceId" not in target
    assert target["StorageEncrypted"] and target["KmsKeyId"] == KEY and target["TagList"] == []
    assert target["DBInstanceIdentifier"] == "new-prod-one" and target["DBInstanceArn"].endswith(":db:new-prod-one")
    assert target["Endpoint"] == {"Address": "new-prod-one.abc.eu-central-1.rds.amazonaws.com", "Port": 3306, "HostedZoneId": "Z"}
    assert target["ReadReplicaDBInstanceIdentifiers"] == []
    assert predict_restored(source, {"Iops": 2000}, target_identifier="n", kms_key_arn=KEY)["StorageType"] == "io1"


def test_predictions_do_not_touch_their_arguments():
    source = instance(TagList=[{"Key": "a", "Value": "1"}])
    before = copy.deepcopy(source)
    target = restored(source)
    target["DBSubnetGroup"]["VpcId"] = "changed"
    changed = predict_modified(target, {"DBParameterGroupName": "other"})
    changed["Endpoint"]["Port"] = 1
    assert source == before and target["Endpoint"]["Port"] == 3306


# -- Modify ----------------------------------------------------------------------------------------------------------------------------

INSIGHTS = dict(PerformanceInsightsEnabled=True, PerformanceInsightsKMSKeyId="k", PerformanceInsightsRetentionPeriod=465)


@pytest.mark.parametrize(
    ("model", "current", "expected"),
    [
        pytest.param({}, {}, {}, id="nothing differs"),
        pytest.param(
            {"MonitoringInterval": 60, "MonitoringRoleArn": "r"},
            {},
            {"MonitoringInterval": 60, "MonitoringRoleArn": "r"},
            id="monitoring and its role",
        ),
        pytest.param(
            {"MonitoringInterval": 60, "MonitoringRoleArn": "r"},
            {"MonitoringInterval": 60, "MonitoringRoleArn": "q"},
            {"MonitoringInterval": 60, "MonitoringRoleArn": "r"},
            id="the role never goes alone",
        ),
        pytest.param(
            {}, {"MonitoringInterval": 60, "MonitoringRoleArn": "r"}, {"MonitoringInterval": 0}, id="monitoring off without a role"
        ),
        pytest.param(
            INSIGHTS,
            {},
            {"EnablePerformanceInsights": True, "PerformanceInsightsKMSKeyId": "k", "PerformanceInsightsRetentionPeriod": 465},
            id="the first enabling has key and retention",
        ),
        pytest.param(
            INSIGHTS,
            {**INSIGHTS, "PerformanceInsightsRetentionPeriod": 7},
            {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 465},
            id="retention goes with the switch, without the key",
        ),
        pytest.param(INSIGHTS, {**INSIGHTS, "PerformanceInsightsKMSKeyId": "other"}, {}, id="the key cannot be changed"),
        pytest.param(
            INSIGHTS,
            {"PerformanceInsightsKMSKeyId": "other"},
            {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 465},
            id="the key of earlier days stays",
        ),
        pytest.param(
            {**INSIGHTS, "DatabaseInsightsMode": "advanced"},
            {"DatabaseInsightsMode": "standard"},
            {
                "DatabaseInsightsMode": "advanced",
                "EnablePerformanceInsights": True,
                "PerformanceInsightsKMSKeyId": "k",
                "PerformanceInsightsRetentionPeriod": 465,
            },
            id="advanced insights with everything in one call",
        ),
        pytest.param(
            {**INSIGHTS, "DatabaseInsightsMode": "advanced"},
            INSIGHTS,
            {"DatabaseInsightsMode": "advanced", "EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 465},
            id="advanced insights later",
        ),
        pytest.param({}, INSIGHTS, {"EnablePerformanceInsights": False}, id="insights off"),
        pytest.param({"PerformanceInsightsKMSKeyId": "k"}, {}, {}, id="a key is no reason to switch insights on"),
        pytest.param(
            {},
            {"PreferredMaintenanceWindow": "mon:01:10-mon:01:40"},
            {"PreferredBackupWindow": "01:00-01:30", "PreferredMaintenanceWindow": "sun:03:00-sun:03:30"},
            id="both windows in one call",
        ),
        pytest.param(
            {},
            {"PreferredBackupWindow": "03:10-03:40"},
            {"PreferredBackupWindow": "01:00-01:30", "PreferredMaintenanceWindow": "sun:03:00-sun:03:30"},
            id="both windows, whichever differs",
        ),
        pytest.param(
            {"MonitoringInterval": 60, "MonitoringRoleArn": "r"},
            {"MonitoringInterval": 15, "MonitoringRoleArn": "r"},
            {"MonitoringInterval": 60, "MonitoringRoleArn": "r"},
            id="the interval never goes alone",
        ),
        pytest.param({"MaxAllocatedStorage": 150}, {"AllocatedStorage": 200}, {}, id="no limit below the size"),
        pytest.param(
            {"EnabledCloudwatchLogsExports": ["error", "audit"]},
            {"EnabledCloudwatchLogsExports": ["error", "general"]},
            {"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["audit"], "DisableLogTypes": ["general"]}},
            id="log exports as a delta",
        ),
        pytest.param(
            {"EnabledCloudwatchLogsExports": ["b", "a"]}, {"EnabledCloudwatchLogsExports": ["a", "b"]}, {}, id="order means nothing"
        ),
        pytest.param({"MaxAllocatedStorage": 500}, {}, {"MaxAllocatedStorage": 500}, id="autoscaling on"),
        pytest.param({}, {"MaxAllocatedStorage": 500}, {"MaxAllocatedStorage": 100}, id="autoscaling off is a limit equal to the size"),
        pytest.param({"MaxAllocatedStorage": 100}, {}, {}, id="a limit equal to the size is off"),
        pytest.param({}, {"AllocatedStorage": 120}, {}, id="storage never shrinks"),
        pytest.param({"AllocatedStorage": 200}, {}, {"AllocatedStorage": 200}, id="storage grows"),
        pytest.param({"AllocatedStorage": 105}, {}, {"AllocatedStorage": 110}, id="storage grows by a tenth at least"),
        pytest.param(
            {"StorageType": "io1", "Iops": 3000},
            {"StorageType": "gp3", "Iops": 3000, "StorageThroughput": 125},
            {"StorageType": "io1", "AllocatedStorage": 100, "Iops": 3000},
            id="PIOPS needs size and Iops, equal or not",
        ),
        pytest.param(
            {"StorageType": "io1", "Iops": 3000},
            {"StorageType": "io1", "Iops": 2000, "AllocatedStorage": 150},
            {"AllocatedStorage": 150, "Iops": 3000},
            id="Iops goes with the present size",
        ),
        pytest.param(
            {}, {"StorageType": "gp3", "Iops": 3000, "StorageThroughput": 125}, {"StorageType": "gp2"}, id="gp2 takes the type alone"
        ),
        pytest.param(
            {"StorageType": "gp3", "Iops": 3000, "StorageThroughput": 125},
            {},
            {"StorageType": "gp3"},
            id="gp3 below the threshold takes the type alone",
        ),
        pytest.param(
            {
                "Engine": "sqlserver-se",
                "StorageType": "gp3",
                "Iops": 4000,
                "StorageThroughput": 250,
                "MultiAZ": True,
                "AvailabilityZone": "b",
            },
            {"Engine": "sqlserver-se", "StorageType": "gp3", "Iops": 3000, "StorageThroughput": 125},
            {"Iops": 4000, "StorageThroughput": 250, "AllocatedStorage": 100, "MultiAZ": True},
            id="SQL Server by modification",
        ),
        pytest.param(
            {}, {"DBParameterGroups": [{"DBParameterGroupName": "x"}]}, {"DBParameterGroupName": "prod"}, id="parameter group by name"
        ),
        pytest.param(
            {},
            {"DBParameterGroups": [{"DBParameterGroupName": "prod", "ParameterApplyStatus": "pending-reboot"}]},
            {},
            id="state is no change",
        ),
        pytest.param(
            {"OptionGroupMemberships": [{"OptionGroupName": "audit", "Status": "in-sync"}]},
            {},
            {"OptionGroupName": "audit"},
            id="option group",
        ),
        pytest.param({"Endpoint": {"Port": 3310}}, {}, {"DBPortNumber": 3310}, id="the port has another name"),
        pytest.param({"BackupRetentionPeriod": 0}, {}, {"BackupRetentionPeriod": 0}, id="retention 0"),
        pytest.param({}, {"AvailabilityZone": "eu-central-1b"}, {}, id="a zone cannot be modified"),
        pytest.param({"DeletionProtection": True, "MasterUserSecret": {"KmsKeyId": "k"}}, {}, {}, id="late attributes are not here"),
        pytest.param({"EngineVersion": "8.0.39"}, {}, {"EngineVersion": "8.0.39"}, id="a model of a newer minor version"),
        pytest.param({}, {"EngineVersion": "8.0.39"}, {}, id="no way down"),
        pytest.param({"EngineVersion": "8.4.3"}, {}, {}, id="no major upgrade by the way"),
        pytest.param(
            {"Engine": "postgres", "EngineVersion": "16.4"},
            {"Engine": "postgres", "EngineVersion": "16.3"},
            {"EngineVersion": "16.4"},
            id="pg",
        ),
        pytest.param(
            {}, {"ProcessorFeatures": [{"Name": "coreCount", "Value": "2"}]}, {"UseDefaultProcessorFeatures": True}, id="default cores"
        ),
        pytest.param(
            {"ProcessorFeatures": [{"Name": "coreCount", "Value": "2"}]},
            {},
            {"ProcessorFeatures": [{"Name": "coreCount", "Value": "2"}]},
            id="cores",
        ),
        pytest.param(
            {}, {"DomainMemberships": [{"Domain": "d", "IAMRoleName": "r", "Status": "joined"}]}, {"DisableDomain": True}, id="no domain"
        ),
        pytest.param({}, {"IAMDatabaseAuthenticationEnabled": True}, {"EnableIAMDatabaseAuthentication": False}, id="false in words"),
        pytest.param({"PromotionTier": 3}, {"PromotionTier": 1}, {}, id="promotion tiers are Aurora's"),
        pytest.param({"ReplicaMode": "mounted"}, {"ReplicaMode": "open-read-only"}, {"ReplicaMode": "mounted"}, id="replica mode"),
        pytest.param(
            {"AdditionalStorageVolumes": [{"VolumeName": "rdsdbdata2", "AllocatedStorage": 300}]},
            {"AdditionalStorageVolumes": [{"VolumeName": "rdsdbdata2", "AllocatedStorage": 200, "StorageVolumeStatus": "x"}]},
            {"AdditionalStorageVolumes": [{"VolumeName": "rdsdbdata2", "AllocatedStorage": 300}]},
            id="further volumes",
        ),
    ],
)
def test_modify_parameters(model, current, expected):
    model, current = instance(**model), instance(**current)
    parameters = modify_parameters(model, current, MODIFY)
    assert parameters == expected
    after = predict_modified(current, parameters)
    assert modify_parameters(model, after, MODIFY) == {}, "made once, it is not made again"


def test_a_member_can_be_left_alone():
    model = instance(MultiAZ=True, BackupRetentionPeriod=1)
    assert modify_parameters(model, instance(), MODIFY, exclude=frozenset({"BackupRetentionPeriod"})) == {"MultiAZ": True}


def test_what_the_sdk_cannot_modify_makes_no_empty_modification():
    model = instance(**INSIGHTS, DatabaseInsightsMode="advanced")
    assert modify_parameters(model, instance(**INSIGHTS), MODIFY - {"DatabaseInsightsMode"}) == {}


def test_sql_server_is_mirrored_after_its_backups_are_on():
    model = instance(Engine="sqlserver-ee", MultiAZ=True, BackupRetentionPeriod=7)
    without = instance(Engine="sqlserver-ee", MultiAZ=False, BackupRetentionPeriod=0)
    assert modifications(model, without, MODIFY) == [{"BackupRetentionPeriod": 7}, {"MultiAZ": True}]
    assert modifications(model, {**without, "BackupRetentionPeriod": 1}, MODIFY) == [{"BackupRetentionPeriod": 7, "MultiAZ": True}]
    others = [{**each, "Engine": "mysql"} for each in (model, without)]
    assert modifications(*others, MODIFY) == [{"BackupRetentionPeriod": 7, "MultiAZ": True}]


def late(model, current):
    return [(change.member, change.parameters) for change in late_changes(model, current)]


def test_late_attributes_in_order():
    model = instance(DeletionProtection=True, MasterUserSecret={"SecretArn": "s", "KmsKeyId": "k", "SecretStatus": "active"})
    assert late(model, instance()) == [
        ("MasterUserSecret", {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": "k"}),
        ("DeletionProtection", {"DeletionProtection": True}),
    ]
    current = instance()
    for change in late_changes(model, current):
        current = predict_modified(current, change.parameters)
    assert late(model, current) == []
    assert late(instance(), instance(DeletionProtection=True)) == [("DeletionProtection", {"DeletionProtection": False})]
    other_key = instance(MasterUserSecret={"SecretArn": "t", "KmsKeyId": "z"})
    assert late(instance(MasterUserSecret={"SecretArn": "s", "KmsKeyId": "k"}), other_key) == [], "RDS cannot change the key"
    assert late(instance(), other_key) == [], "the password is not ours to set"


STREAM = dict(ActivityStreamStatus="started", ActivityStreamKmsKeyId="k", ActivityStreamMode="async", ActivityStreamKinesisStreamName="aws-rds-das-db-A")
START = {"ApplyImmediately": True, "KmsKeyId": "k", "Mode": "async", "EngineNativeAuditFieldsIncluded": False}


@pytest.mark.parametrize(
    ("model", "current", "expected"),
    [
        pytest.param(STREAM, {}, [("StartActivityStream", START)], id="a new stream is locked"),
        pytest.param(
            {**STREAM, "ActivityStreamPolicyStatus": "unlocked", "ActivityStreamEngineNativeAuditFieldsIncluded": True},
            {"ActivityStreamStatus": "stopped"},
            [
                ("StartActivityStream", {**START, "EngineNativeAuditFieldsIncluded": True}),
                ("ModifyActivityStream", {"AuditPolicyState": "unlocked"}),
            ],
            id="fields and policy",
        ),
        pytest.param(STREAM, {**STREAM, "ActivityStreamStatus": "starting"}, [], id="on its way"),
        pytest.param(
            {**STREAM, "ActivityStreamPolicyStatus": "locking-policy"},
            {**STREAM, "ActivityStreamPolicyStatus": "unlocked"},
            [("ModifyActivityStream", {"AuditPolicyState": "locked"})],
            id="the policy alone",
        ),
        pytest.param({}, STREAM, [], id="a stream is never stopped"),
        pytest.param(STREAM, {**STREAM, "ActivityStreamKmsKeyId": "z"}, [], id="nor started anew for its key"),
        pytest.param({**STREAM, "ActivityStreamStatus": "stopping"}, {}, [], id="going down"),
    ],
)
@pytest.mark.parametrize("engine", ["oracle-ee", "oracle-se2-cdb", "sqlserver-se"])
def test_an_activity_stream_is_started_as_it_was(engine, model, current, expected):
    changes = late_changes(instance(Engine=engine, **model), instance(Engine=engine, **current))
    assert [(change.operation, change.parameters) for change in changes] == expected


def test_other_engines_have_no_activity_stream_of_an_instance():
    assert late(instance(**STREAM), instance()) == []


def copies(*regions, **more):
    return [{"DBInstanceAutomatedBackupsArn": f"arn:aws:rds:{region}:1:auto-backup:ab-{region}", **more} for region in regions]


def test_backups_are_replicated_to_every_region_with_a_named_key():
    model = instance(DBInstanceAutomatedBackupsReplications=copies("eu-west-1", "us-east-1", "us-west-2"), DeletionProtection=True)
    arns = [each["DBInstanceAutomatedBackupsArn"] for each in model["DBInstanceAutomatedBackupsReplications"]]
    named = {arns[0]: {"KmsKeyId": "ireland", "BackupRetentionPeriod": 14}, arns[2]: {"KmsKeyId": "oregon", "BackupRetentionPeriod": None}}
    wanted = with_backup_keys(model, named)
    expected = [
        ("DBInstanceAutomatedBackupsReplications", {"DestinationRegion": "eu-west-1", "KmsKeyId": "ireland", "BackupRetentionPeriod": 14}),
        ("DBInstanceAutomatedBackupsReplications", {"DestinationRegion": "us-west-2", "KmsKeyId": "oregon"}),
        ("DeletionProtection", {"DeletionProtection": True}),
    ]
    assert late(wanted, instance()) == expected
    assert late(wanted, instance(DBInstanceAutomatedBackupsReplications=copies("eu-west-1"))) == expected[1:]
    assert late(model, instance()) == expected[2:], "without a key nothing is called"
    assert regions_without_key(wanted, instance()) == ["us-east-1"]
    assert regions_without_key(wanted, instance(DBInstanceAutomatedBackupsReplications=copies("us-east-1"))) == []


def test_missing_roles():
    roles = [
        {"RoleArn": "a", "FeatureName": "s3Import", "Status": "ACTIVE"},
        {"RoleArn": "a", "FeatureName": "s3Export", "Status": "ACTIVE"},
    ]
    pending = [{**roles[0], "Status": "PENDING"}]
    assert missing_roles(instance(AssociatedRoles=roles), instance()) == [("a", "s3Export"), ("a", "s3Import")]
    assert missing_roles(instance(AssociatedRoles=roles), instance(AssociatedRoles=pending)) == [("a", "s3Export")]


def test_surplus_tags():
    model, current = {"a": "1", "aws:x": "y"}, {"a": "2", "b": "3", "aws:z": "1", "rds-encryption:name": "n"}
    assert surplus_tags(model, current) == ["b"]


def test_tag_changes():
    model = {"a": "1", "b": "2", "aws:cloudformation:stack": "s", "rds-encryption:name": "n"}
    assert tag_changes(model, {"a": "1", "b": "0", "c": "3", "rds-encryption:role": "target"}) == {"b": "2"}


# -- Replicas --------------------------------------------------------------------------------------------------------------------------


def replica(**changes):
    return instance(
        **{
            "DBInstanceIdentifier": "prod-one-replica",
            "ReadReplicaSourceDBInstanceIdentifier": "old-prod-one",
            "StatusInfos": [{"StatusType": "read replication", "Status": "replicating", "Normal": True}],
            "BackupRetentionPeriod": 0,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("model", "parent", "expected", "absent"),
    [
        pytest.param(
            {}, {}, {"DBInstanceClass": "db.r6g.large", "VpcSecurityGroupIds": ["sg-1"], "MultiAZ": False}, [], id="what is passed"
        ),
        pytest.param(
            {"DeletionProtection": True, "BackupRetentionPeriod": 3},
            {},
            {},
            [
                "DBSubnetGroupName",
                "KmsKeyId",
                "DBParameterGroupName",
                "DeletionProtection",
                "BackupRetentionPeriod",
                "DatabaseInsightsMode",
                "Tags",
            ],
            id="what RDS refuses or ignores in the same region",
        ),
        pytest.param({"Engine": "oracle-ee"}, {"Engine": "oracle-ee"}, {"DBParameterGroupName": "prod"}, [], id="Oracle takes the group"),
        pytest.param({"Engine": "db2-se"}, {"Engine": "db2-se"}, {"DBParameterGroupName": "prod"}, [], id="Db2 takes the group"),
        pytest.param({"MultiAZ": True}, {}, {"MultiAZ": True}, ["AvailabilityZone"], id="a Multi-AZ replica"),
        pytest.param({}, {"AllocatedStorage": 150}, {"AllocatedStorage": 150}, [], id="never smaller than its source"),
        pytest.param({"MaxAllocatedStorage": 140}, {"AllocatedStorage": 150}, {}, ["MaxAllocatedStorage"], id="no room left to grow"),
        pytest.param({"MaxAllocatedStorage": 140}, {}, {"MaxAllocatedStorage": 140}, [], id="autoscaling"),
        pytest.param(INSIGHTS, {}, {"EnablePerformanceInsights": True, "PerformanceInsightsKMSKeyId": "k"}, [], id="insights at once"),
        pytest.param(
            {"MonitoringInterval": 0, "MonitoringRoleArn": "r"}, {}, {"MonitoringInterval": 0}, ["MonitoringRoleArn"], id="no role with 0"
        ),
        pytest.param({"MonitoringInterval": 15, "MonitoringRoleArn": "r"}, {}, {"MonitoringRoleArn": "r"}, [], id="monitoring at once"),
        pytest.param(
            {"Engine": "sqlserver-ee", "MaxAllocatedStorage": 300},
            {"Engine": "sqlserver-ee"},
            {},
            [*STORAGE, "MaxAllocatedStorage", "OptionGroupName", "MultiAZ"],
            id="SQL Server: storage by modification",
        ),
        pytest.param(
            {"DBSubnetGroup": {"DBSubnetGroupName": "other", "VpcId": "vpc-1"}}, {}, {"DBSubnetGroupName": "other"}, [], id="another subnet group"
        ),
        pytest.param({"ReplicaMode": "mounted", "Engine": "oracle-ee"}, {}, {"ReplicaMode": "mounted"}, [], id="replica mode"),
    ],
)
def test_replica_parameters(model, parent, expected, absent):
    parameters = replica_parameters(replica(**model), instance(**parent), REPLICA)
    assert subset(parameters, expected) == expected
    assert not set(absent) & set(parameters)
    assert set(parameters) <= REPLICA


def test_a_predicted_replica_is_its_parents_child():
    parent = instance(
        DBInstanceIdentifier="new-prod-one", StorageEncrypted=True, KmsKeyId=KEY, EngineVersion="8.0.39", BackupRetentionPeriod=7
    )
    model = replica(DBParameterGroups=[{"DBParameterGroupName": "replicas", "ParameterApplyStatus": "in-sync"}])
    made = predict_replica(model, parent, replica_parameters(model, parent, REPLICA), target_identifier="new-prod-one-replica")
    assert made["ReadReplicaSourceDBInstanceIdentifier"] == "new-prod-one"
    assert made["StorageEncrypted"] and made["KmsKeyId"] == KEY and made["EngineVersion"] == "8.0.39"
    assert made["BackupRetentionPeriod"] == 0 and not_ready(made) is None
    assert made["DBSubnetGroup"] == parent["DBSubnetGroup"]
    change = modify_parameters(model, made, MODIFY)
    assert change["DBParameterGroupName"] == "replicas" and "MultiAZ" not in change
    after = predict_modified(made, change)
    assert needs_reboot(after)


# -- Readiness -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"DBInstanceStatus": "storage-optimization"}, None),
        ({"DBInstanceStatus": "backing-up"}, "backing-up"),
        ({"PendingModifiedValues": {"MultiAZ": True, "Iops": 1}}, "Iops, MultiAZ"),
        ({"DBParameterGroups": [{"DBParameterGroupName": "g", "ParameterApplyStatus": "applying"}]}, "applying"),
        ({"DBParameterGroups": [{"DBParameterGroupName": "g", "ParameterApplyStatus": "pending-reboot"}]}, "pending-reboot"),
        ({"OptionGroupMemberships": [{"OptionGroupName": "o", "Status": "pending-apply"}]}, "pending-apply"),
        ({"VpcSecurityGroups": [{"VpcSecurityGroupId": "sg", "Status": "adding"}]}, "adding"),
        ({"DomainMemberships": [{"Domain": "d", "Status": "pending-join"}]}, "pending-join"),
        ({"DomainMemberships": [{"Domain": "d", "Status": "kerberos-enabled"}]}, None),
        ({"AssociatedRoles": [{"RoleArn": "r", "FeatureName": "f", "Status": "PENDING"}]}, "PENDING"),
        ({"MasterUserSecret": {"SecretStatus": "creating"}}, "creating"),
        ({"MasterUserSecret": {"SecretStatus": "rotating"}}, None),
        ({"ReadReplicaSourceDBInstanceIdentifier": "a"}, "not reported"),
        (
            {"ReadReplicaSourceDBInstanceIdentifier": "a", "StatusInfos": [{"StatusType": "read replication", "Status": "stopped"}]},
            "stopped",
        ),
        (
            {"ReadReplicaSourceDBInstanceIdentifier": "a", "StatusInfos": [{"StatusType": "read replication", "Status": "replicating"}]},
            None,
        ),
    ],
)
def test_not_ready(changes, words):
    reason = not_ready(instance(**changes))
    assert (reason is None) if words is None else (words in reason)


def test_needs_reboot():
    assert not needs_reboot(instance())
    assert needs_reboot(instance(DBParameterGroups=[{"DBParameterGroupName": "g", "ParameterApplyStatus": "pending-reboot"}]))
    assert not needs_reboot(instance(DBParameterGroups=[{"DBParameterGroupName": "g", "ParameterApplyStatus": "applying"}]))
    assert needs_reboot(instance(PendingModifiedValues={"DedicatedLogVolume": True}))
    assert not needs_reboot(instance(PendingModifiedValues={"DedicatedLogVolume": True, "MultiAZ": True}))


def test_settled_leaves_out_what_only_a_reboot_changes():
    waiting = instance(
        DBParameterGroups=[{"DBParameterGroupName": "g", "ParameterApplyStatus": "pending-reboot"}],
        PendingModifiedValues={"DedicatedLogVolume": True},
    )
    assert settled(waiting) is None and not_ready(waiting)
    assert settled({**waiting, "PendingModifiedValues": {"MultiAZ": True}})
    lagging = instance(ReadReplicaSourceDBInstanceIdentifier="a")
    assert settled(lagging, reported=True) and settled(lagging) is None
    lagging["StatusInfos"] = [{"StatusType": "read replication", "Status": "replication degraded"}]
    assert settled(lagging) and settled(lagging, replication=False) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"DBInstanceStatus": "incompatible-restore"},
        {"DBParameterGroups": [{"DBParameterGroupName": "g", "ParameterApplyStatus": "failed-to-apply"}]},
        {"OptionGroupMemberships": [{"OptionGroupName": "o", "Status": "failed"}]},
        {"DomainMemberships": [{"Domain": "d", "Status": "failed"}]},
        {"AssociatedRoles": [{"RoleArn": "r", "FeatureName": "f", "Status": "INVALID"}]},
        {"StatusInfos": [{"StatusType": "read replication", "Status": "terminated"}]},
    ],
)
def test_broken(changes):
    assert broken(instance()) is None
    assert broken(instance(**changes)) and not_ready({**instance(), **changes, "ReadReplicaSourceDBInstanceIdentifier": "a"})


# -- Any source ------------------------------------------------------------------------------------------------------------------------

windows = st.integers(0, 23).map(lambda hour: f"{hour:02}:00-{hour:02}:30")
days = st.sampled_from(["mon", "wed", "sun"])
names = st.text("abcdefghij", min_size=1, max_size=6)


@st.composite
def storage(draw, engine):
    row = engine_row(engine)
    kind = draw(st.sampled_from(["gp2", "gp3", "io1", "io2", "standard"]))
    size = draw(st.sampled_from([20, 100, 199, 200, 399, 400, 1000]))
    described = dict(StorageType=kind, AllocatedStorage=size)
    if kind in ("io1", "io2"):
        described["Iops"] = draw(st.integers(1000, 5000))
    if kind == "gp3":
        least = row.gp3_default(size)
        more = row.takes_gp3_performance(size) and draw(st.booleans())
        described |= dict(Iops=least[0] + 1000 * more, StorageThroughput=least[1] + 10 * more)
    if kind == "gp2" and draw(st.booleans()):
        described["Iops"] = max(100, 3 * size)
    if kind != "standard" and draw(st.booleans()):
        described["MaxAllocatedStorage"] = size * draw(st.integers(1, 3))
    return described


@st.composite
def sources(draw):
    """An instance such as RDS could describe: whatever contradicts itself in RDS does not occur."""
    engine = draw(st.sampled_from(["mysql", "mariadb", "postgres", "oracle-ee", "oracle-se2-cdb", "sqlserver-se", "db2-se"]))
    flag = st.booleans()
    described = instance(
        Engine=engine,
        EngineVersion=draw(st.sampled_from(["8.0.36", "16.3", "10.11.8", "19.0.0.0.ru-2024-01.rur-2024-01.r1", "15.00.4365.2.v1"])),
        MultiAZ=draw(flag),
        AutoMinorVersionUpgrade=draw(flag),
        PubliclyAccessible=draw(st.sampled_from([True, False, None])),
        CopyTagsToSnapshot=draw(flag),
        DeletionProtection=draw(flag),
        IAMDatabaseAuthenticationEnabled=draw(flag) if engine_row(engine).iam_authentication else None,
        BackupRetentionPeriod=draw(st.integers(0, 35)),
        PreferredBackupWindow=draw(windows),
        PreferredMaintenanceWindow=f"{draw(days)}:" + draw(windows),
        Endpoint={
            "Address": "old-prod-one.abc.eu-central-1.rds.amazonaws.com",
            "Port": draw(st.integers(1150, 65535)),
            "HostedZoneId": "Z",
        },
        VpcSecurityGroups=[{"VpcSecurityGroupId": each, "Status": "active"} for each in draw(st.sets(names, min_size=1, max_size=3))],
        DBParameterGroups=[
            {"DBParameterGroupName": draw(names), "ParameterApplyStatus": draw(st.sampled_from(["in-sync", "pending-reboot"]))}
        ],
        OptionGroupMemberships=draw(st.sampled_from([None, [{"OptionGroupName": "audit", "Status": "in-sync"}]])),
        EnabledCloudwatchLogsExports=draw(st.none() | st.lists(names, unique=True, max_size=3)),
        AssociatedRoles=[{"RoleArn": each, "FeatureName": "f", "Status": "ACTIVE"} for each in draw(st.sets(names, max_size=2))],
        TagList=[{"Key": each, "Value": "v"} for each in draw(st.sets(names | st.just("aws:cloudformation:stack-name"), max_size=3))],
        NetworkType=draw(st.sampled_from([None, "IPV4", "DUAL"])),
        CACertificateIdentifier=draw(st.sampled_from([None, "rds-ca-rsa2048-g1", "rds-ca-ecc384-g1"])),
        LicenseModel=draw(st.sampled_from([None, "license-included", "bring-your-own-license"])),
        EngineLifecycleSupport=draw(
            st.sampled_from([None, "open-source-rds-extended-support", "open-source-rds-extended-support-disabled"])
            if engine_row(engine).lifecycle_support
            else st.none()
        ),
        CustomerOwnedIpEnabled=draw(st.sampled_from([None, False, True])),
        ProcessorFeatures=draw(st.sampled_from([None, [{"Name": "coreCount", "Value": "2"}, {"Name": "threadsPerCore", "Value": "1"}]])),
        MasterUserSecret=draw(st.sampled_from([None, {"SecretArn": "arn:s", "SecretStatus": "active", "KmsKeyId": "k"}])),
        DomainMemberships=draw(st.sampled_from([None, [], [{"Domain": "d-1", "IAMRoleName": "r", "FQDN": "x.y", "Status": "joined"}]])),
        DBName=draw(st.none() | names),
        SecondaryAvailabilityZone=draw(st.none() | names),
        BackupTarget=draw(st.sampled_from([None, "region", "outposts"])),
        DBInstanceStatus=draw(st.sampled_from(["available", "storage-optimization"])),
    )
    if engine.startswith("sqlserver") and not described["BackupRetentionPeriod"]:
        described["MultiAZ"] = False  # mirroring needs backups
    described |= draw(storage(engine))
    if described["StorageType"] in ("io1", "io2"):
        described["DedicatedLogVolume"] = draw(flag)
    if engine.startswith("oracle"):
        volume = {"VolumeName": "rdsdbdata2", "AllocatedStorage": 200, "StorageType": "gp3", "StorageVolumeStatus": "available"}
        described["AdditionalStorageVolumes"] = draw(st.sampled_from([[], [volume]]))
    if draw(flag):
        described |= dict(
            MonitoringInterval=draw(st.sampled_from([1, 60])), MonitoringRoleArn="arn:role", EnhancedMonitoringResourceArn="arn:log"
        )
    if draw(flag):
        mode = draw(st.sampled_from([None, "standard", "advanced"]))
        kept = draw(st.sampled_from([465, 731] if mode == "advanced" else [7, 31, 465]))
        described |= dict(PerformanceInsightsEnabled=True, PerformanceInsightsKMSKeyId="k", PerformanceInsightsRetentionPeriod=kept)
        described |= {"DatabaseInsightsMode": mode} if mode else {}
    elif draw(flag):
        described["PerformanceInsightsKMSKeyId"] = "k of earlier days"
    return described


def finish(model, current, accepted_by_modify=MODIFY):
    """What a run does after the restore: modify, roles, restart, late attributes; each exactly once."""
    for parameters in modifications(model, current, accepted_by_modify):
        current = predict_modified(current, parameters)
    roles = [{"RoleArn": arn, "FeatureName": feature, "Status": "ACTIVE"} for arn, feature in missing_roles(model, current)]
    current["AssociatedRoles"] = current.get("AssociatedRoles", []) + roles
    if needs_reboot(current):
        for group in current["DBParameterGroups"]:
            group["ParameterApplyStatus"] = "in-sync"
    for change in late_changes(model, current):
        current = predict_modified(current, change.parameters, change.operation)
    return current


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=sources(), old_sdk=st.booleans())
def test_any_source_arrives(source, old_sdk):
    known = RESTORE - LATE_IN_THE_SDK if old_sdk else RESTORE
    before = copy.deepcopy(source)
    parameters = restore_parameters(source, known)
    assert not (parameters.get("MultiAZ") and "AvailabilityZone" in parameters)
    target = finish(source, restored(source, parameters))
    rows = compare(source, target, names={"old-prod-one": "new-prod-one"}, kms_key_arn=KEY)
    assert [str(row) for row in unexplained(rows)] == []
    assert modify_parameters(source, target, MODIFY) == {} and late_changes(source, target) == []
    assert not_ready(target) is None
    assert source == before


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(source=sources(), model=sources())
def test_any_replica_arrives(source, model):
    # What a replica has of its source in RDS, too.
    for member in ("Engine", "EngineVersion", "LicenseModel", "EngineLifecycleSupport", "DBName", "AdditionalStorageVolumes"):
        model.pop(member, None)
        model |= {member: source[member]} if member in source else {}
    assume(model["AllocatedStorage"] >= source["AllocatedStorage"])
    assume(model["BackupRetentionPeriod"] or not (model["MultiAZ"] and model["Engine"].startswith("sqlserver")))
    fitting = model.get("Iops", 0) >= 12000 or not engine_row(model["Engine"]).takes_gp3_performance(model["AllocatedStorage"])
    assume(model["StorageType"] != "gp3" or fitting)
    model.pop("MasterUserSecret", None)
    if not engine_row(model["Engine"]).iam_authentication:
        model.pop("IAMDatabaseAuthenticationEnabled", None)
    model.setdefault("OptionGroupMemberships", [{"OptionGroupName": "default:x", "Status": "in-sync"}])
    model |= {"DBInstanceIdentifier": "prod-one-replica", "ReadReplicaSourceDBInstanceIdentifier": "old-prod-one"}
    parent = finish(source, restored(source))
    parameters = replica_parameters(model, parent, REPLICA)
    made = predict_replica(model, parent, {**parameters, "Tags": model["TagList"]}, target_identifier="new-prod-one-replica")
    made = finish(model, made)
    names_ = {"old-prod-one": "new-prod-one", "prod-one-replica": "new-prod-one-replica"}
    model["Endpoint"]["Address"] = "prod-one-replica.abc.eu-central-1.rds.amazonaws.com"
    assert [str(row) for row in unexplained(compare(model, made, names=names_, kms_key_arn=KEY))] == []
    assert modify_parameters(model, made, MODIFY) == {}
