# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read what a server holds: schemas, tables, definitions, counts and checksums."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import literal, name

_UNKNOWN_VARIABLE = 1193

# Result key -> query over all schemas; "s" is always the schema. One round trip each, however many tables there are.
_QUERIES = {
    "schemas": "SELECT schema_name AS s, default_character_set_name AS charset, default_collation_name AS collation FROM information_schema.schemata",
    "tables": "SELECT table_schema AS s, table_name AS n, table_type AS t, engine AS e, table_rows AS approximate_rows,"
    " COALESCE(data_length, 0) AS bytes, auto_increment AS ai, table_collation AS collation, row_format AS rf, table_comment AS comment"
    " FROM information_schema.tables",
    "columns": "SELECT table_schema AS s, table_name AS n, ordinal_position AS a, column_name AS b, column_type AS c, is_nullable AS d,"
    " column_default AS e, extra AS f, collation_name AS g, generation_expression AS h, column_comment AS i FROM information_schema.columns"
    " ORDER BY table_schema, table_name, ordinal_position",
    "indexes": "SELECT table_schema AS s, table_name AS n, index_name AS a, seq_in_index AS b, column_name AS c, non_unique AS d, sub_part AS e,"
    " index_type AS f, collation AS g FROM information_schema.statistics ORDER BY table_schema, table_name, index_name, seq_in_index",
    "foreign_keys": "SELECT table_schema AS s, table_name AS n, constraint_name AS a, column_name AS b, referenced_table_schema AS c,"
    " referenced_table_name AS d, referenced_column_name AS e FROM information_schema.key_column_usage"
    " WHERE referenced_table_name IS NOT NULL ORDER BY table_schema, table_name, constraint_name, ordinal_position",
    "views": "SELECT table_schema AS s, table_name AS n, view_definition AS body, definer, security_type AS a, check_option AS b"
    " FROM information_schema.views",
    "routines": "SELECT routine_schema AS s, routine_name AS n, routine_type AS t, routine_definition AS body, definer, dtd_identifier AS a,"
    " is_deterministic AS b, sql_data_access AS c, security_type AS d, sql_mode AS e FROM information_schema.routines",
    "parameters": "SELECT specific_schema AS s, specific_name AS n, routine_type AS t, ordinal_position AS a, parameter_mode AS b, parameter_name AS c,"
    " dtd_identifier AS d FROM information_schema.parameters ORDER BY specific_schema, specific_name, routine_type, ordinal_position",
    "triggers": "SELECT trigger_schema AS s, trigger_name AS n, action_statement AS body, definer, event_object_table AS a, event_manipulation AS b,"
    " action_timing AS c, action_order AS d, sql_mode AS e FROM information_schema.triggers",
    "events": "SELECT event_schema AS s, event_name AS n, event_definition AS body, definer, event_type AS a, execute_at AS b, interval_value AS c,"
    " interval_field AS d, starts AS f, ends AS g, status AS h, on_completion AS i, time_zone AS j FROM information_schema.events",
}


def read_catalog(server: Server) -> dict[str, list[dict]]:
    """The rows of every query above, and the accounts' names (None if they may not be read)."""
    try:
        server.execute("SET SESSION information_schema_stats_expiry = 0")  # MySQL 8 caches AUTO_INCREMENT and sizes for a day
    except StatementError as e:
        if e.code != _UNKNOWN_VARIABLE:
            raise
    catalog: dict = {part: server.rows(query) for part, query in _QUERIES.items()}
    table = "mysql.global_priv" if server.facts.can("account_json") else "mysql.user"
    try:
        catalog["accounts"] = [f"{row['user']}@{row['host']}" for row in server.rows(f"SELECT User, Host FROM {table}")]
    except StatementError as e:
        if server.lost(e):
            raise
        catalog["accounts"] = None
    return catalog


def measure(server: Server, tables: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[int | None, int | None]]:
    """``(rows, checksum)`` of each table in two round trips; None where the server can not tell (a damaged table, a missing right)."""
    try:
        return _measure_together(server, tables)
    except StatementError as e:
        if server.lost(e):
            raise
        if len(tables) == 1:
            return {tables[0]: (None, None)}
    result: dict = {}
    for table in tables:
        result.update(measure(server, [table]))
    return result


def _measure_together(server: Server, tables: list[tuple[str, str]]) -> dict:
    names = [f"{name(schema)}.{name(table)}" for schema, table in tables]
    counts = server.rows(" UNION ALL ".join(f"SELECT {number} AS i, COUNT(*) AS n FROM {table}" for number, table in enumerate(names)))
    by_number = {int(row["i"]): int(row["n"]) for row in counts}
    sums = server.rows(f"CHECKSUM TABLE {', '.join(names)}")
    return {
        table: (by_number[number], None if sums[number]["checksum"] is None else int(sums[number]["checksum"]))
        for number, table in enumerate(tables)
    }


def digest_rows(server: Server, tables: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[int | None, int | None]]:
    """``(rows, digest)`` of each table from the values of its rows, whatever their order; None where the server can not tell.

    Slower than CHECKSUM TABLE, and right where that is not: on MariaDB 10.11 it gives another result on each server, and after each
    restart, for a table with a stored generated column (tried; equal rows).
    """
    return {table: _digest_of(server, *table) for table in tables}


def _digest_of(server: Server, schema: str, table: str) -> tuple[int | None, int | None]:
    try:
        columns = server.rows(
            f"SELECT column_name AS c FROM information_schema.columns WHERE table_schema = {literal(schema)} AND table_name = {literal(table)}"
            " ORDER BY ordinal_position"
        )
        values = ", ".join(f"IFNULL(HEX(CAST({name(row['c'])} AS BINARY)), '-')" for row in columns)
        # Two halves of a hash by exclusive or, which order does not change, and a sum, which equal pairs of rows do change.
        row = server.rows(
            "SELECT COUNT(*) AS n, COALESCE(BIT_XOR(CAST(CONV(LEFT(h, 16), 16, 10) AS UNSIGNED)), 0) AS a,"
            " COALESCE(BIT_XOR(CAST(CONV(RIGHT(h, 16), 16, 10) AS UNSIGNED)), 0) AS b, COALESCE(SUM(CRC32(h)), 0) AS c,"
            " COALESCE(SUM(h IS NULL), 0) AS too_long"
            f" FROM (SELECT SHA2(CONCAT_WS(',', {values}), 256) AS h FROM {name(schema)}.{name(table)}) AS hashed"
        )[0]
    except StatementError as e:
        if server.lost(e):
            raise
        return None, None
    if int(row["too_long"]):
        return None, None  # rows beyond max_allowed_packet have no hash: nothing is known of them
    return int(row["n"]), hash((int(row["a"]), int(row["b"]), int(row["c"])))
