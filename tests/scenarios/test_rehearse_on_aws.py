# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rehearse_on_aws.yml beside running sources; what it must not do and what becomes of its leftovers: tests/unit/plugins/test_rehearsal_job.py."""

from __future__ import annotations

import re

from scenario_truth import differences

OF_TIME = {"LatestRestorableTime", "InstanceCreateTime"}


def test_a_rehearsal_touches_no_source_says_the_outage_and_does_not_stand_in_the_way(double, operator):
    double.seed("one", DeletionProtection=True)
    double.seed_replica("one-replica", "one")
    before = double.instances()

    foreseen = operator.run(["one"], "rehearse_on_aws.yml", "--check").good()
    assert double.steps() == [] and "would be rehearsed as rehearsal-one, rehearsal-one-replica" in foreseen.said("one")

    run = operator.run(["one"], "rehearse_on_aws.yml").good()
    there = double.instances()
    assert set(there) == {"one", "one-replica", "rehearsal-one", "rehearsal-one-replica"}
    for name, was in before.items():
        assert set(differences(was, there[name])) <= OF_TIME, f"{name} was changed: {differences(was, there[name])}"
        assert there[f"rehearsal-{name}"]["KmsKeyId"] == double.key()
    assert {action for action, resource in double.steps() if "rehearsal-" not in resource} == {"CreateDBSnapshot"}
    assert not [call for call in double.mutating() if call["operation"] in ("RebootDBInstance", "ModifyDBInstance")
                and not call["parameters"]["DBInstanceIdentifier"].startswith("rehearsal-")]
    said = run.said("one")
    minutes = [float(found) for found in re.findall(r"^  (?:snapshot|encrypted copy|restore|settings|replicas|accounts) +([\d.]+) min", said, re.M)]
    assert len(minutes) >= 5 and re.search(r"Outage to announce: [\d.]+ min", said), said
    commands = re.findall(r"^  (aws rds .*)$", said, re.M)
    assert len([command for command in commands if "delete-db-instance" in command]) == 2 and "--no-deletion-protection" in said, said
    assert all(snapshot["DBSnapshotIdentifier"] in " ".join(commands) for snapshot in double.snapshots())

    again = operator.run(["one"], "rehearse_on_aws.yml").good()
    assert set(again.changed.values()) == {0} and double.instances().keys() == there.keys()
