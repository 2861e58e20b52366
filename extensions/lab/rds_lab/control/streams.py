# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Activity streams, and automated backups replicated to another region."""

from __future__ import annotations

from . import catalogue, checks, tagging, view
from .errors import RdsError, combination, instance_state, value
from .registry import operation
from .state import Instance


def _streaming(plane, call, arn: str) -> Instance:
    instance = tagging.resource(plane, call.region, arn)
    if not isinstance(instance, Instance):
        raise RdsError("NotImplemented", "The lab has activity streams of DB instances only.")
    if not (catalogue.is_oracle(instance.engine) or catalogue.is_sqlserver(instance.engine)):
        raise combination(f"Database activity streams are not supported for DB instances of engine {instance.engine}.")
    checks.available(instance)
    return instance


@operation("StartActivityStream")
def start(plane, call, request):
    instance = _streaming(plane, call, request["ResourceArn"])
    if instance.facts["ActivityStreamStatus"] != "stopped":
        raise instance_state("The activity stream is not stopped.")
    if request["Mode"] != "async":
        raise combination("A DB instance has activity streams in mode async only.")
    facts = {
        "ActivityStreamKmsKeyId": plane.neighbours.check_key(call.region, request["KmsKeyId"]).arn,
        "ActivityStreamKinesisStreamName": f"aws-rds-das-{instance.resource_id}",
        "ActivityStreamMode": request["Mode"],
        "ActivityStreamEngineNativeAuditFieldsIncluded": request.get("EngineNativeAuditFieldsIncluded", False),
        "ActivityStreamPolicyStatus": "locked",     # RDS API: ModifyActivityStream, "locked (default)"
    }
    instance.facts.update(facts, ActivityStreamStatus="starting")
    plane.publish(instance)

    def run(transition):
        transition.wait(plane.settings.modify)
        with plane.changing(instance):
            instance.facts["ActivityStreamStatus"] = "started"

    plane.spawn_beside(instance, run)
    return {"KmsKeyId": facts["ActivityStreamKmsKeyId"], "KinesisStreamName": facts["ActivityStreamKinesisStreamName"],
            "Status": "starting", "Mode": request["Mode"],
            "EngineNativeAuditFieldsIncluded": facts["ActivityStreamEngineNativeAuditFieldsIncluded"],
            "ApplyImmediately": request.get("ApplyImmediately", False)}


@operation("ModifyActivityStream")
def modify(plane, call, request):
    instance = _streaming(plane, call, request["ResourceArn"])
    if instance.facts["ActivityStreamStatus"] != "started":
        raise instance_state("The activity stream is not started.")
    wanted = request.get("AuditPolicyState")
    if wanted not in ("locked", "unlocked"):
        raise value(f"Invalid AuditPolicyState: {wanted}")
    instance.facts["ActivityStreamPolicyStatus"] = wanted.replace("locked", "locking-policy")
    plane.publish(instance)

    def run(transition):
        transition.wait(plane.settings.modify_settings)
        with plane.changing(instance):
            instance.facts["ActivityStreamPolicyStatus"] = wanted

    plane.spawn_beside(instance, run)
    return {"KmsKeyId": instance.facts["ActivityStreamKmsKeyId"], "KinesisStreamName": instance.facts["ActivityStreamKinesisStreamName"],
            "Status": "started", "Mode": instance.facts["ActivityStreamMode"],
            "EngineNativeAuditFieldsIncluded": instance.facts.get("ActivityStreamEngineNativeAuditFieldsIncluded", False),
            "PolicyStatus": instance.facts["ActivityStreamPolicyStatus"]}


