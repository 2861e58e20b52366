# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Whether a source can be migrated by replication: each check one row of what stands in the way, what to know, and what to do."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MYSQL, ServerFacts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import Verbs
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.configuration import inbound
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import Known, grouped, sort_sessions
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.mysql_connections import RULES, session_from
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replication_sql import RETENTION

_COLD = "or use the strategy cold, for which it does not matter"
# What the login must hold, and for what.
_RIGHTS = (
    ("CREATE USER", "to make the login of the link"),
    ("REPLICATION SLAVE", "to give it to the login of the link"),
    (("REPLICATION CLIENT", "BINLOG MONITOR"), "to see the end of the binary log"),
    ("PROCESS", "to see who is connected"),
    ("CREATE", "to write the marker"),
    ("DROP", "to take the marker away"),
)


def examine_source(facts: ServerFacts, verbs: Verbs | None, seen: dict, *, is_rds_replica: bool, accept_non_transactional: bool) -> dict:
    """``blockers`` ({reason, next_step}), ``warnings`` and ``facts`` of a source.

    :param seen: the adapter's ``examine``.
    :param is_rds_replica: RDS says of the instance that it is a read replica.
    """
    blockers: list[dict] = []
    warnings: list[str] = []

    def block(reason: str, next_step: str) -> None:
        blockers.append(dict(reason=reason, next_step=next_step))

    variables = seen["variables"]
    log_bin = variables.get("log_bin", "OFF") in ("ON", "1")
    # The variable goes away in time; what is left then is ROW.
    log_format = variables.get("binlog_format", "ROW").upper()
    if not log_bin:
        block("log_bin is OFF: there is nothing to follow.", "set BackupRetentionPeriod to at least 1: RDS writes a binary log only with automated backups.")
    if verbs is None:
        block(f"{facts.version_text}: how replication is set up on it is not known.", f"upgrade it, {_COLD}.")
    if log_format == "STATEMENT":
        block(
            "binlog_format is STATEMENT: statements with another result each time, and temporary tables, come out differently on the target.",
            f"set binlog_format=ROW in the parameter group and have applications reconnect, {_COLD}.",
        )
    elif log_format == "MIXED":
        warnings.append(
            "binlog_format is MIXED: replication cannot be stopped while a temporary table of a logged statement is open, and unsafe statements that the "
            "server does not recognise come out differently. ROW is better."
        )
    _non_transactional(seen, block, warnings, accept_non_transactional)
    prepared = seen["sessions"]["prepared"]
    if prepared:
        block(
            f"{len(prepared)} prepared XA transaction(s) wait for a decision ({', '.join(prepared[:3])}): they survive every kill, and nothing can drain them.",
            "XA COMMIT or XA ROLLBACK them.",
        )
    links = seen["replication"]
    if is_rds_replica:
        block("It is a read replica itself.", "name the source of its topology instead.")
    elif links:
        block(
            f"It follows a server outside of RDS: {inbound(links)}. The target would not: what comes that way would be lost.",
            "take that link off first (rds_reset_external_source, rds_reset_external_master), and set it up again on the encrypted instance.",
        )
    _login(facts, verbs, seen, block)
    end = seen["end"] or {}
    for column in ("binlog_do_db", "binlog_ignore_db"):
        if end.get(column):
            block(f"{column} leaves changes out of the binary log: {end[column]}.", f"take it out of the server's settings, {_COLD}.")
    _tls(facts, seen, block, warnings)
    followers = _followers(seen)
    if followers:
        readers = ", ".join(f"{row['user']}@{row['host']}" for row in followers)
        warnings.append(f"Others read its binary log ({readers}): another replica or a change-data-capture tool. It must be moved by hand.")
    _durability(facts, variables, warnings)
    enabled = sorted(f"{row['s']}.{row['n']}" for row in seen["events"] if str(row["status"]).upper() == "ENABLED")
    if enabled:
        warnings.append(f"{len(enabled)} event(s) are enabled ({_some(enabled)}): the target must run with event_scheduler=OFF until it serves.")
    keyless = [f"{row['s']}.{row['n']}" for row in seen["keyless_tables"]]
    if keyless:
        warnings.append(
            f"{len(keyless)} table(s) have no primary key ({_some(keyless)}): each change of a row reads the whole table on the target, so that it may never "
            "catch up."
        )
    warnings += [f"Could not look at {what}." for what in seen["sessions"]["blind"]]
    retention = (seen["configuration"] or {}).get(RETENTION)
    return dict(
        blockers=blockers,
        warnings=warnings,
        facts=dict(
            engine=facts.family,
            version=facts.version_text,
            log_bin=log_bin,
            binlog_format=log_format,
            gtid_mode=variables.get("gtid_mode") if facts.family == MYSQL else "ON",
            binlog_retention_hours="NULL" if retention is None else retention,
            event_scheduler=variables.get("event_scheduler"),
            enabled_events=enabled,
            non_transactional_tables=[dict(table=f"{row['s']}.{row['n']}", engine=row["e"]) for row in seen["foreign_tables"]],
            tables_without_primary_key=keyless,
            prepared_transactions=prepared,
            log_readers=followers,
            sync_binlog=variables.get("sync_binlog"),
            innodb_flush_log_at_trx_commit=variables.get("innodb_flush_log_at_trx_commit"),
            tls_offered=seen["offers_tls"],
        ),
    )


