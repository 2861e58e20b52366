"""Write reports of runs made up from plain data into a folder: one host, a hundred, and names that mean harm."""

from __future__ import annotations

import json
import pathlib
import sys

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report import build_report
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report_html import report_html
from fakes.runs import records, run_of

HOSTILE = "<script>document.title='taken'</script><img src=https://example.com/x onerror=\"document.title='taken'\">"


def main() -> int:
    """Write the pages."""
    folder = pathlib.Path(sys.argv[1])
    many = [
        record
        for number in range(1, 101)
        for record in records(f"prod-{number:03}", **({"fails_in": "build"} if number in (7, 42) else {"stops_before": "validate"}))
    ]
    hostile = json.loads(json.dumps(records("NAME", fails_in="cutover")).replace("NAME", json.dumps(HOSTILE)[1:-1]))
    reports = {
        "one": build_report(run_of(), records("prod-one-with-a-rather-long-name-for-a-database")),
        "hundred": build_report(run_of("prod-007", "prod-042"), many),
        "hostile": build_report(run_of(HOSTILE, playbook=HOSTILE), hostile),
    }
    for name, report in reports.items():
        (folder / f"{name}.html").write_text(report_html(report), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
