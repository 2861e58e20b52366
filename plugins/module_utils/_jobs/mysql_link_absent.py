# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""State ``absent`` of mysql_replication_link: the target follows nobody, and nothing of the link is left."""

from __future__ import annotations

import contextlib

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import NOT_REACHED, Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import MissingInstanceError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_common import (
    SHORT_POLL,
    asked,
    read_retention,
    set_retention,
    stop_replication,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import Position, has_applied, link_name
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_sql as statements
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.replication import wait_applied
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits

_READ_ONLY = 1290
_FAREWELL_TIMEOUT = 30.0


def absent(context) -> dict:
    """The result of the state; see the module's documentation."""
    with contextlib.ExitStack() as stack:
        source = _source_if_reached(context, stack)
        target = None
        if context.params["target"] is not None:
            with contextlib.suppress(MissingInstanceError):
                target = stack.enter_context(open_server(context, context.params["target"], "target"))
        return _Removal(context, source, target).run()


def _source_if_reached(context, stack) -> Server | None:
    try:
        return stack.enter_context(open_server(context, context.params["source"], "source"))
    except MissingInstanceError as e:
        context.warn(e.problem)
    except StatementError as e:
        if e.code not in NOT_REACHED:
            raise
        context.warn(f"{e.problem} What is left on the source is named in the result; run again when it can be reached.")
    return None


class _Removal:
    """What is taken away, in an order in which a crash leaves nothing that the next run does not find."""

    def __init__(self, context, source: Server | None, target: Server | None):
        self.context = context
        self.source = source
        self.target = target
        self.name = link_name(context.params["link_id"])
        self.plan: list[dict] = []
        self.left: list[dict] = []

    def run(self) -> dict:
        """The result; see the module's documentation."""
        if self.source is None:
            self.left += [dict(on="source", statement=statement, reason="the source could not be reached") for statement in self._traces()]
        else:
            self._take_traces(self.source)
        if self.target is not None:
            self._detach()
            self._take_traces(self.target)
        self._restore_retention()
        events = self._events()
        return dict(
            changed=bool(self.plan),
            plan=self.plan,
            left=self.left,
            source_reached=self.source is not None,
            events_to_enable=events,
        )

    def _traces(self) -> list[str]:
        return [statements.drop_marker(self.name), statements.drop_login(self.name)]

    def _do(self, server: Server, what: str, reason: str = "") -> bool:
        """Whether that statement was carried out; a server that is still read only keeps what it has for a later run."""
        if not self.context.check_mode:
            try:
                adapter.tell(server, what)
            except StatementError as e:
                if e.code != _READ_ONLY:
                    raise
                self.left.append(dict(on=server.label, statement=what, reason=reason or "the server is read only: run again once it accepts writes"))
                return False
        self.plan.append(dict(on=server.label, statement=what))
        return True

    def _take_traces(self, server: Server) -> None:
        drop_marker, drop_login = self._traces()
        if adapter.schema_exists(server, self.name):
            self._do(server, drop_marker)
        if adapter.account_exists(server, self.name):
            self._do(server, drop_login)

    def _detach(self) -> None:
        """The target follows nobody. What was dropped on the source goes away on the target, too, as long as it still follows."""
        target = self.target
        seen = adapter.read_follower(target, self.name)
        if seen.status is None:
            return
        if seen.status.running and self.source is not None and not self.context.check_mode:
            self._let_follow(adapter.read_end(self.source))
        if not seen.status.stopped:
            self.plan.append(dict(on=target.label, statement="CALL mysql.rds_stop_replication"))
            if not self.context.check_mode:
                stop_replication(self.context, target)
        self._do(target, f"CALL mysql.{adapter.server_verbs(target).reset}")
        if not self.context.check_mode and adapter.read_follower(target).status is not None:
            raise EncryptionError(f"{target.label}: its link was reset and is still there.", next_step="see who sets it, then run again.")

    def _let_follow(self, end: Position) -> None:
        limits = Limits(poll_interval=SHORT_POLL, wait_timeout=_FAREWELL_TIMEOUT, stall_timeout=_FAREWELL_TIMEOUT, steady_reads=1)
        target = asked(self.target, adapter.read_progress)
        try:
            wait_applied(
                [(target, lambda state: has_applied(state, end))],
                clock=self.context.clock,
                limits=limits,
                progress=lambda line: None,
                what="the end of the link",
            )
        except EncryptionError:
            return  # it is taken off in any case: who wants every change drains before

    def _restore_retention(self) -> None:
        wanted = self.context.params["restore_binlog_retention"]
        if wanted is None:
            return
        for server in filter(None, (self.source, self.target)):
            differs, value = statements.retention_to_restore(read_retention(server), wanted)
            if differs:
                self.plan.append(dict(on=server.label, statement=f"CALL mysql.rds_set_configuration('{statements.RETENTION}', {value or 'NULL'})"))
                if not self.context.check_mode:
                    set_retention(server, value)
        if self.source is None:
            self.left.append(dict(on="source", statement=f"'{statements.RETENTION}' = {wanted}", reason="the source could not be reached"))

    def _events(self) -> list[dict]:
        if self.source is None or self.target is None:
            return []
        target = self.target
        steps = statements.event_steps(
            adapter.read_events(self.source),
            adapter.read_events(target),
            login=target.facts.current_user,
            may_keep_definer=adapter.holds(target, adapter.server_verbs(target).keep_definer),
        )
        listed = []
        for step in steps:
            reason = "the server is read only: run again once it accepts writes"
            if not step["keeps_definer"]:
                reason, done = f"only {step['definer']} itself can enable it and stay its definer", False
                self.left.append(dict(on=target.label, statement=step["statement"], reason=reason))
            else:
                done = self._do(target, step["statement"], reason)
            listed.append(dict(event=step["event"], definer=step["definer"], statement=step["statement"], enabled=done, reason="" if done else reason))
        return listed
