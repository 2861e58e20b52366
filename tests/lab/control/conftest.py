# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The double of RDS, for its contract tests."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from served_lab import Lab, Refused  # noqa: E402


@pytest.fixture(scope="session")
def _lab():
    lab = Lab()
    yield lab
    lab.server.close()


@pytest.fixture
def lab(_lab):
    _lab.reset()
    yield _lab
    problems = _lab.plane.store.problems
    assert not problems, problems


@pytest.fixture
def refused():
    return Refused
