# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A topology is found at every point of a run, whatever its members are called, and nothing else is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import identifier_problem, own_tags, tag_list, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    Listing,
    Prefixes,
    cross_region_replicas,
    find_topology,
    is_encrypted,
    plain_name,
)
from fakes.shapes import encrypted, encrypted_replica, instance, marks, replica

PREFIXES = Prefixes()
SOURCE = marks("x", "source", "db-X", fenced="f1 now")
BEGUN = marks("x", "source", "db-X")
REPLICA = marks("x-r", "replica", "db-X-R")
TARGET = marks("x", "target", "db-X")
PROVEN = marks("x", "source", "db-X", fenced="f1 now", validated="f1 now", target_resource_id="db-T")
CUT = {**PROVEN, "rds-encryption:cut-over-at": "now"}


def find(asked, *instances, prefixes=PREFIXES):
    return find_topology(asked, Listing(instances), prefixes)


def source(identifier, **more):
    return instance(identifier, DbiResourceId="db-X", **more)


def source_replica(identifier, of, **more):
    return replica(identifier, of, DbiResourceId="db-X-R", **more)


def target(identifier, **more):
    return encrypted(identifier, DbiResourceId="db-T", **more)


def target_replica(identifier, of, **more):
    return encrypted_replica(identifier, of, DbiResourceId="db-T-R", **more)


def sides(topology):
    """name -> (level, identifier of the source, identifier of the target or None)"""
    return {m.name: (m.level, m.source_identifier, m.target and m.target["DBInstanceIdentifier"]) for m in topology.members}


# what is there -> what is found: (primary, replica), fence id, fenced, finished
POINTS = {
    "untouched": ([source("x"), source_replica("x-r", "x")], ("x", None), ("x-r", None), None, False, False),
    "tagged, not renamed": ([source("x", tags=BEGUN), source_replica("x-r", "x")], ("x", None), ("x-r", None), None, False, False),
    "source renamed, replica not": (
        [source("old-x", tags=BEGUN), source_replica("x-r", "old-x", tags=REPLICA)],
        ("old-x", None),
        ("x-r", None),
        "f1",
        False,
        False,
    ),
    "links stale": (
        [source("old-x", tags=BEGUN), source_replica("old-x-r", "x", tags=REPLICA)],
        ("old-x", None),
        ("old-x-r", None),
        "f1",
        False,
        False,
    ),
    "fenced": (
        [source("old-x", tags=SOURCE), source_replica("old-x-r", "old-x", tags=REPLICA)],
        ("old-x", None),
        ("old-x-r", None),
        "f1",
        True,
        False,
    ),
    "target made": (
        [source("old-x", tags=SOURCE), source_replica("old-x-r", "old-x", tags=REPLICA), target("new-x", tags=TARGET)],
        ("old-x", "new-x"),
        ("old-x-r", None),
        "f1",
        True,
        False,
    ),
    "replicas made": (
        [
            source("old-x", tags=SOURCE),
            source_replica("old-x-r", "old-x", tags=REPLICA),
            target("new-x", tags=TARGET),
            target_replica("new-x-r", "new-x", tags=REPLICA),
        ],
        ("old-x", "new-x"),
        ("old-x-r", "new-x-r"),
        "f1",
        True,
        False,
    ),
    "target renamed, replica not": (
        [
            source("old-x", tags=PROVEN),
            source_replica("old-x-r", "old-x", tags=REPLICA),
            target("x", tags=TARGET),
            target_replica("new-x-r", "new-x", tags=REPLICA),
        ],
        ("old-x", "x"),
        ("old-x-r", "new-x-r"),
        "f1",
        True,
        False,
    ),
    "replica renamed, target not": (
        [
            source("old-x", tags=PROVEN),
            source_replica("old-x-r", "old-x", tags=REPLICA),
            target("new-x", tags=TARGET),
            target_replica("x-r", "new-x", tags=REPLICA),
        ],
        ("old-x", "new-x"),
        ("old-x-r", "x-r"),
        "f1",
        True,
        False,
    ),
    "tags off the replica": (
        [
            source("old-x", tags=CUT),
            source_replica("old-x-r", "old-x", tags=REPLICA),
            target("x", tags=TARGET),
            target_replica("x-r", "x"),
        ],
        ("old-x", "x"),
        ("old-x-r", "x-r"),
        "f1",
        True,
        False,
    ),
    "finished, the replica removed since": (
        [source("old-x", tags=CUT), source_replica("old-x-r", "old-x", tags=REPLICA), target("x")],
        ("old-x", "x"),
        ("old-x-r", None),
        "f1",
        True,
        True,
    ),
    "finished": (
        [source("old-x", tags=CUT), source_replica("old-x-r", "old-x", tags=REPLICA), target("x"), target_replica("x-r", "x")],
        ("old-x", "x"),
        ("old-x-r", "x-r"),
        "f1",
        True,
        True,
    ),
}


