"""PostgreSQL."""
from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

import psycopg
import psycopg.rows
from psycopg import sql

from .base import ADMINISTRATOR
from .base import REPLICATOR
from .base import Server
from .base import ServerError
from .spawn import children_of
from .spawn import unprivileged

# Values that a group may hold and that the lab does not pass on: they would move the server out of its folder, or take more memory than a
# laptop has for a fleet. max_connections and its like are RDS formulas as a rule, which are left out as well.
LAB_OWNED = frozenset("""
    data_directory config_file hba_file ident_file external_pid_file port listen_addresses unix_socket_directories unix_socket_group
    unix_socket_permissions shared_buffers huge_pages shared_preload_libraries dynamic_library_path log_directory log_filename log_destination
    logging_collector archive_mode archive_command archive_library restore_command primary_conninfo primary_slot_name ssl ssl_ca_file ssl_cert_file
    ssl_key_file ssl_crl_file ssl_crl_dir fsync full_page_writes wal_segment_size hot_standby cluster_name jit temp_tablespaces default_tablespace
    stats_temp_directory event_source krb_server_keyfile
""".split())
CONFIGURATION = "postgresql.conf"
# Roles of the platform, who are not clients.
SYSTEM_USERS = (ADMINISTRATOR, REPLICATOR)


