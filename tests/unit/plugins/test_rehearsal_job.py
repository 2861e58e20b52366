# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rehearsal beside the running source: the source is not touched, a killed one goes on, and nothing of it is ever taken for a run's."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_FENCE_ID, TAG_ROLE, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Prefixes
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.audit import Account, audit
from fakes.region import Crash, Region
from fakes.shapes import KEY, encrypted, instance, replica
from fakes.way import Way

SOURCES = ("x", "x-r", "x-r-a")
STAND_INS = tuple("rehearsal-" + name for name in SOURCES)


def region(**more) -> Region:
    made = Region(
        instance("x", tags={"team": "a"}, EnabledCloudwatchLogsExports=["error"]), replica("x-r", "x", BackupRetentionPeriod=1), replica("x-r-a", "x-r"), **more
    )
    made.application("x")
    return made


def untouched(made: Region, before: dict[str, dict]) -> None:
    """The sources are what they were, and no call named them but for the snapshot."""
    made.settle()
    links = {"ReadReplicaDBInstanceIdentifiers"}
    for name in SOURCES:
        now = made.truth(name)
        assert {k: v for k, v in now.items() if k not in links} == {k: v for k, v in before[name].items() if k not in links}
    for operation, given in made.calls:
        named = {given.get(key) for key in ("DBInstanceIdentifier", "ResourceName", "NewDBInstanceIdentifier")}
        assert not named & {*SOURCES, *(before[name]["DBInstanceArn"] for name in SOURCES)} or operation == "CreateDBSnapshot", (operation, given)
    assert not made.deleted and not made.applications[0].lost


def truths(made: Region) -> dict[str, dict]:
    return {name: copy.deepcopy(made.truth(name)) for name in SOURCES}


def rehearsed(made: Region) -> dict:
    answer = Way(made, "x").rehearse()
    made.settle()
    return answer


def test_the_stand_ins_are_encrypted_equal_and_marked_and_the_source_is_not_touched():
    made = region()
    before = truths(made)
    answer = rehearsed(made)
    untouched(made, before)
    assert answer["changed"] and answer["differences"] == []
    assert [member["target_identifier"] for member in answer["members"]] == list(STAND_INS)
    assert set(answer["seconds"]) == {"snapshot", "encrypted copy", "restore", "settings", "replicas"} and min(answer["seconds"].values()) > 0
    for name in STAND_INS:
        tags = tags_of(made.truth(name))
        assert made.truth(name)["KmsKeyId"] == KEY and (tags[TAG_ROLE], tags[TAG_FENCE_ID]) == ("rehearsal", answer["rehearsal_id"])
    assert made.truth("rehearsal-x-r-a")["ReadReplicaSourceDBInstanceIdentifier"] == "rehearsal-x-r"
    assert {tags_of(thing.truth)[TAG_ROLE] for thing in made.snapshots.values()} == {"rehearsal"}
    commands = " ".join(answer["left_behind"])
    assert all(f" {name} " in commands for name in STAND_INS) and all(f"-identifier {name}" in commands for name in made.snapshots)
    assert commands.index("rehearsal-x-r-a ") < commands.index("rehearsal-x-r ") < commands.index("rehearsal-x "), "replicas first"
    assert "--no-deletion-protection" in commands and "/aws/rds/instance/rehearsal-x/error" in commands

    again = Way(made, "x").rehearse()
    assert not again["changed"] and again["plan"] == [] and again["left_behind"] == answer["left_behind"]


def test_check_mode_predicts_the_steps_and_changes_nothing():
    made = region()
    foreseen = Way(made, "x", check_mode=True).rehearse()
    assert not made.operations and not foreseen["left_behind"] and not foreseen["differences"]
    done = rehearsed(made)
    assert [(step["action"], step["resource"]) for step in foreseen["plan"]] == [(step["action"], step["resource"]) for step in done["plan"]]


def test_a_rehearsal_that_is_killed_at_any_call_goes_on():
    clean = region()
    rehearsed(clean)
    once = sorted(clean.operations)
    for number in range(1, len(once) + 1):
        for after in (False, True):
            made = region()
            before = truths(made)
            made.crash_at, made.crash_after_effect = number, after
            with pytest.raises(Crash):
                Way(made, "x").rehearse()
            made.crash_at = None
            made.clock.sleep(3600)
            answer = rehearsed(made)
            untouched(made, before)
            assert answer["differences"] == [] and all(made.truth(name)["KmsKeyId"] == KEY for name in STAND_INS)
            for operation in ("CreateDBSnapshot", "CopyDBSnapshot", "RestoreDBInstanceFromDBSnapshot"):
                assert len([name for name in made.operations if name == operation]) <= 1 + (not after), f"{operation} after {number}"
            assert len(made.snapshots) == 2 and len(made.names) == 6


