# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane: state, time and the dispatch of requests."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
import traceback

from ..clock import Clock, ClockStopped
from ..null_engines import NullEngines
# The operations register themselves.
from . import (  # noqa: F401  # pylint: disable=unused-import
    answers,
    clusters,
    create,
    dependents,
    describe,
    groups,
    lifecycle,
    logs,
    modify,
    parameters,
    proxies,
    replicas,
    restore,
    roles,
    snapshots,
    streams,
    subscriptions,
    tagging,
    view,
)
from .aws import Neighbours
from .backups import Backups
from .calls import CallLog
from .clusters import Clusters
from .errors import RdsError, instance_not_found, snapshot_not_found
from .faults import Faults
from .metrics import Metrics
from .parameters import Parameters
from .registry import OPERATIONS, Call
from .seeding import Seeding
from .settings import Settings
from .state import Instance, Snapshot, Store
from .watcher import Watcher


class ControlPlane(Seeding, Backups, Clusters, Parameters, Metrics):
    """The RDS API of one account, in all regions.

    Construct with a clock, a data plane (`NullEngines` has the interface) and settings, seed a fleet, then serve::

        plane = ControlPlane(Clock(60), engines, Settings())
        plane.seed_subnet_group("main", region="us-east-1")
        plane.seed_instance({"DBInstanceIdentifier": "prod-one", "Engine": "mysql"}, region="us-east-1", master_password="...")
        server = plane.serve("127.0.0.1", 0)
        server.url
        server.close()

    What is seeded is `available` at once and visible at once. Signatures (see the class `Seeding`)::

        seed_instance(description, *, region, master_password=None, parameters=None) -> DbiResourceId
        seed_parameter_group(name, family, values, region) -> name
        seed_option_group(name, engine, major_version, region, options=()) -> name
        seed_subnet_group(name, vpc_id=None, subnets=None, azs=None, region=None, network_types=("IPV4",)) -> name
        seed_network(name, region, azs=None) -> {"vpc_id": ..., "subnets": [...], "default_security_group": ...}
        seed_security_group(name, region, vpc_id=None, group_id=None) -> id
        seed_kms_key(alias, region, key_id=None) -> ARN
        seed_role(name) -> ARN
        seed_maintenance(name, region, action, description) -> None
        seed_cluster(description, *, region=None) -> DbClusterResourceId
        seed_captured(descriptions, region, passwords=None) -> list of DbiResourceIds

    :param engines: the data plane; its methods are called from threads of transitions and while seeding.
    """

    def __init__(self, clock: Clock | None = None, engines=None, settings: Settings | None = None):
        self.clock = clock or Clock()
        self.engines = engines or NullEngines()
        self.settings = settings or Settings()
        self.lock = threading.RLock()
        self.store = Store()
        self.neighbours = Neighbours(self.settings.account, self.clock, self.settings)
        self.faults = Faults()
        self.calls = CallLog(self.clock)
        self.closed_links: set = set()  # (resource id of an instance, of another that cannot reach it)
        self.watcher = Watcher(self)
        self._threads: set = set()
        self.show_metrics()
        self.watcher.start()

    # Requests

    def answer(self, call: Call) -> dict:
        """The result of a request, as a structure of its output shape.

        :raises RdsError: RDS refuses it.
        """
        function = OPERATIONS.get(call.operation)
        if function is None:
            raise RdsError("NotImplemented", f"The lab does not implement {call.operation}.")
        with self.lock:
            return function(self, call, call.request) or {}

    # Changes

    @contextlib.contextmanager
    def changing(self, *records):
        """Under the lock; what was changed is published when the block is left."""
        with self.lock:
            yield
            self.publish(*records)

    def publish(self, *records) -> None:
        """Reads show the records as they are now once the lag has passed; the caller holds the lock."""
        now = self.clock.now()
        for record in records:
            if isinstance(record, Instance):
                record.publish(now, view.instance_view(self, record))
            elif isinstance(record, Snapshot):
                record.publish(now, view.snapshot_view(self, record))

    def publish_family(self, instance) -> None:
        """Publish an instance and all that show its name."""
        source = self.store.instance(instance.source_id) if instance.source_id else None
        self.publish(instance, *self.store.replicas(instance), *([source] if source else []))

    def spawn(self, record, busy: str, script, failure: str = "failed") -> None:
        """Run a transition in a thread of its own; the caller holds the lock.

        :param busy: what is in progress, until the script has ended.
        :param failure: the status when the data plane fails.
        """
        record.busy = busy
        generation = self.clock.generation

        def run():
            try:
                script(Transition(self, generation))
            except ClockStopped:
                return
            except Exception as problem:
                self._failed(record, busy, failure, problem)
            finally:
                with self.lock:
                    self._threads.discard(threading.current_thread())
                    if generation == self.clock.generation and record.busy == busy:
                        record.busy = ""

        thread = threading.Thread(target=run, name=f"{busy} {record.name}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def spawn_beside(self, record, script) -> None:
        """Run something small beside whatever else happens to a record."""
        generation = self.clock.generation

        def run():
            try:
                script(Transition(self, generation))
            except ClockStopped:
                return
            except Exception:
                with self.lock:
                    self.store.problems.append({"record": record.name, "doing": "beside", "problem": traceback.format_exc()})
            finally:
                with self.lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=f"beside {record.name}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _failed(self, record, busy: str, failure: str, problem: Exception) -> None:
        text = "".join(traceback.format_exception(type(problem), problem, problem.__traceback__))
        with self.changing(record):
            self.store.problems.append({"record": record.name, "doing": busy, "problem": text})
            record.status = failure
        if isinstance(record, Instance):
            self.event(record, ["failure"], f"The DB instance failed while {busy}: {problem}", "RDS-EVENT-0031")

    def event(self, record, categories: list, message: str, _number: str = "", name: str | None = None) -> None:
        """Add an event of an instance or a snapshot; events carry the name of the moment."""
        with self.lock:
            kind = "db-instance" if isinstance(record, Instance) else "db-snapshot"
            label = name or record.name
            self.store.region(record.region).events.append({
                "SourceIdentifier": label,
                "SourceType": kind,
                "Message": message,
                "EventCategories": list(categories),
                "Date": self.clock.time(),
                "SourceArn": view.arn(self, record.region, record.kind, label),
            })

    # Looking up

    def read_moment(self) -> float:
        """The moment whose state a read shows."""
        return self.clock.now() - self.settings.consistency

    def visible(self, record) -> bool:
        """Whether RDS has heard of a record everywhere: a request that names it too early gets NotFound."""
        return bool(record.history) and record.history[0][0] <= self.read_moment()

    def instance(self, region: str, name: str) -> Instance:
        """The instance that has a name now.

        :raises RdsError: DBInstanceNotFound.
        """
        wanted = name.lower()
        if wanted.startswith("arn:"):
            parts = wanted.split(":")
            if len(parts) < 7 or parts[3] != region:
                raise instance_not_found(name)
            wanted = parts[6]
        for instance in self.store.region(region).instances.values():
            if instance.name == wanted and not instance.gone and not instance.hidden and self.visible(instance):
                return instance
        raise instance_not_found(name)

    def snapshot(self, region: str, name: str) -> Snapshot:
        """The snapshot that a name or an ARN names.

        :raises RdsError: DBSnapshotNotFound.
        """
        wanted, where = name.lower(), region
        if wanted.startswith("arn:"):
            parts = wanted.split(":", 6)
            if len(parts) < 7 or parts[4] != self.settings.account:
                raise snapshot_not_found(name)
            where, wanted = parts[3], parts[6].removeprefix("snapshot:")
        snapshot = self.store.region(where).snapshots.get(wanted)
        if snapshot is None or snapshot.gone or not self.visible(snapshot):
            raise snapshot_not_found(name)
        return snapshot

    def name_taken(self, region: str, name: str, by=None) -> bool:
        """Whether a name is held, promised to a rename or not yet free again."""
        state = self.store.region(region)
        held = any(
            instance is not by and not instance.gone and name in (instance.name, instance.reserved)
            for instance in state.instances.values()
        )
        return held or state.released.get(name, 0.0) > self.clock.now()

    def arn(self, record) -> str:
        return view.arn(self, record.region, record.kind, record.name)

    def dns_name(self, region: str, name: str) -> str:
        return f"{name}.{self.settings.account_hash}.{region}.{self.settings.dns_suffix}"

    @staticmethod
    def delta(seconds: float) -> datetime.timedelta:
        return datetime.timedelta(seconds=seconds)

    # Time

    def advance(self, seconds: float) -> None:
        """Let virtual time jump, but stop at every moment that a transition waits for until it has done its step."""
        self._run_until(self.clock.now() + seconds)

    def finish(self, limit: float = 30 * 86400.0) -> None:
        """Let virtual time jump until no transition is left."""
        end = self.clock.now() + limit
        while self._threads and self.clock.now() < end:
            moments = self._quiet()
            if moments:
                self._run_until(min(moments))

    def _run_until(self, end: float) -> None:
        while True:
            moments = self._quiet()
            self.watcher.look()
            following = min(moments, default=end)
            if following >= end:
                self.clock.advance_to(end)
                self._quiet()
                self.watcher.look()
                self._quiet()
                return
            self.clock.advance_to(following)

    def _quiet(self, patience: float = 120.0) -> list:
        """The moments that transitions wait for, once all of them wait."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with self.lock:
                running = {thread.ident for thread in self._threads}
            waiting = self.clock.waiting()
            if running <= set(waiting):
                return [moment for thread, moment in waiting.items() if thread in running]
            time.sleep(0.0005)
        raise TimeoutError("a transition is still at work")

    # Life of the plane

    def reset(self) -> None:
        """Forget everything, here and in the neighbouring services."""
        self.clock.stop()
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(timeout=30)
        with self.lock:
            served = [instance for instance in self.store.instances() if instance.supported]
            keys = [snapshot.key for region in self.store.regions.values() for snapshot in region.snapshots.values() if snapshot.supported]
            self.store = Store()
            self.closed_links.clear()
            self.faults.clear()
            self.calls.clear()
            self.neighbours.reset()
        for instance in served:
            with contextlib.suppress(Exception):
                self.engines.unpublish(instance.dns_name)
            with contextlib.suppress(Exception):
                self.engines.delete(instance.resource_id)
        for key in keys:
            with contextlib.suppress(Exception):
                self.engines.delete_snapshot(key)

    def close(self) -> None:
        """End all transitions; the data plane is shut down by whoever made it."""
        self.watcher.stop()
        self.clock.stop()
        for thread in list(self._threads):
            thread.join(timeout=10)

    def serve(self, host: str = "127.0.0.1", port: int = 0):
        """A running server with `.url` and `.close()`."""
        from .server import Server

        return Server(self, host, port)


class Transition:
    """The means of a script that changes a record over time."""

    def __init__(self, plane: ControlPlane, generation: int):
        self.plane, self.generation = plane, generation

    def wait(self, seconds: float) -> None:
        self.plane.clock.wait(seconds, self.generation)

    def work(self, seconds: float, function=None, *args, **kwargs):
        """Do real work; over only when both the work and the virtual time are done."""
        began = self.plane.clock.now()
        result = None if function is None else function(*args, **kwargs)
        self.plane.clock.wait_until(began + seconds, self.generation)
        return result

    def serve(self, seconds: float, supported: bool, method: str, *args, **kwargs):
        """Like work(), by a method of the data plane where a real server stands behind the record; else only time passes."""
        return self.work(seconds, getattr(self.plane.engines, method) if supported else None, *args, **kwargs)

    def status(self, record, status: str) -> None:
        with self.plane.changing(record):
            record.status = status

    def time(self) -> datetime.datetime:
        return self.plane.clock.time()
