# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptions as RDS gives them: plain data for tests of pure functions, and the first state of the in-memory RDS."""

from __future__ import annotations

REGION = "eu-central-1"
KEY = f"arn:aws:kms:{REGION}:111122223333:key/5f3c"
OTHER_KEY = f"arn:aws:kms:{REGION}:111122223333:key/0ther"
MARK = "rds-encryption:"


def arn_of(identifier: str) -> str:
    return f"arn:aws:rds:{REGION}:111122223333:db:{identifier}"


def address_of(identifier: str) -> str:
    return f"{identifier}.c1abcdef.{REGION}.rds.amazonaws.com"


def instance(identifier: str, *, tags: dict | None = None, **changes) -> dict:
    """A MySQL instance as RDS describes it, with changes (None removes a member); ``tags`` is a mapping."""
    described = dict(
        DBInstanceIdentifier=identifier,
        DBInstanceArn=arn_of(identifier),
        DbiResourceId="db-" + identifier.upper(),
        DBInstanceStatus="available",
        DBInstanceClass="db.m6g.large",
        Engine="mysql",
        EngineVersion="8.0.36",
        MasterUsername="admin",
        LicenseModel="general-public-license",
        Endpoint={"Address": address_of(identifier), "Port": 3306, "HostedZoneId": "Z1"},
        AllocatedStorage=100,
        StorageType="gp2",
        StorageEncrypted=False,
        StorageEncryptionType="none",
        MultiAZ=False,
        AvailabilityZone=f"{REGION}a",
        DBSubnetGroup={"DBSubnetGroupName": "sng", "VpcId": "vpc-1"},
        VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-1", "Status": "active"}],
        DBParameterGroups=[{"DBParameterGroupName": "pg-mysql80", "ParameterApplyStatus": "in-sync"}],
        OptionGroupMemberships=[{"OptionGroupName": "default:mysql-8-0", "Status": "in-sync"}],
        BackupRetentionPeriod=7,
        PreferredBackupWindow="02:00-02:30",
        PreferredMaintenanceWindow="sun:04:00-sun:04:30",
        AutoMinorVersionUpgrade=True,
        PubliclyAccessible=False,
        CopyTagsToSnapshot=True,
        CACertificateIdentifier="rds-ca-rsa2048-g1",
        CertificateDetails={"CAIdentifier": "rds-ca-rsa2048-g1"},
        IAMDatabaseAuthenticationEnabled=False,
        PerformanceInsightsEnabled=False,
        MonitoringInterval=0,
        DeletionProtection=True,
        NetworkType="IPV4",
        BackupTarget="region",
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
        ReadReplicaDBInstanceIdentifiers=[],
        PendingModifiedValues={},
        AssociatedRoles=[],
        TagList=[{"Key": key, "Value": value} for key, value in sorted((tags or {}).items())],
    )
    described.update(changes)
    return {key: value for key, value in described.items() if value is not None}


def replica(identifier: str, of: str, **changes) -> dict:
    """A read replica as RDS describes it."""
    infos = [{"StatusType": "read replication", "Status": "replicating", "Normal": True}]
    return instance(identifier, **{"ReadReplicaSourceDBInstanceIdentifier": of, "StatusInfos": infos, "DeletionProtection": False, **changes})


def encrypted(identifier: str, **changes) -> dict:
    """An instance that a KMS key encrypts."""
    return instance(identifier, **{"StorageEncrypted": True, "StorageEncryptionType": "sse-kms", "KmsKeyId": KEY, **changes})


def encrypted_replica(identifier: str, of: str, **changes) -> dict:
    return replica(identifier, of, **{"StorageEncrypted": True, "StorageEncryptionType": "sse-kms", "KmsKeyId": KEY, **changes})


def marks(name: str, role: str, source_resource_id: str, fence_id: str = "f1", **more) -> dict[str, str]:
    """The tags of a run; ``more`` by their short names with underscores (``cut_over_at``)."""
    tags = {"name": name, "role": role, "source-resource-id": source_resource_id, "fence-id": fence_id}
    tags |= {key.replace("_", "-"): value for key, value in more.items()}
    return {MARK + key: value for key, value in tags.items()}
