# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies: a target is bound to the instance that had the name when it was registered, not to the name."""

from __future__ import annotations

import copy
import secrets

from . import tagging, view
from .describe import filters, page
from .errors import RdsError, combination, instance_state, value
from .registry import operation

FAMILIES = {"MYSQL": ("mysql", "mariadb"), "POSTGRESQL": ("postgres",), "SQLSERVER": ("sqlserver",)}


def _proxy(plane, region: str, name: str) -> dict:
    found = plane.store.region(region).proxies.get(name.lower())
    if found is None:
        raise RdsError("DBProxyNotFoundFault", f"DB proxy {name} not found.", 404)
    return found


def by_arn(plane, region: str, name: str) -> dict | None:
    """The proxy whose ARN ends like this."""
    return next((proxy for proxy in plane.store.region(region).proxies.values() if proxy["DBProxyArn"].endswith(f":{name}")), None)


def _shown(plane, proxy: dict) -> dict:
    shown = {name: item for name, item in proxy.items() if not name.startswith("_")}
    shown["Status"] = "available" if plane.clock.now() >= proxy["_ready"] else "creating"
    return shown


def _usable(plane, call, request) -> dict:
    """The proxy that a request names, in a state in which its targets may be changed."""
    proxy = _proxy(plane, call.region, request["DBProxyName"])
    group = request.get("TargetGroupName", "default")
    if group != "default":
        raise RdsError("DBProxyTargetGroupNotFoundFault", f"Target group {group} not found.", 404)
    if plane.clock.now() < proxy["_ready"]:
        raise RdsError("InvalidDBProxyStateFault", f"DB proxy {proxy['DBProxyName']} is not in available state.")
    return proxy


@operation("CreateDBProxy")
def create(plane, call, request):
    name = request["DBProxyName"].lower()
    proxies = plane.store.region(call.region).proxies
    if name in proxies:
        raise RdsError("DBProxyAlreadyExistsFault", f"DB proxy {name} already exists.")
    if request["EngineFamily"] not in FAMILIES:
        raise value(f"Invalid engine family: {request['EngineFamily']}")
    plane.neighbours.check_role(request["RoleArn"], "IAM role ARN value is invalid or does not include the required permissions")
    subnets = [plane.neighbours.subnet(call.region, identifier) for identifier in request["VpcSubnetIds"]]
    if None in subnets or len({subnet.vpc_id for subnet in subnets}) != 1 or len({subnet.availability_zone for subnet in subnets}) < 2:
        raise RdsError("InvalidSubnet", "The subnets must exist, be in one VPC, and cover two Availability Zones.")
    now = plane.clock.time()
    proxies[name] = {
        "DBProxyName": name,
        "DBProxyArn": view.arn(plane, call.region, "db-proxy", "prx-" + secrets.token_hex(9)),
        "EngineFamily": request["EngineFamily"],
        "VpcId": subnets[0].vpc_id,
        "VpcSecurityGroupIds": request.get("VpcSecurityGroupIds") or [plane.neighbours.default_security_group(call.region, subnets[0].vpc_id)],
        "VpcSubnetIds": request["VpcSubnetIds"],
        "Auth": [{name: item for name, item in auth.items() if name != "UserName"} for auth in request.get("Auth") or []],
        "RoleArn": request["RoleArn"],
        "Endpoint": f"{name}.proxy-{plane.dns_name(call.region, '').lstrip('.')}",
        "RequireTLS": request.get("RequireTLS", False),
        "IdleClientTimeout": request.get("IdleClientTimeout", 1800),
        "DebugLogging": request.get("DebugLogging", False),
        "CreatedDate": now,
        "UpdatedDate": now,
        "_tags": tagging.given(request),
        "_targets": [],
        "_history": [],
        "_ready": plane.clock.now() + plane.settings.proxy,
    }
    return {"DBProxy": _shown(plane, proxies[name])}


@operation("DescribeDBProxies")
def describe(plane, call, request):
    filters(request, ())
    if request.get("DBProxyName"):
        found = [_proxy(plane, call.region, request["DBProxyName"])]
    else:
        found = list(plane.store.region(call.region).proxies.values())
    entries, marker = page(request, found, lambda entry: entry["DBProxyName"])
    return {"DBProxies": [_shown(plane, entry) for entry in entries], "Marker": marker}


@operation("DeleteDBProxy")
def delete(plane, call, request):
    proxy = _proxy(plane, call.region, request["DBProxyName"])
    del plane.store.region(call.region).proxies[proxy["DBProxyName"]]
    return {"DBProxy": {**_shown(plane, proxy), "Status": "deleting"}}


@operation("DescribeDBProxyTargetGroups")
def describe_groups(plane, call, request):
    proxy = _proxy(plane, call.region, request["DBProxyName"])
    group = {
        "DBProxyName": proxy["DBProxyName"],
        "TargetGroupName": "default",
        "TargetGroupArn": view.arn(plane, call.region, "target-group", proxy["DBProxyArn"].rpartition(":")[2].replace("prx-", "prx-tg-")),
        "IsDefault": True,
        "Status": "available",
        "ConnectionPoolConfig": {"MaxConnectionsPercent": 100, "MaxIdleConnectionsPercent": 50, "ConnectionBorrowTimeout": 120},
        "CreatedDate": proxy["CreatedDate"],
        "UpdatedDate": proxy["UpdatedDate"],
    }
    return {"TargetGroups": [group]}


