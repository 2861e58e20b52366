# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Settings that live outside of parameter groups: carried, explained, or reported; each by one row."""

from __future__ import annotations

import fnmatch
import re

# Verdicts: equal on the target because it came with the data or was set; different by nature; different, and the operator should know; and
# different so that the target must not serve.
CARRIED, EXPLAINED, REPORTED, REFUSED = "carried", "explained", "reported", "refused"

_IDENTITY = "names the server itself"
_LOG = "position or file of the server's own log, which begins anew"
_PLACE = "a place on the instance's own disk"
_VERSION = "follows the engine's version, which is compared as an attribute"
# Global variables that may differ, by pattern, and why. Parameter groups are compared as attributes: what else differs was set while the
# server ran, or waits for a restart, or is an expression over something that differs.
DIFFERS_BY_NATURE: tuple[tuple[str, str], ...] = (
    ("server_id", _IDENTITY),
    ("server_uuid", _IDENTITY),
    ("server_uid", _IDENTITY),
    ("hostname", _IDENTITY),
    ("report_host", _IDENTITY),
    ("bind_address", _IDENTITY),
    ("admin_address", _IDENTITY),
    ("wsrep_node_*", _IDENTITY),
    ("pid_file", _PLACE),
    ("socket", _PLACE),
    ("*datadir", _PLACE),
    ("basedir", _PLACE),
    ("*tmpdir", _PLACE),
    ("*_dir", _PLACE),
    ("*_dir_path", _PLACE),
    ("*_directory", _PLACE),
    ("*log_file", _PLACE),
    ("*_log_basename", _PLACE),
    ("log_bin_basename", _PLACE),
    ("*_log_index", _PLACE),
    ("log_bin_index", _PLACE),
    ("relay_log*", _PLACE),
    ("log_error", _PLACE),
    ("log_basename", _PLACE),
    ("ssl_*", _PLACE),
    ("tls_*", _PLACE),
    ("*_public_key_path", _PLACE),
    ("*_private_key_path", _PLACE),
    ("gtid_executed", _LOG),
    ("gtid_purged", _LOG),
    ("gtid_owned", _LOG),
    ("gtid_binlog_pos", _LOG),
    ("gtid_binlog_state", _LOG),
    ("gtid_current_pos", _LOG),
    ("gtid_slave_pos", _LOG),
    ("gtid_pos_auto_engines", _LOG),
    ("version*", _VERSION),
    ("innodb_version", _VERSION),
    ("protocol_version", _VERSION),
    ("timestamp", "is the time"),
    ("last_*", "state of a session"),
    ("pseudo_*", "state of a session"),
    ("rand_seed*", "state of a session"),
    ("error_count", "state of a session"),
    ("warning_count", "state of a session"),
    ("aria_used_for_temp_tables", "state of the server"),
    ("innodb_buffer_pool_load_*", "state of the server"),
    ("innodb_*_now", "state of the server"),
)
_SECRET = re.compile(r"password(?!_)|secret|token|_auth$|init_connect|init_file|connection_string", re.IGNORECASE)
# Columns of the replica status that say what of the source's changes is applied, and how late.
_FILTER = re.compile(r"^(replicate_|until_|(sql|source|master)_delay)")


def plan_configuration(source: dict, target: dict, explicit: dict) -> tuple[list[dict], list[tuple[str, str]]]:
    """Changes ``{name, before, after, from}`` that make the target's settings equal, and settings that cannot be made equal.

    :param source: the source's values by name (None is RDS's "NULL"); empty if they are not to be carried.
    :param explicit: the operator's values, which win.
    """
    wanted = {name: (value, "source") for name, value in source.items()}
    wanted.update({str(name): (_text(value), "configuration") for name, value in explicit.items()})
    changes, problems = [], []
    for name, (value, origin) in sorted(wanted.items()):
        if name not in target:
            if value is not None:
                problems.append((name, f"the target does not know this setting (value {value} from {origin})"))
        elif target[name] != value:
            changes.append({"name": name, "before": target[name], "after": value, "from": origin})
    return changes, problems


