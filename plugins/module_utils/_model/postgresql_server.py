# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What is known of PostgreSQL servers before a statement is sent to them."""

from __future__ import annotations

# What this collection calls itself in pg_stat_activity.
OWN_APPLICATION = "dbre.rds_encryption"
