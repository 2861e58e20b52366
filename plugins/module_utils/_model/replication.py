# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Replication of MySQL and MariaDB from outside of RDS: its verbs by version, its status, its positions, its errors; each by one table.

Sources: RDS User Guide "RDS for MySQL stored procedure reference" and "Working with GTID-based replication"; MySQL and MariaDB manuals,
SHOW REPLICA STATUS; tried on MySQL 9.7 and MariaDB 10.11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, TerminalStateError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB, MYSQL

# The login and the schema of the marker are called alike; 16 characters of id keep the login below MySQL's 32.
LINK_PREFIX = "rdsenc_"
LINK_USER = re.compile(LINK_PREFIX + "[a-z0-9]{1,16}", re.ASCII)
MARKER_TABLE = "marker"


def link_name(link_id: str) -> str:
    """The replication login of an attempt, and the schema of its marker."""
    return LINK_PREFIX + link_id


# -- verbs ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verbs:
    """How one version says it.

    :param end: the statement that shows the end of the server's own binary log.
    :param set_position: RDS's procedure that sets a source by file and position.
    :param set_gtid: the one that sets it by GTID; None where RDS has none.
    :param reset: the one that takes the source off.
    :param keep_definer: the privilege with which ``ALTER DEFINER = ... EVENT`` may name another account; None where only RDS itself holds it.
    """

    end: str
    set_position: str
    set_gtid: str | None
    reset: str
    keep_definer: str | None = None

    @property
    def procedures(self) -> tuple[str, ...]:
        """Every procedure that a link needs."""
        named = ("rds_show_configuration", "rds_set_configuration", "rds_stop_replication", "rds_start_replication", self.set_position, self.reset)
        return named + ((self.set_gtid,) if self.set_gtid else ())


# Family and first version; the last row that is not newer than the server counts.
_MASTER = dict(end="SHOW MASTER STATUS", set_position="rds_set_external_master", reset="rds_reset_external_master")
_SOURCE = dict(end="SHOW BINARY LOG STATUS", set_position="rds_set_external_source", reset="rds_reset_external_source")
_VERBS: tuple[tuple[str, tuple[int, ...], Verbs], ...] = (
    (MYSQL, (5, 7, 6), Verbs(**_MASTER, set_gtid="rds_set_external_master_with_auto_position")),
    (MYSQL, (8, 0, 0), Verbs(**_MASTER, set_gtid=None, keep_definer="SET_USER_ID")),
    (MYSQL, (8, 0, 26), Verbs(**_MASTER, set_gtid="rds_set_external_master_with_auto_position", keep_definer="SET_USER_ID")),
    (MYSQL, (8, 4, 0), Verbs(**_SOURCE, set_gtid="rds_set_external_source_with_auto_position", keep_definer="SET_ANY_DEFINER")),
    (MARIADB, (10, 4), Verbs(**_MASTER, set_gtid="rds_set_external_master_gtid")),
)


def verbs_of(family: str, version: tuple[int, ...]) -> Verbs | None:
    """The verbs of a server; None for one that is too old to be linked."""
    fitting = [verbs for known, since, verbs in _VERBS if known == family and version >= since]
    return fitting[-1] if fitting else None


# -- status --------------------------------------------------------------------------------------------------------------------------

# Ours -> how versions and rds_replica_status call it, in lower case; read by name, never by place. ``file`` and ``position`` are what was
# applied (Relay_*_Log_File with Exec_*): *_Log_File with Read_* is what was fetched.
_FIELDS: dict[str, tuple[str, ...]] = {
    "host": ("source_host", "master_host"),
    "port": ("source_port", "master_port"),
    "user": ("source_user", "master_user"),
    "receiver": ("replica_io_running", "slave_io_running"),
    "applier": ("replica_sql_running", "slave_sql_running"),
    "file": ("relay_source_log_file", "relay_master_log_file"),
    "position": ("exec_source_log_pos", "exec_master_log_pos"),
    "receiver_code": ("last_io_errno",),
    "receiver_error": ("last_io_error",),
    "applier_code": ("last_sql_errno", "last_errno"),
    "applier_error": ("last_sql_error", "last_error"),
    "source_server_id": ("source_server_id", "master_server_id"),
    "source_uuid": ("source_uuid", "master_uuid"),
    "auto_position": ("auto_position",),
    "using_gtid": ("using_gtid",),
    "delay": ("sql_delay",),
}
_ANY_FILTER = re.compile(r"^replicate_(wild_)?(do|ignore)_(db|table)$|^replicate_rewrite_db$")
# Schemas of the platform, which RDS's own replicas leave out table by table.
_PLATFORM_SCHEMAS = ("mysql", "sys", "innodb_memcache", "information_schema", "performance_schema")


