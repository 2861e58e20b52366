# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What the modules' jobs share: option specs, opening a region, results.

A job is the code behind one module: read everything, plan, stop there in check mode, make the plan true, report.
"""

from __future__ import annotations

import uuid

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, Topology, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.fence_kept import (
    LOOK_BACK_MINUTES,
    built_from,
    check_fence_was_kept,
    may_have_served,
    shows_the_fence,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.apply import Runner
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits

PREFIX_SPEC = dict(old_prefix=dict(type="str", default="old-"), new_prefix=dict(type="str", default="new-"))
WAIT_SPEC = dict(
    poll_interval=dict(type="float", default=20.0),
    wait_timeout=dict(type="int", default=86400),
    stall_timeout=dict(type="int", default=14400),
)


def limits_of(params: dict) -> Limits:
    """The waiting limits among a module's parameters."""
    return Limits(
        poll_interval=params["poll_interval"], wait_timeout=float(params["wait_timeout"]), stall_timeout=float(params["stall_timeout"])
    )


def prefixes_of(params: dict) -> Prefixes:
    """The prefixes among a module's parameters, in the lower case in which RDS keeps every identifier."""
    return Prefixes(params["old_prefix"].lower(), params["new_prefix"].lower())


def runner_of(context, rds: Rds) -> Runner:
    """A runner with the caller's clock, voice and limits."""
    return Runner(rds, context.clock, context.progress, limits_of(context.params), stand=getattr(context, "stand", None))


# While an instance is renamed no read shows it, for seconds as a rule (RDS guide "Renaming a DB instance" gives no bound). A run that was
# stopped in such a moment and started again must not take the instance for lost; a mistyped name must not cost minutes either.
UNCLEAR_FOR_SECONDS = 45.0
UNCLEAR_LOOK_EVERY = 3.0


def read_topology(context, rds: Rds, name: str, prefixes: Prefixes, recent=None) -> tuple[Topology, Listing]:
    """The topology that the name means, and all instances of the region; looks again for a while if part of it cannot be seen.

    :param recent: ``(read) -> what it read, or what another host has just read``, for the first look.
    """
    started = context.clock.monotonic()
    said = None
    while True:
        listing = Listing(recent(rds.all_instances) if recent and said is None else rds.all_instances())
        topology = find_topology(name, listing, prefixes)
        if topology.unclear is None or context.clock.monotonic() - started > UNCLEAR_FOR_SECONDS:
            return topology, listing
        if topology.unclear != said:
            said = topology.unclear
            context.progress(f"{said} Looking again for {UNCLEAR_FOR_SECONDS:.0f} s.")
        context.clock.sleep(UNCLEAR_LOOK_EVERY)


def working_topology(context, rds: Rds, name: str, prefixes: Prefixes) -> Topology:
    """The topology, or a refusal in words if it cannot be worked on."""
    topology, _listing = read_topology(context, rds, name, prefixes)
    if topology.skip_reason:
        raise RefusedError(topology.skip_reason, done="Nothing was changed.")
    if topology.problems:
        raise RefusedError(topology.problems[0], done="Nothing was changed.")
    return topology


def extra_tags(params: dict) -> tuple[tuple[str, str], ...]:
    """The option ``tags``, as RDS takes tags: numbers and truth values of YAML are texts there."""
    return tuple(sorted((str(key), str(value)) for key, value in (params.get("tags") or {}).items()))


BACKUP_KEYS_SPEC = dict(backup_replication_kms_keys=dict(type="dict", default={}, no_log=False))


def backup_copies(context, described: dict) -> dict[str, dict]:
    """How the automated backups of an instance's replacement are to be replicated to other regions: by ARN of the instance's own copies.

    Only regions of which the option ``backup_replication_kms_keys`` names a key.

    :raises EncryptionError: a named key is of no use.
    """
    keys = {str(region): str(key) for region, key in (context.params.get("backup_replication_kms_keys") or {}).items()}
    copies = {}
    for arn in (each.get("DBInstanceAutomatedBackupsArn") or "" for each in described.get("DBInstanceAutomatedBackupsReplications") or ()):
        region = (arn.split(":") + [""] * 4)[3]
        if region in keys:
            key = rds_read.key_description(context.client("kms", region=region), keys[region])["Arn"]
            copies[arn] = {
                "KmsKeyId": key,
                "BackupRetentionPeriod": rds_read.replicated_backup_days(context.client("rds", region=region), arn),
            }
    return copies


def finish_request(rds: Rds, params: dict, replicas_awaited=(), copies: dict[str, dict] | None = None) -> FinishRequest:
    """How far an instance is to be finished."""
    return FinishRequest(
        accepted=rds_read.accepted_parameters(rds.read, "ModifyDBInstance"),
        replicas_awaited=tuple(replicas_awaited),
        extra_tags=extra_tags(params),
        backup_copies=copies or {},
    )


def check_fence(rds: Rds, topology: Topology) -> None:
    """Raise if the fenced source may have served applications again after its snapshot was taken."""
    if not may_have_served(topology):
        return
    source = topology.primary.source
    moment = built_from(topology, rds.snapshots_of(source["DbiResourceId"]))
    if moment is None:
        return
    events: list[dict] = []
    for minutes in LOOK_BACK_MINUTES:
        events = rds.dated_events(source["DBInstanceIdentifier"], minutes)
        if shows_the_fence(events, moment):
            break
    check_fence_was_kept(topology, moment, events)


def fresh_fence_id() -> str:
    """An opaque id that is made anew at every fencing; letters and digits, fit for a snapshot's identifier."""
    return "f" + uuid.uuid4().hex[:11]


def predicted(plan: Plan, context, **more) -> dict:
    """The result of check mode: what would be done."""
    return _result(plan.changes, plan.to_list(), plan.remarks, context, **more)


def achieved(runner: Runner, last: Plan, context, **more) -> dict:
    """The result of a real run: what was done, and when each call was made."""
    return _result(bool(runner.executed), runner.executed, last.remarks, context, made_at=runner.made_at, **more)


def _result(changed: bool, steps: list[dict], remarks, context, **more) -> dict:
    result = dict(changed=changed, plan=steps, remarks=list(remarks), **more)
    if context.diff_mode and steps:
        result["diff"] = dict(before="", after="".join(f"{step['what']}\n" for step in steps), before_header="now", after_header="steps")
    return result
