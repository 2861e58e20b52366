# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What has to happen to each account of the target, decided from the accounts of source and target alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import (
    ROUTINE_LEVELS,
    SECRET_FIELDS,
    Account,
    Key,
    differing_fields,
    display_name,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import ServerFacts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_rights import Rights
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_sql import Statement, drop_statement, statements_for

EQUAL, CREATE, REPAIR, SURPLUS, DROP, SKIPPED, REFUSED = "equal", "create", "repair", "surplus", "drop", "skipped", "refused"

# Why a difference stays: what a grant is on is not there; the login or the server cannot make it; the account cannot be used as it should.
MISSING, NOT_RESTORABLE, UNUSABLE = "missing", "not restorable", "unusable"

# Never touched, and nothing besides (MySQL manual: Reserved Accounts; RDS guide: Master user account privileges): exact names, since a
# customer may own rds_app. The master user and the logins of the run join them (``guard_list``).
_SERVER, _RDS = "belongs to the server", "belongs to RDS"
GUARDED = {
    "mysql.sys": _SERVER,
    "mysql.session": _SERVER,
    "mysql.infoschema": _SERVER,
    "mariadb.sys": _SERVER,
    "event_scheduler@localhost": _SERVER,  # the name under which the scheduler is seen; nobody logs in with it
    "root@localhost": _SERVER,  # the server's own administrator, where it is not the master user of RDS
    "rdsadmin": _RDS,
    "rdsrepladmin": _RDS,
    "rds_superuser_role": _RDS,
    "rdsproxyadmin": _RDS,
    "rdstopmgr": _RDS,
}

