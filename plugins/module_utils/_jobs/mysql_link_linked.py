# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""State ``linked`` of mysql_replication_link: the target follows the source, and has caught up."""

from __future__ import annotations

import contextlib
import secrets
import string

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import MissingInstanceError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_common import (
    STOP_TIMEOUT,
    asked,
    coordinates_of,
    limits_of_link,
    measure,
    stop_replication,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import DEFAULT_PORT, open_server, see_that_they_differ
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MYSQL
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import FollowerState, link_name
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_link as link
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_sql as statements
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.replication import wait_caught_up

# MySQL takes 32 characters in a link; none of these needs quoting, and validate_password's default policy wants one of each kind.
_PASSWORD_LENGTH = 32
_PASSWORD_KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_.+")
_AUTO_POSITION_ACTIVE = 1776


def linked(context) -> dict:
    """The result of the state; see the module's documentation."""
    params = context.params
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_server(context, params["source"], "source"))
        wish = wish_of(params, source)
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
            user=wish.user,
            own_transactions=link.own_transactions(seen),
        )
        if context.check_mode:
            return dict(known, caught_up=False)
        decision = _made_true(context, source, target, wish, decision)
        caught = wait_caught_up(
            asked(source, adapter.read_end),
            asked(target, adapter.read_progress),
            logs=lambda: adapter.read_logs(source),
            max_lag=params["max_lag"],
            clock=context.clock,
            limits=limits_of_link(context),
            progress=context.progress,
        )
        applied = caught.last.applied
        return dict(
            known,
            mode=decision.mode,
            caught_up=True,
            lag_seconds=round(caught.lag, 3),
            measures=[measure(target, "lag", caught.lag, "until it had what its source had at one moment")],
            bytes_behind=caught.behind,
            position=applied.as_dict() if applied else None,
            source_position=caught.end.as_dict(),
        )


def wish_of(params: dict, source: Server) -> link.LinkWish:
    """What the operator wants of the target of a source."""
    return link.LinkWish(
        host=params["source_host"] or _host(source, params["source"]),
        port=params["source_port"] or _port(source, params["source"]),
        user=link_name(params["link_id"]),
        coordinates=coordinates_of(params),
        drained_once=params["drained_once"],
    )


def follow(context, source: Server, target: Server, timeout: float) -> bool:
    """Let a target follow its source under the address that this has now, without waiting until it has caught up.

    :param timeout: seconds in which it must have stopped, where it followed another address.
    :return: whether the target was changed, or under check mode would be.
    """
    wish = wish_of(context.params, source)
    decision, _seen = _decide(source, target, wish)
    if not context.check_mode:
        _made_true(context, source, target, wish, decision, timeout)
    return decision.action != link.NOTHING


def _made_true(
    context, source: Server, target: Server, wish: link.LinkWish, decision: link.LinkDecision, stop_timeout: float = STOP_TIMEOUT
) -> link.LinkDecision:
    if decision.action == link.SET:
        return _set(context, source, target, wish, decision, stop_timeout)
    if decision.action == link.START:
        context.progress(f"{target.label}: {decision.reason}; starting")
        adapter.tell(target, "CALL mysql.rds_start_replication")
    return decision


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


def _set(
    context, source: Server, target: Server, wish: link.LinkWish, decision: link.LinkDecision, stop_timeout: float
) -> link.LinkDecision:
    """The target follows, from the place where it stands once it has been stopped."""
    tls, plugin = _protection(source)
    if decision.stop:
        stop_replication(context, target, wish.user, stop_timeout)
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
