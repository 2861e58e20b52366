# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that writes, knows which writes were acknowledged, and proves at the end that none is lost."""
from __future__ import annotations

import collections
import contextlib
import datetime
import json
import pathlib
import secrets
import threading
import time

from .clients import client_of

TABLE = "lab_writes"


class Writer:
    """Writes numbered rows through a name, as an application with a small connection pool does.

    Every worker keeps one connection. When it breaks, the worker resolves the name anew and connects again until it can.
    A number is used once: a write whose acknowledgement got lost is not repeated, it may be there or not.

    :param name: host name, resolved at each connect.
    :param port: default: that of the engine.
    :param interval: seconds that a worker rests between two writes.
    :param engine: the RDS engine behind the name.
    """

    def __init__(self, name: str, *, port: int | None = None, user: str, password: str, database: str = "app", workers: int = 4, interval: float = 0.02,
                 engine: str = "mysql") -> None:
        self._client = client_of(engine)
        self.name = name
        self.port = port or self._client.default_port
        self.user = user
        self.database = database
        self.run = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self._password = password
        self._interval = interval
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._acknowledged: list[list[int]] = [[] for _worker in range(workers)]
        self._unknown: list[list[int]] = [[] for _worker in range(workers)]
        self._errors: collections.Counter = collections.Counter()
        self._servers: list[dict] = []
        self._first: float | None = None
        self._last: float | None = None
        self._gap = 0.0
        self._gap_began: float | None = None
        self._threads = [threading.Thread(target=self._work, args=(worker,), name=f"writer-{worker}", daemon=True) for worker in range(workers)]

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self, timeout: float = 30) -> "Writer":
        """The table exists and the first write has been acknowledged.

        :raises TimeoutError: nothing could be written within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                connection = self._connect(self.name)
                break
            except self._client.errors as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} cannot be written to: {error}") from error
                time.sleep(0.1)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(self._client.table.format(table=TABLE))
            connection.commit()
        for thread in self._threads:
            thread.start()
        while self.acknowledged == 0:
            if time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(f"No write to {self.name} was acknowledged: {dict(self._errors)}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """No worker writes any more."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def wait_for(self, more: int, timeout: float = 60) -> None:
        """So many further writes have been acknowledged.

        :raises TimeoutError: they were not within ``timeout`` seconds.
        """
        wanted = self.acknowledged + more
        deadline = time.monotonic() + timeout
        while self.acknowledged < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: {self.acknowledged} of {wanted} writes were acknowledged in {timeout} s: {dict(self._errors)}")
            time.sleep(0.02)

    @property
    def acknowledged(self) -> int:
        """How many writes have been acknowledged so far."""
        return sum(len(numbers) for numbers in self._acknowledged)

    @property
    def outage(self) -> float:
        """The longest time, in seconds, between two acknowledged writes, the time since the last one included while running."""
        with self._guard:
            running = time.monotonic() - self._last if self._last is not None and not self._stopping.is_set() else 0.0
            return max(self._gap, running)

    def snapshot_of_acknowledged(self) -> list[set[int]]:
        """The numbers acknowledged until now, by worker: what a backup that begins now must hold."""
        return [set(numbers) for numbers in self._acknowledged]

    # -- proof ---------------------------------------------------------------------------------------------------------

    def verify(self, name: str | None = None, *, port: int | None = None, expected: list[set[int]] | None = None) -> dict:
        """A report: ``ok`` when each acknowledged write is there exactly once.

        :param name: look there instead of at the name that was written to.
        :param expected: the writes that must be there, by worker; default: all that were acknowledged.
        """
        connection = self._connect(name or self.name, port=port)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"SELECT worker, number, COUNT(*) FROM {TABLE} WHERE run = %s GROUP BY worker, number", (self.run,))
            found = {(worker, number): count for worker, number, count in cursor.fetchall()}
        expected = self.snapshot_of_acknowledged() if expected is None else expected
        missing = sorted((worker, number) for worker, numbers in enumerate(expected) for number in numbers if (worker, number) not in found)
        doubled = sorted(place for place, count in found.items() if count > 1)
        unknown = {(worker, number) for worker, numbers in enumerate(self._unknown) for number in numbers}
        report = self.report()
        report.update(
            verified=name or self.name,
            rows=sum(found.values()),
            missing=len(missing), missing_places=missing[:20],
            doubled=len(doubled), doubled_places=doubled[:20],
            unacknowledged_found=len(unknown & set(found)),
            ok=not missing and not doubled and any(expected),
        )
        return report

    def report(self) -> dict:
        """What happened so far."""
        with self._guard:
            began = self._gap_began
            servers = list(self._servers)
        return {
            "name": self.name, "run": self.run, "table": f"{self.database}.{TABLE}", "running": not self._stopping.is_set(),
            "acknowledged": self.acknowledged, "unacknowledged": sum(len(numbers) for numbers in self._unknown),
            "outage_seconds": round(self.outage, 3), "outage_began": _as_text(began) if began else None,
            "errors": {str(code): count for code, count in sorted(self._errors.items(), key=str)}, "servers": servers,
        }

    # -- work ----------------------------------------------------------------------------------------------------------

    def _connect(self, name: str, port: int | None = None):
        return self._client.connect(name, port or self.port, self.user, self._password, self.database, autocommit=False)

    def _work(self, worker: int) -> None:
        connection, server, number = None, 0, 0
        try:
            while not self._stopping.is_set():
                try:
                    if connection is None:
                        connection, server = self._open()
                except self._client.errors as error:
                    self._note(error)
                    self._stopping.wait(0.1)
                    continue
                number += 1
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(f"INSERT INTO {TABLE} (run, worker, number, server) VALUES (%s, %s, %s, %s)", (self.run, worker, number, server))
                    connection.commit()
                except self._client.errors as error:
                    self._unknown[worker].append(number)
                    self._note(error)
                    with contextlib.suppress(Exception):
                        connection.close()
                    connection = None
                    continue
                self._acknowledge(worker, number)
                self._stopping.wait(self._interval)
        finally:
            if connection is not None:
                with contextlib.suppress(Exception):
                    connection.close()

    def _open(self):
        connection = self._connect(self.name)
        server, address = self._client.server(connection)
        connection.rollback()
        with self._guard:
            if not self._servers or self._servers[-1]["server_id"] != server:
                self._servers.append({"server_id": server, "address": address, "since": _as_text(time.time())})
        return connection, server

    def _acknowledge(self, worker: int, number: int) -> None:
        now = time.monotonic()
        with self._guard:
            self._acknowledged[worker].append(number)
            if self._first is None:
                self._first = now
            elif now - self._last > self._gap:
                self._gap = now - self._last
                self._gap_began = time.time() - self._gap
            self._last = now

    def _note(self, error: Exception) -> None:
        with self._guard:
            self._errors[self._client.code(error)] += 1


def _as_text(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).isoformat(timespec="milliseconds")


def write_report(path: str | pathlib.Path, report: dict) -> None:
    """The file holds the report, never half of one."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
