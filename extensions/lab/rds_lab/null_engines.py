# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data plane of a fleet without database servers."""

from __future__ import annotations


class NullEngines:
    """Has the methods of the data plane and does nothing.

    All methods of a data plane are synchronous and may take seconds; the control plane calls them from the
    thread of a transition, never while it holds its lock. `parameters` are the values in force.
    """

    def supports(self, engine: str) -> bool:
        """Whether a real server stands behind instances of this engine."""
        return False

    def create(self, resource_id, *, engine, engine_version, master_username, master_password, port, parameters) -> None:
        pass

    def stop(self, resource_id) -> None:
        pass

    def start(self, resource_id, *, parameters) -> None:
        pass

    def restart(self, resource_id, *, parameters) -> None:
        pass

    def apply_dynamic(self, resource_id, parameters) -> None:
        pass

    def snapshot(self, resource_id, key) -> None:
        pass

    def copy_snapshot(self, key, new_key) -> None:
        pass

    def delete_snapshot(self, key) -> None:
        pass

    def restore(self, key, resource_id, *, port, parameters, replication="none") -> None:
        pass

    def create_replica(self, source_resource_id, resource_id, *, port, parameters) -> None:
        pass

    def promote(self, resource_id) -> None:
        pass

    def delete(self, resource_id) -> None:
        pass

    def set_master_password(self, resource_id, username, password) -> None:
        pass

    def replication_status(self, resource_id) -> dict:
        return {"status": "replicating", "message": ""}

    def care_for_binary_logs(self, now) -> None:
        pass

    def drop_connections(self, resource_id) -> None:
        pass

    def publish(self, resource_id, dns_name) -> None:
        pass

    def unpublish(self, dns_name) -> None:
        pass

    def endpoint_port(self, resource_id, wanted_port) -> int:
        return wanted_port

    def shutdown(self) -> None:
        pass
