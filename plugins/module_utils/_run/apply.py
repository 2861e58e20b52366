# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Making a plan true: act, wait, confirm by reading; plan anew when the outcome of a step was only assumed.

Resuming is no feature of its own: what exists is read first, and the plan holds what is left.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    CallError,
    EncryptionError,
    RefusedError,
    TerminalStateError,
    Trouble,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES, meaning_of_status
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.dependents import HANDLERS as OF_DEPENDENTS
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.handlers import HANDLERS as OF_INSTANCES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.handlers import Handler
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits, Patience, wait_until

# How long, in seconds, each kind of trouble is borne before the call is given up (RDS guide: error handling).
PATIENCE = {
    Trouble.THROTTLED: 1800.0,
    Trouble.UNKNOWN: 900.0,
    Trouble.BUSY: 3600.0,
    Trouble.NOT_FOUND: 300.0,
    Trouble.EXISTS: 300.0,
    Trouble.PROPAGATING: 180.0,
}
MAX_ROUNDS = 40
# What shows their effect is not followed by another state, as it may be with instances: it need not be watched for long.
WITHOUT_SEQUEL = ("AddTagsToResource", "RemoveTagsFromResource", "CreateDBSnapshot", "CopyDBSnapshot")
# What has no effect that stays, by which it could be told from what was there before: it is watched for longer.
WITHOUT_EFFECT = ("RebootDBInstance",)
HANDLERS = {**OF_INSTANCES, **OF_DEPENDENTS}


class Outdated(Exception):
    """What a step rests on holds no more: nothing was done, the plan is to be made anew."""


