# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""postgresql_connections against a real server of the lab, whose roles are those of RDS."""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import sys
import threading
import time

import psycopg
import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import postgresql as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.modules import postgresql_connections

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "extensions" / "lab"))

from rds_lab.engines import Engines  # noqa: E402  (the lab is no installed package)

PASSWORD = "lab-Master-1"
INSTANCE = "db-TEST"
NO_ENCODING = "CREATE DATABASE other ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
PARAMETERS = {"rds.logical_replication": "1", "max_prepared_transactions": "5"}


class RealServer:
    """An instance with the databases ``shop`` and ``other``, and the roles ``app`` and ``blind``."""

    def __init__(self, engines: Engines, ca_cert: pathlib.Path):
        self.engines = engines
        self.ca_cert = ca_cert
        engines.create(INSTANCE, engine="postgres", engine_version="", master_username="boss", master_password=PASSWORD, port=5432, parameters=PARAMETERS)
        self.address = engines.describe()[INSTANCE]["address"]
        with self.connect() as master:
            for statement in ("CREATE DATABASE shop", NO_ENCODING, f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'",
                              f"CREATE ROLE blind LOGIN PASSWORD '{PASSWORD}'"):  # fmt: skip
                master.execute(statement)
        with self.connect(database="shop") as master:
            master.execute("CREATE TABLE orders (id INT)")
            master.execute("GRANT INSERT ON orders TO app")

    def connect(self, user: str = "boss", database: str = "postgres", **more) -> psycopg.Connection:
        return psycopg.connect(host=self.address, user=user, password=PASSWORD, dbname=database, autocommit=True, connect_timeout=5, **more)

    def login(self, user: str = "boss", **more) -> dict:
        return dict(login_host=self.address, login_user=user, login_password=PASSWORD, connect_timeout=5, **more)

    def as_rdsadmin(self, *statements: str) -> None:
        with self.engines.administration(INSTANCE) as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("postgresql")
    engines = Engines(folder)
    try:
        yield RealServer(engines, folder / "tls" / "ca.pem")
    finally:
        engines.shutdown()


@pytest.fixture(autouse=True)
def _nobody_is_left(server):
    """Connections of a test before are gone: a session ends a moment after its connection."""
    yield
    deadline = time.monotonic() + 10
    with server.engines.administration(INSTANCE) as cursor:
        while True:
            cursor.execute("SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') AND pid <> pg_backend_pid()")
            if not cursor.fetchone()["n"]:
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)


def options(server, **more) -> dict:
    return dict(connection=server.login(), **{"settle_time": 1, "wait_timeout": 2, **more})


def test_a_quiet_server_is_proven_quiet_although_rdsadmin_works_on_it(server, call):
    start = time.monotonic()
    with server.engines.administration(INSTANCE) as cursor:
        cursor.execute("BEGIN")
        done = call(postgresql_connections, dict(options(server), connection=server.login(login_db="other")))
    assert done["quiet"] and not done["changed"] and done["connections"] == [] and done["killed"] == []
    assert time.monotonic() - start >= 1


def test_two_runs_that_look_at_once_do_not_wait_for_each_other(server, call):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(call, postgresql_connections, options(server, wait_timeout=60)) for _run in range(2)]
        assert [look.result()["quiet"] for look in looks] == [True, True]


def test_who_is_connected_to_any_database_is_named(server, call):
    rails = {"application_name": "rails"}
    with server.connect("app", "shop", **rails) as first, server.connect("app", "shop", **rails), server.connect("app", "other"):
        first.execute("BEGIN")
        first.execute("INSERT INTO orders VALUES (1)")
        looked = call(postgresql_connections, options(server, wait=False))
        assert [(row["user"], row["database"], row["application"], row["connections"], row["idle"]) for row in looked["connections"]] == [
            ("app", "shop", "rails", 2, 1),
            ("app", "other", "client backend", 1, 1),
        ]
        assert looked["open_transactions"] == 1 and not looked["quiet"]
        assert "INSERT" not in str(looked)
        with pytest.raises(EncryptionError, match=r"2 connections of app@127\.\S+ to shop by 'rails' \(1 idle, 1 active\).*1 open transaction"):
            call(postgresql_connections, options(server))
        assert call(postgresql_connections, options(server, ignore_users=["app"]))["quiet"]
        # check mode: nobody is ended, and it is said who would be
        would = call(postgresql_connections, options(server, kill=True), check=True)
        assert would["changed"] and sum(row["connections"] for row in would["killed"]) == 3
        first.execute("SELECT 1")


