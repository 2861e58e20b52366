# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Accounts of MySQL 5.6, 5.7 and 8.0, which cannot be started here, from their documented grant tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fakes.grant_tables import RecordedServer

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_accounts import read_account_tables
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import accounts_from
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_sql import statements_for

NATIVE = "*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29"
SHA2 = "$A$005$" + "'\"\\\n" * 5 + "Nti.dy1PWOFRGtmXTpk8.mDc1sJNzJKWwZa2WSKKzP9"


def app_of(server):
    return accounts_from(read_account_tables(server), server.facts)[("app", "%", False)]


def texts(account, facts):
    return [statement.sql.text for statement in statements_for(account, None, facts)]


def test_mysql_5_6_is_refused_in_words_before_it_is_asked_anything():
    server = RecordedServer("5.6.51")
    server.add("user", User="app", Host="%", Password=NATIVE, plugin="mysql_native_password")
    with pytest.raises(EncryptionError, match=r"runs mysql 5\.6\.51; accounts are read from 5\.7\.6 on") as refused:
        read_account_tables(server)
    assert server.asked == [] and "another tool" in str(refused.value)


def test_mysql_5_7():
    server = RecordedServer("5.7.44")
    server.add(
        "user", User="app", Host="%", plugin="mysql_native_password", authentication_string=NATIVE, ssl_type="SPECIFIED", x509_subject="/O=O'Brien",
        max_user_connections=8, password_lifetime=0, account_locked="Y", password_expired="Y", Process_priv="Y", Grant_priv="Y",
    )  # fmt: skip
    server.add("db", User="app", Host="%", Db="app\\_db", Create_tmp_table_priv="Y")
    server.add("tables_priv", User="app", Host="%", Db="shop", Table_name="orders", Table_priv="Select,Grant", Column_priv="Update")
    server.add("columns_priv", User="app", Host="%", Db="shop", Table_name="orders", Column_name="we,ird", Column_priv="Update")
    server.add("procs_priv", User="app", Host="%", Db="shop", Routine_name="Same", Routine_type="FUNCTION", Proc_priv="Execute")
    server.add("proxies_priv", User="app", Host="%", Proxied_user="other", Proxied_host="%", With_grant=1)
    assert texts(app_of(server), server.facts) == [
        f"CREATE USER `app`@`%` IDENTIFIED WITH 'mysql_native_password' AS '{NATIVE}' REQUIRE SUBJECT '/O=O''Brien'"
        " WITH MAX_USER_CONNECTIONS 8 PASSWORD EXPIRE NEVER ACCOUNT LOCK",
        "GRANT EXECUTE ON FUNCTION `shop`.`same` TO `app`@`%`",
        "GRANT PROCESS ON *.* TO `app`@`%` WITH GRANT OPTION",
        "GRANT CREATE TEMPORARY TABLES ON `app\\_db`.* TO `app`@`%`",
        "GRANT SELECT, UPDATE (`we,ird`) ON `shop`.`orders` TO `app`@`%` WITH GRANT OPTION",
        "GRANT PROXY ON `other`@`%` TO `app`@`%` WITH GRANT OPTION",
        "ALTER USER `app`@`%` PASSWORD EXPIRE",
    ]


def test_mysql_8_0():
    server = RecordedServer("8.0.36")
    more = {"additional_password": "old", "Restrictions": [{"Database": "mysql", "Privileges": ["SELECT"]}], "metadata": {"comment": "it's"}}
    server.add(
        "user", User="app", Host="%", plugin="caching_sha2_password", authentication_string=SHA2, Password_reuse_history=0,
        Password_reuse_time=30, Password_require_current="N", Select_priv="Y", Create_role_priv="Y", User_attributes=json.dumps(more),
    )  # fmt: skip
    server.add("user", User="r", Host="%", plugin="caching_sha2_password", authentication_string="", account_locked="Y", password_expired="Y")
    server.add("role_edges", FROM_USER="r", FROM_HOST="%", TO_USER="app", TO_HOST="%", WITH_ADMIN_OPTION="Y")
    server.add("default_roles", USER="app", HOST="%", DEFAULT_ROLE_USER="r", DEFAULT_ROLE_HOST="%")
    server.add("global_grants", USER="app", HOST="%", PRIV="ROLE_ADMIN", WITH_GRANT_OPTION="N")
    account = app_of(server)
    current = SHA2.encode().hex().upper()
    assert texts(account, server.facts) == [
        "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x6F6C64 PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 30 DAY"
        " PASSWORD REQUIRE CURRENT OPTIONAL ACCOUNT LOCK ATTRIBUTE '{\"comment\": \"it''s\"}'",
        f"ALTER USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x{current} RETAIN CURRENT PASSWORD",
        "GRANT ROLE_ADMIN ON *.* TO `app`@`%`",
        "GRANT CREATE ROLE, SELECT ON *.* TO `app`@`%`",
        "GRANT `r`@`%` TO `app`@`%` WITH ADMIN OPTION",
        "REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
        "ALTER USER `app`@`%` DEFAULT ROLE `r`@`%`",
        "ALTER USER `app`@`%` ACCOUNT UNLOCK",
    ]
    assert statements_for(account, account, server.facts) == []
    assert len(statements_for(account, replace(account, grants=account.grants - {("global", "", "", "", "SELECT")}), server.facts)) == 1


def test_a_table_that_the_login_may_not_read_is_an_error_in_words():
    server = RecordedServer("8.0.36")
    server._data.execute("DROP TABLE mysql.role_edges")
    with pytest.raises(EncryptionError, match="role_edges"):
        read_account_tables(server)
