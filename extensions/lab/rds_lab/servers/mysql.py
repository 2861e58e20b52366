"""MySQL 8.4 and later."""
from __future__ import annotations

import contextlib
import time

import pymysql

from .base import BINARY_LOG
from .base import REPLICATOR
from .base import Server
from .base import lower

# [RDS User Guide: master user account privileges] without the role that carries them from 8.0.36 on.
GRANTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, "
    "LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, "
    "EVENT, TRIGGER, CREATE ROLE, DROP ROLE"
)
DYNAMIC_GRANTS = "APPLICATION_PASSWORD_ADMIN, ROLE_ADMIN, SET_ANY_DEFINER, XA_RECOVER_ADMIN"


class MySQLServer(Server):
    """A mysqld, which replicates by positions or, where both sides have gtid_mode=ON, by auto position."""

    engine = "mysql"
    log_updates_option = "--log-replica-updates"
    skip_replication_option = "--skip-replica-start"

    def lab_options(self) -> list[str]:
        # The buffers of the doublewrite area are 58 MB; a paused server's copy has no torn pages, and no power fails here.
        # Without synchronisation: what is written survives the death of the server, and the data do not survive the lab.
        return """
            --innodb-doublewrite=OFF --innodb-flush-method=nosync --innodb-use-native-aio=OFF
            --innodb-buffer-pool-size=5M --innodb-redo-log-capacity=16M --innodb-log-buffer-size=256K --key-buffer-size=64K
            --table-open-cache=64 --table-definition-cache=400 --max-connections=100 --open-files-limit=4096
            --innodb-read-io-threads=1 --innodb-write-io-threads=1 --innodb-purge-threads=1 --innodb-page-cleaners=1
            --innodb-buffer-pool-dump-at-shutdown=OFF --innodb-buffer-pool-load-at-startup=OFF
            --performance-schema=OFF --mysqlx=OFF --skip-name-resolve
            --replica-net-timeout=30 --relay-log-recovery=ON --replica-parallel-workers=2
        """.split()

    def master_grants(self, account: str) -> list[str]:
        return [f"GRANT {GRANTS} ON *.* TO {account} WITH GRANT OPTION", f"GRANT {DYNAMIC_GRANTS} ON *.* TO {account} WITH GRANT OPTION"]

    def recover(self, keep: bool) -> dict:
        with self.administration() as cursor:
            cursor.execute("SELECT @@GLOBAL.log_bin AS log_bin, @@GLOBAL.gtid_executed AS gtid")
            state = cursor.fetchone()
            position = {"gtid": state["gtid"].replace("\n", ""), "file": None, "position": None}
            if state["log_bin"]:
                # The start of this server opened a new file: the copy ends with the one before it.
                cursor.execute("SHOW BINARY LOGS")
                logs = cursor.fetchall()
                if len(logs) > 1:
                    position["file"], position["position"] = logs[-2]["Log_name"], logs[-2]["File_size"]
            if not keep:
                cursor.execute("RESET REPLICA ALL")
            if state["log_bin"]:
                cursor.execute("RESET BINARY LOGS AND GTIDS")
                if position["gtid"]:
                    cursor.execute("SET GLOBAL gtid_purged = %s", (position["gtid"],))
        return position

    def follow(self, source: Server, position: dict, delay: int) -> None:
        with self.administration() as cursor:
            cursor.execute("SELECT @@GLOBAL.gtid_mode AS mode")
            mine = cursor.fetchone()["mode"]
            with source.administration() as asked:
                asked.execute("SELECT @@GLOBAL.gtid_mode AS mode")
                automatic = mine == asked.fetchone()["mode"] == "ON"
            options = ["SOURCE_HOST = %s", "SOURCE_PORT = %s", "SOURCE_USER = %s", "SOURCE_PASSWORD = %s", "SOURCE_CONNECT_RETRY = 1",
                       "SOURCE_RETRY_COUNT = 86400", "SOURCE_HEARTBEAT_PERIOD = 5",
                       "GET_SOURCE_PUBLIC_KEY = 1", "SOURCE_DELAY = %s", f"SOURCE_AUTO_POSITION = {int(automatic)}"]
            values = [source.address, source.port, REPLICATOR, self.distribution.replicator_password, delay]
            if not automatic:
                options += ["SOURCE_LOG_FILE = %s", "SOURCE_LOG_POS = %s"]
                values += [position["file"] or f"{BINARY_LOG}.000001", position["position"] or 4]
            cursor.execute(f"CHANGE REPLICATION SOURCE TO {', '.join(options)}", values)
            cursor.execute("START REPLICA")

    def point_to(self, source: Server) -> None:
        """Replication goes on from ``source`` at its present address."""
        with self.administration() as cursor:
            stopped = self.replication_is_stopped()
            cursor.execute("STOP REPLICA")
            row = self.replica_rows()
            options, values = ["SOURCE_HOST = %s", "SOURCE_PORT = %s"], [source.address, source.port]
            if not int(row["Auto_Position"]):
                # a changed address would otherwise begin with the first file of the source
                options += ["SOURCE_LOG_FILE = %s", "SOURCE_LOG_POS = %s"]
                values += [row["Relay_Source_Log_File"], row["Exec_Source_Log_Pos"]]
            cursor.execute(f"CHANGE REPLICATION SOURCE TO {', '.join(options)}", values)
            if not stopped:
                cursor.execute("START REPLICA")

    def detach(self) -> None:
        with self.administration() as cursor:
            cursor.execute("STOP REPLICA")
            cursor.execute("RESET REPLICA ALL")

    def replica_rows(self) -> dict | None:
        with self.administration() as cursor:
            cursor.execute("SHOW REPLICA STATUS")
            return cursor.fetchone()

    def forget_identity(self) -> None:
        (self.data / "auto.cnf").unlink(missing_ok=True)

    def say_goodbye(self) -> None:
        # It gives its clients up to ten seconds, and a reboot of RDS does not ask them. It also sleeps two seconds when it
        # finds the thread of a connection that was just closed, hence the pause.
        deadline = time.monotonic() + 2
        with contextlib.suppress(pymysql.err.MySQLError), self.administration() as cursor:
            cursor.execute("SET GLOBAL offline_mode = ON")  # cuts them off and lets none come back; forgotten at the next start
            while time.monotonic() < deadline:
                cursor.execute("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user NOT IN ('system user', 'event_scheduler')")
                clients = [lower(row)["id"] for row in cursor.fetchall()]
                if not clients:
                    break
                for client in clients:
                    with contextlib.suppress(pymysql.err.MySQLError):
                        cursor.execute(f"KILL CONNECTION {int(client)}")
                time.sleep(0.01)
        time.sleep(0.1)
