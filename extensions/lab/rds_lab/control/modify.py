# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ModifyDBInstance: what is allowed, what happens at once, what waits, and the transition that applies it."""

from __future__ import annotations

from . import catalogue, checks, restore, roles, storage, view
from .errors import RdsError, combination, instance_exists, instance_state, value
from .registry import operation

#: Parameters that are simply taken over, at once, whatever ApplyImmediately says.
_PLAIN = {
    "AutoMinorVersionUpgrade", "CopyTagsToSnapshot", "DeletionProtection", "PreferredMaintenanceWindow", "PreferredBackupWindow",
    "PubliclyAccessible", "PromotionTier", "EngineLifecycleSupport", "ReplicaMode", "AwsBackupRecoveryPointArn",
    "DBCapacityReservationIdentifier",
}
_MEMBER = {"EnableCustomerOwnedIp": "CustomerOwnedIpEnabled", "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled"}
#: Members of PendingModifiedValues.
_SHOWN = {
    "DBInstanceClass", "AllocatedStorage", "BackupRetentionPeriod", "MultiAZ", "EngineVersion", "LicenseModel", "Iops",
    "StorageThroughput", "DBInstanceIdentifier", "StorageType", "CACertificateIdentifier", "DBSubnetGroupName", "ProcessorFeatures",
    "MultiTenant", "IAMDatabaseAuthenticationEnabled", "DedicatedLogVolume", "Engine", "Port", "MasterUserPassword",
    "PendingCloudwatchLogsExports",
}
_STORAGE = ("AllocatedStorage", "StorageType", "Iops", "StorageThroughput")
#: Parameters that the cluster of a member governs.
_OF_CLUSTER = ("BackupRetentionPeriod", "AllocatedStorage", "StorageType", "Iops", "PreferredBackupWindow", "MultiAZ",
               "VpcSecurityGroupIds", "MasterUserPassword", "EnableIAMDatabaseAuthentication", "DBSubnetGroupName", "OptionGroupName")


