# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""One MySQL or MariaDB server over PyMySQL: connect, ask, tell. What to say is decided elsewhere."""

from __future__ import annotations

import functools
import math
import os
import secrets as random_text
import ssl
import time
import traceback

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    ConnectionLostError,
    EncryptionError,
    NotReachedError,
    StatementError,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import CONNECTION_LOST, ServerFacts, facts_from
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.tls import RDS_BUNDLE, ssl_mode_of

try:
    import pymysql
    import pymysql.connections
    import pymysql.cursors
    from pymysql.constants import CLIENT

    PYMYSQL_IMPORT_ERROR = None
except ImportError:
    pymysql = CLIENT = None
    PYMYSQL_IMPORT_ERROR = traceback.format_exc()

# Client errors that a name not yet in DNS, a closed port or a server that is just starting cause; the login was not looked at.
NOT_REACHED = frozenset({2002, 2003, 2005, 2006, 2013, 2055, 1040, 1053})
_NO_TLS = 2026
_SECONDS_BETWEEN_ATTEMPTS = 1.0
# Seconds that a statement has in any case.
_LEAST_PATIENCE = 0.1

_HINTS = {
    1044: "the login lacks a right on that schema",
    1045: "wrong user or password, or the account requires TLS or another host; it is not tried again, so that the account is not locked",
    1049: "no such schema",
    1130: "no account of the server fits this client's address",
    1251: "the account's plugin needs a newer client",
    1524: "the account's authentication plugin is not active on the server",
    1698: "the account logs in by socket or certificate, not by password",
    1862: "the password has expired",
    2013: "is the security group open for this machine? The server, or what stands before it, took the connection and said nothing",
    2003: "is the security group open for this machine, and is the instance available?",
    2026: "the server offers no TLS on this port, or somebody in between hides it; ssl_mode: prefer would take an open connection",
    3159: "the server wants TLS; take ssl_mode: disable away",
    3118: "the account is locked",
    3955: "the account is locked after failed logins",
    4151: "the account is locked",
}


