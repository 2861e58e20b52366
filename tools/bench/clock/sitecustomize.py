# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets a process live in the virtual time of tools/bench.py, without the process knowing.

Python imports this by itself in every process that has its folder on PYTHONPATH. ``time.monotonic()`` and ``time.time()`` are real time plus
what the keeper of the time has skipped so far; a long ``time.sleep()`` asks the keeper to be woken. Short sleeps are real: they are work.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import time

LONG = 0.15


def _live_in(folder: str) -> None:
    real_sleep, real_monotonic, real_time = time.sleep, time.monotonic, time.time
    with open(os.path.join(folder, "skipped"), "rb") as file:
        skipped = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

    def offset() -> float:
        return struct.unpack_from("d", skipped)[0]

    def sleep(seconds):
        if seconds < LONG:
            real_sleep(seconds)
            return
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.connect(os.path.join(folder, "keeper"))
            keeper.sendall(struct.pack("d", real_monotonic() + offset() + seconds))
            keeper.recv(1)

    time.sleep = sleep
    time.monotonic = lambda: real_monotonic() + offset()
    time.time = lambda: real_time() + offset()


if os.environ.get("BENCH_CLOCK"):
    _live_in(os.environ["BENCH_CLOCK"])
