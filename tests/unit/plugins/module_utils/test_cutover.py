# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cutover: refused while anything is unproven, gone on with wherever it stopped, and the target's own marks go last."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, Topology, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.cutover import differences, identifier_map, plan_cutover
from fakes.shapes import KEY, MARK, OTHER_KEY, encrypted, encrypted_replica, instance, marks, replica

FENCED = marks("x", "source", "db-X", fenced="f1 then")
PROVEN = {**FENCED, MARK + "validated": "f1 then", MARK + "target-resource-id": "db-T"}
CUT = {**PROVEN, MARK + "cut-over-at": "then"}
TARGET = marks("x", "target", "db-X")
REPLICA = marks("x-r", "replica", "db-X-R")


def source(tags=FENCED, identifier="old-x", **more):
    return instance(identifier, DbiResourceId="db-X", tags=tags, **more)


def target(identifier="new-x", tags=TARGET, **more):
    return encrypted(identifier, DbiResourceId="db-T", tags=tags, **more)


def source_replica(**more):
    return replica("old-x-r", "old-x", DbiResourceId="db-X-R", tags=REPLICA, **more)


def target_replica(identifier="new-x-r", of="new-x", tags=REPLICA, **more):
    return encrypted_replica(identifier, of, DbiResourceId="db-T-R", tags=tags, **more)


def found(*there):
    return find_topology("x", Listing(there), Prefixes())


def plan(*there, **more):
    return plan_cutover(found(*there), "now", **more)


def outline(made):
    return [[(step.action, step.resource) for step in stage] for stage in made.stages]


def test_from_a_proven_target():
    made = plan(source(), source_replica(), target(), target_replica())
    assert outline(made) == [
        [("AddTagsToResource", "old-x")],
        [("Rename", "new-x"), ("Rename", "new-x-r")],
        [("AddTagsToResource", "old-x")],
        [("RemoveTagsFromResource", "x-r")],
        [("RemoveTagsFromResource", "x")],
    ]
    assert made.steps[0].parameters == {"Tags": {MARK + "validated": "f1 now", MARK + "target-resource-id": "db-T"}}
    assert made.stages[1][0].parameters == {"NewDBInstanceIdentifier": "x"}
    assert made.stages[2][0].parameters == {"Tags": {MARK + "cut-over-at": "now"}}
    assert set(made.steps[-1].parameters["TagKeys"]) == set(TARGET)
    assert [step.resource_id for step in made.steps] == ["db-X", "db-T", "db-T-R", "db-X", "db-T-R", "db-T"]


# where an earlier run stopped -> what is left
LEFT = [
    ((source(PROVEN), target()), [[("Rename", "new-x")], [("AddTagsToResource", "old-x")], [("RemoveTagsFromResource", "x")]]),
    ((source(PROVEN), target("x")), [[("AddTagsToResource", "old-x")], [("RemoveTagsFromResource", "x")]]),
    (
        (source(PROVEN), source_replica(), target("x"), target_replica()),
        [
            [("Rename", "new-x-r")],
            [("AddTagsToResource", "old-x")],
            [("RemoveTagsFromResource", "x-r")],
            [("RemoveTagsFromResource", "x")],
        ],
    ),
    ((source(CUT), target("x")), [[("RemoveTagsFromResource", "x")]]),
    (
        (source(CUT), source_replica(), target("x"), target_replica("x-r", "x", tags=None)),
        [[("RemoveTagsFromResource", "x")]],
    ),
    ((source(CUT), source_replica(), target("x", tags=None), target_replica("x-r", "x", tags=None)), []),
]


@pytest.mark.parametrize(("there", "left"), LEFT)
def test_it_goes_on_from_where_it_stopped(there, left):
    assert outline(plan(*there)) == left


