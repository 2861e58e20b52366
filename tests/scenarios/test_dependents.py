# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an instance in other services: listed before, bound again or handed over to its owner afterwards."""

from __future__ import annotations

import json
import shlex

import pytest
from scenario_lab import REGION

BACKUP_ROLE = "arn:aws:iam::123456789012:role/backup"
READS = ("DescribeDBProxies", "DescribeEventSubscriptions", "DescribeAlarms", "DescribeLogGroups",
         "GetAccountAuthorizationDetails", "GET /backup/plans*", "DescribeEndpoints", "ListSecrets", "ListRules")
SURVIVING = ("cpu of prod", "math of prod", "/aws/rds/instance/prod/error: to-kinesis", "nightly: databases", "restarts of prod", "prod-endpoint",
             "prod/app/login")
BY_HAND = ("role app, policy connect", "policy connect-all", "user dba, policy connect-replica",
           "that of prod", "cpu by id", "failures of db-", "prod-cdc", "the-stack")


def connect(*resource_ids) -> dict:
    resources = [f"arn:aws:rds-db:{REGION}:123456789012:dbuser:{resource_id}/app" for resource_id in resource_ids]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": resources}]}


@pytest.fixture
def hung(double):
    """A primary with a replica, on which one of everything hangs; their resource ids."""
    names = ("prod", "prod-replica")
    common = {"IAMDatabaseAuthenticationEnabled": True, "EnabledCloudwatchLogsExports": ["error"], "MonitoringInterval": 60,
              "MonitoringRoleArn": double.plane.seed_role("monitoring"), "PerformanceInsightsEnabled": True}
    stack = [{"Key": f"aws:cloudformation:{key}", "Value": value} for key, value in (("stack-name", "the-stack"), ("logical-id", "Database"))]
    primary = double.seed("prod", TagList=[{"Key": "team", "Value": "a"}, *stack], MasterUserSecret={"SecretStatus": "active"}, **common)
    replica = double.seed_replica("prod-replica", "prod", **common)
    double.seed("other-prod")
    address = double.instances()["prod"]["Endpoint"]["Address"]
    arn = double.instances()["prod"]["DBInstanceArn"]
    secret = double.instances()["prod"]["MasterUserSecret"]["SecretArn"]
    rds = double.client("rds")
    subnets = [subnet["SubnetIdentifier"] for subnet in double.instances()["prod"]["DBSubnetGroup"]["Subnets"]]
    role = double.plane.seed_role("proxy")
    for name in ("prod-proxy", "other-proxy"):
        rds.create_db_proxy(DBProxyName=name, EngineFamily="MYSQL", RoleArn=role, VpcSubnetIds=subnets, Auth=[{"AuthScheme": "SECRETS", "SecretArn": secret}])
    double.plane.advance(200)
    rds.register_db_proxy_targets(DBProxyName="prod-proxy", DBInstanceIdentifiers=["prod"])
    rds.register_db_proxy_targets(DBProxyName="other-proxy", DBInstanceIdentifiers=["other-prod"])
    rds.create_event_subscription(SubscriptionName="events-of-prod", SnsTopicArn="arn:aws:sns:us-east-1:123456789012:t", SourceType="db-instance",
                                  SourceIds=list(names))
    cloudwatch = double.client("cloudwatch")
    dimensions = [{"Name": "DBInstanceIdentifier", "Value": "prod"}]
    usual = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1}
    cloudwatch.put_metric_alarm(AlarmName="cpu of prod", Namespace="AWS/RDS", MetricName="CPUUtilization", Period=60, Statistic="Average",
                                Dimensions=dimensions, **usual)
    cloudwatch.put_metric_alarm(AlarmName="cpu of another", Namespace="AWS/RDS", MetricName="CPUUtilization", Period=60, Statistic="Average",
                                Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "other-prod"}], **usual)
    cloudwatch.put_metric_alarm(AlarmName="math of prod", Metrics=[
        {"Id": "m", "MetricStat": {"Metric": {"Namespace": "AWS/RDS", "MetricName": "ReadIOPS", "Dimensions": dimensions}, "Period": 60, "Stat": "Sum"}},
        {"Id": "e", "Expression": "m * 2"}], **usual)
    logs = double.client("logs")
    for group in ("/aws/rds/instance/prod/error", "/aws/rds/instance/other-prod/error", "RDSOSMetrics"):
        logs.create_log_group(logGroupName=group)
    logs.put_metric_filter(logGroupName="/aws/rds/instance/prod/error", filterName="to-kinesis", filterPattern="ERROR",
                           metricTransformations=[{"metricName": "e", "metricNamespace": "n", "metricValue": "1"}])
    logs.put_metric_filter(logGroupName="RDSOSMetrics", filterName="cpu by id", filterPattern='{ $.instanceResourceID = "%s" }' % primary,
                           metricTransformations=[{"metricName": "c", "metricNamespace": "n", "metricValue": "$.cpuUtilization.total"}])
    iam = double.client("iam")
    iam.create_role(RoleName="app", AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName="app", PolicyName="connect", PolicyDocument=json.dumps(connect(primary)))
    iam.put_role_policy(RoleName="app", PolicyName="anywhere", PolicyDocument=json.dumps(connect("*")))
    iam.create_user(UserName="dba")
    iam.put_user_policy(UserName="dba", PolicyName="connect-replica", PolicyDocument=json.dumps(connect(replica)))
    iam.create_policy(PolicyName="connect-all", PolicyDocument=json.dumps(connect(primary, replica)))
    backup = double.client("backup")
    plan = backup.create_backup_plan(BackupPlan={"BackupPlanName": "nightly", "Rules": [{"RuleName": "r", "TargetBackupVaultName": "v"}]})["BackupPlanId"]
    backup.create_backup_selection(BackupPlanId=plan, BackupSelection={"SelectionName": "databases", "IamRoleArn": BACKUP_ROLE, "Resources": [arn]})
    events = double.client("events")
    events.put_rule(Name="restarts of prod", EventPattern=json.dumps({"source": ["aws.rds"], "detail": {"SourceIdentifier": ["prod"]}}))
    events.put_rule(Name=f"failures of {primary}", EventPattern=json.dumps({"source": ["aws.rds"], "detail": {"id": [primary]}}), Description="it's ours")
    dms = double.client("dms")
    endpoint = dms.create_endpoint(EndpointIdentifier="prod-endpoint", EndpointType="source", EngineName="mysql", ServerName=address)["Endpoint"]["EndpointArn"]
    dms.create_replication_task(ReplicationTaskIdentifier="prod-cdc", SourceEndpointArn=endpoint, TargetEndpointArn="arn:aws:dms:us-east-1:1:endpoint:t",
                                ReplicationInstanceArn="arn:aws:dms:us-east-1:1:rep:i", MigrationType="cdc", TableMappings="{}")
    double.client("secretsmanager").create_secret(Name="prod/app/login", Description=f"login of {address}", SecretString="do-not-read-this-1")
    return {"prod": primary, "prod-replica": replica, "arn": arn}