_PUBLIC: Key = ("PUBLIC", "", True)
_PASSWORD_PLUGINS = ("mysql_native_password", "caching_sha2_password", "sha256_password", "ed25519")


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one account, and why.

    :param fields: fields in which source and target differ.
    :param left_out: differences that cannot be made equal: ``(text with the reason, MISSING | NOT_RESTORABLE | UNUSABLE)``.
    :param wanted: the account that the statements lead to: the source's without what is left out.
    """

    key: Key
    action: str
    fields: tuple[str, ...] = ()
    reason: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    statements: tuple[Statement, ...] = ()
    source: Account | None = None
    target: Account | None = None
    wanted: Account | None = None


@dataclass(frozen=True)
class Rules:
    """Everything besides the accounts that decides.

    :param guarded: names (``user`` or ``user@host``) that are never touched, with the reason.
    :param only: names to look at; None for all.
    :param plugins: authentication plugins that are active on the target; None if unknown.
    :param objects: existing tables, columns and routines among those that grants name; None if unknown.
    :param rights: what the login on the target may give and take.
    :param partial_revokes: whether the target knows restrictions.
    :param mandatory_roles: ``(user, host)`` of the roles that everybody on the target has.
    :param takes_hashes: whether the target accepts a password by its hash.
    :param takes_empty_passwords: whether its password policy allows an account without a password.
    """

    guarded: dict
    only: tuple[str, ...] | None = None
    prune: bool = False
    plugins: frozenset | None = None
    objects: frozenset | None = None
    rights: Rights = Rights()
    partial_revokes: bool = True
    mandatory_roles: frozenset = frozenset()
    takes_hashes: bool = True
    takes_empty_passwords: bool = True


def guard_list(exclude: list[str], masters: list[str], own: list[tuple[str, str]]) -> dict:
    """Names that are never touched, with the reason.

    :param exclude: the operator's additions.
    :param masters: master users as RDS names them.
    :param own: accounts that the sync itself is logged in with.
    """
    guarded = dict(GUARDED)
    guarded.update({name: "is the master user" for name in masters if name})
    guarded.update({f"{user}@{host}": "is the login of this run" for user, host in own})
    guarded.update({name: "is excluded by exclude_users" for name in exclude})
    return guarded


def _names_of(key: Key) -> tuple[str, str, str]:
    return (key[0], f"{key[0]}@{key[1]}", f"'{key[0]}'@'{key[1]}'")


def matches(key: Key, name: str) -> bool:
    """Whether ``user``, ``user@host`` or ``'user'@'host'`` names that account."""
    return name in _names_of(key)


def decide(source: dict, target: dict, facts: ServerFacts, rules: Rules, baseline: dict | None = None) -> list[Decision]:
    """A decision for each account of either side, sorted by name.

    :param source: accounts by key.
    :param facts: the target's.
    :param baseline: accounts of the old primary when an old replica is the source and a new replica the target.
    """
    if _PUBLIC in {*source, *target}:  # everybody's role of MariaDB: it appears with its first grant, and nobody can make or drop it
        source, target = ({_PUBLIC: Account(*_PUBLIC), **accounts} for accounts in (source, target))
    selected = [key for key in sorted(set(source) | set(target)) if rules.only is None or any(matches(key, name) for name in rules.only)]
    guards = {key: reason for key in selected for reason in (_guard(key, rules.guarded),) if reason}
    judged = _Judge(facts, rules, target, frozenset(key for key in selected if key in source and key not in guards), source)
    return [_decide_one(key, source.get(key), target.get(key), guards.get(key), judged, baseline) for key in selected]


def _guard(key: Key, guarded: dict[str, str]) -> str | None:
    return next((guarded[name] for name in _names_of(key) if name in guarded), None)


def _decide_one(key, source, target, guard, judge, baseline) -> Decision:
    fields = tuple(differing_fields(source, target)) if source and target else ()
    known = dict(key=key, fields=fields, source=source, target=target)
    if guard is not None:
        return Decision(action=SKIPPED if fields or not (source and target) else EQUAL, reason=guard, **known)
    if source and target and not fields:
        return Decision(action=EQUAL, **known)
    if target is not None and not judge.may_change(target) and (source is not None or judge.rules.prune):
        return _refused("the account has SYSTEM_USER, and the login has not", NOT_RESTORABLE, known)
    if source is None:
        return _surplus(known, judge.rules, baseline)
    if baseline is not None:
        reason = _comes_by_replication(source, target, baseline.get(key))
        if reason:
            return _refused(reason, UNUSABLE, known)
    reason = judge.unmakeable(source, target)
    if reason:
        return _refused(reason, UNUSABLE, known)
    wanted, left_out = judge.restorable(source, target)
    statements = tuple(statements_for(wanted, target, judge.facts, judge.rules.rights.restrictions)) if wanted != target else ()
    action = CREATE if target is None else REPAIR if statements else REFUSED
    reason = ""
    if baseline is not None and baseline.get(key) is not None:
        reason = "differs from the old primary's account of that name; a later change there may collide"
    elif action == REFUSED:
        reason = "; ".join(text for text, unused in left_out)
    return Decision(action=action, statements=statements, left_out=tuple(left_out), wanted=wanted, reason=reason, **known)


def _refused(reason: str, kind: str, known: dict) -> Decision:
    return Decision(action=REFUSED, reason=reason, left_out=((reason, kind),), **known)


def _surplus(known, rules, baseline) -> Decision:
    if baseline is not None and known["key"] in baseline:
        reason = "comes by replication from the primary; the old replica did not have it (dropping it here would stop replication later)"
        return Decision(action=SURPLUS, reason=reason, **known)
    if rules.prune and baseline is None:
        return Decision(action=DROP, statements=(drop_statement(known["key"]),), **known)
    return Decision(action=SURPLUS, reason="exists on the target only", **known)


def _comes_by_replication(source: Account, target: Account | None, primary: Account | None) -> str | None:
    """Why an account of an old replica is not made on the new one: it has to arrive from the primary."""
    if primary is None:
        return None
    if target is None:
        return "must come by replication from the primary and has not: the new replica lags or is broken"
    if source == primary and target != primary:
        return "is the primary's and differs here: the new replica lags or is broken"
    return None


class _Judge:
    """What of an account the target can have."""

    def __init__(self, facts: ServerFacts, rules: Rules, target: dict, chosen: frozenset, source: dict):
        self.facts = facts
        self.rules = rules
        self._target = target
        # Accounts that this run makes; a role among them can be given to others.
        self._made = frozenset(key for key in chosen if key not in target and not self.unmakeable(source[key], None))

    def may_change(self, account: Account) -> bool:
        """Whether the server lets the login change an account of the target at all."""
        return self.rules.rights.system_users or ("dynamic", "", "", "", "SYSTEM_USER") not in account.grants

    def unmakeable(self, source: Account, target: Account | None) -> str | None:
        """Why the account cannot get its password, or None. Without it, nothing is done."""
        if source.is_role or (target is not None and source.auth == target.auth):
            return None
        rules = self.rules
        plugins = {plugin for plugin, unused in source.auth}
        if rules.plugins is not None and not plugins <= rules.plugins:
            return f"authentication plugin {', '.join(sorted(plugins - rules.plugins))} is not active on the target"
        if not rules.takes_hashes and any(hashed for unused, hashed in source.auth):
            return "strict_password_validation=ON refuses every hash: switch it off in the target's parameter group for the time of the run"
        empty = any(not hashed and plugin in _PASSWORD_PLUGINS for plugin, hashed in source.auth)
        if empty and not rules.takes_empty_passwords and not source.looks_like_role:
            return "it has an empty password, which the password policy of the target refuses"
        return None

    def restorable(self, source: Account, target: Account | None) -> tuple[Account, list[tuple[str, str]]]:
        """The source's account without what the target cannot have, and what was left out."""
        left_out: list[tuple[str, str]] = []
        had = target or Account(*source.key)
        wanted = replace(
            source,
            grants=self._grants(source, had, left_out),
            roles=self._roles(source, had, left_out),
            proxies=self._proxies(source, had, left_out),
        )
        given = {role[:2] for role in wanted.roles} | self.rules.mandatory_roles
        for role in sorted(role for role in source.default_roles - had.default_roles if role not in given):
            left_out.append((f"default role {_role_name(role)}: the account has not got that role on the target", NOT_RESTORABLE))
            wanted = replace(wanted, default_roles=wanted.default_roles - {role})
        if source.restrictions and not self.rules.partial_revokes:
            left_out.append(("partial revokes need partial_revokes=ON on the target; the account stays locked", UNUSABLE))
            return replace(wanted, restrictions=had.restrictions, locked=True), left_out
        return self._restrictions(source, had, wanted, left_out), left_out

    def _restrictions(self, source: Account, had: Account, wanted: Account, left_out) -> Account:
        """The wanted account, as far as restrictions of the login itself let it be made."""
        had_not = {element[4] for element in wanted.grants - had.grants if element[0] == "global"}
        has = {element[4] for element in wanted.grants if element[0] == "global"}
        # Of a privilege that the account does not get there is nothing to restrict.
        own, source_rows, had_rows = (
            {row for row in rows if row[1] in has} for rows in (self.rules.rights.restrictions, source.restrictions, had.restrictions)
        )
        inherited = {row for row in own if row[1] in had_not}
        stay = (inherited | (had_rows & own)) - source_rows
        for schema, privilege in sorted(stay):
            left_out.append((f"privilege {privilege} in {schema}: the login on the target has not got it there", NOT_RESTORABLE))
        cannot = (source_rows - had_rows - inherited) & own
        for schema, privilege in sorted(cannot):
            text = f"partial revoke of {privilege} in {schema}: the login on the target may not make it; the account stays locked"
            left_out.append((text, UNUSABLE))
        return replace(wanted, restrictions=frozenset((source_rows | stay) - cannot), locked=wanted.locked or bool(cannot))

    def _grants(self, source: Account, had: Account, left_out) -> frozenset:
        grants = set(source.grants)
        for element in sorted(source.grants - had.grants):
            reason = self._not_grantable(element, source)
            if reason:
                grants.discard(element)
                left_out.append(reason)
        for element in sorted(had.grants - source.grants):
            if not self.rules.rights.may_give(element):
                grants.add(element)
                left_out.append((f"surplus {_grant_name(element)}: the login on the target may not take it", NOT_RESTORABLE))
        return frozenset(grants)

    def _not_grantable(self, element, source: Account) -> tuple[str, str] | None:
        level, schema, thing, column, privilege = element
        if not self.rules.rights.may_give(element):
            return f"{_grant_name(element)}: the login on the target may not give it", NOT_RESTORABLE
        objects = self.rules.objects
        if objects is None:
            return None
        place = f"{schema}.{thing}"
        if level in ("table", "column") and (schema, thing) not in objects:
            # A grant that contains CREATE is accepted for a table that does not exist (yet).
            if level == "column" or ("table", schema, thing, "", "CREATE") not in source.grants:
                return f"{privilege} on {place}: the table does not exist on the target", MISSING
        elif level == "column" and (schema, thing, column) not in objects:
            return f"{privilege} on {place}: the column {column} does not exist on the target", MISSING
        elif level in ROUTINE_LEVELS and (level, schema, thing) not in objects:
            return f"{privilege} on {level} {place}: it does not exist on the target", MISSING
        return None

    def _roles(self, source: Account, had: Account, left_out) -> frozenset:
        roles = set(source.roles)
        for role in sorted({edge[:2] for edge in source.roles ^ had.roles}):
            key = (*role, self.facts.can("roles_mapping"))
            if key not in self._target and key not in self._made:
                reason = "there is no such role on the target"
            elif not self.rules.rights.may_give_role(role, key in self._made):
                reason = "the login on the target does not administer that role"
            else:
                continue
            # The membership stays as it is.
            roles = {edge for edge in roles if edge[:2] != role} | {edge for edge in had.roles if edge[:2] == role}
            left_out.append((f"membership in role {_role_name(role)}: {reason}", NOT_RESTORABLE))
        return frozenset(roles)

    def _proxies(self, source: Account, had: Account, left_out) -> frozenset:
        proxies = set(source.proxies)
        for proxied in sorted({proxy[:2] for proxy in source.proxies ^ had.proxies}):
            if not self.rules.rights.may_give_proxy(proxied[0]):
                proxies = {proxy for proxy in proxies if proxy[:2] != proxied} | {proxy for proxy in had.proxies if proxy[:2] == proxied}
                left_out.append((f"proxy for '{proxied[0]}'@'{proxied[1]}': the login on the target may not give or take it", NOT_RESTORABLE))
        return frozenset(proxies)


