# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a warm-up reads and in which order, and that it keeps to its budget."""

from __future__ import annotations

import threading

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.warm_up import (
    NOT_REACHED,
    PARTLY,
    PIECE,
    PROBES,
    READ,
    parts_of,
    probes_of,
    table_rows,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.warm_up import Work, warm_up


def table(name, size, **indexes):
    return dict(schema="shop", table=name, bytes=size, indexes=indexes, place=())


SMALL, LARGE = table("small", 10), table("large", 3 * PIECE + 1, by_day=5, by_user=7)
BOUNDS = {("shop", "large"): (-3, 96)}


def test_the_largest_come_first_and_rows_before_their_indexes():
    order = [(part.table, part.index) for part in parts_of([SMALL, LARGE], {})]
    assert order == [("large", None), ("large", "by_user"), ("large", "by_day"), ("small", None)]


def test_the_pieces_of_a_table_leave_no_row_out_and_take_none_twice():
    pieces = [part for part in parts_of([LARGE], BOUNDS) if part.index is None]
    assert len(pieces) == 4 and pieces[0].low is None and pieces[-1].high is None
    for position in range(-50, 150):
        holding = [p for p in pieces if (p.low is None or position >= p.low) and (p.high is None or position < p.high)]
        assert len(holding) == 1, position


def test_few_positions_make_few_pieces():
    assert len(parts_of([table("large", 100 * PIECE)], {("shop", "large"): (1, 2)})) == 2
    assert len(parts_of([table("large", 100 * PIECE)], {("shop", "large"): (7, 7)})) == 1


def test_places_that_were_read_before_are_not_measured_after():
    (probe,) = probes_of([LARGE, SMALL], BOUNDS)
    assert len(probe.before) == len(probe.after) == PROBES
    assert not set(probe.before) & set(probe.after)
    assert all(-3 <= place <= 96 for place in (*probe.before, *probe.after))


def test_a_table_is_read_when_all_of_its_parts_are():
    parts = parts_of([LARGE, SMALL], BOUNDS)
    rows = table_rows([LARGE, SMALL], {part: READ for part in parts}, {("shop", "large"): [0.02, 0.03, 0.5]}, {})
    assert [(row["table"], row["verdict"], row["before_ms"], row["after_ms"]) for row in rows] == [("large", READ, 30.0, None), ("small", READ, None, None)]
    mixed = {part: READ if part.index is None else NOT_REACHED for part in parts}
    assert table_rows([LARGE], mixed, {}, {})[0]["verdict"] == PARTLY
    refused = {part: READ if part.index is None else "no right" for part in parts}
    assert table_rows([LARGE], refused, {}, {})[0]["verdict"] == f"{PARTLY}; no right"


class Clock:
    """Time passes by what is read."""

    def __init__(self):
        self.now = 0.0
        self.lock = threading.Lock()

    def monotonic(self):
        return self.now

    def passes(self, seconds):
        with self.lock:
            self.now += seconds


def work(clock, parts, costs, sessions=1):
    """A server whose parts take so many seconds each; what it was asked goes into ``asked``."""
    asked = []

    def read(session, part, seconds):
        asked.append((part.table, round(seconds)))
        cost = costs[part.table]
        if isinstance(cost, str):
            raise StatementError(cost)
        clock.passes(min(cost, seconds))
        return cost <= seconds

    made = Work("target new-one", parts, [], list(range(sessions)), read, lambda *unused: None)
    made.asked = asked
    return made


def test_what_the_budget_does_not_reach_is_said_and_not_begun():
    clock = Clock()
    parts = parts_of([table("a", 40), table("b", 30), table("c", 20), table("d", 10)], {})
    one = work(clock, parts, {"a": 40, "b": "no right to b", "c": 90, "d": 1})
    warm_up([one], clock, 100, lambda line: None)
    assert one.asked == [("a", 100), ("b", 60), ("c", 60)]
    assert [one.outcomes[part] for part in parts] == [True, "no right to b", False, None]
    assert one.read_bytes == 40 and clock.now == 100


def test_servers_share_the_budget_and_not_their_sessions():
    clock = Clock()
    works = [work(clock, parts_of([table(f"{name}{n}", 1) for n in range(9)], {}), {f"{name}{n}": 1 for n in range(9)}, sessions=3) for name in "ab"]
    warm_up(works, clock, 1000, lambda line: None)
    assert all(set(each.outcomes.values()) == {True} and len(each.outcomes) == 9 for each in works)
