# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fence: mark before rename, rename before restart, and a new id whenever the source answers under its own name (law 1)."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.quarantine import original_security_groups
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Prefixes, Topology, find_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.carry import restore_parameters
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.fence import plan_fence
from fakes.shapes import MARK, encrypted, instance, marks, replica

BEGUN = marks("x", "source", "db-X", "f1")
FENCED = marks("x", "source", "db-X", "f1", fenced="f1 then")


def plan(*there):
    return plan_fence(find_topology("x", Listing(there), Prefixes()), "fresh", "now")


def source(identifier, **more):
    return instance(identifier, DbiResourceId="db-X", **more)


def outline(made):
    return [[(step.action, step.resource) for step in stage] for stage in made.stages]


def test_an_untouched_topology_is_marked_renamed_restarted_and_sealed():
    made = plan(source("x", tags={"team": "a"}), replica("x-r", "x"), replica("x-r-r", "x-r"))
    assert outline(made) == [
        [("AddTagsToResource", "x"), ("AddTagsToResource", "x-r"), ("AddTagsToResource", "x-r-r")],
        [("Rename", "x"), ("Rename", "x-r"), ("Rename", "x-r-r")],
        [("RebootDBInstance", "old-x")],
        [("AddTagsToResource", "old-x")],
    ]
    assert made.steps[0].parameters == {"Tags": marks("x", "source", "db-X", "fresh")}
    assert made.steps[1].parameters == {"Tags": marks("x-r", "replica", "db-X-R", "fresh")}
    assert [step.parameters["NewDBInstanceIdentifier"] for step in made.stages[1]] == ["old-x", "old-x-r", "old-x-r-r"]
    assert made.steps[-1].parameters == {"Tags": {MARK + "fenced": "fresh now"}}
    assert {step.resource_id for step in made.steps} == {"db-X", "db-X-R", "db-X-R-R"}
    assert made.changes and not made.remarks


@pytest.mark.parametrize("tags", [BEGUN, FENCED, {**FENCED, MARK + "validated": "f1 t", MARK + "target-resource-id": "db-T", MARK + "cut-over-at": "t"}])
def test_a_source_under_its_own_name_is_always_fenced_anew(tags):
    made = plan(source("x", tags=tags), encrypted("new-x", tags=marks("x", "target", "db-X", "f1")))
    added = [step.parameters["Tags"] for step in made.steps if step.action == "AddTagsToResource"]
    assert [each.get(MARK + "fence-id") for each in added] == ["fresh", None]
    assert added[-1] == {MARK + "fenced": "fresh now"}
    removed = [set(step.parameters["TagKeys"]) for step in made.steps if step.action == "RemoveTagsFromResource"]
    stale = {key for key in tags if key.rpartition(":")[2] in ("fenced", "validated", "cut-over-at", "target-resource-id")}
    assert removed == ([stale] if stale else [])
    if stale:
        assert made.steps[0].action == "RemoveTagsFromResource", "stale marks go before the new id comes"


def test_a_fence_that_was_begun_is_completed_under_its_id():
    made = plan(source("old-x", tags=BEGUN), replica("x-r", "x", tags=marks("x-r", "replica", "db-X-R", "f1")))
    assert outline(made) == [[("Rename", "x-r")], [("RebootDBInstance", "old-x")], [("AddTagsToResource", "old-x")]]
    assert made.steps[-1].parameters == {"Tags": {MARK + "fenced": "f1 now"}}


def test_a_renamed_and_unsealed_source_is_restarted_again():
    assert outline(plan(source("old-x", tags=BEGUN))) == [[("RebootDBInstance", "old-x")], [("AddTagsToResource", "old-x")]]


def test_a_complete_fence_needs_nothing():
    made = plan(source("old-x", tags=FENCED), replica("old-x-r", "old-x", tags=marks("x-r", "replica", "db-X-R", "f1")))
    assert made.stages == () and not made.changes


def test_a_replica_left_behind_is_marked_with_the_fence_in_force():
    made = plan(source("old-x", tags=FENCED), replica("x-r", "old-x"))
    assert outline(made)[:2] == [[("AddTagsToResource", "x-r")], [("Rename", "x-r")]]
    assert made.steps[0].parameters["Tags"][MARK + "fence-id"] == "f1"


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([encrypted("x")], "no unencrypted source"),
        (
            [
                source("old-x", tags={**FENCED, MARK + "target-resource-id": "db-T", MARK + "cut-over-at": "t"}),
                encrypted("x", DbiResourceId="db-T"),
            ],
            "served by its encrypted instance already",
        ),
    ],
)
def test_refusals(there, words):
    with pytest.raises(RefusedError, match=words):
        plan(*there)


def test_a_topology_without_members_is_refused():
    with pytest.raises(RefusedError, match="nothing to fence"):
        plan_fence(Topology("x", Prefixes()), "fresh", "now")


