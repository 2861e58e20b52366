# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retiring: nothing goes that was not named, that is not proven, or that somebody still replicates from; stopped at every call."""

from __future__ import annotations

import copy
import functools

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from fakes.region import Crash, Region
from fakes.shapes import KEY, MARK, instance, replica
from fakes.way import Way

DAY = 86400
ORIGINALS = ["old-x", "old-x-r1", "old-x-r1-a"]
ENCRYPTED = ["x", "x-r1", "x-r1-a"]


def encrypted(*, replicas: bool = True, days: float = 15) -> Region:
    """A topology that was encrypted some days ago."""
    made = copy.deepcopy(just_encrypted(replicas))
    made.clock.sleep(days * DAY)
    return made


@functools.cache
def just_encrypted(replicas: bool) -> Region:
    below = [replica("x-r1", "x", BackupRetentionPeriod=1, DeletionProtection=True), replica("x-r1-a", "x-r1")] if replicas else []
    made = Region(instance("x", tags={"team": "a"}, CopyTagsToSnapshot=False), *below, instance("y"))
    way = Way(made, "x")
    way.fence()
    way.build()
    way.cutover()
    made.settle()
    return made


def fence_of(made: Region) -> str:
    return tags_of(made.truth("old-x"))[MARK + "fence-id"]


def check_deleted(made: Region, fence: str, copied: bool = False) -> None:
    made.settle()
    assert made.names == sorted([*ENCRYPTED, "y"])
    assert made.truth("x-r1")["ReadReplicaSourceDBInstanceIdentifier"] == "x", "nobody was promoted"
    final = f"old-x-{fence}-final"
    kept = {f"new-x-{fence}-encrypted", final} | ({final + "-encrypted"} if copied else set())
    assert set(made.snapshots) == kept
    assert all(backups is False for _name, backups in made.deleted)
    assert [name for name, _backups in made.deleted] == ["old-x-r1-a", "old-x-r1", "old-x"]
    assert tags_of(made.snapshots[final].truth)[MARK + "name"] == "x"
    if copied:
        assert made.snapshots[final + "-encrypted"].truth["KmsKeyId"] == KEY


def test_only_what_was_named_goes():
    made = encrypted()
    calls, fence = len(made.calls), fence_of(made)
    for check_mode in (True, False):
        said = Way(made, "x", check_mode=check_mode).retire()
        assert (said["changed"], said["confirmed"]) == (False, False)
        assert said["going"] == dict(stopped=[], instances=["old-x-r1-a", "old-x-r1", "old-x"], snapshots=[f"new-x-{fence}"])
        assert said["kept"] == [f"old-x-{fence}-final"]
    assert len(made.calls) == calls
    foretold = Way(made, "x", check_mode=True)
    assert foretold.retire(confirm=["X"])["changed"] and len(made.calls) == calls
    way = Way(made, "x")
    said = way.retire(confirm=["x"])
    assert said["confirmed"] and foretold.steps == way.steps
    check_deleted(made, fence)
    calls = len(made.calls)
    again = Way(made, "x").retire(confirm=["x"])
    assert (again["changed"], again["plan"], len(made.calls)) == (False, [], calls)
    assert "has no original any more" in again["remarks"][0]


@pytest.mark.parametrize("copied", [False, True], ids=["plain", "with an encrypted copy"])
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_stopped_at_any_call(after_effect, copied):
    more = dict(confirm=["x"], encrypt_final_snapshot=copied)
    whole = encrypted()
    first = len(whole.calls)
    Way(whole, "x").retire(**more)
    for at in range(first + 1, len(whole.calls) + 1):
        for later in (False, True):
            made = encrypted()
            fence = fence_of(made)
            made.crash_at, made.crash_after_effect = at, after_effect
            with pytest.raises(Crash):
                Way(made, "x").retire(**more)
            made.crash_at = None
            if later:
                made.settle()
            Way(made, "x").retire(**more)
            check_deleted(made, fence, copied)
            assert not Way(made, "x").retire(**more)["changed"]


