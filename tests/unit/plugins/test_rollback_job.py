# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back from every phase on an in-memory RDS, stopped at every call, with an application that writes to whoever has the name."""

from __future__ import annotations

import os

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError, WaitTimeoutError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import fence
from fakes.region import Crash, Region
from fakes.shapes import MARK, encrypted_replica, instance, replica
from fakes.way import PREFIXES, WAITING, Way
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = ["x", "x-r1", "x-r1-a"]


def region(**more) -> Region:
    return Region(
        instance("x", tags={"team": "a"}),
        replica("x-r1", "x", BackupRetentionPeriod=1),
        replica("x-r1-a", "x-r1", BackupRetentionPeriod=0),
        instance("y", tags={"team": "b"}),
        **more,
    )


def originals(made: Region) -> dict[str, str]:
    return {name: made.truth(name)["DbiResourceId"] for name in NAMES}


def check_back(made: Region, ids: dict[str, str], *, lost: bool | None = False) -> None:
    """Every original serves under its name, as it was, without marks; nothing was deleted; the application goes on."""
    made.settle()
    for name in NAMES:
        described = made.truth(name)
        assert described["DbiResourceId"] == ids[name]
        assert tags_of(described) == ({"team": "a"} if name == "x" else {})
        assert described["DBInstanceStatus"] == "available"
        assert [group["VpcSecurityGroupId"] for group in described["VpcSecurityGroups"]] == ["sg-1"]
    assert made.truth("x-r1")["ReadReplicaSourceDBInstanceIdentifier"] == "x"
    assert made.truth("x-r1-a")["ReadReplicaSourceDBInstanceIdentifier"] == "x-r1"
    assert not [operation for operation in made.operations if operation.startswith("Delete")]
    assert made.truth("y") == instance("y", tags={"team": "b"})
    made.tick()
    application = made.applications[0]
    assert application.connected is made.find("x")
    assert lost is None or bool(application.lost) is lost
    assert not [name for name in made.names if name.startswith("old-")]


def to_phase(made: Region, phase: str) -> None:
    way = Way(made, "x")
    if phase != "nothing":
        way.fence()
    if phase in ("built", "cut over"):
        way.build()
    if phase == "cut over":
        way.cutover()


LAG = [dict(), dict(stale_reads=2), dict(rename_gap=60.0, link_lag=300.0)]


@pytest.mark.parametrize("lag", LAG, ids=str)
@pytest.mark.parametrize("phase", ["fenced", "built", "cut over"])
def test_back_from_a_phase(phase, lag):
    made = region(**lag)
    ids = originals(made)
    made.application("x")
    to_phase(made, phase)
    calls = len(made.calls)
    foretold = Way(made, "x", check_mode=True)
    foretold.rollback(discard_writes=True)
    assert len(made.calls) == calls
    way = Way(made, "x")
    said = way.rollback(discard_writes=phase == "cut over")
    assert (said["action"], said["changed"], said["discards_writes"]) == ("roll_back", True, phase == "cut over")
    assert [(s["action"], s["resource"]) for s in foretold.steps] == [(s["action"], s["resource"]) for s in way.steps]
    check_back(made, ids, lost=phase == "cut over")
    assert said["leftovers"] == ([] if phase == "fenced" else ["new-x", "new-x-r1", "new-x-r1-a"])
    for asked in ("x", "old-x", "new-x"):
        again = Way(made, asked)
        assert again.rollback()["action"] == "none" and not again.changed


def test_nothing_to_go_back_from():
    made = region()
    said = Way(made, "x").rollback()
    assert (said["action"], said["changed"]) == ("none", False) and "there is nothing to go back from" in said["reason"]
    assert "moves with its source" in Way(made, "x-r1").rollback()["reason"]
    with pytest.raises(RefusedError, match="no DB instance z"):
        Way(made, "z").rollback()


def test_after_the_cutover_it_is_refused_without_the_word():
    made = region()
    made.application("x")
    to_phase(made, "cut over")
    calls = len(made.calls)
    for check_mode in (True, False):
        with pytest.raises(RefusedError, match=r"drops every write") as refused:
            Way(made, "x", check_mode=check_mode).rollback()
        assert "rds_encryption_rollback_discard_writes" in refused.value.next_step and "old (2026-11-22T" in str(refused.value)
    assert len(made.calls) == calls


def run_to_the_end(made: Region, discard: bool) -> None:
    for _attempt in range(3):
        try:
            Way(made, "x").rollback(discard_writes=discard)
        except RefusedError as e:
            # Seen too late in the middle of a rename: in words, and the next run goes on.
            if "cannot be seen" not in str(e):
                raise
            made.settle()
            continue
        return
    raise AssertionError("three times refused")


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("phase", ["fenced", "built", "cut over"])
def test_stopped_at_any_call_of_the_way_back(phase, after_effect):
    whole = region()
    whole.application("x")
    to_phase(whole, phase)
    first = len(whole.calls)
    Way(whole, "x").rollback(discard_writes=True)
    for at in range(first + 1, len(whole.calls) + 1):
        for later in (False, True):
            made = region(rename_gap=20.0)
            ids = originals(made)
            made.application("x")
            to_phase(made, phase)
            made.crash_at, made.crash_after_effect = at, after_effect
            with pytest.raises(Crash):
                Way(made, "x").rollback(discard_writes=True)
            made.crash_at = None
            if later:
                made.settle()
            run_to_the_end(made, discard=phase == "cut over")
            check_back(made, ids, lost=phase == "cut over")
            calls = len(made.calls)
            assert Way(made, "x").rollback()["action"] == "none" and len(made.calls) == calls


