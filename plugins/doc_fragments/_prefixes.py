# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of everything that knows both sides of a topology."""

    DOCUMENTATION = r"""
options:
  old_prefix:
    description:
      - What the unencrypted originals are called in front of their name once they are fenced.
    type: str
    default: old-
  new_prefix:
    description:
      - What the encrypted replacements are called in front of their name until cutover.
    type: str
    default: new-
"""
