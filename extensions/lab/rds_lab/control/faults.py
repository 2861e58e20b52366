# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request."""

from __future__ import annotations

import fnmatch
import random
import threading
import uuid

from .errors import RdsError
from .registry import is_mutating

#: Kinds that refuse the call.
REFUSALS = {
    "throttle": ("Throttling", "Rate exceeded", 400),
    "http_500": ("InternalFailure", "An internal error has occurred. Please try your query again at a later time.", 500),
    "http_503": ("ServiceUnavailable", "The request has failed due to a temporary failure of the server.", 503),
    "capacity": (
        "InsufficientDBInstanceCapacity", "The requested DB instance class is not available in the requested Availability Zone.", 400),
    "error": (None, "A fault of the lab", 400),
}
QUOTAS = {
    "CreateDBSnapshot": ("SnapshotQuotaExceeded", "Cannot create more than the allowed number of manual snapshots."),
    "CopyDBSnapshot": ("SnapshotQuotaExceeded", "Cannot create more than the allowed number of manual snapshots."),
    "": ("InstanceQuotaExceeded", "DB instance quota exceeded."),
}
#: Kinds that happen around the call or to its effect.
EFFECTS = {
    "cut_before": "the connection is dropped before the effect",
    "cut_after": "the effect happens, the connection is dropped without an answer",
    "hold_before": "the call stops before its effect until it is released; then its connection is dropped",
    "hold_after": "the effect happens; no answer comes until it is released; then its connection is dropped",
    "stale": "reads answer from the version before",
    "not_found_after_create": "what is created or renamed is NotFound for so many reads",
    "terminal_status": "what is made ends in the given status",
    "fails": "a snapshot or a copy ends `failed`",
    "ends_with_error_event": "a modification ends `available`, without effect, with an event of failure",
}


class Faults:
    """The faults that wait for their calls.

    A fault is a dict: `operation` (a pattern), `kind`, and optionally `service` (a pattern, default `rds`), `count`
    (default 1; null: for ever), `skip` (let so many pass first), `probability` with `seed`, `match` (request member -> pattern),
    `mutating` (true: only calls that may change something), `code`, `message`, `http_status`, `status`, `reads`.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._faults: list = []
        self._held: list = []

    def add(self, fault: dict) -> dict:
        """Take a fault in.

        :raises ValueError: it is not understood.
        """
        known = {"operation", "kind", "service", "count", "skip", "probability", "seed", "match", "code", "message", "http_status",
                 "status", "reads", "mutating"}
        unknown = set(fault) - known
        if unknown:
            raise ValueError(f"unknown members of a fault: {sorted(unknown)}")
        kind = fault.get("kind")
        if kind not in REFUSALS and kind not in EFFECTS and kind != "quota":
            raise ValueError(f"unknown kind of fault: {kind}")
        if kind == "error" and not fault.get("code"):
            raise ValueError("a fault of kind error needs a code")
        if kind == "terminal_status" and not fault.get("status"):
            raise ValueError("a fault of kind terminal_status needs a status")
        entry = dict(fault)
        entry.setdefault("operation", "*")
        entry.setdefault("service", "rds")
        entry["id"] = uuid.uuid4().hex[:8]
        entry["left"] = fault.get("count", 1) if kind != "stale" else fault.get("reads", fault.get("count", 1))
        entry["skipped"] = 0
        entry["hits"] = 0
        entry["random"] = random.Random(fault.get("seed", 0))
        with self._lock:
            self._faults.append(entry)
        return self._shown(entry)

    def take(self, service: str, operation: str, request: dict) -> dict | None:
        """The fault that befalls a call, counted down; None if none does."""
        with self._lock:
            for fault in self._faults:
                if fault["left"] is not None and fault["left"] <= 0:
                    continue
                if not fnmatch.fnmatchcase(service, fault["service"]) or not fnmatch.fnmatchcase(operation, fault["operation"]):
                    continue
                if fault.get("mutating") and not is_mutating(operation):
                    continue
                if any(not fnmatch.fnmatchcase(str(request.get(name, "")), str(text)) for name, text in fault.get("match", {}).items()):
                    continue
                if fault["skipped"] < fault.get("skip", 0):
                    fault["skipped"] += 1
                    continue
                if fault["random"].random() >= fault.get("probability", 1.0):
                    continue
                fault["hits"] += 1
                if fault["left"] is not None:
                    fault["left"] -= 1
                return fault
        return None

    def entries(self) -> list:
        with self._lock:
            return [self._shown(fault) for fault in self._faults]

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
        self.release()

    def hold(self, service: str, operation: str, when: str, limit: float = 300.0) -> None:
        """Return when release() was called, or after so many real seconds."""
        entry = {"service": service, "operation": operation, "when": when, "released": threading.Event()}
        with self._lock:
            self._held.append(entry)
        entry["released"].wait(limit)
        with self._lock:
            self._held.remove(entry)

    def held(self) -> list:
        """The calls that are being held."""
        with self._lock:
            return [{name: item for name, item in entry.items() if name != "released"} for entry in self._held]

    def release(self) -> None:
        """Let go of all calls that are held."""
        with self._lock:
            for entry in self._held:
                entry["released"].set()

    @staticmethod
    def _shown(fault: dict) -> dict:
        return {name: item for name, item in fault.items() if name != "random"}


def refusal(fault: dict, operation: str) -> RdsError | None:
    """The error that a fault answers with, or None if it does something else."""
    kind = fault["kind"]
    if kind == "quota":
        code, message = QUOTAS.get(operation, QUOTAS[""])
        return RdsError(fault.get("code", code), fault.get("message", message), 400)
    if kind not in REFUSALS:
        return None
    code, message, status = REFUSALS[kind]
    return RdsError(fault.get("code") or code, fault.get("message", message), fault.get("http_status", status))
