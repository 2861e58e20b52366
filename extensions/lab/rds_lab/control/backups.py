# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Automated backups, and what else happens by itself."""

from __future__ import annotations

import random

from . import catalogue, checks, view
from .errors import instance_state


class Backups:
    """The part of the control plane that keeps automated backups and common endings of changes."""

    random = random.Random()

    def back_up(self, transition, instance, seconds: float) -> None:
        """An automated backup; in the thread of a transition, with the status set by the caller."""
        from . import snapshots

        self.event(instance, ["backup"], "Backing up DB instance", "RDS-EVENT-0001")
        with self.lock:
            moment = self.clock.time().strftime("%Y-%m-%d-%H-%M")
            name = f"rds:{instance.name}-{moment}"
            tags = dict(instance.tags) if instance.facts["CopyTagsToSnapshot"] else {}
            state = self.store.region(instance.region)
            snapshot = None if name in state.snapshots else snapshots.make(self, instance, name, tags, "automated")
            if snapshot:
                snapshot.duration = seconds
                self.publish(snapshot)
        transition.serve(seconds, instance.supported and snapshot is not None, "snapshot", instance.resource_id, snapshot and snapshot.key)
        with self.changing(instance, *([snapshot] if snapshot else [])):
            if snapshot:
                snapshot.status = "available"
            if instance.first_backup is None:
                instance.first_backup = self.clock.time()
            self.note_automated_backup(instance)
        self.event(instance, ["backup"], "Finished DB Instance backup", "RDS-EVENT-0002")

    def note_automated_backup(self, instance) -> None:
        """Point-in-time recovery belongs to the resource id; the caller holds the lock."""
        facts = instance.facts
        entry = {
            "DBInstanceArn": self.arn(instance), "DbiResourceId": instance.resource_id, "Region": instance.region,
            "DBInstanceIdentifier": instance.name, "AllocatedStorage": facts["AllocatedStorage"], "Status": "active",
            "Port": instance.port, "AvailabilityZone": facts.get("AvailabilityZone"), "InstanceCreateTime": facts["InstanceCreateTime"],
            "MasterUsername": facts["MasterUsername"], "Engine": facts["Engine"], "EngineVersion": facts["EngineVersion"],
            "LicenseModel": facts["LicenseModel"], "OptionGroupName": instance.option_group, "Encrypted": facts["StorageEncrypted"],
            "StorageType": facts["StorageType"], "KmsKeyId": facts.get("KmsKeyId"),
            "IAMDatabaseAuthenticationEnabled": facts["IAMDatabaseAuthenticationEnabled"],
            "BackupRetentionPeriod": facts["BackupRetentionPeriod"], "PreferredBackupWindow": facts["PreferredBackupWindow"],
            "DBInstanceAutomatedBackupsArn": view.arn(self, instance.region, "auto-backup", "ab-" + instance.resource_id[3:].lower()),
            "RestoreWindow": {"EarliestTime": instance.first_backup, "LatestTime": self.clock.time()},
        }
        self.store.region(instance.region).automated_backups[instance.resource_id] = {
            name: item for name, item in entry.items() if item is not None}

    def drop_automated_backups(self, instance) -> None:
        """Backups are switched off, or deleted with their instance; the caller holds the lock."""
        from . import snapshots

        instance.first_backup = None
        state = self.store.region(instance.region)
        state.automated_backups.pop(instance.resource_id, None)
        for snapshot in list(state.snapshots.values()):
            if snapshot.facts["SnapshotType"] == "automated" and snapshot.facts["DbiResourceId"] == instance.resource_id:
                snapshots.remove(self, snapshot)

    def remember_gone(self, record) -> None:
        """What is deleted still answers late reads for as long as they are late."""
        self.store.region(record.region).departed.append(record)

    def resting_status(self, instance) -> str:
        """The status of an instance that nothing is being done to."""
        return "storage-optimization" if self.clock.now() < instance.optimizing_until else "available"

    def server_parameters(self, instance, values: dict | None = None, retention: int | None = None) -> dict:
        """What a server is started with: the values in force; without backups there is no binary log."""
        result = dict(instance.in_force if values is None else values)
        days = instance.facts["BackupRetentionPeriod"] if retention is None else retention
        if catalogue.is_mysql_like(instance.engine) and not days:
            result["log_bin"] = "0"
        return result

    def restart(self, transition, instance, seconds: float, retention: int | None = None) -> None:
        """Really restart the server: connections are cut, static parameters come into force.

        :param retention: the days of backups that hold from now on.
        """
        with self.lock:
            values = self.group_values(instance)
            started_with = self.server_parameters(instance, values, retention)
        transition.serve(seconds, instance.supported, "restart", instance.resource_id, parameters=started_with)
        with self.changing(instance):
            instance.in_force = values
            if instance.parameter_status != "failed-to-apply":
                instance.parameter_status = "in-sync"

    def join_domain(self, transition, instance) -> None:
        transition.wait(self.settings.domain_join)
        with self.changing(instance):
            for member in instance.facts["DomainMemberships"]:
                member["Status"] = "joined"

    def open_maintenance_window(self, region: str, name: str) -> None:
        """The maintenance window of an instance opens: what waited for it happens."""
        from . import modify

        with self.lock:
            instance = self.instance(region, name)
            checks.ready(instance)
            actions = self.store.region(region).maintenance.pop(instance.resource_id, [])
            work, instance.pending = dict(instance.pending), {}
            reboot = instance.parameter_status == "pending-reboot" or bool(actions)
            if not work and not reboot:
                raise instance_state(f"nothing waits for the maintenance window of {name}")
            modify.apply(self, instance, {}, work, restart=reboot, status="maintenance" if actions else "modifying")
