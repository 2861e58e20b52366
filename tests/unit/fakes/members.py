# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What RDS makes of parameters, and what it refuses: written from its documentation, not from the collection's rules.

A wrong rule of the collection shows here as a refusal in the middle of a run, or as a difference at its end.
"""

from __future__ import annotations

import re

from fakes.shapes import KEY

STORAGE = ("AllocatedStorage", "StorageType", "Iops", "StorageThroughput")
DOMAIN = {
    "Domain": "Domain",
    "DomainIAMRoleName": "IAMRoleName",
    "DomainFqdn": "FQDN",
    "DomainOu": "OU",
    "DomainAuthSecretArn": "AuthSecretArn",
    "DomainDnsIps": "DnsIps",
}
# Parameters whose value is the member's.
PLAIN = {
    "DBInstanceClass": "DBInstanceClass",
    "MultiAZ": "MultiAZ",
    "AvailabilityZone": "AvailabilityZone",
    "BackupRetentionPeriod": "BackupRetentionPeriod",
    "PreferredBackupWindow": "PreferredBackupWindow",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "AutoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "PubliclyAccessible": "PubliclyAccessible",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "MonitoringInterval": "MonitoringInterval",
    "MonitoringRoleArn": "MonitoringRoleArn",
    "DeletionProtection": "DeletionProtection",
    "NetworkType": "NetworkType",
    "LicenseModel": "LicenseModel",
    "EngineLifecycleSupport": "EngineLifecycleSupport",
    "EngineVersion": "EngineVersion",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "PerformanceInsightsKMSKeyId": "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
    "DatabaseInsightsMode": "DatabaseInsightsMode",
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
    "EnableCustomerOwnedIp": "CustomerOwnedIpEnabled",
    "BackupTarget": "BackupTarget",
    "ReplicaMode": "ReplicaMode",
    "DedicatedLogVolume": "DedicatedLogVolume",
    "ProcessorFeatures": "ProcessorFeatures",
}


class Refused(Exception):
    """RDS refuses the parameters."""

    def __init__(self, message: str, code: str = "InvalidParameterCombination"):
        super().__init__(message)
        self.code = code


def refuse_if(condition, message: str, code: str = "InvalidParameterCombination") -> None:
    if condition:
        raise Refused(message, code)


def is_sqlserver(engine: str) -> bool:
    return engine.startswith("sqlserver")


def is_oracle(engine: str) -> bool:
    return engine.startswith("oracle")


def has_iam(engine: str) -> bool:
    return engine in ("mysql", "mariadb", "postgres")


def has_extended_support(engine: str) -> bool:
    return engine in ("mysql", "postgres")


def major(described: dict) -> str:
    """The major version as the names of default groups have it."""
    engine, parts = described["Engine"], described["EngineVersion"].split(".")
    if engine == "postgres" or is_oracle(engine):
        return parts[0]
    return ".".join(parts[:2])


def default_groups(described: dict) -> dict:
    """Parameter and option group of an instance for which none was asked."""
    engine, number = described["Engine"], major(described)
    family = f"{engine}{number}" if has_iam(engine) else f"{engine}-{number}"
    return {
        "DBParameterGroups": [{"DBParameterGroupName": f"default.{family}", "ParameterApplyStatus": "in-sync"}],
        "OptionGroupMemberships": [{"OptionGroupName": f"default:{engine}-{number.replace('.', '-')}", "Status": "in-sync"}],
    }


def gp3_threshold(engine: str) -> int:
    return 0 if is_sqlserver(engine) else 200 if is_oracle(engine) else 400


def stored(engine: str, kind: str, size: int, iops=None, throughput=None) -> dict:
    """The members of a volume (RDS User Guide: DB instance storage).

    :param iops: the parameter as given, or None; so is ``throughput``.
    """
    large = size >= gp3_threshold(engine)
    limits = {"gp2": (20, 65536), "gp3": (20, 65536), "standard": (5, 3072), "io1": (100, 65536), "io2": (100, 65536)}
    low, high = (20, 16384) if is_sqlserver(engine) else limits[kind]
    refuse_if(not low <= size <= high, f"Invalid storage size for engine name {engine} and storage type {kind}: {size}")
    if kind == "gp3":
        words = f"You can't specify IOPS or storage throughput for engine {engine} and a storage size less than {gp3_threshold(engine)}."
        refuse_if((iops or throughput) and not large, words)
        base = (3000, 125) if is_sqlserver(engine) or not large else (12000, 500)
        iops, throughput = iops or base[0], throughput or base[1]
        refuse_if(iops < base[0] or iops > 64000 or throughput < base[1] or throughput / iops > 0.25, f"Invalid iops {iops} or throughput {throughput}")
        return {"StorageType": kind, "AllocatedStorage": size, "Iops": iops, "StorageThroughput": throughput}
    refuse_if(throughput, f"You can't specify storage throughput for storage type {kind}.")
    if kind in ("io1", "io2"):
        refuse_if(not iops, "You must specify both the storage size and iops")
        refuse_if(iops < 1000 or not 0.5 <= iops / size <= 50, f"Invalid iops {iops} for {size} GiB")
        return {"StorageType": kind, "AllocatedStorage": size, "Iops": iops, "StorageThroughput": 0}
    refuse_if(iops, f"You can't specify iops for storage type {kind}.")
    return {"StorageType": kind, "AllocatedStorage": size, "StorageThroughput": 0}


def new_storage(origin: dict, parameters: dict) -> dict:
    """The volume of a restored instance or a new replica."""
    engine = origin["Engine"]
    given = {name: parameters[name] for name in STORAGE if name in parameters}
    if is_sqlserver(engine):
        refuse_if(given, f"{sorted(given)} can't be specified for SQL Server")
        return {name: origin[name] for name in STORAGE if name in origin}
    size = given.get("AllocatedStorage", origin["AllocatedStorage"])
    refuse_if(size < origin["AllocatedStorage"], f"Invalid storage size for engine name {engine}: {size}")
    kind = given.get("StorageType") or ("io1" if given.get("Iops") else "gp3")
    return stored(engine, kind, size, given.get("Iops"), given.get("StorageThroughput"))


def changed_storage(described: dict, parameters: dict) -> dict:
    """The members of the volume that a modification changes."""
    given = {name: parameters[name] for name in STORAGE if name in parameters and parameters[name] != described.get(name)}
    piops = described["StorageType"] in ("io1", "io2")
    if not given:
        return {}
    engine, now = described["Engine"], described["AllocatedStorage"]
    size, kind = given.get("AllocatedStorage", now), given.get("StorageType", described["StorageType"])
    refuse_if(size < now or now < size and size * 10 < now * 11, f"Invalid storage size for engine name {engine} and storage type {kind}: {size}")
    both = "AllocatedStorage" in parameters and "Iops" in parameters
    refuse_if(piops and kind in ("io1", "io2") and not both, "You must specify both the storage size and iops")
    refuse_if(described.get("optimized"), "You can't currently modify the storage of this DB instance because the previous storage change is "
              "being optimized.")
    same = kind == described["StorageType"]
    large_gp3 = kind == "gp3" and size >= gp3_threshold(engine)
    kept = {name: described.get(name) for name in ("Iops", "StorageThroughput")} if same and (piops or large_gp3) else {}
    iops, throughput = (parameters.get(name, kept.get(name)) for name in ("Iops", "StorageThroughput"))
    return {**stored(engine, kind, size, iops, throughput or None), "optimized": True}


def monitoring(described: dict, parameters: dict) -> None:
    interval = parameters.get("MonitoringInterval", described.get("MonitoringInterval") or 0)
    role = parameters.get("MonitoringRoleArn")
    refuse_if(interval and not (role or described.get("MonitoringRoleArn")), "A MonitoringRoleARN value is required")
    refuse_if(role and not interval, "You must specify a MonitoringInterval value other than 0 when you specify a MonitoringRoleARN value.")


def insights(described: dict, parameters: dict, born: bool) -> dict:
    """The members of Performance Insights and Database Insights that parameters change."""
    on, key, days = (parameters.get(name) for name in ("EnablePerformanceInsights", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod"))
    refuse_if((key or days) and not on, "To set a Performance Insights parameter, EnablePerformanceInsights must be true in the same request.")
    refuse_if(days and days not in (7, 731) and (days % 31 or days > 713), f"Invalid Performance Insights retention period: {days}")
    mode = parameters.get("DatabaseInsightsMode")
    refuse_if(born and mode, "DatabaseInsightsMode isn't supported at the creation of a replica")
    advanced = mode == "advanced" and described.get("DatabaseInsightsMode") != "advanced"
    refuse_if(advanced and not (on and (days or 0) >= 465), "Advanced mode needs Performance Insights with at least 465 days in the same request.")
    held = described.get("PerformanceInsightsKMSKeyId")
    refuse_if(key and held and key != held, "You cannot change your Performance Insights KMS key.")
    if not on:
        return {}
    return {
        "PerformanceInsightsKMSKeyId": key or held or KEY.replace("5f3c", "default"),
        "PerformanceInsightsRetentionPeriod": days or described.get("PerformanceInsightsRetentionPeriod") or 7,
    }


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows(described: dict) -> None:
    """Backups and maintenance must not overlap."""
    backup, maintenance = described.get("PreferredBackupWindow"), described.get("PreferredMaintenanceWindow")
    if not backup or not maintenance:
        return
    minutes = [int(hour) * 60 + int(minute) for hour, minute in re.findall(r"(\d\d):(\d\d)", backup)]
    length = (minutes[1] - minutes[0]) % 1440
    ends = [_DAYS.index(day) * 1440 + int(hour) * 60 + int(minute) for day, hour, minute in re.findall(r"(\w{3}):(\d\d):(\d\d)", maintenance)]
    duration = (ends[1] - ends[0]) % 10080
    for day in range(7):
        begin = day * 1440 + minutes[0]
        overlap = (ends[0] - begin) % 10080 < length or (begin - ends[0]) % 10080 < duration
        refuse_if(overlap, "The backup window and maintenance window must not overlap.", "InvalidParameterValue")


def choose_maintenance(described: dict) -> None:
    """RDS chooses a maintenance window beside the backup window that was asked for."""
    for hour in (1, 4, 7, 10, 13, 16, 19, 22):
        try:
            return windows(described)
        except Refused:
            described["PreferredMaintenanceWindow"] = f"tue:{hour:02}:11-tue:{hour:02}:41"


def _common(described: dict, parameters: dict, born: bool) -> None:
    engine = described["Engine"]
    refuse_if(parameters.get("MultiAZ") and parameters.get("AvailabilityZone"), "AvailabilityZone can't be given together with MultiAZ.")
    refuse_if("EnableIAMDatabaseAuthentication" in parameters and not has_iam(engine), f"IAM authentication is not for {engine}")
    refuse_if("EngineLifecycleSupport" in parameters and not has_extended_support(engine), f"EngineLifecycleSupport is not for {engine}")
    refuse_if("ReplicaMode" in parameters and not (is_oracle(engine) or engine.startswith("db2")), f"ReplicaMode is not for {engine}")
    refuse_if("ProcessorFeatures" in parameters and not (is_oracle(engine) or is_sqlserver(engine)), f"ProcessorFeatures are not for {engine}")
    refuse_if("MasterUserSecretKmsKeyId" in parameters and not parameters.get("ManageMasterUserPassword"), "a key without a managed password",
              "InvalidParameterValue")
    refuse_if("AdditionalStorageVolumes" in parameters and not (is_oracle(engine) or is_sqlserver(engine)), f"no further volumes for {engine}")
    if any(name in parameters for name in DOMAIN):
        refuse_if("Domain" in parameters and "DomainIAMRoleName" not in parameters, "DomainIAMRoleName must be given together with Domain.")
        own = ("DomainFqdn", "DomainOu", "DomainAuthSecretArn", "DomainDnsIps")
        refuse_if("Domain" not in parameters and not all(name in parameters for name in own), "A self-managed domain needs all its parameters.")
    monitoring({} if born else described, parameters)


def _volume(described: dict) -> None:
    provisioned = described["StorageType"] in ("io1", "io2")
    refuse_if(described.get("DedicatedLogVolume") and not provisioned, "A dedicated log volume needs Provisioned IOPS storage.")
    limit = described.get("MaxAllocatedStorage")
    if limit is not None:
        refuse_if(limit < described["AllocatedStorage"], f"Invalid max storage size: {limit}")
        if limit == described["AllocatedStorage"]:
            described.pop("MaxAllocatedStorage")
        else:
            refuse_if(described["StorageType"] == "standard", "no autoscaling of magnetic storage")


def restored(described: dict, origin: dict, parameters: dict) -> None:
    """Make ``described``, which has RDS's defaults, what RestoreDBInstanceFromDBSnapshot makes of parameters."""
    engine = origin["Engine"]
    _common(described, parameters, born=True)
    refuse_if(parameters.get("DBName") and not (is_oracle(engine) or is_sqlserver(engine)), "DBName must be null", "InvalidParameterValue")
    refuse_if(is_sqlserver(engine) and parameters.get("MultiAZ"), "Mirroring is set by a modification")
    described.pop("Iops", None)
    described.update(new_storage(origin, parameters))
    apply(described, parameters, born=True)
    _volume(described)
    choose_maintenance(described)


