# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: every blocker by its code and words, and none where nothing stands against it."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.preflight import (
    Key,
    Needs,
    Policy,
    Quarantine,
    Surroundings,
    encrypted_summary,
    judge,
    topology_needs,
)
from fakes.shapes import KEY, MARK, OTHER_KEY, arn_of, encrypted, encrypted_replica, instance, marks, replica

FENCED = marks("x", "source", "db-X", fenced="f1 then")
TARGET = marks("x", "target", "db-X")
CUT = {**FENCED, MARK + "validated": "f1 t", MARK + "target-resource-id": "db-T", MARK + "cut-over-at": "t"}
GOOD_KEY = Key("alias/rds", arn=KEY)


def verdict(*there, around=None, policy=None, needs=None, prefixes=None, name="x"):
    prefixes = prefixes or Prefixes()
    listing = Listing(there)
    topology = find_topology(name, listing, prefixes)
    return judge(topology, listing, around or Surroundings(GOOD_KEY), policy or Policy(), needs or topology_needs(topology))


def source(identifier="x", **more):
    return instance(identifier, **{"DbiResourceId": "db-X", **more})


def target(identifier="new-x", **more):
    return encrypted(identifier, DbiResourceId="db-T", **{"tags": TARGET, **more})


PENDING_REBOOT = [{"DBParameterGroupName": "pg", "ParameterApplyStatus": "pending-reboot"}]
FAILED_GROUP = [{"DBParameterGroupName": "pg", "ParameterApplyStatus": "failed-to-apply"}]

