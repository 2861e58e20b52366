# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the module of the same name in the controller."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.modules import rds_attr_diff as module
from ansible_collections.dbre.rds_encryption.plugins.plugin_utils._controller import ControllerAction


class ActionModule(ControllerAction):
    """See the module's documentation."""

    MODULE = module
