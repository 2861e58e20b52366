# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Count and checksum the tables of two servers until the time is up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


def measure_within(groups, measure_source, measure_target, clock, progress, time_budget: float) -> tuple[dict, int]:
    """``name -> (source's, target's)`` for as many tables as the budget allows, and how many were left out.

    Groups come smallest first. After the first measurable group the observed speed tells whether the next one fits in.

    :param groups: ``(names, bytes)``.
    :param measure_source: ``names -> {name: (rows, checksum)}``; both servers work at the same time.
    """
    measured: dict = {}
    left_out = 0
    start = clock.monotonic()
    bytes_done, busy = 0, 0.0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for number, (names, size) in enumerate(groups):
            before = clock.monotonic()
            remaining = time_budget - (before - start)
            expected = size * busy / bytes_done if bytes_done else 0.0
            if remaining <= 0 or expected > remaining:
                left_out += sum(len(rest) for rest, unused in groups[number:])
                break
            futures = [pool.submit(measure_source, names), pool.submit(measure_target, names)]
            source, target = (future.result() for future in futures)
            measured.update({name: (source[name], target[name]) for name in names})
            busy += clock.monotonic() - before
            bytes_done += size
            progress(f"{len(measured)} tables compared, {bytes_done // (1 << 20)} MiB")
    return measured, left_out
