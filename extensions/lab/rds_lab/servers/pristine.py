"""The programs, and a data folder of each engine that is made once and copied for every instance."""
from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import time

import pymysql

from .base import ADMINISTRATOR
from .base import REPLICATOR
from .base import Server
from .base import ServerError
from .mariadb import MariaDBServer
from .mysql import MySQLServer
from .postgres import PostgresServer
from .postgres import initialise as initialise_postgres

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[3]
ENGINES: dict[str, type[Server]] = {"mariadb": MariaDBServer, "mysql": MySQLServer, "postgres": PostgresServer}
PROGRAMS = {"mariadb": "mariadbd", "mysql": "mysqld", "postgres": "postgres"}


def default_databases() -> pathlib.Path:
    """Where tools/get_databases.sh puts the servers."""
    return pathlib.Path(os.environ.get("RDS_LAB_DATABASES") or CHECKOUT / ".cache" / "databases")


@dataclasses.dataclass(frozen=True)
class Distribution:
    """What is known of one engine's program."""

    engine: str
    program: pathlib.Path
    version: str
    pristine: pathlib.Path | None
    variables: frozenset[str]
    administrator_password: str
    replicator_password: str

    def server_class(self) -> type[Server]:
        return ENGINES[self.engine]

    @staticmethod
    def environment() -> dict[str, str]:
        """A server needs nothing of ours; fewer malloc arenas save a third of its memory."""
        return {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "MALLOC_ARENA_MAX": "1",
                "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536", "TZ": "UTC", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def find_program(engine: str, databases: pathlib.Path) -> pathlib.Path | None:
    """The program of an engine, None where tools/get_databases.sh has not been run."""
    program = databases / engine / PROGRAMS[engine]
    return program if os.access(program, os.X_OK) else None


def prepare(engine: str, databases: pathlib.Path) -> Distribution:
    """The distribution of an engine with a pristine data folder, made if it is not there."""
    program = find_program(engine, databases)
    if program is None:
        raise ServerError(f"No {engine} server in {databases}: run tools/get_databases.sh {engine}.")
    version = _run([program, "--version"]).strip()
    digest = hashlib.sha256(version.encode())
    for name in ("pristine.py", f"{engine}.py", f"{engine}.sql"):
        digest.update((HERE / name).read_bytes())
    home = databases / "pristine" / f"{engine}-{digest.hexdigest()[:16]}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with open(home.parent / f"{engine}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "facts.json").exists():
            for old in home.parent.glob(f"{engine}-*"):
                if time.time() - old.stat().st_mtime > 86400:  # a lab that runs may be using it
                    shutil.rmtree(old, ignore_errors=True)
            _make(engine, program, version, home)
    return _load(engine, program, home)


def _load(engine: str, program: pathlib.Path, home: pathlib.Path) -> Distribution:
    facts = json.loads((home / "facts.json").read_text(encoding="utf-8"))
    return Distribution(engine, program, facts["version"], home / "data", frozenset(facts["variables"]), facts["administrator_password"],
                        facts["replicator_password"])


