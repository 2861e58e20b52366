# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets a process live in the virtual time of tools/bench.py, without the process knowing.

Python imports this by itself in every process that has its folder on PYTHONPATH. ``time.monotonic()`` and ``time.time()`` are what the keeper
of the time says; a ``time.sleep()`` asks him to be woken, unless it is so short that he does not take it for a sleep
(``Keeper.QUIET_LOOKS``): longer ones that were real would let him skip to the next sleeper's moment, minutes away.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import time

LONG = 0.024


def _live_in(folder: str) -> None:
    real_sleep = time.sleep
    with open(os.path.join(folder, "now"), "rb") as file:
        shown = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    # Both clocks of the machine when the keeper began; his clock begins with the first of them.
    with open(os.path.join(folder, "began"), encoding="ascii") as file:
        monotonic_then, time_then = map(float, file.read().split())

    def now() -> float:
        return struct.unpack_from("d", shown)[0]

    def sleep(seconds):
        if seconds < LONG:
            real_sleep(seconds)
            return
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.connect(os.path.join(folder, "keeper"))
            keeper.sendall(struct.pack("d", now() + seconds))
            keeper.recv(1)

    time.sleep = sleep
    time.monotonic = now
    time.time = lambda: time_then + now() - monotonic_then


if os.environ.get("BENCH_CLOCK"):
    _live_in(os.environ["BENCH_CLOCK"])
