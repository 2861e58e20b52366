# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of mysql_replication that was killed is finished, wherever it stopped: a sample of ``make crash STRATEGY=mysql_replication``.

On real servers, while an application writes: before the fence, behind it while the target is still held, and after the drain.
"""

from __future__ import annotations

import pytest
from scenario_crash import Bench, Point

SAMPLE = [("aws", 8, "after", "inventory"), ("aws", 16, "before", "same"), ("sql", 13, "after", "elsewhere")]


@pytest.fixture(scope="module")
def bench(databases, tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("crash"), engines=True, strategy="mysql_replication")
    yield bench
    bench.close()


@pytest.mark.parametrize(("kind", "number", "when", "way"), SAMPLE)
def test_a_killed_run_is_finished(bench, kind, number, when, way):
    outcome = bench.kill(Point(kind, number, when), way)
    assert outcome.change, "the run ended before that change"
    assert outcome.problem is None, outcome.problem
