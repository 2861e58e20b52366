# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What hangs on a DB instance, by what it knows the instance, and what becomes of it when the names are swapped.

One row per kind of dependent. The plan, the report and docs/after-the-swap.md are made from these rows. What is keyed by name, ARN or
endpoint follows the name to the encrypted instance; what is keyed by ``DbiResourceId`` stays with the original (RDS guide: Renaming a DB
instance, IAM database authentication).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Key(Enum):
    """By what a dependent knows its instance."""

    NAME = "name"
    ARN = "ARN"
    RESOURCE_ID = "resource id"
    ENDPOINT = "endpoint"
    TAGS = "tags"
    ADDRESS = "IP address"
    SECRET = "secret"


class Fate(Enum):
    """What is to be done about a dependent."""

    SURVIVES = "goes on by itself"
    REBIND = "bound again by the cutover"
    OPERATOR = "to be done by hand"
    BLOCKS = "blocks the run"


@dataclass(frozen=True)
class Kind:
    """One kind of dependent.

    :param kind: its name for machines; also the code of the blocker, and what ``accepted_dependents`` names.
    :param title: its name for people, in the plural.
    :param swap: what happens to it between fence and cutover and afterwards, and what to do; for the plan, the report and the docs.
    :param reads: ``service:Operation`` that finds it, as IAM names it; empty where it is seen in the description of the instance, or
        nowhere (``searched``).
    :param searched: whether the collection looks for it.
    :param commands: what the operator runs, with placeholders for whole words, which ``_plan.dependents`` fills and quotes; none where the
        command depends on what was found, or where there is nothing to run.
    """

    kind: str
    title: str
    key: Key
    fate: Fate
    swap: str
    reads: tuple[str, ...] = ()
    searched: bool = True
    commands: tuple[str, ...] = ()


_NEW_SECRET = "aws rds describe-db-instances --db-instance-identifier {name} --query DBInstances[0].MasterUserSecret.SecretArn --output text"

