# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""A server of a release that nobody can start here: its grant tables, as its manual documents them, answer the real queries.

The tables are SQLite's, attached as ``mysql`` and ``information_schema``, so that a query for a column or a table that the release has
not got fails here as it fails there.
"""

from __future__ import annotations

import sqlite3

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import facts_from

_STATIC = "Select Insert Update Delete Create Drop Reload Shutdown Process File Grant References Index Alter Show_db Super Create_tmp_table Lock_tables"
_STATIC += " Execute Repl_slave Repl_client Create_view Show_view Create_routine Alter_routine Create_user Event Trigger Create_tablespace"
_LIMITS = "ssl_type ssl_cipher x509_issuer x509_subject max_questions max_updates max_connections max_user_connections plugin authentication_string"
_DB = "Select Insert Update Delete Create Drop Grant References Index Alter Create_tmp_table Lock_tables Create_view Show_view Create_routine Alter_routine"
_DB += " Execute Event Trigger"


def _privileges(names: str) -> list[str]:
    return [f"{name}_priv" for name in names.split()]


# Columns of mysql.user by release ("Grant Tables" of the reference manuals 5.6, 5.7, 8.0).
USER_COLUMNS = {
    "5.6.51": ["Host", "User", "Password", *_privileges(_STATIC), *_LIMITS.split(), "password_expired"],
    "5.7.44": ["Host", "User", *_privileges(_STATIC), *_LIMITS.split(), "password_expired", "password_last_changed", "password_lifetime", "account_locked"],
    "8.0.36": [
        "Host", "User", *_privileges(_STATIC), *_LIMITS.split(), "password_expired", "password_last_changed", "password_lifetime", "account_locked",
        "Create_role_priv", "Drop_role_priv", "Password_reuse_history", "Password_reuse_time", "Password_require_current", "User_attributes",
    ],
}  # fmt: skip
_TABLES = {
    "db": ["Host", "Db", "User", *_privileges(_DB)],
    "tables_priv": "Host Db User Table_name Grantor Timestamp Table_priv Column_priv".split(),
    "columns_priv": "Host Db User Table_name Column_name Timestamp Column_priv".split(),
    "procs_priv": "Host Db User Routine_name Routine_type Grantor Proc_priv Timestamp".split(),
    "proxies_priv": "Host User Proxied_host Proxied_user With_grant Grantor Timestamp".split(),
}
_TABLES_OF_8 = {
    "role_edges": "FROM_HOST FROM_USER TO_HOST TO_USER WITH_ADMIN_OPTION".split(),
    "default_roles": "HOST USER DEFAULT_ROLE_HOST DEFAULT_ROLE_USER".split(),
    "global_grants": "USER HOST PRIV WITH_GRANT_OPTION".split(),
}
_DEFAULTS = dict(
    ssl_type="", ssl_cipher="", x509_issuer="", x509_subject="", max_questions=0, max_updates=0, max_connections=0, max_user_connections=0,
    password_expired="N", account_locked="N",
)  # fmt: skip


class RecordedServer:
    """Answers queries from its tables as MySQL of that version."""

    def __init__(self, version: str):
        self.facts = facts_from(version, "Source distribution", label=f"source {version}", current_user=("admin", "%"))
        self.asked: list[str] = []
        self._data = sqlite3.connect(":memory:")
        self._data.row_factory = sqlite3.Row
        self._data.execute("ATTACH ':memory:' AS mysql")
        self._data.execute("ATTACH ':memory:' AS information_schema")
        self._data.create_function("IF", 3, lambda test, yes, no: yes if test else no)
        self._data.create_function("CONCAT_WS", -1, lambda between, *parts: between.join(part for part in parts if part is not None))
        tables = {"user": USER_COLUMNS[version], **_TABLES, **(_TABLES_OF_8 if version.startswith("8") else {})}
        self._data.execute("CREATE TABLE information_schema.columns (table_schema, table_name, column_name, ordinal_position)")
        for table, columns in tables.items():
            self._data.execute(f"CREATE TABLE mysql.{table} ({', '.join(columns)})")
            rows = [("mysql", table, column, number) for number, column in enumerate(columns)]
            self._data.executemany("INSERT INTO information_schema.columns VALUES (?, ?, ?, ?)", rows)
        self._columns = tables

    def add(self, table: str, **row):
        """A row; privilege columns that are not named are ``N``."""
        for column in self._columns[table]:
            if column.endswith("_priv") and table in ("user", "db"):
                row.setdefault(column, "N")
            elif table == "user" and column in _DEFAULTS:
                row.setdefault(column, _DEFAULTS[column])
        self._data.execute(f"INSERT INTO mysql.{table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))

    def rows(self, sql: str) -> list[dict]:
        """As ``Server.rows``."""
        self.asked.append(sql)
        try:
            return [{name.lower(): value for name, value in dict(row).items()} for row in self._data.execute(sql)]
        except sqlite3.Error as e:
            raise StatementError(f"{self.facts.label}: {e}", 1054) from None
