# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a run at any of its changes, let another finish the work, and judge the end from outside.

A change is a mutating AWS call or a mutating SQL statement. The lab freezes the call (fault ``hold_before`` or ``hold_after``), or the arbiter
the statement; the whole process tree of ansible-playbook is killed by SIGKILL; then the connection is dropped.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pathlib
import shutil
import socket
import threading
import time

from rds_lab import fleet as fleets
from rds_lab.clock import Clock
from rds_lab.control.plane import ControlPlane
from rds_lab.control.settings import Settings
from rds_lab.null_engines import NullEngines
from rds_lab.writer import Writer
from scenario_lab import Api, Lab, free_port
from scenario_play import Operator, Run, Running
from scenario_truth import BY_NATURE, BY_RENAME, OF_MULTI_AZ, Database, differences, replicates

HOOK = pathlib.Path(__file__).resolve().parent / "crash_hook"
# How the run is finished that was killed: by the same command; after another kill; by another controller; with an inventory made from AWS.
WAYS = ("same", "again", "elsewhere", "inventory")
MADE_ONCE = ("CreateDBSnapshot", "CopyDBSnapshot", "RestoreDBInstanceFromDBSnapshot", "CreateDBInstanceReadReplica", "Rename")
LIMIT = 300.0
# Strategies that build while the source serves, and what they leave behind until retire. They work by SQL, so they need servers.
FOLLOWING = ("mysql_replication",)
SEEDED = ("new-{}-seed",)


@dataclasses.dataclass(frozen=True)
class Point:
    """A moment to die at: before or after the effect of change ``number`` (counted from 1) of its kind (``aws`` or ``sql``)."""

    kind: str
    number: int
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.kind} {self.number}"


@dataclasses.dataclass
class Outcome:
    """What became of a run that was killed; ``problem`` is None if the work was finished as if nothing had been."""

    point: Point
    way: str
    change: str
    problem: str | None
    seconds: float


class Arbiter:
    """Counts the changing statements of all processes that have the hook, and stops one of them."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._wanted: tuple[int, str] | None = None
        self._held: list[socket.socket] = []
        self._guard = threading.Lock()
        self.count = 0
        self.reached = ""
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to be watched."""
        return {"PYTHONPATH": str(HOOK), "CRASH_ARBITER": "127.0.0.1:%d" % self._socket.getsockname()[1]}

    def arm(self, point: Point | None) -> None:
        """Count anew, and stop at a point."""
        with self._guard:
            self.count, self.reached = 0, ""
            self._wanted = (point.number, point.when) if point and point.kind == "sql" else None

    def release(self) -> None:
        """Let go of whoever is stopped."""
        with self._guard:
            for connection in self._held:
                connection.close()
            self._held.clear()

    def _serve(self) -> None:
        while True:
            connection, _address = self._socket.accept()
            when, _space, rest = connection.makefile().readline().strip().partition(" ")
            with self._guard:
                if when == "before":
                    self.count += 1
                number = self.count if when == "before" else int(rest or 0)
                if self._wanted == (number, when):
                    self._wanted = None
                    self._held.append(connection)
                    self.reached = rest if when == "before" else "statement"
                    continue
            with contextlib.suppress(OSError):
                connection.sendall(f"{number}\n".encode())
            connection.close()


class Plane(Api):
    """A fleet without database servers, in this process, which can be had fresh at once."""

    TIMESCALE = 3000

    def __init__(self, fleet: str):
        self.fleet = fleets.read(fleets.find(fleet))
        self.plane = ControlPlane(Clock(self.TIMESCALE), NullEngines(), Settings())
        self._server = self.plane.serve("127.0.0.1", free_port())
        self.url = self._server.url

    def fresh(self) -> None:
        """The fleet is as it was in the beginning."""
        self.plane.reset()
        settings = Settings()
        settings.update(self.fleet.document.get("settings", {}))
        vars(self.plane.settings).update(vars(settings))
        fleets.Loader(self.plane, NullEngines()).load(self.fleet)

    @property
    def problems(self) -> list:
        return self.plane.store.problems

    def stop(self) -> None:
        self._server.close()


class Served(Lab):
    """A fleet with real database servers, in a lab of its own."""

    TIMESCALE = 1500

    def __init__(self, folder: pathlib.Path, fleet: str):
        self.fleet = fleets.read(fleets.find(fleet))
        shutil.rmtree(folder, ignore_errors=True)
        super().__init__(folder, fleet, self.TIMESCALE)


