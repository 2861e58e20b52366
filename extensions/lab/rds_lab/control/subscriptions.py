# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events and subscriptions to them."""

from __future__ import annotations

import datetime

from . import tagging, view
from .describe import filters, page, short
from .errors import RdsError, combination, value
from .registry import operation

_TYPES = ("db-instance", "db-parameter-group", "db-security-group", "db-snapshot", "db-cluster", "db-cluster-snapshot",
          "custom-engine-version", "db-proxy", "blue-green-deployment", "db-shard-group", "zero-etl")
_CATEGORIES = ["availability", "backup", "configuration change", "creation", "deletion", "failover", "failure", "low storage",
               "maintenance", "notification", "read replica", "recovery", "restoration", "security", "security patching"]


@operation("DescribeEvents")
def describe_events(plane, call, request):
    filters(request, ())
    kind, source = request.get("SourceType"), request.get("SourceIdentifier")
    if kind is not None and kind not in _TYPES:
        raise value(f"Invalid source type: {kind}")
    if source and not kind:
        raise combination("SourceType must be given together with SourceIdentifier.")
    now = plane.clock.time()
    end = request.get("EndTime")
    start = request.get("StartTime")
    duration = datetime.timedelta(minutes=request.get("Duration", 60))
    if duration > datetime.timedelta(days=14):
        raise value("The duration must be at most 14 days.")
    if start is None:
        start = (end or now) - duration
    elif end is None:
        end = start + duration if "Duration" in request else now
    end = end or now
    seen_until = datetime.datetime.fromtimestamp(plane.read_moment(), datetime.timezone.utc)
    categories = set(request.get("EventCategories") or [])
    found = [
        event for event in plane.store.region(call.region).events
        if start <= event["Date"] <= end and event["Date"] <= seen_until
        and kind in (None, event["SourceType"])
        and (not source or event["SourceIdentifier"] == short(source))
        and (not categories or categories & set(event["EventCategories"]))
    ]
    numbered = [(f"{event['Date'].timestamp():020.6f}-{index:08}", event) for index, event in enumerate(found)]
    entries, marker = page(request, numbered, lambda pair: pair[0])
    return {"Events": [event for _key, event in entries], "Marker": marker}


@operation("DescribeEventCategories")
def describe_categories(_plane, _call, request):
    kinds = [request["SourceType"]] if request.get("SourceType") else ["db-instance", "db-snapshot"]
    return {"EventCategoriesMapList": [{"SourceType": kind, "EventCategories": _CATEGORIES} for kind in kinds]}


def _shown(entry: dict) -> dict:
    return {name: item for name, item in entry.items() if not name.startswith("_")}


def _check_sources(plane, region: str, kind: str | None, names: list) -> None:
    if names and not kind:
        raise combination("SourceType must be given together with SourceIds.")
    if kind == "db-instance":
        for name in names:
            try:
                plane.instance(region, name)
            except RdsError:
                raise RdsError("SourceNotFound", f"The requested source could not be found: {name}", 404) from None


def _subscription(plane, region: str, name: str) -> dict:
    found = plane.store.region(region).subscriptions.get(name.lower())
    if found is None:
        raise RdsError("SubscriptionNotFound", f"Subscription {name} not found.", 404)
    return found


@operation("CreateEventSubscription")
def create(plane, call, request):
    name = request["SubscriptionName"].lower()
    subscriptions = plane.store.region(call.region).subscriptions
    if name in subscriptions:
        raise RdsError("SubscriptionAlreadyExist", f"Subscription {name} already exists.")
    names = [text.lower() for text in request.get("SourceIds") or []]
    _check_sources(plane, call.region, request.get("SourceType"), names)
    subscriptions[name] = {
        "CustomerAwsId": plane.settings.account,
        "CustSubscriptionId": name,
        "SnsTopicArn": request["SnsTopicArn"],
        "Status": "active",
        "SubscriptionCreationTime": plane.clock.time().strftime("%Y-%m-%d %H:%M:%S.000"),
        "SourceType": request.get("SourceType"),
        "SourceIdsList": names,
        "EventCategoriesList": request.get("EventCategories") or [],
        "Enabled": request.get("Enabled", True),
        "EventSubscriptionArn": view.arn(plane, call.region, "es", name),
        "_tags": tagging.given(request),
    }
    return {"EventSubscription": _shown(subscriptions[name])}


@operation("DescribeEventSubscriptions")
def describe(plane, call, request):
    filters(request, ())
    if request.get("SubscriptionName"):
        found = [_subscription(plane, call.region, request["SubscriptionName"])]
    else:
        found = list(plane.store.region(call.region).subscriptions.values())
    entries, marker = page(request, found, lambda entry: entry["CustSubscriptionId"])
    return {"EventSubscriptionsList": [_shown(entry) for entry in entries], "Marker": marker}


@operation("AddSourceIdentifierToSubscription")
def add_source(plane, call, request):
    entry = _subscription(plane, call.region, request["SubscriptionName"])
    name = request["SourceIdentifier"].lower()
    _check_sources(plane, call.region, entry["SourceType"], [name])
    if name not in entry["SourceIdsList"]:
        entry["SourceIdsList"].append(name)
    return {"EventSubscription": _shown(entry)}


@operation("RemoveSourceIdentifierFromSubscription")
def remove_source(plane, call, request):
    entry = _subscription(plane, call.region, request["SubscriptionName"])
    name = request["SourceIdentifier"].lower()
    if name not in entry["SourceIdsList"]:
        raise RdsError("SourceNotFound", f"The requested source could not be found: {name}", 404)
    entry["SourceIdsList"].remove(name)
    return {"EventSubscription": _shown(entry)}


@operation("DeleteEventSubscription")
def delete(plane, call, request):
    entry = _subscription(plane, call.region, request["SubscriptionName"])
    del plane.store.region(call.region).subscriptions[entry["CustSubscriptionId"]]
    return {"EventSubscription": {**_shown(entry), "Status": "deleting"}}
