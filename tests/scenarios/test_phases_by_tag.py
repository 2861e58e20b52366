# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a run: by tags, and in batches. Nothing that an operator leaves out breaks a law."""

from __future__ import annotations

import re

import yaml
from scenario_play import TOP

FINISHED = {"one", "two", "old-one", "old-two"}


def test_a_run_in_parts_by_tags_cannot_pass_a_gate(double, operator):
    """One way through, forwards by the tags that an operator may name, with each attempt to leave out what must not be left out."""
    sources = {name: double.seed(name) for name in ("one", "two")}

    run = operator.run(["one", "two"], "encrypt.yml", "--skip-tags", "always")
    assert run.rc != 0 and "Preflight was not passed in this run by one, two" in run.output.replace("\n", " "), run.output[-2000:]
    assert set(double.instances()) == {"one", "two"}

    began = double.now
    run = operator.run(["one", "two"], "encrypt.yml", "--tags", "prepare,fence").good()
    there = double.instances()
    assert {name: there[f"old-{name}"]["DbiResourceId"] for name in sources} == sources and len(there) == 2
    assert "BLOCKED" not in run.said("one") and run.results("Note that this host passed preflight", "one"), "preflight runs with any tag"
    assert not [step for step in double.steps(began) if step[0] == "CreateDBSnapshot"], "the seed was not asked for"

    run = operator.run(["one", "two"], "encrypt.yml", "--tags", "cutover", "--start-at-task", "Read where the topology stands")
    assert run.rc != 0 and "Preflight was not passed in this run by one, two" in run.output.replace("\n", " "), run.output[-2000:]

    run = operator.run(["one", "two"], "encrypt.yml", "--skip-tags", "validate")
    assert "Validate was not passed in this run by one, two" in run.failure("one").replace("\n", " "), run.output[-2000:]
    assert run.rc != 0 and set(double.instances()) == {"old-one", "old-two", "new-one", "new-two"}
    began = double.now
    run = operator.run(["one", "two"], "encrypt.yml", "--tags", "validate,cutover").good()
    there = double.instances()
    assert set(there) == FINISHED and all(there[name]["KmsKeyId"] == double.key() for name in sources)
    assert not [step for step in double.steps(began) if step[0] in ("RebootDBInstance", "CreateDBSnapshot", "CopyDBSnapshot")]


def test_tags_never_leave_a_gate_out_by_themselves():
    plays = yaml.safe_load((TOP / "playbooks" / "encrypt.yml").read_text())
    tags = {play["name"]: play["tags"] for play in plays}
    for name, given in tags.items():
        if re.match(r"Preflight|Gate|Report", name):
            assert given == ["always"], name
        else:
            assert len(given) == 1 and given != ["always"], f"{name}: one tag says one phase"
    calls = [play["tasks"][0].get("ansible.builtin.import_role") for play in plays if play["tags"] in (["fence"], ["cutover"])]
    guarded = [call["name"].rpartition(".")[2] for call in calls if call]
    assert guarded == ["fence", "cutover"]
    for role in guarded:
        read, gate, *_rest = yaml.safe_load((TOP / "roles" / role / "tasks" / "main.yml").read_text())
        assert read["ansible.builtin.import_role"]["tasks_from"] == "read", role
        assert gate["ansible.builtin.import_role"] == {"name": "dbre.rds_encryption.gate", "tasks_from": "passed", "rolespec_validate": False}, role


def test_a_batch_comes_to_its_end_before_the_next_begins_and_a_lost_one_stops_the_rest(double, operator, tmp_path):
    """The example with an inventory of two hosts: prod[0] is the first, prod[1:10] the second, prod[11:] nobody."""
    for name in ("first", "second"):
        double.seed(name)
    inventory = tmp_path / "prod.yml"
    inventory.write_text(yaml.safe_dump({"prod": {"hosts": {"first": None, "second": None}}}))
    double.faults({"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "error", "code": "InvalidParameterCombination", "message": "no way",
                   "match": {"DBInstanceIdentifier": "new-first"}, "count": None})
    run = operator.run({}, "../examples/encrypt_batches.yml", "-i", str(inventory))
    assert run.rc != 0 and set(double.instances()) == {"old-first", "second"}, "the next batch was begun"
    double.admin("DELETE", "faults")
    operator.run({}, "../examples/encrypt_batches.yml", "-i", str(inventory)).good()
    there = double.instances()
    assert len(there) == 4 and all(there[name]["KmsKeyId"] == double.key() for name in ("first", "second"))
    renamed = [resource for action, resource in double.steps() if action == "Rename"]
    assert renamed == ["first", "new-first", "second", "new-second"], "batches overlap"


def test_the_roles_work_in_a_runbook_of_ones_own(double, operator):
    double.seed("one")
    run = operator.run(["one"], "../examples/runbook.yml").good()
    assert set(double.instances()) == {"one", "old-one"} and double.instances()["one"]["KmsKeyId"] == double.key()
    assert "one is encrypted and cut over" in run.output
