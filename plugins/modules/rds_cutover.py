#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_cutover
version_added: 1.0.0
short_description: Give the names of an RDS topology to its encrypted instances
description:
  - Renames each C(new-NAME) to C(NAME), the target and its replicas at the same time, confirms the endpoints, and takes the marks of the run off
    the encrypted instances. The unencrypted C(old-NAME) instances stay, with notes on them.
  - Refuses while the fence is not in force, while a member has no encrypted replacement of this fence, while a name is held by somebody else,
    and while an attribute differs without an explanation.
  - If the primary does not serve under its name in O(cutover_timeout) seconds, the names go back to C(new-NAME) by themselves, and the module
    fails. Nothing is undone once it serves, since applications may have written to it; a replica that is late is waited for by the next run.
options:
  name:
    description:
      - The identifier that applications use.
    type: str
    required: true
  kms_key_id:
    description:
      - The key (id, ARN or alias) that the encrypted instances must have. Without it any key is accepted.
    type: str
  accepted_differences:
    description:
      - Members of the C(DBInstance) shape whose difference the operator accepts, for example V(EngineVersion).
    type: list
    elements: str
  cutover_timeout:
    description:
      - Seconds in which the swap of names must be confirmed. A swap that failed for another reason is undone too, as long as the primary does
        not serve under its name.
    type: int
    default: 1800
attributes:
  check_mode:
    description: Can run in check mode and predict the changes without making any.
    support: full
  diff_mode:
    description: Shows the steps that would be or were made.
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
  - dbre.rds_encryption._prefixes
  - dbre.rds_encryption._wait
seealso:
  - module: dbre.rds_encryption.rds_attr_diff
"""

EXAMPLES = r"""
- name: Let prod-one be the encrypted instance
  dbre.rds_encryption.rds_cutover:
    name: prod-one
    kms_key_id: alias/rds-prod
    region: eu-central-1
"""

RETURN = r"""
members:
  description: Who answers under which name now.
  returned: when not in check mode
  type: list
  elements: dict
  contains:
    name:
      description: The identifier that applications use.
      type: str
      returned: always
    old:
      description: The identifier of the unencrypted original.
      type: str
      returned: always
    resource_id:
      description: The C(DbiResourceId) of the encrypted instance.
      type: str
      returned: always
    endpoint:
      description: The address of the encrypted instance.
      type: str
      returned: always
plan:
  description: The steps that were made, or would be made in check mode, in order.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: The AWS operation, or C(Rename).
      type: str
      returned: always
    resource:
      description: The identifier that the step is about.
      type: str
      returned: always
    what:
      description: The step in words.
      type: str
      returned: always
  sample:
    - action: Rename
      resource: prod-one
      what: Rename prod-one to old-prod-one
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
  sample: []
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import PREFIX_SPEC, WAIT_SPEC
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.cutover import run

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    kms_key_id=dict(type="str"),
    accepted_differences=dict(type="list", elements="str"),
    cutover_timeout=dict(type="int", default=1800),
    **PREFIX_SPEC,
    **WAIT_SPEC,
)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
