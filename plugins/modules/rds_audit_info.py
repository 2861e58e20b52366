#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_audit_info
version_added: 1.0.0
short_description: What an account holds that is not encrypted, and what to do about it
description:
  - Lists every RDS instance, cluster, snapshot (manual and automated) and set of automated backups of an account's regions, with how its
    storage is encrypted, the topology it belongs to, the strategy that would encrypt it, and what stands against that. Changes nothing.
  - Storage that AWS encrypts with a key of its own (C(sse-rds)) is no plaintext, and is told apart from a KMS key (C(sse-kms)).
options:
  regions:
    description:
      - The regions to read; by default the one of O(region).
    type: list
    elements: str
    default: []
  accepted:
    description:
      - Identifiers or ARNs of resources whose plaintext is known and borne; they are listed, but not among RV(plaintext).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Can run in check mode and predict the changes without making any.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
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
"""

EXAMPLES = r"""
- name: What is not encrypted?
  dbre.rds_encryption.rds_audit_info:
    regions: [eu-central-1, us-east-1]
    accepted: [scratch-db]
  register: audit

- name: Fail if anything is
  ansible.builtin.assert:
    that: audit.plaintext | length == 0
"""

RETURN = r"""
resources:
  description: Everything that holds data.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(instance), V(cluster), V(snapshot), V(cluster snapshot) or V(automated backups).
      type: str
    identifier:
      description: Its identifier.
      type: str
    arn:
      description: Its ARN.
      type: str
    region:
      description: Its region.
      type: str
    engine:
      description: Its engine.
      type: str
    encryption:
      description: V(none), V(sse-kms) or V(sse-rds).
      type: str
    kms_key_id:
      description: The ARN of its KMS key.
      type: str
    size_gib:
      description: Its size in GiB.
      type: int
    topology:
      description: The name of the topology it belongs to.
      type: str
    strategy:
      description: How C(encrypt.yml) would encrypt it.
      type: str
    blockers:
      description: What stands against that, as far as the description of the instance tells.
      type: list
      elements: str
    estimate_minutes:
      description: Minutes by phase, a guess from sizes.
      type: dict
    advice:
      description: What to do about plaintext.
      type: str
    accepted:
      description: Whether it is among O(accepted).
      type: bool
plaintext:
  description: Those of RV(resources) that are neither encrypted nor accepted.
  returned: success
  type: list
  elements: dict
counts:
  description: How many of each kind have each encryption.
  returned: success
  type: dict
  sample: {"instance": {"none": 1, "sse-kms": 4, "sse-rds": 0}}
unread:
  description: What could not be listed, and why.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.audit_info import run
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import PREFIX_SPEC

ARGUMENT_SPEC = dict(
    regions=dict(type="list", elements="str", default=[]),
    accepted=dict(type="list", elements="str", default=[]),
    **PREFIX_SPEC,
)


def main() -> None:
    """Serve the module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
