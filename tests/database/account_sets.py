# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Generated sets of accounts: any combination of what an account can have, as statements that make it.

A server refuses some combinations; such a statement is left out by whoever carries the set out.
"""

from __future__ import annotations

import json

from account_torture import text
from hypothesis import strategies as st

USERS = ["app", "o'brien", 'dou"ble', "back`tick", "back\\slash", "Größe", "select", ""]
HOSTS = ["%", "localhost", "10.%", "h_st.example.org"]
ROLES = ["reader", "wri'ter", "bo`ss"]
SCHEMAS = ["shop", "app_db", "app\\_db", "%", "sh%", "no such", "it's", "back\\\\slash"]
SCHEMA_PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES", "LOCK TABLES"]
SCHEMA_PRIVILEGES += ["EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER"]
GLOBAL_PRIVILEGES = [*SCHEMA_PRIVILEGES, "RELOAD", "PROCESS", "FILE", "SHOW DATABASES", "SUPER", "REPLICATION SLAVE", "REPLICATION CLIENT", "CREATE USER"]
TABLE_PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW", "SHOW VIEW", "TRIGGER"]
COLUMNS = ["id", "v", "we,ird", "pa)ren(", "sel ON x TO y"]
DYNAMIC = ["ROLE_ADMIN", "XA_RECOVER_ADMIN", "BACKUP_ADMIN", "CONNECTION_ADMIN", "SYSTEM_VARIABLES_ADMIN"]
SPLIT_OFF = ["BINLOG MONITOR", "BINLOG ADMIN", "BINLOG REPLAY", "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN", "READ_ONLY ADMIN", "DELETE HISTORY"]

words = st.text(st.sampled_from("ab'\"\\`%_;,. \n-é漢"), max_size=8)
some = st.integers(0, 3)


def name(word: str) -> str:
    """A quoted identifier."""
    return "`" + word.replace("`", "``") + "`" if word else "''"


def subset(values, least=0, most=3):
    """A few of them, in any order."""
    return st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True)


@st.composite
def tls(draw) -> str:
    kind = draw(st.sampled_from(["", "", "REQUIRE SSL", "REQUIRE X509", "parts"]))
    if kind != "parts":
        return kind
    parts = [f"{part} {text(draw(words) + 'x')}" for part in draw(subset(["CIPHER", "ISSUER", "SUBJECT"], 1))]
    return "REQUIRE " + " AND ".join(parts)


@st.composite
def limits(draw) -> str:
    words_of = ["MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"]
    chosen = draw(subset(words_of, 0, 4))
    return "WITH " + " ".join(f"{word} {draw(some)}" for word in chosen) if chosen else ""


@st.composite
def mysql_user(draw, who: str) -> list[str]:
    secret = f"Secret-{draw(st.integers(0, 99))}"
    salt = draw(st.lists(st.integers(1, 127), min_size=20, max_size=20))
    hashed = (b"$A$005$" + bytes(salt) + b"Nti.dy1PWOFRGtmXTpk8.mDc1sJNzJKWwZa2WSKKzP9").hex()
    auth = draw(
        st.sampled_from(
            [
                f"IDENTIFIED BY '{secret}'",
                f"IDENTIFIED WITH 'caching_sha2_password' AS 0x{hashed}",
                f"IDENTIFIED WITH 'sha256_password' BY '{secret}'",
                "IDENTIFIED WITH 'auth_socket'",
                "IDENTIFIED WITH 'mysql_no_login'",
                f"IDENTIFIED BY '{secret}' AND IDENTIFIED WITH 'auth_socket'",
                "",
            ]
        )
    )
    policy = [
        draw(st.sampled_from(["", "PASSWORD EXPIRE", "PASSWORD EXPIRE NEVER", "PASSWORD EXPIRE DEFAULT", "PASSWORD EXPIRE INTERVAL 9 DAY"])),
        draw(st.sampled_from(["", "PASSWORD HISTORY 0", "PASSWORD HISTORY 5"])),
        draw(st.sampled_from(["", "PASSWORD REUSE INTERVAL 0 DAY", "PASSWORD REUSE INTERVAL 3 DAY"])),
        draw(st.sampled_from(["", "PASSWORD REQUIRE CURRENT", "PASSWORD REQUIRE CURRENT OPTIONAL"])),
        draw(st.sampled_from(["", "FAILED_LOGIN_ATTEMPTS 2", "FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED", "PASSWORD_LOCK_TIME 2"])),
    ]
    lock = draw(st.sampled_from(["", "ACCOUNT LOCK"]))
    leaves = st.booleans() | st.integers(-(2**53), 2**53) | st.sampled_from([0.5, 1.0, 1e20, "😀"]) | words
    value = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4)
    attribute = json.dumps(draw(st.dictionaries(words, value, max_size=3)), ensure_ascii=False) if draw(st.booleans()) else None
    made = f"CREATE USER {who} {auth} {draw(tls())} {draw(limits())} {' '.join(policy)} {lock}"
    statements = [made + (f" ATTRIBUTE {text(attribute)}" if attribute else "")]
    if draw(st.booleans()):
        statements.append(f"ALTER USER {who} IDENTIFIED BY 'Secret-2' RETAIN CURRENT PASSWORD")
    if draw(st.booleans()):
        statements.append(f"ALTER USER {who} PASSWORD EXPIRE")
    return statements


@st.composite
def mariadb_user(draw, who: str) -> list[str]:
    ways = ["mysql_native_password USING PASSWORD('Secret-1')", "ed25519 USING PASSWORD('Secret-2')", "unix_socket"]
    ways += ["mysql_native_password USING 'invalid'", "mysql_native_password"]
    chosen = draw(subset(ways, 0, 3))
    auth = f"IDENTIFIED VIA {' OR '.join(chosen)}" if chosen else ""
    limit = draw(limits())
    if draw(st.booleans()):
        limit = (limit or "WITH") + f" MAX_STATEMENT_TIME {draw(st.sampled_from(['0.5', '1.25', '30', '0.000001']))}"
    lock = draw(st.sampled_from(["", "ACCOUNT LOCK"]))
    expiry = draw(st.sampled_from(["", "PASSWORD EXPIRE", "PASSWORD EXPIRE NEVER", "PASSWORD EXPIRE INTERVAL 9 DAY"]))
    statements = [f"CREATE USER {who} {auth} {draw(tls())} {limit} {lock} {expiry}"]
    if draw(st.booleans()):
        statements.append(f"ALTER USER {who} PASSWORD EXPIRE")
    return statements


@st.composite
def grants(draw, family: str, who: str) -> list[str]:
    statements = []

    def give(privileges, place, option=None):
        option = draw(st.booleans()) if option is None else option
        if privileges or option:
            statements.append(f"GRANT {', '.join(privileges) or 'USAGE'} ON {place} TO {who}{' WITH GRANT OPTION' if option else ''}")

    for level in draw(st.lists(st.sampled_from(["global", "more", "schema", "schema", "table", "routine", "proxy"]), max_size=4)):
        if level == "global":
            give(draw(subset(GLOBAL_PRIVILEGES)), "*.*")
        elif level == "more":
            give(draw(subset(DYNAMIC if family == "mysql" else SPLIT_OFF, 1)), "*.*")
        elif level == "schema":
            privileges = ["ALL"] if draw(st.integers(0, 5)) == 0 else draw(subset(SCHEMA_PRIVILEGES))
            give(privileges, f"{name(draw(st.sampled_from(SCHEMAS)))}.*")
        elif level == "table":
            privileges = draw(subset(TABLE_PRIVILEGES))
            for privilege in draw(subset(["SELECT", "INSERT", "UPDATE", "REFERENCES"], 0, 2)):
                privileges.append(f"{privilege} ({', '.join(map(name, draw(subset(COLUMNS, 1))))})")
            give(privileges, draw(st.sampled_from(["shop.orders", "shop.Orders2", "shop.open_orders"])))
        elif level == "routine" and who.isascii():  # both families garble other names in procs_priv, and forget them
            routine = draw(st.sampled_from(["PROCEDURE shop.same", "FUNCTION shop.same", "PROCEDURE shop.MixedCase"]))
            give(draw(subset(["EXECUTE", "ALTER ROUTINE"])), routine)
        elif level == "proxy":
            proxied = draw(st.sampled_from(["''@''" if family == "mysql" else "''@'%'", "app@'%'", "nobody@'%'"]))
            statements.append(f"GRANT PROXY ON {proxied} TO {who}{draw(st.sampled_from(['', ' WITH GRANT OPTION']))}")
    return statements


@st.composite
def account_sets(draw, family: str) -> list[str]:
    """Statements that make up to five users and three roles."""
    users = [f"{name(user)}@{name(host)}" for user, host in draw(st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from(HOSTS)), max_size=5, unique=True))]
    hosts = {"mysql": ["@'%'", "@localhost", "@'%'"], "mariadb": [""] * 3}[family]
    roles = [f"{name(role)}{host}" for role, host in zip(ROLES, hosts, strict=True)][: draw(some)]
    statements = [f"CREATE ROLE {role}" for role in roles]
    for user in users:
        statements += draw(mysql_user(user) if family == "mysql" else mariadb_user(user))
    for who in [*users, *roles]:
        statements += draw(grants(family, who))
    for who in [*users, *roles]:
        given = draw(subset(roles)) if roles else []
        for role in given:
            statements.append(f"GRANT {role} TO {who}{draw(st.sampled_from(['', ' WITH ADMIN OPTION']))}")
        if given and who in users and draw(st.booleans()):
            if family == "mysql":
                statements.append(f"ALTER USER {who} DEFAULT ROLE {', '.join(given)}")
            else:
                statements.append(f"SET DEFAULT ROLE {given[0]} FOR {who}")
    if family == "mysql":
        for who in draw(st.lists(st.sampled_from(users), max_size=2)) if users else []:
            privileges = ", ".join(draw(subset(["SELECT", "INSERT", "UPDATE"], 1)))
            statements.append(f"GRANT {privileges} ON *.* TO {who}")
            statements.append(f"REVOKE {privileges} ON {name(draw(st.sampled_from(['mysql', 'shop', 'no such'])))}.* FROM {who}")
    elif draw(st.booleans()):
        statements.append("GRANT SELECT ON app_db.* TO PUBLIC")
    return statements
