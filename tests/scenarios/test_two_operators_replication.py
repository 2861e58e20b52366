# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two operators at once with mysql_replication, on real servers while an application writes: one may fail, in words; nothing is lost."""

from __future__ import annotations

import collections

from rds_lab.writer import Writer
from scenario_truth import Database, replicates
from test_two_operators import in_words


def test_the_same_playbook_twice_at_once_while_an_application_writes(start_lab, tmp_path):
    lab = start_lab("small")
    before = lab.instances()
    name = next(name for name, instance in before.items() if not instance.get("ReadReplicaSourceDBInstanceIdentifier"))
    instance = before[name]
    accounts = Database(instance, lab.password).accounts()
    host = {name: {"rds_encryption_login_user": instance["MasterUsername"]}}
    endpoint = instance["Endpoint"]
    writer = Writer(endpoint["Address"], port=endpoint["Port"], user="application", password=lab.application_password, workers=2).start()
    try:
        writer.wait_for(20)
        running = [lab.operator(tmp_path / each).start(host, strategy="mysql_replication") for each in ("first", "second")]
        runs = [each.wait(600) for each in running]
        for run in runs:
            in_words(run, name)
        if not any(run.rc == 0 for run in runs):
            lab.operator(tmp_path / "third").run(host, limit=600, strategy="mysql_replication").good()
        writer.wait_for(20)
    finally:
        writer.stop()
    assert writer.verify()["ok"]
    there = lab.instances()
    assert set(there) == {*before, *(f"old-{each}" for each in before), f"new-{name}-seed"}
    for each, instance in before.items():
        assert there[each]["KmsKeyId"] == lab.key() and there[f"old-{each}"]["DbiResourceId"] == instance["DbiResourceId"]
    made = collections.Counter(step for step in lab.steps() if step[0].startswith(("Copy", "Restore", "CreateDBInstance")))
    assert set(made.values()) == {1}, made
    primary = Database(there[name], lab.password)
    assert primary.accounts() == accounts
    replicates(primary, Database(there[f"{name}-replica"], lab.password), 1)
    again = lab.operator(tmp_path / "again").run(host, limit=600, strategy="mysql_replication").good()
    assert again.changed == {name: 0}
