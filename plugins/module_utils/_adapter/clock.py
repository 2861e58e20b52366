# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Time, as an argument: unit tests pass a clock on which hours of waiting take no time."""

from __future__ import annotations

import math
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


class GridClock(Clock):
    """The real clock; who sleeps for seconds is woken at one of few moments, at which others who read the same wake, too.

    The moments are multiples of 1, 2, 4, ... seconds: the largest that shortens no pause to less than its half.

    :param phase: seconds; differs between processes, so that not all of them wake at once.
    """

    SHORT = 1.0

    def __init__(self, phase: float = 0.0):
        self._phase = phase

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds, or up to a half less."""
        super().sleep(on_grid(self.monotonic() + self._phase, seconds) if seconds >= self.SHORT else seconds)


def on_grid(now: float, seconds: float) -> float:
    """How long to sleep, from half of ``seconds`` to ``seconds``, to wake at a moment of the grid."""
    step = 2.0 ** math.floor(math.log2(seconds / 2))
    return math.floor((now + seconds) / step) * step - now
