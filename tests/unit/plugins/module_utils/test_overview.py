# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole way in one list, from wherever a topology stands."""

from __future__ import annotations

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.overview import (
    PlanRequest,
    describe_member,
    plan_everything,
    predicted_differences,
)
from fakes.region import service_model
from fakes.shapes import KEY, MARK, encrypted, encrypted_replica, instance, marks, replica

OPERATIONS = ("RestoreDBInstanceFromDBSnapshot", "ModifyDBInstance", "CreateDBInstanceReadReplica")
ACCEPTED = {name: frozenset(service_model().operation_model(name).input_shape.members) for name in OPERATIONS}
FENCED = marks("x", "source", "db-X", fenced="f1 then")
TARGET = marks("x", "target", "db-X")
REPLICA = marks("x-r", "replica", "db-X-R")
CUT = {**FENCED, MARK + "validated": "f1 t", MARK + "target-resource-id": "db-T", MARK + "cut-over-at": "t"}


def source(identifier="old-x", **more):
    return instance(identifier, **{"DbiResourceId": "db-X", "tags": FENCED, **more})


def below(identifier="old-x-r", of="old-x", **more):
    return replica(identifier, of, **{"DbiResourceId": "db-X-R", "tags": REPLICA, **more})


def target(identifier="new-x", **more):
    return encrypted(identifier, **{"DbiResourceId": "db-T", "tags": TARGET, **more})


def topology(*there):
    return find_topology("x", Listing(there), Prefixes())


def steps(*there):
    return plan_everything(topology(*there), PlanRequest(KEY, "fresh", "now", ACCEPTED))


def outline(*there):
    return [(step["phase"], step["action"], step["resource"]) for step in steps(*there)]


CUTOVER = [
    ("cutover", "AddTagsToResource", "old-x"),
    ("cutover", "Rename", "new-x"),
    ("cutover", "AddTagsToResource", "old-x"),
    ("cutover", "RemoveTagsFromResource", "x"),
]


def test_from_untouched():
    assert outline(source("x", tags={})) == [
        ("fence", "AddTagsToResource", "x"),
        ("fence", "Rename", "x"),
        ("fence", "RebootDBInstance", "old-x"),
        ("fence", "AddTagsToResource", "old-x"),
        ("build", "CreateDBSnapshot", "new-x-fresh"),
        ("build", "CopyDBSnapshot", "new-x-fresh-encrypted"),
        ("build", "RestoreDBInstanceFromDBSnapshot", "new-x"),
        ("build", "ModifyDBInstance", "new-x"),
        ("build", "ModifyDBInstance", "new-x"),
        *CUTOVER,
    ]


def test_from_fenced():
    planned = outline(source())
    assert [phase for phase, _action, _resource in planned] == ["build"] * 5 + ["cutover"] * 4
    assert planned[0] == ("build", "CreateDBSnapshot", "new-x-f1"), "under the fence in force"


def test_a_chain():
    planned = outline(source("x", tags={}), replica("x-r", "x"), replica("x-r-r", "x-r"))
    made = [resource for _phase, action, resource in planned if action == "CreateDBInstanceReadReplica"]
    assert made == ["new-x-r", "new-x-r-r"]
    assert ("build", "RebootDBInstance", "new-x-r") not in planned, "same parameter group as its parent will have"


# What a run may have left in the middle of the build: none of it stands against the plan.
UNFINISHED = [
    (target(DBInstanceStatus="creating"),),
    (target(MultiAZ=True, PendingModifiedValues={"MultiAZ": False}),),
    (target(DeletionProtection=False),),
    (target(), encrypted_replica("new-x-r", "new-x", tags=REPLICA, DBInstanceStatus="creating")),
    (target(BackupRetentionPeriod=0), encrypted_replica("new-x-r", "new-x", tags=REPLICA, BackupRetentionPeriod=0)),
]


