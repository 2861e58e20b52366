"""One real database server: its process, its folder, its connections."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pymysql

from .certificates import Certificate
from .spawn import SPAWNER
from .spawn import children_of
from .spawn import is_alive
from .spawn import kill_left_over
from .spawn import kill_workers_in

ADMINISTRATOR = "rdsadmin"
REPLICATOR = "rdsrepladmin"
SYSTEM_USERS = (ADMINISTRATOR, REPLICATOR, "system user", "event_scheduler")
BINARY_LOG = "mysql-bin-changelog"
MANAGED = "disable set master"  # the action in mysql.rds_history by which the procedures know a replica of RDS's own

# Values that a group may hold and that the lab does not pass on: they would move the server out of its folder or take more
# memory than a laptop has for a fleet.
LAB_OWNED = frozenset("""
    basedir datadir tmpdir slave_load_tmpdir replica_load_tmpdir socket port bind_address pid_file server_id user init_file lower_case_table_names
    log_bin log_bin_basename log_bin_index log_basename relay_log relay_log_basename relay_log_index relay_log_info_file master_info_file
    innodb_buffer_pool_size innodb_buffer_pool_chunk_size innodb_buffer_pool_instances innodb_buffer_pool_size_max innodb_log_file_size
    innodb_log_files_in_group innodb_redo_log_capacity innodb_log_buffer_size innodb_data_home_dir innodb_data_file_path innodb_log_group_home_dir
    innodb_undo_directory innodb_temp_data_file_path innodb_page_size innodb_flush_method innodb_numa_interleave innodb_dedicated_server
    performance_schema key_buffer_size aria_pagecache_buffer_size aria_log_dir_path table_open_cache table_open_cache_instances
    table_definition_cache query_cache_size large_pages open_files_limit plugin_dir plugin_load plugin_load_add secure_file_priv lc_messages_dir
    character_sets_dir general_log_file slow_query_log_file log_error ssl_ca ssl_capath ssl_cert ssl_key ssl_crl ssl_crlpath skip_name_resolve
    skip_networking skip_grant_tables log_slave_updates log_replica_updates relay_log_recovery report_host report_port thread_stack
