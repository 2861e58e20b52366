# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs from end to end on an in-memory RDS: fence, restore, replicas, cutover; stopped anywhere, with lag, lost answers and strangers.

An application writes to whoever answers under the name, all the time: a name that leads to an instance without one of its acknowledged
writes is a violation of law 1, and is counted.
"""

from __future__ import annotations

import re

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import common
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import replica as replica_job
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError, TerminalStateError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.compare import compare, unexplained
from fakes.region import Crash, FakeContext, Region
from fakes.shapes import KEY, MARK, encrypted, instance, marks, replica
from fakes.way import WAITING, Way
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECRET = {"SecretArn": "arn:secret:old", "SecretStatus": "active", "KmsKeyId": "arn:default"}
GROUP = [{"DBParameterGroupName": "pg-replica", "ParameterApplyStatus": "in-sync"}]
NAMES = ["x", "x-r1", "x-r1-a", "x-r2"]


def region(**more) -> Region:
    """A source with all that must be carried, two replicas, a replica of a replica, and a neighbour."""
    return Region(
        instance(
            "x",
            tags={"team": "a"},
            MasterUserSecret=SECRET,
            MonitoringInterval=60,
            MonitoringRoleArn="arn:aws:iam::1:role/monitoring",
            EnhancedMonitoringResourceArn="arn:logs:x",
            MaxAllocatedStorage=500,
            PerformanceInsightsEnabled=True,
            PerformanceInsightsKMSKeyId="arn:pi",
            PerformanceInsightsRetentionPeriod=7,
            EnabledCloudwatchLogsExports=["error", "slowquery"],
            AssociatedRoles=[{"RoleArn": "arn:aws:iam::1:role/load", "FeatureName": "S3", "Status": "ACTIVE"}],
        ),
        replica("x-r1", "x", BackupRetentionPeriod=1, DBParameterGroups=GROUP),
        replica("x-r2", "x", BackupRetentionPeriod=0, DeletionProtection=True),
        replica("x-r1-a", "x-r1", BackupRetentionPeriod=0),
        instance("y", tags={"team": "b"}),
        **more,
    )


def check_the_end(made: Region) -> None:
    """Every name belongs to an encrypted instance that equals the old one; nothing was made twice, nothing else was touched."""
    made.settle()
    assert made.names == sorted(NAMES + ["old-" + name for name in NAMES] + ["y"])
    names = {"old-" + name: name for name in NAMES}
    for name in NAMES:
        old, new = made.truth("old-" + name), made.truth(name)
        assert not old["StorageEncrypted"] and new["KmsKeyId"] == KEY
        assert not [str(row) for row in unexplained(compare(old, new, names=names, kms_key_arn=KEY))]
        assert not [key for key in tags_of(new) if key.startswith(MARK)]
        assert tags_of(old)[MARK + "name"] == name
    assert len({made.truth(name)["DbiResourceId"] for name in made.names}) == len(made.names)
    assert made.truth("y") == instance("y", tags={"team": "b"})
    assert made.find("x").data == made.applications[0].acknowledged
    assert not made.applications[0].lost
    writing_again = made.applications[0].acknowledged
    made.tick()
    assert made.applications[0].connected is made.find("x") and made.applications[0].acknowledged == writing_again + 1


def nameless(steps):
    """(action, resource) of steps, with any fence's id replaced."""
    return [(step["action"], re.sub("f[0-9a-f]{11}|predicted", "FENCE", step["resource"])) for step in steps]


LAG = [dict(), dict(stale_reads=3), dict(rename_gap=60.0, link_lag=300.0), dict(stale_reads=2, rename_gap=30.0)]


@pytest.mark.parametrize("lag", LAG, ids=str)
def test_everything(lag):
    made = region(**lag)
    application = made.application("x")
    way = Way(made, "x")
    way.everything()
    assert way.changed and application.acknowledged > 10
    check_the_end(made)
    assert len(made.snapshots) == 2
    assert len(way.steps) == len(made.calls), "every step is one call"


