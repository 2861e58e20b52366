# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The code of mysql_replication_link."""

from __future__ import annotations

import contextlib
import re
import secrets
import string
from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import NOT_REACHED, Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_accounts import read_configuration, set_configuration
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import limits_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import MissingInstanceError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import DEFAULT_PORT, open_server, see_that_they_differ, server_dict
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restarts import despite_restarts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError, StatementError, WaitTimeoutError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MYSQL
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import (
    FollowerState,
    Position,
    gtid_set,
    gtid_text,
    gtids_missing,
    has_applied,
    link_name,
    verbs_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_link as link
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_sql as statements
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replication_source import examine_source
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.replication import Asked, wait_applied, wait_caught_up
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits

_RETENTION = re.compile("NULL|[0-9]{1,3}", re.ASCII)
_LINK_ID = re.compile("[a-z0-9]{1,16}", re.ASCII)
# MySQL takes 32 characters in a link; none of these needs quoting, and validate_password's default policy wants one of each kind.
_PASSWORD_LENGTH = 32
_PASSWORD_KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_.+")
_READ_ONLY = 1290
_AUTO_POSITION_ACTIVE = 1776
# A stop waits for the transaction that is being applied; the fence shall not wait long for things that cannot be lost.
_STOP_TIMEOUT = 600.0
_FAREWELL_TIMEOUT = 30.0
_SHORT_POLL = 0.25


def run(context) -> dict:
    """The link is what the state says."""
    params = context.params
    state = params["state"]
    if params["link_id"] is None:
        if state != "examined":
            raise RefusedError(f"state {state} needs link_id.", done="Nothing was changed.")
    elif not _LINK_ID.fullmatch(params["link_id"]):
        raise RefusedError("link_id must be 1 to 16 lower-case letters and digits: it becomes part of a login's name.", done="Nothing was changed.")
    retention = params["restore_binlog_retention"]
    if retention is not None and not _RETENTION.fullmatch(retention):
        raise RefusedError("restore_binlog_retention must be NULL or a number of hours.", done="Nothing was changed.")
    needed = {"seeded": ("seed",), "linked": ("target",), "drained": ("target",)}.get(state, ())
    missing = [name for name in needed if params[name] is None]
    if missing:
        raise RefusedError(f"state {state} needs {missing[0]}.", done="Nothing was changed.")
    began = context.clock.monotonic()
    job = _STATES[state]
    return despite_restarts(context, lambda: {"state": state, **(job(context, began) if job is _drained else job(context))})


# -- examined ------------------------------------------------------------------------------------------------------------------------


def _examined(context) -> dict:
    with open_server(context, context.params["source"], "source") as source:
        verbs = verbs_of(source.facts.family, source.facts.version)
        found = examine_source(
            source.facts,
            verbs,
            adapter.examine(source, verbs),
            is_rds_replica=bool(source.instance and source.instance.replica_of),
            accept_non_transactional=context.params["accept_non_transactional"],
        )
        return dict(changed=False, server=server_dict(source), **found)


# -- seeded --------------------------------------------------------------------------------------------------------------------------


def _seeded(context) -> dict:
    params = context.params
    given = _coordinates(params)
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
    present = _retention(source)
    value = None if wanted is None else statements.retention_to_raise(present, wanted)
    if value is not None and not context.check_mode:
        context.progress(f"{source.label}: binlog retention {present or 'NULL'} -> {value} hours")
        _set_retention(source, value)
    return dict(binlog_retention_before=present or "NULL", binlog_retention_hours=value or present or "NULL", binlog_retention_raised=value is not None)


def _retention(server: Server) -> str | None:
    configuration = read_configuration(server)
    if configuration is None:
        raise EncryptionError(
            f"{server.label}: it has no procedure mysql.rds_show_configuration, or the login may not call it.",
            next_step="use the master user of an RDS instance.",
        )
    return configuration.get(statements.RETENTION)


def _set_retention(server: Server, value: str | None) -> None:
    set_configuration(server, statements.RETENTION, value)
    now = _retention(server)
    if now != value:
        raise EncryptionError(
            f"{server.label}: '{statements.RETENTION}' was set to {value or 'NULL'} and is {now or 'NULL'}.",
            next_step="see who else changes it, then run again.",
        )


def _stand_still(context, seed: Server) -> FollowerState:
    """The replica's state once it stands, with no temporary table that a later statement of its source's log would miss."""
    clock = context.clock
    began = clock.monotonic()
    while True:
        seen = _stop(context, seed)
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


def _stop(context, server: Server, user: str | None = None) -> FollowerState:
    """The state of a follower both of whose threads stand."""
    clock = context.clock
    began = clock.monotonic()
    seen = adapter.read_follower(server, user)
    if seen.status is not None and not seen.status.stopped:
        context.progress(f"{server.label}: stopping its replication")
        adapter.tell(server, "CALL mysql.rds_stop_replication")
        seen = adapter.read_follower(server, user)
    while seen.status is not None and not seen.status.stopped:
        if clock.monotonic() - began > _STOP_TIMEOUT:
            raise WaitTimeoutError(
                f"{server.label}: its replication does not stop ({seen.status.threads}).",
                done="mysql.rds_stop_replication was called.",
                next_step="see which transaction it applies (information_schema.innodb_trx), then run again.",
            )
        clock.sleep(_SHORT_POLL)
        seen = adapter.read_follower(server, user)
    return seen


# -- linked --------------------------------------------------------------------------------------------------------------------------


def _linked(context) -> dict:
    params = context.params
    user = link_name(params["link_id"])
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_server(context, params["source"], "source"))
        wish = link.LinkWish(
            host=params["source_host"] or _host(source, params["source"]),
            port=params["source_port"] or _port(source, params["source"]),
            user=user,
            coordinates=_coordinates(params),
            drained_once=params["drained_once"],
        )
        try:
            target = stack.enter_context(open_server(context, params["target"], "target"))
        except MissingInstanceError:
            if not context.check_mode:
                raise
            return dict(changed=True, action=link.SET, caught_up=False, source_host=wish.host, source_port=wish.port)
        see_that_they_differ(source, target, params["target"])
        decision, seen = _decide(source, target, wish)
        known = dict(
            changed=decision.action != link.NOTHING,
            action=decision.action,
            reason=decision.reason,
            mode=decision.mode,
            source_host=wish.host,
            source_port=wish.port,
            user=user,
            own_transactions=link.own_transactions(seen),
        )
        if context.check_mode:
            return dict(known, caught_up=False)
        if decision.action == link.SET:
            decision = _set(context, source, target, wish, decision)
        elif decision.action == link.START:
            context.progress(f"{target.label}: {decision.reason}; starting")
            adapter.tell(target, "CALL mysql.rds_start_replication")
        caught = wait_caught_up(
            _asked(source, adapter.read_end),
            _asked(target, adapter.read_progress),
            logs=lambda: adapter.read_logs(source),
            max_lag=params["max_lag"],
            clock=context.clock,
            limits=_limits(context),
            progress=context.progress,
        )
        applied = caught.last.applied
        return dict(
            known,
            mode=decision.mode,
            caught_up=True,
            lag_seconds=round(caught.lag, 3),
            measures=[_measure(target, "lag", caught.lag, "until it had what its source had at one moment")],
            bytes_behind=caught.behind,
            position=applied.as_dict() if applied else None,
            source_position=caught.end.as_dict(),
        )


