# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet in which every attribute that can be carried has a value that RDS would not give by itself, for every engine.

``tests/unit/plugins/module_utils/test_torture.py`` sees that it stays complete; the same fleet goes through the in-memory RDS and, with real
playbooks, through the lab.
"""

from __future__ import annotations

from fakes.shapes import REGION, instance, replica

FAR = "eu-west-1"
ROLE = "arn:aws:iam::111122223333:role/"
OWN_KEY = f"arn:aws:kms:{REGION}:111122223333:key/11111111-2222-3333-4444-555555555555"
TAGS = {"team": "dbre", "cost centre": "47 / 11", "Größe": "ä=ö @ü/ß +1", "empty": "", "aws:cloudformation:stack-name": "prod"}
COMMON = dict(
    DBInstanceClass="db.r6g.2xlarge",
    AutoMinorVersionUpgrade=False,
    PubliclyAccessible=True,
    BackupRetentionPeriod=31,
    PreferredBackupWindow="05:15-05:45",
    PreferredMaintenanceWindow="wed:22:10-wed:22:50",
    CACertificateIdentifier="rds-ca-ecc384-g1",
    CertificateDetails={"CAIdentifier": "rds-ca-ecc384-g1"},
    VpcSecurityGroups=[{"VpcSecurityGroupId": group, "Status": "active"} for group in ("sg-0aaaaaaaaaaaaaaa1", "sg-0aaaaaaaaaaaaaaa2")],
    DBSubnetGroup={"DBSubnetGroupName": "torture", "VpcId": "vpc-1"},
)
READY = {"StorageVolumeStatus": "available"}
MONITORED = dict(MonitoringInterval=15, MonitoringRoleArn=ROLE + "torture-monitoring", EnhancedMonitoringResourceArn="arn:logs:stream")
INSIGHTS = dict(PerformanceInsightsEnabled=True, PerformanceInsightsKMSKeyId=OWN_KEY, PerformanceInsightsRetentionPeriod=93)
ADVANCED = {**INSIGHTS, "PerformanceInsightsRetentionPeriod": 465, "DatabaseInsightsMode": "advanced"}
PROVISIONED = dict(StorageType="io2", Iops=3000, StorageThroughput=0, DedicatedLogVolume=True)
SECRET = {"SecretArn": "arn:aws:secretsmanager:x", "SecretStatus": "active", "KmsKeyId": OWN_KEY}
DIRECTORY = [{"Domain": "d-1234567890", "IAMRoleName": "torture-directory", "FQDN": "corp.example.com", "Status": "joined"}]
OWN_DOMAIN = [
    {"FQDN": "own.example.com", "OU": "OU=db,DC=own", "AuthSecretArn": "arn:aws:secretsmanager:y", "DnsIps": ["10.0.0.2", "10.0.0.1"], "Status": "joined"}
]


def stream(resource_id: str, **more) -> dict:
    return dict(
        ActivityStreamStatus="started",
        ActivityStreamKmsKeyId=OWN_KEY,
        ActivityStreamMode="async",
        ActivityStreamKinesisStreamName=f"aws-rds-das-{resource_id}",
        ActivityStreamEngineNativeAuditFieldsIncluded=True,
        ActivityStreamPolicyStatus="unlocked",
        **more,
    )


def copied_to(region: str, identifier: str) -> list[dict]:
    return [{"DBInstanceAutomatedBackupsArn": f"arn:aws:rds:{region}:111122223333:auto-backup:ab-{identifier}"}]


def groups(parameters: str, options: str) -> dict:
    return dict(
        DBParameterGroups=[{"DBParameterGroupName": parameters, "ParameterApplyStatus": "in-sync"}],
        OptionGroupMemberships=[{"OptionGroupName": options, "Status": "in-sync"}],
    )


def roles(*features: str) -> list[dict]:
    return [{"RoleArn": f"{ROLE}torture-{feature.lower()}", "FeatureName": feature, "Status": "ACTIVE"} for feature in features]


def port(identifier: str, number: int) -> dict:
    return {"Address": f"{identifier}.c1abcdef.{REGION}.rds.amazonaws.com", "Port": number, "HostedZoneId": "Z1"}


# What the plain MySQL instance of fakes.shapes has and other engines do not.
NOT_MYSQL = dict(EngineLifecycleSupport=None, IAMDatabaseAuthenticationEnabled=None)
POSTGRES = dict(Engine="postgres", EngineVersion="16.8", LicenseModel="postgresql-license")
MARIADB = dict(Engine="mariadb", EngineVersion="10.11.14", EngineLifecycleSupport=None)
ORACLE = dict(
    NOT_MYSQL,
    Engine="oracle-ee",
    EngineVersion="19.0.0.0.ru-2025-01.rur-2025-01.r1",
    LicenseModel="bring-your-own-license",
    DBName="ORCL",
    CharacterSetName="WE8ISO8859P15",
    NcharCharacterSetName="UTF8",
    DBSystemId="TORTURE",
)
SQLSERVER = dict(
    NOT_MYSQL,
    Engine="sqlserver-se",
    EngineVersion="15.00.4430.1.v1",
    LicenseModel="license-included",
    CharacterSetName="Finnish_Swedish_CI_AS",
    Timezone="W. Europe Standard Time",
)
DB2 = dict(NOT_MYSQL, Engine="db2-se", EngineVersion="11.5.9.0.sb00000000.r1", LicenseModel="bring-your-own-license", DBName="TORTURE")


def fleet() -> list[dict]:
    """The instances, sources before their replicas."""
    return [
        instance(
            "t-mysql",
            tags=TAGS,
            **COMMON,
            **MONITORED,
            **ADVANCED,
            **groups("torture-mysql80", "torture-mysql"),
            MultiAZ=True,
            SecondaryAvailabilityZone=f"{REGION}b",
            Endpoint=port("t-mysql", 13306),
            AllocatedStorage=500,
            StorageType="gp3",
            Iops=15000,
            StorageThroughput=700,
            MaxAllocatedStorage=1000,
            IAMDatabaseAuthenticationEnabled=True,
            EnabledCloudwatchLogsExports=["audit", "error", "slowquery"],
            NetworkType="DUAL",
            MasterUserSecret=SECRET,
            DBInstanceAutomatedBackupsReplications=copied_to(FAR, "t-mysql"),
            DBName="shop",
        ),
        replica(
            "t-mysql-r",
            "t-mysql",
            tags={"team": "reports", "only here": "yes"},
            **{
                **COMMON,
                **MONITORED,
                **INSIGHTS,
                **PROVISIONED,
                **groups("torture-mysql80-r", "torture-mysql-r"),
                "DBInstanceClass": "db.r6g.xlarge",
                "AutoMinorVersionUpgrade": True,
                "MonitoringInterval": 60,
                "BackupRetentionPeriod": 3,
                "PreferredBackupWindow": "07:15-07:45",
                "PreferredMaintenanceWindow": "fri:21:10-fri:21:50",
                "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-0aaaaaaaaaaaaaaa3", "Status": "active"}],
                "DBSubnetGroup": {"DBSubnetGroupName": "torture-r", "VpcId": "vpc-1"},
            },
            MultiAZ=True,
            SecondaryAvailabilityZone=f"{REGION}b",
            Endpoint=port("t-mysql-r", 13307),
            AllocatedStorage=600,
            MaxAllocatedStorage=900,
            EngineVersion="8.0.37",
            IAMDatabaseAuthenticationEnabled=True,
            EnabledCloudwatchLogsExports=["general"],
            NetworkType="DUAL",
            DeletionProtection=True,
            DBInstanceAutomatedBackupsReplications=copied_to(FAR, "t-mysql-r"),
            DBName="shop",
        ),
        replica(
            "t-mysql-rr",
            "t-mysql-r",
            **{**groups("torture-mysql80-r", "torture-mysql-r"), "DBSubnetGroup": {"DBSubnetGroupName": "torture-r", "VpcId": "vpc-1"}},
            AllocatedStorage=600,
            AvailabilityZone=f"{REGION}b",
            BackupRetentionPeriod=0,
            EngineVersion="8.0.37",
            CopyTagsToSnapshot=False,
            DatabaseInsightsMode="advanced",
            PerformanceInsightsEnabled=True,
            PerformanceInsightsKMSKeyId=OWN_KEY,
            PerformanceInsightsRetentionPeriod=731,
            DBName="shop",
        ),
        instance(
            "t-maria",
            **{**MARIADB, **PROVISIONED, "StorageType": "io1"},
            **groups("torture-mariadb1011", "torture-mariadb"),
            AvailabilityZone=f"{REGION}b",
            AllocatedStorage=137,
            BackupRetentionPeriod=1,
            CustomerOwnedIpEnabled=True,
            BackupTarget="outposts",
            PerformanceInsightsKMSKeyId=OWN_KEY,
            tags={},
        ),
        replica(
            "t-maria-r",
            "t-maria",
            **MARIADB,
            **groups("torture-mariadb1011", "torture-mariadb"),
            AvailabilityZone=f"{REGION}a",
            AllocatedStorage=137,
            StorageType="gp3",
            Iops=3000,
            StorageThroughput=125,
            BackupRetentionPeriod=0,
            CustomerOwnedIpEnabled=True,
            BackupTarget="outposts",
        ),
        instance(
            "t-postgres",
            **POSTGRES,
            **COMMON,
            **INSIGHTS,
            **groups("torture-postgres16", "default:postgres-16"),
            Endpoint=port("t-postgres", 5433),
            MaxAllocatedStorage=300,
            EnabledCloudwatchLogsExports=["postgresql", "upgrade"],
            AssociatedRoles=roles("s3Import", "Lambda"),
            DomainMemberships=DIRECTORY,
            DeletionProtection=False,
            EngineLifecycleSupport="open-source-rds-extended-support",
        ),
        replica(
            "t-postgres-r",
            "t-postgres",
            **POSTGRES,
            **{**COMMON, "BackupRetentionPeriod": 2},
            **groups("torture-postgres16", "default:postgres-16"),
            Endpoint=port("t-postgres-r", 5434),
            AllocatedStorage=500,
            StorageType="gp3",
            Iops=16000,
            StorageThroughput=900,
            AssociatedRoles=roles("s3Export"),
            DomainMemberships=DIRECTORY,
            EngineLifecycleSupport="open-source-rds-extended-support",
        ),
        instance(
            "t-oracle",
            **ORACLE,
            **{**COMMON, "DBInstanceClass": "db.r5.4xlarge"},
            **MONITORED,
            **stream("db-T-ORACLE"),
            **groups("torture-oracle", "torture-oracle"),
            Endpoint=port("t-oracle", 1599),
            AllocatedStorage=250,
            StorageType="gp3",
            Iops=13000,
            StorageThroughput=600,
            ProcessorFeatures=[{"Name": "coreCount", "Value": "4"}, {"Name": "threadsPerCore", "Value": "1"}],
            AdditionalStorageVolumes=[
                {"VolumeName": "rdsdbdata2", "AllocatedStorage": 300, "IOPS": 12000, "StorageThroughput": 500, "StorageType": "gp3"} | READY
            ],
            AssociatedRoles=roles("S3_INTEGRATION"),
            EnabledCloudwatchLogsExports=["alert", "listener"],
            MasterUserSecret=SECRET,
        ),
        replica(
            "t-oracle-r",
            "t-oracle",
            **ORACLE,
            **{**COMMON, "DBInstanceClass": "db.r5.2xlarge", "BackupRetentionPeriod": 0},
            **groups("torture-oracle-r", "torture-oracle"),
            AllocatedStorage=250,
            StorageType="io1",
            Iops=2000,
            ProcessorFeatures=[{"Name": "coreCount", "Value": "2"}],
            AdditionalStorageVolumes=[
                {"VolumeName": "rdsdbdata2", "AllocatedStorage": 300, "IOPS": 12000, "StorageThroughput": 500, "StorageType": "gp3"} | READY
            ],
            ReplicaMode="mounted",
        ),
        instance(
            "t-cdb",
            **{**ORACLE, "Engine": "oracle-se2-cdb", "LicenseModel": "license-included", "MultiTenant": True},
            **groups("torture-cdb", "torture-cdb"),
            AllocatedStorage=199,
            StorageType="gp3",
            Iops=3000,
            StorageThroughput=125,
        ),
        instance(
            "t-sqlserver",
            **SQLSERVER,
            **{**COMMON, "DBInstanceClass": "db.r5.2xlarge"},
            **stream("db-T-SQLSERVER") | {"ActivityStreamPolicyStatus": "locked", "ActivityStreamEngineNativeAuditFieldsIncluded": False},
            **groups("torture-sqlserver", "torture-sqlserver"),
            MultiAZ=True,
            SecondaryAvailabilityZone=f"{REGION}b",
            Endpoint=port("t-sqlserver", 14330),
            AllocatedStorage=200,
            StorageType="gp3",
            Iops=4000,
            StorageThroughput=250,
            MaxAllocatedStorage=400,
            DomainMemberships=OWN_DOMAIN,
            EnabledCloudwatchLogsExports=["agent", "error"],
            MasterUserSecret=SECRET,
            DBInstanceAutomatedBackupsReplications=copied_to(FAR, "t-sqlserver"),
        ),
        instance(
            "t-db2",
            **DB2,
            **COMMON,
            **groups("torture-db2", "default:db2-se-11-5"),
            Endpoint=port("t-db2", 50055),
            AllocatedStorage=450,
            StorageType="gp3",
            Iops=12000,
            StorageThroughput=500,
            Timezone="Europe/Vienna",
        ),
        replica(
            "t-db2-r",
            "t-db2",
            **DB2,
            **{**COMMON, "BackupRetentionPeriod": 0},
            **groups("torture-db2-r", "default:db2-se-11-5"),
            AllocatedStorage=450,
            StorageType="gp3",
            Iops=12000,
            StorageThroughput=500,
            Timezone="Europe/Vienna",
            ReplicaMode="mounted",
        ),
    ]


PRIMARIES = ("t-mysql", "t-maria", "t-postgres", "t-oracle", "t-cdb", "t-sqlserver", "t-db2")
