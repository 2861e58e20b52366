# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Which steps make writes by applications impossible: mark, rename, restart (reference 000, steps 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_CUT_OVER_AT,
    TAG_DRAINED,
    TAG_FENCE_ID,
    TAG_FENCED,
    TAG_QUARANTINE,
    TAG_SECURITY_GROUPS,
    TAG_TARGET_RESOURCE_ID,
    TAG_VALIDATED,
    identifier_problem,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.quarantine import (
    quarantine_begun,
    quarantine_of,
    quarantine_problem,
    quarantine_tags,
    security_groups_now,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member, Topology, source_tags_for

STALE_TAGS = (TAG_FENCED, TAG_VALIDATED, TAG_CUT_OVER_AT, TAG_TARGET_RESOURCE_ID, TAG_DRAINED)


def plan_fence(topology: Topology, fresh_fence_id: str, now: str, quarantine: str | None = None) -> Plan:
    """The steps that complete the fence of a topology, from whatever an earlier run left.

    A source that answers under its own name is reachable by applications, so whatever was tagged before, its fence is a new one with a
    new id (law 1). Marking comes before renaming: a run that dies in between can find the source again by its tags.

    :param fresh_fence_id: the id to use if a new fence is needed.
    :param now: the time for the ``fenced`` tag, ISO 8601.
    :param quarantine: the security group that takes the place of all others on the source and its replicas. It comes before the rename,
        whose restart cuts what was connected; where the rename was made before, a restart of its own does.
    :raises RefusedError: the topology has no source, it was cut over already, or it cannot be put into quarantine.
    """
    primary = topology.primary
    if primary is None or primary.source is None:
        raise RefusedError(f"{topology.name} has no unencrypted source in this region: there is nothing to fence.")
    if primary.cut_over:
        raise RefusedError(f"{topology.name} is served by its encrypted instance already: there is nothing to fence.")
    sources = [member for member in topology.members if member.source is not None]
    remarks: tuple[str, ...] = ()
    sealed = topology.fenced and all(m.fenced_by_name for m in topology.members)
    entering = _entering(sources, quarantine)
    if entering and sealed and primary.target is not None:
        # It takes a restart, after which nobody can tell whether the source served meanwhile; and what came before it is written already.
        entering, remarks = [], (f"{quarantine} comes too late: {primary.target_identifier} is made. Roll back to fence anew, with it.",)
    begun = [member for member in sources if member in entering or quarantine_begun(member.source)]
    if sealed and not begun:
        return Plan(remarks=remarks)
    for member in topology.members:
        problem = identifier_problem(member.old_name)
        if problem:
            raise RefusedError(f"{member.name} cannot be renamed to {member.old_name}, which {problem}.", done="Nothing was changed.")
    fence_id = topology.fence_id or fresh_fence_id
    marks = [step for member in sources for step in _marks(member, fence_id, quarantine if member in entering else None)]
    shut = [_shut(member, quarantine) for member in entering]
    renames = [_rename_away(member) for member in sources if not member.fenced_by_name]
    restart = [_restart(m, sealed) for m in sources if m in begun and m.fenced_by_name or m.is_primary and not sealed]
    seal = [_note(member, quarantine_tags_when_complete(member, quarantine), "the quarantine") for member in begun if not member.is_primary]
    complete = {} if sealed else {TAG_FENCED: f"{fence_id} {now}"}
    if primary in begun:
        complete |= quarantine_tags_when_complete(primary, quarantine)
    if complete:
        seal.append(_note(primary, complete, f"fence {fence_id}", still=lambda seen: _tags_now(primary, seen).get(TAG_FENCE_ID) == fence_id))
    return Plan(stages(marks, shut, renames, restart, seal), remarks)


def _entering(sources: list[Member], quarantine: str | None) -> list[Member]:
    """The members that are to be put into quarantine now."""
    if not quarantine:
        return []
    for member in sources:
        problem = quarantine_problem(member.source, quarantine)
        if problem:
            raise RefusedError(
                f"{problem}.", done="Nothing was changed.", next_step="Correct the groups, or name another quarantine_security_group_id."
            )
    return [member for member in sources if not quarantine_of(member.source)]


def quarantine_tags_when_complete(member: Member, quarantine: str | None) -> dict[str, str]:
    """The tags of a member whose quarantine is complete; one that is in another group's quarantine stays there."""
    return quarantine_tags(member.source, quarantine_of(member.source) or quarantine, begun=False)


def _tags_now(member: Member, seen: list[dict]) -> dict[str, str]:
    """The tags that a member has now if it is still called as it is after the fence's rename, or as it was when the plan was made."""
    for described in seen:
        if described["DbiResourceId"] == member.source["DbiResourceId"]:
            return tags_of(described) if described["DBInstanceIdentifier"] in (member.old_name, member.source_identifier) else {}
    return {}


def _as_planned(member: Member) -> Callable[[list[dict]], bool]:
    """Whether a member is called as it was, under the fence that it was: another operator may have fenced it since the plan was made."""

    def still(seen: list[dict]) -> bool:
        names = {described["DbiResourceId"]: described["DBInstanceIdentifier"] for described in seen}
        same_name = names.get(member.source["DbiResourceId"]) == member.source_identifier
        return same_name and _tags_now(member, seen).get(TAG_FENCE_ID) == tags_of(member.source).get(TAG_FENCE_ID)

    return still


def _is_sealed(tags: dict[str, str]) -> bool:
    return TAG_FENCE_ID in tags and tags.get(TAG_FENCED, "").startswith(tags[TAG_FENCE_ID] + " ")


def _note(member: Member, tags: dict[str, str], what: str, still: Callable[[list[dict]], bool] | None = None) -> Step:
    return Step(
        "AddTagsToResource",
        member.old_name,
        f"Note on {member.old_name} that {what} is complete",
        {"Tags": tags},
        resource_id=member.source["DbiResourceId"],
        still=still,
    )


def _shut(member: Member, quarantine: str) -> Step:
    return Step(
        "ModifyDBInstance",
        member.source_identifier,
        f"Replace the security groups of {member.source_identifier} by {quarantine}: nobody but the controller can connect",
        {"VpcSecurityGroupIds": [quarantine]},
        resource_id=member.source["DbiResourceId"],
        confirmed=lambda d: security_groups_now(d) == (quarantine,),
    )


def _marks(member: Member, fence_id: str, quarantine: str | None) -> list[Step]:
    have = tags_of(member.source)
    want = source_tags_for(member, fence_id)
    if quarantine:
        want |= quarantine_tags(member.source, quarantine, begun=True)
    steps = []
    # Under its own name it is not fenced, whoever may have noted that it is.
    stale = [key for key in STALE_TAGS if key in have]
    if not quarantine_of(member.source):
        stale += [key for key in (TAG_SECURITY_GROUPS, TAG_QUARANTINE) if key in have and key not in want]
    if stale and not member.fenced_by_name:
        steps.append(
            Step(
                "RemoveTagsFromResource",
                member.source_identifier,
                f"Take the tags of an earlier fence off {member.source_identifier}",
                {"TagKeys": tuple(stale)},
                resource_id=member.source["DbiResourceId"],
                still=_as_planned(member),
            )
        )
    if any(have.get(key) != value for key, value in want.items()):
        steps.append(
            Step(
                "AddTagsToResource",
                member.source_identifier,
                f"Mark {member.source_identifier} as the source side of {member.name}",
                {"Tags": want},
                resource_id=member.source["DbiResourceId"],
                still=_as_planned(member),
            )
        )
    return steps


def _rename_away(member: Member) -> Step:
    return Step(
        "Rename",
        member.source_identifier,
        f"Rename {member.source_identifier} to {member.old_name}",
        {"NewDBInstanceIdentifier": member.old_name},
        resource_id=member.source["DbiResourceId"],
        # Without its marks nobody could find it again under that name: a rollback may have taken them off meanwhile.
        still=lambda seen: TAG_FENCE_ID in _tags_now(member, seen),
    )


def _restart(member: Member, sealed: bool) -> Step:
    # A fence that another operator has completed meanwhile has its restart behind it: its snapshot may be in the making.
    return Step(
        "RebootDBInstance",
        member.old_name,
        f"Restart {member.old_name} to cut connections that outlived the rename",
        resource_id=member.source["DbiResourceId"],
        still=None if sealed else lambda seen: not _is_sealed(_tags_now(member, seen)),
    )
