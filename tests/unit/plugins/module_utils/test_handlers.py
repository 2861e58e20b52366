# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each kind of step: what it rests on, when it is done, and when no waiting helps."""

from __future__ import annotations

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    CallError,
    RefusedError,
    TerminalStateError,
    Trouble,
    WaitTimeoutError,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import MOVING_STATUSES, TERMINAL_STATUSES, meaning_of_status
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import WAITS, Step
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.handlers import HANDLERS
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits
from fakes.region import OPERATIONS, Region
from fakes.shapes import address_of, arn_of, encrypted, instance, replica

RENAME = Step("Rename", "x", "Rename x to old-x", {"NewDBInstanceIdentifier": "old-x"}, resource_id="db-X")
WAIT = Step("WaitUntilReady", "x", "Wait for x", resource_id="db-X")
REBOOT = Step("RebootDBInstance", "x", "Restart x", resource_id="db-X")
TAG = Step("AddTagsToResource", "x", "Tag x", {"Tags": {"a": "1"}}, resource_id="db-X")
UNTAG = Step("RemoveTagsFromResource", "x", "Untag x", {"TagKeys": ("a",)}, resource_id="db-X")
MODIFY = Step("ModifyDBInstance", "x", "Set MultiAZ", {"MultiAZ": True}, resource_id="db-X", confirmed=lambda d: d["MultiAZ"])
RESTORE = Step("RestoreDBInstanceFromDBSnapshot", "new-x", "Restore new-x", {}, confirmed=lambda d: d["StorageEncrypted"])
COPY = Step("CopyDBSnapshot", "c", "Copy s to c", {}, confirmed=lambda s: s.get("Encrypted", False))


def handler(step, *there, limits=None, **region):
    region = Region(*there, **region)
    made = HANDLERS[step.action](step, Rds(region.client), limits or Limits(), region.clock)
    made.region = region
    return made


def outlook(made, *described):
    return made.outlook(list(described))


def test_every_operation_has_a_handler():
    assert set(HANDLERS) == {*OPERATIONS, "Rename", *WAITS}


# -- ready, moving, final --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["available", "storage-optimization"])
def test_ready(status):
    assert outlook(handler(WAIT), instance("x", DBInstanceStatus=status)).done


@pytest.mark.parametrize("nothing", [{"PendingCloudwatchLogsExports": {}}, {"PendingCloudwatchLogsExports": {"LogTypesToEnable": []}, "Port": None}])
def test_empty_structures_are_not_pending(nothing):
    assert outlook(handler(WAIT), instance("x", PendingModifiedValues=nothing)).done


def test_zero_and_false_are_pending():
    assert "BackupRetentionPeriod, MultiAZ" in outlook(handler(WAIT), instance("x", PendingModifiedValues={"BackupRetentionPeriod": 0, "MultiAZ": False})).text


def test_a_replica_of_which_rds_says_nothing_is_awaited_for_a_while_only():
    made = handler(WAIT)
    silent = replica("x", "y", DbiResourceId="db-X", StatusInfos=[])
    assert outlook(made, silent).text == "available, replication has not reported yet"
    made.clock.sleep(made.limits.report_timeout)
    assert not outlook(made, silent).done
    made.clock.sleep(1)
    assert outlook(made, silent).done


@pytest.mark.parametrize("status", [*sorted(MOVING_STATUSES), "a-status-of-tomorrow"])
def test_moving(status):
    seen = outlook(handler(WAIT), instance("x", DBInstanceStatus=status))
    assert (seen.done, seen.text) == (False, status)


def test_progress_moves_the_text():
    assert outlook(handler(WAIT), instance("x", DBInstanceStatus="storage-initialization", PercentProgress="12")).text.endswith("12 %")


@pytest.mark.parametrize("status", [*sorted(TERMINAL_STATUSES), "stopped", "insufficient-capacity"])
@pytest.mark.parametrize("step", [WAIT, RENAME, REBOOT, MODIFY, RESTORE], ids=lambda step: step.action)
def test_final(step, status):
    described = instance(step.resource, DBInstanceStatus=status)
    made = handler(step, described)
    made.region.event_log.append((made.clock.now, step.resource, "the reason of RDS"))
    with pytest.raises(TerminalStateError) as ended:
        outlook(made, described)
    assert f"{step.resource} is {status}" in str(ended.value) and "the reason of RDS" in str(ended.value)
    assert ended.value.next_step == meaning_of_status(status)[1] != ""
    assert ended.value.facts == {"status": status}