@pytest.mark.parametrize("lag", LAG, ids=str)
def test_a_second_run_changes_nothing(lag):
    made = region(**lag)
    made.application("x")
    Way(made, "x").everything()
    calls = len(made.calls)
    again = Way(made, "x")
    said = again.everything()
    assert (said["action"], again.changed, again.steps) == ("none", False, [])
    assert len(made.calls) == calls
    for asked in ("old-x", "x"):
        assert Way(made, asked).everything()["action"] == "none"
    check_the_end(made)


@pytest.mark.parametrize("phase", ["fence", "build", "cutover"])
def test_a_phase_by_itself_changes_nothing_twice(phase):
    made = region()
    made.application("x")
    way = Way(made, "x")
    for each in ("fence", "build", "cutover"):
        getattr(way, each)()
        if each == phase:
            break
    calls = len(made.calls)
    again = Way(made, "x")
    getattr(again, phase)()
    assert (len(made.calls), again.changed) == (calls, False)


def test_check_mode_tells_the_truth():
    """It calls nothing, and foretells what the real run then does; so does the plan of the preflight."""
    made = region()
    made.application("x")
    before = [thing.truth.copy() for thing in made.things]
    foretold = Way(made, "x", check_mode=True)
    foretold.everything()
    assert made.calls == [] and [thing.truth for thing in made.things] == before
    assert foretold.changed
    real = Way(made, "x")
    real.everything()
    # The managed password comes after the replicas, and protection after the password: check mode, asked step by step, cannot wait for them.
    assert sorted(nameless(foretold.steps)) == sorted(nameless(real.steps))
    assert sorted(nameless(real.foreseen)) == sorted(nameless(real.steps))
    assert [a for a, _r in nameless(real.steps)].index("RestoreDBInstanceFromDBSnapshot") > [a for a, _r in nameless(real.steps)].index("Rename")


def test_check_mode_foretells_the_order_too():
    made = Region(instance("x"), replica("x-r", "x", BackupRetentionPeriod=1, DBParameterGroups=GROUP), replica("x-r-a", "x-r"))
    foretold = Way(made, "x", check_mode=True)
    foretold.everything()
    real = Way(made, "x")
    real.everything()
    assert nameless(foretold.steps) == nameless(real.steps) == nameless(real.foreseen)


@pytest.mark.parametrize("phases", [1, 2])
def test_check_mode_in_the_middle(phases):
    made = region()
    way = Way(made, "x")
    way.fence()
    if phases == 2:
        way.build()
    calls = len(made.calls)
    foretold = Way(made, "x", check_mode=True)
    foretold.everything()
    assert len(made.calls) == calls
    rest = Way(made, "x")
    rest.everything()
    assert sorted(nameless(foretold.steps)) == sorted(nameless(rest.steps))


def test_the_order_that_rds_needs():
    made = region()
    Way(made, "x").everything()
    last_replica = max(n for n, (operation, _p) in enumerate(made.calls) if operation == "CreateDBInstanceReadReplica")
    secret = next(n for n, (_o, parameters) in enumerate(made.calls) if "ManageMasterUserPassword" in parameters)
    protection = [n for n, (_o, p) in enumerate(made.calls) if p.get("DeletionProtection") and p["DBInstanceIdentifier"] == "new-x"]
    assert last_replica < secret < protection[0] and len(protection) == 1
    rebooted = [parameters["DBInstanceIdentifier"] for operation, parameters in made.calls if operation == "RebootDBInstance"]
    assert rebooted == ["old-x", "new-x-r1-a"], "the fence, and who has another parameter group than its parent and no restart by the way"
    snapshot = made.operations.index("CreateDBSnapshot")
    assert made.operations.index("RebootDBInstance") < snapshot


def test_nothing_is_ever_deleted():
    made = region()
    Way(made, "x").everything()
    assert not [operation for operation in made.operations if operation.startswith(("Delete", "Stop"))]


