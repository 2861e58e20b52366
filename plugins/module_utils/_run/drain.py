# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The wait until nobody is connected to a server any more."""

from __future__ import annotations

import random

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import WaitTimeoutError

LOOKS = 3
# Seconds between two looks for somebody who was seen only by what he wrote.
HUNTING = 0.05
# Looks in a row that saw nobody but the own login elsewhere, before way is made; and for how many times the time to settle.
MIRRORED = 2
SHORT, LONG = 0.3, 2.5
CHANCES = 3


def drain(look, kill, in_words, clock, progress, *, settle_time: float, wait_timeout: float, writes=None, leave=None, jitter=random.random):
    """The last of several quiet looks in a row, ``settle_time`` seconds from the first to the last; pools reconnect, one look proves nothing.

    :param look: ``() -> Look``.
    :param kill: called with each client session that was seen, tells whether it was there to be ended; or None.
    :param in_words: ``Look -> text``.
    :param writes: ``() -> {table: anything that changes with a write}``, or None. Who connects, writes and leaves between two looks is never
        seen connected; a table that changed while nobody was there means that the server is not quiet.
    :param leave: ``(seconds)``: not be connected for so long; or None. Two runs that look with the same login see each other, and would wait for
        each other in vain: now and then each leaves, one for long enough that the other finds the server quiet.
    :param jitter: a number between 0 and 1, another one each time.
    :return: ``(look, killed sessions)``.
    :raises WaitTimeoutError: naming who is still connected, or what was written to.
    """
    interval = max(0.2, settle_time / (LOOKS - 1))
    start = clock.monotonic()
    quiet_since, quiet_looks, killed, told, before = None, 0, [], None, {}
    hunting_until, caught, trouble = start, "", ""
    mirrored, left, spared = 0, 0, False
    while True:
        seen = look()
        now = clock.monotonic()
        words = in_words(seen)
        if words != told and (now >= hunting_until or not seen.quiet):
            progress(words)
            told = words
        if seen.quiet:
            if quiet_since is None:
                quiet_since, before = now, writes() if writes else {}
            quiet_looks += 1
            if quiet_looks < LOOKS or now - quiet_since < settle_time:
                clock.sleep(HUNTING if now < hunting_until else interval)
                continue
            written = _changed(before, writes()) if writes else []
            if not written:
                return seen, killed
            trouble = _somebody_wrote(written)
            progress(trouble)
            hunting_until = now + settle_time
        else:
            trouble = f"the server still has {words}"
            caught = words
        quiet_since, quiet_looks = None, 0
        if now - start >= wait_timeout:
            if trouble.startswith("somebody") and caught:
                trouble += f" (seen before: {caught})"
            raise WaitTimeoutError(
                f"After {int(now - start)} seconds {trouble}.",
                done=f"{len(killed)} session(s) were ended, and came back." if killed else None,
                next_step="stop the applications named above (kill: true ends their sessions, but pools come back; a quarantine security group "
                "keeps them out), end prepared transactions (XA COMMIT or XA ROLLBACK; COMMIT PREPARED or ROLLBACK PREPARED), then run again.",
            )
        mirrored = mirrored + 1 if leave is not None and seen.mirrored else 0
        if mirrored > MIRRORED:
            if not left:
                progress("it may be another run, which waits for this one: leaving now and then")
            mirrored, left = 0, left + 1
            # Another run would end this one's sessions in turn: it gets some chances to find the server quiet in between.
            spared = left % CHANCES != 0
            leave(min((settle_time + 1) * (LONG if jitter() < 0.5 else SHORT), max(0.0, start + wait_timeout - now)))
            continue
        if kill is not None and not (seen.mirrored and spared):
            spared = seen.mirrored and leave is not None
            for session in seen.clients:
                if kill(session):
                    killed.append(session)
        clock.sleep(HUNTING if now < hunting_until else interval if kill is None or not seen.clients else min(interval, 1.0))


def _changed(before: dict, after: dict) -> list[str]:
    """Names of tables that were made, written to or dropped in between."""
    return sorted(name for name in set(before) | set(after) if before.get(name) != after.get(name))


def _somebody_wrote(tables: list[str], at_most: int = 5) -> str:
    more = f" and {len(tables) - at_most} more tables" if len(tables) > at_most else ""
    return (
        f"somebody wrote to {', '.join(tables[:at_most])}{more} between two looks, and was not connected at either of them: "
        "a client that comes and goes, or an event of the database's scheduler"
    )
