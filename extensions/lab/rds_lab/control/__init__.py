# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane: the RDS API with RDS's conditions, order and delays."""

from __future__ import annotations

import os

# Nobody looks at machine images here, and moto takes a quarter of a second per region to make them.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
