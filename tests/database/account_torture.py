# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Accounts that break tools, and an independent reading of the grant tables to compare them by.

Nothing here uses the collection's code: what it reads wrongly must show.
"""

from __future__ import annotations

import json

SALT = bytes([0x27, 0x22, 0x5C, 0x0A, 0x09, 0x60, 0x25, 0x0D, 0x1A, 0x3B, 0x27, 0x27, 0x5C, 0x5C, 0x22, 0x7F, 0x01, 0x02, 0x24, 0x2A])
NASTY_SHA2 = (b"$A$005$" + SALT + b"Nti.dy1PWOFRGtmXTpk8.mDc1sJNzJKWwZa2WSKKzP9").hex()

NAMES = ["o'brien", 'double"quote', "back`tick", "pipe|name", "at@sign", "two words", "back\\slash", "select", "Case", "case", "größe", "x" * 32]
HOSTS = ["", "192.168.0.0/255.255.0.0", "10.%", "%.example_.org", "::1", "Host.Example.ORG"]


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


COMMON = [
    "CREATE USER plain@'%' IDENTIFIED BY 'Secret-Plain1'",
    "CREATE USER plain@localhost IDENTIFIED BY 'Secret-Plain2'",
    "CREATE USER `empty`@localhost",
    *[f"CREATE USER {text(name)}@'%' IDENTIFIED BY 'Secret-Name{number}'" for number, name in enumerate(NAMES)],
    *[f"CREATE USER hosted@{text(host)} IDENTIFIED BY 'Secret-Host{number}'" for number, host in enumerate(HOSTS)],
    "CREATE USER ''@localhost IDENTIFIED BY 'Secret-Anonymous'",
    "CREATE USER tls1@'%' IDENTIFIED BY 'Secret-T1' REQUIRE SSL",
    "CREATE USER tls2@'%' IDENTIFIED BY 'Secret-T2' REQUIRE X509",
    "CREATE USER tls3@'%' IDENTIFIED BY 'Secret-T3' REQUIRE SUBJECT '/O=O''Brien \\\\ Co' AND ISSUER '/CN=\"x\"' AND CIPHER 'AES256-SHA'",
    "CREATE USER limits@'%' IDENTIFIED BY 'Secret-L' WITH MAX_QUERIES_PER_HOUR 5 MAX_UPDATES_PER_HOUR 6 MAX_CONNECTIONS_PER_HOUR 7 MAX_USER_CONNECTIONS 8",
    "CREATE USER locked@'%' IDENTIFIED BY 'Secret-Locked' ACCOUNT LOCK",
    "CREATE USER expired@'%' IDENTIFIED BY 'Secret-E1' PASSWORD EXPIRE",
    "CREATE USER never@'%' IDENTIFIED BY 'Secret-E2' PASSWORD EXPIRE NEVER",
    "CREATE USER expnever@'%' IDENTIFIED BY 'Secret-E4' PASSWORD EXPIRE NEVER",
    "ALTER USER expnever@'%' PASSWORD EXPIRE",
    "CREATE USER ninety@'%' IDENTIFIED BY 'Secret-E3' PASSWORD EXPIRE INTERVAL 90 DAY",
    # grants
    "GRANT SELECT, PROCESS, REPLICATION CLIENT, CREATE USER ON *.* TO plain@'%'",
    "GRANT ALL ON *.* TO plain@localhost WITH GRANT OPTION",
    "GRANT USAGE ON *.* TO never@'%' WITH GRANT OPTION",
    "GRANT SELECT ON `app_db`.* TO `o'brien`@'%'",
    "GRANT INSERT ON `app\\_db`.* TO `o'brien`@'%'",
    "GRANT ALL ON `%`.* TO limits@'%'",
    "GRANT USAGE ON shop.* TO tls1@'%' WITH GRANT OPTION",
    "GRANT SELECT, CREATE TEMPORARY TABLES, EVENT ON `sh%`.* TO tls2@'%' WITH GRANT OPTION",
    "GRANT SELECT (`we,ird`, `pa)ren(`), UPDATE (`sel ON x TO y`, id), DELETE ON shop.orders TO tls3@'%' WITH GRANT OPTION",
    "GRANT INSERT (v) ON shop.orders TO ninety@'%'",
    "GRANT SELECT, SHOW VIEW ON shop.open_orders TO locked@'%'",
    "GRANT CREATE, SELECT ON shop.not_yet TO locked@'%'",
    "GRANT SELECT ON shop.Orders2 TO `back``tick`@'%'",
    "GRANT EXECUTE ON PROCEDURE shop.same TO plain@'%'",
    "GRANT ALTER ROUTINE ON FUNCTION shop.same TO plain@'%' WITH GRANT OPTION",
    "GRANT EXECUTE ON PROCEDURE shop.MixedCase TO `Case`@'%'",
    "GRANT PROXY ON plain@'%' TO `case`@'%' WITH GRANT OPTION",
    "GRANT PROXY ON `select`@'%' TO `Case`@'%'",
]

MYSQL = [
    f"CREATE USER nasty@'%' IDENTIFIED WITH 'caching_sha2_password' AS 0x{NASTY_SHA2}",
    "CREATE USER sha@'%' IDENTIFIED WITH 'sha256_password' BY 'Secret-Sha'",
    "CREATE USER socket@localhost IDENTIFIED WITH 'auth_socket'",
    "CREATE USER nologin@'%' IDENTIFIED WITH 'mysql_no_login'",
    "CREATE USER factors@localhost IDENTIFIED BY 'Secret-F' AND IDENTIFIED WITH 'auth_socket'",
    "CREATE USER two@'%' IDENTIFIED BY 'Secret-Two1'",
    "ALTER USER two@'%' IDENTIFIED BY 'Secret-Two2' RETAIN CURRENT PASSWORD",
    "CREATE USER twoexp@'%' IDENTIFIED BY 'Secret-Two3'",
    "ALTER USER twoexp@'%' IDENTIFIED BY 'Secret-Two4' RETAIN CURRENT PASSWORD",
    "ALTER USER twoexp@'%' PASSWORD EXPIRE",
    "CREATE USER cidr@'10.0.0.0/8' IDENTIFIED BY 'Secret-C1'",
    "CREATE USER cidr@'10.0.0.0/255.0.0.0' IDENTIFIED BY 'Secret-C2'",
    "CREATE USER policy0@'%' IDENTIFIED BY 'Secret-P0' PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY PASSWORD REQUIRE CURRENT OPTIONAL",
    "CREATE USER policy5@'%' IDENTIFIED BY 'Secret-P5' PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL 30 DAY PASSWORD REQUIRE CURRENT",
    "CREATE USER fails@'%' IDENTIFIED BY 'Secret-F1' FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED",
    "CREATE USER fails4@'%' IDENTIFIED BY 'Secret-F2' FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 4",
    "CREATE USER attr@'%' IDENTIFIED BY 'Secret-A' ATTRIBUTE '{\"a\": {\"b\": [1, \"it''s 😀\"], \"c\": \"\\\\\\\\\"}, \"z\": false}'",
    "CREATE USER comment@'%' IDENTIFIED BY 'Secret-Co' COMMENT 'it''s a \"comment\"'",
    "CREATE ROLE reader, writer@localhost, boss",
    "GRANT SELECT ON shop.* TO reader",
    "GRANT INSERT ON shop.orders TO writer@localhost",
    "GRANT reader, writer@localhost TO boss",
    "GRANT boss TO plain@'%' WITH ADMIN OPTION",
    "GRANT reader TO plain@'%'",
    "GRANT writer@localhost TO two@'%'",
    "GRANT nologin@'%' TO sha@'%'",
    "ALTER USER plain@'%' DEFAULT ROLE boss, reader",
    "GRANT ROLE_ADMIN ON *.* TO policy0@'%' WITH GRANT OPTION",
    "GRANT XA_RECOVER_ADMIN, BACKUP_ADMIN ON *.* TO policy0@'%'",
    "GRANT SELECT, INSERT, UPDATE ON *.* TO policy5@'%'",
    "REVOKE INSERT, UPDATE ON mysql.* FROM policy5@'%'",
    "REVOKE SELECT ON app_db.* FROM policy5@'%'",
    "GRANT PROXY ON ''@'' TO `o'brien`@'%'",
]

MARIADB = [
    "CREATE USER orlist@localhost IDENTIFIED VIA unix_socket OR ed25519 USING PASSWORD('Secret-Or1') OR mysql_native_password USING PASSWORD('Secret-Or2')",
    "CREATE USER orlist2@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('Secret-Or3') OR ed25519 USING PASSWORD('Secret-Or4')",
    "CREATE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('Secret-Ed')",
    "CREATE USER socket@localhost IDENTIFIED VIA unix_socket",
    "CREATE USER invalid@localhost IDENTIFIED VIA mysql_native_password USING 'invalid' OR unix_socket",
    f"CREATE USER `{'y' * 80}`@'%' IDENTIFIED BY 'Secret-Long'",
    "CREATE USER slow@'%' IDENTIFIED BY 'Secret-Slow' WITH MAX_STATEMENT_TIME 1.25 MAX_USER_CONNECTIONS -1",
    "CREATE USER everything@'%' IDENTIFIED BY 'Secret-Every' REQUIRE X509 WITH MAX_QUERIES_PER_HOUR 1 ACCOUNT LOCK PASSWORD EXPIRE INTERVAL 7 DAY",
    "ALTER USER everything@'%' PASSWORD EXPIRE",
    "CREATE ROLE reader",
    "CREATE ROLE `wri'ter`",
    "CREATE ROLE boss",
    "CREATE ROLE almighty",
    "GRANT ALL ON *.* TO almighty WITH GRANT OPTION",
    "CREATE USER boss@'%' IDENTIFIED BY 'Secret-Boss'",
    "CREATE USER PUBLIC@'%' IDENTIFIED BY 'Secret-Public'",
    "GRANT SELECT ON shop.* TO reader",
    "GRANT PROCESS, BINLOG MONITOR ON *.* TO `wri'ter`",
    "GRANT USAGE ON *.* TO boss WITH GRANT OPTION",
    "GRANT reader TO boss",
    "GRANT `wri'ter` TO boss WITH ADMIN OPTION",
    "GRANT boss TO plain@'%' WITH ADMIN OPTION",
    "GRANT reader TO plain@'%'",
    "SET DEFAULT ROLE boss FOR plain@'%'",
    "GRANT SELECT ON app_db.* TO PUBLIC",
    "GRANT BINLOG ADMIN, SLAVE MONITOR, READ_ONLY ADMIN, SET USER ON *.* TO slow@'%'",
    "GRANT DELETE HISTORY ON shop.* TO slow@'%'",
    "GRANT DELETE HISTORY ON shop.orders TO slow@'%'",
    "GRANT PROXY ON ''@'%' TO `o'brien`@'%'",
]

ACCOUNTS = {"mysql": COMMON + MYSQL, "mariadb": COMMON + MARIADB}

# A few accounts with every phase in them, to be interrupted after each statement.
SHORT = {
    "mysql": [
        "CREATE USER two@'%' IDENTIFIED BY 'Secret-Two1' REQUIRE SSL",
        "ALTER USER two@'%' IDENTIFIED BY 'Secret-Two2' RETAIN CURRENT PASSWORD",
        "CREATE USER twoexp@'%' IDENTIFIED BY 'Secret-Two3'",
        "ALTER USER twoexp@'%' IDENTIFIED BY 'Secret-Two4' RETAIN CURRENT PASSWORD",
        "ALTER USER twoexp@'%' PASSWORD EXPIRE",
        "CREATE ROLE reader, boss",
        "GRANT SELECT ON shop.* TO reader",
        "GRANT reader TO boss",
        "GRANT boss TO two@'%' WITH ADMIN OPTION",
        "ALTER USER two@'%' DEFAULT ROLE boss",
        "GRANT SELECT, INSERT ON *.* TO two@'%'",
        "REVOKE INSERT ON mysql.* FROM two@'%'",
        "GRANT ROLE_ADMIN ON *.* TO two@'%' WITH GRANT OPTION",
        "GRANT SELECT (id), DELETE ON shop.orders TO twoexp@'%' WITH GRANT OPTION",
        "GRANT PROXY ON two@'%' TO twoexp@'%'",
    ],
    "mariadb": [
        "CREATE USER two@'%' IDENTIFIED VIA ed25519 USING PASSWORD('Secret-Two1') OR mysql_native_password USING PASSWORD('x') REQUIRE SSL",
        "CREATE USER twoexp@'%' IDENTIFIED BY 'Secret-Two3' PASSWORD EXPIRE",
        "CREATE ROLE reader",
        "CREATE ROLE boss",
        "GRANT SELECT ON shop.* TO reader",
        "GRANT reader TO boss",
        "GRANT boss TO two@'%' WITH ADMIN OPTION",
        "SET DEFAULT ROLE boss FOR two@'%'",
        "GRANT SELECT, INSERT ON *.* TO two@'%'",
        "GRANT SELECT (id), DELETE ON shop.orders TO twoexp@'%' WITH GRANT OPTION",
        "GRANT PROXY ON two@'%' TO twoexp@'%'",
    ],
}

# What an operator, a half-finished migration or another tool may have done to the target.
DAMAGE = {
    "common": [
        "ALTER USER plain@localhost ACCOUNT LOCK",
        "ALTER USER locked@'%' ACCOUNT UNLOCK",
        "ALTER USER `o'brien`@'%' IDENTIFIED BY 'Another-Password'",
        "ALTER USER expired@'%' IDENTIFIED BY 'Another-Password'",
        "ALTER USER ninety@'%' PASSWORD EXPIRE",
        "ALTER USER tls3@'%' REQUIRE NONE",
        "ALTER USER `empty`@localhost IDENTIFIED BY 'Another-Password'",
        "ALTER USER `empty`@localhost REQUIRE X509 WITH MAX_USER_CONNECTIONS 3",
        "ALTER USER limits@'%' WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 1",
        "ALTER USER never@'%' PASSWORD EXPIRE INTERVAL 3 DAY",
        "GRANT INSERT ON shop.orders TO tls3@'%'",
        "REVOKE UPDATE (id) ON shop.orders FROM tls3@'%'",
        "GRANT UPDATE (v) ON shop.orders TO tls3@'%'",
        "REVOKE GRANT OPTION ON shop.* FROM tls1@'%'",
        "GRANT USAGE ON app_db.* TO `o'brien`@'%' WITH GRANT OPTION",
        "REVOKE INSERT ON `app\\_db`.* FROM `o'brien`@'%'",
        "GRANT EXECUTE ON FUNCTION shop.same TO plain@'%'",
        "REVOKE EXECUTE ON PROCEDURE shop.same FROM plain@'%'",
        "GRANT FILE ON *.* TO `two words`@'%'",
        "REVOKE PROXY ON `select`@'%' FROM `Case`@'%'",
        "GRANT PROXY ON plain@'%' TO `Case`@'%'",
        "DROP USER hosted@'10.%'",
    ],
    "mysql": [
        "ALTER USER two@'%' DISCARD OLD PASSWORD",
        "ALTER USER sha@'%' IDENTIFIED WITH caching_sha2_password BY 'Another-Password'",
        "ALTER USER plain@'%' IDENTIFIED BY 'Another-Password' RETAIN CURRENT PASSWORD",
        "ALTER USER factors@localhost DROP 2 FACTOR",
        "ALTER USER comment@'%' ADD 2 FACTOR IDENTIFIED WITH 'auth_socket'",
        "ALTER USER attr@'%' ATTRIBUTE '{\"surplus\": 1, \"a\": {\"d\": 2}}'",
        "ALTER USER policy0@'%' PASSWORD HISTORY DEFAULT PASSWORD REQUIRE CURRENT DEFAULT",
        "ALTER USER fails@'%' FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0",
        "ALTER USER two@'%' FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME 2",
        "REVOKE ROLE_ADMIN ON *.* FROM policy0@'%'",
        "GRANT BACKUP_ADMIN, CLONE_ADMIN ON *.* TO policy0@'%' WITH GRANT OPTION",
        "GRANT INSERT ON mysql.* TO policy5@'%'",
        "REVOKE INSERT ON shop.* FROM policy5@'%'",
        "ALTER USER plain@'%' DEFAULT ROLE NONE",
        "GRANT reader TO plain@'%' WITH ADMIN OPTION",
        "REVOKE writer@localhost FROM two@'%'",
        "GRANT boss TO two@'%'",
        "ALTER USER two@'%' DEFAULT ROLE boss",
        "DROP ROLE nologin@'%'",
    ],
    "mariadb": [
        "ALTER USER orlist@localhost IDENTIFIED VIA unix_socket",
        "ALTER USER ed@'%' IDENTIFIED BY 'Another-Password'",
        "ALTER USER slow@'%' WITH MAX_STATEMENT_TIME 0",
        "REVOKE ADMIN OPTION FOR boss FROM plain@'%'",
        "GRANT reader TO plain@'%' WITH ADMIN OPTION",
        "GRANT `wri'ter` TO plain@'%'",
        "SET DEFAULT ROLE NONE FOR plain@'%'",
        "REVOKE SELECT ON app_db.* FROM PUBLIC",
        "GRANT BINLOG REPLAY ON *.* TO slow@'%'",
        "REVOKE BINLOG ADMIN ON *.* FROM slow@'%'",
        "GRANT SUPER ON *.* TO reader",
        "REVOKE PROCESS ON *.* FROM `wri'ter`",
    ],
}

_OWN = ("root", "operator", "master", "mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys")
_PLAIN_TABLES = {
    "db": "*",
    "tables_priv": "Host, Db, User, Table_name, Table_priv, Column_priv",
    "columns_priv": "Host, Db, User, Table_name, Column_name, Column_priv",
    "procs_priv": "Host, Db, User, Routine_name, Routine_type, Proc_priv",
    "proxies_priv": "Host, User, Proxied_host, Proxied_user, With_grant",
}


def grant_tables(server) -> dict[str, list[str]]:
    """The grant tables of a server as sorted text, without what may differ between equal accounts."""
    found = {}
    tables = dict(_PLAIN_TABLES)
    if server.family == "mysql":
        tables.update(role_edges="*", default_roles="*", global_grants="*")
        columns = [row["c"] for row in server.run("SELECT column_name AS c FROM information_schema.columns WHERE table_schema='mysql' AND table_name='user'")]
        kept = [c for c in columns if c not in ("authentication_string", "password_last_changed", "User_attributes")]
        rows = server.run(f"SELECT {', '.join(kept)}, HEX(authentication_string) AS secret, User_attributes AS more FROM mysql.user")
        for row in rows:
            row["more"] = json.loads(row["more"] or "{}")
            if not row["more"].get("metadata"):
                row["more"].pop("metadata", None)
            for restriction in row["more"].get("Restrictions", []):
                restriction["Privileges"].sort()
            row["more"].get("Restrictions", []).sort(key=lambda each: each["Database"])
        found["user"] = rows
    else:
        rows = server.run("SELECT Host, User, Priv FROM mysql.global_priv")
        for row in rows:
            priv = json.loads(row.pop("Priv"))
            priv.pop("version_id", None)
            priv["expired"] = priv.pop("password_last_changed", None) == 0
            for name, default in (("ssl_type", 0), ("auth_or", [{}]), ("account_locked", False), ("password_lifetime", -1), ("default_role", "")):
                priv.setdefault(name, default)
            for name in ("max_questions", "max_updates", "max_connections", "max_user_connections", "max_statement_time"):
                priv[name] = float(priv.get(name, 0))
            for name in ("ssl_cipher", "x509_issuer", "x509_subject"):
                priv.setdefault(name, "")
            # Which alternative stands at the top is a matter of writing: the list says what counts.
            top = {"plugin": priv.pop("plugin", ""), "authentication_string": priv.pop("authentication_string", "")}
            priv["auth_or"] = [{"authentication_string": "", **(other or top)} for other in priv["auth_or"]]
            row["priv"] = json.dumps(priv, sort_keys=True)
        # PUBLIC is there with its first grant, and stays when that is revoked
        found["global_priv"] = [row for row in rows if (row["User"], json.loads(row["priv"]).get("access", 0)) != ("PUBLIC", 0)]
        tables["roles_mapping"] = "*"
    for table, columns in tables.items():
        found[table] = server.run(f"SELECT {columns} FROM mysql.{table}")
    return {name: sorted(filter(None, map(_line, rows))) for name, rows in found.items()}


def _line(row: dict) -> str | None:
    lower = {name.lower(): value for name, value in row.items()}
    if "routine_name" in lower:
        lower["routine_name"] = lower["routine_name"].lower()  # names of routines are case-insensitive
    owner = lower.get("to_user", lower.get("user"))
    if owner in _OWN:
        return None
    if set(lower) >= {"db", "select_priv"} and all(value == "N" for name, value in lower.items() if name.endswith("_priv")):
        return None  # a row that gives nothing
    return json.dumps(lower, sort_keys=True, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))


def secrets_of(server) -> set[str]:
    """Every hash that the server stores, as text and as hex."""
    found = set()
    if server.family == "mysql":
        for row in server.run("SELECT HEX(authentication_string) AS h, User_attributes AS more FROM mysql.user"):
            if row["h"]:
                found |= {row["h"], row["h"].lower(), bytes.fromhex(row["h"]).decode("latin1")}
            old = json.loads(row["more"] or "{}").get("additional_password")
            if old:
                found |= {old, old.encode().hex(), old.encode().hex().upper()}
    else:
        for row in server.run("SELECT Priv FROM mysql.global_priv"):
            priv = json.loads(row["Priv"])
            for one in [priv, *priv.get("auth_or", [])]:
                secret = one.get("authentication_string")
                if secret and secret != "invalid":
                    found |= {secret, secret.encode().hex(), secret.encode().hex().upper()}
    return {secret for secret in found if len(secret) > 12}
