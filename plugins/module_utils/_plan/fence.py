# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Which steps make writes by applications impossible: mark, rename, restart (reference 000, steps 4 and 5)."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_CUT_OVER_AT,
    TAG_FENCED,
    TAG_TARGET_RESOURCE_ID,
    TAG_VALIDATED,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member, Topology, source_tags_for

STALE_TAGS = (TAG_FENCED, TAG_VALIDATED, TAG_CUT_OVER_AT, TAG_TARGET_RESOURCE_ID)


def plan_fence(topology: Topology, fresh_fence_id: str, now: str) -> Plan:
    """The steps that complete the fence of a topology, from whatever an earlier run left.

    A source that answers under its own name is reachable by applications, so whatever was tagged before, its fence is a new one with a
    new id (law 1). Marking comes before renaming: a run that dies in between can find the source again by its tags.

    :param fresh_fence_id: the id to use if a new fence is needed.
    :param now: the time for the ``fenced`` tag, ISO 8601.
    :raises RefusedError: the topology has no source, or it was cut over already.
    """
    primary = topology.primary
    if primary is None or primary.source is None:
        raise RefusedError(f"{topology.name} has no unencrypted source in this region: there is nothing to fence.")
    if primary.cut_over:
        raise RefusedError(f"{topology.name} is served by its encrypted instance already: there is nothing to fence.")
    if topology.fenced and all(m.fenced_by_name for m in topology.members):
        return Plan()
    fence_id = topology.fence_id or fresh_fence_id
    sources = [member for member in topology.members if member.source is not None]
    marks = [step for member in sources for step in _marks(member, fence_id)]
    renames = [_rename_away(member) for member in sources if not member.fenced_by_name]
    restart = [_restart(primary)]
    seal = [
        Step(
            "AddTagsToResource",
            primary.old_name,
            f"Note on {primary.old_name} that fence {fence_id} is complete",
            {"Tags": {TAG_FENCED: f"{fence_id} {now}"}},
            resource_id=primary.source["DbiResourceId"],
        )
    ]
    return Plan(stages(marks, renames, restart, seal))


def _marks(member: Member, fence_id: str) -> list[Step]:
    have = tags_of(member.source)
    want = source_tags_for(member, fence_id)
    steps = []
    stale = [key for key in STALE_TAGS if key in have and not (key == TAG_FENCED and have[key].startswith(fence_id + " "))]
    if stale and not member.fenced_by_name:
        steps.append(
            Step(
                "RemoveTagsFromResource",
                member.source_identifier,
                f"Take the tags of an earlier fence off {member.source_identifier}",
                {"TagKeys": tuple(stale)},
                resource_id=member.source["DbiResourceId"],
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
    )


def _restart(primary: Member) -> Step:
    return Step(
        "RebootDBInstance",
        primary.old_name,
        f"Restart {primary.old_name} to cut connections that outlived the rename",
        resource_id=primary.source["DbiResourceId"],
    )
