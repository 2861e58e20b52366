"""Replicas that replicate."""
from __future__ import annotations

import contextlib
import socket

import pymysql
import pytest
from lab_servers import PASSWORD
from lab_servers import Instance
from lab_servers import await_that

from rds_lab.servers.base import ServerError
from rds_lab.writer import Writer


def _checksums(instance) -> tuple:
    return instance.query("CHECKSUM TABLE app.lab_writes")


def test_a_replica_made_under_load_follows_through_restarts_and_new_names(engines, primary, another):
    names = [f"{word}-{primary.resource_id.lower()}.c0.us-east-1.rds.lab.internal" for word in ("one", "old-one")]
    engines.publish(primary.resource_id, names[0])
    writer = Writer(names[0], user="admin", password=PASSWORD, workers=4, interval=0.002).start()
    try:
        writer.wait_for(100)
        replica = another("replica", primary.resource_id)
        replica.wait_until_replicating()
        writer.wait_for(100)
        engines.restart(primary.resource_id, parameters={})
        writer.wait_for(100)
        # a rename: the old name goes, the server restarts, the new name comes
        engines.unpublish(names[0])
        engines.restart(primary.resource_id, parameters={})
        engines.publish(primary.resource_id, names[1])
        engines.publish(primary.resource_id, names[0])
        writer.wait_for(100)
    finally:
        writer.stop()
        for name in names:
            engines.unpublish(name)
    assert writer.verify(primary.address)["ok"]
    replica.wait_until_replicating()
    await_that(lambda: _checksums(replica) == _checksums(primary))
    report = writer.verify(replica.address)
    assert report["ok"] and report["rows"] >= 400
    assert 0.1 < report["outage_seconds"] < 30 and len(report["errors"]) >= 1


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_replica_refuses_writes_unless_its_group_allows_them(engines, primary, another):
    primary.query("CREATE TABLE app.t (n INT)")
    replica = another("replica", primary.resource_id)
    assert replica.refusal("INSERT INTO app.t VALUES (1)") == 1290
    assert replica.refusal("CREATE USER nobody") == 1290
    replica.query("CALL mysql.rds_set_configuration('binlog retention hours', 99)")
    assert dict(row[:2] for row in primary.query("CALL mysql.rds_show_configuration"))["binlog retention hours"] is None
    engines.apply_dynamic(replica.resource_id, {"read_only": "0"})
    replica.query("CREATE USER 'cdc'@'%' IDENTIFIED BY 'lab-Cdc-1'")
    assert primary.query("SELECT COUNT(*) FROM mysql.user WHERE user = 'cdc'") == ((0,),)
    engines.apply_dynamic(replica.resource_id, {})
    assert replica.refusal("CREATE USER nobody") == 1290
    engines.restart(replica.resource_id, parameters={"read_only": "0", "max_connections": "33"})
    assert replica.query("SELECT @@read_only, @@max_connections") == ((0, 33),)
    engines.restart(replica.resource_id, parameters={"read_only": "{TrueIfReplica}"})
    assert replica.query("SELECT @@read_only") == ((1,),)


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_replica_of_a_replica_follows_through_it(engines, primary, another):
    primary.query("CREATE TABLE app.t (n INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
    first = another("replica", primary.resource_id)
    primary.query("INSERT INTO app.t VALUES (2)")
    second = another("replica", first.resource_id)
    primary.query("INSERT INTO app.t VALUES (3)")
    await_that(lambda: second.query("SELECT n FROM app.t ORDER BY n") == ((1,), (2,), (3,)))
    with engines.administration(second.resource_id) as cursor:
        cursor.execute("SHOW REPLICA STATUS")
        row = cursor.fetchone()
    assert first.address in row.values() and primary.address not in row.values()


def test_replication_is_stopped_and_started_by_the_procedures_alone(engines, primary, another):
    replica = another("replica", primary.resource_id)
    replica.wait_until_replicating()
    assert replica.refusal("STOP REPLICA") in (1227,)
    assert replica.query("CALL mysql.rds_stop_replication") == (("Slave is down or disabled",),)
    assert engines.replication_status(replica.resource_id)["status"] == "stopped"
    primary.query("CREATE TABLE app.t (n INT)")
    engines.restart(replica.resource_id, parameters={})
    assert engines.replication_status(replica.resource_id)["status"] == "stopped", "a reboot does not undo it"
    assert replica.query("SHOW TABLES FROM app") == ()
    # On a busy machine its threads may need longer than the procedure looks.
    await_that(lambda: replica.query("CALL mysql.rds_start_replication") == (("Slave running normally.",),))
    await_that(lambda: replica.query("SHOW TABLES FROM app") == (("t",),))
    engines.restart(replica.resource_id, parameters={})
    replica.wait_until_replicating()


def test_a_broken_replica_says_why(engines, primary, another):
    primary.query("CREATE TABLE app.t (n INT PRIMARY KEY)")
    replica = another("replica", primary.resource_id, read_only="0")
    replica.query("INSERT INTO app.t VALUES (1)")
    primary.query("INSERT INTO app.t VALUES (1)")
    await_that(lambda: engines.replication_status(replica.resource_id)["status"] == "error")
    # MySQL's applier may point to its worker instead of giving the text
    message = engines.replication_status(replica.resource_id)["message"]
    assert "Duplicate entry" in message or replica.engine == "mysql" and "worker" in message
    assert "error" in replica.query("CALL mysql.rds_start_replication")[0][0]


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_promoted_replica_is_on_its_own(engines, primary, another):
    primary.query("CREATE TABLE app.t (n INT)")
    replica = another("replica", primary.resource_id)
    connection = replica.connect()
    engines.promote(replica.resource_id)
    with pytest.raises((pymysql.err.MySQLError, OSError)), contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert engines.replication_status(replica.resource_id)["status"] == "stopped"
    replica.query("INSERT INTO app.t VALUES (1)")
    assert primary.query("SELECT COUNT(*) FROM app.t") == ((0,),)


def test_a_snapshot_of_a_replica_restores_to_a_server_without_source(engines, primary, another, resource_id):
    primary.query("CREATE TABLE app.t (n INT)", "INSERT INTO app.t VALUES (1)")
    replica = another("replica", primary.resource_id)
    replica.wait_until_replicating()
    key = resource_id()
    engines.snapshot(replica.resource_id, key)
    restored = another("restore", key)
    primary.query("INSERT INTO app.t VALUES (2)")
    await_that(lambda: replica.query("SELECT COUNT(*) FROM app.t") == ((2,),))
    assert restored.query("SELECT n, @@read_only FROM app.t") == ((1, 0),)
    with engines.administration(restored.resource_id) as cursor:
        cursor.execute("SHOW REPLICA STATUS")
        assert cursor.fetchone() is None
    # and it can be a source itself
    grandchild = another("replica", restored.resource_id)
    restored.query("INSERT INTO app.t VALUES (3)")
    await_that(lambda: grandchild.query("SELECT n FROM app.t ORDER BY n") == ((1,), (3,)))


def test_a_copy_of_a_replica_replicates_by_itself_where_the_lab_says_so(engines, primary, another, resource_id):
    primary.query("CREATE TABLE app.t (n INT)", "INSERT INTO app.t VALUES (1)")
    replica = another("replica", primary.resource_id)
    replica.wait_until_replicating()
    replica.query("CALL mysql.rds_stop_replication")
    key, copy = resource_id(), Instance(engines, resource_id(), replica.engine)
    engines.snapshot(replica.resource_id, key)
    primary.query("INSERT INTO app.t VALUES (2)")
    engines.restore(key, copy.resource_id, port=3306, parameters={}, replication="running")
    try:
        await_that(lambda: copy.query("SELECT n FROM app.t") == ((1,), (2,)))
        copy.query("CALL mysql.rds_stop_replication", f"CALL mysql.rds_reset_external_{'master' if copy.engine == 'mariadb' else 'source'}")
        primary.query("INSERT INTO app.t VALUES (3)")
        assert copy.query("SELECT @@read_only, COUNT(*) FROM app.t") == ((0, 2),)
    finally:
        engines.delete(copy.resource_id)
    assert replica.query("SELECT n FROM app.t") == ((1,),)


def test_binary_logs_live_as_long_as_the_retention_says_or_a_replica_of_rds_needs_them(engines, primary, another):
    hour = 3600

    def logs(now: float) -> list[str]:
        engines.care_for_binary_logs(now)
        with engines.administration(primary.resource_id) as cursor:
            cursor.execute("SHOW BINARY LOGS")
            return [int(row["Log_name"].rpartition(".")[2]) for row in cursor.fetchall()]

    primary.query("CREATE TABLE app.t (n INT)", "CREATE USER 'repl'@'%' IDENTIFIED BY 'lab-Repl-1'", "GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'")
    # no retention: gone as soon as they are closed (MariaDB keeps a file until InnoDB has passed it: what is in the way goes the next time)
    await_that(lambda: len(logs(0)) == 1)
    await_that(lambda: len(logs(hour)) == 1)
    # a retention in hours, by virtual time
    primary.query("CALL mysql.rds_set_configuration('binlog retention hours', 2)", "INSERT INTO app.t VALUES (1)")
    first, second = logs(2 * hour)
    assert logs(3.9 * hour)[:2] == [first, second]
    await_that(lambda: logs(4.1 * hour)[0] == second)
    # a replica of RDS's own
    primary.query("CALL mysql.rds_set_configuration('binlog retention hours', NULL)")
    replica = another("replica", primary.resource_id)
    replica.wait_until_replicating()
    replica.query("CALL mysql.rds_stop_replication")
    with engines.administration(primary.resource_id) as cursor:
        cursor.execute("SHOW BINARY LOGS")
        needed = int(cursor.fetchall()[-1]["Log_name"].rpartition(".")[2])
    primary.query("INSERT INTO app.t VALUES (2)")
    await_that(lambda: logs(100 * hour)[0] == needed)
    assert logs(100 * hour)[0] == needed
    # a follower that RDS knows nothing of is not asked, and finds that what it needs is gone
    replica.query("CALL mysql.rds_start_replication")
    await_that(lambda: len(logs(100 * hour)) == 1)
    engines.promote(replica.resource_id)
    verb = "master" if primary.engine == "mariadb" else "source"
    replica.query(f"CALL mysql.rds_set_external_{verb}('{primary.address}', 3306, 'repl', 'lab-Repl-1', 'mysql-bin-changelog.{needed:06}', 4, 1)")
    replica.query("CALL mysql.rds_start_replication")
    with engines.administration(replica.resource_id) as cursor:
        await_that(lambda: cursor.execute("SHOW REPLICA STATUS") and cursor.fetchone()["Last_IO_Errno"] in (1236, 13114))


@pytest.mark.parametrize("engine", ["mariadb"])  # nothing in it is the engine's own
def test_a_source_without_a_binary_log_has_no_replicas(engines, primary, resource_id):
    engines.restart(primary.resource_id, parameters={"log_bin": "0"})
    with pytest.raises(ServerError, match="no binary log"):
        engines.create_replica(primary.resource_id, resource_id(), port=3306, parameters={})


def test_replicas_follow_a_source_to_another_port(engines, primary, another):
    primary.query("CREATE TABLE app.t (n INT)")
    replica = another("replica", primary.resource_id)
    engines.restart(primary.resource_id, parameters={}, port=3310)
    with pytest.raises(OSError):
        socket.create_connection((primary.address, 3306), 2).close()
    primary.query("INSERT INTO app.t VALUES (5)")
    await_that(lambda: replica.query("SELECT n FROM app.t") == ((5,),))
