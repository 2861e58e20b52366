# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""One handler for each kind of step: the call, whether it has happened already, and the outlook while waiting for it."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    CallError,
    RefusedError,
    TerminalStateError,
    Trouble,
    WaitTimeoutError,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tag_list, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES, meaning_of_status
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Step
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.readiness import UNREPORTED, broken, renamed_to, settled
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits, Outlook


class Handler:
    """A step being made true.

    ``resource_id`` or ``identifier`` say which instance the shared read of a wait must bring; ``before()`` checks once more, right before
    the call, what the call rests on; ``happened()`` is asked after a doubtful answer.
    """

    resource_id: str | None = None
    identifier: str | None = None

    def __init__(self, step: Step, rds, limits: Limits, clock):
        self.step = step
        self.rds = rds
        self.limits = limits
        self.clock = clock
        self.resource_id = step.resource_id
        self._started: float | None = None
        self._missing_since: float | None = None
        self._settled_since: float | None = None
        self._unreported_since: float | None = None
        self._link_error_since: float | None = None
        self._unmarked_since: float | None = None

    @property
    def label(self) -> str:
        return self.step.resource

    def before(self) -> None:
        """Raise if the world is no longer the one that was planned for."""

    def call(self) -> None:
        raise NotImplementedError

    def happened(self) -> bool:
        raise NotImplementedError

    def status(self) -> str | None:
        """Today's status of the instance that the step is about."""
        described = self._described()
        return described["DBInstanceStatus"] if described else None

    def outlook(self, instances: list[dict]) -> Outlook:
        raise NotImplementedError

    def unseen(self) -> Outlook:
        """The outlook while AWS cannot be read."""
        return Outlook(False, "AWS does not answer")

    def _described(self) -> dict | None:
        if self.resource_id:
            found = self.rds.instances(resource_ids={self.resource_id})
            return found[0] if found else None
        return self.rds.instance(self.identifier or self.step.resource)

    def _today(self) -> dict:
        """The instance as it is called now: never addressed by the name of the plan, which somebody else may have by now."""
        described = self._described()
        if described is None:
            # While it is being renamed no read shows it: to be looked for again, not to be given up.
            raise CallError(Trouble.NOT_FOUND, "DBInstanceNotFound", "it cannot be seen at the moment", self.step.action)
        return described

    def _elapsed(self) -> float:
        if self._started is None:
            self._started = self.clock.monotonic()
        return self.clock.monotonic() - self._started

    def _marks_may_come(self, made: dict) -> bool:
        """Whether something that may just have been made shows no tags at all, and not for so long that they will not come any more."""
        if tags_of(made):
            return False
        if self._unmarked_since is None:
            self._unmarked_since = self.clock.monotonic()
        return self.clock.monotonic() - self._unmarked_since <= self.limits.marks_timeout

    def _mine(self, instances: list[dict]) -> dict | None:
        key, mine = ("DbiResourceId", self.resource_id) if self.resource_id else ("DBInstanceIdentifier", self.identifier)
        for described in instances:
            if described[key] == mine:
                self._missing_since = None
                return described
        return None

    def _missing(self) -> Outlook:
        if self._missing_since is None:
            self._missing_since = self.clock.monotonic()
        if self.clock.monotonic() - self._missing_since > self.limits.missing_timeout:
            raise WaitTimeoutError(
                f"{self.step.what}: {self.label} has been invisible for {self.limits.missing_timeout:.0f} s.",
                done=f"{self.step.action} was accepted.",
                next_step="Look for the instance by its tags in the console, then run again: the run goes on from what it finds.",
            )
        return Outlook(False, "not visible yet")

    def _settling(self, described: dict, *, confirmed: bool, replication: bool = True) -> Outlook:
        """Done once the instance is ready, nothing of it is in motion, and the step's effect shows."""
        status = described["DBInstanceStatus"]
        stop_if_final(described, self.step, self.rds, link_errors=self._link_error_lasts(described))
        if status not in READY_STATUSES:
            self._settled_since = None
            progress = described.get("PercentProgress")
            return Outlook(False, f"{status} {progress} %" if progress else status)
        reason = settled(described, replication=replication, reported=True)
        if reason and not self._borne_long_enough(reason):
            self._settled_since = None
            return Outlook(False, f"{status}, {reason}")
        if confirmed:
            return Outlook(True, status)
        if self._settled_since is None:
            self._settled_since = self.clock.monotonic()
        if self.clock.monotonic() - self._settled_since > self.limits.effect_timeout:
            raise WaitTimeoutError(
                f"{self.step.what}: RDS accepted {self.step.action} for {self.label}, which is {status}, but its effect does not show.",
                done="Everything before this step is done and stays.",
                next_step=f"Read the events of {self.label} (aws rds describe-events) for the reason, then run again.",
            )
        return Outlook(False, f"{status}, change not visible yet")

    def _link_error_lasts(self, described: dict) -> bool:
        """Whether replication has been in error for so long that it is no passing loss of the connection to its source."""
        if broken(described) == broken(described, link_errors=False):
            self._link_error_since = None
            return False
        if self._link_error_since is None:
            self._link_error_since = self.clock.monotonic()
        return self.clock.monotonic() - self._link_error_since > self.limits.report_timeout

    def _borne_long_enough(self, reason: str) -> bool:
        """Whether RDS has been silent about a replica for so long that it will not say anything."""
        if reason != UNREPORTED:
            self._unreported_since = None
            return False
        if self._unreported_since is None:
            self._unreported_since = self.clock.monotonic()
        return self.clock.monotonic() - self._unreported_since > self.limits.report_timeout


