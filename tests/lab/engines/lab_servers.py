"""What the tests of the lab's data plane share."""
from __future__ import annotations

import pathlib
import sys
import time

import pymysql
import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
LAB = CHECKOUT / "extensions" / "lab"
if str(LAB) not in sys.path:
    sys.path.insert(0, str(LAB))

from rds_lab.engines import Engines  # noqa: E402

PASSWORD = "lab-Master-1"


class Instance:
    """A server of the lab as a client sees it."""

    def __init__(self, engines: Engines, resource_id: str, engine: str) -> None:
        self.engines = engines
        self.resource_id = resource_id
        self.engine = engine

    @property
    def address(self) -> str:
        return self.engines.describe()[self.resource_id]["address"]

    @property
    def pid(self) -> int:
        return self.engines.describe()[self.resource_id]["pid"]

    def connect(self, user: str = "admin", password: str = PASSWORD, **options):
        return pymysql.connect(**{"host": self.address, "port": self.engines.describe()[self.resource_id]["port"], "user": user, "password": password,
                                  "autocommit": True, "connect_timeout": 5, **options})

    def query(self, *statements, user: str = "admin", password: str = PASSWORD) -> tuple:
        """The rows of the last statement."""
        connection = self.connect(user, password)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def refusal(self, statement: str) -> int:
        """The number of the error that the master user gets."""
        try:
            self.query(statement)
        except pymysql.err.MySQLError as error:
            return error.args[0]
        pytest.fail(f"allowed: {statement}")

    def wait_until_replicating(self, timeout: float = 30) -> None:
        await_that(lambda: self.engines.replication_status(self.resource_id) == {"status": "replicating", "message": ""} and self.receives(), timeout)

    def receives(self) -> bool:
        with self.engines.administration(self.resource_id) as cursor:
            cursor.execute("SHOW REPLICA STATUS")
            row = {name.replace("Slave_", "Replica_"): value for name, value in cursor.fetchone().items()}
        return row["Replica_IO_Running"] == row["Replica_SQL_Running"] == "Yes"


def await_that(condition, timeout: float = 30) -> None:
    """``condition()`` has become true.

    :raises AssertionError: it has not, in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.05)
