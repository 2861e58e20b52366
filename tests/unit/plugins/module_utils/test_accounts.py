# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Rows of grant tables become canonical accounts; two sets of accounts become decisions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import Account, accounts_from, differing_fields, forgotten_grants
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import facts_from, parse_version
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_rights import Rights, rights_from, roles_named
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_sql import UNLOCK
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.accounts import (
    MISSING,
    NOT_RESTORABLE,
    UNUSABLE,
    Rules,
    counts,
    decide,
    decision_as_dict,
    diff_lines,
    guard_list,
    in_order,
    matches,
    named_objects,
    precondition_differences,
    remarks,
)

MYSQL = facts_from("9.7.4", "Debian", current_user=("admin", "%"))
MARIADB = facts_from("10.11.19-MariaDB-log", "", current_user=("admin", "%"))
GLOBAL = ("global", "", "", "")


@pytest.mark.parametrize(
    ("text", "family", "version"),
    [
        ("8.0.36", "mysql", (8, 0, 36)),
        ("5.7.44-rds.20240408", "mysql", (5, 7, 44)),
        ("10.11.19-MariaDB-0+deb12u1", "mariadb", (10, 11, 19)),
        ("5.5.5-10.6.14-MariaDB-log", "mariadb", (10, 6, 14)),
        ("11.4-MariaDB", "mariadb", (11, 4)),
    ],
)
def test_family_and_version(text, family, version):
    facts = facts_from(text, "")
    assert (facts.family, facts.version) == (family, version) and parse_version(text) == version


def test_capabilities_depend_on_family_and_version():
    assert not facts_from("8.0.16", "").can("hex_hash") and facts_from("8.0.17", "").can("hex_hash")
    assert facts_from("5.7.44", "").can("auto_creates_users") and not facts_from("8.0.36", "").can("auto_creates_users")
    assert MARIADB.can("revoke_admin_option") and not MYSQL.can("revoke_admin_option")
    assert "from 10.4 on" in facts_from("10.3.9-MariaDB", "").unsupported() and MARIADB.unsupported() is None


def mysql_row(user="app", host="%", **more):
    row = dict(
        user=user, host=host, plugin="caching_sha2_password", authentication_hex="AB", ssl_type="", ssl_cipher="", x509_issuer="", x509_subject="",
        max_questions=0, max_updates=0, max_connections=0, max_user_connections=0, account_locked="N", password_expired="N",
        password_lifetime=None, password_reuse_history=None, password_reuse_time=None, password_require_current=None, user_attributes=None,
    )  # fmt: skip
    return {**row, **more}


def mysql_accounts(**tables):
    return accounts_from({"user": [mysql_row()], **tables}, MYSQL)


def mariadb_accounts(*privs, **tables):
    rows = [dict(user=user, host=host, priv=json.dumps(priv)) for user, host, priv in privs]
    return accounts_from({"global_priv": rows, **tables}, MARIADB)


def test_mysql_base_row():
    more = {
        "additional_password": "old",
        "Password_locking": {"failed_login_attempts": 3, "password_lock_time_days": -1},
        "metadata": {"b": 1, "a": 2},
        "Restrictions": [{"Database": "mysql", "Privileges": ["INSERT", "UPDATE"]}],
        "multi_factor_authentication": [{"plugin": "auth_socket", "authentication_string": ""}],
    }
    row = mysql_row(ssl_type="SPECIFIED", x509_subject="/O=x", max_questions=5, account_locked="Y", password_lifetime=0, user_attributes=json.dumps(more))
    account = accounts_from({"user": [row]}, MYSQL)[("app", "%", False)]
    assert account.auth == (("caching_sha2_password", "AB"), ("auth_socket", ""))
    assert account.auth_old == "6F6C64" and account.tls == ("SPECIFIED", "", "", "/O=x")
    assert account.limits == (5, 0, 0, 0, 0.0) and account.locked and account.lifetime == 0
    assert account.failed_login == (3, -1) and account.attributes == '{"a": 2, "b": 1}'
    assert account.restrictions == {("mysql", "INSERT"), ("mysql", "UPDATE")}


