# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pieces of tables, compared while one server follows the other: what differs is found, what is written to is no difference."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_checks import DIFFERS, EQUAL, UNCHECKED, Catalog, Table
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_chunks import (
    MOVING,
    WHOLE_AT_MOST,
    Chunk,
    chunks_of,
    differing_in_words,
    divisible,
    look,
    rows_of_tables,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.data_chunks import compare_chunks
from fakes.clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

T = ("shop", "orders")


@given(st.lists(st.integers(-50, 50)), st.integers(1, 9), st.integers(-60, 60))
def test_each_key_up_to_the_largest_is_in_exactly_one_chunk(keys, size, key):
    keys = sorted(keys)

    def next_cut(low):
        behind = [each for each in keys if low is None or each >= low]
        found = behind[size:][:1]
        return min([each for each in keys if each > low], default=None) if found == [low] else next(iter(found), None)

    chunks = list(chunks_of(T, "id", keys[-1] if keys else None, next_cut))
    holding = [chunk for chunk in chunks if (chunk.low is None or chunk.low <= key) and (chunk.high is None or key < chunk.high)]
    assert len(holding) == (1 if not keys or key <= keys[-1] else 0)
    for chunk in chunks[:-1]:
        inside = [each for each in keys if (chunk.low is None or chunk.low <= each) and each < chunk.high]
        assert len(set(inside)) == 1 or len(inside) <= size


def table(size=1, key=("id",), numeric=True):
    return Table(approximate_rows=1, size=size, auto_increment=None, engine="InnoDB", definition="d", key=key, numeric_key=numeric)


def catalog(**tables):
    return Catalog({}, {("s", name): each for name, each in tables.items()}, {}, {}, None)


def test_tables_without_a_number_for_a_key_are_read_at_once_or_left():
    ours = catalog(a=table(9), b=table(5), text=table(numeric=False), huge=table(WHOLE_AT_MOST + 1, (), False), gone=table())
    theirs = catalog(a=table(), b=table(), text=table(numeric=False), huge=table(numeric=False))
    assert divisible(ours, theirs) == ([("s", "b"), ("s", "a")], [("s", "text")], [("s", "huge")])


class Servers:
    """A source of rows by chunk and a target that has what the source had when it last caught up, but for what somebody did to it.

    :param writes: called before each read of the source; may write to ``rows``.
    """

    def __init__(self, chunks, writes=lambda rows, reads: None, spoilt=()):
        self.rows = dict.fromkeys(chunks, 0)
        self.applied = dict(self.rows)
        self.writes = writes
        self.spoilt = spoilt
        self.reads = 0

    def of_source(self, chunk):
        self.reads += 1
        self.writes(self.rows, self.reads)
        return (10, self.rows[chunk])

    def of_target(self, chunk):
        return (10, "spoilt" if chunk in self.spoilt else self.applied[chunk])

    def catch_up(self):
        self.applied = dict(self.rows)

    def compare(self, clock=None, budget=1000):
        return compare_chunks(iter(list(self.rows)), self.of_source, self.of_target, self.catch_up, look, clock=clock or FakeClock(), time_budget=budget,
                              progress=lambda line: None)


CHUNKS = [Chunk(T, "id", number, number + 1) for number in range(40)]


def test_a_quiet_source_is_read_once():
    servers = Servers(CHUNKS)
    assert {looked.verdict for looked in servers.compare().values()} == {EQUAL} and servers.reads == len(CHUNKS)


def test_what_somebody_did_to_the_target_is_found_whoever_writes_elsewhere():
    def busy(rows, reads):
        rows[CHUNKS[0]] = reads

    servers = Servers(CHUNKS, busy, spoilt=[CHUNKS[7]])
    seen = servers.compare()
    assert seen[CHUNKS[7]].verdict == DIFFERS and [chunk for chunk in seen if seen[chunk].verdict == DIFFERS] == [CHUNKS[7]]
    ours = Catalog({}, {T: table()}, {}, {}, None)
    rows = rows_of_tables(ours, seen, [])
    assert rows[0]["verdict"] == DIFFERS and rows[0]["equal_chunks"] >= 38
    assert differing_in_words(rows, seen) == "1 table(s) differ: shop.orders (first where id >= 7 and id < 8)."


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=200))
def test_writes_are_never_taken_for_a_difference(writes):
    """Whatever is written when, also there and back: the target follows."""
    chunks = CHUNKS[:10]
    left = list(writes)

    def write(rows, reads):
        for _number in range(min(2, len(left))):
            number, value = left.pop()
            rows[chunks[number]] = value

    servers = Servers(chunks, write)
    seen = servers.compare()
    assert DIFFERS not in {looked.verdict for looked in seen.values()}


def test_what_never_rests_ends_with_a_word_and_not_as_a_difference():
    def busy(rows, reads):
        rows[CHUNKS[0]] = reads

    servers = Servers(CHUNKS[:1], busy)
    # The target is asked when the source has moved on; what it had is what the source showed before, but for the write of that moment.
    servers.catch_up = lambda: servers.applied.update({CHUNKS[0]: "between"})
    assert servers.compare()[CHUNKS[0]].verdict == MOVING


def test_what_cannot_be_read_is_not_compared():
    servers = Servers(CHUNKS[:1])
    servers.of_target = lambda chunk: (None, None)
    seen = servers.compare()
    assert seen[CHUNKS[0]].verdict == UNCHECKED


def test_the_time_is_not_overrun_and_the_source_rests_as_long_as_it_was_read():
    clock = FakeClock()
    servers = Servers(CHUNKS)
    read = servers.of_source
    servers.of_source = lambda chunk: (clock.sleep(1), read(chunk))[1]
    seen = servers.compare(clock, budget=40)
    assert clock.now == 1040 and sum(looked.verdict == EQUAL for looked in seen.values()) == 24
    assert len(seen) == 24
    ours = Catalog({}, {T: table()}, {}, {}, None)
    assert [rows_of_tables(ours, seen, left)[0]["verdict"] for left in ([T], [])] == [UNCHECKED, EQUAL]
