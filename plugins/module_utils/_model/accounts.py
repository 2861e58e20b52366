# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The canonical form of a database account: two accounts are equal if and only if their canonical forms are.

Built from the rows of the grant tables, never from ``SHOW`` output, which hides second passwords, escapes wrongly and cannot be split
reliably (tried on MySQL 9.7 and MariaDB 10.11).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB, ServerFacts

Key = tuple[str, str, bool]  # user, host, is_role; is_role is always False on MySQL
# A grant: (level, schema, object, column, privilege). Levels: global, dynamic, dynamic option, schema, table, column, procedure,
# function, package, package body. GRANT OPTION is an element of its own; of a dynamic privilege it is the level "dynamic option".
Grant = tuple[str, str, str, str, str]

GRANT_OPTION = "GRANT OPTION"
ROUTINE_LEVELS = ("procedure", "function", "package", "package body")

# What SHOW GRANTS of MariaDB abbreviates as ALL PRIVILEGES for a role (of users the names are known), by the version that brought the name.
_ALL_OF_MARIADB = {
    (10, 4): "SELECT,INSERT,UPDATE,DELETE,CREATE,DROP,RELOAD,SHUTDOWN,PROCESS,FILE,REFERENCES,INDEX,ALTER,SHOW DATABASES,SUPER,CREATE TEMPORARY TABLES,"
    "LOCK TABLES,EXECUTE,REPLICATION SLAVE,REPLICATION CLIENT,CREATE VIEW,SHOW VIEW,CREATE ROUTINE,ALTER ROUTINE,CREATE USER,EVENT,TRIGGER,"
    "CREATE TABLESPACE,DELETE HISTORY",
    (10, 5, 2): "SET USER,FEDERATED ADMIN,CONNECTION ADMIN,READ_ONLY ADMIN,REPLICATION SLAVE ADMIN,REPLICATION MASTER ADMIN,BINLOG ADMIN,BINLOG REPLAY",
    (10, 5, 9): "SLAVE MONITOR",
    (11, 3): "SHOW CREATE ROUTINE",
}

# Columns of the grant tables whose name is not the privilege's with blanks for underscores.
_COLUMN_PRIVILEGES = {
    "create tmp table": "CREATE TEMPORARY TABLES",
    "show db": "SHOW DATABASES",
    "repl slave": "REPLICATION SLAVE",
    "repl client": "REPLICATION CLIENT",
    "grant": GRANT_OPTION,
}
# Words of the SET columns, and names that one server prints and another accepts only as a synonym.
_SYNONYMS = {
    "GRANT": GRANT_OPTION,
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
    "BINLOG MONITOR": "REPLICATION CLIENT",
}
_TLS_TYPES = ("NONE", "ANY", "X509", "SPECIFIED")


@dataclass(frozen=True, slots=True)
class Account:
    """One account or role. Every field but the three of the key is compared.

    :param auth: ``(plugin, hash as hex)``; MySQL: the factors in order; MariaDB: the alternatives in order.
    :param auth_old: MySQL's second password as hex.
    :param tls: ``(type, cipher, issuer, subject)``.
    :param limits: questions, updates, connections, user connections (all an hour, but the last), statement time in seconds.
    :param lifetime: None is the server's default, 0 never, else days.
    :param attributes: the user's JSON as sorted text, None if there is none.
    """

    user: str
    host: str
    is_role: bool = False
    auth: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    auth_old: str | None = field(default=None, repr=False)
    tls: tuple[str, str, str, str] = ("NONE", "", "", "")
    limits: tuple[int, int, int, int, float] = (0, 0, 0, 0, 0.0)
    locked: bool = False
    expired: bool = False
    lifetime: int | None = None
    reuse_history: int | None = None
    reuse_days: int | None = None
    require_current: str | None = None
    failed_login: tuple[int, int] | None = None
    attributes: str | None = None
    grants: frozenset = frozenset()
    restrictions: frozenset = frozenset()
    roles: frozenset = frozenset()
    default_roles: frozenset = frozenset()
    proxies: frozenset = frozenset()

    @property
    def key(self) -> Key:
        """What names the account."""
        return (self.user, self.host, self.is_role)

    @property
    def looks_like_role(self) -> bool:
        """Whether ``CREATE ROLE`` makes it: MariaDB's flag; on MySQL locked, expired and without a password."""
        return self.is_role or (self.locked and self.expired and len(self.auth) == 1 and not self.auth[0][1] and not self.auth_old)


COMPARED = tuple(each.name for each in fields(Account) if each.name not in ("user", "host", "is_role"))
SECRET_FIELDS = ("auth", "auth_old")


def display_name(key: Key) -> str:
    """``'app'@'10.%'``, or the role's name."""
    user, host, is_role = key
    return f"role {user}" if is_role else f"'{user}'@'{host}'"


def differing_fields(one: Account, other: Account) -> list[str]:
    """Names of the fields in which two accounts differ."""
    return [name for name in COMPARED if getattr(one, name) != getattr(other, name)]


