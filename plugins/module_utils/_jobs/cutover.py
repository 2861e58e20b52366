# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_cutover``."""

from __future__ import annotations

import contextlib

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    check_fence,
    predicted,
    prefixes_of,
    runner_of,
    working_topology,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.cutover import (
    await_primary,
    doubtful,
    name_is_confirmed,
    plan_cutover,
    plan_undo,
    see_what_was_begun,
)

# RDS cannot be asked to give a rename up: it is waited for, and then undone.
SECONDS_FOR_THE_WAY_BACK = 3600.0


def run(context) -> dict:
    """Give every name of the topology to its encrypted instance."""
    rds = Rds(context.client)
    params = context.params
    prefixes = prefixes_of(params)
    key = rds_read.key_description(context.client("kms"), params["kms_key_id"])["Arn"] if params["kms_key_id"] else None

    def read_and_plan():
        topology = working_topology(context, rds, params["name"], prefixes)
        check_fence(rds, topology)
        return plan_cutover(
            topology,
            context.clock.utc(),
            kms_key_arn=key,
            accepted_differences=frozenset(params["accepted_differences"] or ()),
            assumed=context.check_mode,
        )

    if context.check_mode:
        return predicted(read_and_plan(), context)
    runner = runner_of(context, rds)
    limit = float(params["cutover_timeout"])
    waits = doubtful(working_topology(context, rds, params["name"], prefixes))
    if waits:
        runner.perform(waits)

    def within_the_limit():
        plan = read_and_plan()
        swapping = any(step.action == "Rename" for step in plan.steps)
        if not swapping:
            runner.deadline = None
        elif runner.deadline is None:
            runner.deadline = context.clock.monotonic() + limit
        return plan

    try:
        last = runner.reconcile(within_the_limit)
    except EncryptionError as failure:
        if runner.deadline is None:
            raise
        raise _take_back(context, runner, lambda: working_topology(context, rds, params["name"], prefixes), failure, limit) from failure
    topology = working_topology(context, rds, params["name"], prefixes)
    _confirm_endpoints(topology)
    return achieved(runner, last, context, members=[_outcome(member) for member in topology.members if member.source])


def _take_back(context, runner, read, failure: EncryptionError, limit: float) -> EncryptionError:
    """Undo a swap of names that did not succeed in time; answers what to tell the operator.

    Nothing is undone once the encrypted instance serves under the name: applications may have written to it. Killed in the middle of this, the
    next run of the cutover goes forward from what it finds.
    """
    again = "Look for the reason (aws rds describe-events). Then run again to give the name away once more, or roll back to the original."
    try:
        topology = read()
        name = topology.name
        if any(step["action"] == "Rename" and step["resource"] == topology.primary.new_name for step in runner.executed):
            # What failed may be a replica: the primary has the rest of its time.
            with contextlib.suppress(EncryptionError):
                runner.perform((await_primary(topology),))
            topology = read()
        if name_is_confirmed(topology):
            return EncryptionError(
                f"{name} is served by its encrypted instance, but its cutover did not come to its end: {failure.problem}",
                done="Nothing was undone, since applications may have written to it already. " + (failure.done or ""),
                next_step=f"Run again: it goes on with what is left. {failure.next_step or ''}".strip(),
            )
        context.progress(f"{failure.problem} Taking the names of {name} back.")
        runner.deadline = context.clock.monotonic() + max(limit, SECONDS_FOR_THE_WAY_BACK)
        runner.perform(see_what_was_begun(read()))
        runner.reconcile(lambda: plan_undo(read(), context.clock.utc()))
        topology = read()
    except EncryptionError as e:
        return EncryptionError(failure.problem, done=f"The names could not all be taken back: {e.problem} {e.done or ''}".strip(), next_step=again)
    free = ", ".join(member.name for member in topology.members if member.source)
    new = ", ".join(member.target_identifier for member in topology.members if member.source and member.target)
    return EncryptionError(
        f"{name} could not be given to its encrypted instance in {limit:.0f} s (rds_encryption_cutover_timeout): {failure.problem}",
        done=f"The names went back: nobody has {free}. The encrypted instances are {new}; the originals are fenced, nothing was deleted.",
        next_step=again,
    )


def _confirm_endpoints(topology: Topology) -> None:
    """Raise if a name's address is not the one that applications know.

    The part after the name is the same for one account and region; the swap of names rests on that, so it is looked at, not assumed.
    """
    for member in topology.members:
        if member.source is None or member.target is None:
            continue
        old = (member.source.get("Endpoint") or {}).get("Address", "")
        now = (member.target.get("Endpoint") or {}).get("Address", "")
        expected = member.name + old[len(member.old_name) :] if old.startswith(member.old_name + ".") else now
        if now != expected:
            raise EncryptionError(
                f"{member.name} now answers at {now or 'no address'}, applications know it as {expected}.",
                done="The names are swapped; the data is complete.",
                next_step="Point the applications (or a CNAME) at the new address, or give the names back.",
            )


def _outcome(member) -> dict:
    return {
        "name": member.name,
        "old": member.source_identifier,
        "resource_id": member.target["DbiResourceId"] if member.target else None,
        "endpoint": (member.target.get("Endpoint") or {}).get("Address") if member.target else None,
    }
