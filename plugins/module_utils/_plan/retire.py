# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Retiring originals whose encrypted instances are proven and have served for long enough; the only place that deletes anything (law 2).

The original goes last, with a final snapshot: as long as it is there, its tags tell any later run what is left to do. Replicas go before it,
the deepest first, for RDS promotes the replicas of an instance that is deleted (RDS guide: Deleting a DB instance).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.ages import DAY, age_in_words, seconds_between
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.durations import usual_seconds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_CUT_OVER_AT,
    TAG_FENCE_ID,
    TAG_NAME,
    TAG_ROLE,
    TAG_SOURCE_RESOURCE_ID,
    TAG_TARGET_RESOURCE_ID,
    TAG_VALIDATED,
    own_tags,
    tag_list,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    ROLE_SEED,
    ROLE_SNAPSHOT,
    Listing,
    Member,
    Topology,
    is_encrypted,
    is_rehearsal,
    is_replica,
    is_seed_replica,
    made_by_a_rehearsal,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.rollback import leftovers

STOP = "stop"
DELETE = "delete"
SEVEN_DAYS = "RDS starts a stopped instance again after seven days: run this again then, or retire it with the action delete."
# RDS takes no final snapshot of these (DeleteDBInstance, SkipFinalSnapshot).
WITHOUT_FINAL_SNAPSHOT = ("failed", "incompatible-restore", "incompatible-network")
MAX_FINAL_SNAPSHOTS = 5


@dataclass(frozen=True)
class RetireRequest:
    """What was asked for.

    :param action: ``stop`` or ``delete``.
    :param confirmed: names of topologies and identifiers of leftovers that the operator listed.
    :param kms_key_arn: the key of encrypted copies of final snapshots; None makes none.
    """

    action: str = STOP
    after_days: int = 14
    confirmed: frozenset = frozenset()
    kms_key_arn: str | None = None


@dataclass(frozen=True)
class RetireState:
    """What is there.

    :param snapshots: every manual ``DBSnapshot`` of the region.
    :param held_group: the parameter group that the target had while it followed, if it is still there.
    """

    topology: Topology
    listing: Listing
    snapshots: tuple[dict, ...] = field(default_factory=tuple)
    held_group: str | None = None

    @property
    def seeds(self) -> list[dict]:
        """The replicas of the original from which a target was seeded."""
        primary = self.topology.primary
        if primary is None or primary.source is None:
            return []
        mine = primary.source["DbiResourceId"]
        return [i for i in self.listing.instances if is_seed_replica(i) and tags_of(i).get(TAG_SOURCE_RESOURCE_ID) == mine]


def retirable(state: RetireState, request: RetireRequest, now: str) -> tuple[bool, str]:
    """Whether the originals of a topology may go, and why (not).

    :raises RefusedError: they were replaced, and what replaced them is not proven (any more).
    """
    topology = state.topology
    name, primary, tags = topology.name, topology.primary, topology.source_tags
    if topology.skip_reason:
        return False, topology.skip_reason
    if primary is None or primary.source is None:
        return False, f"{name} has no original any more."
    if primary.source_identifier == name:
        return False, f"{name} is its original: there is nothing to retire."
    if TAG_CUT_OVER_AT not in tags or not primary.cut_over:
        return False, f"{name} is not served by its encrypted instance: there is nothing to retire."
    target = primary.target
    for bad, why in (
        (not topology.finished, "its cutover did not come to its end: run encrypt.yml again"),
        (not is_encrypted(target), f"{name} is not encrypted"),
        (tags.get(TAG_TARGET_RESOURCE_ID) != target["DbiResourceId"], f"{name} is not the instance that was validated"),
        (not tags.get(TAG_VALIDATED, "").startswith(f"{topology.fence_id} "), "no validation is noted for the fence in force"),
        (target["DBInstanceStatus"] not in READY_STATUSES, f"{name} is {target['DBInstanceStatus']}"),
    ):
        if bad:
            raise RefusedError(
                f"{primary.source_identifier} is not retired: {why}.", done="Nothing was stopped or deleted.", next_step="See to it, then run again."
            )
    age = seconds_between(tags[TAG_CUT_OVER_AT], now)
    if age is None or age < request.after_days * DAY:
        return False, f"{name} has been served by its encrypted instance for {age_in_words(age)}, asked for are {request.after_days} days."
    return True, f"{name} has been served by its proven, encrypted instance for {age_in_words(age)} (since {tags[TAG_CUT_OVER_AT]})."


