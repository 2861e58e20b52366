# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What has to happen to each account of the target, decided from the accounts of source and target alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import (
    GRANT_OPTION,
    ROUTINE_LEVELS,
    SECRET_FIELDS,
    Account,
    Key,
    differing_fields,
    display_name,
    privilege_name,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import ServerFacts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_sql import Statement, drop_statement, statements_for

EQUAL, CREATE, REPAIR, SURPLUS, DROP, SKIPPED, REFUSED = "equal", "create", "repair", "surplus", "drop", "skipped", "refused"

# Accounts of the server and of RDS (docs/database-behaviour, "Never touch"): exact names, since a customer may own rds_app.
SYSTEM_ACCOUNTS = frozenset({"mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys"})
PLATFORM_ACCOUNTS = frozenset({"rdsadmin", "rdsrepladmin", "rds_superuser_role", "rdsproxyadmin", "rdstopmgr"})

_PASSWORD_PLUGINS = ("mysql_native_password", "caching_sha2_password", "sha256_password", "ed25519")


@dataclass(frozen=True)
class Decision:
    """What happens to one account, and why.

    :param fields: fields in which source and target differ.
    :param left_out: differences that cannot or must not be made equal, each with its reason: ``(text, is a problem)``.
    :param wanted: the account that the statements lead to: the source's without what is left out.
    """

    key: Key
    action: str
    fields: tuple[str, ...] = ()
    reason: str = ""
    left_out: tuple[tuple[str, bool], ...] = ()
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
    :param grantable: global privileges that the login on the target may give on; None if unknown.
    :param partial_revokes: whether the target knows restrictions.
    """

    guarded: dict
    only: tuple[str, ...] | None = None
    prune: bool = False
    plugins: frozenset | None = None
    objects: frozenset | None = None
    grantable: frozenset | None = None
    partial_revokes: bool = True


def guard_list(exclude: list[str], masters: list[str], own: list[tuple[str, str]]) -> dict:
    """Names that are never touched, with the reason.

    :param exclude: the operator's additions.
    :param masters: master users as RDS names them.
    :param own: accounts that the sync itself is logged in with.
    """
    guarded = {name: "belongs to the server" for name in SYSTEM_ACCOUNTS}
    guarded.update({name: "belongs to RDS" for name in PLATFORM_ACCOUNTS})
    guarded.update({name: "is the master user" for name in masters if name})
    guarded.update({f"{user}@{host}": "is the login of this run" for user, host in own})
    guarded.update({name: "is excluded by exclude_users" for name in exclude})
    return guarded


def matches(key: Key, name: str) -> bool:
    """Whether ``user``, ``user@host`` or ``'user'@'host'`` names that account."""
    return name in (key[0], f"{key[0]}@{key[1]}", f"'{key[0]}'@'{key[1]}'")


def decide(source: dict, target: dict, facts: ServerFacts, rules: Rules, baseline: dict | None = None) -> list[Decision]:
    """A decision for each account of either side, sorted by name.

    :param source: accounts by key.
    :param facts: the target's.
    :param baseline: accounts of the old primary when an old replica is the source and a new replica the target.
    """
    guards: dict[str, str] = rules.guarded
    decisions = []
    for key in sorted(set(source) | set(target)):
        names = (key[0], f"{key[0]}@{key[1]}", f"'{key[0]}'@'{key[1]}'")
        if rules.only is not None and not any(name in rules.only for name in names):
            continue
        guard = next((guards[name] for name in names if name in guards), None)
        decisions.append(_decide_one(key, source.get(key), target.get(key), guard, facts, rules, baseline))
    return decisions


def _decide_one(key, source, target, guard, facts, rules, baseline) -> Decision:
    fields = tuple(differing_fields(source, target)) if source and target else ()
    known = dict(key=key, fields=fields, source=source, target=target)
    if guard is not None:
        return Decision(action=SKIPPED if fields or not (source and target) else EQUAL, reason=guard, **known)
    if source and target and not fields:
        return Decision(action=EQUAL, **known)
    if source is None:
        return _surplus(known, rules, baseline)
    if baseline is not None:
        reason = _comes_by_replication(source, target, baseline.get(key))
        if reason:
            return Decision(action=REFUSED, reason=reason, left_out=((reason, True),), **known)
    wanted, left_out, creatable = _restorable(source, target, facts, rules)
    if not creatable:
        return Decision(action=REFUSED, reason=left_out[-1][0], left_out=tuple(left_out), **known)
    statements = tuple(statements_for(wanted, target, facts)) if wanted != target else ()
    action = CREATE if target is None else REPAIR if statements else REFUSED
    reason = ""
    if baseline is not None and baseline.get(key) is not None:
        reason = "differs from the old primary's account of that name; a later change there may collide"
    elif action == REFUSED:
        reason = "; ".join(text for text, unused in left_out)
    return Decision(action=action, statements=statements, left_out=tuple(left_out), wanted=wanted, reason=reason, **known)


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


def _restorable(source: Account, target: Account | None, facts: ServerFacts, rules: Rules):
    """The source's account without what the target cannot have; what was left out; whether the account can be made at all."""
    left_out: list[tuple[str, bool]] = []
    if rules.plugins is not None and not source.is_role:
        inactive = sorted({plugin for plugin, unused in source.auth} - rules.plugins)
        if inactive and (target is None or source.auth != target.auth):
            return source, [(f"authentication plugin {', '.join(inactive)} is not active on the target", True)], False
    grants = set(source.grants)
    had = target.grants if target else frozenset()
    for element in sorted(source.grants - had):
        reason = _not_grantable(element, source, rules)
        if reason:
            grants.discard(element)
            left_out.append(reason)
    wanted = replace(source, grants=frozenset(grants))
    if source.restrictions and not rules.partial_revokes:
        left_out.append(("partial revokes need partial_revokes=ON on the target; the account stays locked", True))
        wanted = replace(wanted, restrictions=target.restrictions if target else frozenset(), locked=True)
    return wanted, left_out, True


