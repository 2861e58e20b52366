# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_capture_info``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.capture import capture


def run(context) -> dict:
    """Read the instances, and leave out what is secret."""
    asked = context.params["names"]
    captured = capture(Rds(context.client).all_instances(), asked)
    missing = sorted({name.lower() for name in asked} - {i["DBInstanceIdentifier"] for i in captured})
    if missing:
        raise RefusedError(
            f"There is no DB instance {', '.join(missing)} in this region and account.",
            done="Nothing was captured.",
            next_step="Check the names, the region and the account.",
        )
    return dict(changed=False, fleet={"DBInstances": captured})
