"""One server: its master user, its procedures, its life."""
from __future__ import annotations

import contextlib
import socket

import pymysql
import pytest
from lab_servers import PASSWORD
from lab_servers import Instance


def test_the_master_user_is_no_superuser(engines, primary):
    grants = " ".join(row[0] for row in primary.query("SHOW GRANTS"))
    assert "WITH GRANT OPTION" in grants
    for privilege in ("SUPER", "FILE", "SHUTDOWN", "CREATE TABLESPACE", "ALL PRIVILEGES", "CONNECTION", "BINLOG ADMIN", "BINLOG_ADMIN", "READ_ONLY",
                      "BACKUP_ADMIN", "SYSTEM", "DELETE HISTORY", "SLAVE MONITOR"):
        assert privilege not in grants
    assert primary.refusal("SET GLOBAL max_connections = 10") == 1227
    assert primary.refusal("SET GLOBAL read_only = 1") == 1227
    assert primary.refusal("SET SESSION sql_log_bin = 0") == 1227
    assert primary.refusal("SELECT 1 INTO OUTFILE '/tmp/rds-lab-outfile'") in (1227, 1045, 1290)
    assert primary.refusal("SHUTDOWN") == 1227
    assert primary.refusal("GRANT SUPER ON *.* TO 'admin'@'%'") == 1045
    assert primary.refusal("GRANT ALL ON *.* TO 'admin'@'%'") == 1045
    assert primary.refusal("CALL mysql.rds_note_action('x', 'x', NULL, NULL, NULL, NULL, NULL)") == 1227
    users = {tuple(row) for row in primary.query("SELECT user, host FROM mysql.user")}
    assert {("rdsadmin", "localhost"), ("rdsrepladmin", "%"), ("admin", "%")} <= users
    assert ("root", "localhost") not in users and not {user for user in users if user[0] == ""}


def test_settings_are_shown_and_kept(engines, primary):
    rows = primary.query("CALL mysql.rds_show_configuration")
    assert [row[:2] for row in rows] == [("binlog retention hours", None), ("source delay", "0"), ("target delay", "0")]
    assert all(row[2] for row in rows)
    connection = primary.connect()
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("CALL mysql.rds_show_configuration")
        assert [column[0] for column in cursor.description] == ["name", "value", "description"]
    primary.query("CALL mysql.rds_set_configuration('binlog retention hours', 24)")
    assert primary.refusal("CALL mysql.rds_set_configuration('binlog retention hours', 169)") == 1644
    assert primary.refusal("CALL mysql.rds_set_configuration('nonsense', 1)") == 1644
    if primary.engine == "mysql":
        assert primary.refusal("CALL mysql.rds_set_configuration('binlog retention hours', 0)") == 1644
    engines.restart(primary.resource_id, parameters={})
    assert primary.query("SELECT name, value FROM mysql.rds_configuration WHERE name LIKE 'binlog%'") == (("binlog retention hours", "24"),)
    primary.query("CALL mysql.rds_set_configuration('binlog retention hours', NULL)")
    assert primary.query("CALL mysql.rds_show_configuration")[0][1] is None


def test_sessions_are_killed_by_the_procedure_alone(engines, primary):
    primary.query("CREATE USER 'busy'@'%' IDENTIFIED BY 'lab-Busy-1'")
    victim = primary.connect("busy", "lab-Busy-1")
    with victim.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        number = cursor.fetchone()[0]
    assert primary.refusal(f"KILL {number}") in (1095, 1227)
    primary.query(f"CALL mysql.rds_kill({number})")
    with pytest.raises((pymysql.err.MySQLError, OSError)), victim.cursor() as cursor:
        cursor.execute("SELECT 1")
    with engines.administration(primary.resource_id) as cursor:
        cursor.execute("SELECT CONNECTION_ID() AS id")
        assert primary.refusal(f"CALL mysql.rds_kill({cursor.fetchone()['id']})") == 1644


def test_a_restart_cuts_connections_and_applies_parameters(engines, primary):
    connection = primary.connect()
    before = primary.pid
    static = "back_log"
    engines.apply_dynamic(primary.resource_id, {"max_connections": "41", static: "77", "unknown_to_any_server": "1", "innodb_buffer_pool_size":
                                                "{DBInstanceClassMemory*3/4}"})
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT @@max_connections, @@{static}")
        assert cursor.fetchone()[0] == 41 != cursor.fetchone()
    assert primary.query(f"SELECT @@{static}") != ((77,),), "static values wait for a restart"
    engines.restart(primary.resource_id, parameters={"max_connections": "42", static: "77", "unknown_to_any_server": "1"})
    with pytest.raises((pymysql.err.MySQLError, OSError)), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert primary.pid != before
    assert primary.query(f"SELECT @@max_connections, @@{static}") == ((42, 77),)
    engines.apply_dynamic(primary.resource_id, {})
    assert primary.query("SELECT @@max_connections") == ((151,),), "a value that is reset returns to the default"


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_connections_are_dropped_without_a_restart(engines, primary):
    connection, before = primary.connect(), primary.pid
    engines.drop_connections(primary.resource_id)
    with pytest.raises((pymysql.err.MySQLError, OSError)), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert primary.pid == before
    assert primary.query("SELECT 1") == ((1,),)


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_stopped_server_keeps_its_data(engines, primary):
    primary.query("CREATE TABLE app.t (n INT)", "INSERT INTO app.t VALUES (1)")
    address = primary.address
    engines.stop(primary.resource_id)
    assert primary.pid is None
    with pytest.raises(OSError):
        socket.create_connection((address, 3306), 2).close()
    engines.start(primary.resource_id, parameters={})
    assert primary.address == address
    assert primary.query("SELECT n FROM app.t") == ((1,),)


def test_servers_stay_small(engines, primary):
    memory = engines.describe()[primary.resource_id]["memory"]
    assert 20_000 < memory["rss"] < 150 * 1024


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_deleted_server_leaves_nothing(engines, primary, resource_id, tmp_path):
    instance = Instance(engines, resource_id(), primary.engine)
    engines.create(instance.resource_id, engine=primary.engine, engine_version="", master_username="O'Neil`s", master_password="it's \\ \"odd\"", port=3311,
                   parameters={})
    assert instance.query("SELECT CURRENT_USER(), @@port", user="O'Neil`s", password="it's \\ \"odd\"") == (("O'Neil`s@%", 3311),)
    address = instance.address
    assert address != primary.address and address.startswith("127.42.")
    engines.delete(instance.resource_id)
    assert instance.resource_id not in engines.describe()
    with pytest.raises(OSError):
        socket.create_connection((address, 3311), 2).close()
    engines.create(instance.resource_id, engine=primary.engine, engine_version="", master_username="admin", master_password=PASSWORD, port=3306, parameters={})
    assert instance.address != address, "an address is given out once"
    engines.delete(instance.resource_id)


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_value_that_the_server_refuses_leaves_no_half_made_server(engines, engine, resource_id):
    identity = resource_id()
    with pytest.raises(Exception, match="ended with status"):
        engines.create(identity, engine=engine, engine_version="", master_username="admin", master_password=PASSWORD, port=3306,
                       parameters={"character_set_server": "klingon"})
    assert identity not in engines.describe()
