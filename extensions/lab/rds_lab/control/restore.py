# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RestoreDBInstanceFromDBSnapshot: RDS's defaults, not the source's values."""

from __future__ import annotations

import copy

from . import catalogue, checks, snapshots, storage, tagging, view
from .errors import combination, instance_exists, missing, snapshot_state, value
from .registry import operation
from .state import Instance

#: What comes with the snapshot and has no parameter.
_INHERITED = (
    "Engine", "MasterUsername", "DBName", "CharacterSetName", "NcharCharacterSetName", "Timezone", "DBSystemId", "MultiTenant",
    "PromotionTier", "AdditionalStorageVolumes",
)
#: Statuses a faulty restore may end in, with the event RDS writes.
_ENDINGS = {
    "incompatible-restore": "The DB instance could not be restored from the snapshot: it is incompatible.",
    "incompatible-parameters": "The DB instance could not start with the parameters of its parameter group.",
    "storage-full": "The DB instance has exhausted its storage.",
    "incompatible-network": "The DB instance is in an incompatible network.",
    "insufficient-capacity": "There is not enough capacity for the DB instance class.",
}


@operation("RestoreDBInstanceFromDBSnapshot")
def restore(plane, call, request):
    region = call.region
    name = checks.identifier(request["DBInstanceIdentifier"])
    if not request.get("DBSnapshotIdentifier"):
        raise missing("DBSnapshotIdentifier")
    snapshot = plane.snapshot(region, request["DBSnapshotIdentifier"])
    if snapshot.region != region:
        raise combination("A snapshot of another region must be copied to this region first.")
    if plane.name_taken(region, name):
        raise instance_exists()
    if snapshot.status != "available":
        raise snapshot_state(f"Cannot restore from the snapshot {snapshot.name} because it is not in the available state.")
    if snapshot.facts["Encrypted"]:
        plane.neighbours.check_key(region, snapshot.facts["KmsKeyId"])
    instance, asked_zone = _build(plane, region, name, snapshot, request)
    checks.instance_quota(plane, region, instance.facts["AllocatedStorage"])
    begin(plane, call, instance, asked_zone)
    plane.spawn(instance, "restoring", _script(plane, instance, snapshot, call.outcome), failure="incompatible-restore")
    return {"DBInstance": view.shown(view.instance_view(plane, instance), plane.clock.now())}


def begin(plane, call, instance, _zone=None) -> None:
    """An instance exists from now on; the caller holds the lock."""
    plane.store.region(instance.region).instances[instance.resource_id] = instance
    instance.dns_name = plane.dns_name(instance.region, instance.name)
    plane.publish_family(instance)
    call.touched.append(instance)


def defaults(plane, region: str, engine: str) -> dict:
    """Members that a new instance has, whatever it is made from."""
    facts = {
        "InstanceCreateTime": plane.clock.time(),
        "DBSecurityGroups": [],
        "UpgradeRolloutOrder": "second",
        "DbInstancePort": 0,
        "DomainMemberships": [],
        "MonitoringInterval": 0,
        "DatabaseInsightsMode": "standard",
        "PerformanceInsightsEnabled": False,
        "CustomerOwnedIpEnabled": False,
        "ActivityStreamStatus": "stopped",
        "IsStorageConfigUpgradeAvailable": False,
    }
    if engine in ("mysql", "postgres"):
        facts["EngineLifecycleSupport"] = "open-source-rds-extended-support"
    return facts


def engine_version(plane, engine: str, version: str, lifecycle: str | None) -> str:
    """The version a restore gives: RDS itself raises a retired one."""
    raised = plane.store.retired.get((engine, version))
    if raised and catalogue.major(engine, raised) != catalogue.major(engine, version) and (
            lifecycle != "open-source-rds-extended-support-disabled" and engine in ("mysql", "postgres")):
        return version      # Extended Support keeps a retired major version
    return raised or version


