# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Count and checksum the tables of two servers until the time is up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

# Bytes: groups below say more of round trips than of reading. And bytes a second, until one that is not below was read: what a gp2 volume
# that loads its blocks from S3 gives at a first touch is less, what a warm one gives is many times more.
LARGE = 16 << 20
ASSUMED_SPEED = 30 << 20


def measure_within(groups, measure_source, measure_target, clock, progress, time_budget: float, closer=None) -> tuple[dict, list]:
    """``name -> (source's, target's)`` for as many tables as the budget allows, and the names that were left out.

    Groups come in the order of their importance. Whether the next one fits in tells the speed at which large ones went so far.

    :param groups: ``(names, bytes)``.
    :param measure_source: ``names -> {name: (rows, checksum)}``; both servers work at the same time.
    :param closer: two more such functions, slower and exact, asked for tables whose counts are equal and whose checksums are not.
    """
    measured: dict = {}
    left_out: list = []
    start = clock.monotonic()
    done, large_done, busy = 0, 0, 0.0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for number, (names, size) in enumerate(groups):
            before = clock.monotonic()
            remaining = time_budget - (before - start)
            expected = size * busy / large_done if large_done else size / ASSUMED_SPEED
            if remaining <= 0 or expected > remaining:
                if remaining > 0:  # a smaller one behind it may fit in
                    left_out += names
                    continue
                left_out += [name for rest, unused in groups[number:] for name in rest]
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
            done += size
            if size >= LARGE:
                busy += clock.monotonic() - before
                large_done += size
            progress(f"{len(measured)} tables compared, {done // (1 << 20)} MiB")
    return measured, left_out


def _both(pool, ask_source, ask_target, names) -> list[dict]:
    futures = [pool.submit(ask_source, names), pool.submit(ask_target, names)]
    return [future.result() for future in futures]


def sample_within(names, sample_source, sample_target, clock, progress, time_budget: float) -> dict:
    """``name -> (source's, target's)`` of tables that are too large to be compared in whole, as many as the budget allows.

    :param sample_source: ``name -> (sample, hint)``; the hint, such as where pieces begin, is handed to ``sample_target(name, hint)``.
    """
    samples: dict = {}
    start = clock.monotonic()
    for name in names:
        if clock.monotonic() - start > time_budget:
            break
        ours, hint = sample_source(name)
        samples[name] = (ours, sample_target(name, hint))
        progress(f"{len(samples)} of {len(names)} large tables compared by a sample")
    return samples
