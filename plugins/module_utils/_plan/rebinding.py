# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Which steps bind a proxy or an event subscription again to the instance that has a member's name."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_NAME, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member


def plan_proxy(member: Member, serving: dict | None, proxy: dict, *, assumed: bool = False) -> Plan:
    """The steps until a proxy that serves a member is bound to the instance that has the member's name.

    A proxy has one target, so the stale one goes first; a tag on the proxy remembers in between what is to be registered.

    :param serving: the ``DBInstance`` that has the name; None while nobody has it, and then there is nothing to do yet.
    :param proxy: ``DBProxy`` with ``Targets`` and ``Tags``.
    :param assumed: the cutover will have been made by then (check mode).
    """
    name = proxy["DBProxyName"]
    stale = [target for target in proxy["Targets"] if is_target_of(member, target)]
    marked = tags_of({"TagList": proxy["Tags"]}).get(TAG_NAME) == member.name
    if not (stale or marked) or (serving is None and not assumed):
        return Plan()
    mark = [_proxy_step("MarkProxy", proxy, f"Note on RDS Proxy {name} that it is for {member.name}", member)]
    unmark = [_proxy_step("UnmarkProxy", proxy, f"Take the note off RDS Proxy {name}", member)]
    register = _proxy_step("RegisterDBProxyTargets", proxy, f"Register {member.name} with RDS Proxy {name}", member, serving)
    if not assumed:
        if any(is_bound(target, serving) for target in stale):
            return Plan(stages(unmark if marked else []))
        if any(target["RdsResourceId"].lower() == member.name and state_of(target) == "REGISTERING" for target in stale):
            waiting = replace(register, what=f"Wait until RDS Proxy {name} reaches {member.name}", started=True)
            return Plan(stages([waiting], unmark if marked else []))
    gone = [
        _proxy_step("DeregisterDBProxyTargets", proxy, f"Deregister {target['RdsResourceId']} from RDS Proxy {name}", member, target)
        for target in stale
    ]
    return Plan(stages([] if marked else mark, gone, [register], unmark))


def is_target_of(member: Member, target: dict) -> bool:
    """Whether a target of a proxy is a member's: by its name, or by the one that it was given at the fence, or at a rollback."""
    names = (member.name, member.old_name, member.new_name)
    return target.get("Type", "RDS_INSTANCE") == "RDS_INSTANCE" and (target.get("RdsResourceId") or "").lower() in names


def is_bound(target: dict, serving: dict) -> bool:
    """Whether a target of a proxy reaches this instance and no other: it is available under today's identifier, address and ARN."""
    address = (serving.get("Endpoint") or {}).get("Address")
    return (
        (target.get("RdsResourceId") or "").lower() == serving["DBInstanceIdentifier"]
        and state_of(target) == "AVAILABLE"
        and target.get("Endpoint") in (None, "", address)
        and target.get("TargetArn") in (None, "", serving.get("DBInstanceArn"))
    )


def state_of(target: dict) -> str:
    # Without a health report there is nothing to hold against it.
    return (target.get("TargetHealth") or {}).get("State", "AVAILABLE")


def _proxy_step(action: str, proxy: dict, what: str, member: Member, more: dict | None = None) -> Step:
    """A step about a proxy.

    :param more: the target to deregister, or the instance that the name is to be bound to.
    """
    parameters = {"DBProxyArn": proxy["DBProxyArn"], "name": member.name}
    if action == "DeregisterDBProxyTargets":
        parameters["name"] = more["RdsResourceId"]
    bound = (lambda target: is_bound(target, more)) if action == "RegisterDBProxyTargets" and more else None
    return Step(action, proxy["DBProxyName"], what, parameters, confirmed=bound)


def plan_subscription(member: Member, serving: dict | None, subscription: dict) -> Plan:
    """The step that is left until an event subscription that lists a member lists it by its name."""
    name = subscription["CustSubscriptionId"]
    listed = listed_sources(subscription)
    if serving is None or member.name in listed or member.old_name not in listed:
        return Plan()
    what = f"Add {member.name} to the event subscription {name}"
    return Plan(stages([Step("AddSourceIdentifierToSubscription", name, what, {"name": member.name})]))


def listed_sources(subscription: dict) -> list[str]:
    if subscription.get("SourceType") != "db-instance":
        return []
    return [identifier.lower() for identifier in subscription.get("SourceIdsList") or []]


def serving_instance(member: Member) -> dict | None:
    """The ``DBInstance`` that has a member's name now, if it is one of the two sides."""
    if member.cut_over:
        return member.target
    return member.source if member.source_identifier == member.name else None
