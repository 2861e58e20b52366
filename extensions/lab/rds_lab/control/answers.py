# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RDS offers and allows: operations that only answer."""

from __future__ import annotations

import datetime

from . import catalogue, storage, view
from .describe import filters, page, short
from .errors import RdsError
from .registry import operation

_CLASSES = (
    "db.t2.micro", "db.t2.small", "db.t2.medium", "db.m1.small", "db.m2.xlarge", "db.t1.micro", "db.t3.micro", "db.t3.small",
    "db.t3.medium", "db.t3.large", "db.t4g.micro",
    "db.t4g.small", "db.t4g.medium", "db.t4g.large", "db.m5.large", "db.m5.xlarge", "db.m5.2xlarge",
    "db.m6g.large", "db.m6g.xlarge", "db.m6g.2xlarge", "db.m6i.large", "db.m6i.xlarge", "db.m7g.large", "db.m7g.xlarge", "db.m7g.2xlarge",
    "db.r5.large", "db.r5.xlarge", "db.r6g.large", "db.r6g.xlarge", "db.r6g.2xlarge", "db.r6i.large", "db.r6i.xlarge", "db.r7g.large",
    "db.r7g.xlarge", "db.r7g.2xlarge", "db.x2g.large",
)


def _versions(plane, region: str, engine: str) -> list:
    """The versions RDS offers, and those in use."""
    used = {instance.facts["EngineVersion"] for instance in plane.store.region(region).instances.values() if instance.engine == engine}
    retired = {version for name, version in plane.store.retired if name == engine}
    return sorted((set(catalogue.facts(engine).versions) | used) - retired, key=catalogue.version_key)


def _engines(plane, region: str) -> list:
    return sorted(set(catalogue.ENGINES) | {instance.engine for instance in plane.store.region(region).instances.values()})


@operation("DescribeDBEngineVersions")
def engine_versions(plane, call, request):
    wanted = filters(request, ("db-parameter-group-family", "engine", "engine-mode", "engine-version", "status"))
    engines = [request["Engine"]] if request.get("Engine") else wanted.get("engine") or _engines(plane, call.region)
    entries = []
    for engine in engines:
        versions = _versions(plane, call.region, engine)
        asked = request.get("EngineVersion")
        if asked:
            versions = [version for version in versions if version == asked or version.startswith(asked + ".")]
        if request.get("DefaultOnly"):
            versions = versions[-1:]
        entries += [_engine_version(plane, call.region, engine, version) for version in versions]
    family = request.get("DBParameterGroupFamily")
    families = [family] if family else wanted.get("db-parameter-group-family")
    if families:
        entries = [entry for entry in entries if entry["DBParameterGroupFamily"] in families]
    if wanted.get("engine-version"):
        entries = [entry for entry in entries if entry["EngineVersion"] in wanted["engine-version"]]
    shown, marker = page(request, entries, lambda entry: entry["Engine"] + " " + ".".join(
        f"{number:08}" for number in catalogue.version_key(entry["EngineVersion"])))
    return {"DBEngineVersions": shown, "Marker": marker}


def _engine_version(plane, region: str, engine: str, version: str) -> dict:
    from .modify import rotates_without_restart

    known = catalogue.facts(engine)
    targets = [
        {"Engine": engine, "EngineVersion": other, "AutoUpgrade": False, "Description": f"{engine} {other}",
         "IsMajorVersionUpgrade": catalogue.major(engine, other) != catalogue.major(engine, version)}
        for other in _versions(plane, region, engine) if catalogue.version_key(other) > catalogue.version_key(version)
    ]
    return {
        "Engine": engine, "MajorEngineVersion": catalogue.major(engine, version), "EngineVersion": version,
        "DBParameterGroupFamily": catalogue.family(engine, version), "DBEngineDescription": engine,
        "DBEngineVersionDescription": f"{engine} {version}", "ValidUpgradeTarget": targets, "ExportableLogTypes": list(known.logs),
        "SupportsLogExportsToCloudwatchLogs": bool(known.logs), "SupportsReadReplica": known.replicas > 0,
        "SupportedFeatureNames": sorted(catalogue.FEATURES), "Status": "available", "SupportsParallelQuery": False,
        "SupportsGlobalDatabases": catalogue.is_aurora(engine), "SupportsBabelfish": False,
        "SupportsCertificateRotationWithoutRestart": rotates_without_restart(engine, version),
        "SupportedCACertificateIdentifiers": list(catalogue.CERTIFICATES),
    }


