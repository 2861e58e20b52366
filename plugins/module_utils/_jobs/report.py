# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Writing what is to be kept of a run: the report, and the evidence. Used by the callback, which has seen all of it."""

from __future__ import annotations

import json
import re

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.files import fresh_folder, hashes_below, private_folder, write_private
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.shown import shown
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.evidence import MANIFEST, evidence_files, manifest_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report import build_report
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report_html import report_html
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report_markdown import report_markdown


def make_report(run: dict, records: list[dict]) -> dict:
    """The report as data, harmless to whoever shows it."""
    return shown(build_report(run, records))


def _pages(report: dict) -> dict[str, str]:
    return {
        "report.html": report_html(report),
        "report.md": report_markdown(report),
        "report.json": json.dumps(report, indent=2, sort_keys=True, default=str) + "\n",
    }


def _name_of(report: dict) -> str:
    playbook = re.sub(r"[^A-Za-z0-9-]", "_", report["run"]["playbook"].removesuffix(".yml").removesuffix(".yaml"))
    return f"{report['run']['started'].replace(':', '').replace('-', '')}-{playbook}"


def write_report(report: dict, directory: str) -> list[str]:
    """The paths of the pages, in a new folder.

    :raises EncryptionError: they cannot be written.
    """
    return write_private(fresh_folder(directory, _name_of(report)), _pages(report))


def write_evidence(report: dict, records: list[dict], directory: str) -> tuple[str, str]:
    """A new folder with the evidence, and the SHA-256 of its manifest.

    :raises EncryptionError: it cannot be written.
    """
    folder = fresh_folder(private_folder(directory), _name_of(report))
    write_private(folder, {**_pages(report), **evidence_files(report, shown(records))})
    write_private(folder, {MANIFEST: manifest_of(hashes_below(folder))})
    return folder, hashes_below(folder)[MANIFEST]
