# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that several operations share: identifiers, windows, states, quotas, memberships."""

from __future__ import annotations

import random
import re

from . import catalogue
from .errors import RdsError, combination, instance_state, value

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
READY = ("available", "storage-optimization")


def identifier(text: str, what: str = "DBInstanceIdentifier", longest: int = 63) -> str:
    """An identifier in lower case.

    :raises RdsError: RDS does not allow it.
    """
    if not re.fullmatch(r"[A-Za-z](-?[A-Za-z0-9])*", text) or len(text) > longest:
        raise value(
            f"The parameter {what} is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII letters, "
            f"digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens. (at most {longest} characters)"
        )
    return text.lower()


def ready(instance, message: str = "Database instance is not in available state.") -> None:
    """The instance is available, or optimizing its storage, and nothing else is in progress."""
    if instance.busy or instance.status not in READY:
        raise instance_state(message)


def available(instance, message: str = "Database instance is not in available state.") -> None:
    """The instance is available, not merely usable."""
    if instance.busy or instance.status != "available":
        raise instance_state(message)


def not_settling(plane, instance) -> None:
    if plane.clock.now() < instance.settling_until:
        raise instance_state(
            "RDS is configuring Enhanced Monitoring or Performance Insights for this DB instance. Try your request later.")


def _minutes(text: str) -> int:
    found = re.fullmatch(r"(\d\d):(\d\d)", text)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise value(f"Invalid time: {text}")
    return int(found[1]) * 60 + int(found[2])


def _backup_spans(window: str) -> list:
    parts = window.split("-")
    if len(parts) != 2:
        raise value(f"Invalid backup window: {window}")
    begin, end = (_minutes(part) for part in parts)
    length = (end - begin) % 1440
    if length < 30:
        raise value(f"The backup window must be at least 30 minutes: {window}")
    return [(day * 1440 + begin, length) for day in range(7)]


def _maintenance_spans(window: str) -> list:
    found = re.fullmatch(r"([a-z]{3}):(\d\d:\d\d)-([a-z]{3}):(\d\d:\d\d)", window.lower())
    if not found or found[1] not in _DAYS or found[3] not in _DAYS:
        raise value(f"Invalid maintenance window format: {window}")
    begin = _DAYS.index(found[1]) * 1440 + _minutes(found[2])
    end = _DAYS.index(found[3]) * 1440 + _minutes(found[4])
    length = (end - begin) % 10080
    if not 30 <= length <= 1440:
        raise value(f"The maintenance window must be at least 30 minutes and at most 24 hours: {window}")
    return [(begin, length)]


def windows(backup: str, maintenance: str) -> None:
    """Both windows are well-formed and do not overlap."""
    for begin, length in _backup_spans(backup):
        for start, duration in _maintenance_spans(maintenance):
            if (start - begin) % 10080 < length or (begin - start) % 10080 < duration:
                raise value("The backup window and maintenance window must not overlap.")


def random_windows(backup: str | None = None, maintenance: str | None = None) -> dict:
    """Windows as RDS chooses them, beside those that are given."""
    result = {}
    while True:
        start = random.randrange(3 * 60, 11 * 60, 1)
        result["PreferredBackupWindow"] = backup or f"{start // 60:02}:{start % 60:02}-{(start + 30) // 60:02}:{(start + 30) % 60:02}"
        day, start = random.choice(_DAYS), random.randrange(3 * 60, 11 * 60, 1)
        result["PreferredMaintenanceWindow"] = maintenance or (
            f"{day}:{start // 60:02}:{start % 60:02}-{day}:{(start + 30) // 60:02}:{(start + 30) % 60:02}")
        try:
            windows(result["PreferredBackupWindow"], result["PreferredMaintenanceWindow"])
            return result
        except RdsError:
            if backup and maintenance:
                raise
            _backup_spans(result["PreferredBackupWindow"])
            _maintenance_spans(result["PreferredMaintenanceWindow"])


def retention(days: int) -> int:
    if not 0 <= days <= 35:
        raise value(f"Invalid backup retention period: {days}. Must be between 0 and 35.")
    return days


