# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""The statements that turn one account into another: text, order, minimality, and what survives a refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import Account
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import facts_from
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import Secret, account_name, literal, name, sql
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_sql import UNLOCK, list_together, merge_patch, statements_for
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.account_sync import Sender, carry_out

MYSQL = facts_from("9.7.4", "")
MYSQL57 = facts_from("5.7.44", "")
MARIADB = facts_from("10.11.19-MariaDB", "")
APP = Account("app", "%", auth=(("caching_sha2_password", "AB"),))
MARIA = Account("app", "%", auth=(("mysql_native_password", "2A41"),))


def texts(wanted, actual=None, facts=MYSQL):
    return [statement.sql.text for statement in statements_for(wanted, actual, facts)]


def test_names_and_literals():
    assert name("a`b") == "`a``b`" and name("") == "''"
    assert account_name("o'brien", "%") == "`o'brien`@`%`" and account_name("", "localhost") == "''@`localhost`"
    assert account_name("r", "", True) == "`r`" and account_name("PUBLIC", "", True) == "PUBLIC"
    assert literal("it's \\ \n\0") == "'it''s \\\\ \\n\\0'"
    statement = sql("AS ", Secret("0xAB"))
    assert (statement.text, statement.masked, statement.secrets) == ("AS 0xAB", "AS <hidden>", ("0xAB",))


def test_created_locked_and_unlocked_last():
    assert texts(APP) == [
        "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0xAB ACCOUNT LOCK",
        "ALTER USER `app`@`%` ACCOUNT UNLOCK",
    ]
    assert texts(replace(APP, locked=True)) == ["CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0xAB ACCOUNT LOCK"]


def test_every_clause_in_the_parsers_order():
    account = replace(
        APP, tls=("SPECIFIED", "C", "I", "S"), limits=(1, 2, 3, 4, 0.0), lifetime=0, reuse_history=0, reuse_days=7, require_current="Y",
        failed_login=(3, -1), attributes='{"a": 1}', locked=True, expired=True,
    )  # fmt: skip
    assert texts(account) == [
        "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0xAB REQUIRE CIPHER 'C' AND ISSUER 'I' AND SUBJECT 'S'"
        " WITH MAX_QUERIES_PER_HOUR 1 MAX_UPDATES_PER_HOUR 2 MAX_CONNECTIONS_PER_HOUR 3 MAX_USER_CONNECTIONS 4"
        " PASSWORD EXPIRE NEVER PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 7 DAY PASSWORD REQUIRE CURRENT"
        " FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED ACCOUNT LOCK ATTRIBUTE '{\"a\": 1}'",
        "ALTER USER `app`@`%` PASSWORD EXPIRE",
    ]


def test_only_limits_that_differ_are_set():
    assert texts(replace(APP, limits=(1, 0, 3, 0, 0.0)), replace(APP, limits=(1, 2, 4, 0, 0.0))) == [
        "ALTER USER `app`@`%` WITH MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 3"
    ]


def test_older_servers_get_string_hashes():
    account = replace(APP, auth=(("mysql_native_password", b"*A'1".hex().upper()),))
    assert texts(account, facts=MYSQL57)[0] == "CREATE USER `app`@`%` IDENTIFIED WITH 'mysql_native_password' AS '*A''1' ACCOUNT LOCK"


def test_a_second_password_is_made_of_the_old_one_first():
    account = replace(APP, auth_old="0D")
    assert texts(account)[:2] == [
        "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x0D ACCOUNT LOCK",
        "ALTER USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0xAB RETAIN CURRENT PASSWORD",
    ]
    assert texts(APP, account) == ["ALTER USER `app`@`%` DISCARD OLD PASSWORD"]
    assert texts(replace(account, auth=(("caching_sha2_password", "EE"),)), account) == [
        "ALTER USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0xEE"
    ]


def test_a_change_of_plugin_loses_the_second_password_and_restores_it():
    actual = replace(APP, auth=(("sha256_password", "AA"),), auth_old="0D")
    assert len(texts(replace(APP, auth_old="0D"), actual)) == 2


def test_expiry_is_cleared_by_the_same_hash_and_set_again_after_a_new_one():
    assert texts(APP, replace(APP, expired=True)) == ["ALTER USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0xAB"]
    wanted = replace(APP, expired=True)
    assert texts(wanted, replace(wanted, auth=(("caching_sha2_password", "CC"),)))[-1] == "ALTER USER `app`@`%` PASSWORD EXPIRE"