def test_values_that_mean_the_same_are_the_same():
    def one(**more):
        return accounts_from({"user": [mysql_row(**more)]}, MYSQL)[("app", "%", False)]

    assert one(user_attributes='{"metadata": {}}') == one()
    assert one(user_attributes='{"Password_locking": {"failed_login_attempts": 0, "password_lock_time_days": 0}}') == one()
    assert one(password_reuse_history=0) != one()
    a = mariadb_accounts(("u", "%", {"plugin": "p", "authentication_string": "x", "ssl_type": 0, "auth_or": [{}], "version_id": 1}))
    b = mariadb_accounts(("u", "%", {"plugin": "p", "authentication_string": "x", "password_last_changed": 99}))
    assert a == b


def test_grants_of_every_level():
    account = mysql_accounts(
        **{
            "global": [dict(user="app", host="%", privileges="SELECT,GRANT OPTION")],
            "global_grants": [dict(user="app", host="%", priv="ROLE_ADMIN", with_grant_option="Y")],
            "db": [dict(user="app", host="%", db="app\\_db", privileges="INSERT")],
            "tables_priv": [dict(user="app", host="%", db="d", table_name="T", table_priv="Select,Grant,Delete versioning rows")],
            "columns_priv": [dict(user="app", host="%", db="d", table_name="T", column_name="we,ird", column_priv="Update")],
            "procs_priv": [dict(user="app", host="%", db="d", routine_name="MyProc", routine_type="PROCEDURE", proc_priv="Execute,Alter Routine")],
        }
    )[("app", "%", False)]
    assert account.grants == {
        (*GLOBAL, "SELECT"),
        (*GLOBAL, "GRANT OPTION"),
        ("dynamic", "", "", "", "ROLE_ADMIN"),
        ("dynamic option", "", "", "", "ROLE_ADMIN"),
        ("schema", "app\\_db", "", "", "INSERT"),
        ("table", "d", "T", "", "SELECT"),
        ("table", "d", "T", "", "GRANT OPTION"),
        ("table", "d", "T", "", "DELETE HISTORY"),
        ("column", "d", "T", "we,ird", "UPDATE"),
        ("procedure", "d", "myproc", "", "EXECUTE"),
        ("procedure", "d", "myproc", "", "ALTER ROUTINE"),
    }


def test_mariadb_alternatives_expiry_and_lifetime():
    priv = {"plugin": "p", "authentication_string": "x", "auth_or": [{"plugin": "unix_socket"}, {}], "password_last_changed": 0, "password_lifetime": 90}
    account = mariadb_accounts(("u", "%", priv))[("u", "%", False)]
    assert account.auth == (("unix_socket", ""), ("p", "78")) and account.expired and account.lifetime == 90
    assert mariadb_accounts(("u", "%", {"password_lifetime": -1}))[("u", "%", False)].lifetime is None


def test_mariadb_role_and_user_of_one_name_are_two():
    accounts = mariadb_accounts(
        ("boss", "", {"is_role": True}),
        ("boss", "%", {}),
        db=[dict(user="boss", host="", db="d", privileges="SELECT"), dict(user="boss", host="%", db="e", privileges="SELECT")],
        user_privileges=[dict(grantee="'boss'@'%'", privileges="USAGE", grantable="YES")],
        role_grants=[
            dict(role="boss", quoted="`boss`", line="GRANT PROCESS, BINLOG MONITOR ON *.* TO `boss` WITH GRANT OPTION"),
            dict(role="boss", quoted="`boss`", line="GRANT FILE ON *.* TO `inherited`"),
            dict(role="boss", quoted="`boss`", line="GRANT USAGE ON *.* TO `boss`"),
        ],
        roles_mapping=[
            dict(user="admin", host="%", role="boss", admin_option="Y"),
            dict(user="boss", host="%", role="boss", admin_option="Y"),
        ],
    )
    role, user = accounts[("boss", "", True)], accounts[("boss", "%", False)]
    assert role.grants == {(*GLOBAL, "PROCESS"), (*GLOBAL, "REPLICATION CLIENT"), (*GLOBAL, "GRANT OPTION"), ("schema", "d", "", "", "SELECT")}
    assert user.grants == {("schema", "e", "", "", "SELECT"), (*GLOBAL, "GRANT OPTION")} and user.roles == {("boss", "", True)}


