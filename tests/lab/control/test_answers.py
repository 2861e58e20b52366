# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire, identity, reads, tags, seeding, and what RDS only answers."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

import botocore.exceptions
import botocore.session
import pytest


def test_every_member_can_be_expressed(lab):
    """A description with all members of the shape comes back as it was seeded."""
    shape = botocore.session.get_session().get_service_model("rds").shape_for("DBInstance")
    assert len(shape.members) >= 94
    lab.seed()
    record = lab.record("prod-one")

    def sample(member, depth=0):
        kind = member.type_name
        if kind == "structure":
            return {name: sample(inner, depth + 1) for name, inner in member.members.items()} if depth < 4 else {}
        if kind == "list":
            return [sample(member.member, depth + 1)]
        return {"string": "text", "integer": 7, "long": 7, "boolean": True, "double": 1.5, "timestamp": "2026-01-02T03:04:05+00:00"}[kind]

    entire = {name: sample(member) for name, member in shape.members.items()}
    record.history = [(0.0, entire)]
    found = lab.rds.describe_db_instances()["DBInstances"][0]
    assert set(found) == set(shape.members)
    assert found["Endpoint"] == {"Address": "text", "Port": 7, "HostedZoneId": "text"}
    record.history = [(0.0, {"DBInstanceIdentifier": "prod-one", "DbiResourceId": "x"})]
    assert set(lab.rds.describe_db_instances()["DBInstances"][0]) == {"DBInstanceIdentifier", "DbiResourceId"}


def test_resource_ids(lab):
    ids = {lab.seed(f"db-{number}") for number in range(20)}
    assert len(ids) == 20 and all(re.fullmatch(r"db-[A-Z0-9]{26}", each) for each in ids)


def test_filters_and_misses(lab, refused):
    resource_id = lab.seed("Prod-One")
    lab.seed("pg", Engine="postgres", EngineVersion="16.9")

    def found(**members):
        return [entry["DBInstanceIdentifier"] for entry in lab.rds.describe_db_instances(**members)["DBInstances"]]

    def filtered(name, *values):
        return found(Filters=[{"Name": name, "Values": list(values)}])

    assert found() == ["pg", "prod-one"]
    assert found(DBInstanceIdentifier="PROD-ONE") == ["prod-one"]
    assert found(DBInstanceIdentifier="arn:aws:rds:us-east-1:123456789012:db:pg") == ["pg"]
    assert filtered("dbi-resource-id", resource_id) == ["prod-one"]
    assert filtered("db-instance-id", "pg", "none", "arn:aws:rds:us-east-1:123456789012:db:prod-one") == ["pg", "prod-one"]
    assert filtered("engine", "postgres") == ["pg"]
    for name, text in (("dbi-resource-id", "db-NONE"), ("db-instance-id", "none"), ("db-cluster-id", "c")):
        assert filtered(name, text) == []
    with refused("DBInstanceNotFound", "DBInstance none not found.", status=404):
        found(DBInstanceIdentifier="none")
    with refused("InvalidParameterValue", "Unrecognized filter name: colour"):
        filtered("colour", "red")