def compare_settings(source: dict, target: dict, *, replicas: bool) -> list[dict]:
    """Rows ``{name, source, target, verdict, reason}``: RDS's own settings, global variables that differ, and replication.

    :param source: the adapter's ``read_settings``.
    :param replicas: both are read replicas, made by RDS.
    """
    rows = []

    def row(name, ours, theirs, verdict, reason=""):
        rows.append(dict(name=name, source=ours, target=theirs, verdict=verdict, reason=reason))

    ours, theirs = source["configuration"] or {}, target["configuration"] or {}
    for name in sorted(set(ours) | set(theirs)):
        what = f"rds_configuration: {name}"
        if name not in theirs:
            row(what, ours[name], None, REPORTED, "the target does not know this setting")
        elif ours.get(name) == theirs[name]:
            row(what, ours[name], theirs[name], CARRIED)
        else:
            row(what, ours.get(name), theirs[name], REPORTED, "differs, or was overridden by rds_encryption_configuration")
    for name in sorted(set(source["variables"]) | set(target["variables"])):
        mine, its = source["variables"].get(name), target["variables"].get(name)
        if mine == its:
            continue
        reason = next((reason for pattern, reason in DIFFERS_BY_NATURE if fnmatch.fnmatchcase(name, pattern)), None)
        if reason is None and name in ("read_only", "super_read_only", "innodb_read_only") and replicas:
            reason = "RDS decides it for a replica"
        if _SECRET.search(name):
            mine, its = (None if each is None else "(hidden)" for each in (mine, its))
        if reason:
            row(name, mine, its, EXPLAINED, reason)
        else:
            row(name, mine, its, REPORTED, "not from the parameter group, which is compared by itself: set while the server ran, or waiting for a restart")
    rows += _replication_rows(source["replication"], target["replication"], replicas)
    return rows


def _replication_rows(source: list[dict] | None, target: list[dict] | None, replicas: bool) -> list[dict]:
    rows = []
    if source is None or target is None:
        reason = "the login may not see the replica status (REPLICATION CLIENT, on MariaDB SLAVE MONITOR)"
        return [dict(name="replication", source=None, target=None, verdict=REPORTED, reason=reason)]
    if not replicas:
        if target:
            reason = "the target replicates from another server: stop it and take the link off (rds_stop_replication, rds_reset_external_master)"
            rows.append(dict(name="replication", source=inbound(source), target=inbound(target), verdict=REFUSED, reason=reason))
        return rows
    filters = [{name: str(value or "") for link in side for name, value in link.items() if _FILTER.match(name)} for side in (source, target)]
    for name in sorted(set(filters[0]) & set(filters[1])):
        mine, its = filters[0][name], filters[1][name]
        if mine == its:
            if mine not in ("", "0", "None"):
                rows.append(dict(name=f"replication: {name}", source=mine, target=its, verdict=CARRIED, reason=""))
        else:
            reason = "what of the primary's changes the replica applies, and when; set it by the replica's parameter group or mysql.rds_set_source_delay"
            rows.append(dict(name=f"replication: {name}", source=mine, target=its, verdict=REPORTED, reason=reason))
    return rows


def inbound(links: list[dict]) -> str | None:
    """From whom a server replicates, in words, or None."""
    names = []
    for link in links:
        host, user, running = (
            next((str(link[name]) for name in names_ if link.get(name) not in (None, "")), "?")
            for names_ in (
                ("source_host", "master_host"),
                ("source_user", "master_user"),
                ("replica_sql_running", "slave_sql_running"),
            )
        )
        names.append(f"{user}@{host} ({'running' if running == 'Yes' else 'stopped'})")
    return ", ".join(names) or None


def refused_settings(rows: list[dict]) -> list[str]:
    """Settings with which the target must not serve, in words."""
    return [f"{row['name']}: {row['target']}; {row['reason']}" for row in rows if row["verdict"] == REFUSED]


def _text(value) -> str | None:
    return None if value is None or str(value).strip().upper() in ("", "NULL", "NONE") else str(value)
