# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Whether a topology can be encrypted, decided before anything is changed: every reason why not, at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import STRATEGIES, engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    MAX_TAGS,
    PRODUCT_TAGS_AT_MOST,
    TAG_FENCE_ID,
    TAG_NAME,
    TAG_SOURCE_RESOURCE_ID,
    identifier_problem,
    own_tags,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.quarantine import quarantine_problem
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import broken, needs_reboot, pending_values
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES, meaning_of_status
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    Listing,
    Member,
    Topology,
    cross_region_replicas,
    how_to_make,
    is_encrypted,
    is_rehearsal,
    is_seed_replica,
    made_by_a_rehearsal,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.follow import follow_blockers

# Classes without storage encryption (RDS guide: Encrypting resources, availability); RDS's own answer counts more where it gives one.
UNENCRYPTABLE_CLASSES = ("db.m1.", "db.m2.", "db.t1.micro", "db.t2.micro")


@dataclass(frozen=True)
class Blocker:
    """A reason why nothing may be started."""

    code: str
    resource: str
    text: str

    def to_dict(self) -> dict:
        return {"code": self.code, "resource": self.resource, "text": self.text}


@dataclass(frozen=True)
class Key:
    """What KMS says of the key that was asked for; ``problem`` is set instead when it says no. ``caller`` is the ARN of who asked."""

    asked: str
    arn: str | None = None
    problem: str | None = None
    caller: str | None = None


