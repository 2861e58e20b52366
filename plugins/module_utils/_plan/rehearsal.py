# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The build of a topology beside its running source, under throw-away names: the planners of a run, without fence and cutover.

Nothing of it can serve. Its snapshot was taken while applications wrote, so everything made from it has the role ``rehearsal``, which no
other planner looks for, and the id of a rehearsal in place of that of a fence (law 1).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    REHEARSAL,
    TAG_FENCE_ID,
    TAG_NAME,
    TAG_SOURCE_RESOURCE_ID,
    identifier_problem,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    Listing,
    Member,
    Prefixes,
    Topology,
    is_encrypted,
    is_rehearsal,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replica import ReplicaRequest, ReplicaState, plan_replica
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import RestoreRequest, RestoreState, being_made_unmarked, plan_restore
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.seed import is_seed

# A rehearsal that was stopped goes on from its snapshot; an older one says nothing of tonight.
GOES_ON_FOR = timedelta(days=1)
PHASES = {"CreateDBSnapshot": "snapshot", "CopyDBSnapshot": "encrypted copy", "RestoreDBInstanceFromDBSnapshot": "restore"}
REPLICAS, SETTINGS = "replicas", "settings"


@dataclass(frozen=True)
class RehearsalRequest:
    """What was asked for.

    :param accepted: AWS operation -> the parameters that the installed botocore knows for it.
    :param backup_copies: how automated backups are to be replicated to other regions (see ``with_backup_keys``).
    :param assumed: what is to be made may be missing, it will have been made by then (check mode).
    """

    rehearsal_id: str
    kms_key_arn: str
    accepted: dict[str, frozenset] = field(default_factory=dict)
    backup_copies: dict[str, dict] = field(default_factory=dict)
    assumed: bool = False


def rehearsed(topology: Topology, listing: Listing, prefix: str) -> Topology:
    """The topology with what a rehearsal made, or will make, in place of the targets.

    :raises RefusedError: the source does not run under its name, or somebody else has a name that is needed.
    """
    primary = topology.primary
    name = topology.name
    if topology.skip_reason or topology.problems or primary is None or primary.source is None or is_encrypted(primary.source):
        why = topology.skip_reason or (topology.problems or (f"{name} is encrypted already.",))[0]
        raise RefusedError(f"There is nothing to rehearse: {why}", done="Nothing was changed.")
    if primary.source_identifier != name:
        raise RefusedError(
            f"{name} is fenced as {primary.source_identifier}: a run is under way, and only a running source can be rehearsed with.",
            done="Nothing was changed.",
            next_step="Let the run come to its end (encrypt.yml), or take it back (rollback.yml).",
        )
    prefixes = Prefixes(topology.prefixes.old, prefix)
    members = tuple(
        replace(member, prefixes=prefixes, target=listing.by_name.get(prefix + member.name)) for member in topology.members if member.source is not None
    )
    for member in members:
        _check_name(member)
    return replace(topology, prefixes=prefixes, members=members)


def check_prefix(prefix: str, prefixes: Prefixes) -> None:
    """Raise if what a rehearsal makes could be taken for what a run makes, by its name."""
    for taken in (prefixes.old, prefixes.new):
        if not prefix or prefix.startswith(taken) or taken.startswith(prefix):
            raise RefusedError(
                f"rehearsal_prefix {prefix or 'is empty; it'} must be set and differ from old_prefix and new_prefix; none may begin with another.",
                done="Nothing was changed.",
            )


def _check_name(member: Member) -> None:
    problem = identifier_problem(member.new_name)
    if problem:
        raise RefusedError(
            f"The identifier {member.new_name}, needed for the rehearsal of {member.name}, {problem}.",
            done="Nothing was changed.",
            next_step="Choose a shorter rds_encryption_rehearsal_prefix.",
        )
    there = member.target
    if there is None or being_made_unmarked(there):
        return
    tags = tags_of(there)
    if not is_rehearsal(there) or tags.get(TAG_NAME) != member.name or tags.get(TAG_SOURCE_RESOURCE_ID) != member.source["DbiResourceId"]:
        raise RefusedError(
            f"{member.new_name} exists already and was not made by a rehearsal of this {member.name}.",
            done="Nothing was changed.",
            next_step="Rename or remove it, or choose another rds_encryption_rehearsal_prefix.",
        )


