# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Giving the names back to the originals, from wherever a run stands (law 7).

The order is what makes it safe to stop anywhere. The encrypted instances lose the names first, so that a name never has two holders. Then the
fence is made void, before any original can be reached again: whatever happens afterwards, nothing of that fence is ever used (law 1). The
marks by which the originals are found go last of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.ages import age_in_words, seconds_between, time_noted
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_BINLOG_RETENTION,
    TAG_CUT_OVER_AT,
    TAG_DRAINED,
    TAG_FENCE_ID,
    TAG_FENCED,
    TAG_LINK_ID,
    TAG_NAME,
    TAG_PREFIX,
    TAG_QUARANTINE,
    TAG_ROLE,
    TAG_SOURCE_RESOURCE_ID,
    TAG_TARGET_RESOURCE_ID,
    TAG_VALIDATED,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.quarantine import (
    original_security_groups,
    quarantine_of,
    security_groups_now,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import renamed_to
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    ROLE_REPLICA,
    ROLE_SEED_REPLICA,
    ROLE_SOURCE,
    ROLE_TARGET,
    Listing,
    Member,
    Topology,
    is_encrypted,
    is_seed_replica,
    target_tags_for,
)

# What makes a fence count, and what a cutover noted: gone before an original can be reached again.
VOIDED_TAGS = (TAG_FENCE_ID, TAG_FENCED, TAG_VALIDATED, TAG_TARGET_RESOURCE_ID, TAG_CUT_OVER_AT, TAG_DRAINED)


@dataclass(frozen=True)
class Standing:
    """Where a topology stands on the way back.

    :param action: ``none`` or ``roll_back``.
    :param served: the encrypted instance has, or had, the name: applications may have written to it.
    """

    action: str
    reason: str
    served: bool = False


def standing(topology: Topology) -> Standing:
    """Whether there is anything to take back, and whether that drops writes."""
    name, primary = topology.name, topology.primary
    if topology.skip_reason:
        return Standing("none", topology.skip_reason)
    if primary is None or primary.source is None:
        return Standing("none", f"{name} is served by an encrypted instance, and no original of it is known: there is nothing to go back to.")
    if primary.source_identifier == name:
        if any(_marked(member.source) or member.source_identifier != member.name for member in topology.members if member.source):
            return Standing("roll_back", f"{name} is its original; what a fence left on it is to be taken off.")
        return Standing("none", f"{name} is its original: there is nothing to go back from.")
    if primary.cut_over or _on_its_way_to_the_name(primary):
        return Standing("roll_back", f"{name} is served by its encrypted instance; its original is {primary.source_identifier}.", served=True)
    if TAG_CUT_OVER_AT in topology.source_tags:
        return Standing("roll_back", f"{name} was served by its encrypted instance; nobody has the name now.", served=True)
    return Standing("roll_back", f"{name} is fenced as {primary.source_identifier}; nobody has the name.")


def plan_rollback(topology: Topology, now: str, *, discard_writes: bool = False, assumed: bool = False, keep_link: bool = False) -> Plan:
    """The steps that are left until the originals serve under their names, with their security groups and without marks.

    :param now: the time of day, ISO 8601.
    :param discard_writes: the operator accepts that writes to the encrypted instance stay behind in it.
    :param assumed: what is in motion counts as arrived (check mode).
    :param keep_link: the target goes on following the source, which only gets its name back: the marks of that stay.
    :raises RefusedError: applications may have written to the encrypted instance, and nobody said that this does not matter.
    """
    stands = standing(topology)
    if stands.action == "none":
        return Plan(remarks=(stands.reason,))
    if stands.served and not discard_writes:
        raise RefusedError(
            f"{stands.reason} {_age(topology, now)} Going back drops every write that was made to it since.",
            done="Nothing was changed.",
            next_step="If these writes may be lost, set rds_encryption_rollback_discard_writes (the option discard_writes) to true. "
            "If not, mend the encrypted instance.",
        )
    sources = [member for member in topology.members if member.source]
    moving = [step for member in (*topology.members, *topology.strays) for step in _motion(member)]
    if moving and not assumed:
        return Plan(stages(moving))
    away = [m for m in (*topology.members, *topology.strays) if m.target and (m.cut_over or _on_its_way_to_the_name(m))]
    fence_id = topology.source_tags.get(TAG_FENCE_ID)
    mark = [step for member in away if fence_id for step in _mark_as_left(topology, member, fence_id)]
    take = [_take_away(member) for member in away]
    void = _void(topology)
    cut = [_cut_connections(topology.primary)] if stands.served and topology.primary.target and void else []
    start = [_start(member) for member in sources if member.source["DBInstanceStatus"] == "stopped"]
    busy = [_settle(topology.primary)] if topology.primary.source["DBInstanceStatus"] not in (*READY_STATUSES, "stopped") else []
    groups = [_open(member) for member in sources if quarantine_of(member.source)]
    give = [_give_back(topology, member) for member in sources if member.source_identifier != member.name]
    ready = [_await(member) for member in sources if not member.is_primary and (give or groups or start)]
    clean_replicas = [_clean(member, ()) for member in sources if not member.is_primary and _marked(member.source)]
    gone = tuple(key for step in void for key in step.parameters["TagKeys"])
    kept = (TAG_LINK_ID, TAG_BINLOG_RETENTION) if keep_link else ()
    clean = [_clean(topology.primary, (*gone, *kept))] if _marked(topology.primary.source, kept) else []
    plan = stages(mark, take, cut, void, start, busy, groups, give, ready, clean_replicas, clean)
    return Plan(plan, _remarks(topology, stands, now, away))