@pytest.mark.parametrize("asked", ["x", "X"])
@pytest.mark.parametrize("point", POINTS)
def test_found_at_every_point_of_a_run(point, asked):
    there, primary, below, fence_id, fenced, finished = POINTS[point]
    topology = find(asked, *there, instance("elsewhere"), encrypted("vault"))
    assert topology.problems == () and topology.skip_reason is None and topology.unclear is None
    assert topology.name == "x"
    assert sides(topology) == {"x": (0, *primary), "x-r": (1, *below)}
    assert (topology.fence_id, topology.fenced, topology.finished) == (fence_id, fenced, finished)
    assert topology.replicas[0].parent == "x" and topology.primary.is_primary


@pytest.mark.parametrize("point", [point for point in POINTS if point not in ("untouched", "tagged, not renamed")])
def test_old_and_new_names_mean_the_same_topology(point):
    there = POINTS[point][0]
    asked = [i["DBInstanceIdentifier"] for i in there if i["DBInstanceIdentifier"] in ("old-x", "new-x", "x")]
    assert asked
    assert {host: sides(find(host, *there)) for host in asked} == dict.fromkeys(asked, sides(find("x", *there)))


def test_a_prefixed_name_that_nobody_holds_any_more_still_means_its_topology():
    there = [source("old-x", tags=CUT), source_replica("old-x-r", "old-x", TagList=tag_list(REPLICA)), target("x"), target_replica("x-r", "x")]
    topology = find("new-x", *there)
    assert (topology.name, topology.finished, topology.problems) == ("x", True, ())
    assert "moves with its source" in find("new-x-r", *there).skip_reason
    assert find("new-y", *there).problems, "a name that never was is unknown"


@pytest.mark.parametrize("point", POINTS)
def test_a_replica_given_as_a_host_is_skipped(point):
    there = POINTS[point][0]
    for each in there:
        if "ReadReplicaSourceDBInstanceIdentifier" in each:
            assert "moves with its source" in find(each["DBInstanceIdentifier"], *there).skip_reason


@pytest.mark.parametrize("point", [point for point, (there, *_rest) in POINTS.items() if any(tags_of(i).get("rds-encryption:name") == "x-r" for i in there)])
def test_the_name_of_a_replica_that_was_renamed_away_still_means_the_replica(point):
    """An inventory made before the fence holds it; in the middle of the run nobody answers to it."""
    assert "moves with its source" in find("x-r", *POINTS[point][0]).skip_reason


@pytest.mark.parametrize("tags", [BEGUN, SOURCE, PROVEN])
def test_another_prefix_than_the_one_of_the_fence_is_a_problem(tags):
    """Under another prefix the source would be taken for unfenced, and what was made of it for something of an earlier fence."""
    topology = find("x", source("old-x", tags=tags), target("new-x", tags=TARGET), prefixes=Prefixes("was-", "new-"))
    assert "fenced with another rds_encryption_old_prefix, run with that one again" in topology.problems[0]
    assert find("x", source("old-x", tags=CUT), target("x"), prefixes=Prefixes("was-", "new-")).problems == (), "it is finished, whatever it is called"


def test_chain_of_three_levels():
    chain = [source("x"), replica("x-a", "x"), replica("x-b", "x-a"), replica("x-c", "x-b"), replica("x-a2", "x"), replica("y-a", "y")]
    topology = find("x", *chain)
    assert [(m.name, m.level, m.parent) for m in topology.members] == [
        ("x", 0, None),
        ("x-a", 1, "x"),
        ("x-a2", 1, "x"),
        ("x-b", 2, "x-a"),
        ("x-c", 3, "x-b"),
    ]
    # In the middle of the fence, with every link still by the names of before.
    renamed = [
        source("old-x", tags=BEGUN),
        replica("old-x-a", "x", DbiResourceId="db-A", tags=marks("x-a", "replica", "db-A")),
        replica("x-b", "x-a", DbiResourceId="db-B", tags=marks("x-b", "replica", "db-B")),
        replica("old-x-c", "x-b", DbiResourceId="db-C", tags=marks("x-c", "replica", "db-C")),
    ]
    found = [(m.name, m.level, m.parent, m.source_identifier) for m in find("x", *renamed).members]
    assert found == [
        ("x", 0, None, "old-x"),
        ("x-a", 1, "x", "old-x-a"),
        ("x-b", 2, "x-a", "x-b"),
        ("x-c", 3, "x-b", "old-x-c"),
    ]


