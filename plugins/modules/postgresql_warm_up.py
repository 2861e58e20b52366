#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Read the data of PostgreSQL servers through before applications do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_warm_up
short_description: Read the data of PostgreSQL servers through before applications do
version_added: 1.0.0
description:
  - A restored RDS instance fetches each block from the snapshot when it is first touched, which takes tens of milliseconds. This module touches
    them first - all tables of all servers that are given, at the same time, the largest first, until O(time_budget) is used up.
  - All databases that the login may connect to. Where the extension C(pg_prewarm) is installed, it reads tables, indexes and values that are stored
    outside of the rows. Elsewhere tables are read by a sequential scan, and indexes are not.
  - Single reads before and after tell what it was good for. They take some seconds beside the budget.
  - Sessions are read only. What cannot be read is a warning and never a failure.
author:
  - The dbre.rds_encryption contributors (@dbre)
options:
  time_budget:
    description:
      - Seconds to spend. The servers themselves end what would take longer. V(0) reads nothing and only lists the tables.
    type: int
    default: 600
  connections:
    description:
      - How many connections read each server. Large tables are read in pieces, so that one of them alone keeps all busy.
    type: int
    default: 4
attributes:
  check_mode:
    description: Tells what would be read, and looks at sizes only.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
extends_documentation_fragment:
  - dbre.rds_encryption.postgresql_connection.servers
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Read an encrypted instance and its replica for at most ten minutes
  dbre.rds_encryption.postgresql_warm_up:
    servers:
      - db_instance_identifier: new-prod-one
        login_db_instance_identifier: old-prod-one
      - db_instance_identifier: new-prod-one-replica
        login_db_instance_identifier: old-prod-one-replica
    time_budget: 600
"""

RETURN = r"""
servers:
  description:
    - One row per server. C(complete) says whether all was read; C(read_bytes) how much, as the server estimates sizes; C(before_ms) and C(after_ms) are
      medians of single reads at places of the largest tables, other places before and after; C(tables) has the same of each table, the largest first,
      with a C(verdict) - V(read), V(partly read), V(not read), in check mode V(would be read). C(problem) says why a server was not read at all.
  returned: always
  type: list
  elements: dict
  sample:
    - server: new-prod-one
      complete: true
      read_bytes: 52428800
      seconds: 12.5
      before_ms: 21.3
      after_ms: 0.4
      tables: [{"schema": "shop", "table": "orders", "bytes": 52428800, "verdict": "read", "before_ms": 21.3, "after_ms": 0.4}]
measures:
  description: The medians of single reads before and after, for the report of a run.
  returned: always
  type: list
  elements: dict
  sample: [{"resource": "new-prod-one", "measure": "read_latency_after_warm_up", "value": 0.4, "unit": "ms", "text": "median of single reads"}]
time_budget:
  description: The seconds that were given.
  returned: always
  type: int
  sample: 600
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.postgresql_warm_up import ARGUMENT_SPEC, run


def main():
    """Run as a module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
