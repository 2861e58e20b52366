# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Compare chunks of two servers, the one following the other, until each has a verdict or the time is up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_chunks import Chunk, Looked, look

# Chunks of one round: the target has to catch up once for each round.
TOGETHER = 16


def compare_chunks(
    chunks: list[Chunk],
    of_source: Callable[[Chunk], tuple],
    of_target: Callable[[Chunk], tuple],
    catch_up: Callable[[], None],
    *,
    clock,
    time_budget: float,
    progress: Callable[[str], None],
) -> dict[Chunk, Looked]:
    """What is known of each chunk.

    :param of_source: ``(rows, digest)`` of a chunk.
    :param catch_up: returns when the target has applied all that the source has at this moment.
    :param time_budget: seconds. For as long as the source is read it is left alone afterwards: applications are at work there.
    """
    began = clock.monotonic()
    seen = {chunk: Looked() for chunk in chunks}
    waiting = deque(chunks)
    while waiting and clock.monotonic() - began < time_budget:
        reading = clock.monotonic()
        before: dict[Chunk, tuple] = {}
        while waiting and len(before) < TOGETHER and clock.monotonic() - began < time_budget:
            chunk = waiting.popleft()
            before[chunk] = of_source(chunk)
        busy = clock.monotonic() - reading
        catch_up()
        for chunk in before:
            there = of_target(chunk)
            reading = clock.monotonic()
            after = before[chunk] if there == before[chunk] else of_source(chunk)
            busy += clock.monotonic() - reading
            seen[chunk] = look(seen[chunk], before[chunk], there, after)
        waiting.extend(chunk for chunk in before if seen[chunk].verdict is None)
        progress(f"{sum(looked.verdict is not None for looked in seen.values())} of {len(chunks)} pieces of tables compared")
        left = time_budget - (clock.monotonic() - began)
        clock.sleep(max(0.0, min(busy, left)))
    return seen