def _some(names: list[str], at_most: int = 5) -> str:
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def _non_transactional(seen: dict, block, warnings: list[str], accept: bool) -> None:
    tables = [f"{row['s']}.{row['n']} ({row['e']})" for row in seen["foreign_tables"]]
    if not tables:
        return
    reason = f"{len(tables)} table(s) are not transactional: {_some(tables)}. A snapshot of a running server need not agree with its position for them."
    if accept:
        warnings.append(f"{reason} Accepted by accept_non_transactional.")
    else:
        block(
            reason,
            f"ALTER TABLE ... ENGINE=InnoDB, {_COLD}; accept_non_transactional takes them as they are, if they are never written to while the copy is made.",
        )


def _login(facts: ServerFacts, verbs: Verbs | None, seen: dict, block) -> None:
    if seen["configuration_refused"]:
        block(f"The login may not call mysql.rds_show_configuration: {seen['configuration_refused']}", "use the master user.")
    elif verbs is not None and seen["missing_procedures"]:
        block(
            f"The login finds no procedure {', '.join('mysql.' + each for each in seen['missing_procedures'])}.",
            "use the master user (EXECUTE on mysql); on a server that is not RDS's there is no such way.",
        )
    if seen["replication"] is None:
        block("The login may not see the replica status.", "use the master user (REPLICATION CLIENT; on MariaDB mysql.rds_replica_status).")
    refused = (seen["end"] or {}).get("refused")
    if refused:
        block(f"The login may not see the end of the binary log: {refused}", "GRANT REPLICATION CLIENT ON *.* to it, or use the master user.")
    held, option = set(), False
    for line in seen["grants"]:
        head, on_all, tail = line.partition(" ON *.* TO ")
        if on_all and head.startswith("GRANT "):
            held.update(part.strip().upper() for part in head[len("GRANT "):].split(","))
            option = option or "WITH GRANT OPTION" in tail
    if "ALL PRIVILEGES" not in held:
        for names, why in _RIGHTS:
            names = (names,) if isinstance(names, str) else names
            if not held.intersection(names):
                block(f"The login lacks {names[0]} ({why}).", "use the master user.")
    if not option:
        block("The login lacks GRANT OPTION on *.* (to give REPLICATION SLAVE to the login of the link).", "use the master user.")
    if not seen["account_tables_readable"]:
        block("The login may not read the schema mysql (accounts).", f"use the master user of {facts.label}.")


def _tls(facts: ServerFacts, seen: dict, block, warnings: list[str]) -> None:
    if seen["offers_tls"]:
        return
    # caching_sha2_password wants TLS, or a public key that RDS's procedures cannot ask for: error 2061, for ever.
    if facts.family == MYSQL and not seen["native_plugin"]:
        block("It offers no TLS, without which a replication login of this version cannot log in (2061).", f"let the server offer TLS, {_COLD}.")
    else:
        warnings.append("It offers no TLS: what is replicated, passwords included, crosses the network openly.")


def _followers(seen: dict) -> list[dict]:
    sessions = [session_from(row) for row in seen["sessions"]["rows"]]
    return grouped(sort_sessions(RULES, sessions, Known(own_id=seen["sessions"]["own_id"])).log_readers)


def _durability(facts: ServerFacts, variables: dict, warnings: list[str]) -> None:
    if variables.get("sync_binlog", "1") != "1" or variables.get("innodb_flush_log_at_trx_commit", "1") != "1":
        warnings.append(
            "sync_binlog or innodb_flush_log_at_trx_commit is not 1: a failover of it may lose the end of its binary log, and then the target is void (1236)."
        )
    workers = int(variables.get("replica_parallel_workers", variables.get("slave_parallel_workers", "0")))
    ordered = variables.get("replica_preserve_commit_order", variables.get("slave_preserve_commit_order", "OFF"))
    if facts.family == MYSQL and workers > 1 and ordered not in ("ON", "1"):
        warnings.append(
            "Replicas with its parameter group apply in parallel without keeping the order of commits: set replica_preserve_commit_order=1, or the seed "
            "replica is refused."
        )