def test_an_empty_password_is_said_to_an_account_that_has_one():
    empty = replace(APP, auth=(("caching_sha2_password", ""),))
    assert texts(empty, APP) == ["ALTER USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' BY ''"]
    assert texts(empty)[0] == "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' ACCOUNT LOCK"


def test_factors():
    two = replace(APP, auth=(*APP.auth, ("auth_socket", "")))
    assert texts(two)[0] == "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0xAB AND IDENTIFIED WITH 'auth_socket' ACCOUNT LOCK"
    assert texts(APP, two) == ["ALTER USER `app`@`%` DROP 2 FACTOR"]
    assert texts(two, APP) == ["ALTER USER `app`@`%` ADD 2 FACTOR IDENTIFIED WITH 'auth_socket'"]


def test_mysql_roles_are_created_as_roles():
    role = Account("r", "localhost", auth=(("caching_sha2_password", ""),), locked=True, expired=True)
    assert texts(role) == ["CREATE ROLE `r`@`localhost`"]


def test_mariadb_forms():
    both = replace(MARIA, auth=(("unix_socket", ""), ("ed25519", "41")), limits=(0, 0, 0, -1, 1.5))
    assert texts(both, facts=MARIADB)[0] == (
        "CREATE USER `app`@`%` IDENTIFIED VIA `unix_socket` OR `ed25519` USING 'A' WITH MAX_USER_CONNECTIONS -1 MAX_STATEMENT_TIME 1.500000"
        " ACCOUNT LOCK"
    )
    assert texts(replace(MARIA, auth=(("mysql_native_password", ""),)), facts=MARIADB)[0] == "CREATE USER `app`@`%` ACCOUNT LOCK"
    role = Account("r", "", True, grants=frozenset({("schema", "d", "", "", "SELECT")}))
    assert texts(role, facts=MARIADB) == ["CREATE ROLE `r`", "GRANT SELECT ON `d`.* TO `r`"]
    assert texts(replace(role, user="PUBLIC"), facts=MARIADB) == ["GRANT SELECT ON `d`.* TO PUBLIC"]
    package = replace(MARIA, grants=frozenset({("package body", "d", "p", "", "EXECUTE")}))
    (grant,) = statements_for(package, MARIA, MARIADB)
    assert grant.oracle_mode and grant.sql.text == "GRANT EXECUTE ON PACKAGE BODY `d`.`p` TO `app`@`%`"


def grants(*elements):
    return replace(APP, grants=frozenset(elements))


def test_grants_are_grouped_by_object():
    wanted = grants(
        ("table", "d", "t", "", "DELETE"),
        ("table", "d", "t", "", "GRANT OPTION"),
        ("column", "d", "t", "b,c", "SELECT"),
        ("column", "d", "t", "a`", "SELECT"),
        ("schema", "app\\_db", "", "", "GRANT OPTION"),
        ("function", "d", "f", "", "EXECUTE"),
    )
    assert sorted(texts(wanted, APP)) == [
        "GRANT DELETE, SELECT (`a```, `b,c`) ON `d`.`t` TO `app`@`%` WITH GRANT OPTION",
        "GRANT EXECUTE ON FUNCTION `d`.`f` TO `app`@`%`",
        "GRANT USAGE ON `app\\_db`.* TO `app`@`%` WITH GRANT OPTION",
    ]
    assert sorted(texts(APP, wanted)) == [
        "REVOKE DELETE, GRANT OPTION, SELECT (`a```, `b,c`) ON `d`.`t` FROM `app`@`%`",
        "REVOKE EXECUTE ON FUNCTION `d`.`f` FROM `app`@`%`",
        "REVOKE GRANT OPTION ON `app\\_db`.* FROM `app`@`%`",
    ]


def test_dynamic_privileges_and_their_own_option():
    plain, option = ("dynamic", "", "", "", "ROLE_ADMIN"), ("dynamic option", "", "", "", "ROLE_ADMIN")
    assert texts(grants(plain, option), APP) == ["GRANT ROLE_ADMIN ON *.* TO `app`@`%` WITH GRANT OPTION"]
    assert texts(grants(plain), grants(plain, option)) == [
        "REVOKE ROLE_ADMIN ON *.* FROM `app`@`%`",
        "GRANT ROLE_ADMIN ON *.* TO `app`@`%`",
    ]
    assert texts(APP, grants(plain, option)) == ["REVOKE ROLE_ADMIN ON *.* FROM `app`@`%`"]