def test_stop():
    made = encrypted(replicas=False)
    said = Way(made, "x").retire("stop", confirm=["x"])
    assert said["going"]["stopped"] == ["old-x"] and "after seven days" in said["remarks"][0]
    assert made.truth("old-x")["DBInstanceStatus"] == "stopped"
    again = Way(made, "x").retire("stop", confirm=["x"])
    assert not again["changed"] and "after seven days" in again["remarks"][0]
    # It must be started for its final snapshot.
    Way(made, "x").retire(confirm=["x"])
    assert made.names == ["x", "y"]
    assert made.operations[-1] == "DeleteDBInstance" and "StartDBInstance" in made.operations


def test_a_flag_that_rds_leaves_out_is_off():
    made = encrypted(replicas=False)
    fence = fence_of(made)
    for flag in ("DeletionProtection", "CopyTagsToSnapshot", "MultiAZ"):
        made.find("old-x").truth.pop(flag)
    assert Way(made, "x").retire(confirm=["x"])["going"]["instances"] == ["old-x"]
    made.settle()
    assert made.names == ["x", "y"] and f"old-x-{fence}-final" in made.snapshots


@pytest.mark.parametrize(("engine", "stops"), [("sqlserver-se", False), ("mysql", True)])
def test_which_multi_az_instances_can_be_stopped_is_said_by_the_table_of_engines(engine, stops):
    made = encrypted(replicas=False)
    made.find("old-x").truth |= {"MultiAZ": True, "Engine": engine}
    said = Way(made, "x", check_mode=True).retire("stop", confirm=["x"])
    assert said["going"]["stopped"] == (["old-x"] if stops else [])
    assert any("does not stop" in remark for remark in said["remarks"]) is not stops


def test_what_has_replicas_cannot_be_stopped():
    made = encrypted()
    said = Way(made, "x").retire("stop", confirm=["x"])
    assert not said["changed"] and "has replicas" in said["remarks"][0]


def test_a_stopped_original_is_started_by_a_rollback():
    made = encrypted(replicas=False)
    Way(made, "x").retire("stop", confirm=["x"])
    Way(made, "x").rollback(discard_writes=True)
    made.settle()
    assert not made.truth("x")["StorageEncrypted"] and made.truth("x")["DBInstanceStatus"] == "available"


def test_too_young():
    made = encrypted(days=3)
    said = Way(made, "x").retire(confirm=["x"])
    assert not said["changed"] and said["plan"] == [] and "asked for are 14 days" in said["remarks"][0]
    assert Way(made, "x", check_mode=True).retire(confirm=["x"], after_days=3)["changed"]


def test_nothing_to_retire():
    made = Region(instance("x"), replica("x-r1", "x"))
    assert "is its original" in Way(made, "x").retire(confirm=["x"])["remarks"][0]
    assert "moves with its source" in Way(made, "x-r1").retire(confirm=["x"])["remarks"][0]
    way = Way(made, "x")
    way.fence()
    assert "not served by its encrypted instance" in way.retire(confirm=["x"])["remarks"][0]
    assert not [operation for operation in made.operations if operation.startswith(("Delete", "Stop"))]


UNPROVEN = [
    (lambda made: made.truth("x").update(DBInstanceStatus="storage-full"), "x is storage-full"),
    (lambda made: made.truth("x").update(DbiResourceId="db-OTHER"), None),
    (lambda made: made.truth("x").update(StorageEncrypted=False, StorageEncryptionType="none"), None),
    (lambda made: made.truth("x")["TagList"].append({"Key": MARK + "name", "Value": "x"}), "cutover did not come to its end"),
    (lambda made: made.truth("old-x").update(TagList=[t for t in made.truth("old-x")["TagList"] if not t["Key"].endswith("validated")]), "no validation"),
    (lambda made: made.things.remove(made.find("x")), None),
]