@pytest.mark.parametrize("there", UNFINISHED)
def test_from_the_middle_of_the_build(there):
    chain = [source(), below(), replica("old-x-r-r", "old-x-r", DbiResourceId="db-RR", tags=marks("x-r-r", "replica", "db-RR"))]
    planned = outline(*chain, *there)
    assert ("build", "CreateDBInstanceReadReplica", "new-x-r-r") in planned
    assert [each for each in planned if each[0] == "cutover" and each[1] == "Rename"] == [
        ("cutover", "Rename", "new-x"),
        ("cutover", "Rename", "new-x-r"),
        ("cutover", "Rename", "new-x-r-r"),
    ]
    assert "CreateDBSnapshot" not in [action for _phase, action, _resource in planned]


def test_from_built():
    assert outline(source(), target()) == CUTOVER


def test_from_cut_over():
    assert outline(source(tags=CUT), target("x")) == [("cutover", "RemoveTagsFromResource", "x")]


@pytest.mark.parametrize("there", [(source(tags=CUT), target("x", tags={})), (encrypted("x"),), (replica("x", "y"),), ()])
def test_nothing_is_left(there):
    assert steps(*there) == []


def test_every_step_is_told_in_words():
    for step in steps(source("x", tags={}), replica("x-r", "x")):
        assert set(step) == {"phase", "action", "resource", "what"} and step["what"][0].isupper()


def test_a_member_described():
    found = topology(source(MasterUserSecret={"SecretArn": "arn:secret"}), below(), target())
    primary, under = (describe_member(member) for member in found.members)
    assert primary["role"] == "primary" and under["role"] == "replica" and under["parent"] == "x"
    assert (primary["source_identifier"], primary["target_identifier"], primary["target_exists"]) == ("old-x", "new-x", True)
    assert (under["target_identifier"], under["target_exists"], under["kms_key_id"]) == ("new-x-r", False, None)
    assert primary["source_address"].startswith("old-x.") and primary["target_address"].startswith("new-x.")
    assert (primary["cut_over"], primary["serving_encrypted"], primary["kms_key_id"]) == (False, False, KEY)
    assert "arn:secret" not in str(primary)
    served = describe_member(topology(source(tags=CUT), target("x")).primary)
    assert (served["cut_over"], served["serving_encrypted"]) == (True, True)
    alone = describe_member(topology(encrypted("x")).primary)
    assert (alone["source_exists"], alone["source_identifier"], alone["master_username"]) == (False, None, "admin")


def differing(*there, accepted=frozenset()):
    found = predicted_differences(topology(*there), PlanRequest(KEY, "fresh", "now", ACCEPTED), accepted)
    return {name: [row.attribute for row in rows] for name, rows in found.items()}


FAR = [{"DBInstanceAutomatedBackupsArn": "arn:aws:rds:eu-west-1:1:auto-backup:ab-1"}]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([source("x", tags={})], {}),
        ([source("x", tags={}), below("x-r", "x", tags={}, MultiAZ=True, DeletionProtection=True)], {}),
        ([source("x", tags={}, DeletionProtection=True, MasterUserSecret={"SecretArn": "s", "SecretStatus": "active"})], {}),
        ([source("x", tags={}, DBInstanceAutomatedBackupsReplications=FAR)], {"x": ["DBInstanceAutomatedBackupsReplications"]}),
        ([source("x", tags={}, NobodyKnowsThis="b")], {"x": ["NobodyKnowsThis"]}),
        ([source("x", tags={}), below("x-r", "x", tags={}, NobodyKnowsThis="b")], {"x-r": ["NobodyKnowsThis"]}),
        ([source(DBInstanceAutomatedBackupsReplications=FAR), target()], {}),
    ],
)
def test_what_cannot_be_carried_is_known_before_the_outage(there, expected):
    assert differing(*there) == expected


def test_an_accepted_difference_is_none():
    there = [source("x", tags={}, DBInstanceAutomatedBackupsReplications=FAR)]
    assert differing(*there, accepted=frozenset({"DBInstanceAutomatedBackupsReplications"})) == {}
