# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted with the application running: MySQL."""

from __future__ import annotations

from scenario_replication import Truths


class TestMySQL(Truths):
    FLEET = "mysql"
    LOCKED = True