def test_paging(lab, refused):
    for number in range(45):
        lab.seed(f"db-{number:02}")
    pages = list(lab.rds.get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": 20}))
    assert [len(page["DBInstances"]) for page in pages] == [20, 20, 5]
    assert len({entry["DBInstanceIdentifier"] for page in pages for entry in page["DBInstances"]}) == 45
    for size in (19, 101):
        with refused("InvalidParameterValue"):
            lab.rds.describe_db_instances(MaxRecords=size)
    with refused("InvalidParameterValue"):
        lab.rds.describe_db_instances(Marker="!!!")


def test_unknown_and_unimplemented_actions(lab, refused):
    with refused("NotImplemented", "CreateDBCluster", status=501):
        lab.rds.create_db_cluster(DBClusterIdentifier="c", Engine="aurora-mysql")
    for body in (b"Action=Nonsense&Version=2014-10-31", b"Version=2014-10-31"):
        with pytest.raises(urllib.error.HTTPError) as problem:
            urllib.request.urlopen(lab.server.url, data=body)
        text = problem.value.read().decode()
        assert problem.value.code == 400 and "<Code>InvalidAction</Code>" in text and "<html" not in text


def test_missing_and_malformed_parameters(lab):
    for body, code in ((b"Action=DeleteDBInstance&Version=2014-10-31", "MissingParameter"),
                       (b"Action=RebootDBInstance&DBInstanceIdentifier=a&ForceFailover=maybe&Version=2014-10-31", "MalformedInput")):
        with pytest.raises(urllib.error.HTTPError) as problem:
            urllib.request.urlopen(lab.server.url, data=body)
        assert f"<Code>{code}</Code>" in problem.value.read().decode()


def test_regions_are_separate(lab):
    lab.seed()
    assert lab.client("rds", "eu-west-1").describe_db_instances()["DBInstances"] == []
    lab.plane.seed_instance({"DBInstanceIdentifier": "prod-one", "Engine": "mysql"}, region="eu-west-1", master_password="p")
    shown = lab.client("rds", "eu-west-1").describe_db_instances()["DBInstances"][0]
    assert shown["DBInstanceArn"] == "arn:aws:rds:eu-west-1:123456789012:db:prod-one"
    assert shown["AvailabilityZone"] == "eu-west-1a"


def test_unknown_parameters_fail_in_the_client(lab):
    with pytest.raises(botocore.exceptions.ParamValidationError):
        lab.rds.describe_db_instances(Colour="red")


# Tags

def tags(lab, arn: str) -> dict:
    return {tag["Key"]: tag["Value"] for tag in lab.rds.list_tags_for_resource(ResourceName=arn)["TagList"]}


def test_tags(lab, refused):
    lab.seed(TagList=[{"Key": "a", "Value": "1"}, {"Key": "aws:cloudformation:stack-name", "Value": "s"}])
    arn = lab.describe("prod-one")["DBInstanceArn"]
    lab.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
    assert tags(lab, arn)["a"] == "1"           # a late read
    lab.advance(6)
    assert tags(lab, arn) == {"a": "2", "b": "", "aws:cloudformation:stack-name": "s"}
    lab.rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["a", "none"])
    lab.advance(6)
    assert tags(lab, arn) == {"b": "", "aws:cloudformation:stack-name": "s"}
    for key in ("aws:x", "AWS:x", "rds:x", "", "k" * 129, "bad*key"):
        try:
            with refused("InvalidParameterValue"):
                lab.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": key, "Value": "v"}])
        except botocore.exceptions.ParamValidationError:
            pass
    with refused("InvalidParameterValue"):
        lab.rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["aws:cloudformation:stack-name"])
    with refused("DBInstanceNotFound", status=404):
        tags(lab, arn + "x")
    with refused("InvalidParameterValue"):
        tags(lab, "prod-one")


def test_fifty_tags(lab, refused):
    lab.seed(TagList=[{"Key": f"k{number}", "Value": ""} for number in range(48)] + [{"Key": "aws:system", "Value": "x"}])
    arn = lab.describe("prod-one")["DBInstanceArn"]
    lab.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "x", "Value": ""}, {"Key": "y", "Value": ""}])
    with refused("InvalidParameterValue"):
        lab.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "z", "Value": ""}])
    lab.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "x", "Value": "changed"}])


def test_tags_of_a_snapshot_and_of_a_group(lab):
    lab.seed()
    arn = lab.snapshot(Tags=[{"Key": "a", "Value": "b"}])["DBSnapshotArn"]
    assert tags(lab, arn) == {"a": "b"}
    lab.rds.create_db_parameter_group(DBParameterGroupName="g", DBParameterGroupFamily="mysql8.0", Description="d",
                                      Tags=[{"Key": "c", "Value": "d"}])
    assert tags(lab, "arn:aws:rds:us-east-1:123456789012:pg:g") == {"c": "d"}


# Seeding

