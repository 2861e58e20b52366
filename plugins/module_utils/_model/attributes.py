# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The attribute rules: one row for every member of the ``DBInstance`` shape, saying how it is carried, compared and explained.

What is known of one attribute stands in its row and nowhere else. ``_plan/carry.py`` makes the parameters of the RDS calls from the
rows, ``_plan/compare.py`` compares with them, ``tools/attributes_page.py`` prints them. A member that botocore knows and this table
does not fails a unit test, and is reported at run time.

A *canonical value* is what a row reads out of a description: comparable with ``==``, None when absent; sets are sorted tuples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import Engine, engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import own_tags, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.quarantine import original_security_groups, quarantine_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import pending_values
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES

NEWEST_BOTOCORE = "1.44.5"

EQUAL = "equal"
EXPLAINED = "explained"
DIFFERENT = "different"
UNKNOWN = "unknown"


class Carry(Enum):
    """How an attribute of the source gets onto the target."""

    RESTORE = "restore"
    MODIFY = "modify"
    SEPARATE_CALL = "separate call"
    INHERITED = "inherited"
    BY_DESIGN = "by design"
    TOPOLOGY = "topology"
    VOLATILE = "volatile"
    IMPOSSIBLE = "impossible"


CARRY_MEANING = {
    Carry.RESTORE: "parameter of RestoreDBInstanceFromDBSnapshot",
    Carry.MODIFY: "set by ModifyDBInstance after the restore",
    Carry.SEPARATE_CALL: "set by a call of its own",
    Carry.INHERITED: "comes with the snapshot; must be equal",
    Carry.BY_DESIGN: "differs on purpose (identity, encryption)",
    Carry.TOPOLOGY: "follows from the replicas being made again",
    Carry.VOLATILE: "state or time; not compared",
    Carry.IMPOSSIBLE: "cannot be carried; the operator is told",
}


class Compare(Enum):
    """How source and target are compared in one attribute."""

    SAME = "equal"
    SET = "equal as sets"
    EXPECTED = "expected value"
    PRESENCE = "present on both or on neither"
    MAPPED = "equal after mapping names"
    IGNORED = "not compared"


@dataclass(frozen=True)
class Circumstances:
    """What a comparison knows beside the two descriptions: names (source side -> target side) and the key that was asked for."""

    names: dict[str, str] = field(default_factory=dict)
    kms_key_arn: str | None = None


# -- Readers: a description -> the canonical value ------------------------------------------------------------------------------------


def _flag(member: str) -> Callable[[dict], bool]:
    return lambda description: bool(description.get(member))


def _number(member: str) -> Callable[[dict], int]:
    return lambda description: description.get(member) or 0


def _or_default(member: str, default: str) -> Callable[[dict], str]:
    return lambda description: description.get(member) or default


def _sorted(member: str) -> Callable[[dict], tuple]:
    return lambda description: tuple(sorted(description.get(member) or ()))


def _first_name(member: str, key: str, gone: tuple[str, ...] = ()) -> Callable[[dict], str | None]:
    def read(description):
        current = [each for each in description.get(member) or () if not str(_status(each)).startswith(gone)]
        return current[0].get(key) if current else None

    return read


def _status(entry: dict) -> str:
    return entry.get("Status") or entry.get("ParameterApplyStatus") or ""


def _log_volume(description: dict) -> bool:
    """Whether the log has a volume of its own, or will have with the next restart, which ``needs_reboot`` asks for."""
    return bool(pending_values(description).get("DedicatedLogVolume", description.get("DedicatedLogVolume")))


def _security_groups(description: dict) -> tuple[str, ...]:
    return original_security_groups(description)


def _subnet_group(description: dict) -> str | None:
    return (description.get("DBSubnetGroup") or {}).get("DBSubnetGroupName")


def _port(description: dict) -> int | None:
    return (description.get("Endpoint") or {}).get("Port")


def _processor_features(description: dict) -> tuple | None:
    features = description.get("ProcessorFeatures") or ()
    return tuple(sorted((each.get("Name"), str(each.get("Value"))) for each in features)) or None


def _roles(description: dict) -> tuple[tuple[str, str], ...]:
    roles = description.get("AssociatedRoles") or ()
    return tuple(sorted((role.get("RoleArn") or "", role.get("FeatureName") or "") for role in roles))


def _domain(description: dict) -> dict | None:
    """The domain membership as the parameters that make it: an AWS managed directory, or a self-managed one with a secret."""
    members = description.get("DomainMemberships") or ()
    current = [each for each in members if not str(_status(each)).startswith(("pending-leave", "pending-disable", "left"))]
    if not current:
        return None
    member = current[0]
    if member.get("AuthSecretArn") or member.get("OU"):
        wanted = {
            "DomainFqdn": member.get("FQDN"),
            "DomainOu": member.get("OU"),
            "DomainAuthSecretArn": member.get("AuthSecretArn"),
            "DomainDnsIps": sorted(member.get("DnsIps") or ()) or None,
        }
    else:
        wanted = {"Domain": member.get("Domain"), "DomainIAMRoleName": member.get("IAMRoleName")}
    return {name: value for name, value in wanted.items() if value is not None}


def _autoscaling_limit(description: dict) -> int | None:
    """MaxAllocatedStorage; RDS means "off" by absence and by a value that leaves no room to grow."""
    limit = description.get("MaxAllocatedStorage")
    return limit if limit and limit > (description.get("AllocatedStorage") or 0) else None


_VOLUME_SETTINGS = ("VolumeName", "AllocatedStorage", "IOPS", "MaxAllocatedStorage", "StorageThroughput", "StorageType")


def _volumes(description: dict) -> tuple:
    volumes = description.get("AdditionalStorageVolumes") or ()
    settings = (tuple((key, volume[key]) for key in _VOLUME_SETTINGS if volume.get(key) is not None) for volume in volumes)
    return tuple(sorted(settings))


def _managed_secret(description: dict) -> dict | None:
    """The managed master password without its ARN, which is a new one for every instance (and a secret)."""
    secret = description.get("MasterUserSecret")
    return {"KmsKeyId": secret.get("KmsKeyId")} if secret else None


def _own_tags(description: dict) -> dict[str, str]:
    return own_tags(tags_of(description))


def _certificate(description: dict) -> str | None:
    return (description.get("CertificateDetails") or {}).get("CAIdentifier")


def _region_of_copy(copy: dict) -> str:
    return ((copy.get("DBInstanceAutomatedBackupsArn") or "").split(":") + [""] * 4)[3]


def _replicated_backup_regions(description: dict) -> tuple[str, ...]:
    return tuple(sorted(_region_of_copy(copy) for copy in description.get("DBInstanceAutomatedBackupsReplications") or ()))


def _streams(description: dict) -> bool:
    """Whether a database activity stream runs, or is on its way to."""
    return description.get("ActivityStreamStatus") in ("starting", "started")


def _stream_policy(description: dict) -> str:
    """The audit policy of the stream: locked unless RDS says otherwise (ModifyActivityStream)."""
    state = description.get("ActivityStreamPolicyStatus")
    if not _streams(description):
        return state or "unlocked"
    return "unlocked" if state in ("unlocked", "unlocking-policy") else "locked"


# -- Writers: a canonical value -> the member as RDS describes it ----------------------------------------------------------------------


def _as_is(value: Any, description: dict) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _as_domain(value: dict, description: dict) -> list[dict]:
    names = {"Domain": "Domain", "DomainIAMRoleName": "IAMRoleName", "DomainFqdn": "FQDN", "DomainOu": "OU"}
    names |= {"DomainAuthSecretArn": "AuthSecretArn", "DomainDnsIps": "DnsIps"}
    return [{**{names[name]: each for name, each in value.items()}, "Status": "joined"}]


def _as_features(value: tuple, description: dict) -> list[dict]:
    return [{"Name": name, "Value": each} for name, each in value]


def _as_copies(regions: tuple, description: dict) -> list[dict]:
    return [{"DBInstanceAutomatedBackupsArn": f"arn:aws:rds:{region}:(account):auto-backup:(id)"} for region in regions]


# -- Parameters: a canonical value -> the value of the RDS parameter, and back ---------------------------------------------------------


def _to_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _from_list(value: Any) -> Any:
    return tuple(sorted(value)) if isinstance(value, list) else value


def _features_to_parameter(value: tuple) -> list[dict]:
    return [{"Name": name, "Value": each} for name, each in value]


def _features_from_parameter(value: list) -> tuple:
    return tuple(sorted((each["Name"], str(each["Value"])) for each in value))


def _volumes_to_parameter(value: tuple) -> list[dict]:
    return [dict(volume) for volume in value]


def _volumes_from_parameter(value: list) -> tuple:
    return tuple(sorted(tuple((key, volume[key]) for key in _VOLUME_SETTINGS if volume.get(key) is not None) for volume in value))


