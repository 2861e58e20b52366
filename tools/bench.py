# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure encrypt.yml on fleets of the lab, against the time that RDS itself needs, and against the same job in amazon.aws modules.

    make bench [SIZES=1,10,50,100] [WHO=ours,amazon.aws,slow,outage]

Fleets of primaries of 20 to 400 GiB, every third with a replica, without database servers, with the lab's durations (a copy takes 11 to 30
minutes, a restore 20, a replica 22; extensions/lab/rds_lab/control/settings.py) and quotas that have room for the fleet. Everything else is
as an operator has it: the playbooks, their defaults, ansible's own five forks.

Time. A clock that simply runs faster would multiply the time that the measured program computes. Here virtual time goes on as real time does
while the program (its whole process tree) or the lab computes, on the processors of this machine; where it is busy with other work, by no more than
the processor seconds of both, one after the other. It skips only while all of them sleep: tools/bench/clock puts the
program's longer sleeps into the hands of the keeper of the time (below), which, once nothing of the program and of the lab is at work, moves
the clocks of both (the lab's step by step: no transition is skipped) to the next moment at which somebody wants to be woken. So intervals and
limits are the shipped ones, in seconds of AWS, and the time that we compute counts in full, the lab's own with it.

Reported for each fleet: fence to cutover (from the first rename away to the moment when the last name is available again) against the critical
path, which is what an operator needs on the same lab who does only what must be done (rename, restart, snapshot, copy, restore, modification,
restart, replica and its modification, rename), knows every moment at which RDS is ready, and costs no time himself; user and system seconds of
the whole process tree; its peak memory (PSS, each page counted once); calls by operation, on average and in the worst ten seconds of virtual
time. "Others" are the calls besides DescribeDBInstances and DescribeDBSnapshots, with which every wait is made.

What waiting costs is seen by "slow": ours, one source, where all that takes minutes by its size takes ten times as long.

At last, unless WHO leaves it out, the write outage of each strategy on real servers (tools/outage.py).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import json
import mmap
import os
import pathlib
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "extensions" / "lab"))

from rds_lab.cli import ACCESS_KEY, SECRET_KEY  # noqa: E402
from rds_lab.clock import Clock  # noqa: E402
from rds_lab.control.plane import ControlPlane  # noqa: E402
from rds_lab.control.registry import Call  # noqa: E402
from rds_lab.control.settings import Settings  # noqa: E402
from rds_lab.null_engines import NullEngines  # noqa: E402

SLOW, OUTAGE = "slow", "outage"
JOBS = ("ours", "amazon.aws", SLOW, OUTAGE)
REGION = "us-east-1"
LONG_OPERATIONS = ("snapshot", "snapshot_per_gib", "copy", "copy_per_gib", "restore", "baseline_backup", "backup", "replica")
SLOWER = 10
ROOM = {"instances": 1000, "allocated_storage": 1000000, "manual_snapshots": 1000, "copies_in_progress": 1000}
SHARED = {
    "Engine": "mariadb", "EngineVersion": "10.11.14", "DBInstanceClass": "db.m6g.large", "StorageType": "gp3", "AvailabilityZone": "us-east-1a",
    "DBSubnetGroup": {"DBSubnetGroupName": "bench"}, "VpcSecurityGroups": [{"VpcSecurityGroupId": "security-group/bench", "Status": "active"}],
    "DBParameterGroups": [{"DBParameterGroupName": "bench", "ParameterApplyStatus": "in-sync"}],
    "PreferredBackupWindow": "01:00-01:30", "PreferredMaintenanceWindow": "sun:03:00-sun:03:30",
}


def durations(job: str) -> dict[str, float]:
    """The settings of the lab in which the time of a job differs from the lab's own."""
    return {name: SLOWER * getattr(Settings(), name) for name in LONG_OPERATIONS} if job == SLOW else {}