PARTS = [
    dict(DBParameterGroups=[{"DBParameterGroupName": "pg", "ParameterApplyStatus": "failed-to-apply"}]),
    dict(OptionGroupMemberships=[{"OptionGroupName": "og", "Status": "failed"}]),
    dict(DomainMemberships=[{"Domain": "d", "Status": "failed"}]),
    dict(AssociatedRoles=[{"RoleArn": "arn:r", "FeatureName": "S3", "Status": "INVALID"}]),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: next(iter(part)))
def test_available_with_a_part_that_failed(part):
    with pytest.raises(TerminalStateError, match="is available, but"):
        outlook(handler(MODIFY), instance("x", **part))


def link(status):
    return replica("x", "y", StatusInfos=[{"StatusType": "read replication", "Status": status, "Message": "no binlog"}])


def test_replication_that_ended_is_final():
    with pytest.raises(TerminalStateError, match="no binlog"):
        outlook(handler(WAIT), link("terminated"))


def test_replication_in_error_may_be_a_lost_connection_for_a_while_only():
    made = handler(WAIT)
    assert outlook(made, link("error")).text == "available, replication is in state error"
    made.clock.sleep(made.limits.report_timeout)
    assert not outlook(made, link("replicating")).text.endswith("error"), "it came back: the patience begins anew"
    assert not outlook(made, link("error")).done
    made.clock.sleep(made.limits.report_timeout)
    assert not outlook(made, link("error")).done
    made.clock.sleep(1)
    with pytest.raises(TerminalStateError, match="no binlog"):
        outlook(made, link("error"))


MOVING_PARTS = [
    dict(PendingModifiedValues={"MultiAZ": True}),
    dict(VpcSecurityGroups=[{"VpcSecurityGroupId": "sg", "Status": "adding"}]),
    dict(DBParameterGroups=[{"DBParameterGroupName": "pg", "ParameterApplyStatus": "applying"}]),
]


@pytest.mark.parametrize("part", MOVING_PARTS, ids=lambda part: next(iter(part)))
def test_available_is_not_enough(part):
    seen = outlook(handler(WAIT), instance("x", **part))
    assert not seen.done and seen.text.startswith("available, ")


def test_who_is_invisible_for_too_long_is_given_up():
    made = handler(WAIT)
    assert outlook(made).text == "not visible yet"
    made.clock.sleep(901)
    with pytest.raises(WaitTimeoutError, match="x has been invisible for 900 s"):
        outlook(made)


def test_time_out_of_sight_is_counted_anew():
    made = handler(RESTORE)
    assert not outlook(made).done
    made.clock.sleep(3600)
    assert outlook(made, encrypted("new-x", DBInstanceStatus="creating")).text == "creating"
    made.clock.sleep(3600)
    assert outlook(made).text == "not visible yet", "one read that misses it is nothing"


# -- rename ----------------------------------------------------------------------------------------------------------------------------


def renamed(**more):
    return instance("old-x", DbiResourceId="db-X", **more)


def test_rename_is_done_when_name_and_address_are_new():
    made = handler(RENAME)
    assert not outlook(made, instance("x")).done
    assert not outlook(made, instance("x", DBInstanceStatus="renaming")).done
    stale = outlook(made, renamed(Endpoint={"Address": address_of("x")}))
    assert not stale.done and "not visible yet" in stale.text
    assert outlook(made, renamed()).done


def test_rename_bears_a_replica_that_lost_its_source():
    made = handler(RENAME)
    error = [{"StatusType": "read replication", "Status": "error", "Message": "cannot connect"}]
    assert not outlook(made, replica("x", "y", DbiResourceId="db-X", StatusInfos=error)).done
    assert outlook(made, replica("old-x", "old-y", DbiResourceId="db-X", StatusInfos=error)).done


def test_rename_looks_who_has_the_wanted_name():
    with pytest.raises(RefusedError, match="the name old-x is taken by another instance") as refused:
        handler(RENAME, instance("x"), instance("old-x")).before()
    assert refused.value.done == "It was not renamed."
    handler(RENAME, instance("x")).before()
    handler(RENAME, renamed()).before()


@pytest.mark.parametrize("there", [renamed(), instance("x", PendingModifiedValues={"DBInstanceIdentifier": "old-x"})])
def test_rename_is_not_sent_twice(there):
    made = handler(RENAME, there)
    assert made.happened()
    made.call()
    assert made.region.calls == []


