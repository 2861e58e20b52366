# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollback.yml: back to the original names from wherever a run stands."""

from __future__ import annotations

import pytest

MOMENTS = {
    "in-fence": lambda call: call["operation"] == "ModifyDBInstance" and call["parameters"]["DBInstanceIdentifier"] == "one",
    "while-copying": lambda call: call["operation"] == "CopyDBSnapshot",
    "while-restoring": lambda call: call["operation"] == "RestoreDBInstanceFromDBSnapshot",
    "in-cutover": lambda call: call["operation"] == "ModifyDBInstance" and call["parameters"].get("NewDBInstanceIdentifier") == "one",
}


def seed(double) -> None:
    double.seed("one", DeletionProtection=True)
    double.seed_replica("one-replica", "one")


def as_before(double, before: dict) -> None:
    """The originals have their names again, and are in every respect as they were; nothing was deleted."""
    there = double.instances()
    for name, instance in before.items():
        volatile = {"LatestRestorableTime"}
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
    if moment == "in-cutover":
        refused = operator.run(["one"], "rollback.yml")
        assert refused.rc != 0 and "drops every write" in refused.failure("one")
        run = operator.run(["one"], "rollback.yml", rollback_discard_writes=True).good()
        assert "The fence of one is" in run.said("one")
    else:
        run = operator.run(["one"], "rollback.yml").good()
    assert "one: is its original again" in run.said("one")
    as_before(double, before)
    began = double.now
    again = operator.run(["one", "one-replica", "old-one"], "rollback.yml").good()
    assert set(again.changed.values()) == {0} and double.mutating(began, accepted=False) == []


def test_back_after_the_cutover_and_encrypted_anew(double, operator, tmp_path):
    seed(double)
    before = double.instances()
    operator.run(["one"]).good()
    began = double.now
    refused = operator.run(["one"], "rollback.yml")
    assert refused.rc != 0 and "rds_encryption_rollback_discard_writes" in refused.failure("one") and double.mutating(began, accepted=False) == []
    hook = tmp_path / "after.yml"
    hook.write_text("- name: Say so\n  ansible.builtin.debug:\n    msg: ['back: {{ rds_encryption_name }}']\n")
    more = dict(rollback_discard_writes=True, after_rollback_tasks=str(hook))
    foretold = operator.run(["one"], "rollback.yml", "--check", **more).good()
    assert double.mutating(began, accepted=False) == []
    run = operator.run(["new-one", "one"], "rollback.yml", **more).good()
    assert "back: one" in run.said("one") and "left over, encrypted and of no use to a later run: new-one, new-one-replica" in run.said("one")
    assert foretold.changed == {"one": 1} and run.changed["one"] == 1
    as_before(double, before)

    blocked = operator.run(["one"])
    assert blocked.rc != 0 and "retire.yml" in blocked.failure("one")
    operator.run(["one"], new_prefix="second-").good()
    there = double.instances()
    assert there["one"]["KmsKeyId"] == there["one-replica"]["KmsKeyId"] == double.key()
    assert there["one"]["DbiResourceId"] != there["new-one"]["DbiResourceId"]
