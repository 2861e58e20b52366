# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_audit_info``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import account
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.surroundings import Unread
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import prefixes_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.audit import Account, audit, count, plaintext


def run(context) -> dict:
    """List what the regions hold, and say how each is encrypted."""
    params = context.params
    resources, unread = [], Unread()
    for region in params["regions"] or [None]:
        client = context.client("rds", region=region)
        # Instances are what the rest hangs on: without them there is no audit. The others are said where they cannot be read.
        read = {"instances": account.list_of(client, "instances")}
        for what in account.LISTS:
            if what not in read:
                words = f"{client.meta.region_name}: {what.replace('_', ' ')}"
                read[what] = unread.attempt(words, lambda c=client, w=what: account.list_of(c, w), [])
        found = Account(client.meta.region_name, **{what: tuple(listed) for what, listed in read.items()})
        resources += audit(found, prefixes_of(params), params["accepted"])
    for reason in unread.reasons:
        context.warn(reason)
    return dict(
        changed=False,
        resources=[r.to_dict() for r in resources],
        plaintext=[r.to_dict() for r in plaintext(resources)],
        counts=count(resources),
        unread=unread.reasons,
    )