@pytest.mark.parametrize("there", [dict(DBInstanceStatus="renaming"), dict(PendingModifiedValues={"DBInstanceIdentifier": "elsewhere"})])
def test_rename_to_who_knows_what_is_neither_ours_nor_disturbed(there):
    made = handler(RENAME, instance("x", **there))
    assert not made.happened()
    with pytest.raises(CallError, match="it is being renamed") as busy:
        made.call()
    assert busy.value.trouble is Trouble.BUSY and made.region.calls == []


def test_rename_sees_who_is_about_to_get_the_wanted_name():
    coming = instance("y", PendingModifiedValues={"DBInstanceIdentifier": "old-x"})
    with pytest.raises(RefusedError, match="the name old-x is being given to y, another instance"):
        handler(RENAME, instance("x"), coming).before()


def test_rename_that_never_begins_is_given_up():
    made = handler(RENAME, instance("x"))
    assert outlook(made, instance("x")).text == "accepted, not begun yet"
    made.clock.sleep(901)
    with pytest.raises(WaitTimeoutError, match="its effect does not show"):
        outlook(made, instance("x"))


def test_tags_that_somebody_else_overwrites_are_not_waited_for():
    made = handler(TAG, instance("x", tags={"a": "0"}))
    made.before()
    assert not outlook(made, instance("x", tags={"a": "0"})).done, "not visible yet"
    theirs = instance("x", tags={"a": "2"})
    assert not outlook(made, theirs).done and not outlook(made, theirs).done
    with pytest.raises(RefusedError, match="somebody else has set a of x to 2 meanwhile"):
        outlook(made, theirs)


def test_what_was_made_is_awaited_by_what_stays_when_it_is_renamed():
    made = handler(RESTORE)
    assert not outlook(made, encrypted("new-x", DbiResourceId="db-N", DBInstanceStatus="creating")).done
    assert (made.resource_id, made.identifier) == ("db-N", None)
    assert outlook(made, encrypted("x", DbiResourceId="db-N")).done


def test_rename_goes_by_the_resource_id():
    """The name may have another holder meanwhile: that one must not be renamed."""
    made = handler(RENAME, instance("x", DbiResourceId="db-STRANGER"), instance("elsewhere", DbiResourceId="db-X"))
    assert not made.happened()
    made.call()
    assert [parameters["DBInstanceIdentifier"] for _operation, parameters in made.region.calls] == ["elsewhere"]


@pytest.mark.parametrize("step", [RENAME, REBOOT, TAG, UNTAG, MODIFY], ids=lambda step: step.action)
def test_whom_no_read_shows_is_looked_for_again_and_no_namesake_is_touched(step):
    made = handler(step, instance("x", DbiResourceId="db-STRANGER"))
    assert not made.happened()
    with pytest.raises(CallError) as missed:
        made.call()
    assert missed.value.trouble is Trouble.NOT_FOUND and made.region.calls == []


# -- restart ---------------------------------------------------------------------------------------------------------------------------


def test_restart_is_done_when_it_was_seen():
    made = handler(REBOOT, instance("x"))
    made.before()
    assert not outlook(made, instance("x")).done, "not yet: it may not have begun"
    assert not outlook(made, instance("x", DBInstanceStatus="rebooting")).done
    assert outlook(made, instance("x")).done


def test_restart_is_done_when_an_event_says_so():
    made = handler(REBOOT, instance("x"))
    made.region.event_log.append((made.clock.now, "x", "DB instance restarted"))
    made.before()
    assert not outlook(made, instance("x")).done, "that was an earlier one"
    made.region.event_log.append((made.clock.now, "x", "DB instance restarted"))
    assert not outlook(made, instance("x")).done, "events are not asked for at each look"
    made.clock.sleep(made.EVENTS_EVERY)
    assert outlook(made, instance("x")).done


def test_restart_that_fell_between_two_reads():
    made = handler(REBOOT, instance("x"))
    made.before()
    assert not outlook(made, instance("x")).done
    made.clock.sleep(31)
    assert outlook(made, instance("x")).done


def test_restart_must_have_had_its_effect():
    waiting = [{"DBParameterGroupName": "pg", "ParameterApplyStatus": "pending-reboot"}]
    step = Step(**{**REBOOT.__dict__, "confirmed": lambda d: d["DBParameterGroups"] != waiting})
    made = handler(step, instance("x"))
    made.before()
    assert not outlook(made, instance("x", DBInstanceStatus="rebooting", DBParameterGroups=waiting)).done
    assert not outlook(made, instance("x", DBParameterGroups=waiting)).done
    assert outlook(made, instance("x")).done