class PostgresServer(Server):
    """A postgres, which refuses to run as root: it runs as nobody, and is allowed to reach its files wherever the lab keeps them.

    What RDS does by parameter groups is a file of the lab's, not part of the data. A replica streams from its source; a copy of a paused
    server is what the disk would hold after a power cut, from which a start recovers.
    """

    engine = "postgres"
    stop_signal = signal.SIGINT  # "fast": clients are cut off, and not waited for

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.port = 5432
        self.source_server: Server | None = None
        self._following = True

    @property
    def socket_folder(self) -> pathlib.Path:
        return pathlib.Path(self.socket + ".d")

    # -- the process ---------------------------------------------------------------------------------------------------

    def command(self, *, replicate: bool, recover: bool) -> list[str]:
        for leftover in ("postmaster.pid", "postmaster.opts"):
            (self.data / leftover).unlink(missing_ok=True)
        signal_file = self.data / "standby.signal"
        if self.source is not None:
            signal_file.touch()
        else:
            signal_file.unlink(missing_ok=True)
        shutil.rmtree(self.socket_folder, ignore_errors=True)
        self.socket_folder.mkdir(mode=0o700)
        self._following = replicate
        self._write_configuration()
        return unprivileged([str(self.distribution.program), "-D", str(self.data), "-c", f"config_file={self.folder / CONFIGURATION}"])

    def _write_configuration(self) -> None:
        settings = {**self.lab_settings(), **self.wanted_variables()}
        lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
        (self.folder / CONFIGURATION).write_text("\n".join(lines) + "\n", encoding="utf-8")
        access = "hostssl" if self._wants_tls() else "host"
        (self.folder / "pg_hba.conf").write_text(
            f"local all {ADMINISTRATOR} scram-sha-256\n"
            f"host all {ADMINISTRATOR} all reject\n"
            f"host replication {REPLICATOR} all scram-sha-256\n"
            f"{access} replication all all scram-sha-256\n"
            f"host {ADMINISTRATOR} all all reject\n"
            f"{access} all all all scram-sha-256\n", encoding="utf-8")

    def _wants_tls(self) -> bool:
        # on in the default groups of 15 and later; a lab's client that knows no TLS is not locked out unless the group says so
        return self.certificate is not None and str(self.parameters.get("rds.force_ssl", "0")) == "1"

    def lab_settings(self) -> dict[str, str]:
        """Where the server is, and what keeps it small and quick."""
        logical = str(self.parameters.get("rds.logical_replication", "0")) == "1"
        settings = {
            "listen_addresses": self.address, "port": str(self.port), "unix_socket_directories": str(self.socket_folder),
            "hba_file": str(self.folder / "pg_hba.conf"), "external_pid_file": "", "cluster_name": self.resource_id,
            # Without synchronisation: what is written survives the death of the server, and the data do not survive the lab.
            "fsync": "off", "wal_level": "logical" if logical else "replica", "wal_keep_size": "64MB", "max_wal_size": "64MB", "min_wal_size": "4MB",
            "shared_buffers": "8MB", "max_connections": "100", "jit": "off", "max_wal_senders": "10",
            "wal_sender_timeout": "5s", "wal_receiver_timeout": "5s", "wal_retrieve_retry_interval": "500ms", "hot_standby_feedback": "on",
            "autovacuum_naptime": "60s", "lc_messages": "C", "timezone": "UTC", "log_timezone": "UTC", "password_encryption": "scram-sha-256",
            "max_parallel_workers": "2", "max_worker_processes": "8",
        }
        if self.certificate is not None:
            settings.update(ssl="on", ssl_ca_file=str(self.certificate.authority), ssl_cert_file=str(self.certificate.certificate),
                            ssl_key_file=str(self.certificate.key))
        if self.source_server is not None and self.source is not None and self._following:
            source = self.source_server
            settings["primary_conninfo"] = (
                f"host={source.address} port={source.port} user={REPLICATOR} password={self.distribution.replicator_password} "
                f"application_name={self.resource_id} sslmode=prefer")
        return settings

    def kill(self) -> None:
        with self.guard:
            if self._process is not None:
                _kill_all(self._process)
                self._process = None

    def kill_now(self) -> None:
        self._closed = True
        process = self._process
        if process is not None:
            _kill_all(process)

    def remove(self) -> None:
        with self.guard:
            super().remove()
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def remember_replication(self) -> None:
        self.replication_was_stopped = False

    def answers(self) -> bool:
        if not os.path.exists(self.socket_folder / f".s.PGSQL.{self.port}"):
            return False
        try:
            self.connect(connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "FATAL" in str(error) and not any(text in str(error) for text in ("starting up", "not yet accepting", "not accepting", "shutting down")):
                raise ServerError(str(error)) from error
            return False
        return True

    # -- connections ---------------------------------------------------------------------------------------------------

    def connect(self, **options) -> psycopg.Connection:
        """A connection as rdsadmin, who may do everything."""
        settings = {"host": str(self.socket_folder), "port": self.port, "user": self.login[0], "password": self.login[1], "dbname": "postgres",
                    "autocommit": True, "row_factory": psycopg.rows.dict_row, "application_name": "lab"}
        return psycopg.connect(**{**settings, **options})

    @contextlib.contextmanager
    def administration(self):
        """A cursor of rdsadmin."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            yield cursor

    def drop_connections(self) -> int:
        with self.administration() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                           " AND NOT usename = ANY(%s)", (list(SYSTEM_USERS),))
            return len(cursor.fetchall())

    # -- parameters ----------------------------------------------------------------------------------------------------

    @property
    def has_binary_log(self) -> bool:
        return True  # the write-ahead log can always be streamed

    def wanted_variables(self) -> dict[str, str]:
        wanted = {name.lower(): str(value).strip() for name, value in self.parameters.items() if value is not None}
        return {name: value for name, value in wanted.items()
                if name not in LAB_OWNED and name in self.distribution.variables and value and "{" not in value and value.lower() != "engine-default"}

    def apply_dynamic(self, parameters: dict[str, str]) -> list[str]:
        with self.guard:
            self.parameters = dict(parameters)
            if self.pid is None:
                return []
            self._write_configuration()
            with self.administration() as cursor:
                cursor.execute("SELECT pg_conf_load_time() AS before, pg_reload_conf()")
                before, deadline = cursor.fetchone()["before"], time.monotonic() + 5
                while True:
                    cursor.execute("SELECT pg_conf_load_time() > %s AS loaded", (before,))
                    if cursor.fetchone()["loaded"] or time.monotonic() > deadline:
                        break
                    time.sleep(0.01)
                cursor.execute("SELECT name FROM pg_settings WHERE pending_restart")
                return [row["name"] for row in cursor.fetchall()]

    # -- accounts ------------------------------------------------------------------------------------------------------

    def create_master(self, username: str, password: str) -> None:
        self.set_master_password(username, password)
        with self.administration() as cursor:
            cursor.execute(sql.SQL("ALTER DATABASE postgres OWNER TO {}").format(sql.Identifier(username)))

    def set_master_password(self, username: str, password: str) -> None:
        with self.guard, self.administration() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (username,))
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            cursor.execute(sql.SQL(verb + " ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {} VALID UNTIL 'infinity'").format(
                sql.Identifier(username), sql.Literal(password)))
            cursor.execute(sql.SQL("GRANT rds_superuser TO {}").format(sql.Identifier(username)))

    # -- copies and replicas -------------------------------------------------------------------------------------------

    def start_restored(self, replication: str = "none") -> None:
        self._forget_slots()
        self.start()

    def start_as_replica(self, source: Server) -> None:
        self._forget_slots()
        self.source_server = source
        self.start()

    def _forget_slots(self) -> None:
        """Slots belong to one server; a logical one would keep a server without ``rds.logical_replication`` from starting at all."""
        for slot in (self.data / "pg_replslot").iterdir():
            shutil.rmtree(slot)

    def care_for_binary_log(self, now: float, replicas: list[Server]) -> None:
        """There is none; a slot keeps what somebody needs."""

    def mark_managed(self, managed: bool) -> None:
        """The platform needs no mark: nobody can set the source of a PostgreSQL server by SQL."""

    def point_to(self, source: Server) -> None:
        self.source_server = source
        self._write_configuration()
        with self.administration() as cursor:
            cursor.execute("SELECT pg_reload_conf()")

    def detach(self) -> None:
        with self.administration() as cursor:
            cursor.execute("SELECT pg_is_in_recovery() AS replica")
            if cursor.fetchone()["replica"]:
                cursor.execute("SELECT pg_promote(true, 60)")
        self.source_server = None

    def replication_is_stopped(self) -> bool:
        with self.administration() as cursor:
            cursor.execute("SELECT pg_is_in_recovery() AND pg_is_wal_replay_paused() AS stopped")
            return cursor.fetchone()["stopped"]

    def replication_status(self) -> dict[str, str]:
        try:
            with self.administration() as cursor:
                cursor.execute("SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS paused,"
                               " (SELECT status FROM pg_stat_wal_receiver) AS receiver")
                row = cursor.fetchone()
        except psycopg.Error as error:
            row = {"paused": False, "receiver": None, "problem": str(error)}
        if row["paused"] is None:
            return {"status": "stopped", "message": "Replication is not configured"}
        if row["paused"]:
            return {"status": "stopped", "message": "Replication has been stopped"}
        if row["receiver"] == "streaming":
            self._trouble_since = None
            return {"status": "replicating", "message": ""}
        # A source that reboots is no error: RDS looks once in a while, the replica connects again by itself.
        self._trouble_since = self._trouble_since or time.monotonic()
        if time.monotonic() - self._trouble_since < 20:
            return {"status": "replicating", "message": ""}
        return {"status": "error", "message": row.get("problem") or "The replica cannot stream from its source"}


def _kill_all(process) -> None:
    """The server is gone with the processes that it has forked, without having written anything more: an "immediate shutdown".

    The server itself ends them: processes that lose their parent would stay as zombies where nobody reaps them.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
        os.kill(process.pid, signal.SIGQUIT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        for pid in (*children_of(process.pid), process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _quoted(value: str) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def initialise(program: pathlib.Path, data: pathlib.Path, password: str) -> list[str]:
    """The command that makes a data folder with rdsadmin as its superuser; the folder belongs to whom the server runs as."""
    secret = data.parent / "password"
    secret.write_text(password + "\n", encoding="utf-8")
    return unprivileged([str(program.with_name("initdb")), "-D", str(data), "-U", ADMINISTRATOR, f"--pwfile={secret}", "-A", "scram-sha-256",
                         "-E", "UTF8", "--locale=C.UTF-8", "--wal-segsize=1", "--no-sync", "--no-instructions"])
