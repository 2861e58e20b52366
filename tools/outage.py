# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure the write outage of each strategy on real servers, as an application sees it.

``make outage [FLEET=small|mysql] [RATE=600] [TIMESCALE=60]``: for each strategy a lab of its own; an application writes RATE rows a second into
tables that are hard to replicate (``rds_lab/busy.py``) from before ``encrypt.yml`` begins until after it ended. A line for each strategy: the
rows a second before, and while it was built; the outage, from the last transaction that was acknowledged before the fence to the first one after
it; the part of it in which RDS was at work (renames, restarts, with cold all that is built), and in which it renamed; how many acknowledged rows
are lost or doubled (exit code 1 then).

The lab's RDS is TIMESCALE times as fast as AWS, servers and controller are not: so the part of RDS is told apart, and is that much longer on
AWS. With the defaults that are shipped, but for pauses between two looks at RDS, which are shortened by TIMESCALE, too: they are at most 5 s of
RDS's time, as those are by which the end of each change is confirmed, and as those of a wait's first half minute are on average. And dependents
in other services are not looked for.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
for folder in (TOP / "tests" / "scenarios", TOP / "extensions" / "lab"):
    sys.path.insert(0, str(folder))

from rds_lab.busy import SCHEMA, Busy  # noqa: E402  (the lab is no installed package)
from scenario_lab import Lab  # noqa: E402
from scenario_truth import Database  # noqa: E402

BEFORE = 20.0
EVERY = 0.2
PAUSE = 5.0
HEADS = (
    ("rows/s before", 14), ("while built", 12), ("outage s", 10), ("of RDS s", 10), ("renames s", 11), ("the rest s", 11), ("rows", 9), ("lost", 6),
    ("doubled", 8),
)


class Watch:
    """Looks at RDS all the while: when is it at work on an instance or a snapshot?"""

    def __init__(self, lab: Lab):
        self._lab = lab
        self._seen: list[tuple[float, bool, bool]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stopping.wait(EVERY):
            instances = self._lab.instances().values()
            statuses = [instance["DBInstanceStatus"] for instance in instances] + [each["Status"] for each in self._lab.snapshots()]
            renames = any("DBInstanceIdentifier" in instance["PendingModifiedValues"] or instance["DBInstanceStatus"] == "renaming" for instance in instances)
            self._seen.append((time.monotonic(), set(statuses) != {"available"}, renames))

    def stop(self, began: float, ended: float) -> tuple[float, float]:
        """For how many seconds between two moments RDS was at work, and for how many of these it renamed."""
        self._stopping.set()
        self._thread.join()
        seen = [each for each in self._seen if began < each[0] < ended]
        times = [began, *(at for at, _works, _renames in seen)]
        spans = [(later - earlier, works, renames) for earlier, later, (_at, works, renames) in zip(times[:-1], times[1:], seen, strict=True)]
        return sum(span for span, works, _renames in spans if works), sum(span for span, _works, renames in spans if renames)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleet", default=os.environ.get("FLEET", "small"))
    parser.add_argument("--rate", type=float, default=float(os.environ.get("RATE", "600")))
    parser.add_argument("--timescale", type=float, default=float(os.environ.get("TIMESCALE", "60")))
    parser.add_argument("--strategies", default=os.environ.get("STRATEGIES", "mysql_replication,cold"))
    options = parser.parse_args()
    print(f"fleet {options.fleet}, {options.rate:g} rows/s, RDS {options.timescale:g} times as fast, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print("strategy".ljust(20) + "".join(head.rjust(width) for head, width in HEADS), flush=True)
    good = True
    for strategy in options.strategies.split(","):
        with tempfile.TemporaryDirectory(prefix="outage-") as folder:
            good &= measure(strategy, options, pathlib.Path(folder))
    return 0 if good else 1


def measure(strategy: str, options, folder: pathlib.Path) -> bool:
    """Encrypt once, and print a line; False if a row was lost or doubled."""
    lab = Lab(folder / "lab", options.fleet, options.timescale)
    try:
        instances = lab.instances()
        name = next(each for each, instance in instances.items() if not instance.get("ReadReplicaSourceDBInstanceIdentifier"))
        with Database(instances[name], lab.password).cursor() as cursor:
            for statement in SCHEMA:
                cursor.execute(statement)
        endpoint = instances[name]["Endpoint"]
        busy = Busy(endpoint["Address"], endpoint["Port"], "application", lab.application_password, options.rate)
        began = time.monotonic()
        time.sleep(BEFORE)  # what is measured: how much is written when nothing else goes on
        before = busy.rows_between(began, time.monotonic()) / (time.monotonic() - began)
        started = time.monotonic()
        usual = {"poll_interval": PAUSE / options.timescale, "settle_time": None}
        hosts = {name: {"rds_encryption_login_user": instances[name]["MasterUsername"]}}
        running = lab.operator(folder / "runs").start(hosts, strategy=strategy, **usual)
        watch = Watch(lab)
        lab.await_call(lambda call: call["parameters"].get("NewDBInstanceIdentifier") == f"old-{name}", running, 3600)
        fenced = time.monotonic()
        built = busy.rows_between(started, fenced) / (fenced - started)
        run = running.wait(3600)
        print(run.output[-3000:] if run.rc else "", end="")
        busy.await_rows(1000)
        busy.stop()
        there = [row[0] for row in Database(lab.instances()[name], lab.password).rows("SELECT id FROM app.orders")]
        lost = len({number for numbers in busy.acknowledged for number in numbers} - set(there))
        first, last = busy.outage(started)
        outage, (rds, renames) = last - first, watch.stop(first, last)
        doubled = len(there) - len(set(there))
        print(f"{strategy:20}{before:14.0f}{built:12.0f}{outage:10.1f}{rds:10.1f}{renames:11.1f}{outage - rds:11.1f}{busy.rows:9}{lost:6}{doubled:8}",
              flush=True)
        return run.rc == 0 and not lost and not doubled
    finally:
        lab.stop()


if __name__ == "__main__":
    sys.exit(main())
