# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What may be shown of texts that came from servers: they are shown, stored and logged, and never obeyed."""

from __future__ import annotations

import re

# Names of accounts and tags may hold anything: an escape sequence would be carried out by the terminal that shows it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_ARN = re.compile(r"(arn:aws[\w-]*:secretsmanager:)[^\s\"'`,;()\[\]{}<>]+")


def names_secret(value) -> bool:
    """Whether a text holds the ARN of a secret."""
    return isinstance(value, str) and bool(_SECRET_ARN.search(value))


def shown(value):
    """Plain data with its control characters written out (``\\x1b``) and the ARNs of secrets hidden; other objects as they are."""
    if isinstance(value, str):
        visible = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)
        return _SECRET_ARN.sub(r"\1<hidden>", visible)
    if isinstance(value, dict):
        return {shown(key): shown(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(each) for each in value]
    return value
