# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_rehearsal``."""

from __future__ import annotations

from datetime import datetime

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    backup_copies,
    limits_of,
    predicted,
    prefixes_of,
    read_topology,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restore import candidates_there
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.cutover import differences
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.rehearsal import (
    RehearsalRequest,
    check_prefix,
    left_behind,
    phase_of,
    plan_primary,
    plan_stand_in,
    rehearsal_id,
    rehearsed,
    restore_request,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.apply import Runner


class TimedRunner(Runner):
    """A runner that notes how long each phase took, in seconds of its clock."""

    def __init__(self, context, rds: Rds, topology: Topology):
        super().__init__(rds, context.clock, context.progress, limits_of(context.params))
        self.seconds: dict[str, float] = {}
        self._topology = topology

    def perform(self, stage: tuple[Step, ...], *, wait: bool = True) -> None:
        began = self.clock.monotonic()
        try:
            super().perform(stage, wait=wait)
        finally:
            phase = phase_of(stage[0], self._topology)
            self.seconds[phase] = self.seconds.get(phase, 0.0) + self.clock.monotonic() - began


def run(context) -> dict:
    """Make a topology's encrypted stand-ins beside it, from a snapshot of the running source."""
    rds = Rds(context.client)
    params = context.params
    prefix = params["rehearsal_prefix"].lower()
    check_prefix(prefix, prefixes_of(params))

    def look() -> Topology:
        topology, listing = read_topology(context, rds, params["name"], prefixes_of(params))
        return rehearsed(topology, listing, prefix)

    topology = look()
    request = _request(context, rds, topology)
    if context.check_mode:
        return predicted(_everything(rds, topology, request), context, **_outcome(context, rds, topology, request, {}))
    runner = TimedRunner(context, rds, topology)
    last = _make(rds, runner, look, topology, request)
    return achieved(runner, last, context, **_outcome(context, rds, look(), request, runner.seconds))


def _request(context, rds: Rds, topology: Topology) -> RehearsalRequest:
    source = topology.primary.source
    now = datetime.fromisoformat(context.clock.utc().replace("Z", "+00:00"))
    return RehearsalRequest(
        rehearsal_id=rehearsal_id(topology, rds.snapshots_of(source["DbiResourceId"]), now),
        kms_key_arn=rds_read.key_description(context.client("kms"), context.params["kms_key_id"])["Arn"],
        accepted={
            operation: rds_read.accepted_parameters(rds.read, operation)
            for operation in ("RestoreDBInstanceFromDBSnapshot", "ModifyDBInstance", "CreateDBInstanceReadReplica")
        },
        backup_copies={arn: copy for member in topology.members for arn, copy in backup_copies(context, member.source).items()},
        assumed=context.check_mode,
    )


def _plan_primary(rds: Rds, topology: Topology, request: RehearsalRequest, replicas_awaited: tuple[str, ...] = ()) -> Plan:
    there = candidates_there(rds, restore_request(topology, request)) if topology.primary.target is None else {}
    return plan_primary(topology, request, there, replicas_awaited=replicas_awaited)


def _everything(rds: Rds, topology: Topology, request: RehearsalRequest) -> Plan:
    """All steps that are left (check mode)."""
    plans = [_plan_primary(rds, topology, request), *(plan_stand_in(topology, member.name, request) for member in topology.replicas)]
    return Plan(stages(*(stage for plan in plans for stage in plan.stages)), tuple(remark for plan in plans for remark in plan.remarks))


def _make(rds: Rds, runner: Runner, look, topology: Topology, request: RehearsalRequest) -> Plan:
    """As the build of a run: the primary, the replicas below it all at once, then theirs; last what had to wait for them."""
    first_level = tuple(member.new_name for member in topology.replicas if member.level == 1)
    last = runner.reconcile(lambda: _plan_primary(rds, look(), request, first_level))
    for member in topology.replicas:
        if member.level == 1:
            runner.reconcile(lambda name=member.name: plan_stand_in(look(), name, request), wait=False)
    for member in topology.replicas:
        runner.reconcile(lambda name=member.name: plan_stand_in(look(), name, request))
    return runner.reconcile(lambda: _plan_primary(rds, look(), request)) if last.remarks else last


def _outcome(context, rds: Rds, topology: Topology, request: RehearsalRequest, seconds: dict[str, float]) -> dict:
    accepted = frozenset(context.params["accepted_differences"] or ())
    complete = all(member.target is not None for member in topology.members) and not context.check_mode
    rows = differences(topology, request.kms_key_arn, accepted) if complete else {}
    return dict(
        rehearsal_id=request.rehearsal_id,
        members=[
            {
                "name": member.name,
                "role": "primary" if member.is_primary else "replica",
                "source_identifier": member.source_identifier,
                "target_identifier": member.new_name,
            }
            for member in topology.members
        ],
        seconds={phase: round(took, 1) for phase, took in seconds.items()},
        differences=[f"{name}: {row}" for name, left in rows.items() for row in left],
        left_behind=left_behind(topology, rds.snapshots_of(topology.primary.source["DbiResourceId"])),
    )
