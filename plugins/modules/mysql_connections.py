#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Wait until nobody is connected to a MySQL or MariaDB server, or prove that a login works."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_connections
short_description: Wait until no client is connected to a MySQL or MariaDB server
version_added: 1.0.0
description:
  - Looks at a server several times, some seconds apart, until no client is connected, no transaction is open and no XA transaction is prepared.
    One look proves nothing, because connection pools come back.
  - Sessions of the server and of RDS itself do not count - the own one, C(event_scheduler), C(system user), C(rdsadmin), and replicas that read the
    binary log. Other readers of the binary log (change-data-capture tools) do not count either, but are warned of.
  - Where nobody but the own login is connected elsewhere, it leaves the server now and then, for up to 2.5 times O(settle_time) plus 2.5 seconds. It may
    be another run of this module, which waits for this one; with O(kill=true) its sessions are ended once and not at each look.
  - With O(login_only=true) it only proves that the login works and reports what a migration should know of the server.
author:
  - The dbre.rds_encryption contributors (@dbre)
options:
  other_than:
    description:
      - The identifier of another DB instance, to which the same login leads. The server must not be that one's, as it would be while
        DNS still has what was true before a rename; waited for as long as O(connection.dns_timeout) says.
    type: str
  wait:
    description:
      - Whether to wait until the server is quiet, and to fail if it does not become quiet. If V(false), the module reports one look.
    type: bool
    default: true
  settle_time:
    description:
      - Seconds that the server must stay quiet, seen in at least three looks.
    type: int
    default: 10
  wait_timeout:
    description:
      - Seconds after which a server that still has connections is a failure.
    type: int
    default: 300
  kill:
    description:
      - Whether to end the clients' sessions with C(CALL mysql.rds_kill(id)).
    type: bool
    default: false
  login_only:
    description:
      - Whether to stop after the login and report the server's family and version, rights that are missing, and warnings.
    type: bool
    default: false
  replication_users:
    description:
      - Logins of replicas that belong to the same topology, besides RDS's own C(rdsrepladmin). Their reading of the binary log is not warned of.
    type: list
    elements: str
    default: []
  ignore_users:
    description:
      - Users whose sessions do not count, such as a monitoring agent that is known to write nothing.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Makes no change; tells which sessions would be killed, and does not wait.
    support: full
  diff_mode:
    description: There is no state to show a difference of.
    support: none
  idempotent:
    description: A quiet server is left alone.
    support: full
extends_documentation_fragment:
  - dbre.rds_encryption.mysql_connection.connection
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Prove that the login works
  dbre.rds_encryption.mysql_connections:
    connection:
      db_instance_identifier: prod-one
    login_only: true
  register: login

- name: Wait until the applications are gone
  dbre.rds_encryption.mysql_connections:
    connection:
      db_instance_identifier: old-prod-one
      login_user: admin
      login_password: "{{ admin_password }}"
    kill: true
    wait_timeout: 120
"""

RETURN = r"""
connections:
  description: Clients that are still connected, grouped.
  returned: unless login_only
  type: list
  elements: dict
  sample: [{"user": "app", "host": "10.0.0.5", "database": "shop", "connections": 3, "idle": 2, "active": 1}]
log_readers:
  description: Foreign readers of the binary log, grouped like RV(connections).
  returned: unless login_only
  type: list
  elements: dict
prepared_transactions:
  description: XA transactions in the prepared state.
  returned: unless login_only
  type: list
  elements: str
open_transactions:
  description: Number of open InnoDB transactions of clients.
  returned: unless login_only
  type: int
quiet:
  description: Whether nothing was connected or open that could write.
  returned: unless login_only
  type: bool
killed:
  description: Sessions that were killed, or in check mode would be, grouped like RV(connections).
  returned: unless login_only
  type: list
  elements: dict
server:
  description: The server's family and version, the account of the login, whether the server is read-only, and what protects the connection.
  returned: always
  type: dict
  sample: {"family": "mariadb", "version": "10.11.19-MariaDB-log", "account": "admin@%", "read_only": false, "tls": "verified"}
missing_rights:
  description: What the login should be able to do and cannot.
  returned: with login_only
  type: list
  elements: str
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.connections import connections_spec
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_connections import run
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import connection_option

ARGUMENT_SPEC = connections_spec(connection_option(required=True))


def main():
    """Run as a module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