@operation("DescribeOrderableDBInstanceOptions")
def orderable(plane, call, request):
    filters(request, ())
    engine = request["Engine"]
    used = {instance.facts["DBInstanceClass"] for instance in plane.store.region(call.region).instances.values()}
    classes = [name for name in sorted(set(_CLASSES) | used) if request.get("DBInstanceClass") in (None, name)]
    versions = [version for version in _versions(plane, call.region, engine) if request.get("EngineVersion") in (None, version)]
    licence = catalogue.facts(engine).license
    if request.get("LicenseModel") not in (None, licence):
        classes = []
    kinds = ("aurora", "aurora-iopt1") if catalogue.is_aurora(engine) else ("standard", "gp2", "gp3", "io1", "io2")
    entries = [
        _option(plane, call.region, engine, version, name, kind) for name in classes for version in versions for kind in kinds
    ]
    most = 100 if "MaxRecords" in request else 10000
    shown, marker = page(
        request, entries, lambda entry: f"{entry['DBInstanceClass']} {entry['EngineVersion']} {entry['StorageType']}", 20, most)
    return {"OrderableDBInstanceOptions": shown, "Marker": marker}


def _option(plane, region: str, engine: str, version: str, instance_class: str, kind: str) -> dict:
    entry = {
        "Engine": engine, "EngineVersion": version, "DBInstanceClass": instance_class, "LicenseModel": catalogue.facts(engine).license,
        "AvailabilityZones": [{"Name": zone} for zone in view.zones(plane, region)], "MultiAZCapable": True,
        "ReadReplicaCapable": catalogue.facts(engine).replicas > 0, "Vpc": True,
        "SupportsStorageEncryption": catalogue.encryptable(instance_class), "StorageType": kind,
        "SupportsIops": kind in ("io1", "io2", "gp3"), "SupportsStorageThroughput": kind == "gp3", "SupportsEnhancedMonitoring": True,
        "SupportsIAMDatabaseAuthentication": engine in ("mysql", "mariadb", "postgres"), "SupportsPerformanceInsights": True,
        "SupportsStorageAutoscaling": kind != "standard", "SupportsKerberosAuthentication": True, "OutpostCapable": False,
        "SupportsGlobalDatabases": False, "SupportedNetworkTypes": ["IPV4", "DUAL"], "SupportsClusters": False,
        "SupportsDedicatedLogVolume": kind in ("io1", "io2"),
    }
    if not catalogue.is_aurora(engine):
        allowed = storage.limits(engine, kind, 400)
        entry.update(MinStorageSize=allowed.minimum, MaxStorageSize=allowed.maximum)
        if allowed.iops:
            entry.update(MinIopsPerDbInstance=allowed.iops[0], MaxIopsPerDbInstance=allowed.iops[1],
                         MinIopsPerGib=allowed.ratio[0], MaxIopsPerGib=allowed.ratio[1])
        if allowed.throughput:
            entry.update(MinStorageThroughputPerDbInstance=allowed.throughput[0], MaxStorageThroughputPerDbInstance=allowed.throughput[1],
                         MinStorageThroughputPerIops=0.0, MaxStorageThroughputPerIops=0.25)
    return entry


