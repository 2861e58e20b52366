# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which function answers which operation."""

from __future__ import annotations

import dataclasses

OPERATIONS: dict = {}


@dataclasses.dataclass
class Call:
    """One request on its way."""

    operation: str
    region: str
    request: dict
    time: float
    stale: bool = False             # answer from the version before
    outcome: dict | None = None     # the fault that shall befall the effect
    touched: list = dataclasses.field(default_factory=list)     # records made or renamed by it


def operation(name: str):
    """Register a function `(plane, call, request) -> result` for an operation; it runs under the plane's lock."""

    def register(function):
        if name in OPERATIONS:
            raise ValueError(f"{name} is registered twice")
        OPERATIONS[name] = function
        return function

    return register


def is_mutating(name: str) -> bool:
    """Whether an operation of any service may change something."""
    reads = ("Describe", "List", "Get", "Head", "Download", "Lookup", "Search", "Filter", "Simulate", "BatchGet", "Decrypt", "GET ")
    return not name.startswith(reads)
