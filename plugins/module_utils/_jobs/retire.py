# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_retire``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    predicted,
    prefixes_of,
    read_topology,
    runner_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.topology_info import means_the_same
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.follow import held_group_name
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.retire import DELETE, RetireRequest, RetireState, plan_retire


def run(context) -> dict:
    """Stop or delete the originals of a topology whose encrypted instance is proven."""
    rds = Rds(context.client)
    params = context.params
    prefixes = prefixes_of(params)
    request = RetireRequest(
        action=params["action"],
        after_days=params["after_days"],
        confirmed=frozenset(name.strip().lower() for name in params["confirm"] or ()),
        kms_key_arn=_key(context) if params["encrypt_final_snapshot"] and params["action"] == DELETE else None,
    )

    def read() -> RetireState:
        topology, listing = read_topology(context, rds, params["name"], prefixes)
        if topology.problems and not topology.skip_reason:
            raise RefusedError(topology.problems[0], done="Nothing was stopped or deleted.")
        return RetireState(topology, listing, tuple(rds.manual_snapshots()), _held_group(rds, topology))

    state = read()
    topology = state.topology
    duplicate = means_the_same(params["name"], topology, params["fleet"] or [], state.listing, prefixes)
    if duplicate:
        remark = f"{params['name']} means {topology.name}, which {duplicate} stands for in this run."
        return predicted(Plan(remarks=(remark,)), context, **_facts(topology, Plan(), confirmed=True))
    now = context.clock.utc()
    listed = plan_retire(state, request, now)
    mine = plan_retire(state, request, now, confirmed_only=True)
    facts = _facts(topology, listed, confirmed=mine.stages == listed.stages)
    if context.check_mode or not mine.stages:
        return {**predicted(listed, context, **facts), "changed": mine.changes}
    runner = runner_of(context, rds)
    runner.reconcile(lambda: plan_retire(read(), request, context.clock.utc(), confirmed_only=True))
    return achieved(runner, listed, context, **facts)


def _held_group(rds: Rds, topology) -> str | None:
    """The parameter group that the target had while it followed its source, if it is still there."""
    if topology.link_id is None or topology.primary is None:
        return None
    group = held_group_name(topology, topology.link_id)
    return group if rds.parameter_group(group, ()) else None


def _key(context) -> str:
    asked = context.params["kms_key_id"]
    if not asked:
        raise RefusedError(
            "encrypt_final_snapshot needs a key.", done="Nothing was stopped or deleted.", next_step="Set rds_encryption_kms_key_id (kms_key_id)."
        )
    return rds_read.key_description(context.client("kms"), asked)["Arn"]


def _facts(topology, plan: Plan, *, confirmed: bool) -> dict:
    def resources(action: str) -> list[str]:
        return [step.resource for step in plan.steps if step.action == action and _counts(step)]

    return dict(
        name=topology.name,
        confirmed=confirmed,
        going=dict(stopped=resources("StopDBInstance"), instances=resources("DeleteDBInstance"), snapshots=resources("DeleteDBSnapshot")),
        kept=[step.parameters["FinalDBSnapshotIdentifier"] for step in plan.steps if "FinalDBSnapshotIdentifier" in step.parameters]
        + resources("CopyDBSnapshot"),
    )


def _counts(step: Step) -> bool:
    return step.mutates or step.started