def stop_if_final(described: dict, step: Step, rds, *, link_errors: bool = True) -> None:
    """Raise at once when an instance went into a state that no waiting cures, with what RDS itself says about it (law 9)."""
    status = described["DBInstanceStatus"]
    kind, advice = meaning_of_status(status)
    if kind in ("ready", "moving"):
        return _stop_if_a_part_failed(described, step, link_errors)
    identifier = described["DBInstanceIdentifier"]
    events = "; ".join(rds.events(identifier, 60)[-3:])
    raise TerminalStateError(
        f"{step.what}: {identifier} is {status}, which waiting does not cure." + (f" RDS says: {events}." if events else ""),
        done=f"{step.action} was accepted; nothing was deleted" + ("." if step.action == "Rename" else ", and this step moves no name."),
        next_step=advice,
        status=status,
    )


def _stop_if_a_part_failed(described: dict, step: Step, link_errors: bool) -> None:
    reason = broken(described, link_errors=link_errors)
    if reason and described["DBInstanceStatus"] in READY_STATUSES:
        raise TerminalStateError(
            f"{step.what}: {described['DBInstanceIdentifier']} is {described['DBInstanceStatus']}, but {reason}.",
            done=f"{step.action} was accepted; nothing was deleted.",
            next_step="Mend what is named, then run again: the run goes on from here.",
        )


class WaitUntilReady(Handler):
    """Changes nothing: an instance that something else is still busy with."""

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            return self._missing()
        return self._settling(described, confirmed=self.step.confirmed is None or self.step.confirmed(described))


class SeeThatItStays(Handler):
    """Changes nothing: whether an instance stays as it is for so many of the longest pauses that a rename asked for before would show."""

    PAUSES = 6
    RENAMING = ("modifying", "rebooting", "renaming")

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            self._settled_since = None
            return self._missing()
        status = described["DBInstanceStatus"]
        if described["DBInstanceIdentifier"] != self.step.resource and not renamed_to(described) and status in READY_STATUSES:
            return Outlook(True, f"renamed to {described['DBInstanceIdentifier']}")
        if renamed_to(described) or status in self.RENAMING:
            self._settled_since = None
            return Outlook(False, status)
        if self._settled_since is None:
            self._settled_since = self.clock.monotonic()
        stayed = self.clock.monotonic() - self._settled_since
        return Outlook(stayed >= self.PAUSES * self.limits.poll_interval, "nothing is under way")


