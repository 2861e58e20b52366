# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The restore: only a snapshot of this source under this fence becomes a target (law 1), and what exists is gone on with."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import (
    MAX_ATTEMPTS,
    RestoreRequest,
    RestoreState,
    of_this_fence,
    plan_restore,
    snapshot_candidates,
)
from fakes.region import service_model
from fakes.shapes import KEY, MARK, OTHER_KEY, encrypted, instance, marks

MODIFY = frozenset(service_model().operation_model("ModifyDBInstance").input_shape.members)
RESTORE = frozenset(service_model().operation_model("RestoreDBInstanceFromDBSnapshot").input_shape.members)
FENCED = marks("x", "source", "db-X", "f1", fenced="f1 then")
SNAPSHOT, COPY = "new-x-f1", "new-x-f1-encrypted"


def request(**more):
    given = dict(name="x", target_identifier="new-x", kms_key_arn=KEY, fence_id="f1", accepted_by_restore=RESTORE, finish=FinishRequest(MODIFY))
    return RestoreRequest(**{**given, **more})


def source(identifier="old-x", tags=FENCED, **more):
    return instance(identifier, DbiResourceId="db-X", tags=tags, **more)


def snapshot(identifier=SNAPSHOT, role="snapshot", *, source_id="db-X", fence_id="f1", status="available", tags=None, **more):
    tags = marks("x", role, source_id, fence_id) if tags is None else tags
    described = dict(DBSnapshotIdentifier=identifier, DbiResourceId="db-X", Status=status, Encrypted=False)
    return {**described, "TagList": [{"Key": k, "Value": v} for k, v in tags.items()], **more}


def copy(identifier=COPY, **more):
    return snapshot(identifier, "copy", **{"Encrypted": True, "KmsKeyId": KEY, **more})


def plan(*snapshots, source=None, target=None, **more):
    there = {each["DBSnapshotIdentifier"]: each for each in snapshots}
    return plan_restore(request(**more), RestoreState(source or globals()["source"](), target, there))


def outline(made):
    return [(step.action, step.resource, step.started) for step in made.steps]


def test_from_nothing():
    made = plan()
    assert [step.action for step in made.steps] == [
        "CreateDBSnapshot",
        "CopyDBSnapshot",
        "RestoreDBInstanceFromDBSnapshot",
        "ModifyDBInstance",
        "ModifyDBInstance",
    ]
    assert [len(stage) for stage in made.stages] == [1] * 5
    take, copying, restoring, *_rest = made.steps
    assert take.parameters["DBInstanceIdentifier"] == "old-x"
    assert tags_of({"TagList": take.parameters["Tags"]}) == marks("x", "snapshot", "db-X", "f1")
    assert copying.parameters["SourceDBSnapshotIdentifier"] == SNAPSHOT
    assert copying.parameters["KmsKeyId"] == KEY
    assert restoring.parameters["DBSnapshotIdentifier"] == COPY
    assert restoring.replan, "what RDS made of it is read before anything rests on it"
    assert tags_of({"TagList": restoring.parameters["Tags"]}) == marks("x", "target", "db-X", "f1")
    assert made.steps[-1].parameters == {"DeletionProtection": True}


def test_own_tags_and_those_asked_for_are_carried_and_reserved_ones_are_not():
    made = plan(source=source(tags={**FENCED, "team": "a", "aws:cloudformation:stack-name": "s"}), extra_tags=(("run", "7"),))
    for action in ("CopyDBSnapshot", "RestoreDBInstanceFromDBSnapshot"):
        tags = next(tags_of({"TagList": step.parameters["Tags"]}) for step in made.steps if step.action == action)
        assert {key: value for key, value in tags.items() if not key.startswith(MARK)} == {"team": "a", "run": "7"}


