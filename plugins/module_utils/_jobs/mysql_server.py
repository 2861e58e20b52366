# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Open the database connections of a module: the options, what RDS says and the secrets meet here, and only here."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server, login_arguments, look_at_sessions
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.secrets import describe_for_login, read_secret
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import Look, sort_sessions
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.login import (
    SECRET,
    InstanceLogin,
    choose_login,
    instance_login,
    login_from_secret,
)

CONNECTION_OPTIONS = dict(
    db_instance_identifier=dict(type="str"),
    login_host=dict(type="str"),
    login_port=dict(type="int"),
    login_user=dict(type="str"),
    login_password=dict(type="str", no_log=True),
    login_secret_id=dict(type="str", no_log=False),
    login_db_instance_identifier=dict(type="str"),
    login_unix_socket=dict(type="path"),
    config_file=dict(type="path"),
    ca_cert=dict(type="path", aliases=["ssl_ca"]),
    client_cert=dict(type="path", aliases=["ssl_cert"]),
    client_key=dict(type="path", aliases=["ssl_key"], no_log=False),
    check_hostname=dict(type="bool"),
    connect_timeout=dict(type="int", default=30),
)


def connection_option(required: bool = False) -> dict:
    """The argument spec of one connection dict."""
    return dict(type="dict", required=required, options=dict(CONNECTION_OPTIONS))


class MissingInstanceError(EncryptionError):
    """The instance that a connection names does not exist (yet)."""


def open_server(context, options: dict, label: str) -> Server:
    """A connected server for one connection dict.

    :param label: ``source``, ``target``, ...; the instance's name is added where there is one.
    :raises MissingInstanceError: if ``db_instance_identifier`` names no instance, or one without an endpoint.
    """
    identifier = options.get("db_instance_identifier")
    label = f"{label} {identifier}" if identifier else label
    instance = _instance(context, identifier, label)
    lender = _instance(context, options.get("login_db_instance_identifier"), label)
    if instance is not None and not instance.host and not options.get("login_host"):
        raise MissingInstanceError(
            f"{label}: the DB instance has no endpoint (status {instance.status}).", next_step="wait until it is available, then run again."
        )
    login = choose_login(options, label, instance, lender)
    user, password = login.user, options.get("login_password")
    if login.kind == SECRET:
        user, password = login_from_secret(login, read_secret(context.client("secretsmanager"), login.secret_id, label), label)
        context.mask(password)
    arguments = login_arguments(options, host=login.host, port=login.port, socket=login.socket, user=user, password=password)
    server = Server(arguments, label, connect_timeout=options.get("connect_timeout") or 30)
    server.instance = instance
    return server.connect()


def look_at(server: Server, replication_users: list[str] = (), ignore_users: list[str] = ()) -> Look:
    """Who is connected now; a connection that a restart of the server cut is made again."""
    try:
        seen = look_at_sessions(server)
    except StatementError as e:
        if not server.lost(e):
            raise
        server.reconnect()
        seen = look_at_sessions(server)
    return sort_sessions(**seen, replication_users=tuple(replication_users), ignore_users=tuple(ignore_users))


def server_dict(server: Server) -> dict:
    """A server for a module's result."""
    facts = server.facts
    return dict(family=facts.family, version=facts.version_text, account="@".join(facts.current_user), read_only=facts.read_only)


def _instance(context, identifier: str | None, label: str) -> InstanceLogin | None:
    if not identifier:
        return None
    described = describe_for_login(context.client("rds"), identifier)
    if described is None:
        raise MissingInstanceError(f"{label}: there is no DB instance {identifier} in this account and region.", next_step="correct the name.")
    return instance_login(described)