@operation("DescribeValidDBInstanceModifications")
def valid_modifications(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    size = instance.facts["AllocatedStorage"]
    options = []
    for kind in ("standard", "gp2", "gp3", "io1", "io2"):
        allowed = storage.limits(instance.engine, kind, size)
        if size > allowed.maximum:
            continue
        entry = {"StorageType": kind, "SupportsStorageAutoscaling": kind != "standard",
                 "StorageSize": [{"From": max(size, allowed.minimum), "To": allowed.maximum, "Step": 1}]}
        if allowed.iops:
            entry["ProvisionedIops"] = [{"From": allowed.iops[0], "To": allowed.iops[1], "Step": 1}]
            entry["IopsToStorageRatio"] = [{"From": allowed.ratio[0], "To": allowed.ratio[1]}]
        if allowed.throughput:
            entry["ProvisionedStorageThroughput"] = [{"From": allowed.throughput[0], "To": allowed.throughput[1], "Step": 1}]
            entry["StorageThroughputToIopsRatio"] = [{"From": 0.0, "To": 0.25}]
        options.append(entry)
    return {"ValidDBInstanceModificationsMessage": {
        "Storage": options, "ValidProcessorFeatures": [], "SupportsDedicatedLogVolume": instance.facts["StorageType"] in ("io1", "io2")}}


@operation("DescribePendingMaintenanceActions")
def pending_maintenance(plane, call, request):
    wanted = filters(request, ("db-cluster-id", "db-instance-id"))
    state = plane.store.region(call.region)
    entries = []
    for resource_id, actions in state.maintenance.items():
        instance = state.instances.get(resource_id)
        if instance is None or not actions or "db-cluster-id" in wanted:
            continue
        names = [short(text) for text in wanted.get("db-instance-id", [instance.name])]
        if instance.name in names and request.get("ResourceIdentifier") in (None, plane.arn(instance)):
            entries.append({"ResourceIdentifier": plane.arn(instance), "PendingMaintenanceActionDetails": actions})
    shown, marker = page(request, entries, lambda entry: entry["ResourceIdentifier"])
    return {"PendingMaintenanceActions": shown, "Marker": marker}


@operation("DescribeCertificates")
def certificates(plane, call, request):
    filters(request, ())
    name = request.get("CertificateIdentifier")
    if name and name not in catalogue.CERTIFICATES:
        raise RdsError("CertificateNotFound", f"Certificate not found: {name}")
    entries = [
        {"CertificateIdentifier": identifier, "CertificateType": "CA", "Thumbprint": "ab" * 20,
         "ValidFrom": datetime.datetime(2021, 5, 21, tzinfo=datetime.timezone.utc), "ValidTill": catalogue.certificate_end(identifier),
         "CertificateArn": f"arn:aws:rds:{call.region}::cert:{identifier}", "CustomerOverride": False}
        for identifier in catalogue.CERTIFICATES if name in (None, identifier)
    ]
    shown, marker = page(request, entries, lambda entry: entry["CertificateIdentifier"])
    return {"Certificates": shown, "Marker": marker, "DefaultCertificateForNewLaunches": catalogue.DEFAULT_CERTIFICATE}


@operation("DescribeAccountAttributes")
def account_attributes(plane, call, _request):
    state, settings = plane.store.region(call.region), plane.settings
    living = [instance for instance in state.instances.values() if not instance.gone]
    custom_groups = [name for name in state.parameter_groups if not name.startswith("default.")]
    custom_options = [name for name in state.option_groups if not name.startswith("default:")]
    manual = [snapshot for snapshot in state.snapshots.values() if snapshot.facts["SnapshotType"] == "manual"]
    replicas = max((len(plane.store.replicas(instance)) for instance in living), default=0)
    quotas = {
        "DBInstances": (len(living), settings.instances),
        "AllocatedStorage": (sum(instance.facts["AllocatedStorage"] for instance in living), settings.allocated_storage),
        "ManualSnapshots": (len(manual), settings.manual_snapshots),
        "ReadReplicasPerMaster": (replicas, settings.replicas_per_source),
        "DBParameterGroups": (len(custom_groups), settings.parameter_groups),
        "OptionGroups": (len(custom_options), settings.option_groups),
        "DBSubnetGroups": (len(state.subnet_groups), settings.subnet_groups),
        "DBInstanceRoles": (max((len(instance.roles) for instance in living), default=0), settings.roles_per_instance),
        "DBClusters": (len(state.clusters), 40),
        "EventSubscriptions": (len(state.subscriptions), 20),
    }
    return {"AccountQuotas": [{"AccountQuotaName": name, "Used": used, "Max": most} for name, (used, most) in quotas.items()]}


@operation("DescribeBlueGreenDeployments")
def blue_green(_plane, _call, request):
    filters(request, ("blue-green-deployment-identifier", "blue-green-deployment-name", "source", "target"))
    return {"BlueGreenDeployments": []}


@operation("DescribeDBSnapshotAttributes")
def snapshot_attributes(plane, call, request):
    snapshot = plane.snapshot(call.region, request["DBSnapshotIdentifier"])
    return {"DBSnapshotAttributesResult": {
        "DBSnapshotIdentifier": snapshot.name, "DBSnapshotAttributes": [{"AttributeName": "restore", "AttributeValues": []}]}}
