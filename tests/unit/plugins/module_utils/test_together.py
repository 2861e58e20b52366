# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many hosts in one process, and one line for all of them."""

from __future__ import annotations

import threading

from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.together import Board, Standing, all_at_once, summary
from fakes.clock import FakeClock


def test_fifty_hosts_in_a_line():
    copying = {f"prod-{n:02}": Standing(f"Copy new-{n} to new-{n}-encrypted, encrypted", (f"creating {n} %",), 1000.0 + n) for n in range(10, 41)}
    restoring = {f"prod-{n}": Standing(f"Restore new-{n} from x", ("creating",), 2000.0) for n in range(41, 55)}
    line = summary({**copying, **restoring, "prod-60": None}, 50, 2500.0, 100.0)
    assert line == (
        "40.0 min, 4 of 50 hosts done; 31 copy (creating, 10-40 %), 14 restore (creating), 1 working; "
        "longest: prod-10, Copy new-10 to new-10-encrypted, encrypted, 24.8 min"
    )


def test_all_statuses_are_not_listed():
    standings = {f"h{n}": Standing("Rename a to b", (status,), 0.0) for n, status in enumerate(["available", "modifying", "rebooting", "renaming"])}
    assert "4 rename (available, modifying, rebooting, ...)" in summary(standings, 4, 30.0, 0.0)


def test_the_board_follows_the_hosts():
    clock, lines = FakeClock(), []
    board = Board(["a", "b"], clock, lines.append)
    board.stand("a", "Copy x to y", ["creating 1 %", ""])
    clock.sleep(90)
    board.stand("a", "Copy x to y", ["creating 50 %"], 240.0)
    board.tell()
    board.done("a")
    board.tell()
    assert lines == [
        "1.5 min, 0 of 2 hosts done; 1 copy (creating, 50 %), 1 working; longest: a, Copy x to y, 1.5 min, expected 4.0 min",
        "1.5 min, 1 of 2 hosts done; 1 working",
    ]


def test_all_work_side_by_side():
    meeting = threading.Barrier(8, timeout=20)
    assert all_at_once({f"h{n}": lambda n=n: (meeting.wait(), n)[1] for n in range(8)}) == {f"h{n}": n for n in range(8)}
