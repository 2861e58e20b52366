# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read what a server holds: schemas, tables, definitions, counts, checksums, and what was written lately."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import literal, name

_UNKNOWN_VARIABLE = 1193

# Result key -> query over all schemas; "s" is always the schema. One round trip each, however many tables there are.
_QUERIES = {
    "schemas": "SELECT schema_name AS s, default_character_set_name AS charset, default_collation_name AS collation FROM information_schema.schemata",
    "tables": "SELECT table_schema AS s, table_name AS n, table_type AS t, engine AS e, table_rows AS approximate_rows,"
    " COALESCE(data_length, 0) AS bytes, auto_increment AS ai, table_collation AS collation, row_format AS rf, table_comment AS comment,"
    " update_time AS written FROM information_schema.tables",
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
    " interval_field AS d, starts AS f, ends AS g, status AS state, on_completion AS i, time_zone AS j FROM information_schema.events",
}


def read_catalog(server: Server) -> dict[str, list[dict]]:
    """The rows of every query above, and the accounts' names (None if they may not be read)."""
    see_fresh_statistics(server)
    catalog: dict = {part: server.rows(query) for part, query in _QUERIES.items()}
    table = "mysql.global_priv" if server.facts.can("account_json") else "mysql.user"
    try:
        catalog["accounts"] = [f"{row['user']}@{row['host']}" for row in server.rows(f"SELECT User, Host FROM {table}")]
    except StatementError as e:
        if server.lost(e):
            raise
        catalog["accounts"] = None
    return catalog


def see_fresh_statistics(server: Server) -> None:
    """The session's catalogue tells sizes and times of now."""
    try:
        server.execute("SET SESSION information_schema_stats_expiry = 0")  # MySQL 8 caches AUTO_INCREMENT, sizes and times for a day
    except StatementError as e:
        if e.code != _UNKNOWN_VARIABLE:
            raise


def last_writes(server: Server) -> dict[str, tuple]:
    """``schema.table`` to when it was made and when it was last written to, as the server remembers.

    InnoDB notes the second of the last commit of each table, and forgets it when it stops (MySQL manual, "SHOW TABLE STATUS", Update_time;
    tried on MySQL 9.7 and MariaDB 10.11, partitioned tables too). A write in the same second would leave it as it is: a table that was written
    to in this or the last second gets an answer that no later one equals.
    """
    see_fresh_statistics(server)
    rows = server.rows(
        "SELECT table_schema AS s, table_name AS n, create_time AS c, update_time AS u,"
        " IF(update_time >= NOW() - INTERVAL 1 SECOND, NOW(6), NULL) AS fresh FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        " AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'innodb', 'tmp')"
    )
    return {f"{row['s']}.{row['n']}": (row["c"], row["u"], row["fresh"]) for row in rows}


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
        return _digest(server, _columns(server, schema, table), f"{name(schema)}.{name(table)}")
    except StatementError as e:
        if server.lost(e):
            raise
        return None, None


def digest_chunk(server: Server, table: tuple[str, str], column: str | None, low: int | None, high: int | None) -> tuple[int | None, int | None]:
    """``(rows, digest)`` of the rows of a table whose column lies in ``[low, high)``; of all rows without a column. None where the server cannot tell."""
    bounds = [f"{name(column)} {sign} {int(bound)}" for sign, bound in ((">=", low), ("<", high)) if column is not None and bound is not None]
    where = " WHERE " + " AND ".join(bounds) if bounds else ""
    try:
        return _digest(server, _columns(server, *table), f"{name(table[0])}.{name(table[1])}{where}")
    except StatementError as e:
        if server.lost(e):
            raise
        return None, None


def _columns(server: Server, schema: str, table: str) -> list[str]:
    rows = server.rows(
        f"SELECT column_name AS c FROM information_schema.columns WHERE table_schema = {literal(schema)} AND table_name = {literal(table)}"
        " ORDER BY ordinal_position"
    )
    return [row["c"] for row in rows]