class Switching(Handler):
    """StartDBInstance and StopDBInstance; done when the status says so."""

    @property
    def wanted(self) -> tuple[str, ...]:
        return ("stopped",) if self.step.action == "StopDBInstance" else tuple(sorted(READY_STATUSES))

    def call(self):
        described = self._today()
        if described["DBInstanceStatus"] not in self.wanted:
            self.rds.call(self.step.action, DBInstanceIdentifier=described["DBInstanceIdentifier"])

    def happened(self):
        status = self.status()
        return status in self.wanted or status == ("stopping" if self.step.action == "StopDBInstance" else "starting")

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            return self._missing()
        status = described["DBInstanceStatus"]
        if status in self.wanted:
            # Where nothing is pending: a start puts a parameter group in force.
            return self._settling(described, confirmed=True, replication=False) if status in READY_STATUSES else Outlook(True, status)
        if status not in (*READY_STATUSES, "stopped"):
            stop_if_final(described, self.step, self.rds)
        if self._elapsed() > self.limits.effect_timeout and status in (*READY_STATUSES, "stopped"):
            raise WaitTimeoutError(
                f"{self.step.what}: RDS accepted {self.step.action} for {self.label}, which is still {status}.",
                done="Everything before this step is done and stays.",
                next_step=f"Read the events of {self.label} (aws rds describe-events) for the reason, then run again.",
            )
        return Outlook(False, status)


class Deletion(Handler):
    """DeleteDBInstance: of the very instance that was planned for; done when no read shows it any more."""

    def call(self):
        described = self._described()
        if described is None or described["DBInstanceStatus"] == "deleting":
            return
        if self.step.confirmed is not None and not self.step.confirmed(described):
            raise RefusedError(
                f"{self.step.what}: {described['DBInstanceIdentifier']} is not what it was when this was planned.",
                done="It was not deleted.",
                next_step="Somebody changed it meanwhile: look at its name, tags and replicas, then run again.",
            )
        self.rds.call("DeleteDBInstance", DBInstanceIdentifier=described["DBInstanceIdentifier"], **self.step.parameters)

    def happened(self):
        described = self._described()
        return described is None or described["DBInstanceStatus"] == "deleting"

    def outlook(self, instances):
        described = self._mine(instances)
        return Outlook(described is None, "gone" if described is None else described["DBInstanceStatus"])


class SnapshotDeletion(Handler):
    """DeleteDBSnapshot: only while the plan's check says that it is ours; done when no read shows it any more."""

    def __init__(self, *args):
        super().__init__(*args)
        self.resource_id = None

    def call(self):
        snapshot = self.rds.describe_snapshot(self.step.resource)
        if snapshot is None:
            return
        if self.step.confirmed is not None and not self.step.confirmed(snapshot):
            raise RefusedError(
                f"{self.step.what}: {self.step.resource} is not the snapshot that was planned for.",
                done="It was not deleted.",
                next_step="Look at who made it, then run again.",
            )
        self.rds.call("DeleteDBSnapshot", DBSnapshotIdentifier=self.step.resource)

    def happened(self):
        return self.rds.describe_snapshot(self.step.resource) is None

    def status(self):
        return None

    def outlook(self, instances):
        gone = self.happened()
        return Outlook(gone, "gone" if gone else "still there")


class Tagging(Handler):
    """Adds or removes tags; the ARN is read at the last moment, for it contains the name of the day."""

    def __init__(self, *args):
        super().__init__(*args)
        self._before: dict[str, str] = {}
        self._overwritten = 0

    def before(self):
        described = self._described()
        self._before = tags_of(described) if described else {}

    def call(self):
        if self.step.action == "AddTagsToResource":
            self.rds.call("AddTagsToResource", ResourceName=self._today()["DBInstanceArn"], Tags=tag_list(self.step.parameters["Tags"]))
        else:
            self.rds.call("RemoveTagsFromResource", ResourceName=self._today()["DBInstanceArn"], TagKeys=sorted(self.step.parameters["TagKeys"]))

    def _confirmed(self, described: dict) -> bool:
        tags = tags_of(described)
        if self.step.action == "AddTagsToResource":
            return all(tags.get(key) == value for key, value in self.step.parameters["Tags"].items())
        return not any(key in tags for key in self.step.parameters["TagKeys"])

    def happened(self):
        described = self._described()
        return described is not None and self._confirmed(described)

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            return self._missing()
        if self._confirmed(described):
            return Outlook(True, "")
        self._refuse_if_overwritten(described)
        if self._elapsed() > self.limits.effect_timeout:
            raise WaitTimeoutError(f"{self.step.what}: the tags of {self.label} do not show.", next_step="Run again.")
        return Outlook(False, "")

    def _refuse_if_overwritten(self, described: dict) -> None:
        """Two operators who mark the same instance: the later one goes on, the earlier one says so instead of waiting for what it wrote."""
        if self.step.action != "AddTagsToResource":
            return
        now = tags_of(described)
        theirs = [key for key, value in self.step.parameters["Tags"].items() if key in now and now[key] not in (value, self._before.get(key))]
        self._overwritten = self._overwritten + 1 if theirs else 0
        if self._overwritten >= self.limits.steady_reads:
            raise RefusedError(
                f"{self.step.what}: somebody else has set {theirs[0]} of {described['DBInstanceIdentifier']} to {now[theirs[0]]} meanwhile.",
                done="Everything before this step is done and stays.",
                next_step="Another run is at work on the same instance: let it come to its end, then run again.",
            )


