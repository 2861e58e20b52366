# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting: steady reads, limits in words, and lines for the operator; time is an argument."""

from __future__ import annotations

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import TerminalStateError, WaitTimeoutError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits, Outlook, Pauses, wait_until
from fakes.clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st


class Looking:
    """Outlooks one after another; the last one stays."""

    def __init__(self, *outlooks, seconds=0.0, clock=None):
        self.outlooks = list(outlooks)
        self.clock = clock or FakeClock()
        self.seconds = seconds
        self.reads = 0
        self.lines: list[str] = []

    def look(self):
        self.reads += 1
        self.clock.now += self.seconds
        outlook = self.outlooks.pop(0) if len(self.outlooks) > 1 else self.outlooks[0]
        return outlook if isinstance(outlook, list) else [("x", outlook)]

    def wait(self, usual=None, **limits):
        wait_until(self.look, clock=self.clock, limits=Limits(**limits), progress=self.lines.append, what="Rename x", usual=usual)
        return self


MOVING, DONE = Outlook(False, "modifying"), Outlook(True, "available")


def test_a_state_is_believed_after_some_reads_in_a_row():
    assert Looking(DONE).wait().reads == 3
    assert Looking(DONE).wait(steady_reads=1).reads == 1
    assert Looking(MOVING, DONE, DONE, MOVING, DONE).wait().reads == 7


@given(st.lists(st.booleans(), max_size=30))
def test_it_returns_exactly_when_the_reads_were_steady(reads):
    seen = Looking(*[DONE if done else MOVING for done in reads], DONE).wait(steady_reads=3)
    history = (reads + [True] * 40)[: seen.reads]
    assert history[-3:] == [True] * 3
    assert not any(history[n : n + 3] == [True] * 3 for n in range(len(history) - 3))


def test_all_things_must_be_done_in_the_same_read():
    one, both = [("x", DONE), ("y", MOVING)], [("x", DONE), ("y", DONE)]
    assert Looking(one, one, both).wait().reads == 5


def test_steady_reads_are_not_far_apart():
    waiting = Looking(DONE)
    waiting.wait(poll_interval=60.0)
    assert waiting.clock.now - 1000 == 6.0


def test_pauses_grow_to_the_poll_interval():
    looks = paused(400, interval=10.0)
    pauses = [after - before for before, after in zip(looks, looks[1:], strict=False)]
    assert pauses[0] == pytest.approx(1.0) and max(pauses) == pytest.approx(10.0)
    assert all(after > before - 1e-6 for before, after in zip(pauses, pauses[1:], strict=False))


def paused(seconds: float, interval: float = 20.0, percent=None) -> list[float]:
    """The moments of the looks of a wait that takes so long."""
    pauses, now, looks = Pauses(interval), 0.0, []
    while now < seconds:
        looks.append(now)
        now += pauses.after(now, [f"creating {int(100 * now / seconds)} %"] if percent else ["creating"])
    return [*looks, now]


def test_ten_hours_cost_little_more_than_ten_minutes():
    short, long = paused(600), paused(36000)
    assert len(short) > 30 and len(long) < 10 * len(short)


@pytest.mark.parametrize("seconds", [60, 600, 3600, 36000])
@pytest.mark.parametrize("percent", [False, True])
def test_the_end_is_seen_soon(seconds, percent):
    late = paused(seconds, percent=percent)[-1] - seconds
    assert late <= max(20.0, seconds / 50)


@given(st.floats(5, 36000))
def test_nobody_waits_much_longer_than_it_takes(seconds):
    late = paused(seconds)[-1] - seconds
    assert late <= max(1.0, min(seconds / 8, 20.0), seconds / 100)


def test_an_end_in_sight_is_looked_for_rarely_at_first_and_often_at_last():
    looks = paused(7200, percent=True)
    assert len(looks) < len(paused(7200)) / 2
    assert looks[-1] - 7200 <= 20.0


