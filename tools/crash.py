# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kill encrypt.yml at every change that it makes, before and after the effect, finish the work, and see that all is as it should be.

``make crash [STRATEGY=cold] [FLEET=small] [ENGINES=both|on|off] [WAYS=turn|all] [POINTS=1-9,sql:12] [SAMPLE=N] [JOBS=2]``: a clean run on the lab
counts the mutating AWS calls and SQL statements; then each of them is died at, before and after its effect, on a fresh fleet, and the work finished
in one of four ways in turn (or in each): by the same command; after another kill; from another controller with an empty home; with an inventory made
from AWS. Calls are died at without database servers, statements with them, while an application writes. Exit code 0 only if every single one
survived.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import re
import shutil
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
WORK = TOP / ".cache" / "crash"
sys.path[:0] = [str(TOP / "extensions" / "lab"), str(TOP / "tests" / "scenarios")]

from scenario_crash import FOLLOWING, WAYS, Bench, Outcome, Point  # noqa: E402  (not installed packages)

_bench: Bench | None = None
_POINTS = re.compile("(?:(aws|sql):)?([0-9]+)(?:-([0-9]+))?")


def _begin(numbers, fleet: str, engines: bool, strategy: str) -> None:
    global _bench
    number = numbers.get()
    os.environ["PYTEST_XDIST_WORKER"] = f"gw{number}"  # each worker looks for ports in a range of its own
    _bench = Bench(WORK / f"worker-{number}", fleet, engines, strategy)


def _count() -> dict[str, list[str]]:
    return _bench.count()


def _kill(point: Point, way: str) -> Outcome:
    return _bench.kill(point, way)


def some_points(text: str) -> list[tuple[str | None, str, str | None]]:
    """What ``--points`` says: kind or None, first, last or None."""
    found = [_POINTS.fullmatch(each) for each in text.split(",") if each]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text} is no list such as 3, 3-9 or aws:1-8,sql:13-26")
    return [each.groups() for each in found]


def points_of(changes: dict[str, list[str]], options) -> list[tuple[Point, str]]:
    """The points to die at, and how to finish."""
    found = []
    for kind, words in changes.items():
        for number in range(1, len(words) + 1):
            if options.points and not any((only or kind) == kind and int(first) <= number <= int(last or first) for only, first, last in options.points):
                continue
            for index, when in enumerate(("before", "after")):
                ways = WAYS if options.ways == "all" else [WAYS[(2 * number + index) % len(WAYS)]]
                found += [(Point(kind, number, when), way) for way in ways]
    if options.sample and options.sample < len(found):
        found = found[:: len(found) // options.sample][: options.sample]
    return found


def crash(options, engines: bool) -> tuple[int, int]:
    """All points with or without database servers; (survived, died at)."""
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(options.jobs):
        numbers.put(number)
    began = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(options.jobs, context, _begin, (numbers, options.fleet, engines, options.strategy)) as pool:
        changes = pool.submit(_count).result()
        print(f"\n===== {'with' if engines else 'without'} database servers: {len(changes['aws'])} mutating AWS calls, {len(changes['sql'])} SQL statements")
        for number, words in enumerate(changes["aws"], 1):
            print(f"{number:4} {words}")
        # What needs no SQL is tried without servers, which is faster; where everything needs SQL, all of it is tried with them.
        kinds = ("sql",) if engines and options.strategy not in FOLLOWING else ("aws", "sql")
        wanted = points_of({kind: changes[kind] for kind in kinds}, options)
        survived = 0
        running = [pool.submit(_kill, point, way) for point, way in wanted]
        for done, future in enumerate(concurrent.futures.as_completed(running), 1):
            outcome = future.result()
            survived += outcome.problem is None
            print(
                f"[{done}/{len(wanted)}] {outcome.point} ({outcome.change or 'not reached'}), finished: {outcome.way}: "
                f"{'survived' if outcome.problem is None else 'LOST: ' + outcome.problem} ({outcome.seconds:.1f} s)",
                flush=True,
            )
    print(f"{survived} of {len(wanted)} survived, {time.monotonic() - began:.0f} s")
    return survived, len(wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategy", default=os.environ.get("STRATEGY", "cold"))
    parser.add_argument("--fleet", default=os.environ.get("FLEET", "small"))
    parser.add_argument("--engines", choices=("both", "on", "off"), default=os.environ.get("ENGINES", "both"))
    parser.add_argument("--ways", choices=("turn", "all"), default=os.environ.get("WAYS", "turn"))
    parser.add_argument("--points", type=some_points, default=os.environ.get("POINTS", ""), help="numbers of changes, such as 3, 3-9 or aws:1-8,sql:13-26")
    parser.add_argument("--sample", type=int, default=int(os.environ.get("SAMPLE", "0")), help="so many of the points, evenly spread")
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("JOBS", "2")))
    options = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    if options.strategy in FOLLOWING:
        options.engines = "on"
    results = [crash(options, engines) for engines in (False, True) if options.engines in ("both", "on" if engines else "off")]
    survived, died = (sum(numbers) for numbers in zip(*results, strict=True))
    print(f"\n{survived} of {died} survived: {'every one' if survived == died else 'NOT every one'}.")
    return 0 if survived == died else 1


if __name__ == "__main__":
    sys.exit(main())