KINDS = (
    Kind(
        "rds_proxy",
        "RDS Proxies",
        Key.NAME,
        Fate.REBIND,
        "Unavailable from the fence on; or connected to the original still, should its target follow the instance, which AWS does not say: stop what "
        "uses it. After the cutover the name is registered again where the proxy does not reach the encrypted instance by it.",
        ("rds:DescribeDBProxies", "rds:DescribeDBProxyTargets", "rds:ListTagsForResource"),
        commands=(
            "aws rds deregister-db-proxy-targets --db-proxy-name {resource} --db-instance-identifiers {registered}",
            "aws rds register-db-proxy-targets --db-proxy-name {resource} --db-instance-identifiers {name}",
            "aws rds describe-db-proxy-targets --db-proxy-name {resource}",
        ),
    ),
    Kind(
        "event_subscription",
        "RDS event subscriptions",
        Key.NAME,
        Fate.SURVIVES,
        "Goes on by the name. Should RDS list the original's old- name in its place, the cutover adds the name again.",
        ("rds:DescribeEventSubscriptions",),
        commands=("aws rds add-source-identifier-to-subscription --subscription-name {resource} --source-identifier {name}",),
    ),
    Kind(
        "rds_proxy_secret",
        "RDS Proxies that log in with the managed master secret",
        Key.SECRET,
        Fate.OPERATOR,
        "The encrypted instance has a secret of its own: give the proxy the new one in place of the old, and let the proxy's role read it.",
        ("rds:DescribeDBProxies",),
        commands=(
            _NEW_SECRET,
            "aws rds modify-db-proxy --db-proxy-name {resource} --auth AuthScheme=SECRETS,IAMAuth=DISABLED,SecretArn=NEW_SECRET_ARN",
        ),
    ),
    Kind(
        "managed_secret",
        "managed master secrets",
        Key.SECRET,
        Fate.OPERATOR,
        "The encrypted instance has a secret of its own: whoever reads the password by the ARN of the old one is given the new ARN.",
        commands=(_NEW_SECRET,),
    ),
    Kind(
        "iam_connect",
        "IAM policies with rds-db:connect",
        Key.RESOURCE_ID,
        Fate.OPERATOR,
        "They name the resource id, which is a new one: logins with tokens are refused until the policy allows it. The command adds the new id "
        "beside the old; take the old one out when the original is retired. Policies with a wildcard in its place go on.",
        ("iam:GetAccountAuthorizationDetails",),
    ),
    Kind(
        "zero_etl",
        "zero-ETL integrations",
        Key.ARN,
        Fate.BLOCKS,
        "Bound to the original; whether it would follow the name AWS does not say. Delete it before the run and make it again afterwards, or accept "
        "that it is made again by hand.",
        ("rds:DescribeIntegrations",),
    ),
    Kind(
        "export_task",
        "running exports of snapshots to S3",
        Key.ARN,
        Fate.BLOCKS,
        "Let it finish before the fence, or cancel it.",
        ("rds:DescribeExportTasks", "rds:DescribeDBSnapshots"),
        commands=("aws rds describe-export-tasks --export-task-identifier {resource}",),
    ),
    Kind(
        "dms_task",
        "DMS tasks that capture changes",
        Key.ENDPOINT,
        Fate.OPERATOR,
        "The position in the log of changes belongs to the original: stop the task, and let it load anew.",
        ("dms:DescribeEndpoints", "dms:DescribeReplicationTasks"),
        commands=(
            "aws dms stop-replication-task --replication-task-arn {arn}",
            "aws dms start-replication-task --replication-task-arn {arn} --start-replication-task-type reload-target",
        ),
    ),
    Kind(
        "event_rule",
        "EventBridge rules",
        Key.NAME,
        Fate.SURVIVES,
        "Goes on by the name or the ARN.",
        ("events:ListRules",),
    ),
    Kind(
        "event_rule_by_id",
        "EventBridge rules by resource id",
        Key.RESOURCE_ID,
        Fate.OPERATOR,
        "Its pattern has the resource id, which is a new one.",
        ("events:ListRules",),
    ),
    Kind(
        "alarm",
        "CloudWatch alarms",
        Key.NAME,
        Fate.SURVIVES,
        "Goes on by the name; while nobody has the name it lacks data: silence it for the run.",
        ("cloudwatch:DescribeAlarms",),
    ),
    Kind(
        "composite_alarm",
        "composite CloudWatch alarms",
        Key.NAME,
        Fate.SURVIVES,
        "Goes on with the alarms that it is made of.",
        ("cloudwatch:DescribeAlarms",),
    ),
    Kind(
        "log_filter",
        "filters on log groups",
        Key.NAME,
        Fate.SURVIVES,
        "Goes on: the log group has the name.",
        ("logs:DescribeLogGroups", "logs:DescribeMetricFilters", "logs:DescribeSubscriptionFilters"),
    ),
    Kind(
        "log_filter_by_id",
        "filters on Enhanced Monitoring by resource id",
        Key.RESOURCE_ID,
        Fate.OPERATOR,
        "Its pattern has the resource id, which is a new one.",
        ("logs:DescribeMetricFilters", "logs:DescribeSubscriptionFilters"),
    ),
    Kind(
        "log_group_left",
        "log groups of the new- name",
        Key.NAME,
        Fate.OPERATOR,
        "Left over from the time before the cutover, and kept for ever: read what you need, then delete it.",
        ("logs:DescribeLogGroups",),
        commands=("aws logs delete-log-group --log-group-name {resource}",),
    ),
    Kind(
        "enhanced_monitoring",
        "streams of Enhanced Monitoring",
        Key.RESOURCE_ID,
        Fate.OPERATOR,
        "The stream is called like the resource id: what reads it by that reads the new one. The history stays under the old.",
        commands=("aws logs describe-log-streams --log-group-name RDSOSMetrics --log-stream-name-prefix {new_id}",),
    ),
    Kind(
        "performance_insights",
        "Performance Insights",
        Key.RESOURCE_ID,
        Fate.OPERATOR,
        "The history stays with the original; tools and dashboards that ask by resource id ask for the new one.",
        commands=("aws pi get-resource-metadata --service-type RDS --identifier {new_id}",),
    ),
    Kind(
        "backup_selection",
        "AWS Backup selections",
        Key.ARN,
        Fate.SURVIVES,
        "Goes on by the ARN, which has the name: the first backup of the encrypted instance is a full one. Recovery points of before are those of "
        "the unencrypted original.",
        ("backup:ListBackupPlans", "backup:ListBackupSelections", "backup:GetBackupSelection"),
    ),
    Kind(
        "dms_endpoint",
        "DMS endpoints",
        Key.ENDPOINT,
        Fate.SURVIVES,
        "Goes on: the address is the one of before.",
        ("dms:DescribeEndpoints",),
    ),
    Kind(
        "secret",
        "secrets of yours",
        Key.ENDPOINT,
        Fate.SURVIVES,
        "Goes on: host, identifier and password are the ones of before. Its rotation fails while nobody has the name.",
        ("secretsmanager:ListSecrets",),
    ),
    Kind(
        "secret_by_id",
        "secrets of yours that mention the resource id",
        Key.RESOURCE_ID,
        Fate.OPERATOR,
        "Its name, description or a tag has the resource id, which is a new one.",
        ("secretsmanager:ListSecrets",),
        commands=("aws secretsmanager describe-secret --secret-id {resource}",),
    ),
    Kind(
        "cloudformation",
        "CloudFormation stacks",
        Key.NAME,
        Fate.OPERATOR,
        "The stack finds another resource under the name: never update it before the encrypted instance was imported.",
    ),
    Kind(
        "iam_rds",
        "IAM policies on rds: actions",
        Key.ARN,
        Fate.SURVIVES,
        "Go on by ARN, name pattern or tag; old- and new- names may be outside of a pattern.",
        searched=False,
    ),
    Kind(
        "dns",
        "DNS records, application settings, HAProxy, ProxySQL",
        Key.ENDPOINT,
        Fate.SURVIVES,
        "Go on: the address is the one of before, once caches and pools have forgotten that it was gone.",
        searched=False,
    ),
    Kind(
        "by_tag",
        "AWS Backup by tag, schedulers, cost reports",
        Key.TAGS,
        Fate.SURVIVES,
        "Go on; they see the original under its old- name as well, for it has the same tags.",
        searched=False,
    ),
    Kind(
        "by_address",
        "firewalls, PrivateLink and NLB targets by IP",
        Key.ADDRESS,
        Fate.OPERATOR,
        "The network interface is a new one: look up the address of the name and change them.",
        searched=False,
    ),
    Kind(
        "change_consumer",
        "other readers of the log of changes (Debezium, external replicas)",
        Key.ENDPOINT,
        Fate.OPERATOR,
        "The position belongs to the original: a new snapshot or a full load of the reader.",
        searched=False,
    ),
    Kind(
        "terraform",
        "Terraform, Pulumi and CDK",
        Key.RESOURCE_ID,
        Fate.OPERATOR,
        "Their state is kept elsewhere and follows the resource id: never apply a plan that replaces the instance, import the encrypted one.",
        searched=False,
    ),
)

BY_KIND = {row.kind: row for row in KINDS}
