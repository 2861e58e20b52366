# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strategy mysql_replication on real servers: a busy application writes all the while, into tables that are hard to replicate."""

from __future__ import annotations

import contextlib
import threading
import time

import pymysql
import pytest
from scenario_truth import BY_NATURE, OF_MULTI_AZ, Database, differences, replicates

ROWS = 20
SCHEMA = (
    "CREATE TABLE app.totals (worker INT NOT NULL PRIMARY KEY, orders BIGINT NOT NULL)",
    "INSERT INTO app.totals VALUES (0, 0), (1, 0), (2, 0)",
    "CREATE TABLE app.orders (id BIGINT NOT NULL PRIMARY KEY, worker INT NOT NULL, token VARCHAR(64) NOT NULL, placed DATETIME(6) NOT NULL)",
    "CREATE TABLE app.order_lines (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, order_id BIGINT NOT NULL, amount DOUBLE NOT NULL, "
    "FOREIGN KEY (order_id) REFERENCES app.orders (id))",
    "CREATE TABLE app.notes (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, told VARCHAR(80) NOT NULL)",
    "CREATE TRIGGER app.counted AFTER INSERT ON app.orders FOR EACH ROW UPDATE app.totals SET orders = orders + 1 WHERE worker = NEW.worker",
    "CREATE EVENT app.nightly ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DO INSERT INTO app.notes (told) VALUES ('event')",
)


class Busy:
    """Applications of several tables: transactions of many rows, a trigger, a foreign key, values that no two servers would make alike.

    An order has a number that is used once; ``acknowledged`` holds those whose commit was answered.
    """

    def __init__(self, host: str, port: int, password: str):
        self._target = dict(host=host, port=port, user="application", password=password, database="app", connect_timeout=3, read_timeout=20)
        self._stopping = threading.Event()
        self.acknowledged: list[list[int]] = [[], [], []]
        self.began = time.monotonic()
        self._threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in range(3)]
        for thread in self._threads:
            thread.start()

    @property
    def rows(self) -> int:
        """Acknowledged rows of orders and their lines."""
        return 2 * sum(len(numbers) for numbers in self.acknowledged)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self, worker: int) -> None:
        connection, number = None, worker * 10**9
        while not self._stopping.is_set():
            numbers = range(number, number + ROWS)
            number += ROWS
            try:
                connection = connection or pymysql.connect(**self._target)
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO orders SELECT n, %s, UUID(), NOW(6) FROM (" + " UNION ALL ".join(f"SELECT {n} AS n" for n in numbers) + ") x",
                                   (worker,))
                    cursor.execute("INSERT INTO order_lines (order_id, amount) SELECT id, RAND() FROM orders WHERE id BETWEEN %s AND %s",
                                   (numbers[0], numbers[-1]))
                connection.commit()
                self.acknowledged[worker] += numbers
            except (OSError, pymysql.err.MySQLError):
                with contextlib.suppress(Exception):
                    connection.close()
                connection = None
                self._stopping.wait(0.05)


