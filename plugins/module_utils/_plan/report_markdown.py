# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.
"""The report of a run as Markdown."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.pages import markdown_table, markdown_text
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report_tables import TABLES, fleet_table, run_table


def report_markdown(report: dict) -> str:
    """The whole report."""
    run = report["run"]
    lines = [f"# {markdown_text(run['playbook'])}: {run['outcome']}", "", *markdown_table(("", ""), run_table(report))]
    if report["failures"]:
        lines += ["", "## Failures", ""]
    for failure in report["failures"]:
        lines.append(
            f"- **{markdown_text(failure['host'])}**, phase {failure['phase']}, {markdown_text(failure['resource'])}: {markdown_text(failure['cause'])}"
        )
        lines += [f"  - {title}: {markdown_text(failure[key])}" for key, title in (("state", "State"), ("next_step", "Next")) if failure[key]]
        lines.append(f"  - Recovery guide: [{failure['recovery']}]({failure['recovery']})")
    columns, rows = fleet_table(report)
    lines += ["", "## Hosts", "", *markdown_table(columns, rows)]
    for host in report["hosts"]:
        lines += ["", f"## {markdown_text(host['host'])}: {host['outcome']}", "", markdown_text(host["outcome_text"])]
        for title, table in TABLES:
            columns, rows = table(host)
            if rows:
                lines += ["", f"### {title}", "", *markdown_table(columns, rows)]
    return "\n".join(lines) + "\n"