@dataclass(frozen=True)
class ReplicaStatus:
    """One row of the replica status, of any version.

    :param file: with ``position``, the end of what was applied, in the source's binary log; empty if nobody knows (yet).
    :param by_gtid: the receiver asks by GTID, not by file and position.
    :param filters: what the applier leaves out besides tables of the platform, in words.
    """

    host: str
    port: int
    user: str
    receiver: str
    applier: str
    file: str = ""
    position: int = 0
    receiver_code: int = 0
    receiver_error: str = ""
    applier_code: int = 0
    applier_error: str = ""
    source_server_id: int = 0
    source_uuid: str = ""
    by_gtid: bool = False
    delay: int = 0
    filters: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether both threads run and the receiver is connected."""
        return self.receiver == self.applier == "Yes"

    @property
    def stopped(self) -> bool:
        """Whether neither thread runs."""
        return self.receiver == self.applier == "No"

    @property
    def threads(self) -> str:
        return f"receiver {self.receiver}, applier {self.applier}"


def status_from(row: dict) -> ReplicaStatus | None:
    """A status from a row with lower-case names; None for a row that names no source (MySQL leaves one behind a plain RESET)."""
    found = {ours: next((row[name] for name in names if row.get(name) is not None), "") for ours, names in _FIELDS.items()}
    if not str(found["host"]):
        return None
    numbers = ("port", "position", "receiver_code", "applier_code", "source_server_id", "delay")
    values: dict = {name: int(found[name] or 0) if name in numbers else str(found[name]) for name in found}
    by_gtid = values.pop("auto_position") == "1"
    by_gtid = values.pop("using_gtid").lower() not in ("", "no") or by_gtid
    return ReplicaStatus(**values, by_gtid=by_gtid, filters=_filters(row))


def _filters(row: dict) -> tuple[str, ...]:
    found = []
    for name, value in row.items():
        if _ANY_FILTER.match(name) and value:
            parts = [part.strip() for part in str(value).split(",") if part.strip()]
            if "_ignore_" in name:
                parts = [part for part in parts if part.split(".")[0] not in _PLATFORM_SCHEMAS]
            found += [f"{name} {part}" for part in parts]
    return tuple(found)


# -- positions -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Position:
    """A place in a server's binary log.

    :param gtid: the GTID set that was executed up to there (MySQL), or the GTID position (MariaDB); None where GTIDs are off.
    """

    file: str
    position: int
    gtid: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.position}"

    def as_dict(self) -> dict:
        return dict(file=self.file, position=self.position, gtid=self.gtid)


def log_number(file: str) -> tuple[str, int]:
    """``mysql-bin-changelog.001000`` as name and number; the number grows beyond six digits.

    :raises EncryptionError: for a name that no binary log has.
    """
    base, _dot, number = file.rpartition(".")
    if not base or not number.isascii() or not number.isdigit():
        raise EncryptionError(f"'{file}' is not the name of a binary log file.", next_step="give file and position as the server shows them.")
    return base, int(number)


def at_or_after(one: Position, other: Position) -> bool:
    """Whether a position is the other one or comes later in the same log.

    :raises EncryptionError: if the files belong to different logs.
    """
    (base, number), (other_base, other_number) = log_number(one.file), log_number(other.file)
    if base != other_base:
        raise EncryptionError(
            f"{one} and {other} are places in different logs: nothing can be said of which comes first.",
            next_step="see from which server each of them was read.",
        )
    return (number, one.position) >= (other_number, other.position)


def bytes_between(logs: list[tuple[str, int]] | None, applied: Position, end: Position) -> int | None:
    """Bytes of binary log from one place to a later one.

    :param logs: name and size of each file that is there; None if nobody tells.
    """
    if not logs or not applied.file or not at_or_after(end, applied):
        return None if not logs or not applied.file else 0
    first, last = log_number(applied.file)[1], log_number(end.file)[1]
    if first == last:
        return end.position - applied.position
    sizes = {log_number(name)[1]: size for name, size in logs}
    if not all(number in sizes for number in range(first, last)):
        return None
    return sum(sizes[number] for number in range(first, last)) - applied.position + end.position


# A set of MySQL: (uuid, tag) -> intervals of transaction numbers, both ends included, sorted, not touching.
GtidSet = dict[tuple[str, str], list[tuple[int, int]]]
_NUMBERS = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)


def gtid_set(text: str | None) -> GtidSet:
    """A set from ``uuid:1-5:7,uuid:tag:1``, as ``@@gtid_executed`` has it (tags: MySQL 8.3 and later)."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for part in re.sub(r"\s", "", text or "").lower().split(","):
        uuid, *pieces = part.split(":")
        tag = ""
        for piece in pieces:
            numbers = _NUMBERS.fullmatch(piece)
            if numbers:
                found.setdefault((uuid, tag), []).append((int(numbers[1]), int(numbers[2] or numbers[1])))
            else:
                tag = piece
    return {key: _merged(intervals) for key, intervals in found.items()}


