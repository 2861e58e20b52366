# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a record is described: the members of its shape that it has, and no others."""

from __future__ import annotations

import datetime

from . import catalogue


def arn(plane, region: str, kind: str, name: str) -> str:
    return f"arn:aws:rds:{region}:{plane.settings.account}:{kind}:{name}"


def tag_list(tags: dict) -> list:
    return [{"Key": key, "Value": tags[key]} for key in tags]


def link(plane, region: str, other) -> str:
    """How an instance of `region` names another: by name at home, by ARN abroad."""
    return other.name if other.region == region else arn(plane, other.region, "db", other.name)


def zones(plane, region: str) -> list:
    return [f"{region}{letter}" for letter in "abcdef"]


def subnet_group(plane, region: str, name: str) -> dict | None:
    group = plane.store.region(region).subnet_groups.get(name)
    if group is None:
        return None
    result = dict(group)
    result["DBSubnetGroupArn"] = arn(plane, region, "subgrp", name)
    return result


def latest_restorable(first_backup: datetime.datetime, moment: float) -> datetime.datetime:
    """Backups are shipped every five minutes."""
    return max(datetime.datetime.fromtimestamp(moment - moment % 300, datetime.timezone.utc), first_backup)


def status_infos(instance) -> list | None:
    if not (instance.source_id or instance.source_arn) or instance.status == "creating":
        return None
    state = instance.replication.get("status", "replicating")
    info = {"StatusType": "read replication", "Normal": state == "replicating", "Status": state}
    if instance.replication.get("message"):
        info["Message"] = instance.replication["message"]
    return [info]


def instance_view(plane, instance) -> dict | None:
    """One entry of DescribeDBInstances."""
    if instance.gone or instance.hidden and plane.settings.rename_gap_hides_resource_id:
        return None
    settings, result = plane.settings, dict(instance.facts)
    replicas = plane.store.replicas(instance)
    result.update(
        DBInstanceIdentifier=instance.name,
        DBInstanceArn=arn(plane, instance.region, "db", instance.name),
        DbiResourceId=instance.resource_id,
        DBInstanceStatus=instance.status,
        DBParameterGroups=[
            {"DBParameterGroupName": instance.parameter_group, "ParameterApplyStatus": instance.parameter_status}
        ],
        OptionGroupMemberships=[{"OptionGroupName": instance.option_group, "Status": instance.option_status}],
        VpcSecurityGroups=[
            {"VpcSecurityGroupId": group, "Status": instance.security_status} for group in instance.security_groups
        ],
        DBSubnetGroup=subnet_group(plane, instance.region, instance.subnet_group),
        PendingModifiedValues=dict(instance.pending_shown),
        ReadReplicaDBInstanceIdentifiers=sorted(link(plane, instance.region, other) for other in replicas) + instance.foreign_replicas,
        StatusInfos=status_infos(instance),
        AssociatedRoles=[dict(role) for role in instance.roles],
        TagList=tag_list(instance.tags),
        MasterUserSecret=dict(instance.secret) if instance.secret else None,
        _first_backup=instance.first_backup if instance.facts.get("BackupRetentionPeriod") else None,
    )
    if instance.addressed:
        result["Endpoint"] = {"Address": instance.dns_name, "Port": instance.port, "HostedZoneId": settings.hosted_zone}
    source = plane.store.instance(instance.source_id) if instance.source_id else None
    if source is not None or instance.source_arn:
        result["ReadReplicaSourceDBInstanceIdentifier"] = link(plane, instance.region, source) if source else instance.source_arn
    certificate = result.get("CACertificateIdentifier")
    if certificate in catalogue.CERTIFICATES:
        result["CertificateDetails"] = {"CAIdentifier": certificate, "ValidTill": catalogue.certificate_end(certificate)}
    if result.get("MonitoringInterval"):
        result["EnhancedMonitoringResourceArn"] = (
            f"arn:aws:logs:{instance.region}:{settings.account}:log-group:RDSOSMetrics:log-stream:{instance.resource_id}"
        )
    result["_hidden"] = instance.hidden
    return {name: item for name, item in result.items() if item is not None}


def snapshot_view(plane, snapshot) -> dict | None:
    """One entry of DescribeDBSnapshots; the progress is computed when it is read."""
    if snapshot.gone:
        return None
    result = dict(snapshot.facts)
    result.update(
        DBSnapshotIdentifier=snapshot.name,
        DBSnapshotArn=arn(plane, snapshot.region, "snapshot", snapshot.name),
        Status=snapshot.status,
        TagList=tag_list(snapshot.tags),
        _began=snapshot.began,
        _duration=snapshot.duration,
    )
    return {name: item for name, item in result.items() if item is not None}


def shown(record_view: dict | None, moment: float) -> dict | None:
    """A view as it goes on the wire."""
    if record_view is None:
        return None
    result = {name: item for name, item in record_view.items() if not name.startswith("_")}
    if record_view.get("_first_backup"):
        result["LatestRestorableTime"] = latest_restorable(record_view["_first_backup"], moment)
    if "_began" in record_view:
        if result["Status"] == "available":
            result["PercentProgress"] = 100
        elif record_view["_duration"]:
            done = (moment - record_view["_began"]) / record_view["_duration"]
            result["PercentProgress"] = int(max(0, min(99, 100 * done)))
        else:
            result["PercentProgress"] = 0
    return result
