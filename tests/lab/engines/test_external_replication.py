# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""External replication as RDS has it: the whole way from a stopped replica to a follower that is on its own, through the API and SQL of the master user."""
from __future__ import annotations

import contextlib
import json
import urllib.request

import boto3
import pymysql
import pytest
from lab_servers import PASSWORD
from lab_servers import await_that
from rds_lab.clock import Clock
from rds_lab.control.plane import ControlPlane
from rds_lab.control.settings import Settings
from rds_lab.engines import Engines

REGION = "us-east-1"
FAMILIES = {"mysql": ("mysql8.4", "8.4.7"), "mariadb": ("mariadb10.11", "10.11.14")}
TLS = {"ssl": {"ca": None}, "ssl_verify_cert": False, "ssl_verify_identity": False}


class Lab:
    """The API and the servers in one process, with security groups that act."""

    def __init__(self, directory, engine: str) -> None:
        self.engine = engine
        self.verb = "master" if engine == "mariadb" else "source"
        self.engines = Engines(directory, certified=["*.c0test.us-east-1.rds.lab.internal"])
        self.plane = ControlPlane(Clock(3000), self.engines, Settings(consistency=0.0, account_hash="c0test", enforce_security_groups=True))
        self.engines.guard_endpoints(self.plane.admits)
        self.server = self.plane.serve("127.0.0.1", 0)
        access = {"region_name": REGION, "endpoint_url": self.server.url, "aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.rds, self.ec2, self.kms = (boto3.client(service, **access) for service in ("rds", "ec2", "kms"))

    def close(self) -> None:
        self.server.close()
        self.plane.neighbours.reset()
        self.engines.shutdown()

    def ask(self, path: str, data: dict) -> dict:
        with urllib.request.urlopen(urllib.request.Request(f"{self.server.url}/_lab/{path}", data=json.dumps(data).encode(), method="POST")) as answer:
            return json.loads(answer.read())

    def described(self, name: str) -> dict:
        return self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def available(self, name: str) -> dict:
        await_that(lambda: any(record.name == name and record.status == "available" and not record.busy for record in self.plane.store.instances()), 60)
        assert not self.plane.store.problems, self.plane.store.problems
        return self.described(name)

    def snapshot_available(self, name: str) -> None:
        await_that(lambda: self.rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]["Status"] == "available", 60)

    @contextlib.contextmanager
    def session(self, name: str, **options):
        settings = {"host": self.plane.instance(REGION, name).dns_name, "port": 3306, "user": "admin", "password": PASSWORD, "autocommit": True,
                    "connect_timeout": 5, "read_timeout": 60, "cursorclass": pymysql.cursors.DictCursor, **TLS}
        connection = pymysql.connect(**{**settings, **options})
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def query(self, name: str, *statements: str, **options) -> list[dict]:
        with self.session(name, **options) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def refusal(self, name: str, statement: str, **options) -> tuple[int, str]:
        with pytest.raises(pymysql.err.MySQLError) as refused:
            self.query(name, statement, **options)
        return refused.value.args

    def state(self, name: str) -> dict:
        """The replica status in the words of MySQL 8.4, empty without a source."""
        rows = self.query(name, "CALL mysql.rds_replica_status()" if self.engine == "mariadb" else "SHOW REPLICA STATUS")
        return {column.replace("Slave_", "Replica_").replace("Master_", "Source_"): value for column, value in (rows[0] if rows else {}).items()}

    def rows(self, name: str) -> list[int]:
        return [row["n"] for row in self.query(name, "SELECT n FROM app.t ORDER BY n")]


@pytest.fixture
def lab(databases, tmp_path, engine):
    lab = Lab(tmp_path / "lab", engine)
    yield lab
    lab.close()