def test_restart_goes_by_the_resource_id():
    made = handler(REBOOT, instance("elsewhere", DbiResourceId="db-X"), instance("x", DbiResourceId="db-STRANGER"))
    made.call()
    assert made.region.calls[0][1] == {"DBInstanceIdentifier": "elsewhere"}


# -- tags ------------------------------------------------------------------------------------------------------------------------------


def test_tags_go_to_the_arn_of_the_day():
    made = handler(TAG, instance("elsewhere", DbiResourceId="db-X"))
    made.call()
    assert made.region.calls[0][1]["ResourceName"] == arn_of("elsewhere")
    assert made.happened()


@pytest.mark.parametrize(("step", "done", "open_"), [(TAG, {"a": "1", "b": "2"}, {"a": "2"}), (UNTAG, {"b": "2"}, {"a": "1"})])
def test_tags_are_confirmed_by_reading(step, done, open_):
    made = handler(step)
    assert outlook(made, instance("x", tags=done)).done
    assert not outlook(made, instance("x", tags=open_)).done
    made.clock.sleep(901)
    with pytest.raises(WaitTimeoutError, match="do not show"):
        outlook(made, instance("x", tags=open_))


# -- modifications ---------------------------------------------------------------------------------------------------------------------


def test_a_modification_is_confirmed_by_its_values():
    made = handler(MODIFY)
    seen = outlook(made, instance("x"))
    assert not seen.done and "change not visible yet" in seen.text
    assert outlook(made, instance("x", MultiAZ=True)).done


def test_a_modification_without_effect_is_given_up():
    made = handler(MODIFY)
    outlook(made, instance("x"))
    made.clock.sleep(901)
    with pytest.raises(WaitTimeoutError, match="RDS accepted ModifyDBInstance for x, which is available, but its effect does not show"):
        outlook(made, instance("x"))


def test_only_modifications_ask_to_be_made_at_once():
    made = handler(MODIFY, instance("x"))
    made.call()
    assert made.region.calls[0][1]["ApplyImmediately"] is True
    role = handler(Step("AddRoleToDBInstance", "x", "Add", {"RoleArn": "arn:r", "FeatureName": "f"}, resource_id="db-X"), instance("x"))
    role.call()
    assert "ApplyImmediately" not in role.region.calls[0][1]


# -- snapshots and creations -----------------------------------------------------------------------------------------------------------


def with_snapshot(status, **more):
    made = handler(COPY)
    made.region._new_snapshot("c", instance("x"), 0, [], 60, **{"Encrypted": True, **more})
    made.region.snapshots["c"].truth.update(Status=status, PercentProgress=40)
    made.region.snapshots["c"].future = []
    return made


def test_a_snapshot_in_the_making():
    assert outlook(handler(COPY)).text == "not visible yet" and not handler(COPY).happened()
    assert outlook(with_snapshot("creating")).text == "creating 40 %"
    assert outlook(with_snapshot("available")).done
    assert with_snapshot("creating").happened()


@pytest.mark.parametrize("status", ["failed", "deleting", "incompatible-restore"])
def test_a_snapshot_that_failed(status):
    with pytest.raises(TerminalStateError, match=f"snapshot c is {status}") as ended:
        outlook(with_snapshot(status))
    assert "another snapshot is made" in ended.value.next_step


def test_a_snapshot_of_somebody_else():
    made = with_snapshot("available", Encrypted=False)
    assert not made.happened() and outlook(made).text == "available, its tags are not visible yet"
    made.clock.sleep(made.limits.marks_timeout + 1)
    for look in (made.happened, lambda: outlook(made)):
        with pytest.raises(RefusedError, match="not the one of this fence"):
            look()


def test_an_instance_of_somebody_else():
    assert handler(RESTORE, encrypted("new-x")).happened() and not handler(RESTORE).happened()
    refused = "an instance new-x exists already, and this run did not make it"
    with pytest.raises(RefusedError, match=refused):
        handler(RESTORE, instance("new-x", tags={"somebody": "else"})).happened()
    made = handler(RESTORE, instance("new-x"))
    assert not made.happened(), "its tags may come later than it"
    made.clock.sleep(made.limits.marks_timeout + 1)
    with pytest.raises(RefusedError, match=refused):
        made.happened()


