# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call for the reads of many hosts, never an answer from before the question; moments at which many wake; a pace for all."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import gathered as module
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.clock import Clock, on_grid
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import Company, Gathered, Remembering, kind_of_change
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds_read import (
    FEW,
    describe_events_of,
    describe_instances_of,
    describe_snapshots_of,
    describe_snapshots_of_instances,
)
from fakes.clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st


class Gate(FakeClock):
    """A clock on which who gathers waits until the test lets him go on."""

    def __init__(self):
        super().__init__()
        self.reached, self.open = threading.Event(), threading.Event()

    def sleep(self, seconds):
        if seconds:
            self.reached.set()
            self.open.wait(20)
        super().sleep(seconds)


def together(reads, clock, *keys):
    """What each who asks for one of the keys gets, all of them while the first one gathers."""
    company = Company(clock)
    company.size = len(keys)
    gathered, answers = Gathered(reads, company), {}

    def ask(key):
        try:
            answers[key] = gathered.get([key])
        except Exception as e:
            answers[key] = e

    first = threading.Thread(target=ask, args=keys[:1])
    first.start()
    assert clock.reached.wait(20)
    rest = [threading.Thread(target=ask, args=(key,)) for key in keys[1:]]
    for thread in rest:
        thread.start()
    while gathered._open is not None and len(gathered._open.keys) < len(keys):
        pass
    clock.open.set()
    for thread in (first, *rest):
        thread.join(20)
    return answers


def test_who_asks_while_the_first_waits_shares_his_call():
    asked = []
    answers = together(lambda keys: asked.append(sorted(keys)) or "all", Gate(), "a", "b", "c")
    assert asked == [["a", "b", "c"]] and answers == dict.fromkeys("abc", "all")


def test_a_failure_is_everybodys():
    def read(keys):
        raise OSError("no answer")

    assert {str(error) for error in together(read, Gate(), "a", "b").values()} == {"no answer"}


def test_nobody_gets_an_answer_from_before_he_asked():
    asked = []
    gathered = Gathered(lambda keys: asked.append(set(keys)) or len(asked), Company(FakeClock()))
    assert [gathered.get(["a"]), gathered.get(["a"])] == [1, 2] and asked == [{"a"}, {"a"}]


def test_who_gathers_goes_on_when_everybody_is_there_and_waits_no_longer_than_before_for_others():
    clock = FakeClock()
    company = Company(clock)
    company.size = 3
    company.gather(lambda: 3)
    assert clock.now == 1000
    company.gather(lambda: 3 if clock.now > 1000 else 2)
    assert 1000 < clock.now < 1000.1
    began = clock.now
    company.gather(lambda: 2)
    assert clock.now == pytest.approx(began + 0.25)


def test_alone_nobody_waits_for_company_or_for_his_turn():
    clock = FakeClock()
    company = Company(clock)
    Gathered(lambda keys: None, company).get(["a"])
    company.take_turn()
    assert clock.now == 1000


@given(st.lists(st.floats(0, 3), min_size=100, max_size=300), st.sampled_from([10.0, 20.0]))
def test_calls_of_many_keep_to_a_pace_that_lets_few_go_at_once(pauses, poll_interval):
    clock = FakeClock()
    company = Company(clock)
    company.grow(3, poll_interval)
    begun = []
    for pause in pauses:
        clock.sleep(pause / 10)
        company.take_turn()
        begun.append(clock.now)
    assert begun[Company.READS - 1] == pytest.approx(1000 + sum(pauses[: Company.READS]) / 10), "the first had to wait"
    assert all(begun[number] - begun[number - Company.READS] >= 10 - 1e-6 for number in range(Company.READS, len(begun)))


def test_changes_do_not_wait_for_who_only_looks():
    clock = FakeClock()
    company = Company(clock)
    company.grow(3, 20.0)
    for _each in range(Company.READS):
        company.take_turn()
    for _each in range(Company.CHANGES):
        company.take_turn(changes=True)
    assert clock.now == 1000
    company.take_turn(changes=True)
    assert clock.now == pytest.approx(1010)


