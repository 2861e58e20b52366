# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What workers leave for each other, and the three turns of a long task, in real processes."""

from __future__ import annotations

import gc
import os
import threading

import pytest
from ansible_collections.dbre.rds_encryption.plugins.plugin_utils import _controller as controller
from ansible_collections.dbre.rds_encryption.plugins.plugin_utils._spool import Recent, Spool, unpacked
from fakes.clock import FakeClock


def in_a_process(work) -> int:
    """Do something in a forked process; its exit status."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def add(spool, *entry):
    with spool.locked():
        spool.add(*entry)


def test_processes_see_what_others_left():
    spool = Spool()
    in_a_process(lambda: add(spool, "ask", "1", ("h", "k"), {"password": "x" * 100000}))
    in_a_process(lambda: add(spool, "answer", "1", ("h", "k"), {"changed": True}))
    with spool.locked():
        (ask,), (answer,) = spool.entries("ask"), spool.entries("answer")
        assert unpacked(ask)["password"] == "x" * 100000 and unpacked(answer) == {"changed": True}
        spool.clear()
        assert spool.entries("ask", "answer") == []


def test_a_worker_does_not_look_through_what_it_has_inherited():
    assert in_a_process(lambda: os._exit(min(gc.get_freeze_count() // 1000, 100))) > 1
    assert gc.get_freeze_count() == 0, "the parent goes on as before"


def test_threads_do_not_write_over_each_other():
    spool = Spool()
    threads = [threading.Thread(target=add, args=(spool, "ask", str(n), ("h", "k"), "x" * n)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with spool.locked():
        assert sorted(int(entry[1]) for entry in spool.entries("ask")) == list(range(50))


def test_it_has_no_name_and_is_on_no_disk():
    spool = Spool()
    assert os.fstat(spool._fd).st_nlink == 0
    assert os.readlink(f"/proc/self/fd/{spool._fd}").startswith("/memfd:")


class TestRecent:
    def test_what_was_just_read_serves_others(self):
        recent = Recent(FakeClock())
        in_a_process(lambda: recent.get("here", lambda: "theirs"))
        assert recent.get("here", lambda: "mine") == "theirs"
        assert recent.get("elsewhere", lambda: "mine") == "mine"

    def test_it_gets_old(self):
        clock = FakeClock()
        recent = Recent(clock, seconds=10.0)
        assert recent.get("here", lambda: 1) == 1
        clock.sleep(9.9)
        assert recent.get("here", lambda: 2) == 1
        clock.sleep(0.2)
        assert recent.get("here", lambda: 3) == 3

    def test_a_change_makes_it_void(self):
        clock = FakeClock()
        recent = Recent(clock)
        assert recent.get("here", lambda: 1) == 1
        clock.sleep(1)
        in_a_process(recent.forget)
        clock.sleep(1)
        assert recent.get("here", lambda: 2) == 2

    def test_a_read_that_began_before_a_change_is_not_kept(self):
        clock = FakeClock()
        recent = Recent(clock)

        def overtaken():
            clock.sleep(1)
            recent.forget()
            return "old"

        assert recent.get("here", overtaken) == "old"
        assert recent.get("here", lambda: "new") == "new"


def request(host="h", **params):
    return dict(host=host, action="x", params=params, secrets=set(), check_mode=False, diff_mode=False)


@pytest.fixture
def spool(monkeypatch):
    monkeypatch.setattr(controller, "SPOOL", Spool())
    return controller.SPOOL


def asked(spool):
    with spool.locked():
        return [(entry[1], entry[2], unpacked(entry)) for entry in spool.entries("ask")]


def work(spool, run):
    controller._Fleet(asked(spool), lambda action: run).work()


def test_each_host_gets_its_own_answer_once(spool):
    for host in "abc":
        in_a_process(lambda h=host: controller._ask(request(h), ""))
    meeting = threading.Barrier(3, timeout=20)

    def run(context):
        meeting.wait()
        return dict(changed=True)

    in_a_process(lambda: work(spool, run))
    answers = [controller._answer_to(request(host)) for host in "abc"]
    assert [answer["changed"] for answer in answers] == [True] * 3
    assert [controller._answer_to(request(host)) for host in "abc"] == [None] * 3


def test_a_host_that_asks_for_several_things_gets_an_answer_to_each(spool):
    for number in range(3):
        in_a_process(lambda n=number: controller._ask(request("h", number=n), ""))
    meeting = threading.Barrier(3, timeout=20)

    def run(context):
        meeting.wait()
        return dict(changed=False, number=context.params["number"])

    work(spool, run)
    assert [controller._answer_to(request("h", number=number))["number"] for number in (2, 0, 1)] == [2, 0, 1]


def test_who_did_not_ask_or_asked_for_something_else_works_for_himself(spool):
    assert controller._answer_to(request()) is None
    controller._ask(request(name="one"), "")
    work(spool, lambda context: dict(changed=True))
    assert controller._answer_to(request(name="two")) is None
    assert controller._answer_to(request(name="one"))["changed"]


def test_where_the_worker_died_each_works_for_himself(spool):
    controller._ask(request(), "")
    ((ident, key, _request),) = asked(spool)
    in_a_process(lambda: add(spool, "claim", ident, key, os.getpid()))
    assert controller._answer_to(request()) is None


def test_a_replica_begins_after_what_it_replicates_from_and_not_if_that_failed(spool):
    order = []

    def run(context):
        order.append(context.params["target_db_instance_identifier"])
        return dict(changed=True, failed=context.params["target_db_instance_identifier"] == "new-b", msg="no room")

    for target, after in (("new-c2", "new-b"), ("new-b2", "new-a2"), ("new-a2", "new-a"), ("new-a", ""), ("new-b", "")):
        controller._ask(request(target_db_instance_identifier=target), after)
    work(spool, run)
    assert [each for each in order if each != "new-b"] == ["new-a", "new-a2", "new-b2"]
    assert controller._answer_to(request(target_db_instance_identifier="new-b2"))["changed"]
    left = controller._answer_to(request(target_db_instance_identifier="new-c2"))
    assert left["failed"] and "new-b was not finished" in left["msg"]
