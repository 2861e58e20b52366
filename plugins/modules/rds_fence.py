#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_fence
version_added: 1.0.0
short_description: Make writes by applications to an RDS topology impossible
description:
  - Marks the source and its read replicas with tags, renames each to C(old-NAME), and restarts the source, so that no connection survives.
  - Each fence has a new opaque id, kept in a tag of the source. Snapshots of another fence are never used by this collection.
  - A fence that an earlier run began is completed; a source that answers under its own name is always fenced anew.
  - Whether connections came back is the question of M(dbre.rds_encryption.mysql_connections).
options:
  name:
    description:
      - The identifier that applications use. Its C(old-) and C(new-) identifiers mean the same topology.
    type: str
    required: true
  quarantine_security_group_id:
    description:
      - A security group that takes the place of all security groups of the source and its replicas, so that no client can reach them, not even by
        address. It must be of their VPC, and must let in whoever runs the checks of this collection.
      - The groups that it replaces are noted in tags; the encrypted instances get those.
    type: str
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
  - module: dbre.rds_encryption.rds_encrypted_restore
  - module: dbre.rds_encryption.mysql_connections
"""

EXAMPLES = r"""
- name: Fence prod-one and its replicas
  dbre.rds_encryption.rds_fence:
    name: prod-one
    region: eu-central-1
  register: fence
"""

RETURN = r"""
fence_id:
  description: The id of the fence in force; in check mode of one that would be made, an example.
  returned: always
  type: str
  sample: f3b1c0ffee12
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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.fence import run

ARGUMENT_SPEC = dict(name=dict(type="str", required=True), quarantine_security_group_id=dict(type="str"), **PREFIX_SPEC, **WAIT_SPEC)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