def test_a_snapshot_of_the_day_before_is_not_used():
    made = region()
    made.crash_at, made.crash_after_effect = 2, True
    with pytest.raises(Crash):
        Way(made, "x").rehearse()
    made.crash_at = None
    made.settle()
    stale = set(made.snapshots)
    made.clock.sleep(25 * 3600)
    answer = rehearsed(made)
    assert not [name for name in stale if answer["rehearsal_id"] in name] and all(name in " ".join(answer["left_behind"]) for name in stale)


def test_a_run_after_a_rehearsal_neither_uses_it_nor_stumbles_over_it():
    made = region()
    rehearsed(made)
    stand_ins = {name: made.truth(name)["DbiResourceId"] for name in STAND_INS}
    snapshots = set(made.snapshots)
    began = len(made.calls)
    seen = Way(made, "x").everything()
    made.settle()
    assert len([line for line in seen["warnings"] if "was made by a rehearsal of x" in line]) == 3
    assert {name: made.truth(name)["DbiResourceId"] for name in STAND_INS} == stand_ins
    for name in SOURCES:
        assert made.truth(name)["KmsKeyId"] == KEY and made.truth(name)["DbiResourceId"] not in stand_ins.values()
    assert made.find("x").data == made.applications[0].acknowledged and not made.applications[0].lost
    used = {given.get(key) for _operation, given in made.calls[began:] for key in ("DBSnapshotIdentifier", "SourceDBSnapshotIdentifier")}
    assert not used & snapshots
    made.clock.sleep(20 * 86400)
    plan = Way(made, "x", check_mode=True).retire()
    assert not [step for step in plan["plan"] if "rehearsal" in step["resource"]]
    assert [line for line in plan["remarks"] if line.startswith("rehearsal-x was made by a rehearsal of x")]


def test_a_rollback_leaves_it_alone():
    made = region()
    rehearsed(made)
    way = Way(made, "x")
    way.fence()
    way.build()
    way.rollback()
    made.settle()
    assert set(STAND_INS) <= set(made.names) and not [step for step in way.steps if step["resource"] in STAND_INS]


def test_while_a_run_is_under_way_nothing_is_rehearsed():
    made = region()
    Way(made, "x").fence()
    made.settle()
    began = len(made.calls)
    with pytest.raises(RefusedError, match="fenced as old-x"):
        Way(made, "x").rehearse()
    assert len(made.calls) == began


def test_marks_of_a_fence_that_was_lifted_by_hand_do_not_matter():
    made = region()
    Way(made, "x").fence()
    made.settle()
    for name in SOURCES:
        made.rename_by_hand("old-" + name, name)
    assert rehearsed(made)["differences"] == []


@pytest.mark.parametrize("prefix", ["new-", "old-", "ne", "new-er-", ""])
def test_a_prefix_by_which_it_could_be_taken_for_a_run_is_refused(prefix):
    made = region()
    with pytest.raises(RefusedError, match="rehearsal_prefix"):
        Way(made, "x").rehearse(rehearsal_prefix=prefix)
    assert not made.operations


def test_names_that_do_not_fit_or_are_taken_are_refused_before_anything_is_made():
    made = Region(instance("x"), replica("x-r", "x"), encrypted("rehearsal-x-r"))
    with pytest.raises(RefusedError, match="rehearsal-x-r exists already and was not made by a rehearsal of this x-r"):
        Way(made, "x").rehearse()
    with pytest.raises(RefusedError, match="RDS allows 63"):
        Way(made, "x").rehearse(rehearsal_prefix="r" * 62)
    assert not made.operations


def test_a_run_with_the_prefix_of_a_rehearsal_is_blocked_in_words():
    made = region()
    rehearsed(made)
    said = Way(made, "x").info(preflight=True, new_prefix="rehearsal-")
    assert said["action"] == "blocked"
    text = next(blocker["text"] for blocker in said["blockers"] if blocker["resource"] == "rehearsal-x")
    assert "made by a rehearsal of x" in text and "never uses it" in text


def test_a_host_that_is_a_stand_in_is_left_alone():
    made = region()
    rehearsed(made)
    for name in STAND_INS:
        seen = Way(made, name).info(preflight=True)
        assert seen["action"] == "none" and "was made by a rehearsal of x" in seen["reason"]


def test_the_audit_says_what_it_is():
    made = region()
    rehearsed(made)
    account = Account("eu-central-1", instances=[made.truth(name) for name in made.names], snapshots=[thing.truth for thing in made.snapshots.values()])
    rows = {row.identifier: row for row in audit(account, Prefixes())}
    for name in (*STAND_INS, *made.snapshots):
        assert "made by a rehearsal of x" in rows[name].advice, name
    assert rows["x"].advice == "ansible-playbook encrypt.yml -l x"


def test_a_fence_id_of_a_rehearsal_never_makes_a_target():
    """Whoever passes the id of a rehearsal to the restore itself gets another stand-in, not a target."""
    made = region()
    Way(made, "x").restore({"source_identifier": "x", "target_identifier": "new-x"}, fence_id="rehearsal1")
    assert tags_of(made.truth("new-x"))[TAG_ROLE] == "rehearsal"
