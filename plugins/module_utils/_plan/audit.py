# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What an account holds that is not encrypted: instances, clusters, snapshots, automated backups (reference 004, the audit)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_CUT_OVER_AT, TAG_NAME, TAG_PREFIX, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    NOT_ENCRYPTED,
    WITH_KEY_OF_RDS,
    WITH_KMS_KEY,
    Listing,
    Prefixes,
    find_topology,
    is_rehearsal,
    made_by_a_rehearsal,
    storage_encryption,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.estimate import estimate_minutes
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.preflight import (
    Key,
    Needs,
    Policy,
    Surroundings,
    judge,
)


@dataclass(frozen=True)
class Resource:
    """One thing that holds data.

    :param kind: ``instance``, ``cluster``, ``snapshot``, ``cluster snapshot`` or ``automated backups``.
    :param encryption: ``none``, ``sse-kms`` (a KMS key) or ``sse-rds`` (a key that AWS owns): three different answers, and the last
        one is no plaintext (botocore: StorageEncryptionType).
    :param topology: the name of the topology that it belongs to, as far as that is known.
    :param strategy: how encrypt.yml would encrypt it; None where it does not.
    :param blockers: what stands against that, without what only preflight reads (key, quotas, maintenance).
    :param estimate_minutes: minutes by phase, a guess from sizes.
    :param advice: what to do about plaintext.
    """

    kind: str
    identifier: str
    arn: str
    region: str
    engine: str
    encryption: str
    kms_key_id: str | None = None
    size_gib: int | None = None
    topology: str | None = None
    strategy: str | None = None
    blockers: tuple[str, ...] = ()
    estimate_minutes: dict = field(default_factory=dict)
    advice: str = ""
    accepted: bool = False

    def to_dict(self) -> dict:
        return {**asdict(self), "blockers": list(self.blockers)}


@dataclass(frozen=True)
class Account:
    """What was read of one region: shapes of botocore."""

    region: str
    instances: tuple[dict, ...] = ()
    clusters: tuple[dict, ...] = ()
    snapshots: tuple[dict, ...] = ()
    cluster_snapshots: tuple[dict, ...] = ()
    backups: tuple[dict, ...] = ()


def audit(account: Account, prefixes: Prefixes, accepted: Iterable[str] = ()) -> list[Resource]:
    """Every resource of the region with its encryption; plaintext ones with what to do about them.

    :param accepted: identifiers or ARNs whose plaintext the operator knows and bears.
    """
    listing = Listing(account.instances)
    rows = [
        *(_instance(i, account, listing, prefixes) for i in account.instances),
        *(_cluster(c, account) for c in account.clusters),
        *(_snapshot(s, account, listing, prefixes) for s in account.snapshots),
        *(_cluster_snapshot(s, account) for s in account.cluster_snapshots),
        *(_backups(b, account, listing) for b in account.backups),
    ]
    known = set(accepted)
    return [Resource(**{**row, "accepted": bool({row["identifier"], row["arn"]} & known)}) for row in rows]


def plaintext(resources: Iterable[Resource]) -> list[Resource]:
    """Those that are not encrypted and not accepted."""
    return [r for r in resources if r.encryption == NOT_ENCRYPTED and not r.accepted]


def count(resources: Iterable[Resource]) -> dict[str, dict[str, int]]:
    """kind -> encryption -> how many."""
    counts: dict[str, dict[str, int]] = {}
    for resource in resources:
        of_kind = counts.setdefault(resource.kind, dict.fromkeys((NOT_ENCRYPTED, WITH_KMS_KEY, WITH_KEY_OF_RDS), 0))
        of_kind[resource.encryption] = of_kind.get(resource.encryption, 0) + 1
    return counts


def _row(kind: str, identifier: str, arn: str, described: dict, account: Account) -> dict:
    return dict(
        kind=kind,
        identifier=identifier,
        arn=arn,
        region=account.region,
        engine=described.get("Engine", ""),
        encryption=storage_encryption(described),
        kms_key_id=described.get("KmsKeyId"),
        size_gib=described.get("AllocatedStorage"),
    )


