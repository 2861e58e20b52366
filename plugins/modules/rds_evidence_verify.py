#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_evidence_verify
version_added: 1.0.0
short_description: Whether the evidence of a run is what the run left
description:
  - Compares the files of a folder that a run wrote as evidence with the SHA-256 hashes in its C(MANIFEST.sha256), and fails if a file was changed,
    is missing or was added. Changes nothing, asks AWS nothing.
  - Who can change a file can change the manifest, too. Keep the SHA-256 of the manifest, which the run prints, where nobody can, and give it as
    O(manifest_sha256).
options:
  path:
    description:
      - The folder of one run.
    type: path
    required: true
  manifest_sha256:
    description:
      - The SHA-256 of the manifest, as the run printed it.
    type: str
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
- name: Is the evidence of that night untouched?
  dbre.rds_encryption.rds_evidence_verify:
    path: evidence/20261122T010000Z-encrypt
    manifest_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

RETURN = r"""
good:
  description: How many files are what the manifest says.
  returned: always
  type: int
altered:
  description: Files whose content is another, or that are no plain files any more.
  returned: always
  type: list
  elements: str
missing:
  description: Files that the manifest names and that are not there.
  returned: always
  type: list
  elements: str
added:
  description: Files that the manifest does not name.
  returned: always
  type: list
  elements: str
manifest_sha256:
  description: The SHA-256 of the manifest.
  returned: success
  type: str
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.evidence_verify import run

ARGUMENT_SPEC = dict(
    path=dict(type="path", required=True),
    manifest_sha256=dict(type="str"),
)


def main() -> None:
    """Serve the module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
