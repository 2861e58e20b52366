#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_rollback
version_added: 1.0.0
short_description: Give the names of an RDS topology back to its originals
description:
  - Takes the names from the encrypted instances that have them, makes the fence void, takes the originals out of their quarantine, renames each
    C(old-NAME) to C(NAME), waits until it serves and its replicas replicate, and takes the marks of the run off.
  - Works from every phase of a run, also from one that was stopped in the middle, and goes on where an earlier rollback was stopped.
  - Nothing is deleted. The encrypted instances stay under their C(new-) names and with their tags; no later run uses them.
  - What is still being made in AWS (a snapshot, a restore) goes on and does not hold the names up.
options:
  name:
    description:
      - The identifier that applications use. Its C(old-) and C(new-) identifiers mean the same topology.
    type: str
    required: true
  discard_writes:
    description:
      - Go back although the encrypted instance has, or had, the name, so that applications may have written to it. These writes stay behind in
        it, and the originals know nothing of them.
      - Without it such a topology is refused, and the message says how old the fence is.
    type: bool
    default: false
  keep_link:
    description:
      - Leave the marks of replication on the source, which only gets its name back. The target goes on following it
        (M(dbre.rds_encryption.rds_replication_link)).
    type: bool
    default: false
  fleet:
    description:
      - All hosts of the run. When several of them mean the same topology, only the first has something to do.
    type: list
    elements: str
    default: []
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
  - module: dbre.rds_encryption.rds_cutover
"""

EXAMPLES = r"""
- name: Give prod-one its original back, which nobody could write to since the fence
  dbre.rds_encryption.rds_rollback:
    name: prod-one
    region: eu-central-1

- name: Go back after the cutover, without what was written since
  dbre.rds_encryption.rds_rollback:
    name: prod-one
    discard_writes: true
    region: eu-central-1
"""

RETURN = r"""
name:
  description: The identifier that applications use.
  returned: always
  type: str
  sample: prod-one
action:
  description: V(roll_back), or V(none) where there is nothing to go back from or to.
  returned: always
  type: str
  sample: roll_back
reason:
  description: Where the topology stood, in words.
  returned: always
  type: str
  sample: prod-one is fenced as old-prod-one; nobody has the name.
discards_writes:
  description: Whether applications may have written to the encrypted instance.
  returned: when the topology is not one of another host
  type: bool
  sample: false
fence_age:
  description: Seconds since the fence was completed; null where no fence is complete.
  returned: when the topology is not one of another host
  type: float
  sample: 5400.0
members:
  description: The originals.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The identifier that applications use.
      type: str
      returned: always
    identifier:
      description: What the original is called now.
      type: str
      returned: always
    endpoint:
      description: The address of the original.
      type: str
      returned: always
leftovers:
  description: Encrypted instances of this topology that are of no use any more and stay until M(dbre.rds_encryption.rds_retire) is asked to delete them.
  returned: always
  type: list
  elements: str
  sample: [new-prod-one]
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
      resource: old-prod-one
      what: Give the name prod-one back to its original, old-prod-one
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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.rollback import run

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    discard_writes=dict(type="bool", default=False),
    keep_link=dict(type="bool", default=False),
    fleet=dict(type="list", elements="str", default=[]),
    **PREFIX_SPEC,
    **WAIT_SPEC,
)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