def _not_grantable(element, source: Account, rules: Rules) -> tuple[str, bool] | None:
    level, schema, thing, column, privilege = element
    if level in ("global", "dynamic", "dynamic option") and rules.grantable is not None and privilege not in rules.grantable:
        what = "the option to give on" if level == "dynamic option" else "privilege"
        return f"{what} {privilege} ON *.*: the login on the target may not give it", True
    if rules.objects is None:
        return None
    place = f"{schema}.{thing}"
    if level in ("table", "column") and (schema, thing) not in rules.objects:
        # A grant that contains CREATE is accepted for a table that does not exist (yet).
        if level == "column" or ("table", schema, thing, "", "CREATE") not in source.grants:
            return f"{privilege} on {place}: the table does not exist on the target", False
    elif level == "column" and (schema, thing, column) not in rules.objects:
        return f"{privilege} on {place}: the column {column} does not exist on the target", False
    elif level in ROUTINE_LEVELS and (level, schema, thing) not in rules.objects:
        return f"{privilege} on {level} {place}: it does not exist on the target", False
    return None


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


def grantable_privileges(grant_lines: list[str]) -> frozenset | None:
    """Global privileges that a login may give to others, from ``SHOW GRANTS`` of its session; None if it holds ALL."""
    found: set = set()
    for line in grant_lines:
        head, on_all, tail = line.partition(" ON *.* TO ")
        if not on_all or not head.startswith("GRANT ") or not tail.endswith(" WITH GRANT OPTION"):
            continue
        if head == "GRANT ALL PRIVILEGES":
            return None
        found.update(privilege_name(word) for word in head[len("GRANT ") :].split(","))
        found.add(GRANT_OPTION)
    return frozenset(found)


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


def decision_as_dict(decision: Decision) -> dict:
    """A decision for the report, without secrets."""
    return dict(
        account=display_name(decision.key),
        user=decision.key[0],
        host=decision.key[1],
        is_role=decision.key[2],
        action=decision.action,
        differs=list(decision.fields),
        reason=decision.reason,
        not_restorable=[text for text, unused in decision.left_out],
        statements=[statement.sql.masked for statement in decision.statements],
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
