# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read the grant tables of a server, in a number of round trips that does not grow with the number of accounts; write many at a time."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import Key, privilege_of_column
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import account_name, literal

_NO_PROCEDURE = 1305
_AT_ONCE = 500
_LOCK = "dbre.rds_encryption.mysql_user_sync"
_SECONDS_FOR_LOCK = 60

# Server settings that change what an account means; compared before accounts are.
PRECONDITIONS = (
    "activate_all_roles_on_login",
    "default_password_lifetime",
    "gtid_mode",
    "log_bin",
    "lower_case_table_names",
    "mandatory_roles",
    "partial_revokes",
    "password_history",
    "password_require_current",
    "password_reuse_interval",
    "strict_password_validation",
    "validate_password.policy",
    "validate_password_policy",
)


class AccountWriter(Server):
    """A session that carries out many statements in one round trip, and that no other session writes accounts beside.

    The lock belongs to the very session that writes: when a run dies, its server may still be busy with what it was sent last, and the
    lock is free only after that.
    """

    @classmethod
    def in_place_of(cls, server: Server) -> "AccountWriter":
        """The same login in a new session, connected; the given one is closed.

        :raises RefusedError: if another session is writing accounts and does not end.
        """
        # Only here, where every statement is our own, does the server accept more than one at a time.
        writer = server.successor(cls, several_statements=True)
        server.close()
        writer.connect()
        if not writer.rows(f"SELECT GET_LOCK('{_LOCK}', {_SECONDS_FOR_LOCK}) AS got")[0]["got"]:
            holder = writer.rows(f"SELECT IS_USED_LOCK('{_LOCK}') AS id")[0]["id"]
            writer.close()
            raise RefusedError(
                f"{server.label}: session {holder} of another mysql_user_sync is writing accounts there.",
                done="Nothing was changed.",
                next_step="let the other run finish (or end its session), then run again.",
            )
        return writer

    def send(self, statements: list, oracle_mode: bool) -> tuple[int, StatementError | None]:
        """All statements in one round trip, in order, up to the first that the server refuses: how many were done, and the refusal."""
        secrets = tuple(secret for statement in statements for secret in statement.secrets)
        return self.send_many([statement.text for statement in statements], secrets, oracle_mode)

    def existing(self, keys: list[Key]) -> set[Key]:
        """Those of the accounts that exist now."""
        if self.facts.can("account_json"):
            rows = self.rows("SELECT User, Host, JSON_VALUE(Priv, '$.is_role') AS is_role FROM mysql.global_priv")
        else:
            rows = self.rows("SELECT User, Host, NULL AS is_role FROM mysql.user")
        found = {(row["user"] or "", row["host"] or "", bool(int(row["is_role"] or 0))) for row in rows}
        return found.intersection(keys)


def read_account_tables(server: Server) -> dict[str, list[dict]]:
    """The rows of all grant tables, as ``accounts_from`` takes them.

    :raises EncryptionError: if the login may not read them, or the server is too old.
    """
    problem = server.facts.unsupported()
    if problem:
        raise EncryptionError(f"{problem}.", next_step="leave the accounts of this server to another tool (the option that skips accounts).")
    try:
        return _read(server)
    except StatementError as e:
        if e.code in (1044, 1142, 1143):
            raise EncryptionError(f"{e.problem}: the login may not read the grant tables.", next_step="GRANT SELECT ON mysql.* to it.") from None
        raise


def _read(server: Server) -> dict[str, list[dict]]:
    can = server.facts.can
    columns: dict[str, list[str]] = {}
    for row in server.rows(
        "SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = 'mysql' AND table_name IN ('user', 'db')"
        " ORDER BY ordinal_position"
    ):
        columns.setdefault(row["t"], []).append(row["c"])
    tables = {
        "db": server.rows(f"SELECT User, Host, Db, {_privileges(columns['db'])} AS privileges FROM mysql.db"),
        "tables_priv": server.rows("SELECT User, Host, Db, Table_name, Table_priv FROM mysql.tables_priv WHERE Table_priv <> ''"),
        "columns_priv": server.rows("SELECT User, Host, Db, Table_name, Column_name, Column_priv FROM mysql.columns_priv"),
        "procs_priv": server.rows("SELECT User, Host, Db, Routine_name, Routine_type, Proc_priv FROM mysql.procs_priv"),
        "proxies_priv": server.rows("SELECT User, Host, Proxied_user, Proxied_host, With_grant FROM mysql.proxies_priv"),
    }
    if can("account_json"):
        tables["global_priv"] = server.rows("SELECT User, Host, Priv FROM mysql.global_priv")
        tables["roles_mapping"] = server.rows("SELECT User, Host, Role, Admin_option FROM mysql.roles_mapping")
        server.execute("SET SESSION group_concat_max_len = 1048576")
        tables["user_privileges"] = server.rows(
            "SELECT grantee, GROUP_CONCAT(privilege_type) AS privileges, MAX(is_grantable) AS grantable"
            " FROM information_schema.user_privileges GROUP BY BINARY grantee"
        )
        tables["role_grants"] = _role_grants(server)
        return tables
    wanted = [c for c in columns["user"] if not c.lower().endswith("_priv") and c.lower() != "authentication_string"]
    tables["user"] = server.rows(f"SELECT {', '.join(wanted)}, HEX(authentication_string) AS authentication_hex FROM mysql.user")
    tables["global"] = server.rows(f"SELECT User, Host, {_privileges(columns['user'])} AS privileges FROM mysql.user")
    if can("role_edges"):
        tables["role_edges"] = server.rows("SELECT From_user, From_host, To_user, To_host, With_admin_option FROM mysql.role_edges")
        tables["default_roles"] = server.rows("SELECT User, Host, Default_role_user, Default_role_host FROM mysql.default_roles")
    if can("dynamic_privileges"):
        tables["global_grants"] = server.rows("SELECT User, Host, Priv, With_grant_option FROM mysql.global_grants")
    return tables


