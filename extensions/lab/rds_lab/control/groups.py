# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option groups and subnet groups."""

from __future__ import annotations

from . import checks, tagging, view
from .describe import filters, page
from .errors import RdsError, value
from .registry import operation


def _option_group(plane, region: str, group: dict) -> dict:
    result = {name: item for name, item in group.items() if not name.startswith("_")}
    result["OptionGroupArn"] = view.arn(plane, region, "og", group["OptionGroupName"])
    return result


@operation("CreateOptionGroup")
def create_option_group(plane, call, request):
    name = checks.identifier(request["OptionGroupName"], "OptionGroupName", 255)
    groups = plane.store.region(call.region).option_groups
    if name in groups:
        raise RdsError("OptionGroupAlreadyExistsFault", f"An option group named {name} already exists.")
    if len([group for group in groups if not group.startswith("default:")]) >= plane.settings.option_groups:
        raise RdsError("OptionGroupQuotaExceededFault", "The quota of option groups is exceeded.")
    groups[name] = {
        "OptionGroupName": name, "OptionGroupDescription": request["OptionGroupDescription"], "EngineName": request["EngineName"],
        "MajorEngineVersion": request["MajorEngineVersion"], "Options": [], "AllowsVpcAndNonVpcInstanceMemberships": True,
        "_tags": tagging.given(request),
    }
    return {"OptionGroup": _option_group(plane, call.region, groups[name])}


@operation("DescribeOptionGroups")
def describe_option_groups(plane, call, request):
    filters(request, ())
    groups = plane.store.region(call.region).option_groups
    if request.get("OptionGroupName"):
        found = [plane.find_option_group(call.region, request["OptionGroupName"])]
    else:
        found = [
            group for group in groups.values()
            if request.get("EngineName") in (None, group["EngineName"])
            and request.get("MajorEngineVersion") in (None, group["MajorEngineVersion"])
        ]
    entries, marker = page(request, found, lambda group: group["OptionGroupName"])
    return {"OptionGroupsList": [_option_group(plane, call.region, group) for group in entries], "Marker": marker}


@operation("CreateDBSubnetGroup")
def create_subnet_group(plane, call, request):
    name = request["DBSubnetGroupName"].lower()
    state = plane.store.region(call.region)
    if name == "default":
        raise value("The name default is reserved.")
    if name in state.subnet_groups:
        raise RdsError("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    if len(state.subnet_groups) >= plane.settings.subnet_groups:
        raise RdsError("DBSubnetGroupQuotaExceeded", "The quota of DB subnet groups is exceeded.")
    subnets = []
    for identifier in request["SubnetIds"]:
        subnet = plane.neighbours.subnet(call.region, identifier)
        if subnet is None:
            raise RdsError("InvalidSubnet", f"The requested subnet {identifier} is invalid.")
        subnets.append(subnet)
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        raise RdsError("InvalidVPCNetworkStateFault", "The subnets are not all in the same VPC.")
    if len({subnet.availability_zone for subnet in subnets}) < 2:
        raise RdsError("DBSubnetGroupDoesNotCoverEnoughAZs",
                       "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
                       f"{subnets[0].availability_zone}. Add subnets to cover at least 2 AZs.")
    plane._put_subnet_group(name, request["DBSubnetGroupDescription"], subnets[0].vpc_id,
                            [(subnet.id, subnet.availability_zone) for subnet in subnets], call.region, ("IPV4",))
    state.subnet_groups[name]["_tags"] = tagging.given(request)
    return {"DBSubnetGroup": view.subnet_group(plane, call.region, name)}


@operation("DescribeDBSubnetGroups")
def describe_subnet_groups(plane, call, request):
    filters(request, ())
    plane.default_subnet_group(call.region)
    groups = plane.store.region(call.region).subnet_groups
    name = request.get("DBSubnetGroupName")
    if name and name.lower() not in groups:
        raise RdsError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
    names, marker = page(request, [name.lower()] if name else list(groups), str)
    return {"DBSubnetGroups": [view.subnet_group(plane, call.region, each) for each in names], "Marker": marker}


@operation("DeleteDBSubnetGroup")
def delete_subnet_group(plane, call, request):
    state, name = plane.store.region(call.region), request["DBSubnetGroupName"].lower()
    if name not in state.subnet_groups:
        raise RdsError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
    if any(instance.subnet_group == name for instance in state.instances.values()):
        raise RdsError("InvalidDBSubnetGroupStateFault",
                       "Cannot delete the subnet group because at least one database instance is using it.")
    del state.subnet_groups[name]
    return {}
