# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run from what its tasks said: the numbers, the page, and names that want to become a part of it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, parts_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report import build_report, failure_lines
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report_html import report_html
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report_markdown import report_markdown
from fakes.runs import at, made, records, run_of, step, topology

HOSTILE = "<script>alert(1)</script><img src=x onerror=y>\"'&{{ 7*7 }}"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a page holds; its end tags must fit, and nothing in it may run or be fetched."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.faults: list[str] = []
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"never closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "a":
            self.links.append(given["href"])
        elif {"href", "src", "srcset", "action", "style"} & set(given) or tag in ("script", "iframe", "object", "link", "img", "form", "base", "use", "image"):
            self.faults.append(f"{tag} {given}")
        self.faults += [f"{tag} {name}" for name in given if name.startswith("on") or name.startswith("xlink")]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.text += data


def checked(text: str) -> Page:
    page = Page(text)
    assert not page.faults, page.faults
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text.partition("</style>")[0]), "the style fetches something"
    assert {link.removeprefix("#") for link in page.links} <= page.ids and all(link.startswith("#") for link in page.links)
    assert {"html", "head", "body", "title", "svg", "table"} <= set(page.tags)
    return page


def good() -> dict:
    return build_report(run_of(), records("prod-one"))


def failed(hosts: int = 3, **more) -> dict:
    told = [r for n in range(1, hosts + 1) for r in records(f"prod-{n:03}", **({"fails_in": "build", **more} if n == 2 else {"stops_before": "validate"}))]
    gate = {"host": "prod-001", "phase": "gate", "task": "All hosts of the run have arrived", "module": "", "started": at(70), "finished": at(70),
            "status": "failed", "results": [], "failures": [{"cause": "Not all hosts finished"}]}
    return build_report(run_of("prod-001", "prod-002"), [*told, gate])


def test_a_good_run_has_its_times_and_its_outage():
    host = good()["hosts"][0]
    assert (host["outcome"], good()["run"]["outcome"]) == ("done", "done")
    assert [(p["phase"], p["seconds"]) for p in host["phases"] if p["phase"] in ("fence", "build", "cutover")] == [
        ("fence", 240), ("build", 3600), ("cutover", 240)]
    assert next(p for p in host["phases"] if p["phase"] == "fence")["expected_seconds"] == 240
    for member in host["members"]:
        # From the rename away to the step after the rename that gave the name.
        assert (member["outage"]["from"], member["outage"]["to"], member["outage"]["over"]) == (at(6.2), at(86), True)
        assert member["outage"]["known_from"] == "this run"
    assert [(s["what"], s["seconds"]) for s in host["steps"]][4:7] == [("Restart old-prod-one", 120), ("Take snapshot", 180), ("Copy it, encrypted", 1920)]
    assert good()["callers"] == ["arn:aws:sts::111122223333:assumed-role/dbre/night"]
    assert json.loads(json.dumps(good())) == good()


def test_what_an_earlier_run_did_is_known_by_its_tags():
    """Built and cut over by a run before; this one only looks."""
    told = [{**r, "results": [{"label": "", "result": {"topology": topology("x", done=True)}}]} for r in records("x") if r["phase"] in ("preflight", "report")]
    host = build_report(run_of(), told)["hosts"][0]
    assert host["outcome"] == "nothing to do"
    assert host["members"][0]["outage"] == {"from": at(6), "to": at(85), "seconds": 79 * 60, "over": True, "known_from": "tags of an earlier run",
                                            "write_seconds": None}


def test_a_measured_write_outage_stands_beside_the_other_whatever_the_strategy_is_called():
    told = records("x")
    measure = {"measure": "write_outage", "value": 12.5, "unit": "s", "text": "from the last write to the first", "resource": "x"}
    told[-2]["results"].append({"label": "", "result": {"measures": [measure, {"measure": "lag", "value": 3, "unit": "s", "text": "at the fence"}]}})
    report = build_report(run_of(), told)
    assert report["hosts"][0]["members"][0]["outage"]["write_seconds"] == 12.5
    assert report["hosts"][0]["members"][1]["outage"]["write_seconds"] is None
    assert "from the last write to the first" in checked(report_html(report)).text and "at the fence" in report_markdown(report)