class Server:
    """A connection that knows its server's :class:`ServerFacts`.

    :param login: keyword arguments of ``pymysql.connect`` for place, user and password.
    :param label: how messages call the server.
    :param connect_timeout: seconds during which an unreachable server is tried again.
    """

    def __init__(self, login: dict, label: str, connect_timeout: float = 30):
        if pymysql is None:
            raise EncryptionError(missing_required_lib("PyMySQL"), exception=PYMYSQL_IMPORT_ERROR)
        self.label = label
        login = dict(login)
        self._login = login
        self._connect_timeout = connect_timeout
        self._ssl_mode = login.pop("ssl_mode", "prefer")
        self._connection = None
        self._until: float | None = None
        self._oracle = False
        self.round_trips = 0
        self.facts: ServerFacts | None = None
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
            except pymysql.err.Error:
                pass

    def connect(self) -> "Server":
        """Logged in, session settings made, facts read.

        An unreachable server is tried again until ``connect_timeout`` (DNS lags after a rename); a refused login never is.
        """
        deadline = min(time.monotonic() + self._connect_timeout, self._until or math.inf)
        while True:
            remaining = deadline - time.monotonic()
            try:
                self._connection = _connect(
                    self._ssl_mode,
                    charset="utf8mb4",
                    autocommit=True,
                    connect_timeout=max(1, min(10, int(remaining) or 1)),
                    cursorclass=pymysql.cursors.DictCursor,
                    program_name="dbre.rds_encryption",
                    **self._login,
                )
                break
            except pymysql.err.MySQLError as e:
                code = _code(e)
                if isinstance(getattr(e, "original_exception", None), ssl.SSLError):
                    raise self._tls_failure(e.original_exception) from None
                if code not in NOT_REACHED or time.monotonic() + _SECONDS_BETWEEN_ATTEMPTS >= deadline:
                    raise self._login_failure(e) from None
            except (OSError, ValueError, RuntimeError) as e:
                raise StatementError(f"{self._where()}: connecting failed: {e}.", next_step="correct the connection options.") from None
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        self._begin_session()
        return self

    def hurry(self, seconds: float) -> None:
        """A statement that is not answered in so many seconds from now on, all of them together, loses the connection.

        The server may still carry it out.
        """
        self._until = time.monotonic() + seconds

    def reconnect(self) -> None:
        """A fresh connection with the same login."""
        self.close()
        self.connect()

    def rows(self, sql: str) -> list[dict]:
        """All rows of one query, column names in lower case, byte strings that are text decoded."""
        return [{name.lower(): _text(value) for name, value in row.items()} for row in self._send(sql)]

    def execute(self, sql: str, secrets: tuple[str, ...] = (), oracle_mode: bool = False) -> list[dict]:
        """The statement is carried out; rows of its first result, if any.

        :param secrets: parts of the statement that no error message may show.
        :param oracle_mode: MariaDB understands ``ON PACKAGE`` only while ``sql_mode`` contains ``ORACLE``.
        """
        if oracle_mode != self._oracle:
            self._send(f"SET SESSION sql_mode = '{self._sql_mode()}{',ORACLE' if oracle_mode else ''}'")
            self._oracle = oracle_mode
        return self._send(sql, secrets)

    def _send(self, sql: str, secrets: tuple[str, ...] = ()) -> list[dict]:
        if self._connection is None:
            raise ConnectionLostError(f"{self._where()}: not connected.", 2006)
        self.round_trips += 1
        if self._until is not None:
            self._connection._read_timeout = max(_LEAST_PATIENCE, self._until - time.monotonic())
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                rows = list(cursor.fetchall() or ())
                while cursor.nextset():  # a CALL ends with an empty result of its own
                    pass
                return rows
        except pymysql.err.MySQLError as e:
            kind = ConnectionLostError if _code(e) in CONNECTION_LOST else StatementError
            raise kind(f"{self._where()}: {_words(e, secrets)}", _code(e)) from None
        except (OSError, UnicodeDecodeError) as e:
            raise ConnectionLostError(f"{self._where()}: the connection failed: {type(e).__name__}", 2013) from None

    def successor(self, kind: type, several_statements: bool = False) -> "Server":
        """Another session of that class with the same login, not connected yet.

        :param several_statements: whether the server takes several statements in one round trip.
        """
        flags = {"client_flag": CLIENT.MULTI_STATEMENTS} if several_statements else {}
        fresh = kind({**self._login, "ssl_mode": self._ssl_mode, **flags}, self.label, self._connect_timeout)
        fresh.instance = self.instance
        return fresh

    def send_many(self, statements: list[str], secrets: tuple[str, ...] = (), oracle_mode: bool = False) -> tuple[int, StatementError | None]:
        """Carried out in order, in one round trip, up to the first that the server refuses: how many were done, and the refusal.

        Only for a session that was opened for several statements.
        """
        if oracle_mode != self._oracle:
            self.execute("DO 0", oracle_mode=oracle_mode)
        self.round_trips += 1
        done = 0
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(";\n".join(statements))
                done = 1
                while cursor.nextset():
                    done += 1
            return done, None
        except pymysql.err.MySQLError as e:
            # What the server could not parse it quotes, with what comes after it: the words may hold any secret of the packet.
            return done, StatementError(f"{self._where()}: {_words(e, secrets)}", _code(e))
        except (OSError, UnicodeDecodeError) as e:
            return done, StatementError(f"{self._where()}: the connection failed: {type(e).__name__}", 2013)

    def lost(self, error: StatementError) -> bool:
        """Whether that error means that the connection, not the statement, is at fault."""
        return error.code in CONNECTION_LOST

    def _begin_session(self) -> None:
        self._oracle = False
        self.facts = None
        first = self._send(
            "SELECT CURRENT_USER() AS cu, @@version AS v, @@version_comment AS vc, @@global.read_only AS ro, CONNECTION_ID() AS id"
        )[0]
        user, _at, host = _text(first["cu"]).rpartition("@")
        self.facts = facts_from(
            str(first["v"]),
            str(first["vc"]),
            label=self.label,
            current_user=(user, host),
            connection_id=int(first["id"]),
            read_only=str(first["ro"]).upper() not in ("0", "OFF"),
        )
        asked = self._login.get("user")
        if asked and user != asked:
            raise StatementError(
                f"{self._where()}: logged in as '{asked}', but the server took it for '{user}'@'{host}', an account that has other rights.",
                next_step="an anonymous or more specific account stands in the way; drop or rename it, or connect from another address.",
            )
        self._send(f"SET SESSION sql_quote_show_create = 1, SESSION sql_mode = '{self._sql_mode()}'")
        if self.facts.can("set_role_all"):
            self._send("SET ROLE ALL")
        if self.facts.can("hex_hash"):
            self._send("SET SESSION print_identified_with_as_hex = 1")

    def _sql_mode(self) -> str:
        # Without it a GRANT to a name that does not exist would create an account without a password.
        return "NO_AUTO_CREATE_USER" if self.facts.can("auto_creates_users") else ""

    def _where(self) -> str:
        place = self._login.get("unix_socket") or f"{self._login.get('host', 'localhost')}:{self._login.get('port', 3306)}"
        return f"{self.label} ({place})"

    @property
    def offers_tls(self) -> bool:
        """Whether the server said, when it was connected to, that it can encrypt."""
        return bool(getattr(self._connection, "server_capabilities", 0) & CLIENT.SSL)

    @property
    def tls(self) -> str:
        """``verified``, ``unverified`` or ``none``: what protects the connection."""
        if not isinstance(getattr(self._connection, "_sock", None), ssl.SSLSocket):
            return "none"
        return "verified" if self._ssl_mode.startswith("verify") else "unverified"

    def _tls_failure(self, error: ssl.SSLError) -> StatementError:
        """A certificate that does not prove who the server is, in words; the login was not sent."""
        reason = getattr(error, "verify_message", None) or error.reason or str(error)
        host = self._login.get("host")
        if getattr(error, "verify_code", None) in _NAME_MISMATCH:
            hint = (
                f"the certificate is another server's, or names {host} otherwise: connect by the name of the endpoint; "
                "ssl_mode: verify-ca leaves the name out"
            )
        elif isinstance(error, ssl.SSLCertVerificationError):
            hint = (
                f"ca_cert ({self._login.get('ssl', {}).get('ca')}) does not hold the CA that signed the certificate, or it has expired; RDS's bundle "
                f"is {RDS_BUNDLE}"
            )
        else:
            hint = "client and server do not agree on TLS; see which versions the parameter tls_version of its group allows"
        problem = f"{self._where()}: no login as '{self._login.get('user')}': TLS failed: {reason}"
        return StatementError(problem, _NO_TLS, next_step=f"{hint[0].upper()}{hint[1:]}.")

    def _login_failure(self, error) -> StatementError:
        code = _code(error)
        hint = _HINTS.get(code)
        problem = f"{self._where()}: no login as '{self._login.get('user') or 'the user of the configuration file'}': {_words(error)}"
        kind = NotReachedError if code in NOT_REACHED else StatementError
        return kind(problem, code, next_step=f"{hint[0].upper()}{hint[1:]}." if hint else None)


