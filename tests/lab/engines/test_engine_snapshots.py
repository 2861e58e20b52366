"""Snapshots of servers that are written to."""
from __future__ import annotations

import threading

import pytest
from lab_servers import PASSWORD

from rds_lab.servers.base import ServerError
from rds_lab.writer import Writer


def _numbers(instance, run) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for worker, number in instance.query(f"SELECT worker, number FROM app.lab_writes WHERE run = '{run}'"):
        assert number not in found.setdefault(worker, set()), "a row is there twice"
        found[worker].add(number)
    return found


def test_a_snapshot_under_load_holds_one_moment(engines, primary, another, resource_id):
    writer = Writer(primary.address, user="admin", password=PASSWORD, workers=6, interval=0.001).start()
    moments = []
    try:
        for _round in range(2):
            writer.wait_for(150)
            before = writer.snapshot_of_acknowledged()
            key = resource_id()
            engines.snapshot(primary.resource_id, key)
            moments.append((key, before))
        writer.wait_for(150)
    finally:
        writer.stop()
    report = writer.verify()
    assert report["ok"] and report["errors"] == {}, "the application must not notice more than a pause"
    after = writer.snapshot_of_acknowledged()
    for key, before in moments:
        restored = another("restore", key)
        found = _numbers(restored, writer.run)
        assert sum(map(len, before)) >= 150
        for worker, acknowledged in enumerate(before):
            there = found.get(worker, set())
            assert acknowledged <= there, "acknowledged before the snapshot, and lost"
            assert there == set(range(1, len(there) + 1)), "nothing of later without everything of earlier"
            assert len(there) <= max(after[worker], default=0), "the snapshot holds what was written long after it"
        status = restored.query("CHECK TABLE app.lab_writes")
        assert [row[3] for row in status] == ["OK"]
        engines.delete(restored.resource_id)
        engines.delete_snapshot(key)


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_snapshot_never_holds_half_a_transaction(engines, primary, another, resource_id):
    primary.query("CREATE TABLE app.accounts (id INT PRIMARY KEY, amount INT NOT NULL)", "CREATE TABLE app.other LIKE app.accounts",
                  "INSERT INTO app.accounts VALUES (1, 1000)", "INSERT INTO app.other VALUES (1, 0)")
    stopping, done = threading.Event(), []

    def transfer() -> None:
        connection = primary.connect(autocommit=False)
        with connection.cursor() as cursor:
            while not stopping.is_set():
                cursor.execute("UPDATE app.accounts SET amount = amount - 1")
                cursor.execute("UPDATE app.other SET amount = amount + 1")
                connection.commit()
                done.append(1)
        connection.close()

    thread = threading.Thread(target=transfer)
    thread.start()
    try:
        while len(done) < 50:
            stopping.wait(0.01)
        key = resource_id()
        engines.snapshot(primary.resource_id, key)
        seen = len(done)
    finally:
        stopping.set()
        thread.join()
    restored = another("restore", key)
    rows = restored.query("SELECT (SELECT amount FROM app.accounts) + (SELECT amount FROM app.other), (SELECT amount FROM app.other)")
    assert rows[0][0] == 1000
    assert 50 <= rows[0][1] <= seen + 1
    engines.delete_snapshot(key)


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_snapshot_holds_accounts_and_settings(engines, primary, another, resource_id):
    keys = []
    for number in range(3):
        primary.query(f"CREATE USER 'user{number}'@'%' IDENTIFIED BY 'lab-User-{number}'", f"GRANT SELECT ON app.* TO 'user{number}'@'%'",
                      f"CALL mysql.rds_set_configuration('binlog retention hours', {10 + number})")
        keys.append(resource_id())
        engines.snapshot(primary.resource_id, keys[-1])
    engines.set_master_password(primary.resource_id, "admin", "another-Password-1")
    for number, key in enumerate(keys):
        restored = another("restore", key)
        assert restored.query("SELECT CURRENT_USER()", user=f"user{number}", password=f"lab-User-{number}")[0][0] == f"user{number}@%"
        users = {row[0] for row in restored.query("SELECT user FROM mysql.user")}
        assert f"user{number}" in users and f"user{number + 1}" not in users
        settings = {row[0]: row[1] for row in restored.query("CALL mysql.rds_show_configuration")}
        assert settings["binlog retention hours"] == str(10 + number)
        engines.delete(restored.resource_id)
    assert primary.query("SELECT 1", password="another-Password-1") == ((1,),)


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_copied_snapshot_outlives_its_original(engines, primary, another, resource_id):
    primary.query("CREATE TABLE app.t (n INT)", "INSERT INTO app.t VALUES (7)")
    first, second = resource_id(), resource_id()
    engines.snapshot(primary.resource_id, first)
    engines.copy_snapshot(first, second)
    engines.delete_snapshot(first)
    primary.query("DELETE FROM app.t")
    restored = another("restore", second)
    assert restored.query("SELECT n FROM app.t") == ((7,),)
    restored.query("UPDATE app.t SET n = 8")
    assert another("restore", second).query("SELECT n FROM app.t") == ((7,),), "a restored server must not write into its snapshot"
    with pytest.raises(ServerError):
        engines.restore(first, resource_id(), port=3306, parameters={})


def test_a_restored_server_begins_its_binary_log_anew(engines, primary, another, resource_id):
    primary.query("CREATE TABLE app.t (n INT)", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS", "INSERT INTO app.t VALUES (1)")
    key = resource_id()
    engines.snapshot(primary.resource_id, key)
    restored = another("restore", key)
    assert [row[0] for row in restored.query("SHOW BINARY LOGS")] == ["mysql-bin-changelog.000001"]
    assert restored.query("SELECT @@server_id") != primary.query("SELECT @@server_id")
    without = another("restore", key, log_bin="0")
    assert without.query("SELECT @@log_bin") == ((0,),)
    assert without.query("SELECT n FROM app.t") == ((1,),)