CAPTURED = [
    {"DBInstanceIdentifier": "reader", "Engine": "mysql", "EngineVersion": "8.0.42", "DBInstanceStatus": "available",
     "ReadReplicaSourceDBInstanceIdentifier": "shop", "BackupRetentionPeriod": 0, "DBInstanceClass": "db.r6g.large",
     "DBSubnetGroup": {"DBSubnetGroupName": "shop-subnets", "VpcId": "vpc-0a1b2c3d4e5f60718"},
     "DBParameterGroups": [{"DBParameterGroupName": "shop-reader", "ParameterApplyStatus": "in-sync"}]},
    {"DBInstanceIdentifier": "shop", "Engine": "mysql", "EngineVersion": "8.0.42", "DBInstanceStatus": "available", "AllocatedStorage": 500,
     "DBInstanceArn": "arn:aws:rds:us-east-1:999988887777:db:shop", "DbiResourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "MultiAZ": True,
     "ReadReplicaDBInstanceIdentifiers": ["reader", "arn:aws:rds:eu-west-1:999988887777:db:far"], "StorageType": "gp3", "Iops": 12000,
     "StorageThroughput": 500, "InstanceCreateTime": "2021-03-04T05:06:07.891000+00:00", "BackupRetentionPeriod": 14,
     "DBSubnetGroup": {"DBSubnetGroupName": "shop-subnets", "VpcId": "vpc-0a1b2c3d4e5f60718", "Subnets": [
         {"SubnetIdentifier": "subnet-0aaa", "SubnetAvailabilityZone": {"Name": "us-east-1a"}, "SubnetStatus": "Active"},
         {"SubnetIdentifier": "subnet-0bbb", "SubnetAvailabilityZone": {"Name": "us-east-1b"}, "SubnetStatus": "Active"}]},
     "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-0123456789abcdef0", "Status": "active"}], "Endpoint": {"Address": "x", "Port": 3310},
     "DBParameterGroups": [{"DBParameterGroupName": "shop", "ParameterApplyStatus": "pending-reboot"}],
     "OptionGroupMemberships": [{"OptionGroupName": "audited", "Status": "in-sync"}], "MonitoringInterval": 60,
     "MonitoringRoleArn": "arn:aws:iam::999988887777:role/service-role/rds-monitoring", "PerformanceInsightsEnabled": True,
     "PerformanceInsightsKMSKeyId": "arn:aws:kms:us-east-1:999988887777:key/0000aaaa-1111-2222-3333-444455556666",
     "AssociatedRoles": [{"RoleArn": "arn:aws:iam::999988887777:role/importer", "FeatureName": "s3Import", "Status": "ACTIVE"}],
     "MasterUserSecret": {"SecretArn": "arn:aws:secretsmanager:us-east-1:999988887777:secret:rds!db-1", "SecretStatus": "active",
                          "KmsKeyId": "arn:aws:kms:us-east-1:999988887777:key/0000aaaa-1111-2222-3333-444455556666"}},
]


def test_captured_fleet(lab):
    assert len(lab.plane.seed_captured(CAPTURED[::1], "us-east-1")) == 2
    shop, reader = lab.describe("shop"), lab.describe("reader")
    assert shop["DbiResourceId"] == "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert shop["DBInstanceArn"] == "arn:aws:rds:us-east-1:123456789012:db:shop"
    assert shop["ReadReplicaDBInstanceIdentifiers"] == ["reader", "arn:aws:rds:eu-west-1:123456789012:db:far"]
    assert reader["ReadReplicaSourceDBInstanceIdentifier"] == "shop"
    assert shop["VpcSecurityGroups"][0]["VpcSecurityGroupId"] == "sg-0123456789abcdef0"
    assert shop["DBParameterGroups"] == [{"DBParameterGroupName": "shop", "ParameterApplyStatus": "pending-reboot"}]
    assert shop["MonitoringRoleArn"] == "arn:aws:iam::123456789012:role/service-role/rds-monitoring"
    ec2 = lab.client("ec2")
    assert ec2.describe_security_groups(GroupIds=["sg-0123456789abcdef0"])["SecurityGroups"][0]["VpcId"] == shop["DBSubnetGroup"]["VpcId"]
    subnets = ec2.describe_subnets(SubnetIds=["subnet-0aaa", "subnet-0bbb"])["Subnets"]
    assert {subnet["VpcId"] for subnet in subnets} == {"vpc-0a1b2c3d4e5f60718"}
    assert lab.client("kms").describe_key(KeyId=shop["PerformanceInsightsKMSKeyId"])["KeyMetadata"]["KeyState"] == "Enabled"
    assert lab.client("iam").get_role(RoleName="rds-monitoring")["Role"]["Arn"] == shop["MonitoringRoleArn"]
    assert shop["MasterUserSecret"]["SecretArn"].startswith("arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-")
    lab.snapshot("snap", "shop")
    target = lab.restore(DBSubnetGroupName="shop-subnets", VpcSecurityGroupIds=["sg-0123456789abcdef0"], DBParameterGroupName="shop",
                         OptionGroupName="audited", MultiAZ=True)
    assert target["DBSubnetGroup"]["VpcId"] == "vpc-0a1b2c3d4e5f60718"