def test_tags_that_were_asked_for():
    made = region()
    way = Way(made, "x", tags={"run": "7"})
    way.fence()
    way.build()
    assert tags_of(made.truth("new-x"))["run"] == tags_of(made.truth("new-x-r1-a"))["run"] == "7"


# -- stopped anywhere ------------------------------------------------------------------------------------------------------------------

CALLS_OF_A_RUN = 35


def test_how_many_calls_there_are_to_stop_at():
    made = region()
    Way(made, "x").everything()
    assert len(made.calls) == CALLS_OF_A_RUN


@pytest.mark.parametrize("at", range(1, CALLS_OF_A_RUN + 1))
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_stopped_at_any_call(at, after_effect):
    """The controller dies before or after the effect of a call; the whole run is repeated, at once or much later."""
    for later, lag in ((False, dict(stale_reads=1, rename_gap=20.0)), (True, {})):
        made = region(**lag)
        made.application("x")
        made.crash_at, made.crash_after_effect = at, after_effect
        with pytest.raises(Crash):
            Way(made, "x").everything()
        if later:
            made.settle()
        again = Way(made, "x")
        again.everything()
        check_the_end(made)
        assert len(made.snapshots) <= 4, "at most one more fence, if it stopped before the name was moved"
        calls = len(made.calls)
        Way(made, "x").everything()
        assert len(made.calls) == calls


@pytest.mark.parametrize("lag", LAG, ids=str)
@pytest.mark.parametrize("at", range(27, CALLS_OF_A_RUN + 1))
def test_a_cutover_that_stopped_is_gone_on_with_by_itself(at, lag):
    """At once, with names half given: only the cutover is called again."""
    made = region(**lag)
    made.application("x")
    made.crash_at, made.crash_after_effect = at, True
    with pytest.raises(Crash):
        Way(made, "x").everything()
    Way(made, "x").cutover()
    check_the_end(made)


FAULTS = ["lost before", "lost after", "500 before", "500 after", "throttled", "InvalidDBInstanceState: RDS is configuring"]
KINDS = [
    "AddTagsToResource",
    "Rename",
    "RebootDBInstance",
    "CreateDBSnapshot",
    "CopyDBSnapshot",
    "RestoreDBInstanceFromDBSnapshot",
    "ModifyDBInstance",
    "AddRoleToDBInstance",
    "CreateDBInstanceReadReplica",
    "RemoveTagsFromResource",
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("lag", [{}, dict(stale_reads=2)], ids=["seen at once", "seen late"])
def test_doubtful_answers_to_every_kind_of_call(fault, lag):
    made = region(**lag)
    made.application("x")
    made.faults = {kind: [fault] for kind in KINDS}
    Way(made, "x").everything()
    assert not any(made.faults.values()), "each of them came"
    check_the_end(made)
    assert len(made.snapshots) == 2


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    crashes=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), max_size=4),
    faults=st.dictionaries(st.sampled_from(KINDS), st.lists(st.sampled_from(FAULTS), max_size=3), max_size=4),
    stale_reads=st.integers(0, 3),
    rename_gap=st.sampled_from([0.0, 30.0]),
)
def test_whatever_happens(crashes, faults, stale_reads, rename_gap):
    made = region(stale_reads=stale_reads, rename_gap=rename_gap)
    made.application("x")
    made.faults = {kind: list(each) for kind, each in faults.items()}
    for at, after_effect, later in crashes:
        made.crash_at, made.crash_after_effect = len(made.calls) + at, after_effect
        try:
            Way(made, "x").everything()
        except (Crash, RefusedError):
            # What is seen too late in the middle of the renames may be refused, in words; then the next run goes on.
            pass
        if later:
            made.settle()
    made.crash_at = None
    try:
        Way(made, "x").everything()
    except RefusedError as e:
        assert "cannot be seen" in str(e) or "does not exist" in str(e) or "cutover is under way" in str(e)
        assert "Nothing was changed" in str(e) or "No name was moved" in str(e)
        made.settle()
        Way(made, "x").everything()
    check_the_end(made)