class Bench:
    """Where runs are killed and finished.

    :param folder: for everything that is written.
    :param engines: whether real database servers stand behind the fleet, and an application writes.
    """

    def __init__(self, folder: pathlib.Path, fleet: str = "small", engines: bool = False, strategy: str = "cold"):
        self.folder = folder
        self.engines = engines
        self._fleet = fleet
        self._strategy = strategy
        self._arbiter = Arbiter() if engines else None
        self._lab: Plane | Served | None = None if engines else Plane(fleet)
        self._runs = 0

    def close(self) -> None:
        """Nothing is left."""
        if self._lab is not None:
            self._lab.stop()

    def count(self) -> dict[str, list[str]]:
        """One run to its end: kind -> the changes that it makes, in words."""
        with self._story() as story:
            began = self._lab.now
            self._operator("clean").run(self._hosts(story.names), limit=LIMIT).good()
            calls = [_in_words(call) for call in self._lab.mutating(began, accepted=False)]
            story.judge()
        return {"aws": calls, "sql": [f"statement {n}" for n in range(1, self._arbiter.count + 1)] if self.engines else []}

    def kill(self, point: Point, way: str = "same") -> Outcome:
        """Kill a run at a point, finish the work in a way, and judge."""
        began = time.monotonic()
        change, problem, run = "", None, None
        with self._story() as story:
            try:
                change = self._until(point, story.names, "killed")
                if way == "again":
                    self._until(Point("aws", 1 + point.number % 3, "after"), story.names, "killed again")
                run = self._finish(way, story.names)
                run.good()
                story.judge()
            except AssertionError as e:
                problem = f"{e}"
                if run is not None and run.rc:
                    problem = f"rc {run.rc}: " + " ".join(run.failure(host) for host in run.recap)[-1500:] + "\n" + run.output[-1500:]
        return Outcome(point, way, change, problem, time.monotonic() - began)

    @contextlib.contextmanager
    def _story(self):
        self._runs += 1
        if self.engines:
            self._lab = Served(self.folder / f"lab-{self._runs}", self._fleet)
            self._arbiter.arm(None)
        else:
            self._lab.fresh()
        story = Story(self._lab, self.engines, SEEDED if self._strategy in FOLLOWING else ())
        try:
            yield story
        finally:
            story.end()
            if self.engines:
                self._lab.stop()
                self._lab = None

    def _operator(self, name: str, **environment: str) -> Operator:
        folder = self.folder / f"{self._runs}-{name.replace(' ', '-')}"
        shutil.rmtree(folder, ignore_errors=True)
        variables = {"rds_encryption_poll_interval": 0.1, "rds_encryption_settle_time": 1, "rds_encryption_strategy": self._strategy}
        if self.engines:
            variables["rds_encryption_login_password"] = "{{ lookup('ansible.builtin.env', 'RDS_LAB_PASSWORD') }}"
            environment = {**self._arbiter.environment, **environment}
        else:
            variables["rds_encryption_database_access"] = False
        return Operator(folder, {**self._lab.environment, **environment}, variables)

    def _hosts(self, names: list[str]) -> dict[str, dict]:
        """Hosts with the login that their databases have."""
        users = {host["name"]: host["user"] for host in self._lab.fleet.hosts()} if self.engines else {}
        plain = {name: name.removeprefix("old-").removeprefix("new-") for name in names}
        return {name: {"rds_encryption_login_user": users.get(plain[name], "admin")} if users else {} for name in names}

    def _until(self, point: Point, names: list[str], what: str) -> str:
        """Run until a point and die there; answers what was about to be done, or nothing if the run ended before."""
        if point.kind == "aws":
            self._lab.faults({"operation": "*", "service": "*", "kind": f"hold_{point.when}", "mutating": True, "skip": point.number - 1})
        else:
            self._arbiter.arm(point)
        running = self._operator(what).start(self._hosts(names))
        change = self._held(running, point)
        running.kill()
        self._lab.admin("DELETE", "faults")
        if self.engines:
            self._arbiter.release()
            self._arbiter.arm(None)
        return change

    def _held(self, running: Running, point: Point) -> str:
        deadline = time.monotonic() + LIMIT
        while running.process.poll() is None:
            assert time.monotonic() < deadline, f"{point} was not reached, and the run did not end"
            held = self._lab.admin("GET", "held")["held"] if point.kind == "aws" else []
            if held:
                return held[0]["operation"]
            if self.engines and self._arbiter.reached:
                return self._arbiter.reached
            time.sleep(0.02)
        return ""

    def _finish(self, way: str, names: list[str]) -> Run:
        if way == "elsewhere":
            home = self.folder / f"home-{self._runs}"
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            return self._operator("elsewhere", HOME=str(home)).run(self._hosts(names), limit=LIMIT)
        if way == "inventory":
            return self._operator("inventory").run(self._hosts(self._listed()), limit=LIMIT)
        return self._operator("finish").run(self._hosts(names), limit=LIMIT)

    def _listed(self) -> list[str]:
        """The identifiers that AWS has now; an instance is hidden for a moment while it is renamed."""
        deadline = time.monotonic() + 60
        while any(each["hidden"] or each["renaming_to"] for each in self._truth() if not each["gone"]):
            assert time.monotonic() < deadline, "an instance is being renamed for ever"
            time.sleep(0.05)
        return sorted(self._lab.instances())

    def _truth(self) -> list[dict]:
        regions = self._lab.admin("GET", "state")["regions"].values()
        return [instance for region in regions for instance in region["instances"].values()]