def test_kill_ends_sessions_even_of_a_pool_that_comes_back(server, call):
    stop, made = threading.Event(), []

    def pool():
        while not stop.is_set() and len(made) < 4:
            with contextlib.suppress(psycopg.Error), server.connect("app", "shop") as held:
                made.append(1)
                while not stop.wait(0.05):
                    held.execute("SELECT 1")

    thread = threading.Thread(target=pool)
    thread.start()
    try:
        done = call(postgresql_connections, options(server, kill=True, wait_timeout=30))
    finally:
        stop.set()
        thread.join()
    assert done["quiet"] and done["changed"] and sum(row["connections"] for row in done["killed"]) >= 3


def test_who_writes_between_two_looks_is_found_in_every_database(server, call):
    stop = threading.Event()

    def visitor():
        while not stop.wait(0.15):
            with server.connect("app", "shop") as held:
                held.execute("INSERT INTO orders VALUES (2)")

    thread = threading.Thread(target=visitor)
    thread.start()
    try:
        with pytest.raises(EncryptionError, match=r"shop\.public\.orders|connection of app@"):
            call(postgresql_connections, options(server, settle_time=1, wait_timeout=3))
    finally:
        stop.set()
        thread.join()


def test_a_prepared_transaction_is_not_quiet(server, call):
    with server.connect("app", "shop") as held:
        held.execute("BEGIN")
        held.execute("INSERT INTO orders VALUES (3)")
        held.execute("PREPARE TRANSACTION 'order-7'")
    try:
        with pytest.raises(EncryptionError, match="1 prepared transaction.*order-7 of app in shop"):
            call(postgresql_connections, options(server, kill=True))
    finally:
        with server.connect("app", "shop") as held:
            held.execute("ROLLBACK PREPARED 'order-7'")


def test_readers_of_the_log_do_not_count_and_foreign_ones_are_named(server, call, heard):
    server.as_rdsadmin(f"CREATE ROLE debezium LOGIN REPLICATION PASSWORD '{PASSWORD}'")
    replicator = server.engines._server(INSTANCE).distribution.replicator_password
    try:
        with psycopg.connect(f"host={server.address} user=debezium password={PASSWORD} dbname=shop replication=database", autocommit=True) as cdc:
            cdc.execute("CREATE_REPLICATION_SLOT cdc LOGICAL pgoutput NOEXPORT_SNAPSHOT")
            with psycopg.connect(f"host={server.address} user=rdsrepladmin password={replicator} replication=true", autocommit=True) as own:
                own.execute("IDENTIFY_SYSTEM")
                done = call(postgresql_connections, options(server), heard=heard)
        assert done["quiet"] and [row["user"] for row in done["log_readers"]] == ["debezium"]
        said = " ".join(heard.warnings)
        assert "debezium@127." in said and "slot cdc (pgoutput, database shop" in said and "rdsrepladmin" not in said
    finally:
        with contextlib.suppress(psycopg.Error):
            server.as_rdsadmin("SELECT pg_drop_replication_slot('cdc')")
        server.as_rdsadmin("DROP ROLE debezium")


