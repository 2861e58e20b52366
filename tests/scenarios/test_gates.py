# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All or none at the gates."""

from __future__ import annotations


def test_no_name_is_cut_over_when_one_host_fails_in_build(double, operator):
    sources = {name: double.seed(name) for name in ("good", "bad")}
    double.seed_replica("good-replica", "good")
    double.faults({"operation": "RestoreDBInstanceFromDBSnapshot", "kind": "error", "code": "InvalidParameterCombination", "message": "no way",
                   "match": {"DBInstanceIdentifier": "new-bad"}, "count": None})
    run = operator.run(["good", "bad"])
    assert run.rc != 0
    assert "new-bad" in run.failure("bad") and "no way" in run.failure("bad")
    there = double.instances()
    assert not {"good", "good-replica", "bad", "new-bad"} & set(there), "a name was given away although a host was lost"
    for name, resource_id in sources.items():
        assert there[f"old-{name}"]["DbiResourceId"] == resource_id
    assert there["new-good"]["StorageEncrypted"] and there["new-good-replica"]["StorageEncrypted"]
    assert "bad" in run.failure("good"), "the gate does not say who is lost"
    # No SQL read anything anew after it was built.
    good = next(host for host in run.report()["hosts"] if host["host"] == "good")
    assert good["outcome"] == "stopped" and "good is built as new-good; not cut over yet" in good["outcome_text"]
    assert {member["kms_key_id"] for member in good["members"]} == {double.key()}

    double.admin("DELETE", "faults")
    operator.run(["good", "bad"]).good()
    there = double.instances()
    assert {name for name in there if not name.startswith("old-")} == {"good", "good-replica", "bad"}
    assert all(there[name]["KmsKeyId"] == double.key() for name in ("good", "good-replica", "bad"))
