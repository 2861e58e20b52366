# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_topology_info``: where a topology stands, what is left to do, what blocks it."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read, surroundings
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import remembered
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import GLANCING, Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    backup_copies,
    check_fence,
    fresh_fence_id,
    prefixes_of,
    read_topology,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.replication_link import link_request, link_state
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.seed import seed_plan, seed_request
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import STRATEGIES, Strategy, engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_BINLOG_RETENTION
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Topology, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.capture import capture
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.estimate import Past, estimate, past_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.kms_policy import Caller, account_of, key_policy_in_words
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.overview import (
    PlanRequest,
    describe_member,
    in_phase,
    plan_everything,
    predicted_differences,
    times_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.preflight import (
    Blocker,
    Key,
    Needs,
    Policy,
    Quarantine,
    Surroundings,
    judge,
    quota_rows,
    topology_needs,
)


def run(context) -> dict:
    """Read everything, decide everything, change nothing."""
    params = context.params
    prefixes = prefixes_of(params)
    if params["strategy"] not in STRATEGIES:
        raise RefusedError(f"strategy {params['strategy']} is not known; known: {', '.join(sorted(STRATEGIES))}.")
    rds = Rds(context.client)
    # Between preflight and cutover it only says which module is called next, and that one reads again before it changes anything.
    recent = None if params["preflight"] else context.recent
    topology, listing = read_topology(context, rds, params["name"], prefixes, recent)
    budget = (params.get("later") or {}).get("warm_up_budget") or 0
    policy = Policy(params["strategy"], params["accept_pending_maintenance"], params["database_access"], budget)
    duplicate = means_the_same(params["name"], topology, params["fleet"] or [], listing, prefixes)
    if duplicate:
        return _result(topology, "none", f"{params['name']} means {topology.name}, which {duplicate} stands for in this run.", policy)
    around = _surroundings(context, rds, topology) if params["preflight"] else Surroundings(Key(params["kms_key_id"] or ""))
    needs = _fleet_needs(context, topology, listing, prefixes) if params["preflight"] else Needs()
    verdict = judge(topology, listing, around, policy, needs)
    steps = []
    if verdict.action == "encrypt" and params["preflight"]:
        steps, more = _look_ahead(context, rds, topology, around)
        if more:
            verdict = replace(verdict, action="blocked", reason=more[0].text, blockers=tuple(more))
            steps = []
    if topology.problems and not topology.members and not params["preflight"]:
        raise RefusedError(topology.problems[0], done="Nothing was changed by this look.")
    action = "encrypt" if verdict.action == "blocked" and not params["preflight"] else verdict.action
    return _result(
        topology,
        action,
        verdict.reason,
        policy,
        blockers=[b.to_dict() for b in verdict.blockers] if params["preflight"] else [],
        warnings_found=list(verdict.warnings) if params["preflight"] else [],
        steps=steps,
        kms_key_arn=around.key.arn,
        caller=around.key.caller,
        past=_past(context, rds, topology) if steps else None,
        needs=topology_needs(topology, seeded=params.get("seed_snapshot_max_age") is not None) if steps else None,
        quotas=quota_rows(around, needs) if steps else [],
        descriptions=_descriptions(topology) if params.get("describe") else [],
    )


def _past(context, rds: Rds, topology: Topology) -> Past:
    """What the account's events tell of durations. It is worth no warning that they cannot be read: then they are assumed, and said so."""
    primary = topology.primary
    if primary.source is None or primary.target is not None:
        return Past()
    unread = surroundings.Unread()
    backups = unread.attempt("", lambda: surroundings.backup_events(rds.glance, primary.source_identifier), [])
    copies = unread.attempt("", lambda: surroundings.copy_events(rds.glance), [])
    return past_of(backups, copies, unread.attempt("", lambda: rds_read.describe_manual_snapshots(rds.glance), []) if copies else [])


def _descriptions(topology: Topology) -> list[dict]:
    """Both sides of each member as ``aws rds describe-db-instances`` prints them, without the ARNs of secrets."""
    sides = [(m.name, side, described) for m in topology.members for side, described in (("source", m.source), ("target", m.target))]
    return [{"name": name, "side": side, "description": capture([found])[0]} for name, side, found in sides if found is not None]


def _look_ahead(context, rds: Rds, topology: Topology, around: Surroundings) -> tuple[list[dict], list[Blocker]]:
    """The steps that are left; and what they would run into, so that it is known before the outage begins."""
    try:
        copies = {arn: copy for m in topology.members if m.source for arn, copy in backup_copies(context, m.source).items()}
    except EncryptionError as e:
        return [], [Blocker("kms_key", topology.name, f"{topology.name}: rds_encryption_backup_replication_kms_keys is of no use. {e}")]
    request = PlanRequest(
        kms_key_arn=around.key.arn or "",
        fresh_fence_id=fresh_fence_id(),
        now=context.clock.utc(),
        accepted={
            operation: rds_read.accepted_parameters(rds.read, operation)
            for operation in ("RestoreDBInstanceFromDBSnapshot", "ModifyDBInstance", "CreateDBInstanceReadReplica")
        },
        quarantine=context.params.get("quarantine_security_group_id") or None,
        backup_copies=copies,
        follow=_follow(context, rds, topology),
    )
    try:
        check_fence(rds, topology)
        steps = [*_seed_steps(context, rds, topology), *plan_everything(topology, request)]
    except EncryptionError as e:
        return [], [Blocker("plan", topology.name, str(e))]
    accepted = frozenset(context.params["accepted_differences"] or ())
    blockers = [
        Blocker(
            "not_carried",
            name,
            f"{name}: the encrypted instance would differ in {row}. Change it on {name}, or accept it by naming {row.attribute} in "
            "rds_encryption_accepted_differences and see to it yourself.",
        )
        for name, rows in predicted_differences(topology, request, accepted).items()
        for row in rows
    ]
    return steps, blockers


def _follow(context, rds: Rds, topology: Topology) -> tuple | None:
    """What is there of a target that follows its source, if the strategy makes one."""
    if not STRATEGIES[context.params["strategy"]].follows or topology.finished:
        return None
    request = link_request(context, rds)
    return request, link_state(rds, topology, request)


def _seed_steps(context, rds: Rds, topology: Topology) -> list[dict]:
    max_age = context.params.get("seed_snapshot_max_age")
    if max_age is None or STRATEGIES[context.params["strategy"]].follows:
        return []
    return in_phase("seed", seed_plan(rds, topology, seed_request(context, max_age)).to_list())


def means_the_same(asked: str, topology: Topology, fleet: list[str], listing: Listing, prefixes) -> str | None:
    """Another host of the run that means the same topology and comes first (old- and new- names of one swap in an inventory)."""
    if topology.skip_reason or topology.problems or asked.lower() == topology.name:
        return None
    same = sorted(host for host in fleet if find_topology(host, listing, prefixes).name == topology.name)
    if topology.name in same:
        return topology.name
    return same[0] if same and same[0] != asked else None


def _fleet_needs(context, topology: Topology, listing: Listing, prefixes) -> Needs:
    seeded = context.params.get("seed_snapshot_max_age") is not None
    follows = STRATEGIES[context.params["strategy"]].follows
    others = {}
    for host in [topology.name, *(context.params["fleet"] or [])]:
        found = find_topology(host, listing, prefixes)
        if found.members and found.primary.source is not None and not found.finished:
            others[found.name] = topology_needs(found, seeded=seeded and not follows, follows=follows)
    total = Needs()
    for needs in others.values():
        total = total.plus(needs)
    return total


def _surroundings(context, rds: Rds, topology: Topology) -> Surroundings:
    unread = surroundings.Unread()
    client = rds.glance
    classes = {
        (m.source["Engine"], m.source.get("EngineVersion", ""), m.source["DBInstanceClass"])
        for m in topology.members
        if m.source is not None and m.target is None
    }
    encryptable = {}
    for engine, version, instance_class in sorted(classes):
        what = f"Whether {instance_class} can be encrypted"
        known = unread.attempt(what, lambda e=engine, v=version, c=instance_class: surroundings.encryptable(client, e, v, c), None)
        if known is not None:
            encryptable[(engine, version, instance_class)] = known
    return Surroundings(
        key=_key(context, unread),
        quotas=unread.attempt("Quotas", lambda: surroundings.quotas(client), None),
        encryptable=encryptable,
        maintenance=unread.attempt("Pending maintenance", lambda: surroundings.maintenance(client), None),
        quarantine=_quarantine(context, unread),
        deployments=unread.attempt("Blue/green deployments", lambda: surroundings.deployments(client), frozenset()),
        unread=tuple(unread.reasons),
    )


def _key(context, unread: surroundings.Unread) -> Key:
    asked = context.params["kms_key_id"]
    if not asked:
        return Key("", problem="rds_encryption_kms_key_id is not set: name the KMS key (id, ARN or alias) to encrypt with.")
    try:
        key = rds_read.key_description(context.client("kms"), asked)
    except EncryptionError as e:
        return Key(asked, problem=str(e))
    policy, who = None, None
    identity = unread.attempt("Who calls, and so the policy of the KMS key,", lambda: surroundings.caller(remembered(context.client("sts", GLANCING))), None)
    if key.get("KeyManager") != "AWS":
        who = identity and Caller(*identity)
        if who and who.account == account_of(key):
            policy = unread.attempt("The policy of the KMS key", lambda: surroundings.key_policy(remembered(context.client("kms", GLANCING)), key["Arn"]), None)
    problem, remark = key_policy_in_words(key, policy, who, key["Arn"].split(":")[3])
    if remark:
        unread.reasons.append(remark)
    return Key(asked, arn=key["Arn"], problem=problem, caller=identity and identity[0])


def _quarantine(context, unread: surroundings.Unread) -> Quarantine | None:
    asked = context.params.get("quarantine_security_group_id")
    if not asked:
        return None
    what = f"Whether security group {asked} fits"
    found = unread.attempt(what, lambda: surroundings.security_group(context.client("ec2", GLANCING), asked), {})
    if found is None:
        return Quarantine(asked, problem=f"rds_encryption_quarantine_security_group_id: EC2 knows no security group {asked} in this region.")
    return Quarantine(asked, vpc=found.get("VpcId"), admits_nobody=found.get("IpPermissions") == [])


def _strategy(topology: Topology, policy: Policy) -> Strategy:
    """The strategy whose role works on a topology: the one by which its target was begun to follow, whatever the variables say (law 3)."""
    wanted = STRATEGIES[policy.strategy]
    return next((s for s in STRATEGIES.values() if s.follows), wanted) if topology.link_id and not wanted.follows else wanted


def _result(topology: Topology, action: str, reason: str, policy: Policy, **more) -> dict:
    primary = topology.primary
    engine = (primary.source or primary.target)["Engine"] if primary else None
    client = engine_row(engine).client if engine and policy.database_access else None
    warm_up = policy.warm_up_budget if client else 0
    parts = estimate(topology, more.get("past"), policy.strategy, warm_up) if action == "encrypt" else []
    return dict(
        changed=False,
        topology=dict(
            name=topology.name,
            action=action,
            reason=reason,
            strategy=policy.strategy,
            strategy_role=_strategy(topology, policy).role,
            pause_before=_strategy(topology, policy).pause_before,
            link_id=topology.link_id,
            binlog_retention_hours=topology.source_tags.get(TAG_BINLOG_RETENTION),
            drained=topology.drained,
            engine=engine,
            database_client=client,
            fence_id=topology.fence_id,
            fenced=topology.fenced,
            finished=topology.finished,
            served=topology.served,
            members=[describe_member(m) for m in topology.members],
            estimate_minutes={part.name: part.minutes for part in parts},
            estimate=[part.to_dict() for part in parts],
            times=times_of(topology),
            needs=more["needs"].to_dict() if more.get("needs") else {},
            quotas=more.get("quotas", []),
            caller=more.get("caller"),
            descriptions=more.get("descriptions", []),
            blockers=more.get("blockers", []),
            warnings=more.get("warnings_found", []),
            steps=more.get("steps", []),
            kms_key_arn=more.get("kms_key_arn"),
        ),
    )
