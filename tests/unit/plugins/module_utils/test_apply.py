# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a plan true: one effect for each step whatever the answers are, reading anew after each assumption, and an end in words."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    EncryptionError,
    RefusedError,
    TerminalStateError,
    WaitTimeoutError,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tag_list, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.apply import MAX_ROUNDS, Runner
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.handlers import HANDLERS
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits
from botocore.exceptions import ClientError, EndpointConnectionError
from fakes.region import Region
from fakes.shapes import instance

PASSING = EndpointConnectionError(endpoint_url="https://rds")
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "DescribeDBInstances")


class Bench:
    """A runner on a region with one instance."""

    def __init__(self, **region):
        self.region = Region(instance("x"), **region)
        self.lines: list[str] = []
        self.runner = Runner(Rds(self.region.client), self.region.clock, self.lines.append, Limits(), jitter=lambda: 0.5)

    def perform(self, *steps, **more):
        self.runner.perform(steps, **more)
        self.region.settle()
        return self

    def truth(self, name="x"):
        return self.region.truth(name)

    @property
    def seconds(self):
        return self.region.clock.now - 1000


TAG = Step("AddTagsToResource", "x", "Tag x", {"Tags": {"a": "1"}}, resource_id="db-X")
RENAME = Step("Rename", "x", "Rename x to old-x", {"NewDBInstanceIdentifier": "old-x"}, resource_id="db-X")
REBOOT = Step("RebootDBInstance", "x", "Restart x", resource_id="db-X")
MODIFY = Step("ModifyDBInstance", "x", "Set MultiAZ", {"MultiAZ": True}, resource_id="db-X", confirmed=lambda d: d["MultiAZ"])
SNAPSHOT = Step(
    "CreateDBSnapshot",
    "s",
    "Take snapshot s of x",
    {"DBInstanceIdentifier": "x", "DBSnapshotIdentifier": "s", "Tags": tag_list({"mine": "1"})},
    confirmed=lambda s: tags_of(s).get("mine") == "1",
)
STEPS = {"tag": TAG, "rename": RENAME, "reboot": REBOOT, "modify": MODIFY, "snapshot": SNAPSHOT}


def believed_after(bench, step) -> float:
    """Seconds from the first look at which all was as it stayed to the last."""
    moments = []
    instances = bench.runner.rds.instances

    def looked(**keys):
        moments.append(bench.region.clock.now)
        return instances(**keys)

    bench.runner.rds.instances = looked
    bench.perform(step)
    return moments[-1] - moments[-Limits().steady_reads]


def test_a_restart_is_watched_for_longer_than_what_shows_its_effect():
    assert believed_after(Bench(), REBOOT) == pytest.approx(10)
    assert believed_after(Bench(), MODIFY) == pytest.approx(6)
    assert believed_after(Bench(), TAG) == pytest.approx(4)


def test_what_a_change_rests_on_is_read_when_its_turn_has_come(monkeypatch):
    bench, order = Bench(), []
    rds = bench.runner.rds

    @contextlib.contextmanager
    def turn(action):
        order.append(f"turn of {action}")
        yield
        order.append("end of it")

    monkeypatch.setattr(rds, "turn", turn, raising=True)
    for name in ("all_instances", "call"):
        done = getattr(rds, name)
        monkeypatch.setattr(rds, name, lambda *given, n=name, d=done, **more: (order.append(n), d(*given, **more))[1])
    bench.perform(RENAME)
    assert order == ["turn of Rename", "all_instances", "call", "end of it"]


def happened(bench, which):
    region = bench.region
    return {
        "tag": lambda: tags_of(region.things[0].truth).get("a") == "1",
        "rename": lambda: region.names == ["old-x"],
        "reboot": lambda: len(region.event_log) == 1,
        "modify": lambda: region.things[0].truth["MultiAZ"] is True,
        "snapshot": lambda: list(region.snapshots) == ["s"],
    }[which]()


@pytest.mark.parametrize("which", STEPS)
@pytest.mark.parametrize("stale_reads", [0, 2])
@pytest.mark.parametrize("fault", [None, "throttled", "lost before", "lost after", "500 before", "500 after", "InvalidDBInstanceState: busy"])
def test_one_effect_whatever_the_answer(which, fault, stale_reads):
    bench = Bench(stale_reads=stale_reads)
    bench.region.faults = {"*": [fault]} if fault else {}
    bench.perform(STEPS[which])
    assert happened(bench, which)
    assert bench.runner.executed == [STEPS[which].to_dict()]
    # Nothing is sent again if a read shows that it happened. Values show late, so a modification is: it changes nothing the second time.
    repeated = fault in ("throttled", "lost before", "500 before", "InvalidDBInstanceState: busy")
    if stale_reads == 0 and not (which == "modify" and fault in ("lost after", "500 after")):
        assert len(bench.region.calls) == (2 if repeated else 1)


