# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mysql_warm_up and postgresql_warm_up against real servers: what they read is in memory afterwards."""

from __future__ import annotations

import pathlib
import sys
import time

import psycopg
import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_warm_up as mysql_adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import postgresql_warm_up as postgresql_adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import postgresql as logins
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server, login_arguments
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import warm_up as plan
from ansible_collections.dbre.rds_encryption.plugins.modules import mysql_warm_up, postgresql_warm_up

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "extensions" / "lab"))

from rds_lab.engines import Engines  # noqa: E402  (the lab is no installed package)

PASSWORD = "lab-Master-1"


@pytest.fixture(scope="module")
def stocked(servers):
    """A server with a schema ``depot``: rows, an index, and values that are stored outside of their rows (512 pages of them)."""
    digits = "(SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7)"
    servers.target.run(
        "DROP DATABASE IF EXISTS depot",
        "CREATE DATABASE depot",
        "CREATE TABLE depot.`odd``name` (id BIGINT PRIMARY KEY, at INT, note TEXT, KEY by_at (at))",
        f"INSERT INTO depot.`odd``name` SELECT a.d * 4096 + b.d * 512 + c.d * 64 + d.d * 8 + e.d, e.d, IF(a.d + b.d < 1, REPEAT('x', 9000), 'y')"
        f" FROM {digits} AS a, {digits} AS b, {digits} AS c, {digits} AS d, {digits} AS e",
        "ANALYZE TABLE depot.`odd``name`",
        "CREATE TABLE depot.plain (name VARCHAR(20))",
        "INSERT INTO depot.plain VALUES ('one')",
        "CREATE VIEW depot.seen AS SELECT name FROM depot.plain",
        "SET GLOBAL innodb_buffer_pool_dump_at_shutdown = OFF",
    )
    yield servers.target
    servers.target.run("DROP DATABASE depot")


# Pages of depot: 512 of values outside of their rows, about 80 of rows, about 60 of the index.
ROWS, INDEX = 560, 50


def pages_read(server, counter: str = "pages_read") -> int:
    """How many pages came from the disk since the server was started. (What stays in memory is the server's affair, under pressure above all.)"""
    (row,) = server.run(f"SHOW GLOBAL STATUS LIKE 'Innodb_{counter}'")
    return int(row["Value"])


def test_rows_indexes_and_what_is_stored_aside_are_read_from_the_disk(stocked, call, heard, monkeypatch):
    monkeypatch.setattr(plan, "PIECE", 64 << 10)  # for this table to be read in ranges
    (stocked.data / "ib_buffer_pool").unlink(missing_ok=True)
    stocked.restart()  # what is on the disk is not in memory now
    for arguments, check in ((dict(time_budget=60), True), (dict(time_budget=0), False)):
        before = pages_read(stocked)
        (server,) = call(mysql_warm_up, dict(servers=[stocked.login()], **arguments), check=check)["servers"]
        assert server["tables"][0]["table"] == "odd`name" and server["tables"][0]["verdict"] == "would be read"
        # To tell sizes, a server opens its tables; it does not read them.
        assert pages_read(stocked) < before + ROWS
    before = pages_read(stocked)
    done = call(mysql_warm_up, dict(servers=[stocked.login()], time_budget=60, connections=2), heard=heard)
    assert pages_read(stocked) >= before + ROWS + INDEX
    (server,) = done["servers"]
    assert not done["changed"] and server["complete"] and heard.warnings == []
    assert {(row["schema"], row["verdict"]) for row in server["tables"]} == {("shop", "read"), ("depot", "read")}
    (odd,) = (row for row in server["tables"] if row["table"] == "odd`name")
    assert odd["before_ms"] > 0 and odd["after_ms"] > 0
    assert [measure["measure"] for measure in done["measures"]] == ["read_latency_before_warm_up", "read_latency_after_warm_up"]
    assert "tables read" in heard.lines[-1]


def test_each_part_is_read_and_what_takes_too_long_is_ended_and_nothing_may_be_written(stocked):
    options = stocked.login()
    arguments = login_arguments(options, host=options["login_host"], port=3306, socket=None, user=options["login_user"], password=options["login_password"])
    with Server(arguments, "target").connect() as server:
        mysql_adapter.begin(server)
        (table,) = (row for row in mysql_adapter.tables(server) if row["table"] == "odd`name")
        rows, index = plan.parts_of([table], {})
        assert mysql_adapter.read(server, rows, 0.001) is False
        for part, pages in ((index, INDEX), (rows, ROWS - 100)):
            before = pages_read(stocked, "buffer_pool_read_requests")
            assert mysql_adapter.read(server, part, 30) is True
            assert pages_read(stocked, "buffer_pool_read_requests") >= before + pages
        with pytest.raises(StatementError, match="(?i)read.only"):
            server.execute("INSERT INTO depot.plain VALUES ('two')")


