# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A clock on which hours of waiting take no time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class FakeClock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"slept {seconds} s")
        self.now += seconds

    def utc(self) -> str:
        return self.date().strftime("%Y-%m-%dT%H:%M:%SZ")

    def date(self, now: float | None = None) -> datetime:
        """A moment of this clock, or its present one, as a time of day."""
        return datetime(2026, 11, 22, tzinfo=timezone.utc) + timedelta(seconds=self.now if now is None else now)
