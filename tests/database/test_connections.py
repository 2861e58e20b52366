# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""mysql_connections against real servers."""

from __future__ import annotations

import concurrent.futures
import threading
import time

import pymysql
import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server, login_arguments, same_server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_catalog import last_writes
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.modules import mysql_connections


def options(server, **more) -> dict:
    return dict(connection=server.login("master"), **{"settle_time": 1, "wait_timeout": 3, **more})


def reader_of(server) -> Server:
    """The collection's own connection, as the check has it."""
    login = server.login("master")
    arguments = login_arguments(login, host=server.address, port=3306, socket=None, user="master", password=login["login_password"])
    return Server(arguments, "source").connect()


@pytest.fixture()
def server(pair):
    pair.source.run("CREATE USER app@'%' IDENTIFIED BY 'operator-Passw0rd'", "GRANT ALL ON shop.* TO app@'%'")
    pair.source.admin.close()  # root's own connection would count
    yield pair.source
    pair.source._wait()


def test_a_quiet_server_is_proven_quiet(server, call):
    start = time.monotonic()
    done = call(mysql_connections, options(server))
    assert done["quiet"] and not done["changed"] and done["connections"] == []
    assert time.monotonic() - start >= 1


def test_who_is_connected_is_named(server, call):
    with server.connect("app", database="shop") as first, server.connect("app"):
        with first.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO Orders2 VALUES (1)")
        looked = call(mysql_connections, options(server, wait=False))
        while not looked["open_transactions"]:  # information_schema.innodb_trx is renewed only when nobody read it for a tenth of a second
            time.sleep(0.2)
            looked = call(mysql_connections, options(server, wait=False))
        assert [(row["user"], row["database"], row["connections"], row["idle"]) for row in looked["connections"]] == [
            ("app", "", 1, 1),
            ("app", "shop", 1, 1),
        ]
        assert looked["open_transactions"] == 1 and not looked["quiet"]
        with pytest.raises(EncryptionError, match=r"1 connection of app@127.0.0.1 to shop \(1 idle, 0 active\).*1 open transaction.*1 rows modified"):
            call(mysql_connections, options(server))


def test_who_comes_writes_and_goes_is_noticed(server, call):
    """A client that connects for each write is nearly never connected when looked."""
    stop = threading.Event()

    def come_and_go():
        while not stop.wait(0.4):
            with server.connect("app", database="shop") as connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO Orders2 VALUES (1)")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        # Who is just logging in has no name yet.
        with pytest.raises(EncryptionError, match=r"somebody wrote to shop.Orders2 between two looks|connection of (app|unauthenticated user)@127.0.0.1"):
            call(mysql_connections, options(server))
    finally:
        stop.set()
        thread.join()
    assert call(mysql_connections, options(server))["quiet"]


def test_a_write_in_the_second_of_another_one_is_seen(server, call):
    """The server notes the second of the last write only: two writes of one second must not look like one."""
    with server.connect("app", database="shop") as connection, connection.cursor() as cursor, reader_of(server) as reader:
        for _attempt in range(50):  # until both fell into one second
            cursor.execute("INSERT INTO Orders2 VALUES (1)")
            before = last_writes(reader)["shop.Orders2"]
            cursor.execute("INSERT INTO Orders2 VALUES (2)")
            after = last_writes(reader)["shop.Orders2"]
            assert before != after
            if before[:2] == after[:2]:
                break
        else:
            raise AssertionError("no two writes fell into one second")
        deadline = time.monotonic() + 10
        while last_writes(reader)["shop.Orders2"] != last_writes(reader)["shop.Orders2"]:
            assert time.monotonic() < deadline, "a table that nobody writes to is the same at each look"
            time.sleep(0.2)


@pytest.mark.parametrize("kill", [False, True])
def test_two_runs_that_look_at_once_do_not_wait_for_each_other(server, call, kill):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(call, mysql_connections, options(server, kill=kill, wait_timeout=60)) for _run in range(2)]
        assert [look.result()["quiet"] for look in looks] == [True, True]


def test_check_mode_kills_nobody_and_says_whom_it_would(server, call):
    with server.connect("app") as held:
        looked = call(mysql_connections, options(server, kill=True), check=True)
        assert looked["changed"] and looked["killed"][0]["user"] == "app"
        held.ping(reconnect=False)


