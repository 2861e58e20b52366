# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_seed_snapshot``."""

from __future__ import annotations

from datetime import datetime

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import achieved, predicted, prefixes_of, runner_of, working_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.seed import SeedRequest, needs_seed, plan_seed


def seed_plan(rds: Rds, topology: Topology, request: SeedRequest) -> Plan:
    """The plan, from what is there now."""
    if not needs_seed(topology):
        return Plan()
    return plan_seed(topology, rds.all_snapshots_of(topology.primary.source["DbiResourceId"]), request)


def seed_request(context, max_age: float) -> SeedRequest:
    """The request at this moment; made once, so that a run that reads again knows its own snapshot."""
    return SeedRequest(datetime.fromisoformat(context.clock.utc().replace("Z", "+00:00")), max_age)


def run(context) -> dict:
    """See to a recent snapshot of the running source."""
    rds = Rds(context.client)
    params = context.params
    request = seed_request(context, params["max_age"])

    def read_and_plan():
        return seed_plan(rds, working_topology(context, rds, params["name"], prefixes_of(params)), request)

    if context.check_mode:
        return predicted(read_and_plan(), context)
    runner = runner_of(context, rds)
    return achieved(runner, runner.reconcile(read_and_plan), context)
