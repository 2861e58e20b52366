# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB clusters: described as they were seeded. The operations that change them are not part of the lab."""

from __future__ import annotations

from . import view
from .describe import filters, page, short
from .errors import RdsError
from .registry import operation


@operation("DescribeDBClusters")
def describe(plane, call, request):
    wanted = filters(request, ("clone-group-id", "db-cluster-id", "db-cluster-resource-id", "domain", "engine"))
    clusters = plane.store.region(call.region).clusters
    found = list(clusters.values())
    if request.get("DBClusterIdentifier"):
        name = short(request["DBClusterIdentifier"])
        found = [cluster for cluster in found if name in (cluster["DBClusterIdentifier"], cluster["DbClusterResourceId"].lower())]
        if not found:
            raise RdsError("DBClusterNotFoundFault", f"DBCluster {request['DBClusterIdentifier']} not found.")
    members = {"db-cluster-id": "DBClusterIdentifier", "db-cluster-resource-id": "DbClusterResourceId", "engine": "Engine"}
    for filter_name, texts in wanted.items():
        member = members.get(filter_name)
        found = [cluster for cluster in found if member and cluster.get(member, "").lower() in [short(text) for text in texts]]
    shown, marker = page(request, found, lambda cluster: cluster["DBClusterIdentifier"])
    entries = [{name: item for name, item in cluster.items() if not name.startswith("_")} for cluster in shown]
    return {"DBClusters": entries, "Marker": marker}


@operation("DescribeDBClusterEndpoints")
def endpoints(_plane, _call, _request):
    return {"DBClusterEndpoints": []}


@operation("DescribeDBClusterSnapshots")
def cluster_snapshots(_plane, _call, request):
    if request.get("DBClusterSnapshotIdentifier"):
        raise RdsError("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {request['DBClusterSnapshotIdentifier']} not found.")
    return {"DBClusterSnapshots": []}


@operation("DescribeGlobalClusters")
def global_clusters(_plane, _call, _request):
    return {"GlobalClusters": []}


class Clusters:
    """The part of the control plane that seeds clusters."""

    def seed_cluster(self, description: dict, *, region: str | None = None) -> str:
        """Add a cluster in the shape of one entry of DescribeDBClusters; its members are seeded as instances with DBClusterIdentifier."""
        from .state import new_resource_id

        region = region or self.settings.default_region
        name = description["DBClusterIdentifier"].lower()
        with self.lock:
            facts = {
                "Engine": "aurora-mysql", "Status": "available", "StorageEncrypted": False, "DBClusterMembers": [], "MultiAZ": False,
                "DbClusterResourceId": new_resource_id("cluster-"), "Port": 3306, "MasterUsername": "admin", "BackupRetentionPeriod": 1,
                "Endpoint": f"{name}.cluster-{self.settings.account_hash}.{region}.{self.settings.dns_suffix}",
                **self._at_home(description), "DBClusterIdentifier": name, "DBClusterArn": view.arn(self, region, "cluster", name),
            }
            self.store.region(region).clusters[name] = facts
        return facts["DbClusterResourceId"]