def test_restrictions_come_after_grants():
    wanted = replace(grants(("global", "", "", "", "INSERT")), restrictions=frozenset({("mysql", "INSERT")}))
    assert texts(wanted, APP) == ["GRANT INSERT ON *.* TO `app`@`%`", "REVOKE INSERT ON `mysql`.* FROM `app`@`%`"]
    assert texts(replace(wanted, restrictions=frozenset()), wanted) == ["GRANT INSERT ON `mysql`.* TO `app`@`%`"]


def test_a_restriction_goes_with_its_privilege():
    actual = replace(grants(("global", "", "", "", "INSERT")), restrictions=frozenset({("mysql", "INSERT")}))
    assert texts(APP, actual) == ["REVOKE INSERT ON *.* FROM `app`@`%`"]


def test_role_admin_and_default_roles():
    member = replace(APP, roles=frozenset({("r", "%", False)}), default_roles=frozenset({("r", "%")}))
    admin = replace(member, roles=frozenset({("r", "%", True)}))
    assert texts(admin, member) == ["GRANT `r`@`%` TO `app`@`%` WITH ADMIN OPTION"]
    assert texts(member, admin) == ["REVOKE `r`@`%` FROM `app`@`%`", "GRANT `r`@`%` TO `app`@`%`", "ALTER USER `app`@`%` DEFAULT ROLE `r`@`%`"]
    assert texts(APP, member) == ["REVOKE `r`@`%` FROM `app`@`%`"]
    maria_member = replace(MARIA, roles=frozenset({("r", "", False)}), default_roles=frozenset({("r", "")}))
    maria_admin = replace(maria_member, roles=frozenset({("r", "", True)}))
    assert texts(maria_member, maria_admin, MARIADB) == ["REVOKE ADMIN OPTION FOR `r` FROM `app`@`%`"]
    assert texts(MARIA, maria_member, MARIADB) == ["REVOKE `r` FROM `app`@`%`", "SET DEFAULT ROLE NONE FOR `app`@`%`"]
    assert texts(maria_member, MARIA, MARIADB) == ["GRANT `r` TO `app`@`%`", "SET DEFAULT ROLE `r` FOR `app`@`%`"]


def test_a_proxy_with_option_does_not_leave_the_global_option_behind_on_mysql():
    wanted = replace(APP, proxies=frozenset({("", "", True)}))
    assert texts(wanted, APP) == ["GRANT PROXY ON ''@'' TO `app`@`%` WITH GRANT OPTION", "REVOKE GRANT OPTION ON *.* FROM `app`@`%`"]
    assert len(texts(replace(wanted, grants=frozenset({("global", "", "", "", "GRANT OPTION")})), wanted)) == 1


def test_attributes_are_merged_by_the_server_so_surplus_keys_are_nulled():
    assert merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "e": 3}}) == {"a": None, "b": {"d": None, "e": 3}}
    wanted, actual = replace(APP, attributes='{"x": 1}'), replace(APP, attributes='{"y": 2}')
    assert texts(wanted, actual) == ["ALTER USER `app`@`%` ATTRIBUTE '{\"x\": 1, \"y\": null}'"]


@pytest.mark.parametrize("facts", [MYSQL, MYSQL57, MARIADB])
def test_nothing_to_do_is_nothing(facts):
    assert texts(APP, APP, facts) == []


# -- carrying out ----------------------------------------------------------------------------------------------------------------------


class FakeServer:
    """Keeps the statements that it accepted; refuses those that contain a word. A list is carried out wholly or, as MariaDB does, in part."""

    def __init__(self, atomic=True, **refused):
        self.accepted = []
        self.refused = refused
        self.read_only = False
        self.atomic = atomic
        self.made = set()
        self.packets = 0

    def send(self, statements, oracle_mode):
        self.packets += 1
        for done, statement in enumerate(statements):
            for word, code in self.refused.items():
                if word in statement.text:
                    if statement.text.startswith("CREATE") and not self.atomic:
                        self.made |= {key for key in (("a", "%", False), ("b", "%", False)) if f"`{key[0]}`@" in statement.text and key[0] != word}
                    return done, StatementError(f"refused {word}", code)
            self.accepted.append(statement.text)
        return len(statements), None

    def apply(self, *plans):
        statements = sorted((statement for plan in plans for statement in plan), key=lambda statement: statement.phase)
        sender = Sender(
            send=self.send,
            existing=self.made.intersection,
            is_read_only=lambda: self.read_only,
            list_together=list_together,
            unlock_phase=UNLOCK,
        )
        return carry_out(statements, sender)


