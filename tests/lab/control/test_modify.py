# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ModifyDBInstance: what differs, what is at once, what waits; and the services beside the instance."""

from __future__ import annotations

import json

import pytest


def test_nothing_to_modify(lab, refused):
    lab.seed(DeletionProtection=True)
    for members in ({}, {"ApplyImmediately": True}, {"DeletionProtection": True}, {"BackupRetentionPeriod": 7},
                    {"DBInstanceClass": "db.m6g.large", "AllocatedStorage": 100}):
        with refused("InvalidParameterCombination", "No modifications were requested"):
            lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", **members)
    with refused("DBInstanceNotFound", status=404):
        lab.rds.modify_db_instance(DBInstanceIdentifier="none", DeletionProtection=True)


def test_what_ignores_apply_immediately(lab):
    role = lab.plane.seed_role("monitor")
    lab.seed()
    vpc_id = lab.describe("prod-one")["DBSubnetGroup"]["VpcId"]
    group = lab.plane.seed_security_group("app", "us-east-1", vpc_id)
    members = {
        "AutoMinorVersionUpgrade": False, "CopyTagsToSnapshot": True, "DeletionProtection": True, "MonitoringInterval": 30,
        "MonitoringRoleArn": role, "PreferredMaintenanceWindow": "tue:02:00-tue:02:30", "PreferredBackupWindow": "07:00-07:30",
        "PubliclyAccessible": True, "MaxAllocatedStorage": 300, "BackupRetentionPeriod": 3, "EnablePerformanceInsights": True,
    }
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", VpcSecurityGroupIds=[group], DBPortNumber=3399,
                               CloudwatchLogsExportConfiguration={"EnableLogTypes": ["error"]}, **members)
    lab.advance(7)
    assert lab.describe("prod-one")["VpcSecurityGroups"] == [{"VpcSecurityGroupId": group, "Status": "adding"}]
    lab.finish()
    shown = lab.describe("prod-one")
    for member in set(members) - {"EnablePerformanceInsights"}:
        assert shown[member] == members[member], member
    assert shown["PerformanceInsightsEnabled"] is True and shown["PerformanceInsightsRetentionPeriod"] == 7
    assert shown["VpcSecurityGroups"] == [{"VpcSecurityGroupId": group, "Status": "active"}]
    assert shown["Endpoint"]["Port"] == 3399
    assert shown["EnabledCloudwatchLogsExports"] == ["error"]
    assert shown["PendingModifiedValues"] == {}


@pytest.mark.parametrize("members,shown", [
    ({"DBInstanceClass": "db.r6g.large"}, None), ({"MultiAZ": True}, None), ({"AllocatedStorage": 200}, None),
    ({"EngineVersion": "8.0.44"}, None), ({"EnableIAMDatabaseAuthentication": True}, {"IAMDatabaseAuthenticationEnabled": True}),
    ({"BackupRetentionPeriod": 0}, None), ({"CACertificateIdentifier": "rds-ca-rsa4096-g1"}, None),
    ({"ProcessorFeatures": [{"Name": "coreCount", "Value": "1"}]}, None),
])
def test_what_waits_for_the_window_without_apply_immediately(lab, members, shown):
    lab.seed()
    shown = shown or members
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", **members)
    lab.advance(3600)
    waiting = lab.describe("prod-one")
    assert waiting["DBInstanceStatus"] == "available"
    assert {member: waiting["PendingModifiedValues"].get(member) for member in shown} == shown
    for member, item in shown.items():
        assert waiting.get(member) != item
    lab.admin("POST", "/_lab/maintenance", {"name": "prod-one", "window": True})
    lab.finish()
    done = lab.describe("prod-one")
    assert {member: done.get(member) for member in shown} == shown
    assert done["PendingModifiedValues"] == {}


