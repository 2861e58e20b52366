# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CreateDBInstanceReadReplica."""

from __future__ import annotations

import copy

from . import catalogue, checks, restore, storage, tagging, view
from .errors import RdsError, combination, instance_exists, instance_not_found, instance_state
from .registry import operation
from .state import Instance

_FROM_SOURCE = (
    "Engine", "EngineVersion", "MasterUsername", "DBName", "CharacterSetName", "NcharCharacterSetName", "Timezone", "DBSystemId",
    "LicenseModel", "EngineLifecycleSupport", "MultiTenant", "AdditionalStorageVolumes",
)


@operation("CreateDBInstanceReadReplica")
def create(plane, call, request):
    region = call.region
    name = checks.identifier(request["DBInstanceIdentifier"])
    if request.get("SourceDBClusterIdentifier"):
        raise RdsError("NotImplemented", "The lab does not implement replicas of DB clusters.")
    source, by_arn = _source(plane, region, request)
    if plane.name_taken(region, name):
        raise instance_exists()
    _check_source(plane, source)
    key = _encryption(plane, region, source, request.get("KmsKeyId"))
    instance = _build(plane, region, name, source, by_arn, request, key)
    checks.instance_quota(plane, region, instance.facts["AllocatedStorage"])
    restore.begin(plane, call, instance)
    plane.spawn(instance, "creating", _script(plane, source, instance, call.outcome))
    return {"DBInstance": view.shown(view.instance_view(plane, instance), plane.clock.now())}


def _source(plane, region: str, request: dict) -> tuple:
    """The source, and whether it was named by ARN."""
    named = request.get("SourceDBInstanceIdentifier")
    if not named:
        raise RdsError("MissingParameter", "The request must contain the parameter SourceDBInstanceIdentifier.")
    if not named.lower().startswith("arn:"):
        return plane.instance(region, named), False
    parts = named.lower().split(":")
    if len(parts) != 7 or parts[4] != plane.settings.account:
        raise instance_not_found(named)
    return plane.instance(parts[3], parts[6]), True


def levels_above(plane, instance) -> int:
    """How many sources stand above an instance."""
    count = 0
    while instance is not None and instance.source_id:
        instance, count = plane.store.instance(instance.source_id), count + 1
    return count


def _check_source(plane, source) -> None:
    engine, facts = source.engine, source.facts
    known = catalogue.facts(engine)
    if facts.get("DBClusterIdentifier") or not known.replicas:
        raise combination(f"Read replicas are not supported for engine {engine}.")
    checks.ready(source, "DB instance is not in the available state.")
    if not facts["BackupRetentionPeriod"]:
        raise instance_state("Automated backups are not enabled for this database instance. To enable automated backups, use "
                             "ModifyDBInstance to set the backup retention period to a non-zero value.")
    if source.first_backup is None:
        raise instance_state("Automated backups are not enabled for this database instance: its first backup has not finished.")
    if source.secret is not None and not catalogue.is_sqlserver(engine):
        raise combination("Creating a read replica of a DB instance whose master password is managed in AWS Secrets Manager "
                          "isn't supported.")
    level = levels_above(plane, source)
    chained = engine != "postgres" or catalogue.version_key(facts["EngineVersion"]) >= (14, 1)
    if level and (level >= known.levels or not chained):
        raise instance_state(f"A read replica of this DB instance can't be created: chains of engine {engine} have at most "
                             f"{known.levels if chained else 1} levels.")
    limit = min(known.replicas, plane.settings.replicas_per_source)
    if engine == "postgres" and level:
        limit = min(limit, 5)
    if len(plane.store.replicas(source)) + len(source.foreign_replicas) >= limit:
        raise RdsError("InstanceQuotaExceeded", f"A DB instance can't have more than {limit} read replicas.")


def _encryption(plane, region: str, source, asked: str | None) -> str | None:
    """The ARN of the replica's key; None for an unencrypted one."""
    encrypted = source.facts["StorageEncrypted"]
    if asked and not encrypted:
        raise combination("You cannot create an encrypted Read Replica from an unencrypted DB instance.")
    if not encrypted:
        return None
    if asked:
        return plane.neighbours.check_key(region, asked).arn
    if source.region != region:
        raise combination("A KMS key of the destination region must be given for a replica of an encrypted DB instance in another region.")
    return plane.neighbours.check_key(region, source.facts["KmsKeyId"]).arn


def _parameter_group(plane, region: str, source, request: dict) -> str:
    engine, version, abroad = source.engine, source.facts["EngineVersion"], source.region != region
    asked = request.get("DBParameterGroupName")
    if asked:
        allowed = catalogue.is_oracle(engine) or engine.startswith("db2") or engine == "mysql" and abroad
        if not allowed:
            raise combination(f"A parameter group can't be specified during Read Replica creation for the following DB engine: {engine}")
        return checks.parameter_group(plane, region, asked, engine, version)
    return f"default.{catalogue.family(engine, version)}" if abroad else source.parameter_group