def test_a_login_is_proven_and_what_a_copy_changes_is_said(server, call, heard):
    with server.connect(database="shop") as master:
        master.execute("CREATE UNLOGGED TABLE cache (id INT)")
        master.execute("CREATE PUBLICATION orders_out FOR TABLE orders")
    with server.engines._server(INSTANCE).connect(dbname="shop") as rdsadmin:
        rdsadmin.execute("CREATE EXTENSION postgres_fdw")
        rdsadmin.execute("CREATE SERVER legacy FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'erp.example', dbname 'erp')")
        rdsadmin.execute("CREATE USER MAPPING FOR app SERVER legacy OPTIONS (user 'x', password 'not-to-be-shown')")
    try:
        done = call(postgresql_connections, options(server, login_only=True), heard=heard)
        assert done["server"]["family"] == "postgresql" and done["server"]["account"] == "boss" and done["server"]["tls"] == "unverified"
        assert done["missing_rights"] == []
        said = " ".join(heard.warnings)
        for expected in ("table(s) of database shop (cache)", "publishes orders_out", "legacy (postgres_fdw) of database shop points at erp.example, with 1"):
            assert expected in said
        assert "not-to-be-shown" not in said and "other" not in said
        server.as_rdsadmin("CREATE SUBSCRIPTION from_erp CONNECTION 'host=erp.example' PUBLICATION p WITH (connect = false)",
                           "ALTER SUBSCRIPTION from_erp SET (slot_name = 's')", "ALTER SUBSCRIPTION from_erp ENABLE")  # fmt: skip
        with pytest.raises(EncryptionError, match="subscription from_erp of database postgres"):
            call(postgresql_connections, options(server, login_only=True))
    finally:
        server.as_rdsadmin("ALTER SUBSCRIPTION from_erp DISABLE", "ALTER SUBSCRIPTION from_erp SET (slot_name = NONE)", "DROP SUBSCRIPTION from_erp")
        with server.engines._server(INSTANCE).connect(dbname="shop") as rdsadmin:
            rdsadmin.execute("DROP EXTENSION postgres_fdw CASCADE")
            rdsadmin.execute("DROP PUBLICATION orders_out")
            rdsadmin.execute("DROP TABLE cache")


def test_without_the_right_to_see_others_nothing_is_claimed(server, call):
    blind = dict(options(server), connection=server.login("blind"))
    with pytest.raises(EncryptionError, match="lacks pg_read_all_stats"):
        call(postgresql_connections, blind)
    assert len(call(postgresql_connections, dict(blind, login_only=True))["missing_rights"]) == 2


@pytest.mark.parametrize(
    "change, expected",
    [
        (dict(login_password="wrong"), "password authentication failed.*not tried again"),
        (dict(login_db="nowhere"), "nowhere.*does not exist"),
        (dict(ca_cert="ca_cert"), "does not match host name"),
        (dict(ca_cert="own"), "does not hold the CA"),
        (dict(ssl_mode="verify-full"), "needs ca_cert"),
    ],
)
def test_a_refused_login_is_explained_and_not_repeated(server, call, change, expected):
    login = dict(server.login(), **change)
    if change.get("ca_cert") == "ca_cert":
        login["ca_cert"] = str(server.ca_cert)
    elif change.get("ca_cert"):
        login.update(ca_cert=str(server.ca_cert.with_name("server.pem")), ssl_mode="verify-ca")
    start = time.monotonic()
    with pytest.raises(EncryptionError, match=f"(?s){expected}") as refused:
        call(postgresql_connections, dict(connection=login, login_only=True))
    assert time.monotonic() - start < 4 and PASSWORD not in str(refused.value)


def test_the_servers_certificate_is_verified(server, call):
    login = server.login(ca_cert=str(server.ca_cert), ssl_mode="verify-ca")
    assert call(postgresql_connections, dict(connection=login, login_only=True))["server"]["tls"] == "verified"


def test_a_server_that_restarts_is_waited_for(server, call):
    """A reboot cuts the connection of the check itself; an unreachable server is tried again until it answers."""
    server.engines.stop(INSTANCE)
    timer = threading.Timer(1.5, server.engines.start, [INSTANCE], {"parameters": PARAMETERS})
    timer.start()
    assert call(postgresql_connections, options(server, login_only=True))["server"]["read_only"] is False
    timer.join()
    restart = threading.Timer(1, server.engines.restart, [INSTANCE], {"parameters": PARAMETERS})
    restart.start()
    assert call(postgresql_connections, options(server, settle_time=3, wait_timeout=20))["quiet"]
    restart.join()


def test_two_names_of_one_server_are_seen_through(server, call):
    arguments = adapter.login_arguments(server.login(), host=server.address, port=5432, socket=None, user="boss", password=PASSWORD)
    one, same = (adapter.Server(arguments, "server").connect() for _time in range(2))
    with one, same:
        assert adapter.same_server(one, same)
        assert one.rows("SELECT COUNT(*) AS n FROM pg_locks WHERE locktype = 'advisory'") == [{"n": 0}]