def test_multi_az_shows_a_standby(lab):
    lab.seed()
    shown = lab.modify(MultiAZ=True)
    assert shown["SecondaryAvailabilityZone"] != shown["AvailabilityZone"]
    assert "SecondaryAvailabilityZone" not in lab.modify(MultiAZ=False)


def test_sql_server_mirroring_needs_backups(lab, refused):
    lab.seed(Engine="sqlserver-se", EngineVersion="15.00.4430.1.v1", BackupRetentionPeriod=0)
    with refused("InvalidParameterCombination", "Mirroring cannot be applied to instances with backup retention set to zero"):
        lab.modify(MultiAZ=True)


def test_enabling_backups_is_an_outage_with_a_backup(lab):
    lab.seed(BackupRetentionPeriod=0)
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", BackupRetentionPeriod=5, ApplyImmediately=True)
    seen = []
    for _unused in range(800):
        lab.advance(1)
        if lab.status("prod-one") not in seen[-1:]:
            seen.append(lab.status("prod-one"))
    assert seen == ["available", "modifying", "backing-up", "available"]
    assert "LatestRestorableTime" in lab.describe("prod-one")


def test_windows_must_not_overlap(lab, refused):
    lab.seed(PreferredBackupWindow="03:30-04:00", PreferredMaintenanceWindow="sun:05:00-sun:05:30")
    with refused("InvalidParameterValue", "must not overlap"):
        lab.modify(PreferredBackupWindow="05:15-05:45")
    with refused("InvalidParameterValue", "must not overlap"):
        lab.modify(PreferredMaintenanceWindow="mon:03:00-mon:03:45")
    shown = lab.modify(PreferredBackupWindow="05:15-05:45", PreferredMaintenanceWindow="mon:03:00-mon:03:45")
    assert (shown["PreferredBackupWindow"], shown["PreferredMaintenanceWindow"]) == ("05:15-05:45", "mon:03:00-mon:03:45")


def test_versions_are_only_raised(lab, refused):
    lab.seed()
    with refused("InvalidParameterCombination"):
        lab.modify(EngineVersion="8.0.40")
    with refused("InvalidParameterCombination", "AllowMajorVersionUpgrade"):
        lab.modify(EngineVersion="8.4.7")
    with refused("InvalidParameterCombination", "Cannot find version"):
        lab.modify(EngineVersion="8.0.99")
    shown = lab.modify(EngineVersion="8.4.7", AllowMajorVersionUpgrade=True)
    assert (shown["EngineVersion"], shown["DBParameterGroups"][0]["DBParameterGroupName"]) == ("8.4.7", "default.mysql8.4")


def test_move_to_another_vpc(lab, refused):
    lab.plane.seed_subnet_group("same", vpc_id=lab.plane.default_vpc("us-east-1"), region="us-east-1")
    lab.plane.seed_subnet_group("other", region="us-east-1")
    lab.seed()
    with refused("InvalidVPCNetworkStateFault", "are in the same VPC"):
        lab.modify(DBSubnetGroupName="same")
    shown = lab.modify(DBSubnetGroupName="other")
    assert shown["DBSubnetGroup"]["DBSubnetGroupName"] == "other"
    group = lab.client("ec2").describe_security_groups(GroupIds=[shown["VpcSecurityGroups"][0]["VpcSecurityGroupId"]])["SecurityGroups"][0]
    assert (group["VpcId"], group["GroupName"]) == (shown["DBSubnetGroup"]["VpcId"], "default")


def test_option_group(lab, refused):
    lab.plane.seed_option_group("options", "mysql", "8.0", "us-east-1")
    lab.plane.seed_option_group("foreign", "mysql", "8.4", "us-east-1")
    lab.seed()
    with refused("InvalidParameterCombination"):
        lab.modify(OptionGroupName="foreign")
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", OptionGroupName="options")
    lab.advance(10)
    assert lab.describe("prod-one")["OptionGroupMemberships"] == [{"OptionGroupName": "default:mysql-8-0", "Status": "pending-apply"}]
    assert lab.modify(OptionGroupName="options")["OptionGroupMemberships"] == [{"OptionGroupName": "options", "Status": "in-sync"}]


