# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own endpoints, under /_lab/."""

from __future__ import annotations

import urllib.parse
from json import JSONDecodeError, loads

import pymysql

from ..servers.base import ServerError
from . import view, wire
from .errors import RdsError


class Admin:
    """Answers the requests that test or operate the lab itself."""

    def __init__(self, plane):
        self.plane = plane

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple:
        """HTTP status and JSON of a request."""
        try:
            data = loads(body) if body else {}
        except JSONDecodeError as problem:
            return 400, {"error": f"the body is not JSON: {problem}"}
        name = path.removeprefix("/_lab/").strip("/")
        function = getattr(self, f"_{method.lower()}_{name}", None)
        if function is None or not name.isalpha():
            return 404, {"error": f"no {method} {path} here", "paths": sorted(
                part[1:].replace("_", " /_lab/", 1) for part in dir(self) if part.startswith(("_get_", "_post_", "_delete_")))}
        try:
            return 200, function(data, dict(urllib.parse.parse_qsl(query)))
        except (ValueError, TypeError, KeyError, AttributeError, ServerError, pymysql.err.MySQLError) as problem:
            return 400, {"error": f"{type(problem).__name__}: {problem}"}
        except RdsError as problem:
            return problem.status, {"error": str(problem)}

    def _get_health(self, _data, _query):
        return {"ok": True, "virtual_time": self.plane.clock.time(), "timescale": self.plane.clock.timescale}

    def _get_faults(self, _data, _query):
        return {"faults": self.plane.faults.entries()}

    def _post_faults(self, data, _query):
        entries = data if isinstance(data, list) else [data]
        return {"faults": [self.plane.faults.add(entry) for entry in entries]}

    def _delete_faults(self, _data, _query):
        self.plane.faults.clear()
        return {"faults": []}

    def _get_held(self, _data, _query):
        return {"held": self.plane.faults.held()}

    def _post_release(self, _data, _query):
        self.plane.faults.release()
        return {"ok": True}

    def _get_calls(self, _data, query):
        entries = self.plane.calls.entries(int(query.get("since", 0)))
        if query.get("mutating"):
            entries = [entry for entry in entries if entry["mutating"] == (query["mutating"] == "true")]
        if query.get("service"):
            entries = [entry for entry in entries if entry["service"] == query["service"]]
        return {"calls": entries}

    def _delete_calls(self, _data, _query):
        self.plane.calls.clear()
        return {"calls": []}

    def _get_clock(self, _data, _query):
        return {"timescale": self.plane.clock.timescale, "virtual_time": self.plane.clock.time()}

    def _post_clock(self, data, query):
        if "timescale" in data:
            self.plane.clock.timescale = float(data["timescale"])
        if "advance" in data:
            self.plane.advance(float(data["advance"]))
        return self._get_clock(data, query)

    def _get_settings(self, _data, _query):
        return dict(vars(self.plane.settings))

    def _post_settings(self, data, query):
        with self.plane.lock:
            self.plane.settings.update(data)
        return self._get_settings(data, query)

    def _post_reset(self, _data, _query):
        self.plane.reset()
        return {"ok": True}

    def _post_maintenance(self, data, _query):
        """Add a maintenance action, or, with `window`: true, let the maintenance window of an instance open."""
        region = data.get("region", self.plane.settings.default_region)
        if data.get("window"):
            self.plane.open_maintenance_window(region, data["name"])
        else:
            self.plane.seed_maintenance(data["name"], region, data.get("action", "system-update"), data.get("description", "an update"))
        return {"ok": True}

    def _post_instance(self, data, _query):
        """Change the truth about an instance, as another operator or a failure would: `status`, `facts` (members), `free_storage` (bytes)."""
        plane = self.plane
        with plane.lock:
            record = plane.instance(data.get("region", plane.settings.default_region), data["name"])
            unknown = set(data.get("facts", {})) - set(wire.members("DBInstance"))
            if unknown:
                raise ValueError(f"unknown members: {sorted(unknown)}")
            with plane.changing(record):
                record.status = data.get("status", record.status)
                record.free_storage = data.get("free_storage", record.free_storage)
                for name, item in data.get("facts", {}).items():
                    record.facts[name] = item
                    if item is None:
                        del record.facts[name]
            return self._instance(record)

    def _instance_named(self, data: dict, member: str):
        return self.plane.instance(data.get("region", self.plane.settings.default_region), data[member])

    def _post_sql(self, data, _query):
        """Run statements on an instance as the platform's administrator: what is written is not replicated; answers the rows of the last one."""
        with self.plane.lock:
            record = self._instance_named(data, "name")
        statements = data["statements"] if isinstance(data["statements"], list) else [data["statements"]]
        with self.plane.engines.administration(record.resource_id) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return {"rows": cursor.fetchall()}

    def _post_link(self, data, _query):
        """Close (`open`: false) or open the way from the instance `from` to the endpoint of the instance `to`; closing it cuts what stands."""
        with self.plane.lock:
            link = self._instance_named(data, "to").resource_id, self._instance_named(data, "from").resource_id
            (self.plane.closed_links.discard if data["open"] else self.plane.closed_links.add)(link)
        return {"cut": 0 if data["open"] else self.plane.engines.cut_link(*link)}

    def _post_crash(self, data, _query):
        """The database server of an instance fails and comes back, which RDS reports as an event, and no status shows."""
        plane = self.plane
        with plane.lock:
            record = self._instance_named(data, "name")
            parameters = plane.server_parameters(record)
        plane.event(record, ["availability"], "DB instance shutdown", "RDS-EVENT-0004")
        if record.supported:
            plane.engines.restart(record.resource_id, parameters=parameters)
        plane.event(record, ["availability"], "DB instance restarted", "RDS-EVENT-0006")
        return {"ok": True}

    def _post_dns(self, data, _query):
        """Resolvers take the name of an endpoint (`name`, of an instance of the moment or of before) for the server of another `instance`."""
        plane = self.plane
        with plane.lock:
            record = self._instance_named(data, "instance")
        plane.engines.publish(record.resource_id, plane.dns_name(record.region, data["name"]))
        return {"ok": True}

    def _post_retire(self, data, _query):
        """RDS no longer offers a version: a restore raises it."""
        with self.plane.lock:
            self.plane.store.retired[(data["engine"], data["version"])] = data["to"]
        return {"ok": True}

    def _get_state(self, _data, _query):
        plane = self.plane
        with plane.lock:
            regions = {}
            for name, region in plane.store.regions.items():
                regions[name] = {
                    "instances": {record.resource_id: self._instance(record) for record in region.instances.values()},
                    "snapshots": {key: self._snapshot(record) for key, record in region.snapshots.items()},
                    "parameter_groups": region.parameter_groups,
                    "option_groups": region.option_groups,
                    "subnet_groups": region.subnet_groups,
                    "clusters": region.clusters,
                    "subscriptions": region.subscriptions,
                    "automated_backups": region.automated_backups,
                    "maintenance": region.maintenance,
                    "events": region.events,
                }
            return {
                "virtual_time": plane.clock.time(),
                "timescale": plane.clock.timescale,
                "regions": regions,
                "problems": plane.store.problems,
            }

    def _instance(self, record) -> dict:
        shown = view.instance_view(self.plane, record)
        return {
            "name": record.name,
            "status": record.status,
            "busy": record.busy,
            "hidden": record.hidden,
            "gone": record.gone,
            "renaming_to": record.reserved,
            "dns_name": record.dns_name,
            "source_id": record.source_id,
            "in_force": record.in_force,
            "supported": record.supported,
            "pending": {name: item for name, item in record.pending.items() if "Password" not in name},
            "description": {name: item for name, item in (shown or {}).items() if not name.startswith("_")},
        }

    def _snapshot(self, record) -> dict:
        return {
            "status": record.status,
            "key": record.key,
            "held": record.held,
            "tags": record.tags,
            "facts": record.facts,
            "supported": record.supported,
        }