def _begin(lab) -> str:
    """A source with a group of its own and data; answers its security group, which admits this machine and its own members."""
    family, version = FAMILIES[lab.engine]
    group = lab.ec2.create_security_group(GroupName="db", Description="db")["GroupId"]
    lab.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "IpRanges": [{"CidrIp": "127.0.0.1/32"}]},
        {"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "UserIdGroupPairs": [{"GroupId": group}]}])
    lab.rds.create_db_parameter_group(DBParameterGroupName="custom", DBParameterGroupFamily=family, Description="of the source")
    lab.rds.modify_db_parameter_group(DBParameterGroupName="custom", Parameters=[
        {"ParameterName": "event_scheduler", "ParameterValue": "ON", "ApplyMethod": "immediate"},
        {"ParameterName": "max_connections", "ParameterValue": "70", "ApplyMethod": "immediate"}])
    lab.plane.seed_instance({
        "DBInstanceIdentifier": "one", "Engine": lab.engine, "EngineVersion": version, "DBInstanceClass": "db.m6g.large", "AllocatedStorage": 20,
        "MasterUsername": "admin", "BackupRetentionPeriod": 7, "VpcSecurityGroups": [{"VpcSecurityGroupId": group}],
        "DBParameterGroups": [{"DBParameterGroupName": "custom"}]}, region=REGION, master_password=PASSWORD)
    lab.query("one", "CREATE DATABASE app", "CREATE TABLE app.t (n INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)",
              "CREATE EVENT app.tick ON SCHEDULE EVERY 1 HOUR STARTS '2020-01-01' ENABLE DO DELETE FROM app.t WHERE n < 0")
    return group


def _restored_from_a_stopped_replica(lab, group: str) -> dict:
    """``target``, a follower to be, and the state in which its model stood still."""
    lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="target-seed", SourceDBInstanceIdentifier="one", VpcSecurityGroupIds=[group])
    lab.available("target-seed")
    lab.query("one", "INSERT INTO app.t VALUES (2)")
    await_that(lambda: lab.rows("target-seed") == [1, 2])
    call = (f"CALL mysql.rds_set_external_{lab.verb}('one.c0test.us-east-1.rds.lab.internal', 3306, 'repl', 'lab-Repl-1', 'mysql-bin-changelog.000001', 4, 1)")
    assert lab.query("target-seed", "CALL mysql.rds_stop_replication") == [{"Message": "Slave is down or disabled"}]
    assert lab.refusal("target-seed", call)[0] == 1644 and lab.refusal("target-seed", f"CALL mysql.rds_reset_external_{lab.verb}")[0] == 1644
    await_that(lambda: [(entry["Normal"], entry["Status"]) for entry in lab.described("target-seed")["StatusInfos"]] == [(False, "stopped")])
    state = lab.state("target-seed")
    assert state["Replica_IO_Running"] == state["Replica_SQL_Running"] == "No"
    lab.query("one", "INSERT INTO app.t VALUES (3)")
    lab.rds.create_db_snapshot(DBSnapshotIdentifier="seed", DBInstanceIdentifier="target-seed")
    lab.snapshot_available("seed")
    key = lab.kms.create_key()["KeyMetadata"]["Arn"]
    lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="seed", TargetDBSnapshotIdentifier="seed-encrypted", KmsKeyId=key)
    lab.snapshot_available("seed-encrypted")
    lab.rds.copy_db_parameter_group(SourceDBParameterGroupIdentifier="custom", TargetDBParameterGroupIdentifier="private",
                                    TargetDBParameterGroupDescription="until the cutover")
    lab.rds.modify_db_parameter_group(DBParameterGroupName="private", Parameters=[
        {"ParameterName": "read_only", "ParameterValue": "1", "ApplyMethod": "immediate"},
        {"ParameterName": "event_scheduler", "ParameterValue": "OFF", "ApplyMethod": "immediate"}])
    lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="target", DBSnapshotIdentifier="seed-encrypted", DBParameterGroupName="private",
                                                 BackupRetentionPeriod=1, VpcSecurityGroupIds=[group])
    described = lab.available("target")
    assert described["StorageEncrypted"] and described["DBParameterGroups"][0] == {"DBParameterGroupName": "private", "ParameterApplyStatus": "in-sync"}
    return state


