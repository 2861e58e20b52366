# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cutover that is not done in time takes the names back, unless somebody may have written already."""

from __future__ import annotations

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from fakes.region import Crash, Region
from fakes.shapes import MARK, instance, replica
from fakes.way import Way

OLD = ["old-x", "old-x-r"]
UNDONE = ["new-x", "new-x-r", *OLD]
DONE = [*OLD, "x", "x-r"]


def built(**more) -> Region:
    made = Region(instance("x"), replica("x-r", "x"), **more)
    made.application("x")
    way = Way(made, "x")
    way.fence()
    way.build()
    made.settle()
    return made


def fails(made: Region, **more) -> str:
    way = Way(made, "x")
    with pytest.raises(EncryptionError) as failed:
        way.cutover(**more)
    return str(failed.value)


def goes_on(made: Region) -> None:
    """The next run finishes it, with everything that was ever acknowledged."""
    Way(made, "x").cutover()
    made.settle()
    assert made.names == DONE
    assert made.find("x").data == made.applications[0].acknowledged and not made.applications[0].lost
    assert not [key for key in tags_of(made.truth("x")) if key.startswith(MARK)]


@pytest.mark.parametrize("lag", [{}, dict(rename_gap=30.0), dict(stale_reads=2)], ids=str)
def test_a_rename_that_takes_too_long_is_taken_back(lag):
    made = built(**lag)
    said = fails(made, cutover_timeout=10)
    assert "x could not be given to its encrypted instance in 10 s (rds_encryption_cutover_timeout)" in said
    assert "The names went back: nobody has x, x-r. The encrypted instances are new-x, new-x-r" in said and "roll back" in said
    made.settle()
    assert made.names == UNDONE
    # It had the name for a moment, and the application may have written: only with that word there is a way to the original.
    assert tags_of(made.truth("old-x"))[MARK + "cut-over-at"]
    with pytest.raises(RefusedError, match="was served by its encrypted instance; nobody has the name now"):
        Way(made, "x").rollback()
    info = Way(made, "x").info()
    assert info["served"] and not info["members"][0]["cut_over"]
    goes_on(made)


def test_a_primary_that_cannot_be_renamed_takes_the_replicas_names_back():
    made = built()
    made.faults = {"Rename": ["AccessDenied: not authorized"]}
    said = fails(made)
    assert "AccessDenied" in said and "The names went back" in said
    made.settle()
    assert made.names == UNDONE and MARK + "cut-over-at" not in tags_of(made.truth("old-x"))
    goes_on(made)


def test_a_primary_that_never_got_the_name_can_be_rolled_back():
    made = built()
    made.faults = {"Rename": ["AccessDenied: not authorized"]}
    fails(made)
    Way(made, "x").rollback()
    made.settle()
    made.tick()
    assert made.applications[0].connected is made.find("x") and not made.truth("x")["StorageEncrypted"] and not made.applications[0].lost


def test_replicas_that_are_late_undo_nothing():
    """The primary serves: whoever took its name back might take writes away."""
    made = built()
    slow = made.find("new-x-r")
    slow.future.append((made.clock.now + 1, lambda d: d.update(DBInstanceStatus="storage-full")))
    said = fails(made, cutover_timeout=300)
    made.settle()
    assert "x is served by its encrypted instance, but its cutover did not come to its end" in said and "Nothing was undone" in said
    assert "x" in made.names and made.truth("x")["StorageEncrypted"]
    made.truth("new-x-r" if made.find("new-x-r") else "x-r").update(DBInstanceStatus="available")
    goes_on(made)


def test_a_refusal_before_any_rename_undoes_nothing():
    made = built()
    made.truth("new-x")["MultiAZ"] = True
    calls = len(made.calls)
    assert "MultiAZ" in fails(made) and len(made.calls) == calls


def undoing() -> range:
    made = built()
    first = len(made.calls)
    fails(made, cutover_timeout=10)
    return range(first + 1, len(made.calls) + 1)


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_stopped_while_taking_back(after_effect):
    for at in undoing():
        for later in (False, True):
            made = built(rename_gap=20.0)
            made.crash_at, made.crash_after_effect = at, after_effect
            with pytest.raises(Crash):
                Way(made, "x").cutover(cutover_timeout=10)
            made.crash_at = None
            if later:
                made.settle()
            goes_on(made)


def test_a_rollback_in_between_stops_the_renames():
    """Planned, and then somebody else began to take back: the name must not go to the encrypted instance any more."""
    made = built()
    way = Way(made, "x")
    original = made.call

    def meddle(operation, parameters):
        answer = original(operation, parameters)
        if operation == "AddTagsToResource" and any(tag["Key"] == MARK + "validated" for tag in parameters["Tags"]):
            thing = made.find("old-x")
            thing.truth["TagList"] = [tag for tag in thing.truth["TagList"] if not tag["Key"].endswith(("fence-id", "fenced", "validated"))]
        return answer

    made.call = meddle
    with pytest.raises(EncryptionError):
        way.cutover()
    made.settle()
    assert made.names == UNDONE
