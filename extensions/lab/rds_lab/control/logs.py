# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log files of an instance."""

from __future__ import annotations

import fnmatch

from . import catalogue
from .describe import filters, page
from .errors import RdsError
from .registry import operation

_FILES = {
    "mysql": ("error/mysql-error.log", "error/mysql-error-running.log", "slowquery/mysql-slowquery.log"),
    "mariadb": ("error/mysql-error.log", "slowquery/mysql-slowquery.log"),
    "postgres": ("error/postgres.log", "error/postgresql.log"),
}
_LINES = 1000


def _files(plane, instance) -> dict:
    """Name -> text of every log file: what the lab has to tell of an instance."""
    name = instance.name
    lines = [
        f"{event['Date']:%Y-%m-%d %H:%M:%S} UTC [Note] {event['Message']}"
        for event in plane.store.region(instance.region).events
        if event["SourceIdentifier"] == name and event["SourceType"] == "db-instance"
    ]
    text = "\n".join(lines) + "\n" if lines else ""
    names = _FILES.get(instance.engine, tuple(f"{log}/{log}.log" for log in catalogue.facts(instance.engine).logs))
    return {file: text if index == 0 else "" for index, file in enumerate(names)}


@operation("DescribeDBLogFiles")
def describe(plane, call, request):
    filters(request, ())
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    moment = int(plane.clock.now() * 1000)
    entries = [
        {"LogFileName": name, "LastWritten": moment, "Size": len(text.encode())}
        for name, text in _files(plane, instance).items()
        if fnmatch.fnmatchcase(name, f"*{request.get('FilenameContains', '')}*")
        and len(text.encode()) >= request.get("FileSize", 0) and moment > request.get("FileLastWritten", 0)
    ]
    shown, marker = page(request, entries, lambda entry: entry["LogFileName"])
    return {"DescribeDBLogFiles": shown, "Marker": marker}


@operation("DownloadDBLogFilePortion")
def download(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    files = _files(plane, instance)
    if request["LogFileName"] not in files:
        raise RdsError("DBLogFileNotFoundFault", f"DBLog File: {request['LogFileName']}, is not found on the DB instance", 404)
    lines = files[request["LogFileName"]].splitlines(keepends=True)
    count = min(request.get("NumberOfLines", _LINES), 9999)
    marker = request.get("Marker")
    if marker in (None, ""):
        begin = max(0, len(lines) - count)      # the last lines
    else:
        begin = int(marker.split(":")[-1])
    part = lines[begin:begin + count]
    return {"LogFileData": "".join(part), "Marker": f"0:{begin + len(part)}", "AdditionalDataPending": begin + len(part) < len(lines)}
