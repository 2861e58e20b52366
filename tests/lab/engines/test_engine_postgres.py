"""PostgreSQL servers: what they do like the others, in PostgreSQL's way."""
from __future__ import annotations

import contextlib
import itertools
import os
import signal

import psycopg
import pytest
from lab_servers import PASSWORD
from lab_servers import await_that

from rds_lab.engines import clean
from rds_lab.servers.spawn import children_of
from rds_lab.servers.spawn import is_alive
from rds_lab.writer import Writer

_NUMBERS = itertools.count(1)
PARAMETERS = {"max_prepared_transactions": "5", "max_connections": "LEAST({DBInstanceClassMemory/9531392},5000)", "work_mem": "8192"}


class Instance:
    """A server of the lab as a client sees it."""

    def __init__(self, engines, resource_id: str) -> None:
        self.engines = engines
        self.resource_id = resource_id

    @property
    def place(self) -> dict:
        return self.engines.describe()[self.resource_id]

    def query(self, *statements, user: str = "admin", password: str = PASSWORD, database: str = "app") -> list[tuple]:
        """The rows of the last statement."""
        with psycopg.connect(host=self.place["address"], port=self.place["port"], user=user, password=password, dbname=database, autocommit=True,
                             connect_timeout=5) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def writer(self, name: str | None = None, **options) -> Writer:
        return Writer(name or self.place["address"], user="admin", password=PASSWORD, engine="postgres", **options).start()


@pytest.fixture(scope="module")
def make(engines):
    """Makes servers and takes them away."""
    made = []

    def new(kind: str, of: str | None = None, **parameters) -> Instance:
        resource_id = f"db-PG{next(_NUMBERS)}"
        parameters = parameters or PARAMETERS
        made.append(resource_id)
        if kind == "create":
            engines.create(resource_id, engine="postgres", engine_version="", master_username="admin", master_password=PASSWORD, port=5432,
                           parameters=parameters)
        else:
            {"restore": engines.restore, "replica": engines.create_replica}[kind](of, resource_id, port=5432, parameters=parameters)
        return Instance(engines, resource_id)

    yield new
    for resource_id in reversed(made):
        engines.delete(resource_id)


@pytest.fixture(scope="module")
def primary(make):
    """A server with a database ``app``, until the last test of this file kills it."""
    instance = make("create")
    instance.query("CREATE DATABASE app", database="postgres")
    return instance


def test_a_snapshot_under_load_holds_one_moment(engines, primary, make):
    primary.query("CREATE TABLE accounts (id INT, amount INT)", "INSERT INTO accounts VALUES (1, 1000), (2, 0)", "CREATE UNLOGGED TABLE cache (id INT)",
                  "INSERT INTO cache VALUES (1)", "BEGIN", "UPDATE accounts SET amount = 5", "PREPARE TRANSACTION 'undecided'")
    writer = primary.writer(workers=6, interval=0.001)
    moments = []
    try:
        for number in range(3):
            writer.wait_for(150)
            before = writer.snapshot_of_acknowledged()
            engines.snapshot(primary.resource_id, f"pg-moment-{number}")
            moments.append((f"pg-moment-{number}", before))
        writer.wait_for(150)
    finally:
        writer.stop()
    report = writer.verify()
    assert report["ok"] and report["errors"] == {}, "the application must not notice more than a pause"
    for key, before in moments:
        restored = make("restore", key)
        found: dict[int, set[int]] = {}
        for worker, number in restored.query(f"SELECT worker, number FROM lab_writes WHERE run = '{writer.run}'"):
            assert number not in found.setdefault(worker, set()), "a row is there twice"
            found[worker].add(number)
        assert sum(map(len, before)) >= 150
        for worker, acknowledged in enumerate(before):
            there = found.get(worker, set())
            assert acknowledged <= there, "acknowledged before the snapshot, and lost"
            assert there == set(range(1, len(there) + 1)), "nothing of later without everything of earlier"
        assert restored.query("SELECT sum(amount) FROM accounts") == [(1000,)]
        assert restored.query("SELECT gid FROM pg_prepared_xacts") == [("undecided",)], "a prepared transaction survives every copy"
        assert restored.query("SELECT count(*) FROM cache") == [(0,)], "an unlogged table does not"
        engines.delete(restored.resource_id)
        engines.delete_snapshot(key)