def _build(plane, region: str, name: str, source, by_arn: bool, request: dict, key: str | None) -> Instance:
    engine, model = source.engine, source.facts
    version, abroad = model["EngineVersion"], source.region != region
    if request.get("DBSubnetGroupName") and not by_arn:
        raise RdsError("DBSubnetGroupNotAllowedFault",
                       "DbSubnetGroupName should not be specified for read replicas that are created in the same region as the master.")
    if request.get("DatabaseInsightsMode") == "advanced":
        raise combination("DatabaseInsightsMode isn't supported when a read replica is created.")
    multi_az = request.get("MultiAZ", False)
    group_asked = request.get("DBSubnetGroupName") or (None if abroad else source.subnet_group)
    subnet_group, security_groups = plane.check_network(
        region, group_asked, request.get("VpcSecurityGroupIds"), request.get("NetworkType"), request.get("AvailabilityZone"), multi_az)
    _one_vpc(plane, region, source, subnet_group)
    facts = restore.defaults(plane, region, engine)
    facts.update({member: copy.deepcopy(model[member]) for member in _FROM_SOURCE if member in model})
    facts.update(_storage(plane, engine, model, request))
    facts.update(checks.random_windows())
    facts.update(restore.zones(plane, region, subnet_group, request.get("AvailabilityZone"), multi_az))
    facts.update(
        DBInstanceClass=checks.instance_class(request.get("DBInstanceClass", model["DBInstanceClass"]), bool(key)),
        BackupRetentionPeriod=0,
        MultiAZ=multi_az,
        AutoMinorVersionUpgrade=request.get("AutoMinorVersionUpgrade", model["AutoMinorVersionUpgrade"]),
        PubliclyAccessible=request.get("PubliclyAccessible", checks.public(plane, region, subnet_group)),
        StorageEncrypted=bool(key),
        StorageEncryptionType="sse-kms" if key else "none",
        CopyTagsToSnapshot=request.get("CopyTagsToSnapshot", False),
        IAMDatabaseAuthenticationEnabled=request.get("EnableIAMDatabaseAuthentication", False),
        DeletionProtection=False,       # the parameter is accepted and ignored, as AWS was seen to do
        NetworkType=request.get("NetworkType", "IPV4"),
        BackupTarget=request.get("BackupTarget", "region"),
        CACertificateIdentifier=checks.certificate(request.get("CACertificateIdentifier", catalogue.DEFAULT_CERTIFICATE)),
        DedicatedLogVolume=request.get("DedicatedLogVolume", False),
    )
    if key:
        facts["KmsKeyId"] = key
    if catalogue.is_oracle(engine) or engine.startswith("db2"):
        facts["ReplicaMode"] = request.get("ReplicaMode", "open-read-only")
    elif request.get("ReplicaMode"):
        raise combination("ReplicaMode is only supported for Oracle and Db2.")
    restore.optional(plane, region, engine, version, request, facts)
    interval, role = request.get("MonitoringInterval"), request.get("MonitoringRoleArn")
    if interval is not None or role:
        checks.monitoring(plane, interval, role)
        facts["MonitoringInterval"] = interval or 0
        if interval:
            facts["MonitoringRoleArn"] = role
    facts.update(checks.insights(plane, region, {**request, "DatabaseInsightsMode": None}, facts))
    if "MaxAllocatedStorage" in request:
        limit = checks.max_storage(engine, facts, request["MaxAllocatedStorage"])
        if limit:
            facts["MaxAllocatedStorage"] = limit
    instance = Instance(region, name, facts, tagging.given(request))
    instance.subnet_group, instance.security_groups = subnet_group, security_groups
    instance.parameter_group = _parameter_group(plane, region, source, request)
    instance.option_group = _option_group(plane, region, source, request.get("OptionGroupName"))
    instance.port = checks.port(request.get("Port", source.port))
    instance.password, instance.supported, instance.source_id = source.password, source.supported, source.resource_id
    return instance


def _one_vpc(plane, region: str, source, subnet_group: str) -> None:
    """All replicas of one source in a region share a VPC."""
    groups = plane.store.region(region).subnet_groups
    for other in plane.store.replicas(source):
        if other.region == region and groups[other.subnet_group]["VpcId"] != groups[subnet_group]["VpcId"]:
            raise RdsError("InvalidVPCNetworkStateFault", "All read replicas of a DB instance in one region must be in the same VPC.")


def _storage(plane, engine: str, model: dict, request: dict) -> dict:
    if catalogue.is_sqlserver(engine):
        return storage.from_snapshot(engine, model, request)
    size = request.get("AllocatedStorage", model["AllocatedStorage"])
    asked = request.get("StorageType")
    if size < model["AllocatedStorage"]:
        raise combination(f"Invalid storage size for engine name {engine} and storage type {asked or 'gp3'}: {size}")
    iops, throughput = request.get("Iops"), request.get("StorageThroughput")
    kind = asked or ("io1" if iops else "gp3")
    if not asked and not iops and plane.settings.replica_storage_type_inherited:
        kind = model["StorageType"]
        iops = model.get("Iops") if kind in ("io1", "io2") else None
    return storage.resolve(engine, kind, size, iops, throughput)


def _option_group(plane, region: str, source, asked: str | None) -> str:
    engine, version = source.engine, source.facts["EngineVersion"]
    if asked and catalogue.is_sqlserver(engine) and asked.lower() != source.option_group:
        raise combination("A replica of a SQL Server DB instance has the option group of its source.")
    if asked:
        return checks.option_group(plane, region, asked, engine, version)
    if source.region == region:
        return source.option_group
    name = catalogue.default_option_group(engine, version)
    plane.find_option_group(region, name)
    return name


def _script(plane, source, instance, outcome):
    def run(transition):
        with plane.lock:
            instance.in_force = plane.group_values(instance)
        ending = outcome["status"] if outcome and outcome["kind"] == "terminal_status" else ""
        if ending:
            transition.work(plane.settings.replica)
            restore.end_badly(plane, instance, ending)
            return
        if instance.supported:
            instance.port = plane.engines.endpoint_port(instance.resource_id, instance.port)
        transition.serve(plane.settings.replica, instance.supported, "create_replica", source.resource_id, instance.resource_id,
                         port=instance.port, parameters=plane.server_parameters(instance))
        if instance.source_id and source.gone:
            raise RuntimeError("the source was deleted while the replica was made")
        restore.settle(plane, transition, instance)

    return run