def test_a_server_that_is_not_there_is_a_warning(stocked, call, heard):
    nobody = dict(stocked.login(), login_host="127.0.0.1", login_port=1, connect_timeout=1)
    done = call(mysql_warm_up, dict(servers=[nobody, stocked.login()], time_budget=30), heard=heard)
    assert [server["complete"] for server in done["servers"]] == [False, True]
    assert "Not warmed up" in heard.warnings[0]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    engines = Engines(tmp_path_factory.mktemp("postgresql"))
    try:
        engines.create("db-WARM", engine="postgres", engine_version="", master_username="boss", master_password=PASSWORD, port=5432, parameters={})
        address = engines.describe()["db-WARM"]["address"]

        def connect(database: str = "postgres") -> psycopg.Connection:
            return psycopg.connect(host=address, user="boss", password=PASSWORD, dbname=database, autocommit=True, connect_timeout=5)

        with connect() as master:
            master.execute("CREATE DATABASE depot")
        with connect("depot") as master:
            master.execute('CREATE TABLE "odd "" name" AS SELECT generate_series(1, 20000) AS id, repeat(\'x\', 100) AS note')
            master.execute('CREATE INDEX by_id ON "odd "" name" (id)')
            master.execute("CREATE UNLOGGED TABLE lost (id int)")
        connect.login = dict(login_host=address, login_user="boss", login_password=PASSWORD, connect_timeout=5)
        connect.engines = engines
        yield connect
    finally:
        engines.shutdown()


def blocks(connect) -> int:
    """How many blocks of the table were asked for since the server was started, as far as sessions have told."""
    with connect("depot") as master:
        return master.execute("SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname LIKE 'odd%'").fetchone()[0]


def test_all_databases_of_postgresql_are_read(postgresql, call, heard, monkeypatch):
    monkeypatch.setattr(plan, "PIECE", 256 << 10)
    before = blocks(postgresql)
    arguments = dict(servers=[postgresql.login], time_budget=60, connections=2)
    (planned,) = call(postgresql_warm_up, arguments, check=True)["servers"]
    assert ("depot.public", 'odd " name', "would be read") in [(row["schema"], row["table"], row["verdict"]) for row in planned["tables"]]
    (server,) = call(postgresql_warm_up, arguments, heard=heard)["servers"]
    (odd,) = (row for row in server["tables"] if row["schema"] == "depot.public")
    assert server["complete"] and odd["verdict"] == "read" and odd["before_ms"] > 0 and odd["after_ms"] > 0
    pages, deadline = odd["bytes"] // 8192, time.monotonic() + 10
    assert pages > 200
    while blocks(postgresql) < before + pages:  # a session tells its figures when it has ended
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert heard.warnings == []


def test_pg_prewarm_reads_indexes_too_where_it_is_installed(postgresql, call, heard):
    with postgresql.engines.administration("db-WARM") as rdsadmin, postgresql() as master:
        rdsadmin.execute("CREATE EXTENSION pg_prewarm SCHEMA public")
        master.execute("CREATE TABLE items AS SELECT generate_series(1, 5000) AS id")
        master.execute("CREATE INDEX by_item ON items (id)")
        (server,) = call(postgresql_warm_up, dict(servers=[postgresql.login], time_budget=60), heard=heard)["servers"]
        (items,) = (row for row in server["tables"] if row["schema"] == "postgres.public")
        (table, index) = master.execute("SELECT pg_relation_size('items'), pg_relation_size('by_item')").fetchone()
    assert items["verdict"] == "read" and items["bytes"] == table + index
    assert server["complete"] and heard.warnings == []


def test_postgresql_ends_what_takes_too_long(postgresql):
    login = postgresql.login
    arguments = logins.login_arguments({}, host=login["login_host"], port=5432, socket=None, user="boss", password=PASSWORD)
    with postgresql_adapter.Session(logins.Server(arguments, "target").connect()) as session:
        postgresql_adapter.begin(session)
        (table,) = (row for row in postgresql_adapter.tables(session) if row["schema"] == "depot.public")
        part = plan.parts_of([table], {})[0]
        assert postgresql_adapter.read(session, part, 0.001) is False
        assert postgresql_adapter.read(session, part, 30) is True
        with pytest.raises(StatementError, match="read-only"):
            session.database("depot").rows("CREATE TABLE more (id int)")
