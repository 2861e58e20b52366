# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual time: the same order of things as on AWS, in a fraction of the time."""

from __future__ import annotations

import datetime
import threading
import time


class ClockStopped(Exception):
    """The clock was stopped or reset while somebody waited on it."""


class Clock:
    """A clock that runs `timescale` virtual seconds per real second; with 0 it stands still and only jumps."""

    def __init__(self, timescale: float = 1.0):
        if timescale < 0:
            raise ValueError("timescale must not be negative")
        self._condition = threading.Condition()
        self._timescale = float(timescale)
        self._real = time.monotonic()
        self._virtual = time.time()
        self._generation = 0
        self._waiting: dict = {}    # thread id -> the moment it waits for

    @property
    def timescale(self) -> float:
        return self._timescale

    @timescale.setter
    def timescale(self, timescale: float) -> None:
        """Virtual time goes on from where it is, at the new speed; everybody who waits waits accordingly."""
        if timescale < 0:
            raise ValueError("timescale must not be negative")
        with self._condition:
            self._virtual, self._real = self._read(), time.monotonic()
            self._timescale = float(timescale)
            self._condition.notify_all()

    @property
    def generation(self) -> int:
        return self._generation

    def _read(self) -> float:
        return self._virtual + (time.monotonic() - self._real) * self._timescale

    def now(self) -> float:
        """Virtual seconds since the epoch."""
        with self._condition:
            return self._read()

    def time(self) -> datetime.datetime:
        """Virtual time as an aware datetime."""
        return datetime.datetime.fromtimestamp(self.now(), datetime.timezone.utc)

    def advance(self, seconds: float) -> None:
        """Virtual time jumps forward."""
        if seconds < 0:
            raise ValueError("time does not go back")
        with self._condition:
            self._virtual += seconds
            self._condition.notify_all()

    def advance_to(self, moment: float) -> None:
        """Virtual time jumps to a moment, if that is not past."""
        with self._condition:
            self._virtual += max(0.0, moment - self._read())
            self._condition.notify_all()

    def waiting(self) -> dict:
        """The moment that every waiting thread waits for, by thread id; those whose moment has come wait no more."""
        with self._condition:
            now = self._read()
            return {thread: moment for thread, moment in self._waiting.items() if moment > now}

    def wait_until(self, moment: float, generation: int | None = None) -> None:
        """Returns when virtual time has reached `moment`.

        :param generation: the generation of the caller; a stop() since then ends the wait.
        :raises ClockStopped: stop() was called.
        """
        with self._condition:
            mine = self._generation if generation is None else generation
            thread = threading.get_ident()
            self._waiting[thread] = moment
            try:
                while True:
                    if mine != self._generation:
                        raise ClockStopped
                    remaining = moment - self._read()
                    if remaining <= 1e-6:
                        return
                    self._condition.wait(min(remaining / self._timescale, 3600) if self._timescale else None)
            finally:
                del self._waiting[thread]

    def wait(self, seconds: float, generation: int | None = None) -> None:
        self.wait_until(self.now() + seconds, generation)

    def stop(self) -> None:
        """End every wait with ClockStopped; waits that begin later are not concerned."""
        with self._condition:
            self._generation += 1
            self._condition.notify_all()
