# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long it may take: from the account's own events where there are any, and what a fleet takes that waits at the gates."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.estimate import (
    BACKUP_EVENTS,
    durations,
    estimate,
    estimate_minutes,
    past_of,
    together,
)
from fakes.shapes import encrypted, instance, marks, replica

FENCED = marks("x", "source", "db-X", fenced="f1 then")
NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def source(identifier="x", **more):
    return instance(identifier, **{"DbiResourceId": "db-X", "AllocatedStorage": 100, **more})


def target():
    return encrypted("new-x", DbiResourceId="db-T", tags=marks("x", "target", "db-X"))


def topology(*there):
    return find_topology("x", Listing(there), Prefixes())


def event(minute, message, of="x"):
    return {"Date": NOON + timedelta(minutes=minute), "Message": message, "SourceIdentifier": of}


COPIES = [event(0, "Started copy of snapshot s from source region 'r'", "c"), event(30, "Finished copy of snapshot s", "c")]
BACKUPS = [event(9, "Finished DB Instance backup"), event(1, "Backing up DB instance"), event(20, "Backing up DB instance"),
           event(23, "Finished DB Instance backup"), event(40, "Backing up DB instance")]


def test_the_estimate_names_what_is_left():
    whole = estimate_minutes(topology(source(), replica("x-r", "x"), replica("x-r-r", "x-r")))
    assert list(whole) == ["fence", "snapshot", "encrypted copy", "restore", "replicas", "cutover"]
    assert whole["replicas"] == 2 * estimate_minutes(topology(source(), replica("x-r", "x")))["replicas"]
    assert list(estimate_minutes(topology(source("old-x", tags=FENCED), target()))) == ["cutover"]
    assert estimate_minutes(topology(encrypted("x"))) == {}
    assert estimate_minutes(topology(source(AllocatedStorage=2000)))["encrypted copy"] > whole["encrypted copy"]


def test_only_what_began_and_ended_has_a_duration():
    assert durations(BACKUPS, BACKUP_EVENTS) == [("x", 480.0), ("x", 180.0)], "in whatever order they are listed"
    assert durations([event(1, "Finished DB Instance backup"), {"Message": "Backing up DB instance"}], BACKUP_EVENTS) == []


def test_the_past_of_the_account_counts_more_than_an_assumption():
    past = past_of(BACKUPS, COPIES, [{"DBSnapshotIdentifier": "c", "AllocatedStorage": 200}])
    known = {part.name: part for part in estimate(topology(source()), past)}
    assert (known["snapshot"].minutes, known["snapshot"].basis) == (8, "the longest of 2 automated backups of the last 14 days")
    assert (known["encrypted copy"].minutes, known["encrypted copy"].basis) == (15, "by the copy c of the last 14 days: 200 GiB in 30 min")
    assert known["restore"].basis == "assumed for 100 GiB"
    tiny = {part.name: part for part in estimate(topology(source(AllocatedStorage=1)), past)}
    assert tiny["encrypted copy"].minutes == 5, "a copy has a part that no size makes shorter"
    unknown = past_of([], COPIES, [])
    assert not unknown.copies, "the size of a copy that is gone is not known"


def test_at_each_gate_all_wait_for_the_slowest():
    small = [part.to_dict() for part in estimate(topology(source()))]
    large = [part.to_dict() for part in estimate(topology(source(AllocatedStorage=4000)))]
    alone, both = together([small]), together([small, large])
    assert alone == {"minutes": sum(part["minutes"] for part in small), "outage_minutes": sum(part["minutes"] for part in small)}
    assert both == together([large])
    running = [{**part, "outage": part["phase"] != "build"} for part in large]
    assert together([running]) == {"minutes": both["minutes"], "outage_minutes": 8}
    assert together([]) == {"minutes": 0, "outage_minutes": 0}


def test_a_warm_up_is_part_of_the_outage_that_the_plan_announces():
    (part,) = [part for part in estimate(topology(source()), warm_up_budget=601) if part.name == "warm-up"]
    assert part.minutes == 11 and part.outage and part.phase == "build"
    assert "warm-up" not in {part.name for part in estimate(topology(source()))}
