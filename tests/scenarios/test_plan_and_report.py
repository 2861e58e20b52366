# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people look at: the plan, check mode and the run agree; report and evidence of a run that failed, of the one that finished, and of none."""

from __future__ import annotations

import json
import pathlib
import stat
from collections import Counter

import pytest
from scenario_lab import FENCE, Double

NO_WAY = {"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "error", "code": "InvalidParameterCombination", "message": "no way", "count": None}


def nameless(steps) -> Counter:
    return Counter((step["action"], FENCE.sub("FENCE", step["resource"])) for step in steps)


class Story:
    """An operator who plans, predicts, fails once, and finishes; without any configuration of Ansible, by a playbook of their own."""

    def __init__(self, double: Double, folder: pathlib.Path):
        self.folder = folder
        double.seed("one", AllocatedStorage=40)
        double.seed_replica("one-replica", "one", AllocatedStorage=40, DBInstanceClass="db.r6g.xlarge")
        double.seed("done", StorageEncrypted=True, KmsKeyId=double.key())
        self.hosts = ["one", "done"]
        self.operator = double.operator(folder / "runs")
        own = folder / "own.yml"
        own.write_text("- name: As a project of AWX does it\n  ansible.builtin.import_playbook: dbre.rds_encryption.encrypt\n")
        began = double.now
        self.plan = self.run("plan.yml", plan_directory=str(folder / "plan")).good()
        self.foretold = self.run("encrypt.yml", "--check", plan_directory=str(folder / "predicted"), report_directory=str(folder / "predicted")).good()
        self.asked_by_predicting = double.mutating(began, accepted=False)
        double.faults(NO_WAY)
        self.failed = self.run(str(own))
        double.admin("DELETE", "faults")
        self.good = self.run(str(own)).good()
        self.steps = Counter(double.steps(began))
        double.seed("three", AllocatedStorage=80)
        self.operator.run(["three"], "plan.yml", plan_directory=str(folder / "again")).good()

    def run(self, playbook: str, *arguments: str, **variables):
        return self.operator.run(self.hosts, playbook, *arguments, **{"evidence_directory": str(self.folder / "evidence"), **variables})

    def planned(self, name: str = "plan") -> dict:
        return json.loads((self.folder / name / "plan.json").read_text())

    def report(self, run: int) -> tuple[pathlib.Path, dict]:
        """The folder and the data of the report that a run left in its current folder."""
        folders = list((self.folder / "runs" / f"run-{run}").glob("rds-encryption-reports/*"))
        assert len(folders) == 1
        return folders[0], json.loads((folders[0] / "report.json").read_text())

    def evidence(self) -> list[pathlib.Path]:
        return sorted((self.folder / "evidence").iterdir())


@pytest.fixture(scope="module")
def story(_double, tmp_path_factory):
    _double.reset()
    made = Story(_double, tmp_path_factory.mktemp("story"))
    assert not _double.problems
    return made


def test_plan_check_mode_and_run_never_disagree(story):
    assert story.asked_by_predicting == [] and not (story.folder / "predicted").exists()
    planned = [step for topology in story.planned()["topologies"] for step in topology["steps"]]
    results = [item for record in story.foretold.results(kind="ok") for item in record["result"].get("results", [record["result"]])]
    foretold = [step for result in results if isinstance(result.get("plan"), list) for step in result["plan"]]
    assert nameless(planned) == story.steps, "the plan holds what was done"
    assert nameless(foretold) == story.steps, "check mode holds what was done"


def test_the_plan_is_for_people_too(story):
    plan = story.planned()
    texts = [(story.folder / "plan" / name).read_text() for name in ("plan.txt", "plan.md")]
    for step in plan["topologies"][0]["steps"]:
        # Fence ids are made anew with each look.
        assert step["what"] in texts[0] and step["what"] in story.plan.said("one")
    assert all(name in text for text in texts for name in ("one-replica", "db.r6g.xlarge", "done"))
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (story.folder / "plan").iterdir()} == dict.fromkeys(
        ("plan.txt", "plan.md", "plan.json"), 0o600)
    assert stat.S_IMODE((story.folder / "plan").stat().st_mode) == 0o700
    fleet = plan["fleet"]
    assert fleet["actions"] == {"encrypt": 1, "none": 1}
    assert {row["quota"]: (row["needed"], row["used"]) for row in fleet["quotas"]} == {
        "DBInstances": (2, 3), "AllocatedStorage": (80, 100), "ManualSnapshots": (3, 0)}
    assert fleet["costs"]["storage_gib"] == 80 and fleet["costs"]["instances"] == {"db.m6g.large": 1, "db.r6g.xlarge": 1}
    assert fleet["minutes"] == plan["topologies"][0]["minutes"] > 0