def privilege_of_column(column: str) -> str:
    """``Select_priv`` -> ``SELECT``."""
    words = column.lower().removesuffix("_priv").replace("_", " ")
    return _COLUMN_PRIVILEGES.get(words, words.upper())


def privilege_name(word: str) -> str:
    """One name for one privilege, whichever table or server printed it."""
    upper = word.strip().upper()
    return _SYNONYMS.get(upper, upper)


def accounts_from(tables: dict[str, list[dict]], facts: ServerFacts) -> dict[Key, Account]:
    """All accounts of a server by key.

    :param tables: the adapter's ``read_account_tables``: rows with lower-case column names by table.
    """
    base = _mariadb_base(tables) if facts.family == MARIADB else _mysql_base(tables)
    keys = _Keys(base, facts.family)
    grants: dict[Key, set] = {key: set() for key in base}
    roles: dict[Key, set] = {key: set() for key in base}
    default_roles: dict[Key, set] = {key: set() for key in base}
    proxies: dict[Key, set] = {key: set() for key in base}

    same: dict = {}  # thousands of accounts have the same grants: one object for each

    def add(where, row, *elements, user="user", host="host"):
        key = keys.find(row[user] or "", row[host] or "")
        if key is not None:
            where[key].update(same.setdefault(element, element) for element in elements)

    for row in tables.get("global", ()):
        add(grants, row, *(("global", "", "", "", name) for name in _names(row["privileges"])))
    if "user_privileges" in tables:
        printed = {f"'{user}'@'{host}'": key for key in base for user, host, is_role in (key,) if not is_role}
        for row in tables["user_privileges"]:
            key = printed.get(row["grantee"])
            if key is not None:
                names = _names(row["privileges"]) + ([GRANT_OPTION] if row["grantable"] == "YES" else [])
                grants[key].update(("global", "", "", "", name) for name in names)
    for row in tables.get("role_grants", ()):
        grants[(row["role"], "", True)].update(("global", "", "", "", name) for name in _global_line(row["line"], row["quoted"], facts))
    for row in tables.get("global_grants", ()):
        add(grants, row, ("dynamic", "", "", "", row["priv"].upper()))
        if row["with_grant_option"] == "Y":
            add(grants, row, ("dynamic option", "", "", "", row["priv"].upper()))
    for row in tables.get("db", ()):
        add(grants, row, *(("schema", row["db"], "", "", name) for name in _names(row["privileges"])))
    for row in tables.get("tables_priv", ()):
        add(grants, row, *(("table", row["db"], row["table_name"], "", name) for name in _names(row["table_priv"])))
    for row in tables.get("columns_priv", ()):
        add(grants, row, *(("column", row["db"], row["table_name"], row["column_name"], n) for n in _names(row["column_priv"])))
    for row in tables.get("procs_priv", ()):
        level = row["routine_type"].lower()
        add(grants, row, *((level, row["db"], row["routine_name"].lower(), "", name) for name in _names(row["proc_priv"])))
    for row in tables.get("proxies_priv", ()):
        add(proxies, row, (row["proxied_user"] or "", row["proxied_host"] or "", bool(int(row["with_grant"] or 0))))
    for row in tables.get("role_edges", ()):
        edge = (row["from_user"], row["from_host"], row["with_admin_option"] == "Y")
        add(roles, row, edge, user="to_user", host="to_host")
    for row in tables.get("roles_mapping", ()):
        if (row["user"], row["host"]) != facts.current_user:  # whoever creates a role becomes its member and administrator
            add(roles, row, (row["role"], "", row["admin_option"] == "Y"))
    for row in tables.get("default_roles", ()):
        add(default_roles, row, (row["default_role_user"], row["default_role_host"]))

    result = {}
    for key, known in base.items():
        default_role = known.pop("default_role", None)
        if default_role:
            default_roles[key].add((default_role, ""))
        result[key] = Account(
            *key,
            grants=frozenset(grants.pop(key)),
            roles=frozenset(roles.pop(key)),
            default_roles=frozenset(default_roles.pop(key)),
            proxies=frozenset(proxies.pop(key)),
            **known,
        )
    return result


def forgotten_grants(tables: dict[str, list[dict]], accounts: dict[Key, Account]) -> list[str]:
    """Grants on routines that the server has in its memory alone, in words.

    MySQL (9.7) and MariaDB (10.11) write other names than ASCII ones into ``mysql.procs_priv`` as if their bytes were Latin-1. Such a row belongs
    to nobody when the tables are read again, at a restart or in a restored copy.
    """
    found = []
    for row in tables.get("procs_priv", ()):
        key = (_ungarbled(row["user"] or ""), row["host"] or "", False)
        if not (row["user"] or "").isascii() and (row["user"], row["host"], False) not in accounts and key in accounts:
            found.append(
                f"{display_name(key)}: {row['proc_priv'].upper()} ON {row['routine_type'].upper()} {row['db']}.{row['routine_name']} is stored under a "
                "garbled name: the server forgets it at a restart, and no copy has it; grant it again"
            )
    return found


