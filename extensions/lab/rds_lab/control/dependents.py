# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero-ETL integrations, exports of snapshots and selections of AWS Backup: what hangs on instances by ARN."""

from __future__ import annotations

import json
import re
import uuid

from . import tagging, view
from .describe import filters, page
from .errors import RdsError, value
from .registry import operation

# Zero-ETL


@operation("CreateIntegration")
def create_integration(plane, call, request):
    integrations = plane.store.region(call.region).integrations
    name = request["IntegrationName"].lower()
    if name in integrations:
        raise RdsError("IntegrationAlreadyExistsFault", f"The integration {name} already exists.")
    instance = tagging.resource(plane, call.region, request["SourceArn"])
    if not getattr(instance, "resource_id", None) or not instance.facts.get("BackupRetentionPeriod"):
        raise value("The source of an integration must be a DB instance with automated backups.")
    integrations[name] = {
        "SourceArn": request["SourceArn"],
        "TargetArn": request["TargetArn"],
        "IntegrationName": request["IntegrationName"],
        "IntegrationArn": view.arn(plane, call.region, "integration", str(uuid.uuid4())),
        "KMSKeyId": request.get("KMSKeyId"),
        "DataFilter": request.get("DataFilter"),
        "Description": request.get("Description"),
        "CreateTime": plane.clock.time(),
        "Tags": view.tag_list(tagging.given(request)),
        "_resource_id": instance.resource_id,
    }
    return _integration(plane, integrations[name])


def _integration(plane, entry: dict) -> dict:
    instance = plane.store.instance(entry["_resource_id"])
    bound = instance is not None and not instance.gone and plane.arn(instance) == entry["SourceArn"]
    return {**{name: item for name, item in entry.items() if not name.startswith("_")}, "Status": "active" if bound else "needs_attention"}


@operation("DescribeIntegrations")
def describe_integrations(plane, call, request):
    filters(request, ())
    found = list(plane.store.region(call.region).integrations.values())
    wanted = request.get("IntegrationIdentifier")
    if wanted:
        found = [entry for entry in found if wanted in (entry["IntegrationArn"], entry["IntegrationName"])]
        if not found:
            raise RdsError("IntegrationNotFoundFault", f"The integration {wanted} does not exist.", 404)
    entries, marker = page(request, found, lambda entry: entry["IntegrationName"])
    return {"Integrations": [_integration(plane, entry) for entry in entries], "Marker": marker}


@operation("DeleteIntegration")
def delete_integration(plane, call, request):
    wanted = request["IntegrationIdentifier"]
    for name, entry in plane.store.region(call.region).integrations.items():
        if wanted in (entry["IntegrationArn"], entry["IntegrationName"]):
            del plane.store.region(call.region).integrations[name]
            return {**_integration(plane, entry), "Status": "deleting"}
    raise RdsError("IntegrationNotFoundFault", f"The integration {wanted} does not exist.", 404)


# Exports


@operation("StartExportTask")
def start_export(plane, call, request):
    exports = plane.store.region(call.region).exports
    name = request["ExportTaskIdentifier"]
    if name in exports:
        raise RdsError("ExportTaskAlreadyExists", f"The export task {name} already exists.")
    if ":snapshot:" not in request["SourceArn"]:
        raise RdsError("NotImplemented", "The lab exports snapshots of DB instances only.")
    snapshot = plane.snapshot(call.region, request["SourceArn"])
    if snapshot.status != "available":
        raise RdsError("InvalidExportSourceState", f"The snapshot {snapshot.name} is {snapshot.status}.")
    if plane.neighbours.role(request["IamRoleArn"]) is None:
        raise RdsError("IamRoleNotFound", f"The role {request['IamRoleArn']} does not exist.", 404)
    plane.neighbours.check_key(call.region, request["KmsKeyId"])
    exports[name] = {
        "ExportTaskIdentifier": name,
        "SourceArn": request["SourceArn"],
        "S3Bucket": request["S3BucketName"],
        "S3Prefix": request.get("S3Prefix"),
        "IamRoleArn": request["IamRoleArn"],
        "KmsKeyId": request["KmsKeyId"],
        "SourceType": "SNAPSHOT",
        "TaskStartTime": plane.clock.time(),
        "_done": plane.clock.now() + plane.settings.export,
        "_canceled": False,
    }
    return _export(plane, exports[name])