def test_a_creation_is_not_done_before_its_tags_show():
    made = handler(RESTORE)
    assert outlook(made, instance("new-x")).text == "available, change not visible yet"
    assert outlook(made, encrypted("new-x")).done


def test_a_creation_is_done_when_it_is_ready():
    made = handler(RESTORE)
    assert outlook(made, encrypted("new-x", DBInstanceStatus="creating")).text == "creating"
    assert outlook(made, encrypted("new-x", DBInstanceStatus="backing-up")).text == "backing-up"
    assert outlook(made, encrypted("new-x")).done
    assert not outlook(made, instance("other")).done


# -- to stay, to start and stop, to go -------------------------------------------------------------------------------------------------

STAYS = Step("SeeThatItStays", "x", "See that x stays", resource_id="db-X")
START = Step("StartDBInstance", "x", "Start x", resource_id="db-X")
STOP = Step("StopDBInstance", "x", "Stop x", resource_id="db-X")
GO = Step("DeleteDBInstance", "x", "Delete x", {"SkipFinalSnapshot": True, "DeleteAutomatedBackups": False}, resource_id="db-X",
          confirmed=lambda d: d["DBInstanceIdentifier"] == "x")


def test_what_stays_is_watched_for_six_pauses():
    made = handler(STAYS, limits=Limits(poll_interval=20.0))
    assert not outlook(made, instance("x")).done
    made.region.clock.sleep(119)
    assert not outlook(made, instance("x")).done
    made.region.clock.sleep(1)
    assert outlook(made, instance("x")).done
    assert not outlook(made, instance("x", DBInstanceStatus="renaming")).done
    assert not outlook(made, instance("x")).done, "it is watched anew after it moved"
    assert outlook(made, instance("old-x", DbiResourceId="db-X")).done, "renamed: whoever asks reads anew"


@pytest.mark.parametrize("status", ["incompatible-restore", "stopped", "creating"])
def test_what_cannot_be_renamed_stays(status):
    made = handler(STAYS, limits=Limits(poll_interval=1.0))
    outlook(made, instance("x", DBInstanceStatus=status))
    made.region.clock.sleep(6)
    assert outlook(made, instance("x", DBInstanceStatus=status)).done


@pytest.mark.parametrize(("step", "before", "during", "after"), [(START, "stopped", "starting", "available"), (STOP, "available", "stopping", "stopped")])
def test_start_and_stop(step, before, during, after):
    made = handler(step, instance("x", DBInstanceStatus=before))
    assert not made.happened() and not outlook(made, instance("x", DBInstanceStatus=before)).done
    made.call()
    assert made.happened() and not outlook(made, instance("x", DBInstanceStatus=during)).done
    assert outlook(made, instance("x", DBInstanceStatus=after)).done
    made.region.settle()
    made.call()
    assert len(made.region.calls) == 1, "there is nothing to do any more"


def test_a_start_that_never_comes_ends_in_words():
    made = handler(START, limits=Limits(effect_timeout=60.0))
    outlook(made, instance("x", DBInstanceStatus="stopped"))
    made.region.clock.sleep(61)
    with pytest.raises(WaitTimeoutError, match="still stopped"):
        outlook(made, instance("x", DBInstanceStatus="stopped"))


def test_only_the_very_instance_is_deleted():
    made = handler(GO, instance("old-x", DbiResourceId="db-X", DeletionProtection=False), instance("x", DbiResourceId="db-OTHER", DeletionProtection=False))
    with pytest.raises(RefusedError, match="old-x is not what it was"):
        made.call()
    assert made.region.calls == []
    made.region.rename_by_hand("x", "y")
    made.region.rename_by_hand("old-x", "x")
    made.call()
    made.call()
    assert made.region.operations == ["DeleteDBInstance"] and made.happened() and not outlook(made, instance("x", DBInstanceStatus="deleting")).done
    made.region.settle()
    assert made.happened() and outlook(made).done and made.region.names == ["y"]


def test_only_the_very_snapshot_is_deleted():
    step = Step("DeleteDBSnapshot", "s", "Delete s", confirmed=lambda s: not s["Encrypted"])
    made = handler(step, instance("x"))
    made.region._new_snapshot("s", made.region.truth("x"), 0, [], 0, Encrypted=True)
    with pytest.raises(RefusedError, match="s is not the snapshot"):
        made.call()
    made.region.snapshots["s"].truth["Encrypted"] = False
    assert not made.happened() and not outlook(made).done
    made.call()
    made.call()
    assert made.region.operations == ["DeleteDBSnapshot"] and outlook(made).done
