# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The wait until nobody is connected to a server any more."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import WaitTimeoutError

LOOKS = 3


def drain(look, kill, in_words, clock, progress, *, settle_time: float, wait_timeout: float):
    """The last of several quiet looks in a row, ``settle_time`` seconds from the first to the last; pools reconnect, one look proves nothing.

    :param look: ``() -> Look``.
    :param kill: called with each client session that was seen, tells whether it was there to be ended; or None.
    :param in_words: ``Look -> text``.
    :return: ``(look, killed sessions)``.
    :raises WaitTimeoutError: naming who is still connected.
    """
    interval = max(0.2, settle_time / (LOOKS - 1))
    start = clock.monotonic()
    quiet_since, quiet_looks, killed, told = None, 0, [], None
    while True:
        seen = look()
        now = clock.monotonic()
        words = in_words(seen)
        if words != told:
            progress(words)
            told = words
        if seen.quiet:
            quiet_since = now if quiet_since is None else quiet_since
            quiet_looks += 1
            if quiet_looks >= LOOKS and now - quiet_since >= settle_time:
                return seen, killed
        else:
            quiet_since, quiet_looks = None, 0
            if now - start >= wait_timeout:
                raise WaitTimeoutError(
                    f"After {int(now - start)} seconds the server still has {words}.",
                    next_step="stop the applications named above (kill: true ends their sessions, but pools come back), "
                    "end prepared transactions (XA COMMIT or XA ROLLBACK; COMMIT PREPARED or ROLLBACK PREPARED), then run again.",
                )
            if kill is not None:
                for session in seen.clients:
                    if kill(session):
                        killed.append(session)
        clock.sleep(interval if seen.quiet or kill is None or not seen.clients else min(interval, 1.0))