def test_the_hash_is_not_in_the_representation():
    assert "ABCDEF" not in repr(Account("u", "%", auth=(("p", "ABCDEF"),), auth_old="ABCDEF"))


# -- decisions -------------------------------------------------------------------------------------------------------------------------

APP = Account("app", "%", auth=(("caching_sha2_password", "AB"),), grants=frozenset({("schema", "shop", "", "", "SELECT")}))


def by_key(*accounts):
    return {account.key: account for account in accounts}


def decided(source, target, facts=MYSQL, baseline=None, **rules):
    rules.setdefault("guarded", guard_list([], ["admin"], [("sync", "%")]))
    found = decide(by_key(*source), by_key(*target), facts, Rules(**rules), None if baseline is None else by_key(*baseline))
    return {decision.key[0]: decision for decision in found}


def test_equal_create_repair_surplus():
    other = replace(APP, locked=True)
    found = decided([APP, replace(APP, user="new"), replace(APP, user="diff")], [APP, replace(other, user="diff"), replace(APP, user="extra")])
    assert {name: decision.action for name, decision in found.items()} == {"app": "equal", "new": "create", "diff": "repair", "extra": "surplus"}
    assert found["diff"].fields == ("locked",)
    assert counts(list(found.values()))["create"] == 1


def test_prune_drops_only_what_the_target_alone_has():
    found = decided([APP], [APP, replace(APP, user="extra"), replace(APP, user="admin")], prune=True)
    assert [statement.sql.text for statement in in_order(list(found.values()))] == ["DROP USER `extra`@`%`"]


@pytest.mark.parametrize("user", ["rdsadmin", "rdsrepladmin", "mysql.sys", "mariadb.sys", "rds_superuser_role", "admin", "sync"])
def test_guarded_accounts_are_never_touched(user):
    account = replace(APP, user=user)
    for source, target in (([account], []), ([], [account]), ([account], [replace(account, locked=True)])):
        decision = decided(source, target, prune=True)[user]
        assert decision.action == "skipped" and not decision.statements and decision.reason


def test_the_guard_knows_names_exactly():
    assert decided([replace(APP, user="rds_app")], [])["rds_app"].action == "create"
    assert decided([replace(APP, user="sync", host="10.%")], [])["sync"].action == "create"
    assert matches(APP.key, "app@%") and matches(APP.key, "'app'@'%'") and not matches(APP.key, "app@localhost")


def test_only_the_named():
    assert set(decided([APP, replace(APP, user="b")], [], only=("app@%",))) == {"app"}


