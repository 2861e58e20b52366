# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read parts of tables over several connections until the time is up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.warm_up import Part, Probe

REPORT_EVERY = 30.0
# Seconds. Single reads tell the latency; they are not to become a part of the outage themselves.
PROBING = 5.0
_SHORTEST = 0.05


@dataclass
class Work:
    """One server to be read, and what came of it.

    :param sessions: connected, one for each statement at a time.
    :param read: ``(session, part, seconds)`` -> whether it was read to its end; raises ``StatementError``.
    :param touch: ``(session, part, position)``: one short read at a position.
    :param outcomes: part to True (read), False (time was up on the way), None (not begun), or the server's words.
    :param before: ``(schema, table)`` to seconds of single reads; ``after`` likewise.
    """

    label: str
    parts: list[Part]
    probes: list[Probe]
    sessions: list
    read: Callable
    touch: Callable
    outcomes: dict[Part, bool | str | None] = field(default_factory=dict)
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def read_bytes(self) -> int:
        return sum(part.size for part, outcome in self.outcomes.items() if outcome is True)


def warm_up(works: list[Work], clock, budget: float, progress: Callable[[str], None]) -> None:
    """Every server's parts were read, in their order, as far as the budget goes; all servers at the same time."""
    started = clock.monotonic()
    deadline = started + budget
    free = {id(work): list(work.sessions) for work in works}

    def read(work: Work, part: Part):
        # A session for each thread of the server's own pool: there is always one left.
        session = free[id(work)].pop()
        try:
            left = deadline - clock.monotonic()
            return work.read(session, part, left) if left > _SHORTEST else None
        except StatementError as e:
            return e.problem
        finally:
            free[id(work)].append(session)

    _each(works, lambda work: _probe(work, clock, "before", min(deadline, clock.monotonic() + PROBING)))
    pools = [ThreadPoolExecutor(max_workers=len(work.sessions)) for work in works]
    try:
        futures = {pool.submit(read, work, part): (work, part) for work, pool in zip(works, pools, strict=True) for part in work.parts}
        told = clock.monotonic()
        for future in as_completed(futures):
            work, part = futures[future]
            work.outcomes[part] = future.result()
            now = clock.monotonic()
            work.seconds = now - started
            if now - told >= REPORT_EVERY:
                told = now
                progress(f"warm-up: {sum(each.read_bytes for each in works) >> 20} MiB read, {max(0.0, deadline - now):.0f} s left")
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
    _each(works, lambda work: _probe(work, clock, "after", clock.monotonic() + PROBING))


def _each(works: list[Work], act: Callable[[Work], None]) -> None:
    with ThreadPoolExecutor(max_workers=max(1, len(works))) as pool:
        list(pool.map(act, works))


def _probe(work: Work, clock, when: str, until: float) -> None:
    for probe in work.probes:
        seconds: list[float] = []
        for place in getattr(probe, when):
            began = clock.monotonic()
            if began > until:
                return
            try:
                work.touch(work.sessions[0], probe.part, place)
            except StatementError:
                break
            seconds.append(clock.monotonic() - began)
        getattr(work, when)[probe.part.schema, probe.part.table] = seconds
