# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What a warm-up reads, in which order, and what came of it: pure functions."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.warm_up import Part, Probe

READ, PARTLY, NOT_REACHED = "read", "partly read", "not read"
WOULD_READ = "would be read"

# Bytes. A table is read in ranges of about this size, so that one that is larger than all others together is read over all connections.
PIECE = 256 << 20
_MOST_PIECES = 400
PROBED_TABLES, PROBES = 20, 7


def by_size(tables: list[dict]) -> list[dict]:
    """The tables, the largest with its indexes first."""
    return sorted(tables, key=lambda row: (-row["bytes"] - sum(row["indexes"].values()), row["schema"], row["table"]))


def parts_of(tables: list[dict], bounds: dict) -> list[Part]:
    """All that is to be read, in that order: of each table the rows, then the indexes.

    :param tables: rows of the adapter: ``schema``, ``table``, ``bytes``, ``indexes`` (name to bytes), ``place``.
    :param bounds: ``(schema, table)`` to its first and last position, where they are known.
    """
    parts = []
    for row in by_size(tables):
        whole = _whole(row)
        parts += _pieces(whole, bounds.get((row["schema"], row["table"])))
        indexes = sorted(row["indexes"].items(), key=lambda each: -each[1])
        parts += [Part(row["schema"], row["table"], size, index=name, place=row["place"]) for name, size in indexes]
    return parts


def _whole(row: dict) -> Part:
    return Part(row["schema"], row["table"], row["bytes"], place=row["place"])


def _pieces(whole: Part, bounds: tuple[int, int] | None) -> list[Part]:
    low, high = bounds or (0, 0)
    number = min(-(-whole.size // PIECE), _MOST_PIECES, high - low + 1)
    if bounds is None or number < 2:
        return [whole]
    edges = [low + (high - low + 1) * each // number for each in range(1, number)]
    # Without an outer bound, so that what was written since the bounds were read is read too.
    ranges = zip([None, *edges], [*edges, None], strict=True)
    return [replace(whole, size=whole.size // number, low=first, high=behind) for first, behind in ranges]


def probes_of(tables: list[dict], bounds: dict) -> list[Probe]:
    """Where the largest tables are measured."""
    probes = []
    for row in by_size(tables)[:PROBED_TABLES]:
        low, high = bounds.get((row["schema"], row["table"]), (0, -1))
        if high >= low:
            steps = 2 * PROBES
            places = [low + (high - low) * (2 * each + 1) // (2 * steps) for each in range(steps)]
            probes.append(Probe(_whole(row), tuple(places[::2]), tuple(places[1::2])))
    return probes


def median_ms(seconds: list[float]) -> float | None:
    """The median, in milliseconds; None of nothing."""
    return round(median(seconds) * 1000, 2) if seconds else None


def table_rows(tables: list[dict], outcomes: dict[Part, str] | None, before: dict, after: dict) -> list[dict]:
    """One row per table, the largest first, for the result.

    :param outcomes: what came of each part; None in check mode.
    :param before: ``(schema, table)`` to seconds of single reads; ``after`` likewise.
    """
    rows = []
    for row in by_size(tables):
        name = (row["schema"], row["table"])
        verdicts = {verdict for part, verdict in (outcomes or {}).items() if (part.schema, part.table) == name}
        if outcomes is None:
            verdict = WOULD_READ
        elif len(verdicts) == 1:
            verdict = verdicts.pop()
        else:
            problems = sorted(verdicts - {READ, PARTLY, NOT_REACHED})
            verdict = "; ".join([PARTLY, *problems])
        rows.append(
            dict(
                schema=row["schema"],
                table=row["table"],
                bytes=row["bytes"] + sum(row["indexes"].values()),
                verdict=verdict,
                before_ms=median_ms(before.get(name, [])),
                after_ms=median_ms(after.get(name, [])),
            )
        )
    return rows


def in_words(label: str, rows: list[dict], read_bytes: int, seconds: float, before_ms: float | None, after_ms: float | None) -> str:
    """One line for the operator."""
    whole = sum(row["verdict"] == READ for row in rows)
    total = sum(row["bytes"] for row in rows)
    latency = f"; single reads {before_ms} ms before, {after_ms} ms after (median)" if before_ms is not None and after_ms is not None else ""
    return f"{label}: {whole} of {len(rows)} tables read, {read_bytes >> 20} of {total >> 20} MiB in {seconds:.0f} s{latency}"
