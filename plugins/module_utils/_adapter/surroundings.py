# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Reads that preflight would like to make: what an operator's policy or an older region does not allow is said, not fatal."""

from __future__ import annotations

try:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
except ImportError:  # reported by AnsibleAWSModule
    BotoCoreError = ClientError = ResponseParserError = ()


class Unread:
    """Collects what could not be read, as warnings."""

    def __init__(self):
        self.reasons: list[str] = []

    def attempt(self, what: str, read, default):
        """The answer of ``read()``; ``default``, and a remark, if AWS does not answer it."""
        try:
            return read()
        except ClientError as e:
            self.reasons.append(f"{what} could not be checked: {e.response.get('Error', {}).get('Code', 'error')}.")
        except (BotoCoreError, ResponseParserError) as e:
            self.reasons.append(f"{what} could not be checked: {type(e).__name__}.")
        return default


def quotas(client) -> dict[str, tuple[int, int]]:
    """(used, max) by quota name (AWS: DescribeAccountAttributes)."""
    return {q["AccountQuotaName"]: (q["Used"], q["Max"]) for q in client.describe_account_attributes()["AccountQuotas"]}


def backup_events(client, identifier: str) -> list[dict]:
    """The ``Event``s of an instance's automated backups of the last 14 days, which is as long as RDS keeps any (AWS: DescribeEvents)."""
    return _events(client, SourceType="db-instance", SourceIdentifier=identifier, EventCategories=["backup"])


def copy_events(client) -> list[dict]:
    """The ``Event``s of all copies of snapshots of the last 14 days."""
    return _events(client, SourceType="db-snapshot", EventCategories=["notification"])


def _events(client, **parameters) -> list[dict]:
    pages = client.get_paginator("describe_events").paginate(Duration=14 * 24 * 60, **parameters)
    return [event for page in pages for event in page.get("Events", [])]


def encryptable(client, engine: str, version: str, instance_class: str) -> bool | None:
    """SupportsStorageEncryption of an orderable option, or None where RDS lists none (AWS: DescribeOrderableDBInstanceOptions)."""
    pages = client.get_paginator("describe_orderable_db_instance_options").paginate(
        Engine=engine, EngineVersion=version, DBInstanceClass=instance_class
    )
    options = [option for page in pages for option in page.get("OrderableDBInstanceOptions", [])]
    if not options:
        return None
    return any(option.get("SupportsStorageEncryption") for option in options)


def maintenance(client) -> dict[str, list[str]]:
    """Descriptions of pending maintenance by instance ARN (AWS: DescribePendingMaintenanceActions)."""
    pages = client.get_paginator("describe_pending_maintenance_actions").paginate()
    found: dict[str, list[str]] = {}
    for page in pages:
        for resource in page.get("PendingMaintenanceActions", []):
            actions = [a.get("Description") or a.get("Action", "") for a in resource.get("PendingMaintenanceActionDetails", [])]
            found[resource["ResourceIdentifier"]] = actions
    return found


def free_storage(client, identifier: str, start, end) -> float | None:
    """The bytes of an instance's storage that were free at the last look between two times, or None where there was none (CloudWatch:
    AWS/RDS, FreeStorageSpace, one value a minute)."""
    points = client.get_metric_statistics(
        Namespace="AWS/RDS",
        MetricName="FreeStorageSpace",
        Dimensions=[{"Name": "DBInstanceIdentifier", "Value": identifier}],
        StartTime=start,
        EndTime=end,
        Period=60,
        Statistics=["Minimum"],
    )["Datapoints"]
    return max(points, key=lambda point: point["Timestamp"])["Minimum"] if points else None


def deployments(client) -> frozenset:
    """Identifiers of instances that take part in a blue/green deployment (AWS: DescribeBlueGreenDeployments)."""
    pages = client.get_paginator("describe_blue_green_deployments").paginate()
    arns = [
        detail.get(side, "")
        for page in pages
        for deployment in page.get("BlueGreenDeployments", [])
        for detail in deployment.get("SwitchoverDetails", [])
        for side in ("SourceMember", "TargetMember")
    ]
    return frozenset(arn.rsplit(":", 1)[-1] for arn in arns if arn)


def security_group(client, group_id: str) -> dict | None:
    """The security group with this id, or None if the region has none (EC2: DescribeSecurityGroups)."""
    try:
        found = client.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    except ClientError as e:
        if e.response.get("Error", {}).get("Code", "") in ("InvalidGroup.NotFound", "InvalidGroupId.Malformed", "InvalidGroupId.NotFound"):
            return None
        raise
    return found[0] if found else None


def caller(client) -> tuple[str, str]:
    """ARN and account of who calls (AWS: GetCallerIdentity, which needs no permission)."""
    answer = client.get_caller_identity()
    return answer["Arn"], answer["Account"]


def key_policy(client, key_arn: str) -> str:
    """The JSON text of a key's policy (AWS: GetKeyPolicy; possible only for keys of the caller's account)."""
    return client.get_key_policy(KeyId=key_arn, PolicyName="default")["Policy"]
