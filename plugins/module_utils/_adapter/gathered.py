# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""One call for the reads that several hosts of a process make at the same moment, and no more calls in a second than RDS likes.

Nothing is remembered: what anybody gets was read after he asked for it, so that it may serve for decisions like a read of his own.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.clock import Clock


class Company:
    """How many hosts this process works for at the moment; shared by all adapters of the process.

    A few calls go at once, as gates make them; many keep to a pace. RDS does not document at which it throttles; who is throttled asks again,
    later and later. Changes have a pace of their own: an outage lasts as long as they do, and must not wait for who only looks. And no outage
    begins while marks wait for their turn, which are made before it, nor right after one, which another of the same host may follow: else the
    hosts whose marks come last would prolong the outage of the first.

    :param gather: seconds for which the first who asks waits for others, while there are any.
    :param within: seconds in which no more than ``READS`` reads and ``CHANGES`` changes begin, while there are others.
    """

    READS, CHANGES = 45, 60
    LOOKS = 5  # of who gathers: is everybody here?

    def __init__(self, clock, gather: float = 0.25, within: float = 10.0):
        self.size = 1
        self._clock = clock
        self._usual = self._gather, self._within = gather, within
        self._lock = threading.Lock()
        self._begun: dict[bool, deque[float]] = {changes: deque(maxlen=calls) for changes, calls in ((False, self.READS), (True, self.CHANGES))}
        self._last_mark = -math.inf
        self._mine = threading.local()

    def grow(self, size: int, poll_interval: float) -> None:
        """Work for so many hosts from now on; who looks at RDS more often than once in ten seconds also wants a faster pace."""
        hurry = min(1.0, poll_interval / 10)
        self._gather, self._within = (usual * hurry for usual in self._usual)
        self.size = size

    def gather(self, joined: Callable[[], int]) -> None:
        """Wait for others to join, if there are any, until all have.

        :param joined: how many are here already.
        """
        for _look in range(self.LOOKS):
            if joined() >= self.size:
                return
            self._clock.sleep(self._gather / self.LOOKS)

    def take_turn(self, *, changes: bool = False, mark: bool = False, interrupts: bool = False) -> None:
        """Wait until the next call may be made, unless this thread has waited for it already.

        :param mark: a change that applications do not notice.
        :param interrupts: one that they may notice.
        """
        if self.size < 2:
            return
        if changes in self._taken():
            self._taken().discard(changes)
            return
        while True:
            with self._lock:
                now = self._clock.monotonic()
                turn = self._last_mark + self._within / 4
                yields = interrupts and turn > now
                if not yields:
                    turn = self._reserve(now, changes, mark)
            if turn > now:
                self._clock.sleep(turn - now)
            if not yields:
                return

    def _taken(self) -> set[bool]:
        """Of which kinds this thread has a turn that it has not used."""
        if not hasattr(self._mine, "taken"):
            self._mine.taken = set()
        return self._mine.taken

    def _reserve(self, now: float, changes: bool, mark: bool) -> float:
        begun = self._begun[changes]
        turn = max(now, begun[0] + self._within) if len(begun) == begun.maxlen else now
        begun.append(turn)
        if mark:
            self._last_mark = max(turn, self._last_mark)
        return turn

    def take_turn_ahead(self, *, changes: bool = False, mark: bool = False, interrupts: bool = False) -> None:
        """Wait for the turn of the next call of this kind of this thread: see ``take_turn``."""
        self.give_back(changes=changes)
        self.take_turn(changes=changes, mark=mark, interrupts=interrupts)
        if self.size > 1:
            self._taken().add(changes)

    def give_back(self, *, changes: bool = False) -> None:
        """The turn that was taken ahead is for no later call, if there was none."""
        self._taken().discard(changes)