def test_the_next_plan_rests_on_what_the_account_did_before(story):
    copied = next(part for part in story.planned("again")["topologies"][0]["estimate"] if part["part"] == "encrypted copy")
    assert copied["basis"].startswith("by the copy new-one-f") and "40 GiB" in copied["basis"]


def test_a_failed_run_says_all_at_its_end_and_leaves_a_report(story):
    assert story.failed.rc != 0
    end = story.failed.output.split("PLAY RECAP")[1]
    assert "FAILED: 1 failure" in end and "one, phase build, new-one: Restore new-one from" in end and "no way" in end
    assert "    Next: " in end and "Recovery guide: docs/recovery.md#build" in end
    folder, report = story.report(3)
    assert f"Report: {folder}" in end
    (failure,) = report["failures"]
    assert (failure["host"], failure["phase"], failure["resource"]) == ("one", "build", "new-one")
    one, done = report["hosts"]
    assert (one["outcome"], done["outcome"]) == ("failed", "nothing to do")
    assert [phase["phase"] for phase in one["phases"]] == ["preflight", "seed", "prepare", "fence", "build"]
    assert all(member["outage"]["over"] is False for member in one["members"]) and one["steps"]
    for name in ("report.html", "report.md", "report.json"):
        assert "no way" in (folder / name).read_text() and stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_the_run_that_finished_knows_the_outage_from_the_one_before(story):
    _folder, report = story.report(4)
    one = report["hosts"][0]
    assert (report["run"]["outcome"], one["outcome"], report["failures"]) == ("done", "done", [])
    for member in one["members"]:
        assert member["serving_encrypted"] and member["outage"]["over"] and member["outage"]["seconds"] > 0
        assert member["outage"]["from"] < report["run"]["started"] < member["outage"]["to"]
    assert any(row["attribute"] == "DbiResourceId" and row["verdict"] == "explained" for pair in one["attributes"] for row in pair["rows"])
    assert one["attributes"][0]["pair"] == "old-one -> new-one"
    assert report["callers"] and report["keys"] and report["run"]["versions"]["dbre.rds_encryption"] == "1.0.0"
    assert "FAILED" not in story.good.output.split("PLAY RECAP")[1]


def test_the_evidence_of_each_run_is_verified_and_what_was_changed_is_seen(story):
    failed, good = story.evidence()
    before, after = (json.loads((good / "topologies" / "001-one" / f"{name}.json").read_text())["instances"] for name in ("before", "after"))
    assert {(i["name"], i["side"], i["description"]["StorageEncrypted"]) for i in after} == {
        (name, side, side == "target") for name in ("one", "one-replica") for side in ("source", "target")}
    assert {i["description"]["DBInstanceIdentifier"] for i in before if i["side"] == "source"} == {"old-one", "old-one-replica"}
    first = json.loads((failed / "topologies" / "001-one" / "before.json").read_text())
    assert (first["phase"], first["instances"][0]["description"]["DBInstanceIdentifier"]) == ("preflight", "one")
    digest = story.good.output.split("to be noted elsewhere: ")[1][:64]
    verify = {"evidence_folder": str(good), "evidence_manifest_sha256": digest}
    assert "files are what the manifest says" in story.operator.run(["localhost"], "verify_evidence.yml", **verify).good().output
    (good / "run.json").write_text("{}")
    assert "altered: run.json" in story.operator.run(["localhost"], "verify_evidence.yml", **verify).failure("localhost")