MASTER = Rights(
    privileges=frozenset({"PROCESS", "SELECT", "GRANT OPTION"}), elsewhere=False, proxies=frozenset(), roles=frozenset({("own", "%")}),
    own_roles=False, system_users=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("beyond", "words"),
    [
        (dict(grants=frozenset({(*GLOBAL, "SUPER"), (*GLOBAL, "PROCESS")})), "privilege SUPER ON *.*"),
        (dict(grants=frozenset({("dynamic", "", "", "", "X_ADMIN")})), "privilege X_ADMIN ON *.*"),
        (dict(grants=frozenset({("table", "d", "t", "", "DELETE HISTORY")})), "privilege DELETE HISTORY ON d.t"),
        (dict(proxies=frozenset({("somebody", "%", True)})), "proxy for 'somebody'@'%'"),
        (dict(roles=frozenset({("there", "%", False), ("own", "%", True)})), "membership in role 'there'@'%'"),
        (dict(roles=frozenset({("nowhere", "%", False)})), "no such role"),
        (dict(default_roles=frozenset({("mandatory", "%"), ("other", "%")})), "default role 'other'@'%'"),
    ],
)
def test_what_the_login_may_not_give_or_take_is_left_out_with_a_reason_and_not_tried_again(beyond, words):
    roles = [replace(APP, user=user) for user in ("own", "there")]
    rules = dict(rights=MASTER, mandatory_roles=frozenset({("mandatory", "%")}))
    plain = replace(APP, grants=frozenset())
    source = replace(plain, **beyond)
    decision = decided([source, *roles], roles, **rules)["app"]
    assert decision.action == "create" and [kind for text, kind in decision.left_out] == [NOT_RESTORABLE]
    assert words in decision.left_out[0][0]
    again = decided([source, *roles], [decision.wanted, *roles], **rules)["app"]
    assert again.action == "refused" and not again.statements and again.left_out
    # And the other way round: what the login may not take stays, and is said.
    surplus = decided([plain, *roles], [source, *roles], **rules)["app"]
    if "default_roles" not in beyond:
        assert any(kind == NOT_RESTORABLE for text, kind in surplus.left_out)
        left = decided([plain, *roles], [surplus.wanted or source, *roles], **rules)["app"]
        assert not left.statements


def test_public_is_a_place_for_grants_and_neither_made_nor_dropped():
    public = Account("PUBLIC", "", True, grants=frozenset({("schema", "d", "", "", "SELECT")}))
    assert [each.sql.text for each in decided([public], [], MARIADB)["PUBLIC"].statements] == ["GRANT SELECT ON `d`.* TO PUBLIC"]
    assert [each.sql.text for each in decided([], [public], MARIADB, prune=True)["PUBLIC"].statements] == ["REVOKE SELECT ON `d`.* FROM PUBLIC"]
    assert decided([replace(public, grants=frozenset())], [], MARIADB)["PUBLIC"].action == "equal"


def test_restrictions_of_the_login_pass_to_whom_it_gives_the_privilege():
    rights = replace(MASTER, restrictions=frozenset({("mysql", "SELECT")}))
    selecting = replace(APP, grants=frozenset({(*GLOBAL, "SELECT")}))
    both = replace(selecting, restrictions=frozenset({("mysql", "SELECT")}))
    assert [each.sql.text for each in decided([both], [replace(APP, grants=frozenset())], rights=rights)["app"].statements] == [
        "GRANT SELECT ON *.* TO `app`@`%`"
    ]
    free = decided([selecting], [], rights=rights)["app"]
    assert free.wanted == both and free.left_out[0][1] == NOT_RESTORABLE and not decided([selecting], [both], rights=rights)["app"].statements
    open_there = decided([both], [selecting], rights=rights)["app"]
    assert open_there.left_out[0][1] == UNUSABLE and [each.sql.text for each in open_there.statements] == ["ALTER USER `app`@`%` ACCOUNT LOCK"]
    lines = ["GRANT SELECT ON *.* TO `admin`@`%` WITH GRANT OPTION", "REVOKE INSERT, UPDATE ON `my``sql`.* FROM `admin`@`%`"]
    assert rights_from(lines, {}, MYSQL).restrictions == {("my`sql", "INSERT"), ("my`sql", "UPDATE")}


def test_accounts_with_system_user_are_not_the_logins_to_change():
    system = replace(APP, grants=APP.grants | {("dynamic", "", "", "", "SYSTEM_USER")})
    decision = decided([APP], [system], rights=MASTER)["app"]
    assert decision.action == "refused" and "SYSTEM_USER" in decision.reason and not decision.statements
    assert not decided([], [system], rights=MASTER, prune=True)["app"].statements


