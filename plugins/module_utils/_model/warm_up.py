# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What a warm-up reads: parts of tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """The rows of a table, a range of them, or one of its indexes.

    :param index: None for the rows.
    :param size: bytes, as the server estimates them.
    :param place: what the adapter of the server finds it by.
    :param low: the first position of the range, None for no bound; ``high`` is the first behind it. Positions are values of a key, or pages.
    """

    schema: str
    table: str
    size: int
    index: str | None = None
    place: tuple = ()
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Probe:
    """Where single reads of a table measure its latency: other places before and after, since a place is warm once it was read."""

    part: Part
    before: tuple[int, ...]
    after: tuple[int, ...]
