# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The whole way of a topology in one list, made by the very planners that the run uses, each fed with the assumed end of the one before."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_CUT_OVER_AT, TAG_FENCED, TAG_VALIDATED
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member, Topology, is_encrypted, seed_identifier
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.carry import (
    predict_finished,
    predict_replica,
    predict_restored,
    replica_parameters,
    restore_parameters,
    with_backup_keys,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.compare import Row, compare, unexplained
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.cutover import identifier_map, plan_cutover
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.fence import plan_fence
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replica import ReplicaRequest, ReplicaState, plan_replica
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.follow import LinkRequest, LinkState, held_group_name, plan_begin
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import RestoreRequest, RestoreState, plan_restore


@dataclass(frozen=True)
class PlanRequest:
    """What the planners need besides the topology.

    :param accepted: AWS operation -> the parameters that the installed botocore knows for it.
    :param quarantine: the security group of the quarantine, if there is to be one.
    :param backup_copies: how automated backups are to be replicated to other regions (see ``with_backup_keys``).
    :param follow: what was asked for and what is there, if the target is to follow the source before the fence.
    """

    kms_key_arn: str
    fresh_fence_id: str
    now: str
    accepted: dict[str, frozenset] = field(default_factory=dict)
    quarantine: str | None = None
    backup_copies: dict[str, dict] = field(default_factory=dict)
    follow: tuple[LinkRequest, LinkState] | None = None


def plan_everything(topology: Topology, request: PlanRequest) -> list[dict]:
    """All steps that are left, in order: ``[{phase, action, resource, what}]``."""
    steps = []
    primary = topology.primary
    if primary is None or primary.source is None or topology.finished:
        return []
    if not primary.cut_over and request.follow and not topology.drained:
        if not primary.fenced_by_name:
            steps += in_phase("seed", _plan_follow(topology, request))
        steps += in_phase("fence", plan_fence(topology, request.fresh_fence_id, request.now, request.quarantine).to_list())
        steps += in_phase("build", _plan_open(topology))
    elif not primary.cut_over:
        steps += in_phase("fence", plan_fence(topology, request.fresh_fence_id, request.now, request.quarantine).to_list())
        steps += in_phase("build", _plan_build(topology, request))
    steps += in_phase("cutover", plan_cutover(topology, request.now, assumed=True).to_list())
    return steps


def _plan_follow(topology: Topology, request: PlanRequest) -> list[dict]:
    """What is made while the source serves: the seed, and the target with its replicas."""
    link_request, link_state = request.follow
    steps = plan_begin(link_state, link_request).to_list()
    link_id = topology.link_id or link_request.fresh_link_id
    held = {"DBParameterGroups": [{"DBParameterGroupName": held_group_name(topology, link_id), "ParameterApplyStatus": "in-sync"}]}
    seed = link_state.seed or {"DBInstanceIdentifier": seed_identifier(topology.name, topology.prefixes), "DbiResourceId": None}
    return steps + _plan_build(topology, request, link_id=link_id, source={**topology.primary.source, **held}, origin=seed)


def _plan_open(topology: Topology) -> list[dict]:
    """What follows the fence, once the target holds everything: its proof, and the source's parameter group."""
    target = topology.primary.new_name
    return [
        {"action": "AddTagsToResource", "resource": target, "what": f"Note that {target} holds every write up to the fence, when that is proven"},
        {"action": "ModifyDBInstance", "resource": target, "what": f"Give {target} the parameter group of its source"},
        {"action": "RebootDBInstance", "resource": target, "what": f"Restart {target} to put its parameter group in force"},
    ]


def _plan_build(
    topology: Topology, request: PlanRequest, link_id: str | None = None, source: dict | None = None, origin: dict | None = None
) -> list[dict]:
    fence_id = link_id or topology.fence_id or request.fresh_fence_id
    primary = topology.primary
    finish = FinishRequest(request.accepted["ModifyDBInstance"], backup_copies=request.backup_copies)
    restore = RestoreRequest(
        name=topology.name,
        target_identifier=primary.target_identifier,
        kms_key_arn=request.kms_key_arn,
        fence_id=fence_id,
        fence_assumed=True,
        finish=finish,
        accepted_by_restore=request.accepted["RestoreDBInstanceFromDBSnapshot"],
        link_id=link_id,
    )
    # By then the fence will have renamed it.
    fenced = source or {**primary.source, "DBInstanceIdentifier": primary.old_name}
    steps = plan_restore(restore, RestoreState(fenced, primary.target, origin=origin)).to_list()
    by_name = {m.name: m for m in topology.members}
    for member in topology.replicas:
        if member.source is None:
            continue
        parent = by_name[member.parent]
        replica = ReplicaRequest(
            name=member.name,
            target_identifier=member.target_identifier,
            parent_identifier=parent.target_identifier,
            fence_id=fence_id,
            parent_assumed=True,
            finish=finish,
            accepted_by_create=request.accepted["CreateDBInstanceReadReplica"],
        )
        steps += plan_replica(replica, ReplicaState(member.source, parent.target, member.target, parent.source)).to_list()
    return steps


# What the run makes equal by steps of their own, after the ones that are predicted here.
TO_COME = ("AssociatedRoles", "ReadReplicaDBInstanceIdentifiers", "TagList", "DBParameterGroups")


def predicted_differences(topology: Topology, request: PlanRequest, accepted_differences: frozenset) -> dict[str, list[Row]]:
    """What would still differ at the end, by member: known before the outage begins instead of after it.

    A member whose target exists is left to the comparison of the real ones.
    """
    found = {}
    names = identifier_map(topology)
    for member in topology.members:
        if member.source is None or member.target is not None:
            continue
        model = with_backup_keys(member.source, request.backup_copies)
        rows = compare(
            member.source,
            predict_finished(model, _predicted(topology, member, request), request.accepted["ModifyDBInstance"]),
            names=names,
            kms_key_arn=request.kms_key_arn,
            accepted_differences=accepted_differences,
            to_come=TO_COME,
        )
        left = unexplained(rows)
        if left:
            found[member.name] = left
    return found


def _predicted(topology: Topology, member: Member, request: PlanRequest) -> dict:
    source = member.source
    primary = topology.primary.source
    restored = predict_restored(
        primary,
        restore_parameters(primary, request.accepted["RestoreDBInstanceFromDBSnapshot"]),
        target_identifier=topology.primary.new_name,
        kms_key_arn=request.kms_key_arn,
    )
    if member.is_primary:
        return restored
    parent = {m.name: m for m in topology.members}[member.parent]
    parent_shape = {**restored, **{k: v for k, v in (parent.source or {}).items() if k in ("DBSubnetGroup", "OptionGroupMemberships")}}
    parent_shape["DBInstanceIdentifier"] = parent.new_name
    parameters = replica_parameters(source, parent_shape, request.accepted["CreateDBInstanceReadReplica"])
    return predict_replica(source, parent_shape, parameters, target_identifier=member.new_name)


def in_phase(phase: str, steps: list[dict]) -> list[dict]:
    """Steps as the plan lists them, with the phase that they belong to."""
    return [dict(phase=phase, **step) for step in steps]


def times_of(topology: Topology) -> dict[str, str | None]:
    """When what was done, as the tags of the source say it (ISO 8601); None for what was not done under the fence in force."""
    tags = topology.source_tags

    def noted(tag: str) -> str | None:
        # "FENCE-ID TIME", but for the cutover, which is the time alone.
        fence, _space, when = tags.get(tag, "").rpartition(" ")
        return when or None if topology.fence_id and fence in ("", topology.fence_id) else None

    return {"fenced_at": noted(TAG_FENCED), "validated_at": noted(TAG_VALIDATED), "cut_over_at": noted(TAG_CUT_OVER_AT)}


def describe_member(member: Member) -> dict:
    """What roles and reports need to know of a member; identifiers, addresses and facts, no secrets."""
    source, target = member.source, member.target
    serving = target if member.cut_over else source
    return {
        "name": member.name,
        "role": "primary" if member.is_primary else "replica",
        "level": member.level,
        "parent": member.parent,
        "old_identifier": member.old_name,
        "new_identifier": member.new_name,
        "source_identifier": member.source_identifier,
        "source_exists": source is not None,
        "target_identifier": member.target_identifier,
        "target_exists": target is not None,
        "cut_over": member.cut_over,
        "serving_encrypted": bool(serving) and is_encrypted(serving),
        "source_address": ((source or {}).get("Endpoint") or {}).get("Address"),
        "target_address": ((target or {}).get("Endpoint") or {}).get("Address"),
        "instance_class": (source or target or {}).get("DBInstanceClass"),
        "storage_gib": (source or target or {}).get("AllocatedStorage"),
        "master_username": (source or target or {}).get("MasterUsername"),
        "kms_key_id": (target or {}).get("KmsKeyId"),
    }
