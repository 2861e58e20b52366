# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What the states of mysql_replication_link share."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import NOT_REACHED, Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_accounts import read_configuration, set_configuration
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import limits_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, WaitTimeoutError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import FollowerState, Position
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_sql as statements
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.replication import Asked
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits

# A stop waits for the transaction that is being applied; the fence shall not wait long for things that cannot be lost.
STOP_TIMEOUT = 600.0
SHORT_POLL = 0.25


def coordinates_of(params: dict) -> Position | None:
    """Those of the options, or None."""
    given = params["coordinates"]
    return None if given is None else Position(given["file"], given["position"], given["gtid"] or None)


def limits_of_link(context) -> Limits:
    """How patiently to wait; one read is believed, since what it says is a fact of a server and no status of RDS."""
    return replace(limits_of(context.params), steady_reads=1)


def asked(server: Server, ask) -> Asked:
    """A question to a server that may be away for a while."""
    return Asked(server.label, lambda: ask(server), server.reconnect, lambda error: server.lost(error) or error.code in NOT_REACHED)


def stop_replication(context, server: Server, user: str | None = None, timeout: float = STOP_TIMEOUT) -> FollowerState:
    """The state of a follower both of whose threads stand."""
    clock = context.clock
    began = clock.monotonic()
    seen = adapter.read_follower(server, user)
    if seen.status is not None and not seen.status.stopped:
        context.progress(f"{server.label}: stopping its replication")
        adapter.tell(server, "CALL mysql.rds_stop_replication")
        seen = adapter.read_follower(server, user)
    while seen.status is not None and not seen.status.stopped:
        if clock.monotonic() - began > timeout:
            raise WaitTimeoutError(
                f"{server.label}: its replication does not stop ({seen.status.threads}).",
                done=f"mysql.rds_stop_replication was called; its threads: {seen.status.threads}.",
                next_step="see which transaction it applies (information_schema.innodb_trx), then run again.",
            )
        clock.sleep(SHORT_POLL)
        seen = adapter.read_follower(server, user)
    return seen


def read_retention(server: Server) -> str | None:
    """The hours that RDS keeps binary logs, as text; None for as long as RDS itself needs them."""
    configuration = read_configuration(server)
    if configuration is None:
        raise EncryptionError(
            f"{server.label}: it has no procedure mysql.rds_show_configuration, or the login may not call it.",
            next_step="use the master user of an RDS instance.",
        )
    return configuration.get(statements.RETENTION)


def set_retention(server: Server, value: str | None) -> None:
    """Set them, and see that they are."""
    set_configuration(server, statements.RETENTION, value)
    now = read_retention(server)
    if now != value:
        raise EncryptionError(
            f"{server.label}: '{statements.RETENTION}' was set to {value or 'NULL'} and is {now or 'NULL'}.",
            next_step="see who else changes it, then run again.",
        )


def measure(target: Server, name: str, seconds: float, text: str) -> dict:
    """One figure for the report of the run."""
    return {"resource": target.label.removeprefix("target "), "measure": name, "value": round(seconds, 3), "unit": "s", "text": text}
