# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""MySQL and MariaDB: whose sessions count, what a login must be able to do, and what a person should know of a server."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import LINK_USER
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.configuration import inbound
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import (
    APPLIER,
    OWN,
    READER,
    Look,
    Session,
    SortingRule,
    grouped,
)

# Sessions of the platform and of the server itself (docs: "Verify that no connections exist").
_PLATFORM_USERS = frozenset({"rdsadmin"})
_REPLICATION_LOGINS = frozenset({"rdsrepladmin"})

RULES = (
    SortingRule(OWN, lambda session, known: session.id == known.own_id),
    SortingRule(APPLIER, lambda session, known: session.user == "system user"),
    SortingRule(OWN, lambda session, known: session.user == "event_scheduler"),
    SortingRule(OWN, lambda session, known: session.user in _PLATFORM_USERS | known.ignore_users),
    # By user and command: a person may log in as the replication user.
    SortingRule(OWN, lambda session, known: _sends_log(session) and session.user in _REPLICATION_LOGINS | known.replication_users),
    SortingRule(OWN, lambda session, known: _sends_log(session) and LINK_USER.fullmatch(session.user) is not None),
    SortingRule(READER, lambda session, known: _sends_log(session)),
)


def _sends_log(session: Session) -> bool:
    return session.kind.startswith("Binlog Dump")


def session_from(row: dict) -> Session:
    """A session from a process list row with lower-case column names."""
    host, colon, port = (row.get("host") or "").rpartition(":")
    command = row.get("command") or ""
    return Session(
        id=int(row["id"]),
        user=row.get("user") or "",
        host=host if colon and port.isdigit() else row.get("host") or "",
        database=row.get("db") or "",
        kind=command,
        idle=command == "Sleep",
    )


def reader_warnings(look: Look) -> list[str]:
    """One warning per login that reads the binary log and is not a replica of this topology."""
    return [
        f"{row['user']}@{row['host']} reads the binary log (another replica or a change-data-capture tool); it does not write, but it must be "
        "moved to the new instance by hand."
        for row in grouped(look.log_readers)
    ]


def inbound_refusals(links: list[dict] | None) -> list[str]:
    """Why an instance must not be fenced that RDS does not know as a replica, and that replicates from somebody all the same.

    What it applies after the snapshot would be missing in the target, and the fence does not keep it out; the restored copy has the link, too.

    :param links: the replica status; None if nobody tells.
    """
    there = inbound(links or [])
    if there is None:
        return []
    return [
        f"It replicates from another server: {there}. The fence does not keep that out, and the restored copy would carry the link. Stop it "
        "(CALL mysql.rds_stop_replication), note its position, take it off (CALL mysql.rds_reset_external_source on MySQL 8.4 and later, "
        "rds_reset_external_master elsewhere), and set it up again on the encrypted instance."
    ]


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
        warnings.append(f"{len(look.prepared)} prepared transaction(s) (XA) wait for a decision; they survive every kill and every copy.")
    if report["event_scheduler"] == "ON" and report["enabled_events"]:
        names = report["enabled_events"]
        listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        warnings.append(
            f"The event scheduler is on and {len(names)} event(s) are enabled ({listed}): they run on the encrypted copy from its restore on, and go "
            "on running on the original. If one of them writes, or does something outside of the database, set event_scheduler to OFF in the "
            "parameter group before the run (it takes effect at once, on the copy too), and to ON after the cutover."
        )
    if is_replica and not read_only:
        warnings.append("This replica accepts writes (read_only=0): it may hold accounts, schemas or rows that its source does not have.")
    return warnings + [f"Could not look at {what}." for what in look.blind]


def missing_rights(rights: dict) -> list[str]:
    """What the login should be able to do and cannot, in words.

    :param rights: ``grants``, the lines of ``SHOW GRANTS`` with roles active; ``account_tables_readable``.
    """
    held = set()
    option = False
    for line in rights["grants"]:
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
    if not rights["account_tables_readable"]:
        missing.append("SELECT on the mysql schema (accounts cannot be read)")
    return missing
