# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read tables and indexes of a MySQL or MariaDB server through, for their blocks to be on the volume and in the buffer pool."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_catalog import key_bounds, see_fresh_statistics, within
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import name
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.warm_up import Part

# ER_QUERY_TIMEOUT (MySQL), ER_STATEMENT_TIMEOUT (MariaDB).
_TIME_IS_UP = (3024, 1969)
_WHOLE_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_SYSTEM = "('mysql', 'sys', 'information_schema', 'performance_schema', 'innodb', 'tmp')"


def another(server: Server) -> Server:
    """One more connection with the same login."""
    return server.successor(Server).connect()


def begin(server: Server) -> None:
    """The session writes nothing."""
    server.execute("SET SESSION TRANSACTION READ ONLY")


def tables(server: Server) -> list[dict]:
    """InnoDB's tables: ``schema``, ``table``, ``bytes``, ``indexes`` (name to bytes), ``place``.

    :return: ``place`` is the first column of the primary key where it holds whole numbers, else None, and the columns whose values are stored
        outside of the rows. The server knows the size of all secondary indexes together; each is given the same part of it.
    """
    see_fresh_statistics(server)
    found = {
        (row["s"], row["n"]): dict(
            schema=row["s"], table=row["n"], bytes=int(row["data"] or 0), of_indexes=int(row["of_indexes"] or 0), indexes={}, key=None, aside=[]
        )
        for row in server.rows(
            "SELECT table_schema AS s, table_name AS n, data_length AS data, index_length AS of_indexes FROM information_schema.tables"
            f" WHERE table_type = 'BASE TABLE' AND engine = 'InnoDB' AND table_schema NOT IN {_SYSTEM}"
        )
    }
    columns = server.rows(
        "SELECT table_schema AS s, table_name AS n, column_name AS c, data_type AS t, extra AS e FROM information_schema.columns"
        f" WHERE table_schema NOT IN {_SYSTEM} ORDER BY table_schema, table_name, ordinal_position"
    )
    whole_numbers = {(row["s"], row["n"], row["c"]) for row in columns if str(row["t"]).lower() in _WHOLE_NUMBERS}
    for row in columns:
        kind = str(row["t"]).lower()
        table = found.get((row["s"], row["n"]))
        if table and (kind.endswith(("blob", "text")) or kind == "json") and "VIRTUAL" not in str(row["e"]).upper():
            table["aside"].append(row["c"])
    for row in server.rows(
        "SELECT table_schema AS s, table_name AS n, index_name AS i, column_name AS c FROM information_schema.statistics"
        f" WHERE seq_in_index = 1 AND index_type = 'BTREE' AND table_schema NOT IN {_SYSTEM}"
    ):
        table = found.get((row["s"], row["n"]))
        if table and row["i"] != "PRIMARY":
            table["indexes"][row["i"]] = 0
        elif table and (row["s"], row["n"], row["c"]) in whole_numbers:
            table["key"] = row["c"]
    for table in found.values():
        together = table.pop("of_indexes")
        table["indexes"] = {index: together // len(table["indexes"]) for index in table["indexes"]}
        table["place"] = (table.pop("key"), tuple(table.pop("aside")))
    return list(found.values())


def bounds(server: Server, table: dict) -> tuple[int, int] | None:
    """The smallest and the largest value of the table's key; None where it is no number."""
    key = table["place"][0]
    return key_bounds(server, (table["schema"], table["table"]), key) if key else None


def read(server: Server, part: Part, seconds: float) -> bool:
    """Whether that part was read to its end within so many seconds; the server itself ends a statement that takes longer.

    ``COUNT(*)`` goes over the index that it is told to take (MySQL manual, "COUNT(expr)"); without any over the clustered one, which holds the
    rows. Values that are stored outside of their row are read only if they are asked for.
    """
    table = f"{name(part.schema)}.{name(part.table)}"
    key, aside = part.place
    asked = ", ".join(["COUNT(*) AS n", *(f"SUM(LENGTH({name(column)}))" for column in aside)])
    if part.index is not None:
        asked, hint = "COUNT(*) AS n", f"FORCE INDEX ({name(part.index)})"
    else:
        # With a range the primary key must be allowed, as the way to where it begins.
        hint = "USE INDEX ()" if part.low is None and part.high is None else "FORCE INDEX (PRIMARY)"
    edges = [f"{name(key)} {sign} {int(edge)}" for sign, edge in ((">=", part.low), ("<", part.high)) if edge is not None]
    where = f" WHERE {' AND '.join(edges)}" if edges else ""
    try:
        server.rows(within(server, f"{asked} FROM {table} {hint}{where}", seconds))
        return True
    except StatementError as e:
        if e.code in _TIME_IS_UP:
            return False
        raise


def touch(server: Server, part: Part, position: int) -> None:
    """One row was read: the first whose key is not below that value."""
    key = name(part.place[0])
    rows = f"SELECT 1 FROM {name(part.schema)}.{name(part.table)} FORCE INDEX (PRIMARY) WHERE {key} >= {int(position)}"
    server.rows(f"{rows} ORDER BY {key} LIMIT 1")