def test_seeding_says_what_is_wrong(lab):
    lab.seed()
    with pytest.raises(ValueError, match="twice"):
        lab.seed()
    with pytest.raises(ValueError, match="must be seeded first"):
        lab.seed_replica("r", "none")
    with pytest.raises(ValueError, match="subnet group"):
        lab.seed("x", DBSubnetGroup={"DBSubnetGroupName": "none"})


# Answers

def test_creation_through_the_api(lab, refused):
    members = {"DBInstanceIdentifier": "made", "Engine": "postgres", "EngineVersion": "16", "DBInstanceClass": "db.m6g.large",
               "AllocatedStorage": 50, "MasterUsername": "boss", "MasterUserPassword": "a-good-one-99"}
    lab.rds.create_db_instance(**members)
    with refused("DBInstanceAlreadyExists"):
        lab.rds.create_db_instance(**members)
    lab.finish()
    shown = lab.describe("made")
    assert (shown["DBInstanceStatus"], shown["EngineVersion"], shown["BackupRetentionPeriod"]) == ("available", "16.10", 1)
    with refused("InvalidParameterCombination"):
        lab.rds.create_db_instance(**{**members, "DBInstanceIdentifier": "two", "EngineVersion": "99"})


def test_events(lab, refused):
    lab.seed()
    lab.snapshot()
    found = lab.rds.describe_events(SourceType="db-snapshot", SourceIdentifier="snap")["Events"]
    assert [event["Message"] for event in found] == ["Creating manual snapshot", "Manual snapshot created"]
    assert found[0]["EventCategories"] == ["creation"] and found[0]["SourceArn"].endswith(":snapshot:snap")
    assert lab.rds.describe_events(SourceType="db-instance", EventCategories=["failure"])["Events"] == []
    with refused("InvalidParameterCombination"):
        lab.rds.describe_events(SourceIdentifier="snap")
    lab.advance(7200)
    assert lab.rds.describe_events()["Events"] == []
    assert len(lab.rds.describe_events(Duration=300)["Events"]) >= 2


def test_log_files(lab):
    lab.seed()
    for _unused in range(3):
        lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")
        lab.finish()
    files = lab.rds.describe_db_log_files(DBInstanceIdentifier="prod-one")["DescribeDBLogFiles"]
    sizes = {entry["LogFileName"]: entry["Size"] for entry in files}
    assert sizes["error/mysql-error.log"] > 0 and sizes["slowquery/mysql-slowquery.log"] == 0
    get = {"DBInstanceIdentifier": "prod-one", "LogFileName": "error/mysql-error.log"}
    entire = lab.rds.download_db_log_file_portion(**get, Marker="0")
    assert entire["AdditionalDataPending"] is False and entire["LogFileData"].count("DB instance restarted") == 3
    part = lab.rds.download_db_log_file_portion(**get, Marker="0", NumberOfLines=2)
    assert part["AdditionalDataPending"] is True and part["LogFileData"].count("\n") == 2
    rest = lab.rds.download_db_log_file_portion(**get, Marker=part["Marker"])
    assert part["LogFileData"] + rest["LogFileData"] == entire["LogFileData"]


