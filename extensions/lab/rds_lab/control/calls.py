# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of every call, with secrets masked."""

from __future__ import annotations

import collections
import datetime
import re
import threading

from .registry import is_mutating

_SECRET = re.compile(r"password|secretstring|secretbinary|plaintext|token|credentialpassword|presignedurl", re.IGNORECASE)
_PUBLIC = re.compile(r"^(ManageMasterUserPassword|RotateMasterUserPassword|ClientRequestToken|Marker|NextToken)$")


def mask(data):
    """Parameters with the values of secrets replaced."""
    if isinstance(data, dict):
        return {
            name: "********" if _SECRET.search(str(name)) and not _PUBLIC.match(str(name)) else mask(item)
            for name, item in data.items()
        }
    if isinstance(data, list):
        return [mask(item) for item in data]
    return data if isinstance(data, (str, int, float, bool, type(None))) else str(data)


class CallLog:
    """Remembers the last calls."""

    def __init__(self, clock, length: int = 100000):
        self._clock, self._lock = clock, threading.Lock()
        self._entries: collections.deque = collections.deque(maxlen=length)
        self._number = 0

    def add(self, service: str, region: str, operation: str, parameters: dict, outcome: str, status: int, agent: str = "") -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        with self._lock:
            self._number += 1
            self._entries.append({
                "number": self._number,
                "time": now.isoformat(),
                "virtual_time": self._clock.time().isoformat(),
                "service": service,
                "region": region,
                "operation": operation,
                "parameters": mask(parameters),
                "outcome": outcome,
                "status": status,
                "mutating": is_mutating(operation),
                "agent": agent,
            })

    def entries(self, since: int = 0) -> list:
        with self._lock:
            return [entry for entry in self._entries if entry["number"] > since]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