# -- somebody else ---------------------------------------------------------------------------------------------------------------------


def test_a_name_given_back_by_hand_is_fenced_anew():
    """After the target was built somebody gives the name back, and applications write again: that target must never serve."""
    made = region()
    application = made.application("x")
    way = Way(made, "x")
    way.fence()
    way.build()
    for name in NAMES:
        made.rename_by_hand("old-" + name, name)
    made.settle()
    writes = application.acknowledged
    made.tick()
    assert application.acknowledged == writes + 1
    with pytest.raises(RefusedError, match="not fenced"):
        Way(made, "x").cutover()
    said = Way(made, "x").info(preflight=True)
    assert said["action"] == "blocked"
    assert [(b["code"], b["resource"]) for b in said["blockers"]] == [
        ("name_taken", "new-x"),
        ("name_taken", "new-x-r1"),
        ("name_taken", "new-x-r2"),
        ("name_taken", "new-x-r1-a"),
    ]
    assert "may lack writes" in said["reason"]
    again = Way(made, "x")
    first = tags_of(made.truth("x"))[MARK + "fence-id"]
    second = again.fence()["fence_id"]
    assert second != first
    with pytest.raises(RefusedError, match=f"restored under fence {first}|fence in force is {second}"):
        again.build()
    with pytest.raises(RefusedError, match="has no encrypted replacement"):
        again.cutover()
    made.rename_by_hand("new-x", "stale-x")
    for name in NAMES[1:]:
        made.rename_by_hand("new-" + name, "stale-" + name)
    assert tags_of(made.truth("old-x"))[MARK + "fence-id"] == second
    again.build()
    again.cutover()
    made.settle()
    made.tick()
    assert made.truth("x")["StorageEncrypted"] and not application.lost


def test_the_restart_of_the_fence_cuts_connections_that_outlived_the_rename():
    made = region()
    application = made.application("x")
    made.tick()
    source = made.find("x")
    Way(made, "x").fence()
    assert application.connected is None
    writes = source.data
    made.tick()
    assert source.data == writes == application.acknowledged


def test_a_fence_that_was_begun_is_no_fence():
    made = region()
    made.crash_at = 9
    with pytest.raises(Crash, match="RebootDBInstance"):
        Way(made, "x").fence()
    made.crash_at = None
    with pytest.raises(RefusedError, match="begun and not completed"):
        Way(made, "x").build()
    with pytest.raises(RefusedError, match="not fenced"):
        Way(made, "x").cutover()
    assert "CreateDBSnapshot" not in made.operations


def test_a_stranger_under_a_new_name():
    made = region()
    made.things += Region(encrypted("new-x")).things
    said = Way(made, "x").info(preflight=True)
    assert (said["action"], said["blockers"][0]["code"]) == ("blocked", "name_taken")
    way = Way(made, "x")
    way.fence()
    with pytest.raises(RefusedError, match="do not say that it was restored from old-x"):
        way.build()
    assert "CreateDBSnapshot" not in made.operations and made.truth("new-x") == encrypted("new-x")


def test_a_stranger_under_the_name_after_the_fence():
    """Somebody makes an instance called x while x is fenced: nobody may be renamed onto it, and it must not be taken for the source."""
    made = region()
    way = Way(made, "x")
    way.fence()
    way.build()
    made.things += Region(instance("x", DbiResourceId="db-STRANGER")).things
    calls = len(made.calls)
    with pytest.raises(EncryptionError):
        way.cutover()
    assert len(made.calls) == calls
    said = Way(made, "x").info(preflight=True)
    assert said["action"] == "blocked" and {b["code"] for b in said["blockers"]} == {"name_taken"}


