# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Where the options of a connection, what RDS says and the secrets meet: the login of any database client."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.names import is_known
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.secrets import describe_for_login, read_secret
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, SameServerError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.tls import SSL_MODES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.login import (
    SECRET,
    InstanceLogin,
    choose_login,
    instance_login,
    login_from_secret,
)

COMMON_OPTIONS = dict(
    db_instance_identifier=dict(type="str"),
    login_host=dict(type="str"),
    login_port=dict(type="int"),
    login_user=dict(type="str"),
    login_password=dict(type="str", no_log=True),
    login_secret_id=dict(type="str", no_log=False),
    login_db_instance_identifier=dict(type="str"),
    login_unix_socket=dict(type="path"),
    ca_cert=dict(type="path", aliases=["ssl_ca"]),
    client_cert=dict(type="path", aliases=["ssl_cert"]),
    client_key=dict(type="path", aliases=["ssl_key"], no_log=False),
    ssl_mode=dict(type="str", choices=list(SSL_MODES)),
    connect_timeout=dict(type="int", default=30),
    dns_timeout=dict(type="int", default=30),
)


class MissingInstanceError(EncryptionError):
    """The instance that a connection names does not exist (yet)."""


@dataclass(frozen=True)
class FoundLogin:
    """A login ready for an adapter.

    :param label: how messages call the server: ``source old-prod-one``, ...
    :param arguments: ``host``, ``port``, ``socket``, ``user``, ``password``.
    """

    label: str
    instance: InstanceLogin | None
    arguments: dict


def find_login(context, options: dict, label: str, default_port: int) -> FoundLogin:
    """The login that one connection dict means.

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
    login = choose_login(options, label, instance, lender, default_port=default_port)
    user, password = login.user, options.get("login_password")
    if login.kind == SECRET:
        user, password = login_from_secret(login, read_secret(context.client("secretsmanager"), login.secret_id, label), label)
        context.mask(password)
    if instance is not None and login.host == instance.host and not login.socket:
        _await_name(context, label, login.host, options.get("dns_timeout") or 0)
    return FoundLogin(label, instance, dict(host=login.host, port=login.port, socket=login.socket, user=user, password=password))


_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_LINES = 60.0


def _await_name(context, label: str, host: str, patience: float) -> None:
    """The endpoint of an instance that was just renamed or made is in DNS, or ``patience`` seconds are over: connecting will tell."""
    began, told = context.clock.monotonic(), None
    while not is_known(host):
        now = context.clock.monotonic()
        if now - began >= patience:
            return
        if told is None or now - told >= _SECONDS_BETWEEN_LINES:
            context.progress(f"{label}: DNS does not know {host} yet; waiting for it (RDS: about ten minutes after a rename).")
            told = now
        context.clock.sleep(_SECONDS_BETWEEN_LOOKS)


def refuse_one_server(one, other, same_server, options: dict) -> None:
    """Two instances are two servers.

    :param one: a connected server, as ``other``; asked only where RDS says of both which instance they should be.
    :param same_server: ``(one, other) -> bool``.
    :param options: the connection dict that says for how long DNS may be late.
    :raises SameServerError: they are one.
    """
    if one.instance and other.instance and one.instance.identifier != other.instance.identifier and same_server(one, other):
        raise SameServerError(one.label, other.label, options.get("dns_timeout") or 0)


def _instance(context, identifier: str | None, label: str) -> InstanceLogin | None:
    if not identifier:
        return None
    described = describe_for_login(context.client("rds"), identifier)
    if described is None:
        raise MissingInstanceError(f"{label}: there is no DB instance {identifier} in this account and region.", next_step="correct the name.")
    return instance_login(described)