def _merged(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(intervals):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def gtids_missing(wanted: GtidSet, there: GtidSet) -> GtidSet:
    """What of a set the other one lacks: MySQL's ``GTID_SUBTRACT(wanted, there)``."""
    left: GtidSet = {}
    for key, intervals in wanted.items():
        rest = intervals
        for low, high in there.get(key, []):
            rest = [
                part for a, b in rest for part in (((a, min(b, low - 1)), (max(a, high + 1), b)) if a <= high and b >= low else ((a, b),)) if part[0] <= part[1]
            ]
        if rest:
            left[key] = rest
    return left


def without_server(transactions: GtidSet, uuid: str | None) -> GtidSet:
    """A set without the transactions that one server began."""
    return {key: intervals for key, intervals in transactions.items() if key[0] != (uuid or "").lower()}


def is_gapless(transactions: GtidSet) -> bool:
    """Whether each server's transactions are there from the first on."""
    return all(len(intervals) == 1 and intervals[0][0] == 1 for intervals in transactions.values())


def gtid_text(transactions: GtidSet) -> str:
    """A set as MySQL writes it."""
    parts = []
    for (uuid, tag), intervals in sorted(transactions.items()):
        numbers = ":".join(str(low) if low == high else f"{low}-{high}" for low, high in intervals)
        parts.append(f"{uuid}:{tag}:{numbers}" if tag else f"{uuid}:{numbers}")
    return ",".join(parts)


def gtid_domains(text: str | None) -> dict[int, tuple[int, int]]:
    """A position of MariaDB, ``domain-server-number,...``, as domain -> (server, number)."""
    parts = (part.strip().split("-") for part in (text or "").split(",") if part.strip())
    return {int(domain): (int(server), int(number)) for domain, server, number in parts}


def gtid_reached(family: str, applied: str | None, wanted: str | None) -> bool:
    """Whether everything of the second is in the first."""
    if family == MARIADB:
        mine = gtid_domains(applied)
        return all(domain in mine and mine[domain][1] >= number for domain, (_server, number) in gtid_domains(wanted).items())
    return not gtids_missing(gtid_set(wanted), gtid_set(applied))


def same_gtid(family: str, one: str | None, other: str | None) -> bool:
    """Whether two GTID positions are one, whatever their spelling."""
    return gtid_domains(one) == gtid_domains(other) if family == MARIADB else gtid_set(one) == gtid_set(other)


# -- what is read of the servers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SourceState:
    """A server that is followed.

    :param end: the end of its binary log now.
    :param gtid_on: whether its transactions have GTIDs for sure (MySQL: ``gtid_mode=ON``; always on MariaDB).
    :param purged: MySQL: GTIDs of which it has no log any more.
    :param logs: name and size of the files of its log; None if the login may not see them.
    :param gtid_of_place: MariaDB: the GTID position at the place that was asked for; None where the server does not know it.
    """

    family: str
    end: Position
    server_id: int
    uuid: str | None = None
    gtid_on: bool = False
    purged: str | None = None
    logs: tuple[tuple[str, int], ...] | None = None
    gtid_of_place: str | None = None


@dataclass(frozen=True)
class FollowerState:
    """A server that follows, or shall.

    :param links: number of sources that it knows.
    :param gtid: MySQL: ``@@gtid_executed``; MariaDB: ``@@gtid_slave_pos``; None where GTIDs are off.
    :param has_login: whether it holds the account of the link: it came by replication, so what comes before it was applied.
    :param temporary_tables: temporary tables that the applier holds open.
    :param keeps_order: whether a stopped applier leaves no gaps behind the position that it shows.
    """

    family: str
    status: ReplicaStatus | None
    links: int
    server_id: int
    uuid: str | None = None
    gtid: str | None = None
    gtid_on: bool = False
    read_only: bool = True
    event_scheduler: str = "OFF"
    has_login: bool = False
    temporary_tables: int = 0
    keeps_order: bool = True

    @property
    def applied(self) -> Position | None:
        """How far it is in its source's log; None if it does not say."""
        return Position(self.status.file, self.status.position, self.gtid) if self.status and self.status.file else None


def has_applied(follower: FollowerState, wanted: Position) -> bool:
    """Whether a server has applied everything up to a place in its source's log, judged as it follows: by GTID, or by file and position."""
    if follower.status and follower.status.by_gtid and wanted.gtid and follower.gtid is not None:
        return gtid_reached(follower.family, follower.gtid, wanted.gtid)
    return follower.applied is not None and at_or_after(follower.applied, wanted)


# -- errors --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What an error of replication means here.

    :param passing: it may go away by itself as long as the receiver goes on trying.
    :param again: it ends a wait, and another start goes on where it stopped once the cause is gone.
    """

    codes: tuple[int, ...]
    meaning: str
    next_step: str
    passing: bool = False
    again: bool = False


_VOID = (
    "take the link off (state: absent), delete the target by hand and begin anew; never skip the error or inject an empty transaction: that is a lost write"
)
FAULTS: tuple[Fault, ...] = (
    Fault(
        (1236, 13114),
        "the source does not have that part of its binary log any more (it was purged, or lost in a failover), or the position is not one of it",
        f"raise 'binlog retention hours' of the source, {_VOID} (rds_next_master_log and rds_next_source_log skip data)",
    ),
    Fault(
        (1062, 1032),
        "a row is there already, or is missing: somebody or something else wrote to the target, or it began at a wrong position. The target is void",
        f"see that read_only=1 and event_scheduler=OFF hold on it, then {_VOID}",
    ),
    Fault(
        (1146, 1051),
        "a table is missing, such as a temporary one of a statement that is logged as text. The target is void",
        f"set binlog_format=ROW on the source, then {_VOID}",
    ),
    Fault((1396, 1410, 1133), "the accounts of the target differ from the source's: somebody changed them there. The target is void", _VOID),
    Fault(
        (2061,),
        "the login of the link wants TLS or a public key, and the link has neither",
        "see that the source offers TLS (require_secure_transport, its certificate), then run again: the link is set with TLS",
    ),
    Fault(
        (1045, 1130, 1698, 3118, 4151),
        "the source does not take the login of the link: its password was renewed, or somebody locked or dropped it",
        "run again: the login and the link are made anew at the place that was applied; if it comes back, see who changes accounts on the source",
    ),
    Fault(
        (2002, 2003, 2005, 2006, 2013, 2026, 1040, 1053, 1158, 1159, 1160, 1161),
        "the target cannot reach the source",
        "see that the source's security groups let the target in on its port, that its name resolves, and that it is available",
        passing=True,
    ),
    Fault(
        (3, 20, 28, 1021, 1026, 1114),
        "the disk of the target is full",
        "raise its allocated storage (or let it scale by itself) and run again: replication goes on where it stopped",
        again=True,
    ),
    Fault(
        (1205, 1213, 3572),
        "the applier waited too long for a lock that another session on the target holds",
        "end that session on the target and run again: replication goes on where it stopped",
        again=True,
    ),
    Fault((1290,), "read_only hit a client: somebody uses the target too early", "find that client and keep it away from the target, then run again"),
    Fault((1593,), "source and target take each other for the same server", "see that their server_id and server_uuid differ, then run again"),
    Fault(
        (1153, 1301),
        "an event is larger than max_allowed_packet",
        "raise max_allowed_packet in the parameter group of the target to at least the source's, then run again",
        again=True,
    ),
)
_UNKNOWN = Fault((), "an error that ends replication", f"see what it means in the manual; if the applier stopped, most errors mean: {_VOID}")


def fault_of(code: int) -> Fault:
    """The table row of an error number."""
    return next((fault for fault in FAULTS if code in fault.codes), _UNKNOWN)


def replication_error(label: str, status: ReplicaStatus) -> TerminalStateError | None:
    """Why replication will not go on by itself, in words; None if it runs, was stopped in peace, or goes on trying."""
    if status.applier_code:
        thread, code, text = "applier", status.applier_code, status.applier_error
    elif status.receiver_code and (status.receiver == "No" or not fault_of(status.receiver_code).passing):
        thread, code, text = "receiver", status.receiver_code, status.receiver_error
    else:
        return None
    fault = fault_of(code)
    return TerminalStateError(
        f"{label}: the {thread} of its replication from {status.host} stopped with error {code}: {text.strip()} Meaning: {fault.meaning}.",
        done=f"Applied up to {status.file or '?'}:{status.position}; nothing is lost on the source, which goes on serving.",
        next_step=f"{fault.next_step}.",
        replication_error=code,
    )
