# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Open the MySQL and MariaDB connections of a module."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server, login_arguments, same_server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import COMMON_OPTIONS, find_login, refuse_one_server

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


def see_that_they_differ(source: Server, target: Server, options: dict) -> None:
    """Two instances are two servers.

    :param options: the connection dict that says for how long DNS may be late.
    :raises SameServerError: they are one.
    """
    refuse_one_server(source, target, same_server, options)


def server_dict(server: Server) -> dict:
    """A server for a module's result."""
    facts = server.facts
    return dict(family=facts.family, version=facts.version_text, account="@".join(facts.current_user), read_only=facts.read_only, tls=server.tls)