def _remarks(topology: Topology, stands: Standing, now: str, away: list[Member]) -> tuple[str, ...]:
    remarks = []
    if TAG_FENCED in topology.source_tags:
        remarks.append(_age(topology, now))
    if stands.served:
        remarks.append(f"Every write to the encrypted instance of {topology.name} since then is dropped: it stays behind in {topology.primary.new_name}.")
    for stray in topology.strays:
        if stray in away:
            remarks.append(f"{stray.name} has no unencrypted original: nobody has this name afterwards. Make a replica of {topology.name} for it.")
    return tuple(remarks)


def _age(topology: Topology, now: str) -> str:
    fenced = time_noted(topology.source_tags.get(TAG_FENCED))
    cut = topology.source_tags.get(TAG_CUT_OVER_AT)
    text = f"The fence of {topology.name} is {age_in_words(seconds_between(fenced, now))} old ({fenced or 'no time is noted'})."
    if cut:
        text += f" The encrypted instance got the name {age_in_words(seconds_between(cut, now))} ago ({cut})."
    return text


def fence_age(topology: Topology, now: str) -> float | None:
    """Seconds since the fence in force was completed, or None."""
    return seconds_between(time_noted(topology.source_tags.get(TAG_FENCED)), now)


def doubtful(topology: Topology) -> tuple[Step, ...]:
    """Waits that must come before anything is decided: a rename that an interrupted run asked for may not show yet.

    RDS goes on showing an instance as available, under its name of before, for a while after it accepted a rename (seen with boto3 and
    Terraform; no bound is documented). An original whose marks were taken off in that moment would end as ``old-``, and nobody would know.
    The same goes for security groups that are about to be replaced.
    """
    primary = topology.primary
    if primary is None or primary.source is None:
        return ()
    begun = primary.source_identifier == topology.name and TAG_FENCE_ID in topology.source_tags
    held = [m.source for m in topology.members if m.source and (begun and _marked(m.source) or _may_be_shut(m.source))]
    if not begun and TAG_VALIDATED in topology.source_tags:
        held += [member.target for member in topology.members if member.target and not member.cut_over]
    return tuple(
        Step(
            "SeeThatItStays",
            described["DBInstanceIdentifier"],
            f"See that no rename of {described['DBInstanceIdentifier']} is under way",
            resource_id=described["DbiResourceId"],
        )
        for described in held
    )


def check_nobody_took_the_name(topology: Topology, listing: Listing) -> None:
    """Raise if the name is held by an instance that was never fenced, while the fenced original is there."""
    primary = topology.primary
    if primary is None or primary.source is None or primary.source_identifier != topology.name:
        return
    for fenced in listing.tagged(topology.name, ROLE_SOURCE):
        if fenced["DbiResourceId"] != primary.source["DbiResourceId"]:
            raise RefusedError(
                f"{topology.name} is held by {primary.source['DbiResourceId']}, which is not the original: that is "
                f"{fenced['DBInstanceIdentifier']} ({fenced['DbiResourceId']}), fenced.",
                done="Nothing was changed.",
                next_step=f"Find out who made {topology.name}, and rename it out of the way; then run again.",
            )


def leftovers(topology: Topology, listing: Listing) -> list[dict]:
    """Encrypted instances that runs made for this topology and that neither serve nor will: ``DBInstance`` shapes, by identifier.

    What is under way under the fence in force is none.
    """
    known = {m.target["DbiResourceId"] for m in topology.members if m.target}
    names = {m.name for m in (*topology.members, *topology.strays)} | {topology.name}
    found = []
    for instance in listing.instances:
        tags = tags_of(instance)
        ours = tags.get(TAG_ROLE) in (ROLE_TARGET, ROLE_REPLICA, ROLE_SEED_REPLICA) and tags.get(TAG_NAME) in names and TAG_SOURCE_RESOURCE_ID in tags
        # Tags travel with backups, and a leftover never answers under a name that applications use.
        seed = is_seed_replica(instance) and tags.get(TAG_FENCE_ID) != topology.link_id
        if ours and (is_encrypted(instance) or seed) and instance["DbiResourceId"] not in known and instance["DBInstanceIdentifier"] not in names:
            found.append(instance)
    return sorted(found, key=lambda i: i["DBInstanceIdentifier"])


