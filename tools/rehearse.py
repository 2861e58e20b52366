# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encrypt a fleet of the lab with the very playbooks that production runs, while applications write, and say what happened.

``make rehearse [FLEET=prod|FILE] [TIMESCALE=60]``: start the lab, let an application write to every primary, show the plan, encrypt, encrypt
again (nothing may change), look at the end state from outside with boto3 and SQL, print a table. Exit code 0 only if all of it is right.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time

import boto3
import yaml

TOP = pathlib.Path(__file__).resolve().parents[1]
LAB = TOP / "extensions" / "lab"
WORK = TOP / ".cache" / "rehearse"
sys.path.insert(0, str(LAB))

from rds_lab.clients import client_of  # noqa: E402  (the lab is no installed package)
from rds_lab.writer import Writer  # noqa: E402  (the lab is no installed package)

KEY = "alias/prod-rds"
STARTED = time.monotonic()
# The tables of the writer differ on purpose: the application goes on writing to the encrypted instance.
LIVE_TABLES = ("lab_writes",)
MYSQL_TABLES = (
    "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN "
    "('mysql', 'sys', 'information_schema', 'performance_schema')"
)
POSTGRES_TABLES = (
    "SELECT schemaname, tablename FROM pg_tables JOIN pg_class ON oid = format('%I.%I', schemaname, tablename)::regclass"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND relpersistence = 'p' AND has_table_privilege(oid, 'SELECT')"
)


def say(text: str) -> None:
    """A headline with the time since the start."""
    seconds = int(time.monotonic() - STARTED)
    print(f"\n===== [{seconds // 60:02d}:{seconds % 60:02d}] {text}", flush=True)


class Lab:
    """The lab as a user runs it: by its command line."""

    def __init__(self, fleet: str, port: int, timescale: float):
        self.fleet = fleet
        self.arguments = ["--port", str(port), "--directory", str(WORK / "lab")]
        self.timescale = timescale
        self.environment = dict(os.environ, PYTHONPATH=str(LAB))

    def run(self, command: str, *arguments: str, capture: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "rds_lab", command, *self.arguments, *arguments],
            env=self.environment,
            cwd=TOP,
            check=True,
            text=True,
            stdout=subprocess.PIPE if capture else None,
        )
        return done.stdout or ""

    def __enter__(self) -> Lab:
        self.run("start", "--fleet", self.fleet, "--timescale", f"{self.timescale:g}")
        for line in self.run("env", capture=True).splitlines():
            found = re.match(r"export (\w+)=['\"]?(.*?)['\"]?$", line)
            if found:
                os.environ[found[1]] = found[2]
        (WORK / "inventory.yml").write_text(self.run("inventory", capture=True))
        return self

    def __exit__(self, *_exception) -> None:
        self.run("stop")