def _instance(described: dict, account: Account, listing: Listing, prefixes: Prefixes) -> dict:
    identifier = described["DBInstanceIdentifier"]
    row = _row("instance", identifier, described.get("DBInstanceArn", ""), described, account)
    cluster = described.get("DBClusterIdentifier")
    if cluster:
        return {**row, "topology": cluster, "advice": f"Its storage is that of cluster {cluster}." if row["encryption"] == NOT_ENCRYPTED else ""}
    topology = find_topology(identifier, listing, prefixes)
    row["topology"] = topology.name
    if is_rehearsal(described):
        return {**row, "advice": f"It {made_by_a_rehearsal(described)}"}
    if row["encryption"] != NOT_ENCRYPTED:
        return row
    if topology.skip_reason:
        parent = described.get("ReadReplicaSourceDBInstanceIdentifier") or described.get("ReadReplicaSourceDBClusterIdentifier")
        return {**row, "topology": tags_of(described).get(TAG_NAME) or parent, "advice": topology.skip_reason}
    if tags_of(described).get(TAG_CUT_OVER_AT) and topology.finished:
        return {**row, "advice": f"The original of {topology.name}, replaced at {tags_of(described)[TAG_CUT_OVER_AT]}: retire it (retire.yml)."}
    verdict = judge(topology, listing, Surroundings(Key("")), Policy(), Needs())
    strategies = engine_row(described.get("Engine")).strategies
    if verdict.action == "blocked":
        return {**row, "blockers": tuple(b.text for b in verdict.blockers), "strategy": (strategies or (None,))[0], "advice": verdict.reason}
    return {
        **row,
        "strategy": (strategies or (None,))[0],
        "estimate_minutes": estimate_minutes(topology),
        "advice": f"ansible-playbook encrypt.yml -l {shlex.quote(topology.name)}",
    }


def _cluster(described: dict, account: Account) -> dict:
    row = _row("cluster", described["DBClusterIdentifier"], described.get("DBClusterArn", ""), described, account)
    row["topology"] = row["identifier"]
    if row["encryption"] == NOT_ENCRYPTED:
        row["advice"] = "Clusters are not encrypted by this collection yet. Of Aurora: restore a snapshot of it with a KMS key."
    return row


def _snapshot(described: dict, account: Account, listing: Listing, prefixes: Prefixes) -> dict:
    identifier = described["DBSnapshotIdentifier"]
    row = _row("snapshot", identifier, described.get("DBSnapshotArn", ""), described, account)
    instance = listing.by_resource_id.get(described.get("DbiResourceId", ""))
    row["topology"] = tags_of(instance or {}).get(TAG_NAME) or (instance or described).get("DBInstanceIdentifier")
    if is_rehearsal(described) and described.get("SnapshotType", "manual") == "manual":
        return {**row, "advice": f"It {made_by_a_rehearsal(described)}"}
    if row["encryption"] != NOT_ENCRYPTED:
        return row
    if described.get("SnapshotType", "manual") != "manual":
        row["advice"] = "An automated one: it goes with the retention of its instance."
    elif any(key.startswith(TAG_PREFIX) for key in tags_of(described)):
        row["advice"] = "Made by an encryption run: it goes when the original is retired (retire.yml)."
    else:
        row["advice"] = _copy_words("copy-db-snapshot", "db-snapshot", identifier, account.region)
    return row


def _cluster_snapshot(described: dict, account: Account) -> dict:
    identifier = described["DBClusterSnapshotIdentifier"]
    row = _row("cluster snapshot", identifier, described.get("DBClusterSnapshotArn", ""), described, account)
    row["topology"] = described.get("DBClusterIdentifier")
    if row["encryption"] == NOT_ENCRYPTED:
        automated = described.get("SnapshotType", "manual") != "manual"
        # A copy of an unencrypted cluster snapshot cannot be encrypted (Aurora guide: Copying a DB cluster snapshot).
        row["advice"] = (
            "An automated one: it goes with the retention of its cluster."
            if automated
            else "It cannot be copied encrypted: restore it with a KMS key, and delete it."
        )
    return row


def _backups(described: dict, account: Account, listing: Listing) -> dict:
    identifier = described.get("DBInstanceIdentifier", "")
    row = _row("automated backups", identifier, described.get("DBInstanceAutomatedBackupsArn") or described.get("DBInstanceArn", ""), described, account)
    instance = listing.by_resource_id.get(described.get("DbiResourceId", ""))
    row["topology"] = tags_of(instance or {}).get(TAG_NAME) or identifier
    if row["encryption"] == NOT_ENCRYPTED:
        row["advice"] = (
            "They go with their instance, or with their retention." if instance else "Their instance is gone; they go with their retention."
        )
    return row


def _copy_words(command: str, kind: str, identifier: str, region: str) -> str:
    encrypted = f"{identifier}-encrypted".replace("rds:", "")
    return (
        f"aws rds {command} --region {region} --source-{kind}-identifier {shlex.quote(identifier)} "
        f"--target-{kind}-identifier {shlex.quote(encrypted)} --kms-key-id KEY --copy-tags, then delete the plain one."
    )