def fleet_of(size: int, job: str = "ours") -> dict:
    """A fleet file with so many primaries, every third with a replica."""
    instances = []
    for number in range(1, size + 1):
        name = f"bench-{number:03}"
        instances.append({**SHARED, "DBInstanceIdentifier": name, "AllocatedStorage": 20 + 95 * (number % 5), "BackupRetentionPeriod": 7,
                          "CopyTagsToSnapshot": True, "TagList": [{"Key": "service", "Value": name}]})
        if number % 3 == 1:
            instances.append({**SHARED, "DBInstanceIdentifier": f"{name}-replica", "ReadReplicaSourceDBInstanceIdentifier": name,
                              "AllocatedStorage": instances[-1]["AllocatedStorage"], "BackupRetentionPeriod": 0})
    return {
        "name": f"bench{size}", "group": "bench", "region": REGION, "kms_keys": ["prod-rds"], "settings": {**ROOM, **durations(job)}, "instances": instances,
        "subnet_groups": {"bench": {"zones": ["us-east-1a", "us-east-1b"]}}, "security_groups": {"bench": "bench"},
        "parameter_groups": {"bench": {"family": "mariadb10.11", "values": {"max_connections": 80}}},
    }


# -- the keeper of the time --------------------------------------------------------------------------------------------------------------


def _children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):  # it may end at any moment, as may each of its threads
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return found


def tree_of(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for each in found:
        found += _children(each)
    return found


def _processor_seconds(pid: int) -> float:
    """What a process has computed so far; the kernel's clock of another process has the number (~pid << 3) | 2."""
    return time.clock_gettime((~pid << 3) | 2)


def _all_seconds(pid: int) -> float:
    """What a process and those of its children that it has waited for have computed so far."""
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _is_at_work(pid: int) -> bool:
    """Whether a thread of a process is running or ready to run."""
    try:
        threads = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return True  # it is just ending
    for thread in threads:
        with contextlib.suppress(OSError):
            if (thread / "stat").read_text().rpartition(")")[2].split()[0] in ("R", "D"):
                return True
    return False


class Keeper(threading.Thread):
    """The clock of the lab and of one program: goes on by what both compute, and skips to the next moment at which somebody wants to wake up.

    The parent of all processes of ansible-playbook looks for results a thousand times a second while it waits: that is sleep, too, as long
    as no process comes or goes.
    """

    LOOK_EVERY = 0.012
    QUIET_LOOKS = 2
    TOGETHER = 0.3      # seconds: who wants to wake up so little later is woken with the first

    def __init__(self, folder: pathlib.Path, lab: Lab):
        super().__init__(daemon=True)
        self._lab = lab
        self.now = self._sent = time.monotonic()
        (folder / "began").write_text(f"{self.now} {time.time()}")
        (folder / "now").write_bytes(struct.pack("d", self.now))
        with open(folder / "now", "r+b") as file:
            self._shown = mmap.mmap(file.fileno(), 8)
        self._lab.admin("POST", "clock", {"timescale": 0})
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / "keeper"))
        self._server.listen(512)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._sleepers: dict[socket.socket, float] = {}
        self._ended = threading.Event()
        self.root: int | None = None
        self.skipped = 0.0
        self._used = 0.0
        # Of the time since the last jump: when it began, what was computed in it, and how much of that has gone by on the clock.
        self._since, self._computed, self._gone = time.monotonic(), 0.0, 0.0
        self.jumps = 0
        self._before: dict[int, float] = {}
        self._same_since = time.monotonic()

    def end(self) -> None:
        self._ended.set()
        self.join()
        self._selector.close()
        for each in (self._server, *self._sleepers):
            each.close()

    def run(self) -> None:
        quiet, looked = 0, time.monotonic()
        while not self._ended.is_set():
            moved = self._listen(self.LOOK_EVERY)
            now = time.monotonic()
            if now - looked < self.LOOK_EVERY and not moved:
                continue
            quiet = quiet + 1 if not moved and self._all_sleep(now - looked) else 0
            looked = now
            self._count()
            if quiet >= self.QUIET_LOOKS and self._sleepers:
                self._jump()
                quiet, looked = 0, time.monotonic()
            self._wake(self.now)

    def _listen(self, patience: float) -> bool:
        moved = False
        for key, _events in self._selector.select(patience):
            if key.fileobj is self._server:
                connection, _address = self._server.accept()
                self._selector.register(connection, selectors.EVENT_READ)
            else:
                word = key.fileobj.recv(8)
                if len(word) == 8:
                    self._sleepers[key.fileobj] = struct.unpack("d", word)[0]
                else:
                    self._forget(key.fileobj)
            moved = True
        return moved

    def _forget(self, sleeper: socket.socket) -> None:
        self._sleepers.pop(sleeper, None)
        self._selector.unregister(sleeper)
        sleeper.close()

    def _wake(self, until: float) -> None:
        for sleeper in [each for each, moment in self._sleepers.items() if moment <= until]:
            with contextlib.suppress(OSError):
                sleeper.send(b"!")
            self._forget(sleeper)

    def _all_sleep(self, elapsed: float) -> bool:
        if self.root is None:
            return False
        try:
            tree = tree_of(self.root)
            seconds = {pid: _processor_seconds(pid) for pid in (*tree, self._lab.pid)}
        except OSError:
            return False
        before, self._before = self._before, seconds
        now = time.monotonic()
        if set(before) != set(seconds):
            self._same_since = now
            return False
        used = {pid: seconds[pid] - before[pid] for pid in seconds}
        settled = now - self._same_since > 0.3
        for pid in seconds:
            if pid == self.root:
                if used[pid] > 0.25 * elapsed and not settled:
                    return False
            elif used[pid] > 0.1 * elapsed or _is_at_work(pid):
                return False
        return True

    def _count(self) -> None:
        """Computing takes the time that it really takes, waiting for what else the machine does left out."""
        if self.root is None:
            return
        # A process that ended and was not waited for yet is missing for a moment.
        used = max(self._used, sum(map(_all_seconds, (*tree_of(self.root), self._lab.pid))))
        self._computed += used - self._used
        self._used = used
        gone = min(self._computed, time.monotonic() - self._since)
        self._go_on(max(0.0, gone - self._gone))
        self._gone = max(gone, self._gone)

    def _go_on(self, seconds: float, *, at_once: bool = False) -> None:
        self.now += seconds
        if at_once or self.now - self._sent > 0.25:
            self._lab.admin("POST", "clock", {"advance": self.now - self._sent})
            self._sent = self.now
        self._shown[:] = struct.pack("d", self.now)

    def _jump(self) -> None:
        first = min(self._sleepers.values())
        if first > self.now:
            self.skipped += first - self.now
            self._go_on(first - self.now, at_once=True)
            self.jumps += 1
        self._wake(first + self.TOGETHER)
        self._since, self._computed, self._gone = time.monotonic(), 0.0, 0.0