def port(number: int) -> int:
    if not 1150 <= number <= 65535:
        raise value(f"Invalid database port: {number}. It must be between 1150 and 65535.")
    return number


def instance_class(name: str, encrypted: bool) -> str:
    if not catalogue.vcpu_class(name):
        raise value(f"Invalid DB Instance class: {name}")
    if encrypted and not catalogue.encryptable(name):
        raise combination(f"DB Instance class {name} does not support encryption at rest")
    return name


def parameter_group(plane, region: str, name: str, engine: str, version: str) -> str:
    """A parameter group that fits an engine version."""
    group = plane.find_parameter_group(region, name)
    wanted = catalogue.family(engine, version)
    if group["DBParameterGroupFamily"] != wanted:
        raise combination(
            f"The parameter group {name} with DBParameterGroupFamily {group['DBParameterGroupFamily']} can't be used for this instance. "
            f"Use a parameter group with DBParameterGroupFamily {wanted}.")
    return name.lower()


def option_group(plane, region: str, name: str, engine: str, version: str) -> str:
    """An option group that fits an engine version."""
    group = plane.find_option_group(region, name)
    number = catalogue.major(engine, version)
    fits = group["EngineName"] == engine and (
        group["MajorEngineVersion"] == number or group["MajorEngineVersion"].split(".")[0] == number.split(".")[0] == group[
            "MajorEngineVersion"])
    if catalogue.is_sqlserver(engine):
        fits = group["EngineName"] == engine and group["MajorEngineVersion"].split(".")[0] == number.split(".")[0]
    if not fits:
        raise combination(f"The option group {name} ({group['EngineName']} {group['MajorEngineVersion']}) can't be used with engine "
                          f"{engine} {version}.")
    return name.lower()


def certificate(name: str) -> str:
    if name not in catalogue.CERTIFICATES:
        raise RdsError("CertificateNotFound", f"Certificate not found: {name}")
    return name


def log_types(engine: str, version: str, names: list) -> list:
    wrong = [name for name in names if name not in catalogue.facts(engine).logs]
    if wrong:
        raise combination(f"You cannot use the log types '{', '.join(wrong)}' with engine version {engine} {version}. "
                          "For supported log types, see the documentation.")
    return sorted(set(names))


def monitoring(plane, interval: int | None, role: str | None, current_interval: int = 0, current_role: str | None = None) -> None:
    """Interval and role of Enhanced Monitoring go together."""
    if interval is not None and interval not in (0, 1, 5, 10, 15, 30, 60):
        raise value(f"Invalid monitoring interval: {interval}. Valid values are 0, 1, 5, 10, 15, 30, 60.")
    effective = current_interval if interval is None else interval
    if effective and not (role or current_role):
        raise combination("A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.")
    if role and not effective:
        raise combination("You must specify a MonitoringInterval value other than 0 when you specify a MonitoringRoleARN value.")
    if role:
        plane.neighbours.check_role(
            role, "IAM role ARN value is invalid or does not include the required permissions for: ENHANCED_MONITORING")


