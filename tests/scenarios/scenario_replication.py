# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strategy mysql_replication on real servers: a busy application writes all the while, into tables that are hard to replicate.

A story for each family (``test_replication.py``, ``test_replication_mysql.py``), judged by the same truths.
"""

from __future__ import annotations

import time

import pytest
from rds_lab.busy import SCHEMA, Busy
from scenario_truth import BY_NATURE, OF_MULTI_AZ, Database, differences, replicates


# Rows a second of the application, if the machine is up to it.
RATE = 600


# Tasks of the operator, which run when nothing but the fence is left to be done.
HOOK = """
- name: Let somebody lock a table
  connection: local
  vars:
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
  block:
    - name: Say that it is time
      ansible.builtin.file:
        path: {here}
        state: touch
        mode: "0600"
    - name: Go on when it is locked
      ansible.builtin.wait_for:
        path: {locked}
        timeout: 60
"""


class Story:
    """A fleet that was encrypted while it was written to, and what was true before and after.

    :param locked: what is in the way of the first drain: a lock on the target, or else the login of the link.
    """

    def __init__(self, lab, folder, locked: bool):
        self.lab = lab
        self.folder = folder
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
        self.busy = Busy(instance["Endpoint"]["Address"], instance["Endpoint"]["Port"], "application", lab.application_password, RATE)
        try:
            self.operator.run(self.hosts, "encrypt.yml", "--tags", "seed", limit=600, strategy="mysql_replication").good()
            self.lifted = self._drain_behind_a_lock() if locked else self._drain_without_login()
            self.run = self.operator.run(self.hosts, limit=600, strategy="mysql_replication").good()
            self.busy.await_rows(200)
        finally:
            self.busy.stop()
        self.again = self.operator.run(self.hosts, limit=600, strategy="mysql_replication").good()
        self.after = lab.instances()

    def _drain_without_login(self):
        """Replication fails behind the fence, where the login is needed under another address."""
        source = Database(self.lab.instances()[self.primary], self.lab.password)
        login = next(account for account in source.accounts() if account.startswith("rdsenc_")).partition("@")[0]
        with source.cursor() as cursor:
            cursor.execute(f"ALTER USER {login}@'%' ACCOUNT LOCK")
        run = self.operator.run(self.hosts, limit=600, strategy="mysql_replication")
        self._look_while_lifted()
        with Database(self.while_lifted[self.primary], self.lab.password).cursor() as cursor:
            cursor.execute(f"ALTER USER {login}@'%' ACCOUNT UNLOCK")
        return run

    def _drain_behind_a_lock(self):
        """Somebody locks a table of the target right before the fence: replication can neither apply what comes nor stop."""
        target = Database(self.lab.instances()[f"new-{self.primary}"], self.lab.password)
        here, locked, tasks = (self.folder / name for name in ("here", "locked", "before-the-fence.yml"))
        tasks.write_text(HOOK.format(here=here, locked=locked))
        running = self.operator.start(self.hosts, strategy="mysql_replication", drain_timeout=10, before_fence_tasks=str(tasks))
        awaited(here.exists, running)
        with target.cursor() as cursor:
            cursor.execute("LOCK TABLES app.order_lines READ")
            blocked = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'system user' AND state LIKE '%% lock%%'"
            awaited(lambda: target.rows(blocked)[0][0], running)
            locked.touch()
            run = running.wait(600)
        assert "did not end in 10 s" in run.failure(self.primary), run.output[-3000:]
        self._look_while_lifted()
        return run

    def _look_while_lifted(self):
        self.while_lifted = self.lab.instances()
        self.busy.await_rows(200)

    def database(self, name: str) -> Database:
        return Database(self.after[name], self.lab.password)


def awaited(fulfilled, running, limit: float = 300) -> None:
    """It is fulfilled before a run ends."""
    deadline = time.monotonic() + limit
    while not fulfilled():
        assert running.process.poll() is None, running.wait().output[-4000:]
        assert time.monotonic() < deadline, f"not in {limit} s"
        time.sleep(0.1)


class Truths:
    """What holds after the story of a fleet with one replica; a subclass names the fleet."""

    FLEET = ""
    LOCKED = False

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, start_lab, tmp_path_factory):
        lab = start_lab(cls.FLEET)
        yield Story(lab, tmp_path_factory.mktemp(cls.FLEET), cls.LOCKED)
        lab.stop()

    def test_check_mode_changes_nothing_and_a_second_run_has_nothing_to_do(self, story):
        assert story.changed_by_check == []
        assert story.again.changed == {story.primary: 0}

    def test_a_drain_that_fails_gives_the_name_back_and_the_next_run_goes_on(self, story):
        assert story.lifted.rc != 0 and "the fence was lifted" in story.lifted.failure(story.primary), story.lifted.output[-3000:]
        there = story.while_lifted
        assert set(there) == {*story.before, f"new-{story.primary}", f"new-{story.primary}-seed",
                              *(f"new-{name}" for name, i in story.before.items() if i.get("ReadReplicaSourceDBInstanceIdentifier"))}
        assert {name: there[name]["DbiResourceId"] for name in story.before} == {name: i["DbiResourceId"] for name, i in story.before.items()}
        assert story.after[story.primary]["DbiResourceId"] == there[f"new-{story.primary}"]["DbiResourceId"]

    def test_every_acknowledged_row_is_there_once(self, story):
        database = story.database(story.primary)
        found = [row[0] for row in database.rows("SELECT id FROM app.orders")]
        wanted = {number for numbers in story.busy.acknowledged for number in numbers}
        assert len(wanted) > 1000 and len(found) == len(set(found)) and not wanted - set(found)
        assert database.rows("SELECT COUNT(*) FROM app.order_lines l LEFT JOIN app.orders o ON o.id = l.order_id WHERE o.id IS NULL") == [(0,)]
        assert dict(database.rows("SELECT worker, orders FROM app.totals")) == dict(database.rows("SELECT worker, COUNT(*) FROM app.orders GROUP BY worker"))

    def test_the_original_is_in_it_row_for_row(self, story):
        old, new = story.database(f"old-{story.primary}"), story.database(story.primary)
        for table, key in (("app.orders", "id"), ("app.order_lines", "id")):
            rows = old.rows(f"SELECT * FROM {table} ORDER BY {key}")
            there = dict((row[0], row) for row in new.rows(f"SELECT * FROM {table}"))
            assert rows and not [row for row in rows if there.get(row[0]) != row], table
        # The event has not run anywhere: its time is far away.
        assert not {row[0] for row in new.rows("SELECT id FROM app.notes")}

    def test_instances_are_encrypted_and_equal(self, story):
        key = story.lab.key()
        assert set(story.after) == {*story.before, *(f"old-{name}" for name in story.before), f"new-{story.primary}-seed"}
        for name, before in story.before.items():
            after = story.after[name]
            assert (after["KmsKeyId"], after["DBInstanceStatus"]) == (key, "available")
            explained = {*BY_NATURE, *(OF_MULTI_AZ if before["MultiAZ"] else ())}
            assert not {member: both for member, both in differences(before, after).items() if member not in explained}, name

    def test_nothing_of_the_link_is_left(self, story):
        new, old = story.database(story.primary), story.database(f"old-{story.primary}")
        for database in (new, old):
            assert not [account for account in database.accounts() if account.startswith("rdsenc_")]
            assert not database.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'rdsenc%%'")
            assert database.settings() == story.settings
        assert new.accounts() == story.accounts
        assert new.rows("SELECT @@global.read_only")[0][0] in (0, "0", "OFF")
        # MariaDB's master user may not ask the server itself.
        mariadb = story.before[story.primary]["Engine"] == "mariadb"
        assert not new.rows("CALL mysql.rds_replica_status()" if mariadb else "SHOW REPLICA STATUS")

    def test_the_event_and_the_replica_came_along(self, story):
        new = story.database(story.primary)
        assert new.rows("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_NAME = 'nightly'")[0][0] == "ENABLED"
        replica = next(name for name, instance in story.before.items() if instance.get("ReadReplicaSourceDBInstanceIdentifier"))
        replicates(new, story.database(replica), 1)

    def test_no_secret_was_shown(self, story):
        for run in (story.predicted, story.run, story.again):
            assert story.lab.password not in run.output and story.lab.application_password not in run.output