def test_monitoring(lab, refused):
    role = lab.plane.seed_role("monitor")
    lab.seed()
    for members in ({"MonitoringInterval": 30}, {"MonitoringInterval": 0, "MonitoringRoleArn": role}, {"MonitoringRoleArn": role}):
        with refused("InvalidParameterCombination"):
            lab.modify(**members)
    with refused("InvalidParameterValue"):
        lab.modify(MonitoringInterval=7, MonitoringRoleArn=role)
    with refused("InvalidParameterValue", "ENHANCED_MONITORING"):
        lab.modify(MonitoringInterval=30, MonitoringRoleArn="arn:aws:iam::123456789012:role/none")
    shown = lab.modify(MonitoringInterval=30, MonitoringRoleArn=role)
    assert shown["EnhancedMonitoringResourceArn"].endswith("log-group:RDSOSMetrics:log-stream:" + shown["DbiResourceId"])
    lab.advance(40)
    shown = lab.modify(MonitoringInterval=0)
    assert "MonitoringRoleArn" not in shown and "EnhancedMonitoringResourceArn" not in shown


def test_a_fresh_role_is_not_seen_at_once(lab, refused):
    lab.seed()
    role = lab.client("iam").create_role(RoleName="fresh", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "monitoring.rds.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
    with refused("InvalidParameterValue", "ENHANCED_MONITORING"):
        lab.modify(MonitoringInterval=30, MonitoringRoleArn=role)
    lab.advance(31)
    assert lab.modify(MonitoringInterval=30, MonitoringRoleArn=role)["MonitoringRoleArn"] == role


def test_right_after_monitoring_or_insights_the_next_is_refused(lab, refused):
    lab.seed()
    lab.modify(EnablePerformanceInsights=True)
    with refused("InvalidDBInstanceState", "RDS is configuring Enhanced Monitoring or Performance Insights for this DB instance. "
                                           "Try your request later."):
        lab.modify(DeletionProtection=True)
    lab.advance(30)
    assert lab.modify(DeletionProtection=True)["DeletionProtection"] is True


def test_performance_insights(lab, refused):
    key, other = lab.plane.seed_kms_key("alias/pi", "us-east-1"), lab.plane.seed_kms_key("alias/other", "us-east-1")
    lab.seed()
    for members in ({"PerformanceInsightsRetentionPeriod": 31}, {"PerformanceInsightsKMSKeyId": key}):
        with refused("InvalidParameterCombination"):
            lab.modify(**members)
    with refused("InvalidParameterValue"):
        lab.modify(EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=30)
    shown = lab.modify(EnablePerformanceInsights=True, PerformanceInsightsKMSKeyId="alias/pi", PerformanceInsightsRetentionPeriod=93)
    assert (shown["PerformanceInsightsKMSKeyId"], shown["PerformanceInsightsRetentionPeriod"]) == (key, 93)
    lab.advance(60)
    shown = lab.modify(EnablePerformanceInsights=False)
    assert shown["PerformanceInsightsEnabled"] is False and shown["PerformanceInsightsKMSKeyId"] == key
    lab.advance(60)
    with refused("InvalidParameterCombination", "You cannot change your Performance Insights KMS key"):
        lab.modify(EnablePerformanceInsights=True, PerformanceInsightsKMSKeyId=other)


def test_advanced_insights_need_465_days_in_the_same_call(lab, refused):
    lab.seed()
    for members in ({}, {"EnablePerformanceInsights": True}, {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 31}):
        with refused("InvalidParameterCombination", "465"):
            lab.modify(DatabaseInsightsMode="advanced", **members)
    shown = lab.modify(DatabaseInsightsMode="advanced", EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=465)
    assert (shown["DatabaseInsightsMode"], shown["PerformanceInsightsRetentionPeriod"]) == ("advanced", 465)
    lab.advance(60)
    with refused("InvalidParameterCombination"):
        lab.modify(EnablePerformanceInsights=False)


def test_log_exports_are_a_delta(lab, refused):
    lab.seed(EnabledCloudwatchLogsExports=["error", "audit"])
    with refused("InvalidParameterCombination", "postgresql"):
        lab.modify(CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]})
    change = {"EnableLogTypes": ["slowquery", "error"], "DisableLogTypes": ["audit"]}
    answer = lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", CloudwatchLogsExportConfiguration=change)["DBInstance"]
    assert answer["PendingModifiedValues"]["PendingCloudwatchLogsExports"] == {
        "LogTypesToEnable": ["slowquery"], "LogTypesToDisable": ["audit"]}
    lab.advance(25)
    assert lab.status("prod-one") == "configuring-log-exports"
    lab.finish()
    assert lab.describe("prod-one")["EnabledCloudwatchLogsExports"] == ["error", "slowquery"]


