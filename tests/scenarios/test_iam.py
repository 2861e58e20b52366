# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: one identity builds, another gives the names away, and neither calls what its policy does not hold."""

from __future__ import annotations

import json

import pytest
import test_dependents
from scenario_lab import REGION

import iam_actions  # isort: skip  (scenario_play has put its folder into the path)

FAR = "eu-west-1"
# The fixture by which one of everything hangs on prod and its replica.
hung = test_dependents.hung
BY_CUTOVER = {"AWS_ACCESS_KEY_ID": iam_actions.access_key_of("cutover")}


def called(double, identity: str) -> set[str]:
    """The actions that an identity called so far."""
    return iam_actions.actions_of(iam_actions.rows_of(double.admin("GET", "calls")["calls"])).get(identity, set())


def seed_copied(double) -> str:
    """An instance whose backups go to another region; answers a security group for the quarantine of it and of ``prod``."""
    double.seed("copied")
    double.plane.seed_kms_key("alias/there", FAR)
    instance = double.instances()["copied"]
    double.client("rds", FAR).start_db_instance_automated_backups_replication(SourceDBInstanceArn=instance["DBInstanceArn"], BackupRetentionPeriod=3)
    double.plane.advance(200)
    vpc = instance["DBSubnetGroup"]["VpcId"]
    return double.client("ec2").create_security_group(GroupName="quarantine", Description="the controller", VpcId=vpc)["GroupId"]


def test_each_identity_calls_what_its_policy_holds(double, operator, hung):
    double.plane.settings.update({"subscription_follows_rename": True})
    usual = {"dependents": True, "quarantine_security_group_id": seed_copied(double), "backup_replication_kms_keys": {FAR: "alias/there"}}
    double.plane.advance(200)
    hosts = ["prod", "copied"]
    operator.run(hosts, "plan.yml", **usual).good()
    built = operator.run(hosts, cutover_pause=True, **usual)
    assert built.rc != 0 and "nobody said yes" in built.failure("prod") + built.failure("copied")
    assert {"new-prod", "old-prod"} <= set(double.instances())

    operator.run(hosts, environment=BY_CUTOVER, **usual).good()
    assert double.instances()["prod"]["KmsKeyId"] == double.key()

    # Who is stopped is started for the final snapshot.
    double.client("rds").stop_db_instance(DBInstanceIdentifier="old-copied")
    double.await_status("old-copied", "stopped")
    operator.run(["copied"], "retire.yml", retire_action="delete", retire_after_days=0, retire_confirm=["copied"]).good()
    assert "old-copied" not in double.instances()

    policies = {identity: iam_actions.allowed(iam_actions.policies()[heading]) for heading, identity in iam_actions.IDENTITIES.items()}
    assert {identity: called(double, identity) - policies[identity] for identity in policies} == dict.fromkeys(policies, set())
    assert {"rds:ModifyDBInstance", "rds:RegisterDBProxyTargets", "iam:GetAccountAuthorizationDetails"} <= called(double, "cutover")
    assert {"rds:DeleteDBInstance", "rds:DeleteDBSnapshot", "rds:StartDBInstance"} <= called(double, "retire")
    assert not {action for action in called(double, "cutover") if action.startswith(("rds:Create", "rds:Copy", "rds:Restore", "iam:Pass"))}


@pytest.mark.parametrize("action, allowed", [("kms:Describe*", False), (["kms:DescribeKey", "kms:CreateGrant"], True)])
def test_the_policy_of_the_key_is_read_before_the_outage(double, operator, action, allowed):
    """moto keeps the policy of a key; the caller of the lab is its account's root."""
    double.seed("one")
    kms = double.client("kms")
    account = double.client("sts").get_caller_identity()["Account"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": action,
                                                      "Resource": "*"}]}
    kms.put_key_policy(KeyId=kms.describe_key(KeyId="alias/prod-rds")["KeyMetadata"]["KeyId"], PolicyName="default", Policy=json.dumps(policy))
    began = double.now
    run = operator.run(["one"], "plan.yml")
    assert double.mutating(began, accepted=False) == []
    if allowed:
        assert run.good().said("one").startswith("one: encrypt.")
    else:
        assert run.rc != 0 and "BLOCKED (kms_key)" in run.said("one") and "kms:CreateGrant" in run.failure("one")
        assert f"rds.{REGION}.amazonaws.com" in run.failure("one"), "the statement to add is not shown"