@pytest.mark.parametrize(("harm", "words"), UNPROVEN)
def test_an_original_stays_while_its_replacement_is_not_proven(harm, words):
    made = encrypted(replicas=False)
    harm(made)
    calls = len(made.calls)
    try:
        said = Way(made, "x").retire(confirm=["x"])
    except RefusedError as e:
        assert words is None or words in str(e)
        assert "Nothing" in str(e)
    else:
        assert words is None and said["plan"] == []
    assert len(made.calls) == calls and "old-x" in made.names


def test_the_proof_is_looked_at_again_right_before_a_deletion():
    made = encrypted(replicas=False)
    way = Way(made, "x")
    original = made.call

    def meddle(operation, parameters):
        answer = original(operation, parameters)
        if operation == "ModifyDBInstance":
            made.truth("x").update(DBInstanceStatus="incompatible-parameters")
        return answer

    made.call = meddle
    with pytest.raises(RefusedError, match="x is incompatible-parameters"):
        way.retire(confirm=["x"])
    assert "old-x" in made.names and "DeleteDBInstance" not in made.operations


@pytest.mark.parametrize("changes", [{}, dict(ReadReplicaDBInstanceIdentifiers=["arn:aws:rds:us-east-1:1:db:far"])], ids=["replica", "other region"])
def test_a_source_that_somebody_replicates_from_stays(changes):
    made = encrypted()
    if changes:
        made.truth("old-x").update(changes)
    else:
        made.things += Region(replica("reporting", "old-x")).things
        made.truth("old-x")["ReadReplicaDBInstanceIdentifiers"].append("reporting")
    with pytest.raises(EncryptionError, match="reporting|far"):
        Way(made, "x").retire(confirm=["x"])
    assert not [operation for operation in made.operations if operation.startswith("Delete")]


def test_foreign_snapshots_stay():
    made = encrypted(replicas=False)
    fence = fence_of(made)
    made._new_snapshot(f"before-{fence}", made.truth("old-x"), 0, [], 0, Encrypted=False)
    copied = [{"Key": MARK + key, "Value": value} for key, value in (("name", "x"), ("role", "snapshot"), ("fence-id", fence), ("source-resource-id", "db-X"))]
    made._new_snapshot(f"y-{fence}", made.truth("y"), 0, copied, 0, Encrypted=False)
    Way(made, "x").retire(confirm=["x"])
    assert {f"before-{fence}", f"y-{fence}"} <= set(made.snapshots) and f"new-x-{fence}" not in made.snapshots


def left_over() -> Region:
    made = Region(instance("x"), replica("x-r1", "x"), instance("y"))
    way = Way(made, "x")
    way.fence()
    way.build()
    way.rollback()
    made.settle()
    return made


def test_leftovers_of_a_rollback_go_only_by_their_own_names():
    made = left_over()
    said = Way(made, "x").retire(confirm=["x"])
    assert not said["changed"] and any("new-x-r1 is left over" in remark for remark in said["remarks"])
    with pytest.raises(RefusedError, match="new-x-r1 would be promoted"):
        Way(made, "x").retire(confirm=["new-x"])
    assert not Way(made, "x").retire("stop", confirm=["new-x", "new-x-r1"])["changed"]
    said = Way(made, "x").retire(confirm=["new-x", "new-x-r1"])
    assert said["changed"] and said["confirmed"] and said["going"]["instances"] == ["new-x-r1", "new-x"]
    made.settle()
    assert made.names == ["x", "x-r1", "y"] and [s for s in made.snapshots if s.endswith("-final")]
    assert made.truth("x-r1")["ReadReplicaSourceDBInstanceIdentifier"] == "x"
    assert not Way(made, "x").retire(confirm=["new-x", "new-x-r1"])["changed"]
    # And the next run is not in its way.
    way = Way(made, "x")
    way.fence()
    way.build()
    way.cutover()
    assert made.truth("x")["StorageEncrypted"]
