# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: made, copied, deleted."""

from __future__ import annotations

import contextlib
import copy

from . import catalogue, checks, tagging, view
from .errors import RdsError, combination, missing, snapshot_exists, snapshot_not_found, snapshot_state, value
from .registry import operation
from .state import Snapshot

_HELD = (
    "Engine", "EngineVersion", "AllocatedStorage", "AvailabilityZone", "InstanceCreateTime", "MasterUsername", "LicenseModel", "Iops",
    "StorageThroughput", "StorageType", "TdeCredentialArn", "StorageEncryptionType", "BackupRetentionPeriod", "PreferredBackupWindow",
    "KmsKeyId", "Timezone", "IAMDatabaseAuthenticationEnabled", "ProcessorFeatures", "DBSystemId", "MultiTenant", "DedicatedLogVolume",
)


def make(plane, instance, name: str, tags: dict, kind: str = "manual") -> Snapshot:
    """A snapshot of an instance, begun now; it remembers what the instance held."""
    facts = {member: copy.deepcopy(instance.facts[member]) for member in _HELD if member in instance.facts}
    now = plane.clock.time()
    group = plane.store.region(instance.region).subnet_groups.get(instance.subnet_group, {})
    facts.update(
        DBInstanceIdentifier=instance.name, DbiResourceId=instance.resource_id, SnapshotCreateTime=now, OriginalSnapshotCreateTime=now,
        SnapshotDatabaseTime=now, SnapshotType=kind, Port=instance.port, VpcId=group.get("VpcId"), OptionGroupName=instance.option_group,
        Encrypted=instance.facts["StorageEncrypted"], SnapshotTarget="region")
    snapshot = Snapshot(instance.region, name, facts, tags)
    snapshot.held = {**copy.deepcopy(instance.facts), "OptionGroupName": instance.option_group, "Port": instance.port,
                     "DbiResourceId": instance.resource_id}
    snapshot.password, snapshot.supported = instance.password, instance.supported
    snapshot.began = plane.clock.now()
    snapshot.duration = plane.settings.snapshot + plane.settings.snapshot_per_gib * instance.facts["AllocatedStorage"]
    plane.store.region(instance.region).snapshots[name] = snapshot
    plane.publish(snapshot)
    return snapshot


def write(plane, transition, instance, snapshot, fails: bool = False) -> None:
    """Fill a snapshot that was made; in the thread of a transition."""
    plane.event(snapshot, ["creation"], "Creating manual snapshot" if snapshot.facts["SnapshotType"] == "manual"
                else "Creating automated snapshot", "RDS-EVENT-0040")
    transition.serve(snapshot.duration, instance.supported and not fails, "snapshot", instance.resource_id, snapshot.key)
    with plane.changing(snapshot):
        snapshot.status = "failed" if fails else "available"
    plane.event(snapshot, ["failure"] if fails else ["creation"],
                "Snapshot creation failed" if fails else "Manual snapshot created", "RDS-EVENT-0042")


def script(plane, instance, snapshot, fails: bool = False):
    """The transition of CreateDBSnapshot."""

    def run(transition):
        back = instance.status
        transition.status(instance, "backing-up")
        try:
            write(plane, transition, instance, snapshot, fails)
        except Exception:
            with plane.changing(snapshot, instance):
                snapshot.status, instance.status = "failed", back
            raise
        with plane.changing(instance):
            instance.status = plane.resting_status(instance)

    return run


def snapshot_name(plane, region: str, text: str, what: str = "DBSnapshotIdentifier") -> str:
    name = checks.identifier(text, what, 255)
    if name in plane.store.region(region).snapshots:
        raise snapshot_exists(name)
    return name