def _digest(server: Server, columns: list[str], rows: str) -> tuple[int | None, int | None]:
    """``(number, digest)`` of the rows of a table or a derived table."""
    values = ", ".join(f"IFNULL(HEX(CAST({name(column)} AS BINARY)), '-')" for column in columns)
    # Two halves of a hash by exclusive or, which order does not change, and a sum, which equal pairs of rows do change.
    row = server.rows(
        "SELECT COUNT(*) AS n, COALESCE(BIT_XOR(CAST(CONV(LEFT(h, 16), 16, 10) AS UNSIGNED)), 0) AS a,"
        " COALESCE(BIT_XOR(CAST(CONV(RIGHT(h, 16), 16, 10) AS UNSIGNED)), 0) AS b, COALESCE(SUM(CRC32(h)), 0) AS c,"
        " COALESCE(SUM(h IS NULL), 0) AS too_long"
        f" FROM (SELECT SHA2(CONCAT_WS(',', {values}), 256) AS h FROM {rows}) AS hashed"
    )[0]
    if int(row["too_long"]):
        return None, None  # rows beyond max_allowed_packet have no hash: nothing is known of them
    return int(row["n"]), hash((int(row["a"]), int(row["b"]), int(row["c"])))


def key_bounds(server: Server, table: tuple[str, str], column: str) -> tuple[int, int] | None:
    """The smallest and the largest value of a numeric column that leads an index; None for an empty table, or where the server cannot tell."""
    try:
        row = server.rows(f"SELECT MIN({name(column)}) AS low, MAX({name(column)}) AS high FROM {name(table[0])}.{name(table[1])}")[0]
    except StatementError as e:
        if server.lost(e):
            raise
        return None
    return None if row["low"] is None else (int(row["low"]), int(row["high"]))


def next_key(server: Server, table: tuple[str, str], column: str, rows: int, low: int | None) -> int | None:
    """The value of a leading key column so many rows behind another one, and larger than it; None where there are no more.

    :param low: that other value; None: the smallest one.
    """
    source, from_low = f"{name(table[0])}.{name(table[1])}", "" if low is None else f" WHERE {name(column)} >= {int(low)}"
    found = server.rows(f"SELECT {name(column)} AS k FROM {source}{from_low} ORDER BY {name(column)} LIMIT 1 OFFSET {int(rows)}")
    if found and low is not None and int(found[0]["k"]) == low:  # more rows than that have the same value
        found = server.rows(f"SELECT MIN({name(column)}) AS k FROM {source} WHERE {name(column)} > {int(low)}")
    return int(found[0]["k"]) if found and found[0]["k"] is not None else None


def digest_sample(server: Server, table: tuple[str, str], key: tuple[str, ...], starts: tuple[int, ...], size: int) -> tuple | None:
    """``(number, digest)`` of pieces of a table: the first rows by its primary key, the last ones, and those from each start on.

    :param starts: values of the first column of the key.
    :param size: rows of one piece.
    """
    try:
        columns = _columns(server, *table)
        listed, forth, back = (", ".join(name(column) + after for column in names) for names, after in ((columns, ""), (key, ""), (key, " DESC")))
        pieces = [("", forth), ("", back)] + [(f" WHERE {name(key[0])} >= {int(start)}", forth) for start in starts]
        return tuple(
            _digest(server, columns, f"(SELECT {listed} FROM {name(table[0])}.{name(table[1])}{where} ORDER BY {order} LIMIT {int(size)}) AS picked")
            for where, order in pieces
        )
    except StatementError as e:
        if server.lost(e):
            raise
        return None


def within(server: Server, query: str, seconds: float) -> str:
    """The statement ``SELECT query``, which the server itself ends after so many seconds."""
    if server.facts.family == MARIADB:
        return f"SET STATEMENT max_statement_time = {max(0.001, seconds):.3f} FOR SELECT {query}"
    return f"SELECT /*+ MAX_EXECUTION_TIME({max(1, int(seconds * 1000))}) */ {query}"


def count_within(server: Server, table: tuple[str, str], seconds: float) -> int | None:
    """The number of rows of a table, or None if counting takes longer."""
    try:
        return int(server.rows(within(server, f"COUNT(*) AS n FROM {name(table[0])}.{name(table[1])}", seconds))[0]["n"])
    except StatementError as e:
        if server.lost(e):
            raise
        return None
