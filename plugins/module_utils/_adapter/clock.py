# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Time, as an argument: unit tests pass a clock on which hours of waiting take no time."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class Clock:
    """The real clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        time.sleep(max(0.0, seconds))

    def utc(self) -> str:
        """The time of day as ISO 8601 in UTC, to the second: ``2026-11-22T03:27:46Z``."""
        return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