def replicated(described: dict, parent: dict, parameters: dict, by_arn: bool) -> None:
    """Make ``described``, which has the defaults of a new replica, what CreateDBInstanceReadReplica makes of parameters."""
    engine = parent["Engine"]
    _common(described, parameters, born=True)
    groups = parameters.get("DBParameterGroupName")
    words = f"A parameter group can't be specified during Read Replica creation for the following DB engine: {engine}"
    refuse_if(groups and not (is_oracle(engine) or engine.startswith("db2")), words)
    refuse_if(parameters.get("DBSubnetGroupName") and not by_arn, "DbSubnetGroupName should not be specified for read replicas that are created in "
              "the same region as the master.", "DBSubnetGroupNotAllowedFault")
    options = parameters.get("OptionGroupName")
    other = options and options != parent["OptionGroupMemberships"][0]["OptionGroupName"]
    refuse_if(is_sqlserver(engine) and other, "A replica of a SQL Server DB instance has the option group of its source.")
    described.pop("Iops", None)
    described.update(new_storage(parent, parameters))
    described.update(insights({}, parameters, born=True))
    # The parameter is accepted and ignored (terraform-provider-aws pull request 20926).
    apply(described, {name: value for name, value in parameters.items() if name != "DeletionProtection"}, born=True)
    _volume(described)