def calls_of_a_run() -> int:
    made = region()
    made.application("x")
    to_phase(made, "cut over")
    return len(made.calls)


@pytest.mark.parametrize("at", range(1, calls_of_a_run() + 1))
def test_back_from_wherever_a_run_was_stopped(at):
    """Killed at any call of encrypt, with and without its effect, taken back at once or later; before the name moved nothing is lost."""
    for after_effect in (False, True):
        for later in (False, True):
            made = region(stale_reads=2, rename_gap=20.0)
            ids = originals(made)
            made.application("x")
            made.crash_at, made.crash_after_effect = at, after_effect
            with pytest.raises(Crash):
                to_phase(made, "cut over")
            made.crash_at = None
            if later:
                made.settle()
            try:
                run_to_the_end(made, discard=False)
                lost = False
            except RefusedError as e:
                assert "drops every write" in str(e)
                made.settle()
                assert made.truth("x")["StorageEncrypted"], "refused although nobody could write to the encrypted instance"
                run_to_the_end(made, discard=True)
                lost = None
            made.settle()
            if any(key.startswith(MARK) for key in tags_of(made.truth("x"))):
                # Its first marks were not to be seen yet, so there seemed to be nothing to go back from; it served all the time.
                assert at <= len(NAMES) and not later
                run_to_the_end(made, discard=False)
            check_back(made, ids, lost=lost)


# -- quarantine ------------------------------------------------------------------------------------------------------------------------


def quarantined(made: Region) -> None:
    Way(made, "x").job(fence.run, name="x", quarantine_security_group_id="sg-q", **PREFIXES, **WAITING)


def test_the_security_groups_come_back():
    made = region()
    ids = originals(made)
    made.application("x")
    quarantined(made)
    assert [group["VpcSecurityGroupId"] for group in made.truth("old-x")["VpcSecurityGroups"]] == ["sg-q"]
    way = Way(made, "x")
    way.rollback()
    check_back(made, ids)
    actions = [(step["action"], step["resource"]) for step in way.steps]
    assert actions.index(("ModifyDBInstance", "old-x")) < actions.index(("Rename", "old-x")), "it is open before it has the name"


def test_the_security_groups_come_back_from_wherever_the_fence_was_stopped():
    whole = region()
    quarantined(whole)
    for at in range(1, len(whole.calls) + 1):
        for after_effect in (False, True):
            made = region(rename_gap=20.0)
            ids = originals(made)
            made.application("x")
            made.crash_at, made.crash_after_effect = at, after_effect
            with pytest.raises(Crash):
                quarantined(made)
            made.crash_at = None
            run_to_the_end(made, discard=False)
            check_back(made, ids)


# -- what others did meanwhile ---------------------------------------------------------------------------------------------------------


def test_replicas_that_came_after_the_cutover_lose_their_names_too():
    made = region()
    ids = originals(made)
    made.application("x")
    to_phase(made, "cut over")
    made.things += Region(encrypted_replica("x-late", "x")).things
    made.truth("x")["ReadReplicaDBInstanceIdentifiers"].append("x-late")
    said = Way(made, "x").rollback(discard_writes=True)
    assert any("x-late has no unencrypted original" in remark for remark in said["remarks"])
    check_back(made, ids, lost=True)
    assert "new-x-late" in made.names and "x-late" not in made.names


def test_a_replica_that_was_removed_after_the_cutover_does_not_matter():
    made = region()
    ids = originals(made)
    made.application("x")
    to_phase(made, "cut over")
    made.things.remove(made.find("x-r1-a"))
    made.truth("x-r1")["ReadReplicaDBInstanceIdentifiers"].clear()
    Way(made, "x").rollback(discard_writes=True)
    check_back(made, ids, lost=True)


def test_a_target_that_is_beyond_help_does_not_hold_the_names_up():
    made = region()
    ids = originals(made)
    made.application("x")
    to_phase(made, "built")
    made.truth("new-x").update(DBInstanceStatus="incompatible-restore")
    Way(made, "x").rollback()
    check_back(made, ids)


def test_an_original_that_is_busy_with_its_snapshot_is_waited_for():
    made = region()
    ids = originals(made)
    made.application("x")
    to_phase(made, "fenced")
    made._change(made.find("old-x"), lambda d: d.update(DBInstanceStatus="backing-up"))
    made._status(made.find("old-x"), "available", 3 * 3600)
    Way(made, "x").rollback()
    check_back(made, ids)