def _role_name(role: tuple[str, str]) -> str:
    return f"'{role[0]}'@'{role[1]}'" if role[1] else role[0]


def _grant_name(element) -> str:
    level, schema, thing, column, privilege = element
    if level in ("global", "dynamic", "dynamic option"):
        return f"{'option to give on' if level == 'dynamic option' else 'privilege'} {privilege} ON *.*"
    place = f"{schema}.{thing or '*'}" + (f" ({column})" if column else "")
    return f"privilege {privilege} ON {level + ' ' if level in ROUTINE_LEVELS else ''}{place}"


def named_objects(source: dict, target: dict) -> tuple[set, set, set]:
    """Tables, columns and routines that grants missing on the target name, as ``read_objects`` asks for them."""
    tables, columns, routines = set(), set(), set()
    for key, account in source.items():
        had = target[key].grants if key in target else frozenset()
        for level, schema, thing, column, _privilege in account.grants - had:
            if level == "table":
                tables.add((schema, thing))
            elif level == "column":
                columns.add((schema, thing, column))
            elif level in ROUTINE_LEVELS:
                routines.add((level, schema, thing))
    return tables, columns, routines


def in_order(decisions: list[Decision]) -> list[Statement]:
    """All statements, phase by phase over all accounts; within a phase roles first, then by name."""
    ranked = sorted(decisions, key=lambda decision: (not (decision.source or decision.target).looks_like_role, decision.key))
    flat = [statement for decision in ranked for statement in decision.statements]
    return sorted(flat, key=lambda statement: statement.phase)


