#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make accounts and settings of one MySQL or MariaDB server equal to another's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_user_sync
short_description: Make accounts and settings of one MySQL or MariaDB server equal to another's
version_added: 1.0.0
description:
  - Reads the grant tables of both servers, brings each account into one canonical form, and executes the statements that make the target's accounts
    equal to the source's - passwords as hashes of every plugin, second passwords and factors, TLS requirements, limits, locks, expiry, password
    policies, attributes, roles and default roles, dynamic privileges, partial revokes, and grants on schemas, tables, columns, routines and proxies.
  - Accounts are created locked and unlocked last; a run that was interrupted anywhere is finished by the next one. A second run executes nothing.
  - A statement that the server refuses is a result of that account and does not end the run. The module fails at the end, with the complete result,
    if an account could not be made equal. What is known to be refused is not tried, but reported with its reason.
  - Statements that differ in the account alone are sent as one that lists the accounts, and many statements in one round trip. Where a list is
    refused, each of its accounts is done by itself. One run at a time writes accounts of a server; another one waits, and gives up after a minute.
  - Accounts of the server and of RDS, the master user and the logins of the run itself are never touched.
  - Settings of C(mysql.rds_set_configuration), such as C(binlog retention hours), are set to the source's own values.
  - Hashes and passwords are never shown, neither in results nor in diffs nor in errors.
  - Both servers must be of the same family; MySQL from 5.7.6, MariaDB from 10.4. Why not M(community.mysql.mysql_user) - it handles one account at a
    time and knows neither second passwords, nor factors, partial revokes, proxies or routine grants.
author:
  - The dbre.rds_encryption contributors (@dbre)
options:
  users:
    description:
      - Accounts to look at, as V(user) (every host) or V(user@host). All accounts by default.
    type: list
    elements: str
  exclude_users:
    description:
      - Accounts never to touch, as V(user) or V(user@host), besides those of the server, of RDS, the master user and the logins of this run.
    type: list
    elements: str
    default: []
  prune:
    description:
      - Whether to drop accounts that only the target has. Without it they are reported. Never done when O(baseline) is given.
    type: bool
    default: false
  settings:
    description:
      - Whether to carry the settings of C(mysql.rds_show_configuration) from the source.
    type: bool
    default: true
  configuration:
    description:
      - Settings of C(mysql.rds_set_configuration) with values that take the place of the source's. V(null) resets a setting.
    type: dict
    default: {}
  fail_on_problem:
    description:
      - Whether to fail when an account or a setting could not be made equal. RV(problems) names them in either case.
      - Differences that can never be made equal are not among them; see O(fail_on_not_restorable) and O(fail_on_missing_object).
    type: bool
    default: true
  fail_on_not_restorable:
    description:
      - Whether a difference that the login or the server cannot make equal is a problem, too - a privilege that the login may not give, a
        role that it does not administer, a proxy. Otherwise it is an item of RV(not_restorable) with its reason, and a warning.
      - No statement is sent for it. The account is made with everything else; it can then do less than on the source.
    type: bool
    default: false
  fail_on_missing_object:
    description:
      - Whether a grant on a table, column or routine that does not exist on the target is a problem, too. Otherwise it is an item of
        RV(not_restorable) and of RV(remarks).
    type: bool
    default: false
attributes:
  check_mode:
    description: Executes no statement that writes, and returns the very statements that a run would execute.
    support: full
  diff_mode:
    description: Shows the differing fields of each account, without secrets.
    support: full
  idempotent:
    description: A second run executes no statement.
    support: full
extends_documentation_fragment:
  - dbre.rds_encryption.mysql_connection.source_target
  - dbre.rds_encryption.mysql_connection.baseline
  - dbre.rds_encryption.mysql_connection.predict_from
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Make the accounts of the encrypted instance equal to the old one's
  dbre.rds_encryption.mysql_user_sync:
    source:
      db_instance_identifier: old-prod-one
    target:
      db_instance_identifier: new-prod-one
      login_db_instance_identifier: old-prod-one