def _in_words(call: dict) -> str:
    given = call["parameters"]
    return f"{call['operation']} {given.get('DBInstanceIdentifier') or given.get('DBSnapshotIdentifier') or given.get('ResourceName', '')}".strip()


class Story:
    """One fresh fleet: what was true before, and whether the end is right."""

    def __init__(self, lab: Plane | Served, engines: bool, left: tuple[str, ...] = ()):
        self.lab = lab
        self.engines = engines
        self.left = left
        self.before = lab.instances()
        self.names = [name for name, instance in self.before.items() if not instance.get("ReadReplicaSourceDBInstanceIdentifier")]
        self.worlds = {name: self._world(instance) for name, instance in self.before.items()} if engines else {}
        self.writers = [self._writer(name) for name in self.names] if engines else []

    def _world(self, instance: dict) -> dict:
        database = Database(instance, self.lab.password)
        return {"tables": database.tables(), "accounts": database.accounts(), "settings": database.settings()}

    def _writer(self, name: str) -> Writer:
        endpoint = self.before[name]["Endpoint"]
        user = self.lab.fleet.application["user"]
        return Writer(endpoint["Address"], port=endpoint["Port"], user=user, password=self.lab.application_password, workers=2).start()

    def end(self) -> None:
        """Nobody writes any more."""
        for writer in self.writers:
            writer.stop()

    def judge(self) -> None:
        """Everything is encrypted under its name, equal in all but that, made once; the originals are there; no acknowledged write is lost.

        :raises AssertionError: it is not, with what is wrong.
        """
        after, key = self.lab.instances(), self.lab.key()
        wanted = {*self.before, *(f"old-{name}" for name in self.before), *(left.format(name) for left in self.left for name in self.names)}
        assert set(after) == wanted, f"instances: {sorted(after)}"
        for name, was in self.before.items():
            now, old = after[name], after[f"old-{name}"]
            assert (now.get("KmsKeyId"), now["DBInstanceStatus"]) == (key, "available"), f"{name}: {now.get('KmsKeyId')}, {now['DBInstanceStatus']}"
            explained = {*BY_NATURE, *(OF_MULTI_AZ if was["MultiAZ"] else ())}
            unexplained = {member: values for member, values in differences(was, now).items() if member not in explained}
            assert not unexplained, f"{name} differs: {unexplained}"
            assert old["DbiResourceId"] == was["DbiResourceId"] and not old["StorageEncrypted"], f"old-{name} is not the original"
            assert set(differences(was, old)) <= BY_RENAME, f"old-{name} was changed: {differences(was, old)}"
        made = collections.Counter(step for step in self.lab.steps() if step[0] in MADE_ONCE)
        assert set(made.values()) == {1}, f"made more than once: {[step for step, times in made.items() if times > 1]}"
        assert not [action for action, _resource in self.lab.steps() if action.startswith("Delete")], "something was deleted"
        assert not self.lab.problems, f"the lab has problems: {self.lab.problems}"
        if self.engines:
            self._judge_data(after)

    def _judge_data(self, after: dict[str, dict]) -> None:
        for writer in self.writers:
            writer.wait_for(5)
        self.end()
        for writer in self.writers:
            report = writer.verify()
            assert report["ok"] and (report["missing"], report["doubled"]) == (0, 0), f"writes: {report}"
        for name, was in self.worlds.items():
            now = self._world(after[name])
            for part, value in was.items():
                assert now[part] == value, f"{name}: {part} differ"
        for number, (name, instance) in enumerate(self.before.items(), 1):
            source = instance.get("ReadReplicaSourceDBInstanceIdentifier")
            if source:
                replicates(Database(after[source], self.lab.password), Database(after[name], self.lab.password), number)
