# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""audit.yml: a table, a file, and an exit code that CI can use."""

from __future__ import annotations

import json
import stat


def test_plaintext_fails_the_audit_until_it_is_borne(double, operator, tmp_path):
    double.seed("one")
    double.seed_replica("one-replica", "one")
    file = tmp_path / "audit.json"
    run = operator.run(["localhost"], "audit.yml", audit_file=str(file), audit_regions=["us-east-1", "eu-west-1"])
    assert run.rc == 2, run.output
    assert "3 of 3 resources are not encrypted: one, one-replica" in run.output.replace("\n", " "), run.output
    assert "ansible-playbook encrypt.yml -l one" in run.output and "it moves with its source" in run.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = {(row["kind"], row["identifier"]): row["encryption"] for row in json.loads(file.read_text())["resources"]}
    assert listed == {("instance", "one"): "none", ("instance", "one-replica"): "none", ("automated backups", "one"): "none"}
    operator.run(["localhost"], "audit.yml", audit_accepted=["one", "one-replica"]).good()
    # Texts, as every value of -e name=value is.
    operator.run(["localhost"], "audit.yml", "-e", "rds_encryption_audit_fail=false").good()
    assert not double.steps()
