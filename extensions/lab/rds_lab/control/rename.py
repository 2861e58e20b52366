# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rename of an instance: old name, moving, neither name, new name."""

from __future__ import annotations

from . import proxies


def run(plane, transition, instance, new_name: str) -> None:
    """Rename an instance, in the thread of the transition that modifies it.

    Under the old name the status becomes `renaming`, then `rebooting`; then neither name answers; then the new name does.
    Identity, tags and replication stay; endpoint and ARN change, and the names in the links of relatives.
    """
    settings = plane.settings
    old_name, old_dns = instance.name, instance.dns_name
    same = new_name == old_name
    transition.status(instance, "renaming")
    transition.wait(settings.rename / 2)
    if instance.supported and not same:
        plane.engines.unpublish(old_dns)
    transition.status(instance, "rebooting")
    plane.event(instance, ["availability"], "DB instance shutdown", "RDS-EVENT-0004")
    plane.restart(transition, instance, settings.rename / 2)
    if not same:
        with plane.changing(instance):
            instance.hidden = True
        transition.wait(settings.rename_gap)
    new_dns = plane.dns_name(instance.region, new_name)
    if instance.supported and not same:
        if settings.dns_delay:
            plane.spawn_beside(instance, lambda beside: _follow(plane, beside, instance, new_name))
        else:
            plane.engines.publish(instance.resource_id, new_dns)
    with plane.lock:
        instance.name, instance.dns_name, instance.hidden, instance.reserved = new_name, new_dns, False, ""
        instance.hidden_reads, instance.hidden_reads_later = instance.hidden_reads_later, 0
        instance.pending_shown.pop("DBInstanceIdentifier", None)
        instance.status = plane.resting_status(instance)
        state = plane.store.region(instance.region)
        if not same:
            state.released[old_name] = plane.clock.now() + settings.name_release
        if settings.snapshot_name_follows_rename:
            for snapshot in state.snapshots.values():
                if snapshot.facts["DbiResourceId"] == instance.resource_id:
                    snapshot.facts["DBInstanceIdentifier"] = new_name
                    plane.publish(snapshot)
        if instance.resource_id in state.automated_backups:
            state.automated_backups[instance.resource_id].update(DBInstanceIdentifier=new_name, DBInstanceArn=plane.arn(instance))
        if not same:
            proxies.renamed(plane, instance)
        if settings.subscription_follows_rename:
            for subscription in state.subscriptions.values():
                if subscription["SourceType"] == "db-instance" and old_name in subscription["SourceIdsList"]:
                    subscription["SourceIdsList"].remove(old_name)
                    subscription["SourceIdsList"].append(new_name)
        cluster = state.clusters.get(instance.facts.get("DBClusterIdentifier"), {})
        for member in cluster.get("DBClusterMembers", []):
            if member["DBInstanceIdentifier"] == old_name:
                member["DBInstanceIdentifier"] = new_name
        plane.publish_family(instance)
    plane.event(instance, ["availability"], "DB instance restarted", "RDS-EVENT-0006")


def _follow(plane, transition, instance, new_name: str) -> None:
    """The new name leads to its instance at last; the delay is looked at again and again, since whoever has seen enough may shorten it."""
    began = plane.clock.now()
    while (remaining := began + plane.settings.dns_delay - plane.clock.now()) > 0:
        transition.wait(min(30.0, remaining))
    with plane.lock:
        moved_on = instance.gone or instance.name != new_name
    if not moved_on:
        plane.engines.publish(instance.resource_id, plane.dns_name(instance.region, new_name))