def plan_retire(state: RetireState, request: RetireRequest, now: str, *, confirmed_only: bool = False) -> Plan:
    """The steps that are left.

    :param confirmed_only: leave out what the operator did not list.
    :raises RefusedError: something would be lost that must stay.
    """
    topology = state.topology
    ready, reason = retirable(state, request, now)
    plan = _plan_originals(state, request) if ready else Plan(_copies(state, request) if _may_copy(state) else ())
    if confirmed_only and topology.name not in request.confirmed:
        plan = Plan(remarks=plan.remarks)
    left = leftovers(topology, state.listing) if topology.members else []
    named = [described for described in left if described["DBInstanceIdentifier"] in request.confirmed]
    more = _plan_leftovers(state, named) if named and request.action == DELETE else ()
    remarks = list(plan.remarks)
    for described in left:
        if described not in named or request.action != DELETE:
            identifier = described["DBInstanceIdentifier"]
            how = ", encrypted" if is_encrypted(described) else ""
            remarks.append(f"{identifier} is left over{how}: it is deleted only with the action delete, and when it is named itself.")
    names = {member.name for member in topology.members}
    rehearsed = [i for i in state.listing.instances if is_rehearsal(i) and tags_of(i).get(TAG_NAME) in names]
    remarks += [f"{i['DBInstanceIdentifier']} {made_by_a_rehearsal(i)}" for i in rehearsed]
    if not ready:
        remarks.insert(0, reason)
    return Plan(plan.stages + more, tuple(remarks))


def _plan_originals(state: RetireState, request: RetireRequest) -> Plan:
    topology = state.topology
    members = [member for member in topology.members if member.source]
    for member in members:
        _check_is_ours(member)
        _check_nobody_else_hangs_on_it(member, members, state)
    return _plan_stop(topology, members, state.seeds) if request.action == STOP else _plan_delete(state, request, members)


def _plan_stop(topology: Topology, members: list[Member], seeds: list[dict]) -> Plan:
    source = topology.primary.source
    identifier = source["DBInstanceIdentifier"]
    if len(members) > 1 or seeds:
        return Plan(remarks=(f"{identifier} has replicas, and RDS stops neither them nor it: they go on running. The action delete retires them.",))
    if source.get("MultiAZ") and not engine_row(source["Engine"]).stops_multi_az:
        return Plan(remarks=(f"{identifier} is a Multi-AZ instance of {source['Engine']}, which RDS does not stop. The action delete retires it.",))
    if source["DBInstanceStatus"] in ("stopped", "stopping"):
        return Plan(remarks=(SEVEN_DAYS,))
    stop = Step("StopDBInstance", identifier, f"Stop {identifier}", resource_id=source["DbiResourceId"], still=_proof_holds(topology))
    return Plan(stages([stop]), (SEVEN_DAYS,))


def _plan_delete(state: RetireState, request: RetireRequest, members: list[Member]) -> Plan:
    topology, primary = state.topology, state.topology.primary
    source, identifier = primary.source, primary.source_identifier
    still = _proof_holds(topology)
    groups: list[list[Step]] = []
    if source["DBInstanceStatus"] == "stopped":
        # A stopped instance can neither be modified nor be snapshotted.
        groups.append([Step("StartDBInstance", identifier, f"Start {identifier} for its final snapshot", resource_id=source["DbiResourceId"])])
    for level in sorted({member.level for member in members if not member.is_primary}, reverse=True):
        doomed = [member for member in members if member.level == level]
        groups.append([_unprotect(m.source) for m in doomed if m.source.get("DeletionProtection") and not _going(m.source)])
        groups.append([_delete_replica(m.source, still, _is(m)) for m in doomed])
    for seed in state.seeds:
        if not is_replica(seed):
            raise RefusedError(
                f"{seed['DBInstanceIdentifier']} seeded the target of {topology.name}, and is no replica any more: somebody promoted it.",
                done="Nothing was deleted.",
                next_step="Delete it by hand, or take its rds-encryption tags off if it is to stay; then run again.",
            )
    groups.append([_delete_replica(seed, still, _is_seed(seed)) for seed in state.seeds])
    if (len(members) > 1 or state.seeds) and not _going(source):
        what = f"Wait until RDS shows no replica of {identifier} any more"
        alone = Step("WaitUntilReady", identifier, what, resource_id=source["DbiResourceId"], confirmed=lambda d: not _listed_replicas(d))
        groups.append([alone])
    snapshots = [s for s in state.snapshots if _is_intermediate(s, topology)]
    groups.append([_delete_snapshot(s, topology) for s in snapshots])
    if state.held_group:
        what = f"Delete parameter group {state.held_group}, which {topology.name} had while it followed"
        groups.append([Step("DeleteDBParameterGroup", state.held_group, what, {"DBParameterGroupName": state.held_group})])
    changes = {}
    if source.get("DeletionProtection"):
        changes["DeletionProtection"] = False
    if not source.get("CopyTagsToSnapshot"):
        changes["CopyTagsToSnapshot"] = True
    if changes and not _going(source):
        groups.append([_prepare(source, changes)])
    final = _final_identifier(f"{identifier}-{topology.fence_id}-final", state.snapshots, going=_going(source))
    alone = _nothing_replicates_from(source)
    groups.append([_delete(source, final, lambda instances: still(instances) and alone(instances), _is(primary))])
    groups += _copies_of([(final, source)], state, request)
    remarks = (f"The automated backups of {identifier} are kept, until RDS removes them at the end of their retention. They are not encrypted.",)
    return Plan(stages(*groups), remarks if source.get("BackupRetentionPeriod") else ())