def test_engine_versions_and_orderable_options(lab):
    found = lab.rds.describe_db_engine_versions(Engine="mysql", EngineVersion="8.0.42")["DBEngineVersions"]
    assert [entry["DBParameterGroupFamily"] for entry in found] == ["mysql8.0"]
    assert "8.4.7" in [target["EngineVersion"] for target in found[0]["ValidUpgradeTarget"]]
    for name, encrypts in (("db.m6g.large", True), ("db.m1.small", False), ("db.m2.xlarge", False), ("db.t1.micro", False),
                           ("db.t2.micro", False), ("db.t2.small", True)):
        options = lab.rds.describe_orderable_db_instance_options(Engine="mysql", EngineVersion="8.0.42", DBInstanceClass=name)
        assert {entry["SupportsStorageEncryption"] for entry in options["OrderableDBInstanceOptions"]} == {encrypts}


def test_other_answers(lab, refused):
    lab.seed()
    lab.plane.seed_maintenance("prod-one", "us-east-1")
    actions = lab.rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"]
    assert actions[0]["ResourceIdentifier"].endswith(":db:prod-one")
    assert lab.rds.describe_certificates()["DefaultCertificateForNewLaunches"] == "rds-ca-rsa2048-g1"
    for call, member in (("describe_blue_green_deployments", "BlueGreenDeployments"), ("describe_db_proxies", "DBProxies"),
                         ("describe_db_clusters", "DBClusters"), ("describe_event_subscriptions", "EventSubscriptionsList"),
                         ("describe_integrations", "Integrations")):
        assert getattr(lab.rds, call)()[member] == []
    with refused("CertificateNotFound", status=404):
        lab.rds.describe_certificates(CertificateIdentifier="none")


def test_subscriptions(lab, refused):
    lab.seed()
    lab.rds.create_event_subscription(SubscriptionName="s", SnsTopicArn="arn:aws:sns:us-east-1:123456789012:t", SourceType="db-instance",
                                      SourceIds=["prod-one"])
    with refused("SourceNotFound", status=404):
        lab.rds.add_source_identifier_to_subscription(SubscriptionName="s", SourceIdentifier="old-prod-one")
    lab.modify(NewDBInstanceIdentifier="old-prod-one")
    shown = lab.rds.add_source_identifier_to_subscription(SubscriptionName="s", SourceIdentifier="old-prod-one")["EventSubscription"]
    assert shown["SourceIdsList"] == ["prod-one", "old-prod-one"]       # names stay names
    with refused("SubscriptionNotFound", status=404):
        lab.rds.describe_event_subscriptions(SubscriptionName="none")


def test_neighbours_answer(lab):
    assert lab.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert lab.client("ec2").describe_vpcs()["Vpcs"]
    assert lab.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert lab.client("logs").describe_log_groups()["logGroups"] == []


def test_status_of_every_error_is_the_model_s():
    from rds_lab.control import wire
    from rds_lab.control.errors import RdsError

    model = wire.model()
    shapes = [model.shape_for(name) for name in model.shape_names]
    errors = [shape.metadata["error"] for shape in shapes if shape.type_name == "structure" and shape.metadata.get("exception")]
    assert len(errors) > 100
    assert [error["code"] for error in errors if RdsError(error["code"], "").status != error["httpStatusCode"]] == []


def test_activity_streams(lab, refused):
    key = lab.plane.seed_kms_key("alias/das", "us-east-1")
    lab.seed()
    resource_id = lab.seed("ora", Engine="oracle-ee", EngineVersion="19.0.0.0.ru-2025-01.rur-2025-01.r1")
    with refused("InvalidParameterCombination"):
        lab.rds.start_activity_stream(ResourceArn=lab.describe("prod-one")["DBInstanceArn"], Mode="async", KmsKeyId=key)
    lab.rds.start_activity_stream(ResourceArn=lab.describe("ora")["DBInstanceArn"], Mode="async", KmsKeyId=key)
    lab.advance(6)
    assert lab.describe("ora")["ActivityStreamStatus"] == "starting"
    lab.finish()
    shown = lab.describe("ora")
    assert (shown["ActivityStreamStatus"], shown["ActivityStreamKinesisStreamName"]) == ("started", f"aws-rds-das-{resource_id}")
    assert shown["ActivityStreamPolicyStatus"] == "locked"
    with refused("InvalidParameterValue"):
        lab.rds.modify_activity_stream(ResourceArn=shown["DBInstanceArn"])
    lab.rds.modify_activity_stream(ResourceArn=shown["DBInstanceArn"], AuditPolicyState="unlocked")
    lab.advance(6)
    assert lab.describe("ora")["ActivityStreamPolicyStatus"] == "unlocking-policy"
    lab.finish()
    assert lab.describe("ora")["ActivityStreamPolicyStatus"] == "unlocked"
    lab.rds.stop_activity_stream(ResourceArn=shown["DBInstanceArn"])
    lab.finish()
    assert lab.describe("ora")["ActivityStreamStatus"] == "stopped" and "ActivityStreamKmsKeyId" not in lab.describe("ora")


