# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Who is connected to a server, who of them counts, and how that is said; whose sessions count is a table of rules per database client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

# Where a rule sorts a session.
OWN = "own"  # the server's, the platform's, or vouched for
APPLIER = "applier"  # applies what the replica's source sends
READER = "reader"  # reads the log of changes and writes nothing
CLIENT = "client"  # could write


@dataclass(frozen=True)
class Session:
    """One row of the process list.

    :param id: MySQL's thread id, PostgreSQL's process id.
    :param kind: MySQL's command, PostgreSQL's type of backend (empty when the login may not see it).
    :param idle: it waits for its client, outside of a transaction.
    :param application: what the client calls itself; None where the server does not know such a thing.
    :param started: names, together with the id, one session for good (PostgreSQL: process ids are used again).
    """

    id: int
    user: str
    host: str
    database: str
    kind: str
    idle: bool
    application: str | None = None
    started: str = ""


@dataclass(frozen=True)
class Known:
    """What the caller knows of the sessions.

    :param own_id: the connection that asks.
    :param replication_users: logins of this topology's own replicas, besides RDS's own.
    :param ignore_users: logins that the operator vouches for.
    """

    own_id: int
    replication_users: frozenset[str] = frozenset()
    ignore_users: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SortingRule:
    """Sessions that fit are sorted as the row says; the first row that fits decides, and a session that fits none is a client."""

    sort: str
    fits: Callable[[Session, Known], bool]


@dataclass(frozen=True)
class Look:
    """One look at a server.

    :param own: the session that looked, if it saw itself.
    :param clients: sessions that could write.
    :param log_readers: foreign readers of the log of changes.
    :param prepared: transactions in the prepared state, by their id as text; they outlive their sessions.
    :param transactions: open transactions as ``(session id, rows modified or None where nobody knows)``, without those of ignored sessions.
    :param slots: logical replication slots, in words.
    :param blind: what could not be looked at, in words.
    """

    clients: tuple[Session, ...] = ()
    log_readers: tuple[Session, ...] = ()
    prepared: tuple[str, ...] = ()
    transactions: tuple[tuple[int, int | None], ...] = ()
    slots: tuple[str, ...] = ()
    has_applier: bool = False
    blind: tuple[str, ...] = ()
    own: Session | None = None

    @property
    def quiet(self) -> bool:
        """Whether nothing is connected or open that could still write."""
        return not self.clients and not self.prepared and not self.transactions

    @property
    def mirrored(self) -> bool:
        """Whether all that is not quiet are sessions of the login that looked, as another run of the same operator has them."""
        alike = self.own is not None and all(session.user == self.own.user for session in self.clients)
        return bool(self.clients) and alike and not self.prepared and not self.transactions


def sort_sessions(
    rules: tuple[SortingRule, ...],
    sessions: list[Session],
    known: Known,
    *,
    prepared: tuple[str, ...] = (),
    transactions: tuple[tuple[int, int | None], ...] = (),
    slots: tuple[str, ...] = (),
    blind: tuple[str, ...] = (),
) -> Look:
    """The look that the process list and the lists of transactions make together."""
    sorted_ = {sort: [] for sort in (OWN, APPLIER, READER, CLIENT)}
    for session in sessions:
        sort = next((rule.sort for rule in rules if rule.fits(session, known)), CLIENT)
        sorted_[sort].append(session)
    ignored = {known.own_id} | {session.id for sort in (OWN, APPLIER, READER) for session in sorted_[sort]}
    return Look(
        clients=tuple(sorted_[CLIENT]),
        log_readers=tuple(sorted_[READER]),
        prepared=tuple(prepared),
        transactions=tuple((number, rows_modified) for number, rows_modified in transactions if number and number not in ignored),
        slots=tuple(slots),
        has_applier=bool(sorted_[APPLIER]),
        blind=tuple(blind),
        own=next((session for session in sessions if session.id == known.own_id), None),
    )


def grouped(sessions: tuple[Session, ...]) -> list[dict]:
    """Sessions as rows ``{user, host, database, [application,] connections, idle, active}``, most connections first."""
    counts: Counter = Counter()
    idle: Counter = Counter()
    for session in sessions:
        key = (session.user, session.host, session.database, session.application)
        counts[key] += 1
        idle[key] += session.idle
    rows = []
    for key, number in sorted(counts.items(), key=lambda item: (-item[1], [part or "" for part in item[0]])):
        user, host, database, application = key
        row = dict(user=user, host=host, database=database, connections=number, idle=idle[key], active=number - idle[key])
        rows.append(row if application is None else dict(row, application=application))
    return rows


def in_words(look: Look, at_most: int = 10) -> str:
    """What is still there: ``3 connections of app@10.0.0.5 to shop (2 idle, 1 active)``; ...`"""
    rows = grouped(look.clients)
    parts = []
    for row in rows[:at_most]:
        noun = "connection" if row["connections"] == 1 else "connections"
        to = f" to {row['database']}" if row["database"] else ""
        by = f" by '{row['application']}'" if row.get("application") else ""
        parts.append(f"{row['connections']} {noun} of {row['user']}@{row['host']}{to}{by} ({row['idle']} idle, {row['active']} active)")
    if len(rows) > at_most:
        parts.append(f"and {sum(row['connections'] for row in rows[at_most:])} more")
    if look.prepared:
        parts.append(f"{len(look.prepared)} prepared transaction(s): {', '.join(look.prepared[:5])}")
    if look.transactions:
        known = [rows_modified for unused, rows_modified in look.transactions if rows_modified is not None]
        parts.append(f"{len(look.transactions)} open transaction(s)" + (f", {sum(known)} rows modified" if known else ""))
    return "; ".join(parts) or "no client connections"


def look_as_dict(look: Look) -> dict:
    """The look for a module's result."""
    return dict(
        connections=grouped(look.clients),
        log_readers=grouped(look.log_readers),
        prepared_transactions=list(look.prepared),
        open_transactions=len(look.transactions),
    )


def tls_warnings(tls: str) -> list[str]:
    """What is wrong with the protection of a connection.

    :param tls: ``verified``, ``unverified`` or ``none``.
    """
    return {
        "none": ["the connection is not encrypted: whoever is in between can read it and change it. Set ca_cert (RDS's bundle), or ssl_mode."],
        "unverified": ["the connection is encrypted, but nobody knows whether it is the server that answers: set ca_cert (RDS's bundle)."],
    }.get(tls, [])
