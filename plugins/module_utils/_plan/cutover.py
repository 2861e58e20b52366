# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Giving the name to the encrypted instance, once everything is proven equal."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_CUT_OVER_AT,
    TAG_FENCE_ID,
    TAG_PREFIX,
    TAG_TARGET_RESOURCE_ID,
    TAG_VALIDATED,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import renamed_to
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member, Topology, how_to_make, is_encrypted
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.compare import compare, refuse_unknown_members, unexplained


def identifier_map(topology: Topology) -> dict[str, str]:
    """Source-side identifiers (today's, and the plain names) -> target-side identifiers of today: for comparing links."""
    names = {}
    for member in topology.members:
        names[member.name] = member.target_identifier
        names[member.old_name] = member.target_identifier
        if member.source_identifier:
            names[member.source_identifier] = member.target_identifier
    return names


def differences(topology: Topology, kms_key_arn: str | None, accepted_differences: frozenset) -> dict[str, list]:
    """Unexplained attribute differences of each member that has both sides: name -> rows (``_plan.compare.Row``)."""
    names = identifier_map(topology)
    found = {}
    for member in topology.members:
        if member.source is None or member.target is None:
            continue
        refuse_unknown_members(accepted_differences, member.source, member.target)
        rows = compare(
            member.source, member.target, names=names, kms_key_arn=kms_key_arn, accepted_differences=accepted_differences
        )
        left = unexplained(rows)
        if left:
            found[member.name] = left
    return found


def plan_cutover(
    topology: Topology, now: str, *, kms_key_arn: str | None = None, accepted_differences: frozenset = frozenset(), assumed: bool = False
) -> Plan:
    """The steps that are left until every name belongs to its encrypted instance and the target bears no mark of the run.

    :param now: the time for the tags, ISO 8601.
    :param assumed: targets may be missing, they will have been made and validated by then (check mode).
    :raises RefusedError: the fence is not in force, a member has no proven target, or a name is held by somebody else.
    """
    primary = topology.primary
    if primary is None or primary.source is None:
        raise RefusedError(f"{topology.name} has no fenced source in this region: there is nothing to cut over.")
    if topology.finished:
        return Plan()
    if not assumed:
        _check_fence(topology)
    for member in topology.members:
        _check_member(topology, member, assumed)
    targets = [] if assumed else [member for member in topology.members if member.target]
    moving = [m for m in targets if _losing_its_name(m) or not primary.cut_over and _in_motion(m)]
    if moving:
        # Nothing can be compared while it moves: a run that stopped in the middle of the renames goes on after them.
        return Plan(stages([_wait_for(member) for member in moving]))
    left = {} if primary.cut_over or topology.served else differences(topology, kms_key_arn, accepted_differences)
    remarks = ()
    if left and assumed:
        listed = ", ".join(f"{name}: {row.attribute}" for name, rows in left.items() for row in rows)
        remarks = (f"The cutover would be refused as long as these differ: {listed}.",)
    elif left:
        listed = "; ".join(f"{name}: {row.attribute} {row.source} -> {row.target}" for name, rows in left.items() for row in rows)
        raise RefusedError(
            f"{topology.name} is not cut over: the target differs from the source in {listed}.",
            done="The source is fenced under its old- name, the target exists; no name was moved.",
            next_step="Mend the target, or list the attributes in rds_encryption_accepted_differences, then run again.",
        )
    fence_id = topology.fence_id or "assumed"
    target_id = primary.target["DbiResourceId"] if primary.target else "known when it is restored"
    proof = {TAG_VALIDATED: f"{fence_id} {now}", TAG_TARGET_RESOURCE_ID: target_id}
    source_tags = topology.source_tags
    proven = source_tags.get(TAG_VALIDATED, "").startswith(fence_id + " ") and source_tags.get(TAG_TARGET_RESOURCE_ID) == target_id
    note_proof = [] if proven else [_tag_source(primary, proof, f"Note on {primary.old_name} that its target is validated")]
    renames = [_rename_to_name(topology, member) for member in topology.members if member.source and not member.cut_over]
    noted = TAG_CUT_OVER_AT in source_tags and primary.cut_over
    cut = {TAG_CUT_OVER_AT: now}
    note_cutover = [] if noted else [_tag_source(primary, cut, f"Note on {primary.old_name} when it was cut over")]
    replicas_clean = [_clean(member) for member in topology.replicas if _has_marks(member, assumed)]
    target_clean = [_clean(primary)] if _has_marks(primary, assumed) else []
    # The target's own marks go last: while they are there, a later run knows that something is left to do.
    return Plan(stages(note_proof, renames, note_cutover, replicas_clean, target_clean), remarks)


def _in_motion(member: Member) -> bool:
    return member.target["DBInstanceStatus"] not in READY_STATUSES or renamed_to(member.target) == member.name


def _losing_its_name(member: Member) -> bool:
    """Whether somebody is just renaming it to something else: an undone cutover that was stopped, or a rollback."""
    return renamed_to(member.target) not in (None, member.name)


def _wait_for(member: Member) -> Step:
    identifier = member.target_identifier
    what = f"Wait until {identifier} is ready to be compared"
    return Step("WaitUntilReady", identifier, what, resource_id=member.target["DbiResourceId"], replan=True)


def _check_fence(topology: Topology) -> None:
    if not topology.fenced:
        raise RefusedError(
            f"{topology.name} is not fenced: applications may still write to it.",
            done="No name was moved.",
            next_step="Run the fence phase, then build and validate again."
            if not topology.primary.cut_over
            else "A rollback was begun and not finished: run it again.",
        )


