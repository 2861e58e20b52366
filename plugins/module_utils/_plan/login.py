# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Which login is used for a database, decided from the options and from what RDS says of the instance."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError

EXPLICIT = "explicit"
SECRET = "secret"
CONFIG_FILE = "config_file"
SOCKET = "socket"


@dataclass(frozen=True)
class InstanceLogin:
    """What RDS tells of an instance that matters for a login (from ``DescribeDBInstances``)."""

    identifier: str
    host: str | None = None
    port: int | None = None
    master_user: str | None = None
    managed_secret_id: str | None = None
    managed_secret_status: str | None = None
    replica_of: str | None = None
    status: str | None = None

    @property
    def active_secret(self) -> str | None:
        """The secret that RDS manages for the master user, if it can be used now (``SecretStatus`` is ``active``)."""
        return self.managed_secret_id if self.managed_secret_status == "active" else None


@dataclass(frozen=True)
class Login:
    """How to log in: where, as whom, and where the password comes from; no secret in it.

    :param kind: ``explicit`` (the option's password), ``secret`` (``secret_id``), ``config_file`` or ``socket``.
    :param reason: for the report: why this one.
    """

    kind: str
    user: str | None
    secret_id: str | None
    host: str | None
    port: int
    socket: str | None
    reason: str


def instance_login(described: dict) -> InstanceLogin:
    """The login facts of one element of ``DescribeDBInstances``."""
    endpoint = described.get("Endpoint") or {}
    secret = described.get("MasterUserSecret") or {}
    return InstanceLogin(
        identifier=described["DBInstanceIdentifier"],
        host=endpoint.get("Address"),
        port=endpoint.get("Port"),
        master_user=described.get("MasterUsername"),
        managed_secret_id=secret.get("SecretArn"),
        managed_secret_status=secret.get("SecretStatus"),
        replica_of=described.get("ReadReplicaSourceDBInstanceIdentifier"),
        status=described.get("DBInstanceStatus"),
    )


def choose_login(
    options: dict, label: str, instance: InstanceLogin | None = None, lender: InstanceLogin | None = None, *, default_port: int = 3306
) -> Login:
    """The login to use, by the rule of credentials in the documentation of the connection options.

    :param options: one connection dict (``login_host``, ``login_user``, ...).
    :param label: how messages call this side.
    :param instance: the instance named by ``db_instance_identifier``.
    :param lender: the instance named by ``login_db_instance_identifier``, whose managed master secret is used.
    :param default_port: where neither the options nor the instance say one.
    :raises RefusedError: if the options contradict each other or leave no login.
    """
    host = options.get("login_host") or (instance.host if instance else None)
    port = options.get("login_port") or (instance.port if instance else None) or default_port
    socket = options.get("login_unix_socket")
    _check_place(options, label, instance, host, socket)

    password = options.get("login_password")
    secret_id = options.get("login_secret_id")
    user = options.get("login_user")
    master = instance.master_user if instance else None
    place = dict(host=host, port=port, socket=socket)

    if password is not None and secret_id:
        raise RefusedError(
            f"{label}: login_password and login_secret_id are both given; they contradict each other.",
            next_step="keep one of them and run again.",
        )
    if password is not None:
        name = user or master
        if name is None:
            raise RefusedError(f"{label}: login_password is given without login_user.", next_step="give login_user as well.")
        managed = instance.active_secret if instance else None
        if managed and name == master:
            return Login(SECRET, name, managed, reason=f"RDS manages the password of master user {name}: its secret replaces the given one", **place)
        return Login(EXPLICIT, name, None, reason=f"login_password for {name}", **place)
    if secret_id:
        return Login(SECRET, user or master, secret_id, reason="login_secret_id", **place)
    if options.get("config_file"):
        return Login(CONFIG_FILE, user, None, reason="config_file", **place)
    if instance and instance.active_secret and user in (None, master):
        return Login(SECRET, master, instance.active_secret, reason=f"managed master secret of {instance.identifier}", **place)
    if lender and lender.active_secret and user in (None, lender.master_user):
        return Login(SECRET, lender.master_user, lender.active_secret, reason=f"managed master secret of {lender.identifier}", **place)
    if socket and user:
        return Login(SOCKET, user, None, reason="login_unix_socket", **place)
    raise RefusedError(f"{label}: no password to log in with{_why_none(user, instance, lender)}.", next_step=_HOW)


_HOW = (
    "give login_user and login_password, or login_secret_id, or let RDS manage the master password "
    "(login_db_instance_identifier names another instance whose managed secret still holds, for a restored copy)."
)


def _check_place(options, label, instance, host, socket):
    if host or socket:
        return
    if instance is None:
        raise RefusedError(
            f"{label}: nothing says where the server is.", next_step="give db_instance_identifier, login_host or login_unix_socket."
        )
    raise EncryptionError(
        f"{label}: DB instance {instance.identifier} has no endpoint (status {instance.status}).",
        next_step="wait until it is available, then run again.",
    )


def _why_none(user, instance, lender) -> str:
    if user and instance and user != instance.master_user:
        return f" for user {user} (the managed secret belongs to {instance.master_user})" if instance.active_secret else f" for user {user}"
    for which in (instance, lender):
        if which and which.managed_secret_id and not which.active_secret:
            return f" (the managed secret of {which.identifier} is {which.managed_secret_status}, not active)"
    return f" (RDS manages none for {instance.identifier})" if instance else ""


def login_from_secret(login: Login, value: dict, label: str) -> tuple[str, str]:
    """User and password out of a secret's JSON object ``{"username": ..., "password": ...}``.

    :raises RefusedError: if something is missing; the message never shows the value.
    """
    password = value.get("password")
    user = value.get("username") or login.user
    if not isinstance(password, str) or not password:
        raise RefusedError(
            f"{label}: the secret used for the login has no text member 'password'.",
            next_step='store JSON like {"username": "...", "password": "..."} in it.',
        )
    if not user:
        raise RefusedError(f"{label}: the secret used for the login has no 'username', and login_user is not given.", next_step="give one of them.")
    return str(user), password
