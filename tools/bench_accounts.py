# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure mysql_user_sync on real servers, and pt-show-grants on the same server beside it.

    .venv/bin/python tools/bench_accounts.py [--accounts 10000] [--family mysql mariadb] [--mix mixed schemas]

Two servers are started as the database tests start them. The source gets the accounts, with five grants each; the empty target is
made equal. Each line is a phase in a process of its own: seconds, CPU seconds of that process and of both servers, its peak memory, and
its round trips. CPU seconds hardly depend on what else the machine is doing; seconds do.

Mixes: ``mixed`` is two schemas, a table, columns of a table and a global privilege or a routine for each account; ``schemas`` is five schemas, the
worst for MariaDB, which sorts all rows of mysql.db anew for each row that GRANT adds.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
MAX_MEMORY_MIB, MAX_SECONDS = 300, 60


def main():
    options = _options()
    for path in (TOP / "tests" / "database", TOP / "extensions" / "lab"):
        sys.path.insert(0, str(path))
    if options.work:
        print(json.dumps(_work(options.work, json.loads(sys.stdin.read()))))
        return
    from conftest import running_pair  # pylint: disable=import-outside-toplevel

    missed = []
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    for family in options.family:
        for mix in options.mix:
            with running_pair(family, pathlib.Path(tempfile.mkdtemp(prefix="bench-accounts-"))) as pair:
                version = pair.source.run("SELECT @@version AS v")[0]["v"]
                for server in (pair.source, pair.target):
                    server.run(*(f"CREATE TABLE shop.t{number} (id INT, a INT, b INT)" for number in range(20)))
                grants = _fill(pair.source, options.accounts, mix)
                print(f"\n{family} {version}, {mix}: {options.accounts} accounts, {grants} grants")
                print(f"{'':28}{'seconds':>9}{'client CPU':>12}{'server CPU':>12}{'MiB':>7}{'round trips':>13}{'statements':>12}")
                missed += _measure(pair, family)
    if missed:
        print("\nmissed: " + "; ".join(missed))
    sys.exit(bool(missed))


def _measure(pair, family) -> list[str]:
    missed = []
    task = dict(source=pair.source.login(), target=pair.target.login(), exclude_users=["root", "master", "operator"])
    wanted = None
    for phase in ("check", "create all", "nothing to do", "repair one of 100"):
        if phase == "repair one of 100":
            _damage(pair.target)
        before = _cpu(pair)
        result = _in_process(phase, task)
        server_cpu = _cpu(pair) - before
        print(
            f"{phase:28}{result['seconds']:9.1f}{result['cpu']:12.1f}{server_cpu:12.1f}{result['mib']:7.0f}"
            f"{result['round_trips']:13}{result['statements']:12}"
        )
        if phase == "check":
            wanted = result["statements"]
        expected = {"create all": wanted, "nothing to do": 0}.get(phase, result["statements"])
        if result["problems"] or result["left_out"] or result["statements"] != expected:
            missed.append(f"{family}, {phase}: not as it should be: {result['problems'] or result['statements']}")
        if result["seconds"] > MAX_SECONDS or result["mib"] > MAX_MEMORY_MIB:
            missed.append(f"{family}, {phase}: {result['seconds']:.0f} s, {result['mib']:.0f} MiB")
    _show_grants(pair)
    return missed


def _work(phase: str, task: dict) -> dict:
    from conftest import call  # pylint: disable=import-outside-toplevel

    from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server  # pylint: disable=import-outside-toplevel
    from ansible_collections.dbre.rds_encryption.plugins.modules import mysql_user_sync  # pylint: disable=import-outside-toplevel

    opened = []
    begin = Server.connect
    Server.connect = lambda self: (opened.append(self), begin(self))[1]
    started = time.monotonic()
    result = call(mysql_user_sync, task, check=phase == "check", diff=False)
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    return dict(
        seconds=seconds,
        cpu=used.ru_utime + used.ru_stime,
        mib=used.ru_maxrss / 1024,
        round_trips=sum(server.round_trips for server in opened),
        statements=len(result["statements"]),
        problems=result["problems"][:3],
        left_out=len(result["not_restorable"]),
    )


