# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL source with a replica, a writing application, and a client that keeps the address: from refusal to the encrypted instance."""

from __future__ import annotations

import contextlib
import threading
import time

import psycopg
import pytest
from rds_lab.writer import Writer

NAMES = ("ledger", "ledger-replica")


class Clinging:
    """A client that keeps the address it once resolved, and comes back whenever it is cut off."""

    def __init__(self, connect):
        self._connect = connect
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._cling)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._stopping.set()
        self._thread.join()

    def _cling(self):
        while not self._stopping.is_set():
            with contextlib.suppress(psycopg.Error), self._connect() as connection:
                while not self._stopping.wait(0.1):
                    connection.execute("SELECT 1")


class Story:
    """One lab, all that was done in it, and what was true before and after."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.before = lab.instances()
        self.content_before = {name: self.content(self.before[name]) for name in NAMES}
        operator = lab.operator(folder)
        hosts = {"ledger": {"rds_encryption_login_user": self.before["ledger"]["MasterUsername"], "rds_encryption_warm_up_budget": 60}}
        name = self.before["ledger"]["Endpoint"]["Address"]
        writer = Writer(name, user="application", password=lab.application_password, workers=2, engine="postgres").start()
        address = psycopg.connect(**self._place(self.before["ledger"])).info.hostaddr
        try:
            with Clinging(lambda: psycopg.connect(**{**self._place(self.before["ledger"]), "host": address}, application_name="nightly", connect_timeout=2)):
                self.refused = operator.run(hosts, connections_timeout=2)
            self.snapshots_when_refused = lab.snapshots()
            self.encrypted = operator.run(hosts, limit=400).good()
            writer.wait_for(20)
        finally:
            writer.stop()
        self.written = writer.verify()
        self.after = lab.instances()
        self.calls_before_again = lab.now
        self.again = operator.run(hosts).good()

    def _place(self, instance: dict, **more) -> dict:
        endpoint = instance["Endpoint"]
        return {"host": endpoint["Address"], "port": endpoint["Port"], "user": "postgres", "password": self.lab.password, "dbname": "app", "autocommit": True,
                **more}

    def rows(self, instance: dict, statement: str, **place) -> list[tuple]:
        with psycopg.connect(**self._place(instance, **place)) as connection:
            return connection.execute(statement).fetchall()

    def content(self, instance: dict) -> dict:
        """What applications find: rows, roles with their secrets' owners, grants."""
        return {
            "items": self.rows(instance, "SELECT * FROM items ORDER BY id"),
            "roles": self.rows(instance, "SELECT r.rolname, r.rolcanlogin, array(SELECT b.rolname::text FROM pg_auth_members JOIN pg_roles AS b"
                                         " ON b.oid = roleid WHERE member = r.oid ORDER BY 1) FROM pg_roles AS r ORDER BY 1"),
            "grants": self.rows(instance, "SELECT relname, relacl::text, attname, attacl::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
                                          " WHERE relname = 'items' AND attnum > 0 ORDER BY attnum"),
            "work_mem": self.rows(instance, "SHOW work_mem"),
        }


@pytest.fixture(scope="module")
def story(start_lab, tmp_path_factory):
    """The story of the fleet postgres."""
    lab = start_lab("postgres")
    yield Story(lab, tmp_path_factory.mktemp("postgres"))
    lab.stop()


def test_preflight_says_what_is_checked_and_what_a_copy_loses(story):
    said = story.refused.said("ledger")
    assert "SQL checks: postgresql" in said and "roles, grants and settings come with the snapshot" in said
    assert "1 unlogged table(s) of database app (sessions)" in story.refused.output


def test_a_client_that_stays_connected_stops_the_run_before_the_snapshot(story):
    assert story.refused.rc != 0
    assert "of postgres@127." in story.refused.failure("ledger") and "to app by 'nightly'" in story.refused.failure("ledger")
    assert [snapshot["DBSnapshotIdentifier"] for snapshot in story.snapshots_when_refused if "-seed-" not in snapshot["DBSnapshotIdentifier"]] == []


def test_no_acknowledged_write_is_lost(story):
    assert story.written["ok"], story.written
    assert len(story.written["servers"]) > 1, "the writer never came to another server"


def test_each_name_is_an_encrypted_instance_with_the_same_content(story):
    for name in NAMES:
        now, old = story.after[name], story.after[f"old-{name}"]
        assert now["StorageEncrypted"] and now["KmsKeyId"] == story.lab.key() and not old["StorageEncrypted"]
        assert old["DbiResourceId"] == story.before[name]["DbiResourceId"] != now["DbiResourceId"]
        assert story.content(now) == story.content_before[name]
    assert story.rows(story.after["ledger"], "SELECT current_user", user="o'brien", password="lab-OBrien-1") == [("o'brien",)]


def test_each_encrypted_instance_was_warmed_up(story):
    servers = [server for record in story.encrypted.results("Warm up (PostgreSQL)", kind="ok") for server in record["result"]["servers"]]
    assert {server["server"]: server["complete"] for server in servers} == {f"new-{name}": True for name in NAMES}


def test_the_replica_follows_the_encrypted_primary(story):
    assert story.after["ledger-replica"]["ReadReplicaSourceDBInstanceIdentifier"] == "ledger"
    replica, primary = story.after["ledger-replica"], story.after["ledger"]
    assert story.rows(replica, "SELECT pg_is_in_recovery()") == [(True,)]
    end = story.rows(primary, "SELECT pg_current_wal_lsn()")[0][0]
    deadline = time.monotonic() + 20
    while story.rows(replica, f"SELECT pg_last_wal_replay_lsn() >= '{end}'") != [(True,)]:
        assert time.monotonic() < deadline, "the replica does not catch up"
        time.sleep(0.1)
    writer = dict(user="application", password=story.lab.application_password)
    count = "SELECT count(*) FROM lab_writes"
    assert story.rows(replica, count, **writer) == story.rows(primary, count, **writer) != [(0,)]


def test_a_second_run_changes_nothing(story):
    assert story.again.changed == {"ledger": 0}
    assert story.lab.mutating(story.calls_before_again, accepted=False) == []


def test_no_secret_is_shown(story):
    for run in (story.refused, story.encrypted, story.again):
        assert story.lab.password not in run.output
