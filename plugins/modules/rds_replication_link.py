#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_replication_link
version_added: 1.0.0
short_description: What RDS holds of an encrypted target that follows its running source
description:
  - The part of the strategy C(mysql_replication) that is made through the RDS API; M(dbre.rds_encryption.mysql_replication_link) is the part
    that is made by SQL.
  - An attempt has an id, which the tags of the source keep. A target that merely follows is not the target of any fence; it becomes so when
    it was proven to hold every write up to that fence.
  - Nothing is deleted. What an attempt leaves behind is named by M(dbre.rds_encryption.rds_retire).
options:
  name:
    description:
      - The identifier that applications use. Its C(old-) and C(new-) identifiers mean the same topology.
    type: str
    required: true
  state:
    description:
      - V(begun) - the source is marked, a seed replica C(new-NAME-seed) exists, and so does a parameter group that keeps everybody but
        replication from writing to the target (C(read_only), C(event_scheduler)).
      - V(proven) - the target and its replicas are marked as holding every write up to the fence in force. Ask for it only after
        M(dbre.rds_encryption.mysql_replication_link) answered that they are drained.
      - V(given_up) - the target is marked as one that must never follow again. Ask for it in a rollback before the link is taken off.
      - V(ended) - the source bears no mark of the attempt any more. Ask for it after a rollback.
    type: str
    choices: [begun, proven, given_up, ended]
    required: true
  binlog_retention_hours:
    description:
      - The source's setting C(binlog retention hours) before the attempt, as M(dbre.rds_encryption.mysql_replication_link) reads it; V(NULL) for
        none. The source's tags keep it, so that it can be put back.
    type: str
    default: "NULL"
  min_free_storage:
    description:
      - With O(state=begun), the least part of the source's storage that must be free, in percent, as CloudWatch saw it last. V(0) does not ask.
      - The source keeps its binary logs while a target follows it; ask again from time to time.
    type: int
    default: 10
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
  - module: dbre.rds_encryption.mysql_replication_link
  - module: dbre.rds_encryption.rds_encrypted_restore
"""

EXAMPLES = r"""
- name: Begin to follow
  dbre.rds_encryption.rds_replication_link:
    name: prod-one
    state: begun
    region: eu-central-1
"""

RETURN = r"""
link:
  description: The attempt.
  returned: always
  type: dict
  contains:
    id:
      description: Its id.
      type: str
      returned: always
    seed_db_instance_identifier:
      description: The seed replica.
      type: str
      returned: always
    seed_exists:
      description: Whether the seed replica is there.
      type: bool
      returned: always
    seeded:
      description: Whether the snapshot of the seed replica is complete, so that the replica is needed no more.
      type: bool
      returned: always
    target_exists:
      description: Whether the target was restored already.
      type: bool
      returned: always
    held_db_parameter_group_name:
      description: The parameter group that the target has until it is opened.
      type: str
      returned: always
    coordinates:
      description: Where replication has to begin (C(file), C(position), C(gtid)), from the snapshot's tags; none before the snapshot.
      type: dict
      returned: always
    binlog_retention_hours:
      description: The source's setting before the attempt.
      type: str
      returned: always
    drained:
      description: Whether the target was proven to hold every write up to the fence in force.
      type: bool
      returned: always
    drained_once:
      description: Whether it was proven so for any fence, so that it may not follow any more.
      type: bool
      returned: always
  sample:
    id: l3b1c0ffee12
    seed_db_instance_identifier: new-prod-one-seed
    seed_exists: true
    seeded: true
    target_exists: false
    held_db_parameter_group_name: new-prod-one-l3b1c0ffee12
    coordinates:
      file: mysql-bin-changelog.000012
      position: 4711
      gtid: null
    binlog_retention_hours: "NULL"
    drained: false
    drained_once: false
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
    - action: CreateDBInstanceReadReplica
      resource: new-prod-one-seed
      what: Create replica new-prod-one-seed of prod-one, from which the target is seeded
remarks:
  description: What the operator should know and needs no step.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import PREFIX_SPEC, WAIT_SPEC
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.replication_link import run

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    state=dict(type="str", choices=["begun", "proven", "given_up", "ended"], required=True),
    binlog_retention_hours=dict(type="str", default="NULL"),
    min_free_storage=dict(type="int", default=10),
    **PREFIX_SPEC,
    **WAIT_SPEC,
)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