def kind_of_change(operation: str) -> dict[str, bool]:
    """What ``Company.take_turn`` is told of a change.

    :param operation: of AWS, or ``Rename``, which is a ModifyDBInstance.
    """
    return dict(changes=True, mark=operation == "AddTagsToResource", interrupts=operation in ("ModifyDBInstance", "Rename"))


class _Asked:
    """What is asked for until the read begins, and its answer."""

    def __init__(self):
        self.keys: set = set()
        self.joined = 0
        self.answered = threading.Event()
        self.found = None
        self.error: BaseException | None = None


class Gathered:
    """A read of things by their keys, one call for all who ask while the first of them waits for company.

    :param read: ``(keys) -> whatever it finds of them``; the answer goes to everybody who asked, and is not to be changed by anybody.
    """

    def __init__(self, read: Callable, company: Company):
        self._read = read
        self._company = company
        self._lock = threading.Lock()
        self._open: _Asked | None = None

    def get(self, keys=()):
        """The answer of a read that began after this was called and covers these keys, and maybe others."""
        with self._lock:
            asked, first = self._open, self._open is None
            if asked is None:
                asked = self._open = _Asked()
            asked.keys.update(keys)
            asked.joined += 1
        if not first:
            asked.answered.wait()
        else:
            try:
                try:
                    self._company.gather(lambda: asked.joined)
                    # Whoever asks until the turn comes joins.
                    self._company.take_turn_ahead()
                finally:
                    with self._lock:
                        self._open = None
                asked.found = self._read(asked.keys)
            except BaseException as e:
                asked.error = e
            finally:
                self._company.give_back()
                asked.answered.set()
        if asked.error is not None:
            raise asked.error
        return asked.found


# Of this process.
COMPANY = Company(Clock())
_SHARED: dict[tuple, tuple[object, Gathered]] = {}
_SHARED_LOCK = threading.Lock()


def gathered(client, what: str, read: Callable) -> Gathered:
    """The gathered read of a kind through a client: the same for all in company who use the client."""
    if COMPANY.size < 2:
        return Gathered(read, COMPANY)
    with _SHARED_LOCK:
        key = (id(client), what)
        if key not in _SHARED:
            _SHARED[key] = (client, Gathered(read, COMPANY))  # the client is kept, so that nobody else gets its id
        return _SHARED[key][1]


class Remembering:
    """A client whose answers to the same question are the same for all in company: for what a host would merely like to know.

    :param client: a boto3 client that is only used for reading.
    """

    def __init__(self, client):
        self._client = client
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._answers: dict[str, object] = {}

    def __getattr__(self, name):
        attribute = getattr(self._client, name)
        if not name.startswith(("describe_", "list_", "get_")):
            return attribute
        if name == "get_paginator":
            return lambda operation: _Pages(self, attribute(operation), operation)
        return lambda **parameters: self.once(f"{name} {parameters}", lambda: attribute(**parameters))

    def once(self, question: str, ask: Callable):
        """The answer of the first who asked; who asks meanwhile waits for it. A failure is everybody's own."""
        with self._lock:
            lock = self._locks.setdefault(question, threading.Lock())
        with lock:
            if question not in self._answers:
                self._answers[question] = ask()
            return self._answers[question]


class _Pages:
    def __init__(self, owner: Remembering, paginator, operation: str):
        self._owner = owner
        self._paginator = paginator
        self._operation = operation

    def paginate(self, **parameters):
        return self._owner.once(f"{self._operation} pages {parameters}", lambda: list(self._paginator.paginate(**parameters)))


_REMEMBERING: dict[int, Remembering] = {}


def remembered(client):
    """The client itself, or, in company, one that asks each question once until ``forget``."""
    if COMPANY.size < 2:
        return client
    with _SHARED_LOCK:
        found = _REMEMBERING.get(id(client))
        if found is None:
            found = _REMEMBERING[id(client)] = Remembering(client)
        return found


def forget() -> None:
    """Nothing that was read is remembered any more."""
    with _SHARED_LOCK:
        _REMEMBERING.clear()
        _SHARED.clear()
