# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter groups and what a change of one does to the instances that use it."""

from __future__ import annotations

from . import catalogue, checks, tagging, view
from .describe import filters, page
from .errors import RdsError, combination, value
from .registry import operation


def shown(plane, region: str, group: dict) -> dict:
    result = {name: item for name, item in group.items() if not name.startswith("_")}
    result["DBParameterGroupArn"] = view.arn(plane, region, "pg", group["DBParameterGroupName"])
    return result


def apply_type(group: dict, name: str) -> str:
    """`static` or `dynamic`; what the lab does not know is static."""
    known = catalogue.parameters(group["DBParameterGroupFamily"]).get(name)
    return known.apply_type if known else "static"


def users(plane, region: str, name: str) -> list:
    instances = plane.store.region(region).instances.values()
    return [instance for instance in instances if instance.parameter_group == name and not instance.gone]


class Parameters:
    """The part of the control plane that knows which values are in force."""

    def dynamic_values(self, instance) -> dict:
        """The values of the instance's group that need no reboot."""
        group = self.find_parameter_group(instance.region, instance.parameter_group)
        return {
            name: text for name, text in group["_values"].items()
            if apply_type(group, name) == "dynamic" and group["_methods"].get(name, "immediate") == "immediate"
        }

    def parameters_changed(self, region: str, name: str, reboot: bool, dynamic: bool) -> None:
        """A group was changed: every user applies what is dynamic and waits for a reboot for the rest."""
        for instance in users(self, region, name):
            if dynamic and instance.parameter_status == "in-sync":
                instance.parameter_status = "applying"
            self.publish(instance)
            self.spawn_beside(instance, self._apply_script(instance, reboot, dynamic))

    def _apply_script(self, instance, reboot: bool, dynamic: bool):
        def run(transition):
            with self.lock:
                values = self.dynamic_values(instance)
                running = instance.status not in ("stopped", "stopping", "creating")
                removed = [name for name in instance.in_force if name not in self.group_values(instance)]
            transition.serve(self.settings.parameters_apply, dynamic and instance.supported and running, "apply_dynamic",
                             instance.resource_id, values)
            with self.changing(instance):
                if dynamic and running:
                    instance.in_force.update(values)
                    for name in removed:
                        instance.in_force.pop(name, None)
                if reboot or not running:
                    instance.parameter_status = "pending-reboot"
                elif instance.parameter_status == "applying":
                    instance.parameter_status = "in-sync"

        return run


def _new_name(plane, region: str, text: str, member: str) -> str:
    name = checks.identifier(text, member, 255)
    groups = plane.store.region(region).parameter_groups
    if name in groups:
        raise RdsError("DBParameterGroupAlreadyExists", f"Parameter group {name} already exists")
    if len([group for group in groups if not group.startswith("default.")]) >= plane.settings.parameter_groups:
        raise RdsError("DBParameterGroupQuotaExceeded", "The quota of DB parameter groups is exceeded.")
    return name


@operation("CreateDBParameterGroup")
def create(plane, call, request):
    name = _new_name(plane, call.region, request["DBParameterGroupName"], "DBParameterGroupName")
    groups = plane.store.region(call.region).parameter_groups
    family = request["DBParameterGroupFamily"]
    if not catalogue.FAMILY_ENGINES.match(family):
        raise value(f"ParameterGroupFamily {family} is not a valid parameter group family")
    tags = tagging.given(request)
    groups[name] = {"DBParameterGroupName": name, "DBParameterGroupFamily": family, "Description": request["Description"],
                    "_values": {}, "_methods": {}, "_tags": tags}
    return {"DBParameterGroup": shown(plane, call.region, groups[name])}


@operation("CopyDBParameterGroup")
def copy_group(plane, call, request):
    named = request["SourceDBParameterGroupIdentifier"]
    parts = named.lower().split(":")
    if parts[0] == "arn" and (len(parts) != 7 or parts[3] != call.region or parts[4] != plane.settings.account or parts[5] != "pg"):
        raise value(f"Invalid source DB parameter group {named}: groups are copied within one region and account.")
    source = plane.find_parameter_group(call.region, parts[6] if parts[0] == "arn" else named)
    if source["DBParameterGroupName"].startswith("default."):
        raise value(f"The default DB parameter group {source['DBParameterGroupName']} cannot be copied: create a new parameter group instead.")
    name = _new_name(plane, call.region, request["TargetDBParameterGroupIdentifier"], "TargetDBParameterGroupIdentifier")
    groups = plane.store.region(call.region).parameter_groups
    groups[name] = {"DBParameterGroupName": name, "DBParameterGroupFamily": source["DBParameterGroupFamily"],
                    "Description": request["TargetDBParameterGroupDescription"], "_values": dict(source["_values"]),
                    "_methods": dict(source["_methods"]), "_tags": tagging.given(request)}
    return {"DBParameterGroup": shown(plane, call.region, groups[name])}


@operation("DescribeDBParameterGroups")
def describe_groups(plane, call, request):
    filters(request, ())
    groups = plane.store.region(call.region).parameter_groups
    if request.get("DBParameterGroupName"):
        found = [plane.find_parameter_group(call.region, request["DBParameterGroupName"])]
    else:
        found = list(groups.values())
    entries, marker = page(request, found, lambda group: group["DBParameterGroupName"])
    return {"DBParameterGroups": [shown(plane, call.region, group) for group in entries], "Marker": marker}