def insights(plane, region: str, request: dict, current: dict) -> dict:
    """The Performance Insights members that a request changes."""
    wanted = request.get("EnablePerformanceInsights")
    key, days = request.get("PerformanceInsightsKMSKeyId"), request.get("PerformanceInsightsRetentionPeriod")
    if (key or days is not None) and not wanted:
        raise combination("To set a Performance Insights parameter, EnablePerformanceInsights must be true in the same request.")
    if days is not None and days not in (7, 731) and not (days % 31 == 0 and 1 <= days // 31 <= 23):
        raise value(f"Invalid Performance Insights retention period: {days}.")
    result: dict = {}
    if wanted is not None:
        result["PerformanceInsightsEnabled"] = wanted
    if wanted:
        held = current.get("PerformanceInsightsKMSKeyId")
        arn = plane.neighbours.check_key(region, key).arn if key else held or plane.neighbours.service_key(region).arn
        if held and arn != held:
            raise combination("You cannot change your Performance Insights KMS key.")
        result["PerformanceInsightsKMSKeyId"] = arn
        result["PerformanceInsightsRetentionPeriod"] = days or current.get("PerformanceInsightsRetentionPeriod") or 7
    mode = request.get("DatabaseInsightsMode")
    if mode is not None:
        if mode not in ("standard", "advanced"):
            raise value(f"Invalid Database Insights mode: {mode}")
        if mode == "advanced" and mode != current.get("DatabaseInsightsMode") and not (wanted and (days or 0) >= 465):
            raise combination("To enable the Advanced mode of Database Insights, Performance Insights must be enabled and its retention "
                              "period must be at least 465 days, in the same request.")
        result["DatabaseInsightsMode"] = mode
    effective = result.get("DatabaseInsightsMode", current.get("DatabaseInsightsMode"))
    if effective == "advanced" and (wanted is False or days is not None and days < 465):
        raise combination("The Advanced mode of Database Insights needs Performance Insights with a retention period of at least 465 days.")
    return result


def max_storage(engine: str, facts: dict, limit: int) -> int | None:
    """MaxAllocatedStorage as it is kept: None switches autoscaling off."""
    if limit == facts["AllocatedStorage"]:
        return None
    if limit < facts["AllocatedStorage"] or facts["StorageType"] == "standard":
        raise combination(f"Invalid max storage size for engine name {engine} and storage type {facts['StorageType']}: {limit}")
    return limit


def domain(plane, request: dict) -> dict | None:
    """The domain membership that a request asks for."""
    names = ("Domain", "DomainFqdn", "DomainOu", "DomainAuthSecretArn", "DomainDnsIps", "DomainIAMRoleName")
    if not any(request.get(name) for name in names):
        return None
    if request.get("Domain") and not request.get("DomainIAMRoleName"):
        raise combination("DomainIAMRoleName must be given together with Domain.")
    if not request.get("Domain") and not (request.get("DomainFqdn") and request.get("DomainAuthSecretArn")):
        raise combination("A self-managed domain needs DomainFqdn, DomainOu, DomainAuthSecretArn and DomainDnsIps.")
    if request.get("Domain") and not re.fullmatch(r"d-[0-9a-f]{10}", request["Domain"]):
        raise RdsError("DomainNotFoundFault", f"Domain {request['Domain']} not found.")
    shown = {"Domain": request.get("Domain"), "FQDN": request.get("DomainFqdn"), "IAMRoleName": request.get("DomainIAMRoleName"),
             "OU": request.get("DomainOu"), "AuthSecretArn": request.get("DomainAuthSecretArn"), "DnsIps": request.get("DomainDnsIps")}
    return {"Status": "pending-join", **{name: item for name, item in shown.items() if item}}


def instance_quota(plane, region: str, gib: int) -> None:
    """There is room for one more instance of a size."""
    living = [instance for instance in plane.store.region(region).instances.values() if not instance.gone]
    if len(living) + 1 > plane.settings.instances:
        raise RdsError("InstanceQuotaExceeded", f"DB instance quota exceeded: {plane.settings.instances}")
    if sum(instance.facts["AllocatedStorage"] for instance in living) + gib > plane.settings.allocated_storage:
        raise RdsError("StorageQuotaExceeded", f"Allocated storage quota exceeded: {plane.settings.allocated_storage} GiB")


def snapshot_quota(plane, region: str) -> None:
    """There is room for one more manual snapshot."""
    manual = [snapshot for snapshot in plane.store.region(region).snapshots.values() if snapshot.facts["SnapshotType"] == "manual"]
    if len(manual) + 1 > plane.settings.manual_snapshots:
        raise RdsError("SnapshotQuotaExceeded", f"Cannot create more than {plane.settings.manual_snapshots} manual snapshots")


def public(plane, region: str, subnet_group: str) -> bool:
    """What PubliclyAccessible is where it is not given: whether the VPC has a way out."""
    vpc_id = plane.store.region(region).subnet_groups[subnet_group]["VpcId"]
    backend = plane.neighbours.ec2(region)
    if vpc_id == backend.default_vpc.id:
        return True
    return any(gateway.vpc is not None and gateway.vpc.id == vpc_id for gateway in backend.internet_gateways.values())
