# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The code of mysql_connections."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_catalog import last_writes
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_settings import read_replication
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.connections import DatabaseClient, check_connections
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server, server_dict
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import mysql_connections as plan
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import Known, Look, sort_sessions, tls_warnings


def _look(server, known: Known) -> Look:
    seen = adapter.look_at_sessions(server)
    sessions = [plan.session_from(row) for row in seen["rows"]]
    return sort_sessions(
        plan.RULES,
        sessions,
        replace(known, own_id=seen["own_id"]),
        prepared=seen["prepared"],
        transactions=seen["transactions"],
        blind=seen["blind"],
    )


def _login_warnings(server, seen: Look) -> list[str]:
    is_replica = seen.has_applier or bool(server.instance and server.instance.replica_of)
    return tls_warnings(server.tls) + plan.login_warnings(adapter.login_report(server), seen, read_only=server.facts.read_only, is_replica=is_replica)


def _refusals(server) -> list[str]:
    # RDS says of an instance of its own whether it is a replica; of another server nobody does.
    if server.instance is None or server.instance.replica_of:
        return []
    return plan.inbound_refusals(read_replication(server))


CLIENT = DatabaseClient(
    open_server=open_server,
    look=_look,
    kill=lambda server, session: adapter.kill_session(server, session.id),
    missing_rights=lambda server: plan.missing_rights(adapter.rights(server)),
    sight=("PROCESS", "GRANT PROCESS ON *.* to it"),
    login_warnings=_login_warnings,
    reader_warnings=plan.reader_warnings,
    server_dict=server_dict,
    same_server=adapter.same_server,
    refusals=_refusals,
    writes=last_writes,
)


def run(context) -> dict:
    """The server is quiet, or the login is proven."""
    return check_connections(context, CLIENT)
