# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_replica_clone``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    backup_copies,
    extra_tags,
    finish_request,
    predicted,
    runner_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_FENCE_ID, TAG_NAME, TAG_SOURCE_RESOURCE_ID, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replica import ReplicaRequest, ReplicaState, plan_replica


def run(context) -> dict:
    """Bring a replica below the target into being that equals its model."""
    rds = Rds(context.client)
    params = context.params
    model = rds.instance(params["model_db_instance_identifier"].lower())
    if model is None:
        raise RefusedError(
            f"model_db_instance_identifier {params['model_db_instance_identifier']}: there is no such DB instance in this region.",
            done="Nothing was changed.",
        )
    request = _request(context, rds, model)

    def read_and_plan():
        return plan_replica(request, _read(rds, request, model["DbiResourceId"]))

    if context.check_mode:
        return predicted(read_and_plan(), context)
    runner = runner_of(context, rds)
    last = runner.reconcile(read_and_plan, wait=params["wait"])
    replica = _replica(rds, request, model["DbiResourceId"]) or {}
    return achieved(
        runner,
        last,
        context,
        target_db_instance_identifier=request.target_identifier,
        target_resource_id=replica.get("DbiResourceId"),
    )


def _request(context, rds: Rds, model: dict) -> ReplicaRequest:
    params = context.params
    tags = tags_of(model)
    fence_id = params["fence_id"] or tags.get(TAG_FENCE_ID)
    if not fence_id and not context.check_mode:
        raise RefusedError(
            f"{model['DBInstanceIdentifier']} carries no fence id, and fence_id is not given.",
            done="Nothing was changed.",
            next_step="Fence the topology first (rds_fence); if you have fenced it by other means, say so with a fence_id of your own.",
        )
    return ReplicaRequest(
        name=tags.get(TAG_NAME, model["DBInstanceIdentifier"]),
        target_identifier=params["target_db_instance_identifier"].lower(),
        parent_identifier=params["source_db_instance_identifier"].lower(),
        fence_id=(fence_id or "assumed").lower(),
        parent_assumed=context.check_mode,
        extra_tags=extra_tags(params),
        finish=finish_request(rds, params, copies=backup_copies(context, model)),
        accepted_by_create=rds_read.accepted_parameters(rds.read, "CreateDBInstanceReadReplica"),
    )


def _read(rds: Rds, request: ReplicaRequest, model_resource_id: str) -> ReplicaState:
    found = rds.instances(resource_ids={model_resource_id})
    if not found:
        raise RefusedError("The model replica is not there any more.", next_step="Look for it by its resource id " + model_resource_id)
    parent = rds.instance(request.parent_identifier)
    above = found[0].get("ReadReplicaSourceDBInstanceIdentifier")
    parent_model = rds.instance(above) if above and parent is None and request.parent_assumed else None
    return ReplicaState(found[0], parent, _replica(rds, request, model_resource_id), parent_model)


def _replica(rds: Rds, request: ReplicaRequest, model_resource_id: str) -> dict | None:
    """The replica under the name that was asked for, or under its final one if a cutover gave it that meanwhile."""
    replica = rds.instance(request.target_identifier)
    if replica is None:
        renamed = rds.instance(request.name)
        tags = tags_of(renamed) if renamed else {}
        if tags.get(TAG_SOURCE_RESOURCE_ID) == model_resource_id != renamed["DbiResourceId"] and tags.get(TAG_FENCE_ID) == request.fence_id:
            return renamed
    return replica
