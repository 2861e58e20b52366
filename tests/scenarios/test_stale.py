# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fence that was lifted by hand and set up again leaves names and tags as if nothing had been: its events tell."""

from __future__ import annotations


def test_a_source_that_served_again_after_its_snapshot_is_not_cut_over(double, operator):
    source = double.seed("one")
    running = operator.start(["one"])
    double.await_call(lambda call: call["operation"] == "RestoreDBInstanceFromDBSnapshot", running)
    running.kill()
    rds = double.client("rds")
    double.await_status("new-one", "available")
    for name, wanted in (("old-one", "one"), ("one", "old-one")):
        rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=wanted, ApplyImmediately=True)
        double.await_status(wanted, "available")
    began = double.now
    refused = operator.run(["one"])
    assert refused.rc != 0 and "old-one was restarted after the snapshot of fence" in refused.failure("one"), refused.failure("one")
    assert double.mutating(began, accepted=False) == []

    # As it says: the original gets its name, what was made of it another one, and everything begins anew.
    for name, wanted in (("old-one", "one"), ("new-one", "stale-one")):
        rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=wanted, ApplyImmediately=True)
        double.await_status(wanted, "available")
    operator.run(["one"]).good()
    there = double.instances()
    assert there["old-one"]["DbiResourceId"] == source
    assert there["one"]["KmsKeyId"] == double.key() and there["one"]["DbiResourceId"] != there["stale-one"]["DbiResourceId"]
