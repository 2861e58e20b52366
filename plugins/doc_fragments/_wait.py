# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of everything that waits for RDS."""

    DOCUMENTATION = r"""
options:
  poll_interval:
    description:
      - The longest pause between two looks at RDS in the first minutes of a wait, in seconds. A wait begins with short pauses; one that lasts
        for hours has pauses of a hundredth of the time waited, up to five minutes, and shorter ones again where RDS says how far it is.
    type: float
    default: 20.0
  wait_timeout:
    description:
      - The longest time for one wait, in seconds, however well it moves. Nothing is undone when it is reached; a later run goes on.
    type: int
    default: 86400
  stall_timeout:
    description:
      - How long nothing at all may move during a wait (status, percentage), in seconds.
    type: int
    default: 14400
"""
