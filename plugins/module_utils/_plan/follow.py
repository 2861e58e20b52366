# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What AWS holds of a target that follows its source (reference 001): the attempt's id, a seed replica, a parameter group, and the proof.

The source serves while all of this is made, so nothing of it is marked with a fence id. The target, its snapshot and its replicas bear the
link id in place of one. Only when the target was proven to hold every write up to a fence, it is given that fence's id: to the cutover a
target that merely follows is one of another fence (law 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.durations import usual_seconds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    MAX_INSTANCE_IDENTIFIER,
    TAG_BINLOG_RETENTION,
    TAG_COORDINATES,
    TAG_DRAINED,
    TAG_FENCE_ID,
    TAG_GTID,
    TAG_LINK_ID,
    TAG_SOURCE_RESOURCE_ID,
    identifier_problem,
    tag_list,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    ROLE_SEED_REPLICA,
    Member,
    Topology,
    is_seed_replica,
    seed_identifier,
    target_tags_for,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.cutover import fence_in_force

# Until the cutover nothing but replication writes to the target: neither clients nor its own events (MySQL manual: read_only, event_scheduler).
HELD_PARAMETERS = {"read_only": "1", "event_scheduler": "OFF"}
LINK_TAGS = (TAG_LINK_ID, TAG_BINLOG_RETENTION, TAG_DRAINED)
# What a tag's value may hold (RDS guide: Tagging); a set of GTIDs is parted by commas and may be long.
_LONGEST_TAG_VALUE = 256


@dataclass(frozen=True)
class Group:
    """A DB parameter group as far as it matters.

    :param family: ``DBParameterGroupFamily``.
    :param values: the held parameters among those that a user has set, name -> value.
    """

    name: str
    family: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkRequest:
    """What was asked for.

    :param fresh_link_id: the id to use if this is a new attempt.
    :param binlog_retention_hours: what the source's setting is before the attempt, as text; ``NULL`` for none.
    :param accepted: the parameters that the installed botocore knows for CreateDBInstanceReadReplica.
    """

    fresh_link_id: str
    binlog_retention_hours: str
    accepted: frozenset = frozenset()


@dataclass(frozen=True)
class LinkState:
    """What is there.

    :param group: the source's parameter group.
    :param held: the attempt's own one, or None.
    :param seed: the seed replica (``DBInstance``), or None.
    :param snapshot: the snapshot of the seed (``DBSnapshot``), or None.
    """

    topology: Topology
    group: Group
    held: Group | None = None
    seed: dict | None = None
    snapshot: dict | None = None


def held_group_name(topology: Topology, link_id: str) -> str:
    """The parameter group that the target has until it is opened."""
    return f"{topology.primary.new_name}-{link_id}"


def snapshot_identifier(topology: Topology, link_id: str) -> str:
    """The snapshot of the seed, from which the target is made."""
    return f"{topology.primary.new_name}-{link_id}"


def coordinate_tags(coordinates: dict) -> dict[str, str]:
    """Where replication has to begin, as tags of the snapshot: no crash of a controller loses them there (law 3).

    :param coordinates: ``{file, position, gtid}``; a set of GTIDs that does not fit is left out, the coordinates alone say it as well.
    """
    tags = {TAG_COORDINATES: f"{coordinates['file']}:{coordinates['position']}"}
    gtid = " ".join(part.strip() for part in (coordinates.get("gtid") or "").split(","))
    if gtid and len(gtid) <= _LONGEST_TAG_VALUE:
        tags[TAG_GTID] = gtid
    return tags


def coordinates_of(snapshot: dict | None) -> dict | None:
    """``{file, position, gtid}`` from a snapshot's tags, or None."""
    tags = tags_of(snapshot or {})
    file, colon, position = tags.get(TAG_COORDINATES, "").rpartition(":")
    if not colon or not position.isdigit():
        return None
    return {"file": file, "position": int(position), "gtid": ",".join(tags.get(TAG_GTID, "").split()) or None}


def check_can_follow(topology: Topology) -> None:
    """Raise unless the source can be followed from where the topology stands."""
    primary = topology.primary
    if primary is None or primary.source is None:
        raise RefusedError(f"{topology.name} has no unencrypted source in this region: there is nothing to follow.", done="Nothing was changed.")
    if primary.cut_over:
        raise RefusedError(f"{topology.name} is served by its encrypted instance already.", done="Nothing was changed.")
    if primary.fenced_by_name and topology.link_id is None:
        raise RefusedError(
            f"{topology.name} was fenced by a strategy that does not replicate.",
            done="Nothing was changed.",
            next_step="Finish with the strategy that it was begun with, or roll back (rollback.yml) first.",
        )


def plan_begin(state: LinkState, request: LinkRequest) -> Plan:
    """The steps until a seed replica is there from which a target can be made, and the parameter group that holds the target.

    :raises RefusedError: the source cannot be followed.
    """
    topology = state.topology
    check_can_follow(topology)
    primary = topology.primary
    if primary.fenced_by_name or primary.target is not None:
        return Plan()
    link_id = topology.link_id or request.fresh_link_id
    seed_name = seed_identifier(topology.name, topology.prefixes)
    problem = identifier_problem(seed_name, MAX_INSTANCE_IDENTIFIER)
    if problem:
        raise RefusedError(f"The identifier {seed_name}, needed to seed the target of {topology.name}, {problem}.", done="Nothing was changed.")
    if state.seed is not None and not _is_seed_of(state.seed, topology, link_id) and tags_of(state.seed):
        raise RefusedError(
            f"{seed_name} exists already and is not what this attempt would make.",
            done="It was left as it is; nothing was changed.",
            next_step=f"Remove {seed_name} if an earlier attempt left it (retire.yml deletes it by name), then run again.",
        )
    mark = []
    if topology.link_id is None:
        mark.append(
            Step(
                "AddTagsToResource",
                primary.source_identifier,
                f"Note on {primary.source_identifier} that {primary.new_name} is to follow it",
                {"Tags": {TAG_LINK_ID: link_id, TAG_BINLOG_RETENTION: request.binlog_retention_hours}},
                resource_id=primary.source["DbiResourceId"],
                replan=True,
                still=_not_linked_yet(primary),
            )
        )
    held = held_group_name(topology, link_id)
    make_group = [_make_group(state.group, held, topology.name)] if state.held is None else []
    wrong = {key: value for key, value in HELD_PARAMETERS.items() if state.held is None or state.held.values.get(key) != value}
    set_group = [_set_group(held, wrong)] if wrong else []
    seeded = state.snapshot is not None and state.snapshot.get("Status") == "available"
    # Its replication is stopped later on purpose: from then on it is ready, whatever RDS says of its replication.
    ready = state.seed is not None and state.seed["DBInstanceStatus"] in READY_STATUSES and bool(tags_of(state.seed))
    seed = [] if seeded or ready else [_make_seed(topology, link_id, seed_name, request, started=state.seed is not None)]
    return Plan(stages(mark, make_group, set_group, seed))


def _not_linked_yet(primary: Member) -> Callable[[list[dict]], bool]:
    resource_id, identifier = primary.source["DbiResourceId"], primary.source_identifier

    def still(instances: list[dict]) -> bool:
        mine = next((i for i in instances if i["DbiResourceId"] == resource_id), None)
        return mine is not None and mine["DBInstanceIdentifier"] == identifier and TAG_LINK_ID not in tags_of(mine)

    return still


def _make_group(model: Group, held: str, name: str) -> Step:
    what = f"Make parameter group {held}, which keeps everybody but replication from writing to the target of {name}"
    text = f"{name}: until the encrypted instance has its name"
    if model.name.startswith("default."):
        # RDS does not copy its default groups (RDS guide: Copying a DB parameter group); an empty one of the family is the same.
        return Step("CreateDBParameterGroup", held, what, {"DBParameterGroupName": held, "DBParameterGroupFamily": model.family, "Description": text})
    copied = {
        "SourceDBParameterGroupIdentifier": model.name,
        "TargetDBParameterGroupIdentifier": held,
        "TargetDBParameterGroupDescription": text,
    }
    return Step("CopyDBParameterGroup", held, what, copied)


def _set_group(held: str, values: dict[str, str]) -> Step:
    parameters = [{"ParameterName": key, "ParameterValue": values[key], "ApplyMethod": "immediate"} for key in sorted(values)]
    shown = ", ".join(f"{key}={values[key]}" for key in sorted(values))
    return Step("ModifyDBParameterGroup", held, f"Set {shown} in {held}", {"DBParameterGroupName": held, "Parameters": parameters})


def _make_seed(topology: Topology, link_id: str, seed_name: str, request: LinkRequest, *, started: bool) -> Step:
    source = topology.primary.source
    product = target_tags_for(topology.name, ROLE_SEED_REPLICA, source, link_id)
    groups = [group["VpcSecurityGroupId"] for group in source.get("VpcSecurityGroups") or []]
    wanted = {
        "DBInstanceIdentifier": seed_name,
        "SourceDBInstanceIdentifier": source["DBInstanceIdentifier"],
        "DBInstanceClass": source["DBInstanceClass"],
        "VpcSecurityGroupIds": groups or None,
        "Port": (source.get("Endpoint") or {}).get("Port"),
        "PubliclyAccessible": bool(source.get("PubliclyAccessible")),
        "MultiAZ": False,
        "AutoMinorVersionUpgrade": False,
        "DeletionProtection": False,
        "Tags": tag_list(product),
    }
    accepted = request.accepted | {"DBInstanceIdentifier", "SourceDBInstanceIdentifier", "Tags"}
    return Step(
        "CreateDBInstanceReadReplica",
        seed_name,
        f"Create replica {seed_name} of {source['DBInstanceIdentifier']}, from which the target is seeded",
        {key: value for key, value in wanted.items() if value is not None and key in accepted},
        started=started,
        replan=True,
        expected=usual_seconds("CreateDBInstanceReadReplica", source),
        confirmed=lambda d: all(tags_of(d).get(key) == value for key, value in product.items()),
    )


def _is_seed_of(described: dict, topology: Topology, link_id: str) -> bool:
    tags = tags_of(described)
    mine = tags.get(TAG_SOURCE_RESOURCE_ID) == topology.primary.source["DbiResourceId"]
    return is_seed_replica(described) and mine and tags.get(TAG_FENCE_ID) == link_id


def plan_proven(topology: Topology, now: str) -> Plan:
    """The steps that note that the target and its replicas hold every write up to the fence in force. Ask only when that was proven.

    The target's own mark comes last: with it the cutover takes it for the target of this fence.

    :raises RefusedError: no fence is in force, or there is no target that follows.
    """
    primary = topology.primary
    if primary is None or primary.source is None or not topology.fenced:
        raise RefusedError(
            f"{topology.name} is not fenced: applications may still write to it.",
            done="Nothing was noted.",
            next_step="Run the fence phase, then again.",
        )
    if primary.target is None or topology.link_id is None:
        raise RefusedError(
            f"{topology.name} has no target that follows it: {primary.new_name} is not there, or was not made so.",
            done="Nothing was noted.",
            next_step="Roll back (rollback.yml), then run again from the beginning.",
        )
    if topology.drained:
        return Plan()
    fence_id = topology.fence_id
    still = fence_in_force(topology)
    replicas = [
        _mark_proven(member, fence_id, still)
        for member in topology.replicas
        if member.target is not None and tags_of(member.target).get(TAG_FENCE_ID) != fence_id
    ]
    note = Step(
        "AddTagsToResource",
        primary.source_identifier,
        f"Note on {primary.source_identifier} when {primary.target_identifier} had everything",
        {"Tags": {TAG_DRAINED: f"{fence_id} {now}"}},
        resource_id=primary.source["DbiResourceId"],
        still=still,
        agreed=True,
    )
    # All that is seen once is believed: together they cost the outage one wait.
    return Plan(stages([*replicas, note], [_mark_proven(primary, fence_id, still)]))


def _mark_proven(member: Member, fence_id: str, still: Callable[[list[dict]], bool]) -> Step:
    return Step(
        "AddTagsToResource",
        member.target_identifier,
        f"Mark {member.target_identifier} as holding all writes up to fence {fence_id}",
        {"Tags": {TAG_FENCE_ID: fence_id}},
        resource_id=member.target["DbiResourceId"],
        still=still,
        agreed=not member.is_primary,  # what comes next reads the marks anew, and must not see an older state
    )


def plan_give_up(topology: Topology) -> Plan:
    """The step by which a target never follows again, before its link is taken off: what it has applied since is noted nowhere then.

    It bears another id than the attempt from now on, so that whoever dies between this and ``plan_end`` leaves nothing that could be taken
    for a target which was just restored and begins at the coordinates of its snapshot.
    """
    primary = topology.primary
    if primary is None or primary.target is None or topology.link_id is None or primary.cut_over:
        return Plan()
    if tags_of(primary.target).get(TAG_FENCE_ID) != topology.link_id:
        return Plan()
    step = Step(
        "AddTagsToResource",
        primary.target_identifier,
        f"Mark {primary.target_identifier} as one that follows nobody any more",
        {"Tags": {TAG_FENCE_ID: f"{topology.link_id}-given-up"}},
        resource_id=primary.target["DbiResourceId"],
    )
    return Plan(stages([step]))


def plan_end(topology: Topology) -> Plan:
    """The steps that give up following: the source bears no mark of it any more. What was made stays, for retire."""
    primary = topology.primary
    if primary is None or primary.source is None or topology.link_id is None:
        return Plan()
    if primary.source_identifier != topology.name:
        raise RefusedError(
            f"{topology.name} is still called {primary.source_identifier}: give it its name back first.", done="Nothing was changed."
        )
    marks = tuple(key for key in LINK_TAGS if key in topology.source_tags)
    what = f"Take the marks of replication off {primary.source_identifier}"
    step = Step("RemoveTagsFromResource", primary.source_identifier, what, {"TagKeys": marks}, resource_id=primary.source["DbiResourceId"])
    return Plan(stages([step]))


def check_storage(source: dict, free_bytes: float | None, least_percent: int) -> None:
    """Raise if a source's storage comes to its end while it keeps binary logs for a target.

    :param free_bytes: what CloudWatch saw last, or None if it saw nothing.
    """
    allocated = (source.get("AllocatedStorage") or 0) * 1024**3
    if not allocated or free_bytes is None or 100 * free_bytes >= least_percent * allocated:
        return
    raise RefusedError(
        f"{source['DBInstanceIdentifier']} has {100 * free_bytes / allocated:.0f} % of its storage free, less than {least_percent} %, and keeps its "
        "binary logs while a target follows it.",
        done="Nothing was changed by this call, and nothing was stopped.",
        next_step="Give it more storage, wait until there is room, or lower rds_encryption_min_free_storage; or give up following (rollback.yml), "
        "which puts the retention of binary logs back.",
    )


def follow_blockers(topology: Topology) -> list[tuple[str, str]]:
    """Why a source cannot be followed, as far as RDS shows it: ``[(code, text)]``."""
    primary = topology.primary
    source = primary.source
    if source is None or primary.target is not None:
        return []
    found = []
    if not source.get("BackupRetentionPeriod"):
        found.append(("backups_off", f"{topology.name} has automated backups off, so it writes no binary log to follow. Switch them on first."))
    if source.get("MasterUserSecret"):
        text = f"{topology.name} has a master password that RDS manages: RDS makes no replica of it, so it cannot be seeded. Use the strategy cold."
        found.append(("managed_password", text))
    most = engine_row(source["Engine"]).replicas_per_source
    replicas = list(source.get("ReadReplicaDBInstanceIdentifiers") or [])
    if len(replicas) >= most:
        text = f"{topology.name} has {len(replicas)} replicas; RDS allows {most}, and one more is needed to seed the target. Remove one, or use cold."
        found.append(("replicas_full", text))
    problem = identifier_problem(seed_identifier(topology.name, topology.prefixes))
    if problem:
        found.append(("name", f"The identifier {seed_identifier(topology.name, topology.prefixes)}, needed to seed the target, {problem}."))
    return found
