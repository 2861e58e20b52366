# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the lab's own applications speak to a database: one row per kind of server."""
from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable
from typing import Any

import psycopg
import pymysql


@dataclasses.dataclass(frozen=True)
class SqlClient:
    """What differs between the kinds of servers.

    :param errors: what a refused or broken connection or statement raises.
    :param connect: ``(host, port, user, password, database, autocommit) -> DB-API connection``; None is the database that is always there.
    :param server: ``connection -> (number that is the server's own, its address)``.
    :param code: ``error -> what to count it under``.
    :param table: the statement that makes the writer's table ``{table}``. Nothing in it is unique: a write that arrives twice must show.
    """

    default_port: int
    errors: Any
    connect: Callable
    server: Callable
    code: Callable
    table: str


def _connect_mysql(host, port, user, password, database=None, autocommit=True):
    return pymysql.connect(host=host, port=port, user=user, password=password, database=database, autocommit=autocommit, connect_timeout=3,
                           read_timeout=20, write_timeout=20, charset="utf8mb4")


def _connect_postgres(host, port, user, password, database=None, autocommit=True):
    return psycopg.connect(host=host, port=port, user=user, password=password, dbname=database or "postgres", autocommit=autocommit, connect_timeout=3,
                           application_name="application", options="-c statement_timeout=20000")


def _mysql_server(connection) -> tuple[int, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@server_id")
        return cursor.fetchone()[0], connection._sock.getpeername()[0]


def _postgres_server(connection) -> tuple[int, str]:
    address = connection.info.hostaddr
    return int(ipaddress.ip_address(address)), address


MYSQL = SqlClient(
    3306, (pymysql.err.MySQLError, OSError), _connect_mysql, _mysql_server, lambda error: error.args[0] if error.args else type(error).__name__,
    "CREATE TABLE IF NOT EXISTS {table} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, run VARCHAR(32) NOT NULL, worker INT NOT NULL, "
    "number BIGINT NOT NULL, server INT UNSIGNED NOT NULL, written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), "
    "KEY place (run, worker, number))")
POSTGRES = SqlClient(
    5432, (psycopg.Error, OSError), _connect_postgres, _postgres_server, lambda error: getattr(error, "sqlstate", None) or type(error).__name__,
    "CREATE TABLE IF NOT EXISTS {table} (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run VARCHAR(32) NOT NULL, worker INT NOT NULL, "
    "number BIGINT NOT NULL, server BIGINT NOT NULL, written_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())")


def client_of(engine: str) -> SqlClient:
    """The row of an RDS engine that the lab has servers for."""
    return POSTGRES if engine == "postgres" else MYSQL
