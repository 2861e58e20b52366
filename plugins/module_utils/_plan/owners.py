# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What is left to the owners after the cutover: dependents that nobody binds again, and infrastructure as code; with the commands."""

from __future__ import annotations

import json
import shlex

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.dependents import BY_KIND
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member, Topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.dependents import Dependent, fill, members_with_source


def items_of(topology: Topology, found: list[Dependent]) -> list[dict]:
    """What the owner has to do after the cutover, one by one, with the commands; first the dependents, then infrastructure as code."""
    over = {member.name for member in topology.members if member.cut_over}
    left = [d for d in found if d.member in over and not d.done and d.kind.kind != "export_task"]
    return [dependent.to_dict() for dependent in [*left, *infrastructure(topology)]]


def quoted_commands(items: list[dict]) -> list[str]:
    """The commands that a result printed as JSON would not show as a shell wants them."""
    return list(dict.fromkeys(command for item in items for command in item["commands"] if '"' in command or "\\" in command))


def item_lines(items: list[dict]) -> list[str]:
    """Items for the report: each text, its commands below it."""
    return [line for item in items for line in (item["text"], *("    " + command for command in item["commands"]))]


def infrastructure(topology: Topology) -> list[Dependent]:
    """What the owner of each instance that was cut over runs, so that its tool knows the encrypted instance and not the original.

    From the provider's documentation (aws_db_instance: imported by ``identifier``; since 5.0 its id is the resource id) and the CloudFormation
    guide (Importing existing resources).
    """
    found = []
    for member in members_with_source(topology):
        if member.cut_over:
            tags = tags_of(member.source)
            stack = tags.get("aws:cloudformation:stack-name")
            logical = tags.get("aws:cloudformation:logical-id", "LOGICAL_ID")
            found.append(_cloudformation(member, stack, logical) if stack else _terraform(member))
    return found


def _attributes(member: Member, style: str) -> str:
    key = member.target.get("KmsKeyId", "the key's ARN")
    if style == "terraform":
        return f'storage_encrypted = true, kms_key_id = "{key}"'
    return f"StorageEncrypted: true, KmsKeyId: {key}"


def _cloudformation(member: Member, stack: str, logical: str) -> Dependent:
    remark = (
        f"Set DeletionPolicy and UpdateReplacePolicy of {logical} to Retain and update the stack with nothing else; take {logical} out of the "
        f"template and update it again; put it back with DBInstanceIdentifier: {member.name}, {_attributes(member, 'cloudformation')}, without "
        "DBSnapshotIdentifier, and import it:"
    )
    imported = [{"ResourceType": "AWS::RDS::DBInstance", "LogicalResourceId": logical, "ResourceIdentifier": {"DBInstanceIdentifier": member.name}}]
    change_set = f"import-{member.name}"
    commands = (
        shlex.join(
            ["aws", "cloudformation", "create-change-set", "--stack-name", stack, "--change-set-name", change_set]
            + ["--change-set-type", "IMPORT", "--template-body", f"file://{stack}.json", "--resources-to-import", json.dumps(imported)]
        ),
        fill(
            "aws cloudformation describe-change-set --stack-name {stack} --change-set-name {change_set}", {"stack": stack, "change_set": change_set}
        ),
        fill("aws cloudformation execute-change-set --stack-name {stack} --change-set-name {change_set}", {"stack": stack, "change_set": change_set}),
    )
    return Dependent(BY_KIND["cloudformation"], member.name, f"{stack}, {logical}", remark=remark, commands=commands)


def _terraform(member: Member) -> Dependent:
    old = member.source["DbiResourceId"]
    remark = (
        f"If Terraform manages it: set {_attributes(member, 'terraform')}, put snapshot_identifier under ignore_changes if it is set"
        + (f", leave replicate_source_db at {member.parent}" if member.parent else "")
        + ". ADDRESS is what the first command prints; the plan must replace nothing."
    )
    program = f'.. | objects | select(.type? == "aws_db_instance" and .values.resource_id? == "{old}") | .address'
    commands = (
        "terraform show -json | " + shlex.join(["jq", "-r", program]),
        "terraform state rm ADDRESS",
        fill("terraform import ADDRESS {name}", {"name": member.name}),
        "terraform plan",
    )
    return Dependent(BY_KIND["terraform"], member.name, member.name, remark=remark, commands=commands)
