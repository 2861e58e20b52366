#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_encrypted_restore
version_added: 1.0.0
short_description: Restore an encrypted copy of an unencrypted RDS instance, with all its attributes
description:
  - Snapshot of the source, encrypted copy of the snapshot, restore of the copy with everything that the restore call accepts, then the rest by
    modify and other calls in the order that RDS needs, a restart only if a parameter group waits for one, and deletion protection last.
  - Goes on wherever an earlier call was left. What exists is used only if its identifier and tags prove that it was made from this source
    under this fence; nothing is deleted, ever.
  - M(amazon.aws.rds_instance_snapshot) cannot give a KMS key to a copy, and M(amazon.aws.rds_instance) cannot resume; hence this module.
options:
  source_db_instance_identifier:
    description:
      - The unencrypted instance as it is called now, normally C(old-NAME).
    type: str
    required: true
  target_db_instance_identifier:
    description:
      - The encrypted instance to make, normally C(new-NAME).
    type: str
    required: true
  kms_key_id:
    description:
      - Id, ARN or alias of a symmetric KMS key of this region.
    type: str
    required: true
  fence_id:
    description:
      - The id of the fence that the snapshot must belong to. Defaults to the one in the tags of the source.
      - Give one of your own only if you fenced the source by other means; it becomes part of the snapshots' identifiers.
    type: str
  snapshot_identifier:
    description:
      - Identifier of the unencrypted snapshot; must contain the fence id. Defaults to C(TARGET-FENCE_ID).
    type: str
  encrypted_snapshot_identifier:
    description:
      - Identifier of the encrypted copy; must contain the fence id. Defaults to the snapshot's with C(-encrypted) after it.
    type: str
  snapshot_db_instance_identifier:
    description:
      - The instance to take the snapshot of, where that is not the source itself, but a read replica of it that stands still. The target is then
        made to follow the source, which serves, and is marked so; O(fence_id) is the id of that attempt.
    type: str
  coordinates:
    description:
      - Where replication has to begin on a target that is made so, as M(dbre.rds_encryption.mysql_replication_link) answered it
        (C(file), C(position), C(gtid)). It is kept in the tags of the snapshot.
    type: dict
  held_db_parameter_group_name:
    description:
      - The DB parameter group that the target has for the time being, in place of the source's. Run the module again without it to put the
        source's in force.
    type: str
  expected_replicas:
    description:
      - Identifiers of replicas that must exist below the target before its managed master password is switched on, since RDS refuses
        to make replicas afterwards. Run the module again when they exist.
    type: list
    elements: str
    default: []
  tags:
    description:
      - Tags for the target beside those of the source.
    type: dict
  wait:
    description:
      - Set to V(false) to start the next step and return without waiting for it; a later run goes on.
    type: bool
    default: true
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
  - dbre.rds_encryption._backup_keys
  - dbre.rds_encryption._wait
seealso:
  - module: dbre.rds_encryption.rds_fence
  - module: dbre.rds_encryption.rds_replica_clone
  - module: dbre.rds_encryption.rds_attr_diff
"""

EXAMPLES = r"""
- name: Restore the encrypted replacement of a fenced instance
  dbre.rds_encryption.rds_encrypted_restore:
    source_db_instance_identifier: old-prod-one
    target_db_instance_identifier: new-prod-one
    kms_key_id: alias/rds-prod
    region: eu-central-1

- name: Show what would be done
  dbre.rds_encryption.rds_encrypted_restore:
    source_db_instance_identifier: old-prod-one
    target_db_instance_identifier: new-prod-one
    kms_key_id: alias/rds-prod
    region: eu-central-1
  check_mode: true
  diff: true
"""

RETURN = r"""
fence_id:
  description: The fence that the target belongs to.
  returned: always
  type: str
  sample: f3b1c0ffee12
target_db_instance_identifier:
  description: The encrypted instance.
  returned: when not in check mode
  type: str
  sample: new-prod-one
target_resource_id:
  description: The C(DbiResourceId) of the encrypted instance.
  returned: when not in check mode
  type: str
  sample: db-ABCDEFGHIJKLMNOPQRSTUVWXYZ
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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import BACKUP_KEYS_SPEC, WAIT_SPEC
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restore import run

ARGUMENT_SPEC = dict(
    source_db_instance_identifier=dict(type="str", required=True),
    target_db_instance_identifier=dict(type="str", required=True),
    kms_key_id=dict(type="str", required=True),
    fence_id=dict(type="str"),
    snapshot_identifier=dict(type="str"),
    encrypted_snapshot_identifier=dict(type="str"),
    snapshot_db_instance_identifier=dict(type="str"),
    coordinates=dict(type="dict"),
    held_db_parameter_group_name=dict(type="str"),
    expected_replicas=dict(type="list", elements="str", default=[]),
    tags=dict(type="dict"),
    wait=dict(type="bool", default=True),
    **BACKUP_KEYS_SPEC,
    **WAIT_SPEC,
)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