def modified(described: dict, parameters: dict, is_replica: bool) -> None:
    """Make ``described`` what ModifyDBInstance makes of parameters."""
    engine, restarts = described["Engine"], _switches_backups(described, parameters)
    refuse_if(is_replica and parameters.get("ManageMasterUserPassword") and not is_sqlserver(engine), "A read replica has no secret of its own")
    _common(described, parameters, born=False)
    more = insights(described, parameters, born=False)
    mirrored = parameters.get("MultiAZ") and is_sqlserver(engine) and not described["MultiAZ"]
    refuse_if(mirrored and not described["BackupRetentionPeriod"], "Mirroring cannot be applied to instances with backup retention set to zero")
    old_postgres = engine == "postgres" and is_replica and tuple(int(part) for part in described["EngineVersion"].split(".")[:2]) < (14, 1)
    refuse_if(old_postgres and parameters.get("BackupRetentionPeriod"), "DB Backups not supported on a read replica for engine postgres",
              "InvalidDBInstanceState")
    none_left = parameters.get("BackupRetentionPeriod") == 0 and described.get("ReadReplicaDBInstanceIdentifiers")
    refuse_if(none_left, "Automated backups can't be disabled while the DB instance is the source of read replicas.", "InvalidDBInstanceState")
    described.update(more, **changed_storage(described, parameters))
    apply(described, parameters, born=False, restarts=restarts)
    _volume(described)
    windows(described)