def _set_source(lab, state: dict, host: str, *, ssl: int = 1) -> str:
    return (f"CALL mysql.rds_set_external_{lab.verb}('{host}.c0test.us-east-1.rds.lab.internal', 3306, 'repl', 'lab-Repl-1', "
            f"'{state['Relay_Source_Log_File']}', {state['Exec_Source_Log_Pos']}, {ssl})")


def _set_source_by_gtid(lab, host: str) -> str:
    account = f"'{host}.c0test.us-east-1.rds.lab.internal', 3306, 'repl', 'lab-Repl-1'"
    if lab.engine == "mysql":
        return f"CALL mysql.rds_set_external_source_with_auto_position({account}, 1, 0)"
    return f"CALL mysql.rds_set_external_master_gtid({account}, '{lab.query('target', 'SELECT @@gtid_slave_pos AS p')[0]['p']}', 1)"


def test_the_whole_way_of_limited_downtime(lab):
    group = _begin(lab)
    lab.query("one", "CALL mysql.rds_set_configuration('binlog retention hours', 24)", "CREATE USER repl@'127.42.%' IDENTIFIED BY 'lab-Repl-1' REQUIRE SSL",
              "GRANT REPLICATION SLAVE ON *.* TO repl@'127.42.%'")
    state = _restored_from_a_stopped_replica(lab, group)

    # the copy: its data, its accounts, the replica's settings, and the values of its own group
    assert lab.rows("target") == [1, 2]
    assert lab.query("target", "SELECT @@read_only AS r, @@event_scheduler AS e, @@max_connections AS m") == [{"r": 1, "e": "OFF", "m": 70}]
    assert lab.refusal("target", "INSERT INTO app.t VALUES (99)")[0] == 1290 and lab.refusal("target", "SET GLOBAL read_only = 0")[0] == 1227
    place = "SELECT @@GLOBAL." + {"mysql": "gtid_executed", "mariadb": "gtid_slave_pos"}[lab.engine] + " AS place"
    assert lab.query("target", place) == lab.query("target-seed", place) != [{"place": ""}], "the copy has executed what its model had"
    kept = lab.state("target")
    assert (kept["Source_User"], kept["Replica_IO_Running"], kept["Replica_SQL_Running"]) == ("rdsrepladmin", "No", "No")

    # what RDS refuses, in words
    other = "source" if lab.verb == "master" else "master"
    assert lab.refusal("target", f"CALL mysql.rds_reset_external_{other}")[0] == 1305
    assert "autocommit" in lab.refusal("target", _set_source(lab, state, "one"), autocommit=False)[1]
    assert lab.query("target", f"CALL mysql.rds_reset_external_{lab.verb}") and lab.state("target") == {}
    assert lab.refusal("target", "CALL mysql.rds_start_replication")[0] == 1200
    assert lab.refusal("one", "CALL mysql.rds_set_configuration('binlog retention days', 1)")[0] == 1644

    # it follows, with TLS, and others follow it
    lab.query("target", _set_source(lab, state, "one", ssl=0))
    assert "error" in lab.query("target", "CALL mysql.rds_start_replication")[0]["Message"]
    await_that(lambda: lab.state("target")["Last_IO_Errno"] == (1045 if lab.engine == "mariadb" else 2061))
    lab.query("target", "CALL mysql.rds_stop_replication", _set_source(lab, state, "one"))
    # It says so when both threads run within two seconds; on a busy machine they may need longer, and then it says that there is an error.
    await_that(lambda: lab.query("target", "CALL mysql.rds_start_replication") == [{"Message": "Slave running normally."}])
    assert "running" in lab.refusal("target", _set_source(lab, state, "one"))[1]
    await_that(lambda: lab.rows("target") == [1, 2, 3])
    lab.query("one", "CREATE EVENT app.tock ON SCHEDULE EVERY 1 HOUR DO SELECT 1", "INSERT INTO app.t VALUES (4)")
    lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="target-r1", SourceDBInstanceIdentifier="target", VpcSecurityGroupIds=[group])
    lab.available("target-r1")
    lab.query("one", "INSERT INTO app.t VALUES (5)")
    await_that(lambda: lab.rows("target-r1") == [1, 2, 3, 4, 5])
    events = {row["name"]: row["state"] for row in lab.query("target", "SELECT event_name AS name, status AS state FROM information_schema.events")}
    assert events["tick"] == "ENABLED" and events["tock"] in ("SLAVESIDE_DISABLED", "REPLICA_SIDE_DISABLED")
    hosts = [row["name"].partition(":")[0] for row in lab.query("one", "SELECT host AS name FROM information_schema.processlist WHERE user = 'repl'")]
    assert len(hosts) == 1 and hosts[0].startswith("127.42."), "the source sees the follower's own address"

    # it breaks: by a write of its own, by the network
    lab.ask("sql", {"name": "target", "statements": "INSERT INTO app.t VALUES (6)"})
    lab.query("one", "INSERT INTO app.t VALUES (6)")
    await_that(lambda: lab.state("target")["Last_SQL_Errno"] == 1062)
    lab.ask("sql", {"name": "target", "statements": ["DELETE FROM app.t WHERE n = 6"]})
    assert lab.query("target", "CALL mysql.rds_start_replication")
    await_that(lambda: lab.rows("target")[-1] == 6)
    assert lab.ask("link", {"from": "target", "to": "one", "open": False}) == {"cut": 1}
    lab.query("one", "INSERT INTO app.t VALUES (7)")
    await_that(lambda: lab.state("target")["Replica_IO_Running"] != "Yes")
    assert lab.rows("target")[-1] == 6 and lab.rows("one")[-1] == 7
    lab.ask("link", {"from": "target", "to": "one", "open": True})
    lab.query("target", "CALL mysql.rds_stop_replication", "CALL mysql.rds_start_replication")
    await_that(lambda: lab.rows("target")[-1] == 7)

    # its source is renamed: the link breaks and is set anew
    lab.rds.modify_db_instance(DBInstanceIdentifier="one", NewDBInstanceIdentifier="old-one", ApplyImmediately=True)
    lab.available("old-one")
    lab.query("old-one", "INSERT INTO app.t VALUES (8)")
    await_that(lambda: lab.state("target")["Replica_IO_Running"] == "Connecting" and lab.state("target")["Last_IO_Errno"])
    lab.query("target", "CALL mysql.rds_stop_replication", _set_source_by_gtid(lab, "old-one"), "CALL mysql.rds_start_replication")
    await_that(lambda: lab.rows("target") == [*range(1, 9)])
    lab.query("target", "CALL mysql.rds_stop_replication", f"CALL mysql.rds_reset_external_{lab.verb}")
    assert lab.state("target") == {}

    # it gets the group of the source, and the name
    lab.rds.modify_db_instance(DBInstanceIdentifier="target", DBParameterGroupName="custom", ApplyImmediately=True)
    await_that(lambda: lab.available("target")["DBParameterGroups"] == [{"DBParameterGroupName": "custom", "ParameterApplyStatus": "pending-reboot"}])
    lab.rds.reboot_db_instance(DBInstanceIdentifier="target")
    await_that(lambda: lab.available("target")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync")
    lab.rds.modify_db_instance(DBInstanceIdentifier="target", NewDBInstanceIdentifier="one", ApplyImmediately=True)
    lab.available("one")
    assert lab.query("one", "SELECT @@read_only AS r, @@event_scheduler AS e") == [{"r": 0, "e": "ON"}]
    lab.query("one", "INSERT INTO app.t VALUES (9)")
    await_that(lambda: lab.rows("target-r1") == [*range(1, 10)])
