# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""A snapshot before the fence: RDS keeps snapshots incrementally, so the one behind the fence then holds only what changed since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.durations import usual_seconds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_NAME, TAG_ROLE, TAG_SOURCE_RESOURCE_ID, tag_list, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import ROLE_SEED, Topology, is_encrypted


@dataclass(frozen=True)
class SeedRequest:
    """What was asked for.

    :param now: the time of day, with its zone.
    :param max_age: seconds; a younger snapshot of the source, whoever made it, serves as well.
    """

    now: datetime
    max_age: float

    @property
    def stamp(self) -> str:
        return self.now.strftime("%Y%m%d%H%M%S")


def needs_seed(topology: Topology) -> bool:
    """Whether the source still serves under its name: a fenced one gets the snapshot of its fence, and no other."""
    primary = topology.primary
    return primary is not None and primary.source is not None and not primary.fenced_by_name and not is_encrypted(primary.source)


def plan_seed(topology: Topology, snapshots: list[dict], request: SeedRequest) -> Plan:
    """The steps until a recent snapshot of the running source is there.

    :param snapshots: ``DBSnapshot`` shapes of the source, manual and automated.
    """
    if not needs_seed(topology):
        return Plan()
    source = topology.primary.source
    mine = [s for s in snapshots if s.get("DbiResourceId") == source["DbiResourceId"]]
    if any(s.get("Status") == "available" and _age(s, request) <= timedelta(seconds=request.max_age) for s in mine):
        return Plan()
    begun = [s for s in mine if s.get("Status") == "creating" and is_seed(s, source)]
    identifier = begun[0]["DBSnapshotIdentifier"] if begun else f"{topology.name}-seed-{request.stamp}"
    tags = {TAG_NAME: topology.name, TAG_ROLE: ROLE_SEED, TAG_SOURCE_RESOURCE_ID: source["DbiResourceId"]}
    take = Step(
        "CreateDBSnapshot",
        identifier,
        f"Take snapshot {identifier} of the running {topology.name}, so that the one behind the fence is short",
        {"DBInstanceIdentifier": source["DBInstanceIdentifier"], "DBSnapshotIdentifier": identifier, "Tags": tag_list(tags)},
        started=bool(begun),
        expected=usual_seconds("CreateDBSnapshot", source),
        confirmed=lambda s: is_seed(s, source),
    )
    # While it is being taken the source may be backing-up, and cannot be fenced.
    ready = Step(
        "WaitUntilReady", source["DBInstanceIdentifier"], f"Wait until {topology.name} is available again", resource_id=source["DbiResourceId"]
    )
    return Plan(stages([take], [ready]))


def is_seed(snapshot: dict, source: dict) -> bool:
    """Whether a snapshot was taken here, of this source. It is never restored: it lacks what was written after it (law 1)."""
    tags = tags_of(snapshot)
    return tags.get(TAG_ROLE) == ROLE_SEED and tags.get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"]


def _age(snapshot: dict, request: SeedRequest) -> timedelta:
    made = snapshot.get("SnapshotCreateTime")
    return request.now - made if made is not None else timedelta.max