@pytest.mark.parametrize("which", ["rename", "snapshot", "modify"])
def test_an_answer_that_is_lost_and_seen_late(which):
    """The repeat is refused by RDS as the effect is there already; that is read, and taken for what it is."""
    bench = Bench(stale_reads=6)
    bench.region.faults = {"*": ["lost after"]}
    bench.perform(STEPS[which])
    assert happened(bench, which)


def test_nothing_to_do_is_done():
    bench = Bench()
    bench.region.faults = {"*": ["InvalidParameterCombination: No modifications were requested"]}
    bench.region.things[0].truth["MultiAZ"] = True
    bench.perform(MODIFY)
    assert len(bench.region.calls) == 1


def test_a_snapshot_that_is_ours_is_adopted():
    bench = Bench()
    bench.region._new_snapshot("s", bench.truth(), 0, tag_list({"mine": "1"}), 60, Encrypted=False)
    bench.perform(SNAPSHOT)
    assert len(bench.region.calls) == 1 and list(bench.region.snapshots) == ["s"]


def test_a_foreign_snapshot_is_refused_at_once():
    bench = Bench()
    bench.region._new_snapshot("s", bench.truth(), 0, tag_list({"mine": "2"}), 0, Encrypted=False)
    with pytest.raises(RefusedError, match="a snapshot named s exists, but it is not the one of this fence"):
        bench.perform(SNAPSHOT)
    assert bench.seconds < 5 and len(bench.region.calls) == 1


def test_a_role_that_is_there_is_adopted():
    bench = Bench()
    role = {"RoleArn": "arn:r", "FeatureName": "S3", "Status": "ACTIVE"}
    bench.truth()["AssociatedRoles"] = [role]
    parameters = {"RoleArn": "arn:r", "FeatureName": "S3"}
    bench.perform(Step("AddRoleToDBInstance", "x", "Add", parameters, resource_id="db-X", confirmed=lambda d: bool(d["AssociatedRoles"])))
    assert bench.truth()["AssociatedRoles"] == [role]


def test_busy_for_a_while():
    bench = Bench()
    bench.region._RebootDBInstance("RebootDBInstance", "x")
    bench.perform(MODIFY)
    assert bench.truth()["MultiAZ"] is True and bench.region.operations.count("ModifyDBInstance") > 1


@pytest.mark.parametrize(("status", "words"), [("stopped", "Start the instance"), ("storage-full", "raise its AllocatedStorage")])
def test_busy_for_good(status, words):
    bench = Bench()
    bench.truth()["DBInstanceStatus"] = status
    with pytest.raises(TerminalStateError, match=f"x is {status}") as ended:
        bench.perform(MODIFY)
    assert words in ended.value.next_step and ended.value.done == "The step was not made." and bench.seconds < 5


@pytest.mark.parametrize(
    ("fault", "at_least", "at_most"),
    [("throttled", 1800, 1900), ("500 before", 900, 1000), ("InvalidDBInstanceState: busy", 3600, 3700), ("DBInstanceNotFound: no", 300, 400)],
)
def test_patience_ends(fault, at_least, at_most):
    bench = Bench()
    bench.region.faults = {"*": [fault] * 10000}
    with pytest.raises(RefusedError, match="Set MultiAZ: ModifyDBInstance on x failed with") as ended:
        bench.perform(MODIFY)
    assert at_least <= bench.seconds <= at_most
    assert "everything before it is done" in ended.value.done


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("AccessDenied: no", "Allow rds:ModifyDBInstance on x"),
        ("UnauthorizedOperation: no", "Allow rds:ModifyDBInstance"),
        ("KMSKeyNotAccessibleFault: no", "Enable the KMS key"),
        ("InstanceQuotaExceeded: no", "higher quota"),
        ("InvalidParameterValue: no", "Correct the cause"),
    ],
)
def test_a_refusal_ends_at_once_and_says_what_to_do(fault, words):
    bench = Bench()
    bench.region.faults = {"*": [fault]}
    with pytest.raises(RefusedError) as ended:
        bench.perform(MODIFY)
    assert words in ended.value.next_step and ended.value.facts["error_code"] == fault.partition(":")[0]
    assert bench.seconds == 0 and len(bench.region.calls) == 1 and bench.runner.executed == []