NO_GROUP = Quarantine("sg-q", problem="EC2 knows no security group sg-q")
# (code, resource, words, what is there, how it is judged)
BLOCKERS = [
    ("kms_key", "alias/no", "KMS knows no key", [source()], dict(around=Surroundings(Key("alias/no", problem="KMS knows no key alias/no")))),
    ("engine", "x", "runs aurora-mysql", [source(Engine="aurora-mysql")], {}),
    ("engine", "x", "RDS Custom", [source(Engine="custom-oracle-ee")], {}),
    ("engine", "x", "does not know", [source(Engine="sybase")], {}),
    (
        "strategy",
        "x",
        "Strategy mysql_replication is not possible for postgres; possible: cold",
        [source(Engine="postgres")],
        dict(policy=Policy("mysql_replication")),
    ),
    ("backups_off", "x", "no binary log", [source(BackupRetentionPeriod=0)], dict(policy=Policy("mysql_replication"))),
    ("managed_password", "x", "RDS manages", [source(MasterUserSecret={"SecretArn": "a"})], dict(policy=Policy("mysql_replication"))),
    ("database_access", "x", "works by SQL", [source()], dict(policy=Policy("mysql_replication", database_access=False))),
    ("prefix", "x", "must both be set, and differ", [source()], dict(prefixes=Prefixes("", "new-"))),
    ("prefix", "x", "must both be set, and differ", [source()], dict(prefixes=Prefixes("a-", "a-"))),
    ("name", "old-" + "x" * 60, "64 characters", [source("x" * 60)], dict(name="x" * 60)),
    ("name", "o--x", "single hyphens", [source()], dict(prefixes=Prefixes("o--", "new-"))),
    ("name", "new-x-" + "r" * 60, "RDS allows 63", [source(), replica("x-" + "r" * 60, "x")], {}),
    ("name_taken", "old-x", "old-x exists already", [source(), instance("old-x")], {}),
    ("name_taken", "new-x", "new-x exists already", [source(), encrypted("new-x")], {}),
    ("name_taken", "new-x-r", "new-x-r exists already", [source(), replica("x-r", "x"), instance("new-x-r")], {}),
    ("name_taken", "new-x", "made under fence f1, which is no longer in force, so it may lack writes", [source(tags=FENCED), target()], {}),
    (
        "name_taken",
        "new-x",
        "made under fence f0, which is no longer in force",
        [source("old-x", tags=FENCED), target(tags=marks("x", "target", "db-X", "f0"))],
        {},
    ),
    (
        "cross_region_replica",
        "x",
        "arn:aws:rds:us-east-1:1:db:far",
        [source(ReadReplicaDBInstanceIdentifiers=["arn:aws:rds:us-east-1:1:db:far"])],
        {},
    ),
    ("cluster_replica", "x", "cluster replicas", [source(ReadReplicaDBClusterIdentifiers=["c"])], {}),
    ("cluster_member", "x", "member of cluster c", [source(DBClusterIdentifier="c")], {}),
    ("tde_credential", "x", "CloudHSM", [source(TdeCredentialArn="arn:hsm")], {}),
    ("rds_custom", "x", "RDS Custom", [source(AutomationMode="full")], {}),
    ("rds_custom", "x", "RDS Custom", [source(CustomIamInstanceProfile="p")], {}),
    ("blue_green", "x", "blue/green deployment", [source()], dict(around=Surroundings(GOOD_KEY, deployments=frozenset({"x"})))),
    ("tags", "x", "has 43 tags; RDS allows 50 and a run adds up to 16", [source(tags={f"t{n}": "" for n in range(43)})], {}),
    ("class", "x", "db.t2.micro cannot be encrypted", [source(DBInstanceClass="db.t2.micro")], {}),
    (
        "class",
        "x",
        "Change its class first",
        [source()],
        dict(around=Surroundings(GOOD_KEY, encryptable={("mysql", "8.0.36", "db.m6g.large"): False})),
    ),
    ("status", "x", "x is stopped; it must be available. Start the instance", [source(DBInstanceStatus="stopped")], {}),
    # Snapshots can be taken meanwhile, but RDS does not say that it can be renamed.
    ("status", "x", "x is storage-optimization", [source(DBInstanceStatus="storage-optimization")], {}),
    ("status", "x", "x is modifying", [source(DBInstanceStatus="modifying")], {}),
    ("status", "x-r", "x-r is storage-full", [source(), replica("x-r", "x", DBInstanceStatus="storage-full")], {}),
    ("status", "old-x", "old-x is storage-full", [source("old-x", tags=FENCED, DBInstanceStatus="storage-full")], {}),
    ("broken", "x", "failed to apply: mend it first", [source(DBParameterGroups=FAILED_GROUP)], {}),
    ("pending_modified_values", "x", "pending modifications (MultiAZ)", [source(PendingModifiedValues={"MultiAZ": True})], {}),
    ("pending_reboot", "x", "waits for a restart", [source(DBParameterGroups=PENDING_REBOOT)], {}),
    (
        "pending_maintenance",
        "x",
        "pending maintenance (new OS)",
        [source()],
        dict(around=Surroundings(GOOD_KEY, maintenance={arn_of("x"): ["new OS"]})),
    ),
    # Marks of an earlier fence on a source that got its name back excuse nothing.
    ("pending_modified_values", "x", "MultiAZ", [source(tags=FENCED, PendingModifiedValues={"MultiAZ": True})], {}),
    ("pending_reboot", "x", "restart", [source(tags=FENCED, DBParameterGroups=PENDING_REBOOT)], {}),
    (
        "quota",
        "DBInstances",
        "needs 1 more DB instances; 40 of 40 are in use",
        [source()],
        dict(around=Surroundings(GOOD_KEY, quotas={"DBInstances": (40, 40)})),
    ),
    (
        "quota",
        "AllocatedStorage",
        "needs 100 more GiB",
        [source()],
        dict(around=Surroundings(GOOD_KEY, quotas={"AllocatedStorage": (950, 1000)})),
    ),
    (
        "quota",
        "ManualSnapshots",
        "needs 2 more manual snapshots",
        [source()],
        dict(around=Surroundings(GOOD_KEY, quotas={"ManualSnapshots": (99, 100)})),
    ),
    (
        "replica_vpc",
        "x",
        "are in vpc-1, vpc-2",
        [source(), replica("x-r", "x"), replica("x-s", "x", DBSubnetGroup={"DBSubnetGroupName": "far", "VpcId": "vpc-2"})],
        {},
    ),
    ("quarantine", "sg-q", "knows no security group", [source()], dict(around=Surroundings(GOOD_KEY, quarantine=NO_GROUP))),
    ("quarantine", "x", "belongs to vpc-2", [source()], dict(around=Surroundings(GOOD_KEY, quarantine=Quarantine("sg-q", vpc="vpc-2")))),
    ("quarantine", "x", "no tag says", [source()], dict(around=Surroundings(GOOD_KEY, quarantine=Quarantine("sg-1", vpc="vpc-1")))),
    ("quarantine", "sg-q", "no inbound rule", [source()], dict(around=Surroundings(GOOD_KEY, quarantine=Quarantine("sg-q", "vpc-1", admits_nobody=True)))),
    ("quota", "DBInstances", "needs 30 more", [source()], dict(around=Surroundings(GOOD_KEY, quotas={"DBInstances": (11, 40)}), needs=Needs(30))),
    ("unknown_instance", "x", "no DB instance x", [instance("y")], {}),
]


