#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Compare two DB instances attribute by attribute."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_attr_diff
short_description: Compare two RDS DB instances, attribute by attribute
version_added: 1.0.0
description:
  - Compares every attribute that RDS describes of two DB instances. Each one is equal, or its difference is explained, or it is an
    unexplained difference.
  - Either side may be a saved description instead, such as the evidence of what an instance was before it was encrypted. Two saved ones are
    compared without AWS.
  - Explained are differences on purpose (identity, encryption with the key that was asked for), what RDS decides by itself, and what
    the operator accepts.
  - Fails when an unexplained difference is left, and names each.
  - An attribute that RDS describes and this collection does not know counts as a difference unless it is equal.
  - Never changes anything, and shows no ARN of a secret.
author:
  - The dbre.rds_encryption contributors (@dbre)
options:
  source_db_instance_identifier:
    description:
      - Identifier of the instance that is the measure, such as V(old-prod-one).
      - With O(source_description), which of the instances in the file it is.
      - One of this and O(source_description) is required.
    type: str
  source_description:
    description:
      - Path of a JSON file with the description of the measure, as C(aws rds describe-db-instances --output json) prints it; with
        or without C(DBInstances) around it.
    type: path
  target_db_instance_identifier:
    description:
      - Identifier of the instance that should be equal to it, such as V(new-prod-one).
      - With O(target_description), which of the instances in the file it is.
      - One of this and O(target_description) is required.
    type: str
  target_description:
    description:
      - Path of a JSON file with the description of the instance that should be equal, like O(source_description).
    type: path
  kms_key_id:
    description:
      - Id, ARN or alias of the KMS key that the target must be encrypted with. By default any key will do.
      - An ARN of a key is taken as it is when both sides are saved descriptions, so that AWS is not asked.
    type: str
  accepted_differences:
    description:
      - Attributes (members of C(DBInstance) as C(aws rds describe-db-instances) names them) whose difference is accepted. It is still
        reported.
      - That the target is encrypted with the key asked for, and is not the source itself, cannot be waived.
    type: list
    elements: str
    default: []
  fail_on_difference:
    description:
      - Whether an unexplained difference is a failure.
    type: bool
    default: true
  old_prefix:
    description:
      - What the identifiers of replaced instances begin with. V(old-prod-one-replica), V(prod-one-replica) and V(new-prod-one-replica) are
        counterparts of each other.
    type: str
    default: old-
  new_prefix:
    description:
      - What the identifiers of replacements begin with.
    type: str
    default: new-
  all:
    description:
      - Whether RV(rows) holds the equal attributes too.
    type: bool
    default: false
attributes:
  check_mode:
    description: Only reads; check mode does the same.
    support: full
  diff_mode:
    description: Shows both instances, one attribute a line, with the verdict beside each difference.
    support: full
  idempotent:
    description: Only reads.
    support: full
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Prove that the encrypted instance is the same instance
  dbre.rds_encryption.rds_attr_diff:
    source_db_instance_identifier: old-prod-one
    target_db_instance_identifier: new-prod-one
    kms_key_id: alias/rds-prod
  diff: true

- name: Look at every attribute, and accept another Availability Zone
  dbre.rds_encryption.rds_attr_diff:
    source_db_instance_identifier: prod-one
    target_db_instance_identifier: new-prod-one
    accepted_differences:
      - AvailabilityZone
    fail_on_difference: false
    all: true

# Before: aws rds describe-db-instances --output json > before.json
- name: Compare with the evidence of what the instance was before
  dbre.rds_encryption.rds_attr_diff:
    source_description: before.json
    source_db_instance_identifier: prod-one
    target_db_instance_identifier: prod-one
    kms_key_id: alias/rds-prod

- name: Compare two saved descriptions, without AWS
  dbre.rds_encryption.rds_attr_diff:
    source_description: before.json
    source_db_instance_identifier: prod-one
    target_description: after.json
    target_db_instance_identifier: prod-one
"""

RETURN = r"""
rows:
  description: What differs (everything with O(all=true)), sorted by attribute. Also returned when the module fails.
  returned: always
  type: list
  elements: dict
  contains:
    attribute:
      description: The member of C(DBInstance).
      type: str
      sample: MultiAZ
    source:
      description: The value of the source, without secrets.
      type: raw
      sample: true
    target:
      description: The value of the target, without secrets.
      type: raw
      sample: false
    carry:
      description: How the attribute is carried - V(restore), V(modify), V(separate call), V(inherited), V(by design), V(topology),
        V(volatile), V(impossible), or V(no rule).
      type: str
      sample: restore
    verdict:
      description: V(equal), V(explained), V(different), or V(unknown) when the attribute has no rule.
      type: str
      sample: different
    reason:
      description: Why it differs, or what the difference means.
      type: str
      sample: without its standby the instance does not survive the loss of a zone
counts:
  description: How many attributes have each verdict.
  returned: always
  type: dict
  sample:
    equal: 61
    explained: 12
    different: 1
    unknown: 0
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.attr_diff import run

ARGUMENT_SPEC = dict(
    source_db_instance_identifier=dict(type="str"),
    source_description=dict(type="path"),
    target_db_instance_identifier=dict(type="str"),
    target_description=dict(type="path"),
    kms_key_id=dict(type="str"),
    accepted_differences=dict(type="list", elements="str", default=[]),
    fail_on_difference=dict(type="bool", default=True),
    old_prefix=dict(type="str", default="old-"),
    new_prefix=dict(type="str", default="new-"),
    all=dict(type="bool", default=False),
)
ARGUMENT_RULES = dict(
    required_one_of=[
        ("source_db_instance_identifier", "source_description"),
        ("target_db_instance_identifier", "target_description"),
    ]
)


def main() -> None:
    """Serve the module."""
    module_main(ARGUMENT_SPEC, run, **ARGUMENT_RULES)


if __name__ == "__main__":
    main()