@operation("DescribeDBProxyTargets")
def describe_targets(plane, call, request):
    filters(request, ())
    proxy = _proxy(plane, call.region, request["DBProxyName"])
    if request.get("TargetGroupName", "default") != "default":
        raise RdsError("DBProxyTargetGroupNotFoundFault", f"Target group {request['TargetGroupName']} not found.", 404)
    seen = []
    for moment, targets in proxy["_history"]:
        if moment <= plane.read_moment():
            seen = targets
    entries, marker = page(request, [_target(plane, call.region, target) for target in seen], lambda entry: entry["RdsResourceId"])
    return {"Targets": entries, "Marker": marker}


def _target(plane, region: str, target: dict) -> dict:
    instance = plane.store.instance(target["resource_id"])
    variant = plane.settings.proxy_target
    if variant == "name":
        named = (each for each in plane.store.region(region).instances.values() if each.name == target["name"] and not each.gone)
        instance = next(named, instance)
    there = instance is not None and not instance.gone
    name = instance.name if there and variant == "identity" else target["name"]
    if plane.clock.now() < target["ready"]:
        health = {"State": "REGISTERING"}
    elif not there or instance.name != name or target.get("lost"):
        health = {"State": "UNAVAILABLE", "Reason": "UNREACHABLE", "Description": "DBProxy Target unreachable"}
    elif instance.status in ("available", "storage-optimization", "backing-up"):
        health = {"State": "AVAILABLE"}
    else:
        health = {"State": "UNAVAILABLE", "Reason": "CONNECTION_FAILED", "Description": "DBProxy Target is not in available state"}
    return {
        "TargetArn": view.arn(plane, region, "db", name),
        "Endpoint": plane.dns_name(region, name),
        "RdsResourceId": name,
        "Port": instance.port if there else 0,
        "Type": "RDS_INSTANCE",
        "Role": "READ_WRITE",
        "TargetHealth": health,
    }


def _change(plane, proxy: dict, targets: list) -> None:
    proxy["_targets"] = targets
    proxy["_history"].append((plane.clock.now(), copy.deepcopy(targets)))
    del proxy["_history"][:-20]


@operation("RegisterDBProxyTargets")
def register(plane, call, request):
    proxy = _usable(plane, call, request)
    if request.get("DBClusterIdentifiers"):
        raise RdsError("NotImplemented", "The lab does not implement proxies of DB clusters.")
    names = [name.lower() for name in request.get("DBInstanceIdentifiers") or []]
    if len(names) != 1:
        raise combination("One DB instance must be given.")
    shown = [_target(plane, call.region, target)["RdsResourceId"] for target in proxy["_targets"]]
    if names[0] in shown:
        raise RdsError("DBProxyTargetAlreadyRegisteredFault", f"The target {names[0]} is already registered with proxy {proxy['DBProxyName']}.")
    if shown:
        raise value(f"The proxy {proxy['DBProxyName']} has a target already: {shown[0]}.")
    instance = plane.instance(call.region, names[0])
    if instance.status not in ("available", "storage-optimization", "backing-up"):
        raise instance_state(f"DB instance {names[0]} is not in available state.")
    if instance.source_id or instance.source_arn:
        raise instance_state(f"DB instance {names[0]} is a read replica.")
    if not instance.engine.startswith(FAMILIES[proxy["EngineFamily"]]):
        raise value(f"The engine {instance.engine} does not belong to the engine family {proxy['EngineFamily']}.")
    if plane.store.region(call.region).subnet_groups[instance.subnet_group]["VpcId"] != proxy["VpcId"]:
        raise value(f"DB instance {names[0]} is not in VPC {proxy['VpcId']}.")
    target = {"name": names[0], "resource_id": instance.resource_id, "ready": plane.clock.now() + plane.settings.proxy_registration}
    _change(plane, proxy, [target])
    return {"DBProxyTargets": [_target(plane, call.region, target)]}


@operation("DeregisterDBProxyTargets")
def deregister(plane, call, request):
    proxy = _usable(plane, call, request)
    names = [name.lower() for name in request.get("DBInstanceIdentifiers") or []]
    shown = {_target(plane, call.region, target)["RdsResourceId"]: target for target in proxy["_targets"]}
    for name in names:
        if name not in shown:
            raise RdsError("DBProxyTargetNotFoundFault", f"The target {name} is not registered with proxy {proxy['DBProxyName']}.", 404)
    _change(plane, proxy, [target for name, target in shown.items() if name not in names])
    return {}


def renamed(plane, instance) -> None:
    """A target whose instance lost the name is lost, whoever gets the name later, until it is registered again."""
    for proxy in plane.store.region(instance.region).proxies.values():
        for target in proxy["_targets"]:
            if target["resource_id"] == instance.resource_id and plane.settings.proxy_target == "bound":
                target["lost"] = True
        _change(plane, proxy, proxy["_targets"])
