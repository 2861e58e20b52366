# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, check mode and the run say and do the same; the plan is drawn for the fleet, from the account's own past where it has one."""

from __future__ import annotations

import json
import stat
from collections import Counter

from scenario_lab import FENCE


def fleet(double) -> list[str]:
    double.seed("one", AllocatedStorage=40)
    double.seed_replica("one-replica", "one", AllocatedStorage=40)
    double.seed("two", DBInstanceClass="db.r6g.xlarge", DeletionProtection=True)
    double.seed("done", StorageEncrypted=True, KmsKeyId=double.key())
    return ["one", "two", "done"]


def nameless(steps) -> Counter:
    return Counter((step["action"], FENCE.sub("FENCE", step["resource"])) for step in steps)


def planned(folder) -> dict:
    return json.loads((folder / "plan.json").read_text())


def test_plan_check_mode_and_run_never_disagree(double, operator, tmp_path):
    hosts = fleet(double)
    began = double.now
    run = operator.run(hosts, "plan.yml", plan_directory=str(tmp_path / "plan")).good()
    plan = planned(tmp_path / "plan")
    foretold = operator.run(hosts, "encrypt.yml", "--check", plan_directory=str(tmp_path / "not-in-check-mode")).good()
    assert double.mutating(began, accepted=False) == [] and not (tmp_path / "not-in-check-mode").exists()
    real = operator.run(hosts).good()
    steps = [step for topology in plan["topologies"] for step in topology["steps"]]
    done = Counter(double.steps(began))
    results = [item for record in foretold.results(kind="ok") for item in record["result"].get("results", [record["result"]])]
    in_check_mode = [step for result in results if isinstance(result.get("plan"), list) for step in result["plan"]]
    assert nameless(steps) == done, "the plan holds what was done"
    assert nameless(in_check_mode) == done, "check mode holds what was done"
    assert {host: bool(changed) for host, changed in foretold.changed.items()} == {host: bool(changed) for host, changed in real.changed.items()}

    # The same for people: every step is in text and Markdown, and on the terminal.
    texts = [(tmp_path / "plan" / name).read_text() for name in ("plan.txt", "plan.md")]
    said = run.said("one") + run.said("two")
    for step in steps:
        assert step["what"] in texts[0] and step["what"] in said
    assert all(name in text for text in texts for name in ("one-replica", "db.r6g.xlarge", "done"))
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "plan").iterdir()} == {
        "plan.txt": 0o600, "plan.md": 0o600, "plan.json": 0o600}
    assert stat.S_IMODE((tmp_path / "plan").stat().st_mode) == 0o700

    numbers = plan["fleet"]
    assert numbers["actions"] == {"encrypt": 2, "none": 1}
    assert {row["quota"]: (row["needed"], row["used"]) for row in numbers["quotas"]} == {
        "DBInstances": (3, 4), "AllocatedStorage": (100, 120), "ManualSnapshots": (6, 0)}
    assert numbers["costs"]["storage_gib"] == 100 and numbers["costs"]["instances"] == {"db.m6g.large": 2, "db.r6g.xlarge": 1}
    assert numbers["minutes"] == max(topology["minutes"] for topology in plan["topologies"]) > 0, "small and without replicas, two is never waited for"

    # What the first run left in the events is what the next plan rests on.
    double.seed("three", AllocatedStorage=80)
    operator.run(["three"], "plan.yml", plan_directory=str(tmp_path / "again")).good()
    copied = next(part for part in planned(tmp_path / "again")["topologies"][0]["estimate"] if part["part"] == "encrypted copy")
    assert copied["basis"].startswith("by the copy new-one-f") and "40 GiB" in copied["basis"]
