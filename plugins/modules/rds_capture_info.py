#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_capture_info
version_added: 1.0.0
short_description: The shape of a fleet, for a rehearsal on the lab
description:
  - Describes the RDS instances of a region as C(aws rds describe-db-instances) does, without the ARNs of secrets. Changes nothing.
  - Saved as a file, it is a fleet that the lab of this collection can start with, so that the real playbooks can be rehearsed on instances
    like the real ones.
options:
  names:
    description:
      - Identifiers of instances to capture; the replicas below them come along. Empty means all of the region.
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
"""

EXAMPLES = r"""
- name: What does production look like?
  dbre.rds_encryption.rds_capture_info:
    names: [prod-one, prod-two]
    region: eu-central-1
  register: captured

- name: Keep it for the rehearsal
  ansible.builtin.copy:
    content: "{{ captured.fleet | ansible.builtin.to_nice_json }}"
    dest: captured.json
    mode: "0600"
"""

RETURN = r"""
fleet:
  description: C(DBInstances), as C(aws rds describe-db-instances) prints them, without the ARNs of secrets.
  returned: success
  type: dict
  sample: {"DBInstances": [{"DBInstanceIdentifier": "prod-one"}]}
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.capture_info import run

ARGUMENT_SPEC = dict(names=dict(type="list", elements="str", default=[]))


def main() -> None:
    """Serve the module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