def rehearsal_id(topology: Topology, snapshots: list[dict], now: datetime) -> str:
    """The id of the rehearsal that was begun, or a new one.

    :param snapshots: ``DBSnapshot`` shapes of the source.
    """
    made = topology.primary.target
    begun = tags_of(made).get(TAG_FENCE_ID) if made is not None else None
    if begun:
        return begun
    mine = [s for s in snapshots if is_rehearsal(s) and tags_of(s).get(TAG_NAME) == topology.name and TAG_FENCE_ID in tags_of(s)]
    young = [s for s in mine if now - (s.get("SnapshotCreateTime") or now) < GOES_ON_FOR]
    # The ids hold the time, so the greatest is the latest.
    return max((tags_of(s)[TAG_FENCE_ID] for s in young), default=f"{REHEARSAL}{now:%Y%m%d%H%M%S}")


def restore_request(topology: Topology, request: RehearsalRequest, *, replicas_awaited: tuple[str, ...] = ()) -> RestoreRequest:
    """What is asked of the planner of the restore."""
    return RestoreRequest(
        name=topology.name,
        target_identifier=topology.primary.new_name,
        kms_key_arn=request.kms_key_arn,
        fence_id=request.rehearsal_id,
        fence_assumed=True,
        finish=FinishRequest(request.accepted["ModifyDBInstance"], replicas_awaited=replicas_awaited, backup_copies=request.backup_copies),
        accepted_by_restore=request.accepted["RestoreDBInstanceFromDBSnapshot"],
    )


def plan_primary(topology: Topology, request: RehearsalRequest, snapshots: dict[str, dict], *, replicas_awaited: tuple[str, ...] = ()) -> Plan:
    """The steps that are left until the primary's stand-in is there.

    :param snapshots: the rehearsal's own, by identifier.
    """
    primary = topology.primary
    state = RestoreState(primary.source, primary.target, snapshots)
    return plan_restore(restore_request(topology, request, replicas_awaited=replicas_awaited), state)


def plan_stand_in(topology: Topology, name: str, request: RehearsalRequest) -> Plan:
    """The steps that are left until a replica's stand-in is there."""
    by_name = {member.name: member for member in topology.members}
    member = by_name[name]
    parent = by_name[member.parent]
    wanted = ReplicaRequest(
        name=member.name,
        target_identifier=member.new_name,
        parent_identifier=parent.new_name,
        fence_id=request.rehearsal_id,
        parent_assumed=request.assumed,
        finish=FinishRequest(request.accepted["ModifyDBInstance"], backup_copies=request.backup_copies),
        accepted_by_create=request.accepted["CreateDBInstanceReadReplica"],
    )
    return plan_replica(wanted, ReplicaState(member.source, parent.target, member.target, parent.source))


def phase_of(step: Step, topology: Topology) -> str:
    """The phase whose time a step belongs to."""
    if any(step.resource == member.new_name for member in topology.replicas):
        return REPLICAS
    return PHASES.get(step.action, SETTINGS)


def left_behind(topology: Topology, snapshots: list[dict]) -> list[str]:
    """The commands that remove what this rehearsal, or an earlier one, left behind; nothing is deleted here (law 2)."""
    region = topology.primary.source["DBInstanceArn"].split(":")[3]
    commands = []
    for member in sorted(topology.members, key=lambda m: -m.level):
        made = member.target
        if made is None:
            continue
        which = f"--region {region} --db-instance-identifier {shlex.quote(made['DBInstanceIdentifier'])}"
        if made.get("DeletionProtection"):
            commands.append(f"aws rds modify-db-instance {which} --no-deletion-protection --apply-immediately")
        commands.append(f"aws rds delete-db-instance {which} --skip-final-snapshot --delete-automated-backups")
        commands += [
            f"aws logs delete-log-group --region {region} --log-group-name {shlex.quote('/aws/rds/instance/' + made['DBInstanceIdentifier'] + '/' + kind)}"
            for kind in made.get("EnabledCloudwatchLogsExports") or []
        ]
    mine = [s for s in snapshots if is_rehearsal(s) or is_seed(s, topology.primary.source)]
    commands += [
        f"aws rds delete-db-snapshot --region {region} --db-snapshot-identifier {shlex.quote(s['DBSnapshotIdentifier'])}"
        for s in sorted(mine, key=lambda s: s["DBSnapshotIdentifier"])
        if s.get("SnapshotType", "manual") == "manual"
    ]
    return commands
