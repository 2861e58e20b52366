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
from dataclasses import dataclass

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

    No key: it is the parent's. No identifiers, no tags. A subnet group only where it is not the parent's: RDS takes it only when the
    source is given by its ARN (terraform-provider-aws pull request 40426).
    """
    engine = engine_row(model.get("Engine"))
    parameters: dict = {}
    for rule in RULES:
        if rule.applies(model, engine) and rule.at_replica(model, engine):
            parameters |= _accepted(rule.parameters(rule.replica, model), accepted)
    read_group = RULES_BY_MEMBER["DBSubnetGroup"].read
    if read_group(model) == read_group(parent) or read_group(parent) is None:
        parameters.pop("DBSubnetGroupName", None)
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


MODIFY = "ModifyDBInstance"


def modify_parameters(model: dict, current: dict, accepted: frozenset[str] | set[str], *, exclude: frozenset[str] = frozenset()) -> dict:
    """The parameters of one combined ModifyDBInstance that makes ``current`` equal ``model``; ``{}`` when nothing differs.

    No identifier, no ApplyImmediately. The late attributes are left out (see ``late_changes``).

    :param exclude: further members of DBInstance that this call must leave alone.
    """
    engine = engine_row(current.get("Engine") or model.get("Engine"))
    out = set(exclude) | set(LATE)
    changes: dict[str, dict] = {}
    for rule in RULES:
        if rule.modify and rule.operation == MODIFY and rule.member not in out and rule.applies(model, engine):
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


def modifications(model: dict, current: dict, accepted: frozenset[str] | set[str]) -> list[dict]:
    """The parameters of each ModifyDBInstance that is needed, in order: one as a rule, a second where RDS takes something only after it."""
    found = []
    while True:
        parameters = modify_parameters(model, current, accepted)
        if not parameters or parameters in found:
            return found
        found.append(parameters)
        current = predict_modified(current, parameters)


def _change(rule: Rule, model: dict, current: dict) -> dict:
    return rule.change(model, current) if rule.change else rule.parameters(rule.modify, model)


def predict_modified(current: dict, parameters: dict, operation: str = MODIFY) -> dict:
    """The description after such a modification has been made in full (a reboot that it needs is still to come).

    :param operation: another RDS operation that changes attributes of an instance that exists.
    """
    after = copy.deepcopy(current)
    for rule in RULES:
        names = (rule.modify,) if isinstance(rule.modify, str) else rule.modify or ()
        if rule.operation != operation or not any(name in parameters for name in names):
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


@dataclass(frozen=True)
class Late:
    """One of the last changes of an instance.

    :param member: the attribute that it is about.
    :param operation: the RDS operation.
    :param after_replicas: it waits until the replicas of the instance exist.
    """

    member: str
    operation: str
    parameters: dict
    after_replicas: bool


def late_changes(model: dict, current: dict) -> list[Late]:
    """The last changes, in order: managed master password, activity stream and its policy, replicated backups, deletion protection.

    Each is planned for the instance as the one before leaves it.
    """
    changes = []
    for member in LATE:
        rule = RULES_BY_MEMBER[member]
        while True:
            parameters = _late_parameters(rule, model, current)
            if not parameters:
                break
            changes.append(Late(member, rule.operation, parameters, rule.after_replicas))
            before, current = current, predict_modified(current, parameters, rule.operation)
            if rule.read(before) == rule.read(current):
                break
    return changes


def _late_parameters(rule: Rule, model: dict, current: dict) -> dict:
    engine = engine_row(current.get("Engine") or model.get("Engine"))
    if not rule.applies(model, engine) or rule.read(model) == rule.read(current) or not rule.changeable(model, current, engine):
        return {}
    parameters = dict(_change(rule, model, current))
    for each in (RULES_BY_MEMBER[companion] for companion in rule.together):
        if parameters and each.operation == rule.operation and each.applies(model, engine) and each.changeable(model, current, engine):
            parameters |= _change(each, model, current)
    return parameters


def predict_finished(model: dict, current: dict, accepted: frozenset[str] | set[str]) -> dict:
    """The description after the modification and the late changes; roles, tags and a restart are still to come."""
    after = current
    for parameters in modifications(model, current, accepted):
        after = predict_modified(after, parameters)
    for change in late_changes(model, after):
        after = predict_modified(after, change.parameters, change.operation)
    return after


def with_backup_keys(model: dict, copies: dict[str, dict]) -> dict:
    """A model whose replicated backups say how the target's are to be made.

    :param copies: ARN of a replicated automated backup -> ``KmsKeyId`` of its region for the target's, and ``BackupRetentionPeriod``.
    """
    member = "DBInstanceAutomatedBackupsReplications"
    if not copies or not model.get(member):
        return model
    return {**model, member: [{**each, **copies.get(each.get("DBInstanceAutomatedBackupsArn"), {})} for each in model[member]]}


def regions_without_key(model: dict, current: dict) -> list[str]:
    """The regions to which the backups of ``current`` ought to be replicated and cannot, since no key of them was named."""
    rule = RULES_BY_MEMBER["DBInstanceAutomatedBackupsReplications"]
    named = [each for each in model.get(rule.member) or () if each.get("KmsKeyId")]
    return sorted(set(rule.read(model)) - set(rule.read(current)) - set(rule.read({rule.member: named})))


def missing_roles(model: dict, current: dict) -> list[tuple[str, str]]:
    """(role ARN, feature name) of each role that AddRoleToDBInstance still has to give to ``current``."""
    read = RULES_BY_MEMBER["AssociatedRoles"].read
    present = set(read(current))
    return [role for role in read(model) if role not in present]


def tag_changes(model_tags: dict[str, str], current_tags: dict[str, str]) -> dict[str, str]:
    """The tags to add or overwrite so that ``current`` has all of the model's own tags; a tag that only ``current`` has is left."""
    return {key: value for key, value in own_tags(model_tags).items() if current_tags.get(key) != value}


def surplus_tags(model_tags: dict[str, str], current_tags: dict[str, str]) -> list[str]:
    """The keys of tags that a user or a service put on ``current`` and the model does not have."""
    return sorted(set(own_tags(current_tags)) - set(own_tags(model_tags)))