class Rename(Handler):
    """ModifyDBInstance with a new identifier: never sent twice without reading who holds both names (rename is not repeat-safe)."""

    @property
    def label(self):
        return f"{self.step.resource} -> {self.wanted}"

    @property
    def wanted(self) -> str:
        return self.step.parameters["NewDBInstanceIdentifier"]

    def before(self):
        for holder in self.rds.all_instances():
            if holder["DbiResourceId"] == self.resource_id or self.wanted not in (holder["DBInstanceIdentifier"], renamed_to(holder)):
                continue
            how = "is taken by" if holder["DBInstanceIdentifier"] == self.wanted else f"is being given to {holder['DBInstanceIdentifier']},"
            raise RefusedError(
                f"{self.step.what}: the name {self.wanted} {how} another instance ({holder['DbiResourceId']}).",
                done="It was not renamed.",
                next_step=f"Find out who made {self.wanted}; rename it out of the way, then run again.",
            )

    def call(self):
        described = self._today()
        if described["DBInstanceIdentifier"] == self.wanted or self._under_way(described):
            return
        if described["DBInstanceStatus"] == "renaming" or renamed_to(described):
            # Somebody renames it at this moment, to what RDS does not say or to another name: it is looked at again when that is over.
            raise CallError(Trouble.BUSY, "InvalidDBInstanceState", "it is being renamed", self.step.action)
        self.rds.call(
            "ModifyDBInstance",
            DBInstanceIdentifier=described["DBInstanceIdentifier"],
            NewDBInstanceIdentifier=self.wanted,
            ApplyImmediately=True,
        )

    def _under_way(self, described: dict) -> bool:
        return renamed_to(described) == self.wanted

    def happened(self):
        described = self._described()
        return described is not None and (described["DBInstanceIdentifier"] == self.wanted or self._under_way(described))

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            return self._missing()
        # A replica cannot reach its source while that is renamed too, and says so: no reason to give up, nor to wait here.
        described = {**described, "StatusInfos": []}
        if described["DBInstanceIdentifier"] != self.wanted:
            outlook = self._settling(described, confirmed=False, replication=False)
            return Outlook(False, "accepted, not begun yet" if described["DBInstanceStatus"] in READY_STATUSES else outlook.text)
        address = (described.get("Endpoint") or {}).get("Address", "")
        renamed = bool(address) and not address.startswith(self.step.resource + ".")
        return self._settling(described, confirmed=renamed, replication=False)


class Reboot(Handler):
    """RebootDBInstance; done once it was seen to restart (status, event or the parameter group), or had ample time to."""

    EVENTS_EVERY = 5.0  # seconds: the status shows most restarts, events the few that fall between two looks

    def __init__(self, *args):
        super().__init__(*args)
        self._seen = False
        self._asked = -self.EVENTS_EVERY
        self._restarts_before: int | None = None

    def _restarts(self) -> int:
        return sum("restart" in message.lower() for message in self.rds.events(self.step.resource, 120))

    def before(self):
        self._restarts_before = self._restarts()

    def call(self):
        self.rds.call("RebootDBInstance", DBInstanceIdentifier=self._today()["DBInstanceIdentifier"])

    def happened(self):
        return self.status() == "rebooting" or self._restarts() > (self._restarts_before or 0)

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            return self._missing()
        if described["DBInstanceStatus"] not in READY_STATUSES:
            self._seen = True
        elif not self._seen and self._asked + min(self.EVENTS_EVERY, self.limits.poll_interval) <= self._elapsed() <= self.limits.restart_grace:
            self._asked = self._elapsed()
            self._seen = self._restarts() > (self._restarts_before or 0)
        confirmed = self._seen or self._elapsed() > self.limits.restart_grace
        if confirmed and self.step.confirmed is not None:
            confirmed = self.step.confirmed(described)
        return self._settling(described, confirmed=confirmed)