def test_a_replica_that_only_the_source_lists_is_found():
    there = [source("x", ReadReplicaDBInstanceIdentifiers=["x-r"]), source_replica("x-r", "renamed-away")]
    assert sides(find("x", *there)) == {"x": (0, "x", None), "x-r": (1, "x-r", None)}


def test_a_listed_replica_that_no_read_shows_is_unclear():
    topology = find("x", source("x", ReadReplicaDBInstanceIdentifiers=["x-r", "arn:aws:rds:eu-west-1:1:db:far"]))
    assert topology.unclear and "x-r" in topology.unclear and "far" not in topology.unclear
    assert topology.problems == (topology.unclear,)


# -- nothing else is taken for it ------------------------------------------------------------------------------------------------------


def test_a_host_with_copied_tags_means_itself():
    there = [source("old-x", tags=SOURCE), target("new-x", tags=TARGET), instance("y", tags=SOURCE), encrypted("z", tags=TARGET)]
    assert sides(find("y", *there)) == {"y": (0, "y", None)}
    assert find("z", *there).name == "z"
    assert sides(find("x", *there)) == {"x": (0, "old-x", "new-x")}


def test_a_restored_backup_of_the_target_is_not_the_target():
    """RDS gives an instance the tags of the snapshot that it is restored from, so the marks of a run travel with backups."""
    copy = encrypted("debug-x", tags=TARGET)
    assert find("x", source("old-x", tags=SOURCE), copy, target("new-x", tags=TARGET)).primary.target["DbiResourceId"] == "db-T"
    alone = find("x", source("old-x", tags=SOURCE), copy)
    assert alone.primary is None
    assert "debug-x bears the marks" in alone.problems[0] and "new-x" in alone.problems[0]


def test_a_target_renamed_by_hand_is_known_by_its_resource_id():
    assert find("x", source("old-x", tags=PROVEN), target("odd", tags=TARGET)).primary.target["DBInstanceIdentifier"] == "odd"


def test_a_noted_target_that_no_read_shows_is_unclear():
    topology = find("x", source("old-x", tags=PROVEN))
    assert topology.unclear and "db-T" in topology.unclear


@pytest.mark.parametrize("change", [dict(source="db-OTHER"), dict(fence="f0"), dict(role="replica"), dict(name="y")])
def test_a_target_of_another_fence_or_source_is_none(change):
    tags = marks(change.get("name", "x"), change.get("role", "target"), change.get("source", "db-X"), change.get("fence", "f1"))
    assert sides(find("x", source("old-x", tags=SOURCE), target("new-x", tags=tags))) == {"x": (0, "old-x", None)}


def test_an_unencrypted_instance_with_the_marks_of_a_target_is_none():
    assert sides(find("x", source("old-x", tags=SOURCE), instance("new-x", tags=TARGET))) == {"x": (0, "old-x", None)}


def test_a_source_that_got_its_name_back_has_no_target():
    """Applications write to it again: what was restored under its fence lacks that (law 1)."""
    topology = find("x", source("x", tags=PROVEN), target("new-x", tags=TARGET))
    assert sides(topology) == {"x": (0, "x", None)}
    assert topology.fence_id is None and not topology.fenced


def test_two_sources_tagged():
    twice = [source("old-x", tags=SOURCE), instance("old-x2", DbiResourceId="db-X2", tags=marks("x", "source", "db-X2"))]
    topology = find("x", *twice)
    assert not topology.members
    assert "old-x, old-x2" in topology.problems[0]
    assert find("x", *twice, source("y")).problems, "the other instances do not matter"


def test_an_unencrypted_holder_of_the_name_is_the_source_whatever_else_is_tagged():
    fresh = instance("x", DbiResourceId="db-FRESH")
    assert sides(find("x", fresh, source("old-x", tags=SOURCE))) == {"x": (0, "x", None)}


def test_an_encrypted_stranger_under_the_name_of_a_fenced_source_is_a_problem():
    fenced = marks("x", "source", "db-X", fenced="f1 then")
    found = find("x", instance("old-x", DbiResourceId="db-X", tags=fenced), encrypted("x", DbiResourceId="db-STRANGER"))
    assert "held by an encrypted instance (db-STRANGER)" in found.problems[0]
    after = {**fenced, "rds-encryption:cut-over-at": "then"}
    replaced = find("x", instance("old-x", DbiResourceId="db-X", tags=after), encrypted("x", DbiResourceId="db-STRANGER"))
    assert not replaced.problems, "after the cutover whoever serves is nobody's business here"


def test_unknown_names_are_said():
    assert "no DB instance x" in find("x", source("y")).problems[0]
    assert "give it its name back" in find("x", instance("old-x")).problems[0]


