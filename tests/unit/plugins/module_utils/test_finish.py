# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finishing an instance: the order that RDS needs, and nothing where nothing is missing."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest, plan_finish
from fakes.region import service_model
from fakes.shapes import encrypted, instance, marks

MODIFY = frozenset(service_model().operation_model("ModifyDBInstance").input_shape.members)
SECRET = {"SecretArn": "arn:s", "SecretStatus": "active", "KmsKeyId": "k"}
ROLES = [{"RoleArn": f"arn:aws:iam::1:role/{name}", "FeatureName": name, "Status": "ACTIVE"} for name in ("s3import", "lambda")]


def model(**more):
    return instance("old-x", tags={**marks("x", "source", "db-X"), "team": "a"}, **more)


def current(**more):
    return encrypted("new-x", **{"tags": {**marks("x", "target", "db-X"), "team": "a"}, **more})


def plan(model, current, replicas_awaited=(), extra_tags=(), **more):
    return plan_finish(model, current, FinishRequest(MODIFY, tuple(replicas_awaited), tuple(extra_tags)), **more)


def summary(made):
    return [(step.action, sorted(step.parameters)) for step in made.steps]


EVERYTHING = dict(MultiAZ=True, AssociatedRoles=ROLES, MasterUserSecret=SECRET, DeletionProtection=True)
NOTHING = dict(DeletionProtection=False, tags={})


def test_an_equal_instance_needs_nothing():
    made = plan(model(), current())
    assert made.stages == () and made.remarks == ()


def test_order():
    made = plan(model(**EVERYTHING), current(**NOTHING))
    assert summary(made) == [
        ("AddTagsToResource", ["Tags"]),
        ("ModifyDBInstance", ["MultiAZ"]),
        ("AddRoleToDBInstance", ["FeatureName", "RoleArn"]),
        ("AddRoleToDBInstance", ["FeatureName", "RoleArn"]),
        ("ModifyDBInstance", ["ManageMasterUserPassword", "MasterUserSecretKmsKeyId"]),
        ("ModifyDBInstance", ["DeletionProtection"]),
    ]
    assert all(len(stage) == 1 for stage in made.stages), "one after another"
    assert {step.resource_id for step in made.steps} == {"db-NEW-X"}
    assert made.steps[1].replan


def test_only_own_tags_are_carried():
    made = plan(model(), current(tags={}), extra_tags=[("run", "7"), ("rds-encryption:name", "no")])
    assert made.steps[0].parameters == {"Tags": {"team": "a", "run": "7"}}


def test_the_managed_password_waits_for_the_replicas_and_protection_for_the_password():
    wanted = model(MasterUserSecret=SECRET)
    made = plan(wanted, current(**NOTHING), replicas_awaited=["new-x-r", "new-x-r2"])
    assert summary(made) == [("AddTagsToResource", ["Tags"])]
    assert made.remarks == ("MasterUserSecret of new-x follows when its replicas exist: new-x-r, new-x-r2.",)
    some = plan(wanted, current(**NOTHING, ReadReplicaDBInstanceIdentifiers=["new-x-r"]), replicas_awaited=["new-x-r", "new-x-r2"])
    assert some.remarks == ("MasterUserSecret of new-x follows when its replicas exist: new-x-r2.",)
    there = current(**NOTHING, ReadReplicaDBInstanceIdentifiers=["new-x-r", "new-x-r2"])
    assert [keys for _action, keys in summary(plan(wanted, there, replicas_awaited=["new-x-r", "new-x-r2"]))][1:] == [
        ["ManageMasterUserPassword", "MasterUserSecretKmsKeyId"],
        ["DeletionProtection"],
    ]


def test_without_a_managed_password_nothing_waits_for_replicas():
    made = plan(model(), current(DeletionProtection=False), replicas_awaited=["new-x-r"])
    assert summary(made) == [("ModifyDBInstance", ["DeletionProtection"])] and made.remarks == ()


def test_protection_is_last_whatever_else_is_missing():
    changes = [dict(MultiAZ=True), dict(AssociatedRoles=ROLES), dict(MasterUserSecret=SECRET)]
    for chosen in itertools.chain.from_iterable(itertools.combinations(changes, n) for n in range(4)):
        wanted = model(**{key: value for each in chosen for key, value in each.items()})
        made = plan(wanted, current(**NOTHING))
        assert "DeletionProtection" in made.steps[-1].parameters
        assert sum("DeletionProtection" in step.parameters for step in made.steps) == 1


def group(state, name="pg-mysql80"):
    return [{"DBParameterGroupName": name, "ParameterApplyStatus": state}]


def test_a_restart_only_if_something_waits_for_it():
    assert [step.action for step in plan(model(), current(DBParameterGroups=group("pending-reboot"))).steps] == ["RebootDBInstance"]
    assert plan(model(), current(DBParameterGroups=group("in-sync"))).stages == ()
    steps = plan(model(), current(DBParameterGroups=group("in-sync", "other"))).steps
    assert [step.action for step in steps] == ["ModifyDBInstance", "RebootDBInstance"]
    assert "RebootDBInstance" not in [step.action for step in plan(model(MultiAZ=True), current()).steps]


def test_a_restart_is_confirmed_by_what_waited_for_it():
    (restart,) = plan(model(), current(DBParameterGroups=group("pending-reboot"))).steps
    assert restart.confirmed(current()) and not restart.confirmed(current(DBParameterGroups=group("pending-reboot")))


@pytest.mark.parametrize(
    "change",
    [
        dict(DBInstanceStatus="backing-up"),
        dict(DBInstanceStatus="modifying"),
        dict(PendingModifiedValues={"MultiAZ": True}),
        dict(DBParameterGroups=group("applying")),
        dict(AssociatedRoles=[{**ROLES[0], "Status": "PENDING"}]),
        dict(VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-1", "Status": "adding"}]),
    ],
)
def test_nothing_is_decided_about_an_instance_in_motion(change):
    made = plan(model(**EVERYTHING), current(**NOTHING, **change))
    assert summary(made) == [("WaitUntilReady", [])] and made.steps[0].replan and not made.changes
    assert plan(model(**EVERYTHING), current(**NOTHING, **change), assumed=True).changes, "a prediction is at rest"


def test_steps_are_confirmed_by_the_values_themselves():
    modify, role, secret, protection = (
        plan(model(**{**EVERYTHING, "AssociatedRoles": ROLES[:1]}), current(DeletionProtection=False)).steps
    )
    assert modify.confirmed(current(MultiAZ=True)) and not modify.confirmed(current())
    assert role.confirmed(current(AssociatedRoles=ROLES)) and not role.confirmed(current())
    assert secret.confirmed(current(MasterUserSecret=SECRET)) and not secret.confirmed(current())
    assert protection.confirmed(current()) and not protection.confirmed(current(DeletionProtection=False))