def test_a_stage_is_started_together_and_awaited_together():
    bench = Bench()
    bench.region.things += Region(instance("y")).things
    other = Step("Rename", "y", "Rename y", {"NewDBInstanceIdentifier": "old-y"}, resource_id="db-Y")
    bench.runner.perform((RENAME, other))
    assert bench.region.names == ["old-x", "old-y"]
    together, bench = bench.seconds, Bench()
    bench.runner.perform((RENAME,))
    assert together < bench.seconds * 1.5


def test_what_all_agree_on_is_believed_at_first_sight_and_nothing_else_is():
    """Not together with a step that is watched, and never a rename."""
    agreed, watched = dataclasses.replace(TAG, agreed=True), dataclasses.replace(TAG, parameters={"Tags": {"b": "2"}})
    took = {name: Bench().perform(*steps).seconds for name, steps in dict(agreed=[agreed], watched=[TAG], both=[agreed, watched]).items()}
    assert took["agreed"] <= took["watched"] - 4 and took["both"] >= took["watched"], took
    plain, rename = (Bench().perform(step).seconds for step in (RENAME, dataclasses.replace(RENAME, agreed=True)))
    assert plain == rename


def test_what_was_started_before_is_only_awaited():
    bench = Bench()
    bench.region._CreateDBSnapshot("CreateDBSnapshot", "x", "s", tag_list({"mine": "1"}))
    started = Step(**{**SNAPSHOT.__dict__, "started": True})
    assert not started.mutates
    bench.runner.perform((started,))
    assert bench.region.snapshots["s"].truth["Status"] == "available"
    assert bench.region.calls == [] and bench.runner.executed == []


# -- reconcile -------------------------------------------------------------------------------------------------------------------------


def planner(bench, *groups, replan=False):
    """A planner over the tags of x: each group's tags that are missing are a stage."""
    reads = []

    def read_and_plan():
        have = tags_of(bench.truth())
        reads.append(sorted(have))
        made = [
            [
                Step("AddTagsToResource", "x", f"Tag {key}", {"Tags": {key: "1"}}, resource_id="db-X", replan=replan)
                for key in group
                if key not in have
            ]
            for group in groups
        ]
        return Plan(stages(*made), remarks=("remark",))

    return read_and_plan, reads


def test_it_reads_until_nothing_is_left():
    bench = Bench()
    read_and_plan, reads = planner(bench, "ab", "c")
    last = bench.runner.reconcile(read_and_plan)
    assert (last.stages, last.remarks) == ((), ("remark",))
    assert reads == [[], ["a", "b", "c"]]
    assert [step["what"] for step in bench.runner.executed] == ["Tag a", "Tag b", "Tag c"]


def test_it_reads_anew_after_an_assumption():
    bench = Bench()
    read_and_plan, reads = planner(bench, "ab", "c", replan=True)
    bench.runner.reconcile(read_and_plan)
    assert reads == [[], ["a", "b"], ["a", "b", "c"]]


def test_without_waiting_it_starts_the_first_stage():
    bench = Bench()
    read_and_plan, _reads = planner(bench, "ab", "c")
    bench.runner.reconcile(read_and_plan, wait=False)
    assert [step["what"] for step in bench.runner.executed] == ["Tag a", "Tag b"] and bench.seconds == 0


def test_without_waiting_a_plan_that_only_waits_ends_at_once():
    bench = Bench()
    bench.truth()["DBInstanceStatus"] = "backing-up"
    step = Step("WaitUntilReady", "x", "Wait", resource_id="db-X", replan=True)
    plan = Plan(stages([step]))
    assert bench.runner.reconcile(lambda: plan, wait=False) is plan
    assert bench.runner.executed == [] and bench.seconds == 0


def test_a_plan_that_never_ends_is_given_up():
    bench = Bench()
    numbers = iter(range(1000))
    with pytest.raises(EncryptionError, match=f"not finished after {MAX_ROUNDS} rounds") as ended:
        bench.runner.reconcile(
            lambda: Plan(stages([Step("AddTagsToResource", "x", "Tag", {"Tags": {str(next(numbers) % 30): "1"}}, resource_id="db-X", replan=True)]))
        )
    assert "Somebody or something else" in ended.value.next_step


def test_the_same_change_is_not_made_over_and_over():
    bench = Bench()
    with pytest.raises(EncryptionError, match="RDS accepted AddTagsToResource for x twice, and it is still not in force"):
        bench.runner.reconcile(lambda: Plan(stages([TAG])))
    assert bench.region.operations == ["AddTagsToResource"] * 2


# -- reading while waiting -------------------------------------------------------------------------------------------------------------


