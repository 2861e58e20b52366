# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several operators in one region: each goes on only when it is told to, so that every order of their steps can be tried."""

from __future__ import annotations

import threading

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

from fakes.region import Crash, Region
from fakes.way import Way

_PATIENCE = 60.0


class Operator:
    """One call of a playbook, in a thread of its own, which stops around each of its changes and at each pause.

    :param does: a method of :class:`fakes.way.Way`: ``everything`` or ``rollback``.
    :param in_flight: stop right before a change has its effect, as if the request took that long, instead of before the reads that it rests on.
    """

    def __init__(self, region: Region, name: str, does: str = "everything", *, in_flight: bool = False, **options):
        self.region = region
        self._in_flight = in_flight
        self._fresh = True
        self.clock = _Clock(self)
        self.way = Way(self, name)
        self.over = False
        self.refused: str | None = None
        self.defect: BaseException | None = None
        self._doomed = False
        self._wakes = 0.0
        self._may_go, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(does, options), daemon=True)
        self._thread.start()

    # -- what the jobs see: the same region, a stop at each change and at each pause ---------------------------------------------------

    def __getattr__(self, name: str):
        return getattr(self.region, name)

    def client(self, service: str, config=None, region=None):
        client = self.region.client(service, config, region)
        client.region = self
        return client

    def read(self) -> None:
        if self._fresh and not self._in_flight:
            self._fresh = False
            self._stop()
        self.region.read()

    def call(self, operation: str, parameters: dict):
        if self._in_flight:
            self._stop()
        self._fresh = True
        answer = self.region.call(operation, parameters)
        self._stop()
        return answer

    # -- what the test does ------------------------------------------------------------------------------------------------------------

    def go(self, moments: int = 1) -> bool:
        """Go on to the next moments right before or after a change, with the pauses between them; whether it still runs."""
        while moments > 0 and not self.over:
            self.region.clock.now = max(self.region.clock.now, self._wakes)
            self._wakes = 0.0
            self._may_go.release()
            if not self._has_stopped.acquire(timeout=_PATIENCE):
                raise AssertionError("the operator does not stop any more")
            if self.defect is not None:
                raise self.defect
            moments -= not self._wakes
        return not self.over

    def end(self) -> None:
        """Go on to the end."""
        while self.go(1000):
            pass

    def die(self) -> None:
        """The controller is gone, at once."""
        if not self.over:
            self._doomed = True
            self._may_go.release()
            self._thread.join(_PATIENCE)

    # -- the thread --------------------------------------------------------------------------------------------------------------------

    def _stop(self, wakes: float = 0.0) -> None:
        self._wakes = wakes
        self._has_stopped.release()
        self._may_go.acquire()
        if self._doomed:
            raise Crash("killed")

    def _run(self, does: str, options: dict) -> None:
        try:
            self._may_go.acquire()
            if not self._doomed:
                getattr(self.way, does)(**options)
        except EncryptionError as e:
            self.refused = str(e)
        except Crash:
            pass
        except AssertionError as e:
            # What preflight refuses, the way of the tests says by an assertion.
            if str(e).startswith("blocked: "):
                self.refused = str(e)
            else:
                self.defect = e
        except BaseException as e:  # noqa: BLE001 - the test that goes on with this operator raises it
            self.defect = e
        self.over = True
        self._has_stopped.release()


class _Clock:
    """The clock of the region; a pause of one operator lets the others go on."""

    def __init__(self, operator: Operator):
        self._operator = operator

    def __getattr__(self, name: str):
        return getattr(self._operator.region.clock, name)

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"slept {seconds} s")
        self._operator._stop(self._operator.region.clock.now + max(seconds, 1e-6))
