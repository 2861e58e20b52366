# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Compare the rows of a source that is written to with those of a target that follows it: pure functions.

Two servers that are never at the same place cannot be compared as a whole, their pieces can: a piece that the source shows alike before and
after the target was asked, and that the target, having applied all that the source had before, shows otherwise, differs. A piece that the
source shows differently is being written to, and is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_checks import DIFFERS, EQUAL, UNCHECKED, Catalog, Name

MOVING = "being written to"
# A row that goes there and back between two looks (a flag that is switched on and off) shows alike before and after, and may be otherwise in
# between: in a quarter of all looks, if it never rests. A difference is believed when it stays; where time ends before, it is not.
LOOKS_FOR_A_DIFFERENCE = 8
LOOKS_AT_WHAT_MOVES = 6
ROWS_OF_A_CHUNK = 20_000
# Tables that cannot be divided are read at once, so not large ones; these are left to the comparison behind the fence.
WHOLE_AT_MOST = 64 << 20


@dataclass(frozen=True)
class Chunk:
    """Rows of a table whose key lies in ``[low, high)``; None is no bound. Without ``column`` the whole table."""

    table: Name
    column: str | None = None
    low: int | None = None
    high: int | None = None


def divisible(source: Catalog, target: Catalog) -> tuple[list[Name], list[Name], list[Name]]:
    """Tables of both sides that are compared by chunks of a numeric key, as a whole, and not at all; each smallest first."""
    common = sorted(set(source.tables) & set(target.tables), key=lambda table: (source.tables[table].size, table))
    by_key, whole, left = [], [], []
    for table in common:
        if source.tables[table].numeric_key and source.tables[table].key == target.tables[table].key:
            by_key.append(table)
        else:
            (whole if source.tables[table].size <= WHOLE_AT_MOST else left).append(table)
    return by_key, whole, left


def chunks_of(table: Name, column: str, highest: int | None, next_cut: Callable[[int | None], int | None]) -> Iterator[Chunk]:
    """The chunks of a table, by number of rows, up to the largest key that it had: what came later is being written anyhow.

    :param highest: the largest key; None for an empty table.
    :param next_cut: a key so many rows behind another one (None: behind the first row), larger than it; None where there are no more.
    """
    low = None
    while highest is not None:
        cut = next_cut(low)
        if cut is None or cut > highest:
            break
        yield Chunk(table, column, low, cut)
        low = cut
    yield Chunk(table, column, low, None if highest is None else highest + 1)


@dataclass(frozen=True)
class Looked:
    """What is known of a chunk so far.

    :param looks: how often it was compared.
    :param differed: how often in a row it differed while the source did not move.
    """

    looks: int = 0
    differed: int = 0
    rows: int = 0
    verdict: str | None = None


def look(known: Looked | None, before, there, after) -> Looked:
    """What is known after one more look.

    :param before: ``(rows, digest)`` of the source, read before the place was noted that the target had applied when it was asked.
    :param there: that of the target.
    :param after: that of the source, read after the target was asked.
    """
    known = known or Looked()
    looks = known.looks + 1
    if None in (*before, *there, *after):
        return Looked(looks, 0, 0, UNCHECKED)
    if there in (before, after):
        return Looked(looks, 0, there[0], EQUAL)
    differed = known.differed + 1 if before == after else 0
    if differed >= LOOKS_FOR_A_DIFFERENCE:
        return Looked(looks, differed, there[0], DIFFERS)
    return Looked(looks, differed, there[0], MOVING if looks >= LOOKS_AT_WHAT_MOVES and not differed else None)


def rows_of_tables(source: Catalog, seen: dict[Chunk, Looked], left: list[Name]) -> list[dict]:
    """One row for each table: how many of its chunks are equal, differ, or are being written to, and the verdict.

    :param left: tables of which not every chunk is in ``seen``.
    """
    tables: dict[Name, list[Looked]] = {}
    for chunk, looked in seen.items():
        tables.setdefault(chunk.table, []).append(looked)
    rows = []
    for table in sorted({*tables, *left}):
        verdicts = [looked.verdict for looked in tables.get(table, [])]
        counts = {verdict: verdicts.count(verdict) for verdict in (EQUAL, DIFFERS, MOVING)}
        if counts[DIFFERS]:
            verdict = DIFFERS
        elif verdicts and counts[EQUAL] == len(verdicts) and table not in left:
            verdict = EQUAL
        else:
            verdict = MOVING if counts[MOVING] else UNCHECKED
        rows.append(
            dict(
                schema=table[0],
                table=table[1],
                bytes=source.tables[table].size,
                compared_rows=sum(looked.rows for looked in tables.get(table, []) if looked.verdict == EQUAL),
                chunks=len(verdicts),
                equal_chunks=counts[EQUAL],
                different_chunks=counts[DIFFERS],
                moving_chunks=counts[MOVING],
                verdict=verdict,
            )
        )
    return rows


def differing_in_words(rows: list[dict], seen: dict[Chunk, Looked]) -> str | None:
    """Which tables differ, and where; None if none does."""
    names = [f"{row['schema']}.{row['table']}" for row in rows if row["verdict"] == DIFFERS]
    if not names:
        return None
    chunk = next(chunk for chunk, looked in seen.items() if looked.verdict == DIFFERS)
    where = ""
    if chunk.column is not None and (chunk.low, chunk.high) != (None, None):
        bounds = [f"{chunk.column} >= {chunk.low}" if chunk.low is not None else "", f"{chunk.column} < {chunk.high}" if chunk.high is not None else ""]
        where = f" (first where {' and '.join(filter(None, bounds))})"
    return f"{len(names)} table(s) differ: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}{where}."
