# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Work on database servers that is begun anew when a server restarted on the way, or DNS was late."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    ConnectionLostError,
    NotReachedError,
    SameServerError,
    StatementError,
)

# Each new beginning waits connect_timeout for a server that is not up again.
RESTARTS_BORNE = 4
_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_BETWEEN_LINES = 60.0


def despite_restarts(context, attempt):
    """What ``attempt()`` answers; begun anew when a server restarted on the way. What was changed before counts, too.

    Only for work that reads before it acts, so that nothing is done twice. A server that was never reached is told at once.
    """
    lost, changed, late = 0, False, _Late(context)
    while True:
        try:
            result = attempt()
            return {**result, "changed": True} if changed else result
        except SameServerError as e:
            late.wait_or_raise(e)
        except StatementError as e:
            changed = changed or bool(e.facts.get("changed"))
            passing = isinstance(e, ConnectionLostError) or (lost and isinstance(e, NotReachedError))
            if not passing or lost == RESTARTS_BORNE:
                raise
            lost += 1
            context.progress(f"{e.problem} Beginning anew, {lost} of {RESTARTS_BORNE} times.")


class _Late:
    """For how long DNS has been late."""

    def __init__(self, context):
        self._context = context
        self._since = self._told = None

    def wait_or_raise(self, error: SameServerError) -> None:
        """Wait a little for DNS, unless that has gone on for too long."""
        now = self._context.clock.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= error.patience:
            raise error
        if self._told is None or now - self._told >= _SECONDS_BETWEEN_LINES:
            self._context.progress(f"{error.problem} Waiting for DNS.")
            self._told = now
        self._context.clock.sleep(_SECONDS_BETWEEN_LOOKS)