""".split())


class ServerError(RuntimeError):
    """A database server did not do what the lab asked of it."""


class Server:
    """A server with a folder and an address of its own.

    :param resource_id: the instance's DbiResourceId.
    :param folder: holds ``data``, the server's log and ``server.json``.
    :param address: the loopback address that this server alone listens on.
    :param number: unique among the lab's servers; becomes the server id.
    :param distribution: the program, the pristine data and what they know (see ``pristine.py``).
    :param sockets: a folder with a short path for the server's socket.
    """

    engine = ""
    running_timeout = 120.0
    stop_signal = signal.SIGTERM

    def __init__(self, resource_id: str, folder: pathlib.Path, address: str, number: int, distribution, sockets: pathlib.Path) -> None:
        self.resource_id = resource_id
        self.folder = folder
        self.address = address
        self.number = number
        self.distribution = distribution
        self.socket = str(sockets / f"{number}.sock")
        self.port = 3306
        self.certificate: Certificate | None = None
        self.parameters: dict[str, str] = {}
        self.source: str | None = None
        self.replication_was_stopped = False
        self._closed = False
        # Held by everything that changes the server; reentrant, as restore is made of start and stop.
        self.guard = threading.RLock()
        self.login = (ADMINISTRATOR, distribution.administrator_password)
        self._process: subprocess.Popen | None = None
        self._trouble_since: float | None = None
        self._closed_logs: dict[str, float] = {}
        self._applied_log: str | None = None

    # -- the process ---------------------------------------------------------------------------------------------------

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    @property
    def temporary(self) -> pathlib.Path:
        return self.folder / "tmp"

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def is_replica(self) -> bool:
        return self.source is not None

    def start(self, *, replicate: bool = True, recover: bool = False) -> None:
        """The server runs and answers.

        :param replicate: whether replication that is configured begins by itself.
        :param recover: with the binary log on, whatever the parameters say: the recovery of a copy asks it which
            transactions were committed.
        """
        with self.guard:
            if self.pid is not None:
                return
            self.temporary.mkdir(exist_ok=True)
            command = self.command(replicate=replicate, recover=recover)
            with open(self.folder / "server.log", "ab") as log:
                log.write(b"\n=== start ===\n")
                log.flush()
                offset = log.tell()
                self._process = SPAWNER.start(command, stdout=log, stderr=log, cwd=str(self.folder), env=self.distribution.environment())
            if self._closed:
                self._process.kill()
                raise ServerError("The lab has been stopped.")
            self._write_facts()
            self._wait_until_answering(offset)

    def command(self, *, replicate: bool, recover: bool) -> list[str]:
        """What starts the server; see :meth:`start`."""
        for leftover in (self.data / "server.pid", pathlib.Path(self.socket)):
            leftover.unlink(missing_ok=True)
        command = [
            str(self.distribution.program), "--user=root", f"--datadir={self.data}", f"--socket={self.socket}", f"--pid-file={self.data}/server.pid",
            # a server that starts removes the temporary tables of others that share its folder
            f"--tmpdir={self.temporary}", f"--bind-address={self.address}", f"--port={self.port}", f"--server-id={self.number}",
            f"--relay-log={self.relay_log}",
            *(self.certificate.options() if self.certificate else ()),
            *self.lab_options(), *self.log_options(recover or self.has_binary_log), *self.parameter_options(),
        ]
        if not replicate:
            command.append(self.skip_replication_option)
        return command

    def stop(self) -> None:
        """The server is down after an orderly shutdown."""
        with self.guard:
            process = self._process
            if process is None:
                return
            if process.poll() is None:
                self.say_goodbye()
                process.send_signal(self.stop_signal)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._process = None
            self._write_facts()

    def kill(self) -> None:
        """The server is down, as after a power cut."""
        with self.guard:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None

    def kill_now(self) -> None:
        """As kill() and for good, without waiting for whoever is starting or stopping the server at this moment."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def remember_replication(self) -> None:
        """Keeps in mind whether replication was stopped on purpose, so that a restart does not undo that."""
        with self.guard:
            self.replication_was_stopped = False
            if self.pid is not None:
                with contextlib.suppress(pymysql.err.MySQLError):
                    self.replication_was_stopped = self.replication_is_stopped()

    def remove(self) -> None:
        """Nothing is left of the server."""
        with self.guard:
            self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)
            pathlib.Path(self.socket).unlink(missing_ok=True)

    def _wait_until_answering(self, offset: int) -> None:
        deadline = time.monotonic() + self.running_timeout
        while True:
            if self._process.poll() is not None:
                status, self._process = self._process.returncode, None
                raise ServerError(f"The {self.engine} server of {self.resource_id} ended with status {status} while starting: {self._log_tail(offset)}")
            if self.answers():
                return
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"The {self.engine} server of {self.resource_id} does not answer: {self._log_tail(offset)}")
            time.sleep(0.03)

    def answers(self) -> bool:
        """Whether rdsadmin can log in; a server that is not ready yet cannot be logged in to."""
        if not os.path.exists(self.socket):
            return False
        try:
            self.connect(connect_timeout=2).close()
        except pymysql.err.OperationalError as error:
            if error.args[0] not in (2002, 2003, 2006, 2013, 1040, 1053):
                raise
            return False
        return True

    def _log_tail(self, offset: int) -> str:
        with open(self.folder / "server.log", "rb") as log:
            log.seek(offset)
            lines = log.read().decode(errors="replace").splitlines()
        telling = [line for line in lines if "error" in line.lower()]
        return " | ".join((telling or lines)[-4:])

    def _write_facts(self) -> None:
        facts = {"resource_id": self.resource_id, "engine": self.engine, "address": self.address, "port": self.port, "pid": self.pid, "data": str(self.data),
                 "source": self.source}
        temporary = self.folder / "server.json.new"
        temporary.write_text(json.dumps(facts), encoding="utf-8")
        temporary.replace(self.folder / "server.json")

    # -- connections ---------------------------------------------------------------------------------------------------

    def connect(self, **options) -> pymysql.connections.Connection:
        """A connection as rdsadmin, who may do everything."""
        settings = {"unix_socket": self.socket, "user": self.login[0], "password": self.login[1], "autocommit": True,
                    "charset": "utf8mb4", "read_timeout": 120, "cursorclass": pymysql.cursors.DictCursor}
        return pymysql.connect(**{**settings, **options})

    @contextlib.contextmanager
    def administration(self):
        """A cursor of rdsadmin whose statements do not go to the binary log."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION sql_log_bin = 0")
                yield cursor
        finally:
            connection.close()

    def drop_connections(self) -> int:
        """How many connections of clients were cut; the system's own stay."""
        with self.administration() as cursor:
            cursor.execute("SELECT id, user FROM information_schema.processlist")
            clients = [row for row in map(lower, cursor.fetchall()) if row["user"] not in SYSTEM_USERS]
            for client in clients:
                with contextlib.suppress(pymysql.err.MySQLError):
                    cursor.execute(f"KILL CONNECTION {int(client['id'])}")
            return len(clients)

    # -- parameters ----------------------------------------------------------------------------------------------------

    @property
    def has_binary_log(self) -> bool:
        """Whether the parameters leave the binary log on, as they do unless they say ``log_bin: 0`` (backups off)."""
        return str(self.parameters.get("log_bin", "1")).strip().upper() not in ("0", "OFF")

    def wanted_variables(self) -> dict[str, str]:
        """The values of the parameter group that this server knows and the lab lets through."""
        wanted = {"read_only": "{TrueIfReplica}"}
        wanted.update({name.replace("-", "_").lower(): value for name, value in self.parameters.items() if value is not None})
        result = {}
        for name, value in wanted.items():
            value = str(value).strip()
            if value in ("{TrueIfReplica}", "{TrueIfClusterReplica}"):
                value = "1" if self.is_replica else "0"
            if name in LAB_OWNED or name not in self.distribution.variables or value.startswith("{") or value.upper() == "ENGINE-DEFAULT":
                continue
            result[name] = value
        return result

    def parameter_options(self) -> list[str]:
        return [f"--loose-{name.replace('_', '-')}={value}" for name, value in sorted(self.wanted_variables().items())]

    def log_options(self, wanted: bool) -> list[str]:
        return [f"--log-bin={BINARY_LOG}", self.log_updates_option] if wanted else ["--skip-log-bin"]

    def apply_dynamic(self, parameters: dict[str, str]) -> list[str]:
        """The names that could not be changed while the server runs.

        :param parameters: all values in force from now on; one that is gone returns to the server's default.
        """
        with self.guard:
            before = self.wanted_variables()
            kept = {name: value for name, value in self.parameters.items() if name == "log_bin"}
            self.parameters = {**kept, **parameters}
            after = self.wanted_variables()
            refused = []
            if self.pid is None:
                return refused
            with self.administration() as cursor:
                for name in sorted(set(before) | set(after)):
                    if before.get(name) == after.get(name):
                        continue
                    try:
                        if name not in after:
                            cursor.execute(f"SET GLOBAL {name} = DEFAULT")
                        elif _is_number(after[name]):
                            cursor.execute(f"SET GLOBAL {name} = {after[name]}")
                        else:
                            cursor.execute(f"SET GLOBAL {name} = %s", (after[name],))
                    except pymysql.err.MySQLError:
                        refused.append(name)
            return refused

    # -- the binary log ------------------------------------------------------------------------------------------------

    def care_for_binary_log(self, now: float, replicas: list["Server"]) -> None:
        """A new file has begun; older ones are gone unless the retention or a replica of RDS's own needs them.

        Followers that RDS knows nothing of are not asked. A file grows old from the first time that this finds it closed.

        :param now: virtual time in seconds.
        """
        with self.administration() as cursor:
            cursor.execute("FLUSH BINARY LOGS")
            cursor.execute("SHOW BINARY LOGS")
            names = [row["Log_name"] for row in cursor.fetchall()]
            self._closed_logs = {name: self._closed_logs.get(name, now) for name in names[:-1]}
            cursor.execute("SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'")
            hours = float(cursor.fetchone()["value"] or 0)
            needed = [replica.applied_log() for replica in replicas]
            if None in needed:
                return  # one that is being made, or that has not connected yet, may need anything
            oldest = next(name for name in names if name in needed or name == names[-1] or self._closed_logs[name] + hours * 3600 > now)
            if oldest != names[0]:
                cursor.execute("PURGE BINARY LOGS TO %s", (oldest,))

    def applied_log(self) -> str | None:
        """The file of the source's binary log that this replica has come to, None where that is not known."""
        with contextlib.suppress(OSError, pymysql.err.MySQLError):
            row = self.replica_rows() if self.pid is not None else None
            self._applied_log = row and row["Relay_Source_Log_File"] or self._applied_log
        return self._applied_log

    # -- what the engines do differently -------------------------------------------------------------------------------

    relay_log = "relaylog"
    log_updates_option = ""
    skip_replication_option = ""

    def lab_options(self) -> list[str]:
        """Options that keep a server small and quick."""
        raise NotImplementedError

    def master_grants(self, account: str) -> list[str]:
        """The statements that give the master user its rights."""
        raise NotImplementedError

    def create_master(self, username: str, password: str) -> None:
        """The master user exists, with this password and the rights that RDS gives."""
        with self.administration() as cursor:
            self._set_master(cursor, username, password)

    def set_master_password(self, username: str, password: str) -> None:
        """The master user has this password, and its rights again; on RDS, too, that reaches the replicas through the log."""
        with self.guard:
            connection = self.connect()
            try:
                with connection.cursor() as cursor:
                    self._set_master(cursor, username, password)
            finally:
                connection.close()

    def _set_master(self, cursor, username: str, password: str) -> None:
        cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (username, password))
        cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s", (username, password))
        account = cursor.mogrify("%s@'%%'", (username,))
        for statement in self.master_grants(account):
            cursor.execute(statement)

    def mend_copy(self, data: pathlib.Path) -> None:
        """A copy of the paused server's folder can be recovered."""

    def say_goodbye(self) -> None:
        """What has to be done before the server is told to stop, so that it does so at once."""

    def forget_identity(self) -> None:
        """The next start gives the server an identity of its own instead of the one that came with a copy."""

    def start_restored(self, replication: str = "none") -> None:
        """The server runs with the copy in this folder, of which nobody manages a replication.

        :param replication: what becomes of the replication settings that the copy of a replica carries: ``none`` forgets them, ``configured`` keeps
            them and starts nothing, ``running`` starts to replicate.
        """
        self._recover_copy(keep=replication != "none")
        self._settle()
        if replication == "running" and self.replica_rows() is not None:
            with self.administration() as cursor:
                cursor.execute("START REPLICA")

    def start_as_replica(self, source: "Server") -> None:
        """The server runs with the copy of its source in this folder, and follows it."""
        position = self._recover_copy()
        with self.administration() as cursor:
            # what is the target delay of a source becomes the source delay of its new replicas
            cursor.execute("SELECT value FROM mysql.rds_configuration WHERE name = 'target delay'")
            delay = int(cursor.fetchone()["value"] or 0)
            cursor.execute("UPDATE mysql.rds_configuration SET value = %s WHERE name = 'source delay'", (delay,))
        self._settle()
        self.follow(source, position, delay)
        self.mark_managed(True)

    def mark_managed(self, managed: bool) -> None:
        """Whether the platform manages the replication of this server: the master user can neither set nor reset its source then."""
        with self.administration() as cursor:
            cursor.execute(f"DELETE FROM mysql.rds_history WHERE action = '{MANAGED}'")
            if managed:
                cursor.execute("INSERT INTO mysql.rds_history (called_by_user, action, mysql_version) VALUES (%s, %s, VERSION())",
                               (f"{ADMINISTRATOR}@localhost", MANAGED))

    def _recover_copy(self, keep: bool = False) -> dict:
        self.forget_identity()
        self.start(replicate=False, recover=True)
        self.mark_managed(False)
        return self.recover(keep)

    def _settle(self) -> None:
        """The server runs as its parameters say."""
        if not self.has_binary_log:
            self.stop()
            for log in self.data.glob(f"{BINARY_LOG}.*"):
                log.unlink()
            self.start(replicate=False)

    def recover(self, keep: bool) -> dict:
        """Where the source's binary log stood at the moment of the copy that this folder holds.

        The server is left running, replicating from nobody, with a binary log that begins anew.

        :param keep: the replication settings that the copy of a replica carries stay.
        """
        raise NotImplementedError

    def follow(self, source: "Server", position: dict, delay: int) -> None:
        """Replication from ``source``, which the copy in this folder was taken from, has begun."""
        raise NotImplementedError

    def point_to(self, source: "Server") -> None:
        """Replication goes on from ``source`` at its present address."""
        raise NotImplementedError

    def detach(self) -> None:
        """The server has no source."""
        raise NotImplementedError

    def replica_rows(self) -> dict | None:
        """The replica status in MySQL 8.4's words, None without a source."""
        raise NotImplementedError

    def replication_is_stopped(self) -> bool:
        """Whether somebody has stopped replication on purpose."""
        row = self.replica_rows()
        return bool(row) and not row["Last_SQL_Errno"] and (not row["Last_IO_Errno"] and row["Replica_IO_Running"] == row["Replica_SQL_Running"] == "No"
                                                            or self._stopped_while_connecting(row))

    @staticmethod
    def _stopped_while_connecting(row: dict) -> bool:
        # the text of the last attempt to reach a source stays after STOP; an error of substance stops the receiver alone
        return row["Replica_IO_Running"] == row["Replica_SQL_Running"] == "No" and int(row["Last_IO_Errno"]) in (2002, 2003, 2006, 2013, 1053, 1927)

    def replication_status(self) -> dict[str, str]:
        """``status`` (replicating, stopped, error) and ``message``, as DescribeDBInstances shows them."""
        row = self.replica_rows()
        if row is None:
            return {"status": "stopped", "message": "Replication is not configured"}
        errors = [row["Last_SQL_Error"]] if row["Last_SQL_Error"] else []
        if row["Last_IO_Error"] and not self._stopped_while_connecting(row):
            errors.append(row["Last_IO_Error"])
        if row["Replica_IO_Running"] == "Yes" and row["Replica_SQL_Running"] == "Yes":
            self._trouble_since = None
            return {"status": "replicating", "message": ""}
        if row["Replica_SQL_Running"] == "Yes" and row["Replica_IO_Running"] == "Connecting":
            # A source that reboots is no error: RDS looks once in a while, the replica connects again by itself.
            self._trouble_since = self._trouble_since or time.monotonic()
            if time.monotonic() - self._trouble_since < 20:
                return {"status": "replicating", "message": ""}
        if errors:
            return {"status": "error", "message": errors[0]}
        return {"status": "stopped", "message": "Replication has been stopped"}


