# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Whether a fenced source may have served applications again after the snapshot from which its target is made (law 1).

Somebody may rename ``old-NAME`` to ``NAME``, let applications write, and rename it back: names and tags are then as if nothing had been.
RDS shows two traces of it. A rename restarts the instance (RDS guide: Renaming a DB instance), and a restart is an event, kept for 14 days
under the name of the moment; whichever name RDS puts on the events of a rename, those of one of the two renames bear ``old-NAME``. And a
snapshot says when it was taken. Both times are RDS's own. What cannot be seen: restarts older than 14 days, or a role that may not read events.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.ages import datetime_noted
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_DRAINED,
    TAG_FENCE_ID,
    TAG_RESTARTS_ACCEPTED,
    TAG_ROLE,
    TAG_SOURCE_RESOURCE_ID,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import ROLE_SNAPSHOT, Topology

# How far to look back for the events, from what many hosts can read together (LATELY_MINUTES, _adapter/rds.py) to all that RDS keeps.
LOOK_BACK_MINUTES = (180, 24 * 60, 14 * 24 * 60)
# The event of the fence's own restart may bear a time a little after the restart; two renames by hand take minutes.
_MARGIN = timedelta(seconds=60)
_OF_A_RESTART = ("restart", "shutdown", "shut down", "renam", "failover")


def may_have_served(topology: Topology) -> bool:
    """Whether there is anything to look for: a source fenced by name that has not given its name away yet, and no word that it is well."""
    primary = topology.primary
    if primary is None or not topology.fenced or primary.cut_over or topology.finished:
        return False
    return topology.source_tags.get(TAG_RESTARTS_ACCEPTED) != topology.fence_id


def built_from(topology: Topology, snapshots: list[dict]) -> datetime | None:
    """The moment up to which the target holds what the source held: of its snapshot, by RDS's clock, or of its drain, by the controller's; None while
    there is none.

    :param snapshots: ``DBSnapshot`` shapes of the source.
    """
    if topology.drained:
        # The target was not made from a snapshot behind the fence: it followed, up to this moment.
        drained = datetime_noted(topology.source_tags.get(TAG_DRAINED))
        if drained is not None:
            return drained
    taken = [
        snapshot["SnapshotCreateTime"]
        for snapshot in snapshots
        if snapshot.get("Status") == "available"
        and "SnapshotCreateTime" in snapshot
        and tags_of(snapshot).get(TAG_ROLE) == ROLE_SNAPSHOT
        and tags_of(snapshot).get(TAG_FENCE_ID) == topology.fence_id
        and tags_of(snapshot).get(TAG_SOURCE_RESOURCE_ID) == topology.primary.source["DbiResourceId"]
    ]
    return min(taken, default=None)


def shows_the_fence(events: list[dict], moment: datetime) -> bool:
    """Whether events reach back to the restart with which the fence ended; earlier ones tell nothing more.

    :param events: ``Event`` shapes of the source's ``old-`` identifier.
    :param moment: see ``built_from``.
    """
    return any(when <= moment + _MARGIN for when, _message in _restarts(events))


def _restarts(events: list[dict]) -> list[tuple[datetime, str]]:
    return sorted(
        (event["Date"], event.get("Message", ""))
        for event in events
        if "Date" in event and any(word in event.get("Message", "").lower() for word in _OF_A_RESTART)
    )


def check_fence_was_kept(topology: Topology, moment: datetime, events: list[dict]) -> None:
    """Raise if the source was restarted after the moment from which its target is.

    :param moment: see ``built_from``.
    :param events: ``Event`` shapes of the source's ``old-`` identifier.
    :raises RefusedError: with what happened when, and both ways on.
    """
    source, fence_id = topology.primary.source, topology.fence_id
    # The fence ends with a restart: where none is seen before the snapshot, events and snapshots do not tell the same time.
    if not shows_the_fence(events, moment):
        return
    late = [(when, message) for when, message in _restarts(events) if when > moment + _MARGIN]
    if not late:
        return
    old = topology.primary.old_name
    raise RefusedError(
        f"{old} was restarted after the snapshot of fence {fence_id} ({_in_words(moment)}): {_in_words(late[0][0])} {late[0][1]!r}. A restart "
        f"is also what a rename to {topology.name} and back leaves behind, and what was written then would be missing in the target.",
        done="No name was moved.",
        next_step=f"If it served as {topology.name} meanwhile, or you do not know: rename {old} to {topology.name}, rename "
        f"{topology.primary.new_name} out of the way, and run again; it is fenced anew. If it was only restarted (maintenance, failover), say so: "
        f"aws rds add-tags-to-resource --resource-name {source.get('DBInstanceArn', old)} --tags Key={TAG_RESTARTS_ACCEPTED},Value={fence_id}",
    )


def _in_words(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