def test_kill_ends_sessions_even_of_a_pool_that_comes_back(server, call):
    stop = threading.Event()
    made = []

    def pool():
        while not stop.is_set() and len(made) < 4:
            try:
                with server.connect("app") as held:
                    made.append(1)
                    while not stop.wait(0.05):
                        held.ping(reconnect=False)
            except pymysql.err.Error:
                continue  # the session was killed, maybe while it logged in

    thread = threading.Thread(target=pool)
    thread.start()
    try:
        done = call(mysql_connections, options(server, kill=True, wait_timeout=30))
    finally:
        stop.set()
        thread.join()
    assert done["quiet"] and done["changed"] and sum(row["connections"] for row in done["killed"]) >= 4


def test_a_prepared_transaction_is_not_quiet(server, call):
    right = "GRANT XA_RECOVER_ADMIN ON *.* TO master@'%'"
    with server.connect("operator") as connection, connection.cursor() as cursor:
        if server.family == "mysql":
            cursor.execute(right)
        cursor.execute("XA START 'order-7'")
        cursor.execute("INSERT INTO shop.Orders2 VALUES (2)")
        cursor.execute("XA END 'order-7'")
        cursor.execute("XA PREPARE 'order-7'")
    try:
        with pytest.raises(EncryptionError, match="prepared transaction.*order-7"):
            call(mysql_connections, options(server, kill=True))
    finally:
        with server.connect("operator") as connection, connection.cursor() as cursor:
            cursor.execute("XA ROLLBACK 'order-7'")


def test_a_login_is_proven_and_tried_once(server, call, heard):
    done = call(mysql_connections, options(server, login_only=True), heard=heard)
    assert done["server"]["family"] == server.family and done["server"]["account"] == "master@%"
    assert done["missing_rights"] == []

    def refused():
        with server.connect("operator") as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Aborted_connects'")
            return int(cursor.fetchone()["Value"])

    before = refused()
    wrong = dict(server.login("master"), login_password="wrong")
    with pytest.raises(EncryptionError, match="not tried again"):
        call(mysql_connections, dict(connection=wrong, login_only=True))
    assert refused() == before + 1


def test_without_the_right_to_see_others_nothing_is_claimed(server, call):
    with server.connect("operator") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER blind@'%' IDENTIFIED BY 'operator-Passw0rd'")
    with pytest.raises(EncryptionError, match="lacks PROCESS"):
        call(mysql_connections, dict(options(server), connection=server.login("blind")))


def test_an_unreachable_server_is_tried_until_it_answers(server, call):
    nobody = dict(server.login("master"), login_host="127.77.9.9", connect_timeout=2)
    start = time.monotonic()
    with pytest.raises(EncryptionError, match="127.77.9.9:3306"):
        call(mysql_connections, dict(connection=nobody))
    assert 1 <= time.monotonic() - start < 10


def test_two_names_of_one_server_are_seen_through(server, pair):
    with reader_of(server) as one, reader_of(server) as same, reader_of(pair.target) as other:
        for first, second, equal in ((one, same, True), (same, one, True), (one, other, False), (other, one, False)):
            assert same_server(first, second) is equal
        assert one.rows("SELECT COUNT(*) AS n FROM information_schema.processlist WHERE state LIKE '%lock%'")[0]["n"] == 0


def test_a_server_that_fails_at_any_moment_of_the_check_is_waited_for(server, call, heard, monkeypatch):
    """Also right after the login, and while rights are looked up: not only between two looks."""
    due = {"SELECT CURRENT_USER()": 1, "SHOW GRANTS": 1, "SHOW FULL PROCESSLIST": 2, "information_schema.tables": 1}
    send = Server._send

    def failing(self, sql, *secrets):
        for text, times in due.items():
            if text in sql and times:
                due[text] = times - 1
                server._wait()
                server.restart()
                server.admin.close()
                break
        return send(self, sql, *secrets)

    monkeypatch.setattr(Server, "_send", failing)
    done = call(mysql_connections, options(server, wait_timeout=60), heard=heard)
    assert done["quiet"] and not any(due.values())
    assert any("Beginning anew" in line for line in heard.lines)