def test_a_proof_of_another_target_is_no_proof():
    stale = {**FENCED, MARK + "validated": "f1 then", MARK + "target-resource-id": "db-GONE"}
    assert outline(plan(source(stale), target()))[0] == [("AddTagsToResource", "old-x")]
    stale = {**FENCED, MARK + "validated": "f0 then", MARK + "target-resource-id": "db-T"}
    assert outline(plan(source(stale), target()))[0] == [("AddTagsToResource", "old-x")]


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ((source({}, "x"),), "not fenced: applications may still write"),
        ((source(FENCED, "x"), target()), "not fenced"),
        ((source(marks("x", "source", "db-X")), target()), "not fenced"),
        ((source(marks("x", "source", "db-X", fenced="f0 then")), target()), "not fenced"),
        ((source(),), "new-x does not exist"),
        ((source(), source_replica(), target()), "new-x-r does not exist"),
        ((source(), target(tags=marks("x", "target", "db-X", "f0"))), "new-x does not exist"),
        ((source(PROVEN), target(tags=marks("x", "target", "db-X", "f0"))), "belongs to fence f0, the fence in force is f1"),
        ((source(), source_replica(), target(), target_replica(tags=marks("x-r", "replica", "db-X-R", "f0"))), "belongs to fence f0"),
        ((source(), target(MultiAZ=True)), "x: MultiAZ False -> True"),
        ((source(), source_replica(), target(), target_replica(MultiAZ=True)), "x-r: MultiAZ False -> True"),
        ((source(), target(KmsKeyId=OTHER_KEY)), "KmsKeyId"),
        ((source(), target(PendingModifiedValues={"MultiAZ": True})), "PendingModifiedValues"),
        ((source(), target(BrandNew="value")), "BrandNew"),
        ((encrypted("x"),), "no fenced source"),
    ],
)
def test_refusals(there, words):
    with pytest.raises(RefusedError, match=words) as refused:
        plan(*there, kms_key_arn=KEY)
    assert "no name was moved" in str(refused.value).lower() or "nothing to cut over" in str(refused.value)


def test_an_unencrypted_replacement_is_refused():
    topology = found(source(), source_replica(), target(), target_replica())
    plain = {**target_replica(), "StorageEncrypted": False, "StorageEncryptionType": "none"}
    members = (topology.members[0], type(topology.members[1])(**{**topology.members[1].__dict__, "target": plain}))
    broken = Topology("x", Prefixes(), members=members, source_tags=topology.source_tags)
    with pytest.raises(RefusedError, match="new-x-r is not encrypted"):
        plan_cutover(broken, "now")


def test_a_topology_without_members_is_refused():
    with pytest.raises(RefusedError, match="nothing to cut over"):
        plan_cutover(Topology("x", Prefixes()), "now")


def test_accepted_differences():
    with pytest.raises(RefusedError, match="EngineVersion"):
        plan(source(), target(EngineVersion="8.0.37"))
    made = plan(source(), target(EngineVersion="8.0.37"), accepted_differences=frozenset({"EngineVersion"}))
    assert outline(made)[1] == [("Rename", "new-x")]
    with pytest.raises(RefusedError, match="did you mean EngineVersion"):
        plan(source(), target(), accepted_differences=frozenset({"EngineVersions"}))


@pytest.mark.parametrize("change", [dict(DBInstanceStatus="renaming"), dict(PendingModifiedValues={"DBInstanceIdentifier": "x"})])
def test_instances_in_motion_are_awaited_before_they_are_compared(change):
    made = plan(source(PROVEN), source_replica(), target(**change), target_replica())
    assert outline(made) == [[("WaitUntilReady", "new-x")]]
    assert made.steps[0].replan and not made.changes


def test_in_the_middle_of_the_swap_nothing_is_compared_any_more():
    made = plan(source(PROVEN), source_replica(), target("x"), target_replica(of="x", MultiAZ=True))
    assert outline(made)[0] == [("Rename", "new-x-r")], "half a swap is worse than one replica that differs"


def test_predictions():
    made = plan(source({}, "x"), replica("x-r", "x"), assumed=True)
    assert [(step.action, step.resource) for step in made.steps] == [
        ("AddTagsToResource", "old-x"),
        ("Rename", "new-x"),
        ("Rename", "new-x-r"),
        ("AddTagsToResource", "old-x"),
        ("RemoveTagsFromResource", "x-r"),
        ("RemoveTagsFromResource", "x"),
    ]
    unfinished = plan(source(), target(MultiAZ=True), assumed=True)
    assert unfinished.changes and "x: MultiAZ" in unfinished.remarks[0]


def test_links_are_compared_under_the_names_of_either_side():
    topology = found(source(), source_replica(), target(), target_replica())
    names = identifier_map(topology)
    assert names == {"x": "new-x", "old-x": "new-x", "x-r": "new-x-r", "old-x-r": "new-x-r"}
    assert differences(topology, KEY, frozenset()) == {}
    astray = found(source(), source_replica(), target(), target_replica(), encrypted("other"))
    astray.members[1].target["ReadReplicaSourceDBInstanceIdentifier"] = "other"
    assert [row.attribute for row in differences(astray, KEY, frozenset())["x-r"]] == ["ReadReplicaSourceDBInstanceIdentifier"]
