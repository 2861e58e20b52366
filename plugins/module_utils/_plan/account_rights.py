# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What a login may give to other accounts and take from them, told before it is tried.

No master user of RDS may give everything on. A statement that is bound to be refused is not sent, neither in this run nor in the next: it
is a difference with a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import GRANT_OPTION, privilege_name
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import ServerFacts


@dataclass(frozen=True)
class Rights:
    """Rights of the login of the target; by default those of somebody who may do everything.

    :param privileges: global privileges that it may give on; None is all of them.
    :param elsewhere: whether it may give on something at a lower level than the global one: then everything there is tried.
    :param proxies: users for whom it may make proxies, ``''`` for any; None is all of them.
    :param roles: ``(user, host)`` of the roles that it may give; None is all of them.
    :param own_roles: whether it may also give the roles that it makes itself (MariaDB).
    :param system_users: whether it may change accounts that have ``SYSTEM_USER``.
    :param restrictions: ``(schema, privilege)`` that it lacks although it has the privilege globally (partial revokes; the master user of
        RDS for MySQL 8.0.36 and later, in ``mysql``). Whom it gives the privilege gets the same restriction.
    """

    privileges: frozenset | None = None
    elsewhere: bool = True
    proxies: frozenset | None = None
    roles: frozenset | None = None
    own_roles: bool = True
    system_users: bool = True
    restrictions: frozenset = frozenset()

    def may_give(self, grant: tuple) -> bool:
        """Whether ``GRANT`` and ``REVOKE`` of that element can be accepted."""
        level, schema, privilege = grant[0], grant[1], grant[4]
        if (schema, privilege) in self.restrictions:
            return False
        if self.privileges is None or privilege in self.privileges:
            return True
        return self.elsewhere and level not in ("global", "dynamic", "dynamic option")

    def may_give_role(self, role: tuple[str, str], is_new: bool) -> bool:
        """Whether it may make members of that role.

        :param is_new: whether this run makes the role.
        """
        return self.roles is None or role in self.roles or (self.own_roles and is_new)

    def may_give_proxy(self, user: str) -> bool:
        """Whether it may make proxies for that user."""
        return self.proxies is None or not self.proxies.isdisjoint(("", user))


def rights_from(grant_lines: list[str], tables: dict[str, list[dict]], facts: ServerFacts) -> Rights:
    """The rights of the login that ``facts`` names.

    :param grant_lines: ``SHOW GRANTS`` of its session, with all its roles active.
    :param tables: rows of the grant tables, as ``accounts_from`` takes them.
    """
    giveable: set = set()
    held: set = set()
    elsewhere = False
    everything = False
    restrictions: set = set()
    for line in grant_lines:
        restricted = re.match(r"REVOKE ([A-Z, ]+) ON `((?:[^`]|``)+)`\.\* FROM ", line)
        if restricted:
            restrictions.update((restricted[2].replace("``", "`"), privilege_name(word)) for word in restricted[1].split(","))
        head, on_all, tail = line.partition(" ON *.* TO ")
        with_option = line.endswith(" WITH GRANT OPTION")
        if not head.startswith("GRANT ") or not on_all:
            elsewhere = elsewhere or (with_option and not line.startswith("GRANT PROXY ON "))
            continue
        if head == "GRANT ALL PRIVILEGES":
            everything = everything or with_option
        words = {privilege_name(word) for word in head[len("GRANT ") :].split(",")}
        held |= words
        if tail.endswith(" WITH GRANT OPTION"):
            giveable |= words | {GRANT_OPTION}
    return Rights(
        privileges=None if everything else frozenset(giveable),
        elsewhere=elsewhere,
        proxies=_proxies(tables, facts),
        roles=_roles(tables, facts, held),
        own_roles=facts.can("creator_administers_roles"),
        system_users=not facts.can("system_user") or "SYSTEM_USER" in held,
        restrictions=frozenset(restrictions),
    )


def _proxies(tables, facts) -> frozenset:
    return frozenset(
        row["proxied_user"] or ""
        for row in tables.get("proxies_priv", ())
        if (row["user"] or "", row["host"] or "") == facts.current_user and int(row["with_grant"] or 0)
    )


def _roles(tables, facts, held) -> frozenset | None:
    """Roles that the login administers. On MariaDB not even SUPER can give any other."""
    if facts.can("roles_mapping"):
        return frozenset(
            (row["role"], "")
            for row in tables.get("roles_mapping", ())
            if (row["user"], row["host"]) == facts.current_user and row["admin_option"] == "Y"
        )
    if held & {"ROLE_ADMIN", "SUPER"}:
        return None
    administered: set = set()
    reached, waiting = set(), [facts.current_user]
    while waiting:  # a role's administration passes to its members
        member = waiting.pop()
        for row in tables.get("role_edges", ()):
            if (row["to_user"], row["to_host"]) == member:
                role = (row["from_user"], row["from_host"])
                if row["with_admin_option"] == "Y":
                    administered.add(role)
                if role not in reached:
                    reached.add(role)
                    waiting.append(role)
    return frozenset(administered)


def roles_named(text: str | None) -> frozenset:
    """The value of ``mandatory_roles`` as ``(user, host)``: ``r1,`r 2`@`%`,'r3'@'localhost'``."""
    quoted = r"`(?:[^`]|``)*`|'(?:[^']|'')*'|[^@,\s]+"
    found = set()
    for user, host in re.findall(rf"\s*({quoted})(?:@({quoted}))?\s*(?:,|$)", text or ""):
        found.add((_unquoted(user), _unquoted(host) if host else "%"))
    return frozenset(found)


def _unquoted(name: str) -> str:
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote in ("`", "'") else name
