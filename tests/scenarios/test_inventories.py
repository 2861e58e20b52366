# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dynamic inventory that is shipped, before a run, in the middle of its swap and after it."""

from __future__ import annotations

from scenario_lab import REGION
from scenario_play import LIMIT, TOP
from scenario_truth import differences

SHIPPED = TOP / "awx" / "project" / "inventory" / "aws_rds.yml"


def tagged(env: str) -> list[dict]:
    return [{"Key": "env", "Value": env}]


def test_the_shipped_inventory_of_aws_goes_on_in_the_middle_of_a_swap(double, operator, tmp_path):
    inventory = tmp_path / "aws_rds.yml"
    inventory.write_text(SHIPPED.read_text().replace("eu-central-1", REGION))
    double.seed("one", TagList=tagged("prod"))
    double.seed_replica("one-replica", "one", TagList=tagged("prod"))
    double.seed("done", TagList=tagged("prod"), StorageEncrypted=True, KmsKeyId=double.key())
    double.seed("postgres", TagList=tagged("prod"), Engine="postgres", EngineVersion="16.4")
    double.seed("other", TagList=tagged("dev"))
    untouched = {name: double.instances()[name] for name in ("done", "postgres", "other")}
    arguments = ("encrypt.yml", "-i", str(inventory), "-l", "env_prod:&engine_mariadb")

    running = operator.start({}, *arguments)
    double.await_call(lambda call: call["operation"] == "RestoreDBInstanceFromDBSnapshot", running, limit=LIMIT)
    running.kill()
    double.await_status("new-one", "available")

    # The same command: the inventory has old-one, old-one-replica, new-one and done now.
    run = operator.run({}, *arguments).good()
    assert set(run.recap) == {"old-one", "old-one-replica", "new-one", "done"}
    there = double.instances()
    assert set(there) == {"one", "one-replica", "old-one", "old-one-replica", *untouched}
    assert there["one"]["KmsKeyId"] == there["one-replica"]["KmsKeyId"] == double.key()
    for name, was in untouched.items():
        assert set(differences(was, there[name])) <= {"LatestRestorableTime"}, name
    made = [step for step in double.steps() if step[0] in ("CopyDBSnapshot", "RestoreDBInstanceFromDBSnapshot", "CreateDBInstanceReadReplica")]
    assert len(made) == 3, "made twice"

    # And once more, by what is plain: what is finished is not begun again under the name old-one.
    began = double.now
    run = operator.run({}, "encrypt.yml", "-i", str(inventory), "-l", "to_encrypt:&env_prod:&encrypted_no:!engine_postgres").good()
    assert set(run.recap) == {"old-one"} and double.mutating(began, accepted=False) == []
