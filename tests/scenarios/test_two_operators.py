# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two operators at once: one of them may fail, in words; what is there in the end is whole."""

from __future__ import annotations

import collections

NAMES = ("one", "one-replica")


def seed(double) -> dict[str, str]:
    return {"one": double.seed("one"), "one-replica": double.seed_replica("one-replica", "one")}


def whole(double, sources: dict[str, str]) -> None:
    """Every name has its encrypted instance, the originals are kept, each thing was made once."""
    there = double.instances()
    assert set(there) == {*NAMES, *(f"old-{name}" for name in NAMES)}
    for name, resource_id in sources.items():
        assert there[name]["KmsKeyId"] == double.key() and there[f"old-{name}"]["DbiResourceId"] == resource_id
    made = collections.Counter(step for step in double.steps() if step[0].startswith(("Copy", "Restore", "Rename", "CreateDBInstance")))
    assert set(made.values()) == {1}, made
    assert not [action for action, _resource in double.steps() if action.startswith("Delete")]


def in_words(run, host: str = "one") -> None:
    assert "Traceback" not in run.output
    assert run.rc == 0 or len(run.failure(host)) > 60, run.output[-2000:]


def test_the_same_playbook_twice_at_once(double, tmp_path):
    sources = seed(double)
    operators = [double.operator(tmp_path / name).start(["one"]) for name in ("first", "second")]
    runs = [operator.wait() for operator in operators]
    for run in runs:
        in_words(run)
    if not any(run.rc == 0 for run in runs):
        double.operator(tmp_path / "third").run(["one"]).good()
    whole(double, sources)


def test_a_rollback_during_a_run(double, tmp_path):
    """The name is back with the original, or with a complete encrypted one; nobody is left in between, and the next run finishes the work."""
    sources = seed(double)
    running = double.operator(tmp_path / "encrypts").start(["one"])
    double.await_call(lambda call: call["operation"] == "RestoreDBInstanceFromDBSnapshot", running)
    back = double.operator(tmp_path / "takes-back").run(["one"], "rollback.yml").good()
    run = running.wait()
    in_words(back)
    in_words(run)
    assert run.rc != 0, "it cannot have come to its end"
    there = double.instances()
    assert there["one"]["DbiResourceId"] == sources["one"] and there["one-replica"]["DbiResourceId"] == sources["one-replica"]
    rds = double.client("rds")
    for name in [name for name in there if name.startswith("new-")]:
        double.await_status(name, "available")
        rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=f"stale-{name}", ApplyImmediately=True)
        double.await_status(f"stale-{name}", "available")
    double.operator(tmp_path / "again").run(["one"]).good()
    there = double.instances()
    assert there["one"]["KmsKeyId"] == there["one-replica"]["KmsKeyId"] == double.key()
    assert {there[f"old-{name}"]["DbiResourceId"] for name in NAMES} == set(sources.values())
    assert not {there[name]["DbiResourceId"] for name in NAMES} & {there[name]["DbiResourceId"] for name in there if name.startswith("stale-")}
