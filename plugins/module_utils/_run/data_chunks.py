# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Compare chunks of two servers, the one following the other, until each has a verdict or the time is up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

# Chunks of one round: the target has to catch up once for each round.
TOGETHER = 16


def compare_chunks(
    chunks: Iterator,
    of_source: Callable[[object], tuple],
    of_target: Callable[[object], tuple],
    catch_up: Callable[[], None],
    look: Callable,
    *,
    clock,
    time_budget: float,
    progress: Callable[[str], None],
) -> dict:
    """What is known of each chunk that the time allowed for.

    :param chunks: asked for one by one; the source may be read for it.
    :param of_source: ``(rows, digest)`` of a chunk.
    :param look: ``(what is known of a chunk or None, before, there, after) -> what is known now``, with a ``verdict`` or None.
    :param catch_up: returns when the target has applied all that the source has at this moment.
    :param time_budget: seconds. For as long as the source is read it is left alone afterwards: applications are at work there.
    """
    began = clock.monotonic()
    seen: dict = {}
    again: deque = deque()
    exhausted = False
    while (again or not exhausted) and clock.monotonic() - began < time_budget:
        reading = clock.monotonic()
        before: dict[object, tuple] = {}
        while len(before) < TOGETHER and clock.monotonic() - began < time_budget:
            chunk = None if exhausted else next(chunks, None)
            exhausted = chunk is None
            if chunk is None and again:
                chunk = again.popleft()
            if chunk is None or chunk in before:
                break
            before[chunk] = of_source(chunk)
        busy = clock.monotonic() - reading
        if before:
            catch_up()
        for chunk in before:
            there = of_target(chunk)
            reading = clock.monotonic()
            after = before[chunk] if there == before[chunk] else of_source(chunk)
            busy += clock.monotonic() - reading
            seen[chunk] = look(seen.get(chunk), before[chunk], there, after)
        again.extend(chunk for chunk in before if seen[chunk].verdict is None)
        progress(f"{len(seen) - len(again)} pieces of tables compared, {len(again)} are looked at again")
        left = time_budget - (clock.monotonic() - began)
        clock.sleep(max(0.0, min(busy, left)))
    return seen
