# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database server that restarts while it is worked with is borne, one that was never there is not."""

from __future__ import annotations

import types

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import RESTARTS_BORNE, despite_restarts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import ConnectionLostError, EncryptionError, StatementError

LOST = ConnectionLostError("target new-one: Lost connection", 2013)
DOWN = StatementError("target new-one: connecting failed", 2003)
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
