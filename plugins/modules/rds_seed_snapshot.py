#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_seed_snapshot
version_added: 1.0.0
short_description: See to a recent snapshot of a running RDS source, so that the one behind its fence is short
description:
  - RDS keeps snapshots incrementally. One that is taken while the applications still run makes the snapshot behind the fence, which is part of
    the outage, hold only what changed in between.
  - Nothing is restored from this snapshot. A source that is fenced, encrypted or cut over gets none.
  - On a Single-AZ instance RDS pauses input and output at the beginning of a snapshot, for seconds as a rule.
options:
  name:
    description:
      - The identifier that applications use. Its C(old-) and C(new-) identifiers mean the same topology.
    type: str
    required: true
  max_age:
    description:
      - Seconds. A snapshot of the source that is not older, manual or automated, whoever made it, is good enough.
    type: int
    default: 14400
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
  - module: dbre.rds_encryption.rds_fence
"""

EXAMPLES = r"""
- name: Make tonight's snapshot behind the fence a short one
  dbre.rds_encryption.rds_seed_snapshot:
    name: prod-one
    region: eu-central-1
"""

RETURN = r"""
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
    - action: CreateDBSnapshot
      resource: prod-one-seed-20261122034500
      what: Take snapshot prod-one-seed-20261122034500 of the running prod-one
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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.seed import run

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    max_age=dict(type="int", default=14400),
    **PREFIX_SPEC,
    **WAIT_SPEC,
)


def main() -> None:
    """Serve the module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
