# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true from outside: what may differ between instances, and what database servers themselves say."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import time

import pymysql

# The writer of the tests goes on writing here.
LIVE = ("lab_writes", "arrivals")
SYSTEM = ("mysql", "sys", "information_schema", "performance_schema")

# What may differ between an instance and the encrypted one that took its name, and why. Written down here once more, so that the product's
# own table of attributes is no judge of itself.
BY_NATURE = {
    "DbiResourceId": "another instance",
    "EnhancedMonitoringResourceArn": "names the resource id",
    "InstanceCreateTime": "made anew",
    "LatestRestorableTime": "moves by itself",
    "StorageEncrypted": "what this is about",
    "StorageEncryptionType": "what this is about",
    "KmsKeyId": "what this is about",
}
OF_MULTI_AZ = {"AvailabilityZone": "RDS chooses the zones of a Multi-AZ instance", "SecondaryAvailabilityZone": "as above"}
# What the way to old- changes on an original: names, and what holds names.
BY_RENAME = {"DBInstanceIdentifier", "DBInstanceArn", "Endpoint", "TagList", "LatestRestorableTime", "ReadReplicaDBInstanceIdentifiers",
             "ReadReplicaSourceDBInstanceIdentifier"}
UNORDERED = ("TagList", "VpcSecurityGroups", "AssociatedRoles", "EnabledCloudwatchLogsExports", "ReadReplicaDBInstanceIdentifiers")


def sorted_lists(instance: dict) -> dict:
    """A description in which the order of lists that have none does not count."""
    return {member: sorted(value, key=str) if member in UNORDERED else value for member, value in instance.items()}


def differences(one: dict, other: dict) -> dict:
    """Member -> both values, where they differ."""
    one, other = sorted_lists(one), sorted_lists(other)
    return {member: (one.get(member), other.get(member)) for member in {*one, *other} if one.get(member) != other.get(member)}


class Database:
    """A database server, as its master user sees it."""

    def __init__(self, instance: dict, password: str):
        self.instance = instance
        self.password = password

    @property
    def name(self) -> str:
        return self.instance["DBInstanceIdentifier"]

    @contextlib.contextmanager
    def cursor(self):
        """A cursor of a connection of its own."""
        endpoint = self.instance["Endpoint"]
        connection = pymysql.connect(host=endpoint["Address"], port=endpoint["Port"], user=self.instance["MasterUsername"], password=self.password,
                                     autocommit=True, connect_timeout=10, read_timeout=60, charset="utf8mb4")
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def rows(self, statement: str, *values) -> list[tuple]:
        """The rows of a statement."""
        with self.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def tables(self) -> dict[str, tuple]:
        """Row count and CHECKSUM TABLE of every base table of the applications; the rows themselves where MariaDB's checksum is no measure."""
        found = {}
        with self.cursor() as cursor:
            cursor.execute(f"SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN {SYSTEM}")
            for schema, table in cursor.fetchall():
                if table in LIVE:
                    continue
                name = ".".join("`" + part.replace("`", "``") + "`" for part in (schema, table))
                cursor.execute(f"SELECT COUNT(*) FROM {name}")
                count = cursor.fetchone()[0]
                if cursor.execute("SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND GENERATION_EXPRESSION <> ''",
                                  (schema, table)):
                    # MDEV-32079: such a table's checksum changes when the server starts anew.
                    cursor.execute(f"SELECT * FROM {name} ORDER BY 1")
                    found[f"{schema}.{table}"] = (count, hash(cursor.fetchall()))
                    continue
                cursor.execute(f"CHECKSUM TABLE {name} EXTENDED")
                found[f"{schema}.{table}"] = (count, cursor.fetchone()[1])
        return found

    def accounts(self) -> dict[str, list[str]]:
        """What the server itself says of each account and role: SHOW CREATE USER and SHOW GRANTS."""
        is_mariadb = self.instance["Engine"] == "mariadb"
        found = {}
        with self.cursor() as cursor:
            if not is_mariadb:
                cursor.execute("SET SESSION print_identified_with_as_hex = ON")
            # From the tables, not from memory: MySQL shows the routine grants of a name that is not ASCII only after it read them anew.
            cursor.execute("FLUSH LOCAL PRIVILEGES")
            cursor.execute("SELECT user, host, is_role FROM mysql.user" if is_mariadb else "SELECT user, host, 'N' FROM mysql.user")
            for user, host, is_role in cursor.fetchall():
                said = []
                if is_role == "N":
                    cursor.execute("SHOW CREATE USER %s@%s", (user, host))
                    said += [row[0] for row in cursor.fetchall()]
                    cursor.execute("SHOW GRANTS FOR %s@%s", (user, host))
                else:
                    cursor.execute("SHOW GRANTS FOR %s", (user,))
                said += sorted(row[0] for row in cursor.fetchall())
                found[f"{user}@{host}" + (" (role)" if is_role != "N" else "")] = said
        return found

    def settings(self) -> dict[str, str]:
        """What mysql.rds_show_configuration says."""
        return {row[0]: row[1] for row in self.rows("CALL mysql.rds_show_configuration")}

    def printed_grants(self, program: pathlib.Path) -> list[str]:
        """The accounts as percona-toolkit's pt-show-grants prints them, without its header.

        :raises AssertionError: it printed nothing.
        """
        endpoint = self.instance["Endpoint"]
        defaults = program.parent / f"login-{os.getpid()}.cnf"
        descriptor = os.open(defaults, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"[client]\nhost={endpoint['Address']}\nport={endpoint['Port']}\nuser={self.instance['MasterUsername']}\npassword={self.password}\n")
        try:
            # It prints what came over the wire without saying in which encoding.
            done = subprocess.run([str(program), "-F", str(defaults), "--charset", "utf8mb4"], capture_output=True, encoding="latin-1", timeout=60, check=False)
        finally:
            defaults.unlink()
        lines = [line for line in done.stdout.splitlines() if line and not line.startswith("--")]
        assert lines, f"pt-show-grants printed nothing for {self.name}: {done.stderr}"
        return lines

    def await_row(self, table: str, value: int, limit: float = 30) -> None:
        """A row has arrived.

        :raises AssertionError: it has not, in time.
        """
        deadline = time.monotonic() + limit
        while True:
            with contextlib.suppress(pymysql.err.ProgrammingError):
                if self.rows(f"SELECT 1 FROM {table} WHERE id = %s", value):
                    return
            assert time.monotonic() < deadline, f"{self.name}: the row {value} did not arrive in {limit} s"
            time.sleep(0.1)


def replicates(primary: Database, replica: Database, number: int) -> None:
    """What is written to the primary arrives at the replica."""
    with primary.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS app.arrivals (id INT NOT NULL PRIMARY KEY)")
        cursor.execute("INSERT INTO app.arrivals VALUES (%s)", (number,))
    replica.await_row("app.arrivals", number)
