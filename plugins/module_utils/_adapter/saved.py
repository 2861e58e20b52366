# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What was saved as a file: descriptions of DB instances, as ``aws rds describe-db-instances`` prints them; the collection's own version."""

from __future__ import annotations

import json
import os
import re

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

LARGEST_FILE = 64 * 2**20


def read_description(path: str, identifier: str | None = None) -> dict:
    """The ``DBInstance`` in a file: the only one, or the one with an identifier.

    :param path: a JSON file with ``{"DBInstances": [...]}``, a list of instances, or one instance.
    :raises EncryptionError: the file cannot be read, is something else, or does not hold the instance.
    """
    found = [each for each in _instances(path) if identifier is None or each["DBInstanceIdentifier"].lower() == identifier.lower()]
    if len(found) == 1:
        return found[0]
    what = f"DB instance {identifier}" if identifier else "DB instance"
    if not found:
        raise EncryptionError(f"{path} holds no {what}.", next_step="Check the path and the identifier.")
    raise EncryptionError(f"{path} holds {len(found)} times a {what}.", next_step="Give the identifier of the one to compare, too.")


def _instances(path: str) -> list[dict]:
    save = "Save one by: aws rds describe-db-instances --db-instance-identifier NAME --output json > FILE"
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError) as e:
        raise EncryptionError(f"{path} cannot be read: {getattr(e, 'strerror', None) or 'it is no text'}.", next_step=save) from e
    try:
        data = json.loads(text) if len(text) <= LARGEST_FILE else None
    except (ValueError, RecursionError) as e:
        raise EncryptionError(f"{path} is not JSON.", next_step=save) from e
    if isinstance(data, dict):
        data = data.get("DBInstances", [data])
    good = isinstance(data, list) and all(isinstance(each, dict) and isinstance(each.get("DBInstanceIdentifier"), str) for each in data)
    if not good:
        raise EncryptionError(f"{path} does not hold descriptions of DB instances.", next_step=save)
    return data


def version_beside(path: str, levels: int) -> str:
    """The version of the collection that a file belongs to: of its artifact, or of the checkout.

    :param levels: how many folders the file is below the collection's.
    """
    top = os.path.abspath(path)
    for _level in range(levels + 1):
        top = os.path.dirname(top)
    for name in ("MANIFEST.json", "galaxy.yml"):
        try:
            with open(os.path.join(top, name), encoding="utf-8") as file:
                found = re.search(r'^\s*"?version"?:\s*"?([^",\s]+)', file.read(LARGEST_FILE), re.MULTILINE)
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            return found[1]
    return "unknown"