# -- What a restored instance or a new replica has when nothing was passed: (rule, origin, parameters) -> canonical value --------------


def _absent(rule: Rule, origin: dict, parameters: dict) -> Any:
    return None


def _as_origin(rule: Rule, origin: dict, parameters: dict) -> Any:
    return rule.read(origin)


def _always(value: Any) -> Callable:
    return lambda rule, origin, parameters: value


def _restored_storage_type(rule: Rule, origin: dict, parameters: dict) -> str:
    if not engine_row(origin.get("Engine")).storage_at_restore:
        return origin.get("StorageType")  # of which RDS takes no parameter, it can only keep the snapshot's
    return "io1" if "Iops" in parameters else "gp3"


def _restored_performance(rule: Rule, origin: dict, parameters: dict) -> int | None:
    # The snapshot's figures hold for the snapshot's kind of volume only.
    kind = parameters.get("StorageType") or _restored_storage_type(rule, origin, parameters)
    return rule.read(origin) if origin.get("StorageType") == kind else None


def _restored_lifecycle(rule: Rule, origin: dict, parameters: dict) -> str | None:
    return "open-source-rds-extended-support" if engine_row(origin.get("Engine")).lifecycle_support else None


def _default_parameter_group(rule: Rule, origin: dict, parameters: dict) -> str:
    engine = engine_row(origin.get("Engine"))
    major = ".".join(str(origin.get("EngineVersion") or "").split(".")[: engine.major_parts])
    return f"default.{engine.name}{major if engine.client else '-' + major}"


def _default_option_group(rule: Rule, origin: dict, parameters: dict) -> str:
    engine = engine_row(origin.get("Engine"))
    return f"default:{engine.name}-" + "-".join(str(origin.get("EngineVersion") or "").split(".")[: engine.major_parts])


# -- Conditions ------------------------------------------------------------------------------------------------------------------------


def _true(description: dict, engine: Engine) -> bool:
    return True


def _single_az(description: dict, engine: Engine) -> bool:
    return not description.get("MultiAZ")


def _iops_settable(description: dict, engine: Engine) -> bool:
    """io1 and io2 need Iops; gp3 takes it from a size on; elsewhere RDS refuses it whatever it describes."""
    kind = description.get("StorageType")
    return kind in ("io1", "io2") or _throughput_settable(description, engine)


def _throughput_settable(description: dict, engine: Engine) -> bool:
    return description.get("StorageType") == "gp3" and engine.takes_gp3_performance(description.get("AllocatedStorage"))


def _storage_at_restore(description: dict, engine: Engine) -> bool:
    return engine.storage_at_restore


def _provisioned_iops(description: dict, engine: Engine) -> bool:
    return description.get("StorageType") in ("io1", "io2")


def _insights_on(description: dict, engine: Engine) -> bool:
    return bool(description.get("PerformanceInsightsEnabled"))


def _monitoring_on(description: dict, engine: Engine) -> bool:
    return bool(description.get("MonitoringInterval"))


def _streaming(description: dict, engine: Engine) -> bool:
    return _streams(description)


def _stream_stopped(model: dict, current: dict, engine: Engine) -> bool:
    # Key, mode and fields are given when the stream is started; a stream that runs is never stopped, for it is an audit trail.
    return engine.activity_stream and _streams(model) and not _streams(current)


def _given(member: str) -> Callable[[dict, Engine], bool]:
    return lambda description, engine: bool(description.get(member))


def _always_changeable(model: dict, current: dict, engine: Engine) -> bool:
    return True


def version_key(version: str | None) -> tuple[int, ...]:
    """The numbers of an engine version, comparable: ``8.0.36`` -> (8, 0, 36)."""
    digits = "".join(character if character.isdigit() else " " for character in version or "")
    return tuple(int(each) for each in digits.split())


def _minor_upgrade(model: dict, current: dict, engine: Engine) -> bool:
    """RDS upgrades and never downgrades; a major upgrade is nothing that an encryption should do by the way."""
    wanted, present = version_key(model.get("EngineVersion")), version_key(current.get("EngineVersion"))
    return wanted > present and wanted[: engine.major_parts] == present[: engine.major_parts]


def _mirrorable(model: dict, current: dict, engine: Engine) -> bool:
    # SQL Server: "Mirroring cannot be applied to instances with backup retention set to zero" (terraform-provider-aws).
    return engine.multi_az_at_restore or not model.get("MultiAZ") or bool(current.get("BackupRetentionPeriod"))


def _first_insights_key(model: dict, current: dict, engine: Engine) -> bool:
    """The key is fixed for ever at the first enabling: later only the same key is a legal value."""
    present = current.get("PerformanceInsightsKMSKeyId")
    return not current.get("PerformanceInsightsEnabled") and present in (None, "", model.get("PerformanceInsightsKMSKeyId"))


def _grows(model: dict, current: dict, engine: Engine) -> bool:
    return (model.get("AllocatedStorage") or 0) > (current.get("AllocatedStorage") or 0)


def _leaves_room(model: dict, current: dict, engine: Engine) -> bool:
    limit = _autoscaling_limit(model)
    return limit is None or limit > (current.get("AllocatedStorage") or 0)


# -- Changes that are more than "parameter = value": (model, current) -> parameters, and the member after them -------------------------


