# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""mysql_user_sync against real servers; equality is judged by account_torture's own reading of the grant tables."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pymysql
import pytest

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from account_sets import account_sets
from account_torture import ACCOUNTS, DAMAGE, SHORT, grant_tables, secrets_of
from master_rights import MASTER_RIGHTS

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_accounts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import account_sql
from ansible_collections.dbre.rds_encryption.plugins.modules import mysql_user_sync

EXCLUDED = ["root", "master", "operator"]


def options(pair, user="operator", **more) -> dict:
    return dict(source=pair.source.login(user), target=pair.target.login(user), exclude_users=EXCLUDED, **more)


def actions_of(done) -> dict:
    """What happened to the accounts of the test; those that every server has of its own are skipped ones."""
    return {account["user"]: account["action"] for account in done["accounts"] if account["user"] not in EXCLUDED}


def assert_equal_accounts(pair):
    ours, theirs = grant_tables(pair.source), grant_tables(pair.target)
    for table in ours:
        assert ours[table] == theirs[table], table


def test_every_account_is_rebuilt_and_the_second_run_does_nothing(pair, call, heard):
    pair.source.run(*ACCOUNTS[pair.family])
    before = grant_tables(pair.target)

    predicted = call(mysql_user_sync, options(pair), check=True)
    assert grant_tables(pair.target) == before, "check mode wrote"
    assert predicted["changed"] and predicted["statements"]

    done = call(mysql_user_sync, options(pair), heard=heard)
    assert done["problems"] == []
    assert done["statements"] == predicted["statements"]
    assert done["counts"] == predicted["counts"]
    assert_equal_accounts(pair)

    again = call(mysql_user_sync, options(pair))
    assert (again["statements"], again["changed"]) == ([], False)

    shown = json.dumps([predicted, done, again, heard.lines, heard.warnings], ensure_ascii=False)
    for secret in secrets_of(pair.source):
        assert secret not in shown
    assert "Secret-" not in shown and "<hidden>" in shown


PLAIN = {
    "common": [
        "CREATE USER app@'%' IDENTIFIED BY 'Secret-1' REQUIRE SSL WITH MAX_USER_CONNECTIONS 3",
        "GRANT SELECT, PROCESS ON *.* TO app@'%' WITH GRANT OPTION",
        "GRANT ALL ON `app_db`.* TO app@'%'",
        "GRANT INSERT, DELETE ON shop.orders TO app@'%' WITH GRANT OPTION",
        "GRANT EXECUTE ON FUNCTION shop.same TO app@'%'",
        "GRANT PROXY ON app@'%' TO agent@'%' WITH GRANT OPTION",
    ],
    "mysql": [
        "GRANT SELECT (id, v) ON shop.orders TO agent@'%'",
        "CREATE ROLE reader",
        "GRANT reader TO app@'%' WITH ADMIN OPTION",
        "GRANT ROLE_ADMIN ON *.* TO app@'%'",
        "ALTER USER app@'%' PASSWORD EXPIRE INTERVAL 9 DAY ACCOUNT LOCK",
    ],
    "mariadb": ["GRANT BINLOG ADMIN ON *.* TO app@'%'", "GRANT USAGE ON *.* TO agent@'%' WITH MAX_STATEMENT_TIME 1.5"],
}


