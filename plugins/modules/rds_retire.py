#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_retire
version_added: 1.0.0
short_description: Stop or delete the unencrypted originals of a topology
description:
  - Retires the C(old-NAME) instances of a topology whose encrypted instance is proven and has served under the name for long enough.
  - It is the only module of the collection that deletes anything, and does so only with what O(confirm) names.
  - V(delete) lifts the deletion protection of each instance right before it is deleted, deletes the replicas first (deleting their source would
    promote them), then the unencrypted snapshots that runs took of the original, then the original, with a final snapshot, which stays. Automated
    backups are kept until RDS removes them at the end of their retention.
  - Refuses while the encrypted instance is not the one that was validated, is not encrypted, is not available, or bears marks of an unfinished
    run, and while something replicates from an original that this collection did not fence.
options:
  name:
    description:
      - The identifier that applications use. Its C(old-) and C(new-) identifiers mean the same topology.
    type: str
    required: true
  action:
    description:
      - V(stop) stops an original without replicas; RDS starts a stopped instance again after seven days. Originals with replicas cannot be stopped.
      - V(delete) deletes the originals.
    type: str
    choices: [stop, delete]
    default: stop
  after_days:
    description:
      - Days for which the encrypted instance must have served under the name.
    type: int
    default: 14
  confirm:
    description:
      - The names of the topologies whose originals may go. Without the name of this one, the module lists what would go, and changes nothing.
      - The identifiers of encrypted leftovers of rollbacks (C(new-NAME)) that may be deleted; they go only with O(action=delete), each with a
        final snapshot.
    type: list
    elements: str
    default: []
  encrypt_final_snapshot:
    description:
      - Whether an encrypted copy of the final snapshot of the original is made, too, called like it with C(-encrypted) at the end.
    type: bool
    default: false
  kms_key_id:
    description:
      - The key (id, ARN or alias) of that copy.
    type: str
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
  - module: dbre.rds_encryption.rds_rollback
"""

EXAMPLES = r"""
- name: Say what would go
  dbre.rds_encryption.rds_retire:
    name: prod-one
    action: delete
    region: eu-central-1
  check_mode: true

- name: Delete old-prod-one and its replicas
  dbre.rds_encryption.rds_retire:
    name: prod-one
    action: delete
    confirm: [prod-one]
    region: eu-central-1
"""

RETURN = r"""
name:
  description: The identifier that applications use.
  returned: always
  type: str
  sample: prod-one
confirmed:
  description: Whether all that is listed was named in O(confirm).
  returned: always
  type: bool
  sample: true
going:
  description: What goes, or would go.
  returned: always
  type: dict
  contains:
    stopped:
      description: Instances that are stopped.
      type: list
      elements: str
      returned: always
    instances:
      description: Instances that are deleted.
      type: list
      elements: str
      returned: always
    snapshots:
      description: Unencrypted snapshots of earlier runs that are deleted.
      type: list
      elements: str
      returned: always
kept:
  description: Snapshots that are made of what goes, and stay.
  returned: always
  type: list
  elements: str
  sample: [old-prod-one-f3b1c0ffee12-final]
plan:
  description: The steps that were made, or would be made, in order.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: The AWS operation.
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
    - action: DeleteDBInstance
      resource: old-prod-one
      what: Delete old-prod-one, after its final snapshot old-prod-one-f3b1c0ffee12-final
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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.retire import run

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    action=dict(type="str", choices=["stop", "delete"], default="stop"),
    after_days=dict(type="int", default=14),
    confirm=dict(type="list", elements="str", default=[]),
    encrypt_final_snapshot=dict(type="bool", default=False),
    kms_key_id=dict(type="str"),
    fleet=dict(type="list", elements="str", default=[]),
    **PREFIX_SPEC,
    **WAIT_SPEC,
)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