def precondition_differences(source: dict, target: dict) -> list[str]:
    """Server settings that change what accounts mean and differ between the two servers."""
    return [
        f"{name} is {source.get(name, 'unknown')} on the source and {target.get(name, 'unknown')} on the target"
        for name in sorted(set(source) | set(target))
        if name != "log_bin" and source.get(name) != target.get(name)
    ]


def remarks(decisions: list[Decision]) -> list[str]:
    """What a cautious person should know of the accounts that are made."""
    found = []
    for decision in decisions:
        account = decision.source
        if account is None or decision.action == SKIPPED or account.looks_like_role:
            continue
        who = display_name(account.key)
        if not account.user:
            found.append(f"{who} is an anonymous account: it can stand in the way of others' logins")
        if not account.locked and any(not hashed and plugin in _PASSWORD_PLUGINS for plugin, hashed in account.auth):
            found.append(f"{who} has an empty password")
        if decision.action == CREATE and account.lifetime and not account.expired:
            found.append(f"{who}: the clock of its password's {account.lifetime} days starts anew")
    return found


def counts(decisions: list[Decision]) -> dict[str, int]:
    """Number of accounts by action."""
    result = dict.fromkeys((EQUAL, CREATE, REPAIR, SURPLUS, DROP, SKIPPED, REFUSED), 0)
    for decision in decisions:
        result[decision.action] += 1
    return result


def decision_as_dict(decision: Decision, masked: dict) -> dict:
    """A decision for the report, without secrets.

    :param masked: text to show by ``id`` of the statement; tens of thousands are not written twice.
    """
    return dict(
        account=display_name(decision.key),
        user=decision.key[0],
        host=decision.key[1],
        is_role=decision.key[2],
        action=decision.action,
        differs=list(decision.fields),
        reason=decision.reason,
        not_restorable=[text for text, unused in decision.left_out],
        statements=[masked[id(statement)] for statement in decision.statements],
    )


def diff_lines(account: Account | None, other: Account | None) -> list[str]:
    """An account's lines for a unified diff: where the two differ, or all of it if there is no other; secrets never."""
    if account is None:
        return []
    lines = []
    for field in differing_fields(account, other if other is not None else Account(*account.key)):
        value = getattr(account, field)
        if field in SECRET_FIELDS:
            lines.append(f"  {field}: {_without_secrets(field, value)}")
        elif isinstance(value, frozenset):
            theirs = getattr(other, field) if other is not None else frozenset()
            lines += [f"  {field}: {' '.join(str(part) for part in element if part != '')}" for element in sorted(value - theirs)]
        else:
            lines.append(f"  {field}: {value}")
    return [f"{display_name(account.key)}:", *lines]


def _without_secrets(field: str, value) -> str:
    if field == "auth":
        return ", ".join(f"{plugin} ({'password set, hidden' if hashed else 'no password'})" for plugin, hashed in value)
    return "set, hidden" if value else "none"