@pytest.mark.parametrize(("code", "resource", "words", "there", "how"), BLOCKERS, ids=[f"{b[0]} {n}" for n, b in enumerate(BLOCKERS)])
def test_blockers(code, resource, words, there, how):
    said = verdict(*there, **how)
    assert said.action == "blocked"
    assert (code, resource) in [(b.code, b.resource) for b in said.blockers]
    text = next(b.text for b in said.blockers if (b.code, b.resource) == (code, resource))
    assert words in text
    assert said.reason == said.blockers[0].text
    assert {b.code for b in said.blockers} <= {code, *({"engine", "strategy"} if code in ("cluster_member", "rds_custom") else ())}


# (what is there, words of the reason)
GOING = [
    ([source()], "x is not encrypted."),
    ([source(), replica("x-r", "x"), instance("y")], "x is not encrypted."),
    ([source(tags=FENCED)], "x is not encrypted."),
    ([source(StorageEncryptionType=None)], "not encrypted"),
    ([source("old-x", tags=FENCED)], "x is fenced as old-x; its target is not restored yet."),
    # In the middle of the fence: the rename is pending, or its restart.
    ([source(tags=FENCED, PendingModifiedValues={"DBInstanceIdentifier": "old-x"})], "not encrypted"),
    ([source(tags=FENCED, DBInstanceStatus="renaming")], "not encrypted"),
    ([source("old-x", tags=FENCED, DBInstanceStatus="rebooting", PendingModifiedValues={"MultiAZ": True})], "is fenced"),
    ([source("old-x", tags=FENCED, DBParameterGroups=PENDING_REBOOT)], "is fenced"),
    ([source("old-x", tags=FENCED), target()], "x is built as new-x; not cut over yet."),
    ([source("old-x", tags=FENCED), replica("old-x-r", "old-x"), target()], "new-x is restored; still to make: new-x-r."),
    ([source("old-x", tags=CUT), target("x")], "cut over but not tidied up"),
]


@pytest.mark.parametrize(("there", "words"), GOING)
def test_nothing_stands_against_it(there, words):
    said = verdict(*there)
    assert (said.action, said.blockers) == ("encrypt", ())
    assert words in said.reason


NOTHING = [
    ([encrypted("x")], f"encrypted already with {KEY}."),
    ([encrypted("x", KmsKeyId=OTHER_KEY)], "changing that is a re-key"),
    ([encrypted("x", KmsKeyId=None, StorageEncrypted=False, StorageEncryptionType="sse-rds")], "with an AWS-owned key"),
    ([encrypted("x", DBClusterIdentifier="c")], "as a member of cluster c"),
    ([source("old-x", tags=CUT), target("x", tags=None)], "old-x is kept until it is retired"),
    ([replica("x", "y")], "read replica of y"),
]


@pytest.mark.parametrize(("there", "words"), NOTHING)
def test_nothing_to_do(there, words):
    said = verdict(*there)
    assert (said.action, said.blockers) == ("none", ())
    assert words in said.reason