def test_a_failed_run_says_who_failed_and_who_was_only_stopped():
    report = failed()
    assert [host["outcome"] for host in report["hosts"]] == ["stopped", "failed", "stopped"]
    assert report["run"]["outcome"] == "failed"
    assert [(f["host"], f["phase"], f["resource"], f["recovery"]) for f in report["failures"]] == [("prod-002", "build", "prod-002", "docs/recovery.md#build")]
    lines = failure_lines(report["failures"])
    assert lines == ["FAILED: 1 failure", "prod-002, phase build, prod-002: Restore new-prod-002: no way", "    State: old is kept", "    Next: run again",
                     "    Recovery guide: docs/recovery.md#build"]
    outage = report["hosts"][1]["members"][0]["outage"]
    assert (outage["to"], outage["over"], outage["seconds"]) == (None, False, (90 - 6.2) * 60)
    for text in (checked(report_html(report)).text, report_markdown(report).replace("\\", "")):
        assert "84 min so far" in text and "docs/recovery.md#build" in text and "run again" in text


def test_a_fence_that_failed_may_have_begun_the_outage():
    member = build_report(run_of("x"), records("x", fails_in="fence"))["hosts"][0]["members"][0]
    assert member["outage"]["from"] == at(6) and "perhaps later" in member["outage"]["known_from"]
    assert build_report(run_of("x"), records("x", fails_in="seed"))["hosts"][0]["members"][0]["outage"] is None
    cut = build_report(run_of("x"), records("x", fails_in="cutover"))["hosts"][0]["members"][0]
    assert cut["outage"]["known_from"] == "this run; whether it is over, the failure says"


def test_where_nothing_but_a_gate_failed_the_gate_is_the_failure():
    gate = {"host": "x", "phase": "gate", "task": "t", "module": "", "started": at(2), "finished": at(2), "status": "failed", "results": [],
            "failures": [{"cause": "Not all hosts finished: y"}]}
    assert [f["cause"] for f in build_report(run_of("x"), [*records("x", stops_before="seed"), gate])["failures"]] == ["Not all hosts finished: y"]


def test_a_failure_that_was_rescued_is_none():
    assert build_report(run_of(), records("x", fails_in="build"))["failures"] == []


@pytest.mark.parametrize("hosts", [1, 100])
def test_the_page_is_whole_and_fetches_nothing(hosts):
    report = build_report(run_of(), [r for n in range(hosts) for r in records(f"prod-{n:03}")])
    text = report_html(report)
    page = checked(text)
    assert all(f"prod-{n:03}-replica" in page.text for n in range(hosts))
    assert page.tags.count("section") == hosts and page.tags.count("svg") >= hosts
    assert "default-src &#x27;none&#x27;" in text and "prefers-color-scheme:dark" in text and "@media print" in text
    assert len(text) < 10_000 * (hosts + 2)


def test_no_name_becomes_a_part_of_the_page():
    told = json.loads(json.dumps(records("NAME", fails_in="cutover", failure={"cause": "NAME", "state": "NAME", "next_step": "NAME", "resource": "NAME"})))
    hostile = json.loads(json.dumps(told).replace("NAME", json.dumps(HOSTILE)[1:-1]))
    report = build_report(run_of(HOSTILE, user=HOSTILE, playbook=HOSTILE, versions={HOSTILE: HOSTILE}), hostile)
    page = checked(report_html(report))
    assert page.text.count(HOSTILE) > 15
    assert not re.search(r"(?<!\\)<", report_markdown(report))


def test_rollback_ends_an_outage_that_an_encryption_began():
    def read(**times):
        return {**topology("x"), "times": times}

    back = [step(3, "Rename", "old-x", "Rename old-x to x"), step(5, "RemoveTagsFromResource", "x", "Take the marks off x")]
    told = [
        {"host": "x", "phase": "rollback", "task": "t", "module": "m", "started": at(n), "finished": at(n + 1), "status": "ok", "failures": [],
         "results": [{"label": "", "result": result}]}
        for n, result in enumerate([{"topology": read(fenced_at=at(-60))}, made({"plan": back}), {"topology": read(fenced_at=None)}])
    ]
    outage = build_report(run_of(), told)["hosts"][0]["members"][0]["outage"]
    assert (outage["from"], outage["to"], outage["seconds"]) == (at(-60), at(5), 65 * 60)


@pytest.mark.parametrize("done, next_step", [("old is kept.", "Run again."), (None, "Run again."), ("old is kept.", None), (None, None)])
def test_a_message_is_taken_apart_as_it_was_put_together(done, next_step):
    error = EncryptionError("new-x failed.", done=done, next_step=next_step)
    assert parts_of(str(error)) == ("new-x failed.", done or "", next_step or "")