def test_backups_replicated_abroad(lab, refused):
    here, there = lab.plane.seed_kms_key("alias/here", "us-east-1"), lab.plane.seed_kms_key("alias/there", "eu-west-1")
    lab.seed(StorageEncrypted=True, KmsKeyId=here)
    abroad, arn = lab.client("rds", "eu-west-1"), lab.describe("prod-one")["DBInstanceArn"]
    with refused("InvalidParameterCombination"):
        lab.rds.start_db_instance_automated_backups_replication(SourceDBInstanceArn=arn)
    start = {"SourceDBInstanceArn": arn, "SourceRegion": "us-east-1"}
    with refused("InvalidParameterCombination", "KMS"):
        abroad.start_db_instance_automated_backups_replication(**start)
    with refused("KMSKeyNotAccessibleFault"):
        abroad.start_db_instance_automated_backups_replication(**start, KmsKeyId=here)
    found = abroad.start_db_instance_automated_backups_replication(**start, KmsKeyId=there)["DBInstanceAutomatedBackup"]
    lab.finish()
    assert lab.describe("prod-one")["DBInstanceAutomatedBackupsReplications"] == [
        {"DBInstanceAutomatedBackupsArn": found["DBInstanceAutomatedBackupsArn"]}]
    assert abroad.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"][0]["KmsKeyId"] == there
    abroad.stop_db_instance_automated_backups_replication(SourceDBInstanceArn=arn)
    lab.finish()
    assert "DBInstanceAutomatedBackupsReplications" not in lab.describe("prod-one")
    abroad.start_db_instance_automated_backups_replication(**start, KmsKeyId=there, BackupRetentionPeriod=3)
    lab.finish()
    again = abroad.describe_db_instance_automated_backups(DBInstanceAutomatedBackupsArn=found["DBInstanceAutomatedBackupsArn"])
    assert [copied["BackupRetentionPeriod"] for copied in again["DBInstanceAutomatedBackups"]] == [3]


def test_what_other_engines_have_at_the_restore(lab, refused):
    volume = {"VolumeName": "rdsdbdata2", "AllocatedStorage": 200, "StorageType": "gp3"}
    lab.seed("ora", Engine="oracle-ee-cdb", EngineVersion="19.0.0.0.ru-2025-01.rur-2025-01.r1", AllocatedStorage=100,
             AdditionalStorageVolumes=[volume], BackupRetentionPeriod=0)
    lab.rds.create_db_snapshot(DBInstanceIdentifier="ora", DBSnapshotIdentifier="s")
    lab.finish()
    restore = {"DBSnapshotIdentifier": "s", "DBInstanceIdentifier": "new-ora"}
    with refused("InvalidParameterCombination", "IAM"):
        lab.rds.restore_db_instance_from_db_snapshot(**restore, EnableIAMDatabaseAuthentication=False)
    lab.rds.restore_db_instance_from_db_snapshot(**restore, EnableCustomerOwnedIp=True, ProcessorFeatures=[{"Name": "coreCount", "Value": "2"}])
    lab.finish()
    shown = lab.describe("new-ora")
    assert (shown["AdditionalStorageVolumes"][0]["VolumeName"], shown["CustomerOwnedIpEnabled"]) == ("rdsdbdata2", True)
    assert shown["DBParameterGroups"][0]["DBParameterGroupName"] == "default.oracle-ee-cdb-19"
