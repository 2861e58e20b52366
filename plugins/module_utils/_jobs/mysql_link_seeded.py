# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""State ``seeded`` of mysql_replication_link: the seed replica stands still, at known coordinates."""

from __future__ import annotations

import contextlib

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import MissingInstanceError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_common import coordinates_of, read_retention, set_retention, stop_replication
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import WaitTimeoutError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import FollowerState
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_link as link
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_sql as statements


def seeded(context) -> dict:
    """The result of the state; see the module's documentation."""
    params = context.params
    given = coordinates_of(params)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_server(context, params["source"], "source"))
        raised = _raise_retention(context, source)
        try:
            seed = stack.enter_context(open_server(context, params["seed"], "seed replica"))
        except MissingInstanceError:
            if not context.check_mode:
                raise
            return dict(changed=True, coordinates=None, stopped_at=None, **raised)
        action = link.decide_seed(seed.label, adapter.read_source(source), adapter.read_follower(seed), given)
        changed = bool(raised["binlog_retention_raised"]) or action == link.STOP
        if context.check_mode:
            return dict(changed=changed, coordinates=given and given.as_dict(), stopped_at=None, **raised)
        seen = adapter.read_follower(seed) if given else _stand_still(context, seed)
        # Later than the stop, never earlier: a snapshot that was begun before it is void.
        stopped_at = None if given else adapter.utc_now(seed)
        link.decide_seed(seed.label, adapter.read_source(source), seen, given or seen.applied)
        return dict(changed=changed, coordinates=(given or seen.applied).as_dict(), stopped_at=stopped_at, **raised)


def _raise_retention(context, source: Server) -> dict:
    wanted = context.params["binlog_retention_hours"]
    present = read_retention(source)
    value = None if wanted is None else statements.retention_to_raise(present, wanted)
    if value is not None and not context.check_mode:
        context.progress(f"{source.label}: binlog retention {present or 'NULL'} -> {value} hours")
        set_retention(source, value)
    return dict(binlog_retention_before=present or "NULL", binlog_retention_hours=value or present or "NULL", binlog_retention_raised=value is not None)


def _stand_still(context, seed: Server) -> FollowerState:
    """The replica's state once it stands, with no temporary table that a later statement of its source's log would miss."""
    clock = context.clock
    began = clock.monotonic()
    while True:
        seen = stop_replication(context, seed)
        if link.seed_stands(seed.label, seen):
            return seen
        context.progress(f"{seed.label}: {seen.temporary_tables} temporary table(s) are open where it stopped; it runs on and is stopped again")
        adapter.tell(seed, "CALL mysql.rds_start_replication")
        if clock.monotonic() - began > context.params["wait_timeout"]:
            raise WaitTimeoutError(
                f"{seed.label}: for {context.params['wait_timeout']} s there was no moment without an open temporary table of its source.",
                done="It replicates again.",
                next_step="set binlog_format=ROW on the source, or choose a quieter time, and run again.",
            )
        clock.sleep(min(5.0, context.params["poll_interval"]))
