#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_plan_report
version_added: 1.0.0
short_description: The plan of a fleet as text, Markdown and JSON
description:
  - Puts together what M(dbre.rds_encryption.rds_topology_info) and M(dbre.rds_encryption.rds_dependents) found out about each topology of a run -
    steps, expected duration and outage, quotas, what runs on until the originals are retired, blockers, warnings, dependents. Asks AWS nothing.
options:
  topologies:
    description:
      - For each host of the run C(host), C(topology) as M(dbre.rds_encryption.rds_topology_info) returned it, and where there are any
        C(dependents), the result of M(dbre.rds_encryption.rds_dependents), and C(problems), the messages of logins that were refused.
    type: list
    elements: dict
    required: true
  retire_after_days:
    description:
      - Days after the cutover until the originals may be retired, for what runs on until then.
    type: int
    default: 14
  directory:
    description:
      - Folder for C(plan.txt), C(plan.md) and C(plan.json), which are readable by their owner only. Nothing is written without it, or in check mode.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and predict the changes without making any.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: full
  idempotent:
    description: A second run makes no change.
    support: full
author:
  - The dbre.rds_encryption contributors (@dbre)
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Where does prod-one stand?
  dbre.rds_encryption.rds_topology_info:
    name: prod-one
    kms_key_id: alias/rds-prod
    region: eu-central-1
  register: found

- name: What would be done?
  dbre.rds_encryption.rds_plan_report:
    topologies:
      - host: prod-one
        topology: "{{ found.topology }}"
    directory: plan
"""

RETURN = r"""
fleet:
  description: The numbers of the whole fleet - expected minutes, quotas, what runs on.
  returned: success
  type: dict
fleet_lines:
  description: The same for people, with a row for each topology.
  returned: success
  type: list
  elements: str
lines:
  description: The plan of each host for people.
  returned: success
  type: dict
files:
  description: What was written.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.plan_report import run

ARGUMENT_SPEC = dict(
    topologies=dict(type="list", elements="dict", required=True),
    retire_after_days=dict(type="int", default=14),
    directory=dict(type="path"),
)


def main() -> None:
    """Serve the module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
