#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_dependents
version_added: 1.0.0
short_description: What hangs on an RDS topology, and binding it to the encrypted instances
description:
  - Lists what knows the instances of a topology by name, ARN, endpoint or resource id - event subscriptions, alarms, log filters, RDS Proxies,
    AWS Backup, IAM policies with C(rds-db:connect), DMS, secrets, zero-ETL, snapshot exports, EventBridge, CloudFormation - and says what
    becomes of each when the names are swapped.
  - With O(rebind=true) it registers names with RDS Proxies again, and adds them to event subscriptions that lost them. What cannot be bound
    is a warning and no failure.
  - What cannot be read is said in RV(unread) and is no failure.
  - The values of secrets are never read.
options:
  name:
    description:
      - The identifier that applications use.
    type: str
    required: true
  rebind:
    description:
      - Bind again what has lost its instance to whoever has the name now. Only what can be bound is read then.
    type: bool
    default: false
  accepted_dependents:
    description:
      - Kinds that block a run as long as nobody accepts them, V(zero_etl) and V(export_task), and that the operator sees to.
    type: list
    elements: str
    default: []
  poll_interval:
    description:
      - The longest pause between two looks at a proxy, in seconds.
    type: float
    default: 20.0
  rebind_timeout:
    description:
      - Seconds after which a proxy that does not reach its instance is left to the operator, with a warning.
    type: int
    default: 600
attributes:
  check_mode:
    description: Can run in check mode and predict the changes without making any.
    support: full
  diff_mode:
    description: Shows the steps that would be or were made.
    support: full
  idempotent:
    description: A second run makes no change, if the proxies reach their instances.
    support: full
author:
  - The dbre.rds_encryption contributors (@dbre)
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - dbre.rds_encryption._prefixes
seealso:
  - module: dbre.rds_encryption.rds_cutover
"""

EXAMPLES = r"""
- name: What hangs on prod-one?
  dbre.rds_encryption.rds_dependents:
    name: prod-one
    region: eu-central-1
  register: found

- name: Bind it to the encrypted instance after the cutover
  dbre.rds_encryption.rds_dependents:
    name: prod-one
    rebind: true
    region: eu-central-1
"""

RETURN = r"""
dependents:
  description: What was found, in an order of importance.
  returned: when O(rebind=false)
  type: list
  elements: dict
  contains:
    kind:
      description: The kind, such as V(rds_proxy) or V(iam_connect).
      type: str
      returned: always
    member:
      description: The name of the instance that it hangs on.
      type: str
      returned: always
    resource:
      description: What its own service calls it.
      type: str
      returned: always
    fate:
      description: V(survives), V(rebind), V(operator) or V(blocks).
      type: str
      returned: always
    done:
      description: Whether nothing is left to be done about it.
      type: bool
      returned: always
    text:
      description: What becomes of it, in words.
      type: str
      returned: always
    commands:
      description: What its owner runs, for a shell. Known once the encrypted instance exists.
      type: list
      elements: str
      returned: always
blockers:
  description: Dependents that must not be there at the fence, with C(code), C(resource) and C(text).
  returned: when O(rebind=false)
  type: list
  elements: dict
items:
  description: What is left to the owner after the cutover, infrastructure as code included; elements as in RV(dependents).
  returned: when O(rebind=false)
  type: list
  elements: dict
unread:
  description: What was not looked for, and why.
  returned: when O(rebind=false)
  type: list
  elements: str
plan_lines:
  description: The dependents for people, one line for each kind.
  returned: when O(rebind=false)
  type: list
  elements: str
report_lines:
  description: The items for people, with their commands.
  returned: when O(rebind=false)
  type: list
  elements: str
plan:
  description: The steps that bind again, those to come or, with O(rebind=true), those that were made.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: The AWS operation, or C(MarkProxy) and C(UnmarkProxy) for a tag on a proxy.
      type: str
      returned: always
    resource:
      description: The proxy or event subscription.
      type: str
      returned: always
    what:
      description: The step in words.
      type: str
      returned: always
made_at:
  description: When the call of each step of RV(plan) was made, ISO 8601 in UTC.
  returned: when not in check mode
  type: list
  elements: str
  sample: ["2026-11-22T01:06:12Z"]
remarks:
  description: What the operator should know and needs no step.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import PREFIX_SPEC
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.dependents import run

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    rebind=dict(type="bool", default=False),
    accepted_dependents=dict(type="list", elements="str", default=[]),
    poll_interval=dict(type="float", default=20.0),
    rebind_timeout=dict(type="int", default=600),
    **PREFIX_SPEC,
)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