def test_a_replica_made_under_load_follows_through_restarts_new_names_and_a_new_port(engines, primary, make):
    name = f"one-{primary.resource_id.lower()}.c0.us-east-1.rds.lab.internal"
    engines.publish(primary.resource_id, name)
    writer = primary.writer(name, workers=4, interval=0.002)
    try:
        writer.wait_for(100)
        replica = make("replica", primary.resource_id)
        await_that(lambda: engines.replication_status(replica.resource_id) == {"status": "replicating", "message": ""})
        writer.wait_for(100)
        engines.restart(primary.resource_id, parameters=PARAMETERS)
        writer.wait_for(100)
    finally:
        writer.stop()
        engines.unpublish(name)
    assert writer.verify(primary.place["address"])["ok"] and writer.report()["errors"]
    engines.restart(primary.resource_id, parameters=PARAMETERS, port=5433)
    primary.query("CREATE TABLE later (n INT)", "INSERT INTO later VALUES (7)")

    def arrived() -> bool:
        with contextlib.suppress(psycopg.errors.UndefinedTable):
            return replica.query("SELECT n FROM later") == [(7,)]
        return False

    await_that(arrived)
    assert writer.verify(replica.place["address"])["ok"]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        replica.query("INSERT INTO later VALUES (8)")
    assert primary.query("SELECT usename, backend_type FROM pg_stat_replication JOIN pg_stat_activity USING (pid, usename)") == [("rdsrepladmin", "walsender")]
    engines.promote(replica.resource_id)
    assert replica.query("INSERT INTO later VALUES (9)", "SELECT sum(n) FROM later") == [(16,)]
    assert primary.query("SELECT sum(n) FROM later") == [(7,)]


def test_the_master_user_has_the_rights_that_rds_gives(engines, primary):
    assert primary.query("SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user") == [(False, True, True)]
    assert primary.query("SELECT pg_has_role('pg_monitor', 'USAGE'), pg_has_role('pg_signal_backend', 'USAGE'), pg_has_role('rds_superuser', 'USAGE')") == [
        (True, True, True)]
    for refused in ("ALTER SYSTEM SET work_mem = '1MB'", "COPY (SELECT 1) TO PROGRAM 'true'", "DROP ROLE rdsadmin"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            primary.query(refused)
    for place in ({"database": "rdsadmin"}, {"user": "rdsadmin"}):
        with pytest.raises(psycopg.OperationalError, match="reject|permission"):
            primary.query("SELECT 1", **place)
    engines.set_master_password(primary.resource_id, "admin", "another-Password-1")
    assert primary.query("SHOW work_mem", password="another-Password-1") == [("8MB",)]
    engines.apply_dynamic(primary.resource_id, {"work_mem": "4096"})
    assert primary.query("SHOW work_mem", password="another-Password-1") == [("4MB",)]
    place = primary.place
    held = psycopg.connect(host=place["address"], port=place["port"], user="admin", password="another-Password-1", dbname="app")
    engines.drop_connections(primary.resource_id)
    with pytest.raises(psycopg.OperationalError):
        held.execute("SELECT 1")
    engines.set_master_password(primary.resource_id, "admin", PASSWORD)


def test_logical_replication_is_a_parameter_and_its_slots_do_not_come_with_a_copy(engines, make):
    source = make("create", **{"rds.logical_replication": "1"})
    with engines.administration(source.resource_id) as cursor:
        cursor.execute("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')")
    engines.snapshot(source.resource_id, "pg-slots")
    restored = make("restore", "pg-slots", **{"work_mem": "8192"})
    assert restored.query("SELECT count(*), current_setting('wal_level') FROM pg_replication_slots", database="postgres") == [(0, "replica")]
    engines.delete_snapshot("pg-slots")


def test_nothing_is_left_of_a_server_that_died_while_it_was_paused(engines, primary, tmp_path):
    """The lab dies in the middle of a snapshot: its servers are killed, their processes stay paused until the next lab comes."""
    pid = primary.place["pid"]
    family = children_of(pid)
    assert family
    folder = engines._server(primary.resource_id).folder
    for each in (pid, *family):
        os.kill(each, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    await_that(lambda: not is_alive(pid))
    assert all(map(is_alive, family))
    facts = folder / "server.json"
    left = tmp_path / "servers" / folder.name
    left.mkdir(parents=True)
    (left / facts.name).write_bytes(facts.read_bytes())
    clean(tmp_path)
    await_that(lambda: not any(map(is_alive, family)), timeout=10)