def test_a_limit_is_told_when_it_is_reached():
    waiting = Looking(MOVING)
    with pytest.raises(WaitTimeoutError):
        waiting.wait(wait_timeout=30000.0, stall_timeout=1e9)
    assert waiting.clock.now - 1000 < 30001


def test_somebody_else_tells():
    waiting, told = Looking(MOVING, MOVING, DONE), []
    wait_until(
        waiting.look, clock=waiting.clock, limits=Limits(), progress=waiting.lines.append, what="w", stand=lambda *heard: told.append(heard), usual=90.0
    )
    assert waiting.lines == []
    assert told == [("w", ["modifying"], 90.0)] * 2 + [("w", ["available"], 90.0)] * 2


def test_what_a_wait_usually_takes_is_said_until_the_percentage_tells_more():
    waiting = Looking(*[Outlook(False, f"copying {n} %") for n in (0, 10, 20, 30)], DONE, seconds=100.0).wait(usual=900.0)
    assert waiting.lines[0] == "x: copying 0 % (1.7 min, expected 15.0 min)"
    # From 10 % after 3.5 minutes to 30 % after 9.9: the rest takes 22.1 minutes more.
    assert "x: copying 30 % (9.9 min, expected 32.0 min)" in waiting.lines
    assert all("expected" not in line for line in Looking(MOVING, DONE).wait().lines), "nobody knows"


def test_nothing_moves():
    with pytest.raises(WaitTimeoutError, match=r"Rename x: nothing moved for 600 s \(stall_timeout\)") as ended:
        Looking(MOVING).wait(stall_timeout=600.0)
    assert "x: modifying" in ended.value.done and "run the same again" in ended.value.next_step


def test_whatever_moves_does_not_stall():
    steps = [Outlook(False, f"copying {n} %") for n in range(0, 100, 2)]
    waiting = Looking(*steps, DONE, seconds=500.0).wait(stall_timeout=600.0)
    assert waiting.clock.now > 20000


def test_the_longest_time():
    with pytest.raises(WaitTimeoutError, match=r"took longer than 7200 s \(wait_timeout\)") as ended:
        Looking(*[Outlook(False, f"{n} %") for n in range(1000)]).wait(wait_timeout=7200.0)
    assert "%" in ended.value.done


def test_a_state_that_flickers_ends_at_the_longest_time():
    with pytest.raises(WaitTimeoutError, match="wait_timeout"):
        Looking(*[DONE, MOVING] * 2000).wait(wait_timeout=3600.0)


def test_a_final_state_ends_it_at_once():
    def look():
        raise TerminalStateError("x is storage-full")

    clock = FakeClock()
    with pytest.raises(TerminalStateError):
        wait_until(look, clock=clock, limits=Limits(), progress=lambda line: None, what="w")
    assert clock.now == 1000


def test_lines_when_something_moves_and_every_minute():
    creating, ready = Outlook(False, "creating"), Outlook(True, "available")
    steps = [[("x", creating), ("y", creating)]] * 2 + [[("x", ready), ("y", creating)]] * 30 + [[("x", ready), ("y", ready)]]
    lines = Looking(*steps).wait(poll_interval=20.0).lines
    assert lines[:3] == ["x: creating (0 s)", "y: creating (0 s)", "x: available (2 s)"]
    assert any("Rename x: still x available; y creating" in line and "min)" in line for line in lines)
    assert lines[-1].startswith("y: available (")
    assert len(lines) == len(set(lines))


def test_a_long_wait_is_never_silent_for_long():
    clock = FakeClock()
    told = []
    waiting = Looking(*[MOVING] * 250, DONE, clock=clock)
    wait_until(waiting.look, clock=clock, limits=Limits(), progress=lambda line: told.append(clock.now), what="w")
    gaps = [after - before for before, after in zip(told, told[1:], strict=False)]
    assert clock.now > 5000 and max(gaps) <= 60
