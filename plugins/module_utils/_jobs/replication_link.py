# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_replication_link``."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read, surroundings
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import GLANCING, Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    predicted,
    prefixes_of,
    runner_of,
    working_topology,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_BINLOG_RETENTION, TAG_FENCE_ID, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Topology, seed_identifier
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.follow import (
    HELD_PARAMETERS,
    Group,
    LinkRequest,
    LinkState,
    check_storage,
    coordinates_of,
    held_group_name,
    plan_begin,
    plan_end,
    plan_give_up,
    plan_proven,
    snapshot_identifier,
)


def fresh_link_id() -> str:
    """An opaque id for a new attempt; letters and digits, fit for identifiers and for the name of a login."""
    return "l" + uuid.uuid4().hex[:11]


def link_request(context, rds: Rds) -> LinkRequest:
    """The request; made once, so that a run that reads again knows its own id."""
    hours = str(context.params.get("binlog_retention_hours") or "NULL")
    return LinkRequest(fresh_link_id(), hours, rds_read.accepted_parameters(rds.read, "CreateDBInstanceReadReplica"))


def link_state(rds: Rds, topology: Topology, request: LinkRequest) -> LinkState:
    """What is there of an attempt."""
    primary = topology.primary
    link_id = topology.link_id or request.fresh_link_id
    source = primary.source
    model = rds.parameter_group(source["DBParameterGroups"][0]["DBParameterGroupName"], ())
    return LinkState(
        topology,
        Group(model["name"], model["family"]) if model else Group("", ""),
        _held(rds.parameter_group(held_group_name(topology, link_id), HELD_PARAMETERS)),
        rds.instance(seed_identifier(topology.name, topology.prefixes)),
        rds.describe_snapshot(snapshot_identifier(topology, link_id)) if topology.link_id else None,
    )


def _held(found: dict | None) -> Group | None:
    return Group(found["name"], found["family"], found["values"]) if found else None


def run(context) -> dict:
    """Bring what RDS holds of an attempt into the state that was asked for."""
    rds = Rds(context.client)
    params = context.params
    prefixes = prefixes_of(params)
    request = link_request(context, rds)

    def read() -> Topology:
        return working_topology(context, rds, params["name"], prefixes)

    def plan() -> Plan:
        topology = read()
        if params["state"] == "proven":
            return plan_proven(topology, context.clock.utc())
        if params["state"] == "given_up":
            return plan_give_up(topology)
        if params["state"] == "ended":
            return plan_end(topology)
        _see_to_storage(context, topology)
        return plan_begin(link_state(rds, topology, request), request)

    if context.check_mode:
        return predicted(plan(), context, link=_facts(rds, read(), request))
    runner = runner_of(context, rds)
    last = runner.reconcile(plan)
    return achieved(runner, last, context, link=_facts(rds, read(), request))


def _see_to_storage(context, topology: Topology) -> None:
    """Stop before the binary logs that are kept fill the storage of a source that serves."""
    least, source = context.params["min_free_storage"], topology.primary.source
    if not least or source is None or topology.primary.fenced_by_name:
        return
    now = datetime.fromisoformat(context.clock.utc().replace("Z", "+00:00"))
    unread = surroundings.Unread()
    what = f"How much storage of {source['DBInstanceIdentifier']} is free"
    client = context.client("cloudwatch", GLANCING)
    free = unread.attempt(
        what, lambda: surroundings.free_storage(client, source["DBInstanceIdentifier"], now - timedelta(hours=1), now + timedelta(hours=1)), None
    )
    for reason in unread.reasons:
        context.warn(reason)
    check_storage(source, free, least)


def _facts(rds: Rds, topology: Topology, request: LinkRequest) -> dict:
    link_id = topology.link_id or request.fresh_link_id
    seed = seed_identifier(topology.name, topology.prefixes)
    target = topology.primary.target
    snapshot = rds.describe_snapshot(snapshot_identifier(topology, link_id)) if topology.link_id else None
    return dict(
        id=link_id,
        seed_db_instance_identifier=seed,
        seed_exists=rds.instance(seed) is not None,
        target_exists=target is not None,
        held_db_parameter_group_name=held_group_name(topology, link_id),
        seeded=target is not None or (snapshot or {}).get("Status") == "available",
        coordinates=coordinates_of(snapshot),
        binlog_retention_hours=topology.source_tags.get(TAG_BINLOG_RETENTION, request.binlog_retention_hours),
        drained=topology.drained,
        drained_once=target is not None and tags_of(target).get(TAG_FENCE_ID) != link_id,
    )