# what is there -> the first steps: (action, resource, only awaited)
RESUMING = [
    ([snapshot()], [("CopyDBSnapshot", COPY, False)]),
    ([snapshot(status="creating")], [("CreateDBSnapshot", SNAPSHOT, True), ("CopyDBSnapshot", COPY, False)]),
    ([snapshot(), copy(status="creating")], [("CopyDBSnapshot", COPY, True), ("RestoreDBInstanceFromDBSnapshot", "new-x", False)]),
    ([snapshot(), copy()], [("RestoreDBInstanceFromDBSnapshot", "new-x", False)]),
    ([copy()], [("RestoreDBInstanceFromDBSnapshot", "new-x", False)]),
    ([snapshot(status="failed")], [("CreateDBSnapshot", SNAPSHOT + "-2", False), ("CopyDBSnapshot", COPY, False)]),
    (
        [snapshot(), copy(status="failed", KmsKeyId=OTHER_KEY), copy(COPY + "-2", status="failed")],
        [("CopyDBSnapshot", COPY + "-3", False), ("RestoreDBInstanceFromDBSnapshot", "new-x", False)],
    ),
]


@pytest.mark.parametrize(("there", "expected"), RESUMING)
def test_it_goes_on_from_what_exists(there, expected):
    assert outline(plan(*there))[: len(expected)] == expected


def test_awaited_steps_are_not_listed_as_changes():
    made = plan(snapshot(status="creating"))
    assert [step["action"] for step in made.to_list()][0] == "CopyDBSnapshot"


FOREIGN = {
    "another fence": dict(fence_id="f0"),
    "another source": dict(source_id="db-Y"),
    "made by hand": dict(tags={}),
    "of another instance": dict(DbiResourceId="db-Y"),
}


@pytest.mark.parametrize("how", FOREIGN)
@pytest.mark.parametrize("make", [snapshot, copy])
def test_a_foreign_snapshot_is_never_used(make, how):
    with pytest.raises(RefusedError, match="does not belong to fence f1") as refused:
        plan(make(**FOREIGN[how]))
    assert "not used" in refused.value.done and refused.value.next_step


def test_a_snapshot_whose_name_lacks_the_fence_is_not_of_it():
    assert of_this_fence(snapshot(), source(), "f1")
    assert not of_this_fence(snapshot("new-x-f0"), source(), "f1")


def test_a_copy_with_another_key_is_refused_before_it_is_restored():
    with pytest.raises(RefusedError, match="0ther"):
        plan(copy(KmsKeyId=OTHER_KEY))
    with pytest.raises(RefusedError, match="encrypted with None"):
        plan(copy(Encrypted=False, KmsKeyId=None))


def test_failed_snapshots_come_to_an_end():
    failed = [snapshot(SNAPSHOT + (f"-{n}" if n > 1 else ""), status="failed") for n in range(1, MAX_ATTEMPTS + 1)]
    with pytest.raises(RefusedError, match="All 5 snapshots of old-x under fence f1 failed"):
        plan(*failed)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (source("x"), "answers under the name"),
        (source(tags=marks("x", "source", "db-X", "f2", fenced="f2 then")), "fenced with id f2"),
        (source(tags=marks("x", "source", "db-X", "f1")), "begun and not completed"),
        (source(tags=marks("x", "source", "db-X", "f1", fenced="f0 then")), "begun and not completed"),
        (source(StorageEncrypted=True), "encrypted already"),
        (source(tags={**FENCED, MARK + "target-resource-id": "db-T"}), "db-T as its target"),
    ],
)
def test_no_snapshot_without_a_fence_in_force(there, words):
    with pytest.raises(RefusedError, match=words):
        plan(source=there)


def test_fenced_by_other_means():
    """Without marks the operator's word counts, and the id that they give."""
    made = plan(source=source(tags={}), fence_id="mine")
    assert made.steps[0].resource == "new-x-mine"


@pytest.mark.parametrize("there", [source("x", tags={}), source("x"), source("x", tags=marks("x", "source", "db-X", "f0"))])
def test_a_predicted_fence_is_not_asked_for(there):
    assert plan(source=there, fence_id="assumed", fence_assumed=True).steps[0].action == "CreateDBSnapshot"