@dataclass(frozen=True)
class Quarantine:
    """What EC2 says of the security group that is to keep clients out; ``problem`` is set instead when it says no.

    :param admits_nobody: it has no inbound rule at all.
    """

    group: str
    vpc: str | None = None
    admits_nobody: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What else the decision needs; None where it could not be read (``unread`` says why, it becomes a warning).

    :param quotas: name -> (used, max), as DescribeAccountAttributes gives them.
    :param encryptable: (engine, version, class) -> SupportsStorageEncryption.
    :param maintenance: instance ARN -> descriptions of pending maintenance actions.
    :param deployments: identifiers of instances in a blue/green deployment.
    :param quarantine: the security group of the quarantine, if the operator wants one.
    """

    key: Key
    quotas: dict[str, tuple[int, int]] | None = None
    encryptable: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    maintenance: dict[str, list[str]] | None = None
    deployments: frozenset = frozenset()
    quarantine: Quarantine | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Needs:
    """What a topology will still take from the account."""

    instances: int = 0
    storage_gib: int = 0
    snapshots: int = 0

    def to_dict(self) -> dict:
        return {"instances": self.instances, "storage_gib": self.storage_gib, "snapshots": self.snapshots}

    def plus(self, other: Needs) -> Needs:
        return Needs(self.instances + other.instances, self.storage_gib + other.storage_gib, self.snapshots + other.snapshots)


@dataclass(frozen=True)
class Policy:
    """What the operator decided.

    :param accept_pending_maintenance: go on although maintenance or a pending restart waits on a source.
    :param warm_up_budget: seconds.
    """

    strategy: str = "cold"
    accept_pending_maintenance: bool = False
    database_access: bool = True
    warm_up_budget: int = 0


@dataclass(frozen=True)
class Verdict:
    """``action`` is ``encrypt`` (or go on encrypting), ``none`` (nothing to do) or ``blocked``."""

    action: str
    reason: str
    blockers: tuple[Blocker, ...] = ()
    warnings: tuple[str, ...] = ()


def topology_needs(topology: Topology, *, seeded: bool = False, follows: bool = False) -> Needs:
    """What is still to be made for a topology.

    :param seeded: a source that still serves gets a snapshot before its fence, too.
    :param follows: the target is seeded by one more replica of the source.
    """
    missing = [m for m in topology.members if m.source is not None and m.target is None]
    primary = topology.primary
    seeds = [primary.source] if follows and primary is not None and primary in missing else []
    return Needs(
        instances=len(missing) + len(seeds),
        storage_gib=sum(described.get("AllocatedStorage", 0) for described in (*(m.source for m in missing), *seeds)),
        snapshots=2 + (seeded and not primary.fenced_by_name) if primary is not None and primary in missing else 0,
    )


def judge(topology: Topology, listing: Listing, around: Surroundings, policy: Policy, fleet_needs: Needs) -> Verdict:
    """Whether to encrypt this topology, and every reason against it.

    :param fleet_needs: what all topologies of the run need from this account and region together.
    """
    if topology.skip_reason:
        return Verdict("none", topology.skip_reason)
    if topology.problems:
        return Verdict("blocked", topology.problems[0], tuple(Blocker("unknown_instance", topology.name, p) for p in topology.problems))
    primary = topology.primary
    if primary.source is None:
        return _encrypted_already(topology, around)
    if topology.finished:
        return Verdict("none", f"{topology.name} is encrypted and cut over; {primary.old_name} is kept until it is retired.")
    if primary.cut_over:
        missing = tuple(
            Blocker("replica_missing", m.name, f"{m.name} has no encrypted replacement: {m.new_name} is missing. {how_to_make(topology, m)}")
            for m in topology.replicas
            if m.source is not None and m.target is None
        )
        if missing:
            return Verdict("blocked", missing[0].text, missing, warnings=around.unread)
        return Verdict("encrypt", f"{topology.name} is cut over but not tidied up yet.", warnings=around.unread)
    blockers = [
        *_key_blockers(topology, around),
        *_strategy_blockers(topology, policy),
        *_name_blockers(topology, listing),
        *_structure_blockers(topology, around),
        *_seed_blockers(topology, listing),
        *_tag_blockers(topology),
        *_class_blockers(topology, around),
        *_quarantine_blockers(topology, around, policy),
        *_state_blockers(topology, around, policy),
        *_quota_blockers(topology, around, fleet_needs),
    ]
    warnings = [*around.unread, *_warnings(topology, around, policy), *_rehearsed(topology, listing)]
    if blockers:
        return Verdict("blocked", blockers[0].text, tuple(blockers), tuple(warnings))
    return Verdict("encrypt", _standing(topology), (), tuple(warnings))


def _standing(topology: Topology) -> str:
    primary = topology.primary
    if not primary.fenced_by_name:
        return f"{topology.name} is not encrypted."
    if primary.target is None:
        return f"{topology.name} is fenced as {primary.old_name}; its target is not restored yet."
    missing = [m.new_name for m in topology.replicas if m.target is None]
    if missing:
        return f"{primary.target_identifier} is restored; still to make: {', '.join(missing)}."
    return f"{topology.name} is built as {primary.target_identifier}; not cut over yet."


def _encrypted_already(topology: Topology, around: Surroundings) -> Verdict:
    serving = topology.primary.target
    key = serving.get("KmsKeyId")
    if serving.get("DBClusterIdentifier"):
        return Verdict("none", f"{topology.name} is encrypted already (as a member of cluster {serving['DBClusterIdentifier']}).")
    if around.key.arn and key and key != around.key.arn:
        return Verdict(
            "none",
            f"{topology.name} is encrypted already, but with key {key}, not with {around.key.arn}: changing that is a re-key, "
            "which this playbook does not do.",
        )
    return Verdict("none", f"{topology.name} is encrypted already" + (f" with {key}." if key else " with an AWS-owned key."))


def _key_blockers(topology: Topology, around: Surroundings) -> list[Blocker]:
    return [Blocker("kms_key", around.key.asked, around.key.problem)] if around.key.problem else []


def _strategy_blockers(topology: Topology, policy: Policy) -> list[Blocker]:
    source = topology.primary.source
    row = engine_row(source["Engine"])
    if not row.supported:
        return [Blocker("engine", topology.name, f"{topology.name} runs {source['Engine']}: {row.unsupported_reason}")]
    strategy = STRATEGIES[policy.strategy]
    if topology.link_id and not strategy.follows:
        text = (
            f"{topology.name} was begun with a strategy that replicates (its tags name the attempt {topology.link_id}), not with {policy.strategy}. "
            "Go on with that one, or roll back first (rollback.yml)."
        )
        return [Blocker("strategy", topology.name, text)]
    if topology.primary.fenced_by_name and not topology.link_id and strategy.follows:
        text = f"{topology.name} was fenced by another strategy than {policy.strategy}: go on with that one, or roll back first (rollback.yml)."
        return [Blocker("strategy", topology.name, text)]
    if policy.strategy not in row.strategies:
        return [
            Blocker(
                "strategy",
                topology.name,
                f"Strategy {policy.strategy} is not possible for {source['Engine']}; possible: {', '.join(row.strategies)}.",
            )
        ]
    if not strategy.follows:
        return []
    if not policy.database_access:
        text = f"Strategy {policy.strategy} works by SQL: set rds_encryption_database_access, or use the strategy cold."
        return [Blocker("database_access", topology.name, text)]
    return [Blocker(code, topology.name, text) for code, text in follow_blockers(topology)]


def _name_blockers(topology: Topology, listing: Listing) -> list[Blocker]:
    blockers = []
    if not topology.prefixes.old or not topology.prefixes.new or topology.prefixes.old == topology.prefixes.new:
        return [Blocker("prefix", topology.name, "old_prefix and new_prefix must both be set, and differ from each other.")]
    for member in topology.members:
        for wanted in (member.old_name, member.new_name):
            problem = identifier_problem(wanted)
            if problem:
                blockers.append(Blocker("name", wanted, f"The identifier {wanted}, needed for {member.name}, {problem}."))
        held = {
            member.old_name: member.source,
            member.new_name: member.target,
            member.name: member.target if member.fenced_by_name else member.source,
        }
        for wanted, holder in held.items():
            there = listing.by_name.get(wanted)
            if there is None or (holder is not None and there["DbiResourceId"] == holder["DbiResourceId"]):
                continue
            blockers.append(Blocker("name_taken", wanted, _taken(topology, member, wanted, there)))
    return blockers


def _taken(topology: Topology, member: Member, wanted: str, there: dict) -> str:
    tags = tags_of(there)
    text = f"{wanted} exists already and is not what this run would make for {member.name}"
    if is_rehearsal(there):
        return f"{wanted} {made_by_a_rehearsal(there)} A run never uses it: delete or rename it, or choose another rds_encryption_new_prefix."
    if tags.get(TAG_NAME) == member.name and tags.get(TAG_SOURCE_RESOURCE_ID) == (member.source or {}).get("DbiResourceId"):
        text += f": it was made under fence {tags.get(TAG_FENCE_ID)}, which is no longer in force, so it may lack writes"
        return (
            f"{text}. Rename it, or delete it (retire.yml with rds_encryption_retire_action=delete and {wanted} in rds_encryption_retire_confirm), "
            "or choose another rds_encryption_new_prefix."
        )
    return f"{text}. Rename or remove {wanted}, or choose other prefixes."


def _structure_blockers(topology: Topology, around: Surroundings) -> list[Blocker]:
    blockers = []
    for member in topology.members:
        source = member.source
        if source is None:
            continue
        far = cross_region_replicas(source)
        if far:
            text = f"{member.name} has replicas in other regions, which are not carried yet: {', '.join(far)}. Remove them first, remake them after."
            blockers.append(Blocker("cross_region_replica", member.name, text))
        if source.get("ReadReplicaDBClusterIdentifiers"):
            clusters = ", ".join(source["ReadReplicaDBClusterIdentifiers"])
            blockers.append(Blocker("cluster_replica", member.name, f"{member.name} has cluster replicas, which are not carried: {clusters}."))
        if source.get("DBClusterIdentifier"):
            text = f"{member.name} is a member of cluster {source['DBClusterIdentifier']}: clusters are not encrypted by this collection yet."
            blockers.append(Blocker("cluster_member", member.name, text))
        if source.get("TdeCredentialArn"):
            blockers.append(Blocker("tde_credential", member.name, f"{member.name} uses a CloudHSM TDE credential, whose password RDS does not give."))
        if source.get("AutomationMode") or source.get("CustomIamInstanceProfile"):
            blockers.append(Blocker("rds_custom", member.name, f"{member.name} is an RDS Custom instance: not supported."))
        if source["DBInstanceIdentifier"] in around.deployments:
            text = f"{member.name} takes part in a blue/green deployment: finish or delete that first."
            blockers.append(Blocker("blue_green", member.name, text))
        below = [m for m in topology.replicas if m.parent == member.name and m.source is not None and m.target is None]
        networks = sorted({(m.source.get("DBSubnetGroup") or {}).get("VpcId") or "no VPC" for m in below})
        if len(networks) > 1:
            # RDS API: CreateDBInstanceReadReplica, DBSubnetGroupName.
            text = f"The replicas of {member.name} are in {', '.join(networks)}; RDS makes replicas of one source in one VPC only. Remove some first."
            blockers.append(Blocker("replica_vpc", member.name, text))
    return blockers


def _seed_blockers(topology: Topology, listing: Listing) -> list[Blocker]:
    """A replica that seeded the target of an attempt that was given up."""
    source = topology.primary.source
    return [
        Blocker(
            "seed_left",
            i["DBInstanceIdentifier"],
            f"{i['DBInstanceIdentifier']} is left over from an attempt to follow {topology.name} that was given up. Delete it (retire.yml with "
            f"rds_encryption_retire_action=delete and {i['DBInstanceIdentifier']} in rds_encryption_retire_confirm).",
        )
        for i in listing.instances
        if is_seed_replica(i)
        and tags_of(i).get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"]
        and tags_of(i).get(TAG_FENCE_ID) != topology.link_id
    ]


def _tag_blockers(topology: Topology) -> list[Blocker]:
    blockers = []
    for member in topology.members:
        if member.source is None:
            continue
        count = len([k for k in tags_of(member.source) if k.startswith("aws:")]) + len(own_tags(tags_of(member.source)))
        if count + PRODUCT_TAGS_AT_MOST > MAX_TAGS:
            text = (
                f"{member.name} has {count} tags; RDS allows {MAX_TAGS} and a run adds up to {PRODUCT_TAGS_AT_MOST}. "
                "Take some off for the time of the run."
            )
            blockers.append(Blocker("tags", member.name, text))
    return blockers


def _class_blockers(topology: Topology, around: Surroundings) -> list[Blocker]:
    blockers = []
    for member in topology.members:
        source = member.source
        if source is None or member.target is not None:
            continue
        key = (source["Engine"], source.get("EngineVersion", ""), source["DBInstanceClass"])
        known = around.encryptable.get(key)
        if known is False or (known is None and source["DBInstanceClass"].startswith(UNENCRYPTABLE_CLASSES)):
            text = f"{member.name}: {key[2]} cannot be encrypted with {key[0]} {key[1]}. Change its class first."
            blockers.append(Blocker("class", member.name, text))
    return blockers


def _quarantine_blockers(topology: Topology, around: Surroundings, policy: Policy) -> list[Blocker]:
    wanted = around.quarantine
    if wanted is None:
        return []
    if wanted.problem:
        return [Blocker("quarantine", wanted.group, wanted.problem)]
    if wanted.admits_nobody and policy.database_access:
        text = f"{wanted.group} has no inbound rule: behind the fence nobody could log in to look for connections. Let the controller in."
        return [Blocker("quarantine", wanted.group, text)]
    blockers = []
    for member in topology.members:
        if member.source is None:
            continue
        vpc = (member.source.get("DBSubnetGroup") or {}).get("VpcId")
        problem = quarantine_problem(member.source, wanted.group)
        if wanted.vpc and vpc and vpc != wanted.vpc:
            problem = f"{member.name} is in {vpc}, but the quarantine security group {wanted.group} belongs to {wanted.vpc}"
        if problem:
            blockers.append(Blocker("quarantine", member.name, f"{problem}."))
    return blockers


def _state_blockers(topology: Topology, around: Surroundings, policy: Policy) -> list[Blocker]:
    blockers = []
    for member in topology.members:
        source = member.source
        if source is None or member.target is not None:
            continue
        name = source["DBInstanceIdentifier"]
        status = source["DBInstanceStatus"]
        resuming = bool(tags_of(source).get(TAG_FENCE_ID))
        if status != "available" and not (resuming and meaning_of_status(status)[0] in ("ready", "moving")):
            blockers.append(Blocker("status", name, f"{name} is {status}; it must be available. {meaning_of_status(status)[1]}"))
        if member.fenced_by_name:
            continue
        fault = broken(source) if status in READY_STATUSES else None
        if fault:
            blockers.append(Blocker("broken", name, f"{name} is {status}, but {fault}: mend it first."))
        pending = sorted(k for k, v in pending_values(source).items() if v != member.old_name)
        if pending:
            text = f"{name} has pending modifications ({', '.join(pending)}), which the rename would put in force. Apply or cancel them first."
            blockers.append(Blocker("pending_modified_values", name, text))
        if needs_reboot(source) and not policy.accept_pending_maintenance:
            text = (
                f"{name} has a parameter group that waits for a restart: the fence would change how it behaves. Restart it first, or set "
                "rds_encryption_accept_pending_maintenance."
            )
            blockers.append(Blocker("pending_reboot", name, text))
        waiting = (around.maintenance or {}).get(source.get("DBInstanceArn", ""), [])
        if waiting and not policy.accept_pending_maintenance:
            text = f"{name} has pending maintenance ({', '.join(waiting)}). Apply it first, or set rds_encryption_accept_pending_maintenance."
            blockers.append(Blocker("pending_maintenance", name, text))
    return blockers


def _quota_blockers(topology: Topology, around: Surroundings, needs: Needs) -> list[Blocker]:
    blockers = []
    for row in quota_rows(around, needs):
        if row["max"] and row["needed"] and row["used"] + row["needed"] > row["max"]:
            text = (
                f"The run needs {row['needed']} more {row['unit']}; {row['used']} of {row['max']} are in use ({row['quota']} quota). Ask AWS for more, "
                "or run with fewer hosts."
            )
            blockers.append(Blocker("quota", row["quota"], text))
    return blockers


def quota_rows(around: Surroundings, needs: Needs) -> list[dict]:
    """What the run needs of each quota: ``{quota, unit, needed, used, max}``; used and max are None where they could not be read."""
    wanted = (
        ("DBInstances", needs.instances, "DB instances"),
        ("AllocatedStorage", needs.storage_gib, "GiB of storage"),
        ("ManualSnapshots", needs.snapshots, "manual snapshots"),
    )
    rows = []
    for quota, needed, unit in wanted:
        used, most = (around.quotas or {}).get(quota, (None, None))
        rows.append({"quota": quota, "unit": unit, "needed": needed, "used": used, "max": most})
    return rows


def _warnings(topology: Topology, around: Surroundings, policy: Policy) -> list[str]:
    warnings = []
    source = topology.primary.source
    row = engine_row(source["Engine"])
    if not policy.database_access:
        warnings.append(f"{topology.name}: database_access is false, so connections, accounts, settings and data are not checked by SQL.")
    elif row.sql_remark:
        warnings.append(f"{topology.name}: {source['Engine']} {row.sql_remark}.")
    for member in topology.members:
        described = member.source
        if described is None:
            continue
        if described.get("MasterUserSecret"):
            warnings.append(f"{member.name}: the managed master secret is made anew; its ARN changes for whoever reads it by ARN.")
        if described.get("IAMDatabaseAuthenticationEnabled"):
            warnings.append(f"{member.name}: IAM policies with rds-db:connect name the resource id, which changes: update them.")
        if described.get("ActivityStreamStatus", "stopped") not in ("stopped", None):
            warnings.append(
                f"{member.name}: an activity stream is started on the encrypted instance, too; its Kinesis stream has another name, so that "
                "consumers must be moved, and an Oracle instance loses its unified audit trail by that (the original keeps it)."
            )
        if described.get("DBInstanceAutomatedBackupsReplications"):
            warnings.append(
                f"{member.name}: automated backups are replicated to another region; that begins anew for the encrypted instance, while the "
                "original's goes on until you stop it and counts among the 20 that a region takes."
            )
        if any(key.startswith("aws:cloudformation:") for key in tags_of(described)):
            warnings.append(f"{member.name}: it belongs to a CloudFormation stack, which will see another resource under the name.")
    return warnings


def _rehearsed(topology: Topology, listing: Listing) -> list[str]:
    names = {member.name for member in topology.members}
    made = [i for i in listing.instances if is_rehearsal(i) and tags_of(i).get(TAG_NAME) in names]
    return [f"{i['DBInstanceIdentifier']} {made_by_a_rehearsal(i)} It costs like any other, and a run never uses it." for i in made]


def encrypted_summary(member: Member) -> bool:
    """Whether the instance that serves under the member's name now is encrypted."""
    serving = member.target if member.cut_over else member.source
    return bool(serving) and is_encrypted(serving)
