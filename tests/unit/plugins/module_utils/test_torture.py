# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every attribute with a value that RDS would not give by itself, for every engine, through the whole way."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.attributes import RULES, RULES_BY_MEMBER, Carry
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import own_tags, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.compare import compare, unexplained
from fakes import torture
from fakes.region import Region
from fakes.shapes import KEY, encrypted, instance, marks
from fakes.way import Way

SET = [rule for rule in RULES if rule.carry in (Carry.RESTORE, Carry.MODIFY, Carry.SEPARATE_CALL) or rule.replica]

NOT_ON_PRIMARIES = {
    "ReplicaMode": "of replicas only",
    "PromotionTier": "Aurora only: members of clusters are refused",
}
NOT_ON_REPLICAS = {
    "PromotionTier": "Aurora only: members of clusters are refused",
    "LicenseModel": "the source's",
    "EngineLifecycleSupport": "the source's",
    "AdditionalStorageVolumes": "the source's",
    "MasterUserSecret": "a replica has the password of its source",
    "ActivityStreamStatus": "the stream of the source audits what is done there",
    "ActivityStreamKmsKeyId": "as above",
    "ActivityStreamMode": "as above",
    "ActivityStreamEngineNativeAuditFieldsIncluded": "as above",
    "ActivityStreamPolicyStatus": "as above",
}
# What differs by nature; written down here once more, so that the product's table is no judge of itself.
BY_NATURE = {
    "ActivityStreamKinesisStreamName",
    "DBInstanceAutomatedBackupsReplications",
    "DbiResourceId",
    "EnhancedMonitoringResourceArn",
    "KmsKeyId",
    "MasterUserSecret",
    "ReadReplicaDBInstanceIdentifiers",
    "StatusInfos",
    "StorageEncrypted",
    "StorageEncryptionType",
    "TagList",
}
UNORDERED = ("VpcSecurityGroups", "AssociatedRoles", "DomainMemberships", "ProcessorFeatures")


def fleet():
    return {described["DBInstanceIdentifier"]: described for described in torture.fleet()}


def topology_of(name):
    return [described for identifier, described in fleet().items() if identifier == name or identifier.startswith(f"{name}-r")]


def is_tortured(rule, described, parent):
    """Whether a value would be lost if nobody carried it."""
    if not rule.applies(described, engine_row(described["Engine"])):
        return False
    default = (rule.cloned if parent else rule.restored)(rule, parent or described, {})
    plain = rule.read(parent or instance("plain")) if rule.restored(rule, described, {}) == rule.read(described) and not parent else default
    return rule.read(described) not in (None, plain)


@pytest.mark.parametrize("rule", SET, ids=lambda rule: rule.member)
def test_the_fleet_holds_every_attribute_that_is_carried(rule):
    instances = fleet()
    sources = [each for each in instances.values() if not each.get("ReadReplicaSourceDBInstanceIdentifier")]
    replicas = [(each, instances[each["ReadReplicaSourceDBInstanceIdentifier"]]) for each in instances.values() if each not in sources]
    on_primary = any(is_tortured(rule, each, None) for each in sources)
    on_replica = any(is_tortured(rule, each, parent) for each, parent in replicas)
    assert on_primary != (rule.member in NOT_ON_PRIMARIES), f"give a primary of fakes/torture.py a {rule.member}, or say why none can have it"
    assert on_replica != (rule.member in NOT_ON_REPLICAS), f"give a replica of fakes/torture.py a {rule.member}, or say why none can have it"


def facts(described):
    """What must be equal, in a form that can be compared."""
    found = {member: value for member, value in described.items() if member not in BY_NATURE and value not in (None, [], {}, False)}
    for member in UNORDERED:
        if member in found:
            found[member] = sorted(({key: sorted(each) if isinstance(each, list) else each for key, each in entry.items()} for entry in found[member]), key=str)
    if found.get("MultiAZ"):
        found.pop("AvailabilityZone", None)
    if found["StorageType"] != "gp3":
        found.pop("StorageThroughput", None)
    if "PerformanceInsightsEnabled" not in found:
        found.pop("PerformanceInsightsKMSKeyId", None)
    for entry in found.get("DomainMemberships", []):
        if "Domain" in entry:
            entry.pop("FQDN", None)  # follows from the directory
    if found.get("DatabaseInsightsMode") == "standard":
        found.pop("DatabaseInsightsMode")
    return found


def encrypt(instances, name, **more):
    region = Region(*copy.deepcopy(instances), **more)
    way = Way(region, name)
    way.backup_keys = {torture.FAR: "alias/rds"}
    way.everything()
    region.settle()
    return region


def assert_equal(region, instances, names):
    for before in instances:
        after = region.truth(before["DBInstanceIdentifier"])
        assert after["StorageEncrypted"] and after["KmsKeyId"] == KEY and after["DbiResourceId"] != before["DbiResourceId"]
        assert facts(after) == facts(before)
        assert own_tags(tags_of(after)) == own_tags(tags_of(before))
        assert bool(after.get("MasterUserSecret")) == bool(before.get("MasterUserSecret"))
        read = RULES_BY_MEMBER["DBInstanceAutomatedBackupsReplications"].read
        assert read(after) == read(before)
        old = region.truth("old-" + before["DBInstanceIdentifier"])
        rows = compare(old, after, names=names, kms_key_arn=KEY)
        assert [str(row) for row in unexplained(rows)] == []