def test_password_policies_of_the_target():
    empty = replace(APP, auth=(("caching_sha2_password", ""),))
    role = replace(empty, locked=True, expired=True)
    assert decided([empty], [], takes_empty_passwords=False)["app"].left_out[0][1] == UNUSABLE
    assert decided([role], [], takes_empty_passwords=False)["app"].action == "create"
    assert decided([replace(empty, locked=True)], [empty], takes_empty_passwords=False)["app"].action == "repair"  # the password is not written
    assert "strict_password_validation" in decided([APP], [], takes_hashes=False)["app"].reason


def test_grants_on_missing_objects_are_left_out():
    source = replace(
        APP,
        grants=frozenset(
            {
                ("table", "d", "gone", "", "SELECT"),
                ("table", "d", "later", "", "CREATE"),
                ("column", "d", "t", "c", "SELECT"),
                ("procedure", "d", "p", "", "EXECUTE"),
            }
        ),
    )
    tables, columns, routines = named_objects(by_key(source), {})
    assert (tables, columns, routines) == ({("d", "gone"), ("d", "later")}, {("d", "t", "c")}, {("procedure", "d", "p")})
    decision = decided([source], [], objects=frozenset({("d", "t"), ("d", "t", "c")}))["app"]
    assert decision.wanted.grants == {("table", "d", "later", "", "CREATE"), ("column", "d", "t", "c", "SELECT")}
    assert {kind for text, kind in decision.left_out} == {MISSING}


def test_an_inactive_plugin_leaves_the_account_out():
    decision = decided([APP], [], plugins=frozenset({"sha256_password"}))["app"]
    assert decision.action == "refused" and "caching_sha2_password" in decision.reason and not decision.statements


def test_without_partial_revokes_a_restricted_account_stays_locked():
    source = replace(APP, grants=frozenset({(*GLOBAL, "SELECT")}), restrictions=frozenset({("mysql", "SELECT")}))
    assert not decided([source], [], rights=replace(MASTER, privileges=frozenset()))["app"].wanted.restrictions  # without the privilege
    decision = decided([source], [], partial_revokes=False)["app"]
    assert decision.wanted.locked and not any(statement.phase == UNLOCK for statement in decision.statements)
    assert not decided([source], [decision.wanted], partial_revokes=False)["app"].statements


@pytest.mark.parametrize(
    ("old_replica", "old_primary", "new_replica", "action"),
    [
        (APP, None, None, "create"),
        (APP, APP, APP, "equal"),
        (APP, APP, None, "refused"),
        (APP, APP, replace(APP, locked=True), "refused"),
        (replace(APP, locked=True), APP, APP, "repair"),
        (replace(APP, locked=True), APP, None, "refused"),
        (None, APP, APP, "surplus"),
        (None, None, APP, "surplus"),
    ],
)
def test_three_way_rule_of_a_recreated_replica(old_replica, old_primary, new_replica, action):
    sides = [[account] if account else [] for account in (old_replica, new_replica, old_primary)]
    decision = decided(*sides[:2], baseline=sides[2], prune=True)["app"]
    assert decision.action == action
    assert bool(decision.statements) is (action in ("create", "repair"))