@operation("DeleteDBParameterGroup")
def delete(plane, call, request):
    group = plane.find_parameter_group(call.region, request["DBParameterGroupName"])
    name = group["DBParameterGroupName"]
    if name.startswith("default.") or users(plane, call.region, name):
        raise RdsError("InvalidDBParameterGroupState", "One or more database instances are still members of this parameter group "
                       f"{name}, so the group cannot be deleted")
    del plane.store.region(call.region).parameter_groups[name]
    return {}


def _entry(group: dict, name: str) -> dict:
    known = catalogue.parameters(group["DBParameterGroupFamily"]).get(name)
    entry = {
        "ParameterName": name,
        "ParameterValue": known.default if known and known.default else None,
        "Description": name.replace("_", " "),
        "Source": "system" if known and known.default else "engine-default",
        "ApplyType": known.apply_type if known else "static",
        "DataType": known.data_type if known else "string",
        "AllowedValues": known.allowed if known and known.allowed else None,
        "IsModifiable": True,
        "ApplyMethod": "pending-reboot",
    }
    if name in group["_values"]:
        entry.update(ParameterValue=group["_values"][name], Source="user",
                     ApplyMethod=group["_methods"].get(name, "immediate" if entry["ApplyType"] == "dynamic" else "pending-reboot"))
    return entry


@operation("DescribeDBParameters")
def describe_parameters(plane, call, request):
    wanted = filters(request, ("parameter-name",)).get("parameter-name")
    group = plane.find_parameter_group(call.region, request["DBParameterGroupName"])
    names = set(catalogue.parameters(group["DBParameterGroupFamily"])) | set(group["_values"])
    entries = [_entry(group, name) for name in names if wanted is None or name in wanted]
    source = request.get("Source")
    if source:
        if source not in ("user", "system", "engine-default"):
            raise value(f"Invalid source: {source}")
        entries = [entry for entry in entries if entry["Source"] == source]
    entries, marker = page(request, entries, lambda entry: entry["ParameterName"])
    return {"Parameters": entries, "Marker": marker}


@operation("DescribeEngineDefaultParameters")
def describe_defaults(_plane, _call, request):
    family = request["DBParameterGroupFamily"]
    group = {"DBParameterGroupFamily": family, "_values": {}, "_methods": {}}
    entries, marker = page(request, [_entry(group, name) for name in catalogue.parameters(family)], lambda entry: entry["ParameterName"])
    return {"EngineDefaults": {"DBParameterGroupFamily": family, "Parameters": entries, "Marker": marker}}


@operation("ModifyDBParameterGroup")
def modify(plane, call, request):
    group = plane.find_parameter_group(call.region, request["DBParameterGroupName"])
    name = group["DBParameterGroupName"]
    if name.startswith("default."):
        raise RdsError("InvalidDBParameterGroupState", f"Default parameter group {name} cannot be modified.")
    if not 1 <= len(request["Parameters"]) <= 20:
        raise value("Between 1 and 20 parameters can be modified in one request.")
    known = catalogue.parameters(group["DBParameterGroupFamily"])
    reboot = dynamic = False
    for entry in request["Parameters"]:
        parameter, method = entry.get("ParameterName"), entry.get("ApplyMethod")
        if parameter not in known and parameter not in group["_values"]:
            raise value(f"Could not find parameter with name: {parameter}")
        if method not in ("immediate", "pending-reboot"):
            raise value(f"Invalid ApplyMethod: {method}")
        static = apply_type(group, parameter) == "static"
        if static and method == "immediate":
            raise combination("cannot use immediate apply method for static parameter")
        if parameter in known and not catalogue.allows(known[parameter], entry.get("ParameterValue", "")):
            raise value(f"Invalid parameter value: {entry.get('ParameterValue')} for: {parameter} allowed values are: "
                        f"{known[parameter].allowed}")
        reboot, dynamic = reboot or method == "pending-reboot", dynamic or method == "immediate"
    for entry in request["Parameters"]:
        group["_values"][entry["ParameterName"]] = entry.get("ParameterValue", "")
        group["_methods"][entry["ParameterName"]] = entry["ApplyMethod"]
    plane.parameters_changed(call.region, name, reboot, dynamic)
    return {"DBParameterGroupName": name}


@operation("ResetDBParameterGroup")
def reset(plane, call, request):
    group = plane.find_parameter_group(call.region, request["DBParameterGroupName"])
    name = group["DBParameterGroupName"]
    if name.startswith("default."):
        raise RdsError("InvalidDBParameterGroupState", f"Default parameter group {name} cannot be modified.")
    names = [entry["ParameterName"] for entry in request.get("Parameters") or []]
    if not names:
        if request.get("ResetAllParameters", True) is False:
            raise combination("Parameters must be given where ResetAllParameters is false.")
        names = list(group["_values"])
    for parameter in names:
        group["_values"].pop(parameter, None)
        group["_methods"].pop(parameter, None)
    static = any(apply_type(group, parameter) == "static" for parameter in names)
    plane.parameters_changed(call.region, name, static, any(apply_type(group, parameter) == "dynamic" for parameter in names))
    return {"DBParameterGroupName": name}
