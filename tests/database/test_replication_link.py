# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""mysql_replication_link with real servers: a source that is written to, a replica of it, a physical copy of the replica, and its replica."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import threading
import time

import pytest
from real_servers import PASSWORD, RealServer, free_network, make_pristine
from rds_lab.servers.certificates import issue

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import mysql_link_compared
from ansible_collections.dbre.rds_encryption.plugins.modules import mysql_connections, mysql_replication_link

PROCEDURES = pathlib.Path(__file__).resolve().parents[2] / "extensions" / "lab" / "rds_lab" / "servers"
LINK = "a1"
TABLES = ("orders", "lines", "audit")


def options(family: str, number: int, *more: str) -> tuple[str, ...]:
    """What RDS starts its servers with, as far as replication needs it."""
    log = ("--log-bin=mysql-bin-changelog", f"--server-id={number}", "--relay-log=relaylog", "--binlog-format=ROW", "--sync-binlog=0")
    if family == "mysql":
        return (*log, "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-replica-updates=ON", "--relay-log-recovery=ON",
                "--performance-schema=OFF", *more)
    return (*log, "--log-slave-updates", "--relay-log-recovery=ON", *more)


class Fleet:
    """S, R, T and the replica of T, of one family; R and T are physical copies, as RDS makes them."""

    def __init__(self, family: str, folder: pathlib.Path):
        self.family = family
        self.folder = folder
        self.network = free_network()
        self.certificate = issue(folder / "tls", [f"{self.network}.1"])
        self.running: dict[str, RealServer] = {}

    def start(self, name: str, number: int, data: pathlib.Path, *more: str) -> RealServer:
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        server = RealServer(self.family, f"{self.network}.{number}", place, data, self.certificate, options(self.family, number, *more))
        self.running[name] = server
        return server

    def stop(self, name: str) -> pathlib.Path:
        """That server is down; its data."""
        server = self.running.pop(name)
        server.stop()
        return server.data

    def close(self):
        for name in list(self.running):
            self.stop(name)

    def say(self, statement: str) -> str:
        """A statement of replication in the words of the family."""
        if self.family == "mysql":
            return statement
        for new, old in (("REPLICATION SOURCE", "MASTER"), ("SOURCE", "MASTER"), ("REPLICA", "SLAVE"), ("BINARY LOGS AND GTIDS", "MASTER")):
            statement = statement.replace(new, old)
        return statement

    def status(self, name: str) -> dict:
        rows = self.running[name].run("SHOW REPLICA STATUS")
        return {key.lower().replace("slave", "replica").replace("master", "source"): value for key, value in rows[0].items()} if rows else {}


@contextlib.contextmanager
def made_fleet(family: str, folder: pathlib.Path, pristine: pathlib.Path):
    """A source with RDS's procedures, a master user, and tables; whatever was started is stopped at the end."""
    fleet = Fleet(family, folder)
    try:
        source = fleet.start("S", 1, pristine)
        source.run("SET sql_log_bin = 0", "SET GLOBAL event_scheduler = OFF")
        for statement in (PROCEDURES / f"{family}.sql").read_text(encoding="utf-8").split("$$"):
            lines = [line for line in statement.splitlines() if not line.startswith("--")]
            source.run("\n".join(lines))
        rights = (
            "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, "
            "EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER"
        )
        source.run(f"CREATE USER master@'%' IDENTIFIED BY '{PASSWORD}'", f"GRANT {rights} ON *.* TO master@'%' WITH GRANT OPTION")
        if family == "mysql":
            source.run("GRANT SET_ANY_DEFINER, XA_RECOVER_ADMIN ON *.* TO master@'%'")
        source.run(f"CREATE USER app@'%' IDENTIFIED BY '{PASSWORD}'", f"CREATE USER rdsrepladmin@'%' IDENTIFIED BY '{PASSWORD}'")
        source.run("GRANT REPLICATION SLAVE ON *.* TO rdsrepladmin@'%'", "CREATE DATABASE shop", "GRANT ALL ON shop.* TO app@'%'")
        source.run(
            "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, writer INT, number INT, v VARCHAR(60), UNIQUE (writer, number))",
            "CREATE TABLE shop.lines (id INT AUTO_INCREMENT PRIMARY KEY, order_id INT, FOREIGN KEY (order_id) REFERENCES shop.orders (id))",
            "CREATE TABLE shop.audit (writer INT, number INT)",  # without a key: what is applied twice is there twice
            "CREATE TRIGGER shop.noted AFTER INSERT ON shop.orders FOR EACH ROW INSERT INTO shop.audit VALUES (NEW.writer, NEW.number)",
            "CREATE DEFINER=app@'%' EVENT shop.old ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.audit VALUES (0, 0)",
        )
        source.run("SET sql_log_bin = 1")
        yield fleet
    finally:
        fleet.close()
        shutil.rmtree(folder, ignore_errors=True)