def test_rights_of_a_login_of_mysql():
    lines = [
        "GRANT SELECT, PROCESS ON *.* TO `admin`@`%` WITH GRANT OPTION",
        "GRANT XA_RECOVER_ADMIN ON *.* TO `admin`@`%`",
        "GRANT `r`@`%` TO `admin`@`%`",
    ]
    edges = [("top", "admin", "Y"), ("mid", "top", "N"), ("low", "mid", "Y"), ("else", "other", "Y")]
    tables = dict(
        role_edges=[dict(from_user=role, from_host="%", to_user=to, to_host="%", with_admin_option=admin) for role, to, admin in edges],
        proxies_priv=[
            dict(user="admin", host="%", proxied_user="app", proxied_host="%", with_grant=1),
            dict(user="admin", host="%", proxied_user="without", proxied_host="%", with_grant=0),
            dict(user="root", host="localhost", proxied_user="", proxied_host="", with_grant=1),
        ],
    )
    rights = rights_from(lines, tables, MYSQL)
    assert rights.privileges == {"SELECT", "PROCESS", "GRANT OPTION"} and not rights.elsewhere and not rights.system_users
    assert rights.roles == {("top", "%"), ("low", "%")} and rights.proxies == {"app"}
    assert not rights.may_give_role(("new", "%"), True)  # on MySQL not even to whoever made it
    assert rights_from([*lines, "GRANT ROLE_ADMIN, SYSTEM_USER ON *.* TO `admin`@`%`"], tables, MYSQL).roles is None
    assert rights_from([*lines, "GRANT EXECUTE ON `d`.* TO `admin`@`%` WITH GRANT OPTION"], tables, MYSQL).may_give(("schema", "d", "", "", "EXECUTE"))
    assert not rights.may_give(("schema", "d", "", "", "EXECUTE"))


def test_rights_of_a_login_of_mariadb():
    tables = dict(roles_mapping=[dict(user="admin", host="%", role="r", admin_option="Y"), dict(user="admin", host="%", role="s", admin_option="N")])
    rights = rights_from(["GRANT ALL PRIVILEGES ON *.* TO `admin`@`%` WITH GRANT OPTION"], tables, MARIADB)
    assert rights.privileges is None and rights.may_give((*GLOBAL, "SUPER")) and rights.system_users
    assert rights.may_give_role(("r", ""), False) and rights.may_give_role(("new", ""), True) and not rights.may_give_role(("s", ""), False)
    assert rights_from(["GRANT SELECT, BINLOG MONITOR ON *.* TO `admin`@`%` WITH GRANT OPTION"], {}, MARIADB).privileges == {
        "SELECT", "REPLICATION CLIENT", "GRANT OPTION",
    }  # fmt: skip


def test_mandatory_roles_are_named_like_accounts():
    assert roles_named("`r,1`@`%`, 'it''s'@'localhost',plain,other@host") == {("r,1", "%"), ("it's", "localhost"), ("plain", "%"), ("other", "host")}
    assert roles_named("") == roles_named(None) == frozenset()


def test_reports_hold_no_secret():
    source = replace(APP, auth=(("caching_sha2_password", "C0FFEE" * 4),), auth_old="C0FFEE" * 4, lifetime=90)
    decision = decided([source], [APP])["app"]
    masked = {id(each): each.sql.masked for each in decision.statements}
    shown = json.dumps([decision_as_dict(decision, masked), diff_lines(source, APP), diff_lines(source, None), diff_lines(APP, source)])
    assert "C0FFEE" not in shown and "hidden" in shown
    created = decided([source, replace(APP, user="", auth=(("caching_sha2_password", ""),))], [])
    words = " ".join(remarks(list(created.values())))
    assert "90 days starts anew" in words and "anonymous" in words and "empty password" in words


def test_grants_on_routines_of_a_name_that_the_server_garbles_are_told():
    row = dict(host="%", db="shop", routine_name="same", routine_type="PROCEDURE", proc_priv="Execute")
    tables = dict(user=[mysql_row("größe"), mysql_row("app")], procs_priv=[dict(row, user="grÃ¶ÃŸe"), dict(row, user="app"), dict(row, user="gone")])
    accounts = accounts_from(tables, MYSQL)
    assert not accounts[("größe", "%", False)].grants and accounts[("app", "%", False)].grants
    (told,) = forgotten_grants(tables, accounts)
    assert told.startswith("'größe'@'%': EXECUTE ON PROCEDURE shop.same")


def test_preconditions():
    assert precondition_differences({"partial_revokes": "ON", "log_bin": "ON"}, {"partial_revokes": "OFF", "log_bin": "OFF"}) == [
        "partial_revokes is ON on the source and OFF on the target"
    ]
    assert differing_fields(APP, replace(APP, expired=True)) == ["expired"]
