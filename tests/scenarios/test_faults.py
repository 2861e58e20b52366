# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS at its worst: lost answers do no harm, and what no waiting cures ends the run at once, in words."""

from __future__ import annotations

import collections


def encrypted(double, *names) -> None:
    """Each name belongs to an encrypted instance, its old- instance is there, nothing new- is left."""
    there = double.instances()
    for name in names:
        assert there[name]["KmsKeyId"] == double.key(), name
        assert there[name]["DBInstanceStatus"] == "available", name
        assert not there[f"old-{name}"]["StorageEncrypted"]
        assert not [tag for tag in there[name]["TagList"] if tag["Key"].startswith("rds-encryption:")], name
    assert set(there) == {*names, *(f"old-{name}" for name in names)}


def test_lost_answers_throttling_and_errors_do_no_harm(double, operator):
    """Every call may be throttled, refused for no reason, or lost before or after its effect; each effect still happens once."""
    double.seed("one")
    double.seed_replica("one-replica", "one")
    double.seed("two", DeletionProtection=True, MonitoringInterval=60, MonitoringRoleArn=double.plane.seed_role("monitoring"))
    double.faults(*({"operation": "*", "service": "*", "kind": kind, "probability": share, "seed": seed, "count": None} for kind, share, seed in (
        ("throttle", 0.20, 1), ("http_500", 0.03, 2), ("http_503", 0.02, 3), ("cut_before", 0.05, 4))),
        *({"operation": f"{verb}*", "kind": "cut_after", "probability": 0.25, "seed": seed, "count": None}
          for seed, verb in enumerate(("Add", "Copy", "Create", "Modify", "Reboot", "Remove", "Restore"), 5)))
    # Every read shows the state of a minute ago.
    double.admin("POST", "settings", {"consistency": 60})
    run = operator.run(["one", "two"])
    hits = collections.Counter()
    for fault in double.admin("GET", "faults")["faults"]:
        hits[fault["kind"]] += fault["hits"]
    double.admin("DELETE", "faults")
    run.good()
    assert min(hits[kind] for kind in ("throttle", "http_500", "http_503", "cut_before", "cut_after")) > 0, hits
    encrypted(double, "one", "one-replica", "two")
    made = collections.Counter(step for step in double.steps() if step[0] in ("CreateDBSnapshot", "CopyDBSnapshot", "RestoreDBInstanceFromDBSnapshot",
                                                                              "CreateDBInstanceReadReplica", "RebootDBInstance", "Rename"))
    assert len(made) == 17 and set(made.values()) == {1}, made
    assert len(double.snapshots()) == 6
    asked, accepted = double.mutating(accepted=False), double.mutating()
    assert len(asked) < 3 * len(accepted), "what is refused is not asked for over and over"
    assert not [action for action, _resource in double.steps() if action.startswith("Delete")]


# host -> the fault that befalls it, what must be said of it, and what mends it by hand.
TERMINAL = {
    "copy": ({"operation": "CopyDBSnapshot", "kind": "fails", "match": {"TargetDBSnapshotIdentifier": "new-copy-*"}}, ("-encrypted is failed",)),
    "snapshot": ({"operation": "CreateDBSnapshot", "kind": "fails", "match": {"DBSnapshotIdentifier": "new-snapshot-f*"}},
                 ("snapshot new-snapshot-f", " is failed")),
    "recovery": ({"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "terminal_status", "status": "incompatible-restore",
                  "match": {"DBInstanceIdentifier": "new-recovery"}}, ("new-recovery is incompatible-restore", "which waiting does not cure")),
    "storage": ({"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "terminal_status", "status": "storage-full",
                 "match": {"DBInstanceIdentifier": "new-storage"}}, ("new-storage is storage-full", "raise its AllocatedStorage")),
    "parameters": ({"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "terminal_status", "status": "incompatible-parameters",
                    "match": {"DBInstanceIdentifier": "new-parameters"}}, ("new-parameters is incompatible-parameters", "reset it in the group")),
    "room": ({"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "terminal_status", "status": "insufficient-capacity",
              "match": {"DBInstanceIdentifier": "new-room"}}, ("new-room is insufficient-capacity", "choose another class or zone")),
    "capacity": ({"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "capacity", "match": {"DBInstanceIdentifier": "new-capacity"}},
                 ("InsufficientDBInstanceCapacity", "another Availability Zone", "new-capacity")),
}
LOST = ("recovery", "storage", "parameters", "room")


def test_what_no_waiting_cures_ends_the_run_at_once_and_can_be_mended(double, operator):
    """Seven hosts in seven kinds of trouble and a good one: each says what it is, all stop at the gate, and the next run finishes the work."""
    names = ["good", *TERMINAL]
    sources = {name: double.seed(name) for name in names}
    double.faults(*(fault for fault, _words in TERMINAL.values()))
    run = operator.run(names)
    assert run.rc != 0 and "Traceback" not in run.output
    for name, (_fault, words) in TERMINAL.items():
        for text in (*words, "Next: "):
            assert text in run.failure(name), (name, run.failure(name))
        assert name in run.failure("good"), "the gate does not say who is lost"
    there = double.instances()
    assert not set(sources) & set(there), "a name was cut over"
    assert {there[f"old-{name}"]["DbiResourceId"] for name in sources} == set(sources.values())
    # What is lost is put out of the way, by hand: the product deletes nothing.
    rds = double.client("rds")
    for name in LOST:
        rds.delete_db_instance(DBInstanceIdentifier=f"new-{name}", SkipFinalSnapshot=True)
    for name in LOST:
        double.await_gone(f"new-{name}")
    operator.run(names).good()
    encrypted(double, *names)


def test_a_key_that_is_disabled_in_the_middle(double, operator):
    """Whether RDS refuses the copy at once: who is told what, and that nothing is lost when the key is enabled again."""
    double.seed("one")
    kms, key = double.client("kms"), double.key()
    running = operator.start(["one"])
    double.await_call(lambda call: "rds-encryption:fenced" in str(call["parameters"].get("Tags")), running)
    kms.disable_key(KeyId=key)
    run = running.wait()
    assert run.rc != 0 and "Traceback" not in run.output
    assert "key" in run.failure("one").lower() and "Next: " in run.failure("one"), run.failure("one")
    assert "one" not in double.instances()
    kms.enable_key(KeyId=key)
    operator.run(["one"]).good()
    encrypted(double, "one")
