# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One real MariaDB or MySQL server, as the tests of this folder start it."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pymysql
from master_rights import MASTER_RIGHTS
from rds_lab.servers.certificates import Certificate

TOP = pathlib.Path(__file__).resolve().parents[2]
MARIADB_SCRIPTS = "mysql_system_tables.sql mysql_performance_tables.sql mysql_system_tables_data.sql maria_add_gis_sp_bootstrap.sql mysql_sys_schema.sql"
PASSWORD = "operator-Passw0rd"


def program_of(family: str) -> list[str]:
    name = {"mariadb": "mariadbd", "mysql": "mysqld"}[family]
    home = pathlib.Path(os.environ.get("RDS_LAB_DATABASES") or TOP / ".cache" / "databases")
    for candidate in (home / family / name, shutil.which(name), f"/usr/sbin/{name}"):
        if candidate and pathlib.Path(candidate).exists():
            version = subprocess.run([str(candidate), "--version"], capture_output=True, text=True, check=False).stdout
            if ("MariaDB" in version) == (family == "mariadb"):  # mysqld is MariaDB's where MariaDB is installed
                # tools/get_databases.sh writes a program that ignores option files; others are told to
                return [str(candidate)] if candidate == home / family / name else [str(candidate), "--no-defaults"]
    raise RuntimeError(f"no {name} found; run tools/get_databases.sh")


