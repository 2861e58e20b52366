# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Replication of one MySQL or MariaDB server, read and told."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server, look_at_sessions, rights
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_accounts import read_configuration
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_settings import read_replication
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import (
    MARKER_TABLE,
    FollowerState,
    Position,
    SourceState,
    Verbs,
    status_from,
    verbs_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import Sql, literal, name

# Unknown schema, no right to it, unknown table: there is no marker (yet).
_NO_MARKER = (1049, 1044, 1142, 1146)
# Binary log off, missing right.
_NO_LOGS = (1381, 1227)
_VARIABLES = (
    "server_id server_uuid log_bin binlog_format gtid_mode read_only event_scheduler sync_binlog innodb_flush_log_at_trx_commit"
    " replica_parallel_workers slave_parallel_workers replica_preserve_commit_order slave_preserve_commit_order"
).split()


def server_verbs(server: Server) -> Verbs:
    """The verbs of a connected server.

    :raises EncryptionError: for a version that cannot be linked.
    """
    verbs = verbs_of(server.facts.family, server.facts.version)
    if verbs is None:
        raise EncryptionError(f"{server.label}: {server.facts.version_text} is too old to be linked.", next_step="use the strategy cold.")
    return verbs


def read_variables(server: Server) -> dict[str, str]:
    """The global variables that replication depends on, those that the server has."""
    listed = ", ".join(literal(variable) for variable in _VARIABLES)
    rows = server.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    return {row["variable_name"].lower(): str(row["value"]) for row in rows}


def _gtids(server: Server) -> dict[str, str | None]:
    """``log`` (what the server's log holds), ``applied`` (what it has of others) and ``purged``; None where GTIDs are off.

    Asked one by one: SHOW VARIABLES cuts values off behind 1024 characters, and a set of many servers is longer.
    """
    if server.facts.family == MARIADB:
        row = server.rows("SELECT @@GLOBAL.gtid_binlog_pos AS log, @@GLOBAL.gtid_slave_pos AS applied")[0]
        return dict(log=str(row["log"] or ""), applied=str(row["applied"] or ""), purged=None)
    row = server.rows("SELECT @@GLOBAL.gtid_mode AS mode, @@GLOBAL.gtid_executed AS executed, @@GLOBAL.gtid_purged AS purged")[0]
    if str(row["mode"]).upper() != "ON":
        return dict(log=None, applied=None, purged=None)
    executed, purged = ("".join(str(row[name] or "").split()) for name in ("executed", "purged"))
    return dict(log=executed, applied=executed, purged=purged)


def read_end(server: Server) -> Position:
    """The end of the server's own binary log; its GTIDs are read after its place, so that they are never less.

    :raises EncryptionError: if it has none.
    """
    rows = server.rows(server_verbs(server).end)
    if not rows:
        raise EncryptionError(
            f"{server.label}: it has no binary log, so nothing can follow it.", next_step="switch automated backups on: RDS writes one only then."
        )
    return Position(str(rows[0]["file"]), int(rows[0]["position"]), _gtids(server)["log"])


def read_source(server: Server, place: Position | None = None) -> SourceState:
    """A server as a source.

    :param place: asks MariaDB which GTID position that is.
    :raises EncryptionError: if it has no binary log.
    """
    end = read_end(server)
    variables, gtids = read_variables(server), _gtids(server)
    mariadb = server.facts.family == MARIADB
    return SourceState(
        family=server.facts.family,
        end=end,
        server_id=int(variables["server_id"]),
        uuid=variables.get("server_uuid"),
        gtid_on=gtids["log"] is not None,
        purged=gtids["purged"],
        logs=read_logs(server),
        gtid_of_place=_gtid_of(server, place) if mariadb and place and place.file else None,
    )


def read_logs(server: Server) -> tuple[tuple[str, int], ...] | None:
    """Name and size of each file of the server's log; None if the login may not see them."""
    try:
        return tuple((str(row["log_name"]), int(row["file_size"])) for row in server.rows("SHOW BINARY LOGS"))
    except StatementError as e:
        if e.code not in _NO_LOGS:
            raise
        return None


def _gtid_of(server: Server, place: Position) -> str | None:
    try:
        found = server.rows(f"SELECT BINLOG_GTID_POS({literal(place.file)}, {int(place.position)}) AS g")[0]["g"]
    except StatementError as e:
        if server.lost(e):
            raise
        return None
    return str(found) if found else None


def read_progress(server: Server) -> FollowerState:
    """A follower's status and GTIDs alone: what a wait asks for again and again. GTIDs are read after the status.

    :raises EncryptionError: if the login may not see the replica status.
    """
    rows = read_replication(server)
    if rows is None:
        raise EncryptionError(
            f"{server.label}: the login may not see the replica status.",
            next_step="use the master user (REPLICATION CLIENT; on MariaDB CALL mysql.rds_replica_status).",
        )
    links = [status for status in map(status_from, rows) if status is not None]
    gtid = _gtids(server)["applied"]
    return FollowerState(
        family=server.facts.family, status=links[0] if links else None, links=len(links), server_id=0, gtid=gtid, gtid_on=gtid is not None
    )


def read_follower(server: Server, user: str | None = None) -> FollowerState:
    """A server as a follower.

    :param user: the login of the link, whose account is looked for.
    :raises EncryptionError: if the login may not see the replica status.
    """
    seen, variables = read_progress(server), read_variables(server)
    workers = variables.get("replica_parallel_workers", variables.get("slave_parallel_workers", "0"))
    ordered = variables.get("replica_preserve_commit_order", variables.get("slave_preserve_commit_order", "OFF"))
    return replace(
        seen,
        server_id=int(variables["server_id"]),
        uuid=variables.get("server_uuid"),
        read_only=variables.get("read_only", "OFF").upper() not in ("OFF", "0"),
        event_scheduler=variables.get("event_scheduler", "OFF").upper(),
        has_login=account_exists(server, user) if user else False,
        temporary_tables=sum(int(row["value"]) for row in server.rows("SHOW GLOBAL STATUS LIKE '%open_temp_tables'")),
        # MariaDB's parallel applier commits in order by itself.
        keeps_order=server.facts.family == MARIADB or int(workers) <= 1 or ordered in ("ON", "1"),
    )


def account_exists(server: Server, user: str) -> bool:
    """Whether an account of that name is there, from any host."""
    return bool(server.rows(f"SELECT User AS u FROM mysql.user WHERE User = {literal(user)}"))


def schema_exists(server: Server, schema: str) -> bool:
    """Whether the schema of a marker is there.

    :raises EncryptionError: if it holds other things than a marker.
    """
    found = server.rows(f"SELECT schema_name AS s FROM information_schema.schemata WHERE schema_name = {literal(schema)}")
    tables = [row["t"] for row in server.rows(f"SELECT table_name AS t FROM information_schema.tables WHERE table_schema = {literal(schema)}")]
    if set(tables) - {MARKER_TABLE}:
        raise EncryptionError(
            f"{server.label}: the schema {schema} holds tables that are not the marker's: {', '.join(sorted(tables))}.",
            done="It was left alone.",
            next_step="see whose they are; another link_id has another schema.",
        )
    return bool(found)


def read_marker(server: Server, schema: str) -> str | None:
    """The value of the marker, or None as long as there is none."""
    try:
        rows = server.rows(f"SELECT value AS v FROM {name(schema)}.{name(MARKER_TABLE)} WHERE id = 1")
    except StatementError as e:
        if e.code not in _NO_MARKER:
            raise
        return None
    return str(rows[0]["v"]) if rows else None


def utc_now(server: Server) -> str:
    """The time of the server's clock, as ISO 8601 in UTC to the second."""
    return str(server.rows("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ') AS t")[0]["t"])


def plugin_active(server: Server, plugin: str) -> bool:
    """Whether accounts may be authenticated by that plugin."""
    rows = server.rows(f"SELECT plugin_status AS s FROM information_schema.plugins WHERE plugin_name = {literal(plugin)}")
    return any(str(row["s"]).upper() == "ACTIVE" for row in rows)


def read_events(server: Server) -> list[dict]:
    """Every event with its state: rows ``s``, ``n``, ``definer``, ``status``."""
    return server.rows("SELECT event_schema AS s, event_name AS n, definer AS definer, status AS status FROM information_schema.events")


def holds(server: Server, privilege: str | None) -> bool:
    """Whether the login has a global privilege."""
    if privilege is None:
        return False
    for line in rights(server)["grants"]:
        head, on_all, _tail = line.partition(" ON *.* TO ")
        if on_all and privilege in [part.strip().upper() for part in head.removeprefix("GRANT ").split(",")]:
            return True
    return False


def tell(server: Server, statement: Sql | str) -> None:
    """The statement is carried out; no error shows its secrets."""
    if isinstance(statement, Sql):
        server.execute(statement.text, statement.secrets)
    else:
        server.execute(statement)


def examine(server: Server, accounts_of: Verbs | None) -> dict:
    """What must be known of a source before anything is changed: plain data for a plan.

    :param accounts_of: the verbs of its version, whose procedures are looked for; None for a version without.
    """
    try:
        configuration, refused = read_configuration(server), None
    except StatementError as e:
        if server.lost(e):
            raise
        configuration, refused = None, e.problem
    wanted = accounts_of.procedures if accounts_of else ()
    listed = ", ".join(literal(procedure) for procedure in wanted) or "''"
    there = server.rows(f"SELECT routine_name AS r FROM information_schema.routines WHERE routine_schema = 'mysql' AND routine_name IN ({listed})")
    found = {str(row["r"]).lower() for row in there}
    held = rights(server)
    return dict(
        variables=read_variables(server),
        configuration=configuration,
        configuration_refused=refused,
        missing_procedures=[procedure for procedure in wanted if procedure not in found],
        replication=read_replication(server),
        end=_end_row(server),
        sessions=look_at_sessions(server),
        grants=held["grants"],
        account_tables_readable=held["account_tables_readable"],
        offers_tls=server.offers_tls,
        native_plugin=plugin_active(server, "mysql_native_password"),
        events=read_events(server),
        foreign_tables=server.rows(
            "SELECT table_schema AS s, table_name AS n, engine AS e FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND engine IS NOT NULL AND engine NOT IN ('InnoDB', 'PERFORMANCE_SCHEMA')"
            " AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'innodb') ORDER BY table_schema, table_name"
        ),
        keyless_tables=server.rows(
            "SELECT t.table_schema AS s, t.table_name AS n FROM information_schema.tables AS t LEFT JOIN"
            " (SELECT DISTINCT table_schema, table_name FROM information_schema.statistics WHERE index_name = 'PRIMARY') AS k"
            " ON k.table_schema = t.table_schema AND k.table_name = t.table_name WHERE t.table_type = 'BASE TABLE' AND k.table_name IS NULL"
            " AND t.table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'innodb') ORDER BY t.table_schema, t.table_name"
        ),
    )


def _end_row(server: Server) -> dict | None:
    """The row of the end of the log with its filters; None without a log, or without the right to see it."""
    verbs = verbs_of(server.facts.family, server.facts.version)
    if verbs is None:
        return None
    try:
        rows = server.rows(verbs.end)
    except StatementError as e:
        if server.lost(e):
            raise
        return dict(refused=e.problem)
    return rows[0] if rows else None