# -- the lab -----------------------------------------------------------------------------------------------------------------------------


class Lab:
    """A lab without database servers, as a process of its own, at the speed of AWS."""

    def __init__(self, folder: pathlib.Path, size: int, job: str):
        self._folder = folder / "lab"
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        (folder / "fleet.json").write_text(json.dumps(fleet_of(size, job)))
        self._command("start", "--fleet", str(folder / "fleet.json"), "--timescale", "1", "--engines", "off")
        self.pid = json.loads((self._folder / "lab.json").read_text())["pid"]

    def _command(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "rds_lab", name, "--port", str(self._port), "--directory", str(self._folder), *arguments],
            env={**os.environ, "PYTHONPATH": str(TOP / "extensions" / "lab")}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        if done.returncode:
            sys.exit(f"rds_lab {name}:\n{done.stdout}")

    def stop(self) -> None:
        self._command("stop")

    def admin(self, method: str, path: str, data=None) -> dict:
        """An answer of the lab's own endpoints."""
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_lab/{path}", data=body, method=method), timeout=600) as answer:
            return json.loads(answer.read())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -- the operator who needs no time ------------------------------------------------------------------------------------------------------


class Perfect:
    """Does what must be done to one instance of a lab whose clock stands still, at the first moment at which RDS lets him."""

    def __init__(self, gib: int, job: str):
        self.plane = ControlPlane(Clock(0), NullEngines(), Settings(**durations(job)))
        self.plane.seed_kms_key("alias/prod-rds", REGION)
        self.plane.seed_instance({"DBInstanceIdentifier": "one", "Engine": "mariadb", "EngineVersion": "10.11.14", "AllocatedStorage": gib,
                                  "DBInstanceClass": "db.m6g.large", "StorageType": "gp3", "BackupRetentionPeriod": 7}, region=REGION)

    def _do(self, operation: str, **parameters) -> None:
        self.plane.answer(Call(operation, REGION, parameters, self.plane.clock.now()))

    def _until(self, is_done) -> None:
        while not is_done():
            self.plane._run_until(min(self.plane._quiet()))

    def _ready(self, name: str) -> None:
        def is_ready():
            record = next((each for each in self.plane.store.regions[REGION].instances.values() if each.name == name), None)
            return record is not None and record.status == "available" and not record.busy and not record.pending

        self._until(is_ready)

    def _snapshot_ready(self, name: str) -> None:
        self._until(lambda: self.plane.store.regions[REGION].snapshots[name].status == "available")

    def seconds(self, with_replica: bool) -> dict[str, float]:
        """What each operation takes, in order."""
        taken = {}
        now = self.plane.clock.now()

        def note(what):
            nonlocal now
            taken[what], now = self.plane.clock.now() - now, self.plane.clock.now()

        self._do("ModifyDBInstance", DBInstanceIdentifier="one", NewDBInstanceIdentifier="old-one", ApplyImmediately=True)
        self._ready("old-one")
        note("rename away")
        self._do("RebootDBInstance", DBInstanceIdentifier="old-one")
        self._ready("old-one")
        note("restart")
        self._do("CreateDBSnapshot", DBInstanceIdentifier="old-one", DBSnapshotIdentifier="plain")
        self._snapshot_ready("plain")
        note("snapshot")
        self._do("CopyDBSnapshot", SourceDBSnapshotIdentifier="plain", TargetDBSnapshotIdentifier="copy", KmsKeyId="alias/prod-rds")
        self._snapshot_ready("copy")
        note("copy")
        self._do("RestoreDBInstanceFromDBSnapshot", DBInstanceIdentifier="new-one", DBSnapshotIdentifier="copy")
        self._ready("new-one")
        note("restore")
        self._do("ModifyDBInstance", DBInstanceIdentifier="new-one", PreferredBackupWindow="01:00-01:30",
                 PreferredMaintenanceWindow="sun:03:00-sun:03:30", ApplyImmediately=True)
        self._ready("new-one")
        note("modification")
        if with_replica:
            self._do("CreateDBInstanceReadReplica", DBInstanceIdentifier="new-two", SourceDBInstanceIdentifier="new-one")
            self._ready("new-two")
            note("replica")
            # Both windows: the one that RDS chose for a new instance may overlap the other.
            self._do("ModifyDBInstance", DBInstanceIdentifier="new-two", PreferredBackupWindow="01:00-01:30",
                     PreferredMaintenanceWindow="sun:03:00-sun:03:30", ApplyImmediately=True)
            self._ready("new-two")
            note("modification of the replica")
        self._do("ModifyDBInstance", DBInstanceIdentifier="new-one", NewDBInstanceIdentifier="one", ApplyImmediately=True)
        self._ready("one")
        note("rename back")
        self.plane.close()
        return taken