def test_master_password_and_its_management(lab, refused):
    key = lab.plane.seed_kms_key("alias/secrets", "us-east-1")
    lab.seed()
    with refused("InvalidParameterValue"):
        lab.modify(MasterUserSecretKmsKeyId=key)
    with refused("InvalidParameterCombination"):
        lab.modify(ManageMasterUserPassword=True, MasterUserPassword="another-pass-9")
    with refused("InvalidParameterValue"):
        lab.modify(MasterUserPassword="short")
    answer = lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", MasterUserPassword="another-pass-9")["DBInstance"]
    assert answer["PendingModifiedValues"] == {"MasterUserPassword": "****"}
    lab.advance(22)
    assert lab.status("prod-one") == "resetting-master-credentials"
    lab.finish()
    assert lab.record("prod-one").password == "another-pass-9"

    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=key)
    lab.advance(22)
    assert lab.describe("prod-one")["MasterUserSecret"]["SecretStatus"] == "creating"
    lab.finish()
    secret = lab.describe("prod-one")["MasterUserSecret"]
    assert secret["SecretStatus"] == "active" and secret["KmsKeyId"] == key and ":secret:rds!db-" in secret["SecretArn"]
    value = json.loads(lab.client("secretsmanager").get_secret_value(SecretId=secret["SecretArn"])["SecretString"])
    assert value == {"username": "admin", "password": lab.record("prod-one").password}
    with refused("InvalidParameterCombination"):
        lab.modify(MasterUserPassword="another-pass-9")
    with refused("InvalidParameterCombination"):
        lab.modify(ManageMasterUserPassword=False)
    before = value["password"]
    lab.modify(RotateMasterUserPassword=True)
    value = json.loads(lab.client("secretsmanager").get_secret_value(SecretId=secret["SecretArn"])["SecretString"])
    assert value["password"] == lab.record("prod-one").password != before
    assert "MasterUserSecret" not in lab.modify(ManageMasterUserPassword=False, MasterUserPassword="mine-again-99")
    with pytest.raises(lab.client("secretsmanager").exceptions.ResourceNotFoundException):
        lab.client("secretsmanager").get_secret_value(SecretId=secret["SecretArn"])


def test_a_secret_goes_with_its_instance(lab):
    lab.seed()
    arn = lab.modify(ManageMasterUserPassword=True)["MasterUserSecret"]["SecretArn"]
    lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)
    lab.finish()
    with pytest.raises(lab.client("secretsmanager").exceptions.ResourceNotFoundException):
        lab.client("secretsmanager").describe_secret(SecretId=arn)


def test_management_is_not_for_replicas(lab, refused):
    lab.seed()
    lab.seed_replica("reader")
    with refused("InvalidParameterCombination"):
        lab.modify("reader", ManageMasterUserPassword=True)