def test_an_outage_of_the_api_is_no_reason_to_give_up():
    bench = Bench()
    bench.region.call("RebootDBInstance", {"DBInstanceIdentifier": "x"})
    bench.region.read_faults = [PASSING] * 15
    bench.perform(Step("WaitUntilReady", "x", "Wait", resource_id="db-X"))
    assert bench.region.read_faults == [] and any("AWS does not answer" in line for line in bench.lines)


def test_an_outage_that_lasts_ends_the_wait_in_words():
    bench = Bench()
    bench.region.read_faults = [PASSING] * 1000
    with pytest.raises(WaitTimeoutError, match="AWS has not answered for 18.. s") as ended:
        bench.perform(Step("WaitUntilReady", "x", "Wait", resource_id="db-X"))
    assert "run again" in ended.value.next_step
    assert 1000 - len(bench.region.read_faults) < 80, "pauses grow"


def test_a_read_that_is_refused_ends_the_wait_at_once():
    bench = Bench()
    bench.region.read_faults = [DENIED] * 100
    with pytest.raises(ClientError):
        bench.perform(Step("WaitUntilReady", "x", "Wait", resource_id="db-X"))
    assert len(bench.region.read_faults) == 99


@pytest.mark.parametrize("which", STEPS)
@pytest.mark.parametrize("fault", ["lost before", "lost after", "InvalidDBInstanceState: busy"])
def test_an_outage_after_a_doubtful_answer_is_no_reason_to_give_up(which, fault):
    """The call is in doubt, and AWS does not answer for ten minutes when it is asked what became of it."""
    bench = Bench()
    bench.region.faults = {"*": [fault]}
    outage = [PASSING] * 20
    call = bench.region.call

    def and_then_silence(operation, parameters):
        bench.region.read_faults, outage[:] = outage[:], []
        return call(operation, parameters)

    bench.region.call = and_then_silence
    bench.perform(STEPS[which])
    assert happened(bench, which) and bench.region.read_faults == [] and bench.seconds > 300


def test_an_outage_before_a_call_is_no_reason_to_give_up():
    bench = Bench()
    bench.region.read_faults = [PASSING] * 10
    bench.perform(RENAME)
    assert happened(bench, "rename") and len(bench.region.calls) == 1


def test_an_outage_while_planning_is_no_reason_to_give_up():
    bench = Bench()
    plans = [Plan(stages([TAG])), Plan()]
    outage = [PASSING] * 10

    def read_and_plan():
        if "a" in tags_of(bench.truth()):
            bench.region.read_faults, outage[:] = bench.region.read_faults + outage, []
        bench.runner.rds.all_instances()
        return plans.pop(0)

    bench.runner.reconcile(read_and_plan)
    assert bench.region.read_faults == plans == [] and any("AWS does not answer" in line for line in bench.lines)


def test_a_region_that_cannot_be_reached_is_told_at_once():
    bench = Bench()
    bench.region.read_faults = [PASSING]
    with pytest.raises(EndpointConnectionError):
        bench.runner.reconcile(bench.runner.rds.all_instances)
    assert bench.seconds == 0


def test_pauses_vary_from_host_to_host():
    paused = []
    for jitter in (0.0, 0.9):
        bench = Bench()
        bench.runner._jitter = lambda jitter=jitter: jitter
        bench.region.faults = {"*": ["throttled"] * 5}
        bench.runner._make_call(HANDLERS["RebootDBInstance"](REBOOT, bench.runner.rds, bench.runner.limits, bench.region.clock))
        paused.append(bench.seconds)
    assert paused[0] < paused[1] / 2


# -- somebody else ---------------------------------------------------------------------------------------------------------------------


def test_a_step_that_rests_on_something_that_is_gone_is_planned_anew():
    bench = Bench()
    plans = []

    def read_and_plan():
        tags = tags_of(bench.truth())
        plans.append(tags)
        if len(plans) == 1:
            bench.truth()["TagList"] = tag_list({"theirs": "1"})
        wanted = Step(**{**TAG.__dict__, "still": lambda instances: tags_of(instances[0]) == tags})
        return Plan() if "a" in tags else Plan(stages([wanted]))

    bench.runner.reconcile(read_and_plan)
    assert plans == [{}, {"theirs": "1"}, {"a": "1", "theirs": "1"}]
    assert bench.region.operations == ["AddTagsToResource"]
    assert any("somebody else changed x meanwhile" in line for line in bench.lines)


def test_a_wait_is_limited():
    bench = Bench()
    bench.truth()["DBInstanceStatus"] = "modifying"
    with pytest.raises(WaitTimeoutError, match="Wait: nothing moved for 14400 s"):
        bench.perform(Step("WaitUntilReady", "x", "Wait", resource_id="db-X"))
