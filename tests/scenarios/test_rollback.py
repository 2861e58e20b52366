# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollback.yml: back to the original names from wherever a run stands; retire.yml: what is left of it all goes when it is named."""

from __future__ import annotations

import pytest

MOMENTS = {
    "in-fence": lambda call: call["operation"] == "ModifyDBInstance" and call["parameters"]["DBInstanceIdentifier"] == "one",
    "while-restoring": lambda call: call["operation"] == "RestoreDBInstanceFromDBSnapshot",
}


def seed(double) -> None:
    double.seed("one", DeletionProtection=True)
    double.seed_replica("one-replica", "one")


def as_before(double, before: dict) -> None:
    """The originals have their names again, and are in every respect as they were; nothing was deleted."""
    there = double.instances()
    for name, instance in before.items():
        volatile = {"LatestRestorableTime", "AutomaticRestartTime"}
        assert {m: v for m, v in there[name].items() if m not in volatile} == {m: v for m, v in instance.items() if m not in volatile}
    assert not [name for name in there if name.startswith("old-")]
    assert not [action for action, _resource in double.steps() if action.startswith("Delete")]


@pytest.mark.parametrize("moment", MOMENTS)
def test_back_from_a_run_that_was_killed(double, operator, moment):
    seed(double)
    before = double.instances()
    running = operator.start(["one"])
    double.await_call(MOMENTS[moment], running)
    running.kill()
    run = operator.run(["one"], "rollback.yml").good()
    assert "one: is its original again" in run.said("one")
    as_before(double, before)
    if moment == "in-fence":
        began = double.now
        again = operator.run(["one", "one-replica", "old-one"], "rollback.yml").good()
        assert set(again.changed.values()) == {0} and double.mutating(began, accepted=False) == []


def test_a_fleet_goes_back_all_at_once_whatever_the_forks(double, operator):
    names = ["one", "two", "three"]
    for name in names:
        double.seed(name)
    before = double.instances()
    operator.run(names, "encrypt.yml", "--tags", "prepare,fence").good()
    began = double.now
    operator.run(names, "rollback.yml", "--forks", "1").good()
    as_before(double, before)
    actions = [action for action, _resource in double.steps(began)]
    first = actions.index("Rename")
    assert actions[first : first + 3] == ["Rename"] * 3 and actions[-1] != "Rename", f"one after the other: {actions}"


def test_back_after_the_cutover_encrypted_anew_and_retired(double, operator, tmp_path):
    seed(double)
    double.seed("two")
    before = double.instances()
    operator.run(["one", "two"]).good()
    stopped = operator.run(["one", "two"], "retire.yml", retire_after_days=0, retire_confirm=["one", "two"]).good()
    assert stopped.changed == {"one": 0, "two": 1} and "has replicas" in stopped.said("one") and "after seven days" in stopped.said("two")
    assert double.instances()["old-two"]["DBInstanceStatus"] == "stopped"

    began = double.now
    refused = operator.run(["one"], "rollback.yml")
    assert refused.rc != 0 and "rds_encryption_rollback_discard_writes" in refused.failure("one") and double.mutating(began, accepted=False) == []
    hook = tmp_path / "after.yml"
    hook.write_text("- name: Say so\n  ansible.builtin.debug:\n    msg: ['back: {{ rds_encryption_name }}']\n")
    more = dict(rollback_discard_writes=True, after_rollback_tasks=str(hook))
    foretold = operator.run(["one"], "rollback.yml", "--check", **more).good()
    assert double.mutating(began, accepted=False) == []
    run = operator.run(["new-one", "one", "two"], "rollback.yml", **more).good()
    report = run.report()
    assert (report["run"]["playbook"], report["run"]["outcome"]) == ("rollback.yml", "done") and report["failures"] == []
    assert [host["host"] for host in report["hosts"]] == ["new-one", "one", "two"], "in the order of the play"
    assert ("Rename", "old-one") in {(step["action"], step["resource"]) for host in report["hosts"] for step in host["steps"]}
    assert "The fence of one is" in run.said("one") and "is dropped" in run.said("one")
    assert "back: one" in run.said("one") and "left over, encrypted and of no use to a later run: new-one, new-one-replica" in run.said("one")
    assert foretold.changed["one"] == run.changed["one"] == 1
    as_before(double, before)

    blocked = operator.run(["one"])
    assert blocked.rc != 0 and "retire.yml" in blocked.failure("one")
    operator.run(["one"], new_prefix="second-").good()
    there = double.instances()
    assert there["one"]["KmsKeyId"] == there["one-replica"]["KmsKeyId"] == double.key()
    assert there["one"]["DbiResourceId"] != there["new-one"]["DbiResourceId"]

    more = dict(retire_action="delete", retire_after_days=0, new_prefix="second-", retire_encrypt_final_snapshot=True)
    began = double.now
    listed = operator.run(["one"], "retire.yml", **more)
    assert listed.rc != 0 and "rds_encryption_retire_confirm" in listed.failure("one") and "Delete old-one, after its final snapshot" in listed.said("one")
    more["retire_confirm"] = ["one", "new-one", "new-one-replica"]
    foretold = operator.run(["one"], "retire.yml", "--check", **more).good()
    assert foretold.changed == {"one": 1} and double.mutating(began, accepted=False) == []
    report = operator.run(["one"], "retire.yml", **more).good().report()
    assert (report["run"]["playbook"], report["run"]["outcome"]) == ("retire.yml", "done")
    assert ("DeleteDBInstance", "old-one") in {(step["action"], step["resource"]) for step in report["hosts"][0]["steps"]}
    assert set(double.instances()) == {"one", "one-replica", "two", "new-two"}
    assert double.instances()["one-replica"]["ReadReplicaSourceDBInstanceIdentifier"] == "one"
    of_one = {s["DBSnapshotIdentifier"]: s["Encrypted"] for s in double.snapshots() if "two" not in s["DBSnapshotIdentifier"]}
    plain = [name for name, encrypted in of_one.items() if not encrypted]
    assert len(plain) == 1 and plain[0].startswith("old-one-f") and plain[0].endswith("-final") and of_one[plain[0] + "-encrypted"]
    began = double.now
    again = operator.run(["one"], "retire.yml", **more).good()
    assert again.changed == {"one": 0} and double.mutating(began, accepted=False) == []
