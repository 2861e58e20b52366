# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every attribute with a value that RDS would not give by itself, for every engine: real playbooks against the lab, without SQL."""

from __future__ import annotations

import json

import pytest
from fakes import shapes, torture
from scenario_lab import REGION, Double

BY_NATURE = {"DbiResourceId", "EnhancedMonitoringResourceArn", "InstanceCreateTime", "LatestRestorableTime", "StorageEncrypted",
             "StorageEncryptionType", "KmsKeyId", "ActivityStreamKinesisStreamName"}
OF_MULTI_AZ = {"AvailabilityZone", "SecondaryAvailabilityZone"}
UNORDERED = {"TagList", "VpcSecurityGroups", "AssociatedRoles", "EnabledCloudwatchLogsExports", "ReadReplicaDBInstanceIdentifiers", "DomainMemberships"}


class Fast(Double):
    TIMESCALE = 1200


def fleet(vpc_id: str = "") -> list[dict]:
    """The torture fleet at home in the lab, as ``describe-db-instances`` would have printed it."""
    captured = json.loads(json.dumps(torture.fleet()).replace(shapes.REGION, REGION))
    for described in captured:
        described["DBSubnetGroup"]["VpcId"] = vpc_id
    return captured


def comparable(described: dict) -> dict:
    """A description without what differs by nature."""
    found = {member: value for member, value in described.items() if member not in BY_NATURE}
    if found["MultiAZ"]:
        found = {member: value for member, value in found.items() if member not in OF_MULTI_AZ}
    for member in UNORDERED & set(found):
        found[member] = sorted(found[member], key=str)
    if "DBInstanceAutomatedBackupsReplications" in found:
        found["DBInstanceAutomatedBackupsReplications"] = [each["DBInstanceAutomatedBackupsArn"].split(":")[3] for each in
                                                           found["DBInstanceAutomatedBackupsReplications"]]
    found["DomainMemberships"] = [{member: sorted(value) if member == "DnsIps" else value for member, value in domain.items()
                                   if member != "FQDN" or "Domain" not in domain} for domain in found["DomainMemberships"]]
    if not found["PerformanceInsightsEnabled"]:
        found.pop("PerformanceInsightsKMSKeyId", None)  # of earlier days
    if "MasterUserSecret" in found:
        found["MasterUserSecret"] = {**found["MasterUserSecret"], "SecretArn": "a new one"}
    found["TagList"] = [tag for tag in found["TagList"] if not tag["Key"].startswith("aws:")]
    return found


@pytest.fixture(scope="module")
def tortured(tmp_path_factory):
    """The lab after one run over the whole fleet; what was before; the run and its plan."""
    double = Fast()
    double.plane.seed_kms_key("alias/prod-rds", REGION)
    double.plane.seed_kms_key("alias/there", torture.FAR)
    network = double.plane.seed_network("torture", REGION)
    for group in ("torture", "torture-r", "sng"):
        double.plane.seed_subnet_group(group, vpc_id=network["vpc_id"], subnets=network["subnets"], region=REGION, network_types=("IPV4", "DUAL"))
    permanent = [{"OptionName": "TDE", "Permanent": True, "Persistent": True}]
    double.plane.seed_option_group("torture-oracle", "oracle-ee", "19", REGION, permanent)
    double.plane.seed_captured(fleet(network["vpc_id"]), REGION)
    before = double.instances()
    operator = double.operator(tmp_path_factory.mktemp("torture"))
    variables = {"backup_replication_kms_keys": {torture.FAR: "alias/there"}, "seed_snapshot": False}
    run = operator.run(torture.PRIMARIES, limit=400, **variables).good()
    yield {"double": double, "before": before, "after": double.instances(), "run": run}
    problems = double.problems
    double.close()
    assert not problems, problems


@pytest.mark.parametrize("name", [described["DBInstanceIdentifier"] for described in torture.fleet()])
def test_an_instance_is_the_same_but_encrypted(tortured, name):
    before, after = tortured["before"][name], tortured["after"][name]
    assert after["StorageEncrypted"] and after["KmsKeyId"] == tortured["double"].key() and after["DbiResourceId"] != before["DbiResourceId"]
    one, other = comparable(before), comparable(after)
    assert {member: (one.get(member), other.get(member)) for member in {*one, *other} if one.get(member) != other.get(member)} == {}


def test_the_plan_says_what_is_not_looked_at(tortured):
    for name in torture.PRIMARIES:
        said = tortured["run"].said(name)
        assert "SQL checks: none" in said
        assert f"{name}: database_access is false, so connections, accounts, settings and data are not checked by SQL." in said


def test_copies_of_backups_are_kept_as_long_as_before(tortured):
    copies = tortured["double"].client("rds", torture.FAR).describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    days = {copied["DbiResourceId"]: copied["BackupRetentionPeriod"] for copied in copies}
    sources = [name for name, described in tortured["before"].items() if described.get("DBInstanceAutomatedBackupsReplications")]
    assert len(sources) == 3
    assert days == {tortured[when][name]["DbiResourceId"]: 14 for name in sources for when in ("before", "after")}
