# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""One PostgreSQL server over psycopg (version 3): connect, ask, tell. What to say is decided elsewhere."""

from __future__ import annotations

import os
import secrets as random_text
import time
import traceback

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    ConnectionLostError,
    EncryptionError,
    NotReachedError,
    StatementError,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.postgresql_server import OWN_APPLICATION
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.tls import RDS_BUNDLE, ssl_mode_of

try:
    import psycopg
    import psycopg.rows

    PSYCOPG_IMPORT_ERROR = None
except ImportError:
    psycopg = None
    PSYCOPG_IMPORT_ERROR = traceback.format_exc()

_SECONDS_BETWEEN_ATTEMPTS = 1.0
# libpq tells no SQLSTATE of a refused login. Without one of the first nobody looked at the login; with one of the second the server is not ready.
_REFUSED = ("FATAL", "certificate", "does not support SSL")
_NOT_READY = (
    "starting up",
    "shutting down",
    "not yet accepting",
    "not accepting connections",
    "recovery mode",
    "too many clients",
    "remaining connection slots",
)
_HINTS = (
    ("password authentication failed", "wrong user or password; it is not tried again"),
    ("PAM authentication failed", "the user is a member of rds_iam, which logs in by IAM token only; name another user"),
    ("no pg_hba.conf entry", "the server wants TLS (rds.force_ssl) or another address: set ssl_mode to require, or give ca_cert"),
    ("does not exist", "no such user or database; is login_db right?"),
    ("does not match host name", "the certificate is another server's: connect by the name of the endpoint; ssl_mode: verify-ca leaves the name out"),
    ("certificate", f"ca_cert does not hold the CA that signed the certificate, or it has expired; RDS's bundle is {RDS_BUNDLE}"),
    ("SSL", "client and server do not agree on TLS, or somebody in between hides it; ssl_mode: prefer would take an open connection"),
)
_NOT_REACHED_HINT = "is the security group open for this machine, and is the instance available?"
LOST = "connection lost"
_ROLES = ("pg_read_all_stats", "pg_signal_backend")
_ANY_DATABASE_LIMIT = 200