def test_a_foreign_snapshot_under_our_name():
    made = region()
    way = Way(made, "x")
    fence_id = way.fence()["fence_id"]
    made._new_snapshot(f"new-x-{fence_id}", made.truth("y"), 0, [], 0, Encrypted=False)
    with pytest.raises(RefusedError, match="does not belong to fence"):
        way.build()


def test_a_failed_snapshot_is_followed_by_another():
    made = region()
    made.application("x")
    way = Way(made, "x")
    name = f"new-x-{way.fence()['fence_id']}"
    made.terminal[name] = "failed"
    with pytest.raises(TerminalStateError, match=f"snapshot {name} is failed"):
        way.build()
    Way(made, "x").everything()
    assert sorted(made.snapshots) == [name, name + "-2", name + "-encrypted"]
    check_the_end(made)


def test_a_target_in_a_final_state_ends_it_at_once_and_in_words():
    made = region()
    way = Way(made, "x")
    way.fence()
    made.terminal["new-x"] = "incompatible-restore"
    started = made.clock.now
    with pytest.raises(TerminalStateError, match="new-x is incompatible-restore") as ended:
        way.build()
    assert "MyISAM" in ended.value.next_step and made.clock.now - started < 600


def test_a_denied_call_names_what_is_missing():
    made = region()
    made.faults = {"CopyDBSnapshot": ["AccessDenied: not authorized"]}
    way = Way(made, "x")
    way.fence()
    with pytest.raises(RefusedError, match="Allow rds:CopyDBSnapshot"):
        way.build()
    Way(made, "x").build()
    assert made.find("new-x") is not None


# -- single jobs -----------------------------------------------------------------------------------------------------------------------


def test_a_hand_made_fence_and_restore():
    """The module alone: the operator renamed and says so with a fence id of their own."""
    made = Region(instance("old-x", tags={"team": "a"}))
    primary = dict(source_identifier="old-x", target_identifier="new-x")
    with pytest.raises(RefusedError, match="carries no fence id"):
        Way(made, "x").restore(primary)
    result = Way(made, "x").restore(primary, fence_id="Mine1")
    assert result["fence_id"] == "mine1" and sorted(made.snapshots) == ["new-x-mine1", "new-x-mine1-encrypted"]
    assert result["target_resource_id"] == made.truth("new-x")["DbiResourceId"]
    assert not Way(made, "x").restore(primary, fence_id="mine1")["changed"]


def test_without_waiting():
    made = region()
    way = Way(made, "x")
    way.fence()
    primary = way.info()["members"][0]
    assert [step["action"] for step in way.restore(primary, wait=False)["plan"]] == ["CreateDBSnapshot"]
    assert way.restore(primary, wait=False)["changed"] is False, "it is under way"
    made.settle()
    assert [step["action"] for step in way.restore(primary, wait=False)["plan"]] == ["CopyDBSnapshot"]
    made.settle()
    assert [step["action"] for step in way.restore(primary, wait=False)["plan"]] == ["RestoreDBInstanceFromDBSnapshot"]
    assert way.restore(primary, wait=False)["plan"] == []
    made.settle()
    assert way.restore(primary)["changed"]


def test_prefixes_are_in_the_lower_case_in_which_rds_keeps_identifiers():
    prefixes = common.prefixes_of(dict(old_prefix="OLD-", new_prefix="New-"))
    assert (prefixes.old, prefixes.new) == ("old-", "new-")


def test_things_that_are_not_there():
    made = Region()
    way = Way(made, "x")
    for call in (way.fence, way.cutover):
        with pytest.raises(RefusedError, match="no DB instance x"):
            call()
    member = dict(source_identifier="old-x", target_identifier="new-x")
    with pytest.raises(RefusedError, match="there is no such DB instance"):
        way.restore(member)
    with pytest.raises(RefusedError, match="there is no such DB instance"):
        way.replica(member, member)
    assert way.info(preflight=True)["action"] == "blocked"
    assert made.clock.now < 1400, "a mistyped name costs no long wait"


