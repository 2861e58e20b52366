# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Waiting: one read for many things, a pure outlook on each, and limits that say so in words.

RDS gives no bound for any of its operations (a copy takes minutes or many hours), so a wait ends early only when nothing moves
any more, and at once when a status is final.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import WaitTimeoutError


@dataclass(frozen=True)
class Limits:
    """How patiently to wait; all in seconds.

    :param poll_interval: the longest pause between two reads in the first minutes of a wait, which begins with short ones (``Pauses``).
    :param wait_timeout: the longest time for one wait, however well it moves.
    :param stall_timeout: the longest time in which nothing at all may move.
    :param missing_timeout: how long something just made or renamed may be invisible (RDS guide: eventual consistency).
    :param effect_timeout: how long a change may be accepted, settled and yet not visible.
    :param restart_grace: how long a restart may go unseen before it is taken for done: short ones fall between two reads.
    :param report_timeout: how long a replica that is ready in all else may say nothing of its replication, or report an error of it.
    :param outage_timeout: how long AWS may not answer a read, or only with errors of its own, after botocore's own attempts.
    :param marks_timeout: how long something that may be ours may show no tags before it is taken for somebody else's.
    :param steady_reads: how many reads in a row must agree before a state is believed.
    :param steady_pause: the longest pause between these. An instance may go on looking available for some seconds after it accepted a change;
        what waits for a change waits for its effect, too, so that this pause need not outlast them.
    """

    poll_interval: float = 20.0
    wait_timeout: float = 86400.0
    stall_timeout: float = 14400.0
    missing_timeout: float = 900.0
    effect_timeout: float = 900.0
    restart_grace: float = 30.0
    report_timeout: float = 300.0
    marks_timeout: float = 120.0
    outage_timeout: float = 1800.0
    steady_reads: int = 3
    steady_pause: float = 3.0

    @property
    def steady_interval(self) -> float:
        return min(self.steady_pause, self.poll_interval)


@dataclass(frozen=True)
class Outlook:
    """What one read says of one awaited thing; ``text`` changes whenever the thing moves, and is empty where nobody needs to know."""

    done: bool
    text: str


REPORT_EVERY = 60.0
_PERCENT = re.compile(r"(\d+) %")


class Pauses:
    """How long to pause until the next read: in proportion to the time waited, and shorter towards the end that is in sight.

    What is late by a small part of the time that it took anyway does not matter; so waiting for ten hours takes some hundred reads more than
    waiting for ten minutes, not thousands.

    :param interval: the longest pause while nothing is known of the end, until a hundredth of the time waited is longer.
    """

    SHORTEST = 1.0
    OF_THE_BEGINNING = 1 / 8
    OF_THE_PAST = 1 / 100
    OF_THE_REST = 1 / 6
    LONGEST = 300.0

    def __init__(self, interval: float):
        self._interval = interval
        self._first: tuple[float, int] | None = None

    def after(self, elapsed: float, texts) -> float:
        """Seconds to pause.

        :param elapsed: seconds since the wait began.
        :param texts: what was just read of each thing that is awaited; how far RDS says that it is gives an estimate of the rest.
        """
        rest = self._rest(elapsed, texts)
        if rest is not None:
            return min(max(rest * self.OF_THE_REST, self._interval / 4), self.LONGEST)
        longest = max(self._interval, elapsed * self.OF_THE_PAST)
        shortest = min(self.SHORTEST, self._interval)
        return min(max(elapsed * self.OF_THE_BEGINNING, shortest), longest, self.LONGEST)

    def expected(self, elapsed: float, texts) -> float | None:
        """Seconds that the whole wait will take, by how far RDS says that it is; None where RDS does not say."""
        rest = self._rest(elapsed, texts)
        return None if rest is None else elapsed + rest

    def _rest(self, elapsed: float, texts) -> float | None:
        percents = [int(found) for text in texts for found in _PERCENT.findall(text)]
        if not percents or not 0 < min(percents) < 100:
            return None
        if self._first is None:
            self._first = (elapsed, min(percents))
        since, begun = self._first
        done = min(percents) - begun
        return (elapsed - since) * (100 - min(percents)) / done if done > 0 else None


