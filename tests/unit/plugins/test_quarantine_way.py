# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole way with a quarantine, and killed at each call of its fence: nobody's security groups are lost."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import fence
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.quarantine import original_security_groups

from fakes.region import Crash, Region
from fakes.shapes import MARK, instance, replica
from fakes.way import PREFIXES, WAITING, Way

OWN = [{"VpcSecurityGroupId": "sg-1", "Status": "active"}, {"VpcSecurityGroupId": "sg-2", "Status": "active"}]
FENCE_CALLS = 11  # two marks, two shut, two renames, one restart, two notes; the rest is beyond the fence


class Shut(Way):
    """The way of a playbook with rds_encryption_quarantine_security_group_id."""

    def fence(self) -> dict:
        return self.job(fence.run, name=self.name, quarantine_security_group_id="sg-q", **PREFIXES, **WAITING)


def region(**more) -> Region:
    return Region(instance("x", VpcSecurityGroups=OWN), replica("x-r", "x"), **more)


def groups(described: dict) -> list[str]:
    return sorted(group["VpcSecurityGroupId"] for group in described["VpcSecurityGroups"])


def judge(made: Region) -> None:
    assert groups(made.truth("x")) == ["sg-1", "sg-2"] and groups(made.truth("x-r")) == ["sg-1"]
    for old, own in (("old-x", ("sg-1", "sg-2")), ("old-x-r", ("sg-1",))):
        assert groups(made.truth(old)) == ["sg-q"]
        assert original_security_groups(made.truth(old)) == own
        assert {"Key": MARK + "quarantine", "Value": "sg-q"} in made.truth(old)["TagList"], "the restart of the quarantine was forgotten"
    assert not [tag for tag in made.truth("x")["TagList"] if tag["Key"].startswith(MARK)]


def test_the_encrypted_instances_get_the_groups_of_before():
    made = region()
    way = Shut(made, "x")
    way.everything()
    made.settle()
    judge(made)
    again = Shut(made, "x")
    again.everything()
    assert not again.changed
    shut = [step["what"] for step in way.steps if "sg-q" in step["what"]]
    assert shut == [f"Replace the security groups of {name} by sg-q: nobody but the controller can connect" for name in ("x", "x-r")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stale", [0, 3])
def test_a_run_that_is_killed_anywhere_in_the_fence_is_finished_by_the_next(after, stale):
    for call in range(1, FENCE_CALLS + 1):
        made = region(stale_reads=stale)
        made.crash_at, made.crash_after_effect = call, after
        with pytest.raises(Crash):
            Shut(made, "x").everything()
        made.crash_at = None
        Shut(made, "x").everything()
        made.settle()
        judge(made)


def test_check_mode_foresees_the_quarantine():
    made = region()
    way = Shut(made, "x", check_mode=True)
    assert [step["what"] for step in way.fence()["plan"] if step["action"] == "ModifyDBInstance"] == [
        f"Replace the security groups of {name} by sg-q: nobody but the controller can connect" for name in ("x", "x-r")
    ]
    assert made.calls == []