# -- quarantine ------------------------------------------------------------------------------------------------------------------------

SHUT = [{"VpcSecurityGroupId": "sg-q", "Status": "active"}]


def shut_in(*there, group="sg-q"):
    return plan_fence(find_topology("x", Listing(there), Prefixes()), "fresh", "now", group)


def quarantined(identifier, state="sg-q", **more):
    return dict(
        VpcSecurityGroups=SHUT, tags={**more.pop("tags", FENCED), MARK + "security-groups": "sg-1 sg-2", MARK + "quarantine": state}, **more
    )


def test_quarantine_comes_after_its_note_and_before_the_rename_whose_restart_cuts_what_was_connected():
    made = shut_in(source("x"), replica("x-r", "x"))
    assert outline(made) == [
        [("AddTagsToResource", "x"), ("AddTagsToResource", "x-r")],
        [("ModifyDBInstance", "x"), ("ModifyDBInstance", "x-r")],
        [("Rename", "x"), ("Rename", "x-r")],
        [("RebootDBInstance", "old-x")],
        [("AddTagsToResource", "old-x-r"), ("AddTagsToResource", "old-x")],
    ]
    assert made.steps[0].parameters["Tags"].items() >= {MARK + "security-groups": "sg-1", MARK + "quarantine": "sg-q begun"}.items()
    assert made.steps[2].parameters == {"VpcSecurityGroupIds": ["sg-q"]}
    assert made.steps[-1].parameters["Tags"] == {MARK + "fenced": "fresh now", MARK + "security-groups": "sg-1", MARK + "quarantine": "sg-q"}


def test_a_run_that_stopped_before_the_restart_of_its_quarantine_restarts():
    made = shut_in(source("old-x", **quarantined("old-x", "sg-q begun")))
    assert outline(made) == [[("RebootDBInstance", "old-x")], [("AddTagsToResource", "old-x")]]
    assert made.steps[-1].parameters == {"Tags": {MARK + "security-groups": "sg-1 sg-2", MARK + "quarantine": "sg-q"}}


def test_a_quarantine_that_is_complete_needs_nothing_whatever_group_is_asked_for_now():
    for group in ("sg-q", "sg-other", None):
        assert shut_in(source("old-x", **quarantined("old-x")), group=group).stages == ()


def test_a_complete_fence_can_be_shut_later_and_is_restarted_for_it():
    made = shut_in(source("old-x", tags=FENCED))
    assert outline(made) == [
        [("AddTagsToResource", "old-x")], [("ModifyDBInstance", "old-x")], [("RebootDBInstance", "old-x")], [("AddTagsToResource", "old-x")]
    ]
    assert MARK + "fenced" not in made.steps[-1].parameters["Tags"], "the time of the fence stays what it was"


def test_a_quarantine_comes_too_late_once_the_target_is_made():
    target = encrypted("new-x", tags=marks("x", "target", "db-X", "f1"))
    made = shut_in(source("old-x", tags=FENCED), target)
    assert made.stages == () and "sg-q comes too late" in made.remarks[0]


def test_the_groups_of_before_survive_a_name_given_back_by_hand():
    """Renamed back while in quarantine: the fence is a new one, the note of the groups is the only one there is."""
    made = shut_in(source("x", **quarantined("x")))
    assert not any(MARK + "security-groups" in str(step.parameters) for step in made.steps)
    assert "ModifyDBInstance" not in [step.action for step in made.steps]


def test_a_note_that_is_no_longer_true_goes_with_the_fence_that_made_it():
    made = plan(source("x", tags={**FENCED, MARK + "security-groups": "sg-7", MARK + "quarantine": "sg-q"}))
    assert {MARK + "security-groups", MARK + "quarantine"} <= set(made.steps[0].parameters["TagKeys"])


@pytest.mark.parametrize(
    ("groups", "words"),
    [(["sg-q"], "no tag says"), (["sg-1", "sg-q"], "no tag says"), ([], "no VPC security groups"), ([f"sg-{n:017}" for n in range(13)], "more than a tag")],
)
def test_groups_that_could_not_be_put_back_are_not_replaced(groups, words):
    with pytest.raises(RefusedError, match=words):
        shut_in(source("x", VpcSecurityGroups=[{"VpcSecurityGroupId": each, "Status": "active"} for each in groups]))


def test_what_is_carried_and_compared_are_the_groups_of_before():
    fenced = source("old-x", **quarantined("old-x"))
    assert original_security_groups(fenced) == ("sg-1", "sg-2")
    assert restore_parameters(fenced, frozenset({"VpcSecurityGroupIds"}))["VpcSecurityGroupIds"] == ["sg-1", "sg-2"]
    copied = instance("elsewhere", DbiResourceId="db-OTHER", VpcSecurityGroups=SHUT, TagList=fenced["TagList"])
    assert original_security_groups(copied) == ("sg-q",), "tags that came from another instance mean nothing"