def test_an_unknown_key():
    made = region()
    way = Way(made, "x")
    way.fence()
    with pytest.raises(EncryptionError, match="KMS knows no key"):
        way.restore(way.info()["members"][0], kms_key_id="alias/no")
    said = way.info(preflight=True, kms_key_id="")
    assert said["blockers"][0]["code"] == "kms_key" and "is not set" in said["blockers"][0]["text"]
    assert way.info(preflight=True, kms_key_id="alias/no")["blockers"][0]["code"] == "kms_key"
    with pytest.raises(RefusedError, match="strategy magic is not known"):
        way.info(strategy="magic")


def test_a_replica_without_a_fence():
    made = Region(encrypted("new-x"), instance("x"), replica("x-r", "x"))
    member = dict(source_identifier="x-r", target_identifier="new-x-r")
    parent = dict(target_identifier="new-x")
    with pytest.raises(RefusedError, match="carries no fence id"):
        Way(made, "x").replica(member, parent)
    assert Way(made, "x", check_mode=True).replica(member, parent)["plan"]
    context = FakeContext(
        made,
        dict(
            source_db_instance_identifier="NEW-x",
            model_db_instance_identifier="X-r",
            target_db_instance_identifier="new-X-r",
            fence_id="F9",
            tags=None,
            wait=True,
            **WAITING,
        ),
        diff_mode=True,
    )
    result = replica_job.run(context)
    assert result["target_resource_id"] == made.truth("new-x-r")["DbiResourceId"]
    assert "Create replica new-x-r of new-x" in result["diff"]["after"]
    assert context.lines


def test_what_the_info_says():
    made = region()
    said = Way(made, "x").info(preflight=True)
    assert (said["action"], said["fence_id"], said["fenced"], said["finished"]) == ("encrypt", None, False, False)
    assert [(m["name"], m["level"], m["parent"]) for m in said["members"]] == [
        ("x", 0, None),
        ("x-r1", 1, "x"),
        ("x-r2", 1, "x"),
        ("x-r1-a", 2, "x-r1"),
    ]
    assert {step["phase"] for step in said["steps"]} == {"fence", "build", "cutover"}
    assert said["database_client"] == "mysql" and said["kms_key_arn"] == KEY
    assert "arn:secret:old" not in str(said), "no secret's ARN"
    quick = Way(made, "x").info()
    assert (quick["blockers"], quick["warnings"], quick["steps"]) == ([], [], [])


def test_hosts_that_mean_the_same_topology():
    made = region()
    way = Way(made, "x")
    way.fence()
    way.build()
    for asked, fleet, words in (
        ("old-x", ["old-x", "x"], "x stands for"),
        ("new-x", ["old-x", "new-x"], None),
        ("old-x", ["old-x", "new-x"], "new-x stands for"),
    ):
        said = Way(made, asked).info(fleet=fleet)
        assert (said["action"] == "none" and words in said["reason"]) if words else said["action"] == "encrypt"


def test_the_needs_of_the_whole_fleet_count():
    made = region()
    made.quotas = {"DBInstances": (36, 40)}
    assert Way(made, "x").info(preflight=True)["action"] == "encrypt"
    said = Way(made, "x").info(preflight=True, fleet=["x", "y", "x-r1"])
    assert [b["code"] for b in said["blockers"]] == ["quota"] and "needs 5 more" in said["reason"]


def test_fence_ids_are_new_and_fit_a_snapshot():
    ids = {common.fresh_fence_id() for _n in range(50)}
    assert len(ids) == 50 and all(re.fullmatch("f[0-9a-f]{11}", each) for each in ids)


def test_the_target_of_another_fence_is_refused_by_the_job():
    made = region()
    way = Way(made, "x")
    way.fence()
    way.build()
    made.find("new-x").truth["TagList"] = [{"Key": k, "Value": v} for k, v in marks("x", "target", "db-X", "f0").items()]
    with pytest.raises(RefusedError, match="fence f0"):
        way.restore(way.info()["members"][0] | {"target_identifier": "new-x"})