class SnapshotHandler(Handler):
    """CreateDBSnapshot and CopyDBSnapshot: the snapshot is ours only if the plan's check says so."""

    def __init__(self, *args):
        super().__init__(*args)
        self.resource_id = None

    def call(self):
        self.rds.call(self.step.action, **self.step.parameters)

    def happened(self):
        snapshot = self.rds.describe_snapshot(self.step.resource)
        if snapshot is None or (not self._is_ours(snapshot) and self._marks_may_come(snapshot)):
            return False
        self._refuse_if_foreign(snapshot)
        return True

    def _is_ours(self, snapshot: dict) -> bool:
        return self.step.confirmed is None or self.step.confirmed(snapshot)

    def _refuse_if_foreign(self, snapshot: dict) -> None:
        if not self._is_ours(snapshot):
            raise RefusedError(
                f"{self.step.what}: a snapshot named {self.step.resource} exists, but it is not the one of this fence.",
                done="It was not used.",
                next_step=f"Find out who made {self.step.resource}; give another snapshot identifier, then run again.",
            )

    def status(self):
        source = self.step.parameters.get("DBInstanceIdentifier")
        described = self.rds.instance(source) if source else None
        return described["DBInstanceStatus"] if described else None

    def outlook(self, instances):
        snapshot = self.rds.describe_snapshot(self.step.resource)
        if snapshot is None:
            return self._missing()
        self._missing_since = None
        status = snapshot.get("Status", "creating")
        if status == "available":
            if not self._is_ours(snapshot) and self._marks_may_come(snapshot):
                return Outlook(False, "available, its tags are not visible yet")
            self._refuse_if_foreign(snapshot)
            return Outlook(True, "available")
        if status in ("failed", "deleted", "deleting") or status.startswith("incompatible"):
            events = "; ".join(self.rds.events(snapshot.get("DBInstanceIdentifier", ""), 60)[-2:])
            raise TerminalStateError(
                f"{self.step.what}: snapshot {self.step.resource} is {status}." + (f" RDS says: {events}." if events else ""),
                done="Nothing was restored from it; the source is untouched but for its name.",
                next_step="Check the KMS key (enabled, kms:CreateGrant) and the quota of snapshots, then run again: another snapshot is made.",
                status=status,
            )
        return Outlook(False, f"{status} {snapshot.get('PercentProgress', 0)} %")


class Creation(Handler):
    """RestoreDBInstanceFromDBSnapshot and CreateDBInstanceReadReplica."""

    def __init__(self, *args):
        super().__init__(*args)
        self.resource_id = None
        self.identifier = self.step.resource

    def call(self):
        self.rds.call(self.step.action, **self.step.parameters)

    def status(self):
        source = (self.step.parameters.get("SourceDBInstanceIdentifier") or "").rpartition(":")[2]
        described = self.rds.instance(source) if source else None
        return described["DBInstanceStatus"] if described else None

    def happened(self):
        described = self.rds.instance(self.step.resource)
        if described is None:
            return False
        if self.step.confirmed is not None and not self.step.confirmed(described):
            if self._marks_may_come(described):
                return False
            raise RefusedError(
                f"{self.step.what}: an instance {self.step.resource} exists already, and this run did not make it.",
                done="It was left as it is.",
                next_step=f"Find out who made {self.step.resource}; rename it out of the way, then run again.",
            )
        return True

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            return self._missing()
        confirmed = self.step.confirmed is None or self.step.confirmed(described)
        if confirmed:
            # From now on by what stays: another operator may rename it while it is awaited here.
            self.resource_id, self.identifier = described["DbiResourceId"], None
        return self._settling(described, confirmed=confirmed)