class Story:
    """A fleet that was encrypted while it was written to, and what was true before and after."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.before = lab.instances()
        self.primary = next(name for name, instance in self.before.items() if not instance.get("ReadReplicaSourceDBInstanceIdentifier"))
        instance = self.before[self.primary]
        source = Database(instance, lab.password)
        with source.cursor() as cursor:
            for statement in SCHEMA:
                cursor.execute(statement)
        self.settings = source.settings()
        self.accounts = source.accounts()
        self.hosts = {self.primary: {"rds_encryption_login_user": instance["MasterUsername"]}}
        self.operator = lab.operator(folder)
        began = lab.now
        self.predicted = self.operator.run(self.hosts, "encrypt.yml", "--check", limit=600, strategy="mysql_replication").good()
        self.changed_by_check = lab.mutating(began, accepted=False)
        self.busy = Busy(instance["Endpoint"]["Address"], instance["Endpoint"]["Port"], lab.application_password)
        try:
            self.lifted = self._lift()
            self.run = self.operator.run(self.hosts, limit=600, strategy="mysql_replication").good()
            self._goes_on()
        finally:
            self.busy.stop()
        self.again = self.operator.run(self.hosts, limit=600, strategy="mysql_replication").good()
        self.after = lab.instances()

    def _lift(self):
        """Build before the night; then let replication fail behind the fence, where the login is needed under another address."""
        self.operator.run(self.hosts, "encrypt.yml", "--tags", "seed", limit=600, strategy="mysql_replication").good()
        source = Database(self.lab.instances()[self.primary], self.lab.password)
        login = next(account for account in source.accounts() if account.startswith("rdsenc_")).partition("@")[0]
        with source.cursor() as cursor:
            cursor.execute(f"ALTER USER {login}@'%' ACCOUNT LOCK")
        run = self.operator.run(self.hosts, limit=600, strategy="mysql_replication")
        self.while_lifted = self.lab.instances()
        self.busy_again = self._goes_on()
        with Database(self.while_lifted[self.primary], self.lab.password).cursor() as cursor:
            cursor.execute(f"ALTER USER {login}@'%' ACCOUNT UNLOCK")
        return run

    def _goes_on(self) -> bool:
        written, deadline = self.busy.rows, time.monotonic() + 60
        while self.busy.rows < written + 200:
            assert time.monotonic() < deadline, "the application never came back"
            time.sleep(0.05)
        return True

    def database(self, name: str) -> Database:
        return Database(self.after[name], self.lab.password)


@pytest.fixture(scope="module")
def story(start_lab, tmp_path_factory):
    """MariaDB with one replica; tests/database has the same on MySQL, statement by statement."""
    lab = start_lab("small")
    yield Story(lab, tmp_path_factory.mktemp("small"))
    lab.stop()


def test_check_mode_changes_nothing_and_a_second_run_has_nothing_to_do(story):
    assert story.changed_by_check == []
    assert story.again.changed == {story.primary: 0}


def test_a_drain_that_fails_gives_the_name_back_and_the_next_run_goes_on(story):
    assert story.lifted.rc != 0 and "the fence was lifted" in story.lifted.failure(story.primary), story.lifted.output[-3000:]
    there = story.while_lifted
    assert set(there) == {*story.before, f"new-{story.primary}", f"new-{story.primary}-seed",
                          *(f"new-{name}" for name, i in story.before.items() if i.get("ReadReplicaSourceDBInstanceIdentifier"))}
    assert {name: there[name]["DbiResourceId"] for name in story.before} == {name: i["DbiResourceId"] for name, i in story.before.items()}
    assert story.busy_again and story.after[story.primary]["DbiResourceId"] == there[f"new-{story.primary}"]["DbiResourceId"]


def test_every_acknowledged_row_is_there_once(story):
    database = story.database(story.primary)
    found = [row[0] for row in database.rows("SELECT id FROM app.orders")]
    wanted = {number for numbers in story.busy.acknowledged for number in numbers}
    assert len(wanted) > 1000 and len(found) == len(set(found)) and not wanted - set(found)
    assert database.rows("SELECT COUNT(*) FROM app.order_lines l LEFT JOIN app.orders o ON o.id = l.order_id WHERE o.id IS NULL") == [(0,)]
    assert dict(database.rows("SELECT worker, orders FROM app.totals")) == dict(database.rows("SELECT worker, COUNT(*) FROM app.orders GROUP BY worker"))


def test_the_original_is_in_it_row_for_row(story):
    old, new = story.database(f"old-{story.primary}"), story.database(story.primary)
    for table, key in (("app.orders", "id"), ("app.order_lines", "id")):
        rows = old.rows(f"SELECT * FROM {table} ORDER BY {key}")
        there = dict((row[0], row) for row in new.rows(f"SELECT * FROM {table}"))
        assert rows and not [row for row in rows if there.get(row[0]) != row], table
    # The event has not run anywhere: its time is far away.
    assert not {row[0] for row in new.rows("SELECT id FROM app.notes")}


def test_instances_are_encrypted_and_equal(story):
    key = story.lab.key()
    assert set(story.after) == {*story.before, *(f"old-{name}" for name in story.before), f"new-{story.primary}-seed"}
    for name, before in story.before.items():
        after = story.after[name]
        assert (after["KmsKeyId"], after["DBInstanceStatus"]) == (key, "available")
        explained = {*BY_NATURE, *(OF_MULTI_AZ if before["MultiAZ"] else ())}
        assert not {member: both for member, both in differences(before, after).items() if member not in explained}, name


def test_nothing_of_the_link_is_left(story):
    new, old = story.database(story.primary), story.database(f"old-{story.primary}")
    for database in (new, old):
        assert not [account for account in database.accounts() if account.startswith("rdsenc_")]
        assert not database.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'rdsenc%%'")
        assert database.settings() == story.settings
    assert new.accounts() == story.accounts
    assert new.rows("SELECT @@global.read_only")[0][0] in (0, "0", "OFF")
    # MariaDB's master user may not ask the server itself.
    assert not new.rows("CALL mysql.rds_replica_status()")


def test_the_event_and_the_replica_came_along(story):
    new = story.database(story.primary)
    assert new.rows("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_NAME = 'nightly'")[0][0] == "ENABLED"
    replica = next(name for name, instance in story.before.items() if instance.get("ReadReplicaSourceDBInstanceIdentifier"))
    replicates(new, story.database(replica), 1)


def test_no_secret_was_shown(story):
    for run in (story.predicted, story.run, story.again):
        assert story.lab.password not in run.output and story.lab.application_password not in run.output