def _make(engine: str, program: pathlib.Path, version: str, home: pathlib.Path) -> None:
    work = home.with_name(f".{home.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    (work / "data").mkdir(parents=True)
    facts = {"version": re.search(r"(?:Ver |\(PostgreSQL\) )(\d+(?:\.\d+)+)", version)[1], "administrator_password": secrets.token_urlsafe(18),
             "replicator_password": secrets.token_urlsafe(18)}
    sockets = pathlib.Path("/tmp") / f"rds-lab-{os.getpid()}-{engine}"
    sockets.mkdir(mode=0o700, exist_ok=True)
    try:
        (_make_postgres if engine == "postgres" else _make_mysql)(engine, program, work, facts, sockets)
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
    descriptor = os.open(work / "facts.json", os.O_WRONLY | os.O_CREAT, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(facts, file)
    work.rename(home)


def _pristine_server(engine: str, program: pathlib.Path, work: pathlib.Path, facts: dict, sockets: pathlib.Path, administrator_password: str = "") -> Server:
    distribution = Distribution(engine, program, facts["version"], None, frozenset(facts["variables"]), administrator_password,
                                facts["replicator_password"])
    return ENGINES[engine]("pristine", work, "127.42.255.254", 1, distribution, sockets)


def _make_postgres(engine: str, program: pathlib.Path, work: pathlib.Path, facts: dict, sockets: pathlib.Path) -> None:
    facts["variables"] = sorted({line.split("\t")[0].lower() for line in _run([program, "--describe-config"]).splitlines()})
    server = _pristine_server(engine, program, work, facts, sockets, facts["administrator_password"])
    server.data.rmdir()
    _run(initialise_postgres(program, server.data, facts["administrator_password"]))
    (work / "password").unlink()
    try:
        server.start()
        with server.administration() as cursor:
            cursor.execute(f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{facts['replicator_password']}'")
            for statement in _statements((HERE / f"{engine}.sql").read_text(encoding="utf-8")):
                cursor.execute(statement)
        server.stop()
    finally:
        server.kill()


def _make_mysql(engine: str, program: pathlib.Path, work: pathlib.Path, facts: dict, sockets: pathlib.Path) -> None:
    help_text = _run([program, "--verbose", "--help"])
    facts["variables"] = sorted(_variables(help_text))
    server = _pristine_server(engine, program, work, facts, sockets)
    try:
        if engine == "mariadb":
            _initialize_mariadb(program, server, help_text)
        else:
            _run([program, "--user=root", "--initialize-insecure", f"--datadir={server.data}", "--skip-log-bin", "--innodb-redo-log-capacity=64M",
                  "--innodb-doublewrite=OFF", "--innodb-flush-method=nosync"])
        server.parameters = {"log_bin": "0"}
        server.login = ("root", "")  # the account that an initialised data folder comes with
        server.start()
        _write_accounts(server, facts)
        server.stop()
    finally:
        server.kill()
    for leftover in ("auto.cnf", "server.pid"):
        (server.data / leftover).unlink(missing_ok=True)


def _initialize_mariadb(program: pathlib.Path, server: Server, help_text: str) -> None:
    share = pathlib.Path(re.search(r"^lc-messages-dir\s+(\S+)", help_text, re.MULTILINE)[1])
    scripts = ["mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql", "fill_help_tables.sql",
               "maria_add_gis_sp_bootstrap.sql", "mysql_sys_schema.sql"]
    text = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n" + "".join((share / name).read_text(encoding="utf-8") for name in scripts)
    # A server that starts deletes the temporary tables that it finds: those of another one, if they share the folder.
    server.temporary.mkdir(parents=True, exist_ok=True)
    _run([program, "--bootstrap", "--user=root", f"--datadir={server.data}", f"--tmpdir={server.temporary}", "--innodb-log-file-size=8M",
          "--innodb-buffer-pool-size=16M", "--log-warnings=0", "--innodb-flush-method=nosync", "--debug-no-sync", "--enforce-storage-engine=",
          "--max-allowed-packet=16M", "--net-buffer-length=16K"], text=text)


def _write_accounts(server: Server, facts: dict) -> None:
    with server.administration() as cursor:
        cursor.execute(f"CREATE USER {ADMINISTRATOR}@localhost IDENTIFIED BY %s", (facts["administrator_password"],))
        cursor.execute(f"GRANT ALL PRIVILEGES ON *.* TO {ADMINISTRATOR}@localhost WITH GRANT OPTION")
        cursor.execute(f"CREATE USER {REPLICATOR}@'%%' IDENTIFIED BY %s", (facts["replicator_password"],))
        cursor.execute(f"GRANT REPLICATION SLAVE ON *.* TO {REPLICATOR}@'%'")
    server.login = (ADMINISTRATOR, facts["administrator_password"])
    with server.administration() as cursor:
        cursor.execute("SELECT user, host FROM mysql.user")
        keep = {ADMINISTRATOR, REPLICATOR, "mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys", "PUBLIC"}
        for row in cursor.fetchall():
            account = {name.lower(): value for name, value in row.items()}
            if account["user"] not in keep:
                cursor.execute("DROP USER %s@%s", (account["user"], account["host"]))
        for statement in _statements((HERE / f"{server.engine}.sql").read_text(encoding="utf-8")):
            try:
                cursor.execute(statement)
            except pymysql.err.MySQLError as error:
                raise ServerError(f"{server.engine}.sql: {error}: {statement[:80]}") from error


def _statements(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"^\$\$$", text, flags=re.MULTILINE) if part.strip()]


def _variables(help_text: str) -> set[str]:
    table = help_text.partition("\n-----")[2]
    return {line.split()[0].replace("-", "_") for line in table.splitlines()[1:] if re.match(r"[a-z][a-z0-9-]+\s", line)}


def _run(command: list, text: str | None = None) -> str:
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{pathlib.Path(command[0]).name} failed: {done.stderr.strip()[-800:]}")
    return done.stdout
