# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the crash tests stop a run at any SQL statement that changes something, without the product knowing.

Python imports this by itself in every process that has its folder on PYTHONPATH. Before and after each such statement the process asks the
arbiter of the test (scenario_crash.Arbiter) whether to go on; the arbiter that wants it dead does not answer, and kills it. With CRASH_WATCH
it asks before the statements instead that contain one of the texts in there (scenario_restarts.Restarter).
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket

CHANGING = re.compile(
    r"\s*(?:CREATE|ALTER|DROP|GRANT|REVOKE|RENAME|INSERT|UPDATE|DELETE|REPLACE|TRUNCATE|KILL|SET\s+(?:GLOBAL|PASSWORD|DEFAULT\s+ROLE)"
    r"|CALL\s+(?!mysql\.rds_(?:show|replica_status))|SELECT\s+pg_(?:terminate|cancel)_backend)\b",
    re.IGNORECASE,
)


def _ask(text: str) -> str:
    host, _colon, port = os.environ["CRASH_ARBITER"].partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(text.encode() + b"\n")
        return connection.makefile().readline().strip()


WATCHED = [text for text in os.environ.get("CRASH_WATCH", "").split("|") if text]


def _watched(original, host):
    @functools.wraps(original)
    def execute(self, statement, *args, **kwargs):
        text = statement.decode("utf-8", "replace") if isinstance(statement, (bytes, bytearray)) else str(statement)
        if WATCHED:
            for found in (each for each in WATCHED if each in text):
                _ask(f"watched {host(self)} {found}")
            return original(self, statement, *args, **kwargs)
        if not CHANGING.match(text):
            return original(self, statement, *args, **kwargs)
        number = _ask(f"before {text.split()[0]}")
        result = original(self, statement, *args, **kwargs)
        _ask(f"after {number}")
        return result

    return execute


if os.environ.get("CRASH_ARBITER"):
    with contextlib.suppress(ImportError):
        import pymysql.connections

        pymysql.connections.Connection.query = _watched(pymysql.connections.Connection.query, lambda connection: connection.host)
    with contextlib.suppress(ImportError):
        import psycopg

        psycopg.Cursor.execute = _watched(psycopg.Cursor.execute, lambda cursor: cursor.connection.info.host)
