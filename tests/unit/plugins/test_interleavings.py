# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever does whatever in whichever order: the laws hold after each step, refusals are in words, and the work can always be finished.

Two operators, crashes, lost answers, late reads, people who rename by hand, and an application that writes all the time to whoever has the
name, on the in-memory RDS. ``STATE_MACHINE_EXAMPLES=2000`` looks for much longer than CI has time to.
"""

from __future__ import annotations

import os

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import cutover, topology_info
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import fence as fence_job
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_FENCE_ID, TAG_PREFIX, own_tags, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import fence as fence_plan
from fakes.operators import Operator
from fakes.region import Region
from fakes.shapes import KEY, instance, replica
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

NAMES = ("x", "x-r")
EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "60"))
# What may be done to a source; everything else is made of it.
ON_A_SOURCE = {"AddTagsToResource", "RemoveTagsFromResource", "RebootDBInstance", "CreateDBSnapshot"}


class World:
    """A region with a topology of two, an application that writes, and the laws."""

    def __init__(self, **lag):
        self.region = Region(instance("x", tags={"team": "a"}), replica("x-r", "x", BackupRetentionPeriod=0), **lag)
        self.application = self.region.application("x")
        self.sources = {self.region.truth(name)["DbiResourceId"] for name in NAMES}
        self.begun_with = {thing.truth["DbiResourceId"]: self.lasting(thing.truth) for thing in self.region.things}
        self.seen: set[str] = set()

    @staticmethod
    def lasting(described: dict) -> dict:
        """What of an original must not change: all but its name, what contains names, and the marks."""
        moving = ("DBInstanceIdentifier", "DBInstanceArn", "Endpoint", "DBInstanceStatus", "PendingModifiedValues", "hidden",
                  "ReadReplicaDBInstanceIdentifiers", "ReadReplicaSourceDBInstanceIdentifier")
        kept = {member: value for member, value in described.items() if member not in moving}
        return {**kept, "TagList": own_tags(tags_of(described))}

    @property
    def source(self) -> dict:
        return next(t.truth for t in self.region.things if t.truth["DbiResourceId"] == "db-X")

    def check(self) -> None:
        """The laws.

        :raises AssertionError: one is broken.
        """
        self.region.tick()
        there = {thing.truth["DbiResourceId"] for thing in self.region.things} | set(self.region.snapshots)
        assert there >= self.seen, f"law 2: {self.seen - there} deleted"
        self.seen = there
        assert not self.application.lost, f"law 1: {self.application.lost}"
        serving = self.region.find("x")
        if serving is not None:
            assert serving.data >= self.application.acknowledged, f"law 1: {serving.truth['DbiResourceId']} has the name and lacks writes"
        for thing in self.region.things:
            if thing.truth["DbiResourceId"] in self.begun_with:
                assert self.lasting(thing.truth) == self.begun_with[thing.truth["DbiResourceId"]], "law 7: an original was changed"
        for operation, parameters in self.region.calls:
            assert not operation.startswith("Delete")
            if operation == "RestoreDBInstanceFromDBSnapshot":
                tags = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
                assert tags[TAG_FENCE_ID] in parameters["DBSnapshotIdentifier"], "law 1: a snapshot of another fence"

    def finished(self) -> None:
        """Everything is encrypted under its name, complete, without marks; the originals are there."""
        self.region.settle()
        self.check()
        for name in NAMES:
            new, old = self.region.truth(name), self.region.truth("old-" + name)
            assert new["StorageEncrypted"] and new["KmsKeyId"] == KEY
            assert old["DbiResourceId"] in self.sources
            assert not [key for key in tags_of(new) if key.startswith(TAG_PREFIX)], name
        assert self.region.find("x").data == self.application.acknowledged

    def rename_by_hand(self, identifier: str, wanted: str) -> None:
        """Somebody renames in the console, as often as it takes, and waits for it."""
        faults, self.region.faults = self.region.faults, {}
        self.region.rename_by_hand(identifier, wanted)
        self.region.faults = faults

    def give_names_back(self) -> None:
        """Each original gets its name back, unless somebody else has it."""
        for name in NAMES:
            if self.region.find("old-" + name) and not self.region.find(name):
                self.rename_by_hand("old-" + name, name)

    def put_aside(self) -> None:
        """What the messages ask for: whatever is called new- gets another name."""
        self.region.settle()
        for number, identifier in enumerate(self.region.names):
            if identifier.startswith("new-"):
                self.rename_by_hand(identifier, f"stale-{len(self.region.calls)}-{number}")

    def finish(self) -> list[str]:
        """Run alone until the work is done, doing by hand what the refusals ask for; answers what was refused."""
        self.region.faults.clear()
        self.region.stale_reads = 0
        self.region.settle()
        refusals = []
        for _attempt in range(6):
            operator = Operator(self.region, "x")
            operator.end()
            self.check()
            if operator.refused is None:
                return refusals
            refusals.append(operator.refused)
            assert any(words in operator.refused for words in ("Next: ", "ename or remove", "rename it", "ename")), f"no way on: {operator.refused}"
            if "was restarted after the snapshot" in operator.refused or "give it its name back first" in operator.refused:
                self.give_names_back()
            self.put_aside()
        raise AssertionError("not to be finished: " + "\n".join(refusals))


# -- two operators -----------------------------------------------------------------------------------------------------------------------


def moments(**how) -> int:
    """How many moments a run has at which somebody else may come first."""
    operator, count = Operator(World().region, "x", **how), 0
    while operator.go():
        count += 1
    return count


def both(world: World, moment: int, second: str, **how) -> list[Operator]:
    """The first stops at a moment, the second runs to its end, the first goes on; the laws hold, who cannot go on says why."""
    operators = [Operator(world.region, "x", **how)]
    operators[0].go(moment)
    operators.append(Operator(world.region, "x", second))
    for operator in reversed(operators):
        operator.end()
        world.check()
        assert operator.refused is None or len(operator.refused) > 40, operator.refused
    return operators


@pytest.mark.parametrize("lag", [{}, dict(stale_reads=2)], ids=["seen at once", "seen late"])
@pytest.mark.parametrize("second", ["everything", "rollback"])
def test_somebody_else_comes_in_at_any_moment(second, lag):
    number = moments()
    assert number > 25
    for moment in range(number):
        world = World(**lag)
        operators = both(world, moment, second)
        assert None in [operator.refused for operator in operators], "one of them comes to its end"
        world.finish()
        world.finished()


@pytest.mark.parametrize("second", ["everything", "rollback"])
def test_a_request_takes_as_long_as_the_whole_run_of_somebody_else(second):
    """RDS addresses by name, so such a request may meet another instance than it was meant for; no write is lost by that either."""
    for moment in range(moments(in_flight=True)):
        both(World(), moment, second, in_flight=True)


@pytest.mark.parametrize("steps", [(1, 1), (1, 2), (3, 1), (5, 5)], ids=str)
def test_the_same_playbook_twice_at_once(steps):
    world = World()
    operators = [Operator(world.region, "x"), Operator(world.region, "x")]
    while not all(operator.over for operator in operators):
        for operator, count in zip(operators, steps, strict=True):
            operator.go(count)
            world.check()
    assert None in [operator.refused for operator in operators], "one of them came to the end"
    world.finish()
    world.finished()


# -- anything in any order ---------------------------------------------------------------------------------------------------------------

FAULTS = ("throttled", "500 before", "500 after", "lost before", "lost after")
CHANGES = ("*", "Rename", "AddTagsToResource", "RebootDBInstance", "CreateDBSnapshot", "CopyDBSnapshot", "RestoreDBInstanceFromDBSnapshot", "ModifyDBInstance")


class Anything(RuleBasedStateMachine):
    """Operators, crashes, faults, lag, time and people."""

    @initialize(lag=st.sampled_from([{}, dict(stale_reads=2), dict(rename_gap=30.0, link_lag=120.0)]))
    def begin(self, lag):
        self.world = World(**lag)
        self.running: dict[str, Operator] = {}

    @property
    def alone(self) -> bool:
        return all(operator.over for operator in self.running.values())

    @rule(who=st.sampled_from(["one", "one", "two"]), moments=st.sampled_from([1, 2, 3, 5, 8, 13, 21, 34]))
    def work(self, who, moments):
        operator = self.running.get(who)
        if operator is None or operator.over:
            operator = self.running[who] = Operator(self.world.region, "x")
        operator.go(moments)

    @rule(moments=st.sampled_from([3, 8, 34]))
    def roll_back(self, moments):
        operator = self.running.get("back")
        if operator is None or operator.over:
            operator = self.running["back"] = Operator(self.world.region, "x", "rollback")
        operator.go(moments)

    @precondition(lambda self: self.running)
    @rule(who=st.sampled_from(["one", "two", "back"]))
    def die(self, who):
        if who in self.running:
            self.running.pop(who).die()

    @rule(which=st.sampled_from(CHANGES), fault=st.sampled_from(FAULTS))
    def trouble(self, which, fault):
        self.world.region.faults.setdefault(which, []).append(fault)

    @rule(reads=st.integers(0, 4))
    def lag(self, reads):
        self.world.region.stale_reads = reads

    @rule(seconds=st.sampled_from([5, 60, 600]))
    def time(self, seconds):
        self.world.region.clock.sleep(seconds)

    # People wait until the others are done, and rename only what is there to be renamed: RDS refuses the rest.
    @precondition(lambda self: self.running and self.alone and self.world.region.find("old-x") and not self.world.region.find("x"))
    @rule(also_replica=st.booleans())
    def give_the_name_back_by_hand(self, also_replica):
        self.world.region.settle()
        if self.world.region.find("old-x") and not self.world.region.find("x"):
            self.world.rename_by_hand("old-x", "x")
        if also_replica and self.world.region.find("old-x-r") and not self.world.region.find("x-r"):
            self.world.rename_by_hand("old-x-r", "x-r")

    @precondition(lambda self: self.alone and self.world.source["DBInstanceIdentifier"] == "x" and not self.world.region.find("old-x"))
    @rule()
    def take_the_name_away_by_hand(self):
        self.world.region.settle()
        if self.world.source["DBInstanceIdentifier"] == "x" and not self.world.region.find("old-x"):
            self.world.rename_by_hand("x", "old-x")

    @precondition(lambda self: self.alone and any(name.startswith("new-") for name in self.world.region.names))
    @rule()
    def put_aside_by_hand(self):
        self.world.put_aside()

    @invariant()
    def the_laws_hold(self):
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self):
        if not hasattr(self, "world"):
            return
        for operator in self.running.values():
            operator.die()
        self.world.finish()
        self.world.finished()


def explore(examples: int = EXAMPLES) -> None:
    """Let the machine try so many ways; a longer look than CI's also makes what it finds shorter.

    :raises AssertionError: a law is broken, or the work cannot be finished.
    """
    phases = [Phase.generate, *([Phase.shrink] if "STATE_MACHINE_EXAMPLES" in os.environ else [])]
    run_state_machine_as_test(
        Anything,
        settings=settings(max_examples=examples, stateful_step_count=20, deadline=None, derandomize="STATE_MACHINE_EXAMPLES" not in os.environ,
                          database=None, report_multiple_bugs=False, phases=phases, suppress_health_check=list(HealthCheck)),
    )


def test_anything_in_any_order():
    explore()


# -- would it be seen? -------------------------------------------------------------------------------------------------------------------


def reused_fence_id(monkeypatch):
    """A source that got its name back is fenced with the id of before: its old snapshot looks like one of the new fence."""
    plan = fence_plan.plan_fence
    monkeypatch.setattr(fence_job, "plan_fence", lambda t, fresh, *more: plan(t, t.source_tags.get(TAG_FENCE_ID, fresh), *more))


def no_look_for_restarts(monkeypatch):
    """Nobody asks whether the source served again after its snapshot."""
    for job in (cutover, topology_info):
        monkeypatch.setattr(job, "check_fence", lambda rds, topology: None)


def straight_on(world: World) -> None:
    Operator(world.region, "x").end()


def back_and_forth_by_hand(world: World) -> None:
    """Stopped when all is built; the name is given back, written to, and taken away again: tags and names are as if nothing had been."""
    killed_once("CreateDBInstanceReadReplica", world)
    world.give_names_back()
    world.check()
    for name in NAMES:
        world.rename_by_hand(name, "old-" + name)
    straight_on(world)


def back_by_hand(world: World) -> None:
    """Stopped when the snapshot is there; the name is given back, written to, and encrypted once more."""
    killed_once("CreateDBSnapshot", world)
    world.give_names_back()
    world.check()
    straight_on(world)


def killed_once(operation: str, world: World) -> None:
    operator = Operator(world.region, "x")
    while operation not in world.region.operations:
        operator.go()
    operator.die()
    world.region.settle()


STORIES = [
    (back_and_forth_by_hand, [no_look_for_restarts]),
    (back_by_hand, [reused_fence_id, no_look_for_restarts]),
]


@pytest.mark.parametrize(("story", "faults"), STORIES, ids=lambda each: getattr(each, "__name__", "with faults"))
def test_a_fault_of_the_product_is_found(story, faults, monkeypatch):
    world = World()
    story(world)
    world.finish()
    world.finished()
    for fault in faults:
        fault(monkeypatch)
    world = World()
    with pytest.raises(AssertionError, match="law 1"):
        story(world)
        world.check()
        world.finish()
