# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The statements of a replication link: its login, its setting, its marker, its end."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import MARKER_TABLE, Position, Verbs
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import Secret, Sql, account_name, literal, name, sql
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replication_link import GTID

RETENTION = "binlog retention hours"
NATIVE = "mysql_native_password"


def login_statements(user: str, password: str, *, tls: bool, plugin: str | None) -> list[Sql]:
    """The replication login exists with that password and no other right, whatever an earlier run left.

    One after another, so that a run that dies in between is finished by the next one. IF NOT EXISTS, so that a copy which has the account
    already is not stopped by it (1396).

    :param plugin: the plugin to demand; None for the server's default.
    """
    account = account_name(user, "%")
    identified = f"IDENTIFIED WITH {plugin} BY " if plugin else "IDENTIFIED BY "
    secret = Secret(literal(password))
    require = " REQUIRE SSL" if tls else " REQUIRE NONE"
    return [
        sql(f"CREATE USER IF NOT EXISTS {account} ", identified, secret, require),
        sql(f"ALTER USER {account} ", identified, secret, require),
        sql(f"GRANT REPLICATION SLAVE ON *.* TO {account}"),
    ]


def drop_login(user: str) -> str:
    """The account is gone."""
    return f"DROP USER IF EXISTS {account_name(user, '%')}"


def set_statement(verbs: Verbs, family: str, host: str, port: int, login: tuple[str, str], at: Position, mode: str, tls: bool) -> Sql:
    """The call that makes a server a replica of that source, from that place on.

    :param login: user and password.
    """
    user, password = login
    opening = (literal(host), ", ", str(int(port)), ", ", literal(user), ", ", Secret(literal(password)), ", ")
    encrypted = str(int(tls))
    if mode != GTID:
        return sql(f"CALL mysql.{verbs.set_position}(", *opening, literal(at.file), f", {int(at.position)}, {encrypted})")
    if family == MARIADB:
        return sql(f"CALL mysql.{verbs.set_gtid}(", *opening, literal(at.gtid or ""), f", {encrypted})")
    return sql(f"CALL mysql.{verbs.set_gtid}(", *opening, f"{encrypted}, 0)")


def marker_statements(schema: str, value: str) -> list[str]:
    """A row that only this attempt can have written."""
    table = f"{name(schema)}.{name(MARKER_TABLE)}"
    return [
        f"DROP SCHEMA IF EXISTS {name(schema)}",
        f"CREATE SCHEMA {name(schema)}",
        f"CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY, value VARCHAR(64) NOT NULL) ENGINE=InnoDB",
        f"INSERT INTO {table} (id, value) VALUES (1, {literal(value)})",
    ]


def drop_marker(schema: str) -> str:
    """The marker is gone."""
    return f"DROP SCHEMA IF EXISTS {name(schema)}"


def retention_to_raise(present: str | None, wanted: int) -> str | None:
    """The retention to set so that it is at least what is wanted; None if it is. RDS's NULL purges as soon as it can."""
    return None if present is not None and int(present) >= wanted else str(wanted)


def retention_to_restore(present: str | None, wanted: str) -> tuple[bool, str | None]:
    """Whether the retention is to be set, and to what, so that it is again what it was (``NULL`` or a number)."""
    value = None if wanted == "NULL" else str(int(wanted))
    return present != value, value


def event_steps(source: list[dict], target: list[dict], *, login: tuple[str, str], may_keep_definer: bool) -> list[dict]:
    """Events that are enabled on the source and were disabled on the target because they arrived by replication.

    ``ALTER EVENT`` makes whoever sends it the definer, and the event then runs with other rights: an item's ``keeps_definer`` says whether
    the statement leaves the definer as it is.

    :param source: rows ``s``, ``n``, ``definer``, ``status``.
    :param login: user and host of the account that would send it.
    """
    enabled = {(row["s"], row["n"]) for row in source if str(row["status"]).upper() == "ENABLED"}
    steps = []
    for row in sorted(target, key=lambda row: (row["s"], row["n"])):
        if (row["s"], row["n"]) not in enabled or not str(row["status"]).upper().endswith("SIDE_DISABLED"):
            continue
        user, _at, host = row["definer"].rpartition("@")
        own = (user, host) == login
        event = f"{name(row['s'])}.{name(row['n'])}"
        definer = "" if own else f"DEFINER = {account_name(user, host)} "
        steps.append(
            dict(
                event=f"{row['s']}.{row['n']}",
                definer=row["definer"],
                statement=f"ALTER {definer}EVENT {event} ENABLE",
                keeps_definer=own or may_keep_definer,
            )
        )
    return steps
