#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_replica_clone
version_added: 1.0.0
short_description: Make a read replica of an encrypted RDS instance after the model of an existing replica
description:
  - Creates a replica of the encrypted target with everything that the call accepts, then finishes it until it equals its model, by the same
    code as M(dbre.rds_encryption.rds_encrypted_restore). Replicas of replicas are made level by level.
  - Goes on wherever an earlier call was left; a replica that this collection did not make for this model under this fence is refused.
options:
  source_db_instance_identifier:
    description:
      - The encrypted instance to replicate from, the target or one of its replicas.
    type: str
    required: true
  model_db_instance_identifier:
    description:
      - The existing, unencrypted replica whose attributes are wanted, normally C(old-NAME).
    type: str
    required: true
  target_db_instance_identifier:
    description:
      - The replica to make, normally C(new-NAME).
    type: str
    required: true
  fence_id:
    description:
      - The id of the fence in force. Defaults to the one in the tags of the model.
    type: str
  tags:
    description:
      - Tags for the replica beside those of the model.
    type: dict
  wait:
    description:
      - Set to V(false) to start the creation and return, so that several replicas are made at the same time; a later run goes on.
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
  - module: dbre.rds_encryption.rds_encrypted_restore
"""

EXAMPLES = r"""
- name: Make the encrypted replica
  dbre.rds_encryption.rds_replica_clone:
    source_db_instance_identifier: new-prod-one
    model_db_instance_identifier: old-prod-one-replica
    target_db_instance_identifier: new-prod-one-replica
    region: eu-central-1
"""

RETURN = r"""
target_db_instance_identifier:
  description: The encrypted replica.
  returned: when not in check mode
  type: str
  sample: new-prod-one-replica
target_resource_id:
  description: The C(DbiResourceId) of the encrypted replica.
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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.replica import run

ARGUMENT_SPEC = dict(
    source_db_instance_identifier=dict(type="str", required=True),
    model_db_instance_identifier=dict(type="str", required=True),
    target_db_instance_identifier=dict(type="str", required=True),
    fence_id=dict(type="str"),
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