def _switches_backups(described: dict, parameters: dict) -> bool:
    # To switch backups on or off takes a restart.
    days = bool(described.get("BackupRetentionPeriod"))
    return bool(parameters.get("BackupRetentionPeriod", days)) != days


def apply(described: dict, parameters: dict, *, born: bool, restarts: bool = False) -> None:
    """What RDS makes of parameters; one that is not known here is a fault of the test or of the collection."""
    if any(name in parameters for name in DOMAIN):
        member = {DOMAIN[name]: value for name, value in parameters.items() if name in DOMAIN}
        described["DomainMemberships"] = [{**member, "Status": "joined"}]
    if parameters.get("MultiAZ"):
        described["SecondaryAvailabilityZone"] = "eu-central-1b"
    for name, value in parameters.items():
        if name == "DedicatedLogVolume" and not born:
            if bool(value) != bool(described.get(name)):
                described["PendingModifiedValues"] = {**described["PendingModifiedValues"], name: value}
        elif name in PLAIN:
            described[PLAIN[name]] = value
        elif name == "VpcSecurityGroupIds":
            described["VpcSecurityGroups"] = [{"VpcSecurityGroupId": each, "Status": "active"} for each in value]
        elif name == "DBParameterGroupName":
            state = "in-sync" if born or restarts else "pending-reboot"
            described["DBParameterGroups"] = [{"DBParameterGroupName": value, "ParameterApplyStatus": state}]
        elif name == "OptionGroupName":
            described["OptionGroupMemberships"] = [{"OptionGroupName": value, "Status": "in-sync"}]
        elif name == "DBSubnetGroupName":
            described["DBSubnetGroup"] = {"DBSubnetGroupName": value, "VpcId": "vpc-1"}
        elif name in ("Port", "DBPortNumber"):
            refuse_if(not 1150 <= value <= 65535, f"Invalid database port: {value}", "InvalidParameterValue")
            described["Endpoint"] = {**described["Endpoint"], "Port": value}
        elif name == "CACertificateIdentifier":
            described.update(CACertificateIdentifier=value, CertificateDetails={"CAIdentifier": value})
        elif name == "CloudwatchLogsExportConfiguration":
            logs = set(described.get("EnabledCloudwatchLogsExports") or ()) | set(value.get("EnableLogTypes") or ())
            described["EnabledCloudwatchLogsExports"] = sorted(logs - set(value.get("DisableLogTypes") or ()))
        elif name == "ManageMasterUserPassword":
            key = parameters.get("MasterUserSecretKmsKeyId", "arn:default")
            described["MasterUserSecret"] = {"SecretArn": "arn:secret:new", "SecretStatus": "active", "KmsKeyId": key}
        elif name == "AdditionalStorageVolumes":
            refuse_if(any("StorageVolumeStatus" in volume for volume in value), "a status is nothing to ask for")
            described[name] = [{**volume, "StorageVolumeStatus": "available"} for volume in value]
        elif name == "MaxAllocatedStorage":
            described[name] = value
        elif name == "UseDefaultProcessorFeatures":
            described.pop("ProcessorFeatures", None)
        elif name == "DisableDomain":
            described["DomainMemberships"] = []
        elif name not in ("MasterUserSecretKmsKeyId", *STORAGE, *DOMAIN):
            raise AssertionError(f"the double of RDS does not know the parameter {name}")
    if described.get("MonitoringInterval"):
        described["EnhancedMonitoringResourceArn"] = f"arn:logs:{described['DbiResourceId']}"
    else:
        described.pop("MonitoringRoleArn", None)
        described.pop("EnhancedMonitoringResourceArn", None)
