# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_fence``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    fresh_fence_id,
    predicted,
    prefixes_of,
    runner_of,
    working_topology,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.fence import plan_fence


def run(context) -> dict:
    """Make writes by applications impossible: mark, rename, restart."""
    rds = Rds(context.client)
    name, prefixes = context.params["name"], prefixes_of(context.params)
    quarantine = context.params.get("quarantine_security_group_id") or None

    def read_and_plan():
        # Another id for each plan: a plan made anew may follow a rollback of somebody else, and then it fences for another time.
        return plan_fence(working_topology(context, rds, name, prefixes), fresh_fence_id(), context.clock.utc(), quarantine)

    if context.check_mode:
        topology = working_topology(context, rds, name, prefixes)
        fence_id = fresh_fence_id()
        return predicted(plan_fence(topology, fence_id, context.clock.utc(), quarantine), context, fence_id=topology.fence_id or fence_id)
    runner = runner_of(context, rds)
    last = runner.reconcile(read_and_plan)
    topology = working_topology(context, rds, name, prefixes)
    return achieved(runner, last, context, fence_id=topology.fence_id)
