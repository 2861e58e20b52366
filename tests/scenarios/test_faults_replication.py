# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS and the servers at their worst, under mysql_replication: the same end, each thing made once, no write lost."""

from __future__ import annotations

import collections

from scenario_crash import SEEDED, Served, Story
from scenario_restarts import Restarter

# Real seconds for which a read may show what was before.
STALE = 0.15
# An instance fails right before it is sent such a statement: at the seed, the link, the comparisons, the drain, and when the link is taken off.
MOMENTS = {
    ("new-small-seed", "rds_stop_replication"),
    ("new-small", "rds_set_external"),
    ("small", "CREATE USER"),
    ("new-small", "CHECKSUM TABLE"),
    ("old-small", "SHOW FULL PROCESSLIST"),
    ("new-small", "rds_reset_external"),
}


def test_lost_answers_throttling_and_servers_that_fail(databases, tmp_path):
    lab = Served(tmp_path / "lab", "small")
    story = Story(lab, engines=True, left=SEEDED)
    restarter = Restarter(lab, MOMENTS)
    try:
        operator = lab.operator(tmp_path / "runs")
        host = {"small": {"rds_encryption_login_user": lab.fleet.hosts()[0]["user"]}}
        lab.faults(*({"operation": "*", "service": "*", "kind": kind, "probability": share, "seed": seed, "count": None} for kind, share, seed in (
            ("throttle", 0.10, 1), ("http_500", 0.02, 2), ("http_503", 0.02, 3), ("cut_before", 0.04, 4))),
            *({"operation": f"{verb}*", "kind": "cut_after", "probability": 0.3, "seed": seed, "count": None}
              for seed, verb in enumerate(("Add", "Copy", "Create", "Modify", "Reboot", "Remove", "Restore"), 5)))
        lab.admin("POST", "settings", {"consistency": STALE * lab.TIMESCALE})
        run = operator.run(host, environment=restarter.environment, limit=400, strategy="mysql_replication")
        hits = collections.Counter()
        for fault in lab.admin("GET", "faults")["faults"]:
            hits[fault["kind"]] += fault["hits"]
        lab.admin("DELETE", "faults")
        lab.admin("POST", "settings", {"consistency": 0})
        run.good()
        assert not restarter.due, f"these did not fail: {restarter.due}"
        assert min(hits[kind] for kind in ("throttle", "http_500", "http_503", "cut_before", "cut_after")) > 0, hits
        story.judge()
    finally:
        story.end()
        lab.stop()