def test_no_outage_begins_while_marks_wait_for_their_turn():
    clock = FakeClock()
    company = Company(clock)
    company.grow(3, 20.0)
    for _each in range(Company.CHANGES):
        company.take_turn(changes=True, mark=True)
    company.take_turn(changes=True, interrupts=True)
    assert clock.now == 1010, "by the pace alone: the last mark was long ago"
    company.take_turn(changes=True, mark=True)
    company.take_turn(changes=True, interrupts=True)
    assert clock.now == 1012.5, "another mark of the same host may follow"


def test_the_marks_of_all_go_before_the_first_outage():
    begun, company = [], Company(Clock(), within=2.0)
    company.size = 3
    marks = [threading.Thread(target=lambda: (company.take_turn(changes=True, mark=True), begun.append("mark"))) for _each in range(2 * Company.CHANGES)]
    for thread in marks:
        thread.start()
    company.take_turn(changes=True, interrupts=True)
    begun.append("rename")
    for thread in marks:
        thread.join(20)
    assert begun[-1] == "rename"


def test_a_turn_taken_ahead_is_for_one_call():
    clock = FakeClock()
    company = Company(clock)
    company.grow(3, 20.0)
    for _each in range(Company.READS):
        company.take_turn_ahead()
        company.take_turn()
    assert clock.now == 1000, "each call has had one turn"
    company.take_turn_ahead()
    assert clock.now == pytest.approx(1010)
    company.give_back()
    company.take_turn()
    assert clock.now == pytest.approx(1010), "a turn of its own, which 45 calls of ten seconds leave room for"


def test_a_turn_for_a_change_is_for_no_read():
    clock = FakeClock()
    company = Company(clock)
    company.grow(3, 20.0)
    rename = kind_of_change("Rename")
    company.take_turn_ahead(**rename)
    for _each in range(Company.READS):
        company.take_turn()
    for _each in range(Company.CHANGES):
        company.take_turn(**rename)
    assert clock.now == 1000, "the first of them had its turn"
    company.take_turn_ahead(**rename)
    company.give_back(changes=True)
    assert clock.now == pytest.approx(1010)
    company.take_turn(**kind_of_change("RebootDBInstance"))
    assert kind_of_change("ModifyDBInstance") == rename != kind_of_change("RebootDBInstance") != kind_of_change("AddTagsToResource")


def test_who_asks_while_the_first_waits_for_his_turn_shares_his_call():
    clock = Gate()
    company = Company(clock, gather=0.0)
    company.size = 2
    clock.open.set()
    for _each in range(Company.READS):
        company.take_turn()
    clock.open.clear()
    clock.reached.clear()
    asked, answers = [], []
    reading = Gathered(lambda keys: asked.append(sorted(keys)) or "all", company)
    threads = [threading.Thread(target=lambda key=key: answers.append(reading.get([key]))) for key in "ab"]
    threads[0].start()
    assert clock.reached.wait(20)
    threads[1].start()
    while reading._open is None or len(reading._open.keys) < 2:
        pass
    clock.open.set()
    for thread in threads:
        thread.join(20)
    assert asked == [["a", "b"]] and answers == ["all", "all"]


def test_who_looks_more_often_calls_more_often():
    clock = FakeClock()
    company = Company(clock)
    company.grow(2, 0.5)
    for _each in range(10 * Company.READS):
        company.take_turn()
    assert clock.now == pytest.approx(1000 + 9 * 0.5)


class Client:
    """Answers reads, and counts them."""

    def __init__(self):
        self.asked = []

    def describe_quotas(self, **parameters):
        self.asked.append(parameters)
        if parameters.get("Fails"):
            raise OSError("no answer")
        return {"n": len(self.asked)}

    def get_paginator(self, operation):
        self.asked.append(operation)
        return self

    def paginate(self, **parameters):
        self.asked.append(parameters)
        items = [each for one in parameters.get("Filters", []) for each in one["Values"]]
        return [{"DBInstances": [{"id": each} for each in items], "DBSnapshots": [{"id": each} for each in items]}]

    def describe_db_snapshots(self, **parameters):
        self.asked.append(parameters)
        return {"DBSnapshots": [{"id": parameters["DBSnapshotIdentifier"]}]}


