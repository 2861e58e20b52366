# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Which parameters carry the attributes of one instance to another, and what RDS would make of them. Pure functions over the rules.

A description is an element of DescribeDBInstances' ``DBInstances``; ``accepted`` is the set of parameter names that the installed
botocore knows for the operation: what an older one lacks at the restore is left to the modification.
"""

from __future__ import annotations

import copy

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.attributes import LATE, RULES, RULES_BY_MEMBER, Rule
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import own_tags


def restore_parameters(source: dict, accepted: frozenset[str] | set[str]) -> dict:
    """The parameters of RestoreDBInstanceFromDBSnapshot that carry the source's attributes: no identifiers, no tags, no snapshot.

    DeletionProtection is never among them: a half-made target must stay deletable.
    """
    engine = engine_row(source.get("Engine"))
    parameters: dict = {}
    for rule in RULES:
        if rule.applies(source, engine) and rule.at_restore(source, engine):
            parameters |= _accepted(rule.parameters(rule.restore, source), accepted)
    return parameters


def _accepted(parameters: dict, accepted: frozenset[str] | set[str]) -> dict:
    # All or none: half a domain membership is worse than one that is left to the modification.
    return parameters if all(name in accepted for name in parameters) else {}


def replica_parameters(model: dict, parent: dict, accepted: frozenset[str] | set[str]) -> dict:
    """The parameters of CreateDBInstanceReadReplica (same region) that make a replica of ``parent`` after the model of ``model``.

    No subnet group and no key: both are the parent's. No identifiers, no tags.
    """
    engine = engine_row(model.get("Engine"))
    parameters: dict = {}
    for rule in RULES:
        if rule.applies(model, engine) and rule.at_replica(model, engine):
            parameters |= _accepted(rule.parameters(rule.replica, model), accepted)
    if "AllocatedStorage" in parameters:  # RDS refuses a replica that is smaller than its source
        parameters["AllocatedStorage"] = max(parameters["AllocatedStorage"], parent.get("AllocatedStorage") or 0)
        if parameters.get("MaxAllocatedStorage", 0) <= parameters["AllocatedStorage"]:
            parameters.pop("MaxAllocatedStorage", None)
    return parameters


def predict_restored(source: dict, parameters: dict, *, target_identifier: str, kms_key_arn: str) -> dict:
    """The description that RDS would give of an instance restored from a snapshot of ``source`` with these parameters.

    What RDS draws by lot (windows, zone) or makes itself (resource id) is absent. ``Tags`` in the parameters are the target's tags.
    """
    target = _predict(source, parameters, target_identifier, lambda rule: (rule.restore, rule.restored))
    target["KmsKeyId"] = kms_key_arn
    return target


def predict_replica(model: dict, parent: dict, parameters: dict, *, target_identifier: str) -> dict:
    """The description that RDS would give of a replica of ``parent`` made with these parameters."""
    replica = _predict(parent, parameters, target_identifier, lambda rule: (rule.replica, rule.cloned))
    replica["ReadReplicaSourceDBInstanceIdentifier"] = parent.get("DBInstanceIdentifier")
    replica["StatusInfos"] = [{"StatusType": "read replication", "Status": "replicating", "Normal": True}]
    return replica


def _predict(origin: dict, parameters: dict, identifier: str, row) -> dict:
    predicted: dict = {}
    for rule in RULES:
        names, default = row(rule)
        value = rule.from_parameters(names, parameters) if names else None
        rule.write(predicted, default(rule, origin, parameters) if value is None else value)
    if parameters.get("Tags"):
        predicted["TagList"] = list(parameters["Tags"])
    _name_after(predicted, origin, identifier)
    return _follow(predicted)


def _name_after(predicted: dict, origin: dict, identifier: str) -> None:
    """Give a predicted instance its identifier, and what AWS makes of identifiers: the ARN and the address."""
    before = origin.get("DBInstanceIdentifier") or ""
    predicted["DBInstanceIdentifier"] = identifier
    if origin.get("DBInstanceArn"):
        predicted["DBInstanceArn"] = origin["DBInstanceArn"].rpartition(":")[0] + ":" + identifier
    endpoint = {**(origin.get("Endpoint") or {}), **(predicted.get("Endpoint") or {})}
    if (endpoint.get("Address") or "").startswith(before + "."):
        endpoint["Address"] = identifier + endpoint["Address"][len(before) :]
    if endpoint:
        predicted["Endpoint"] = endpoint
    if predicted.get("DBSubnetGroup") and origin.get("DBSubnetGroup"):
        if predicted["DBSubnetGroup"]["DBSubnetGroupName"] == origin["DBSubnetGroup"].get("DBSubnetGroupName"):
            predicted["DBSubnetGroup"] = copy.deepcopy(origin["DBSubnetGroup"])


def _follow(description: dict) -> dict:
    engine = engine_row(description.get("Engine"))
    for rule in RULES:
        if rule.follows:
            rule.write(description, rule.follows(description, engine))
    return description


def modify_parameters(model: dict, current: dict, accepted: frozenset[str] | set[str], *, exclude: frozenset[str] = frozenset()) -> dict:
    """The parameters of one combined ModifyDBInstance that makes ``current`` equal ``model``; ``{}`` when nothing differs.

    No identifier, no ApplyImmediately. The late attributes are left out (see ``late_parameters``).

    :param exclude: further members of DBInstance that this call must leave alone.
    """
    engine = engine_row(current.get("Engine") or model.get("Engine"))
    out = set(exclude) | set(LATE)
    changes: dict[str, dict] = {}
    for rule in RULES:
        if rule.modify and rule.member not in out and rule.applies(model, engine):
            change = _change(rule, model, current)
            if change and all(name in accepted for name in change):
                changes[rule.member] = change
    wanted = set()
    for member in changes:
        rule = RULES_BY_MEMBER[member]
        if rule.read(model) != rule.read(current) and rule.changeable(model, current, engine):
            wanted.add(member)
    for companion in {each for member in wanted for each in RULES_BY_MEMBER[member].together if each in changes}:
        rule = RULES_BY_MEMBER[companion]
        if (rule.accompanies or rule.changeable)(model, current, engine):
            wanted.add(companion)
    return {name: value for member, change in changes.items() if member in wanted for name, value in change.items()}


def _change(rule: Rule, model: dict, current: dict) -> dict:
    return rule.change(model, current) if rule.change else rule.parameters(rule.modify, model)


def predict_modified(current: dict, parameters: dict) -> dict:
    """The description after such a modification has been made in full (a reboot that it needs is still to come)."""
    after = copy.deepcopy(current)
    for rule in RULES:
        names = (rule.modify,) if isinstance(rule.modify, str) else rule.modify or ()
        if not any(name in parameters for name in names):
            continue
        if not rule.changed:
            rule.write(after, rule.from_parameters(rule.modify, parameters))
            continue
        member = rule.changed(after, parameters)
        if member is None:
            after.pop(rule.member, None)
        else:
            after[rule.member] = member
    return _follow(after)


def late_parameters(model: dict, current: dict) -> list[tuple[str, dict]]:
    """The last modifications, in order, as (member, parameters): the managed master password, then deletion protection."""
    changes = []
    for member in LATE:
        rule = RULES_BY_MEMBER[member]
        if rule.read(model) != rule.read(current):
            change = _change(rule, model, current)
            if change:
                changes.append((member, change))
    return changes


def missing_roles(model: dict, current: dict) -> list[tuple[str, str]]:
    """(role ARN, feature name) of each role that AddRoleToDBInstance still has to give to ``current``."""
    read = RULES_BY_MEMBER["AssociatedRoles"].read
    present = set(read(current))
    return [role for role in read(model) if role not in present]


def tag_changes(model_tags: dict[str, str], current_tags: dict[str, str]) -> dict[str, str]:
    """The tags to add or overwrite so that ``current`` has all of the model's own tags; a tag that only ``current`` has is left."""
    return {key: value for key, value in own_tags(model_tags).items() if current_tags.get(key) != value}
