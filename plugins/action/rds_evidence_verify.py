# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.modules import rds_evidence_verify as module
from ansible_collections.dbre.rds_encryption.plugins.plugin_utils._controller import ControllerAction


class ActionModule(ControllerAction):
    """Runs rds_evidence_verify inside the controller."""

    MODULE = module