def _measure(target: Server, name: str, seconds: float, text: str) -> dict:
    """One figure for the report of the run."""
    return {"resource": target.label.removeprefix("target "), "measure": name, "value": round(seconds, 3), "unit": "s", "text": text}


def _host(server: Server, options: dict) -> str:
    host = options.get("login_host") or (server.instance and server.instance.host)
    if not host:
        raise RefusedError("How the target reaches the source is not known.", next_step="give source_host.")
    return host


def _port(server: Server, options: dict) -> int:
    return int(options.get("login_port") or (server.instance and server.instance.port) or DEFAULT_PORT)


def _decide(source: Server, target: Server, wish: link.LinkWish, renew: bool = False) -> tuple[link.LinkDecision, FollowerState]:
    # The target first: what it has applied is in what the source shows after that.
    seen = adapter.read_follower(target, wish.user)
    state = adapter.read_source(source, seen.applied or wish.coordinates)
    knows_gtid = adapter.server_verbs(target).set_gtid is not None
    return link.decide_link(target.label, wish, state, seen, knows_gtid=knows_gtid, renew=renew), seen


def _set(context, source: Server, target: Server, wish: link.LinkWish, decision: link.LinkDecision) -> link.LinkDecision:
    """The target follows, from the place where it stands once it has been stopped."""
    tls, plugin = _protection(source)
    if decision.stop:
        _stop(context, target, wish.user)
        decision, _seen = _decide(source, target, wish, renew=True)
    context.progress(f"{target.label}: {decision.reason}; following {wish.host}:{wish.port} from {decision.at} on, by {decision.mode}")
    password = _new_password()
    context.mask(password)
    for statement in statements.login_statements(wish.user, password, tls=tls, plugin=plugin):
        adapter.tell(source, statement)
    verbs = adapter.server_verbs(target)
    setting = statements.set_statement(verbs, target.facts.family, wish.host, wish.port, (wish.user, password), decision.at, decision.mode, tls)
    try:
        adapter.tell(target, setting)
    except StatementError as e:
        # The copied link asks by GTID, which a place cannot be set beside. Taking it off loses the place, so only where it is known anyhow.
        at_beginning = wish.coordinates is not None and str(decision.at) == str(wish.coordinates)
        if e.code != _AUTO_POSITION_ACTIVE or not at_beginning:
            raise
        adapter.tell(target, f"CALL mysql.{verbs.reset}")
        adapter.tell(target, setting)
    adapter.tell(target, "CALL mysql.rds_start_replication")
    return decision