def critical_path(size: int, job: str = "ours") -> tuple[float, float, dict[str, float]]:
    """Seconds of the slowest topology of a fleet, those of its last rename, and its operations."""
    kinds = {}
    for entry in fleet_of(size)["instances"]:
        if "ReadReplicaSourceDBInstanceIdentifier" not in entry:
            kinds[entry["DBInstanceIdentifier"]] = (entry["AllocatedStorage"], False)
        else:
            kinds[entry["ReadReplicaSourceDBInstanceIdentifier"]] = (entry["AllocatedStorage"], True)
    paths = [Perfect(gib, job).seconds(replica) for gib, replica in sorted(set(kinds.values()))]
    slowest = max(paths, key=lambda path: sum(path.values()))
    return sum(slowest.values()), slowest["rename back"], slowest


# -- the measured program ----------------------------------------------------------------------------------------------------------------


class Program:
    """One run of ansible-playbook, and what it used."""

    def __init__(self, arguments: list[str], folder: pathlib.Path, lab: Lab, keeper: Keeper):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_", "RDS_LAB_", "PYTHON"))}
        environment |= {
            "AWS_ENDPOINT_URL": lab.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION,
            "ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH") or sysconfig.get_paths()["purelib"],
            "ANSIBLE_HOME": str(folder / "ansible"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false",
            "BENCH_CLOCK": str(folder), "PYTHONPATH": str(TOP / "tools" / "bench" / "clock"),
        }
        self.output = folder / "output"
        began = time.monotonic()
        with open(self.output, "wb") as file:
            program = pathlib.Path(sys.executable).parent / "ansible-playbook"
            process = subprocess.Popen([str(program), *arguments], env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=file,
                                       stderr=subprocess.STDOUT)
        keeper.root = process.pid
        self.peak = 0.0
        try:
            while True:
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                self.peak = max(self.peak, sum(map(_resident_mib, tree_of(process.pid))))
                time.sleep(0.5)
        except BaseException:
            for pid in tree_of(process.pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        self.rc = process.returncode
        self.cpu = used.ru_utime + used.ru_stime
        self.real = time.monotonic() - began


def _resident_mib(pid: int) -> float:
    """Memory of a process, what it shares with others counted in proportion."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _arguments(job: str, folder: pathlib.Path, size: int) -> list[str]:
    fleet = fleet_of(size)["instances"]
    names = [entry["DBInstanceIdentifier"] for entry in fleet if "ReadReplicaSourceDBInstanceIdentifier" not in entry]
    if job != "amazon.aws":
        inventory = {"hosts": dict.fromkeys(names, {}), "vars": {"rds_encryption_kms_key_id": "alias/prod-rds", "rds_encryption_database_access": False}}
        more = ["-i", "inventory.json", str(TOP / "playbooks" / "encrypt.yml")]
    else:
        replicas = collections.defaultdict(list)
        for entry in fleet:
            if "ReadReplicaSourceDBInstanceIdentifier" in entry:
                replicas[entry["ReadReplicaSourceDBInstanceIdentifier"]].append(entry["DBInstanceIdentifier"])
        hosts = {name: {"replicas": replicas[name], "own_tags": {"service": name}} for name in names}
        shared = {"engine": "mariadb", "instance_class": "db.m6g.large", "subnet_group": "bench", "parameter_group": "bench", "retention": 7,
                  "backup_window": "01:00-01:30", "maintenance_window": "sun:03:00-sun:03:30"}
        inventory = {"hosts": hosts, "vars": shared}
        more = ["-i", "inventory.json", "-f", "10", str(TOP / "tools" / "bench" / "baseline.yml")]
    (folder / "inventory.json").write_text(json.dumps({"all": inventory}))
    return more


# -- measuring ---------------------------------------------------------------------------------------------------------------------------


def measure(job: str, size: int, keep: pathlib.Path | None = None) -> dict:
    """What one job did to a fresh fleet."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{job}-{size}-"))
    lab = Lab(folder, size, job)
    keeper = Keeper(folder, lab)
    try:
        keeper.start()
        program = Program(_arguments(job, folder, size), folder, lab, keeper)
        keeper.root = None
        calls = lab.admin("GET", "calls")["calls"]
        instances = [each for region in lab.admin("GET", "state")["regions"].values() for each in region["instances"].values()]
    finally:
        keeper.end()
        lab.stop()
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "output", keep / f"{job}-{size}.txt")
    done = sum(not each["name"].startswith(("old-", "new-")) and f"old-{each['name']}" in {other["name"] for other in instances} for each in instances)
    expected = len(fleet_of(size)["instances"])
    found = {"job": job, "size": size, "rc": program.rc, "swapped": done, "expected": expected, "cpu": program.cpu, "peak": program.peak,
             "real": program.real, "skipped": keeper.skipped, "jumps": keeper.jumps, "calls": calls, "output": program.output.read_text(errors="replace")}
    if keep:
        (keep / f"{job}-{size}.json").write_text(json.dumps(found))
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _moment(call: dict) -> float:
    return datetime.datetime.fromisoformat(call["virtual_time"]).timestamp()