def playbook(name: str, *arguments: str, log: str) -> int:
    """Run a playbook as an operator does; its output is shown and kept. Returns the exit code."""
    environment = dict(
        os.environ,
        ANSIBLE_DISPLAY_SKIPPED_HOSTS="false",
        ANSIBLE_CALLBACK_RESULT_FORMAT="yaml",
        ANSIBLE_LOCALHOST_WARNING="false",
        ANSIBLE_FORKS="10",
        PYTHONUNBUFFERED="1",
    )
    command = ["ansible-playbook", "-i", str(WORK / "inventory.yml"), str(TOP / "playbooks" / name), "-l", group()]
    command += ["-e", f"rds_encryption_kms_key_id={KEY}", "-e", "rds_encryption_poll_interval=2", "-e", "rds_encryption_settle_time=3", *arguments]
    print("$ " + " ".join(command[:1] + [os.path.relpath(word, TOP) if word.startswith(str(TOP)) else word for word in command[1:]]), flush=True)
    with open(WORK / log, "w", encoding="utf-8") as kept:
        process = subprocess.Popen(command, env=environment, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in process.stdout:
            kept.write(line)
            print(line, end="", flush=True)
        return process.wait()


def group() -> str:
    """The group of the fleet in its inventory."""
    return next(iter(yaml.safe_load((WORK / "inventory.yml").read_text())))


def make_sure_of_the_key() -> None:
    """A captured fleet knows the key of its own account, or none yet."""
    kms = boto3.client("kms")
    if KEY not in {alias["AliasName"] for page in kms.get_paginator("list_aliases").paginate() for alias in page["Aliases"]}:
        kms.create_alias(AliasName=KEY, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


def speaks_sql(instance: dict) -> bool:
    """Whether a rehearsal can write to an instance and compare its tables."""
    return instance["Engine"] in ("mariadb", "mysql", "postgres")


def connect(instance: dict, password: str, database: str | None = None):
    """A connection of the master user."""
    endpoint = instance["Endpoint"]
    client = client_of(instance["Engine"])
    return client.connect(endpoint["Address"], endpoint["Port"], instance["MasterUsername"], password, database)


def make_a_database(instance: dict, password: str) -> None:
    """The database that the application writes into; a captured fleet comes with empty ones."""
    with contextlib.closing(connect(instance, password)) as connection, connection.cursor() as cursor:
        if instance["Engine"] != "postgres":
            cursor.execute("CREATE DATABASE IF NOT EXISTS app")
        else:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'app'")
            if not cursor.fetchone():
                cursor.execute("CREATE DATABASE app")


def changed_in(log: str) -> dict[str, int]:
    """Host -> number of changed tasks, from the recap of a run."""
    recap = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", (WORK / log).read_text(), re.M)
    return {host: int(changed) for host, changed, _unreachable, _failed in recap}


def describe() -> dict[str, dict]:
    """All instances by identifier."""
    pages = boto3.client("rds").get_paginator("describe_db_instances").paginate()
    return {instance["DBInstanceIdentifier"]: instance for page in pages for instance in page["DBInstances"]}


def digests(instance: dict, password: str) -> dict[str, object]:
    """Table -> a digest of its rows, for every table that the master user may read and that is not the server's own or being written to."""
    if instance["Engine"] != "postgres":
        return digests_in(connect(instance, password), MYSQL_TABLES, "`")
    with contextlib.closing(connect(instance, password)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin'")
        databases = [row[0] for row in cursor.fetchall()]
    return {
        f"{database}.{table}": digest
        for database in databases
        for table, digest in digests_in(connect(instance, password, database), POSTGRES_TABLES, '"').items()
    }


def digests_in(connection, tables: str, quote: str) -> dict[str, object]:
    """``schema.table`` -> a digest of its rows, for the tables that a statement lists."""
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(tables)
        names = [(schema, table) for schema, table in cursor.fetchall() if table not in LIVE_TABLES]
        result = {}
        for schema, table in names:
            # Not CHECKSUM TABLE: on MariaDB it tells equal rows apart when a column is generated and stored.
            quoted = ".".join(quote + part.replace(quote, quote * 2) + quote for part in (schema, table))
            cursor.execute(f"SELECT * FROM {quoted}")
            result[f"{schema}.{table}"] = hash(tuple(sorted(map(repr, cursor.fetchall()))))
    return result


def rehearse(options) -> bool:
    WORK.mkdir(parents=True, exist_ok=True)
    with Lab(options.fleet, options.port, options.timescale):
        make_sure_of_the_key()
        before = describe()
        hosts = _hosts(yaml.safe_load((WORK / "inventory.yml").read_text()))
        names = sorted(name for name in hosts if speaks_sql(before[name]) and not before[name]["StorageEncrypted"])
        password = os.environ[options.password_variable]
        say(f"Applications begin to write to {', '.join(names)}")
        writers = {}
        for name in names:
            endpoint = before[name]["Endpoint"]
            make_a_database(before[name], password)
            writers[name] = Writer(
                endpoint["Address"], port=endpoint["Port"], user=before[name]["MasterUsername"], password=password, database="app", workers=2,
                engine=before[name]["Engine"],
            ).start()
        data_before = {name: digests(before[name], password) for name in before if speaks_sql(before[name])}
        say("Plan")
        playbook("plan.yml", log="plan.log")
        say("Encrypt")
        first = playbook("encrypt.yml", log="encrypt.log")
        for writer in writers.values():
            if first == 0:
                writer.wait_for(20)
        say("The same again: nothing may change")
        second = playbook("encrypt.yml", log="again.log")
        for writer in writers.values():
            writer.stop()
        say("What happened")
        return judge(before, data_before, writers, password, first, second)


def judge(before, data_before, writers, password, first: int, second: int) -> bool:
    """Look at the end state from outside and print it; True if everything is as promised."""
    after = describe()
    wanted_key = boto3.client("kms").describe_key(KeyId=KEY)["KeyMetadata"]["Arn"]
    again = changed_in("again.log")
    rows, good = [], first == 0 and second == 0 and not any(again.values())
    for name in sorted(before):
        now, old = after.get(name), after.get(f"old-{name}")
        encrypted = bool(now and now["StorageEncrypted"] and now["KmsKeyId"] == wanted_key)
        if before[name]["StorageEncrypted"]:
            untouched = now is not None and now["DbiResourceId"] == before[name]["DbiResourceId"]
            good = good and untouched
            rows.append((name, "encrypted", "as before" if untouched else "TOUCHED", "-", "-", "-", "-", "-"))
            continue
        kept = bool(old and old["DbiResourceId"] == before[name]["DbiResourceId"] and not old["StorageEncrypted"])
        same = name not in data_before or (now is not None and digests(now, password) == data_before[name])
        report = writers[name].verify() if name in writers and encrypted else None
        data = "no SQL" if name not in data_before else "tables equal" if same else "TABLES DIFFER"
        if report:
            data += f", {report['acknowledged']} writes, {report['missing']} lost, {report['doubled']} doubled"
        good = good and encrypted and kept and same and (name not in writers or bool(report and report["ok"]))
        rows.append(
            (
                name,
                "encrypted" if before[name]["StorageEncrypted"] else "not encrypted",
                "encrypted" if encrypted else "NOT ENCRYPTED",
                KEY if encrypted else "-",
                f"old-{name}" if kept else "MISSING",
                f"{report['outage_seconds']:.0f} s" if report else "-",
                data,
                f"changed={again[name]}" if name in again else "with its source",
            )
        )
    left = sorted(identifier for identifier in after if identifier.startswith("new-"))
    table(("instance", "before", "after", "key", "original", "outage", "data", "second run"), rows)
    print(f"\nOutages are real seconds of a lab whose RDS runs faster than AWS; left over: {', '.join(left) or 'nothing'}")
    print(f"Logs: {os.path.relpath(WORK, TOP)}/*.log. {'Everything is as promised.' if good and not left else 'NOT everything is as promised.'}")
    return good and not left


def table(head, rows) -> None:
    """Print rows under headings, columns as wide as their contents."""
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, tuple("-" * width for width in widths), *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _hosts(inventory: dict) -> set[str]:
    found = set(inventory.get("hosts") or {})
    for value in inventory.values():
        if isinstance(value, dict):
            found |= _hosts(value)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleet", default=os.environ.get("FLEET", "prod"))
    parser.add_argument("--port", type=int, default=5590)
    parser.add_argument("--timescale", type=float, default=float(os.environ.get("TIMESCALE", "60")))
    parser.add_argument("--password-variable", default="RDS_LAB_PASSWORD")
    options = parser.parse_args()
    say(f"The lab starts with fleet {options.fleet}, {options.timescale:g} times as fast as AWS")
    return 0 if rehearse(options) else 1


if __name__ == "__main__":
    sys.exit(main())