@operation("CreateDBSnapshot")
def create(plane, call, request):
    name = checks.identifier(request["DBSnapshotIdentifier"], "DBSnapshotIdentifier", 255)
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    if instance.facts.get("DBClusterIdentifier"):
        raise value("The specified instance is a member of a cluster and a snapshot cannot be created directly. "
                    "Please use the CreateDBClusterSnapshot API instead.")
    name = snapshot_name(plane, call.region, name)
    checks.ready(instance, f"Cannot create a snapshot because the database instance {instance.name} is not currently in the "
                           "available state.")
    checks.snapshot_quota(plane, call.region)
    tags = tagging.given(request)
    if instance.facts["CopyTagsToSnapshot"]:
        tags = {**instance.tags, **tags}
    snapshot = make(plane, instance, name, tags)
    call.touched.append(snapshot)
    fails = bool(call.outcome and call.outcome["kind"] == "fails")
    plane.spawn(instance, "backing-up", script(plane, instance, snapshot, fails), failure="available")
    return {"DBSnapshot": view.shown(view.snapshot_view(plane, snapshot), plane.clock.now())}


@operation("CopyDBSnapshot")
def copy_snapshot(plane, call, request):
    named, region = request["SourceDBSnapshotIdentifier"], call.region
    target = checks.identifier(request["TargetDBSnapshotIdentifier"], "TargetDBSnapshotIdentifier", 255)
    source = plane.snapshot(region, named)
    abroad = source.region != region
    if abroad and not named.lower().startswith("arn:"):
        raise snapshot_not_found(named)
    if abroad and not (request.get("PreSignedUrl") or request.get("SourceRegion")):
        raise missing("PreSignedUrl")
    if source.status != "available":
        raise snapshot_state(f"Cannot copy the snapshot {source.name} because it is not in the available state.")
    target = snapshot_name(plane, region, target, "TargetDBSnapshotIdentifier")
    checks.snapshot_quota(plane, region)
    running = [other for other in plane.store.region(region).snapshots.values() if other.status == "creating" and other.busy == "copying"]
    if len(running) >= plane.settings.copies_in_progress:
        raise RdsError("SnapshotQuotaExceeded", f"The number of snapshot copies in progress exceeds {plane.settings.copies_in_progress}.")
    key = _key(plane, region, source, request.get("KmsKeyId"), abroad)
    option_group = request.get("OptionGroupName")
    if option_group:
        checks.option_group(plane, region, option_group, source.facts["Engine"], source.facts["EngineVersion"])
    options = plane.store.region(source.region).option_groups.get(source.facts["OptionGroupName"], {}).get("Options", [])
    if abroad and not option_group and any(option.get("Persistent") or option.get("Permanent") for option in options):
        raise combination("An option group must be given for the copy: the snapshot's option group has persistent options.")
    tags = {**(source.tags if request.get("CopyTags") else {}), **tagging.given(request)}
    snapshot = _copied(plane, region, source, target, tags, key, abroad, option_group)
    call.touched.append(snapshot)
    fails = bool(call.outcome and call.outcome["kind"] == "fails")
    plane.spawn(snapshot, "copying", _copy_script(plane, source, snapshot, fails))
    return {"DBSnapshot": view.shown(view.snapshot_view(plane, snapshot), plane.clock.now())}


def _key(plane, region: str, source, asked: str | None, abroad: bool) -> str | None:
    """The ARN of the key of a copy; None for a plain copy."""
    if asked:
        if plane.settings.kms_copy_fails_later:
            found = plane.neighbours.find_key(region, asked)
            return found.arn if found else asked
        return plane.neighbours.check_key(region, asked).arn
    if not source.facts["Encrypted"]:
        return None
    if abroad:
        raise combination("A KMS key of the destination region must be given to copy an encrypted snapshot across regions.")
    return plane.neighbours.check_key(region, source.facts["KmsKeyId"]).arn


