# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica below the target: made after its model, gone on with, never taken from somebody else and never made twice."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replica import ReplicaRequest, ReplicaState, plan_replica
from fakes.region import service_model
from fakes.shapes import MARK, encrypted, encrypted_replica, marks, replica

MODIFY = frozenset(service_model().operation_model("ModifyDBInstance").input_shape.members)
CREATE = frozenset(service_model().operation_model("CreateDBInstanceReadReplica").input_shape.members)
MARKS = marks("x-r", "replica", "db-X-R", "f1")


def model(**more):
    return replica("old-x-r", "old-x", DbiResourceId="db-X-R", **{"tags": {**MARKS, "team": "a"}, **more})


def parent(**more):
    return encrypted("new-x", **more)


def made(**more):
    return encrypted_replica("new-x-r", "new-x", **{"tags": {**MARKS, "team": "a"}, **more})


def plan(parent_=None, replica_=None, model_=None, parent_model=None, **more):
    given = dict(name="x-r", target_identifier="new-x-r", parent_identifier="new-x", fence_id="f1", accepted_by_create=CREATE)
    request = ReplicaRequest(**{**given, "finish": FinishRequest(MODIFY), **more})
    return plan_replica(request, ReplicaState(model_ or model(), parent_, replica_, parent_model))


def test_it_is_made_with_marks_and_tags_and_read_afterwards():
    steps = plan(parent()).steps
    create = steps[0]
    assert (create.action, create.resource, create.replan) == ("CreateDBInstanceReadReplica", "new-x-r", True)
    assert create.parameters["SourceDBInstanceIdentifier"] == "new-x"
    assert tags_of({"TagList": create.parameters["Tags"]}) == {**MARKS, "team": "a"}
    assert "KmsKeyId" not in create.parameters and "DBSubnetGroupName" not in create.parameters
    assert create.confirmed(made()) and not create.confirmed(made(tags={}))
    assert [step.action for step in steps[1:]] == ["ModifyDBInstance"], "what creation does not take"


@pytest.mark.parametrize("assumed", [False, True])
def test_with_another_subnet_group_the_source_is_named_by_its_arn(assumed):
    """RDS refuses a subnet group in the same region unless the source is given as ARN (terraform-provider-aws pull request 40426)."""
    other = {"DBSubnetGroupName": "other", "VpcId": "vpc-1"}
    there = {} if assumed else {"parent_": parent()}
    create = plan(**there, model_=model(DBSubnetGroup=other), parent_model=replica("old-x", "y"), parent_assumed=assumed).steps[0]
    assert create.parameters["SourceDBInstanceIdentifier"] == parent()["DBInstanceArn"]
    assert create.parameters["DBSubnetGroupName"] == "other"


def test_an_equal_one_needs_nothing():
    assert plan(parent(), made()).stages == ()


def test_what_differs_is_set():
    assert [step.parameters for step in plan(parent(), made(MultiAZ=True)).steps] == [{"MultiAZ": False}]


def test_one_whose_tags_do_not_show_yet_is_awaited():
    (step,) = plan(parent(), made(tags={}, DBInstanceStatus="creating")).steps
    assert (step.action, step.mutates, step.replan) == ("WaitUntilReady", False, True)
    assert step.confirmed(made()) and not step.confirmed(made(tags={}))


def test_one_in_motion_is_awaited():
    (step,) = plan(parent(), made(DBInstanceStatus="creating")).steps
    assert (step.action, step.mutates, step.replan) == ("WaitUntilReady", False, True)
    (step,) = plan(parent(), made(StatusInfos=[{"StatusType": "read replication", "Status": "replication degraded"}])).steps
    assert step.action == "WaitUntilReady", "a replica is ready when it replicates"
    assert plan(parent(), made(StatusInfos=[])).stages == (), "the wait after its creation has borne with RDS's silence already"


def test_a_parent_in_motion_is_awaited():
    stages = plan(parent(DBInstanceStatus="backing-up")).stages
    assert [step.action for step in stages[0]] == ["WaitUntilReady"]
    assert stages[1][0].action == "CreateDBInstanceReadReplica"


@pytest.mark.parametrize(
    ("parent_", "replica_", "words"),
    [
        (None, None, "new-x, from which new-x-r is to replicate, does not exist"),
        (parent(StorageEncrypted=False, StorageEncryptionType="none"), None, "is not encrypted"),
        (parent(BackupRetentionPeriod=0), None, "automated backups off"),
        (parent(PendingModifiedValues={"DBInstanceIdentifier": "x"}), None, "a cutover is under way"),
        (parent(DBInstanceStatus="renaming"), None, "a cutover is under way"),
        (parent(), made(tags={}), "do not say that it replaces old-x-r"),
        (parent(), made(tags=marks("x-r", "replica", "db-Y", "f1")), "do not say that it replaces"),
        (parent(), made(tags=marks("x-r", "replica", "db-X-R", "f0")), "belongs to fence f0; the fence in force is f1"),
        (parent(), made(ReadReplicaSourceDBInstanceIdentifier=None), "it was promoted"),
    ],
)
def test_refusals(parent_, replica_, words):
    with pytest.raises(RefusedError, match=words) as refused:
        plan(parent_, replica_)
    assert refused.value.next_step


def test_a_bad_name_is_refused():
    with pytest.raises(RefusedError, match="must start with a letter"):
        plan(parent(), target_identifier="new_x")


def test_a_parent_that_will_have_been_made():
    """The prediction knows the parent by the parent's model: same groups, so no modification and no restart for them."""
    predicted = plan(parent_assumed=True, parent_model=encrypted("old-x", StorageEncrypted=False))
    assert [step.action for step in predicted.steps] == [step.action for step in plan(parent()).steps]
    unfinished = plan(parent(BackupRetentionPeriod=0), parent_assumed=True)
    assert unfinished.steps[0].action == "CreateDBInstanceReadReplica", "the parent will have been finished by then"


def test_another_parameter_group_comes_by_modify_and_restart():
    group = [{"DBParameterGroupName": "pg-replica", "ParameterApplyStatus": "in-sync"}]
    steps = plan(parent(), model_=model(DBParameterGroups=group, BackupRetentionPeriod=0)).steps
    assert [step.action for step in steps] == ["CreateDBInstanceReadReplica", "ModifyDBInstance", "RebootDBInstance"]
    assert steps[1].parameters["DBParameterGroupName"] == "pg-replica"
    # To switch backups on restarts the replica by itself.
    steps = plan(parent(), model_=model(DBParameterGroups=group, BackupRetentionPeriod=3)).steps
    assert [step.action for step in steps] == ["CreateDBInstanceReadReplica", "ModifyDBInstance"]


def test_marks_of_the_model_alone_are_carried_once():
    tags = tags_of({"TagList": plan(parent(), extra_tags=(("run", "7"),)).steps[0].parameters["Tags"]})
    assert tags["run"] == "7" and {key for key in tags if key.startswith(MARK)} == set(MARKS)