def figures(found: dict) -> dict:
    """The figures of a measurement."""
    size, calls = found["size"], found["calls"]
    path, last_rename, _parts = critical_path(size, found["job"])
    renames = [_moment(call) for call in calls if call["operation"] == "ModifyDBInstance" and call["outcome"].startswith("ok")
               and call["parameters"].get("NewDBInstanceIdentifier")]
    moments = sorted(map(_moment, calls))
    whole = moments[-1] - moments[0]
    outage = max(renames) + last_rename - min(renames)
    mutating = sum(call["mutating"] for call in calls)
    return {
        "job": found["job"],
        "sources": size,
        "outage": outage,
        "critical": path,
        "ratio": outage / path,
        "cpu": found["cpu"] / size,
        "peak": found["peak"],
        "calls": len(calls) / size,
        "mutating": mutating / size,
        "others": sum(call["operation"] not in POLLS for call in calls) / size,
        "average": len(calls) / whole,
        "busiest": _busiest(moments),
        "polling": _busiest(sorted(_moment(call) for call in calls if call["operation"] in POLLS)),
        "whole": whole,
        "computing": whole - found["skipped"],
        "by_operation": collections.Counter(call["operation"] for call in calls).most_common(),
    }


POLLS = ("DescribeDBInstances", "DescribeDBSnapshots")


