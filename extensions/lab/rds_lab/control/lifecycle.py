# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reboot, stop, start, promote and delete."""

from __future__ import annotations

from . import catalogue, checks, snapshots, view
from .errors import combination, instance_state
from .registry import operation


def _shown(plane, instance) -> dict:
    return {"DBInstance": view.shown(view.instance_view(plane, instance), plane.clock.now())}


@operation("RebootDBInstance")
def reboot(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    checks.available(instance)
    failover = request.get("ForceFailover", False)
    if failover and not instance.facts["MultiAZ"]:
        raise combination("Cannot force failover since the instance is not configured for Multi-AZ.")

    def run(transition):
        transition.wait(plane.settings.accept)
        transition.status(instance, "rebooting")
        plane.event(instance, ["availability"], "DB instance shutdown", "RDS-EVENT-0004")
        if failover:
            plane.event(instance, ["failover"], "Multi-AZ instance failover started", "RDS-EVENT-0013")
        plane.restart(transition, instance, plane.settings.failover if failover else plane.settings.reboot)
        plane.event(instance, ["availability"], "DB instance restarted", "RDS-EVENT-0006")
        with plane.changing(instance):
            instance.status, instance.busy = plane.resting_status(instance), ""
        if failover:
            plane.event(instance, ["failover"], "A Multi-AZ failover has completed", "RDS-EVENT-0049")
            plane.spawn_beside(instance, swap)

    def swap(transition):
        """The zones are swapped; a describe shows it late."""
        transition.wait(plane.settings.failover_describe_lag)
        with plane.changing(instance):
            facts = instance.facts
            if facts["MultiAZ"]:
                primary, standby = facts["AvailabilityZone"], facts["SecondaryAvailabilityZone"]
                facts["AvailabilityZone"], facts["SecondaryAvailabilityZone"] = standby, primary

    answer = _shown(plane, instance)
    answer["DBInstance"]["DBInstanceStatus"] = "rebooting"
    plane.spawn(instance, "rebooting", run)
    return answer


@operation("StopDBInstance")
def stop(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    checks.available(instance, f"Instance {instance.name} is not in available state.")
    if instance.facts.get("DBClusterIdentifier"):
        raise instance_state("A member of a DB cluster can't be stopped by itself.")
    if instance.source_id or instance.source_arn:
        raise instance_state("Cannot stop or start a read replica.")
    if plane.store.replicas(instance) or instance.foreign_replicas:
        raise instance_state("Cannot stop or start a DB instance that is the source of a read replica.")
    if catalogue.is_sqlserver(instance.engine) and instance.facts["MultiAZ"]:
        raise instance_state("Cannot stop or start a SQL Server instance in a Multi-AZ configuration.")
    snapshot = None
    if request.get("DBSnapshotIdentifier"):
        name = snapshots.snapshot_name(plane, call.region, request["DBSnapshotIdentifier"])
        checks.snapshot_quota(plane, call.region)
        snapshot = snapshots.make(plane, instance, name, dict(instance.tags) if instance.facts["CopyTagsToSnapshot"] else {})

    def run(transition):
        transition.wait(plane.settings.accept)
        transition.status(instance, "stopping")
        if snapshot:
            snapshots.write(plane, transition, instance, snapshot)
        transition.serve(plane.settings.stop, instance.supported, "stop", instance.resource_id)
        with plane.changing(instance):
            instance.status, instance.busy = "stopped", ""
            instance.stopped_since = plane.clock.now()
            instance.pending.clear()
            instance.pending_shown.clear()
            instance.facts["AutomaticRestartTime"] = plane.clock.time() + plane.delta(plane.settings.automatic_restart)
        plane.event(instance, ["notification"], "DB instance stopped", "RDS-EVENT-0087")

    answer = _shown(plane, instance)
    answer["DBInstance"]["DBInstanceStatus"] = "stopping"
    plane.spawn(instance, "stopping", run)
    return answer


@operation("StartDBInstance")
def start(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    if instance.busy or instance.status not in ("stopped", "inaccessible-encryption-credentials-recoverable"):
        raise instance_state(f"Instance {instance.name} is not stopped or inaccessible-encryption-credentials-recoverable, "
                             "it cannot be started.")
    if instance.facts["StorageEncrypted"]:
        plane.neighbours.check_key(call.region, instance.facts["KmsKeyId"])
    answer = _shown(plane, instance)
    answer["DBInstance"]["DBInstanceStatus"] = "starting"
    begin_start(plane, instance)
    return answer


def begin_start(plane, instance) -> None:
    """Start a stopped instance; its parameter group comes into force. The caller holds the lock."""

    def run(transition):
        transition.wait(plane.settings.accept)
        transition.status(instance, "starting")
        with plane.lock:
            values = plane.group_values(instance)
        transition.serve(plane.settings.start, instance.supported, "start", instance.resource_id,
                         parameters=plane.server_parameters(instance, values))
        with plane.changing(instance):
            instance.in_force, instance.parameter_status = dict(values), "in-sync"
            instance.facts.pop("AutomaticRestartTime", None)
            instance.key_lost_since = instance.stopped_since = 0.0
            instance.status, instance.busy = plane.resting_status(instance), ""
        plane.event(instance, ["notification"], "DB instance started", "RDS-EVENT-0088")

    plane.spawn(instance, "starting", run)


@operation("PromoteReadReplica")
def promote(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    if not (instance.source_id or instance.source_arn):
        raise instance_state("DB Instance is not a read replica.")
    checks.available(instance, "DB instance is not in the available state.")
    days = checks.retention(request.get("BackupRetentionPeriod", instance.facts["BackupRetentionPeriod"] or 1))
    if request.get("PreferredBackupWindow"):
        checks.windows(request["PreferredBackupWindow"], instance.facts["PreferredMaintenanceWindow"])

    def run(transition):
        transition.wait(plane.settings.accept)
        transition.status(instance, "modifying")
        transition.serve(plane.settings.promote / 2, instance.supported, "promote", instance.resource_id)
        transition.status(instance, "rebooting")
        plane.restart(transition, instance, plane.settings.promote / 2, days)
        with plane.changing(instance):
            unlink(plane, instance)
            if request.get("PreferredBackupWindow"):
                instance.facts["PreferredBackupWindow"] = request["PreferredBackupWindow"]
            first = not instance.facts["BackupRetentionPeriod"]
            instance.facts["BackupRetentionPeriod"] = days
            if days and first:
                instance.status = "backing-up"
        plane.event(instance, ["notification"], "Promoted read replica to a stand-alone DB instance", "RDS-EVENT-0048")
        if days and first:
            plane.back_up(transition, instance, plane.settings.backup)
        with plane.changing(instance):
            instance.status, instance.busy = plane.resting_status(instance), ""

    answer = _shown(plane, instance)
    plane.spawn(instance, "promoting", run)
    return answer


def unlink(plane, instance) -> None:
    """A replica is one no more; the caller holds the lock."""
    source = plane.store.instance(instance.source_id) if instance.source_id else None
    instance.source_id = instance.source_arn = ""
    instance.replication = {"status": "replicating", "message": ""}
    plane.publish(instance, *([source] if source else []))


_NO_SNAPSHOT = ("failed", "incompatible-restore", "incompatible-network")


@operation("DeleteDBInstance")
def delete(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    if instance.busy == "deleting":
        raise instance_state(f"Instance {instance.name} is already being deleted.")
    if instance.facts["DeletionProtection"]:
        raise combination("Cannot delete protected DB Instance, please disable deletion protection and try again.")
    final, skip = request.get("FinalDBSnapshotIdentifier"), request.get("SkipFinalSnapshot", False)
    member = bool(instance.facts.get("DBClusterIdentifier"))
    if skip and final:
        raise combination("FinalDBSnapshotIdentifier cannot be specified when deleting a DB instance with SkipFinalSnapshot.")
    if not skip and not final and not member:
        raise combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    if final and (instance.source_id or instance.source_arn):
        raise instance_state("A final snapshot can't be taken of a read replica.")
    if final and member:
        raise combination("A final snapshot can't be taken of a member of a DB cluster.")
    if final and instance.status in _NO_SNAPSHOT:
        raise instance_state(f"A final snapshot can't be taken of a DB instance in status {instance.status}: skip it.")
    if instance.busy:
        raise instance_state(f"Instance {instance.name} is currently {instance.busy}: it cannot be deleted.")
    snapshot = None
    if final:
        name = snapshots.snapshot_name(plane, call.region, final, "FinalDBSnapshotIdentifier")
        checks.snapshot_quota(plane, call.region)
        snapshot = snapshots.make(plane, instance, name, dict(instance.tags) if instance.facts["CopyTagsToSnapshot"] else {})
    _free_replicas(plane, instance)

    def run(transition):
        transition.wait(plane.settings.accept)
        transition.status(instance, "deleting")
        if snapshot:
            snapshots.write(plane, transition, instance, snapshot)
        if instance.supported:
            plane.engines.unpublish(instance.dns_name)
        transition.serve(plane.settings.delete, instance.supported, "delete", instance.resource_id)
        with plane.lock:
            _gone(plane, instance, request.get("DeleteAutomatedBackups", True))

    answer = _shown(plane, instance)
    answer["DBInstance"]["DBInstanceStatus"] = "deleting"
    plane.spawn(instance, "deleting", run)
    return answer


def _free_replicas(plane, instance) -> None:
    """Replicas at home become stand-alone instances; those abroad stop replicating."""
    for other in plane.store.replicas(instance):
        if other.region == instance.region:
            unlink(plane, other)
            plane.event(other, ["notification"], "Promoted read replica to a stand-alone DB instance", "RDS-EVENT-0048")
            if other.supported:
                plane.spawn_beside(other, lambda _transition, other=other: plane.engines.promote(other.resource_id))
        else:
            other.source_arn, other.source_id = plane.arn(instance), ""
            other.replication = {"status": "terminated", "message": "The source DB instance was deleted."}
            plane.publish(other)


def _gone(plane, instance, drop_backups: bool) -> None:
    state = plane.store.region(instance.region)
    source = plane.store.instance(instance.source_id) if instance.source_id else None
    if instance.secret is not None:
        plane.neighbours.delete_secret(instance.region, instance.secret_arn)
    plane.event(instance, ["deletion"], "DB instance deleted", "RDS-EVENT-0003")
    instance.gone = True
    plane.publish(instance)
    if drop_backups:
        plane.drop_automated_backups(instance)
    elif instance.resource_id in state.automated_backups:
        state.automated_backups[instance.resource_id]["Status"] = "retained"
    state.instances.pop(instance.resource_id, None)
    state.released[instance.name] = plane.clock.now() + plane.settings.name_release
    for cluster in state.clusters.values():
        cluster["DBClusterMembers"] = [
            member for member in cluster.get("DBClusterMembers", []) if member["DBInstanceIdentifier"] != instance.name]
    plane.remember_gone(instance)
    if source is not None:
        plane.publish(source)