def test_feature_roles(lab, refused):
    role = lab.plane.seed_role("feature")
    lab.seed()
    add = {"DBInstanceIdentifier": "prod-one", "RoleArn": role, "FeatureName": "s3Import"}
    lab.rds.add_role_to_db_instance(**add)
    lab.advance(6)
    assert lab.describe("prod-one")["AssociatedRoles"] == [{"RoleArn": role, "FeatureName": "s3Import", "Status": "PENDING"}]
    assert lab.status("prod-one") == "available"
    with refused("DBInstanceRoleAlreadyExists"):
        lab.rds.add_role_to_db_instance(**add)
    lab.finish()
    assert lab.describe("prod-one")["AssociatedRoles"][0]["Status"] == "ACTIVE"
    with refused("InvalidParameterValue"):
        lab.rds.add_role_to_db_instance(**{**add, "FeatureName": "Cooking"})
    with refused("InvalidParameterValue", "IAM role ARN value is invalid"):
        lab.rds.add_role_to_db_instance(**{**add, "RoleArn": "arn:aws:iam::123456789012:role/none", "FeatureName": "Lambda"})
    lab.rds.remove_role_from_db_instance(**add)
    lab.finish()
    assert lab.describe("prod-one")["AssociatedRoles"] == []
    with refused("DBInstanceRoleNotFound", status=404):
        lab.rds.remove_role_from_db_instance(**add)


def test_number_of_feature_roles(lab, refused):
    lab.plane.settings.roles_per_instance = 1
    role = lab.plane.seed_role("feature")
    lab.seed(AssociatedRoles=[{"RoleArn": role, "FeatureName": "Lambda"}])
    with refused("DBInstanceRoleQuotaExceeded"):
        lab.rds.add_role_to_db_instance(DBInstanceIdentifier="prod-one", RoleArn=role, FeatureName="s3Import")


def test_domain(lab, refused):
    lab.seed()
    with refused("InvalidParameterCombination"):
        lab.modify(Domain="d-0123456789")
    with refused("DomainNotFoundFault", status=404):
        lab.modify(Domain="nowhere", DomainIAMRoleName="rds-directory")
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", Domain="d-0123456789", DomainIAMRoleName="rds-directory",
                               ApplyImmediately=True)
    lab.advance(60)
    assert lab.describe("prod-one")["DomainMemberships"][0]["Status"] == "pending-join"
    lab.finish()
    assert lab.describe("prod-one")["DomainMemberships"] == [
        {"Domain": "d-0123456789", "Status": "joined", "IAMRoleName": "rds-directory"}]
    assert lab.modify(DisableDomain=True)["DomainMemberships"] == []


def test_members_of_clusters_are_governed_by_their_cluster(lab, refused):
    lab.plane.seed_cluster({"DBClusterIdentifier": "aurora", "DBClusterMembers": [
        {"DBInstanceIdentifier": "member", "IsClusterWriter": True, "DBClusterParameterGroupStatus": "in-sync", "PromotionTier": 1}]})
    lab.seed("member", Engine="aurora-mysql", EngineVersion="8.0.mysql_aurora.3.08.2", DBClusterIdentifier="aurora", AllocatedStorage=1)
    with refused("InvalidParameterCombination", "ModifyDBCluster"):
        lab.modify("member", BackupRetentionPeriod=3)
    with refused("InvalidParameterValue", "The specified instance is a member of a cluster and a snapshot cannot be created directly"):
        lab.rds.create_db_snapshot(DBInstanceIdentifier="member", DBSnapshotIdentifier="s")
    lab.modify("member", NewDBInstanceIdentifier="renamed")
    cluster = lab.rds.describe_db_clusters(DBClusterIdentifier="aurora")["DBClusters"][0]
    assert cluster["DBClusterMembers"][0]["DBInstanceIdentifier"] == "renamed"
    found = lab.rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": ["aurora"]}])["DBInstances"]
    assert [entry["DBInstanceIdentifier"] for entry in found] == ["renamed"]
