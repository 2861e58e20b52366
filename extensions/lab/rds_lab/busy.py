# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that is hard to replicate: transactions over several tables, a trigger, a foreign key, an event, values that no two servers make alike."""
from __future__ import annotations

import contextlib
import ssl
import threading
import time

import pymysql

WORKERS = 3
# Orders of one transaction; each has one line, so that it writes twice as many rows, beside those of the trigger.
ORDERS = 20
SCHEMA = (
    "CREATE TABLE app.totals (worker INT NOT NULL PRIMARY KEY, orders BIGINT NOT NULL)",
    "INSERT INTO app.totals VALUES (0, 0), (1, 0), (2, 0)",
    "CREATE TABLE app.orders (id BIGINT NOT NULL PRIMARY KEY, worker INT NOT NULL, token VARCHAR(64) NOT NULL, placed DATETIME(6) NOT NULL)",
    "CREATE TABLE app.order_lines (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, order_id BIGINT NOT NULL, amount DOUBLE NOT NULL, "
    "FOREIGN KEY (order_id) REFERENCES app.orders (id))",
    "CREATE TABLE app.notes (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, told VARCHAR(80) NOT NULL)",
    "CREATE TRIGGER app.counted AFTER INSERT ON app.orders FOR EACH ROW UPDATE app.totals SET orders = orders + 1 WHERE worker = NEW.worker",
    "CREATE EVENT app.nightly ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DO INSERT INTO app.notes (told) VALUES ('event')",
)


class Busy:
    """Writes orders from the moment it is made. An order has a number that is used once; ``acknowledged`` holds those whose commit was answered.

    :param rate: rows a second of all workers together, if they can; None: as many as they can.
    """

    def __init__(self, host: str, port: int, user: str, password: str, rate: float | None = None):
        # One for all connections: PyMySQL would read all certificates of the system for each, and keep a processor busy while the server is away.
        protection = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        protection.check_hostname, protection.verify_mode = False, ssl.CERT_NONE
        self._target = dict(host=host, port=port, user=user, password=password, database="app", connect_timeout=3, read_timeout=20, ssl=protection)
        self._pause = 2 * ORDERS * WORKERS / rate if rate else 0.0
        self._stopping = threading.Event()
        self.acknowledged: list[list[int]] = [[] for _worker in range(WORKERS)]
        self._at: list[list[float]] = [[] for _worker in range(WORKERS)]
        self._threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in range(WORKERS)]
        for thread in self._threads:
            thread.start()

    @property
    def rows(self) -> int:
        """Acknowledged rows of orders and their lines."""
        return 2 * sum(len(numbers) for numbers in self.acknowledged)

    def rows_between(self, began: float, ended: float) -> int:
        """Those that were acknowledged between two moments of ``time.monotonic``."""
        return 2 * ORDERS * sum(began <= at < ended for times in self._at for at in times)

    def outage(self, since: float = 0.0) -> tuple[float, float]:
        """When the longest time between two acknowledged transactions since a moment began and ended."""
        times = sorted(at for times in self._at for at in list(times) if at >= since)
        return max(zip(times, times[1:], strict=False), key=lambda pair: pair[1] - pair[0], default=(0.0, 0.0))

    def stop(self) -> None:
        """No worker writes any more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def await_rows(self, more: int, limit: float = 60) -> None:
        """So many more rows were acknowledged.

        :raises TimeoutError: they were not within ``limit`` seconds.
        """
        wanted, deadline = self.rows + more, time.monotonic() + limit
        while self.rows < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._target['host']} took fewer than {more} rows in {limit} s")
            time.sleep(0.05)

    def _work(self, worker: int) -> None:
        connection, number = None, worker * 10**9
        while not self._stopping.is_set():
            began = time.monotonic()
            numbers = range(number, number + ORDERS)
            number += ORDERS
            try:
                connection = connection or pymysql.connect(**self._target)
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO orders SELECT n, %s, UUID(), NOW(6) FROM (" + " UNION ALL ".join(f"SELECT {n} AS n" for n in numbers) + ") x",
                                   (worker,))
                    cursor.execute("INSERT INTO order_lines (order_id, amount) SELECT id, RAND() FROM orders WHERE id BETWEEN %s AND %s",
                                   (numbers[0], numbers[-1]))
                connection.commit()
                self.acknowledged[worker] += numbers
                self._at[worker].append(time.monotonic())
                self._stopping.wait(max(0.0, began + self._pause - time.monotonic()))
            except (OSError, pymysql.err.MySQLError):
                with contextlib.suppress(Exception):
                    connection.close()
                connection = None
                self._stopping.wait(0.1)
