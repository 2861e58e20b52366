# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an earlier attempt, a rehearsal or somebody's hands left behind: never used wrongly, always said, always to be mended."""

from __future__ import annotations

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_FENCE_ID, tag_list, tags_of
from fakes.region import Crash, Region
from fakes.shapes import KEY, encrypted, instance, marks, replica
from fakes.way import PREFIXES, Way

NAMES = ("x", "x-r")


def region() -> Region:
    made = Region(instance("x", tags={"team": "a"}), replica("x-r", "x", BackupRetentionPeriod=0))
    made.application("x")
    return made


def stopped_after(operation: str, made: Region, times: int = 1) -> None:
    """A run dies after it has made a call for the n-th time."""
    call = made.call

    def until(name, parameters):
        answer = call(name, parameters)
        if made.operations.count(operation) == times:
            raise Crash(operation)
        return answer

    made.call = until
    with pytest.raises(Crash):
        Way(made, "x").everything()
    made.call = call
    made.settle()


def names_back(made: Region) -> None:
    """Somebody gives the originals their names back; the application writes again."""
    for name in NAMES:
        made.rename_by_hand("old-" + name, name)
    made.tick()


def complete(made: Region) -> None:
    made.settle()
    for name in NAMES:
        assert made.truth(name)["KmsKeyId"] == KEY and made.truth("old-" + name)["DbiResourceId"] == "db-" + name.upper()
    assert made.find("x").data == made.applications[0].acknowledged and not made.applications[0].lost


def blocked(made: Region, code: str) -> str:
    """What preflight says of a blocker."""
    said = Way(made, "x").info(preflight=True)
    assert said["action"] == "blocked" and code in [blocker["code"] for blocker in said["blockers"]], said["blockers"]
    return next(blocker["text"] for blocker in said["blockers"] if blocker["code"] == code)


@pytest.mark.parametrize("left", ["CreateDBSnapshot", "CopyDBSnapshot"])
def test_a_snapshot_of_an_earlier_attempt(left):
    made = region()
    stopped_after(left, made)
    stale = set(made.snapshots)
    names_back(made)
    Way(made, "x").everything()
    complete(made)
    used = [parameters["DBSnapshotIdentifier"] for operation, parameters in made.calls if operation.startswith("Restore")]
    assert len(used) == 1 and not set(used) & stale and stale <= set(made.snapshots), "neither used nor deleted"


def test_what_a_rehearsal_of_last_week_left():
    """Under throw-away names and with its own tags: it is no reason to stop, and nothing of it is used."""
    made = region()
    tags = marks("rehearsed-x", "snapshot", "db-X", "f00000000000")
    made._new_snapshot("new-x-f00000000000", made.truth("x"), 0, tag_list(tags), 60, Encrypted=False)
    made.things += Region(encrypted("rehearsed-x", tags=marks("rehearsed-x", "target", "db-X", "f00000000000"))).things
    made.settle()
    made.tick()
    Way(made, "x").everything()
    assert "rehearsed-x" in made.names and "new-x-f00000000000" in made.snapshots
    complete(made)


@pytest.mark.parametrize("tags", [{}, marks("x", "snapshot", "db-Y"), marks("x", "copy", "db-X", "f00000000000")], ids=["none", "another's", "old"])
@pytest.mark.parametrize("suffix", ["", "-encrypted"])
def test_a_snapshot_made_by_hand_with_the_expected_name(suffix, tags):
    made = region()
    fence_id = Way(made, "x").fence()["fence_id"]
    name = f"new-x-{fence_id}{suffix}"
    made._new_snapshot(name, made.truth("old-x"), 0, tag_list(tags), 0, Encrypted=bool(suffix), KmsKeyId=KEY)
    made.settle()
    with pytest.raises(RefusedError, match=f"{name} exists that does not belong to fence {fence_id}") as refused:
        Way(made, "x").build()
    assert "It was not used" in refused.value.done and "remove it" in refused.value.next_step
    del made.snapshots[name]
    Way(made, "x").everything()
    complete(made)


def test_a_target_that_somebody_restored_from_an_older_snapshot():
    """With the marks of the fence in force copied onto it: the fence id is right, the source it was made of is not told by tags alone."""
    made = region()
    old = Way(made, "x").fence()["fence_id"]
    names_back(made)
    made.things += Region(encrypted("new-x", tags=marks("x", "target", "db-X", old))).things
    assert "made under fence" in blocked(made, "name_taken")
    made.rename_by_hand("new-x", "stale-x")
    Way(made, "x").everything()
    complete(made)


def test_renamed_back_written_to_and_renamed_away_again():
    """Names and tags are as if nothing had been; a restart after the snapshot says that something was."""
    made = region()
    stopped_after("CreateDBInstanceReadReplica", made)
    names_back(made)
    for name in NAMES:
        made.rename_by_hand(name, "old-" + name)
    said = blocked(made, "plan")
    assert "old-x was restarted after the snapshot of fence" in said and "rename old-x to x" in said
    with pytest.raises(RefusedError, match="was restarted after the snapshot"):
        Way(made, "x").cutover()
    names_back(made)
    for name in NAMES:
        made.rename_by_hand("new-" + name, "stale-" + name)
    Way(made, "x").everything()
    complete(made)