@operation("ModifyDBInstance")
def modify(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    # The one thing that a full instance accepts, and needs, is more storage (RDS guide: Viewing DB instance status).
    if instance.busy or instance.status != "storage-full" or request.get("AllocatedStorage", 0) <= instance.facts["AllocatedStorage"]:
        checks.ready(instance)
    checks.not_settling(plane, instance)
    now, later = _changes(plane, instance, request)
    at_once = request.get("ApplyImmediately", False)
    flush = bool(at_once and instance.pending)
    if not now and not later and not flush:
        raise combination("No modifications were requested")
    before = view.shown(view.instance_view(plane, instance), plane.clock.now())
    if at_once:
        later, instance.pending = {**instance.pending, **later}, {}
    else:
        instance.pending.update(later)
    _show_pending(instance, {**now, **later})
    if not at_once and "OptionGroupName" in later:
        instance.option_status = "pending-apply"
    before["PendingModifiedValues"] = dict(instance.pending_shown)
    if later.get("DBInstanceIdentifier") and at_once:
        call.touched.append(instance)
        if later["DBInstanceIdentifier"] != instance.name:
            instance.reserved = later["DBInstanceIdentifier"]
    if now or at_once:
        apply(plane, instance, now, later if at_once else {}, call.outcome)
    else:
        plane.publish(instance)
    return {"DBInstance": before}


def _show_pending(instance, changes: dict) -> None:
    for name, item in changes.items():
        if name == "MasterUserPassword":
            instance.pending_shown[name] = "****"
        elif name in _SHOWN:
            instance.pending_shown[name] = item


def _changes(plane, instance, request: dict) -> tuple:
    """What a request changes at once, and what needs ApplyImmediately or the window; only what differs.

    :raises RdsError: a value or a combination is not allowed.
    """
    facts, region, engine = instance.facts, instance.region, instance.engine
    if facts.get("DBClusterIdentifier"):
        wrong = [name for name in _OF_CLUSTER if name in request]
        if wrong:
            raise combination(f"{wrong[0]} can't be modified on a member of a DB cluster. Use ModifyDBCluster.")
    now: dict = {}
    later: dict = {}
    _plain_changes(plane, instance, request, now)
    _service_changes(plane, instance, request, now)
    _deferred_changes(plane, instance, request, later)
    days = request.get("BackupRetentionPeriod")
    if days is not None and checks.retention(days) != facts["BackupRetentionPeriod"]:
        if days and instance.source_id and engine == "postgres" and catalogue.version_key(facts["EngineVersion"]) < (14, 1):
            raise instance_state("DB Backups not supported on a read replica for engine postgres")
        if not days and plane.store.replicas(instance):
            raise instance_state("Automated backups can't be disabled while the DB instance is the source of read replicas.")
        (now if days and facts["BackupRetentionPeriod"] else later)["BackupRetentionPeriod"] = days
    change = storage.modified(engine, facts, request)
    if change:
        storage.check_moment(instance, plane.clock.now(), plane.settings.storage_cooldown)
        later.update(change)
    size = change.get("AllocatedStorage", facts["AllocatedStorage"])
    if "MaxAllocatedStorage" in request:
        limit = checks.max_storage(engine, {**facts, "AllocatedStorage": size}, request["MaxAllocatedStorage"])
        if limit != facts.get("MaxAllocatedStorage"):
            now["MaxAllocatedStorage"] = limit
    new_name = request.get("NewDBInstanceIdentifier")
    if new_name is not None:
        name = checks.identifier(new_name, "NewDBInstanceIdentifier")
        if plane.name_taken(region, name, by=instance):
            raise instance_exists()
        checks.available(instance)
        later["DBInstanceIdentifier"] = name
    return now, later


def _plain_changes(plane, instance, request: dict, now: dict) -> None:
    facts = instance.facts
    if request.get("EngineLifecycleSupport"):
        restore.lifecycle_support(instance.engine, request["EngineLifecycleSupport"])
    if "ReplicaMode" in request and not (catalogue.is_oracle(instance.engine) or instance.engine.startswith("db2")):
        raise combination("ReplicaMode is only supported for Oracle and Db2.")
    for name in _PLAIN:
        if name in request and facts.get(name) != request[name]:
            now[name] = request[name].lower() if name == "PreferredMaintenanceWindow" else request[name]
    if "EnableCustomerOwnedIp" in request and request["EnableCustomerOwnedIp"] != facts["CustomerOwnedIpEnabled"]:
        now["CustomerOwnedIpEnabled"] = request["EnableCustomerOwnedIp"]
    if "PreferredBackupWindow" in request or "PreferredMaintenanceWindow" in request:
        checks.windows(request.get("PreferredBackupWindow", facts["PreferredBackupWindow"]),
                       request.get("PreferredMaintenanceWindow", facts["PreferredMaintenanceWindow"]))
    group = request.get("DBParameterGroupName")
    if group:
        name = checks.parameter_group(plane, instance.region, group, instance.engine, request.get("EngineVersion", facts["EngineVersion"]))
        if name != instance.parameter_group:
            now["DBParameterGroupName"] = name
    security = request.get("VpcSecurityGroupIds")
    if security is not None and "DBSubnetGroupName" not in request and set(security) != set(instance.security_groups):
        vpc_id = plane.store.region(instance.region).subnet_groups[instance.subnet_group]["VpcId"]
        if not security:
            raise value("At least one VPC security group must be given.")
        plane.neighbours.check_security_groups(instance.region, security, vpc_id)
        now["VpcSecurityGroupIds"] = list(security)
    number = request.get("DBPortNumber")
    if number is not None and checks.port(number) != instance.port:
        now["Port"] = number


def _service_changes(plane, instance, request: dict, now: dict) -> None:
    facts = instance.facts
    interval, role = request.get("MonitoringInterval"), request.get("MonitoringRoleArn")
    if interval is not None or role:
        checks.monitoring(plane, interval, role, facts["MonitoringInterval"], facts.get("MonitoringRoleArn"))
        if interval is not None and interval != facts["MonitoringInterval"]:
            now["MonitoringInterval"] = interval
        if role and role != facts.get("MonitoringRoleArn"):
            now["MonitoringRoleArn"] = role
    for name, item in checks.insights(plane, instance.region, request, facts).items():
        if facts.get(name) != item:
            now[name] = item
    delta = request.get("CloudwatchLogsExportConfiguration")
    if delta:
        enable, disable = delta.get("EnableLogTypes") or [], delta.get("DisableLogTypes") or []
        checks.log_types(instance.engine, facts["EngineVersion"], enable + disable)
        both = set(enable) & set(disable)
        if both:
            raise combination(f"The log types {sorted(both)} can't be enabled and disabled in one request.")
        held = set(facts.get("EnabledCloudwatchLogsExports") or [])
        to_enable, to_disable = sorted(set(enable) - held), sorted(set(disable) & held)
        if to_enable or to_disable:
            now["PendingCloudwatchLogsExports"] = {
                name: items for name, items in (("LogTypesToEnable", to_enable), ("LogTypesToDisable", to_disable)) if items}
    roles.master_changes(plane, instance, request, now)


def _deferred_changes(plane, instance, request: dict, later: dict) -> None:
    facts, engine = instance.facts, instance.engine
    version = _version(instance, request)
    if version:
        later["EngineVersion"] = version
    if request.get("Engine") not in (None, engine):
        raise combination(f"The engine of a DB instance can't be changed from {engine} to {request['Engine']}.")
    if "DBInstanceClass" in request and request["DBInstanceClass"] != facts["DBInstanceClass"]:
        later["DBInstanceClass"] = checks.instance_class(request["DBInstanceClass"], facts["StorageEncrypted"])
    for name in ("MultiAZ", "LicenseModel", "NetworkType", "EnableIAMDatabaseAuthentication", "DedicatedLogVolume", "MultiTenant"):
        member = _MEMBER.get(name, name)
        if name in request and request[name] != facts.get(member, False):
            later[member] = request[name]
    if later.get("DedicatedLogVolume") and facts["StorageType"] not in ("io1", "io2"):
        raise combination("A dedicated log volume needs Provisioned IOPS storage.")
    if later.get("MultiAZ"):
        if catalogue.is_sqlserver(engine) and not facts["BackupRetentionPeriod"]:
            raise combination("Mirroring cannot be applied to instances with backup retention set to zero")
        plane.check_network(instance.region, instance.subnet_group, instance.security_groups, None, None, True)
    if "NetworkType" in later:
        plane.check_network(instance.region, instance.subnet_group, instance.security_groups, later["NetworkType"], None, False)
    if request.get("OptionGroupName"):
        name = checks.option_group(plane, instance.region, request["OptionGroupName"], engine, version or facts["EngineVersion"])
        if name != instance.option_group:
            later["OptionGroupName"] = name
    if request.get("DBSubnetGroupName") and request["DBSubnetGroupName"].lower() != instance.subnet_group:
        later.update(_move(plane, instance, request))
    if request.get("CACertificateIdentifier") and request["CACertificateIdentifier"] != facts["CACertificateIdentifier"]:
        later["CACertificateIdentifier"] = checks.certificate(request["CACertificateIdentifier"])
        later["CertificateRotationRestart"] = request.get("CertificateRotationRestart")
    if request.get("UseDefaultProcessorFeatures") and facts.get("ProcessorFeatures"):
        later["ProcessorFeatures"] = []
    elif request.get("ProcessorFeatures") and request["ProcessorFeatures"] != facts.get("ProcessorFeatures"):
        later["ProcessorFeatures"] = request["ProcessorFeatures"]
    if request.get("DisableDomain") and facts["DomainMemberships"]:
        later["DomainMemberships"] = []
    membership = checks.domain(plane, request)
    if membership and not any(_same_domain(held, membership) for held in facts["DomainMemberships"]):
        later["DomainMemberships"] = [membership]


def _same_domain(held: dict, wanted: dict) -> bool:
    return {**held, "Status": ""} == {**wanted, "Status": ""}


def _version(instance, request: dict) -> str | None:
    wanted, current = request.get("EngineVersion"), instance.facts["EngineVersion"]
    if wanted is None or wanted == current:
        return None
    engine = instance.engine
    if wanted not in catalogue.facts(engine).versions:
        raise combination(f"Cannot find version {wanted} for {engine}")
    if catalogue.version_key(wanted) < catalogue.version_key(current):
        raise combination(f"Cannot upgrade {engine} from {current} to {wanted}: a version can't be lowered.")
    if catalogue.major(engine, wanted) != catalogue.major(engine, current):
        if not request.get("AllowMajorVersionUpgrade"):
            raise combination("The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.")
        if not request.get("DBParameterGroupName") and not instance.parameter_group.startswith("default."):
            raise combination("The current DB instance parameter group is a custom one: a parameter group of the new major version "
                              "must be given.")
    return wanted


def _move(plane, instance, request: dict) -> dict:
    """The change to a subnet group of another VPC."""
    name, security = plane.check_network(
        instance.region, request["DBSubnetGroupName"], request.get("VpcSecurityGroupIds"), None, None, instance.facts["MultiAZ"])
    groups = plane.store.region(instance.region).subnet_groups
    if groups[name]["VpcId"] == groups[instance.subnet_group]["VpcId"]:
        raise RdsError("InvalidVPCNetworkStateFault",
                       f"You cannot move DB instance {instance.name} to subnet group {name}. The specified DB subnet group and DB "
                       "instance are in the same VPC. Choose a DB subnet group in different VPC than the specified DB instance and "
                       "try again.")
    return {"DBSubnetGroupName": name, "_security_groups": security}


def apply(plane, instance, now: dict, later: dict, outcome: dict | None = None, restart: bool = False, status: str = "modifying") -> None:
    """Begin the transition that makes changes true; the caller holds the lock.

    What ApplyImmediately does not govern and RDS does at the moment of the call happens here: plain members and the name of the
    parameter group.
    """
    fails = outcome and outcome["kind"] == "ends_with_error_event"
    if not fails:
        for name in set(now) & _PLAIN | set(now) & {"MaxAllocatedStorage", "CustomerOwnedIpEnabled"}:
            if now[name] is None:
                instance.facts.pop(name, None)
            else:
                instance.facts[name] = now[name]
        if "DBParameterGroupName" in now:
            instance.parameter_group, instance.parameter_status = now["DBParameterGroupName"], "applying"
        if "VpcSecurityGroupIds" in now:
            instance.groups_before = instance.security_groups
            instance.security_groups, instance.security_status = now["VpcSecurityGroupIds"], "adding"
    plane.publish(instance)
    plane.spawn(instance, "modifying", _script(plane, instance, now, later, outcome, restart, status))


def _script(plane, instance, now: dict, later: dict, outcome, restart: bool, status: str):
    def run(transition):
        settings = plane.settings
        transition.wait(settings.accept)
        if outcome and outcome["kind"] == "ends_with_error_event":
            transition.status(instance, status)
            transition.wait(settings.modify)
            _forget(plane, instance, {**now, **later})
            plane.event(instance, ["failure"], "The modification of the DB instance failed.", "RDS-EVENT-0031")
            return
        _Work(plane, transition, instance, now, later).run(restart, status)
        if outcome and outcome["kind"] == "terminal_status":
            restore.end_badly(plane, instance, outcome["status"])
            return
        with plane.changing(instance):
            instance.status = plane.resting_status(instance)
            instance.busy = ""
            if set(now) & {"MonitoringInterval", "MonitoringRoleArn", "PerformanceInsightsEnabled", "DatabaseInsightsMode"}:
                instance.settling_until = plane.clock.now() + settings.monitoring_settle

    return run


def _forget(plane, instance, changes: dict) -> None:
    """A modification failed: nothing waits any more."""
    with plane.changing(instance):
        for name in changes:
            instance.pending_shown.pop(name, None)
        instance.reserved = ""
        instance.status = plane.resting_status(instance)
        instance.busy = ""


class _Work:
    """The steps of one modification, each with its status."""

    def __init__(self, plane, transition, instance, now: dict, later: dict):
        self.plane, self.transition, self.instance, self.now, self.later = plane, transition, instance, now, later
        self.settings = plane.settings
        self.must_restart = False

    def run(self, restart: bool, status: str) -> None:
        instance, transition, settings = self.instance, self.transition, self.settings
        self.must_restart = restart
        transition.status(instance, status)
        transition.wait(settings.modify_settings)
        self._security_groups()
        self._parameter_group()
        self._take("configuring-enhanced-monitoring", settings.modify, self.now, ("MonitoringInterval", "MonitoringRoleArn"))
        self._take(status, settings.modify, self.now, (
            "PerformanceInsightsEnabled", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod", "DatabaseInsightsMode"))
        self._log_exports()
        roles.master_work(self.plane, transition, instance, self.now)
        self._take(status, settings.modify_settings, self.now, ("BackupRetentionPeriod",))
        if "Port" in self.now:
            self.must_restart = True
        self._deferred(status)
        if self.must_restart:
            self._restart("rebooting")
        self._backups()
        self._domain()
        if "DBInstanceIdentifier" in self.later:
            from . import rename

            rename.run(self.plane, transition, instance, self.later["DBInstanceIdentifier"])

    def _restart(self, status: str, retention: int | None = None) -> None:
        self.transition.status(self.instance, status)
        self.plane.restart(self.transition, self.instance, self.settings.reboot, retention)
        if "Port" in self.now:
            wanted = self.now["Port"]
            port = self.plane.engines.endpoint_port(self.instance.resource_id, wanted) if self.instance.supported else wanted
            with self.plane.changing(self.instance):
                self.instance.port = port
                self.instance.pending_shown.pop("Port", None)
        self.plane.event(self.instance, ["availability"], "DB instance restarted", "RDS-EVENT-0006")

    def _take(self, status: str, seconds: float, source: dict, names: tuple) -> None:
        """Members that take a step and then hold."""
        found = {name: source[name] for name in names if name in source}
        if not found:
            return
        self.transition.status(self.instance, status)
        self.transition.wait(seconds)
        with self.plane.changing(self.instance):
            for name, item in found.items():
                self.instance.facts[name] = item
                self.instance.pending_shown.pop(name, None)
            if not self.instance.facts["MonitoringInterval"]:
                self.instance.facts.pop("MonitoringRoleArn", None)

    def _security_groups(self) -> None:
        if "VpcSecurityGroupIds" in self.now:
            self.transition.wait(self.settings.security_groups_apply)
            with self.plane.changing(self.instance):
                self.instance.security_status = "active"

    def _parameter_group(self) -> None:
        if "DBParameterGroupName" not in self.now:
            return
        instance, plane = self.instance, self.plane
        with plane.lock:
            dynamic = plane.dynamic_values(instance)
        self.transition.serve(
            self.settings.parameters_apply, instance.supported and bool(dynamic), "apply_dynamic", instance.resource_id, dynamic)
        with plane.changing(instance):
            instance.in_force.update(dynamic)
            instance.parameter_status = "pending-reboot"
        plane.event(instance, ["configuration change"], f"Updated to use DBParameterGroup {instance.parameter_group}", "RDS-EVENT-0011")

    def _log_exports(self) -> None:
        change = self.now.get("PendingCloudwatchLogsExports")
        if not change:
            return
        self.transition.status(self.instance, "configuring-log-exports")
        self.transition.wait(self.settings.log_exports)
        with self.plane.changing(self.instance):
            facts = self.instance.facts
            held = set(facts.pop("EnabledCloudwatchLogsExports", None) or [])
            held = (held | set(change.get("LogTypesToEnable", []))) - set(change.get("LogTypesToDisable", []))
            if held:
                facts["EnabledCloudwatchLogsExports"] = sorted(held)
            self.instance.pending_shown.pop("PendingCloudwatchLogsExports", None)

    def _deferred(self, status: str) -> None:
        """What needed ApplyImmediately or the window, but for backups, domain and name."""
        settings, facts, later = self.settings, self.instance.facts, self.later
        self._take("configuring-iam-database-auth", settings.iam_authentication, later, ("IAMDatabaseAuthenticationEnabled",))
        if "EngineVersion" in later:
            self._take("upgrading", settings.upgrade, later, ("EngineVersion",))
            with self.plane.lock:
                if self.instance.parameter_group.startswith("default."):
                    self.instance.parameter_group = f"default.{catalogue.family(self.instance.engine, facts['EngineVersion'])}"
            self.must_restart = True
        if {"DBInstanceClass", "LicenseModel", "DedicatedLogVolume", "ProcessorFeatures"} & set(later):
            self.must_restart = True
        self._take(status, settings.modify, later, ("DBInstanceClass", "LicenseModel", "DedicatedLogVolume", "MultiTenant", "NetworkType"))
        if "ProcessorFeatures" in later:
            self._take(status, settings.modify, later, ("ProcessorFeatures",))
            if not facts["ProcessorFeatures"]:
                facts.pop("ProcessorFeatures")
        self._certificate(status)
        self._multi_az(status)
        self._network()
        self._option_group(status)
        if set(_STORAGE) & set(later):
            self._take(status, settings.modify, later, _STORAGE)
            with self.plane.changing(self.instance):
                self.instance.storage_changed = self.plane.clock.now()
                self.instance.optimizing_until = self.plane.clock.now() + settings.storage_optimization

    def _certificate(self, status: str) -> None:
        if "CACertificateIdentifier" not in self.later:
            return
        self._take(status, self.settings.modify, self.later, ("CACertificateIdentifier",))
        asked = self.later.get("CertificateRotationRestart")
        if asked or asked is None and not rotates_without_restart(self.instance.engine, self.instance.facts["EngineVersion"]):
            self.must_restart = True

    def _multi_az(self, status: str) -> None:
        if "MultiAZ" not in self.later:
            return
        self._take(status, self.settings.modify, self.later, ("MultiAZ",))
        with self.plane.changing(self.instance):
            facts = self.instance.facts
            facts.pop("SecondaryAvailabilityZone", None)
            if facts["MultiAZ"]:
                facts.update(restore.zones(self.plane, self.instance.region, self.instance.subnet_group, facts["AvailabilityZone"], True))

    def _network(self) -> None:
        if "DBSubnetGroupName" not in self.later:
            return
        self.transition.status(self.instance, "moving-to-vpc")
        self.transition.wait(self.settings.modify)
        with self.plane.changing(self.instance):
            self.instance.subnet_group = self.later["DBSubnetGroupName"]
            self.instance.security_groups = self.later["_security_groups"]
            self.instance.pending_shown.pop("DBSubnetGroupName", None)
        self.must_restart = True

    def _option_group(self, status: str) -> None:
        if "OptionGroupName" not in self.later:
            return
        with self.plane.changing(self.instance):
            self.instance.option_status = "applying"
        self.transition.status(self.instance, status)
        self.transition.wait(self.settings.modify)
        with self.plane.changing(self.instance):
            self.instance.option_group, self.instance.option_status = self.later["OptionGroupName"], "in-sync"

    def _backups(self) -> None:
        """Switching backups on or off is an outage; the first backup follows at once."""
        if "BackupRetentionPeriod" not in self.later:
            return
        days, instance = self.later["BackupRetentionPeriod"], self.instance
        self._restart("modifying", days)
        with self.plane.changing(instance):
            instance.facts["BackupRetentionPeriod"] = days
            instance.pending_shown.pop("BackupRetentionPeriod", None)
            if not days:
                self.plane.drop_automated_backups(instance)
            else:
                instance.status = "backing-up"
        if days:
            self.plane.back_up(self.transition, instance, self.settings.baseline_backup)

    def _domain(self) -> None:
        if "DomainMemberships" not in self.later:
            return
        with self.plane.changing(self.instance):
            self.instance.facts["DomainMemberships"] = self.later["DomainMemberships"]
        self.plane.join_domain(self.transition, self.instance)


def rotates_without_restart(engine: str, version: str) -> bool:
    """Whether a certificate is exchanged without a restart."""
    number = catalogue.version_key(version)
    return engine == "postgres" and number >= (13,) or engine == "mysql" and number >= (8,) or engine == "mariadb" and number >= (10, 5)
