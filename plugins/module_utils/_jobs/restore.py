# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_encrypted_restore``."""

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
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_FENCE_ID, TAG_NAME, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.follow import coordinate_tags
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import (
    RestoreRequest,
    RestoreState,
    noted_target,
    plan_restore,
    snapshot_candidates,
)


def run(context) -> dict:
    """Bring an encrypted target into being that equals its source."""
    rds = Rds(context.client)
    params = context.params
    source = rds.instance(params["source_db_instance_identifier"].lower())
    if source is None:
        raise RefusedError(
            f"source_db_instance_identifier {params['source_db_instance_identifier']}: there is no such DB instance in this region.",
            done="Nothing was changed.",
        )
    request = _request(context, rds, source)

    def read_and_plan():
        return plan_restore(request, _read(rds, request, source["DbiResourceId"], context))

    if context.check_mode:
        return predicted(read_and_plan(), context, fence_id=request.fence_id)
    runner = runner_of(context, rds)
    last = runner.reconcile(read_and_plan, wait=params["wait"])
    target = _target(rds, request, source) or {}
    return achieved(
        runner,
        last,
        context,
        fence_id=request.fence_id,
        target_db_instance_identifier=request.target_identifier,
        target_resource_id=target.get("DbiResourceId"),
    )


def _request(context, rds: Rds, source: dict) -> RestoreRequest:
    params = context.params
    tags = tags_of(source)
    origin = params.get("snapshot_db_instance_identifier")
    fence_id = params["fence_id"] or tags.get(TAG_FENCE_ID)
    if not fence_id:
        raise RefusedError(
            f"{source['DBInstanceIdentifier']} carries no fence id, and fence_id is not given.",
            done="Nothing was changed.",
            next_step="Fence the source first (rds_fence); if you have fenced it by other means, say so with a fence_id of your own.",
        )
    key = rds_read.key_description(context.client("kms"), params["kms_key_id"])
    return RestoreRequest(
        name=tags.get(TAG_NAME, source["DBInstanceIdentifier"]),
        target_identifier=params["target_db_instance_identifier"].lower(),
        kms_key_arn=key["Arn"],
        fence_id=fence_id.lower(),
        fence_assumed=context.check_mode,
        snapshot_identifier=params["snapshot_identifier"],
        encrypted_snapshot_identifier=params["encrypted_snapshot_identifier"],
        extra_tags=extra_tags(params),
        finish=finish_request(rds, params, params["expected_replicas"] or (), backup_copies(context, source)),
        accepted_by_restore=rds_read.accepted_parameters(rds.read, "RestoreDBInstanceFromDBSnapshot"),
        link_id=fence_id.lower() if origin else None,
        snapshot_tags=tuple(sorted(coordinate_tags(params["coordinates"]).items())) if params.get("coordinates") else (),
    )


def _target(rds: Rds, request: RestoreRequest, source: dict) -> dict | None:
    """The target under the name that was asked for, or under the one that a cutover has begun to give it meanwhile."""
    target = rds.instance(request.target_identifier)
    noted = noted_target(request, source)
    if target is None and noted:
        found = rds.instances(resource_ids={noted})
        return found[0] if found else None
    return target


def _read(rds: Rds, request: RestoreRequest, source_resource_id: str, context) -> RestoreState:
    found = rds.instances(resource_ids={source_resource_id})
    if not found:
        raise RefusedError("The source is not there any more.", next_step="Look for it by its resource id " + source_resource_id)
    source = _as_held(found[0], context.params.get("held_db_parameter_group_name"))
    target = _target(rds, request, source)
    origin = _origin(rds, context, target)
    return RestoreState(source, target, candidates_there(rds, request) if target is None else {}, origin)


def _as_held(source: dict, group: str | None) -> dict:
    """The source as the target is to be for the time being: with the parameter group that keeps writers out of it."""
    return {**source, "DBParameterGroups": [{"DBParameterGroupName": group, "ParameterApplyStatus": "in-sync"}]} if group else source


def _origin(rds: Rds, context, target: dict | None) -> dict | None:
    """The instance to take the snapshot of, where that is not the source; what it was made for is there once the target is."""
    identifier = context.params.get("snapshot_db_instance_identifier")
    if not identifier or target is not None:
        return None
    found = rds.instance(identifier.lower())
    if found is not None:
        return found
    if context.check_mode:
        return {"DBInstanceIdentifier": identifier.lower(), "DbiResourceId": None}
    raise RefusedError(
        f"snapshot_db_instance_identifier {identifier}: there is no such DB instance in this region.", done="Nothing was changed."
    )


def candidates_there(rds: Rds, request: RestoreRequest) -> dict[str, dict]:
    """The snapshots and copies that exist among those that may be restored: by identifier."""
    snapshots = {}
    for series in snapshot_candidates(request):
        for identifier in series:
            snapshot = rds.describe_snapshot(identifier)
            if snapshot is None:
                break
            snapshots[identifier] = snapshot
    return snapshots