def _marked(described: dict, but: tuple[str, ...] = ()) -> bool:
    return any(key.startswith(TAG_PREFIX) and key not in but for key in tags_of(described))


def _may_be_shut(described: dict) -> bool:
    """Whether a quarantine was noted that does not show (yet)."""
    return TAG_QUARANTINE in tags_of(described) and not quarantine_of(described)


def _on_its_way_to_the_name(member: Member) -> bool:
    return bool(member.target) and renamed_to(member.target) == member.name


def _motion(member: Member) -> list[Step]:
    """Waits for renames that are under way on either side: only then it is known who has which name."""
    found = []
    for described in (member.source, member.target):
        if described is not None and (renamed_to(described) or described["DBInstanceStatus"] == "renaming"):
            identifier = described["DBInstanceIdentifier"]
            found.append(
                Step(
                    "WaitUntilReady",
                    identifier,
                    f"Wait until the rename of {identifier} has ended",
                    resource_id=described["DbiResourceId"],
                    replan=True,
                )
            )
    return found


def _mark_as_left(topology: Topology, member: Member, fence_id: str) -> list[Step]:
    role = ROLE_TARGET if member.is_primary else ROLE_REPLICA
    want = target_tags_for(member.name, role, member.source or topology.primary.source, fence_id)
    have = tags_of(member.target)
    if all(have.get(key) == value for key, value in want.items()):
        return []
    identifier = member.target_identifier
    what = f"Mark {identifier} as made under fence {fence_id}"
    return [Step("AddTagsToResource", identifier, what, {"Tags": want}, resource_id=member.target["DbiResourceId"])]


def _take_away(member: Member) -> Step:
    return Step(
        "Rename",
        member.name,
        f"Take the name {member.name} from the encrypted instance: it becomes {member.new_name}",
        {"NewDBInstanceIdentifier": member.new_name},
        resource_id=member.target["DbiResourceId"],
    )


def _give_back(topology: Topology, member: Member) -> Step:
    return Step(
        "Rename",
        member.source_identifier,
        f"Give the name {member.name} back to its original, {member.source_identifier}",
        {"NewDBInstanceIdentifier": member.name},
        resource_id=member.source["DbiResourceId"],
        still=_no_fence_in_force(topology),
    )


def _no_fence_in_force(topology: Topology) -> Callable[[list[dict]], bool]:
    """Whether the fence is void, also when somebody fences anew at the same time."""
    resource_id, name = topology.primary.source["DbiResourceId"], topology.name

    def still(instances: list[dict]) -> bool:
        mine = next((i for i in instances if i["DbiResourceId"] == resource_id), None)
        return mine is None or mine["DBInstanceIdentifier"] == name or TAG_FENCE_ID not in tags_of(mine)

    return still


def _cut_connections(primary: Member) -> Step:
    what = f"Restart {primary.new_name} to cut connections that outlived the rename"
    return Step("RebootDBInstance", primary.new_name, what, resource_id=primary.target["DbiResourceId"])


def _void(topology: Topology) -> list[Step]:
    primary = topology.primary
    keys = tuple(key for key in VOIDED_TAGS if key in topology.source_tags)
    if not keys or primary.source_identifier == topology.name:
        return []
    what = f"Make the fence of {topology.name} void: nothing that was made under it will ever be used"
    return [Step("RemoveTagsFromResource", primary.source_identifier, what, {"TagKeys": keys}, resource_id=primary.source["DbiResourceId"])]


def _settle(primary: Member) -> Step:
    """A snapshot that is being taken keeps the original busy, for hours if it is large; it cannot be renamed meanwhile."""
    identifier = primary.source_identifier
    return Step("WaitUntilReady", identifier, f"Wait until {identifier} is available", resource_id=primary.source["DbiResourceId"])


def _start(member: Member) -> Step:
    identifier = member.source_identifier
    return Step("StartDBInstance", identifier, f"Start {identifier}, which is stopped", resource_id=member.source["DbiResourceId"])


def _open(member: Member) -> Step:
    wanted = original_security_groups(member.source)
    return Step(
        "ModifyDBInstance",
        member.source_identifier,
        f"Give {member.source_identifier} its security groups back: {', '.join(wanted)}",
        {"VpcSecurityGroupIds": list(wanted)},
        resource_id=member.source["DbiResourceId"],
        confirmed=lambda d: security_groups_now(d) == wanted,
    )


def _await(member: Member) -> Step:
    return Step("WaitUntilReady", member.name, f"Wait until {member.name} replicates", resource_id=member.source["DbiResourceId"])


def _clean(member: Member, gone: tuple[str, ...]) -> Step:
    marks = tuple(sorted(key for key in tags_of(member.source) if key.startswith(TAG_PREFIX) and key not in gone))
    return Step(
        "RemoveTagsFromResource",
        member.name,
        f"Take the marks of the fence off {member.name}",
        {"TagKeys": marks},
        resource_id=member.source["DbiResourceId"],
    )