def test_the_same_question_is_asked_once():
    client = Client()
    reading = Remembering(client)
    assert reading.describe_quotas(A=1) == reading.describe_quotas(A=1) == {"n": 1}
    assert reading.describe_quotas(A=2) == {"n": 2}
    assert reading.get_paginator("x").paginate(B=1) == reading.get_paginator("x").paginate(B=1)
    assert client.asked.count({"B": 1}) == 1


def test_a_failure_is_not_remembered():
    client = Client()
    reading = Remembering(client)
    for _each in range(2):
        with pytest.raises(OSError):
            reading.describe_quotas(Fails=True)
    assert len(client.asked) == 2


def test_in_company_only():
    client = Client()
    assert module.remembered(client) is client
    assert module.gathered(client, "x", list) is not module.gathered(client, "x", list)
    module.COMPANY.size = 2
    try:
        assert module.remembered(client) is module.remembered(client) is not client
        assert module.gathered(client, "x", list) is module.gathered(client, "x", list)
        before = module.remembered(client)
        module.forget()
        assert module.remembered(client) is not before
    finally:
        module.COMPANY.size = 1
        module.forget()


def test_many_keys_in_few_calls():
    client = Client()
    keys = {("dbi-resource-id", f"db-{n}") for n in range(150)} | {("db-instance-id", "new-one")}
    assert len(describe_instances_of(client, keys)) == 151
    assert sum(isinstance(each, dict) for each in client.asked) == 3


def test_one_snapshot_is_asked_for_by_its_name_and_many_by_a_filter():
    client = Client()
    assert describe_snapshots_of(client, {"a"}) == [{"id": "a"}] and client.asked == [{"DBSnapshotIdentifier": "a"}]
    assert describe_snapshots_of(client, {"a", "b"}) == [{"id": "a"}, {"id": "b"}]


@given(st.floats(0, 1e6), st.floats(1, 300))
def test_pauses_end_on_the_grid_and_are_no_less_than_half(now, seconds):
    pause = on_grid(now, seconds)
    assert seconds / 2 - 1e-6 <= pause <= seconds + 1e-6


@given(st.lists(st.floats(0, 20), min_size=2, max_size=40))
def test_who_pauses_alike_wakes_together(starts):
    wakes = {round(now + on_grid(now, 20.0), 3) for now in starts}
    assert len(wakes) <= 4


def test_the_snapshots_of_many_instances_in_one_call():
    client = Client()
    describe_snapshots_of_instances(client, {"db-B", "db-A"}, "manual")
    assert client.asked == ["describe_db_snapshots", {"Filters": [{"Name": "dbi-resource-id", "Values": ["db-A", "db-B"]}], "SnapshotType": "manual"}]
    client = Client()
    describe_snapshots_of_instances(client, {"db-A"}, None)
    assert client.asked == ["describe_db_snapshots", {"DbiResourceId": "db-A"}]


@pytest.mark.parametrize("names,calls", [(["a"], 1), ([f"h{n}" for n in range(FEW)], FEW), ([f"h{n}" for n in range(FEW + 1)], 1)])
def test_the_events_of_many_are_those_of_the_region(names, calls):
    client = Client()
    client.paginate = lambda **parameters: client.asked.append(parameters) or [{"Events": [{"SourceIdentifier": parameters.get("SourceIdentifier", "any")}]}]
    found = describe_events_of(client, set(names), 120)
    asked = [each for each in client.asked if isinstance(each, dict)]
    assert len(found) == len(asked) == calls
    assert [each.get("SourceIdentifier") for each in asked] == (sorted(names) if len(names) <= FEW else [None])
    assert all(each["Duration"] == 120 and each["SourceType"] == "db-instance" for each in asked)