def _privileges(columns: list[str]) -> str:
    """An expression for the comma-separated names of the privileges whose columns hold ``Y``."""
    pieces = [f"IF({c} = 'Y', '{privilege_of_column(c)}', NULL)" for c in columns if c.lower().endswith("_priv")]
    return f"CONCAT_WS(',', {', '.join(pieces)})"


def _role_grants(server: Server) -> list[dict]:
    # information_schema.user_privileges leaves roles out, and the bit mask of global_priv means what the version that wrote it says.
    # Roles with global privileges are few; their own line of SHOW GRANTS is the server's word.
    found = []
    for row in server.rows(
        "SELECT User FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.is_role') = 1 AND CAST(JSON_VALUE(Priv, '$.access') AS UNSIGNED) <> 0"
    ):
        role = row["user"]
        quoted = account_name(role, "", is_role=True)
        found += [dict(role=role, quoted=quoted, line=str(next(iter(line.values())))) for line in server.rows(f"SHOW GRANTS FOR {quoted}")]
    return found


def read_preconditions(server: Server) -> dict:
    """Server settings that change what an account means, active plugins, and what the login may do (``SHOW GRANTS``)."""
    names = ", ".join(f"'{name}'" for name in PRECONDITIONS)
    variables = {row["variable_name"].lower(): row["value"] for row in server.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")}
    plugins = server.rows(
        "SELECT plugin_name, plugin_type FROM information_schema.plugins"
        " WHERE plugin_type IN ('AUTHENTICATION', 'PASSWORD VALIDATION') AND plugin_status = 'ACTIVE'"
    )
    validates = any(row["plugin_type"] == "PASSWORD VALIDATION" for row in plugins)
    return dict(
        variables=variables,
        plugins=frozenset(row["plugin_name"] for row in plugins if row["plugin_type"] == "AUTHENTICATION"),
        validates_passwords=validates or any(name in variables for name in ("validate_password.policy", "validate_password_policy")),
        grants=[str(next(iter(row.values()))) for row in server.rows("SHOW GRANTS")],
    )


def read_objects(server: Server, tables: set, columns: set, routines: set) -> set:
    """Those of the named objects that exist: ``(schema, table)``, ``(schema, table, column)``, ``(level, schema, routine)``.

    :param columns: asked for by their table.
    """
    found: set = set()
    for chunk in _chunks({each[:2] for each in tables | columns}):
        found.update(
            (row["s"], row["n"])
            for row in server.rows(
                "SELECT table_schema AS s, table_name AS n FROM information_schema.tables WHERE (table_schema, table_name) IN " + _tuples(chunk)
            )
        )
    for chunk in _chunks({(schema, table) for schema, table, unused in columns}):
        found.update(
            (row["s"], row["n"], row["c"])
            for row in server.rows(
                "SELECT table_schema AS s, table_name AS n, column_name AS c FROM information_schema.columns"
                " WHERE (table_schema, table_name) IN " + _tuples(chunk)
            )
        )
    for chunk in _chunks({(schema, routine) for unused, schema, routine in routines}):
        found.update(
            (row["t"].lower(), row["s"], row["n"].lower())
            for row in server.rows(
                "SELECT routine_type AS t, routine_schema AS s, routine_name AS n FROM information_schema.routines"
                " WHERE (routine_schema, routine_name) IN " + _tuples(chunk)
            )
        )
    return found


def _chunks(names: set):
    ordered = sorted(names)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _tuples(names: list[tuple]) -> str:
    return "(" + ", ".join("(" + ", ".join(literal(part) for part in row) + ")" for row in names) + ")"


def read_configuration(server: Server) -> dict[str, str | None] | None:
    """The settings of ``mysql.rds_show_configuration`` by name; None on a server that has no such procedure."""
    try:
        rows = server.execute("CALL mysql.rds_show_configuration")
    except StatementError as e:
        if e.code == _NO_PROCEDURE:
            return None
        raise
    return {str(row["name"]): None if row["value"] is None else str(row["value"]) for row in rows}


def set_configuration(server: Server, name: str, value: str | None) -> None:
    """That setting has that value."""
    server.execute(f"CALL mysql.rds_set_configuration({literal(name)}, {'NULL' if value is None else literal(value)})")
