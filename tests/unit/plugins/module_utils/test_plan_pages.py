# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a fleet from what its hosts found out: numbers that add up, blockers that nobody misses, names that stay text."""

from __future__ import annotations

import json

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.pages import duration_in_words, markdown_table, text_table
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.plan_pages import fleet_lines, plan_markdown, plan_of, plan_text
from fakes.region import Region
from fakes.shapes import instance, replica
from fakes.way import Way

HOSTILE = "a|b`c`<script>"


def found(name: str, region: Region) -> dict:
    return {"host": f"host-of-{name}", "topology": Way(region, name).info(preflight=True)}


def region() -> Region:
    return Region(instance("x", AllocatedStorage=100), replica("x-r", "x", AllocatedStorage=50), instance("y", AllocatedStorage=10))


def test_the_numbers_of_the_fleet_are_those_of_its_topologies():
    made = region()
    plan = plan_of([found("x", made), found("y", made)], 14)
    one, other = plan["topologies"]
    assert plan["fleet"]["actions"] == {"encrypt": 2}
    assert plan["fleet"]["costs"]["storage_gib"] == 160 == one["costs"]["storage_gib"] + other["costs"]["storage_gib"]
    assert plan["fleet"]["costs"]["instance_hours_a_day"] == 72
    assert sum(plan["fleet"]["costs"]["instance_hours_until_retire"].values()) == 72 * 14
    assert plan["fleet"]["minutes"] == one["minutes"] > other["minutes"] > 0
    assert json.loads(json.dumps(plan)) == plan
    assert [step["phase"] for step in one["steps"]] == sorted((s["phase"] for s in one["steps"]), key=["fence", "build", "cutover"].index)


def test_a_refused_login_or_a_dependent_blocks_a_topology():
    made = region()
    login = {**found("x", made), "problems": ["x: wrong user or password"]}
    hanging = {**found("y", made), "dependents": {"blockers": [{"code": "zero_etl", "resource": "i", "text": "stop it"}], "unread": ["y: no alarms"]}}
    plan = plan_of([login, hanging], 14)
    assert [t["action"] for t in plan["topologies"]] == ["blocked", "blocked"] and plan["fleet"]["blockers"] == 2
    text = plan_text(plan)
    for words in ("BLOCKED (login): x: wrong user or password", "BLOCKED (zero_etl): stop it", "WARNING: y: no alarms", "Nothing is to be encrypted."):
        assert words in text
    assert "**BLOCKED (zero_etl)**: stop it" in plan_markdown(plan)


def test_names_of_others_stay_text_in_markdown():
    entry = found("y", region())
    entry["topology"]["warnings"] = [HOSTILE + "\n# heading"]
    entry["dependents"] = {"plan_lines": [HOSTILE]}
    page = plan_markdown(plan_of([entry], 14))
    assert HOSTILE not in page and r"a\|b\`c\`\<script\>" in page and "\n# heading" not in page
    assert HOSTILE in plan_text(plan_of([entry], 14))


def test_the_fleet_fits_into_a_table():
    made = region()
    lines = fleet_lines(plan_of([found("x", made), found("y", made)], 14))
    assert [line.split()[:3] for line in lines[1:5]] == [["topology", "action", "engine"], ["-" * 8, "-" * 7, "-" * 6], ["x", "encrypt", "mysql"],
                                                         ["y", "encrypt", "mysql"]]
    assert fleet_lines(plan_of([], 14))[-1] == "Nothing is to be encrypted."


def test_durations_and_tables():
    assert [duration_in_words(s) for s in (None, 0, 119, 120, 7199, 7200, 90000)] == ["-", "0 s", "119 s", "2 min", "2 h 00 min", "2 h 00 min", "25 h 00 min"]
    assert text_table(("a", "b"), [("x", 5), ("yy", 10)]) == ["a    b", "--  --", "x    5", "yy  10"]
    assert markdown_table(("a",), [("x\n|y",)]) == ["| a |", "| --- |", "| x \\|y |"]