FOLLOW = """
- hosts: all
  gather_facts: false
  connection: local
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  module_defaults:
    group/dbre.rds_encryption.aws: {region: us-east-1}
    dbre.rds_encryption.rds_replication_link: &usual {name: one, poll_interval: 0.2}
    dbre.rds_encryption.rds_fence: *usual
    dbre.rds_encryption.rds_cutover: {name: one, kms_key_id: alias/prod-rds, poll_interval: 0.2}
    dbre.rds_encryption.rds_encrypted_restore: {target_db_instance_identifier: new-one, kms_key_id: alias/prod-rds, poll_interval: 0.2}
  tasks:
    - dbre.rds_encryption.rds_replication_link: {state: begun}
      register: begun
    - dbre.rds_encryption.rds_encrypted_restore:
        source_db_instance_identifier: one
        fence_id: "{{ begun.link.id }}"
        snapshot_db_instance_identifier: "{{ begun.link.seed_db_instance_identifier }}"
        held_db_parameter_group_name: "{{ begun.link.held_db_parameter_group_name }}"
        coordinates: {file: mysql-bin-changelog.000007, position: 4711}
    - dbre.rds_encryption.rds_fence: {}
    - dbre.rds_encryption.rds_cutover: {}
      register: refused
      failed_when: refused is not failed or 'belongs to fence l' not in refused.msg
    - dbre.rds_encryption.rds_replication_link: {state: proven}
    - dbre.rds_encryption.rds_encrypted_restore: {source_db_instance_identifier: old-one}
    - dbre.rds_encryption.rds_cutover: {}
"""


def test_what_a_target_that_follows_takes_goes_with_the_original(double, operator, tmp_path):
    """Without SQL, which proves in truth what is only said here: what RDS holds of it, made, used and retired by the identities for that."""
    double.seed("one", DBParameterGroups=[{"DBParameterGroupName": "default.mariadb10.11", "ParameterApplyStatus": "in-sync"}])
    play = tmp_path / "encrypt.yml"
    play.write_text(FOLLOW.partition("    - dbre.rds_encryption.rds_encrypted_restore:\n")[0])
    operator.run(["one"], str(play)).good()
    # Who only looks reads what the group holds by now.
    assert "changed=0" in operator.run(["one"], str(play), "--check").good().output
    assert "rds:DescribeDBParameters" in called(double, "audit")
    play.write_text(FOLLOW)
    operator.run(["one"], str(play)).good()
    there = double.instances()
    assert set(there) == {"one", "old-one", "new-one-seed"} and there["one"]["KmsKeyId"] == double.key()
    assert there["one"]["DBParameterGroups"][0]["DBParameterGroupName"] == "default.mariadb10.11"
    assert "rds:CreateDBParameterGroup" in called(double, "encrypt")
    groups = double.client("rds").describe_db_parameter_groups()["DBParameterGroups"]
    held = [group["DBParameterGroupName"] for group in groups if group["DBParameterGroupName"].startswith("new-one-")]
    values = double.client("rds").describe_db_parameters(DBParameterGroupName=held[0], Source="user")["Parameters"]
    assert {each["ParameterName"]: each["ParameterValue"] for each in values} == {"read_only": "1", "event_scheduler": "OFF"}

    retired = operator.run(["one"], "retire.yml", retire_action="delete", retire_after_days=0, retire_confirm=["one"])
    assert set(double.instances()) == {"one"}, retired.good().output[-2000:]
    left = {group["DBParameterGroupName"] for group in double.client("rds").describe_db_parameter_groups()["DBParameterGroups"]}
    assert not left & set(held) and "rds:DeleteDBParameterGroup" in called(double, "retire")
