# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Everything that holds data in one region: reading calls only."""

from __future__ import annotations

# What is listed: key in the answer, paginator, and parameters (AWS: Describe* of the RDS API reference).
_LISTS = {
    "instances": ("DBInstances", "describe_db_instances", {}),
    "clusters": ("DBClusters", "describe_db_clusters", {}),
    "snapshots": ("DBSnapshots", "describe_db_snapshots", {}),
    "cluster_snapshots": ("DBClusterSnapshots", "describe_db_cluster_snapshots", {}),
    "backups": ("DBInstanceAutomatedBackups", "describe_db_instance_automated_backups", {}),
}
# DocumentDB and Neptune answer through the same API, and are no business of this collection.
_OTHERS = ("docdb", "neptune")


def list_of(client, what: str) -> list[dict]:
    """All ``instances``, ``clusters``, ``snapshots``, ``cluster_snapshots`` or ``backups`` of the client's region."""
    key, paginator, parameters = _LISTS[what]
    pages = client.get_paginator(paginator).paginate(**parameters)
    return [found for page in pages for found in page.get(key, []) if not str(found.get("Engine", "")).startswith(_OTHERS)]


LISTS = tuple(_LISTS)
