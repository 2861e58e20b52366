# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench measures: from the first call to the last name. How fast that is, nobody is asked here, but nobody waits for nothing either."""

from __future__ import annotations

import re

import bench  # of tools, where scenario_play looks, too


def test_the_bench_measures_one_source():
    found = bench.measure("ours", 1)
    assert found["rc"] == 0 and found["swapped"] == found["expected"] == 2, found["output"][-3000:]
    row = bench.figures(found)
    # What an operator does who needs no time at all cannot be beaten; and hours of waiting take no hours.
    assert row["ratio"] >= 1 and found["real"] < row["outage"]
    assert 0 < row["computing"] < row["whole"] and row["cpu"] > 0 and row["peak"] > 0
    # Two marks, two names, restart, note; snapshot before and behind the fence, copy, restore, replica, two modifications; note, two names, note and
    # two marks.
    assert row["mutating"] == 19, row["by_operation"]
    assert row["mutating"] < row["others"] < row["calls"]
    assert re.search(r"ours +1 .* min .* 19\.0 ", bench.line(row)), bench.line(row)


def test_the_bench_measures_a_fleet_whose_hosts_wait_together():
    found = bench.measure("ours", 2)
    assert found["rc"] == 0 and found["swapped"] == found["expected"] == 3, found["output"][-3000:]
    # Whoever in a fleet waits for a moment that the bench takes for no sleep loses minutes of its time.
    assert 1 <= bench.figures(found)["ratio"] < 1.2, bench.line(bench.figures(found))