def _plan_leftovers(state: RetireState, named: list[dict]) -> tuple[tuple[Step, ...], ...]:
    topology = state.topology
    serving = state.listing.by_name.get(topology.name)
    if serving is None or serving["DBInstanceStatus"] not in READY_STATUSES:
        raise RefusedError(
            f"What is left over of {topology.name} is not deleted: {topology.name} itself is {serving['DBInstanceStatus'] if serving else 'not there'}.",
            done="Nothing was deleted.",
            next_step="Run encrypt.yml or rollback.yml to their end, then run again.",
        )
    identifiers = {described["DBInstanceIdentifier"] for described in named}
    for described in named:
        others = sorted(set(_listed_replicas(described)) - identifiers)
        if others:
            raise RefusedError(
                f"{described['DBInstanceIdentifier']} is not deleted: {', '.join(others)} would be promoted.",
                done="Nothing was deleted.",
                next_step="Name them in rds_encryption_retire_confirm too, or remove them by hand.",
            )
        status = described["DBInstanceStatus"]
        if status not in (*READY_STATUSES, *WITHOUT_FINAL_SNAPSHOT, "deleting"):
            raise RefusedError(
                f"{described['DBInstanceIdentifier']} is {status}: it cannot be deleted with a final snapshot.",
                done="Nothing was deleted.",
                next_step="Wait until it is available (a stopped one must be started), then run again.",
            )
    groups: list[list[Step]] = []
    remaining = list(named)
    while remaining:
        # The ones from which nothing of the rest replicates.
        parents = {each.get("ReadReplicaSourceDBInstanceIdentifier") for each in remaining}
        leaves = [each for each in remaining if each["DBInstanceIdentifier"] not in parents] or remaining
        groups.append([_unprotect(each) for each in leaves if each.get("DeletionProtection") and not _going(each)])
        groups.append([_delete_leftover(each, state) for each in leaves])
        remaining = [each for each in remaining if each not in leaves]
    return stages(*groups)


def _delete_leftover(described: dict, state: RetireState) -> Step:
    tags = tags_of(described)
    identifier = described["DBInstanceIdentifier"]

    def same(now: dict) -> bool:
        return now["DBInstanceIdentifier"] == identifier and tags_of(now).get(TAG_SOURCE_RESOURCE_ID) == tags[TAG_SOURCE_RESOURCE_ID]

    if is_replica(described) or described["DBInstanceStatus"] in WITHOUT_FINAL_SNAPSHOT:
        return _delete_replica(described, None, same)
    final = _final_identifier(f"{identifier}-{tags.get(TAG_FENCE_ID, 'left')}-final", state.snapshots)
    return _delete(described, final, _nothing_replicates_from(described), same)


def _check_is_ours(member: Member) -> None:
    source = member.source
    tags = tags_of(source)
    if member.source_identifier == member.old_name and tags.get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"] and not is_encrypted(source):
        return
    raise RefusedError(
        f"{member.source_identifier} belongs to the old topology of {member.name}, but this collection did not rename it to {member.old_name}.",
        done="Nothing was stopped or deleted.",
        next_step="If it is to stay, promote it (aws rds promote-read-replica), else delete it by hand; then run again.",
    )