def _copied(plane, region: str, source, target: str, tags: dict, key, abroad: bool, option_group) -> Snapshot:
    facts = copy.deepcopy(source.facts)
    facts.update(SnapshotType="manual", SnapshotCreateTime=plane.clock.time(), Encrypted=bool(key),
                 SourceDBSnapshotIdentifier=plane.arn(source))
    facts.pop("KmsKeyId", None)
    if key:
        facts["KmsKeyId"] = key
    facts["StorageEncryptionType"] = "sse-kms" if key else "none"
    if abroad:
        facts["SourceRegion"] = source.region
        facts["OptionGroupName"] = catalogue.default_option_group(facts["Engine"], facts["EngineVersion"])
    if option_group:
        facts["OptionGroupName"] = option_group.lower()
    snapshot = Snapshot(region, target, facts, tags)
    snapshot.held = {**copy.deepcopy(source.held), "OptionGroupName": facts["OptionGroupName"]}
    snapshot.password, snapshot.supported = source.password, source.supported
    plane.store.region(region).snapshots[target] = snapshot
    plane.publish(snapshot)
    return snapshot


@contextlib.contextmanager
def reading(plane, snapshot):
    """The data of a snapshot stays while it is read, even when the snapshot is deleted."""
    with plane.lock:
        snapshot.readers += 1
    try:
        yield
    finally:
        with plane.lock:
            snapshot.readers -= 1


def _copy_script(plane, source, snapshot, fails: bool):
    resource_id = source.facts["DbiResourceId"]

    def older() -> bool:
        """Whether a copy of the same instance is still ahead in the queue."""
        for other in plane.store.region(snapshot.region).snapshots.values():
            if other is snapshot:
                return False
            if other.busy == "copying" and other.status == "creating" and other.facts["DbiResourceId"] == resource_id:
                return True
        return False

    def run(transition):
        with reading(plane, source):
            plane.event(snapshot, ["notification"], f"Started copy of snapshot {source.name} from source region '{source.region}'",
                        "RDS-EVENT-0196")
            while True:
                with plane.lock:
                    waiting = older()
                if not waiting:
                    break
                transition.wait(1)
            with plane.changing(snapshot):
                snapshot.began = plane.clock.now()
                snapshot.duration = plane.settings.copy + plane.settings.copy_per_gib * snapshot.facts["AllocatedStorage"]
            transition.serve(snapshot.duration, snapshot.supported and not fails, "copy_snapshot", source.key, snapshot.key)
            key = snapshot.facts.get("KmsKeyId")
            locked = bool(key) and not plane.neighbours.key_usable(snapshot.region, key)
            bad = fails or source.gone or locked
            with plane.changing(snapshot):
                snapshot.status = "failed" if bad else "available"
            plane.event(snapshot, ["failure"] if bad else ["notification"],
                        f"Copy of snapshot {source.name} failed" if bad else f"Finished copy of snapshot {source.name}", "RDS-EVENT-0197")

    return run


@operation("DeleteDBSnapshot")
def delete(plane, call, request):
    snapshot = plane.snapshot(call.region, request["DBSnapshotIdentifier"])
    if snapshot.facts["SnapshotType"] != "manual":
        raise snapshot_state(f"The snapshot {snapshot.name} is automated and can't be deleted.")
    if snapshot.status not in ("available", "failed"):
        raise snapshot_state(f"Cannot delete the snapshot {snapshot.name} because it is not in the available state.")
    last = view.shown(view.snapshot_view(plane, snapshot), plane.clock.now())
    remove(plane, snapshot)
    return {"DBSnapshot": {**last, "Status": "deleted"}}


def remove(plane, snapshot) -> None:
    """A snapshot goes; a copy that still reads from it ends `failed`. The caller holds the lock."""
    snapshot.gone = True
    plane.publish(snapshot)
    plane.store.region(snapshot.region).snapshots.pop(snapshot.name, None)
    plane.remember_gone(snapshot)
    plane.event(snapshot, ["deletion"], "Deleted manual snapshot" if snapshot.facts["SnapshotType"] == "manual"
                else "Deleted automated snapshot", "RDS-EVENT-0041")
    if snapshot.supported and snapshot.status == "available":
        def run(transition):
            while snapshot.readers:
                transition.wait(1)
            plane.engines.delete_snapshot(snapshot.key)

        plane.spawn(snapshot, "deleting", run)