def _check_member(topology: Topology, member: Member, assumed: bool) -> None:
    if member.source is None:
        return
    if member.target is None:
        if assumed:
            return
        if topology.primary.cut_over:
            raise RefusedError(
                f"{member.name} has no encrypted replacement: {member.new_name} does not exist, and {topology.name} is cut over already.",
                done=f"{topology.name} is served by its encrypted instance; {member.source_identifier} is as it was.",
                next_step=how_to_make(topology, member),
            )
        raise RefusedError(
            f"{member.name} has no encrypted replacement: {member.new_name} does not exist.",
            done="No name was moved.",
            next_step="Run the build phase again: it makes what is missing.",
        )
    tags = tags_of(member.target)
    if not is_encrypted(member.target):
        raise RefusedError(f"{member.target_identifier} is not encrypted; {member.name} stays where it is.", done="No name was moved.")
    if not member.cut_over and tags.get(TAG_FENCE_ID) != topology.fence_id and not assumed:
        raise RefusedError(
            f"{member.target_identifier} belongs to fence {tags.get(TAG_FENCE_ID)}, the fence in force is {topology.fence_id}.",
            done="No name was moved.",
            next_step=f"Rename or remove {member.target_identifier}, then run the build phase again.",
        )


def _tag_source(primary: Member, tags: dict[str, str], what: str) -> Step:
    return Step("AddTagsToResource", primary.old_name, what, {"Tags": tags}, resource_id=primary.source["DbiResourceId"], agreed=True)


def _rename_to_name(topology: Topology, member: Member) -> Step:
    return Step(
        "Rename",
        member.target_identifier,
        f"Rename {member.target_identifier} to {member.name}",
        {"NewDBInstanceIdentifier": member.name},
        resource_id=member.target["DbiResourceId"] if member.target else None,
        replan=True,
        still=fence_in_force(topology),
    )


def fence_in_force(topology: Topology) -> Callable[[list[dict]], bool]:
    """Whether the source is still fenced by the fence that this was planned under: a rollback may have begun meanwhile."""
    primary, fence_id = topology.primary, topology.fence_id
    resource_id, old_name = primary.source["DbiResourceId"], primary.old_name

    def still(instances: list[dict]) -> bool:
        mine = next((i for i in instances if i["DbiResourceId"] == resource_id), None)
        return mine is not None and mine["DBInstanceIdentifier"] == old_name and tags_of(mine).get(TAG_FENCE_ID) == fence_id

    return still


def name_is_confirmed(topology: Topology) -> bool:
    """Whether the encrypted instance serves under the name, so that applications may be writing to it: from here on nothing is undone."""
    primary = topology.primary
    if primary is None or not primary.cut_over or primary.target["DBInstanceStatus"] not in READY_STATUSES:
        return False
    return ((primary.target.get("Endpoint") or {}).get("Address") or "").startswith(primary.name + ".")


def await_primary(topology: Topology) -> Step:
    """The wait for a rename of the primary that was begun."""
    primary = topology.primary
    return Step(
        "Rename",
        primary.new_name,
        f"Wait until {primary.new_name} is {primary.name}",
        {"NewDBInstanceIdentifier": primary.name},
        resource_id=primary.target["DbiResourceId"],
        started=True,
    )


def doubtful(topology: Topology) -> tuple[Step, ...]:
    """What must be looked at for a while before a run goes on: names that an undone cutover may just be taking back, unseen as yet."""
    if not topology.served or topology.finished:
        return ()
    return tuple(
        Step(
            "SeeThatItStays",
            member.target_identifier,
            f"See that nobody takes the name of {member.target_identifier} back",
            resource_id=member.target["DbiResourceId"],
        )
        for member in topology.members
        if member.source and member.cut_over
    )


def see_what_was_begun(topology: Topology) -> tuple[Step, ...]:
    """Waits for renames of a cutover that are under way, or were accepted and do not show yet."""
    return tuple(
        Step(
            "SeeThatItStays",
            member.target_identifier,
            f"See what becomes of the rename of {member.target_identifier}",
            resource_id=member.target["DbiResourceId"],
        )
        for member in topology.members
        if member.source and member.target and not member.cut_over
    )


def plan_undo(topology: Topology, now: str) -> Plan:
    """The steps that take the names back from the encrypted instances, so that nobody has them and the cutover can begin anew.

    If the primary's target was seen with the name, that is noted first: applications may have written to it, so that a rollback to the
    original would drop writes.
    """
    primary = topology.primary
    having = [member for member in topology.members if member.source and member.cut_over]
    noted = TAG_CUT_OVER_AT in topology.source_tags or primary not in having
    what = f"Note on {primary.old_name} that its target had the name for a moment"
    note = [] if noted else [_tag_source(primary, {TAG_CUT_OVER_AT: now}, what)]
    back = [
        Step(
            "Rename",
            member.name,
            f"Take the name {member.name} back: its encrypted instance becomes {member.new_name} again",
            {"NewDBInstanceIdentifier": member.new_name},
            resource_id=member.target["DbiResourceId"],
        )
        for member in having
    ]
    return Plan(stages(note, back))


def _has_marks(member: Member, assumed: bool) -> bool:
    if member.source is None:
        return False
    return assumed if member.target is None else any(key.startswith(TAG_PREFIX) for key in tags_of(member.target))


def _clean(member: Member) -> Step:
    marks = tuple(sorted(key for key in tags_of(member.target) if key.startswith(TAG_PREFIX))) if member.target else ()
    return Step(
        "RemoveTagsFromResource",
        member.name,
        f"Take the marks of the run off {member.name}",
        {"TagKeys": marks},
        resource_id=member.target["DbiResourceId"] if member.target else None,
    )
