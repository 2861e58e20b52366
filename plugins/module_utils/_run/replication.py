# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Wait for a server to apply what another one wrote. What counts is a place read on the source, never ``Seconds_Behind``.

That number is 0, too, while the network stands still, and while the last transaction is being applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import (
    FollowerState,
    Position,
    bytes_between,
    has_applied,
    log_number,
    replication_error,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import REPORT_EVERY, Limits, Outlook, wait_until

# How far behind, in files of the log, it is still worth while to watch one place being reached.
_NEAR_FILES = 1
_GLANCE = 0.25


class Lost(Exception):
    """A server cannot be asked at this moment."""


@dataclass(frozen=True)
class Asked:
    """One server that a wait asks.

    :param reconnect: makes the connection anew.
    :param unreachable: whether an error means that the server, or the way to it, is at fault, and not the question.
    """

    label: str
    ask: Callable
    reconnect: Callable[[], None]
    unreachable: Callable[[StatementError], bool]

    def __call__(self, question: Callable | None = None):
        """The answer to ``ask``, or to another question, on a fresh connection if the old one was cut.

        :raises Lost: if the server cannot be reached.
        """
        question = question or self.ask
        try:
            return question()
        except StatementError as e:
            if not self.unreachable(e):
                raise
        try:
            self.reconnect()
            return question()
        except StatementError as e:
            if not self.unreachable(e):
                raise
            raise Lost(f"{self.label} cannot be reached") from None


@dataclass
class CatchUp:
    """The state of a wait: ``lag`` is the seconds between reading a place on the source and seeing it applied; None as long as none was."""

    lag: float | None = None
    behind: int | None = None
    last: FollowerState | None = None
    end: Position | None = None


def state_in_words(label: str, seen: FollowerState) -> str:
    """Where a follower stands, in words.

    :raises EncryptionError: if it will not go on by itself.
    """
    status = seen.status
    if status is None:
        raise EncryptionError(f"{label}: it follows nobody any more.", next_step="see who took its link off; run state: linked again.")
    error = replication_error(label, status)
    if error is not None:
        raise error
    if status.stopped:
        raise EncryptionError(
            f"{label}: its replication was stopped, at {status.file}:{status.position}.",
            done="Nothing is lost on the source.",
            next_step="see who stopped it; state: linked starts it again.",
        )
    words = f"applied up to {status.file or '?'}:{status.position}"
    if not status.running:
        words += f" ({status.threads}" + (f", error {status.receiver_code}: {status.receiver_error.strip()})" if status.receiver_code else ")")
    return words


def wait_caught_up(
    source: Asked, target: Asked, *, logs: Callable, max_lag: float, clock, limits: Limits, progress: Callable[[str], None]
) -> CatchUp:
    """Return once what the source had at a moment was applied at most ``max_lag`` seconds later.

    :param source: asks for the end of its log.
    :param target: asks for its progress.
    :param logs: name and size of each file of the source's log, or None.
    """
    seen = CatchUp()

    def look() -> list[tuple[str, Outlook]]:
        asked_at = clock.monotonic()
        try:
            seen.end = source()
            while True:
                seen.last = target()
                words = state_in_words(target.label, seen.last)
                passed = clock.monotonic() - asked_at
                if seen.last.status.running and has_applied(seen.last, seen.end):
                    seen.lag, seen.behind = passed, 0
                    return [(target.label, Outlook(passed <= max_lag, words))]
                if passed + _GLANCE > max_lag or not _is_near(seen.last, seen.end):
                    break
                clock.sleep(_GLANCE)
            applied = seen.last.applied
            seen.behind = bytes_between(logs(), applied, seen.end) if applied else None
        except Lost as e:
            return [(target.label, Outlook(False, str(e)))]
        behind = "" if seen.behind is None else f", {seen.behind / 2**20:.1f} MiB behind"
        return [(target.label, Outlook(False, words + behind))]

    wait_until(look, clock=clock, limits=limits, progress=Sparing(progress, clock), what=f"{target.label}: catching up")
    return seen


def _is_near(seen: FollowerState, end: Position) -> bool:
    return bool(seen.applied) and log_number(end.file)[1] - log_number(seen.applied.file)[1] <= _NEAR_FILES


def wait_applied(
    followers: list[tuple[Asked, Callable[[FollowerState], bool]]], *, clock, limits: Limits, progress: Callable[[str], None], what: str
) -> list[FollowerState]:
    """The followers' states once each of them has what it shall have, and runs without an error, read after that.

    :param followers: who is asked, and what its state must fulfil.
    """
    last: dict[str, FollowerState] = {}

    def look() -> list[tuple[str, Outlook]]:
        outlooks = []
        for follower, fulfilled in followers:
            try:
                before = follower()
                there = follower(lambda: fulfilled(before))  # noqa: B023  (asked at once)
                last[follower.label] = seen = follower()
                outlooks.append((follower.label, Outlook(there and seen.status is not None and seen.status.running, state_in_words(follower.label, seen))))
            except Lost as e:
                outlooks.append((follower.label, Outlook(False, str(e))))
        return outlooks

    wait_until(look, clock=clock, limits=limits, progress=Sparing(progress, clock), what=what)
    return [last[follower.label] for follower, _fulfilled in followers]


@dataclass
class Sparing:
    """A voice for something that moves at each look: the first line, and then one a minute."""

    progress: Callable[[str], None]
    clock: object
    _last: float | None = field(default=None)

    def __call__(self, line: str) -> None:
        now = self.clock.monotonic()
        if self._last is None or now - self._last >= REPORT_EVERY:
            self._last = now
            self.progress(line)