class Runner:
    """Executes steps against one region's RDS.

    :param rds: an object with the methods of ``_adapter.rds.Rds``.
    :param progress: called with lines for the operator.
    :param stand: see ``wait_until``.
    """

    def __init__(self, rds, clock, progress, limits: Limits, jitter: Callable[[], float] = random.random, stand: Callable | None = None):
        self.rds = rds
        self.clock = clock
        self.progress = progress
        self.limits = limits
        self.executed: list[dict] = []
        self.made_at: list[str] = []
        # A moment of the clock at which every wait and every repeated call ends, set by a job for a part of its steps.
        self.deadline: float | None = None
        self._jitter = jitter
        self._stand = stand
        self._asked: dict[str, int] = {}

    def reconcile(self, read_and_plan: Callable[[], Plan], *, wait: bool = True) -> Plan:
        """Read, plan and act until nothing is left to do.

        :param read_and_plan: reads afresh and decides; called again whenever a step's outcome was assumed.
        :param wait: False starts the first stage that changes something and returns without waiting for it, or at once for one in motion.
        :return: the last plan, which holds no change (or the first one, if not waiting).
        """
        for number in range(MAX_ROUNDS):
            # Before the first step a region that cannot be reached is a mistake to be told at once; after it, one to be borne.
            plan = self._patience().read(read_and_plan) if number else read_and_plan()
            if not plan.stages:
                return plan
            for stage in plan.stages:
                try:
                    self.perform(stage, wait=wait)
                except Outdated as e:
                    self.progress(str(e))
                    self.clock.sleep(min(2.0, self.limits.poll_interval) * (0.5 + self._jitter()))
                    break
                if not wait and any(step.mutates or step.started or step.replan for step in stage):
                    return plan
                if any(step.replan for step in stage):
                    break
        raise EncryptionError(
            f"The plan was not finished after {MAX_ROUNDS} rounds of reading and acting.",
            done="; ".join(step["what"] for step in self.executed[-5:]),
            next_step="Somebody or something else may be changing the same instances: look at their events, then run again.",
        )

    def perform(self, stage: tuple[Step, ...], *, wait: bool = True) -> None:
        """Start all steps of a stage, then wait for all of them together."""
        handlers = [HANDLERS[step.action](step, self.rds, self.limits, self.clock) for step in stage]
        for handler in handlers:
            if handler.step.mutates:
                self._refuse_endless_repetition(handler.step)
                with self.rds.turn(handler.step.action):
                    self._check_still(handler.step)
                    self.progress(handler.step.what)
                    self._patience().read(handler.before)
                    asked_at = self.clock.utc()
                    self._make_call(handler)
                self.executed.append(handler.step.to_dict())
                self.made_at.append(asked_at)
        if wait and handlers:
            self._await(stage, handlers)

    def _patience(self) -> Patience:
        return Patience(self.rds, self.clock, self.limits, self._jitter, self.progress)

    def _check_still(self, step: Step) -> None:
        if step.still is not None and not step.still(self._patience().read(self.rds.all_instances)):
            raise Outdated(f"{step.what}: not any more, somebody else changed {step.resource} meanwhile. Reading anew.")

    def _await(self, stage: tuple[Step, ...], handlers: list[Handler]) -> None:
        what = stage[0].what if len(stage) == 1 else f"{stage[0].what} (and {len(stage) - 1} more)"
        # botocore has repeated a read many times before it fails; a longer outage of the API is still no reason to give up a wait.
        patience = self._patience()

        def look():
            try:
                instances = self.rds.instances(
                    resource_ids={h.resource_id for h in handlers if h.resource_id},
                    identifiers={h.identifier for h in handlers if h.identifier},
                )
                outlooks = [(handler.label, handler.outlook(instances)) for handler in handlers]
            except self.rds.read_errors as e:
                patience.bear(e)
                return [(handler.label, handler.unseen()) for handler in handlers]
            patience.answered()
            return outlooks

        limits = self._limits_now()
        if all(step.action in WITHOUT_SEQUEL for step in stage):
            limits = replace(limits, steady_pause=2.0, steady_reads=1 if all(step.agreed for step in stage) else limits.steady_reads)
        elif any(step.action in WITHOUT_EFFECT for step in stage):
            limits = replace(limits, steady_pause=5.0)
        usual = max((step.expected for step in stage if step.expected), default=None)
        wait_until(look, clock=self.clock, limits=limits, progress=self.progress, what=what, stand=self._stand, usual=usual)

    def _limits_now(self) -> Limits:
        if self.deadline is None:
            return self.limits
        left = max(0.0, self.deadline - self.clock.monotonic())
        return replace(self.limits, wait_timeout=min(self.limits.wait_timeout, left))

    def _refuse_endless_repetition(self, step: Step) -> None:
        key = f"{step.action} {step.resource_id or step.resource} {sorted(step.parameters.items(), key=str)}"
        self._asked[key] = self._asked.get(key, 0) + 1
        if self._asked[key] > 2:
            raise EncryptionError(
                f"{step.what}: RDS accepted {step.action} for {step.resource} twice, and it is still not in force.",
                done="Everything before this step is done and stays.",
                next_step=f"Read the events of {step.resource} (aws rds describe-events) for the reason, then run again.",
            )

    def _make_call(self, handler: Handler) -> None:
        """Make one change take effect once: send it, and after any doubt read before sending it again (law 4)."""
        step = handler.step
        started = self.clock.monotonic()
        delay = 1.0
        while True:
            try:
                handler.call()
                return
            except CallError as e:
                if e.trouble is Trouble.NOTHING_TO_DO:
                    return
                if e.trouble is Trouble.REFUSED:
                    raise self._refused(step, e) from e
                error = e
            except self.rds.read_errors as e:
                # The handler could not read what it needs for the call, which was not made: the call itself never raises these.
                if not self.rds.is_passing(e):
                    raise
                error = CallError(Trouble.THROTTLED, type(e).__name__, str(e), step.action)
            if error.trouble in (Trouble.UNKNOWN, Trouble.EXISTS, Trouble.NOT_FOUND, Trouble.BUSY) and self._patience().read(handler.happened):
                return
            late = self.deadline is not None and self.clock.monotonic() > self.deadline
            if late or self.clock.monotonic() - started > PATIENCE[error.trouble]:
                raise self._refused(step, error) from error
            if error.trouble is Trouble.BUSY:
                self._stop_if_final(handler, error)
            self.clock.sleep(min(delay, self.limits.poll_interval) * (0.5 + self._jitter()))
            delay = min(delay * 2, 30.0)
            self._check_still(step)

    def _stop_if_final(self, handler: Handler, error: CallError) -> None:
        status = self._patience().read(handler.status)
        if status is not None and status not in READY_STATUSES:
            kind, advice = meaning_of_status(status)
            if kind not in ("ready", "moving"):
                raise TerminalStateError(
                    f"{handler.step.what}: {handler.step.resource} is {status} ({error.code}).",
                    done="The step was not made.",
                    next_step=advice,
                )

    def _refused(self, step: Step, error: CallError) -> EncryptionError:
        advice = "Correct the cause and run again: what is done is kept, the run goes on at this step."
        if "AccessDenied" in error.code or "Unauthorized" in error.code:
            advice = f"Allow rds:{error.operation} on {step.resource} (docs/iam.md holds the policies), then run again."
        elif error.code.startswith("KMSKeyNotAccessible"):
            advice = "Enable the KMS key, and allow the caller kms:DescribeKey and kms:CreateGrant on it (docs/iam.md), then run again."
        elif error.code.startswith("InsufficientDBInstanceCapacity"):
            advice = "AWS has no room for this class in this Availability Zone now: run again later; or move to another Availability Zone or class."
        elif "QuotaExceeded" in error.code:
            advice = "Ask AWS for a higher quota (Service Quotas), then run again: it goes on at this step."
        return RefusedError(
            f"{step.what}: {error.operation} on {step.resource} failed with {error.code}: {error.message}",
            done="This step was not made; everything before it is done and stays.",
            next_step=advice,
            error_code=error.code,
            resource=step.resource,
        )
