# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read tables and indexes of all databases of a PostgreSQL server through, for their blocks to be on the volume and in memory."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.postgresql import Server, in_each_database
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.warm_up import Part

_TIME_IS_UP = "57014"
# Since when a range of pages can be asked for in SQL without reading the whole table (release notes of PostgreSQL 14: TID range scans).
_RANGES_SINCE = 140000
# A scan over an index would leave the table alone. Nothing may be written.
_SETTINGS = {"default_transaction_read_only": "on", "enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_bitmapscan": "off"}


class Session:
    """One connection to each database that is asked for, of the same login."""

    def __init__(self, server: Server):
        self.server = server
        self.label = server.label
        self._databases: dict[str, Server] = {}

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for server in (*self._databases.values(), self.server):
            server.close()

    def database(self, name: str) -> Server:
        """The connection to that database."""
        if name not in self._databases:
            self._databases[name] = self.server.in_database(name)
            _set(self._databases[name], _SETTINGS)
        return self._databases[name]


def _set(server: Server, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        server.rows("SELECT set_config(%(name)s, %(value)s, false)", dict(name=name, value=value))


def another(session: Session) -> Session:
    """One more session with the same login."""
    return Session(session.server.in_database(session.server.rows("SELECT current_database() AS name")[0]["name"]))


def begin(session: Session) -> None:
    """The session writes nothing."""
    _set(session.server, _SETTINGS)


def tables(session: Session) -> list[dict]:
    """Tables and materialised views of all databases: ``schema`` (behind its database), ``table``, ``bytes``, ``indexes`` (oid to bytes), ``place``.

    :return: Without unlogged tables, which a copy has lost and a replica does not show. ``indexes`` has the table of values that are stored outside of
        the rows, too; both only where ``pg_prewarm`` can read them. ``place`` is database, oid, quoted name, ``pg_prewarm``'s quoted name or None, and
        the number of pages in which a range can be read.
    """
    answers, _blind = in_each_database(session.server, _tables_of)
    return [
        dict(row, schema=f"{database}.{row['schema']}", place=(database, *row["place"])) for database, rows in answers.items() for row in rows
    ]


def _tables_of(database: Server) -> list[dict]:
    found = database.rows(
        "SELECT format('%%I.pg_prewarm', nspname) AS name FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = extnamespace"
        " WHERE extname = 'pg_prewarm'",
        {},
    )
    prewarm = found[0]["name"] if found else None
    facts = database.rows("SELECT current_setting('server_version_num')::int AS version, current_setting('block_size')::int AS page")[0]
    indexes: dict[int, dict[str, int]] = {}
    if prewarm:
        for row in database.rows(
            "SELECT indrelid AS of, indexrelid AS oid, pg_relation_size(indexrelid) AS bytes FROM pg_catalog.pg_index UNION ALL"
            " SELECT oid, reltoastrelid, pg_relation_size(reltoastrelid) FROM pg_catalog.pg_class"
            " WHERE reltoastrelid <> 0 AND has_table_privilege(reltoastrelid, 'SELECT')"
        ):
            indexes.setdefault(row["of"], {})[str(row["oid"])] = row["bytes"]
    rows = database.rows(
        "SELECT c.oid, nspname, relname, format('%%I.%%I', nspname, relname) AS name, pg_relation_size(c.oid) AS bytes FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace WHERE relkind IN ('r', 'm') AND relpersistence = 'p'"
        " AND nspname NOT IN ('pg_catalog', 'information_schema') AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')",
        {},
    )
    ranges = prewarm is not None or facts["version"] >= _RANGES_SINCE
    return [
        dict(
            schema=row["nspname"],
            table=row["relname"],
            bytes=row["bytes"],
            indexes=indexes.get(row["oid"], {}),
            place=(row["oid"], row["name"], prewarm, row["bytes"] // facts["page"] if ranges else 0),
        )
        for row in rows
    ]


def bounds(_session: Session, table: dict) -> tuple[int, int] | None:
    """The first and the last page; None where pages cannot be asked for, or there are none."""
    pages = table["place"][-1]
    return (0, pages - 1) if pages else None


def read(session: Session, part: Part, seconds: float) -> bool:
    """Whether that part was read to its end within so many seconds; the server itself ends a statement that takes longer."""
    name, oid, table, prewarm, _pages = part.place
    database = session.database(name)
    _set(database, {"statement_timeout": str(max(1, int(seconds * 1000)))})
    low, high = ("NULL" if edge is None else str(int(edge)) for edge in (part.low, part.high))
    if part.index is not None:
        query = f"SELECT {prewarm}({int(part.index)}::oid::regclass, 'read')"
    elif prewarm:
        query = f"SELECT {prewarm}({int(oid)}::oid::regclass, 'read', 'main', {low}, {high} - 1)"
    else:
        edges = [f"ctid {sign} '({int(edge)},0)'::tid" for sign, edge in ((">=", part.low), ("<", part.high)) if edge is not None]
        query = f"SELECT count(*) FROM ONLY {table}{' WHERE ' + ' AND '.join(edges) if edges else ''}"
    try:
        database.rows(query)
        return True
    except StatementError as e:
        if e.code == _TIME_IS_UP:
            return False
        raise


def touch(session: Session, part: Part, position: int) -> None:
    """One row was read: the first of that page."""
    database = session.database(part.place[0])
    database.rows(f"SELECT 1 FROM ONLY {part.place[2]} WHERE ctid = '({int(position)},1)'::tid")
