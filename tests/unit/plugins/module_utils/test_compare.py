# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The comparison: what is equal, what is explained, what is named as a difference, and that no secret shows."""

from __future__ import annotations

import datetime
import json

import botocore.session
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.attributes import RULES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.compare import (
    compare,
    count_verdicts,
    counterparts,
    refuse_unknown_members,
    unexplained,
    unified_diff,
)
from ansible_collections.dbre.rds_encryption.plugins.modules import rds_attr_diff

KEY = "arn:aws:kms:eu-central-1:111122223333:key/k"


def source(**changes):
    described = dict(
        DBInstanceIdentifier="old-prod-one",
        DbiResourceId="db-A",
        DBInstanceStatus="available",
        Engine="mysql",
        EngineVersion="8.0.36",
        AllocatedStorage=100,
        StorageType="gp2",
        StorageEncrypted=False,
        InstanceCreateTime=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),
        AvailabilityZone="a",
        Endpoint={"Address": "old-prod-one.abc.rds.amazonaws.com", "Port": 3306, "HostedZoneId": "Z"},
    )
    described.update(changes)
    return {member: value for member, value in described.items() if value is not None}


def target(**changes):
    return source(
        **{
            "DBInstanceIdentifier": "new-prod-one",
            "DbiResourceId": "db-B",
            "StorageEncrypted": True,
            "StorageEncryptionType": "sse-kms",
            "KmsKeyId": KEY,
            "Endpoint": {"Address": "new-prod-one.abc.rds.amazonaws.com", "Port": 3306, "HostedZoneId": "Z"},
            **changes,
        }
    )


def verdicts(of_source, of_target, **more):
    rows = compare(source(**of_source), target(**of_target), **{"kms_key_arn": KEY, **more})
    return {row.attribute: row.verdict for row in rows}, {row.attribute: row for row in rows}


def test_a_good_target_has_no_unexplained_difference():
    rows = compare(source(), target(), names={"old-prod-one": "new-prod-one"}, kms_key_arn=KEY)
    assert unexplained(rows) == []
    assert [row.attribute for row in rows] == sorted(row.attribute for row in rows)
    assert {row.attribute for row in rows if row.verdict == "explained"} >= {
        "DBInstanceIdentifier",
        "StorageEncrypted",
        "KmsKeyId",
        "Endpoint",
    }