def _check_nobody_else_hangs_on_it(member: Member, members: list[Member], state: RetireState) -> None:
    """Raise if an instance would be promoted, or cut off, by the deletion of its source."""
    known = {each.source["DbiResourceId"] for each in members} | {seed["DbiResourceId"] for seed in state.seeds}
    mine = {member.source_identifier, member.name}
    others = [r for r in member.source.get("ReadReplicaDBInstanceIdentifiers") or [] if r.startswith("arn:")]
    others += member.source.get("ReadReplicaDBClusterIdentifiers") or []
    for instance in state.listing.instances:
        linked = instance.get("ReadReplicaSourceDBInstanceIdentifier") in mine and not is_encrypted(instance)
        if linked and instance["DbiResourceId"] not in known:
            others.append(instance["DBInstanceIdentifier"])
    if others:
        raise RefusedError(
            f"{member.source_identifier} is not retired: {', '.join(others)} replicates from it, and would be promoted or cut off.",
            done="Nothing was stopped or deleted.",
            next_step="Promote or remove what replicates from it, then run again.",
        )


def _listed_replicas(described: dict) -> list[str]:
    return [*(described.get("ReadReplicaDBInstanceIdentifiers") or []), *(described.get("ReadReplicaDBClusterIdentifiers") or [])]


def _proof_holds(topology: Topology) -> Callable[[list[dict]], bool]:
    """Whether the proven instance still serves under the name."""
    name, resource_id = topology.name, topology.primary.target["DbiResourceId"]

    def still(instances: list[dict]) -> bool:
        return any(
            i["DbiResourceId"] == resource_id
            and i["DBInstanceIdentifier"] == name
            and is_encrypted(i)
            and i["DBInstanceStatus"] in READY_STATUSES
            for i in instances
        )

    return still


def _nothing_replicates_from(described: dict) -> Callable[[list[dict]], bool]:
    identifier, encrypted = described["DBInstanceIdentifier"], is_encrypted(described)
    return lambda instances: not any(
        i.get("ReadReplicaSourceDBInstanceIdentifier") == identifier and is_encrypted(i) == encrypted for i in instances
    )


def _is(member: Member) -> Callable[[dict], bool]:
    old_name, resource_id = member.old_name, member.source["DbiResourceId"]
    return lambda d: d["DBInstanceIdentifier"] == old_name and tags_of(d).get(TAG_SOURCE_RESOURCE_ID) == resource_id and not is_encrypted(d)


def _is_seed(seed: dict) -> Callable[[dict], bool]:
    identifier, mine = seed["DBInstanceIdentifier"], tags_of(seed).get(TAG_SOURCE_RESOURCE_ID)
    return lambda d: d["DBInstanceIdentifier"] == identifier and is_seed_replica(d) and tags_of(d).get(TAG_SOURCE_RESOURCE_ID) == mine


def _is_intermediate(snapshot: dict, topology: Topology) -> bool:
    """Whether an unencrypted snapshot was made by a run, of this very source: by its name, its tags and its resource id."""
    tags, resource_id = tags_of(snapshot), topology.primary.source["DbiResourceId"]
    fence_id = tags.get(TAG_FENCE_ID)
    identifier = snapshot["DBSnapshotIdentifier"]
    named = f"{topology.name}-seed-" in identifier if tags.get(TAG_ROLE) == ROLE_SEED else bool(fence_id) and fence_id in identifier
    return (
        not snapshot.get("Encrypted")
        and named
        and tags.get(TAG_ROLE) in (ROLE_SNAPSHOT, ROLE_SEED)
        and tags.get(TAG_NAME) == topology.name
        and tags.get(TAG_SOURCE_RESOURCE_ID) == resource_id
        # The snapshot of a seed bears the seed's resource id; its name and tags say which attempt it belongs to.
        and (snapshot.get("DbiResourceId") == resource_id or fence_id is not None and fence_id == topology.link_id)
    )


def _going(described: dict) -> bool:
    return described["DBInstanceStatus"] == "deleting"


def _unprotect(described: dict) -> Step:
    return _prepare(described, {"DeletionProtection": False})


def _prepare(described: dict, changes: dict) -> Step:
    identifier = described["DBInstanceIdentifier"]
    words = {"DeletionProtection": "switch its deletion protection off", "CopyTagsToSnapshot": "let its final snapshot have its tags"}
    return Step(
        "ModifyDBInstance",
        identifier,
        f"Before {identifier} is deleted: {' and '.join(words[key] for key in changes)}",
        changes,
        resource_id=described["DbiResourceId"],
        confirmed=lambda d: all(bool(d.get(key)) is value for key, value in changes.items()),
    )


