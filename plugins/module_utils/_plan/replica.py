# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""A replica below the target, made after the model of a replica of the source."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.durations import usual_seconds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_FENCE_ID,
    TAG_SOURCE_RESOURCE_ID,
    identifier_problem,
    own_tags,
    tag_list,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import renamed_to
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import ROLE_REPLICA, is_encrypted, target_tags_for
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.carry import predict_replica, replica_parameters
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest, plan_finish
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import being_made_unmarked, wait_for_marks


@dataclass(frozen=True)
class ReplicaRequest:
    """What was asked for.

    :param parent_identifier: the instance to replicate from: the target, or one of its replicas.
    :param parent_assumed: the parent may be missing or unfinished: it will have been made by then (check mode).
    """

    name: str
    target_identifier: str
    parent_identifier: str
    fence_id: str
    parent_assumed: bool = False
    extra_tags: tuple[tuple[str, str], ...] = ()
    finish: FinishRequest = field(default_factory=lambda: FinishRequest(frozenset()))
    accepted_by_create: frozenset = frozenset()


@dataclass(frozen=True)
class ReplicaState:
    """What is there (``DBInstance`` shapes).

    :param parent_model: the model of the parent, for predicting one that is not there yet.
    """

    model: dict
    parent: dict | None
    replica: dict | None
    parent_model: dict | None = None


def plan_replica(request: ReplicaRequest, state: ReplicaState) -> Plan:
    """The steps that are left until the replica exists and equals its model.

    :raises RefusedError: a law or RDS stands against it; nothing was changed.
    """
    problem = identifier_problem(request.target_identifier)
    if problem:
        raise RefusedError(f"target_db_instance_identifier {request.target_identifier} {problem}.")
    if state.replica is not None:
        if being_made_unmarked(state.replica):
            return Plan(stages([wait_for_marks(state.replica, TAG_SOURCE_RESOURCE_ID)]))
        _check_is_ours(request, state)
        return plan_finish(state.model, state.replica, request.finish)
    parent = state.parent
    if parent is None:
        if not request.parent_assumed:
            raise RefusedError(
                f"{request.parent_identifier}, from which {request.target_identifier} is to replicate, does not exist.",
                done="Nothing was changed.",
                next_step="Restore the target first (rds_encrypted_restore), or make the replica above this one first.",
            )
        # What the parent will be is known: its model, encrypted.
        parent = {"Engine": state.model["Engine"], **(state.parent_model or {})}
        parent |= {"DBInstanceIdentifier": request.parent_identifier, "StorageEncrypted": True}
    wait = []
    if state.parent is not None and not request.parent_assumed:
        _check_parent(request, parent)
        if parent["DBInstanceStatus"] not in READY_STATUSES:
            wait.append(
                Step(
                    "WaitUntilReady",
                    parent["DBInstanceIdentifier"],
                    f"Wait until {parent['DBInstanceIdentifier']} is ready to have replicas",
                    resource_id=parent["DbiResourceId"],
                )
            )
    create, predicted = _create(request, state, parent)
    rest = plan_finish(state.model, predicted, request.finish, assumed=True)
    return Plan(stages(wait, [create]) + rest.stages, rest.remarks)


def _check_parent(request: ReplicaRequest, parent: dict) -> None:
    if not is_encrypted(parent):
        raise RefusedError(
            f"{parent['DBInstanceIdentifier']} is not encrypted: a replica of it could not be either.",
            done="Nothing was changed.",
            next_step="Name the encrypted target as source_db_instance_identifier.",
        )
    if renamed_to(parent) or parent["DBInstanceStatus"] == "renaming":
        raise RefusedError(
            f"{parent['DBInstanceIdentifier']} is being renamed: a cutover is under way, and {request.target_identifier} may have its name.",
            done="Nothing was changed: no second replica is made.",
            next_step="Wait for the rename, then run again.",
        )
    if not parent.get("BackupRetentionPeriod"):
        raise RefusedError(
            f"{parent['DBInstanceIdentifier']} has automated backups off; RDS replicates only from instances that have them.",
            done="Nothing was changed.",
            next_step="Set its BackupRetentionPeriod, wait for its first backup, run again.",
        )


def _check_is_ours(request: ReplicaRequest, state: ReplicaState) -> None:
    tags = tags_of(state.replica)
    identifier = state.replica["DBInstanceIdentifier"]
    if tags.get(TAG_SOURCE_RESOURCE_ID) != state.model["DbiResourceId"]:
        raise RefusedError(
            f"{identifier} exists, and its tags do not say that it replaces {state.model['DBInstanceIdentifier']}.",
            done="It was left as it is; nothing was changed.",
            next_step=f"Rename or remove {identifier}, then run again.",
        )
    if tags.get(TAG_FENCE_ID) != request.fence_id:
        raise RefusedError(
            f"{identifier} belongs to fence {tags.get(TAG_FENCE_ID)}; the fence in force is {request.fence_id}.",
            done="It was left as it is; nothing was changed.",
            next_step=f"Rename or remove {identifier}, then run again: a new one is made.",
        )
    parent = state.replica.get("ReadReplicaSourceDBInstanceIdentifier")
    if parent is None:
        raise RefusedError(
            f"{identifier} is no replica any more (it was promoted).",
            done="It was left as it is; nothing was changed.",
            next_step=f"Rename or remove {identifier}, then run again: a new replica is made.",
        )


def _arn_beside(described: dict, identifier: str) -> str:
    """The ARN of an instance in the account and region of another: given by its ARN, RDS takes a subnet group for a replica of it."""
    return described["DBInstanceArn"].rpartition(":")[0] + ":" + identifier


def _create(request: ReplicaRequest, state: ReplicaState, parent: dict) -> tuple[Step, dict]:
    product = target_tags_for(request.name, ROLE_REPLICA, state.model, request.fence_id)
    tags = {**own_tags(tags_of(state.model)), **dict(request.extra_tags), **product}
    parameters = {
        **replica_parameters(state.model, parent, request.accepted_by_create),
        "DBInstanceIdentifier": request.target_identifier,
        "SourceDBInstanceIdentifier": parent["DBInstanceIdentifier"],
        "Tags": tag_list(tags),
    }
    if "DBSubnetGroupName" in parameters:
        parameters["SourceDBInstanceIdentifier"] = _arn_beside(state.model, parent["DBInstanceIdentifier"])
    step = Step(
        "CreateDBInstanceReadReplica",
        request.target_identifier,
        f"Create replica {request.target_identifier} of {parent['DBInstanceIdentifier']}",
        parameters,
        replan=True,
        expected=usual_seconds("CreateDBInstanceReadReplica", parent),
        confirmed=lambda d: all(tags_of(d).get(key) == value for key, value in product.items()),
    )
    predicted = predict_replica(state.model, parent, parameters, target_identifier=request.target_identifier)
    return step, {**predicted, "TagList": tag_list(tags)}