CASES = [
    # member, on the source, on the target, verdict
    ("MultiAZ", True, False, "different"),
    ("MultiAZ", False, None, "equal"),
    ("CopyTagsToSnapshot", None, False, "equal"),
    ("MonitoringInterval", None, 0, "equal"),
    ("NetworkType", None, "IPV4", "equal"),
    ("NetworkType", "DUAL", "IPV4", "different"),
    ("ActivityStreamStatus", None, "stopped", "equal"),
    ("ActivityStreamStatus", "started", "stopped", "different"),
    ("AvailabilityZone", "a", "b", "different"),
    ("AllocatedStorage", 100, 150, "explained"),
    ("AllocatedStorage", 150, 100, "different"),
    ("Iops", 300, None, "explained"),  # gp2
    ("MaxAllocatedStorage", 100, None, "equal"),
    ("MaxAllocatedStorage", 200, None, "different"),
    ("EngineVersion", "8.0.36", "8.0.37", "different"),
    ("StorageEncrypted", False, False, "different"),
    ("StorageEncryptionType", "none", "none", "different"),
    ("StorageEncryptionType", "none", "sse-rds", "different"),
    ("StorageEncryptionType", None, None, "equal"),
    ("StorageEncryptionType", "none", "sse-kms", "explained"),
    ("StorageEncryptionType", "none", None, "explained"),
    ("KmsKeyId", None, "arn:aws:kms:eu-central-1:111122223333:key/other", "different"),
    ("KmsKeyId", None, None, "different"),
    ("DbiResourceId", "db-A", "db-A", "different"),
    ("DBInstanceStatus", "available", "storage-optimization", "explained"),
    ("DBInstanceStatus", "available", "modifying", "different"),
    ("DBInstanceStatus", "available", "backing-up", "explained"),
    ("PendingModifiedValues", {}, {"MultiAZ": True}, "different"),
    ("PendingModifiedValues", {"MultiAZ": True}, {}, "explained"),
    ("UpgradeRolloutOrder", "first", "second", "explained"),
    ("DBCapacityReservationIdentifier", "r", None, "explained"),
    ("SecondaryAvailabilityZone", "a", "b", "explained"),
    ("StatusInfos", [{"Status": "x"}], None, "explained"),
    ("DBSecurityGroups", [{"DBSecurityGroupName": "g"}], [], "explained"),
    ("TdeCredentialArn", "arn", None, "different"),
    ("AutomationMode", "full", None, "different"),
    ("ReadReplicaDBClusterIdentifiers", ["c"], [], "different"),
    ("PromotionTier", 1, None, "explained"),
    ("EngineLifecycleSupport", None, "open-source-rds-extended-support", "explained"),
    ("EngineLifecycleSupport", "open-source-rds-extended-support-disabled", "open-source-rds-extended-support", "different"),
    ("EnhancedMonitoringResourceArn", "arn:1", "arn:2", "explained"),
    ("EnhancedMonitoringResourceArn", "arn:1", None, "different"),
    ("CertificateDetails", {"CAIdentifier": "a", "ValidTill": 1}, {"CAIdentifier": "a", "ValidTill": 2}, "equal"),
    ("CertificateDetails", {"CAIdentifier": "a"}, {"CAIdentifier": "b"}, "different"),
    ("PerformanceInsightsKMSKeyId", "k", None, "explained"),  # it is off
    ("EnabledCloudwatchLogsExports", ["a", "b"], ["b", "a"], "equal"),
    ("EnabledCloudwatchLogsExports", ["a"], ["b", "a"], "different"),
    (
        "VpcSecurityGroups",
        [{"VpcSecurityGroupId": "1", "Status": "active"}],
        [{"VpcSecurityGroupId": "1", "Status": "adding"}],
        "different",
    ),
    (
        "VpcSecurityGroups",
        [{"VpcSecurityGroupId": "1", "Status": "active"}],
        [{"VpcSecurityGroupId": "2", "Status": "active"}],
        "different",
    ),
    ("DBSubnetGroup", {"DBSubnetGroupName": "s", "VpcId": "v"}, {"DBSubnetGroupName": "s", "VpcId": "w"}, "different"),
    (
        "DBSubnetGroup",
        {"DBSubnetGroupName": "s", "VpcId": "v", "Subnets": [1]},
        {"DBSubnetGroupName": "s", "VpcId": "v"},
        "equal",
    ),
    ("OptionGroupMemberships", None, [{"OptionGroupName": "default:mysql-8-0", "Status": "in-sync"}], "explained"),
    ("OptionGroupMemberships", [{"OptionGroupName": "o"}], [{"OptionGroupName": "o", "Status": "failed"}], "different"),
    ("AssociatedRoles", [{"RoleArn": "r", "FeatureName": "f"}], [{"RoleArn": "r", "FeatureName": "f", "Status": "INVALID"}], "different"),
    (
        "DBInstanceAutomatedBackupsReplications",
        [{"DBInstanceAutomatedBackupsArn": "arn:aws:rds:us-east-1:1:auto-backup:a"}],
        [{"DBInstanceAutomatedBackupsArn": "arn:aws:rds:us-east-1:1:auto-backup:b"}],
        "equal",
    ),
    (
        "DBInstanceAutomatedBackupsReplications",
        [{"DBInstanceAutomatedBackupsArn": "arn:aws:rds:us-east-1:1:auto-backup:a"}],
        [{"DBInstanceAutomatedBackupsArn": "arn:aws:rds:us-west-1:1:auto-backup:b"}],
        "different",
    ),
    ("TagList", [{"Key": "a", "Value": "1"}], [{"Key": "a", "Value": "2"}], "different"),
    ("TagList", [], [{"Key": "a", "Value": "2"}], "different"),
    ("TagList", [{"Key": "aws:x", "Value": "1"}], [], "explained"),
    ("TagList", [], [{"Key": "rds-encryption:name", "Value": "n"}], "explained"),
    ("MasterUserSecret", {"SecretArn": "a", "KmsKeyId": "k"}, {"SecretArn": "b", "KmsKeyId": "k", "SecretStatus": "active"}, "explained"),
    ("MasterUserSecret", {"SecretArn": "a", "KmsKeyId": "k"}, {"SecretArn": "b", "KmsKeyId": "k", "SecretStatus": "impaired"}, "different"),
    ("MasterUserSecret", {"SecretArn": "a", "KmsKeyId": "k"}, {"SecretArn": "b", "KmsKeyId": "l"}, "different"),
    ("MasterUserSecret", {"SecretArn": "a", "KmsKeyId": "k"}, None, "different"),
    (
        "DBParameterGroups",
        [{"DBParameterGroupName": "g", "ParameterApplyStatus": "in-sync"}],
        [{"DBParameterGroupName": "g", "ParameterApplyStatus": "pending-reboot"}],
        "different",
    ),
    (
        "DBParameterGroups",
        [{"DBParameterGroupName": "g", "ParameterApplyStatus": "pending-reboot"}],
        [{"DBParameterGroupName": "g", "ParameterApplyStatus": "in-sync"}],
        "explained",
    ),
    ("DomainMemberships", [{"Domain": "d", "Status": "joined"}], [{"Domain": "d", "Status": "joining"}], "different"),
    ("Endpoint", {"Address": "old-prod-one.abc.rds", "Port": 1}, {"Address": "new-prod-one.abc.rds", "Port": 2}, "different"),
    ("Endpoint", {"Address": "old-prod-one.abc.rds", "Port": 1}, {"Address": "new-prod-one.xyz.rds", "Port": 1}, "different"),
    ("BrandNew", 1, 1, "equal"),
    ("BrandNew", 1, 2, "unknown"),
    ("BrandNew", None, 2, "unknown"),
    ("BrandNew", None, [], "equal"),
]


