# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""How long ago something was noted: the times in tags are ISO 8601 in UTC (``2026-11-22T03:04:05Z``)."""

from __future__ import annotations

from datetime import datetime, timezone

DAY = 86400.0


def seconds_between(then: str | None, now: str) -> float | None:
    """Seconds from one noted time to another, or None if the first is not a time (a tag that somebody wrote by hand)."""
    start, end = _moment(then), _moment(now)
    return (end - start).total_seconds() if start and end else None


def age_in_words(seconds: float | None) -> str:
    """For people: ``3 days 4 h``, ``26 min``; what is not known is said to be."""
    if seconds is None:
        return "an unknown time"
    minutes = int(max(0.0, seconds) // 60)
    days, hours = minutes // 1440, minutes % 1440 // 60
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def time_noted(tag: str | None) -> str | None:
    """The time in a tag that holds a fence id and a time (``f3b1c0ffee12 2026-11-22T03:04:05Z``), or only a time."""
    return tag.rpartition(" ")[2] if tag else None


def datetime_noted(tag: str | None) -> datetime | None:
    """The time in such a tag, or None if there is none."""
    return _moment(time_noted(tag))


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