def test_a_name_that_begins_with_a_prefix():
    legit = instance("new-y")
    assert sides(find("new-y", legit, instance("y"))) == {"new-y": (0, "new-y", None)}
    assert sides(find("old-z", instance("old-z"))) == {"old-z": (0, "old-z", None)}


def test_replicas_of_a_namesake_are_not_taken_in():
    there = [instance("y"), instance("new-y"), replica("new-y-r", "new-y"), instance("old-y"), replica("old-y-r", "old-y"), replica("y-r", "y")]
    assert sorted(sides(find("y", *there))) == ["y", "y-r"]
    assert sorted(sides(find("new-y", *there))) == ["new-y", "new-y-r"]
    done = [encrypted("y"), encrypted("new-y"), encrypted_replica("new-y-r", "new-y")]
    assert [m.name for m in find("y", *done).members] == ["y"]


@pytest.mark.parametrize("name", ["old-report", "new-report"])
def test_a_replica_whose_own_name_begins_with_a_prefix(name):
    """It keeps its name at the points at which it bears no marks: before the fence reached it, and after its marks were taken off."""
    mine = marks(name, "replica", "db-X-R")
    before = [source("x", tags=BEGUN), source_replica(name, "x")]
    assert sides(find("x", *before))[name] == (1, name, None)
    after = [source("old-x", tags=CUT), source_replica("old-" + name, "old-x", tags=mine), target("x", tags=TARGET), target_replica(name, "x")]
    assert sides(find("x", *after))[name] == (1, "old-" + name, name)


def test_marks_that_were_taken_off_a_renamed_replica():
    there = [source("old-x", tags=SOURCE), source_replica("old-x-r", "old-x")]
    assert sides(find("x", *there))["x-r"] == (1, "old-x-r", None)


def test_a_promoted_replica_is_no_replica():
    """Whatever its tags say: nobody moves it, so it must not be passed over in silence."""
    topology = find("x-r", instance("x-r", DbiResourceId="db-X-R", tags=REPLICA))
    assert topology.skip_reason is None
    assert sides(topology) == {"x-r": (0, "x-r", None)}


def test_other_prefixes():
    prefixes = Prefixes("was-", "enc-")
    there = [source("was-x", tags=SOURCE), target("enc-x", tags=TARGET), source_replica("was-x-r", "was-x", tags=REPLICA)]
    for asked in ("x", "was-x", "enc-x"):
        assert sides(find(asked, *there, prefixes=prefixes)) == {"x": (0, "was-x", "enc-x"), "x-r": (1, "was-x-r", None)}
    member = find("x", *there, prefixes=prefixes).primary
    assert (member.old_name, member.new_name, member.fenced_by_name, member.cut_over) == ("was-x", "enc-x", True, False)


# -- small things ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({}, False),
        ({"StorageEncrypted": False, "StorageEncryptionType": "none"}, False),
        ({"StorageEncrypted": False, "StorageEncryptionType": None}, False),
        ({"StorageEncrypted": True}, True),
        ({"StorageEncrypted": False, "StorageEncryptionType": "sse-rds"}, True),
        ({"StorageEncryptionType": "sse-kms"}, True),
    ],
)
def test_is_encrypted(described, expected):
    assert is_encrypted(described) is expected


def test_cross_region_replicas():
    far = "arn:aws:rds:us-east-1:111122223333:db:far"
    assert cross_region_replicas({"ReadReplicaDBInstanceIdentifiers": ["near", far]}) == [far]
    assert cross_region_replicas({}) == []


@given(st.text(alphabet="abc-1", max_size=12))
def test_plain_name_undoes_a_prefix(name):
    assert plain_name("old-" + name, PREFIXES) == name
    assert plain_name("new-" + name, PREFIXES) == name
    assert plain_name(name, Prefixes("", "")) == name


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("a" * 63, None),
        ("a" * 64, "64 characters"),
        ("a-b-c1", None),
        ("1a", "start with a letter"),
        ("a--b", "single hyphens"),
        ("a-", "hyphen"),
        ("a_b", "letters, digits"),
        ("", "start with a letter"),
        ("ä", "letter"),
        ("a\n", "letter"),
    ],
)
def test_identifier_problem(identifier, words):
    problem = identifier_problem(identifier)
    assert problem is None if words is None else words in problem


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5)))
def test_tags_there_and_back(tags):
    assert tags_of({"TagList": tag_list(tags)}) == tags
    assert own_tags({**tags, "aws:x": "1", "rds-encryption:name": "x"}) == {k: v for k, v in tags.items() if not k.startswith("aws:")}
