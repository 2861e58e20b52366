# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of the modules that carry automated backups which are replicated to other regions."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  backup_replication_kms_keys:
    description:
      - Region to id, ARN or alias of a KMS key of that region, for automated backups that are replicated to it.
      - Backups of an encrypted instance are encrypted in the other region too, with a key of that region, which the unencrypted source
        does not have. Without one the replication is not carried, which the comparison of attributes reports.
    type: dict
    default: {}
"""
