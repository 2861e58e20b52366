# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pause before the cutover, and a cutover that takes too long."""

from __future__ import annotations

FENCED = {"new-one", "new-one-replica", "old-one", "old-one-replica"}


def at_terminal(operator, answer: str):
    """A run that asks, and is answered by somebody at a terminal."""
    running = operator.start(["one"], cutover_pause=True, terminal=True)
    running.await_output("of one? Type yes")
    running.type(answer)
    return running.wait()


def test_a_pause_and_a_time_limit(double, operator):
    double.seed("one")
    double.seed_replica("one-replica", "one")
    stopped = operator.run(["one"], cutover_pause=True)
    assert stopped.rc != 0 and "nobody said yes" in stopped.failure("one")
    assert set(double.instances()) == FENCED

    double.admin("POST", "settings", {"rename": 1600})
    late = operator.run(["one"], cutover_timeout=1)
    assert late.rc != 0 and "rds_encryption_cutover_timeout" in late.failure("one") and "The names went back" in late.failure("one")
    assert set(double.instances()) == FENCED
    assert {name: i["DBInstanceStatus"] for name, i in double.instances().items()} == dict.fromkeys(FENCED, "available")

    double.admin("POST", "settings", {"rename": 90})
    declined = at_terminal(operator, "no\r")
    assert declined.rc != 0 and "nobody said yes" in declined.failure("one")
    assert set(double.instances()) == FENCED
    at_terminal(operator, "yes\r").good()
    there = double.instances()
    assert set(there) == {"one", "one-replica", "old-one", "old-one-replica"}
    assert there["one"]["KmsKeyId"] == there["one-replica"]["KmsKeyId"] == double.key()