class Patience:
    """How often and how long AWS was asked in vain; pauses grow, and vary, so that many hosts do not ask again at the same moment.

    :param jitter: a number between 0 and 1, another one each time.
    """

    def __init__(self, rds, clock, limits: Limits, jitter: Callable[[], float], progress: Callable[[str], None]):
        self._rds = rds
        self._clock = clock
        self._limits = limits
        self._jitter = jitter
        self._progress = progress
        self._since: float | None = None
        self._delay = 1.0

    def answered(self) -> None:
        """AWS is there again."""
        self._since, self._delay = None, 1.0

    def bear(self, error) -> None:
        """Pause, for a read to be repeated.

        :raises WaitTimeoutError: AWS has not answered for too long.
        :raises Exception: the error itself, if it will not go away.
        """
        if not self._rds.is_passing(error):
            raise error
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
            self._progress(f"AWS does not answer ({error}). Asking again for up to {self._limits.outage_timeout:.0f} s.")
        if now - self._since > self._limits.outage_timeout:
            raise WaitTimeoutError(
                f"AWS has not answered for {now - self._since:.0f} s; its last word: {error}",
                done="What was begun goes on in AWS; nothing was undone.",
                next_step="See that the region's RDS can be reached, then run again: the run goes on from what it finds.",
            ) from error
        self._clock.sleep(self._delay * (0.5 + self._jitter()))
        self._delay = min(self._delay * 2, 30.0)

    def read(self, read: Callable):
        """What a read brings, as soon as AWS answers."""
        while True:
            try:
                found = read()
            except self._rds.read_errors as e:
                self.bear(e)
            else:
                self.answered()
                return found


def wait_until(
    look: Callable[[], list[tuple[str, Outlook]]], *, clock, limits: Limits, progress, what: str, stand: Callable | None = None,
    usual: float | None = None,
) -> None:
    """Return once every outlook was done in enough reads in a row.

    :param look: one read of everything awaited: (label, outlook) each; raises when something is final or unreadable for good.
    :param progress: called with a line when something moved, and at least every minute.
    :param stand: called with ``what``, the texts of each read and the seconds that the wait is expected to take in place of ``progress``, where
        somebody else tells the operator.
    :param usual: seconds that such a wait usually takes, until RDS says how far it is; None if nobody knows.
    :raises WaitTimeoutError: the limit was reached, or nothing moved for too long.
    """
    started = moved = reported = clock.monotonic()
    steady = 0
    pauses = Pauses(limits.poll_interval)
    last: list[tuple[str, str]] = []
    while True:
        outlooks = look()
        now = clock.monotonic()
        texts = [(label, outlook.text) for label, outlook in outlooks]
        changed = [pair for pair in texts if pair not in last]
        if texts != last:
            moved, last = now, texts
        done = all(outlook.done for _label, outlook in outlooks)
        steady = steady + 1 if done else 0
        if steady >= limits.steady_reads:
            return
        expected = pauses.expected(now - started, [text for _label, text in texts]) or usual
        if stand is not None:
            stand(what, [text for _label, text in texts], expected)
            reported = now
        elif changed and steady <= 1:
            for label, text in (pair for pair in changed if pair[1]):
                progress(f"{label}: {text} ({so_far(now - started, expected)})")
            reported = now
        _check_limits(now, started, moved, limits, what, texts)
        pause = pauses.after(now - started, [outlook.text for _label, outlook in outlooks if not outlook.done])
        wake = now + (limits.steady_interval if done else pause)
        # A limit is told when it is reached, and not a long pause later.
        ends = min(started + limits.wait_timeout, moved + limits.stall_timeout) + 0.01
        wake = ends if now < ends < wake else wake
        while not done and stand is None and wake - reported > REPORT_EVERY:
            clock.sleep(max(0.0, reported + REPORT_EVERY - clock.monotonic()))
            reported = clock.monotonic()
            state = "; ".join(f"{label} {text}" for label, text in texts)
            progress(f"{what}: still {state} ({so_far(reported - started, expected)})")
        clock.sleep(max(0.0, wake - clock.monotonic()))


def _check_limits(now, started, moved, limits, what, texts) -> None:
    state = "; ".join(f"{label}: {text}" for label, text in texts) or "nothing to see"
    again = "Nothing was undone: run the same again, it goes on from here."
    if now - started > limits.wait_timeout:
        raise WaitTimeoutError(f"{what} took longer than {limits.wait_timeout:.0f} s (wait_timeout).", done=state + ".", next_step=again)
    if now - moved > limits.stall_timeout:
        raise WaitTimeoutError(f"{what}: nothing moved for {limits.stall_timeout:.0f} s (stall_timeout).", done=state + ".", next_step=again)


def so_far(elapsed: float, expected: float | None) -> str:
    """How long a wait has taken, and about how long it is expected to take, unless it has taken longer."""
    return in_minutes(elapsed) + (f", expected {in_minutes(expected)}" if expected and expected > elapsed else "")


def in_minutes(seconds: float) -> str:
    """A span of time for the operator."""
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
