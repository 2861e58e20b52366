# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What is still missing on an instance so that it equals its model: the same for restored targets and recreated replicas.

The order follows what RDS needs: one combined modify, then other calls, a restart only if a parameter group really waits for one, a
managed master password only once the replicas exist (replicas of an instance with one are refused), then the activity stream and the
replication of backups, deletion protection last.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_PREFIX, own_tags, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import needs_reboot, settled
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.carry import (
    late_changes,
    missing_roles,
    modifications,
    modify_parameters,
    regions_without_key,
    surplus_tags,
    tag_changes,
    with_backup_keys,
)


@dataclass(frozen=True)
class FinishRequest:
    """How far to go.

    :param accepted: the parameters that the installed botocore knows for ModifyDBInstance.
    :param replicas_awaited: identifiers of replicas that must exist below the instance before the managed master password is switched on.
    :param extra_tags: more tags that the user asked for.
    :param backup_copies: how the automated backups of the instance are to be replicated to other regions (see ``with_backup_keys``).
    """

    accepted: frozenset
    replicas_awaited: tuple[str, ...] = ()
    extra_tags: tuple[tuple[str, str], ...] = ()
    backup_copies: dict[str, dict] = field(default_factory=dict)


def plan_finish(model: dict, current: dict, request: FinishRequest, *, assumed: bool = False) -> Plan:
    """The steps from an instance that exists to one that equals its model.

    :param model: the ``DBInstance`` whose attributes are wanted.
    :param current: the ``DBInstance`` to finish.
    :param assumed: ``current`` is a prediction: plan for an instance at rest.
    """
    identifier = current["DBInstanceIdentifier"]
    resource_id = current.get("DbiResourceId")
    model = with_backup_keys(model, request.backup_copies)
    if not assumed and (current["DBInstanceStatus"] not in READY_STATUSES or settled(current)):
        # Nothing can be decided about an instance in motion: wait, then look again.
        wait = Step("WaitUntilReady", identifier, f"Wait until {identifier} is ready", resource_id=resource_id, replan=True)
        return Plan(stages([wait]))
    tags = _tags(model, current, request, identifier, resource_id)
    modify = _modify(model, current, request, identifier, resource_id)
    roles = [
        Step(
            "AddRoleToDBInstance",
            identifier,
            f"Associate {role_arn.rsplit('/', 1)[-1]} with {identifier} for {feature or 'all features'}",
            {"RoleArn": role_arn, **({"FeatureName": feature} if feature else {})},
            resource_id=resource_id,
            confirmed=lambda d, r=role_arn, f=feature: (r, f) not in missing_roles(model, d),
        )
        for role_arn, feature in missing_roles(model, current)
    ]
    # Where the modification restarts the instance itself, no other restart is to be expected; it is looked at again after it.
    wants_restart = any(name in step.parameters for step in modify for name in ("DBParameterGroupName", "DedicatedLogVolume"))
    restart_awaited = (needs_reboot(current) or wants_restart) and not any(
        _restarts(step.parameters, current) for step in modify
    )
    restart = []
    if restart_awaited:
        restart.append(
            Step(
                "RebootDBInstance",
                identifier,
                f"Restart {identifier} to put its parameter group in force",
                resource_id=resource_id,
                replan=True,
                confirmed=lambda d: not needs_reboot(d),
            )
        )
    late, remarks = _late(model, current, request, identifier, resource_id)
    # Roles one by one: a second association while the first is pending is refused by some engines.
    return Plan(stages(tags, *([step] for step in modify), *([role] for role in roles), restart, *([step] for step in late)), tuple(remarks))


def _restarts(parameters: dict, current: dict) -> bool:
    """Whether a modification restarts the instance: backups switched on or off do (AWS: ModifyDBInstance, BackupRetentionPeriod)."""
    days = parameters.get("BackupRetentionPeriod")
    return days is not None and bool(days) != bool(current.get("BackupRetentionPeriod"))


def _tags(model, current, request, identifier, resource_id) -> list[Step]:
    wanted = {**tag_changes(own_tags(tags_of(model)), own_tags(tags_of(current)))}
    wanted.update({k: v for k, v in request.extra_tags if tags_of(current).get(k) != v and not k.startswith(TAG_PREFIX)})
    steps = []
    if wanted:
        what = f"Carry {len(wanted)} tags to {identifier}"
        steps.append(Step("AddTagsToResource", identifier, what, {"Tags": wanted}, resource_id=resource_id))
    # A tag too many counts as much as one too few: schedulers, backup plans and policies go by tags.
    surplus = [key for key in surplus_tags(tags_of(model), tags_of(current)) if key not in dict(request.extra_tags)]
    if surplus:
        what = f"Take the tags {', '.join(surplus)} off {identifier}, which the source does not have"
        steps.append(Step("RemoveTagsFromResource", identifier, what, {"TagKeys": tuple(surplus)}, resource_id=resource_id))
    return steps


def _modify(model, current, request, identifier, resource_id) -> list[Step]:
    return [
        Step(
            "ModifyDBInstance",
            identifier,
            f"Set {', '.join(sorted(parameters))} on {identifier}",
            parameters,
            resource_id=resource_id,
            replan=True,
            confirmed=lambda d, p=parameters: not set(p).intersection(modify_parameters(model, d, request.accepted)),
        )
        for parameters in modifications(model, current, request.accepted)
    ]


def _late(model, current, request, identifier, resource_id) -> tuple[list[Step], list[str]]:
    have = set(current.get("ReadReplicaDBInstanceIdentifiers") or [])
    awaited = [replica for replica in request.replicas_awaited if replica not in have]
    steps, remarks = [], []
    for change in late_changes(model, current):
        if awaited and change.after_replicas:
            remarks.append(f"{change.member} of {identifier} follows when its replicas exist: {', '.join(awaited)}.")
            break  # and what comes after it: deletion protection is the last of all
        where = change.parameters.get("DestinationRegion")
        steps.append(
            Step(
                change.operation,
                identifier,
                f"Replicate the automated backups of {identifier} to {where}" if where else f"Set {change.member} on {identifier}",
                change.parameters,
                resource_id=resource_id,
                replan=change.operation == "StartActivityStream",  # RDS decides in which state the policy of a new stream is
                confirmed=lambda d, c=change: (c.member, c.parameters) not in [(e.member, e.parameters) for e in late_changes(model, d)],
            )
        )
    remarks += [f"The automated backups of {identifier} are not replicated to {region}: no key of that region was named." for region in
                regions_without_key(model, current)]
    return steps, remarks
