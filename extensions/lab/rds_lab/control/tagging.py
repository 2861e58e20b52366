# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of everything that has an ARN."""

from __future__ import annotations

import re

from .errors import RdsError, instance_not_found, snapshot_not_found, value
from .registry import operation
from .state import Record
from .view import tag_list

LIMIT = 50


def given(request: dict) -> dict:
    """The tags of a creating request, checked."""
    tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags") or []}
    check(tags)
    return tags


def check(tags: dict, held: dict | None = None) -> None:
    """Tags that may be set, and not too many of them.

    :raises RdsError: InvalidParameterValue.
    """
    for key, text in tags.items():
        if key.lower().startswith(("aws:", "rds:")):
            raise value(f"Tag keys starting with 'aws:' and 'rds:' are reserved for system use: {key}")
        if not 1 <= len(key) <= 128 or len(text) > 256 or not re.fullmatch(r"[\w\s.:/=+\-@]*", key + text):
            raise value(f"The tag {key} is not valid.")
    if len({**{name: "" for name in held or {} if not name.startswith("aws:")}, **tags}) > LIMIT:
        raise value(f"A resource can't have more than {LIMIT} tags.")


def resource(plane, region: str, arn: str):
    """The record, or the group's facts, that an ARN of today names."""
    parts = arn.split(":", 6)
    if len(parts) != 7 or parts[2] != "rds":
        raise value(f"Invalid resource name: {arn}")
    if parts[3] != region or parts[4] != plane.settings.account:
        raise value(f"Invalid resource name: {arn}")
    kind, name = parts[5], parts[6].lower()
    state = plane.store.region(region)
    if kind == "db":
        try:
            return plane.instance(region, name)
        except RdsError:
            raise instance_not_found(arn) from None
    if kind == "snapshot":
        try:
            return plane.snapshot(region, arn)
        except RdsError:
            raise snapshot_not_found(arn) from None
    places = {
        "pg": (state.parameter_groups, "DBParameterGroupNotFound"),
        "og": (state.option_groups, "OptionGroupNotFoundFault"),
        "subgrp": (state.subnet_groups, "DBSubnetGroupNotFoundFault"),
        "es": (state.subscriptions, "SubscriptionNotFound"),
        "cluster": (state.clusters, "DBClusterNotFoundFault"),
    }
    if kind == "db-proxy":
        from .proxies import by_arn

        found = by_arn(plane, region, name)
        if found is None:
            raise RdsError("DBProxyNotFoundFault", f"{arn} not found.", 404)
        return found
    if kind not in places:
        raise value(f"Invalid resource name: {arn}")
    holder, code = places[kind]
    if name not in holder:
        raise RdsError(code, f"{arn} not found.")
    return holder[name]


def _tags(found) -> dict:
    return found.tags if isinstance(found, Record) else found.setdefault("_tags", {})


@operation("ListTagsForResource")
def list_tags(plane, call, request):
    found = resource(plane, call.region, request["ResourceName"])
    if isinstance(found, Record):
        seen = found.seen(plane.read_moment(), call.stale) or {}
        return {"TagList": seen.get("TagList", [])}
    return {"TagList": tag_list(_tags(found))}


@operation("AddTagsToResource")
def add_tags(plane, call, request):
    found = resource(plane, call.region, request["ResourceName"])
    if "Tags" not in request:
        raise RdsError("MissingParameter", "The request must contain the parameter Tags.")
    tags = {tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}
    check(tags, _tags(found))
    _tags(found).update(tags)
    if isinstance(found, Record):
        plane.publish(found)
    return {}


@operation("RemoveTagsFromResource")
def remove_tags(plane, call, request):
    found = resource(plane, call.region, request["ResourceName"])
    for key in request["TagKeys"]:
        if key.lower().startswith("aws:"):
            raise value(f"Tag keys starting with 'aws:' are reserved for system use: {key}")
        _tags(found).pop(key, None)
    if isinstance(found, Record):
        plane.publish(found)
    return {}