def on(double, name: str) -> dict:
    return double.client("rds").describe_db_proxy_targets(DBProxyName=name)["Targets"][0]


def test_what_hangs_on_a_topology_is_listed_bound_again_or_handed_over(double, operator, hung):
    rds = double.client("rds")
    # A variant of what AWS does not document: the worse one, in which the name is lost.
    double.plane.settings.update({"subscription_follows_rename": True})
    double.plane.advance(200)
    assert on(double, "prod-proxy")["TargetHealth"]["State"] == "AVAILABLE"

    began = double.now
    plan = operator.run(["prod"], "plan.yml", dependents=True).good().said("prod")
    assert double.mutating(began, accepted=False) == []
    for name in ("prod-proxy", "events-of-prod", *SURVIVING, *BY_HAND):
        assert name in plan, f"the plan does not list {name}:\n{plan}"
    assert "other-proxy" not in plan and "cpu of another" not in plan and "anywhere" not in plan
    assert "[cutover] Register prod with RDS Proxy prod-proxy" in plan

    run = operator.run(["prod"], dependents=True).good()
    there = double.instances()
    assert there["prod"]["KmsKeyId"] == there["prod-replica"]["KmsKeyId"] == double.key()
    target = on(double, "prod-proxy")
    assert (target["RdsResourceId"], target["TargetHealth"]["State"]) == ("prod", "AVAILABLE")
    assert not rds.list_tags_for_resource(ResourceName=rds.describe_db_proxies(DBProxyName="prod-proxy")["DBProxies"][0]["DBProxyArn"])["TagList"]
    listed = rds.describe_event_subscriptions(SubscriptionName="events-of-prod")["EventSubscriptionsList"][0]["SourceIdsList"]
    assert {"prod", "prod-replica"} <= set(listed)
    report = run.said("prod").split("Left to you:")[1]
    for name in BY_HAND:
        assert name in report, f"the report does not list {name}:\n{report}"
    assert "register-db-proxy-targets" not in report, "the proxy is bound, and asked for all the same"
    quoted = [line for line in report.splitlines() if line.strip().startswith("aws ") and '"' in line]
    assert quoted and all(f"[prod] {line.strip()}" in run.output for line in quoted), "a command can only be read as JSON"
    assert not [name for name in SURVIVING if name in report]
    assert "terraform import ADDRESS prod-replica" in report and '"LogicalResourceId": "Database"' in report
    assert "do-not-read-this-1" not in run.output and "secret:rds!db" not in run.output
    obey(double, report)

    began = double.now
    again = operator.run(["prod"], dependents=True).good()
    assert again.changed == {"prod": 0} and double.mutating(began, accepted=False) == []
    left = again.said("prod").split("Left to you:")[1]
    assert not [name for name in BY_HAND[:3] if name in left], f"the policies allow the new resource ids, and are asked for again:\n{left}"


