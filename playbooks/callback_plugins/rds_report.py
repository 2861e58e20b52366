# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of the playbooks beside it: Ansible loads the callback plugins of a playbook's folder without any configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rds_report
type: notification
short_description: The report and the evidence of a run
description: The callback P(dbre.rds_encryption.rds_report#callback), without being enabled, for the playbooks of this folder.
author:
  - The dbre.rds_encryption contributors (@dbre)
"""

from ansible_collections.dbre.rds_encryption.plugins.callback import rds_report


class CallbackModule(rds_report.CallbackModule):
    """Enabled wherever a playbook of this folder runs."""

    CALLBACK_NAME = "rds_report"
    CALLBACK_NEEDS_ENABLED = False