def _busiest(moments: list[float]) -> float:
    best, first = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 10:
            first += 1
        best = max(best, last - first + 1)
    return best / 10


HEAD = (
    f"{'job':11}{'sources':>8}{'fence-cutover':>15}{'critical':>10}{'ratio':>7}{'CPU s/src':>11}{'MiB':>7}{'calls/src':>11}{'others':>8}{'changes':>9}"
    f"{'calls/s':>9}{'worst 10 s':>12}{'of polls':>10}"
)


def line(row: dict) -> str:
    """A measurement in a line."""
    return (
        f"{row['job']:11}{row['sources']:8}{row['outage'] / 60:11.1f} min{row['critical'] / 60:6.1f} min{row['ratio']:7.3f}{row['cpu']:11.2f}"
        f"{row['peak']:7.0f}{row['calls']:11.1f}{row['others']:8.1f}{row['mutating']:9.1f}{row['average']:9.2f}{row['busiest']:10.1f}/s{row['polling']:8.1f}/s"
    )


def main() -> int:
    """Print the figures; 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="1,10,50,100")
    parser.add_argument("--jobs", default=",".join(JOBS), help="of " + ", ".join(JOBS))
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the output and the calls of each run")
    options = parser.parse_args()
    jobs = options.jobs.split(",")
    if unknown := sorted({*jobs} - {*JOBS}):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(JOBS)}")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n{HEAD}", flush=True)
    failed, rows = [], []
    runs = [(job, size) for size in map(int, options.sizes.split(",")) for job in jobs if job not in (SLOW, OUTAGE)]
    for job, size in runs + [(SLOW, 1)] * (SLOW in jobs):
        found = measure(job, size, options.keep)
        if found["rc"] or found["swapped"] != found["expected"]:
            failed.append(f"{job}, {size}: rc {found['rc']}, {found['swapped']} of {found['expected']} swapped\n{found['output'][-3000:]}")
            continue
        rows.append(figures(found))
        print(line(rows[-1]), flush=True)
    for row in rows:
        print(f"\n{row['job']}, {row['sources']}: {row['whole'] / 60:.1f} min in all, of which {row['computing']:.0f} s computing; calls: "
              + ", ".join(f"{count} {operation}" for operation, count in row["by_operation"]))
    print("".join(f"\nfailed: {text}" for text in failed), end="", flush=True)
    if OUTAGE in jobs:
        print("\nwrite outage of a busy application, by strategy:", flush=True)
        failed += ["outage"] * subprocess.call([sys.executable, str(TOP / "tools" / "outage.py")])
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