def login_arguments(options: dict, *, host, port, socket, user, password) -> dict:
    """``pymysql.connect`` arguments of one connection dict after its login was chosen.

    :raises EncryptionError: if a file that the options name is not there.
    """
    arguments: dict = {"unix_socket": socket} if socket else {"host": host, "port": int(port)}
    if user is not None:
        arguments["user"] = user
    if password is not None:
        arguments["password"] = password
    for option in ("config_file", "ca_cert", "client_cert", "client_key"):
        path = options.get(option)
        if path and not os.path.exists(os.path.expanduser(path)):
            raise EncryptionError(f"The file {path} given as {option} does not exist on this machine.", next_step=f"correct {option}.")
    if options.get("config_file"):
        arguments["read_default_file"] = os.path.expanduser(options["config_file"])
    return arguments | _tls_arguments(options, socket)


def _tls_arguments(options: dict, socket: str | None) -> dict:
    """How the connection is protected; libpq's words, as for PostgreSQL.

    :raises RefusedError: if the options contradict each other.
    """
    mode = ssl_mode_of(options, socket)
    ca = options.get("ca_cert")
    if mode == "disable":
        return dict(ssl_mode=mode, ssl_disabled=True)
    files = {"ca": ca, "cert": options.get("client_cert"), "key": options.get("client_key")}
    tls = {name: os.path.expanduser(path) for name, path in files.items() if path}
    # Without a CA PyMySQL verifies nothing; it must be told something, or it takes an empty dict for no TLS at all.
    tls["check_hostname"] = mode == "verify-full"
    tls["verify_mode"] = "required" if ca else "none"
    return dict(ssl_mode=mode, ssl=tls)


def _connect(ssl_mode: str, **arguments):
    """A connection as ``pymysql.connect`` makes it, and never without TLS where TLS is demanded.

    PyMySQL before 2.0 logs in openly, whatever ``ssl`` says, when the server (or whoever answers in its place) offers no TLS.
    """

    class Guarded(pymysql.connections.Connection):
        """A connection that looks at the server's offer before it says who it is."""

        def _request_authentication(self):
            if ssl_mode not in ("disable", "prefer") and not self.server_capabilities & CLIENT.SSL:
                raise pymysql.err.OperationalError(_NO_TLS, "TLS is demanded, and the server offers none")
            super()._request_authentication()

    # What stands of TLS in an option file PyMySQL adds to options, and not to what was made of them.
    if "ssl" in arguments and "read_default_file" not in arguments:
        arguments["ssl"] = _tls_context(**arguments["ssl"])

    def connected(**how):
        # A server that accepts and says nothing (a proxy, a firewall in between) must not hold the login for ever; a query may take its time.
        connection = Guarded(read_timeout=arguments["connect_timeout"], **how)
        connection._read_timeout = None
        connection._sock.settimeout(None)
        return connection

    try:
        return connected(**arguments)
    except pymysql.err.OperationalError as e:
        no_tls = _code(e) == _NO_TLS or isinstance(getattr(e, "original_exception", None), ssl.SSLError)
        if ssl_mode != "prefer" or not no_tls:
            raise
    return connected(**{name: value for name, value in arguments.items() if name != "ssl"}, ssl_disabled=True)


