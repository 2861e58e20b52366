# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""SQL text of MySQL and MariaDB: names, literals, and statements whose secrets can be masked."""

from __future__ import annotations

from dataclasses import dataclass

MASK = "<hidden>"


class Secret(str):
    """A piece of SQL that no output may show."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement as pieces, some of them :class:`Secret`."""

    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        """The statement to send."""
        return "".join(self.pieces)

    @property
    def masked(self) -> str:
        """The statement to show."""
        return "".join(MASK if isinstance(piece, Secret) else piece for piece in self.pieces)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The pieces to keep out of error messages."""
        return tuple(str(piece) for piece in self.pieces if isinstance(piece, Secret))


def sql(*pieces) -> Sql:
    """A statement from strings and other statements."""
    flat: list[str] = []
    for piece in pieces:
        flat.extend(piece.pieces if isinstance(piece, Sql) else (piece,))
    return Sql(tuple(flat))


def joined(parts: list, separator: str) -> Sql:
    """Statements or strings with a separator between them."""
    flat: list = []
    for number, part in enumerate(parts):
        if number:
            flat.append(separator)
        flat.append(part)
    return sql(*flat)


def name(identifier: str) -> str:
    """A quoted identifier; backticks hold under every ``sql_mode``. The empty name is written as a string."""
    return "`" + identifier.replace("`", "``") + "`" if identifier else "''"


def literal(text: str) -> str:
    """A string literal for a session without ``NO_BACKSLASH_ESCAPES``."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0").replace("\n", "\\n").replace("\r", "\\r").replace("\x1a", "\\Z")
    return f"'{escaped}'"


def account_name(user: str, host: str, is_role: bool = False) -> str:
    """An account as statements name it; MariaDB's roles have no host, and its ``PUBLIC`` is a keyword."""
    if is_role:
        return "PUBLIC" if user == "PUBLIC" else name(user)
    return f"{name(user)}@{name(host)}"
