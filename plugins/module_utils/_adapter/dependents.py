# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What other services say that may hang on a DB instance: one function for each service, paged and bounded, without decisions.

An account may hold thousands of alarms, rules and policies: each function keeps what mentions one of the words it is given (names, resource
ids), in the shapes of AWS, and leaves to ``_plan.dependents`` to find out what they mean.
"""

from __future__ import annotations

import itertools
import json

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds, sort_client_error
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.dependents import KINDS
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import CallError, Trouble

try:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
except ImportError:  # reported by AnsibleAWSModule
    BotoCoreError = ClientError = ResponseParserError = ()

# What would be good to know is not worth minutes of patience with a service that cannot be reached.
LOOKING = {"retries": {"mode": "standard", "total_max_attempts": 3}, "connect_timeout": 5, "read_timeout": 60}
# What waits between two tries of a read that was throttled, in seconds: a fleet's hosts ask the same services at the same time.
THROTTLED_PAUSES = (2.0, 4.0, 8.0, 16.0)
MOST_PAGES = 200
MOST_BACKUP_PLANS = 200
MOST_TAG_READS = 200
RUNNING_EXPORTS = ("STARTING", "IN_PROGRESS", "CANCELING")
_ACTION = {read.partition(":")[2]: read for row in KINDS for read in row.reads}


class Looking:
    """Makes reads that may be denied, and says in words which were."""

    def __init__(self, clock):
        self.remarks: list[str] = []
        self._clock = clock

    def attempt(self, what: str, read, default):
        """The answer of ``read()``; ``default``, and a remark that names the permission, if AWS does not answer it."""
        for pause in (*THROTTLED_PAUSES, None):
            try:
                return self._once(what, read, default)
            except CallError:
                if pause is None:
                    self.remarks.append(f"{what} were not looked for: AWS answers too many requests only.")
                    return default
                self._clock.sleep(pause)
        return default

    def _once(self, what: str, read, default):
        """``attempt``, but for throttling.

        :raises CallError: it was throttled.
        """
        try:
            return read()
        except ClientError as e:
            code = e.response.get("Error", {}).get("Code", "error")
            sorted_error = sort_client_error(code, "", e.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400), e.operation_name)
            if sorted_error.trouble is Trouble.THROTTLED:
                raise sorted_error from e
            action = _ACTION.get(e.operation_name, e.operation_name)
            hint = f": allow {action} (docs/iam.md)" if "Denied" in code or "Unauthorized" in code else f" on {action}"
            self.remarks.append(f"{what} were not looked for, {code}{hint}.")
        except (BotoCoreError, ResponseParserError) as e:
            self.remarks.append(f"{what} were not looked for, {type(e).__name__}: the service does not answer here, or not in this region.")
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            # An older botocore that does not know the operation, or an answer that lacks what AWS documents: no reason to stop a run.
            self.remarks.append(
                f"{what} were not looked for, {type(e).__name__}: the answer could not be understood, or the installed botocore is too old."
            )
        return default


def _all(paginator, key: str, **parameters) -> list[dict]:
    pages = paginator.paginate(**parameters)
    return [entry for page in itertools.islice(pages, MOST_PAGES) for entry in page.get(key) or []]


def _mentioning(entries, words) -> list[dict]:
    found = []
    for entry in entries:
        text = json.dumps(entry, default=str).lower()
        if any(word in text for word in words):
            found.append(entry)
    return found


def subscriptions(rds, words) -> list[dict]:
    """``EventSubscription`` shapes."""
    return _mentioning(_all(rds.get_paginator("describe_event_subscriptions"), "EventSubscriptionsList"), words)


def proxies(rds, words) -> list[dict]:
    """``DBProxy`` shapes with their ``Targets`` (``DBProxyTarget``) and ``Tags``, of proxies that have one of the words among their targets.

    A proxy without any target is among them if its tags have one of the words: somebody was about to register it.
    """
    found = []
    tag_reads = 0
    for proxy in _all(rds.get_paginator("describe_db_proxies"), "DBProxies"):
        targets = proxy_targets(rds, proxy["DBProxyName"])
        tags = []
        if _mentioning(targets, words) or (not targets and tag_reads < MOST_TAG_READS):
            tag_reads += 1
            tags = rds.list_tags_for_resource(ResourceName=proxy["DBProxyArn"]).get("TagList", [])
        if _mentioning([*targets, *tags], words):
            found.append({**proxy, "Targets": targets, "Tags": tags})
    return found


def proxy_targets(rds, name: str) -> list[dict]:
    """The ``DBProxyTarget`` shapes of one proxy; none of one that is being made or deleted."""
    try:
        return _all(rds.get_paginator("describe_db_proxy_targets"), "Targets", DBProxyName=name)
    except ClientError as e:
        if e.response.get("Error", {}).get("Code", "").startswith(("DBProxy", "InvalidDBProxyState")):
            return []
        raise


def integrations(rds, words) -> list[dict]:
    """``Integration`` shapes: zero-ETL integrations with a source in this account."""
    return _mentioning(_all(rds.get_paginator("describe_integrations"), "Integrations"), words)


def exports(rds) -> list[dict]:
    """``ExportTask`` shapes that are running, with the ``DbiResourceId`` of the instance whose snapshot they read."""
    found = []
    for task in _all(rds.get_paginator("describe_export_tasks"), "ExportTasks"):
        if task.get("Status", "").upper() not in RUNNING_EXPORTS or ":snapshot:" not in task.get("SourceArn", ""):
            continue
        try:
            snapshots = rds.describe_db_snapshots(DBSnapshotIdentifier=task["SourceArn"])["DBSnapshots"]
        except ClientError as e:
            if not e.response.get("Error", {}).get("Code", "").startswith("DBSnapshotNotFound"):
                raise
            snapshots = []
        found.append({**task, "DbiResourceId": snapshots[0].get("DbiResourceId") if snapshots else None})
    return found


def alarms(cloudwatch, words) -> dict[str, list[dict]]:
    """``MetricAlarm`` shapes that have one of the words, and all ``CompositeAlarm`` shapes: those name alarms, not instances."""
    metric, composite = [], []
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    for page in itertools.islice(pages, MOST_PAGES):
        metric += _mentioning(page.get("MetricAlarms", []), words)
        composite += page.get("CompositeAlarms", [])
    return {"metric": metric, "composite": composite}


def log_groups(logs, prefixes) -> list[dict]:
    """Log groups below these prefixes with their ``metricFilters`` and ``subscriptionFilters``."""
    found = []
    for prefix in prefixes:
        for group in _all(logs.get_paginator("describe_log_groups"), "logGroups", logGroupNamePrefix=prefix):
            name = group["logGroupName"]
            filters = _all(logs.get_paginator("describe_metric_filters"), "metricFilters", logGroupName=name)
            subscribed = _all(logs.get_paginator("describe_subscription_filters"), "subscriptionFilters", logGroupName=name)
            found.append({"logGroupName": name, "metricFilters": filters, "subscriptionFilters": subscribed})
    return found


def policies(iam, words) -> list[dict]:
    """Policies of this account that have one of the words: ``{holder, holder_name, policy_name, arn, document}``, and ``version``.

    ``holder`` is ``user``, ``role`` or ``group`` for an inline policy, ``policy`` for a managed one, whose default version is given.
    """
    found = []
    pages = iam.get_paginator("get_account_authorization_details").paginate(Filter=["User", "Role", "Group", "LocalManagedPolicy"])
    for page in itertools.islice(pages, MOST_PAGES):
        for holder, list_name, policy_list in (
            ("user", "UserDetailList", "UserPolicyList"),
            ("role", "RoleDetailList", "RolePolicyList"),
            ("group", "GroupDetailList", "GroupPolicyList"),
        ):
            for entry in page.get(list_name, []):
                name = entry[f"{holder.capitalize()}Name"]
                for policy in entry.get(policy_list, []):
                    found.append(_policy(holder, name, policy["PolicyName"], None, policy.get("PolicyDocument")))
        for entry in page.get("Policies", []):
            name = entry.get("PolicyName") or entry["Arn"].rpartition("/")[2]
            for version in entry.get("PolicyVersionList", []):
                if version.get("IsDefaultVersion"):
                    found.append({**_policy("policy", name, name, entry["Arn"], version.get("Document")), "version": version.get("VersionId", "v1")})
        found = _mentioning(found, words)
    return found


def _policy(holder: str, holder_name: str, policy_name: str, arn: str | None, document) -> dict:
    return {"holder": holder, "holder_name": holder_name, "policy_name": policy_name, "arn": arn, "document": document}


def backup_selections(backup, words) -> list[dict]:
    """``BackupSelection`` shapes that have one of the words, with ``BackupPlanId`` and ``BackupPlanName``."""
    found = []
    for plan in _all(backup.get_paginator("list_backup_plans"), "BackupPlansList")[:MOST_BACKUP_PLANS]:
        for entry in _all(backup.get_paginator("list_backup_selections"), "BackupSelectionsList", BackupPlanId=plan["BackupPlanId"]):
            selection = backup.get_backup_selection(BackupPlanId=plan["BackupPlanId"], SelectionId=entry["SelectionId"])["BackupSelection"]
            if _mentioning([selection], words):
                found.append({**selection, "BackupPlanId": plan["BackupPlanId"], "BackupPlanName": plan.get("BackupPlanName", "")})
    return found


def migrations(dms, words) -> dict[str, list[dict]]:
    """DMS: ``Endpoint`` shapes that have one of the words, and the ``ReplicationTask`` shapes that use one of them."""
    endpoints = _mentioning(_all(dms.get_paginator("describe_endpoints"), "Endpoints"), words)
    arns = [endpoint["EndpointArn"].lower() for endpoint in endpoints]
    tasks = _mentioning(_all(dms.get_paginator("describe_replication_tasks"), "ReplicationTasks", WithoutSettings=True), arns) if arns else []
    return {"endpoints": endpoints, "tasks": tasks}


def secrets(secrets_manager, words) -> list[dict]:
    """Entries of ListSecrets (names, descriptions and tags; never values), without those that RDS manages."""
    entries = _all(secrets_manager.get_paginator("list_secrets"), "SecretList")
    return _mentioning([entry for entry in entries if entry.get("OwningService") != "rds"], words)


def rules(events, words) -> list[dict]:
    """Rules of the default event bus, the only one that gets the events of AWS."""
    return _mentioning(_all(events.get_paginator("list_rules"), "Rules"), words)


class RdsOfDependents(Rds):
    """RDS with the reads that binding again needs."""

    def proxy_targets(self, name: str) -> list[dict]:
        """The ``DBProxyTarget`` shapes of one proxy."""
        return proxy_targets(self.read, name)

    def proxy_tags(self, arn: str) -> list[dict]:
        """The tags of one proxy."""
        return self.read.list_tags_for_resource(ResourceName=arn).get("TagList", [])

    def subscription(self, name: str) -> dict:
        """One ``EventSubscription``."""
        return self.read.describe_event_subscriptions(SubscriptionName=name)["EventSubscriptionsList"][0]