class Server:
    """A connection to one database of a server, with what the server says of itself in ``facts``.

    :param login: keyword arguments of ``psycopg.connect`` for place, user, password, database and TLS.
    :param label: how messages call the server.
    :param connect_timeout: seconds during which an unreachable server is tried again.
    """

    def __init__(self, login: dict, label: str, connect_timeout: float = 30):
        if psycopg is None:
            raise EncryptionError(missing_required_lib("psycopg"), exception=PSYCOPG_IMPORT_ERROR)
        self.label = label
        self._login = login
        self._connect_timeout = connect_timeout
        self._connection = None
        self.facts: dict = {}
        self.instance = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self) -> None:
        """Gone, without a complaint if the server was faster."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg.Error:
                pass

    def connect(self) -> "Server":
        """Logged in, facts read.

        An unreachable or starting server is tried again until ``connect_timeout`` (DNS lags after a rename); a refused login never is.
        """
        deadline = time.monotonic() + self._connect_timeout
        while True:
            remaining = deadline - time.monotonic()
            try:
                self._connection = psycopg.connect(
                    autocommit=True,
                    prepare_threshold=None,  # poolers such as PgBouncer and RDS Proxy know no prepared statements
                    row_factory=psycopg.rows.dict_row,
                    application_name=OWN_APPLICATION,
                    client_encoding="utf8",  # a database without an encoding (SQL_ASCII) would answer in bytes
                    connect_timeout=max(2, min(10, int(remaining) or 1)),
                    **self._login,
                )
                break
            except psycopg.Error as e:
                words = _words(e)
                if _is_refused(words) or time.monotonic() + _SECONDS_BETWEEN_ATTEMPTS >= deadline:
                    raise self._login_failure(words) from None
            except (OSError, ValueError) as e:
                raise StatementError(f"{self._where()}: connecting failed: {e}.", next_step="correct the connection options.") from None
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        first = self.rows(
            "SELECT current_user AS account, current_setting('server_version') AS version, pg_is_in_recovery() AS in_recovery, pg_backend_pid() AS pid"
        )[0]
        self.facts = dict(first)
        return self

    def reconnect(self) -> None:
        """A fresh connection with the same login."""
        self.close()
        self.connect()

    def in_database(self, name: str) -> "Server":
        """A connection of the same login to another database of the same server."""
        other = Server({**self._login, "dbname": name}, self.label, connect_timeout=min(self._connect_timeout, 10))
        other.instance = self.instance
        return other.connect()

    def rows(self, sql: str, parameters: dict | None = None) -> list[dict]:
        """All rows of one query."""
        if self._connection is None:
            raise ConnectionLostError(f"{self._where()}: not connected.", LOST)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())
        except psycopg.Error as e:
            code = LOST if self._connection.closed or self._connection.broken else e.sqlstate or ""
            kind = ConnectionLostError if code == LOST else StatementError
            raise kind(f"{self._where()}: {_words(e)}", code) from None
        except UnicodeDecodeError:
            raise StatementError(f"{self._where()}: a name in the catalogue is not UTF-8, and the database has no encoding.") from None

    @property
    def tls(self) -> str:
        """``verified``, ``unverified`` or ``none``: what protects the connection."""
        if self._connection is None or not self._connection.pgconn.ssl_in_use:
            return "none"
        return "verified" if self._login["sslmode"].startswith("verify") else "unverified"

    def lost(self, error: StatementError) -> bool:
        """Whether that error means that the connection, not the statement, is at fault."""
        return error.code == LOST

    def _where(self) -> str:
        return f"{self.label} ({self._login.get('host') or 'localhost'}:{self._login.get('port', 5432)})"

    def _login_failure(self, words: str) -> StatementError:
        hint = next((hint for text, hint in _HINTS if text in words), None if _is_refused(words) else _NOT_REACHED_HINT)
        problem = f"{self._where()}: no login as '{self._login.get('user')}' to database '{self._login.get('dbname')}': {words}"
        kind = StatementError if _is_refused(words) else NotReachedError
        return kind(problem, next_step=f"{hint[0].upper()}{hint[1:]}{'' if hint.endswith('?') else '.'}" if hint else None)


def login_arguments(options: dict, *, host, port, socket, user, password) -> dict:
    """``psycopg.connect`` arguments of one connection dict after its login was chosen.

    :raises EncryptionError: if a file that the options name is not there.
    """
    arguments: dict = {"host": socket or host, "port": int(port), "user": user, "dbname": options.get("login_db") or "postgres"}
    if password is not None:
        arguments["password"] = password
    for option, name in (("ca_cert", "sslrootcert"), ("client_cert", "sslcert"), ("client_key", "sslkey")):
        path = options.get(option)
        if not path:
            continue
        if not os.path.exists(os.path.expanduser(path)):
            raise EncryptionError(f"The file {path} given as {option} does not exist on this machine.", next_step=f"correct {option}.")
        arguments[name] = os.path.expanduser(path)
    return dict(arguments, sslmode=ssl_mode_of(options, socket))


def same_server(one: Server, other: Server) -> bool:
    """Whether two sessions of one database are of one server: a lock that one of them has is refused to the other.

    The system identifier proves nothing: a restored copy has that of its source.
    """
    key = random_text.randbits(62)
    one.rows("SELECT pg_advisory_lock(%(key)s)", {"key": key})
    try:
        got = other.rows("SELECT pg_try_advisory_lock(%(key)s) AS got", {"key": key})[0]["got"]
        if got:
            other.rows("SELECT pg_advisory_unlock(%(key)s)", {"key": key})
        return not got
    finally:
        one.rows("SELECT pg_advisory_unlock(%(key)s)", {"key": key})


def look_at_sessions(server: Server) -> dict:
    """Rows of all databases: ``sessions``, ``prepared`` transactions, logical replication ``slots``, and what could not be seen (``blind``).

    The texts of statements are never asked for: they may hold anything.
    """
    sessions = server.rows(
        "SELECT pid, datname, usename, application_name, host(client_addr) AS client_addr, backend_type, state, backend_start::text AS backend_start,"
        " xact_start IS NOT NULL AS in_transaction FROM pg_catalog.pg_stat_activity ORDER BY pid"
    )
    blind = []
    prepared: list[str] = []
    slots: list[dict] = []
    try:
        found = server.rows("SELECT gid, database, owner FROM pg_catalog.pg_prepared_xacts ORDER BY prepared")
        prepared = [f"{row['gid'].encode('unicode_escape').decode()} of {row['owner']} in {row['database']}" for row in found]
    except StatementError as e:
        if server.lost(e):
            raise
        blind.append("prepared transactions")
    try:
        slots = server.rows(
            "SELECT slot_name, plugin, database, active FROM pg_catalog.pg_replication_slots"
            " WHERE slot_type = 'logical' AND NOT temporary ORDER BY slot_name"
        )
    except StatementError as e:
        if server.lost(e):
            raise
        blind.append("replication slots")
    return dict(own_id=server.facts["pid"], sessions=sessions, prepared=prepared, slots=slots, blind=tuple(blind))


def kill_session(server: Server, pid: int, started: str) -> bool:
    """Whether that session was there to be ended; another one with the same process id is left alone."""
    ended = server.rows(
        "SELECT pg_catalog.pg_terminate_backend(pid) AS ended FROM pg_catalog.pg_stat_activity"
        " WHERE pid = %(pid)s AND backend_start::text = %(started)s",
        dict(pid=pid, started=started),
    )
    return any(row["ended"] for row in ended)


def rights(server: Server) -> dict[str, bool]:
    """Which of the server's predefined roles the login has the rights of; a superuser has all."""
    found = server.rows(
        "SELECT rolname, pg_catalog.pg_has_role(current_user, oid, 'USAGE') AS held FROM pg_catalog.pg_roles WHERE rolname = ANY(%(names)s)",
        dict(names=list(_ROLES)),
    )
    return {row["rolname"]: row["held"] for row in found}


