# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What plan and report are shown with: durations in words, tables of text and of Markdown; whatever a server said stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#])")


def duration_in_words(seconds: float | None) -> str:
    """``45 s``, ``12 min``, ``2 h 05 min``; ``-`` where it is not known."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def text_table(columns: Sequence[str], rows: Iterable[Sequence]) -> list[str]:
    """Rows below each other, numbers to the right."""
    rows = [tuple(row) for row in rows]
    cells = [tuple(columns), *(tuple(str(value) for value in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]

    def line(row) -> str:
        return "  ".join(value.rjust(widths[i]) if right[i] else value.ljust(widths[i]) for i, value in enumerate(row)).rstrip()

    lines = [line(row) for row in cells]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def markdown_text(text) -> str:
    """A text that Markdown shows as it is, on one line."""
    return " ".join(_MARKDOWN.sub(r"\\\1", str(text)).split())


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence]) -> list[str]:
    """A table of GitHub's Markdown."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return lines + ["| " + " | ".join(markdown_text(value) for value in row) + " |" for row in rows]
