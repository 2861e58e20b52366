# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on an instance: proxies are bound when they are registered, integrations and exports know ARNs."""

from __future__ import annotations

import pytest


def make(lab, name: str = "proxy", **more) -> str:
    """A proxy that is available; answers its ARN."""
    subnets = [subnet["SubnetIdentifier"] for subnet in lab.describe("prod-one")["DBSubnetGroup"]["Subnets"]]
    role = lab.plane.seed_role("proxy")
    arn = lab.rds.create_db_proxy(DBProxyName=name, EngineFamily="MYSQL", RoleArn=role, VpcSubnetIds=subnets, **more)["DBProxy"]["DBProxyArn"]
    lab.advance(lab.plane.settings.proxy + 1)
    return arn


def targets(lab) -> list:
    lab.advance(lab.plane.settings.consistency + lab.plane.settings.proxy_registration + 1)
    found = lab.rds.describe_db_proxy_targets(DBProxyName="proxy")["Targets"]
    return [(target["RdsResourceId"], target["TargetHealth"]["State"], target["Endpoint"].split(".")[0]) for target in found]


def rename(lab, old: str, new: str) -> None:
    lab.rds.modify_db_instance(DBInstanceIdentifier=old, NewDBInstanceIdentifier=new, ApplyImmediately=True)
    lab.finish()


@pytest.mark.parametrize("variant, fenced, swapped", [
    ("bound", ("prod-one", "UNAVAILABLE", "prod-one"), ("prod-one", "UNAVAILABLE", "prod-one")),
    ("name", ("prod-one", "UNAVAILABLE", "prod-one"), ("prod-one", "AVAILABLE", "prod-one")),
    ("identity", ("old-prod-one", "AVAILABLE", "old-prod-one"), ("old-prod-one", "AVAILABLE", "old-prod-one")),
])
def test_a_target_over_a_swap_of_names(lab, refused, variant, fenced, swapped):
    lab.plane.settings.update({"proxy_target": variant})
    lab.seed()
    lab.seed("new-prod-one")
    make(lab)
    lab.rds.register_db_proxy_targets(DBProxyName="proxy", DBInstanceIdentifiers=["prod-one"])
    lab.advance(lab.plane.settings.consistency + 1)
    assert lab.rds.describe_db_proxy_targets(DBProxyName="proxy")["Targets"][0]["TargetHealth"] == {"State": "REGISTERING"}
    assert targets(lab) == [("prod-one", "AVAILABLE", "prod-one")]
    rename(lab, "prod-one", "old-prod-one")
    assert targets(lab) == [fenced]
    rename(lab, "new-prod-one", "prod-one")
    assert targets(lab) == [swapped]
    with refused("DBProxyTargetAlreadyRegisteredFault" if variant != "identity" else "InvalidParameterValue"):
        lab.rds.register_db_proxy_targets(DBProxyName="proxy", DBInstanceIdentifiers=["prod-one"])
    lab.rds.deregister_db_proxy_targets(DBProxyName="proxy", DBInstanceIdentifiers=[swapped[0]])
    with refused("DBProxyTargetNotFoundFault", status=404):
        lab.rds.deregister_db_proxy_targets(DBProxyName="proxy", DBInstanceIdentifiers=[swapped[0]])
    assert targets(lab) == []
    lab.rds.register_db_proxy_targets(DBProxyName="proxy", DBInstanceIdentifiers=["prod-one"])
    assert targets(lab) == [("prod-one", "AVAILABLE", "prod-one")]


def test_what_a_proxy_refuses(lab, refused):
    lab.seed()
    lab.seed("postgres-one", Engine="postgres", EngineVersion="16.4")
    lab.seed("reader", ReadReplicaSourceDBInstanceIdentifier="prod-one", BackupRetentionPeriod=0)
    arn = make(lab)
    wrong = (("nobody", "DBInstanceNotFound", 404), ("postgres-one", "InvalidParameterValue", 400), ("reader", "InvalidDBInstanceState", 400))
    for name, code, status in wrong:
        with refused(code, status=status):
            lab.rds.register_db_proxy_targets(DBProxyName="proxy", DBInstanceIdentifiers=[name])
    with refused("DBProxyNotFoundFault", status=404):
        lab.rds.describe_db_proxy_targets(DBProxyName="another")
    lab.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert lab.rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "a", "Value": "b"}]


def test_integrations_exports_and_backup_selections(lab, refused):
    lab.seed()
    arn = lab.describe("prod-one")["DBInstanceArn"]
    lab.rds.create_integration(SourceArn=arn, TargetArn="arn:aws:redshift:::n", IntegrationName="etl")
    assert lab.rds.describe_integrations()["Integrations"][0]["Status"] == "active"
    rename(lab, "prod-one", "old-prod-one")
    assert lab.rds.describe_integrations()["Integrations"][0]["Status"] == "needs_attention"
    lab.rds.create_db_snapshot(DBInstanceIdentifier="old-prod-one", DBSnapshotIdentifier="exported")
    lab.finish()
    snapshot = lab.rds.describe_db_snapshots(DBSnapshotIdentifier="exported")["DBSnapshots"][0]["DBSnapshotArn"]
    wanted = dict(ExportTaskIdentifier="export", SourceArn=snapshot, S3BucketName="b", KmsKeyId=lab.plane.seed_kms_key("alias/x", "us-east-1"))
    with refused("IamRoleNotFound", status=404):
        lab.rds.start_export_task(IamRoleArn="arn:aws:iam::123456789012:role/nobody", **wanted)
    lab.rds.start_export_task(IamRoleArn=lab.plane.seed_role("export"), **wanted)
    assert lab.rds.describe_export_tasks()["ExportTasks"][0]["Status"] == "STARTING"
    lab.advance(lab.plane.settings.export + 1)
    assert lab.rds.describe_export_tasks()["ExportTasks"][0]["Status"] == "COMPLETE"
    backup = lab.client("backup")
    selection = {"SelectionName": "dbs", "IamRoleArn": "arn:aws:iam::123456789012:role/b", "Resources": [arn]}
    made = backup.create_backup_selection(BackupPlanId="plan", BackupSelection=selection)["SelectionId"]
    assert [entry["SelectionId"] for entry in backup.list_backup_selections(BackupPlanId="plan")["BackupSelectionsList"]] == [made]
    assert backup.get_backup_selection(BackupPlanId="plan", SelectionId=made)["BackupSelection"] == selection