@functools.lru_cache(maxsize=8)
def _tls_context(*, verify_mode: str, check_hostname: bool, ca: str | None = None, cert: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """What PyMySQL would make of the same options for each connection, where it would load all certificates of the system, for nothing, each time.

    :raises OSError: if a file cannot be used.
    """
    context = ssl.create_default_context(cafile=ca) if ca else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificates that MySQL makes for itself do not pass what Python 3.13 is strict about.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = check_hostname and bool(ca)
    context.verify_mode = ssl.CERT_REQUIRED if verify_mode == "required" else ssl.CERT_NONE
    if cert:
        context.load_cert_chain(cert, keyfile=key)
    return context


def look_at_sessions(server: Server) -> dict:
    """The process list, prepared XA transactions and open InnoDB transactions, and what could not be seen (``blind``)."""
    blind = []
    rows = server.rows("SHOW FULL PROCESSLIST")
    prepared: list[str] = []
    try:
        prepared = [str(row["data"]).encode("unicode_escape").decode() for row in server.rows("XA RECOVER")]
    except StatementError as e:
        if server.lost(e):
            raise
        blind.append("prepared XA transactions (XA_RECOVER_ADMIN is missing)")
    transactions: list[tuple[int, int]] = []
    try:
        transactions = [
            (int(row["trx_mysql_thread_id"]), int(row["trx_rows_modified"]))
            for row in server.rows("SELECT trx_mysql_thread_id, trx_rows_modified FROM information_schema.innodb_trx")
        ]
    except StatementError as e:
        if server.lost(e):
            raise
        blind.append("open InnoDB transactions")
    return dict(rows=rows, own_id=server.facts.connection_id, prepared=prepared, transactions=transactions, blind=tuple(blind))


def same_server(one: Server, other: Server) -> bool:
    """Whether two sessions are of one server: a lock that one of them takes is seen by the other.

    Ids, UUIDs and host names prove nothing: a restored copy may have those of its source.
    """
    name = f"rds_encryption.{random_text.token_hex(8)}"
    one.rows(f"SELECT GET_LOCK('{name}', 0) AS got")
    try:
        return other.rows(f"SELECT IS_USED_LOCK('{name}') AS holder")[0]["holder"] is not None
    finally:
        one.rows(f"SELECT RELEASE_LOCK('{name}') AS released")


def kill_session(server: Server, session_id: int) -> bool:
    """Whether that session was there to be ended, by RDS's procedure, or by ``KILL`` on a server that has no such procedure."""
    try:
        try:
            server.execute(f"CALL mysql.rds_kill({int(session_id)})")
        except StatementError as e:
            if e.code != _NO_PROCEDURE:
                raise
            server.execute(f"KILL {int(session_id)}")
    except StatementError as e:
        if e.code == _NO_SUCH_THREAD:
            return False
        raise
    return True


def rights(server: Server) -> dict:
    """What a login can: its grants, and whether the tables of accounts can be read."""
    account_table = "mysql.global_priv" if server.facts.can("account_json") else "mysql.user"
    try:
        server.rows(f"SELECT COUNT(*) AS n FROM {account_table}, mysql.db WHERE 1 = 0")
        readable = True
    except StatementError as e:
        if server.lost(e):
            raise
        readable = False
    return dict(grants=[str(next(iter(row.values()))) for row in server.rows("SHOW GRANTS")], account_tables_readable=readable)


def login_report(server: Server) -> dict:
    """What a migration should know of the server: remarkable content."""
    return dict(
        foreign_engines=server.rows(
            "SELECT table_schema AS s, engine AS e, COUNT(*) AS n FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND engine IS NOT NULL"
            " AND engine <> 'InnoDB' AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'innodb')"
            " GROUP BY table_schema, engine ORDER BY table_schema, engine"
        ),
        event_scheduler=str(server.rows("SELECT @@global.event_scheduler AS v")[0]["v"]).upper(),
        enabled_events=[
            f"{row['s']}.{row['n']}"
            for row in server.rows("SELECT event_schema AS s, event_name AS n FROM information_schema.events WHERE status = 'ENABLED' ORDER BY s, n")
        ],
    )


# OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH.
_NAME_MISMATCH = (62, 64)
_NO_PROCEDURE = 1305
_NO_SUCH_THREAD = 1094


def _code(error) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _words(error, secrets: tuple[str, ...] = ()) -> str:
    """The server's text; of a statement with secrets only the part that cannot quote it."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    code = _code(error)
    if secrets:
        text = text.split(" near ", maxsplit=1)[0]
        for secret in secrets:
            text = text.replace(secret, "********")
    return f"{text} (error {code})"


def _text(value):
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", errors="surrogateescape")
    return value