class Modification(Handler):
    """ModifyDBInstance and AddRoleToDBInstance: confirmed by the values themselves, for ``available`` proves nothing."""

    def call(self):
        identifier = self._today()["DBInstanceIdentifier"]
        extra = {"ApplyImmediately": True} if self.step.action == "ModifyDBInstance" else {}
        self.rds.call(self.step.action, DBInstanceIdentifier=identifier, **self.step.parameters, **extra)

    def happened(self):
        described = self._described()
        return described is not None and self.step.confirmed is not None and self.step.confirmed(described)

    def outlook(self, instances):
        described = self._mine(instances)
        if described is None:
            return self._missing()
        return self._settling(described, confirmed=self.step.confirmed is None or self.step.confirmed(described))


class ActivityStream(Modification):
    """StartActivityStream and ModifyActivityStream, which name the instance by its ARN of the day."""

    def call(self):
        self.rds.call(self.step.action, ResourceArn=self._today()["DBInstanceArn"], **self.step.parameters)


class BackupReplication(Modification):
    """StartDBInstanceAutomatedBackupsReplication, which is called in the region that the backups go to."""

    def call(self):
        parameters = dict(self.step.parameters)
        region, arn = parameters.pop("DestinationRegion"), self._today()["DBInstanceArn"]
        try:
            # With SourceRegion botocore adds the signed URL that GovCloud asks for and other regions ignore.
            self.rds.call_in(region, self.step.action, SourceDBInstanceArn=arn, SourceRegion=arn.split(":")[3], **parameters)
        except CallError as e:
            # The answer to a second request for one instance, too.
            if "QuotaExceeded" not in e.code or not self.happened():
                raise


class ParameterGroup(Handler):
    """CreateDBParameterGroup and CopyDBParameterGroup, whose name says whose it is; ModifyDBParameterGroup; DeleteDBParameterGroup."""

    def __init__(self, *args):
        super().__init__(*args)
        self.resource_id = None
        self._wanted = {each["ParameterName"]: each["ParameterValue"] for each in self.step.parameters.get("Parameters", ())}

    def call(self):
        try:
            self.rds.call(self.step.action, **self.step.parameters)
        except CallError as e:
            # The answer to a second request of the same kind.
            if e.trouble is not Trouble.EXISTS and "NotFound" not in e.code or not self.happened():
                raise

    def happened(self):
        group = self.rds.parameter_group(self.step.resource, self._wanted)
        if self.step.action == "DeleteDBParameterGroup":
            return group is None
        return group is not None and group["values"] == self._wanted

    def status(self):
        return None

    def outlook(self, instances):
        if self.happened():
            return Outlook(True, "")
        if self._elapsed() > self.limits.effect_timeout:
            raise WaitTimeoutError(
                f"{self.step.what}: RDS accepted {self.step.action}, but its effect does not show.",
                done="Everything before this step is done and stays.",
                next_step="Run again.",
            )
        return Outlook(False, "not visible yet")


HANDLERS = {
    "AddRoleToDBInstance": Modification,
    "AddTagsToResource": Tagging,
    "CopyDBParameterGroup": ParameterGroup,
    "CopyDBSnapshot": SnapshotHandler,
    "CreateDBInstanceReadReplica": Creation,
    "CreateDBParameterGroup": ParameterGroup,
    "CreateDBSnapshot": SnapshotHandler,
    "DeleteDBInstance": Deletion,
    "DeleteDBParameterGroup": ParameterGroup,
    "DeleteDBSnapshot": SnapshotDeletion,
    "ModifyActivityStream": ActivityStream,
    "ModifyDBInstance": Modification,
    "ModifyDBParameterGroup": ParameterGroup,
    "RebootDBInstance": Reboot,
    "RemoveTagsFromResource": Tagging,
    "Rename": Rename,
    "RestoreDBInstanceFromDBSnapshot": Creation,
    "SeeThatItStays": SeeThatItStays,
    "StartActivityStream": ActivityStream,
    "StartDBInstance": Switching,
    "StartDBInstanceAutomatedBackupsReplication": BackupReplication,
    "StopDBInstance": Switching,
    "WaitUntilReady": WaitUntilReady,
}
