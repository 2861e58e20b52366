# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""State ``drained`` of mysql_replication_link: the target is proven to hold all that the fenced source holds."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_common import SHORT_POLL, asked, limits_of_link, measure
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_linked import follow
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server, see_that_they_differ
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    ConnectionLostError,
    EncryptionError,
    StatementError,
    WaitTimeoutError,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MYSQL
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import (
    FollowerState,
    gtid_set,
    gtid_text,
    gtids_missing,
    has_applied,
    link_name,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_link as link
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_sql as statements
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.replication import wait_applied

# Seconds for taking the marker off a source that is given back.
_LAST_WORD = 10.0


class DrainError(EncryptionError):
    """The target was not proven to hold everything that the source holds."""


def drained(context, began: float) -> dict:
    """The result of the state; see the module's documentation.

    :param began: the moment of the clock at which the module began; what a restart of a server took counts.
    """
    params = context.params
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_server(context, params["source"], "source"))
        target = stack.enter_context(open_server(context, params["target"], "target"))
        see_that_they_differ(source, target, params["target"])
        replicas = [
            stack.enter_context(open_server(context, options, f"replica {number} of the target")) for number, options in enumerate(params["replicas"], 1)
        ]
        drain = _Drain(context, began, source, target, replicas)
        # A target that applies something long, or waits for a lock, answers nothing that has to do with its replication.
        for server in (source, target, *replicas):
            server.hurry(drain.left())
        changed = False
        try:
            # The fence has given the source another address.
            changed = follow(context, source, target, drain.left())
            if context.check_mode:
                return dict(changed=changed, drained=None)
            return dict(drain.run(), changed=changed)
        except (WaitTimeoutError, ConnectionLostError) as e:
            if isinstance(e, ConnectionLostError) and drain.left():
                e.facts.update(drained=False, changed=changed)
                raise
            drain.forget()
            raise DrainError(
                f"The drain did not end in {params['drain_timeout']} s (drain_timeout): {e.done or e.problem}",
                done="Nothing is lost: the source holds every write, and no name was changed.",
                next_step="lift the fence (the source gets its name back, applications go on), see why the target is late (what it applies, who holds "
                "locks on it), and try again when it has caught up; or run again with a longer drain_timeout.",
                drained=False,
                drain_timed_out=True,
            ) from None
        except EncryptionError as e:
            e.facts.setdefault("drained", False)
            raise


class _Drain:
    """One proof that a target, and its replicas, hold all that a fenced source holds."""

    def __init__(self, context, began: float, source: Server, target: Server, replicas: list[Server]):
        self.context = context
        self.source = source
        self.target = target
        self.replicas = replicas
        self.schema = link_name(context.params["link_id"])
        self.began = began

    def run(self) -> dict:
        """The result; see the module's documentation."""
        value = secrets.token_hex(16)
        adapter.schema_exists(self.source, self.schema)
        for statement in statements.marker_statements(self.schema, value):
            adapter.tell(self.source, statement)
        self.context.progress(f"{self.source.label}: the marker is written")
        everybody = [self.target, *self.replicas]
        self._wait([(server, self._shows(server, value)) for server in everybody], "waiting for the marker")
        adapter.tell(self.source, statements.drop_marker(self.schema))
        end = adapter.read_end(self.source)
        (seen,) = self._wait([(self.target, lambda state: has_applied(state, end))], f"applying up to {end}")
        if self.replicas:
            theirs = adapter.read_end(self.target)
            self._wait([(server, lambda state: has_applied(state, theirs)) for server in self.replicas], f"replicas applying up to {theirs}")
        missing = gtid_text(gtids_missing(gtid_set(end.gtid), gtid_set(seen.gtid))) if self.target.facts.family == MYSQL and seen.gtid else ""
        return dict(
            drained=True,
            source_position=end.as_dict(),
            position=seen.applied.as_dict() if seen.applied else None,
            gtid_missing=missing,
            mode=link.GTID if seen.status.by_gtid else link.COORDINATES,
            replicas=[server.label for server in self.replicas],
            duration_seconds=round(self.context.clock.monotonic() - self.began, 3),
            measures=[measure(self.target, "drain", self.context.clock.monotonic() - self.began, "until it was proven to have everything, behind the fence")],
        )

    def left(self) -> float:
        """Seconds until the proof must have been made."""
        return max(0.0, self.context.params["drain_timeout"] - (self.context.clock.monotonic() - self.began))

    def _shows(self, server: Server, value: str):
        return lambda _state: adapter.read_marker(server, self.schema) == value

    def _wait(self, wanted: list, what: str) -> list[FollowerState]:
        limits = limits_of_link(self.context)
        limits = replace(limits, wait_timeout=self.left(), stall_timeout=self.left(), poll_interval=min(limits.poll_interval, SHORT_POLL))
        followers = [(asked(server, adapter.read_progress), fulfilled) for server, fulfilled in wanted]
        return wait_applied(followers, clock=self.context.clock, limits=limits, progress=self.context.progress, what=what)

    def forget(self) -> None:
        """The marker is gone, if the source can be told; the next drain and ``absent`` look for it, too."""
        self.source.hurry(_LAST_WORD)
        with contextlib.suppress(StatementError):
            adapter.tell(self.source, statements.drop_marker(self.schema))
