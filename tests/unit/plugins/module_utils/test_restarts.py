# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database server that restarts while it is worked with is borne, one that was never there is not."""

from __future__ import annotations

import types

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restarts import RESTARTS_BORNE, despite_restarts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    ConnectionLostError,
    EncryptionError,
    NotReachedError,
    SameServerError,
    StatementError,
)

LOST = ConnectionLostError("target new-one: Lost connection", 2013)
DOWN = NotReachedError("target new-one: connecting failed", 2003)
REFUSED = StatementError("target new-one: Access denied", 1045)


def outcome(*events):
    """What comes of an attempt that meets these errors one after the other, then succeeds; and how often it was made."""
    waiting, lines = list(events), []

    def attempt():
        if waiting:
            raise waiting.pop(0)
        return {"changed": False}

    context = types.SimpleNamespace(progress=lines.append)
    return despite_restarts(context, attempt), lines


@pytest.mark.parametrize("events", [[LOST], [LOST, DOWN], [LOST, DOWN, LOST], [LOST] * RESTARTS_BORNE])
def test_a_restart_is_borne_and_told(events):
    answer, lines = outcome(*events)
    assert answer == {"changed": False} and len(lines) == len(events) and "Beginning anew" in lines[0]


@pytest.mark.parametrize("events", [[DOWN], [REFUSED], [LOST, REFUSED], [LOST] * (RESTARTS_BORNE + 1), [EncryptionError("no")]])
def test_what_no_waiting_cures_is_told(events):
    with pytest.raises(EncryptionError) as told:
        outcome(*events)
    assert told.value is events[-1]


def test_what_was_changed_before_the_restart_is_not_forgotten():
    half_done = ConnectionLostError("target new-one: Lost connection", 2013, changed=True)
    assert outcome(half_done)[0] == {"changed": True}
    assert outcome(half_done, LOST)[0] == {"changed": True}


class Clock:
    """Time passes when somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def until(moment: float, patience: float):
    """What comes of an attempt that meets one server under two names until a moment."""
    clock, lines = Clock(), []

    def attempt():
        if clock.now < moment:
            raise SameServerError("source old-one", "target new-one", patience)
        return {"changed": False}

    return despite_restarts(types.SimpleNamespace(progress=lines.append, clock=clock), attempt), lines


def test_dns_that_is_late_is_waited_for():
    answer, lines = until(100, 120)
    assert answer == {"changed": False}
    assert len(lines) == 2 and "source old-one and target new-one lead to the same server" in lines[0]


def test_one_server_for_two_instances_is_an_error_in_the_end():
    with pytest.raises(SameServerError, match="Next: wait until each name"):
        until(100, 60)
