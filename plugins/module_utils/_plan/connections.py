# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Who is connected to a server, who of them counts, and how that is said."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

# Sessions of the platform and of the server itself (docs: "Verify that no connections exist").
PLATFORM_USERS = frozenset({"rdsadmin"})
SERVER_USERS = frozenset({"event_scheduler", "system user"})
REPLICATION_LOGINS = frozenset({"rdsrepladmin"})


@dataclass(frozen=True)
class Session:
    """One row of the process list."""

    id: int
    user: str
    host: str
    schema: str
    command: str
    seconds: int
    state: str

    @property
    def address(self) -> str:
        """The client's host without its port."""
        host, colon, port = self.host.rpartition(":")
        return host if colon and port.isdigit() else self.host

    @property
    def idle(self) -> bool:
        """Whether it waits for its client."""
        return self.command == "Sleep"

    @property
    def sends_binary_log(self) -> bool:
        """Whether a replica or a change-data-capture tool reads the binary log through it."""
        return self.command.startswith("Binlog Dump")


@dataclass(frozen=True)
class Look:
    """One look at a server.

    :param clients: sessions that could write.
    :param log_readers: foreign readers of the binary log.
    :param prepared: XA transactions in the prepared state, by their id as text; they outlive their sessions.
    :param transactions: open InnoDB transactions as ``(thread id, rows modified)``, without those of ignored sessions.
    :param blind: what could not be looked at, in words.
    """

    clients: tuple[Session, ...] = ()
    log_readers: tuple[Session, ...] = ()
    prepared: tuple[str, ...] = ()
    transactions: tuple[tuple[int, int], ...] = ()
    has_applier: bool = False
    blind: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether nothing is connected or open that could still write."""
        return not self.clients and not self.prepared and not self.transactions


def session_from(row: dict) -> Session:
    """A session from a process list row with lower-case column names."""
    return Session(
        id=int(row["id"]),
        user=row.get("user") or "",
        host=row.get("host") or "",
        schema=row.get("db") or "",
        command=row.get("command") or "",
        seconds=int(row.get("time") or 0),
        state=row.get("state") or "",
    )


def sort_sessions(
    rows: list[dict],
    own_id: int,
    prepared: list[str] = (),
    transactions: list[tuple[int, int]] = (),
    replication_users: tuple[str, ...] = (),
    ignore_users: tuple[str, ...] = (),
    blind: tuple[str, ...] = (),
) -> Look:
    """The look that the process list and the transaction lists make together.

    :param own_id: the connection that asks.
    :param replication_users: logins of this topology's own replicas, besides RDS's own.
    :param ignore_users: logins that the operator vouches for.
    """
    clients, readers, ignored, applier = [], [], {own_id}, False
    for session in map(session_from, rows):
        if session.id == own_id:
            continue
        if session.user in SERVER_USERS:
            applier = applier or session.user == "system user"
            ignored.add(session.id)
        elif session.user in PLATFORM_USERS or session.user in ignore_users:
            ignored.add(session.id)
        elif session.sends_binary_log:
            ignored.add(session.id)
            if session.user not in REPLICATION_LOGINS and session.user not in replication_users:
                readers.append(session)
        else:
            clients.append(session)
    return Look(
        clients=tuple(clients),
        log_readers=tuple(readers),
        prepared=tuple(prepared),
        transactions=tuple((thread, rows_modified) for thread, rows_modified in transactions if thread not in ignored and thread),
        has_applier=applier,
        blind=tuple(blind),
    )


def grouped(sessions: tuple[Session, ...]) -> list[dict]:
    """Sessions as rows ``{user, host, database, idle, active}``, most connections first."""
    counts: Counter = Counter()
    idle: Counter = Counter()
    for session in sessions:
        key = (session.user, session.address, session.schema)
        counts[key] += 1
        idle[key] += session.idle
    return [
        dict(user=user, host=host, database=schema, connections=number, idle=idle[key], active=number - idle[key])
        for key, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        for user, host, schema in (key,)
    ]


def in_words(look: Look, at_most: int = 10) -> str:
    """What is still there: ``3 connections of app@10.0.0.5 to shop (2 idle, 1 active)``; ...`"""
    rows = grouped(look.clients)
    parts = []
    for row in rows[:at_most]:
        noun = "connection" if row["connections"] == 1 else "connections"
        to = f" to {row['database']}" if row["database"] else ""
        parts.append(f"{row['connections']} {noun} of {row['user']}@{row['host']}{to} ({row['idle']} idle, {row['active']} active)")
    if len(rows) > at_most:
        parts.append(f"and {sum(row['connections'] for row in rows[at_most:])} more")
    if look.prepared:
        parts.append(f"{len(look.prepared)} prepared XA transaction(s): {', '.join(look.prepared[:5])}")
    if look.transactions:
        changed = sum(rows_modified for unused, rows_modified in look.transactions)
        parts.append(f"{len(look.transactions)} open transaction(s), {changed} rows modified")
    return "; ".join(parts) or "no client connections"


def reader_warnings(look: Look) -> list[str]:
    """One warning per login that reads the binary log and is not a replica of this topology."""
    return [
        f"{row['user']}@{row['host']} reads the binary log (another replica or a change-data-capture tool); it does not write, but it must be "
        "moved to the new instance by hand."
        for row in grouped(look.log_readers)
    ]


def look_as_dict(look: Look) -> dict:
    """The look for a module's result."""
    return dict(
        connections=grouped(look.clients),
        log_readers=grouped(look.log_readers),
        prepared_transactions=list(look.prepared),
        open_transactions=len(look.transactions),
    )


def login_warnings(report: dict, look: Look, *, read_only: bool, is_replica: bool) -> list[str]:
    """What a person should know before the server is snapshotted or replaced.

    :param report: the adapter's ``login_report``.
    """
    warnings = [
        f"{row['n']} table(s) of schema {row['s']} use engine {row['e']}, which is not transactional: a snapshot of the running server is not "
        "consistent for them."
        for row in report["foreign_engines"]
    ]
    if look.prepared:
        warnings.append(f"{len(look.prepared)} prepared XA transaction(s) wait for a decision; they survive every kill and every copy.")
    if report["event_scheduler"] == "ON" and report["enabled_events"]:
        warnings.append(f"The event scheduler is on and {report['enabled_events']} event(s) are enabled: they write on a copy as well.")
    if is_replica and not read_only:
        warnings.append("This replica accepts writes (read_only=0): it may hold accounts, schemas or rows that its source does not have.")
    return warnings + [f"Could not look at {what}." for what in look.blind]


def missing_rights(grant_lines: list[str], account_tables_readable: bool) -> list[str]:
    """What the login should be able to do and cannot, in words.

    :param grant_lines: ``SHOW GRANTS`` of the session, roles active.
    :param account_tables_readable: whether the tables of accounts could be read.
    """
    held = set()
    option = False
    for line in grant_lines:
        head, on_all, tail = line.partition(" ON *.* TO ")
        if on_all and head.startswith("GRANT "):
            held.update(part.strip().upper() for part in head[len("GRANT "):].split(","))
            option = option or "WITH GRANT OPTION" in tail
    everything = "ALL PRIVILEGES" in held
    missing = [
        f"{privilege} ({why})"
        for privilege, why in (
            ("PROCESS", "without it connections of other users are not seen"),
            ("CREATE USER", "accounts cannot be made equal"),
        )
        if not everything and privilege not in held
    ]
    if not option:
        missing.append("GRANT OPTION on *.* (grants cannot be given to others)")
    if not account_tables_readable:
        missing.append("SELECT on the mysql schema (accounts cannot be read)")
    return missing
