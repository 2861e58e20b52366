# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The code of postgresql_connections."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import postgresql as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.connections import DatabaseClient, check_connections
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import COMMON_OPTIONS, find_login
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import postgresql_connections as plan
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import Known, Look, sort_sessions, tls_warnings

DEFAULT_PORT = 5432


CONNECTION_OPTIONS = dict(
    COMMON_OPTIONS, ca_cert=dict(COMMON_OPTIONS["ca_cert"], aliases=["ssl_rootcert"]), login_db=dict(type="str", default="postgres")
)


def connection_option() -> dict:
    """The argument spec of the connection dict."""
    return dict(type="dict", required=True, options=dict(CONNECTION_OPTIONS))


def open_server(context, options: dict, label: str) -> adapter.Server:
    """A connected server for one connection dict.

    :raises MissingInstanceError: if ``db_instance_identifier`` names no instance, or one without an endpoint.
    """
    found = find_login(context, options, label, DEFAULT_PORT)
    server = adapter.Server(adapter.login_arguments(options, **found.arguments), found.label, connect_timeout=options.get("connect_timeout") or 30)
    server.instance = found.instance
    return server.connect()


def _look(server, known: Known) -> Look:
    seen = adapter.look_at_sessions(server)
    sessions = [plan.session_from(row) for row in seen["sessions"]]
    return sort_sessions(
        plan.RULES,
        sessions,
        replace(known, own_id=seen["own_id"]),
        prepared=seen["prepared"],
        transactions=plan.transactions_of(seen["sessions"]),
        slots=[plan.slot_words(row) for row in seen["slots"]],
        blind=seen["blind"],
    )


def _login_warnings(server, seen: Look) -> list[str]:
    is_replica = bool(server.instance and server.instance.replica_of)
    return tls_warnings(server.tls) + plan.login_warnings(adapter.login_report(server), seen, is_replica=is_replica)


def _refusals(server) -> list[str]:
    # A replica shows the subscriptions of its source, and none of them works there.
    return [] if server.facts["in_recovery"] else plan.inbound_refusals(adapter.subscriptions(server))


def _server_dict(server) -> dict:
    facts = server.facts
    return dict(family="postgresql", version=facts["version"], account=facts["account"], read_only=facts["in_recovery"], tls=server.tls)


CLIENT = DatabaseClient(
    open_server=open_server,
    look=_look,
    kill=lambda server, session: adapter.kill_session(server, session.id, session.started),
    missing_rights=lambda server: plan.missing_rights(adapter.rights(server)),
    sight=("pg_read_all_stats", "GRANT pg_monitor to it"),
    login_warnings=_login_warnings,
    reader_warnings=plan.reader_warnings,
    server_dict=_server_dict,
    same_server=adapter.same_server,
    refusals=_refusals,
    writes=adapter.last_writes,
    knows_its_runs=True,
)


def run(context) -> dict:
    """The server is quiet, or the login is proven."""
    return check_connections(context, CLIENT)