def make_replica(fleet: Fleet) -> RealServer:
    """R: a copy of S that follows it as RDS's replicas do."""
    data = fleet.folder / "copy-of-S"
    shutil.copytree(fleet.stop("S"), data)
    source = fleet.start("S", 1, data, "--event-scheduler=OFF")
    end = end_of(source)
    (data / "auto.cnf").unlink(missing_ok=True)
    replica = fleet.start("R", 2, data, "--read-only=ON", "--event-scheduler=OFF")
    shutil.rmtree(data)
    follow(fleet, replica, source, end)
    return replica


class Writer:
    """Applications: a few threads that remember what was acknowledged to them."""

    def __init__(self, server: RealServer, threads: int = 2):
        self.server = server
        self.acknowledged: set[tuple[int, int]] = set()
        self.finished = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(1, threads + 1)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self.finished == len(self._threads), "a writer failed"

    def _write(self, writer: int):
        with self.server.connect("app", database="shop") as connection, connection.cursor() as cursor:
            number = 0
            while not self._stop.is_set():
                number += 1
                cursor.execute("BEGIN")
                cursor.execute(f"INSERT INTO orders (writer, number, v) VALUES ({writer}, {number}, UUID())")
                cursor.execute("INSERT INTO `lines` (order_id) VALUES (LAST_INSERT_ID())")
                cursor.execute(f"UPDATE orders SET v = UUID() WHERE writer = {writer} AND number = {max(1, number - 3)}")
                cursor.execute("COMMIT")
                self.acknowledged.add((writer, number))
                self._stop.wait(0.003)
            self.finished += 1


def rows(server: RealServer, table: str) -> list[tuple]:
    return sorted(tuple(row.values()) for row in server.run(f"SELECT * FROM shop.`{table}`"))


def assert_equal(one: RealServer, other: RealServer, acknowledged: set):
    for table in TABLES:
        assert rows(one, table) == rows(other, table), table
    there = [(row[0], row[1]) for row in rows(other, "audit")]
    assert len(there) == len(set(there)), "something was applied twice"
    assert acknowledged <= set(there), "something that was acknowledged is missing"


def arguments(fleet: Fleet, state: str, **more) -> dict:
    source = fleet.running["S"].login("master")
    return dict(state=state, source=source, link_id=LINK, poll_interval=0.2, stall_timeout=20, wait_timeout=60, **more)


def move(server: RealServer, address: str):
    """A rename: the server restarts and answers under another address."""
    server.stop()
    server._command = [word.replace(server.address, address) if word.startswith("--bind-address") else word for word in server._command]
    server.address = address
    server._start()


def copy_target(fleet: Fleet, *more: str) -> RealServer:
    """T: a physical copy of the standing replica, started as RDS starts a restored instance with its own parameter group."""
    data = fleet.stop("R")
    (data / "auto.cnf").unlink(missing_ok=True)
    return fleet.start("T", 3, data, "--read-only=ON", "--event-scheduler=OFF", *more)


class Killed(BaseException):
    """The process of the run is gone."""


def dying(send, left: int, after: bool):
    """``Server.execute`` of a process that dies at one of its changes."""

    def execute(server, statement, *more, **named):
        nonlocal left
        if statement.startswith(("SHOW", "CALL mysql.rds_show", "CALL mysql.rds_replica_status")):
            return send(server, statement, *more, **named)
        left -= 1
        if left == -1 and not after:
            raise Killed
        answer = send(server, statement, *more, **named)
        if left == -1:
            raise Killed
        return answer

    return execute