def test_a_stranger_under_the_name_stops_it_in_words():
    made = region()
    to_phase(made, "fenced")
    made.things += Region(instance("x", DbiResourceId="db-STRANGER")).things
    names = made.names
    with pytest.raises(RefusedError, match=r"x is held by db-STRANGER, which is not the original: that is old-x"):
        Way(made, "x").rollback()
    assert made.names == names


def test_a_cutover_that_won_the_race_is_seen():
    """The fence was made void, and then the encrypted instance got the name all the same: it serves, and that is said."""
    made = region()
    made.application("x")
    to_phase(made, "built")
    made.crash_at, made.crash_after_effect = len(made.calls) + 1, True
    with pytest.raises(Crash, match="RemoveTagsFromResource"):
        Way(made, "x").rollback()
    made.crash_at = None
    made.settle()
    made.rename_by_hand("new-x", "x")
    made.tick()
    with pytest.raises(RefusedError, match="drops every write"):
        Way(made, "x").rollback()
    with pytest.raises(RefusedError, match="A rollback was begun and not finished"):
        Way(made, "x").cutover()
    with pytest.raises(RefusedError, match="served by its encrypted instance already"):
        Way(made, "x").fence()
    Way(made, "x").rollback(discard_writes=True)
    made.settle()
    assert not made.truth("x")["StorageEncrypted"]


def test_a_fence_that_somebody_makes_meanwhile_stays_shut():
    """Somebody fences anew between the end of the old fence and the rename: one of the two fails, in words, and no name moves."""
    made = region()
    to_phase(made, "fenced")
    first = tags_of(made.truth("old-x"))[MARK + "fence-id"]
    original = made.call

    def meddle(operation, parameters):
        answer = original(operation, parameters)
        if operation == "RemoveTagsFromResource":
            made.call = original
            made.settle()
            Way(made, "x").fence()
        return answer

    made.call = meddle
    with pytest.raises(WaitTimeoutError, match="Make the fence of x void"):
        Way(made, "x").rollback()
    assert "old-x" in made.names and tags_of(made.truth("old-x"))[MARK + "fence-id"] != first
    Way(made, "x").rollback()
    made.settle()
    assert made.truth("x")["TagList"] == [{"Key": "team", "Value": "a"}]


# -- forth and back, stopped anywhere --------------------------------------------------------------------------------------------------

def encrypt(made: Region, **more) -> None:
    """The phases, left out as the roles leave them out."""
    way = Way(made, "x")
    if not way.info()["members"][0]["cut_over"]:
        way.fence()
        way.build()
    way.cutover(**more)


def clear(made: Region, number: int) -> None:
    """Once the original serves, somebody renames what is left over, as preflight says."""
    made.crash_at = None
    made.settle()
    if made.find("x") and not made.truth("x")["StorageEncrypted"]:
        for name in [name for name in made.names if name.startswith("new-")]:
            made.rename_by_hand(name, f"left{number}-{name}")


LEGS = st.lists(st.tuples(st.sampled_from(["forth", "late", "back", "clear"]), st.integers(1, 45), st.booleans(), st.booleans()), min_size=1, max_size=5)
FAULTS = ["lost before", "lost after", "500 after", "throttled", "InvalidDBInstanceState: RDS is configuring"]


@settings(max_examples=int(os.environ.get("EXAMPLES", "25")), deadline=None, derandomize="EXAMPLES" not in os.environ, suppress_health_check=list(HealthCheck))
@given(
    legs=LEGS,
    faults=st.dictionaries(st.sampled_from(["Rename", "RemoveTagsFromResource", "RebootDBInstance"]), st.lists(st.sampled_from(FAULTS), max_size=2)),
    stale_reads=st.integers(0, 2),
    rename_gap=st.sampled_from([0.0, 30.0]),
)
def test_forth_and_back_loses_nothing(legs, faults, stale_reads, rename_gap):
    """No write is dropped that nobody gave up; and in the end somebody serves with all of them: the original, or its replacement."""
    made = region(stale_reads=stale_reads, rename_gap=rename_gap)
    application = made.application("x")
    made.faults = {kind: list(each) for kind, each in faults.items()}
    for number, (way, at, after_effect, later) in enumerate(legs):
        if way == "clear":
            clear(made, number)
            continue
        made.crash_at, made.crash_after_effect = len(made.calls) + at, after_effect
        try:
            if way in ("forth", "late"):
                encrypt(made, cutover_timeout=10 if way == "late" else 1800)
            else:
                Way(made, "x").rollback()
        except (Crash, EncryptionError):
            pass
        if later:
            made.settle()
    made.crash_at, made.faults = None, {}
    made.settle()
    try:
        run_to_the_end(made, discard=False)
    except RefusedError as e:
        assert "drops every write" in str(e)
        encrypt(made)
    # What seemed to be its original already may have had marks that did not show.
    made.settle()
    made.tick()
    made.tick()
    serving = made.find("x")
    assert serving is not None and application.connected is serving and serving.data == application.acknowledged
    assert not application.lost