def test_a_common_tool_prints_the_same_of_both_servers(pair, call):
    """pt-show-grants, for names that it can print."""
    pair.source.run("CREATE USER agent@'%' IDENTIFIED BY 'Secret-2'", *PLAIN["common"], *PLAIN[pair.family])
    call(mysql_user_sync, options(pair))
    program = pathlib.Path(__file__).resolve().parents[2] / ".cache" / "databases" / "percona" / "pt-show-grants"
    printed = []
    for server in (pair.source, pair.target):
        command = [str(program), "--socket", str(server.socket), "--user", "root", "--charset", "utf8mb4", "--no-header", "--no-timestamp"]
        command += ["--ignore", "root,operator,master"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.replace("'", "`").count("`app`@`%`") > 5 and not done.stderr, done.stderr
        printed.append(done.stdout)
    assert printed[0] == printed[1]


def test_every_damage_is_repaired(pair, call):
    pair.source.run(*ACCOUNTS[pair.family])
    call(mysql_user_sync, options(pair))
    pair.target.run_as_operator(*DAMAGE["common"], *DAMAGE[pair.family])
    assert grant_tables(pair.source) != grant_tables(pair.target)

    done = call(mysql_user_sync, options(pair))
    assert done["problems"] == []
    assert_equal_accounts(pair)
    assert call(mysql_user_sync, options(pair))["statements"] == []


@pytest.mark.parametrize(
    ("damage", "statement"),
    [
        ("REVOKE SELECT ON shop.* FROM app@'%'", "GRANT SELECT ON `shop`.* TO `app`@`%`"),
        ("GRANT INSERT (v) ON shop.orders TO app@'%'", "REVOKE INSERT (`v`) ON `shop`.`orders` FROM `app`@`%`"),
        ("ALTER USER app@'%' ACCOUNT LOCK", "ALTER USER `app`@`%` ACCOUNT UNLOCK"),
        ("ALTER USER app@'%' REQUIRE SSL", "ALTER USER `app`@`%` REQUIRE NONE"),
        ("GRANT USAGE ON shop.* TO app@'%' WITH GRANT OPTION", "REVOKE GRANT OPTION ON `shop`.* FROM `app`@`%`"),
    ],
)
def test_one_difference_takes_one_statement(pair, call, damage, statement):
    pair.source.run("CREATE USER app@'%' IDENTIFIED BY 'Secret-App'", "GRANT SELECT, UPDATE ON shop.* TO app@'%'")
    call(mysql_user_sync, options(pair))
    pair.target.run(damage)
    assert call(mysql_user_sync, options(pair))["statements"] == [statement]
    assert_equal_accounts(pair)


@settings(
    max_examples=int(os.environ.get("ACCOUNT_EXAMPLES", "12")),
    derandomize="ACCOUNT_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    print_blob=False,
    phases=[Phase.explicit, Phase.generate],  # a failing example is small enough, and a smaller one costs minutes
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_any_accounts_are_made_equal_whatever_the_target_had(servers, call, data):
    for server in (servers.source, servers.target):
        server.forget_accounts()
    wanted, had = (data.draw(account_sets(servers.family)) for unused in range(2))
    # As the login of the sync: on MariaDB only the creator of a role may give it on.
    for server, statements in ((servers.source, wanted), (servers.target, had)):
        with server.connect("operator") as connection, connection.cursor() as cursor:
            for statement in statements:
                try:
                    cursor.execute(statement)
                except pymysql.err.MySQLError:
                    pass  # not every combination is legal
    done = call(mysql_user_sync, options(servers, prune=True))
    assert (done["problems"], done["not_restorable"]) == ([], [])
    assert_equal_accounts(servers)
    again = call(mysql_user_sync, options(servers, prune=True))
    assert (again["statements"], again["changed"]) == ([], False)
    shown = json.dumps([done, again], ensure_ascii=False)
    assert not [secret for secret in secrets_of(servers.source) | secrets_of(servers.target) if secret in shown]


class Stopped(Exception):
    """The process died."""


def dying_after(statements: int):
    """A session that carries out so many statements and is then cut off, with the rest of its packet never sent."""
    send_many = Server.send_many
    left = [statements]

    def dying(self, texts, *more):
        if len(texts) <= left[0]:
            left[0] -= len(texts)
            return send_many(self, texts, *more)
        if left[0]:
            send_many(self, texts[: left[0]], *more)
        self._connection._force_close()
        raise Stopped

    return dying


@pytest.mark.parametrize("at_once", [1, 200])
def test_interrupted_after_any_statement_the_next_run_finishes(pair, call, monkeypatch, at_once):
    monkeypatch.setattr(account_sql, "LISTED_AT_ONCE", at_once)
    pair.source.run(*SHORT[pair.family])
    planned = call(mysql_user_sync, options(pair), check=True)["statements"]
    assert len(planned) > 12
    wanted = grant_tables(pair.source)
    base = "user" if pair.family == "mysql" else "global_priv"
    stops = 0
    for stop_after in range(0, len(planned), 1 if at_once == 1 else 4):
        try:
            with monkeypatch.context() as patched:
                patched.setattr(Server, "send_many", dying_after(stop_after))
                call(mysql_user_sync, options(pair))
        except Stopped:
            stops += 1
        else:
            assert at_once > 1 and stops >= 2  # lists are fewer than statements
            break
        # No account that was begun is open: who is not locked is complete.
        reached = grant_tables(pair.target)
        for line in reached[base]:
            row = json.loads(line)
            more = json.loads(row.get("priv", "{}"))
            if row.get("account_locked", "Y" if more.get("account_locked") or more.get("is_role") else "N") == "N":
                assert line in wanted[base], f"open after {stop_after} statements: {row['user']}"
        done = call(mysql_user_sync, options(pair))
        assert done["problems"] == []
        assert grant_tables(pair.target) == wanted, f"stopped after {stop_after} statements"
        pair.target.forget_accounts()


def test_two_runs_do_not_write_accounts_at_the_same_time(pair, call, monkeypatch):
    monkeypatch.setattr(mysql_accounts, "_SECONDS_FOR_LOCK", 0)
    pair.source.run("CREATE USER app@'%' IDENTIFIED BY 'Secret-1'")
    arguments = pair.target.login()
    with pair.target.connect("operator") as other, other.cursor() as cursor:
        cursor.execute(f"SELECT GET_LOCK('{mysql_accounts._LOCK}', 0)")
        with pytest.raises(EncryptionError, match=f"session {other.thread_id()} of another"):
            call(mysql_user_sync, dict(options(pair), target=arguments))
        assert call(mysql_user_sync, options(pair), check=True)["counts"]["create"] == 1  # looking is always possible
    assert call(mysql_user_sync, options(pair))["counts"]["create"] == 1


def test_only_what_was_asked_and_never_the_guarded(pair, call):
    for server, password in ((pair.source, "Secret-1"), (pair.target, "Secret-2")):
        server.run(*(f"CREATE USER {user}@'%' IDENTIFIED BY '{password}'" for user in ("rdsadmin", "rdsrepladmin", "mine", "rds_app")))
    pair.source.run("CREATE USER app@'%' IDENTIFIED BY 'Secret-3'", "CREATE USER other@'%' IDENTIFIED BY 'Secret-4'")
    before = grant_tables(pair.target)

    done = call(mysql_user_sync, dict(options(pair, users=["app@%"])))
    assert [account["account"] for account in done["accounts"]] == ["'app'@'%'"]

    done = call(mysql_user_sync, dict(options(pair), exclude_users=[*EXCLUDED, "mine@%"]))
    assert actions_of(done) == {"rdsadmin": "skipped", "rdsrepladmin": "skipped", "mine": "skipped", "rds_app": "repair", "other": "create"}
    after = grant_tables(pair.target)
    base = "user" if pair.family == "mysql" else "global_priv"
    unchanged = [line for line in before[base] if json.loads(line)["user"] in ("rdsadmin", "rdsrepladmin", "mine")]
    assert unchanged and all(line in after[base] for line in unchanged)


def test_surplus_accounts_are_reported_and_dropped_only_on_request(pair, call):
    pair.target.run("CREATE USER extra@'%' IDENTIFIED BY 'Secret-1'", "CREATE ROLE leftover")
    done = call(mysql_user_sync, options(pair))
    assert actions_of(done) == {"extra": "surplus", "leftover": "surplus"}
    assert not done["changed"]
    call(mysql_user_sync, options(pair, prune=True))
    assert_equal_accounts(pair)


def test_what_the_master_user_may_not_give_is_an_item_and_is_not_tried_again(pair, call, heard):
    pair.source.run(
        "CREATE USER dba@'%' IDENTIFIED BY 'Secret-1'",
        "GRANT SUPER, PROCESS, SELECT ON *.* TO dba@'%'",
        "CREATE USER agent@'%' IDENTIFIED BY 'Secret-3'",
        "GRANT PROXY ON dba@'%' TO agent@'%'",
        "CREATE ROLE given",
        "GRANT given TO agent@'%'",
        "CREATE USER zapp@'%' IDENTIFIED BY 'Secret-2'",
        "GRANT SELECT ON shop.* TO zapp@'%'",
    )
    pair.target.run("CREATE ROLE given")  # by somebody else: its administration is not the master user's
    with pytest.raises(EncryptionError) as failed:
        call(mysql_user_sync, options(pair, user="master", fail_on_not_restorable=True), check=True)
    predicted = failed.value.facts
    assert "SUPER" in str(failed.value) and "'dba'@'%'" in str(failed.value)
    expected = [("'agent'@'%'", "given"), ("'agent'@'%'", "proxy for 'dba'@'%'"), ("'dba'@'%'", "SUPER")]
    done = call(mysql_user_sync, options(pair, user="master"), heard=heard)
    again = call(mysql_user_sync, options(pair, user="master"))
    for result in (predicted, done, again):
        items = [(item["account"], item["difference"]) for item in result["not_restorable"]]
        assert len(items) == len(expected), items
        for (account, difference), (who, word) in zip(items, expected, strict=True):
            assert account == who and word in difference
    assert done["problems"] == again["problems"] == [] and done["statements"] == predicted["statements"]
    assert (again["statements"], again["changed"]) == ([], False)
    assert any("SUPER" in line for line in heard.warnings)
    grants = pair.target.run("SELECT 1 FROM mysql.db WHERE User = 'zapp' AND Db = 'shop' AND Select_priv = 'Y'")
    assert grants, "the account after the refused one was left out"
    assert pair.target.run("SELECT 1 FROM mysql.user WHERE User = 'dba' AND Process_priv = 'Y' AND Super_priv = 'N'")
    # The other way round: a surplus that the master user may not take stays, and is said.
    pair.target.run("GRANT FILE ON *.* TO zapp@'%'", "GRANT PROXY ON agent@'%' TO zapp@'%'")
    surplus = call(mysql_user_sync, options(pair, user="master"))
    assert len(surplus["not_restorable"]) == 5 and surplus["statements"] == []


def test_a_master_user_with_partial_revokes_passes_them_on(pair, call):
    """As on RDS for MySQL from 8.0.36 on, where the master user has no writing privilege in ``mysql``."""
    if pair.family != "mysql":
        return  # MariaDB knows no partial revokes
    try:
        for server in (pair.source, pair.target):
            server.run("REVOKE INSERT, UPDATE ON mysql.* FROM master@'%'")
        with pair.source.connect("master") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER app@'%' IDENTIFIED BY 'Secret-1'")
            cursor.execute("GRANT SELECT, INSERT, UPDATE ON *.* TO app@'%'")
        assert call(mysql_user_sync, options(pair, user="master"))["not_restorable"] == []
        assert_equal_accounts(pair)
        pair.source.run("CREATE USER zfree@'%' IDENTIFIED BY 'Secret-2'", "GRANT SELECT, INSERT ON *.* TO zfree@'%'")
        pair.target.run("GRANT INSERT ON mysql.* TO app@'%'")  # lifts the restriction
        for again in (False, True):
            done = call(mysql_user_sync, options(pair, user="master", fail_on_problem=False))
            items = [(item["account"], item["difference"], item["kind"]) for item in done["not_restorable"]]
            assert [item[::2] for item in items] == [("'app'@'%'", "unusable"), ("'zfree'@'%'", "not restorable")]
            assert "partial revoke of INSERT in mysql" in items[0][1] and "privilege INSERT in mysql" in items[1][1]
            assert bool(done["statements"]) is not again
    finally:
        for server in (pair.source, pair.target):
            server.run(f"GRANT {MASTER_RIGHTS} ON *.* TO master@'%' WITH GRANT OPTION")
            server.run("GRANT INSERT, UPDATE ON mysql.* TO master@'%'")


def test_grants_on_missing_objects_are_remarks(pair, call):
    pair.source.run(
        "CREATE USER app@'%' IDENTIFIED BY 'Secret-1'",
        "CREATE TABLE shop.gone (id INT)",
        "GRANT SELECT ON shop.gone TO app@'%'",
        "GRANT UPDATE (v) ON shop.orders TO app@'%'",
        "DROP TABLE shop.gone",
    )
    for again in (False, True):
        done = call(mysql_user_sync, options(pair))
        assert done["problems"] == []
        assert any("shop.gone" in remark for remark in done["remarks"])
        assert [item["kind"] for item in done["not_restorable"]] == ["missing"]
        assert bool(done["statements"]) is not again
    with pytest.raises(EncryptionError, match=r"shop\.gone: the table does not exist"):
        call(mysql_user_sync, options(pair, fail_on_missing_object=True))


def test_a_read_only_target_is_explained(pair, call):
    pair.source.run("CREATE USER app@'%' IDENTIFIED BY 'Secret-1'")
    pair.target.run("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(EncryptionError, match="read_only=0 in the parameter group"):
            call(mysql_user_sync, options(pair, user="master"))
    finally:
        pair.target.run("SET GLOBAL read_only = 0")
    assert not pair.target.run("SELECT 1 FROM mysql.user WHERE User = 'app'")


def test_a_recreated_replica_gets_only_its_own_accounts(pair, call):
    # The source plays the old replica; the target plays the new replica and, before it has accounts of its own, the old primary.
    both = ["CREATE USER shared@'%' IDENTIFIED VIA mysql_native_password USING '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'"]
    if pair.family == "mysql":
        both = ["CREATE USER shared@'%' IDENTIFIED WITH 'caching_sha2_password' AS 0x" + "2441243030352400".replace("00", "41")[:14] + "41" * 63]
    pair.source.run(*both, "CREATE USER reporting@'%' IDENTIFIED BY 'Secret-1'")
    pair.target.run(*both, "CREATE USER primary_only@'%' IDENTIFIED BY 'Secret-2'")
    done = call(mysql_user_sync, options(pair, baseline=pair.target.login(), prune=True))
    assert actions_of(done) == {"reporting": "create", "primary_only": "surplus"}
    assert pair.target.run("SELECT 1 FROM mysql.user WHERE User = 'primary_only'")

    pair.target.run("DROP USER shared@'%'")
    with pytest.raises(EncryptionError, match="lags or is broken"):
        # Now the old primary (played by the source) has an account that did not arrive.
        call(mysql_user_sync, options(pair, baseline=pair.source.login()))
    assert not pair.target.run("SELECT 1 FROM mysql.user WHERE User = 'shared'")


def test_a_target_that_is_not_there_yet_is_predicted(pair, call):
    pair.source.run("CREATE USER app@'%' IDENTIFIED BY 'Secret-1'")
    nowhere = dict(pair.target.login(), login_host="127.77.9.9", connect_timeout=1)
    arguments = dict(options(pair), target=nowhere, predict_from=pair.target.login())
    predicted = call(mysql_user_sync, arguments, check=True)
    assert predicted["predicted"] and predicted["counts"]["create"] == 1
    assert not pair.target.run("SELECT 1 FROM mysql.user WHERE User = 'app'")
    with pytest.raises(EncryptionError, match="no login"):
        call(mysql_user_sync, arguments)


CONFIGURATION = [
    "DROP TABLE IF EXISTS mysql.rds_configuration",
    "CREATE TABLE mysql.rds_configuration (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100), description VARCHAR(300))",
    "DROP PROCEDURE IF EXISTS mysql.rds_show_configuration",
    "DROP PROCEDURE IF EXISTS mysql.rds_set_configuration",
    "CREATE PROCEDURE mysql.rds_show_configuration() SELECT name, value, description FROM mysql.rds_configuration",
    "CREATE PROCEDURE mysql.rds_set_configuration(n VARCHAR(100), v INT) UPDATE mysql.rds_configuration SET value = v WHERE name = n",
    "INSERT INTO mysql.rds_configuration VALUES ('binlog retention hours', NULL, ''), ('source delay', '0', '')",
]


def test_settings_are_the_sources_own_values(pair, call):
    try:
        for server in (pair.source, pair.target):
            server.run(*CONFIGURATION)
        pair.source.run("UPDATE mysql.rds_configuration SET value = '36' WHERE name = 'binlog retention hours'")
        predicted = call(mysql_user_sync, options(pair), check=True)
        done = call(mysql_user_sync, options(pair))
        assert predicted["settings"] == done["settings"] == [{"name": "binlog retention hours", "before": None, "after": "36", "from": "source"}]
        assert done["changed"] and not call(mysql_user_sync, options(pair))["changed"]
        call(mysql_user_sync, options(pair, configuration={"binlog retention hours": 72}))
        rows = pair.target.run("SELECT name, value FROM mysql.rds_configuration ORDER BY name")
        assert [row["value"] for row in rows] == ["72", "0"]
        pair.source.run("UPDATE mysql.rds_configuration SET value = NULL WHERE name = 'binlog retention hours'")
        call(mysql_user_sync, options(pair))
        assert pair.target.run("SELECT value FROM mysql.rds_configuration ORDER BY name")[0]["value"] is None
    finally:
        for server in (pair.source, pair.target):
            server.run("DROP TABLE IF EXISTS mysql.rds_configuration", "DROP PROCEDURE IF EXISTS mysql.rds_show_configuration")
            server.run("DROP PROCEDURE IF EXISTS mysql.rds_set_configuration")


def test_an_inactive_plugin_leaves_the_account_out(pair, call):
    plugin, soname = ("mysql_no_login", "mysql_no_login.so") if pair.family == "mysql" else ("ed25519", "auth_ed25519")
    how = "IDENTIFIED WITH 'mysql_no_login'" if pair.family == "mysql" else "IDENTIFIED VIA ed25519 USING PASSWORD('Secret-1')"
    pair.source.run(f"CREATE USER foreigner@'%' {how}", "CREATE USER native@'%' IDENTIFIED BY 'Secret-2'")
    if pair.family == "mysql":
        pair.target.run("UNINSTALL PLUGIN mysql_no_login")
    else:
        pair.target.run("UNINSTALL SONAME 'auth_ed25519'")
    try:
        done = call(mysql_user_sync, options(pair, fail_on_problem=False))
        assert actions_of(done) == {"foreigner": "refused", "native": "create"}
        assert plugin in done["problems"][0]["problem"]
    finally:
        pair.target.run(f"INSTALL PLUGIN {plugin} SONAME '{soname}'" if pair.family == "mysql" else f"INSTALL SONAME '{soname}'")


def test_a_restriction_that_cannot_be_made_keeps_the_account_locked(pair, call):
    if pair.family != "mysql":
        return  # MariaDB knows no partial revokes
    pair.source.run("CREATE USER wide@'%' IDENTIFIED BY 'Secret-1'", "GRANT SELECT ON *.* TO wide@'%'", "REVOKE SELECT ON mysql.* FROM wide@'%'")
    pair.target.run("SET GLOBAL partial_revokes = OFF")
    try:
        for again in (False, True):
            done = call(mysql_user_sync, options(pair, fail_on_problem=False))
            assert any("partial_revokes" in problem["problem"] for problem in done["problems"])
            assert bool(done["statements"]) is not again
            assert pair.target.run("SELECT account_locked AS l FROM mysql.user WHERE User = 'wide'") == [{"l": "Y"}]
    finally:
        pair.target.run("SET GLOBAL partial_revokes = ON")
    assert call(mysql_user_sync, options(pair))["problems"] == []
    assert_equal_accounts(pair)


def test_the_number_of_round_trips_does_not_grow_with_the_accounts(pair, call, monkeypatch):
    trips = []
    send = Server._send
    monkeypatch.setattr(Server, "_send", lambda self, *more: trips.append(1) or send(self, *more))

    def trips_of_a_look():
        trips.clear()
        call(mysql_user_sync, options(pair), check=True)
        return len(trips)

    few = trips_of_a_look()
    pair.source.run(*(f"CREATE USER many{number}@'%' IDENTIFIED BY 'Secret-1'" for number in range(60)))
    pair.source.run(*(f"GRANT SELECT ON shop.* TO many{number}@'%'" for number in range(60)))
    assert trips_of_a_look() == few
    packets = []
    send_many = Server.send_many
    monkeypatch.setattr(Server, "send_many", lambda self, texts, *more: packets.append(len(texts)) or send_many(self, texts, *more))
    assert len(call(mysql_user_sync, options(pair))["statements"]) == 180
    assert packets == [1, 1, 1]  # all accounts made, all grants given, all unlocked


def test_no_secret_is_shown_by_ansible_at_any_verbosity(pair, tmp_path):
    pair.source.run(
        "CREATE USER app@'%' IDENTIFIED BY 'Secret-App'",
        "CREATE USER dba@'%' IDENTIFIED BY 'Secret-Dba'",
        "GRANT SUPER ON *.* TO dba@'%'",
    )
    task = {"dbre.rds_encryption.mysql_user_sync": options(pair, user="master", fail_on_not_restorable=True)}
    play = [{"hosts": "localhost", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable}, "tasks": [task]}]
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps(play), encoding="utf-8")
    ansible = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    done = subprocess.run([ansible, "-vvvv", "--diff", str(playbook)], capture_output=True, text=True, cwd=tmp_path, check=False)
    shown = done.stdout + done.stderr
    assert "SUPER" in shown and done.returncode != 0  # it ran, and failed for the right reason
    assert "create" in shown and "<hidden>" in shown
    for secret in (*secrets_of(pair.source), pair.source.login()["login_password"]):
        assert secret not in shown
