# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""PostgreSQL: whose sessions count, what a login must be able to do, and what a person should know of a server."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.postgresql_server import OWN_APPLICATION
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import (
    CLIENT,
    OWN,
    READER,
    Look,
    Session,
    SortingRule,
    grouped,
)

# Sessions of the platform (RDS User Guide: "Understanding PostgreSQL roles and permissions") and of RDS's own replicas.
_PLATFORM_USERS = frozenset({"rdsadmin", "rdstopmgr"})
_REPLICATION_LOGINS = frozenset({"rdsrepladmin"})
# What pg_stat_activity.backend_type is for a program that logged in; empty where the login may not see the type of others' sessions.
_OF_PROGRAMS = frozenset({"client backend", ""})
_AT_MOST = 5

RULES = (
    SortingRule(OWN, lambda session, known: session.id == known.own_id),
    # Of this very check: it looks into each database, and a session ends a moment after its connection.
    SortingRule(OWN, lambda session, known: session.application == OWN_APPLICATION),
    SortingRule(OWN, lambda session, known: session.user in _PLATFORM_USERS | known.ignore_users),
    SortingRule(OWN, lambda session, known: session.kind == "walsender" and session.user in _REPLICATION_LOGINS | known.replication_users),
    SortingRule(READER, lambda session, known: session.kind == "walsender"),
    # The worker of a subscription writes what another server sends: no fence stops it, and what it writes after the snapshot is lost.
    SortingRule(CLIENT, lambda session, known: _applies_subscription(session)),
    SortingRule(OWN, lambda session, known: session.kind not in _OF_PROGRAMS),
)


def _applies_subscription(session: Session) -> bool:
    # "logical replication worker" until 15; "... apply worker", "... tablesync worker", "... parallel worker" from 16 on
    return session.kind.startswith("logical replication") and session.kind.endswith("worker")


def session_from(row: dict) -> Session:
    """A session from a row of ``pg_stat_activity``; what the login may not see is None there."""
    return Session(
        id=int(row["pid"]),
        user=row["usename"] or "",
        host=row["client_addr"] or "local",
        database=row["datname"] or "",
        kind=row["backend_type"] or "",
        idle=row["state"] == "idle",
        application=row["application_name"] or row["backend_type"] or "",
        started=row["backend_start"] or "",
    )


def transactions_of(rows: list[dict]) -> tuple[tuple[int, None], ...]:
    """The sessions that have a transaction open; PostgreSQL does not tell how many rows it changed."""
    return tuple((int(row["pid"]), None) for row in rows if row["in_transaction"])


def slot_words(row: dict) -> str:
    """A logical replication slot from a row of ``pg_replication_slots``."""
    return f"{row['slot_name']} ({row['plugin']}, database {row['database']}, {'in use' if row['active'] else 'not in use now'})"


def reader_warnings(look: Look) -> list[str]:
    """What reads the log of changes and does not move with the instance."""
    return [
        f"{row['user']}@{row['host']} ('{row['application']}') reads the write-ahead log (a change-data-capture tool, a subscriber or a copy "
        "elsewhere); it does not write, but it must be moved to the new instance by hand."
        for row in grouped(look.log_readers)
    ] + [
        f"Logical replication slot {slot}: its consumer does not move with the instance. After the cutover give it a new slot and a new "
        "initial copy, and drop this slot wherever it is left: it holds back the write-ahead log until the disk is full."
        for slot in look.slots
    ]


def missing_rights(rights: dict) -> list[str]:
    """What the login should be able to do and cannot, in words.

    :param rights: role -> whether the login has its rights.
    """
    wanted = (
        ("pg_read_all_stats", "part of pg_monitor and rds_superuser; without it connections of other users cannot be told from the server's own"),
        ("pg_signal_backend", "part of rds_superuser; without it connections of other users cannot be ended"),
    )
    return [f"{role} ({why})" for role, why in wanted if not rights.get(role)]


def inbound_refusals(subscriptions: list[dict]) -> list[str]:
    """Why an instance must not be fenced that subscribes to another server.

    What it applies after the snapshot would be missing in the target, and the fence does not keep it out; the copy of the subscription connects
    from the restored instance with the same slot.

    :param subscriptions: rows of ``pg_subscription``.
    """
    enabled = [f"{row['subname']} of database {row['datname']}" for row in subscriptions if row["subenabled"]]
    if not enabled:
        return []
    return [
        f"It applies changes of another server: subscription {_some(enabled)}. The fence does not keep that out, and the restored copy would "
        "connect with the same slot. ALTER SUBSCRIPTION ... DISABLE before the run, and ENABLE on the encrypted instance after the cutover; it "
        "goes on where it stopped, as long as the publisher keeps the slot."
    ]


def login_warnings(report: dict, look: Look, *, is_replica: bool) -> list[str]:
    """What a person should know before the server is snapshotted or replaced.

    :param report: the adapter's ``login_report``.
    """
    warnings = []
    if is_replica and not report["in_recovery"]:
        warnings.append("This replica does not follow a source: it accepts writes that its source does not have.")
    if look.prepared:
        warnings.append(
            f"{len(look.prepared)} prepared transaction(s) ({_some(look.prepared)}) wait for COMMIT PREPARED or ROLLBACK PREPARED; they survive "
            "every kill and every copy."
        )
    warnings += reader_warnings(look)
    for database in report["databases"]:
        warnings += _database_warnings(database)
    return warnings + [f"Could not look at {what}." for what in (*look.blind, *report["blind"])]


def _database_warnings(database: dict) -> list[str]:
    name = database["name"]
    warnings = []
    if database["unlogged"]:
        warnings.append(
            f"{len(database['unlogged'])} unlogged table(s) of database {name} ({_some(database['unlogged'])}) are empty in every restored copy: "
            "ALTER TABLE ... SET LOGGED before the run, or fill them again after the cutover."
        )
    if database["publications"]:
        warnings.append(
            f"Database {name} publishes {_some(database['publications'])}: the publication comes with the snapshot, its subscribers do not "
            "come by themselves."
        )
    if database["cron_jobs"] is not None:
        warnings.append(
            f"Database {name} has pg_cron ({database['cron_jobs']} active job(s) that this login sees): its jobs run on the source behind the fence "
            "and on the new instance before the cutover. Deactivate those that write (cron.alter_job(jobid, active := false)) for the time."
        )
    warnings += [
        f"Foreign server {row['srvname']} ({row['fdwname']}) of database {name} points at {row['host'] or 'an unknown host'}, with "
        f"{row['mappings']} user mapping(s): the new instance uses it, too, as soon as it is restored."
        for row in database["foreign_servers"]
    ]
    return warnings


def _some(names) -> str:
    more = len(names) - _AT_MOST
    return ", ".join(names[:_AT_MOST]) + (f" and {more} more" if more > 0 else "")