def _ungarbled(text: str) -> str:
    raw = b""
    for character in text:
        try:
            raw += character.encode("cp1252")
        except UnicodeEncodeError:
            raw += character.encode("latin-1", errors="replace")
    return raw.decode("utf-8", errors="replace")


class _Keys:
    """Finds the account that a row of a grant table belongs to."""

    def __init__(self, base, family):
        self._base = base
        self._mariadb = family == MARIADB

    def find(self, user: str, host: str) -> Key | None:
        if self._mariadb and host == "" and (user, "", True) in self._base:
            return (user, "", True)
        key = (user, host, False)
        return key if key in self._base else None  # a row without an account gives nobody anything


def _names(text: str | None):
    return [name for name in map(privilege_name, (text or "").split(",")) if name and name != "USAGE"]


def _global_line(line: str, quoted: str, facts: ServerFacts) -> list[str]:
    """Privileges of the line ``GRANT a, b ON *.* TO `role` [WITH GRANT OPTION]`` if it is about that role itself."""
    head, on_all, tail = line.partition(" ON *.* TO ")
    if not on_all or not head.startswith("GRANT ") or tail not in (quoted, f"{quoted} WITH GRANT OPTION"):
        return []
    names = _names(head[len("GRANT "):])
    if head == "GRANT ALL PRIVILEGES":
        names = [name for since, more in _ALL_OF_MARIADB.items() if facts.version >= since for name in more.split(",")]
    return [*names, *([GRANT_OPTION] if tail != quoted else [])]


def _hex(text: str | None) -> str:
    return (text or "").encode("utf-8", errors="surrogateescape").hex().upper()


def _mysql_base(tables) -> dict[Key, dict]:
    return {(row["user"] or "", row["host"] or "", False): _mysql_account(row) for row in tables["user"]}


def _mysql_account(row) -> dict:
    more = json.loads(row.get("user_attributes") or "null") or {}
    factors = [
        (factor.get("plugin") or "", _hex(factor.get("authentication_string"))) for factor in more.get("multi_factor_authentication") or ()
    ]
    locking = more.get("Password_locking") or {}
    failed_login = (int(locking.get("failed_login_attempts") or 0), int(locking.get("password_lock_time_days") or 0))
    metadata = more.get("metadata")
    return dict(
        auth=((row["plugin"] or "", row["authentication_hex"] or ""), *factors),
        auth_old=_hex(more["additional_password"]) if more.get("additional_password") else None,
        tls=(row["ssl_type"] or "NONE", row["ssl_cipher"] or "", row["x509_issuer"] or "", row["x509_subject"] or ""),
        limits=(*(int(row[name] or 0) for name in ("max_questions", "max_updates", "max_connections", "max_user_connections")), 0.0),
        locked=row["account_locked"] == "Y",
        expired=row["password_expired"] == "Y",
        lifetime=_number(row["password_lifetime"]),
        reuse_history=_number(row.get("password_reuse_history")),
        reuse_days=_number(row.get("password_reuse_time")),
        require_current=row.get("password_require_current") or None,
        failed_login=None if failed_login == (0, 0) else failed_login,
        attributes=json.dumps(metadata, sort_keys=True, ensure_ascii=False) if metadata else None,
        restrictions=frozenset(
            (restriction["Database"], privilege_name(privilege))
            for restriction in more.get("Restrictions") or ()
            for privilege in restriction["Privileges"]
        ),
    )


def _mariadb_base(tables) -> dict[Key, dict]:
    base = {}
    for row in tables["global_priv"]:
        priv = json.loads(row["priv"])
        is_role = bool(priv.get("is_role"))
        base[(row["user"] or "", row["host"] or "", is_role)] = dict(default_role=priv.get("default_role")) if is_role else _mariadb_account(priv)
    return base


def _mariadb_account(priv: dict) -> dict:
    top = (priv.get("plugin") or "mysql_native_password", _hex(priv.get("authentication_string")))
    alternatives = [
        (other["plugin"], _hex(other.get("authentication_string"))) if other.get("plugin") else top for other in priv.get("auth_or") or [{}]
    ]
    lifetime = int(priv.get("password_lifetime", -1))
    return dict(
        auth=tuple(alternatives),
        tls=(
            _TLS_TYPES[int(priv.get("ssl_type") or 0)],
            priv.get("ssl_cipher") or "",
            priv.get("x509_issuer") or "",
            priv.get("x509_subject") or "",
        ),
        limits=(
            *(int(priv.get(name) or 0) for name in ("max_questions", "max_updates", "max_connections", "max_user_connections")),
            float(priv.get("max_statement_time") or 0),
        ),
        locked=bool(priv.get("account_locked")),
        expired=priv.get("password_last_changed") == 0,
        lifetime=None if lifetime == -1 else lifetime,
        default_role=priv.get("default_role"),
    )


def _number(value) -> int | None:
    return None if value is None else int(value)
