# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Open the MySQL and MariaDB connections of a module."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import NOT_REACHED, Server, login_arguments
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import COMMON_OPTIONS, find_login
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import ConnectionLostError, StatementError

DEFAULT_PORT = 3306
CONNECTION_OPTIONS = dict(COMMON_OPTIONS, config_file=dict(type="path"), check_hostname=dict(type="bool"))


def connection_option(required: bool = False) -> dict:
    """The argument spec of one connection dict."""
    return dict(type="dict", required=required, options=dict(CONNECTION_OPTIONS))


def open_server(context, options: dict, label: str) -> Server:
    """A connected server for one connection dict.

    :param label: ``source``, ``target``, ...; the instance's name is added where there is one.
    :raises MissingInstanceError: if ``db_instance_identifier`` names no instance, or one without an endpoint.
    """
    found = find_login(context, options, label, DEFAULT_PORT)
    server = Server(login_arguments(options, **found.arguments), found.label, connect_timeout=options.get("connect_timeout") or 30)
    server.instance = found.instance
    return server.connect()


# Each new beginning waits connect_timeout for a server that is not up again.
RESTARTS_BORNE = 4


def despite_restarts(context, attempt):
    """What ``attempt()`` answers; begun anew when a server restarted on the way. What was changed before counts, too.

    Only for work that reads before it acts, so that nothing is done twice. A server that was never reached is told at once.
    """
    lost, changed = 0, False
    while True:
        try:
            result = attempt()
            return {**result, "changed": True} if changed else result
        except StatementError as e:
            changed = changed or bool(e.facts.get("changed"))
            passing = isinstance(e, ConnectionLostError) or (lost and e.code in NOT_REACHED)
            if not passing or lost == RESTARTS_BORNE:
                raise
            lost += 1
            context.progress(f"{e.problem} Beginning anew, {lost} of {RESTARTS_BORNE} times.")


def server_dict(server: Server) -> dict:
    """A server for a module's result."""
    facts = server.facts
    return dict(family=facts.family, version=facts.version_text, account="@".join(facts.current_user), read_only=facts.read_only, tls=server.tls)
