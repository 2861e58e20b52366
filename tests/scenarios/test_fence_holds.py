# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that ignores DNS and never gives up: it keeps the run from its snapshot, or it is shut out; no acknowledged write is lost."""

from __future__ import annotations

import re
import socket

import pymysql
import pytest
import yaml
from rds_lab.fleet import find
from rds_lab.writer import Writer

ELSEWHERE = "127.66.0.9"
HOST = {"first": {"rds_encryption_login_user": "admin"}}


class Stubborn(Writer):
    """Writes to the address that the name had when it began, from a machine of its own."""

    def _connect(self, name: str, port: int | None = None):
        return pymysql.connect(host=name, port=port or self.port, user=self.user, password=self._password, database=self.database, autocommit=False,
                               bind_address=ELSEWHERE, connect_timeout=2, read_timeout=3, charset="utf8mb4")


@pytest.fixture(scope="module")
def lab(start_lab, tmp_path_factory):
    """One instance, whose endpoint heeds security groups."""
    fleet = yaml.safe_load(find("small").read_text(encoding="utf-8"))
    fleet["instances"] = [{**fleet["instances"][0], "DBInstanceIdentifier": "first"}]
    fleet["settings"] = {**fleet.get("settings", {}), "enforce_security_groups": True}
    path = tmp_path_factory.mktemp("fleet") / "guarded.yml"
    path.write_text(yaml.safe_dump(fleet), encoding="utf-8")
    return start_lab(path, 900)


def admit(ec2, group: str, cidr: str) -> None:
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "IpRanges": [{"CidrIp": cidr}]}])


def groups(instance: dict) -> list[str]:
    return [group["VpcSecurityGroupId"] for group in instance["VpcSecurityGroups"]]


def test_no_acknowledged_write_is_lost_to_a_client_that_never_gives_up(lab, tmp_path):
    ec2, instance, operator = lab.client("ec2"), lab.instances()["first"], lab.operator(tmp_path)
    own = groups(instance)
    admit(ec2, own[0], "127.0.0.0/8")
    quarantine = ec2.create_security_group(GroupName="quarantine", Description="the controller", VpcId=instance["DBSubnetGroup"]["VpcId"])["GroupId"]
    admit(ec2, quarantine, "127.0.0.1/32")
    endpoint = instance["Endpoint"]["Address"]
    writer = Stubborn(socket.gethostbyname(endpoint), user="application", password=lab.application_password, workers=2).start()
    try:
        refused = operator.run(HOST, kill_connections=True, connections_timeout=3)
        assert refused.rc != 0
        assert f"application@{ELSEWHERE}" in refused.failure("first") and "session(s) were ended, and came back" in refused.failure("first")
        seeds = [snapshot for snapshot in lab.snapshots() if "-seed-" in snapshot["DBSnapshotIdentifier"]]
        assert lab.snapshots() == seeds, "a snapshot behind a fence that leaks"
        writer.wait_for(10)

        run = operator.run(HOST, kill_connections=True, quarantine_security_group_id=quarantine).good()
        assert f"Replace the security groups of old-first by {quarantine}" in run.said("first")
    finally:
        writer.stop()
    there = lab.instances()
    assert there["first"]["KmsKeyId"] == lab.key() and there["first"]["Endpoint"]["Address"] == endpoint
    assert groups(there["first"]) == own and groups(there["old-first"]) == [quarantine]
    tags = {tag["Key"]: tag["Value"] for tag in there["old-first"]["TagList"]}
    assert tags["rds-encryption:security-groups"] == " ".join(sorted(own)) and tags["rds-encryption:quarantine"] == quarantine
    assert not [tag for tag in there["first"]["TagList"] if tag["Key"].startswith("rds-encryption:")]
    report = writer.verify(endpoint)
    assert report["ok"] and report["missing"] == 0, report
    assert re.search(r"\d", str(report["acknowledged"])) and report["acknowledged"] > 20
