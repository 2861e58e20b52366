# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Statements that make an account equal to a wanted one: ordered, minimal, safe to interrupt anywhere and to begin again.

An account is created locked and unlocked last, so that an interrupted run leaves a useless account, never an open one. Nothing is
ever dropped and created again: that would lose grants, and a DROP travels to replicas.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import GRANT_OPTION, ROUTINE_LEVELS, Account, Key
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB, ServerFacts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import Secret, Sql, account_name, joined, literal, name, sql

# Phases, carried out over all accounts one after the other, since role graphs and proxies refer to other accounts. Within a phase the order
# of accounts does not matter, and no statement that can be listed comes after one of the same account that cannot.
IDENTITY, REVOKE, GRANT, MEMBERSHIP, RESTRICT, EXPIRE, UNLOCK, DROP = range(8)
LISTED_AT_ONCE = 200
_OPTION = " WITH GRANT OPTION"
_PASSWORDS = ("mysql_native_password", "caching_sha2_password", "sha256_password")  # plugins of MySQL that keep one


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement for one account.

    :param narrows: without it the account could do more than its model; it then stays locked.
    :param required: without it nothing else of the account can be done (its creation).
    :param oracle_mode: needs ``sql_mode`` ORACLE (MariaDB packages).
    :param parts: what it consists of; of privileges and of what may be listed: head, account and tail.
    :param listed: whether it may name several accounts: ``GRANT SELECT ON `d`.* TO a, b, c``.
    :param single_heads: heads and tails of the same, privilege by privilege; thousands of accounts share them.
    """

    phase: int
    key: Key
    parts: tuple[Sql, ...]
    narrows: bool = False
    required: bool = False
    oracle_mode: bool = False
    listed: bool = False
    single_heads: tuple[tuple[Sql, str], ...] = ()

    @property
    def sql(self) -> Sql:
        """The statement for this account alone."""
        return sql(*self.parts)

    @property
    def singles(self) -> tuple[Sql, ...]:
        """The same, privilege by privilege, for a server that refuses the whole because of one of them."""
        return tuple(sql(head, self.parts[1], tail) for head, tail in self.single_heads)

    @property
    def creates(self) -> bool:
        """Whether it makes the account; carrying it out twice fails."""
        return self.required


def drop_statement(key: Key) -> Statement:
    """The account is gone."""
    return Statement(DROP, key, (sql("DROP ROLE " if key[2] else "DROP USER ", account_name(*key)),))


def list_together(statements: list[Statement]) -> list[tuple[Sql, tuple[Statement, ...]]]:
    """What is sent for the statements of one phase: those that differ in the account alone as one that lists the accounts.

    A server pays for each statement with a commit, and MariaDB with a sort of all accounts besides: ten thousand statements take minutes
    where fifty take seconds. Lists are limited, since nobody can log in while a server works on one.
    """
    lists: dict = {}
    for number, statement in enumerate(statements):
        alike = (statement.parts[0], statement.parts[2], statement.oracle_mode) if statement.listed else number
        lists.setdefault(alike, []).append(statement)
    return [
        (_one_for_all(members), tuple(members))
        for alike in lists.values()
        for start in range(0, len(alike), LISTED_AT_ONCE)
        for members in (alike[start : start + LISTED_AT_ONCE],)
    ]


def _one_for_all(members: list[Statement]) -> Sql:
    if len(members) == 1:
        return members[0].sql
    head, unused, tail = members[0].parts
    return sql(head, joined([statement.parts[1] for statement in members], ", "), tail)


def statements_for(wanted: Account, actual: Account | None, facts: ServerFacts, inherited: frozenset = frozenset()) -> list[Statement]:
    """The statements that turn ``actual`` (None: missing) into ``wanted``, in the order of their phases.

    :param inherited: restrictions ``(schema, privilege)`` of the login, which come along with a global privilege that it gives.
    """
    writer = _Writer(wanted, actual, facts)
    if actual is None:
        writer.create()
    else:
        writer.repair()
    writer.privileges()
    writer.membership()
    writer.restrictions(inherited)
    writer.expire_and_unlock()
    return sorted(writer.statements, key=lambda statement: statement.phase)


class _Writer:
    def __init__(self, wanted: Account, actual: Account | None, facts: ServerFacts):
        self.wanted = wanted
        self.had = actual
        self.facts = facts
        self.mariadb = facts.family == MARIADB
        self.who = account_name(*wanted.key)
        self.statements: list[Statement] = []
        # What the account is after the statements so far, where that is not plain from ``had`` and ``wanted``.
        self.locked = actual.locked if actual else False
        self.expired = actual.expired if actual else False
        self.default_roles = set(actual.default_roles) if actual else set()

    def add(self, phase, *pieces, **more):
        self.statements.append(Statement(phase, self.wanted.key, (sql(*pieces),), **more))

    def add_listed(self, phase, head, account, tail="", **more):
        """A statement that may be sent for several accounts at once."""
        self.statements.append(Statement(phase, self.wanted.key, (sql(head), sql(account), sql(tail)), listed=True, **more))

    # -- who the account is ------------------------------------------------------------------------------------------------------------

    def create(self):
        wanted = self.wanted
        if wanted.is_role:
            if wanted.user != "PUBLIC":  # exists as soon as something is granted to it
                self.add(IDENTITY, "CREATE ROLE ", self.who, required=True)
            self.had = Account(*wanted.key)
            return
        if wanted.looks_like_role and self.facts.can("role_edges"):
            # CREATE USER with an empty password is refused by a password policy (1819), CREATE ROLE is not.
            self.add(IDENTITY, "CREATE ROLE ", self.who, required=True)
            self.locked = self.expired = True
            self.had = Account(*wanted.key, auth=wanted.auth, locked=True, expired=True)
            self._alter_rest(authenticate=False)
            return
        auth = wanted.auth
        if wanted.auth_old:
            auth = ((auth[0][0], wanted.auth_old), *auth[1:])
        options = sql(self._tls(), self._limits(None), *self._policy(None), " ACCOUNT LOCK", *self._attribute({}))
        self.add_listed(IDENTITY, "CREATE USER ", sql(self.who, self._identified(auth)), options, required=True)
        self.locked = True
        self.had = Account(
            *wanted.key,
            **{
                field: getattr(wanted, field)
                for field in "tls limits lifetime reuse_history reuse_days require_current failed_login attributes".split()
            },
            auth=auth, auth_old=None, locked=True,
        )  # fmt: skip
        if wanted.auth_old:
            self._set_password(wanted.auth[0], retain=True)

    def repair(self):
        if self.wanted.is_role:
            return
        if self.wanted.locked and not self.had.locked:
            self.add(IDENTITY, "ALTER USER ", self.who, " ACCOUNT LOCK", narrows=True)
            self.locked = True
        self._alter_rest(authenticate=True)

    def _alter_rest(self, authenticate: bool):
        """One ``ALTER USER`` for every differing clause that is not a matter of another phase."""
        wanted, had = self.wanted, self.had
        clauses: list = []
        retain_after = False
        if authenticate:
            must_unexpire = had.expired and not wanted.expired
            if self.mariadb:
                if wanted.auth != had.auth or must_unexpire:
                    clauses.append(self._identified(wanted.auth, always=True))
                    self.expired = False
            else:
                retain_after = self._alter_mysql_password(clauses, must_unexpire)
        if wanted.tls != had.tls:
            clauses.append(self._tls(always=True))
        if wanted.limits != had.limits:
            clauses.append(self._limits(had))
        clauses += self._policy(had)
        if wanted.attributes != had.attributes:
            clauses += self._attribute(json.loads(had.attributes or "{}"))
        if clauses:
            self.add(IDENTITY, "ALTER USER ", self.who, *clauses, narrows=True)
        if retain_after:
            self._set_password(wanted.auth[0], retain=True)
        if authenticate and not self.mariadb:
            self._alter_factors()

    def _alter_mysql_password(self, clauses: list, must_unexpire: bool) -> bool:
        """Password clauses for MySQL; whether the current password must follow in a statement of its own, retaining the old one."""
        wanted, had = self.wanted, self.had
        first, second = wanted.auth[0], wanted.auth_old
        kept = had.auth_old if first[0] == had.auth[0][0] else None  # a change of plugin drops the second password
        if second and second != kept:
            clauses.append(self._identified(((first[0], second),), always=True))
            self.expired = False
            return True
        if first != had.auth[0] or must_unexpire:
            clauses.append(self._identified((first,), always=True))
            self.expired = False
        if not second and kept:
            self.add(IDENTITY, "ALTER USER ", self.who, " DISCARD OLD PASSWORD", narrows=True)
        return False

    def _alter_factors(self):
        wanted, had = self.wanted.auth[1:], self.had.auth[1:]
        for number in range(max(len(wanted), len(had)), 0, -1):
            if number > len(wanted):
                self.add(IDENTITY, "ALTER USER ", self.who, f" DROP {number + 1} FACTOR")
        for number, factor in enumerate(wanted, 1):
            verb = "ADD" if number > len(had) else "MODIFY"
            if verb == "ADD" or factor != had[number - 1]:
                self.add(IDENTITY, "ALTER USER ", self.who, f" {verb} {number + 1} FACTOR", self._identified((factor,)), narrows=True)

    def _set_password(self, factor: tuple[str, str], retain: bool):
        tail = " RETAIN CURRENT PASSWORD" if retain else ""
        self.add(IDENTITY, "ALTER USER ", self.who, self._identified((factor,), always=True), tail, narrows=True)
        self.expired = False

    def _identified(self, auth, always: bool = False) -> Sql:
        if self.mariadb:
            if auth == (("mysql_native_password", ""),) and not always:
                return sql("")  # USING '' is refused by a password policy even where an empty password is not
            ways = [sql(name(plugin), *self._hash(" USING ", hexed)) for plugin, hexed in auth]
            return sql(" IDENTIFIED VIA ", joined(ways, " OR "))
        factors = [
            # ALTER USER without a password clears the old one and expires the account; the empty password has to be said.
            sql(" IDENTIFIED WITH ", literal(plugin), *(self._hash(" AS ", hexed) or ((" BY ''",) if always and plugin in _PASSWORDS else ())))
            for plugin, hexed in auth
        ]
        return joined(factors, " AND")

    def _hash(self, word: str, hexed: str) -> tuple:
        if not hexed:
            return ()
        if self.facts.can("hex_hash"):
            return (word, Secret(f"0x{hexed}"))
        return (word, Secret(literal(bytes.fromhex(hexed).decode("utf-8", errors="surrogateescape"))))

    def _tls(self, always: bool = False) -> str:
        kind, cipher, issuer, subject = self.wanted.tls
        if kind == "NONE":
            return " REQUIRE NONE" if always else ""
        if kind == "ANY":
            return " REQUIRE SSL"
        if kind == "X509":
            return " REQUIRE X509"
        parts = [f"{word} {literal(text)}" for word, text in (("CIPHER", cipher), ("ISSUER", issuer), ("SUBJECT", subject)) if text]
        return " REQUIRE " + " AND ".join(parts)

    def _limits(self, had: Account | None) -> str:
        """The limits that differ from ``had`` (None: from a new account's); others stay as they are."""
        words = ("MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS", "MAX_STATEMENT_TIME")
        before = (had or Account(*self.wanted.key)).limits
        pieces = [
            f"{word} {value:.6f}" if word == "MAX_STATEMENT_TIME" else f"{word} {value}"
            for word, value, old in zip(words, self.wanted.limits, before, strict=True)
            if value != old
        ]
        return " WITH " + " ".join(pieces) if pieces else ""

    def _policy(self, had: Account | None) -> list[str]:
        """Password policy clauses that differ from ``had`` (None: from a new account's defaults)."""
        wanted, had = self.wanted, had or Account(*self.wanted.key)
        clauses = []
        if wanted.lifetime != had.lifetime:
            clauses.append(" PASSWORD EXPIRE " + {None: "DEFAULT", 0: "NEVER"}.get(wanted.lifetime, f"INTERVAL {wanted.lifetime} DAY"))
        if wanted.reuse_history != had.reuse_history:
            clauses.append(f" PASSWORD HISTORY {'DEFAULT' if wanted.reuse_history is None else wanted.reuse_history}")
        if wanted.reuse_days != had.reuse_days:
            clauses.append(f" PASSWORD REUSE INTERVAL {'DEFAULT' if wanted.reuse_days is None else f'{wanted.reuse_days} DAY'}")
        if wanted.require_current != had.require_current:
            clauses.append(" PASSWORD REQUIRE CURRENT" + {None: " DEFAULT", "Y": "", "N": " OPTIONAL"}[wanted.require_current])
        if wanted.failed_login != had.failed_login:
            attempts, days = wanted.failed_login or (0, 0)
            clauses.append(f" FAILED_LOGIN_ATTEMPTS {attempts} PASSWORD_LOCK_TIME {'UNBOUNDED' if days == -1 else days}")
        return clauses

    def _attribute(self, had: dict) -> list[str]:
        if not self.facts.can("attributes"):
            return []
        patch = merge_patch(had, json.loads(self.wanted.attributes or "{}"))
        return [" ATTRIBUTE ", literal(json.dumps(patch, ensure_ascii=False, sort_keys=True))] if patch else []

    # -- what the account may do -------------------------------------------------------------------------------------------------------

    def privileges(self):
        missing, surplus = self.wanted.grants - self.had.grants, self.had.grants - self.wanted.grants
        options = {element[4] for element in missing if element[0] == "dynamic option"}
        missing = {element for element in missing if element[0] != "dynamic" or element[4] not in options}  # the option brings the privilege
        for target, elements in _by_object(surplus):
            self._privilege_statement(REVOKE, target, elements)
        for target, elements in _by_object(missing):
            self._privilege_statement(GRANT, target, elements)

    def _privilege_statement(self, phase, target, elements):
        level, schema, thing = target
        grant = phase == GRANT
        verb, to = ("GRANT ", " TO ") if grant else ("REVOKE ", " FROM ")
        if level == "dynamic option":
            names = sorted(element[4] for element in elements)
            if grant:
                self._dynamic_option(phase, names)
            else:  # there is no statement that takes only the option: revoke the privilege, grant it again
                kept = [each for each in names if ("dynamic", "", "", "", each) in self.wanted.grants]
                if kept:
                    self.add(REVOKE, "REVOKE ", ", ".join(kept), " ON *.* FROM ", self.who, narrows=True)
                    self.add(GRANT, "GRANT ", ", ".join(kept), " ON *.* TO ", self.who)
            return
        words = _privilege_words(elements)
        option = grant and GRANT_OPTION in words
        if option:
            words.remove(GRANT_OPTION)
        head, single_heads = _heads(verb, tuple(words), _place(level, schema, thing), to, option)
        more = dict(oracle_mode=level in ("package", "package body"), single_heads=single_heads)
        if grant:
            self.add_listed(phase, head, self.who, _OPTION if option else "", **more)
        else:
            self.statements.append(Statement(phase, self.wanted.key, (head, sql(self.who)), narrows=True, **more))

    def _dynamic_option(self, phase, names):
        single_heads = tuple((sql("GRANT ", each, " ON *.* TO "), _OPTION) for each in names) if len(names) > 1 else ()
        self.add_listed(phase, sql("GRANT ", ", ".join(names), " ON *.* TO "), self.who, _OPTION, single_heads=single_heads)

    def membership(self):
        wanted, had = self.wanted, self.had
        self._roles()
        for user, host, _option in sorted(had.proxies - wanted.proxies):
            self.add(REVOKE, "REVOKE PROXY ON ", account_name(user, host), " FROM ", self.who, narrows=True)
        for user, host, option in sorted(wanted.proxies - had.proxies):
            tail = " WITH GRANT OPTION" if option else ""
            self.add_listed(MEMBERSHIP, sql("GRANT PROXY ON ", account_name(user, host), " TO "), self.who, tail)
        brings_option = any(option for user, host, option in wanted.proxies - had.proxies)
        if brings_option and not self.mariadb and ("global", "", "", "", GRANT_OPTION) not in wanted.grants:
            # On MySQL a proxy grant with the option also sets the account's global GRANT OPTION.
            self.add(RESTRICT, "REVOKE GRANT OPTION ON *.* FROM ", self.who, narrows=True)

    def _roles(self):
        wanted, had = self.wanted.roles, self.had.roles
        for user, host, admin in sorted(had - wanted):
            role = self._role(user, host)
            if admin and (user, host, False) in wanted and self.facts.can("revoke_admin_option"):
                self.add(REVOKE, "REVOKE ADMIN OPTION FOR ", role, " FROM ", self.who, narrows=True)
                had = had | {(user, host, False)}
            elif not admin and (user, host, True) in wanted:
                continue  # granting it again with the option is enough
            else:
                self.add(REVOKE, "REVOKE ", role, " FROM ", self.who, narrows=True)
                if not self.mariadb:  # MariaDB keeps a default role that the account has no longer got
                    self.default_roles.discard((user, host))
        for user, host, admin in sorted(wanted - had):
            tail = " WITH ADMIN OPTION" if admin else ""
            self.add_listed(MEMBERSHIP, sql("GRANT ", self._role(user, host), " TO "), self.who, tail)

    def _role(self, user, host) -> str:
        return account_name(user, host, is_role=self.mariadb)

    def restrictions(self, inherited):
        wanted, had = self.wanted, self.had
        given = {element[4] for element in wanted.grants - had.grants if element[0] == "global"}
        has = had.restrictions | {row for row in inherited if row[1] in given}
        # A restriction goes with the global privilege that it restricts; to grant the privilege on the schema would give it anew.
        has = {row for row in has if ("global", "", "", "", row[1]) in wanted.grants}
        for verb, to, rows, narrows in (
            ("GRANT ", " TO ", has - wanted.restrictions, False),
            ("REVOKE ", " FROM ", wanted.restrictions - has, True),
        ):
            for schema in sorted({schema for schema, privilege in rows}):
                words = sorted(privilege for each, privilege in rows if each == schema)
                self.add(RESTRICT, verb, ", ".join(words), " ON ", name(schema), ".*", to, self.who, narrows=narrows)
        if wanted.default_roles != self.default_roles:
            roles = ", ".join(self._role(*role) for role in sorted(wanted.default_roles)) or "NONE"
            if self.mariadb:
                self.add(RESTRICT, "SET DEFAULT ROLE ", roles, " FOR ", self.who)
            else:
                self.add(RESTRICT, "ALTER USER ", self.who, " DEFAULT ROLE ", roles)

    def expire_and_unlock(self):
        if self.wanted.is_role:
            return
        if self.wanted.expired and not self.expired:
            self.add_listed(EXPIRE, "ALTER USER ", self.who, " PASSWORD EXPIRE", narrows=True)
        if self.locked and not self.wanted.locked:
            self.add_listed(UNLOCK, "ALTER USER ", self.who, " ACCOUNT UNLOCK")


def merge_patch(had, wanted):
    """The JSON merge patch that turns one object into another: surplus keys become null."""
    patch = {key: None for key in had if key not in wanted}
    for key, value in wanted.items():
        if key not in had or had[key] != value:
            both = isinstance(value, dict) and isinstance(had.get(key), dict)
            patch[key] = merge_patch(had[key], value) if both else value
    return patch


def _by_object(elements):
    """Grants grouped by what they are on: one statement for a table and its columns."""
    groups: dict = {}
    for element in elements:
        level, schema, thing = element[:3]
        groups.setdefault(("table" if level == "column" else level, schema, thing), []).append(element)
    return sorted(groups.items())


def _privilege_words(elements) -> list[str]:
    """``SELECT``, ``UPDATE (`a`, `b`)``, ..."""
    plain = sorted(element[4] for element in elements if element[0] != "column")
    columns: dict[str, list[str]] = {}
    for element in sorted(elements):
        if element[0] == "column":
            columns.setdefault(element[4], []).append(name(element[3]))
    return plain + [f"{privilege} ({', '.join(names)})" for privilege, names in sorted(columns.items())]


@lru_cache(maxsize=1024)
def _heads(verb: str, words: tuple[str, ...], place: str, to: str, option: bool) -> tuple[Sql, tuple[tuple[Sql, str], ...]]:
    """All but the account of a statement that gives or takes privileges, and the same for each privilege alone."""
    single_heads: list[tuple[Sql, str]] = []
    if len(words) > 1 or (option and words):
        single_heads = [(sql(verb, word, " ON ", place, to), "") for word in words]
        if option:
            single_heads.append((sql("GRANT USAGE ON ", place, to), _OPTION))
    return sql(verb, ", ".join(words) or "USAGE", " ON ", place, to), tuple(single_heads)


def _place(level: str, schema: str, thing: str) -> str:
    if level in ("global", "dynamic"):
        return "*.*"
    if level == "schema":
        return f"{name(schema)}.*"
    kind = f"{level.upper()} " if level in ROUTINE_LEVELS else ""
    return f"{kind}{name(schema)}.{name(thing)}"