def _build(plane, region: str, name: str, snapshot, request: dict) -> tuple:
    held = snapshot.held
    engine = held["Engine"]
    if request.get("Engine") not in (None, engine) and (engine, request["Engine"]) != ("mysql", "mariadb"):
        raise combination(f"The engine {request['Engine']} is not compatible with the snapshot's engine {engine}.")
    if request.get("DBName") and not (catalogue.is_oracle(engine) or catalogue.is_sqlserver(engine)):
        raise value("DBName must be null when Restoring for this Engine.")
    if (request.get("ManageMasterUserPassword") or request.get("MasterUserSecretKmsKeyId")) and not catalogue.is_oracle(engine):
        raise combination(f"ManageMasterUserPassword is not supported at restore for engine {engine}.")
    if request.get("Iops") and request.get("StorageType") in ("standard", "gp2"):
        raise combination(f"You can't specify iops for storage type {request['StorageType']}.")
    facts = defaults(plane, region, engine)
    facts.update({member: copy.deepcopy(held[member]) for member in _INHERITED if member in held})
    lifecycle = request.get("EngineLifecycleSupport")
    version = engine_version(plane, engine, held["EngineVersion"], lifecycle)
    multi_az = request.get("MultiAZ", False)
    subnet_group, security_groups = plane.check_network(
        region, request.get("DBSubnetGroupName"), request.get("VpcSecurityGroupIds"), request.get("NetworkType"),
        request.get("AvailabilityZone"), multi_az)
    encrypted = bool(snapshot.facts["Encrypted"])
    facts.update(storage.from_snapshot(engine, held, request))
    facts.update(checks.random_windows(backup=request.get("PreferredBackupWindow")))
    facts.update(zones(plane, region, subnet_group, request.get("AvailabilityZone"), multi_az))
    facts.update(
        EngineVersion=version,
        DBInstanceClass=checks.instance_class(request.get("DBInstanceClass", held["DBInstanceClass"]), encrypted),
        BackupRetentionPeriod=checks.retention(request.get("BackupRetentionPeriod", held["BackupRetentionPeriod"])),
        MultiAZ=multi_az,
        AutoMinorVersionUpgrade=request.get("AutoMinorVersionUpgrade", True),
        LicenseModel=request.get("LicenseModel", held["LicenseModel"]),
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
        facts["KmsKeyId"] = snapshot.facts["KmsKeyId"]
    if request.get("DBName"):
        facts["DBName"] = request["DBName"]
    if lifecycle:
        facts["EngineLifecycleSupport"] = lifecycle_support(engine, lifecycle)
    optional(plane, region, engine, version, request, facts)
    instance = Instance(region, name, facts, tagging.given(request) if "Tags" in request else dict(snapshot.tags))
    instance.subnet_group, instance.security_groups = subnet_group, security_groups
    instance.parameter_group = checks.parameter_group(
        plane, region, request.get("DBParameterGroupName") or f"default.{catalogue.family(engine, version)}", engine, version)
    instance.option_group = _option_group(plane, region, snapshot, request.get("OptionGroupName"), engine, version)
    instance.port = checks.port(request.get("Port", held["Port"]))
    instance.password, instance.supported = snapshot.password, snapshot.supported
    return instance, request.get("AvailabilityZone")


def lifecycle_support(engine: str, text: str) -> str:
    if text not in ("open-source-rds-extended-support", "open-source-rds-extended-support-disabled"):
        raise value(f"Invalid EngineLifecycleSupport: {text}")
    if engine not in ("mysql", "postgres"):
        raise combination(f"EngineLifecycleSupport is not supported for engine {engine}.")
    return text


def optional(plane, region: str, engine: str, version: str, request: dict, facts: dict) -> None:
    """Members that exist only when they are asked for; of a restore, a creation and a replica."""
    exports = request.get("EnableCloudwatchLogsExports")
    if exports:
        facts["EnabledCloudwatchLogsExports"] = checks.log_types(engine, version, exports)
    if request.get("ProcessorFeatures"):
        if request.get("UseDefaultProcessorFeatures"):
            raise combination("ProcessorFeatures can't be given together with UseDefaultProcessorFeatures.")
        facts["ProcessorFeatures"] = request["ProcessorFeatures"]
    membership = checks.domain(plane, request)
    if membership:
        facts["DomainMemberships"] = [membership]
    if facts.get("DedicatedLogVolume") and facts.get("StorageType") not in ("io1", "io2"):
        raise combination("A dedicated log volume needs Provisioned IOPS storage.")
    if request.get("EnableCustomerOwnedIp") is not None:
        facts["CustomerOwnedIpEnabled"] = request["EnableCustomerOwnedIp"]
    volumes = request.get("AdditionalStorageVolumes")
    if volumes:
        if not (catalogue.is_oracle(engine) or catalogue.is_sqlserver(engine)):
            raise combination(f"Additional storage volumes are not supported for engine {engine}.")
        facts["AdditionalStorageVolumes"] = [{**volume, "StorageVolumeStatus": "available"} for volume in volumes]
    if request.get("EnableIAMDatabaseAuthentication") is not None and engine not in ("mysql", "mariadb", "postgres"):
        raise combination(f"IAM database authentication is not supported for engine {engine}.")
    if request.get("ProcessorFeatures") and not (catalogue.is_oracle(engine) or catalogue.is_sqlserver(engine)):
        raise combination(f"Processor features are not supported for engine {engine}.")
    for member in ("TdeCredentialArn", "DBCapacityReservationIdentifier", "CustomIamInstanceProfile"):
        if request.get(member):
            facts[member] = request[member]


def zones(plane, region: str, subnet_group: str, zone: str | None, multi_az: bool) -> dict:
    """The zone, and the standby's, that RDS chooses among the subnet group's."""
    subnets = plane.store.region(region).subnet_groups[subnet_group]["Subnets"]
    covered = sorted({subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnets})
    chosen = zone or plane.random.choice(covered)
    result = {"AvailabilityZone": chosen}
    if multi_az:
        result["SecondaryAvailabilityZone"] = plane.random.choice([other for other in covered if other != chosen])
    return result


def _option_group(plane, region: str, snapshot, asked: str | None, engine: str, version: str) -> str:
    """The option group of a restored instance: the default one, unless the snapshot's has options that must stay."""
    held_name = snapshot.facts["OptionGroupName"]
    held = plane.store.region(region).option_groups.get(held_name, {})
    sticky = [option["OptionName"] for option in held.get("Options", []) if option.get("Persistent") or option.get("Permanent")]
    if asked:
        name = checks.option_group(plane, region, asked, engine, version)
        options = {option["OptionName"] for option in plane.find_option_group(region, name)["Options"]}
        lost = [option for option in sticky if option not in options]
        if lost:
            raise combination(f"The option group {asked} lacks the persistent or permanent option {', '.join(lost)} of the snapshot.")
        return name
    if sticky:
        return held_name
    name = catalogue.default_option_group(engine, version)
    plane.find_option_group(region, name)
    return name


def _script(plane, instance, snapshot, outcome):
    def run(transition):
        with plane.lock:
            instance.in_force = plane.group_values(instance)
        seconds = plane.settings.restore + plane.settings.restore_per_gib * instance.facts["AllocatedStorage"]
        ending = outcome["status"] if outcome and outcome["kind"] == "terminal_status" else ""
        if ending in ("incompatible-restore", "insufficient-capacity"):
            transition.work(seconds)
            end_badly(plane, instance, ending)
            return
        with snapshots.reading(plane, snapshot):
            if instance.supported:
                instance.port = plane.engines.endpoint_port(instance.resource_id, instance.port)
            transition.serve(seconds, instance.supported, "restore", snapshot.key, instance.resource_id, port=instance.port,
                             parameters=plane.server_parameters(instance), replication=plane.settings.restored_copies_replicate)
        if ending:
            end_badly(plane, instance, ending)
            return
        plane.event(instance, ["restoration"], f"Restored from snapshot {snapshot.name}", "RDS-EVENT-0043")
        settle(plane, transition, instance)

    return run


def end_badly(plane, instance, status: str) -> None:
    """A creation ends in a terminal status."""
    with plane.changing(instance):
        instance.status = status
    plane.event(instance, ["failure"], _ENDINGS.get(status, f"The DB instance was put into status {status}."), "RDS-EVENT-0031")


def settle(plane, transition, instance) -> None:
    """What follows a creation of any kind: the endpoint, the domain, the first backup, then `available`."""
    if instance.supported:
        plane.engines.publish(instance.resource_id, instance.dns_name)
    days = instance.facts["BackupRetentionPeriod"]
    with plane.changing(instance):
        instance.addressed = True
        if days and plane.settings.baseline_backup > 0:
            instance.status = "backing-up"
    if days:
        plane.back_up(transition, instance, plane.settings.baseline_backup)
    if instance.facts["DomainMemberships"]:
        plane.join_domain(transition, instance)
    with plane.changing(instance):
        instance.status = "available"
        instance.busy = ""
        plane.publish_family(instance)
    plane.event(instance, ["creation"], "DB instance created", "RDS-EVENT-0005")
