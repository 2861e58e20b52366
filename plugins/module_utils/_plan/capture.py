# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The shape of a fleet: what a lab needs to look like it, and nothing that is secret."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.shown import names_secret


def capture(instances: Iterable[dict], names: Collection[str] = ()) -> list[dict]:
    """Descriptions as ``aws rds describe-db-instances`` prints them: times as ISO 8601, ARNs of secrets left out.

    :param names: identifiers of sources; these and the replicas below them. Empty means all.
    """
    found = {i["DBInstanceIdentifier"]: i for i in instances}
    wanted = set(found)
    if names:
        wanted = {name.lower() for name in names}
        waiting = sorted(wanted)
        while waiting:
            below = found.get(waiting.pop(), {}).get("ReadReplicaDBInstanceIdentifiers") or []
            fresh = [name for name in below if name in found and name not in wanted]
            wanted.update(fresh)
            waiting += fresh
    return [_plain(found[name]) for name in sorted(found) if name in wanted]


def _plain(value):
    if isinstance(value, dict):
        return {member: _plain(item) for member, item in value.items() if not names_secret(item)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