@pytest.mark.parametrize("name", torture.PRIMARIES)
def test_a_tortured_topology_arrives_unharmed(name):
    instances = topology_of(name)
    region = encrypt(instances, name)
    assert_equal(region, instances, {f"old-{each['DBInstanceIdentifier']}": each["DBInstanceIdentifier"] for each in instances})


@pytest.mark.parametrize("name", torture.PRIMARIES)
def test_the_plan_of_a_tortured_topology_is_what_happens(name):
    region = Region(*topology_of(name))
    way = Way(region, name)
    way.backup_keys = {torture.FAR: "alias/rds"}
    way.everything()
    done = [{key: step[key] for key in ("action", "resource", "what")} for step in way.steps if step["action"] != "WaitUntilReady"]
    fence_id = next(step["resource"].rpartition("-")[2] for step in done if step["action"] == "CreateDBSnapshot")
    planned = next(step["resource"].rpartition("-")[2] for step in way.foreseen if step["action"] == "CreateDBSnapshot")
    assert by_resource(done, fence_id) == by_resource(way.foreseen, planned)


def by_resource(steps, fence_id):
    found = {}
    for step in steps:
        found.setdefault(step["resource"].replace(fence_id, "FENCE"), []).append((step["action"], step["what"].replace(fence_id, "FENCE")))
    return found


def test_a_dedicated_log_volume_that_is_missing_is_set_and_put_in_force_by_a_restart():
    source = instance("old-x", DbiResourceId="db-X", tags=marks("x", "source", "db-X", fenced="f1 then"), **torture.PROVISIONED)
    target = encrypted("new-x", **{**torture.PROVISIONED, "DedicatedLogVolume": False}, tags=marks("x", "target", "db-X"))
    region = Region(source, target)
    way = Way(region, "x")
    way.build()
    assert region.operations == ["ModifyDBInstance", "RebootDBInstance"]
    assert region.truth("new-x")["DedicatedLogVolume"] and region.truth("new-x")["PendingModifiedValues"] == {}


def test_tags_that_the_source_lacks_are_taken_off_the_target_but_for_those_asked_for():
    source = instance("old-x", DbiResourceId="db-X", tags={**marks("x", "source", "db-X", fenced="f1 then"), "team": "a"})
    made = {**marks("x", "target", "db-X"), "team": "a", "auto-stop": "nightly", "wanted": "1", "aws:backup:plan": "p"}
    region = Region(source, encrypted("new-x", tags=made))
    way = Way(region, "x", tags={"wanted": "1"})
    way.build()
    assert region.operations == ["RemoveTagsFromResource"]
    assert set(tags_of(region.truth("new-x"))) == set(made) - {"auto-stop"}


@pytest.mark.parametrize("keys", [{}, {torture.FAR: "alias/nothing"}, {"us-west-2": "alias/rds"}])
def test_backups_are_not_replicated_without_a_key_and_preflight_says_so(keys):
    region = Region(*topology_of("t-mysql"))
    way = Way(region, "t-mysql")
    way.backup_keys = keys
    seen = way.info(preflight=True)
    assert seen["action"] == "blocked" and region.calls == []
    assert {blocker["code"] for blocker in seen["blockers"]} == ({"kms_key"} if torture.FAR in keys else {"not_carried"})
    assert all("rds_encryption_backup_replication_kms_keys" in blocker["text"] for blocker in seen["blockers"])
    accepted = way.info(preflight=True, accepted_differences=["DBInstanceAutomatedBackupsReplications"])
    assert (accepted["action"] == "encrypt") == (torture.FAR not in keys)


def test_the_copy_of_backups_is_kept_as_long_as_the_one_of_the_source():
    region = encrypt(topology_of("t-sqlserver"), "t-sqlserver")
    before, after = sorted(region.far_backups.items(), key=lambda copy: "new" in copy[0])
    assert before[1] == after[1] == 14 and before[0] != after[0]


@pytest.mark.parametrize(
    ("fault", "after"),
    [("lost after", "StartActivityStream"), ("lost after", "StartDBInstanceAutomatedBackupsReplication"), ("lost before", "ModifyActivityStream"),
     ("InvalidDBInstanceAutomatedBackupState: not yet", "StartDBInstanceAutomatedBackupsReplication")],
)
def test_streams_and_copies_are_started_once_whatever_becomes_of_the_answer(fault, after):
    name = "t-oracle" if "Activity" in after else "t-sqlserver"
    instances = topology_of(name)
    region = Region(*copy.deepcopy(instances))
    region.faults[after] = [fault]
    way = Way(region, name)
    way.backup_keys = {torture.FAR: "alias/rds"}
    way.everything()
    region.settle()
    assert_equal(region, instances, {f"old-{each['DBInstanceIdentifier']}": each["DBInstanceIdentifier"] for each in instances})
    assert region.operations.count(after) == (1 if fault == "lost after" else 2)