def remove_left_over(folder: pathlib.Path) -> None:
    """Nothing is left of a server of a lab that died, neither process nor folder."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        facts = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        if facts["pid"]:
            kill_left_over(facts["pid"], facts["data"])
        kill_workers_in(facts["data"])
    shutil.rmtree(folder, ignore_errors=True)


def copy_folder(source: pathlib.Path, target: pathlib.Path, *, linked: bool = False) -> None:
    """``target`` is a copy of ``source``.

    :param linked: share the files, for copies that nobody writes to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # most of a young server's files is zeros: copies of them need no disk
    how = ["--link"] if linked else ["--reflink=auto", "--sparse=always"]
    subprocess.run(["cp", "-a", *how, str(source), str(target)], check=True)


def pause(server: Server):
    """Nothing in the server moves, and no connection is cut."""
    return _Paused(server.pid)


class _Paused:
    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._stopped: list[int] = []

    def __enter__(self) -> None:
        if self._pid is None:
            return
        # Its children after it, as it cannot start new ones then.
        self._stop(self._pid)
        for child in children_of(self._pid):
            self._stop(child)

    def _stop(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._stopped.append(pid)
        deadline = time.monotonic() + 10
        while is_alive(pid) and not _all_threads_stopped(pid):
            if time.monotonic() > deadline:
                self.__exit__()
                raise ServerError("A server could not be paused for its snapshot.")
            time.sleep(0.002)

    def __exit__(self, *_unused) -> None:
        for pid in reversed(self._stopped):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._stopped.clear()


def _all_threads_stopped(pid: int) -> bool:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return True
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/stat", encoding="latin-1") as stat:
                if stat.read().rpartition(")")[2].split()[0] not in ("T", "t", "Z", "X"):
                    return False
        except (FileNotFoundError, ProcessLookupError):
            continue
    return True


def lower(row: dict) -> dict:
    return {name.lower(): value for name, value in row.items()}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
