#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_rehearsal
version_added: 1.0.0
short_description: Build the encrypted instances of a topology beside it, from a snapshot of the running source, to know how long it takes
description:
  - Does what the build of a run does - snapshot, encrypted copy, restore, attributes, replicas - under throw-away names, and compares the
    attributes. There is no fence and no cutover; of the source only a snapshot is taken.
  - What it makes lacks whatever was written since, and never serves. It has the role C(rehearsal) in its tags, and an id of its own in place of
    that of a fence, so that no run uses it.
  - Goes on wherever an earlier call was left, from a snapshot that is not older than a day. Deletes nothing; RV(left_behind) has the commands.
options:
  name:
    description:
      - The identifier that applications use, of a source that runs under it.
    type: str
    required: true
  kms_key_id:
    description:
      - Id, ARN or alias of a symmetric KMS key of this region.
    type: str
    required: true
  rehearsal_prefix:
    description:
      - What the throw-away instances are called in front of their name.
    type: str
    default: rehearsal-
  accepted_differences:
    description:
      - Members of the C(DBInstance) shape whose difference is accepted.
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
    description: A second run makes no change as long as what the first one made is there.
    support: full
author:
  - The dbre.rds_encryption contributors (@dbre)
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - dbre.rds_encryption._backup_keys
  - dbre.rds_encryption._prefixes
  - dbre.rds_encryption._wait
seealso:
  - module: dbre.rds_encryption.rds_encrypted_restore
  - module: dbre.rds_encryption.rds_replica_clone
"""

EXAMPLES = r"""
- name: Find out how long the outage of prod-one will be
  dbre.rds_encryption.rds_rehearsal:
    name: prod-one
    kms_key_id: alias/rds-prod
    region: eu-central-1
"""

RETURN = r"""
rehearsal_id:
  description: What stands in the tags of everything that the rehearsal made, in place of the id of a fence.
  returned: always
  type: str
  sample: rehearsal20261122034500
members:
  description: The instances of the topology and their stand-ins, C(name), C(role), C(source_identifier), C(target_identifier).
  returned: always
  type: list
  elements: dict
  sample:
    - {name: prod-one, role: primary, source_identifier: prod-one, target_identifier: rehearsal-prod-one}
seconds:
  description: How long each phase took in this call; what an earlier call did is not in it.
  returned: always
  type: dict
  sample: {snapshot: 61.0, encrypted copy: 1204.5, restore: 1310.2, settings: 420.0, replicas: 1500.0}
differences:
  description: Attributes in which the stand-ins differ without an explanation; a cutover would be refused for them.
  returned: always
  type: list
  elements: str
  sample: []
left_behind:
  description: The commands that remove what this rehearsal and earlier ones made of the topology.
  returned: always
  type: list
  elements: str
  sample:
    - aws rds delete-db-instance --region eu-central-1 --db-instance-identifier rehearsal-prod-one --skip-final-snapshot --delete-automated-backups
plan:
  description: The steps that were made, or would be made in check mode, in order.
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
    - action: RestoreDBInstanceFromDBSnapshot
      resource: rehearsal-prod-one
      what: Restore rehearsal-prod-one from rehearsal-prod-one-rehearsal20261122034500-encrypted
remarks:
  description: What the operator should know and needs no step.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import BACKUP_KEYS_SPEC, PREFIX_SPEC, WAIT_SPEC
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.rehearsal import run

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    kms_key_id=dict(type="str", required=True),
    rehearsal_prefix=dict(type="str", default="rehearsal-"),
    accepted_differences=dict(type="list", elements="str", default=[]),
    **BACKUP_KEYS_SPEC,
    **PREFIX_SPEC,
    **WAIT_SPEC,
)


def main() -> None:
    """Serve the module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