def _delete_replica(described: dict, still: Callable | None, same: Callable[[dict], bool]) -> Step:
    identifier = described["DBInstanceIdentifier"]
    return Step(
        "DeleteDBInstance",
        identifier,
        f"Delete {identifier}, of which RDS takes no final snapshot",
        {"SkipFinalSnapshot": True, "DeleteAutomatedBackups": False},
        resource_id=described["DbiResourceId"],
        started=_going(described),
        confirmed=same,
        still=still,
    )


def _delete(described: dict, final: str, still: Callable[[list[dict]], bool], same: Callable[[dict], bool]) -> Step:
    identifier = described["DBInstanceIdentifier"]
    return Step(
        "DeleteDBInstance",
        identifier,
        f"Delete {identifier}, after its final snapshot {final}",
        {"FinalDBSnapshotIdentifier": final, "DeleteAutomatedBackups": False},
        resource_id=described["DbiResourceId"],
        started=_going(described),
        confirmed=same,
        still=still,
    )


def _delete_snapshot(snapshot: dict, topology: Topology) -> Step:
    identifier = snapshot["DBSnapshotIdentifier"]
    return Step(
        "DeleteDBSnapshot", identifier, f"Delete the unencrypted snapshot {identifier}", confirmed=lambda s: _is_intermediate(s, topology)
    )


def _final_identifier(first: str, snapshots: tuple[dict, ...], *, going: bool = False) -> str:
    """A free identifier for a final snapshot, for a deletion that failed may have left one behind.

    :param going: the deletion was begun: the identifier that it was begun with.
    """
    there = {snapshot["DBSnapshotIdentifier"] for snapshot in snapshots}
    series = [first] + [f"{first}-{n}" for n in range(2, MAX_FINAL_SNAPSHOTS + 1)]
    free = [identifier for identifier in series if identifier not in there]
    taken = [identifier for identifier in series if identifier in there]
    if going and taken:
        return taken[-1]
    if free:
        return free[0]
    raise RefusedError(
        f"There are {MAX_FINAL_SNAPSHOTS} final snapshots {first}* already, and the instance is still there.",
        done="Nothing was deleted.",
        next_step="Look for the reason in the events of the instance, remove the snapshots that nobody needs, then run again.",
    )


# -- the encrypted copy of a final snapshot --------------------------------------------------------------------------------------------


def _may_copy(state: RetireState) -> bool:
    """Whether the original is gone: only then a snapshot that is called like a final one is one."""
    primary = state.topology.primary
    return primary is not None and primary.source is None


def _copies(state: RetireState, request: RetireRequest) -> tuple[tuple[Step, ...], ...]:
    """What an earlier run was stopped before: the copies of the final snapshots of an original that is gone."""
    topology = state.topology
    pattern = re.compile(re.escape(topology.prefixes.old + topology.name) + r"-[a-z0-9]+-final(-\d)?")
    finals = [
        (snapshot["DBSnapshotIdentifier"], snapshot)
        for snapshot in state.snapshots
        if pattern.fullmatch(snapshot["DBSnapshotIdentifier"])
        and not snapshot.get("Encrypted")
        and snapshot.get("DbiResourceId") not in state.listing.by_resource_id
    ]
    return stages(*_copies_of(finals, state, request))


def _copies_of(finals: list[tuple[str, dict]], state: RetireState, request: RetireRequest) -> list[list[Step]]:
    if request.kms_key_arn is None or request.action != DELETE:
        return []
    there = {snapshot["DBSnapshotIdentifier"]: snapshot for snapshot in state.snapshots}
    wait, copy = [], []
    for final, origin in finals:
        target = f"{final}-encrypted"
        existing = there.get(target)
        if existing is not None and existing.get("Status") == "available":
            continue
        resource_id = origin["DbiResourceId"]
        if existing is None:
            what = f"Wait for the final snapshot {final}"
            usual = usual_seconds("CreateDBSnapshot", origin)
            wait.append(
                Step("CreateDBSnapshot", final, what, started=True, expected=usual, confirmed=lambda s, r=resource_id: s.get("DbiResourceId") == r)
            )
        copy.append(
            Step(
                "CopyDBSnapshot",
                target,
                f"Copy {final} to {target}, encrypted",
                {
                    "SourceDBSnapshotIdentifier": final,
                    "TargetDBSnapshotIdentifier": target,
                    "KmsKeyId": request.kms_key_arn,
                    "Tags": tag_list(own_tags(tags_of(origin))),
                },
                expected=usual_seconds("CopyDBSnapshot", origin),
                started=existing is not None,
                confirmed=lambda s, r=resource_id: s.get("DbiResourceId") == r and bool(s.get("Encrypted")),
            )
        )
    return [wait, copy]
