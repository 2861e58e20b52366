# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An in-memory RDS region with state, time, lag and faults, behind clients with boto3's methods.

``Rds(region.client)`` is the real adapter on top of it. Written from the RDS documentation and not from the collection's rules: what a
parameter does to a description stands here a second time, so that a wrong rule shows as a difference at the end of a run.
"""

from __future__ import annotations

import copy
import functools
import itertools
import types
import json
import re

import botocore.session
from botocore.exceptions import ClientError, ConnectionClosedError, ParamValidationError

from fakes import members
from fakes.clock import FakeClock
from fakes.shapes import KEY, address_of, arn_of

READY = ("available", "storage-optimization")
HOME = "eu-central-1"


class Crash(BaseException):
    """The controller died here."""


@functools.cache
def service_model():
    return botocore.session.get_session().get_service_model("rds")


def _copied(value):
    """A deep copy of plain data; copy.deepcopy takes five times as long."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return value


def _error(operation: str, code: str, message: str = "", status: int = 400):
    answer = {"Error": {"Code": code, "Message": message or code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


class Thing:
    """An instance or a snapshot: the truth, what readers still see, and what will happen to it."""

    def __init__(self, truth: dict | None):
        self.truth = truth
        self.seen: dict | None = truth
        self.stale = 0
        self.future: list[tuple[float, object]] = []
        self.data = 0
        self.settling_until = 0.0


class Application:
    """Writes to whoever answers under its name; a connection outlives a rename and dies with a restart.

    ``lost`` holds the moments at which the name led to an instance that lacked an acknowledged write (law 1).
    """

    def __init__(self, name: str):
        self.name = name
        self.acknowledged = 0
        self.connected: Thing | None = None
        self.lost: list[str] = []

    def write(self, region: Region) -> None:
        there = self.connected
        if there is None:
            there = region.find(self.name)
            if there is None or there.truth["DBInstanceStatus"] in ("creating", "rebooting", "renaming"):
                return
            self.connected = there
        if there.data < self.acknowledged:
            identifier = there.truth["DBInstanceIdentifier"]
            self.lost.append(f"{identifier} ({there.truth['DbiResourceId']}) has {there.data} of {self.acknowledged} writes")
        self.acknowledged += 1
        there.data = self.acknowledged


class Region:
    """The state of one region.

    :param stale_reads: how many reads after each change still show the state before it.
    :param rename_gap: seconds in which a renamed instance answers under neither name.
    """

    def __init__(self, *instances: dict, stale_reads: int = 0, rename_gap: float = 0.0, link_lag: float = 30.0):
        self.clock = FakeClock()
        self.stale_reads = stale_reads
        self.rename_gap = rename_gap
        self.link_lag = link_lag
        self.things: list[Thing] = []
        self.snapshots: dict[str, Thing] = {}
        self.calls: list[tuple[str, dict]] = []
        self.faults: dict[str, list[str]] = {}
        self.read_faults: list[Exception] = []
        self.crash_at: int | None = None
        self.crash_after_effect = False
        self.applications: list[Application] = []
        self.event_log: list[tuple[float, str, str]] = []
        self.quotas: dict[str, tuple[int, int]] = {"DBInstances": (3, 40)}
        self.terminal: dict[str, str] = {}
        self.caller = "arn:aws:sts::111122223333:assumed-role/dbre-encrypt/run"
        self.key_policy: dict | None = {
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"}]
        }
        self.deleted: list[tuple[str, bool]] = []
        self.far_backups: dict[str, int] = {}
        self.groups: dict[str, dict] = {}
        self.links: dict[str, str] = {}
        self.free_storage: dict[str, int] = {}
        self._ids = itertools.count(1)
        for described in instances:
            thing = Thing(_copied(described))
            self.things.append(thing)
        for thing in self.things:
            copies = thing.truth.get("DBInstanceAutomatedBackupsReplications") or ()
            self.far_backups |= {copy["DBInstanceAutomatedBackupsArn"]: 14 for copy in copies}
            parent = self.find(thing.truth.get("ReadReplicaSourceDBInstanceIdentifier", ""))
            if parent and thing.truth["DBInstanceIdentifier"] not in parent.truth["ReadReplicaDBInstanceIdentifiers"]:
                parent.truth["ReadReplicaDBInstanceIdentifiers"].append(thing.truth["DBInstanceIdentifier"])

    # -- for tests ---------------------------------------------------------------------------------------------------------------------

    def client(self, service: str, config=None, region=None):
        return {"rds": RdsClient, "kms": KmsClient, "sts": StsClient, "cloudwatch": CloudWatchClient}[service](self, region or HOME)

    def application(self, name: str) -> Application:
        self.applications.append(Application(name))
        return self.applications[-1]

    def find(self, identifier: str) -> Thing | None:
        return next((t for t in self.things if t.truth["DBInstanceIdentifier"] == identifier), None)

    def truth(self, identifier: str) -> dict:
        return self.find(identifier).truth

    @property
    def names(self) -> list[str]:
        return sorted(t.truth["DBInstanceIdentifier"] for t in self.things)

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _parameters in self.calls]

    def settle(self) -> None:
        """Let everything that is under way happen."""
        self.clock.sleep(100000)
        self.tick()
        for thing in [*self.things, *self.snapshots.values()]:
            thing.stale = 0

    def rename_by_hand(self, identifier: str, wanted: str) -> None:
        """An operator renames in the console, and waits for it."""
        self.call("ModifyDBInstance", dict(DBInstanceIdentifier=identifier, NewDBInstanceIdentifier=wanted, ApplyImmediately=True))
        self.calls.pop()
        self.settle()

    # -- time --------------------------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Make happen what is due, in order; applications write meanwhile."""
        while True:
            due = [(when, i, t) for i, t in enumerate([*self.things, *self.snapshots.values()]) for when, _e in t.future[:1]]
            due = [each for each in due if each[0] <= self.clock.now]
            if not due:
                break
            thing = min(due, key=lambda each: each[:2])[2]
            _when, effect = thing.future.pop(0)
            self._change(thing, effect)
        for application in self.applications:
            application.write(self)
        for follower, followed in self.links.items():
            by_id = {thing.truth["DbiResourceId"]: thing for thing in self.things}
            if follower in by_id and followed in by_id:
                by_id[follower].data = max(by_id[follower].data, by_id[followed].data)

    def group(self, name: str) -> dict | None:
        """A parameter group; one that an instance has is there."""
        used = {group["DBParameterGroupName"] for thing in self.things for group in thing.truth.get("DBParameterGroups") or ()}
        return self.groups.get(name) or ({"family": "mysql8.4", "values": {}} if name in used else None)

    def _new_group(self, operation: str, name: str, family: str, values: dict) -> None:
        if self.group(name):
            raise _error(operation, "DBParameterGroupAlreadyExists")
        self.groups[name] = {"family": family, "values": dict(values)}

    def _CreateDBParameterGroup(self, operation, DBParameterGroupName, DBParameterGroupFamily, Description):
        self._new_group(operation, DBParameterGroupName, DBParameterGroupFamily, {})

    def _CopyDBParameterGroup(self, operation, SourceDBParameterGroupIdentifier, TargetDBParameterGroupIdentifier, TargetDBParameterGroupDescription):
        model = self.group(SourceDBParameterGroupIdentifier)
        if model is None:
            raise _error(operation, "DBParameterGroupNotFound", status=404)
        if SourceDBParameterGroupIdentifier.startswith("default."):
            raise _error(operation, "InvalidParameterValue", "default groups are not copied")
        self._new_group(operation, TargetDBParameterGroupIdentifier, model["family"], model["values"])

    def _ModifyDBParameterGroup(self, operation, DBParameterGroupName, Parameters):
        group = self.group(DBParameterGroupName)
        if group is None:
            raise _error(operation, "DBParameterGroupNotFound", status=404)
        group["values"].update((each["ParameterName"], each["ParameterValue"]) for each in Parameters)

    def _DeleteDBParameterGroup(self, operation, DBParameterGroupName):
        if any(group["DBParameterGroupName"] == DBParameterGroupName for t in self.things for group in t.truth.get("DBParameterGroups") or ()):
            raise _error(operation, "InvalidDBParameterGroupState", "it is in use")
        if self.groups.pop(DBParameterGroupName, None) is None:
            raise _error(operation, "DBParameterGroupNotFound", status=404)

    def _change(self, thing: Thing, effect) -> None:
        if self.stale_reads and thing.stale == 0:
            thing.seen = _copied(thing.truth)
        thing.stale = self.stale_reads
        effect(thing.truth)

    def _after(self, thing: Thing, seconds: float, effect) -> None:
        when = max([self.clock.now, *(w for w, _e in thing.future)]) + seconds
        thing.future.append((when, effect))

    def _status(self, thing: Thing, status: str, seconds: float = 0.0) -> None:
        self._after(thing, seconds, lambda d: d.update(DBInstanceStatus=self.terminal.get(d["DBInstanceIdentifier"], status)))

    # -- reading -----------------------------------------------------------------------------------------------------------------------

    def see(self, thing: Thing) -> dict | None:
        if thing.stale > 0:
            thing.stale -= 1
            return _copied(thing.seen) if thing.seen else None
        return None if thing.truth.get("hidden") else _copied(thing.truth)

    def read(self) -> None:
        self.tick()
        if self.read_faults:
            raise self.read_faults.pop(0)

    # -- changing ----------------------------------------------------------------------------------------------------------------------

    def call(self, operation: str, parameters: dict) -> dict:
        self.tick()
        self.calls.append((operation, _copied(parameters)))
        dies = self.crash_at == len(self.calls)
        if dies and not self.crash_after_effect:
            raise Crash(operation)
        kind = "Rename" if "NewDBInstanceIdentifier" in parameters else operation
        waiting = self.faults.get(kind) or self.faults.get("*") or []
        fault = waiting.pop(0) if waiting else None
        if fault == "throttled":
            raise _error(operation, "Throttling", "Rate exceeded")
        if fault == "500 before":
            raise _error(operation, "InternalFailure", status=500)
        if fault == "lost before":
            raise ConnectionClosedError(endpoint_url="https://rds")
        if fault and fault not in ("lost after", "500 after"):
            raise _error(operation, *fault.split(": ", 1))
        answer = getattr(self, "_" + operation)(operation, **parameters) or {}
        self.tick()
        if dies:
            raise Crash(operation)
        if fault == "lost after":
            raise ConnectionClosedError(endpoint_url="https://rds")
        if fault == "500 after":
            raise _error(operation, "InternalFailure", status=500)
        return answer

    def _instance(self, operation: str, identifier: str, ready: bool = True) -> Thing:
        thing = self.find(identifier)
        if thing is None or thing.truth.get("hidden"):
            raise _error(operation, "DBInstanceNotFound", f"DBInstance {identifier} not found.", 404)
        if ready and thing.truth["DBInstanceStatus"] not in READY:
            raise _error(operation, "InvalidDBInstanceState", f"Instance {identifier} is not in available state.")
        return thing

    def _free(self, operation: str, identifier: str) -> None:
        taken = {t.truth["DBInstanceIdentifier"] for t in self.things}
        taken |= {t.truth["PendingModifiedValues"].get("DBInstanceIdentifier") for t in self.things}
        if identifier in taken:
            raise _error(operation, "DBInstanceAlreadyExists", "DB instance already exists")

    def _ModifyDBInstance(self, operation, DBInstanceIdentifier, ApplyImmediately=False, NewDBInstanceIdentifier=None, **parameters):
        thing = self._instance(operation, DBInstanceIdentifier)
        if not ApplyImmediately:
            raise AssertionError("without ApplyImmediately it would wait for the maintenance window")
        if NewDBInstanceIdentifier:
            return self._rename(operation, thing, NewDBInstanceIdentifier)
        if not parameters:
            raise _error(operation, "InvalidParameterCombination", "No modifications were requested")
        after = _copied(thing.truth)
        if thing.settling_until > self.clock.now:
            words = "RDS is configuring Enhanced Monitoring or Performance Insights for this DB instance. Try your request later."
            raise _error(operation, "InvalidDBInstanceState", words)
        self._as_rds_does(operation, members.modified, after, parameters, bool(after.get("ReadReplicaSourceDBInstanceIdentifier")))
        changed = {key: value for key, value in after.items() if thing.truth.get(key) != value}
        if not changed:
            raise _error(operation, "InvalidParameterCombination", "No modifications were requested")
        gone = [key for key in thing.truth if key not in after]
        if {"MonitoringInterval", "PerformanceInsightsEnabled", "DatabaseInsightsMode"} & set(changed):
            thing.settling_until = self.clock.now + 60
        self._after(thing, 2, lambda d: d.update(DBInstanceStatus="modifying"))
        self._after(thing, 30, lambda d: (d.update(changed), [d.pop(key, None) for key in gone]))
        self._status(thing, "available")

    def _rename(self, operation: str, thing: Thing, wanted: str) -> None:
        self._free(operation, wanted)
        before = thing.truth["DBInstanceIdentifier"]
        self._change(thing, lambda d: d["PendingModifiedValues"].update(DBInstanceIdentifier=wanted))
        self._status(thing, "renaming", 5)

        def become(described):
            described.update(DBInstanceIdentifier=wanted, DBInstanceArn=arn_of(wanted))
            described["Endpoint"] = {**described["Endpoint"], "Address": address_of(wanted)}
            described["PendingModifiedValues"].pop("DBInstanceIdentifier", None)

        if self.rename_gap:
            self._after(thing, 40, lambda d: d.update(hidden=True))
            self._after(thing, self.rename_gap, lambda d: d.pop("hidden"))
            self._after(thing, 0, become)
        else:
            self._after(thing, 40, become)
        self._status(thing, "available")
        encrypted = thing.truth["StorageEncrypted"]

        def relink(described):
            if described["StorageEncrypted"] != encrypted:
                return
            if described.get("ReadReplicaSourceDBInstanceIdentifier") == before:
                described["ReadReplicaSourceDBInstanceIdentifier"] = wanted
            links = described.get("ReadReplicaDBInstanceIdentifiers") or []
            if before in links:
                links[links.index(before)] = wanted

        for other in self.things:
            linked = other.truth.get("ReadReplicaSourceDBInstanceIdentifier") == before
            listed = before in (other.truth.get("ReadReplicaDBInstanceIdentifiers") or [])
            if other is not thing and (linked or listed):
                self._at(other, self.clock.now + 45 + self.link_lag, relink)
        self._after(thing, 0, self._note_restart)

    def _note_restart(self, described: dict) -> None:
        """An event, under the name of the moment."""
        self.event_log.append((self.clock.now, described["DBInstanceIdentifier"], "DB instance restarted"))

    def _at(self, thing: Thing, when: float, effect) -> None:
        thing.future.append((when, effect))
        thing.future.sort(key=lambda each: each[0])

    def _RebootDBInstance(self, operation, DBInstanceIdentifier):
        thing = self._instance(operation, DBInstanceIdentifier)

        def down(described):
            described["DBInstanceStatus"] = "rebooting"
            for application in self.applications:
                if application.connected is thing:
                    application.connected = None

        def up(described):
            self._note_restart(described)
            for group in described["DBParameterGroups"]:
                group["ParameterApplyStatus"] = "in-sync"
            if "DedicatedLogVolume" in described["PendingModifiedValues"]:
                described["DedicatedLogVolume"] = described["PendingModifiedValues"].pop("DedicatedLogVolume")

        self._change(thing, down)
        self._after(thing, 20, up)
        self._status(thing, "available")

    def _StartDBInstance(self, operation, DBInstanceIdentifier):
        thing = self._instance(operation, DBInstanceIdentifier, ready=False)
        if thing.truth["DBInstanceStatus"] != "stopped":
            raise _error(operation, "InvalidDBInstanceState", f"Instance {DBInstanceIdentifier} is not stopped.")
        self._change(thing, lambda d: d.update(DBInstanceStatus="starting"))
        self._status(thing, "available", 90)

    def _StopDBInstance(self, operation, DBInstanceIdentifier):
        thing = self._instance(operation, DBInstanceIdentifier)
        if thing.truth.get("ReadReplicaSourceDBInstanceIdentifier") or thing.truth["ReadReplicaDBInstanceIdentifiers"]:
            raise _error(operation, "InvalidDBInstanceState", "Cannot stop a DB instance that has a read replica or is one.")
        self._change(thing, lambda d: d.update(DBInstanceStatus="stopping"))
        self._status(thing, "stopped", 60)

    def _DeleteDBInstance(
        self, operation, DBInstanceIdentifier, SkipFinalSnapshot=False, FinalDBSnapshotIdentifier=None, DeleteAutomatedBackups=True
    ):
        thing = self._instance(operation, DBInstanceIdentifier, ready=False)
        described = thing.truth
        if described["DBInstanceStatus"] not in READY:
            raise _error(operation, "InvalidDBInstanceState", f"Instance {DBInstanceIdentifier} is {described['DBInstanceStatus']}.")
        if described.get("DeletionProtection"):
            raise _error(operation, "InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion protection")
        if SkipFinalSnapshot == bool(FinalDBSnapshotIdentifier):
            raise _error(operation, "InvalidParameterCombination", "FinalDBSnapshotIdentifier or SkipFinalSnapshot")
        if FinalDBSnapshotIdentifier:
            if described.get("ReadReplicaSourceDBInstanceIdentifier"):
                raise _error(operation, "InvalidDBInstanceState", "no final snapshot of a replica")
            if FinalDBSnapshotIdentifier in self.snapshots:
                raise _error(operation, "DBSnapshotAlreadyExists")
            tags = described["TagList"] if described["CopyTagsToSnapshot"] else []
            encryption = {key: described[key] for key in ("KmsKeyId",) if key in described}
            encrypted = described["StorageEncrypted"]
            self._new_snapshot(FinalDBSnapshotIdentifier, described, thing.data, tags, 60, Encrypted=encrypted, **encryption)
        self.deleted.append((DBInstanceIdentifier, DeleteAutomatedBackups))
        for other in self.things:
            if other.truth.get("ReadReplicaSourceDBInstanceIdentifier") == DBInstanceIdentifier:
                self._change(other, lambda d: d.pop("ReadReplicaSourceDBInstanceIdentifier"))
        parent = self.find(described.get("ReadReplicaSourceDBInstanceIdentifier", ""))
        self._change(thing, lambda d: d.update(DBInstanceStatus="deleting"))

        def vanish(_described):
            self.things.remove(thing)
            if parent and DBInstanceIdentifier in parent.truth["ReadReplicaDBInstanceIdentifiers"]:
                self._change(parent, lambda d: d["ReadReplicaDBInstanceIdentifiers"].remove(DBInstanceIdentifier))

        self._after(thing, 60, vanish)

    def _DeleteDBSnapshot(self, operation, DBSnapshotIdentifier):
        if DBSnapshotIdentifier not in self.snapshots:
            raise _error(operation, "DBSnapshotNotFound", status=404)
        del self.snapshots[DBSnapshotIdentifier]

    def _by_arn(self, operation: str, arn: str, ready: bool = False) -> Thing:
        return self._instance(operation, arn.rpartition(":")[2], ready=ready)

    @staticmethod
    def _as_rds_does(operation: str, function, *arguments) -> None:
        try:
            function(*arguments)
        except members.Refused as e:
            raise _error(operation, e.code, str(e)) from e

    def _StartActivityStream(self, operation, ResourceArn, Mode, KmsKeyId, ApplyImmediately=False, EngineNativeAuditFieldsIncluded=False):
        thing = self._by_arn(operation, ResourceArn, ready=True)
        if not thing.truth["Engine"].startswith(("oracle", "sqlserver")) or Mode != "async":
            raise _error(operation, "InvalidParameterCombination", "no such stream for this engine")
        if thing.truth.get("ActivityStreamStatus", "stopped") != "stopped":
            raise _error(operation, "InvalidDBInstanceState", "The activity stream is not stopped.")
        stream = dict(
            ActivityStreamStatus="starting",
            ActivityStreamKmsKeyId=KmsKeyId,
            ActivityStreamMode=Mode,
            ActivityStreamKinesisStreamName=f"aws-rds-das-{thing.truth['DbiResourceId']}",
            ActivityStreamEngineNativeAuditFieldsIncluded=EngineNativeAuditFieldsIncluded,
            ActivityStreamPolicyStatus="locked",
        )
        self._change(thing, lambda d: d.update(stream))
        self._after(thing, 60, lambda d: d.update(ActivityStreamStatus="started"))

    def _ModifyActivityStream(self, operation, ResourceArn, AuditPolicyState):
        thing = self._by_arn(operation, ResourceArn, ready=True)
        if thing.truth.get("ActivityStreamStatus") != "started":
            raise _error(operation, "InvalidDBInstanceState", "The activity stream is not started.")
        self._change(thing, lambda d: d.update(ActivityStreamPolicyStatus=AuditPolicyState.replace("locked", "locking-policy")))
        self._after(thing, 10, lambda d: d.update(ActivityStreamPolicyStatus=AuditPolicyState))

    def _StartDBInstanceAutomatedBackupsReplication(self, operation, SourceDBInstanceArn, SourceRegion, KmsKeyId=None, BackupRetentionPeriod=7, where=""):
        thing = self._by_arn(operation, SourceDBInstanceArn, ready=True)
        home = SourceDBInstanceArn.split(":")[3]
        if where == home or SourceRegion != home:
            raise _error(operation, "InvalidParameterCombination", "to be called in the region that the backups go to")
        if not thing.truth["BackupRetentionPeriod"]:
            raise _error(operation, "InvalidDBInstanceState", "Automated backups are not enabled for this database instance.")
        if thing.truth["StorageEncrypted"] and not (KmsKeyId or "").startswith(f"arn:aws:kms:{where}:"):
            raise _error(operation, "KMSKeyNotAccessibleFault", "a key of the destination region must be given")
        arn = f"arn:aws:rds:{where}:111122223333:auto-backup:ab-{thing.truth['DbiResourceId'][3:].lower()}"
        if arn in self.far_backups:
            raise _error(operation, "DBInstanceAutomatedBackupQuotaExceeded", "replicated already")
        self.far_backups[arn] = BackupRetentionPeriod
        copies = [*(thing.truth.get("DBInstanceAutomatedBackupsReplications") or ()), {"DBInstanceAutomatedBackupsArn": arn}]
        self._change(thing, lambda d: d.update(DBInstanceAutomatedBackupsReplications=copies))

    def _AddTagsToResource(self, operation, ResourceName, Tags):
        thing = self._by_arn(operation, ResourceName)
        tags = {tag["Key"]: tag["Value"] for tag in thing.truth["TagList"]} | {tag["Key"]: tag["Value"] for tag in Tags}
        if len(tags) > 50 or any(tag["Key"].startswith("aws:") for tag in Tags):
            raise _error(operation, "InvalidParameterValue", "tags")
        self._change(thing, lambda d: d.update(TagList=[{"Key": key, "Value": tags[key]} for key in sorted(tags)]))

    def _RemoveTagsFromResource(self, operation, ResourceName, TagKeys):
        thing = self._by_arn(operation, ResourceName)
        self._change(thing, lambda d: d.update(TagList=[tag for tag in d["TagList"] if tag["Key"] not in TagKeys]))

    def _AddRoleToDBInstance(self, operation, DBInstanceIdentifier, RoleArn, FeatureName):
        thing = self._instance(operation, DBInstanceIdentifier)
        if any(role["RoleArn"] == RoleArn for role in thing.truth["AssociatedRoles"]):
            raise _error(operation, "DBInstanceRoleAlreadyExists")
        role = {"RoleArn": RoleArn, "FeatureName": FeatureName, "Status": "PENDING"}
        self._change(thing, lambda d: d["AssociatedRoles"].append(role))
        self._after(thing, 10, lambda d: d["AssociatedRoles"][-1].update(Status="ACTIVE"))

    def _CreateDBSnapshot(self, operation, DBInstanceIdentifier, DBSnapshotIdentifier, Tags):
        source = self._instance(operation, DBInstanceIdentifier)
        if DBSnapshotIdentifier in self.snapshots:
            raise _error(operation, "DBSnapshotAlreadyExists")
        self._new_snapshot(DBSnapshotIdentifier, source.truth, source.data, Tags, 60, Encrypted=False)
        self._change(source, lambda d: d.update(DBInstanceStatus="backing-up"))
        self._status(source, "available", 30)

    def _CopyDBSnapshot(self, operation, SourceDBSnapshotIdentifier, TargetDBSnapshotIdentifier, KmsKeyId, Tags):
        source = self.snapshots.get(SourceDBSnapshotIdentifier)
        if source is None:
            raise _error(operation, "DBSnapshotNotFound", status=404)
        if source.truth["Status"] != "available":
            raise _error(operation, "InvalidDBSnapshotState", "snapshot is not available")
        if TargetDBSnapshotIdentifier in self.snapshots:
            raise _error(operation, "DBSnapshotAlreadyExists")
        self._new_snapshot(TargetDBSnapshotIdentifier, source.truth["origin"], source.data, Tags, 90, Encrypted=True, KmsKeyId=KmsKeyId)

    def _new_snapshot(self, identifier: str, origin: dict, data: int, tags: list, seconds: float, **more) -> None:
        thing = Thing(
            dict(
                DBSnapshotIdentifier=identifier,
                DBInstanceIdentifier=origin["DBInstanceIdentifier"],
                DbiResourceId=origin["DbiResourceId"],
                Status="creating",
                PercentProgress=0,
                SnapshotCreateTime=self.clock.date(),
                TagList=_copied(tags),
                origin=_copied(origin),
                **more,
            )
        )
        thing.seen, thing.stale, thing.data = None, self.stale_reads, data
        self.snapshots[identifier] = thing
        end = self.terminal.get(identifier, "available")
        self._after(thing, seconds / 2, lambda d: d.update(PercentProgress=50))
        self._after(thing, seconds / 2, lambda d: d.update(Status=end, PercentProgress=100))

    def _RestoreDBInstanceFromDBSnapshot(self, operation, DBInstanceIdentifier, DBSnapshotIdentifier, Tags, **parameters):
        snapshot = self.snapshots.get(DBSnapshotIdentifier)
        if snapshot is None:
            raise _error(operation, "DBSnapshotNotFound", status=404)
        if snapshot.truth["Status"] != "available":
            raise _error(operation, "InvalidDBSnapshotState")
        self._free(operation, DBInstanceIdentifier)
        origin = snapshot.truth["origin"]
        described = self._born(DBInstanceIdentifier, origin, Tags)
        described.update(
            members.default_groups(origin),
            StorageEncrypted=snapshot.truth["Encrypted"],
            StorageEncryptionType="sse-kms" if snapshot.truth["Encrypted"] else "none",
            BackupRetentionPeriod=origin["BackupRetentionPeriod"],
        )
        if members.has_extended_support(origin["Engine"]):
            described["EngineLifecycleSupport"] = "open-source-rds-extended-support"
        if snapshot.truth["Encrypted"]:
            described["KmsKeyId"] = snapshot.truth["KmsKeyId"]
        self._as_rds_does(operation, members.restored, described, origin, parameters)
        self._arrive(described, snapshot.data, 120, backup=described["BackupRetentionPeriod"] > 0)

    def _CreateDBInstanceReadReplica(self, operation, DBInstanceIdentifier, SourceDBInstanceIdentifier, Tags, **parameters):
        by_arn = SourceDBInstanceIdentifier.startswith("arn:")
        parent = self._by_arn(operation, SourceDBInstanceIdentifier, ready=True) if by_arn else self._instance(operation, SourceDBInstanceIdentifier)
        if not parent.truth["BackupRetentionPeriod"]:
            raise _error(operation, "InvalidDBInstanceState", "Automated backups are not enabled for this database instance.")
        if parent.truth.get("MasterUserSecret") and not members.is_sqlserver(parent.truth["Engine"]):
            raise _error(operation, "InvalidParameterCombination", "the source manages its master user password in Secrets Manager")
        self._free(operation, DBInstanceIdentifier)
        described = self._born(DBInstanceIdentifier, parent.truth, Tags)
        described.update(
            BackupRetentionPeriod=0,
            ReadReplicaSourceDBInstanceIdentifier=parent.truth["DBInstanceIdentifier"],
            StatusInfos=[{"StatusType": "read replication", "Status": "replicating", "Normal": True}],
        )
        for key in ("StorageEncrypted", "StorageEncryptionType", "KmsKeyId", "DBParameterGroups", "OptionGroupMemberships"):
            if key in parent.truth:
                described[key] = _copied(parent.truth[key])
        if parent.truth["Engine"].startswith(("oracle", "db2")):
            described["ReplicaMode"] = "open-read-only"
        self._as_rds_does(operation, members.replicated, described, parent.truth, parameters, by_arn)
        self._arrive(described, parent.data, 90, backup=False)
        self._change(parent, lambda d: d["ReadReplicaDBInstanceIdentifiers"].append(DBInstanceIdentifier))

    def _born(self, identifier: str, origin: dict, tags: list) -> dict:
        """What a new instance has when nothing is asked for: the data's attributes, and RDS's defaults for the rest."""
        kept = ("Engine", "EngineVersion", "MasterUsername", "LicenseModel", "AllocatedStorage", "DBInstanceClass", "DBSubnetGroup", "DBName")
        kept += ("CharacterSetName", "NcharCharacterSetName", "Timezone", "DBSystemId", "MultiTenant", "AdditionalStorageVolumes", "EngineLifecycleSupport")
        return dict(
            {key: _copied(origin[key]) for key in kept if key in origin},
            DBInstanceIdentifier=identifier,
            DBInstanceArn=arn_of(identifier),
            DbiResourceId=f"db-NEW{next(self._ids)}",
            DBInstanceStatus="creating",
            Endpoint={"Address": address_of(identifier), "Port": origin["Endpoint"]["Port"], "HostedZoneId": "Z1"},
            StorageType="gp3",
            MultiAZ=False,
            AvailabilityZone="eu-central-1c",
            VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-default", "Status": "active"}],
            PreferredBackupWindow="23:11-23:41",
            PreferredMaintenanceWindow="tue:01:11-tue:01:41",
            AutoMinorVersionUpgrade=True,
            PubliclyAccessible=False,
            CopyTagsToSnapshot=False,
            CACertificateIdentifier="rds-ca-ecc384-g1",
            CertificateDetails={"CAIdentifier": "rds-ca-ecc384-g1"},
            IAMDatabaseAuthenticationEnabled=False,
            PerformanceInsightsEnabled=False,
            MonitoringInterval=0,
            DeletionProtection=False,
            NetworkType="IPV4",
            BackupTarget="region",
            ReadReplicaDBInstanceIdentifiers=[],
            PendingModifiedValues={},
            AssociatedRoles=[],
            TagList=_copied(tags),
        )

    def _arrive(self, described: dict, data: int, seconds: float, backup: bool) -> None:
        thing = Thing(described)
        thing.seen, thing.stale, thing.data = None, self.stale_reads, data
        self.things.append(thing)
        if backup:
            self._status(thing, "backing-up", seconds)
            self._status(thing, "available", 60)
        else:
            self._status(thing, "available", seconds)


class _Pages:
    def __init__(self, read):
        self.read = read

    def paginate(self, **parameters):
        return [self.read(**parameters)]


class RdsClient:
    """The methods of boto3's RDS client that the collection uses."""

    class meta:  # noqa: N801 - boto3's name
        region_name = HOME

        @property
        def service_model(self):
            return service_model()

    def __init__(self, region: Region, where: str = ""):
        self.region = region
        self.where = where or HOME
        self.meta = RdsClient.meta()

    def __getattr__(self, method: str):
        operations = {re.sub("DB(Instance|Snapshot|Parameter)", r"Db\1", name): name for name in OPERATIONS}
        snake = {"".join("_" + c.lower() if c.isupper() else c for c in key).lstrip("_"): name for key, name in operations.items()}
        if method not in snake:
            raise AttributeError(method)
        known = service_model().operation_model(snake[method]).input_shape.members

        def call(**parameters):
            unknown = set(parameters) - set(known) - {"SourceRegion"}
            if unknown:
                raise ParamValidationError(report=f"Unknown parameter in input: {sorted(unknown)}")
            if self.where != HOME:
                parameters["where"] = self.where
            return self.region.call(snake[method], parameters)

        return call

    def describe_db_instance_automated_backups(self, DBInstanceAutomatedBackupsArn):
        if f":{self.where}:" not in DBInstanceAutomatedBackupsArn or DBInstanceAutomatedBackupsArn not in self.region.far_backups:
            raise _error("DescribeDBInstanceAutomatedBackups", "DBInstanceAutomatedBackupNotFound", status=404)
        return {"DBInstanceAutomatedBackups": [{"BackupRetentionPeriod": self.region.far_backups[DBInstanceAutomatedBackupsArn]}]}

    def describe_db_instances(self, DBInstanceIdentifier=None, Filters=()):
        self.region.read()
        # An instance is counted as read only where the answer holds it.
        found = []
        for thing in self.region.things:
            there = thing.seen if thing.stale > 0 else thing.truth
            if there is None:
                self.region.see(thing)
                continue
            if DBInstanceIdentifier is not None and there["DBInstanceIdentifier"] != DBInstanceIdentifier:
                continue
            keys = {"dbi-resource-id": "DbiResourceId", "db-instance-id": "DBInstanceIdentifier"}
            if any(there[keys[each["Name"]]] not in each["Values"] for each in Filters):
                continue
            described = self.region.see(thing)
            if described is not None:
                described.pop("optimized", None)  # only RDS knows
                found.append(described)
        if DBInstanceIdentifier is not None and not found:
            raise _error("DescribeDBInstances", "DBInstanceNotFound", f"DBInstance {DBInstanceIdentifier} not found.", 404)
        return {"DBInstances": found}

    def describe_db_snapshots(self, DBSnapshotIdentifier):
        self.region.read()
        thing = self.region.snapshots.get(DBSnapshotIdentifier)
        described = self.region.see(thing) if thing else None
        if described is None:
            raise _error("DescribeDBSnapshots", "DBSnapshotNotFound", status=404)
        described.pop("origin")
        return {"DBSnapshots": [described]}

    def describe_events(self, SourceType, Duration, SourceIdentifier=None, EventCategories=None):
        if EventCategories:
            return {"Events": []}  # backups and copies have no events here
        since = self.region.clock.now - 60 * Duration
        found = [(when, message) for when, name, message in self.region.event_log if name == SourceIdentifier and when >= since]
        return {"Events": [{"Date": self.region.clock.date(when), "Message": message, "SourceIdentifier": SourceIdentifier} for when, message in found]}

    def find_snapshots(self, SnapshotType=None, DbiResourceId=None):
        self.region.read()
        of = [thing for thing in self.region.snapshots.values() if DbiResourceId in (None, thing.truth["DbiResourceId"])]
        described = [self.region.see(thing) for thing in of]
        return {"DBSnapshots": [{key: value for key, value in each.items() if key != "origin"} for each in described if each]}

    def describe_db_parameter_groups(self, DBParameterGroupName):
        self.region.read()
        group = self.region.group(DBParameterGroupName)
        if group is None:
            raise _error("DescribeDBParameterGroups", "DBParameterGroupNotFound", status=404)
        return {"DBParameterGroups": [{"DBParameterGroupName": DBParameterGroupName, "DBParameterGroupFamily": group["family"]}]}

    def find_parameters(self, DBParameterGroupName, Source):
        values = self.region.group(DBParameterGroupName)["values"]
        return {"Parameters": [{"ParameterName": name, "ParameterValue": value} for name, value in values.items()]}

    def describe_account_attributes(self):
        return {"AccountQuotas": [dict(AccountQuotaName=name, Used=used, Max=most) for name, (used, most) in self.region.quotas.items()]}

    def get_paginator(self, name):
        answers = {
            "describe_db_instances": self.describe_db_instances,
            "describe_db_parameters": self.find_parameters,
            "describe_db_snapshots": self.find_snapshots,
            "describe_events": self.describe_events,
            "describe_orderable_db_instance_options": lambda **p: {"OrderableDBInstanceOptions": [{"SupportsStorageEncryption": True}]},
            "describe_pending_maintenance_actions": lambda **p: {"PendingMaintenanceActions": []},
            "describe_blue_green_deployments": lambda **p: {"BlueGreenDeployments": []},
        }
        return _Pages(answers[name])


OPERATIONS = (
    "AddRoleToDBInstance",
    "AddTagsToResource",
    "CopyDBParameterGroup",
    "CopyDBSnapshot",
    "CreateDBInstanceReadReplica",
    "CreateDBParameterGroup",
    "CreateDBSnapshot",
    "DeleteDBInstance",
    "DeleteDBParameterGroup",
    "DeleteDBSnapshot",
    "ModifyActivityStream",
    "ModifyDBInstance",
    "ModifyDBParameterGroup",
    "RebootDBInstance",
    "RemoveTagsFromResource",
    "RestoreDBInstanceFromDBSnapshot",
    "StartActivityStream",
    "StartDBInstance",
    "StartDBInstanceAutomatedBackupsReplication",
    "StopDBInstance",
)


class KmsClient:
    """KMS with one key."""

    def __init__(self, region: Region, where: str = ""):
        self.region = region
        self.meta = types.SimpleNamespace(region_name=where or HOME)

    def describe_key(self, KeyId):
        key = KEY.replace(HOME, self.meta.region_name)
        if KeyId not in (key, "alias/rds"):
            raise _error("DescribeKey", "NotFoundException")
        return {"KeyMetadata": {"Arn": key, "KeyState": "Enabled"}}

    def get_key_policy(self, KeyId, PolicyName):
        if self.region.key_policy is None:
            raise _error("GetKeyPolicy", "AccessDeniedException")
        return {"Policy": json.dumps(self.region.key_policy)}


class StsClient:
    """Who calls."""

    def __init__(self, region: Region, where: str = ""):
        self.region = region

    def get_caller_identity(self):
        return {"Arn": self.region.caller, "Account": self.region.caller.split(":")[4]}


class CloudWatchClient:
    """FreeStorageSpace, as ``Region.free_storage`` says."""

    def __init__(self, region: Region, where: str = ""):
        self.region = region

    def get_metric_statistics(self, Namespace, MetricName, Dimensions, StartTime, EndTime, Period, Statistics):
        free = self.region.free_storage.get(Dimensions[0]["Value"])
        return {"Datapoints": [] if free is None else [{"Timestamp": self.region.clock.date(), "Minimum": float(free)}]}


class FakeContext:
    """What a job sees of its caller."""

    def __init__(self, region: Region, params: dict, *, check_mode: bool = False, diff_mode: bool = False):
        self.region = region
        self.params = copy.deepcopy(params)
        self.check_mode = check_mode
        self.diff_mode = diff_mode
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.clock = region.clock

    def client(self, service: str, config=None, region=None):
        return self.region.client(service, config, region)

    def recent(self, read):
        return read()

    def progress(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def mask(self, secret: str) -> None:
        raise AssertionError("these jobs read no secret")