class RealServer:
    """One server on an address of its own, with an administrator ``operator`` and a master user without SUPER.

    :param log: options of the binary log.
    """

    def __init__(
        self, family: str, address: str, folder: pathlib.Path, pristine: pathlib.Path, certificate: Certificate, log: tuple[str, ...] = ("--skip-log-bin",)
    ):
        self.family = family
        self.address = address
        self.certificate = certificate
        self.data = folder / "data"
        self.socket = folder / "s"
        shutil.copytree(pristine, self.data)
        (self.data / "auto.cnf").unlink(missing_ok=True)
        options = [f"--datadir={self.data}", f"--bind-address={address}", "--port=3306", f"--socket={self.socket}", f"--pid-file={folder}/pid"]
        options += ["--user=root", "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", *log]
        options += ["--table-open-cache=64", "--max-connections=40"]
        options += certificate.options()
        # A server that starts deletes the temporary tables that it finds: those of another one, if they share the folder.
        (folder / "tmp").mkdir()
        options.append(f"--tmpdir={folder}/tmp")
        if family == "mariadb":
            options += ["--innodb-log-file-size=8M", "--performance-schema=OFF", "--plugin-maturity=unknown"]
        else:
            options += ["--mysqlx=OFF", "--innodb-redo-log-capacity=64M", "--table-definition-cache=400", "--authentication-policy=*,,"]
            options += ["--partial-revokes=ON"]
        self.log = folder / "log"
        self._command = [*program_of(family), *options]
        self._start()

    def _start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self._wait()

    def restart(self):
        """The server was down; nothing is left of its memory."""
        self.stop()
        self._start()

    def _wait(self):
        deadline = time.monotonic() + 40
        while True:
            try:
                self.admin = pymysql.connect(
                    unix_socket=str(self.socket), user="root", password="", autocommit=True, charset="utf8mb4", cursorclass=pymysql.cursors.DictCursor
                )
                return
            except pymysql.err.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.family} does not start: {self.log.read_text(errors='replace')[-2000:]}") from None
                time.sleep(0.1)

    def prepare(self):
        """Accounts to log in with, plugins, and the objects that grants are about."""
        self.run(f"CREATE USER operator@'%' IDENTIFIED BY '{PASSWORD}'", "GRANT ALL ON *.* TO operator@'%' WITH GRANT OPTION")
        self.run(f"CREATE USER master@'%' IDENTIFIED BY '{PASSWORD}'", f"GRANT {MASTER_RIGHTS} ON *.* TO master@'%' WITH GRANT OPTION")
        if self.family == "mysql":
            self.run("INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'", "INSTALL PLUGIN mysql_no_login SONAME 'mysql_no_login.so'")
            self.run("GRANT PROXY ON ''@'' TO operator@'%' WITH GRANT OPTION")
        else:
            self.run("INSTALL SONAME 'auth_ed25519'", "GRANT PROXY ON ''@'%' TO operator@'%' WITH GRANT OPTION")
        self.run(
            "CREATE DATABASE shop",
            "CREATE DATABASE app_db",
            "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20), `we,ird` INT, `pa)ren(` INT, `sel ON x TO y` INT)",
            "CREATE TABLE shop.Orders2 (id INT)",
            "INSERT INTO shop.orders (v) VALUES ('a'), ('b')",
            "CREATE DEFINER=root@localhost VIEW shop.open_orders AS SELECT id FROM shop.orders",
            "CREATE DEFINER=root@localhost PROCEDURE shop.same(a INT) SELECT a",
            "CREATE DEFINER=root@localhost FUNCTION shop.same(a INT) RETURNS INT DETERMINISTIC RETURN a + 1",
            "CREATE DEFINER=root@localhost PROCEDURE shop.MixedCase() SELECT 1",
            "CREATE DEFINER=root@localhost EVENT shop.nightly ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 00:00:00' DISABLE DO DELETE FROM shop.Orders2",
        )
        # As on RDS, where the master user may not KILL others' sessions.
        self.run("CREATE DEFINER=root@localhost PROCEDURE mysql.rds_kill(thread BIGINT) KILL thread")
        self.run("CREATE DEFINER=root@localhost TRIGGER shop.up BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.v = UPPER(NEW.v)")

    def run(self, *statements: str):
        """Each statement as root; rows of the last one."""
        with self.admin.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def run_as_operator(self, *statements: str):
        """Each statement as the login of the sync: on MariaDB only the creator of a role may give it on."""
        with self.connect("operator") as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def connect(self, user: str, **more):
        """A connection of that user."""
        return pymysql.connect(
            host=self.address, user=user, password=PASSWORD, autocommit=True, charset="utf8mb4", cursorclass=pymysql.cursors.DictCursor, **more
        )

    def login(self, user: str = "operator", **more) -> dict:
        return dict(login_host=self.address, login_user=user, login_password=PASSWORD, connect_timeout=5, **more)

    def forget_accounts(self):
        """Only the accounts of a fresh, prepared server are left."""
        kept = ("root", "operator", "master", "mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys")
        if self.family == "mariadb":
            self.run("DELETE FROM mysql.db WHERE User = 'PUBLIC'", "FLUSH PRIVILEGES")
            for row in self.run("SELECT User, Host, JSON_VALUE(Priv, '$.is_role') AS is_role FROM mysql.global_priv"):
                if row["User"] not in kept and (row["User"] != "PUBLIC" or not row["is_role"]):
                    with self.admin.cursor() as cursor:
                        if row["is_role"]:
                            cursor.execute("DROP ROLE " + "`" + row["User"].replace("`", "``") + "`")
                        else:
                            cursor.execute("DROP USER %s@%s", (row["User"], row["Host"]))
        else:
            for row in self.run("SELECT User, Host FROM mysql.user"):
                if row["User"] not in kept:
                    with self.admin.cursor() as cursor:
                        cursor.execute("DROP USER %s@%s", (row["User"], row["Host"]))

    def stop(self):
        self.admin.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def make_pristine(family: str, folder: pathlib.Path) -> pathlib.Path:
    """An initialised data folder."""
    data = folder / "pristine"
    program = program_of(family)
    if family == "mysql":
        command = [*program, "--user=root", "--initialize-insecure", f"--datadir={data}", "--skip-log-bin", "--innodb-redo-log-capacity=64M"]
        subprocess.run(command, check=True, capture_output=True)
        return data
    data.mkdir()
    described = subprocess.run([*program, "--verbose", "--help"], capture_output=True, text=True, check=True).stdout
    share = pathlib.Path(re.search(r"^lc-messages-dir\s+(\S+)", described, re.MULTILINE)[1])
    text = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"
    for name in MARIADB_SCRIPTS.split():
        # From 11 on they are called otherwise; 10.5 has not got the last one.
        found = [script for script in (share / name, share / name.replace("mysql_", "mariadb_")) if script.exists()]
        text += "".join(script.read_text(encoding="utf-8") for script in found[:1])
    if "global_priv" not in text:
        raise RuntimeError(f"no scripts that make MariaDB's grant tables in {share}")
    command = [*program, "--bootstrap", "--user=root", f"--datadir={data}", "--innodb-log-file-size=8M", "--enforce-storage-engine="]
    with tempfile.TemporaryDirectory(dir=folder) as temporary:  # for the same reason as that of a server above
        command += ["--max-allowed-packet=16M", f"--tmpdir={temporary}"]
        made = subprocess.run(command, input=text, text=True, check=False, capture_output=True)
    if made.returncode:
        raise RuntimeError(f"MariaDB does not make its grant tables: {made.stderr[-2000:]}")
    return data


def free_network() -> str:
    """Three numbers of an address under which nobody serves databases, such as another run of these tests."""
    for number in range(240):
        network = f"127.77.{10 + (os.getpid() + number) % 240}"
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind((f"{network}.1", 3306))
                two.bind((f"{network}.2", 3306))
            except OSError:
                continue
            return network
    raise RuntimeError("every 127.77.x.1:3306 is in use")