def test_every_reason_at_once():
    there = [
        source(DBInstanceStatus="stopped", TdeCredentialArn="a", PendingModifiedValues={"MultiAZ": True}),
        instance("old-x"),
        replica("x-r", "x", DBInstanceStatus="failed"),
    ]
    codes = sorted(b.code for b in verdict(*there).blockers)
    assert codes == ["name_taken", "pending_modified_values", "status", "status", "tde_credential"]


@pytest.mark.parametrize("change", [dict(DBParameterGroups=PENDING_REBOOT), {}])
def test_the_operator_may_accept_maintenance(change):
    around = Surroundings(GOOD_KEY, maintenance={arn_of("x"): ["new OS"]})
    assert verdict(source(**change), around=around).action == "blocked"
    assert verdict(source(**change), around=around, policy=Policy(accept_pending_maintenance=True)).action == "encrypt"


def test_what_rds_says_of_a_class_counts_more_than_the_list():
    around = Surroundings(GOOD_KEY, encryptable={("mysql", "8.0.36", "db.t2.micro"): True})
    assert verdict(source(DBInstanceClass="db.t2.micro"), around=around).action == "encrypt"


def test_a_full_quota_does_not_matter_when_nothing_more_is_made():
    around = Surroundings(GOOD_KEY, quotas={"DBInstances": (40, 40), "ManualSnapshots": (100, 100)})
    assert verdict(source("old-x", tags=FENCED), target(), around=around).action == "encrypt"


WARNINGS = [
    (dict(MasterUserSecret={"SecretArn": "arn:secret"}), "managed master secret is made anew"),
    (dict(IAMDatabaseAuthenticationEnabled=True), "rds-db:connect"),
    (dict(ActivityStreamStatus="started"), "activity stream"),
    (dict(DBInstanceAutomatedBackupsReplications=[{"DBInstanceAutomatedBackupsArn": "a"}]), "replicated to another region"),
    (dict(tags={"aws:cloudformation:stack-name": "s"}), "CloudFormation"),
    (dict(Engine="postgres"), "checked by SQL for logins and connections"),
]


@pytest.mark.parametrize(("change", "words"), WARNINGS)
def test_warnings(change, words):
    said = verdict(source(**change))
    assert said.action == "encrypt"
    assert [w for w in said.warnings if words in w] and len(said.warnings) == 1
    assert "arn:secret" not in str(said)


def test_more_warnings():
    assert verdict(source()).warnings == ()
    assert "database_access is false" in verdict(source(), policy=Policy(database_access=False)).warnings[0]
    assert verdict(source(), around=Surroundings(GOOD_KEY, unread=("Quotas could not be read",))).warnings == ("Quotas could not be read",)


def topology(*there):
    return find_topology("x", Listing(there), Prefixes())


def test_needs_are_what_is_still_to_be_made():
    assert topology_needs(topology(source(), replica("x-r", "x", AllocatedStorage=50))) == Needs(2, 150, 2)
    assert topology_needs(topology(source("old-x", tags=FENCED), replica("old-x-r", "old-x"), target())) == Needs(1, 100, 0)
    assert topology_needs(topology(encrypted("x"))) == Needs()
    assert Needs(1, 2, 3).plus(Needs(1, 1, 1)) == Needs(2, 3, 4)


def test_whether_the_serving_instance_is_encrypted():
    assert not encrypted_summary(topology(source()).primary)
    assert not encrypted_summary(topology(source("old-x", tags=FENCED), target()).primary)
    assert encrypted_summary(topology(source("old-x", tags=CUT), target("x")).primary)


def test_a_replica_of_the_target_keeps_its_place():
    there = [
        source("old-x", tags=FENCED),
        replica("old-x-r", "old-x", DbiResourceId="db-R", tags=marks("x-r", "replica", "db-R")),
        target(),
        encrypted_replica("new-x-r", "new-x", tags=marks("x-r", "replica", "db-R")),
    ]
    assert verdict(*there).reason == "x is built as new-x; not cut over yet."
