# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_evidence_verify``."""

from __future__ import annotations

import os

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.files import hashes_below, read_text
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.evidence import MANIFEST, compare, read_manifest

LARGEST_MANIFEST = 64 * 2**20


def run(context) -> dict:
    """Compare the files of a folder with its manifest, and the manifest with what was noted of it."""
    params = context.params
    folder = os.path.abspath(os.path.expanduser(params["path"]))
    text = read_text(os.path.join(folder, MANIFEST), LARGEST_MANIFEST)
    hashes = hashes_below(folder)
    noted = (params["manifest_sha256"] or "").strip().lower()
    if noted and hashes.get(MANIFEST) != noted:
        raise RefusedError(
            f"{folder}: the SHA-256 of {MANIFEST} is {hashes.get(MANIFEST)}, not {noted}: the manifest is not the one that was noted.",
            next_step="Look for a copy of the folder that was kept elsewhere.",
        )
    verdict = compare(read_manifest(text), hashes)
    found = dict(altered=list(verdict.altered), missing=list(verdict.missing), added=list(verdict.added), good=len(verdict.good))
    if not verdict.untouched:
        words = "; ".join(f"{name}: {', '.join(found[name])}" for name in ("altered", "missing", "added") if found[name])
        raise EncryptionError(
            f"{folder} is not what the run left there: {words}.", next_step="Look for a copy of the folder that was kept elsewhere.", **found
        )
    return dict(changed=False, manifest_sha256=hashes[MANIFEST], **found)
