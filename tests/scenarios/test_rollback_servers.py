# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back on real servers, while an application writes."""

from __future__ import annotations

from rds_lab.writer import Writer


def test_a_rollback_before_the_cutover_loses_no_write(start_lab, tmp_path):
    lab = start_lab("small")
    name = next(name for name, instance in lab.instances().items() if not instance.get("ReadReplicaSourceDBInstanceIdentifier"))
    before = lab.instances()
    instance = before[name]
    operator = lab.operator(tmp_path)
    host = {name: {"rds_encryption_login_user": instance["MasterUsername"]}}
    endpoint = instance["Endpoint"]
    writer = Writer(endpoint["Address"], port=endpoint["Port"], user="application", password=lab.application_password, workers=2).start()
    try:
        writer.wait_for(20)
        running = operator.start(host)
        lab.await_call(lambda call: call["operation"] == "CopyDBSnapshot", running)
        running.kill()
        operator.run(host, "rollback.yml").good()
        writer.wait_for(20)
    finally:
        writer.stop()
    assert writer.verify()["ok"]
    there = lab.instances()
    assert {each: there[each]["DbiResourceId"] for each in before} == {each: i["DbiResourceId"] for each, i in before.items()}
    assert there[name]["TagList"] == instance["TagList"] and not there[name]["StorageEncrypted"]