- name: Give a recreated replica the accounts that only the old replica had
  dbre.rds_encryption.mysql_user_sync:
    source:
      db_instance_identifier: old-prod-one-replica
      login_secret_id: prod/one/admin
    target:
      db_instance_identifier: new-prod-one-replica
      login_secret_id: prod/one/admin
    baseline:
      db_instance_identifier: old-prod-one
      login_secret_id: prod/one/admin

- name: Keep three days of binary logs, whatever the source keeps
  dbre.rds_encryption.mysql_user_sync:
    source:
      login_host: db-a.example.org
      login_user: admin
      login_password: "{{ admin_password }}"
    target:
      login_host: db-b.example.org
      login_user: admin
      login_password: "{{ admin_password }}"
    configuration:
      binlog retention hours: 72
"""

RETURN = r"""
counts:
  description: Number of accounts by what happens to them.
  returned: always
  type: dict
  sample: {"equal": 12, "create": 1, "repair": 2, "surplus": 1, "drop": 0, "skipped": 1, "refused": 0}
accounts:
  description: Every account that is not equal.
  returned: always
  type: list
  elements: dict
  contains:
    account:
      description: The account, as C('user'@'host') or as C(role name).
      type: str
    user:
      description: Its user.
      type: str
    host:
      description: Its host.
      type: str
    is_role:
      description: Whether it is a role of MariaDB.
      type: bool
    action:
      description: One of V(create), V(repair), V(surplus), V(drop), V(skipped), V(refused).
      type: str
    differs:
      description: Names of the fields that differ.
      type: list
      elements: str
    reason:
      description: Why it is skipped, refused or surplus.
      type: str
    not_restorable:
      description: Differences that cannot be made equal, with the reason.
      type: list
      elements: str
    statements:
      description: The statements for this account, hashes masked.
      type: list
      elements: str
statements:
  description:
    - All statements in the order of their execution, each for one account, hashes masked. In check mode those that would be executed.
  returned: always
  type: list
  elements: str
  sample: ["CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS <hidden> ACCOUNT LOCK", "ALTER USER `app`@`%` ACCOUNT UNLOCK"]
settings:
  description: Settings that were changed, or in check mode would be.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "binlog retention hours", "before": null, "after": "72", "from": "source"}]
problems:
  description: Accounts and settings that could not be made equal, each with the server's words.
  returned: always
  type: list
  elements: dict
  sample: [{"account": "'iam'@'%'", "problem": "authentication plugin AWSAuthenticationPlugin is not active on the target"}]
not_restorable:
  description:
    - Every difference that cannot be made equal, with its reason. C(kind) is V(missing) for a grant on something that the target
      has not got, V(not restorable) for what the login or the server cannot do, V(unusable) for an account that could not be made or has to
      stay locked, which is a problem in any case.
  returned: always
  type: list
  elements: dict
  sample: [{"account": "'dba'@'%'", "difference": "privilege SUPER ON *.*: the login on the target may not give it", "kind": "not restorable"}]
remarks:
  description: What a cautious person should know - server settings that differ, empty passwords, anonymous accounts, grants on missing objects.
  returned: always
  type: list
  elements: str
predicted:
  description: Whether O(predict_from) took the place of the target.
  returned: always
  type: bool
source:
  description: Family, version, login and read-only state of the source.
  returned: always
  type: dict
target:
  description: The same of the target.
  returned: always
  type: dict
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import connection_option
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_user_sync import sync
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restarts import despite_restarts

ARGUMENT_SPEC = dict(
    source=connection_option(required=True),
    target=connection_option(required=True),
    baseline=connection_option(),
    predict_from=connection_option(),
    users=dict(type="list", elements="str"),
    exclude_users=dict(type="list", elements="str", default=[]),
    prune=dict(type="bool", default=False),
    settings=dict(type="bool", default=True),
    configuration=dict(type="dict", default={}),
    fail_on_problem=dict(type="bool", default=True),
    fail_on_not_restorable=dict(type="bool", default=False),
    fail_on_missing_object=dict(type="bool", default=False),
)


def run(context) -> dict:
    """The target's accounts and settings equal the source's."""
    return despite_restarts(context, lambda: sync(context))


def main():
    """Run as a module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