def test_a_restart_that_somebody_vouches_for():
    made = region()
    stopped_after("CreateDBInstanceReadReplica", made)
    made.call("RebootDBInstance", dict(DBInstanceIdentifier="old-x"))
    made.settle()
    said = blocked(made, "plan")
    arn, _space, tag = said.partition("--resource-name ")[2].partition(" --tags ")
    key, value = tag.removeprefix("Key=").split(",Value=")
    made.call("AddTagsToResource", dict(ResourceName=arn, Tags=[dict(Key=key, Value=value)]))
    Way(made, "x").everything()
    complete(made)


def test_tags_that_were_copied_by_hand():
    """Somebody copies all tags of the fenced source to another instance, such as infrastructure code would."""
    made = region()
    way = Way(made, "x")
    way.fence()
    for name, of in (("z", "old-x"), ("old-z", "old-x")):
        made.things += Region(instance(name, tags=tags_of(made.truth(of)))).things
    Way(made, "x").everything()
    complete(made)
    assert made.truth("z")["DBInstanceStatus"] == "available" and not made.truth("z")["StorageEncrypted"]
    assert {"z", "old-z"} <= set(made.names)


def test_a_target_whose_replica_was_deleted():
    made = region()
    way = Way(made, "x")
    way.fence()
    way.build()
    made.settle()
    made.things.remove(made.find("new-x-r"))
    made.truth("new-x")["ReadReplicaDBInstanceIdentifiers"].clear()
    with pytest.raises(RefusedError, match="new-x-r does not exist"):
        Way(made, "x").cutover()
    Way(made, "x").everything()
    complete(made)


def test_a_replica_that_is_missing_when_the_name_was_given_by_hand():
    """Half a cutover by hand: the way on is told, and is one."""
    made = region()
    way = Way(made, "x")
    way.fence()
    way.restore(way.info()["members"][0])
    made.rename_by_hand("new-x", "x")
    said = blocked(made, "replica_missing")
    with pytest.raises(RefusedError, match="x-r has no encrypted replacement: new-x-r does not exist, and x is cut over already") as refused:
        Way(made, "x").cutover()
    assert refused.value.next_step in said
    words = dict(part.split(": ") for part in said.partition("(")[2].partition(")")[0].split(", "))
    assert words == {
        "source_db_instance_identifier": "x",
        "model_db_instance_identifier": "old-x-r",
        "target_db_instance_identifier": "new-x-r",
    }
    Way(made, "x").replica(dict(source_identifier="old-x-r", target_identifier="new-x-r"), dict(target_identifier="x"))
    Way(made, "x").everything()
    complete(made)


@pytest.mark.parametrize("by_hand", [("old-x", "x"), ("old-x-r", "x-r")])
def test_a_topology_that_is_half_renamed(by_hand):
    """One of the two has its name back: whichever it is, nothing is lost, and the same command goes on."""
    made = region()
    Way(made, "x").fence()
    made.rename_by_hand(*by_hand)
    made.tick()
    Way(made, "x").everything()
    complete(made)


def test_two_topologies_of_which_one_is_finished():
    made = Region(instance("x"), replica("x-r", "x", BackupRetentionPeriod=0), instance("w"))
    made.application("x")
    Way(made, "w").everything()
    served = made.truth("w")["DbiResourceId"]
    assert Way(made, "x").everything()["action"] == "encrypt" and Way(made, "w").everything()["action"] == "none"
    assert made.truth("w")["DbiResourceId"] == served
    complete(made)


@pytest.mark.parametrize("phase", ["fence", "build"])
@pytest.mark.parametrize("prefix", ["old_prefix", "new_prefix"])
def test_a_prefix_that_was_changed_in_the_middle(phase, prefix, monkeypatch):
    made = region()
    way = Way(made, "x")
    way.fence()
    if phase == "build":
        way.build()
    calls = len(made.calls)
    with monkeypatch.context() as changed:
        changed.setitem(PREFIXES, prefix, "changed-")
        if (phase, prefix) == ("fence", "new_prefix"):
            assert Way(made, "x").info(preflight=True)["action"] == "encrypt", "nothing bears the other prefix yet"
        else:
            said = blocked(made, "unknown_instance")
            assert "another rds_encryption_old_prefix" in said or "is called neither changed-x nor x" in said
            with pytest.raises(EncryptionError):
                Way(made, "x").fence() if prefix == "old_prefix" else Way(made, "x").cutover()
    assert len(made.calls) == calls
    Way(made, "x").everything()
    complete(made)
    assert tags_of(made.truth("old-x"))[TAG_FENCE_ID]
