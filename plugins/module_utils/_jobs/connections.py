# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Is anybody connected: the loop, the refusals and the answer that the connection modules of all database clients have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import refuse_one_server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restarts import despite_restarts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import Known, Look, grouped, in_words, look_as_dict
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.drain import drain


@dataclass(frozen=True)
class DatabaseClient:
    """What the check asks of one database client; ``server`` is a connected server of its adapter.

    :param open_server: ``(context, connection options, label) -> server``, a context manager.
    :param look: ``(server, Known) -> Look``; the caller fills in ``own_id``.
    :param kill: ``(server, session) -> bool``, whether the session was there to be ended.
    :param missing_rights: ``server -> list of words``.
    :param sight: how the right begins without which others' connections are not seen, and what to do about it.
    :param login_warnings: ``(server, Look) -> list of words``.
    :param writes: ``server -> {table: what changes when it is written to}``, or None where the server does not tell.
    :param refusals: ``server -> list of words``: why the server must not be migrated as it is.
    :param reader_warnings: ``Look -> list of words``.
    :param knows_its_runs: its looks leave out the sessions of other runs of this collection, so that two runs never wait for each other.
    :param server_dict: ``server -> dict`` for the result.
    :param same_server: ``(server, other server) -> bool``.
    """

    open_server: Callable
    look: Callable
    kill: Callable
    missing_rights: Callable
    sight: tuple[str, str]
    login_warnings: Callable
    reader_warnings: Callable
    server_dict: Callable
    same_server: Callable
    refusals: Callable = lambda server: []
    writes: Callable | None = None
    knows_its_runs: bool = False


def connections_spec(connection: dict) -> dict:
    """The argument spec of a connection module."""
    return dict(
        connection=connection,
        other_than=dict(type="str"),
        wait=dict(type="bool", default=True),
        settle_time=dict(type="int", default=10),
        wait_timeout=dict(type="int", default=300),
        kill=dict(type="bool", default=False),
        login_only=dict(type="bool", default=False),
        replication_users=dict(type="list", elements="str", default=[]),
        ignore_users=dict(type="list", elements="str", default=[]),
    )


def check_connections(context, client: DatabaseClient) -> dict:
    """The server is quiet, or the login is proven."""
    killed: list = []
    return despite_restarts(context, lambda: _check(context, client, killed))


def _check(context, client: DatabaseClient, killed: list) -> dict:
    """The check, from its beginning.

    :param killed: the sessions that were ended, also before a restart of the server.
    """
    params = context.params
    known = Known(0, frozenset(params["replication_users"]), frozenset(params["ignore_users"]))
    with client.open_server(context, params["connection"], "server") as server:

        def look() -> Look:
            return _again(server, lambda: client.look(server, known))

        def kill(session) -> bool:
            ended = client.kill(server, session)
            if ended:
                killed.append(session)
            return ended

        def leave(seconds: float) -> None:
            server.close()
            context.clock.sleep(seconds)
            server.reconnect()

        if params["other_than"]:
            with client.open_server(context, {**params["connection"], "db_instance_identifier": params["other_than"]}, "server") as other:
                refuse_one_server(server, other, client.same_server, params["connection"])
        missing = client.missing_rights(server)
        result = dict(changed=False, server=client.server_dict(server))
        if params["login_only"]:
            refusals = client.refusals(server)
            if refusals:
                raise EncryptionError(f"{server.label}: {' '.join(refusals)}", done="Nothing was changed.")
            for warning in client.login_warnings(server, look()):
                context.warn(f"{server.label}: {warning}")
            return dict(result, missing_rights=missing)

        right, remedy = client.sight
        blind = [what for what in missing if what.startswith(right)]
        if blind:
            raise EncryptionError(
                f"{server.label}: the login lacks {blind[0]}, so nothing can be said about connections.",
                next_step=f"{remedy}, or use the master user.",
            )
        if params["wait"] and not context.check_mode:
            seen, _ended = drain(
                look,
                kill if params["kill"] else None,
                in_words,
                context.clock,
                lambda words: context.progress(f"{server.label}: {words}"),
                settle_time=params["settle_time"],
                wait_timeout=params["wait_timeout"],
                writes=(lambda: _again(server, lambda: client.writes(server))) if client.writes else None,
                leave=None if client.knows_its_runs else leave,
            )
        else:
            seen = look()
            killed[:] = seen.clients if params["kill"] and params["wait"] else ()
        for warning in client.reader_warnings(seen) + [f"could not look at {what}." for what in seen.blind]:
            context.warn(f"{server.label}: {warning}")
        return dict(result, changed=bool(killed), quiet=seen.quiet, killed=grouped(tuple(killed)), **look_as_dict(seen))


def _again(server, ask):
    """The answer of ``ask()``; a connection that a restart of the server cut is made again."""
    try:
        return ask()
    except StatementError as e:
        if not server.lost(e):
            raise
        server.reconnect()
        return ask()