def survive(monkeypatch, call, given: dict, heard=None) -> dict:
    """The result of a state that is reached although the run dies once before and once after each statement that changes something."""
    send = Server.execute
    deaths = 0
    while True:
        monkeypatch.setattr(Server, "execute", dying(send, deaths // 2, after=bool(deaths % 2)))
        try:
            result = call(mysql_replication_link, given, heard=heard)
            assert deaths, "nothing was changed at all"
            return result
        except Killed:
            deaths += 1
        finally:
            monkeypatch.setattr(Server, "execute", send)


@pytest.fixture(scope="module", name="family", params=["mariadb", "mysql"])
def each_family(request):
    return request.param


@pytest.fixture(scope="module")
def pristine(family, tmp_path_factory):
    """Initialised data of a family, made once."""
    return make_pristine(family, tmp_path_factory.mktemp(f"pristine-{family}", numbered=False))


def test_the_whole_way_loses_and_doubles_nothing_wherever_it_dies(family, pristine, tmp_path_factory, call, heard, monkeypatch):
    with made_fleet(family, tmp_path_factory.mktemp(f"link-{family}", numbered=False), pristine) as fleet:
        make_replica(fleet)
        source = fleet.running["S"]
        with Writer(source) as writer:
            examined = call(mysql_replication_link, arguments(fleet, "examined"))
            assert examined["blockers"] == [] and examined["facts"]["binlog_retention_hours"] == "NULL"
            assert examined["facts"]["enabled_events"] == ["shop.old"] and examined["facts"]["tables_without_primary_key"] == ["shop.audit"]
            seed = dict(seed=fleet.running["R"].login("master"), binlog_retention_hours=48)
            predicted = call(mysql_replication_link, arguments(fleet, "seeded", **seed), check=True)
            assert predicted["changed"] and predicted["binlog_retention_before"] == "NULL" and fleet.status("R")["replica_sql_running"] == "Yes"
            seeded = survive(monkeypatch, call, arguments(fleet, "seeded", **seed))
            assert seeded["binlog_retention_hours"] == "48" and seeded["stopped_at"]
            assert call(mysql_replication_link, arguments(fleet, "seeded", **seed))["coordinates"] == seeded["coordinates"]
            again = call(mysql_replication_link, arguments(fleet, "seeded", coordinates=seeded["coordinates"], **seed))
            assert not again["changed"] and again["stopped_at"] is None
            fleet.running["R"].run(fleet.say("START REPLICA"))
            with pytest.raises(EncryptionError, match="to stand still at .* and it runs.*void"):
                call(mysql_replication_link, arguments(fleet, "seeded", coordinates=seeded["coordinates"], **seed))
            seeded = call(mysql_replication_link, arguments(fleet, "seeded", **seed))
            # The copy brings the link of the replica along, and follows it by itself before anybody looks.
            target = copy_target(fleet)
            source.run("CREATE DEFINER=app@'%' EVENT shop.new ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.audit VALUES (0, 0)")
            assert fleet.status("T")["source_user"] == "rdsrepladmin"
            link = dict(target=target.login("master"), coordinates=seeded["coordinates"])
            linked = survive(monkeypatch, call, arguments(fleet, "linked", **link), heard)
            assert linked["caught_up"] and linked["lag_seconds"] <= 10 and linked["user"] == "rdsenc_a1"
            status = fleet.status("T")
            assert status["source_user"] == "rdsenc_a1" and status["source_ssl_allowed"] == "Yes"
            assert not call(mysql_replication_link, arguments(fleet, "linked", **link))["changed"]
            follower = make_replica_of_target(fleet)
            compared = call(mysql_replication_link, arguments(fleet, "compared", target=link["target"], time_budget=60))
            verdicts = {row["table"]: row["verdict"] for row in compared["tables"]}
            assert set(verdicts) == {"orders", "lines", "audit"} and "differs" not in verdicts.values()
        # Behind the fence the source has another address; the writers are gone.
        move(source, f"{fleet.network}.9")
        assert call(mysql_replication_link, arguments(fleet, "linked", **link), check=True)["action"] == "set"
        assert fleet.status("T")["source_host"] != source.address
        drain = dict(target=link["target"], replicas=[follower.login("master")], drain_timeout=30)
        predicted = call(mysql_replication_link, arguments(fleet, "drained", **drain), check=True)
        assert (predicted["changed"], predicted["drained"]) == (True, None) and fleet.status("T")["source_host"] != source.address
        drained = survive(monkeypatch, call, arguments(fleet, "drained", **drain))
        assert fleet.status("T")["source_host"] == source.address
        assert not call(mysql_replication_link, arguments(fleet, "drained", **drain))["changed"]
        assert drained["drained"] and drained["gtid_missing"] == "" and drained["mode"] == linked["mode"]
        assert_equal(source, target, writer.acknowledged)
        assert_equal(source, follower, writer.acknowledged)
        looked = call(mysql_connections, dict(connection=source.login("master"), wait=False))
        assert looked["log_readers"] == [] and "rdsenc" not in str(looked["connections"])
        removal = dict(target=link["target"], restore_binlog_retention="NULL")
        predicted = call(mysql_replication_link, arguments(fleet, "absent", **removal), check=True)
        assert predicted["changed"] and fleet.status("T")
        removed = survive(monkeypatch, call, arguments(fleet, "absent", **removal))
        assert not fleet.status("T")
        assert [(row["event"], row["enabled"]) for row in removed["events_to_enable"]] == [("shop.new", False)]
        target.run("SET GLOBAL read_only = OFF")
        removed = call(mysql_replication_link, arguments(fleet, "absent", **removal))
        # MariaDB has no right to name another definer that RDS gives away: the statement is for the operator.
        assert [row["enabled"] for row in removed["events_to_enable"]] == [family == "mysql"]
        assert {row["DEFINER"] for row in target.run("SELECT DEFINER FROM information_schema.events")} == {"app@%"}
        assert not call(mysql_replication_link, arguments(fleet, "absent", **removal))["changed"]
        for server in (source, target):
            assert not server.run("SELECT User FROM mysql.user WHERE User LIKE 'rdsenc%'")
            assert "rdsenc_a1" not in [row["Database"] for row in server.run("SHOW DATABASES")]
            assert server.run("SELECT value FROM mysql.rds_configuration WHERE name LIKE 'binlog%'")[0]["value"] is None
        target.run("SET GLOBAL read_only = ON")
        with pytest.raises(EncryptionError, match="its link was taken off before"):
            call(mysql_replication_link, arguments(fleet, "linked", drained_once=True, **link))
        assert PASSWORD not in str(heard.lines) and "IDENTIFIED" not in str(heard.lines)


def test_what_replication_does_not_get_over_is_told_at_once(family, pristine, tmp_path_factory, call, monkeypatch):
    """By coordinates, from a copy that follows nobody."""
    with made_fleet(family, tmp_path_factory.mktemp(f"faults-{family}", numbered=False), pristine) as fleet:
        source = fleet.running["S"]
        source.run("DROP EVENT shop.old")
        end = end_of(source)
        data = fleet.folder / "copy-of-S"
        shutil.copytree(fleet.stop("S"), data)
        (data / "auto.cnf").unlink(missing_ok=True)
        target = fleet.start("T", 3, data, "--event-scheduler=ON")
        source = fleet.start("S", 1, data, "--event-scheduler=OFF")
        shutil.rmtree(data)
        link = dict(target=target.login("master"), coordinates=dict(file=end["File"], position=end["Position"], gtid=None))

        def linked(**more):
            return call(mysql_replication_link, arguments(fleet, "linked", **{**link, **more}))

        def drained(**more):
            return call(mysql_replication_link, arguments(fleet, "drained", target=link["target"], **more))

        with pytest.raises(EncryptionError, match="accepts writes"):
            linked()
        target.run("SET GLOBAL read_only = ON")
        with pytest.raises(EncryptionError, match="event scheduler is ON"):
            linked()
        target.run("SET GLOBAL event_scheduler = OFF")
        with pytest.raises(EncryptionError, match="1236"):
            linked(coordinates=dict(file="mysql-bin-changelog.000000", position=4, gtid=None))
        assert not fleet.status("T") and linked()["mode"] == "coordinates"
        # The login of the link is changed behind our back: it is renewed, and nothing is applied twice.
        source.run("INSERT INTO shop.audit VALUES (1, 1)", "ALTER USER rdsenc_a1@'%' IDENTIFIED BY 'operator-Passw0rd2'")
        target.run(fleet.say("STOP REPLICA"), fleet.say("START REPLICA"))
        awaited(lambda: fleet.status("T")["last_io_errno"] == 1045)
        assert linked()["action"] == "set"
        if family == "mysql":
            source.run("ALTER USER rdsenc_a1@'%' REQUIRE NONE", "FLUSH PRIVILEGES")  # the server forgets whom it let in before
            target.run("STOP REPLICA", "CHANGE REPLICATION SOURCE TO SOURCE_SSL = 0, GET_SOURCE_PUBLIC_KEY = 0", "START REPLICA")
            awaited(lambda: fleet.status("T")["last_io_errno"] == 2061)
            assert linked()["action"] == "set" and fleet.status("T")["source_ssl_allowed"] == "Yes"
        # A drain that does not end says so, stops nothing, and ends when what was in the way is gone.
        target.run("LOCK TABLES shop.audit READ")
        source.run("INSERT INTO shop.audit VALUES (2, 2)")
        with pytest.raises(EncryptionError, match="The drain did not end in 2 s.*Nothing is lost") as failure:
            drained(drain_timeout=2)
        assert failure.value.facts == dict(drained=False, drain_timed_out=True)
        assert "rdsenc_a1" not in [row["Database"] for row in source.run("SHOW DATABASES")]
        target.run("UNLOCK TABLES")
        assert drained(drain_timeout=30)["drained"] and rows(target, "audit") == rows(source, "audit") == [(1, 1), (2, 2)]
        # Nor is a target waited for that has to follow another address, and cannot even stop.
        target.run("LOCK TABLES shop.audit READ")
        source.run("DELETE FROM shop.audit WHERE writer = 2")
        blocked = "SELECT state AS state FROM information_schema.processlist WHERE user = 'system user'"
        awaited(lambda: any("lock" in (row["state"] or "") for row in target.run(blocked)))
        move(source, f"{fleet.network}.8")
        began = time.monotonic()
        with pytest.raises(EncryptionError, match="The drain did not end in 3 s.*Nothing is lost") as failure:
            drained(drain_timeout=3)
        assert failure.value.facts == dict(drained=False, drain_timed_out=True) and time.monotonic() - began < 20
        target.run("UNLOCK TABLES")
        source.run("INSERT INTO shop.audit VALUES (2, 2)")
        assert drained(drain_timeout=30)["changed"] and rows(target, "audit") == rows(source, "audit") == [(1, 1), (2, 2)]
        # In pieces: some with one row, one with more rows of the same first key than a piece holds.
        source.run("CREATE TABLE shop.parts (a BIGINT, b INT, PRIMARY KEY (a, b))",
                   "INSERT INTO shop.parts VALUES (-9, 1), (-8, 1), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (7, 1), (8, 1), (9000000000, 1)")
        monkeypatch.setattr(mysql_link_compared, "ROWS_OF_A_CHUNK", 2)
        compared = call(mysql_replication_link, arguments(fleet, "compared", target=link["target"]))
        (parts,) = (row for row in compared["tables"] if row["table"] == "parts")
        assert (parts["verdict"], parts["compared_rows"]) == ("equal", 10) and parts["chunks"] == parts["equal_chunks"] >= 4
        target.run("SET sql_log_bin = 0", "UPDATE shop.parts SET b = 6 WHERE a = 2 AND b = 5", "SET sql_log_bin = 1")
        with pytest.raises(EncryptionError, match="shop.parts .first where a >= 2 and a < ") as failure:
            call(mysql_replication_link, arguments(fleet, "compared", target=link["target"]))
        (parts,) = (row for row in failure.value.facts["tables"] if row["table"] == "parts")
        assert (parts["different_chunks"], parts["equal_chunks"]) == (1, parts["chunks"] - 1)
        source.run("DROP TABLE shop.parts")
        # Somebody changes what is on the target, in a way that replication never notices.
        assert {row["verdict"] for row in call(mysql_replication_link, arguments(fleet, "compared", target=link["target"]))["tables"]} == {"equal"}
        target.run("SET sql_log_bin = 0", "UPDATE shop.audit SET number = 3 WHERE writer = 2")
        with pytest.raises(EncryptionError, match="does not hold the data of .*, which it follows. 1 table.s. differ: shop.audit") as failure:
            call(mysql_replication_link, arguments(fleet, "compared", target=link["target"]))
        assert [row["table"] for row in failure.value.facts["tables"] if row["verdict"] == "differs"] == ["audit"]
        target.run("UPDATE shop.audit SET number = 2 WHERE writer = 2", "SET sql_log_bin = 1")
        # Somebody writes to the target.
        target.run("INSERT INTO shop.orders (id, writer) VALUES (7, 7)")
        source.run("INSERT INTO shop.orders (id, writer) VALUES (7, 8)")
        awaited(lambda: fleet.status("T")["last_sql_errno"] == 1062)
        for state in (linked, drained):
            with pytest.raises(EncryptionError, match="1062.*The target is void"):
                state()
        target.run("SET sql_log_bin = 0", "DELETE FROM shop.orders WHERE id = 7", "SET sql_log_bin = 1", fleet.say("STOP REPLICA"), fleet.say("START REPLICA"))
        awaited(lambda: rows(target, "orders") == rows(source, "orders"))
        target.run(fleet.say("STOP REPLICA"))
        # The log is purged before the target has it.
        source.run("INSERT INTO shop.audit VALUES (3, 3)", "FLUSH BINARY LOGS")
        dumps = "SELECT id AS id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
        source.run(*(f"KILL {row['id']}" for row in source.run(dumps)), "DO 0")  # who still reads a file keeps it from being purged
        awaited(lambda: not source.run(dumps))
        # MariaDB keeps a file for a moment until the engine has written what is in it.
        awaited(lambda: source.run(f"PURGE BINARY LOGS TO '{end_of(source)['File']}'", "SHOW BINARY LOGS")[1:] in ((), []))
        with pytest.raises(EncryptionError, match="1236"):
            linked()
        # A plain reset forgets the place and leaves the link: a start would begin with the oldest log that is left.
        target.run(fleet.say("STOP REPLICA"), fleet.say("RESET REPLICA"))
        with pytest.raises(EncryptionError, match="lost its position"):
            linked()
        assert fleet.status("T")["replica_io_running"] == "No"


def awaited(fulfilled):
    deadline = time.monotonic() + 20
    while not fulfilled():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def make_replica_of_target(fleet: Fleet) -> RealServer:
    """F: a copy of T, following it from where it was copied."""
    target = fleet.running["T"]
    target.run(fleet.say("STOP REPLICA"))
    end = end_of(target)
    data = fleet.folder / "copy-of-T"
    target.stop()
    shutil.copytree(target.data, data)
    target._start()
    (data / "auto.cnf").unlink(missing_ok=True)
    waiting = "--skip-replica-start" if fleet.family == "mysql" else "--skip-slave-start"
    follower = fleet.start("F", 4, data, "--read-only=ON", "--event-scheduler=OFF", waiting)
    shutil.rmtree(data)
    follower.run(fleet.say("RESET REPLICA ALL"))
    follow(fleet, follower, target, end)
    return follower


def end_of(server: RealServer) -> dict:
    return server.run("SHOW BINARY LOG STATUS" if server.family == "mysql" else "SHOW MASTER STATUS")[0]


def follow(fleet: Fleet, replica: RealServer, source: RealServer, end: dict):
    """As RDS's replicas do, whose login needs no TLS."""
    words = f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='{source.address}', SOURCE_USER='rdsrepladmin', SOURCE_PASSWORD='{PASSWORD}'"
    words += f", SOURCE_LOG_FILE='{end['File']}', SOURCE_LOG_POS={end['Position']}, SOURCE_CONNECT_RETRY=1"
    words += ", GET_SOURCE_PUBLIC_KEY=1" if fleet.family == "mysql" else ""
    replica.run(fleet.say(words), fleet.say("START REPLICA"))