def login_report(server: Server) -> dict:
    """What a migration should know of the server: of each database what a copy changes or starts.

    A replica holds what its source holds, and is not asked.
    """
    if server.facts["in_recovery"]:
        return dict(in_recovery=True, databases=[], blind=())
    databases, blind = in_each_database(server, _database_report)
    return dict(in_recovery=False, databases=[dict(report, name=name) for name, report in databases.items()], blind=tuple(blind))


def subscriptions(server: Server) -> list[dict]:
    """The subscriptions of all databases."""
    return server.rows(
        "SELECT subname, subenabled, datname FROM pg_catalog.pg_subscription AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid ORDER BY subname"
    )


def last_writes(server: Server) -> dict[str, int]:
    """How many rows of each table of each database were written since counting began; what a session wrote counts when it ends at the latest."""
    found, unused = in_each_database(
        server,
        lambda database: database.rows(
            "SELECT format('%%I.%%I', schemaname, relname) AS name, n_tup_ins + n_tup_upd + n_tup_del AS rows FROM pg_catalog.pg_stat_user_tables", {}
        ),
    )
    return {f"{name}.{row['name']}": row["rows"] for name, rows in found.items() for row in rows}


def in_each_database(server: Server, ask) -> tuple[dict, list[str]]:
    """The answers of ``ask(server)`` by database, of all that the login may connect to; and what could not be asked."""
    names = [
        row["datname"]
        for row in server.rows(
            "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin'"
            " AND pg_catalog.has_database_privilege(oid, 'CONNECT') ORDER BY datname"
        )
    ]
    answers, blind = {}, []
    for name in names[:_ANY_DATABASE_LIMIT]:
        try:
            with server.in_database(name) as database:
                answers[name] = ask(database)
        except StatementError as e:
            blind.append(f"database {name} ({e.problem})")
    if len(names) > _ANY_DATABASE_LIMIT:
        blind.append(f"{len(names) - _ANY_DATABASE_LIMIT} more databases")
    return answers, blind


def _database_report(database: Server) -> dict:
    def names(sql: str) -> list[str]:
        return [row["name"] for row in database.rows(sql)]

    cron_jobs = None
    if names("SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname = 'pg_cron'"):
        try:
            cron_jobs = len(names("SELECT jobid AS name FROM cron.job WHERE active"))
        except StatementError as e:
            if database.lost(e):
                raise
            cron_jobs = 0
    return dict(
        unlogged=names("SELECT oid::regclass::text AS name FROM pg_catalog.pg_class WHERE relpersistence = 'u' AND relkind = 'r' ORDER BY 1"),
        publications=names("SELECT pubname AS name FROM pg_catalog.pg_publication ORDER BY 1"),
        cron_jobs=cron_jobs,
        foreign_servers=database.rows(
            "SELECT srvname, fdwname, (SELECT substr(option, 6) FROM unnest(srvoptions) AS option WHERE option LIKE 'host=%%' LIMIT 1) AS host,"
            " (SELECT count(*) FROM pg_catalog.pg_user_mappings AS m WHERE m.srvid = s.oid) AS mappings"
            " FROM pg_catalog.pg_foreign_server AS s JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw ORDER BY srvname",
            {},
        ),
    )


def _is_refused(words: str) -> bool:
    return any(text in words for text in _REFUSED) and not any(text in words for text in _NOT_READY)


def _words(error) -> str:
    """The server's text in one line; psycopg never puts a password into it."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    # With ssl_mode prefer libpq tries twice, and says the same twice.
    text = primary or " ".join(dict.fromkeys(" ".join(line.split()) for line in str(error).splitlines()))
    return f"{text} (SQLSTATE {error.sqlstate})" if error.sqlstate else text
