# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Many hosts at work in one process, each in a thread of its own, and one line for all of them now and then.

A process for each would hold one of Ansible's forks for hours, import the same libraries, make the same clients and ask RDS the same.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import in_minutes, so_far

SUMMARY_EVERY = 60.0
# From how many hosts on a wait is told in one line for all.
MANY = 6
_PERCENT = re.compile(r"(\d+) %")


@dataclass(frozen=True)
class Standing:
    """Where a host stands: the wait in words, what is awaited, the moment of the clock at which the wait began, and the seconds that it is
    expected to take, if somebody knows."""

    what: str
    texts: tuple[str, ...]
    since: float
    expected: float | None = None


class Board:
    """What each of many hosts waits for at the moment.

    :param say: called with a line for all hosts.
    """

    def __init__(self, names, clock, say: Callable[[str], None]):
        self._clock = clock
        self._say = say
        self._started = clock.monotonic()
        self._lock = threading.Lock()
        self._at: dict[str, Standing | None] = dict.fromkeys(names)
        self._left = set(names)

    def sleep(self, seconds: float) -> None:
        """Pause by the board's clock."""
        self._clock.sleep(seconds)

    def stand(self, name: str, what: str, texts, expected: float | None = None) -> None:
        """A host waits for something; whether it is the same as before, its texts may have moved."""
        with self._lock:
            before = self._at.get(name)
            since = before.since if before and before.what == what else self._clock.monotonic()
            self._at[name] = Standing(what, tuple(text for text in texts if text), since, expected)

    def move(self, name: str) -> None:
        """A host does not wait any more."""
        with self._lock:
            self._at[name] = None

    def done(self, name: str) -> None:
        """A host is at its end."""
        with self._lock:
            self._left.discard(name)

    def tell(self) -> None:
        """Say in one line how all are doing."""
        with self._lock:
            standings = {name: self._at.get(name) for name in sorted(self._left)}
            of = len(self._at)
        self._say(summary(standings, of, self._clock.monotonic(), self._started))


def summary(standings: dict[str, Standing | None], of: int, now: float, started: float) -> str:
    """One line for many hosts: how many do what, how far they are, and who has waited longest.

    :param standings: of the hosts that are not at their end; None while one does not wait.
    """
    kinds: dict[str, list[Standing]] = {}
    for standing in standings.values():
        kinds.setdefault(standing.what.split()[0].lower() if standing else "working", []).append(standing)
    parts = []
    for kind, members in sorted(kinds.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        states = sorted({_PERCENT.sub("", text).strip() for member in members if member for text in member.texts} - {""})
        percents = sorted(int(found) for member in members if member for text in member.texts for found in _PERCENT.findall(text))
        span = f"{percents[0]}-{percents[-1]} %" if percents and percents[0] != percents[-1] else f"{percents[0]} %" if percents else ""
        detail = ", ".join(filter(None, [*states[:3], "..." if len(states) > 3 else "", span]))
        parts.append(f"{len(members)} {kind}" + (f" ({detail})" if detail else ""))
    waiting = [(standing.since, name, standing) for name, standing in standings.items() if standing]
    longest = ""
    if waiting:
        since, name, standing = min(waiting, key=lambda each: each[:2])
        longest = f"; longest: {name}, {standing.what}, {so_far(now - since, standing.expected)}"
    return f"{in_minutes(now - started)}, {of - len(standings)} of {of} hosts done; " + ", ".join(parts) + longest


def all_at_once(jobs: dict[str, Callable[[], object]], board: Board | None = None, every: float = SUMMARY_EVERY) -> dict[str, object]:
    """What each of the jobs returned; they run side by side. None of them may raise.

    :param board: told who is done, and asked to tell in such intervals.
    """
    results: dict[str, object] = {}

    def work(name):
        try:
            results[name] = jobs[name]()
        finally:
            if board:
                board.done(name)

    threads = [threading.Thread(target=work, args=(name,), name=f"for {name}", daemon=True) for name in jobs]
    for thread in threads:
        thread.start()
    teller = threading.Event()
    if board:
        threading.Thread(target=_tell_now_and_then, args=(board, every, teller), daemon=True).start()
    for thread in threads:
        thread.join()
    teller.set()
    return results


def _tell_now_and_then(board: Board, every: float, ended: threading.Event) -> None:
    while True:
        board.sleep(every)
        if ended.is_set():
            return
        board.tell()
