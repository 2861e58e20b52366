# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What is known of a MySQL or MariaDB server before a statement is sent to it: family, version, and what that version can do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

MYSQL = "mysql"
MARIADB = "mariadb"

# Error numbers that mean: the connection is at fault, not the statement. 0 is PyMySQL's own for a connection that it has given up, 1053: the
# server is shutting down, 1927: MariaDB's word for a session that was ended (MySQL reference manual: Client and Server Error Message Reference).
CONNECTION_LOST = frozenset({0, 1053, 1927, 2006, 2013, 2014, 2055})

# Capability -> the first version of each family that has it. The one place where versions are compared
# (MySQL and MariaDB reference manuals, release notes of the versions named).
_SINCE: dict[str, dict[str, tuple[int, ...]]] = {
    "account_json": {MARIADB: (10, 4)},
    "account_columns": {MYSQL: (5, 7, 6)},
    "user_attributes": {MYSQL: (8, 0, 14)},
    "roles": {MYSQL: (8, 0, 0), MARIADB: (10, 4)},
    "role_edges": {MYSQL: (8, 0, 0)},
    "roles_mapping": {MARIADB: (10, 4)},
    "many_default_roles": {MYSQL: (8, 0, 0)},
    "revoke_admin_option": {MARIADB: (10, 4)},
    "creator_administers_roles": {MARIADB: (10, 4)},
    "system_user": {MYSQL: (8, 0, 16)},
    "dynamic_privileges": {MYSQL: (8, 0, 0)},
    "partial_revokes": {MYSQL: (8, 0, 16)},
    "second_password": {MYSQL: (8, 0, 14)},
    "password_history": {MYSQL: (8, 0, 3)},
    "require_current": {MYSQL: (8, 0, 13)},
    "failed_login": {MYSQL: (8, 0, 19)},
    "attributes": {MYSQL: (8, 0, 21)},
    "factors": {MYSQL: (8, 0, 27)},
    "hex_hash": {MYSQL: (8, 0, 17)},
    "or_authentication": {MARIADB: (10, 4)},
    "statement_time": {MARIADB: (10, 4)},
    "set_role_all": {MYSQL: (8, 0, 0)},
    "auto_creates_users": {MYSQL: (5, 7, 6), MARIADB: (10, 4)},
}
_UNTIL: dict[str, dict[str, tuple[int, ...]]] = {
    "auto_creates_users": {MYSQL: (8, 0, 0)},
}
_OLDEST = {MYSQL: (5, 7, 6), MARIADB: (10, 4)}


def parse_version(text: str) -> tuple[int, ...]:
    """``'10.11.19-MariaDB-log'`` as ``(10, 11, 19)``; old MariaDB servers prefix ``5.5.5-`` for replication's sake."""
    if text.startswith("5.5.5-"):
        text = text[len("5.5.5-"):]
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        raise EncryptionError(f"The server's version '{text}' is not understood.")
    return tuple(int(part) for part in match.groups() if part is not None)


@dataclass(frozen=True)
class ServerFacts:
    """Family, version and the state of one server at the moment of the connection.

    :param label: how messages call it: ``source new-prod-one``, ...
    :param current_user: ``(user, host)`` of the account that the server chose for the login.
    :param variables: global variables by lower-case name, only those that decisions ask for.
    """

    family: str
    version: tuple[int, ...]
    version_text: str
    label: str = "server"
    current_user: tuple[str, str] = ("", "")
    connection_id: int = 0
    read_only: bool = False
    variables: dict = field(default_factory=dict, compare=False)

    def can(self, capability: str) -> bool:
        """Whether this family and version has the capability (see the table above)."""
        since = _SINCE[capability].get(self.family)
        until = _UNTIL.get(capability, {}).get(self.family)
        return since is not None and self.version >= since and not (until is not None and self.version >= until)

    def unsupported(self) -> str | None:
        """Why accounts of this server cannot be read, or None."""
        oldest = _OLDEST[self.family]
        if self.version < oldest:
            return f"{self.label} runs {self.family} {self.version_text}; accounts are read from {'.'.join(map(str, oldest))} on"
        return None


def facts_from(version: str, comment: str, **known) -> ServerFacts:
    """Facts from ``@@version`` and ``@@version_comment``."""
    family = MARIADB if "mariadb" in f"{version} {comment}".lower() else MYSQL
    return ServerFacts(family=family, version=parse_version(version), version_text=version, **known)