def _export(plane, entry: dict) -> dict:
    left = (entry["_done"] - plane.clock.now()) / plane.settings.export
    status = "CANCELED" if entry["_canceled"] else "COMPLETE" if left <= 0 else "STARTING" if left > 0.95 else "IN_PROGRESS"
    progress = 0 if entry["_canceled"] else int(100 * (1 - max(0.0, left)))
    return {**{name: item for name, item in entry.items() if not name.startswith("_")}, "Status": status, "PercentProgress": progress}


@operation("DescribeExportTasks")
def describe_exports(plane, call, request):
    filters(request, ("export-task-identifier", "s3-bucket", "source-arn", "status"))
    found = [_export(plane, entry) for entry in plane.store.region(call.region).exports.values()]
    found = [entry for entry in found if request.get("SourceArn") in (None, entry["SourceArn"])]
    wanted = request.get("ExportTaskIdentifier")
    if wanted:
        found = [entry for entry in found if entry["ExportTaskIdentifier"] == wanted]
        if not found:
            raise RdsError("ExportTaskNotFound", f"The export task {wanted} does not exist.", 404)
    entries, marker = page(request, found, lambda entry: entry["ExportTaskIdentifier"])
    return {"ExportTasks": entries, "Marker": marker}


@operation("CancelExportTask")
def cancel_export(plane, call, request):
    entry = plane.store.region(call.region).exports.get(request["ExportTaskIdentifier"])
    if entry is None:
        raise RdsError("ExportTaskNotFound", f"The export task {request['ExportTaskIdentifier']} does not exist.", 404)
    if plane.clock.now() >= entry["_done"] or entry["_canceled"]:
        raise RdsError("InvalidExportTaskStateFault", f"The export task {entry['ExportTaskIdentifier']} is not in progress.")
    entry["_canceled"] = True
    return _export(plane, entry)


# AWS Backup, of which moto knows plans but no selections

_SELECTIONS = re.compile(r"^/backup/plans/([^/]+)/selections(?:/([^/]*))?/?$")


def backup_answer(plane, region: str, method: str, path: str, body: bytes) -> tuple | None:
    """Status and answer of a request about selections of a backup plan; None for any other request."""
    found = _SELECTIONS.match(path)
    if not found:
        return None
    plan, wanted = found[1], found[2]
    with plane.lock:
        selections = plane.store.region(region).backup_selections
        if method == "PUT" and not wanted:
            entry = {"BackupPlanId": plan, "SelectionId": str(uuid.uuid4()), "CreationDate": plane.clock.now(),
                     "BackupSelection": json.loads(body)["BackupSelection"]}
            selections[entry["SelectionId"]] = entry
            return 200, {name: entry[name] for name in ("BackupPlanId", "SelectionId", "CreationDate")}
        mine = [entry for entry in selections.values() if entry["BackupPlanId"] == plan]
        if method == "GET" and not wanted:
            return 200, {"BackupSelectionsList": [
                {"BackupPlanId": plan, "SelectionId": entry["SelectionId"], "SelectionName": entry["BackupSelection"]["SelectionName"],
                 "CreationDate": entry["CreationDate"], "IamRoleArn": entry["BackupSelection"]["IamRoleArn"]} for entry in mine]}
        for entry in mine:
            if entry["SelectionId"] == wanted and method == "GET":
                return 200, entry
            if entry["SelectionId"] == wanted and method == "DELETE":
                del selections[wanted]
                return 200, {}
    return 400, {"Code": "ERROR_3601", "Message": f"Cannot find selection {wanted}", "__type": "ResourceNotFoundException"}