def _in_process(phase: str, task: dict) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--work", phase], input=json.dumps(task), stdout=subprocess.PIPE, text=True, check=True, cwd=TOP
    )  # fmt: skip
    return json.loads(done.stdout)


def _show_grants(pair) -> None:
    """How long the common tool takes to print what the source holds."""
    program = TOP / ".cache" / "databases" / "percona" / "pt-show-grants"
    before = _cpu(pair)
    started, children = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        command = [str(program), "--socket", str(pair.source.socket), "--user", "root", "--charset", "utf8mb4"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as e:
        print(f"pt-show-grants: {e}")
        return
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    statements = done.stdout.count(";\n")
    print(f"{'pt-show-grants (reads only)':28}{time.monotonic() - started:9.1f}{cpu:12.1f}{_cpu(pair) - before:12.1f}{'':20}{statements:12}")
    if done.returncode:
        print(f"    it ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")


def _cpu(pair) -> float:
    """CPU seconds of both servers so far."""
    ticks = 0
    for server in (pair.source, pair.target):
        fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _fill(server, accounts: int, mix: str) -> int:
    """Accounts and grants of the source; the number of grants (an account's privileges on one object are one)."""
    users = [f"`user{number:05}`@`{('%', '10.%', 'localhost')[number % 3]}`" for number in range(accounts)]
    secret = [f"IDENTIFIED BY 'Secret-{number}'" for number in range(accounts)]
    if server.family == "mysql":  # a hash at once: hashing ten thousand passwords would take a minute
        salt = [f"{number:020}".encode() for number in range(accounts)]
        secret = [f"IDENTIFIED WITH 'caching_sha2_password' AS 0x{(b'$A$005$' + each + b'x' * 43).hex()}" for each in salt]
    _listed(server, "CREATE USER ", [" ".join(pair) for pair in zip(users, secret, strict=True)], "")
    grants = 0
    if mix == "schemas":
        kinds = [(f"GRANT SELECT, INSERT ON `schema{group}`.* TO ", range(group, accounts, 50)) for group in range(50)]
        kinds = [(text.replace("`schema", f"`s{copy}_"), members) for copy in range(5) for text, members in kinds]
    else:
        kinds = [(f"GRANT SELECT, INSERT, UPDATE ON `{kind}{group}`.* TO ", range(group, accounts, 50)) for kind in "ab" for group in range(50)]
        kinds += [(f"GRANT SELECT, DELETE ON shop.t{group} TO ", range(group, accounts, 20)) for group in range(20)]
        kinds += [(f"GRANT SELECT (id, a), UPDATE (b) ON shop.t{group} TO ", range((group + 7) % 20, accounts, 20)) for group in range(20)]
        kinds += [("GRANT PROCESS ON *.* TO ", range(0, accounts, 2)), ("GRANT EXECUTE ON PROCEDURE shop.same TO ", range(1, accounts, 2))]
    for text, members in kinds:
        grants += len(members)
        _listed(server, text, [users[number] for number in members], "")
    return grants


def _damage(target) -> None:
    users = target.run("SELECT User AS u, Host AS h FROM mysql.user WHERE User LIKE 'user%00'")
    _listed(target, "ALTER USER ", [f"`{row['u']}`@`{row['h']}`" for row in users], " ACCOUNT LOCK")


def _listed(server, head: str, items: list[str], tail: str) -> None:
    for start in range(0, len(items), 500):
        server.run(head + ", ".join(items[start : start + 500]) + tail)


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10000)
    parser.add_argument("--family", nargs="+", choices=["mysql", "mariadb"], default=["mysql", "mariadb"])
    parser.add_argument("--mix", nargs="+", choices=["mixed", "schemas"], default=["mixed"])
    parser.add_argument("--work", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