def test_one_refused_privilege_does_not_take_the_others_with_it():
    server = FakeServer(FILE=1045)
    plan = statements_for(grants(*(("global", "", "", "", word) for word in ("FILE", "PROCESS", "GRANT OPTION"))), None, MYSQL)
    outcomes = server.apply(plan)
    assert "GRANT PROCESS ON *.* TO `app`@`%`" in server.accepted and "GRANT USAGE ON *.* TO `app`@`%` WITH GRANT OPTION" in server.accepted
    assert [outcome.problem for outcome in outcomes if outcome.problem] == ["GRANT FILE ON *.* TO `app`@`%`: refused FILE"]
    assert server.accepted[-1].endswith("ACCOUNT UNLOCK")  # it can do less than its model, which is safe


def test_an_account_that_could_do_too_much_stays_locked():
    wanted = replace(grants(("global", "", "", "", "SELECT")), restrictions=frozenset({("mysql", "SELECT")}))
    server = FakeServer(REVOKE=1141)
    outcomes = server.apply(statements_for(wanted, None, MYSQL), statements_for(replace(APP, user="b"), None, MYSQL))
    assert [text for text in server.accepted if "UNLOCK" in text] == ["ALTER USER `b`@`%` ACCOUNT UNLOCK"]
    assert sum(1 for outcome in outcomes if outcome.problem) == 2


def test_without_the_account_nothing_else_is_tried():
    server = FakeServer(CREATE=1819)
    outcomes = server.apply(statements_for(grants(("schema", "d", "", "", "SELECT")), None, MYSQL))
    assert server.accepted == [] and len(outcomes) == 3 and not any(outcome.done for outcome in outcomes)


@pytest.mark.parametrize(("code", "read_only", "words"), [(1290, True, "read_only=0"), (2013, False, "run again")])
def test_what_no_other_statement_could_survive_ends_the_run_in_words(code, read_only, words):
    server = FakeServer(GRANT=code)
    server.read_only = read_only
    with pytest.raises(EncryptionError, match=words):
        server.apply(statements_for(grants(("schema", "d", "", "", "SELECT")), APP, MYSQL))


def test_error_1290_for_another_reason_is_one_accounts_problem():
    outcomes = FakeServer(CREATE=1290).apply(statements_for(APP, None, MYSQL))
    assert outcomes[0].problem


def test_accounts_that_need_the_same_statement_share_it():
    plans = [statements_for(replace(grants(("schema", "d", "", "", "SELECT")), user=user), None, MYSQL) for user in ("a", "b", "c")]
    server = FakeServer()
    outcomes = server.apply(*plans)
    made = "IDENTIFIED WITH 'caching_sha2_password' AS 0xAB"
    assert server.accepted == [
        f"CREATE USER `a`@`%` {made}, `b`@`%` {made}, `c`@`%` {made} ACCOUNT LOCK",
        "GRANT SELECT ON `d`.* TO `a`@`%`, `b`@`%`, `c`@`%`",
        "ALTER USER `a`@`%`, `b`@`%`, `c`@`%` ACCOUNT UNLOCK",
    ]
    assert len(outcomes) == 9 and all(outcome.done and not outcome.problem for outcome in outcomes)
    assert server.packets == 3  # a round trip for each phase


def test_lists_and_packets_are_limited():
    plans = [statements_for(replace(APP, user=f"u{number}", tls=("ANY", "", "", "") if number % 2 else APP.tls), None, MYSQL) for number in range(900)]
    server = FakeServer()
    server.apply(*plans)
    creations = [text for text in server.accepted if text.startswith("CREATE")]
    assert len(creations) == 6 and max(text.count("IDENTIFIED") for text in creations) == 200
    assert sum("REQUIRE SSL" in text for text in creations) == 3


@pytest.mark.parametrize("atomic", [True, False])
def test_one_account_that_cannot_be_made_does_not_take_its_list_with_it(atomic):
    plans = [statements_for(replace(grants(("schema", "d", "", "", "SELECT")), user=user), None, MYSQL) for user in ("a", "b", "bad")]
    server = FakeServer(atomic=atomic, bad=1524)
    outcomes = server.apply(*plans)
    problems = {outcome.statement.key[0] for outcome in outcomes if outcome.problem}
    assert problems == {"bad"} and sum(outcome.done for outcome in outcomes) == 6
    made_alone = [text for text in server.accepted if text.startswith("CREATE")]
    assert len(made_alone) == (2 if atomic else 0)  # those that MariaDB made before it refused are not made again
    assert server.accepted[-1] == "ALTER USER `a`@`%`, `b`@`%` ACCOUNT UNLOCK"
