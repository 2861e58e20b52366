# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restart of the source after its snapshot is the trace of a rename there and back, whichever name RDS puts on the events."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import check_fence
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tag_list
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.fence_kept import LOOK_BACK_MINUTES, may_have_served
from fakes.shapes import encrypted, instance, marks

NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
FENCED = marks("x", "source", "db-X", fenced="f1 now")


def topology(*more, **tags):
    source = instance("old-x", DbiResourceId="db-X", tags={**FENCED, **tags})
    return find_topology("x", Listing([source, *more]), Prefixes())


def snapshot(minutes=0, fence="f1", role="snapshot", **more):
    tags = tag_list(marks("x", role, "db-X", fence))
    return {"DBSnapshotIdentifier": "s", "Status": "available", "SnapshotCreateTime": NOON + timedelta(minutes=minutes), "TagList": tags, **more}


def event(minutes, message="DB instance restarted"):
    return {"Date": NOON + timedelta(minutes=minutes), "Message": message, "SourceIdentifier": "old-x"}


class Rds:
    """What RDS shows, which keeps events for 14 days; the present is an hour after noon, or so many minutes."""

    def __init__(self, snapshots, events, present=60):
        self.snapshots, self.events, self.present, self.asked = snapshots, events, present, []

    def snapshots_of(self, resource_id):
        return self.snapshots

    def dated_events(self, identifier, minutes):
        self.asked.append(minutes)
        return [each for each in self.events if each["Date"] >= NOON + timedelta(minutes=self.present - minutes)]


def check(topology, snapshots, events, **more):
    rds = Rds(snapshots, events, **more)
    check_fence(rds, topology)
    return rds.asked


OF_THE_FENCE = [event(-10, "DB instance shutdown"), event(-9)]


RESTARTS = ["DB instance restarted", "DB instance shutdown", "DB instance renamed from old-x to x", "Multi-AZ instance failover completed"]


@pytest.mark.parametrize("message", RESTARTS)
def test_a_restart_after_the_snapshot_is_refused(message):
    with pytest.raises(RefusedError, match="old-x was restarted after the snapshot of fence f1") as refused:
        check(topology(), [snapshot()], [*OF_THE_FENCE, event(30, message)])
    for words in ("rename old-x to x", "rename new-x out of the way", "Key=rds-encryption:restarts-accepted,Value=f1"):
        assert words in refused.value.next_step
    assert refused.value.done == "No name was moved."


KEPT = {
    "nothing happened": ([snapshot()], OF_THE_FENCE),
    "the fence's own restart is told a little late": ([snapshot()], [*OF_THE_FENCE, event(0.5)]),
    "a backup": ([snapshot()], [*OF_THE_FENCE, event(5, "Backing up DB instance"), event(6, "Finished DB Instance backup")]),
    "there is no snapshot yet": ([], [*OF_THE_FENCE, event(30)]),
    "the snapshot is of another fence": ([snapshot(fence="f0")], [*OF_THE_FENCE, event(30)]),
    "the snapshot was taken before the fence, to make it shorter": ([snapshot(-60, role="seed")], OF_THE_FENCE),
    "the snapshot failed": ([snapshot(Status="failed")], [*OF_THE_FENCE, event(30)]),
    "events and snapshots do not tell the same time": ([snapshot()], [event(600)]),
    "events cannot be read": ([snapshot()], []),
}


@pytest.mark.parametrize("case", KEPT)
def test_nothing_to_refuse(case):
    check(topology(), *KEPT[case])


def test_when_there_is_something_to_look_for():
    assert may_have_served(topology())
    assert not may_have_served(topology(**{"rds-encryption:restarts-accepted": "f1"})), "somebody knows why"
    assert may_have_served(topology(**{"rds-encryption:restarts-accepted": "f0"})), "that was another fence"
    assert not may_have_served(find_topology("x", Listing([instance("x", DbiResourceId="db-X", tags=FENCED)]), Prefixes()))
    assert not may_have_served(topology(encrypted("x", tags=marks("x", "target", "db-X")))), "it has given its name away"


def test_events_are_read_no_further_back_than_to_the_restart_of_the_fence():
    assert check(topology(), [snapshot()], OF_THE_FENCE) == [180]
    assert check(topology(), [], OF_THE_FENCE) == [], "there is nothing yet that could have been served after"
    assert check(topology(), [snapshot()], OF_THE_FENCE, present=600) == [180, 24 * 60]
    assert check(topology(), [snapshot()], []) == list(LOOK_BACK_MINUTES)


@pytest.mark.parametrize("days", [0, 1, 13])
def test_a_restart_is_found_however_long_ago_the_fence_was(days):
    with pytest.raises(RefusedError, match="was restarted after"):
        check(topology(), [snapshot()], [*OF_THE_FENCE, event(30)], present=days * 24 * 60 + 100)
