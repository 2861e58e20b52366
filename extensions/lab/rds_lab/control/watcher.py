# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens without a request: replication is watched, keys get lost, stopped instances start again."""

from __future__ import annotations

import threading
import time

from . import lifecycle
from .state import Instance


_RUNNING = ("available", "storage-optimization", "backing-up", "modifying")


class Watcher:
    """A thread that looks around now and then, in real time."""

    def __init__(self, plane, interval: float = 0.25):
        self.plane, self.interval = plane, interval
        self._stop = threading.Event()
        self._logs: threading.Thread | None = None
        self._logs_due = (0.0, 0.0)     # in virtual and in real seconds
        self._thread = threading.Thread(target=self._run, name="rds-lab watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(self.interval):
            try:
                self.look()
            except Exception as problem:
                with self.plane.lock:
                    self.plane.store.problems.append({"record": "", "doing": "watching", "problem": repr(problem)})
                self._stop.wait(5)

    def look(self) -> None:
        """Look once at everything."""
        plane = self.plane
        with plane.lock:
            instances = plane.store.instances()
            for instance in instances:
                self._storage(instance)
                self._key(instance)
                self._stopped(instance)
            for region in plane.store.regions.values():
                late = plane.clock.now() - plane.settings.consistency - 60
                region.departed = [record for record in region.departed if record.history[-1][0] > late]
            replicas = [
                instance for instance in instances if instance.supported and instance.source_id and instance.status in _RUNNING
            ]
        for instance in replicas:
            self._replication(instance)
        self._binary_logs()

    def _binary_logs(self) -> None:
        """Binary logs are rotated and purged in virtual time, but every 15 s at most: servers work in real time, and many share a machine."""
        plane, now = self.plane, (self.plane.clock.now(), time.monotonic())
        every = plane.settings.binary_log_rotation
        if not every or self._logs is not None and self._logs.is_alive() or any(now[clock] < self._logs_due[clock] for clock in (0, 1)):
            return
        first, self._logs_due = not any(self._logs_due), (now[0] + every, now[1] + 15)
        if not first:
            self._logs = threading.Thread(target=plane.engines.care_for_binary_logs, args=(now[0],), name="rds-lab binary logs", daemon=True)
            self._logs.start()

    def _storage(self, instance: Instance) -> None:
        if instance.status == "storage-optimization" and not instance.busy and self.plane.clock.now() >= instance.optimizing_until:
            instance.status = "available"
            self.plane.publish(instance)

    def _key(self, instance: Instance) -> None:
        """An instance whose key was disabled becomes inaccessible; seven days later for ever."""
        plane, recoverable = self.plane, "inaccessible-encryption-credentials-recoverable"
        if not instance.facts.get("StorageEncrypted") or instance.status == "creating" or instance.busy:
            return
        if instance.status == recoverable:
            if plane.clock.now() - instance.key_lost_since > plane.settings.kms_grace:
                instance.status = "inaccessible-encryption-credentials"
                plane.publish(instance)
            return
        key = instance.facts.get("KmsKeyId")
        if instance.status not in ("available", "storage-optimization") or plane.neighbours.key_usable(instance.region, key):
            if instance.status in ("available", "storage-optimization"):
                instance.key_lost_since = 0.0
            return
        if not instance.key_lost_since:
            instance.key_lost_since = plane.clock.now()
        elif plane.clock.now() - instance.key_lost_since >= plane.settings.kms_watch:
            instance.status = recoverable
            plane.publish(instance)
            plane.event(instance, ["failure"], f"The KMS key {key} of the DB instance is not accessible.", "RDS-EVENT-0031")
            if instance.supported:
                plane.spawn_beside(instance, lambda _transition: plane.engines.stop(instance.resource_id))

    def _stopped(self, instance: Instance) -> None:
        plane = self.plane
        if instance.status == "stopped" and not instance.busy and (
                plane.clock.now() - instance.stopped_since >= plane.settings.automatic_restart):
            plane.event(instance, ["notification"],
                        "DB instance is being started due to it exceeding the maximum allowed time being stopped.", "RDS-EVENT-0154")
            lifecycle.begin_start(plane, instance)

    def _replication(self, instance: Instance) -> None:
        try:
            found = self.plane.engines.replication_status(instance.resource_id)
        except Exception as problem:
            found = {"status": "error", "message": str(problem)}
        with self.plane.lock:
            if instance.source_id and found != instance.replication:
                if found.get("status") == "stopped":
                    self.plane.event(instance, ["read replica"], "Replication on the read replica was manually stopped.", "RDS-EVENT-0045")
                instance.replication = dict(found)
                self.plane.publish(instance)
