# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Count and checksum the tables of two servers until the time is up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


def measure_within(groups, measure_source, measure_target, clock, progress, time_budget: float, closer=None) -> tuple[dict, int]:
    """``name -> (source's, target's)`` for as many tables as the budget allows, and how many were left out.

    Groups come smallest first. After the first measurable group the observed speed tells whether the next one fits in.

    :param groups: ``(names, bytes)``.
    :param measure_source: ``names -> {name: (rows, checksum)}``; both servers work at the same time.
    :param closer: two more such functions, slower and exact, asked for tables whose counts are equal and whose checksums are not.
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
            source, target = _both(pool, measure_source, measure_target, names)
            doubtful = [name for name in names if closer and source[name] != target[name] and source[name][0] == target[name][0]]
            if doubtful:
                ours, theirs = _both(pool, *closer, doubtful)
                for name in doubtful:
                    # A closer look that a server cannot give does not take the checksum's word away.
                    if ours[name][1] is not None and theirs[name][1] is not None:
                        source[name], target[name] = ours[name], theirs[name]
            measured.update({name: (source[name], target[name]) for name in names})
            busy += clock.monotonic() - before
            bytes_done += size
            progress(f"{len(measured)} tables compared, {bytes_done // (1 << 20)} MiB")
    return measured, left_out


def _both(pool, ask_source, ask_target, names) -> list[dict]:
    futures = [pool.submit(ask_source, names), pool.submit(ask_target, names)]
    return [future.result() for future in futures]