def _protection(source: Server) -> tuple[bool, str | None]:
    """Whether the link is encrypted, and which plugin its login must have."""
    if source.offers_tls:
        return True, None
    if source.facts.family != MYSQL:
        return False, None
    if not adapter.plugin_active(source, statements.NATIVE):
        raise RefusedError(
            f"{source.label}: it offers no TLS, without which a replication login of this version cannot log in (2061).",
            done="The target was not linked.",
            next_step="let the source offer TLS, or use the strategy cold.",
        )
    return False, statements.NATIVE


def _new_password() -> str:
    characters = [secrets.choice(kind) for kind in _PASSWORD_KINDS]
    characters += [secrets.choice("".join(_PASSWORD_KINDS[:3])) for _number in range(_PASSWORD_LENGTH - len(characters))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


# -- drained -------------------------------------------------------------------------------------------------------------------------


class DrainError(EncryptionError):
    """The target was not proven to hold everything that the source holds."""


def _drained(context, began: float) -> dict:
    params = context.params
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_server(context, params["source"], "source"))
        target = stack.enter_context(open_server(context, params["target"], "target"))
        see_that_they_differ(source, target, params["target"])
        replicas = [
            stack.enter_context(open_server(context, options, f"replica {number} of the target")) for number, options in enumerate(params["replicas"], 1)
        ]
        if context.check_mode:
            return dict(changed=False, drained=None)
        drain = _Drain(context, began, source, target, replicas)
        try:
            return drain.run()
        except WaitTimeoutError as e:
            drain.forget()
            raise DrainError(
                f"The drain did not end in {params['drain_timeout']} s (drain_timeout): {e.done or e.problem}",
                done="Nothing is lost: the source holds every write, the target goes on following it, and no name was changed.",
                next_step="lift the fence (the source gets its name back, applications go on), see why the target is late, and try again when it has "
                "caught up; or run again with a longer drain_timeout.",
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
            changed=False,
            drained=True,
            source_position=end.as_dict(),
            position=seen.applied.as_dict() if seen.applied else None,
            gtid_missing=missing,
            mode=link.GTID if seen.status.by_gtid else link.COORDINATES,
            replicas=[server.label for server in self.replicas],
            duration_seconds=round(self.context.clock.monotonic() - self.began, 3),
            measures=[_measure(self.target, "drain", self.context.clock.monotonic() - self.began, "until it was proven to have everything, behind the fence")],
        )

    def _shows(self, server: Server, value: str):
        return lambda _state: adapter.read_marker(server, self.schema) == value

    def _wait(self, wanted: list, what: str) -> list[FollowerState]:
        left = self.context.params["drain_timeout"] - (self.context.clock.monotonic() - self.began)
        limits = replace(_limits(self.context), wait_timeout=max(0.0, left))
        limits = replace(limits, poll_interval=min(limits.poll_interval, _SHORT_POLL))
        followers = [(_asked(server, adapter.read_progress), fulfilled) for server, fulfilled in wanted]
        return wait_applied(followers, clock=self.context.clock, limits=limits, progress=self.context.progress, what=what)

    def forget(self) -> None:
        """The marker is gone, if the source can be told; the next drain and ``absent`` look for it, too."""
        with contextlib.suppress(StatementError):
            adapter.tell(self.source, statements.drop_marker(self.schema))


# -- absent --------------------------------------------------------------------------------------------------------------------------


def _absent(context) -> dict:
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
                _stop(self.context, target)
        self._do(target, f"CALL mysql.{adapter.server_verbs(target).reset}")
        if not self.context.check_mode and adapter.read_follower(target).status is not None:
            raise EncryptionError(f"{target.label}: its link was reset and is still there.", next_step="see who sets it, then run again.")

    def _let_follow(self, end: Position) -> None:
        limits = Limits(poll_interval=_SHORT_POLL, wait_timeout=_FAREWELL_TIMEOUT, stall_timeout=_FAREWELL_TIMEOUT, steady_reads=1)
        target = _asked(self.target, adapter.read_progress)
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
            differs, value = statements.retention_to_restore(_retention(server), wanted)
            if differs:
                self.plan.append(dict(on=server.label, statement=f"CALL mysql.rds_set_configuration('{statements.RETENTION}', {value or 'NULL'})"))
                if not self.context.check_mode:
                    _set_retention(server, value)
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


# -- what all states use -------------------------------------------------------------------------------------------------------------


def _coordinates(params: dict) -> Position | None:
    given = params["coordinates"]
    return None if given is None else Position(given["file"], given["position"], given["gtid"] or None)


def _limits(context) -> Limits:
    return replace(limits_of(context.params), steady_reads=1)


def _asked(server: Server, ask) -> Asked:
    return Asked(server.label, lambda: ask(server), server.reconnect, lambda error: server.lost(error) or error.code in NOT_REACHED)


_STATES = dict(examined=_examined, seeded=_seeded, linked=_linked, drained=_drained, absent=_absent)
