# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CreateDBInstance, for fleets that are made through the API."""

from __future__ import annotations

from . import catalogue, checks, restore, storage, tagging, view
from .aws import new_password
from .errors import RdsError, combination, instance_exists, missing, value
from .registry import operation
from .state import Instance


@operation("CreateDBInstance")
def create(plane, call, request):
    region, engine = call.region, request["Engine"]
    name = checks.identifier(request["DBInstanceIdentifier"])
    known = catalogue.facts(engine)
    if not known.versions:
        raise value(f"Invalid DB engine: {engine}")
    if catalogue.is_aurora(engine) or request.get("DBClusterIdentifier"):
        raise RdsError("NotImplemented", "The lab does not make members of DB clusters.")
    if plane.name_taken(region, name):
        raise instance_exists()
    for parameter in ("MasterUsername", "AllocatedStorage"):
        if parameter not in request:
            raise missing(parameter)
    managed = request.get("ManageMasterUserPassword", False)
    if managed == bool(request.get("MasterUserPassword")):
        raise combination("Either MasterUserPassword or ManageMasterUserPassword must be given.")
    version = _version(engine, request.get("EngineVersion"))
    instance = _build(plane, region, name, engine, version, request)
    checks.instance_quota(plane, region, instance.facts["AllocatedStorage"])
    password = request.get("MasterUserPassword")
    now: dict = {}
    if managed:
        from . import roles

        roles.master_changes(plane, instance, {"ManageMasterUserPassword": True, **{
            member: request[member] for member in ("MasterUserSecretKmsKeyId",) if member in request}}, now)
        password = new_password()
    instance.password = password
    restore.begin(plane, call, instance)

    def run(transition):
        with plane.lock:
            instance.in_force = plane.group_values(instance)
        if instance.supported:
            instance.port = plane.engines.endpoint_port(instance.resource_id, instance.port)
        transition.serve(
            plane.settings.create, instance.supported, "create", instance.resource_id, engine=engine, engine_version=version,
            master_username=instance.facts["MasterUsername"], master_password=password, port=instance.port,
            parameters=plane.server_parameters(instance))
        if now:
            from . import roles

            roles.master_work(plane, transition, instance, now)
        restore.settle(plane, transition, instance)

    plane.spawn(instance, "creating", run)
    return {"DBInstance": view.shown(view.instance_view(plane, instance), plane.clock.now())}


def _version(engine: str, asked: str | None) -> str:
    known = catalogue.facts(engine).versions
    if asked is None:
        return known[-1]
    matching = [version for version in known if version == asked or version.startswith(asked + ".")]
    if not matching:
        raise combination(f"Cannot find version {asked} for {engine}")
    return matching[-1]


def _build(plane, region: str, name: str, engine: str, version: str, request: dict) -> Instance:
    multi_az = request.get("MultiAZ", False)
    subnet_group, security_groups = plane.check_network(
        region, request.get("DBSubnetGroupName"), request.get("VpcSecurityGroupIds"), request.get("NetworkType"),
        request.get("AvailabilityZone"), multi_az)
    encrypted = request.get("StorageEncrypted", False)
    if request.get("KmsKeyId") and not encrypted:
        raise combination("KmsKeyId can only be given together with StorageEncrypted.")
    facts = restore.defaults(plane, region, engine)
    kind = request.get("StorageType") or ("io1" if request.get("Iops") else "gp2")
    facts.update(storage.resolve(engine, kind, request["AllocatedStorage"], request.get("Iops"), request.get("StorageThroughput")))
    facts.update(checks.random_windows(request.get("PreferredBackupWindow"), request.get("PreferredMaintenanceWindow")))
    facts.update(restore.zones(plane, region, subnet_group, request.get("AvailabilityZone"), multi_az))
    facts.update(
        Engine=engine,
        EngineVersion=version,
        DBInstanceClass=checks.instance_class(request["DBInstanceClass"], encrypted),
        MasterUsername=request["MasterUsername"],
        BackupRetentionPeriod=checks.retention(request.get("BackupRetentionPeriod", 1)),
        MultiAZ=multi_az,
        AutoMinorVersionUpgrade=request.get("AutoMinorVersionUpgrade", True),
        LicenseModel=request.get("LicenseModel", catalogue.facts(engine).license),
        PubliclyAccessible=request.get("PubliclyAccessible", checks.public(plane, region, subnet_group)),
        StorageEncrypted=encrypted,
        StorageEncryptionType="sse-kms" if encrypted else "none",
        CopyTagsToSnapshot=request.get("CopyTagsToSnapshot", False),
        IAMDatabaseAuthenticationEnabled=request.get("EnableIAMDatabaseAuthentication", False),
        DeletionProtection=request.get("DeletionProtection", False),
        NetworkType=request.get("NetworkType", "IPV4"),
        BackupTarget=request.get("BackupTarget", "region"),
        CACertificateIdentifier=checks.certificate(request.get("CACertificateIdentifier", catalogue.DEFAULT_CERTIFICATE)),
        DedicatedLogVolume=request.get("DedicatedLogVolume", False),
    )
    if encrypted:
        key = request.get("KmsKeyId")
        facts["KmsKeyId"] = plane.neighbours.check_key(region, key).arn if key else plane.neighbours.service_key(region).arn
    if request.get("DBName"):
        facts["DBName"] = request["DBName"]
    restore.optional(plane, region, engine, version, request, facts)
    interval, role = request.get("MonitoringInterval"), request.get("MonitoringRoleArn")
    if interval is not None or role:
        checks.monitoring(plane, interval, role)
        facts["MonitoringInterval"] = interval or 0
        if interval:
            facts["MonitoringRoleArn"] = role
    facts.update(checks.insights(plane, region, request, facts))
    if "MaxAllocatedStorage" in request:
        limit = checks.max_storage(engine, facts, request["MaxAllocatedStorage"])
        if limit:
            facts["MaxAllocatedStorage"] = limit
    instance = Instance(region, name, facts, tagging.given(request))
    instance.subnet_group, instance.security_groups = subnet_group, security_groups
    instance.parameter_group = checks.parameter_group(
        plane, region, request.get("DBParameterGroupName") or f"default.{catalogue.family(engine, version)}", engine, version)
    instance.option_group = checks.option_group(
        plane, region, request.get("OptionGroupName") or catalogue.default_option_group(engine, version), engine, version)
    instance.port = checks.port(request.get("Port", catalogue.facts(engine).port))
    instance.supported = bool(plane.engines.supports(engine))
    return instance