def obey(double, report: str) -> None:
    """Run the commands of the report that this double can run, as a shell would read them."""
    new = {name: double.instances()[name]["DbiResourceId"] for name in ("prod", "prod-replica")}
    iam = double.client("iam")
    commands = [shlex.split(line) for line in report.splitlines() if line.strip().startswith("aws ")]
    for words in commands:
        given = dict(zip(words[3::2], words[4::2], strict=False))
        if words[1:3] == ["iam", "put-role-policy"]:
            iam.put_role_policy(RoleName=given["--role-name"], PolicyName=given["--policy-name"], PolicyDocument=given["--policy-document"])
        elif words[1:3] == ["iam", "put-user-policy"]:
            iam.put_user_policy(UserName=given["--user-name"], PolicyName=given["--policy-name"], PolicyDocument=given["--policy-document"])
        elif words[1:3] == ["iam", "create-policy-version"]:
            iam.create_policy_version(PolicyArn=given["--policy-arn"], PolicyDocument=given["--policy-document"], SetAsDefault=True)
        elif words[1:3] == ["events", "put-rule"]:
            assert json.loads(given["--event-pattern"])["detail"] == {"id": [new["prod"]]} and given["--description"] == "it's ours"
        elif words[1:3] == ["logs", "put-metric-filter"]:
            assert new["prod"] in given["--filter-pattern"]
    assert {tuple(words[1:3]) for words in commands} >= {
        ("iam", "put-role-policy"), ("iam", "put-user-policy"), ("iam", "create-policy-version"), ("events", "put-rule"), ("logs", "put-metric-filter"),
        ("dms", "start-replication-task"), ("cloudformation", "create-change-set"), ("pi", "get-resource-metadata"), ("rds", "describe-db-instances")}


def test_blockers_and_reads_that_are_not_allowed(double, operator, tmp_path, hung):
    """What would break stops every host until it is accepted; what may not be read is a warning that names the permission."""
    rds = double.client("rds")
    rds.create_integration(SourceArn=hung["arn"], TargetArn="arn:aws:redshift:us-east-1:123456789012:namespace:n", IntegrationName="to-redshift")
    rds.create_db_snapshot(DBInstanceIdentifier="prod", DBSnapshotIdentifier="exported")
    double.plane.finish()
    role = double.plane.seed_role("export")
    snapshot = double.snapshots()[0]["DBSnapshotArn"]
    double.plane.settings.update({"export": 10 ** 9})
    rds.start_export_task(ExportTaskIdentifier="exporting", SourceArn=snapshot, S3BucketName="b", IamRoleArn=role, KmsKeyId=double.key())
    began = double.now
    refused = operator.run(["prod"], "plan.yml", dependents=True)
    assert refused.rc != 0
    assert "BLOCKED (zero_etl): zero-ETL integrations: to-redshift" in refused.said("prod")
    assert "BLOCKED (export_task): running exports of snapshots to S3: exporting" in refused.said("prod")
    assert "Nothing was changed on any host" in refused.failure("prod")

    double.faults(*({"operation": read, "service": "*", "kind": "error", "code": "AccessDenied", "http_status": 403, "count": None} for read in READS))
    accepted = operator.run(["prod"], "plan.yml", dependents=True, accepted_dependents=["zero_etl", "export_task"]).good().said("prod")
    assert "zero-ETL integrations (blocks the run): to-redshift" in accepted and "BLOCKED" not in accepted
    for action in ("rds:DescribeDBProxies", "rds:DescribeEventSubscriptions", "cloudwatch:DescribeAlarms", "logs:DescribeLogGroups",
                   "iam:GetAccountAuthorizationDetails", "backup:ListBackupPlans",
                   "dms:DescribeEndpoints", "secretsmanager:ListSecrets", "events:ListRules"):
        assert f"allow {action}" in accepted, f"no warning names {action}:\n{accepted}"
    assert double.mutating(began, accepted=False) == []
