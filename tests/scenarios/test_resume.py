# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was killed is finished by the same command, wherever it stopped: a sample of what ``make crash`` tries at every point."""

from __future__ import annotations

import pytest
from scenario_crash import Bench, Point

# Number of the change, before or after its effect, and how the work is finished. `make crash` lists the changes.
SAMPLE = [
    (3, "after", "inventory"),
    (5, "before", "elsewhere"),
    (8, "after", "again"),
    (10, "before", "inventory"),
    (13, "after", "elsewhere"),
    (17, "after", "same"),
    (19, "before", "again"),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A primary and its replica, without database servers, fresh for each kill."""
    bench = Bench(tmp_path_factory.mktemp("crash"))
    yield bench
    bench.close()


@pytest.mark.parametrize(("number", "when", "way"), SAMPLE)
def test_a_killed_run_is_finished(bench, number, when, way):
    outcome = bench.kill(Point("aws", number, when), way)
    assert outcome.change, "the run ended before that change"
    assert outcome.problem is None, outcome.problem


def test_a_run_killed_among_its_statements_is_finished_while_an_application_writes(databases, tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("crash-sql"), engines=True)
    outcome = bench.kill(Point("sql", 2, "after"))
    assert outcome.change, "the run ended before that statement"
    assert outcome.problem is None, outcome.problem