@operation("StopActivityStream")
def stop(plane, call, request):
    instance = _streaming(plane, call, request["ResourceArn"])
    if instance.facts["ActivityStreamStatus"] != "started":
        raise instance_state("The activity stream is not started.")
    answer = {"KmsKeyId": instance.facts["ActivityStreamKmsKeyId"], "KinesisStreamName": instance.facts["ActivityStreamKinesisStreamName"],
              "Status": "stopping"}
    instance.facts["ActivityStreamStatus"] = "stopping"
    plane.publish(instance)

    def run(transition):
        transition.wait(plane.settings.modify)
        with plane.changing(instance):
            for name in [name for name in instance.facts if name.startswith("ActivityStream")]:
                del instance.facts[name]
            instance.facts["ActivityStreamStatus"] = "stopped"

    plane.spawn_beside(instance, run)
    return answer


def _source(plane, call, arn: str) -> Instance:
    parts = arn.split(":", 6)
    if len(parts) != 7 or parts[5] != "db":
        raise value(f"Invalid resource name: {arn}")
    if parts[3] == call.region:
        raise combination("Automated backups are replicated to another region than that of the DB instance.")
    return plane.instance(parts[3], parts[6])


@operation("StartDBInstanceAutomatedBackupsReplication")
def start_replication(plane, call, request):
    source = _source(plane, call, request["SourceDBInstanceArn"])
    checks.ready(source)
    if not source.facts["BackupRetentionPeriod"]:
        raise instance_state("Automated backups are not enabled for this database instance.")
    key = request.get("KmsKeyId")
    if source.facts["StorageEncrypted"] and not key:
        raise combination("A KMS key of the destination region must be given for the backups of an encrypted DB instance.")
    key = plane.neighbours.check_key(call.region, key).arn if key else None
    here = plane.store.region(call.region).automated_backups
    if source.resource_id in here:
        raise RdsError("DBInstanceAutomatedBackupQuotaExceeded", "The automated backups of this DB instance are replicated already.")
    if len([entry for entry in here.values() if entry.get("Region") != call.region]) >= 20:
        raise RdsError("DBInstanceAutomatedBackupQuotaExceeded", "The quota of replicated automated backups is exceeded.")
    arn = view.arn(plane, call.region, "auto-backup", "ab-" + source.resource_id[3:].lower())
    held = source.facts.get("DBInstanceAutomatedBackupsReplications") or []
    note_copy(plane, source, arn, request.get("BackupRetentionPeriod", 7), key)
    source.facts["DBInstanceAutomatedBackupsReplications"] = [*held, {"DBInstanceAutomatedBackupsArn": arn}]
    plane.publish(source)
    return {"DBInstanceAutomatedBackup": here[source.resource_id]}


def note_copy(plane, source, arn: str, days: int, key: str | None) -> None:
    """The automated backups of an instance are in the region of an ARN, too; the caller holds the lock."""
    entry = plane.store.region(source.region).automated_backups.get(source.resource_id)
    if entry is None:
        raise RdsError("InvalidDBInstanceAutomatedBackupState", "The first automated backup of the DB instance has not finished.")
    copied = {**entry, "DBInstanceAutomatedBackupsArn": arn, "Status": "replicating", "BackupRetentionPeriod": days}
    copied.pop("KmsKeyId", None)
    plane.store.region(arn.split(":")[3]).automated_backups[source.resource_id] = {**copied, **({"KmsKeyId": key} if key else {})}


@operation("StopDBInstanceAutomatedBackupsReplication")
def stop_replication(plane, call, request):
    source = _source(plane, call, request["SourceDBInstanceArn"])
    entry = plane.store.region(call.region).automated_backups.pop(source.resource_id, None)
    if entry is None:
        raise RdsError("DBInstanceAutomatedBackupNotFound", "The automated backups of this DB instance are not replicated here.")
    kept = [each for each in source.facts.get("DBInstanceAutomatedBackupsReplications", []) if each != {
        "DBInstanceAutomatedBackupsArn": entry["DBInstanceAutomatedBackupsArn"]}]
    source.facts["DBInstanceAutomatedBackupsReplications"] = kept or None
    plane.publish(source)
    return {"DBInstanceAutomatedBackup": {**entry, "Status": "deleting"}}