@pytest.mark.parametrize(("member", "mine", "its", "expected"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_verdicts(member, mine, its, expected):
    found, rows = verdicts({member: mine}, {member: its})
    assert found.get(member, "equal") == expected
    if expected != "equal":
        assert rows[member].reason


def test_every_rule_can_find_a_difference_or_says_why_not():
    """No row is blind: two unlike values give something other than equal."""
    tried = {case[0] for case in CASES if case[3] != "equal"}
    odd = {"DBInstanceArn": ("arn:a", "arn:b")}
    for rule in RULES:
        if rule.member in tried or rule.member in ("DBInstanceIdentifier", "DBSubnetGroup"):
            continue
        mine, its = odd.get(rule.member, ("x", None))
        if rule.member == "AdditionalStorageVolumes":
            mine = [{"VolumeName": "rdsdbdata2"}]
        if rule.member == "ProcessorFeatures":
            mine = [{"Name": "a", "Value": "b"}]
        if rule.member == "ListenerEndpoint":
            mine = {"Address": "a"}
        found, _rows = verdicts({rule.member: mine}, {rule.member: its})
        assert found[rule.member] != "equal", rule.member


def test_names_are_mapped():
    links = {"ReadReplicaDBInstanceIdentifiers": ["prod-one-b", "prod-one-a"]}
    same = {"ReadReplicaDBInstanceIdentifiers": ["new-prod-one-a", "new-prod-one-b"]}
    names = counterparts(source(**links), target(**same), old_prefix="old-", new_prefix="new-")
    assert names == {"old-prod-one": "new-prod-one", "prod-one-a": "new-prod-one-a", "prod-one-b": "new-prod-one-b"}
    assert verdicts(links, same, names=names)[0]["ReadReplicaDBInstanceIdentifiers"] == "explained"
    fewer = {"ReadReplicaDBInstanceIdentifiers": ["new-prod-one-a"]}
    names = counterparts(source(**links), target(**fewer), old_prefix="old-", new_prefix="new-")
    assert verdicts(links, fewer, names=names)[0]["ReadReplicaDBInstanceIdentifiers"] == "different"
    assert (
        verdicts(links, fewer, names=names, to_come={"ReadReplicaDBInstanceIdentifiers"})[0]["ReadReplicaDBInstanceIdentifiers"]
        == "explained"
    )


@pytest.mark.parametrize(
    ("mine", "its"),
    [
        ("old-prod-one", "new-prod-one"),  # both still on their side
        ("old-prod-one", "prod-one"),  # cut over
        ("prod-one", "new-prod-one"),  # not fenced
        ("arn:aws:rds:eu-west-1:1:db:old-prod-one", "arn:aws:rds:eu-west-1:1:db:prod-one"),
        ("old-new-york", "new-york"),  # a name that looks like a prefix
        ("new-york", "new-new-york"),
    ],
)
def test_replicas_follow_the_counterpart(mine, its):
    link = "ReadReplicaSourceDBInstanceIdentifier"
    mine, its = {link: mine, "DBInstanceIdentifier": "a-replica"}, {link: its, "DBInstanceIdentifier": "new-a-replica"}
    names = counterparts(source(**mine), target(**its), old_prefix="old-", new_prefix="new-")
    assert verdicts(mine, its, names=names)[0][link] == "explained"
    other = {link: "prod-two", "DBInstanceIdentifier": "new-a-replica"}
    names = counterparts(source(**mine), target(**other), old_prefix="old-", new_prefix="new-")
    assert verdicts(mine, other, names=names)[0][link] == "different"


def test_a_target_that_still_replicates_from_the_source_is_different():
    link = "ReadReplicaSourceDBInstanceIdentifier"
    names = {"old-prod-one": "new-prod-one"}
    assert verdicts({link: "old-prod-one"}, {link: "old-prod-one"}, names=names)[0][link] == "different"


def test_accepted_differences_are_explained_and_stay_visible():
    rows = compare(source(MultiAZ=True, New=1), target(MultiAZ=False), kms_key_arn=KEY, accepted_differences=["MultiAZ", "New"])
    assert unexplained(rows) == []
    row = next(row for row in rows if row.attribute == "MultiAZ")
    assert row.verdict == "explained" and row.reason.startswith("accepted by the operator") and row.source is True
    assert count_verdicts(rows)["unknown"] == 0


def test_misspelt_members_are_refused():
    with pytest.raises(RefusedError, match="multi_az .*did you mean MultiAZ"):
        refuse_unknown_members(["multi_az", "AvailabilityZone"], source(), target())
    refuse_unknown_members(["AvailabilityZone", "BrandNew"], source(BrandNew=1), target())


@pytest.mark.parametrize("member", ["StorageEncrypted", "StorageEncryptionType", "KmsKeyId", "DbiResourceId"])
def test_some_differences_cannot_be_accepted(member):
    plain = target(StorageEncrypted=False, StorageEncryptionType="none", KmsKeyId=None, DbiResourceId="db-A")
    rows = compare(source(), plain, kms_key_arn=KEY, accepted_differences=[member])
    assert member in {row.attribute for row in unexplained(rows)}
    with pytest.raises(RefusedError, match=member):
        refuse_unknown_members([member], source(), plain)


def test_no_secret_shows():
    secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:TOPSECRET"
    domain = [{"FQDN": "x.y", "OU": "o", "AuthSecretArn": secret + "1", "DnsIps": ["1.1.1.1"], "Status": "joined"}]
    rows = compare(
        source(
            MasterUserSecret={"SecretArn": secret, "KmsKeyId": "k"},
            DomainMemberships=domain,
            TdeCredentialArn=secret,
            Novelty={"NewSecretArn": secret, "Nested": [{"AuthToken": "TOPSECRET"}]},
            PendingModifiedValues={"MasterUserPassword": "TOPSECRET"},
        ),
        target(
            MasterUserSecret={"SecretArn": secret + "2", "KmsKeyId": "k"},
            DomainMemberships=[{**domain[0], "AuthSecretArn": secret + "2"}],
            PendingModifiedValues={"MasterUserPassword": "TOPSECRET"},
        ),
    )
    everything = json.dumps([row.to_dict() for row in rows]) + "".join(map(str, rows)) + json.dumps(unified_diff(rows))
    assert "TOPSECRET" not in everything and "(given)" in everything
    assert {row.attribute: row.verdict for row in rows}["DomainMemberships"] == "different"


def test_the_diff_is_one_attribute_a_line():
    rows = compare(source(MultiAZ=True), target(MultiAZ=False), kms_key_arn=KEY)
    diff = unified_diff(rows, before_header="a", after_header="b")
    before, after = diff["before"].splitlines(), diff["after"].splitlines()
    assert len(before) == len(after) == len(rows) and diff["before_header"] == "a"
    unlike = [(mine, its) for mine, its in zip(before, after, strict=True) if mine != its]
    assert ("MultiAZ: true", "MultiAZ: false  # different: without its standby the instance does not survive the loss of a zone") in unlike
    assert len(unlike) == sum(row.verdict != "equal" for row in rows)


# -- The module ------------------------------------------------------------------------------------------------------------------------


class Client:
    """An RDS and KMS that know some instances and one key."""

    meta = type("Meta", (), {"region_name": "eu-central-1", "service_model": botocore.session.get_session().get_service_model("rds")})

    def __init__(self, *instances):
        self.instances = {each["DBInstanceIdentifier"]: each for each in instances}

    def describe_db_instances(self, DBInstanceIdentifier):
        if DBInstanceIdentifier not in self.instances:
            error = {"Error": {"Code": "DBInstanceNotFound", "Message": "no"}}
            raise rds_read.ClientError(error, "DescribeDBInstances")
        return {"DBInstances": [self.instances[DBInstanceIdentifier]]}

    def describe_key(self, KeyId):
        if KeyId != "alias/rds":
            raise rds_read.ClientError({"Error": {"Code": "NotFoundException", "Message": "no"}}, "DescribeKey")
        return {"KeyMetadata": {"Arn": KEY, "KeyState": "Enabled"}}


class Context:
    def __init__(self, client, **params):
        defaults = {name: option.get("default") for name, option in rds_attr_diff.ARGUMENT_SPEC.items()}
        self.params = {
            **defaults,
            "source_db_instance_identifier": "old-prod-one",
            "target_db_instance_identifier": "new-prod-one",
            **params,
        }
        self.check_mode, self.diff_mode = False, True
        self.client = lambda service: client


def test_module_reports_explained_differences():
    result = rds_attr_diff.run(Context(Client(source(), target()), kms_key_id="alias/rds"))
    assert result["changed"] is False and result["counts"]["different"] == 0
    assert all(row["verdict"] == "explained" for row in result["rows"])
    assert result["diff"]["before_header"] == "old-prod-one"
    everything = rds_attr_diff.run(Context(Client(source(), target()), all=True))
    assert sum(everything["counts"].values()) == len(everything["rows"]) > len(result["rows"])
    json.dumps(everything)


def test_module_fails_with_the_differences_by_name():
    client = Client(source(MultiAZ=True), target(MultiAZ=False))
    with pytest.raises(EncryptionError, match="MultiAZ: true -> false") as failure:
        rds_attr_diff.run(Context(client))
    assert [row["attribute"] for row in failure.value.facts["rows"] if row["verdict"] == "different"] == ["MultiAZ"]
    assert rds_attr_diff.run(Context(client, fail_on_difference=False))["counts"]["different"] == 1
    assert rds_attr_diff.run(Context(client, accepted_differences=["MultiAZ"]))["counts"]["different"] == 0


def test_module_says_what_is_not_there():
    with pytest.raises(EncryptionError, match="no DB instance new-prod-one in eu-central-1"):
        rds_attr_diff.run(Context(Client(source())))
    with pytest.raises(EncryptionError, match="KMS knows no key alias/other"):
        rds_attr_diff.run(Context(Client(source(), target()), kms_key_id="alias/other"))


WHEN = datetime.datetime(2026, 3, 4, 5, 6, 7, 890000, tzinfo=datetime.timezone.utc)


class NoAws:
    def __getattr__(self, name):
        raise AssertionError(f"AWS was asked: {name}")


def saved(folder, *descriptions, wrap=lambda instances: {"DBInstances": instances}):
    """A file as the AWS CLI writes it: times in ISO 8601."""
    path = folder / f"saved-{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(wrap(list(descriptions)), default=lambda moment: moment.isoformat()), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("wrap", [lambda all_: {"DBInstances": all_}, lambda all_: all_, lambda all_: all_[0]], ids=["as the CLI", "list", "one"])
def test_a_saved_description_stands_for_the_instance(tmp_path, wrap):
    before = saved(tmp_path, source(InstanceCreateTime=WHEN, NobodyKnowsWhen=WHEN, MultiAZ=True), wrap=wrap)
    now = Client(target(InstanceCreateTime=WHEN, NobodyKnowsWhen=WHEN, MultiAZ=True))
    context = Context(now, source_description=before, source_db_instance_identifier=None, kms_key_id="alias/rds")
    result = rds_attr_diff.run(context)
    assert result["counts"]["different"] == result["counts"]["unknown"] == 0
    assert result["diff"]["before_header"] == f"old-prod-one ({before})"
    changed = Client(target(MultiAZ=False))
    with pytest.raises(EncryptionError, match="new-prod-one is not equal to old-prod-one .*MultiAZ: true -> false"):
        rds_attr_diff.run(Context(changed, source_description=before))


@pytest.mark.parametrize("key, different", [(KEY, 0), (KEY + "0", 1), (None, 0)])
def test_two_saved_descriptions_need_no_aws(tmp_path, key, different):
    before, after = saved(tmp_path, source(), source(DBInstanceIdentifier="other")), saved(tmp_path, target(), source())
    options = dict(source_description=before, target_description=after, kms_key_id=key, fail_on_difference=False)
    result = rds_attr_diff.run(Context(NoAws(), **options))
    assert result["counts"]["different"] == different


@pytest.mark.parametrize(
    ("text", "identifier", "words"),
    [
        (None, None, "cannot be read"),
        ("{not json", None, "is not JSON"),
        ("[" * 100000, None, "is not JSON"),
        ("[1, 2]", None, "does not hold descriptions"),
        ('{"db_instance_identifier": "x"}', None, "does not hold descriptions"),
        ('{"DBInstances": []}', None, "holds no DB instance"),
        ('{"DBInstanceIdentifier": "a"}', "b", "holds no DB instance b"),
        ('[{"DBInstanceIdentifier": "a"}, {"DBInstanceIdentifier": "b"}]', None, "holds 2 times a DB instance"),
        ('{"DBInstanceIdentifier": "a", "Endpoint": "text", "DBParameterGroups": 7}', None, "not described as RDS describes"),
        (b"\xff\xfe", None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_description_is_refused_in_words(tmp_path, text, identifier, words):
    path = tmp_path / "file.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    options = dict(source_description=str(path), source_db_instance_identifier=identifier)
    with pytest.raises(EncryptionError, match=words):
        rds_attr_diff.run(Context(Client(target()), **options))


def test_each_side_is_named_by_identifier_or_file():
    validator = ArgumentSpecValidator(rds_attr_diff.ARGUMENT_SPEC, **rds_attr_diff.ARGUMENT_RULES)
    both = {"source_description": "a.json", "target_db_instance_identifier": "b"}
    assert validator.validate(both).error_messages == []
    assert len(validator.validate({"source_description": "a.json"}).error_messages) == 1
    assert "source_db_instance_identifier" in str(validator.validate({}).error_messages)


def test_accepted_parameters_are_those_of_the_installed_botocore():
    assert {"MultiAZ", "DBSnapshotIdentifier"} <= rds_read.accepted_parameters(Client(), "RestoreDBInstanceFromDBSnapshot")
    assert "PreferredMaintenanceWindow" not in rds_read.accepted_parameters(Client(), "RestoreDBInstanceFromDBSnapshot")
