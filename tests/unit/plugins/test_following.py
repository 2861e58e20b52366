# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target that follows its running source: what RDS holds of it, from the seed to the retirement, against the in-memory RDS.

SQL is played by ``Region.links``: a linked target has every write that its source has.
"""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import replication_link, rollback
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.follow import coordinate_tags, coordinates_of

from fakes.region import Crash, Region
from fakes.shapes import instance
from fakes.way import PREFIXES, WAITING, Way

COORDINATES = {"file": "mysql-bin-changelog.000012", "position": 4711, "gtid": None}


class Following(Way):
    """One run of encrypt.yml with a strategy that replicates; SQL always works."""

    def info(self, preflight: bool = False, **more) -> dict:
        return super().info(preflight, strategy="mysql_replication", **more)

    def link(self, state: str, **more) -> dict:
        options = dict(name=self.name, state=state, binlog_retention_hours="24", min_free_storage=10)
        return self.job(replication_link.run, **options, **more, **PREFIXES, **WAITING)["link"]

    def everything(self) -> dict:
        seen = self.preflight()
        if seen["action"] == "encrypt":
            if not self.info()["members"][0]["cut_over"]:
                self.seed()
                self.fence()
                self.open()
            self.cutover()
        return seen

    def seed(self) -> None:
        if self.info()["fenced"]:
            return
        link = self.link("begun")
        topology = self.info()
        held = dict(
            fence_id=link["id"], snapshot_db_instance_identifier=link["seed_db_instance_identifier"],
            held_db_parameter_group_name=link["held_db_parameter_group_name"], coordinates=link["coordinates"] or COORDINATES,
        )
        self.restore(topology["members"][0], **held)
        self.follow()
        self.replicas(link["id"])

    def follow(self) -> None:
        member = self.info()["members"][0]
        by_name = {thing.truth["DBInstanceIdentifier"]: thing.truth["DbiResourceId"] for thing in self.region.things}
        self.region.links[by_name[member["target_identifier"]]] = by_name[member["source_identifier"]]
        self.region.tick()

    def replicas(self, fence_id: str | None) -> None:
        members = {member["name"]: member for member in self.info()["members"]}
        for member in list(members.values())[1:]:
            self.job(
                replica_run, source_db_instance_identifier=members[member["parent"]]["target_identifier"],
                model_db_instance_identifier=member["source_identifier"], target_db_instance_identifier=member["target_identifier"],
                fence_id=fence_id, tags=None, wait=True, **WAITING,
            )

    def open(self) -> None:
        if not self.info()["drained"]:
            self.follow()
            self.link("proven")
        self.region.links.clear()
        topology = self.info()
        self.restore(topology["members"][0])
        self.replicas(None)


from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.replica import run as replica_run  # noqa: E402


def region(**more) -> Region:
    return Region(instance("x"), instance("r", ReadReplicaSourceDBInstanceIdentifier="x", BackupRetentionPeriod=0), **more)


def ends_well(made: Region) -> None:
    made.settle()
    assert {"x", "r", "old-x", "old-r", "new-x-seed"} == set(made.names)
    assert made.truth("x")["StorageEncrypted"] and made.truth("r")["StorageEncrypted"]
    assert made.truth("x")["DBParameterGroups"] == made.truth("old-x")["DBParameterGroups"]
    assert not [key for key in tags_of(made.truth("x")) if key.startswith("rds-encryption:")]
    for application in made.applications:
        assert not application.lost, application.lost


def test_the_whole_way_loses_nothing_and_leaves_nothing_to_do():
    made = region()
    made.application("x")
    Following(made, "x").everything()
    ends_well(made)
    again = Following(made, "x")
    assert again.everything()["action"] == "none" and not again.changed


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
def test_a_run_that_dies_anywhere_is_finished_by_the_next(after):
    clean = region()
    Following(clean, "x").everything()
    assert len(clean.calls) > 15
    for point in range(1, len(clean.calls) + 1):
        made = region()
        made.application("x")
        made.crash_at, made.crash_after_effect = point, after
        with pytest.raises(Crash):
            Following(made, "x").everything()
        made.crash_at = None
        Following(made, "x").everything()
        ends_well(made)
        assert len([operation for operation in made.operations if operation == "CreateDBSnapshot"]) <= 1 + (after is False), point


def test_a_target_that_merely_follows_is_never_cut_over():
    made = region()
    run = Following(made, "x")
    run.preflight()
    run.seed()
    run.fence()
    with pytest.raises(RefusedError, match="belongs to fence l"):
        run.cutover()
    assert "x" not in made.names


def test_the_fence_is_lifted_and_the_target_goes_on_following():
    made = region()
    made.application("x")
    first = Following(made, "x")
    first.preflight()
    first.seed()
    link_id = first.info()["link_id"]
    first.fence()
    first.job(rollback.run, name="x", discard_writes=False, keep_link=True, fleet=["x"], **PREFIXES, **WAITING)
    assert made.truth("x")["StorageEncrypted"] is False and first.info()["link_id"] == link_id
    Following(made, "x").everything()
    ends_well(made)
    assert made.operations.count("RestoreDBInstanceFromDBSnapshot") == 1


def test_given_up_it_is_named_until_it_is_gone_and_never_used():
    made = region()
    run = Following(made, "x")
    run.preflight()
    run.seed()
    Way(made, "x").rollback()
    with pytest.raises((RefusedError, AssertionError), match="new-x-seed"):
        Following(made, "x").everything()
    run.retire(confirm=["new-x", "new-x-seed", "new-r"])
    made.settle()
    assert set(made.names) == {"x", "r"}
    Following(made, "x").everything()
    made.settle()
    assert made.truth("x")["StorageEncrypted"]


def test_a_rollback_that_dies_leaves_no_target_that_could_begin_at_its_coordinates_again():
    made = region()
    run = Following(made, "x")
    run.preflight()
    run.seed()
    assert not run.link("begun")["drained_once"]
    run.link("given_up")
    made.links.clear()  # here the link is taken off, and the run dies
    assert run.link("begun")["drained_once"]
    with pytest.raises((RefusedError, AssertionError), match="given-up"):
        Following(made, "x").everything()
    assert made.truth("x")["StorageEncrypted"] is False
    run.link("given_up")
    run.link("ended")
    assert run.info()["link_id"] is None


def test_retire_takes_the_seed_and_the_group_along():
    made = region()
    Following(made, "x").everything()
    made.clock.sleep(20 * 86400)
    Way(made, "x").retire(confirm=["x"])
    made.settle()
    assert set(made.names) == {"x", "r"} and not made.groups


def test_the_plan_names_what_the_run_does():
    made = region()
    run = Following(made, "x")
    foreseen = run.preflight()["steps"]
    assert [step["phase"] for step in foreseen] == sorted((step["phase"] for step in foreseen), key=["seed", "fence", "build", "cutover"].index)
    before = [step for step in run.foreseen if step["action"] != "WaitUntilReady"]
    run.everything()
    done = [(step["action"], step["resource"]) for step in run.steps]
    assert {"CreateDBInstanceReadReplica", "CopyDBParameterGroup", "RestoreDBInstanceFromDBSnapshot"} <= {step["action"] for step in before}
    assert [action for action, _r in done if action == "Rename"] == [step["action"] for step in before if step["action"] == "Rename"]


def test_another_strategy_keeps_its_hands_off():
    made = region()
    run = Following(made, "x")
    run.preflight()
    run.seed()
    with pytest.raises(AssertionError, match="was begun with a strategy that replicates"):
        Way(made, "x").preflight()
    fenced = region()
    Way(fenced, "x").fence()
    with pytest.raises((AssertionError, EncryptionError), match="fenced by another strategy"):
        Following(fenced, "x").preflight()


def test_a_source_whose_storage_comes_to_its_end_is_left_alone():
    made = region()
    made.free_storage["x"] = made.truth("x")["AllocatedStorage"] * 1024**3 // 20
    with pytest.raises(RefusedError, match="5 % of its storage free, less than 10 %"):
        Following(made, "x").everything()
    assert made.calls == []
    made.free_storage["x"] *= 3
    Following(made, "x").everything()
    ends_well(made)


@pytest.mark.parametrize("gtid, kept", [
    (None, None),
    ("0-1-100,1-2-3", "0-1-100,1-2-3"),
    ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,\n4e11fa47-71ca-11e1-9e33-c80aa9429562:7",
     "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,4e11fa47-71ca-11e1-9e33-c80aa9429562:7"),
    ("a:1," * 100, None),
])
def test_coordinates_survive_as_tags(gtid, kept):
    tags = coordinate_tags({"file": "mysql-bin-changelog.000012", "position": 4711, "gtid": gtid})
    assert all("," not in value and len(value) <= 256 for value in tags.values())
    described = {"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]}
    assert coordinates_of(described) == {"file": "mysql-bin-changelog.000012", "position": 4711, "gtid": kept}
    assert coordinates_of({"TagList": []}) is None and coordinates_of(None) is None