def _grow(model: dict, current: dict) -> dict:
    wanted, present = model.get("AllocatedStorage") or 0, current.get("AllocatedStorage") or 0
    if wanted <= present:
        return {"AllocatedStorage": present}
    # RDS refuses to grow a volume by less than a tenth (RDS User Guide: Increasing DB instance storage capacity).
    return {"AllocatedStorage": max(wanted, (present * 11 + 9) // 10)}


def _change_autoscaling(model: dict, current: dict) -> dict:
    limit = _autoscaling_limit(model)
    # There is no parameter for "off": a limit equal to the size switches autoscaling off (ModifyDBInstance).
    return {"MaxAllocatedStorage": limit or _grow(model, current)["AllocatedStorage"]}


def _after_autoscaling(current: dict, parameters: dict) -> int | None:
    return _autoscaling_limit({**current, "MaxAllocatedStorage": parameters["MaxAllocatedStorage"]})


def _change_logs(model: dict, current: dict) -> dict:
    wanted, present = (set(each.get("EnabledCloudwatchLogsExports") or ()) for each in (model, current))
    delta = {}
    if wanted - present:
        delta["EnableLogTypes"] = sorted(wanted - present)
    if present - wanted:
        delta["DisableLogTypes"] = sorted(present - wanted)
    return {"CloudwatchLogsExportConfiguration": delta}


def _after_logs(current: dict, parameters: dict) -> list[str]:
    delta = parameters["CloudwatchLogsExportConfiguration"]
    present = set(current.get("EnabledCloudwatchLogsExports") or ())
    return sorted((present | set(delta.get("EnableLogTypes") or ())) - set(delta.get("DisableLogTypes") or ()))


def _change_features(model: dict, current: dict) -> dict:
    features = _processor_features(model)
    return {"ProcessorFeatures": _features_to_parameter(features)} if features else {"UseDefaultProcessorFeatures": True}


def _after_features(current: dict, parameters: dict) -> list[dict] | None:
    return parameters.get("ProcessorFeatures")


def _change_domain(model: dict, current: dict) -> dict:
    return _domain(model) or {"DisableDomain": True}


def _after_domain(current: dict, parameters: dict) -> list[dict]:
    if parameters.get("DisableDomain"):
        return []
    return _as_domain({name: parameters[name] for name in _DOMAIN_PARAMETERS if name in parameters}, current)


def _after_parameter_group(current: dict, parameters: dict) -> list[dict]:
    # By Modify a group needs a reboot before its static values hold (RDS User Guide: Parameter groups).
    return [{"DBParameterGroupName": parameters["DBParameterGroupName"], "ParameterApplyStatus": "pending-reboot"}]


def _change_volumes(model: dict, current: dict) -> dict:
    present = _volumes(current)
    return {"AdditionalStorageVolumes": _volumes_to_parameter(tuple(each for each in _volumes(model) if each not in present))}


def _after_volumes(current: dict, parameters: dict) -> list[dict]:
    volumes = {volume["VolumeName"]: volume for volume in current.get("AdditionalStorageVolumes") or ()}
    for volume in parameters["AdditionalStorageVolumes"]:
        volumes[volume["VolumeName"]] = {**volumes.get(volume["VolumeName"], {}), **volume}
    return [volumes[name] for name in sorted(volumes)]


def _change_secret(model: dict, current: dict) -> dict:
    secret = _managed_secret(model)
    if secret is None or _managed_secret(current) is not None:
        return {}  # handing the password back needs the password; the key of an existing secret cannot be changed
    key = {"MasterUserSecretKmsKeyId": secret["KmsKeyId"]} if secret["KmsKeyId"] else {}
    return {"ManageMasterUserPassword": True, **key}


def _after_secret(current: dict, parameters: dict) -> dict:
    secret = {"SecretStatus": "active"}
    if parameters.get("MasterUserSecretKmsKeyId"):
        secret["KmsKeyId"] = parameters["MasterUserSecretKmsKeyId"]
    return secret


def _change_stream(model: dict, current: dict) -> dict:
    return {"ApplyImmediately": True} if _streams(model) else {}


def _after_stream(current: dict, parameters: dict) -> str:
    return "started"


def _missing_copies(model: dict, current: dict) -> list[dict]:
    """The replicated backups of the model that ``current`` lacks and for which a key is named (``with_backup_keys``)."""
    present = _replicated_backup_regions(current)
    copies = model.get("DBInstanceAutomatedBackupsReplications") or ()
    return [copy for copy in copies if _region_of_copy(copy) not in present and copy.get("KmsKeyId")]


def _change_copies(model: dict, current: dict) -> dict:
    missing = _missing_copies(model, current)
    if not missing:
        return {}
    days = missing[0].get("BackupRetentionPeriod")
    given = {"DestinationRegion": _region_of_copy(missing[0]), "KmsKeyId": missing[0]["KmsKeyId"]}
    return {**given, **({"BackupRetentionPeriod": days} if days else {})}


def _after_copies(current: dict, parameters: dict) -> list[dict]:
    return [*(current.get("DBInstanceAutomatedBackupsReplications") or ()), *_as_copies((parameters["DestinationRegion"],), current)]


# -- What follows from other members: (description, engine) -> canonical value ---------------------------------------------------------


def _followed_iops(description: dict, engine: Engine) -> int | None:
    return _followed_performance(description, engine, "Iops", 0)


def _followed_throughput(description: dict, engine: Engine) -> int | None:
    return _followed_performance(description, engine, "StorageThroughput", 1)


def _followed_performance(description: dict, engine: Engine, member: str, index: int) -> int | None:
    value, size = description.get(member), description.get("AllocatedStorage")
    if description.get("StorageType") != "gp3":
        return value
    default = engine.gp3_default(size)[index]
    return (value or default) if engine.takes_gp3_performance(size) else default


def _followed_certificate(description: dict, engine: Engine) -> str | None:
    return description.get("CACertificateIdentifier")


def _followed_monitoring(description: dict, engine: Engine) -> str | None:
    return "arn:(named by the resource id)" if description.get("MonitoringInterval") else None


def _followed_stream(description: dict, engine: Engine) -> str | None:
    return "(named by the resource id)" if _streams(description) else None


# -- Expected values: (source, target, circumstances) -> (verdict, reason) -------------------------------------------------------------


def _expect_identifier(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = source.get("DBInstanceIdentifier"), target.get("DBInstanceIdentifier")
    if mine == its:
        return EQUAL, ""
    expected = circumstances.names.get(mine, its)
    if expected != its:
        return DIFFERENT, f"the counterpart of {mine} should be {expected}"
    return EXPLAINED, "source and target live side by side under two identifiers until the cutover"


def _expect_resource_id(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    if source.get("DbiResourceId") and source.get("DbiResourceId") == target.get("DbiResourceId"):
        return DIFFERENT, "source and target are one and the same instance"
    return EXPLAINED, "every restored instance has a resource id of its own; policies that name it (rds-db:connect) must be changed"


def _expect_status(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    status = target.get("DBInstanceStatus")
    if status == "backing-up":
        return EXPLAINED, "RDS is taking a backup of the target"
    if status not in READY_STATUSES:
        return DIFFERENT, f"the target is {status}, not available"
    return (EQUAL, "") if status == source.get("DBInstanceStatus") else (EXPLAINED, "state of the moment")


def _expect_first_database(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = source.get("DBName") or None, target.get("DBName") or None
    if mine == its:
        return EQUAL, ""
    if target.get("ReadReplicaSourceDBInstanceIdentifier") and None in (mine, its):
        return EXPLAINED, "a replica has the databases of its source, whether RDS shows the first one's name or not"
    return DIFFERENT, "the first database is data of the snapshot"


def _expect_endpoint(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = source.get("Endpoint") or {}, target.get("Endpoint") or {}
    if mine.get("Port") != its.get("Port"):
        return DIFFERENT, f"applications connect to port {mine.get('Port')}"
    if mine.get("HostedZoneId") and its.get("HostedZoneId") and mine["HostedZoneId"] != its["HostedZoneId"]:
        return DIFFERENT, "the address is in another hosted zone, so that the name would not lead applications to the target"
    if mine.get("Address") == its.get("Address"):
        return EQUAL, ""
    if not _named_after_identifier(source) or not _named_after_identifier(target):
        return EXPLAINED, "the address is not formed from the identifier, so it shows only after the cutover whether it is the known one"
    if _domain_of(source) != _domain_of(target):
        return (
            DIFFERENT,
            "beyond its identifier the address differs: the swap of names would not lead applications to the target",
        )
    return EXPLAINED, "the address follows the identifier"


def _named_after_identifier(description: dict) -> bool:
    address = (description.get("Endpoint") or {}).get("Address") or ""
    return address.lower().startswith((description.get("DBInstanceIdentifier") or "").lower() + ".")


def _domain_of(description: dict) -> str:
    """The part of the address that does not change with the identifier."""
    return description["Endpoint"]["Address"].lower().partition(".")[2]


def _expect_size(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = source.get("AllocatedStorage") or 0, target.get("AllocatedStorage") or 0
    if mine == its:
        return EQUAL, ""
    if its > mine:
        return EXPLAINED, "storage only grows: the target is larger (autoscaling, or a source that grew before the snapshot)"
    return DIFFERENT, "the target is smaller than the source, which grew after the snapshot; set AllocatedStorage by a modification"


def _expect_parameter_group(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    read = _first_name("DBParameterGroups", "DBParameterGroupName")
    if read(source) != read(target):
        return DIFFERENT, "another parameter group"
    states = [[_status(group) for group in each.get("DBParameterGroups") or ()] for each in (source, target)]
    if any(state != "in-sync" for state in states[1]):
        return DIFFERENT, f"the group is not in force on the target: {', '.join(states[1])}"
    if "pending-reboot" in states[0]:
        return EXPLAINED, "the source waits for a reboot and still runs with older static values; the target runs with the group's"
    return EQUAL, ""


def _expect_option_group(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    read = _first_name("OptionGroupMemberships", "OptionGroupName", gone=("pending-removal", "removing"))
    if read(source) is None and (read(target) or "").startswith("default:"):
        return EXPLAINED, "RDS gives an instance without an option group the default one, which is empty"
    if read(source) != read(target):
        return DIFFERENT, "another option group"
    states = sorted({_status(group) for group in target.get("OptionGroupMemberships") or ()} - {"in-sync", ""})
    return (DIFFERENT, f"the group is not in force on the target: {', '.join(states)}") if states else (EQUAL, "")


def _expect_security_groups(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    if _security_groups(source) != _security_groups(target):
        return DIFFERENT, "other security groups decide who can connect"
    waiting = sorted(group["VpcSecurityGroupId"] for group in target.get("VpcSecurityGroups") or () if group.get("Status") != "active")
    return (DIFFERENT, f"not yet active on the target: {', '.join(waiting)}") if waiting else (EQUAL, "")


def _expect_subnet_group(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = source.get("DBSubnetGroup") or {}, target.get("DBSubnetGroup") or {}
    if mine.get("DBSubnetGroupName") != its.get("DBSubnetGroupName"):
        return DIFFERENT, "another subnet group; moving an instance is an outage, so make the target again instead"
    if mine.get("VpcId") and its.get("VpcId") and mine["VpcId"] != its["VpcId"]:
        return DIFFERENT, "another VPC"
    return EQUAL, ""


def _expect_nothing_pending(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    pending = pending_values(target)
    if pending:
        return DIFFERENT, f"modifications of the target are still pending: {', '.join(sorted(pending))}"
    if pending_values(source):
        return EXPLAINED, "pending on the source only: the target was made from the values in force"
    return EQUAL, ""


def _expect_no_security_groups(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    if target.get("DBSecurityGroups"):
        return DIFFERENT, "the target has EC2-Classic security groups"
    return (EXPLAINED, "EC2-Classic is gone; VPC security groups decide") if source.get("DBSecurityGroups") else (EQUAL, "")


def _expect_encrypted(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    if not target.get("StorageEncrypted"):
        return DIFFERENT, "the target is not encrypted"
    return (EQUAL, "") if source.get("StorageEncrypted") else (EXPLAINED, "the purpose of the replacement")


def _expect_encryption_type(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    kind = target.get("StorageEncryptionType")
    if kind not in (None, "sse-kms"):  # an older botocore does not show it; StorageEncrypted decides then
        return DIFFERENT, "the target is not encrypted with a KMS key"
    return (EQUAL, "") if kind == source.get("StorageEncryptionType") else (EXPLAINED, "the purpose of the replacement")


def _expect_key(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    key = target.get("KmsKeyId")
    if circumstances.kms_key_arn and key != circumstances.kms_key_arn:
        return DIFFERENT, f"the key that was asked for is {circumstances.kms_key_arn}"
    if key == source.get("KmsKeyId"):
        return EQUAL, ""
    return (EXPLAINED, "the purpose of the replacement") if key else (DIFFERENT, "the target has no KMS key")


def _expect_domain(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = _domain(source), _domain(target)
    if mine != its:
        names = sorted(name for name in _DOMAIN_PARAMETERS if (mine or {}).get(name) != (its or {}).get(name))
        return DIFFERENT, f"users of the directory cannot log in alike: {', '.join(names)} differ"
    states = sorted({_status(each) for each in target.get("DomainMemberships") or ()} - {"joined", "kerberos-enabled", ""})
    return (DIFFERENT, f"the target has not joined the domain: {', '.join(states)}") if states else (EQUAL, "")


def _expect_roles(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    if _roles(source) != _roles(target):
        return DIFFERENT, "features that act through an IAM role (S3 import, ...) would fail or work differently"
    states = sorted({_status(each) for each in target.get("AssociatedRoles") or ()} - {"ACTIVE", ""})
    return (DIFFERENT, f"a role of the target is {', '.join(states)}") if states else (EQUAL, "")


def _expect_stream(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    if _streams(source) != _streams(target):
        return DIFFERENT, "the audit stream runs on one of them only"
    status = target.get("ActivityStreamStatus")
    return (DIFFERENT, f"the activity stream of the target is {status}") if status in ("starting", "stopping") else (EQUAL, "")


def _expect_promotion_tier(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = source.get("PromotionTier"), target.get("PromotionTier")
    if mine == its:
        return EQUAL, ""
    if mine is None or its is None:
        return EXPLAINED, "has a meaning in Aurora clusters only"
    return DIFFERENT, "Aurora would promote in another order"


def _expect_secret(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = _managed_secret(source), _managed_secret(target)
    if bool(mine) != bool(its):
        return DIFFERENT, "RDS manages the master password of one of them only"
    if not mine:
        return EQUAL, ""
    if mine != its:
        return DIFFERENT, "another KMS key encrypts the secret of the master password; it cannot be changed later"
    status = target["MasterUserSecret"].get("SecretStatus")
    if status not in (None, "active", "rotating"):
        return DIFFERENT, f"the secret of the target is {status}"
    return EXPLAINED, "RDS made a new secret with a new ARN; whoever reads the old one by its ARN must be told"


def _expect_tags(source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    mine, its = tags_of(source), tags_of(target)
    if own_tags(mine) != own_tags(its):
        keys = sorted(key for key in own_tags(mine).keys() | own_tags(its).keys() if own_tags(mine).get(key) != own_tags(its).get(key))
        return DIFFERENT, f"tags differ: {', '.join(keys)}"
    reserved = sorted(key for key in mine if key.startswith("aws:") and its.get(key) != mine[key])
    if reserved:
        return EXPLAINED, f"only AWS itself can set {', '.join(reserved)} (the owner is a CloudFormation stack, a backup plan, ...)"
    return (EQUAL, "") if mine == its else (EXPLAINED, "tags of this collection")


# -- The table -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """What is known of one member of the ``DBInstance`` shape.

    :param member: its name in the output of DescribeDBInstances.
    :param carry: how it gets onto the target.
    :param compare: how source and target are compared in it.
    :param why: what the operator reads when it differs or cannot be carried.
    :param source: where the row comes from.
    :param restore: parameter of RestoreDBInstanceFromDBSnapshot that sets it; a tuple when one member is several parameters, then the
        canonical value is the mapping of them.
    :param modify: parameter of ``operation`` (tuple: every name that ``change`` may use).
    :param operation: the RDS operation that sets it on an instance that exists.
    :param replica: parameter of CreateDBInstanceReadReplica.
    :param value: description -> canonical value; by default the member itself.
    :param describe: (canonical value, description) -> the member as RDS describes it.
    :param to_parameter: canonical value -> parameter value; ``from_parameter`` is its inverse.
    :param restored: the canonical value on a restored instance for which no parameter was passed.
    :param cloned: the same for a new replica; its origin is the parent.
    :param follows: (description, engine) -> canonical value, for members that result from others.
    :param applies: whether the attribute means anything on such an instance; where it does not, it is neither set nor held against the
        target, for the reason ``not_applicable``.
    :param at_restore: whether the parameter is passed at the restore although it exists; ``at_replica`` the same for replicas.
    :param changeable: (model, current, engine) -> whether a modification could make them equal.
    :param change: (model, current) -> parameters, where a modification is more than ``modify = value``.
    :param changed: (current, parameters) -> the member after such a modification.
    :param together: members whose parameters RDS wants in the same modification, even when they are equal already.
    :param accompanies: (model, current, engine) -> whether it really goes along when another row names it in ``together``; by default
        when it is changeable.
    :param late: position among the attributes that are set after everything else (0: not late).
    :param after_replicas: whether it, and what is later still, waits for the replicas of the instance.
    :param expected: (source, target, circumstances) -> (verdict, reason), for ``Compare.EXPECTED``.
    :param acceptable: whether an operator may accept a difference; False where the target would not be what the product is for.
    :param show: description -> the value as an operator may see it (no secrets).
    """

    member: str
    carry: Carry
    compare: Compare
    why: str
    source: str
    restore: str | tuple[str, ...] | None = None
    modify: str | tuple[str, ...] | None = None
    replica: str | tuple[str, ...] | None = None
    operation: str = "ModifyDBInstance"
    unit: str = ""
    value: Callable[[dict], Any] | None = None
    describe: Callable[[Any, dict], Any] = _as_is
    to_parameter: Callable[[Any], Any] = _to_list
    from_parameter: Callable[[Any], Any] = _from_list
    restored: Callable[[Rule, dict, dict], Any] = _absent
    cloned: Callable[[Rule, dict, dict], Any] = _absent
    follows: Callable[[dict, Engine], Any] | None = None
    applies: Callable[[dict, Engine], bool] = _true
    not_applicable: str = ""
    at_restore: Callable[[dict, Engine], bool] = _true
    at_replica: Callable[[dict, Engine], bool] = _true
    changeable: Callable[[dict, dict, Engine], bool] = _always_changeable
    change: Callable[[dict, dict], dict] | None = None
    changed: Callable[[dict, dict], Any] | None = None
    together: tuple[str, ...] = ()
    accompanies: Callable[[dict, dict, Engine], bool] | None = None
    late: int = 0
    after_replicas: bool = False
    expected: Callable[[dict, dict, Circumstances], tuple[str, str]] | None = None
    acceptable: bool = True
    show: Callable[[dict], Any] | None = None

    def read(self, description: dict) -> Any:
        """The canonical value of this attribute in a description."""
        value = self.value(description) if self.value else description.get(self.member)
        return tuple(value) if isinstance(value, list) else value

    def shown(self, description: dict) -> Any:
        """The value as an operator may see it."""
        return self.show(description) if self.show else self.read(description)

    def parameters(self, which: str | tuple[str, ...] | None, description: dict) -> dict[str, Any]:
        """The parameters that give another instance this attribute of ``description``; ``which`` is restore, modify or replica."""
        value = self.read(description)
        if which is None or value is None:
            return {}
        if isinstance(which, tuple):
            return {name: value[name] for name in which if name in value}
        return {which: self.to_parameter(value)}

    def from_parameters(self, which: str | tuple[str, ...] | None, parameters: dict) -> Any:
        """The canonical value that such parameters ask for, or None when none of them is there."""
        if isinstance(which, tuple):
            return {name: parameters[name] for name in which if name in parameters} or None
        return self.from_parameter(parameters[which]) if which in parameters else None

    def write(self, description: dict, value: Any) -> None:
        """Set this attribute in a description (None: absent)."""
        if value is None:
            description.pop(self.member, None)
        else:
            description[self.member] = self.describe(value, description)


_DOMAIN_PARAMETERS = ("Domain", "DomainIAMRoleName", "DomainFqdn", "DomainOu", "DomainAuthSecretArn", "DomainDnsIps")

_RESTORE = "RDS API: RestoreDBInstanceFromDBSnapshot"
_MODIFY = "RDS API: ModifyDBInstance"
_SHAPE = "RDS API: DBInstance"
_STORAGE = "RDS User Guide: Amazon RDS DB instance storage"


def _volatile(member: str, why: str, **more: Any) -> Rule:
    return Rule(member, Carry.VOLATILE, Compare.IGNORED, why, _SHAPE, **more)


def _inherited(member: str, why: str, **more: Any) -> Rule:
    return Rule(member, Carry.INHERITED, Compare.SAME, why, _RESTORE, restored=_as_origin, cloned=_as_origin, **more)


def _identity(member: str, why: str, compare: Compare = Compare.IGNORED, **more: Any) -> Rule:
    return Rule(member, Carry.BY_DESIGN, compare, why, _SHAPE, **more)


def _activity_stream(member: str, why: str, compare: Compare = Compare.SAME, **more: Any) -> Rule:
    more = {"operation": "StartActivityStream", **more}
    return Rule(member, Carry.SEPARATE_CALL, compare, why, f"RDS API: {more['operation']}", **more)


_STREAM_STOPPED = dict(applies=_streaming, not_applicable="the activity stream is stopped")


def _secret_given(description: dict, member: str) -> str | None:
    return "(given)" if description.get(member) else None


def _shown_domain(description: dict) -> dict | None:
    domain = _domain(description)
    return domain and {**domain, **({"DomainAuthSecretArn": "(given)"} if "DomainAuthSecretArn" in domain else {})}


def _shown_endpoint(description: dict) -> str | None:
    endpoint = description.get("Endpoint") or {}
    return f"{endpoint.get('Address') or ''}:{endpoint.get('Port') or ''}" if endpoint else None


def _shown_groups(member: str, key: str) -> Callable[[dict], tuple]:
    return lambda description: tuple(
        each.get(key, "") + ("" if _status(each) in ("", "in-sync", "active") else f" ({_status(each)})")
        for each in sorted(description.get(member) or (), key=lambda each: each.get(key, ""))
    )


def _shown_security_groups(description: dict) -> tuple[str, ...]:
    if quarantine_of(description):
        return original_security_groups(description)
    return _shown_groups("VpcSecurityGroups", "VpcSecurityGroupId")(description)


RULES: tuple[Rule, ...] = (
    _identity(
        "DBInstanceIdentifier",
        "the name goes to the target at the cutover",
        Compare.EXPECTED,
        expected=_expect_identifier,
    ),
    Rule(
        "DBInstanceClass",
        Carry.RESTORE,
        Compare.SAME,
        "another class has other memory, processors and price",
        _RESTORE,
        restore="DBInstanceClass",
        modify="DBInstanceClass",
        replica="DBInstanceClass",
        restored=_as_origin,
        cloned=_as_origin,
    ),
    _inherited("Engine", "the snapshot decides; the Engine parameter is for conversions only"),
    Rule(
        "DBInstanceStatus",
        Carry.VOLATILE,
        Compare.EXPECTED,
        "state of the moment; the target must be usable",
        "RDS User Guide: Viewing DB instance status",
        restored=_always("available"),
        cloned=_always("available"),
        expected=_expect_status,
    ),
    _inherited("MasterUsername", "the master user is data of the snapshot"),
    Rule(
        "DBName",
        Carry.INHERITED,
        Compare.EXPECTED,
        "the first database is data of the snapshot",
        _RESTORE,
        restored=_as_origin,
        cloned=_as_origin,
        expected=_expect_first_database,
    ),
    Rule(
        "Endpoint",
        Carry.RESTORE,
        Compare.EXPECTED,
        "applications connect to this address and port",
        _RESTORE + " (Port); " + _MODIFY + " (DBPortNumber)",
        restore="Port",
        modify="DBPortNumber",
        replica="Port",
        value=_port,
        describe=lambda port, description: {**(description.get("Endpoint") or {}), "Port": port},
        restored=_as_origin,
        cloned=_as_origin,
        expected=_expect_endpoint,
        show=_shown_endpoint,
    ),
    Rule(
        "AllocatedStorage",
        Carry.RESTORE,
        Compare.EXPECTED,
        "storage only grows; a larger target is right, a smaller one is not",
        _STORAGE,
        unit="GiB",
        restore="AllocatedStorage",
        modify="AllocatedStorage",
        replica="AllocatedStorage",
        restored=_as_origin,
        cloned=_as_origin,
        at_restore=_storage_at_restore,
        at_replica=_storage_at_restore,
        changeable=_grows,
        change=_grow,
        accompanies=lambda model, current, engine: _iops_settable(model, engine),
        together=("Iops", "StorageThroughput"),
        expected=_expect_size,
    ),
    _identity("InstanceCreateTime", "the target was made later"),
    Rule(
        "PreferredBackupWindow",
        Carry.RESTORE,
        Compare.SAME,
        "backups would run at another time of day",
        _RESTORE,
        restore="PreferredBackupWindow",
        modify="PreferredBackupWindow",
        together=("PreferredMaintenanceWindow",),
    ),
    Rule(
        "BackupRetentionPeriod",
        Carry.RESTORE,
        Compare.SAME,
        "point-in-time recovery would reach another number of days back",
        _RESTORE + "; RDS User Guide: Backup retention period",
        unit="days",
        restore="BackupRetentionPeriod",
        modify="BackupRetentionPeriod",
        value=_number("BackupRetentionPeriod"),
        restored=_as_origin,
        cloned=_always(0),
    ),
    Rule(
        "DBSecurityGroups",
        Carry.IMPOSSIBLE,
        Compare.EXPECTED,
        "EC2-Classic is gone; VPC security groups decide",
        _SHAPE,
        restored=_always(()),
        cloned=_always(()),
        expected=_expect_no_security_groups,
    ),
    Rule(
        "VpcSecurityGroups",
        Carry.RESTORE,
        Compare.EXPECTED,
        "they decide who can connect; RDS gives the default group of the VPC when none is passed",
        _RESTORE,
        restore="VpcSecurityGroupIds",
        modify="VpcSecurityGroupIds",
        replica="VpcSecurityGroupIds",
        value=_security_groups,
        describe=lambda ids, description: [{"VpcSecurityGroupId": each, "Status": "active"} for each in ids],
        at_restore=_given("VpcSecurityGroups"),
        at_replica=_given("VpcSecurityGroups"),
        changeable=lambda model, current, engine: bool(_security_groups(model)),
        expected=_expect_security_groups,
        show=_shown_security_groups,
    ),
    Rule(
        "DBParameterGroups",
        Carry.RESTORE,
        Compare.EXPECTED,
        "the settings of the engine; RDS takes the default group when none is passed",
        _RESTORE + "; RDS User Guide: Parameter groups",
        restore="DBParameterGroupName",
        modify="DBParameterGroupName",
        replica="DBParameterGroupName",
        value=_first_name("DBParameterGroups", "DBParameterGroupName"),
        describe=lambda name, description: [{"DBParameterGroupName": name, "ParameterApplyStatus": "in-sync"}],
        restored=_default_parameter_group,
        cloned=_as_origin,
        at_replica=lambda description, engine: engine.parameter_group_at_replica,
        changed=_after_parameter_group,
        expected=_expect_parameter_group,
        show=_shown_groups("DBParameterGroups", "DBParameterGroupName"),
    ),
    Rule(
        "AvailabilityZone",
        Carry.RESTORE,
        Compare.SAME,
        "another zone costs latency and traffic to applications beside it; it cannot be modified later",
        _RESTORE,
        restore="AvailabilityZone",
        replica="AvailabilityZone",
        applies=_single_az,
        not_applicable="a Multi-AZ instance lives in two zones, RDS chooses which is first",
    ),
    Rule(
        "DBSubnetGroup",
        Carry.RESTORE,
        Compare.EXPECTED,
        "it places the instance in its VPC; moving it later is an outage",
        _RESTORE,
        restore="DBSubnetGroupName",
        replica="DBSubnetGroupName",
        value=_subnet_group,
        describe=lambda name, description: {**(description.get("DBSubnetGroup") or {}), "DBSubnetGroupName": name},
        cloned=_as_origin,
        expected=_expect_subnet_group,
    ),
    Rule(
        "PreferredMaintenanceWindow",
        Carry.MODIFY,
        Compare.SAME,
        "maintenance would run at another time of the week",
        _MODIFY,
        modify="PreferredMaintenanceWindow",
        together=("PreferredBackupWindow",),
    ),
    Rule(
        "UpgradeRolloutOrder",
        Carry.IMPOSSIBLE,
        Compare.IGNORED,
        "RDS has no call that sets it; the upgrade rollout policy of the organization does",
        _SHAPE,
        restored=_always("second"),
        cloned=_always("second"),
    ),
    Rule(
        "PendingModifiedValues",
        Carry.VOLATILE,
        Compare.EXPECTED,
        "modifications that RDS has accepted and not yet made",
        _SHAPE,
        value=pending_values,
        restored=_always({}),
        cloned=_always({}),
        expected=_expect_nothing_pending,
        show=lambda description: tuple(sorted(pending_values(description))),
    ),
    _volatile("LatestRestorableTime", "appears with the first backup and moves on"),
    Rule(
        "MultiAZ",
        Carry.RESTORE,
        Compare.SAME,
        "without its standby the instance does not survive the loss of a zone",
        _RESTORE + "; CloudFormation's RDS provider (SQL Server: by modification)",
        restore="MultiAZ",
        modify="MultiAZ",
        replica="MultiAZ",
        value=_flag("MultiAZ"),
        restored=_always(False),
        cloned=_always(False),
        at_restore=lambda description, engine: engine.multi_az_at_restore,
        at_replica=lambda description, engine: engine.multi_az_at_restore,
        changeable=_mirrorable,
    ),
    _inherited(
        "EngineVersion",
        "RDS upgraded one of them; there is no way down, so test the application with the target's version or accept the difference",
        modify="EngineVersion",
        changeable=_minor_upgrade,
    ),
    Rule(
        "AutoMinorVersionUpgrade",
        Carry.RESTORE,
        Compare.SAME,
        "minor upgrades would, or would not, come by themselves",
        _RESTORE,
        restore="AutoMinorVersionUpgrade",
        modify="AutoMinorVersionUpgrade",
        replica="AutoMinorVersionUpgrade",
        value=_flag("AutoMinorVersionUpgrade"),
        restored=_always(True),
        cloned=_as_origin,
    ),
    Rule(
        "ReadReplicaSourceDBInstanceIdentifier",
        Carry.TOPOLOGY,
        Compare.MAPPED,
        "the target must replicate from the counterpart of the source's source",
        "RDS API: CreateDBInstanceReadReplica",
    ),
    Rule(
        "ReadReplicaDBInstanceIdentifiers",
        Carry.TOPOLOGY,
        Compare.MAPPED,
        "every replica of the source needs its counterpart",
        "RDS API: CreateDBInstanceReadReplica",
        value=_sorted("ReadReplicaDBInstanceIdentifiers"),
        restored=_always(()),
        cloned=_always(()),
    ),
    Rule(
        "ReadReplicaDBClusterIdentifiers",
        Carry.IMPOSSIBLE,
        Compare.MAPPED,
        "an Aurora replica of an RDS instance must be made by hand (create-db-cluster --replication-source-identifier)",
        "RDS API: CreateDBCluster",
        value=_sorted("ReadReplicaDBClusterIdentifiers"),
        restored=_always(()),
        cloned=_always(()),
    ),
    Rule(
        "ReplicaMode",
        Carry.TOPOLOGY,
        Compare.SAME,
        "an Oracle or Db2 replica would, or would not, be open for reading",
        "RDS API: CreateDBInstanceReadReplica",
        modify="ReplicaMode",
        replica="ReplicaMode",
    ),
    Rule(
        "LicenseModel",
        Carry.RESTORE,
        Compare.SAME,
        "the licence is paid for in another way",
        _RESTORE,
        restore="LicenseModel",
        modify="LicenseModel",
        restored=_as_origin,
        cloned=_as_origin,
    ),
    Rule(
        "Iops",
        Carry.RESTORE,
        Compare.SAME,
        "the volume would be slower or dearer",
        _STORAGE,
        unit="operations/s",
        restore="Iops",
        modify="Iops",
        replica="Iops",
        restored=_restored_performance,
        cloned=_restored_performance,
        follows=_followed_iops,
        applies=_iops_settable,
        not_applicable="follows from the storage type and size; RDS refuses it as a parameter",
        at_restore=_storage_at_restore,
        at_replica=_storage_at_restore,
        together=("AllocatedStorage", "StorageThroughput"),
    ),
    Rule(
        "StorageThroughput",
        Carry.RESTORE,
        Compare.SAME,
        "the volume would be slower or dearer",
        _STORAGE,
        unit="MiB/s",
        restore="StorageThroughput",
        modify="StorageThroughput",
        replica="StorageThroughput",
        restored=_restored_performance,
        cloned=_restored_performance,
        follows=_followed_throughput,
        applies=_throughput_settable,
        not_applicable="follows from the storage type and size; RDS refuses it as a parameter",
        at_restore=_storage_at_restore,
        at_replica=_storage_at_restore,
        together=("AllocatedStorage", "Iops"),
    ),
    Rule(
        "OptionGroupMemberships",
        Carry.RESTORE,
        Compare.EXPECTED,
        "options of the engine (audit, encryption, time zone files, ...)",
        _RESTORE + "; RDS User Guide: Working with option groups",
        restore="OptionGroupName",
        modify="OptionGroupName",
        replica="OptionGroupName",
        value=_first_name("OptionGroupMemberships", "OptionGroupName", gone=("pending-removal", "removing")),
        describe=lambda name, description: [{"OptionGroupName": name, "Status": "in-sync"}],
        restored=_default_option_group,
        cloned=_as_origin,
        at_replica=lambda description, engine: engine.option_group_at_replica,
        expected=_expect_option_group,
        show=_shown_groups("OptionGroupMemberships", "OptionGroupName"),
    ),
    _inherited("CharacterSetName", "the character set is chosen when a database is created"),
    _inherited("NcharCharacterSetName", "the national character set is chosen when a database is created"),
    _volatile("SecondaryAvailabilityZone", "RDS chooses the zone of the standby"),
    Rule(
        "PubliclyAccessible",
        Carry.RESTORE,
        Compare.SAME,
        "the address would resolve to a public, or no longer to a public, IP",
        _RESTORE,
        restore="PubliclyAccessible",
        modify="PubliclyAccessible",
        replica="PubliclyAccessible",
        value=_flag("PubliclyAccessible"),
        restored=_always(False),
        cloned=_always(False),
    ),
    _volatile("StatusInfos", "state of replication at the moment"),
    Rule(
        "StorageType",
        Carry.RESTORE,
        Compare.SAME,
        "another kind of volume; RDS takes gp3 (io1 when Iops is given) if none is passed",
        _RESTORE,
        restore="StorageType",
        modify="StorageType",
        replica="StorageType",
        restored=_restored_storage_type,
        cloned=_restored_storage_type,
        at_restore=_storage_at_restore,
        at_replica=_storage_at_restore,
        together=("AllocatedStorage", "Iops", "StorageThroughput"),
    ),
    _identity(
        "StorageEncryptionType",
        "the purpose of the replacement",
        Compare.EXPECTED,
        expected=_expect_encryption_type,
        acceptable=False,
        restored=_always("sse-kms"),
        cloned=_as_origin,
    ),
    Rule(
        "TdeCredentialArn",
        Carry.IMPOSSIBLE,
        Compare.SAME,
        "its password cannot be read back (CloudHSM Classic)",
        _RESTORE,
        show=lambda description: _secret_given(description, "TdeCredentialArn"),
    ),
    _volatile("DbInstancePort", "0 outside clusters; the port is in Endpoint", restored=_as_origin, cloned=_as_origin),
    _identity("DBClusterIdentifier", "a member of a DB cluster goes another way", Compare.SAME),
    _identity(
        "StorageEncrypted",
        "the purpose of the replacement",
        Compare.EXPECTED,
        expected=_expect_encrypted,
        acceptable=False,
        value=_flag("StorageEncrypted"),
        restored=_always(True),
        cloned=_as_origin,
    ),
    _identity(
        "KmsKeyId",
        "the purpose of the replacement",
        Compare.EXPECTED,
        expected=_expect_key,
        acceptable=False,
        cloned=_as_origin,
    ),
    _identity(
        "DbiResourceId",
        "every instance has its own",
        Compare.EXPECTED,
        expected=_expect_resource_id,
        acceptable=False,
    ),
    Rule(
        "CACertificateIdentifier",
        Carry.RESTORE,
        Compare.SAME,
        "clients that verify the certificate may trust another authority only",
        _RESTORE,
        restore="CACertificateIdentifier",
        modify="CACertificateIdentifier",
        replica="CACertificateIdentifier",
    ),
    Rule(
        "DomainMemberships",
        Carry.RESTORE,
        Compare.EXPECTED,
        "users of the directory could not log in",
        _RESTORE,
        restore=_DOMAIN_PARAMETERS,
        modify=(*_DOMAIN_PARAMETERS, "DisableDomain"),
        replica=_DOMAIN_PARAMETERS,
        value=_domain,
        describe=_as_domain,
        change=_change_domain,
        changed=_after_domain,
        expected=_expect_domain,
        show=_shown_domain,
    ),
    Rule(
        "CopyTagsToSnapshot",
        Carry.RESTORE,
        Compare.SAME,
        "snapshots would come without tags",
        _RESTORE,
        restore="CopyTagsToSnapshot",
        modify="CopyTagsToSnapshot",
        replica="CopyTagsToSnapshot",
        value=_flag("CopyTagsToSnapshot"),
        restored=_always(False),
        cloned=_always(False),
    ),
    Rule(
        "MonitoringInterval",
        Carry.MODIFY,
        Compare.SAME,
        "Enhanced Monitoring would look at another interval",
        _MODIFY,
        unit="s",
        modify="MonitoringInterval",
        replica="MonitoringInterval",
        value=_number("MonitoringInterval"),
        restored=_always(0),
        cloned=_always(0),
        together=("MonitoringRoleArn",),
    ),
    _identity(
        "EnhancedMonitoringResourceArn",
        "the log stream of Enhanced Monitoring is named by the resource id; dashboards on the old stream must be changed",
        Compare.PRESENCE,
        follows=_followed_monitoring,
    ),
    Rule(
        "MonitoringRoleArn",
        Carry.MODIFY,
        Compare.SAME,
        "Enhanced Monitoring would act through another role",
        _MODIFY,
        modify="MonitoringRoleArn",
        replica="MonitoringRoleArn",
        applies=_monitoring_on,
        not_applicable="Enhanced Monitoring is off, and RDS takes no role with interval 0",
        together=("MonitoringInterval",),
    ),
    Rule(
        "PromotionTier",
        Carry.MODIFY,
        Compare.EXPECTED,
        "Aurora would promote in another order",
        _MODIFY,
        modify="PromotionTier",
        applies=lambda description, engine: bool(description.get("DBClusterIdentifier")),
        not_applicable="has a meaning in Aurora clusters only",
        expected=_expect_promotion_tier,
        restored=_as_origin,
        cloned=_as_origin,
    ),
    _identity("DBInstanceArn", "the ARN contains the identifier and follows it at the cutover"),
    _inherited("Timezone", "the time zone is chosen when the instance is created"),
    Rule(
        "IAMDatabaseAuthenticationEnabled",
        Carry.RESTORE,
        Compare.SAME,
        "logins with IAM tokens would be refused, or allowed",
        _RESTORE,
        restore="EnableIAMDatabaseAuthentication",
        modify="EnableIAMDatabaseAuthentication",
        replica="EnableIAMDatabaseAuthentication",
        value=_flag("IAMDatabaseAuthenticationEnabled"),
        restored=_always(False),
        cloned=_always(False),
        at_restore=lambda description, engine: engine.iam_authentication or bool(description.get("IAMDatabaseAuthenticationEnabled")),
        at_replica=lambda description, engine: engine.iam_authentication or bool(description.get("IAMDatabaseAuthenticationEnabled")),
    ),
    Rule(
        "DatabaseInsightsMode",
        Carry.MODIFY,
        Compare.SAME,
        "Database Insights would show more or less",
        _MODIFY + "; terraform-provider-aws issue 41952",
        modify="DatabaseInsightsMode",
        value=_or_default("DatabaseInsightsMode", "standard"),
        restored=_always("standard"),
        cloned=_always("standard"),
        together=("PerformanceInsightsEnabled", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod"),
    ),
    Rule(
        "PerformanceInsightsEnabled",
        Carry.MODIFY,
        Compare.SAME,
        "Performance Insights would not collect",
        _MODIFY + "; terraform-provider-aws issue 3015",
        modify="EnablePerformanceInsights",
        replica="EnablePerformanceInsights",
        value=_flag("PerformanceInsightsEnabled"),
        restored=_always(False),
        cloned=_always(False),
        together=("PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod"),
    ),
    Rule(
        "PerformanceInsightsKMSKeyId",
        Carry.MODIFY,
        Compare.SAME,
        "RDS fixes the key of Performance Insights for ever when it is first switched on: with another key the target must be made again",
        _MODIFY + "; terraform-provider-aws pull request 9746",
        modify="PerformanceInsightsKMSKeyId",
        replica="PerformanceInsightsKMSKeyId",
        applies=_insights_on,
        not_applicable="Performance Insights is off; RDS shows a key of earlier days",
        changeable=_first_insights_key,
        together=("PerformanceInsightsEnabled", "PerformanceInsightsRetentionPeriod"),
    ),
    Rule(
        "PerformanceInsightsRetentionPeriod",
        Carry.MODIFY,
        Compare.SAME,
        "Performance Insights would look another number of days back",
        _MODIFY,
        unit="days",
        modify="PerformanceInsightsRetentionPeriod",
        replica="PerformanceInsightsRetentionPeriod",
        applies=_insights_on,
        not_applicable="Performance Insights is off",
        together=("PerformanceInsightsEnabled", "PerformanceInsightsKMSKeyId"),
    ),
    Rule(
        "EnabledCloudwatchLogsExports",
        Carry.RESTORE,
        Compare.SET,
        "logs would not reach CloudWatch, or more of them would",
        _RESTORE + "; " + _MODIFY + " (CloudwatchLogsExportConfiguration)",
        restore="EnableCloudwatchLogsExports",
        modify=("CloudwatchLogsExportConfiguration",),
        replica="EnableCloudwatchLogsExports",
        value=_sorted("EnabledCloudwatchLogsExports"),
        restored=_always(()),
        cloned=_always(()),
        at_restore=_given("EnabledCloudwatchLogsExports"),
        at_replica=_given("EnabledCloudwatchLogsExports"),
        change=_change_logs,
        changed=_after_logs,
    ),
    Rule(
        "ProcessorFeatures",
        Carry.RESTORE,
        Compare.SET,
        "the instance would have other processors, and other licences to pay",
        _RESTORE,
        restore="ProcessorFeatures",
        modify=("ProcessorFeatures", "UseDefaultProcessorFeatures"),
        replica="ProcessorFeatures",
        value=_processor_features,
        describe=_as_features,
        to_parameter=_features_to_parameter,
        from_parameter=_features_from_parameter,
        change=_change_features,
        changed=_after_features,
    ),
    Rule(
        "DeletionProtection",
        Carry.MODIFY,
        Compare.SAME,
        "the instance could be deleted by mistake; it is set last, since a half-made target must stay deletable",
        _MODIFY,
        modify="DeletionProtection",
        value=_flag("DeletionProtection"),
        restored=_always(False),
        cloned=_always(False),
        late=5,
    ),
    Rule(
        "AssociatedRoles",
        Carry.SEPARATE_CALL,
        Compare.EXPECTED,
        "features that act through an IAM role (S3 import, ...) would fail",
        "RDS API: AddRoleToDBInstance",
        value=_roles,
        describe=lambda roles, description: [{"RoleArn": arn, "FeatureName": feature, "Status": "ACTIVE"} for arn, feature in roles],
        restored=_always(()),
        cloned=_always(()),
        expected=_expect_roles,
    ),
    _identity("ListenerEndpoint", "the listener of SQL Server Always On follows the identifier", Compare.PRESENCE),
    Rule(
        "MaxAllocatedStorage",
        Carry.MODIFY,
        Compare.SAME,
        "storage would not grow by itself, or not as far",
        _MODIFY,
        unit="GiB",
        modify=("MaxAllocatedStorage",),
        replica="MaxAllocatedStorage",
        value=_autoscaling_limit,
        at_replica=_storage_at_restore,
        changeable=_leaves_room,
        change=_change_autoscaling,
        changed=_after_autoscaling,
    ),
    Rule(
        "TagList",
        Carry.SEPARATE_CALL,
        Compare.EXPECTED,
        "cost reports, access policies and backup plans go by tags",
        _RESTORE + " (Tags); RDS API: AddTagsToResource",
        value=_own_tags,
        describe=lambda tags, description: [{"Key": key, "Value": tags[key]} for key in sorted(tags)],
        restored=_always({}),
        cloned=_always({}),
        expected=_expect_tags,
        show=tags_of,
    ),
    Rule("AutomationMode", Carry.IMPOSSIBLE, Compare.SAME, "RDS Custom cannot be carried", _SHAPE),
    _volatile("ResumeFullAutomationModeTime", "RDS Custom only"),
    Rule(
        "CustomerOwnedIpEnabled",
        Carry.RESTORE,
        Compare.SAME,
        "networks on premises could not reach the instance (AWS Outposts)",
        _RESTORE,
        restore="EnableCustomerOwnedIp",
        modify="EnableCustomerOwnedIp",
        replica="EnableCustomerOwnedIp",
        value=_flag("CustomerOwnedIpEnabled"),
        restored=_always(False),
        cloned=_always(False),
        at_restore=_given("CustomerOwnedIpEnabled"),
        at_replica=_given("CustomerOwnedIpEnabled"),
    ),
    Rule(
        "NetworkType",
        Carry.RESTORE,
        Compare.SAME,
        "IPv6 clients could not connect",
        _RESTORE,
        restore="NetworkType",
        modify="NetworkType",
        replica="NetworkType",
        value=_or_default("NetworkType", "IPV4"),
        restored=_always("IPV4"),
        cloned=_always("IPV4"),
        at_restore=_given("NetworkType"),
        at_replica=_given("NetworkType"),
    ),
    _activity_stream(
        "ActivityStreamStatus",
        "the audit stream is started on the target after its replicas exist (Oracle and SQL Server have one); starting it on Oracle clears "
        "the unified audit trail of the target, which the old instance keeps",
        Compare.EXPECTED,
        modify=("ApplyImmediately",),
        value=lambda description: "started" if _streams(description) else "stopped",
        restored=_always("stopped"),
        cloned=_always("stopped"),
        changeable=_stream_stopped,
        change=_change_stream,
        changed=_after_stream,
        together=("ActivityStreamKmsKeyId", "ActivityStreamMode", "ActivityStreamEngineNativeAuditFieldsIncluded"),
        late=2,
        after_replicas=True,
        expected=_expect_stream,
    ),
    _activity_stream(
        "ActivityStreamKmsKeyId",
        "another key encrypts the audit stream; stop and start it by hand",
        modify="KmsKeyId",
        changeable=_stream_stopped,
        **_STREAM_STOPPED,
    ),
    _identity(
        "ActivityStreamKinesisStreamName",
        "the stream is named by the resource id; its consumers must be moved",
        Compare.PRESENCE,
        follows=_followed_stream,
    ),
    _activity_stream(
        "ActivityStreamMode",
        "the audit stream is synchronous on one of them only; stop and start it by hand",
        modify="Mode",
        changeable=_stream_stopped,
        **_STREAM_STOPPED,
    ),
    _activity_stream(
        "ActivityStreamEngineNativeAuditFieldsIncluded",
        "the audit stream holds other fields; stop and start it by hand",
        modify="EngineNativeAuditFieldsIncluded",
        value=_flag("ActivityStreamEngineNativeAuditFieldsIncluded"),
        restored=_always(False),
        cloned=_always(False),
        changeable=_stream_stopped,
        **_STREAM_STOPPED,
    ),
    Rule(
        "AwsBackupRecoveryPointArn",
        Carry.IMPOSSIBLE,
        Compare.IGNORED,
        "belongs to AWS Backup, which makes a recovery point of its own for the target",
        _MODIFY,
    ),
    Rule(
        "DBInstanceAutomatedBackupsReplications",
        Carry.SEPARATE_CALL,
        Compare.SET,
        "backups would not be replicated to the other region; a key of that region must be named in "
        "rds_encryption_backup_replication_kms_keys, since backups of an encrypted instance are encrypted there, too",
        "RDS API: StartDBInstanceAutomatedBackupsReplication",
        modify=("KmsKeyId", "BackupRetentionPeriod"),
        operation="StartDBInstanceAutomatedBackupsReplication",
        value=_replicated_backup_regions,
        describe=_as_copies,
        restored=_always(()),
        cloned=_always(()),
        changeable=lambda model, current, engine: bool(_missing_copies(model, current)),
        change=_change_copies,
        changed=_after_copies,
        late=4,
    ),
    Rule(
        "BackupTarget",
        Carry.RESTORE,
        Compare.SAME,
        "backups would be kept in another place (AWS Outposts)",
        _RESTORE,
        restore="BackupTarget",
        replica="BackupTarget",
        value=_or_default("BackupTarget", "region"),
        restored=_always("region"),
        cloned=_always("region"),
        at_restore=lambda description, engine: description.get("BackupTarget") not in (None, "", "region"),
        at_replica=lambda description, engine: description.get("BackupTarget") not in (None, "", "region"),
    ),
    _volatile("AutomaticRestartTime", "while an instance is stopped"),
    Rule("CustomIamInstanceProfile", Carry.IMPOSSIBLE, Compare.SAME, "RDS Custom cannot be carried", _SHAPE),
    _activity_stream(
        "ActivityStreamPolicyStatus",
        "the audit policy of the stream would be open to changes, or no longer be",
        operation="ModifyActivityStream",
        modify="AuditPolicyState",
        value=_stream_policy,
        changeable=lambda model, current, engine: _streams(model) and _streams(current),
        late=3,
        **_STREAM_STOPPED,
    ),
    Rule(
        "CertificateDetails",
        Carry.VOLATILE,
        Compare.SAME,
        "follows CACertificateIdentifier; the validity of the certificate itself is not compared",
        _SHAPE,
        value=_certificate,
        describe=lambda authority, description: {**(description.get("CertificateDetails") or {}), "CAIdentifier": authority},
        follows=_followed_certificate,
        applies=_given("CertificateDetails"),
        not_applicable="RDS does not show it on the source",
    ),
    _inherited("DBSystemId", "the system identifier is chosen when an Oracle database is created"),
    Rule(
        "MasterUserSecret",
        Carry.MODIFY,
        Compare.EXPECTED,
        "RDS keeps the master password in a new secret; set after the replicas, which RDS refuses to make of such a source",
        _MODIFY + "; RDS User Guide: Password management with Secrets Manager",
        modify=("ManageMasterUserPassword", "MasterUserSecretKmsKeyId"),
        value=_managed_secret,
        describe=lambda secret, description: {"SecretStatus": "active", **{key: each for key, each in secret.items() if each}},
        change=_change_secret,
        changed=_after_secret,
        late=1,
        after_replicas=True,
        expected=_expect_secret,
        show=lambda description: {"managed": True, **_managed_secret(description)} if description.get("MasterUserSecret") else None,
    ),
    Rule(
        "ReadReplicaSourceDBClusterIdentifier",
        Carry.TOPOLOGY,
        Compare.MAPPED,
        "a replica of a Multi-AZ DB cluster goes another way",
        "RDS API: CreateDBInstanceReadReplica",
    ),
    _volatile("PercentProgress", "progress of the moment"),
    _inherited("MultiTenant", "the tenancy is converted in one direction only (Oracle)", value=_flag("MultiTenant")),
    Rule(
        "DedicatedLogVolume",
        Carry.RESTORE,
        Compare.SAME,
        "the transaction log would share the volume of the data; setting it later needs a reboot",
        _RESTORE,
        restore="DedicatedLogVolume",
        modify="DedicatedLogVolume",
        replica="DedicatedLogVolume",
        value=_log_volume,
        restored=_as_origin,
        cloned=_always(False),
        at_restore=_provisioned_iops,
        at_replica=_provisioned_iops,
    ),
    _volatile("IsStorageConfigUpgradeAvailable", "an offer of RDS", restored=_as_origin, cloned=_as_origin),
    Rule(
        "EngineLifecycleSupport",
        Carry.RESTORE,
        Compare.SAME,
        "RDS enrols a restored instance in paid Extended Support unless told otherwise; an older botocore cannot tell it",
        _RESTORE,
        restore="EngineLifecycleSupport",
        modify="EngineLifecycleSupport",
        restored=_restored_lifecycle,
        cloned=_as_origin,
        at_restore=lambda description, engine: engine.lifecycle_support,
        applies=_given("EngineLifecycleSupport"),
        not_applicable="RDS does not show it on the source (Extended Support exists for MySQL and PostgreSQL)",
    ),
    Rule(
        "AdditionalStorageVolumes",
        Carry.RESTORE,
        Compare.SET,
        "the further volumes of an Oracle or SQL Server instance",
        _RESTORE,
        restore="AdditionalStorageVolumes",
        modify=("AdditionalStorageVolumes",),
        replica="AdditionalStorageVolumes",
        value=_volumes,
        describe=lambda volumes, description: _volumes_to_parameter(volumes),
        to_parameter=_volumes_to_parameter,
        from_parameter=_volumes_from_parameter,
        restored=_as_origin,
        cloned=_as_origin,
        at_restore=lambda description, engine: engine.storage_at_restore and bool(description.get("AdditionalStorageVolumes")),
        at_replica=lambda description, engine: engine.storage_at_restore and bool(description.get("AdditionalStorageVolumes")),
        changeable=lambda model, current, engine: bool(set(_volumes(model)) - set(_volumes(current))),
        change=_change_volumes,
        changed=_after_volumes,
    ),
    _volatile("StorageVolumeStatus", "state of the moment"),
    _volatile("StorageOperationStatus", "Initializing: blocks still come from the snapshot and are slow at first touch"),
    _volatile("StorageOperationPercentProgress", "progress of the moment"),
    Rule(
        "DBCapacityReservationIdentifier",
        Carry.IMPOSSIBLE,
        Compare.IGNORED,
        "the old instance holds the reservation until it is retired; then set it on the target by a modification",
        _MODIFY,
    ),
)

RULES_BY_MEMBER: dict[str, Rule] = {rule.member: rule for rule in RULES}

LATE: tuple[str, ...] = tuple(rule.member for rule in sorted(RULES, key=lambda rule: rule.late) if rule.late)
"""What is set after everything else, replicas included, in this order."""
