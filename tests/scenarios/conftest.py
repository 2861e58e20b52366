# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of the playbooks against the lab, judged from outside: boto3, SQL and the lab's log of calls."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

pytest.register_assert_rewrite("scenario_replication")

from scenario_lab import Double, Lab  # noqa: E402
from scenario_play import TOP  # noqa: E402


# What takes longest begins first.
LONGEST = ("test_replication_mysql", "test_replication", "test_encrypt", "test_secrets", "test_operators_way", "test_torture", "test_postgresql",
           "test_servers_restart", "test_fence_holds", "test_rollback_servers", "test_resume", "test_rollback", "test_faults", "test_two_operators",
           "test_dependents", "test_iam")


def pytest_collection_modifyitems(items):
    """The longest first."""
    here = pathlib.Path(__file__).resolve().parent
    place = {name: number for number, name in enumerate(LONGEST)}
    ours = sorted((item for item in items if item.path.parent == here), key=lambda item: place.get(item.path.stem, len(place)))
    items[:] = [*ours, *(item for item in items if item.path.parent != here)]


@pytest.fixture(scope="session")
def _double():
    double = Double()
    yield double
    double.close()


@pytest.fixture
def double(_double):
    """An empty account without database servers."""
    _double.reset()
    yield _double
    assert not _double.problems, _double.problems


@pytest.fixture
def operator(double, tmp_path):
    """Somebody who encrypts in ``double``."""
    return double.operator(tmp_path)


@pytest.fixture(scope="session")
def databases():
    """The database servers and the judge of accounts are there; answers their folder."""
    subprocess.run([str(TOP / "tools" / "get_databases.sh")], check=True, stdout=subprocess.DEVNULL)
    return TOP / ".cache" / "databases"


@pytest.fixture(scope="module")
def start_lab(databases, tmp_path_factory):
    """Starts labs with real servers; they end with the module."""
    labs = []

    def start(fleet, timescale: float = 300) -> Lab:
        labs.append(Lab(tmp_path_factory.mktemp("lab"), fleet, timescale))
        return labs[-1]

    yield start
    for lab in labs:
        lab.stop()