def target(tags=None, **more):
    return encrypted("new-x", tags=marks("x", "target", "db-X", "f1") if tags is None else tags, **more)


def test_a_target_that_exists_is_finished():
    assert plan(target=target()).stages == ()
    made = plan(target=target(DeletionProtection=False, MultiAZ=True))
    assert [step.parameters for step in made.steps] == [{"MultiAZ": False}, {"DeletionProtection": True}]


def test_a_target_whose_tags_do_not_show_yet_is_awaited():
    (step,) = plan(target=target(tags={}, DBInstanceStatus="creating")).steps
    assert (step.action, step.mutates, step.replan) == ("WaitUntilReady", False, True)
    assert step.confirmed(target()) and not step.confirmed(target(tags={}))


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (target(tags={}), "do not say that it was restored from old-x"),
        (target(tags=marks("x", "target", "db-Y", "f1")), "do not say"),
        (target(tags=marks("x", "target", "db-X", "f0")), "restored under fence f0.*lacks later writes"),
        (target(KmsKeyId=OTHER_KEY), "0ther"),
        (target(StorageEncrypted=False, StorageEncryptionType="none"), "is encrypted with"),
    ],
)
def test_a_foreign_target_is_refused(there, words):
    with pytest.raises(RefusedError, match=words):
        plan(target=there)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(target_identifier="new_x"), "target_db_instance_identifier new_x must start"),
        (dict(target_identifier="n" * 64), "64 characters"),
        (dict(snapshot_identifier="mine"), "does not contain the fence id f1"),
        (dict(encrypted_snapshot_identifier="f1--x"), "single hyphens"),
    ],
)
def test_bad_requests(options, words):
    with pytest.raises(RefusedError, match=words):
        plan(**options)


def test_given_snapshot_identifiers():
    made = plan(snapshot_identifier="a-f1", encrypted_snapshot_identifier="b-f1")
    assert [step.resource for step in made.steps[:3]] == ["a-f1", "b-f1", "new-x"]


def test_confirmation_is_by_the_marks():
    take, copying, restoring = plan().steps[:3]
    assert take.confirmed(snapshot()) and not take.confirmed(snapshot(fence_id="f0"))
    assert copying.confirmed(copy()) and not copying.confirmed(copy(KmsKeyId=OTHER_KEY)) and not copying.confirmed(copy(Encrypted=False))
    assert restoring.confirmed(target()) and not restoring.confirmed(target(tags=marks("x", "target", "db-X", "f0")))


@given(st.lists(st.sampled_from(["failed", "available", "creating"]), max_size=5), st.lists(st.sampled_from(["failed", "available", "creating"]), max_size=5))
def test_whatever_exists_nothing_is_made_twice(plain, encrypted_copies):
    there = [snapshot(SNAPSHOT + (f"-{n}" if n > 1 else ""), status=s) for n, s in enumerate(plain, 1)]
    there += [copy(COPY + (f"-{n}" if n > 1 else ""), status=s) for n, s in enumerate(encrypted_copies, 1)]
    names = {each["DBSnapshotIdentifier"] for each in there}
    try:
        made = plan(*there)
    except RefusedError as e:
        assert "failed" in str(e)
        assert plain == ["failed"] * 5 or encrypted_copies == ["failed"] * 5
        return
    assert not [step for step in made.steps if step.mutates and step.resource in names]
    restored = next(step for step in made.steps if step.action.startswith("Restore")).parameters["DBSnapshotIdentifier"]
    assert restored not in {each["DBSnapshotIdentifier"] for each in there if each["Status"] == "failed"}


def test_candidates_contain_the_fence_id():
    for series in snapshot_candidates(dataclasses.replace(request(), fence_id="f9")):
        assert len(series) == len(set(series)) == MAX_ATTEMPTS
        assert all("f9" in each for each in series)
