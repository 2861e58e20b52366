# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What an auditor gets of a run: descriptions before and after, who ran what, the checks, and a manifest that shows whether anything was changed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError

MANIFEST = "MANIFEST.sha256"
# As sha256sum writes and reads it: the hash, two spaces, the path.
_LINE = re.compile(r"([0-9a-f]{64})  ([^\0]+)")


@dataclass(frozen=True)
class Verdict:
    """How a folder differs from its manifest; paths below the folder."""

    good: tuple[str, ...]
    altered: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def untouched(self) -> bool:
        return not (self.altered or self.missing or self.added)


def evidence_files(report: dict, records: list[dict]) -> dict[str, str]:
    """The files of the evidence by their paths below its folder, without the pages of the report and the manifest."""
    run = {key: report[key] for key in ("format", "run", "callers", "keys", "failures")}
    run["hosts"] = [{key: host[key] for key in ("host", "name", "outcome", "outcome_text", "strategy", "engine")} for host in report["hosts"]]
    files = {"run.json": _json(run)}
    for number, host in enumerate(report["hosts"], 1):
        folder = f"topologies/{number:03}-{_file_name(host['name'])}"
        mine = [record for record in records if record["host"] == host["host"]]
        read = [(record["finished"], result["topology"]) for record in mine for result in _results(record) if _described(result)]
        for name, picked in (("before", read[:1]), ("after", read[-1:])):
            for when, topology in picked:
                files[f"{folder}/{name}.json"] = _json({"read_at": when, "phase": _phase_at(mine, when), "instances": topology["descriptions"]})
        checks = [
            {"phase": record["phase"], "task": record["task"], "at": record["finished"], "status": record["status"], "results": _checked(record)}
            for record in mine
            if record["module"] and record["status"] != "skipped"
        ]
        files[f"{folder}/checks.json"] = _json(checks)
        files[f"{folder}/steps.json"] = _json({key: host[key] for key in ("phases", "steps", "times", "members")})
    return files


def _results(record: dict):
    return (each["result"] for each in record["results"])


def _described(result: dict) -> bool:
    return isinstance(result.get("topology"), dict) and bool(result["topology"].get("descriptions"))


def _phase_at(records: list[dict], when: str) -> str:
    return next((record["phase"] for record in records if record["finished"] == when), "")


def _checked(record: dict) -> list[dict]:
    """What a task answered, without what stands in files of its own."""
    return [
        {"label": each["label"], **{key: value for key, value in each["result"].items() if key not in ("topology", "plan", "diff", "report_lines")}}
        for each in record["results"]
    ]


def _json(data) -> str:
    return json.dumps(data, indent=2, sort_keys=True, default=str) + "\n"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", name)[:100] or "_"


def manifest_of(hashes: dict[str, str]) -> str:
    """The text of a manifest."""
    return "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes) if path != MANIFEST)


def read_manifest(text: str) -> dict[str, str]:
    """The hashes of a manifest by path.

    :raises RefusedError: the text is no manifest.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found:
            raise RefusedError(f"{MANIFEST}, line {number}, is no line of a manifest, or names a file twice: the manifest was changed.")
        found[match[2]] = match[1]
    if not found:
        raise RefusedError(f"{MANIFEST} names no file.", next_step="Name the folder of one run, in which the manifest is.")
    return found


def compare(manifest: dict[str, str], hashes: dict[str, str]) -> Verdict:
    """What became of the files that a manifest names, and what it does not name."""
    there = {path: digest for path, digest in hashes.items() if path != MANIFEST}
    return Verdict(
        good=tuple(sorted(path for path in manifest if there.get(path) == manifest[path])),
        altered=tuple(sorted(path for path in manifest if path in there and there[path] != manifest[path])),
        missing=tuple(sorted(path for path in manifest if path not in there)),
        added=tuple(sorted(path for path in there if path not in manifest)),
    )
