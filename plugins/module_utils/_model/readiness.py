# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Whether an instance that RDS calls available is really finished: ``available`` alone proves nothing (pure, one description in)."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES, meaning_of_status


# What a wait may bear with for a while: an instance is a replica, and RDS does not say (yet) how its replication is.
UNREPORTED = "replication has not reported yet"


def renamed_to(described: dict) -> str | None:
    """The name that an instance is being given, as far as RDS says so."""
    return (described.get("PendingModifiedValues") or {}).get("DBInstanceIdentifier")


def pending_values(description: dict) -> dict:
    """What RDS has accepted and not yet made; without the empty structures that stand for nothing."""
    return {member: value for member, value in (description.get("PendingModifiedValues") or {}).items() if not _empty(value)}


def _empty(value) -> bool:
    if isinstance(value, dict):
        return all(_empty(each) for each in value.values())
    return value is None or value == [] or value == ""


def needs_reboot(description: dict) -> bool:
    """Whether only a reboot puts what was asked for in force (a parameter group or a dedicated log volume waits for it)."""
    if any(group.get("ParameterApplyStatus") == "pending-reboot" for group in description.get("DBParameterGroups") or ()):
        return True
    return set(pending_values(description)) == {"DedicatedLogVolume"}


def not_ready(description: dict) -> str | None:
    """One reason why an instance is not finished, or None when it is: available, nothing pending, every part in force."""
    for reason in _unfinished(description):
        return reason
    return None


def broken(description: dict, *, link_errors: bool = True) -> str | None:
    """One reason why no wait can finish this instance, or None: a terminal status, or a part of it that failed for good.

    :param link_errors: False leaves replication in state error out: a replica that cannot reach its source for a moment shows it too.
    """
    status = description.get("DBInstanceStatus")
    kind, advice = meaning_of_status(status)
    if kind == "terminal":
        return f"status {status}: {advice}"
    for group in description.get("DBParameterGroups") or ():
        if group.get("ParameterApplyStatus") == "failed-to-apply":
            return f"parameter group {group.get('DBParameterGroupName')} failed to apply"
    for group in description.get("OptionGroupMemberships") or ():
        if group.get("Status") == "failed":
            return f"option group {group.get('OptionGroupName')} failed to apply"
    for domain in description.get("DomainMemberships") or ():
        if domain.get("Status") == "failed":
            return f"joining the domain {domain.get('Domain') or domain.get('FQDN')} failed"
    for role in description.get("AssociatedRoles") or ():
        if role.get("Status") == "INVALID":
            return f"RDS cannot assume the role {role.get('RoleArn')} ({role.get('FeatureName')})"
    for info in description.get("StatusInfos") or ():
        final = ("error", "terminated") if link_errors else ("terminated",)
        if info.get("StatusType") == "read replication" and info.get("Status") in final:
            return f"replication is in state {info.get('Status')}: {info.get('Message') or 'no message'}"
    return None


def _unfinished(description: dict):
    status = description.get("DBInstanceStatus")
    if status not in READY_STATUSES:
        yield f"status {status}"
    pending = sorted(pending_values(description))
    if pending:
        yield f"pending: {', '.join(pending)}"
    for group in description.get("DBParameterGroups") or ():
        if group.get("ParameterApplyStatus") not in (None, "in-sync"):
            yield f"parameter group {group.get('DBParameterGroupName')} is {group['ParameterApplyStatus']}"
    for group in description.get("OptionGroupMemberships") or ():
        if group.get("Status") not in (None, "in-sync"):
            yield f"option group {group.get('OptionGroupName')} is {group['Status']}"
    for group in description.get("VpcSecurityGroups") or ():
        if group.get("Status") not in (None, "active"):
            yield f"security group {group.get('VpcSecurityGroupId')} is {group['Status']}"
    for domain in description.get("DomainMemberships") or ():
        if domain.get("Status") not in (None, "joined", "kerberos-enabled"):
            yield f"domain {domain.get('Domain') or domain.get('FQDN')} is {domain['Status']}"
    for role in description.get("AssociatedRoles") or ():
        if role.get("Status") not in (None, "ACTIVE"):
            yield f"role for {role.get('FeatureName')} is {role['Status']}"
    for what in ("Status", "PolicyStatus"):
        state = description.get(f"ActivityStream{what}")
        if state in ("starting", "stopping", "locking-policy", "unlocking-policy"):
            yield f"the activity stream is {state}"
    secret = description.get("MasterUserSecret") or {}
    if secret.get("SecretStatus") not in (None, "active", "rotating"):
        yield f"the secret of the master password is {secret['SecretStatus']}"
    if description.get("ReadReplicaSourceDBInstanceIdentifier"):
        infos = [each for each in description.get("StatusInfos") or () if each.get("StatusType") == "read replication"]
        if not infos:
            yield UNREPORTED
        for info in infos:
            if info.get("Status") != "replicating":
                yield f"replication is in state {info.get('Status')}"


def settled(description: dict, *, replication: bool = True, reported: bool = False) -> str | None:
    """One reason why something of this instance is still in motion, or None; what only a reboot would change is at rest.

    :param replication: False leaves the state of replication out, which a rename neither needs nor changes.
    :param reported: True counts a replica of which RDS says nothing as in motion; it may say so in a moment, or never.
    """
    at_rest = dict(description)
    at_rest["DBParameterGroups"] = [
        {**group, "ParameterApplyStatus": "in-sync"} if group.get("ParameterApplyStatus") == "pending-reboot" else group
        for group in description.get("DBParameterGroups") or ()
    ]
    if needs_reboot(description):
        at_rest["PendingModifiedValues"] = {k: v for k, v in pending_values(description).items() if k != "DedicatedLogVolume"}
    if not replication:
        at_rest.pop("ReadReplicaSourceDBInstanceIdentifier", None)
    for reason in _unfinished(at_rest):
        if reported or reason != UNREPORTED:
            return reason
    return None
