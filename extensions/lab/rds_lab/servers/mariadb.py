"""MariaDB."""
from __future__ import annotations

import pathlib

from .base import REPLICATOR
from .base import Server
from .mariadb_log import cut_stale_tail

# [RDS User Guide: MariaDB security]: what the master user of RDS for MariaDB holds. REPLICATION CLIENT is called BINLOG
# MONITOR today. DELETE HISTORY, SLAVE MONITOR and all that was split off SUPER are not among them.
GRANTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, "
    "LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, "
    "EVENT, TRIGGER"
)


class MariaDBServer(Server):
    """A mariadbd, which replicates by global transaction ids as RDS does."""

    engine = "mariadb"
    log_updates_option = "--log-slave-updates"
    skip_replication_option = "--skip-slave-start"

    def lab_options(self) -> list[str]:
        # Without synchronisation: what is written survives the death of the server, and the data do not survive the lab.
        return """
            --innodb-flush-method=nosync --debug-no-sync --innodb-use-native-aio=OFF
            --innodb-buffer-pool-size=16M --innodb-log-file-size=8M --innodb-log-buffer-size=2M --key-buffer-size=64K
            --aria-pagecache-buffer-size=1M --query-cache-size=0
            --table-open-cache=200 --table-definition-cache=400 --max-connections=100 --open-files-limit=4096
            --innodb-read-io-threads=2 --innodb-write-io-threads=2
            --innodb-buffer-pool-dump-at-shutdown=OFF --innodb-buffer-pool-load-at-startup=OFF
            --performance-schema=OFF --skip-name-resolve --slave-net-timeout=30
            --plugin-load-add=auth_ed25519
        """.split()

    def master_grants(self, account: str) -> list[str]:
        return [f"GRANT {GRANTS} ON *.* TO {account} WITH GRANT OPTION"]

    def mend_copy(self, data: pathlib.Path) -> None:
        cut_stale_tail(data / "ib_logfile0")

    def recover(self, keep: bool) -> dict:
        with self.administration() as cursor:
            cursor.execute("SELECT @@GLOBAL.gtid_binlog_pos AS position")
            position = cursor.fetchone()["position"]
            if not keep:
                cursor.execute("RESET SLAVE ALL")
            if self.has_log_now(cursor):
                cursor.execute("FLUSH ENGINE LOGS")  # RESET MASTER waits for that, for up to a second
                cursor.execute("RESET MASTER")
        return {"gtid": position}

    @staticmethod
    def has_log_now(cursor) -> bool:
        cursor.execute("SELECT @@GLOBAL.log_bin AS value")
        return bool(cursor.fetchone()["value"])

    def follow(self, source: Server, position: dict, delay: int) -> None:
        with self.administration() as cursor:
            cursor.execute("SET GLOBAL gtid_slave_pos = %s", (position["gtid"],))
            cursor.execute(
                "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s, MASTER_PASSWORD = %s, MASTER_CONNECT_RETRY = 1, "
                "MASTER_HEARTBEAT_PERIOD = 5, MASTER_USE_GTID = slave_pos, MASTER_DELAY = %s",
                (source.address, source.port, REPLICATOR, self.distribution.replicator_password, delay))
            cursor.execute("START SLAVE")

    def point_to(self, source: Server) -> None:
        """Replication goes on from ``source`` at its present address."""
        with self.administration() as cursor:
            stopped = self.replication_is_stopped()
            cursor.execute("STOP SLAVE")
            cursor.execute("CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s", (source.address, source.port))
            if not stopped:
                cursor.execute("START SLAVE")

    def detach(self) -> None:
        with self.administration() as cursor:
            cursor.execute("STOP SLAVE")
            cursor.execute("RESET SLAVE ALL")

    def replica_rows(self) -> dict | None:
        with self.administration() as cursor:
            cursor.execute("SHOW SLAVE STATUS")
            row = cursor.fetchone()
        if row is None:
            return None
        return {name.replace("Slave_", "Replica_").replace("Master_", "Source_"): value for name, value in row.items()}
