#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare settings and data of two MySQL or MariaDB servers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_data_diff
short_description: Compare settings and data of two MySQL or MariaDB servers
version_added: 1.0.0
description:
  - Compares schemas, tables with their definitions, row counts, C(CHECKSUM TABLE), C(AUTO_INCREMENT), views, routines, triggers and events, and looks
    whether the account of each definer exists on the target.
  - Tables are counted and checksummed on both servers at the same time until O(time_budget) is used up. First come those that the source has written
    to since it was started (none, as a rule, behind a fence), then the others, smallest first.
  - Of the rest a sample is compared - the first and last rows by primary key, and where that is a number, pieces in between, at the same places on
    both servers. Tables without a primary key are counted. RV(tables) and a warning say so of each. Sampling may take a quarter of the budget more.
  - Compares what the servers run with, too - the settings of C(mysql.rds_show_configuration), global variables, and replication. Those that differ
    are listed with a reason, and are no failure; a target that replicates from somebody although it is no read replica is one.
  - Only reads. Both servers should be quiet meanwhile; writes to either of them show as differences.
author:
  - The dbre.rds_encryption contributors (@dbre)
options:
  time_budget:
    description:
      - Seconds to spend on counting and checksumming. V(0) compares only definitions and settings.
    type: int
    default: 300
  schemas:
    description:
      - Schemas to compare. All but those of the server itself by default.
    type: list
    elements: str
  exclude_schemas:
    description:
      - Schemas to leave out.
    type: list
    elements: str
    default: []
  compare_auto_increment:
    description:
      - Whether a smaller next C(AUTO_INCREMENT) value on the target is a difference. Between replicas it is none, as they do not give ids away, and
        a value that a transaction on the primary took and did not use may show on one of them only.
    type: bool
    default: true
  only_written:
    description:
      - Compare only the rows of tables that the source has written to since it was started, and no settings. For a last look right before the
        encrypted instance serves.
    type: bool
    default: false
  fail_on_difference:
    description:
      - Whether to fail when something differs. Tables beyond the time budget are no difference.
    type: bool
    default: true
attributes:
  check_mode:
    description: Only reads in either mode.
    support: full
  diff_mode:
    description: Shows what differs.
    support: full
  idempotent:
    description: Changes nothing.
    support: full
extends_documentation_fragment:
  - dbre.rds_encryption.mysql_connection.source_target
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Compare the encrypted instance with the old one for at most ten minutes
  dbre.rds_encryption.mysql_data_diff:
    source:
      db_instance_identifier: old-prod-one
    target:
      db_instance_identifier: new-prod-one
      login_db_instance_identifier: old-prod-one
    time_budget: 600

- name: Look at one schema, whatever comes of it
  dbre.rds_encryption.mysql_data_diff:
    source:
      login_host: db-a.example.org
      login_user: admin
      login_password: "{{ admin_password }}"
    target:
      login_host: db-b.example.org
      login_user: admin
      login_password: "{{ admin_password }}"
    schemas: [shop]
    fail_on_difference: false
"""

RETURN = r"""
equal:
  description: Whether nothing that was checked differs.
  returned: always
  type: bool
summary:
  description: Numbers of tables by verdict, and of other differences.
  returned: always
  type: dict
  sample:
    tables: 42
    equal: 40
    different: 0
    sampled: 1
    counted: 0
    not_checked: 1
    other_differences: 0
    unreadable_definitions: 0
    definers_missing: 0
tables:
  description:
    - One row per table that both servers have. C(verdict) is V(equal), V(differs), V(sample equal), V(number of rows equal) or V(not checked);
      with V(sample equal), C(sampled_rows) says of how many rows.
  returned: always
  type: list
  elements: dict
  sample: [{"schema": "shop", "table": "orders", "bytes": 16384, "exact": true, "source_rows": 7, "target_rows": 7, "checksum": "equal", "verdict": "equal"}]
differences:
  description: Schemas, definitions, C(AUTO_INCREMENT) values, views, routines, triggers and events that differ.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "view", "schema": "shop", "name": "open_orders", "verdict": "only on the source", "detail": ""}]
settings:
  description:
    - The settings of C(mysql.rds_show_configuration), and whatever else differs, each with a C(verdict) - V(carried), V(explained) (differs by
      nature), V(reported) (look at it) or V(refused) (the target must not serve like this) - and a C(reason).
  returned: always
  type: list
  elements: dict
  sample: [{"name": "event_scheduler", "source": "ON", "target": "OFF", "verdict": "reported", "reason": "not from the parameter group"}]
definers_missing:
  description: Objects of the target whose definer has an account on the source, but none on the target.
  returned: always
  type: list
  elements: dict
definers_missing_on_both:
  description: Objects whose definer has no account on either server; they are broken on both.
  returned: always
  type: list
  elements: dict
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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restarts import despite_restarts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_data_diff import compare_data

ARGUMENT_SPEC = dict(
    source=connection_option(required=True),
    target=connection_option(required=True),
    time_budget=dict(type="int", default=300),
    schemas=dict(type="list", elements="str"),
    exclude_schemas=dict(type="list", elements="str", default=[]),
    compare_auto_increment=dict(type="bool", default=True),
    only_written=dict(type="bool", default=False),
    fail_on_difference=dict(type="bool", default=True),
)


def run(context) -> dict:
    """The two servers' data compared."""
    return despite_restarts(context, lambda: compare_data(context))


def main():
    """Run as a module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
