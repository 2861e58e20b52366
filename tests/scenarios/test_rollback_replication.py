# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back from mysql_replication, on real servers while an application writes: before the fence, behind it, and when the target is open."""

from __future__ import annotations

import pytest
from rds_lab.writer import Writer
from scenario_truth import Database, replicates

KILLED_AT = {
    "seed": lambda call, name: call["operation"] == "CreateDBInstanceReadReplica" and call["parameters"]["DBInstanceIdentifier"] == f"new-{name}-replica",
    "fenced": lambda call, name: call["operation"] == "RebootDBInstance" and call["parameters"]["DBInstanceIdentifier"] == f"old-{name}",
    "open": lambda call, name: call["operation"] == "RebootDBInstance" and call["parameters"]["DBInstanceIdentifier"] == f"new-{name}",
}


@pytest.mark.parametrize("phase", KILLED_AT)
def test_a_rollback_before_the_cutover_loses_nothing_and_leaves_nothing(start_lab, tmp_path, phase):
    lab = start_lab("small")
    before = lab.instances()
    name = next(name for name, instance in before.items() if not instance.get("ReadReplicaSourceDBInstanceIdentifier"))
    instance = before[name]
    source = Database(instance, lab.password)
    accounts, settings = source.accounts(), source.settings()
    operator = lab.operator(tmp_path)
    host = {name: {"rds_encryption_login_user": instance["MasterUsername"]}}
    endpoint = instance["Endpoint"]
    writer = Writer(endpoint["Address"], port=endpoint["Port"], user="application", password=lab.application_password, workers=2).start()
    try:
        writer.wait_for(20)
        running = operator.start(host, strategy="mysql_replication")
        lab.await_call(lambda call: KILLED_AT[phase](call, name), running, 600)
        running.kill()
        foretold = operator.run(host, "rollback.yml", "--check", strategy="mysql_replication").good()
        run = operator.run(host, "rollback.yml", strategy="mysql_replication").good()
        writer.wait_for(20)
    finally:
        writer.stop()
    assert writer.verify()["ok"]
    assert foretold.changed[name] and run.changed[name]
    there = lab.instances()
    assert {each: there[each]["DbiResourceId"] for each in before} == {each: i["DbiResourceId"] for each, i in before.items()}
    assert all(there[each]["TagList"] == i["TagList"] for each, i in before.items())
    assert source.accounts() == accounts and source.settings() == settings
    assert not source.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'rdsenc%%'")
    replicates(source, Database(there[f"{name}-replica"], lab.password), 1)
    again = operator.run(host, "rollback.yml", strategy="mysql_replication").good()
    assert again.changed == {name: 0}
