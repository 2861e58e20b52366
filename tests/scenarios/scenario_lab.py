# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs to run playbooks against, and what they know: the log of calls and the state of AWS."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request

import boto3
import botocore.config
from rds_lab.cli import ACCESS_KEY, SECRET_KEY
from rds_lab.clock import Clock
from rds_lab.control.plane import ControlPlane
from rds_lab.control.settings import Settings
from rds_lab.null_engines import NullEngines
from scenario_play import TOP, Operator

from iam_actions import rows_of  # isort: skip  (scenario_play has put its folder into the path)

REGION = "us-east-1"
ACTIONS = TOP / ".cache" / "iam-actions"
# A run polls by real seconds, the lab runs hundreds of times as fast as AWS.
# What hangs on the instances is looked for where a test is about it: a second of work for each host and phase.
QUICK = {"rds_encryption_poll_interval": 0.3, "rds_encryption_settle_time": 1, "rds_encryption_dependents": False}
FENCE = re.compile(r"f[0-9a-f]{11}|predicted|(?<=-seed-)\d{14}")


@functools.lru_cache(maxsize=32)
def _client(url: str, service: str, region: str):
    # To make one takes a tenth of a second of the processor on which the playbooks run, too.
    return boto3.client(service, region_name=region, endpoint_url=url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
                        config=botocore.config.Config(retries={"total_max_attempts": 1}))


class Api:
    """What both kinds of lab offer: clients, the lab's own endpoints, and the truth about calls and instances."""

    url: str

    def client(self, service: str, region: str = REGION):
        """A boto3 client that sees every fault as it is: nothing is tried again."""
        return _client(self.url, service, region)

    @property
    def environment(self) -> dict[str, str]:
        """What an operator exports."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION}

    def admin(self, method: str, path: str, data=None) -> dict:
        """An answer of the lab's own endpoints."""
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_lab/{path}", data=body, method=method), timeout=60) as answer:
            return json.loads(answer.read())

    def note_actions(self) -> None:
        """Write down which AWS actions each playbook called: tools/iam_actions.py compares them with the policies of docs/iam.md."""
        rows = rows_of(self.admin("GET", "calls")["calls"])
        ACTIONS.mkdir(parents=True, exist_ok=True)
        path = ACTIONS / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.json"
        known = {tuple(row) for row in json.loads(path.read_text())} if path.exists() else set()
        if rows - known:
            path.write_text(json.dumps(sorted(known | rows)))

    def faults(self, *faults: dict) -> None:
        """Let faults befall calls from now on."""
        self.admin("POST", "faults", list(faults))

    @property
    def now(self) -> int:
        """The number of the last call: what is asked with ``since`` comes after it."""
        calls = self.admin("GET", "calls")["calls"]
        return calls[-1]["number"] if calls else 0

    def mutating(self, since: int = 0, accepted: bool = True) -> list[dict]:
        """Calls that change something; only those that had an effect, unless told otherwise."""
        calls = self.admin("GET", f"calls?mutating=true&since={since}")["calls"]
        return [call for call in calls if call["outcome"].startswith("ok")] if accepted else calls

    def steps(self, since: int = 0) -> list[tuple[str, str]]:
        """The changes in the words of the plans: (action, resource before the call)."""
        return [step_of(call) for call in self.mutating(since)]

    def instances(self) -> dict[str, dict]:
        """All instances by identifier."""
        pages = self.client("rds").get_paginator("describe_db_instances").paginate()
        return {instance["DBInstanceIdentifier"]: instance for page in pages for instance in page["DBInstances"]}

    def snapshots(self) -> list[dict]:
        """All manual snapshots."""
        pages = self.client("rds").get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
        return [snapshot for page in pages for snapshot in page["DBSnapshots"]]

    def key(self, alias: str = "alias/prod-rds") -> str:
        """The ARN of a key."""
        return self.client("kms").describe_key(KeyId=alias)["KeyMetadata"]["Arn"]

    def await_status(self, name: str, status: str, limit: float = 60) -> dict:
        """The description of an instance, as soon as it is in a status."""
        deadline = time.monotonic() + limit
        while True:
            instance = self.instances().get(name, {})
            if instance.get("DBInstanceStatus") == status:
                return instance
            assert time.monotonic() < deadline, f"{name} is {instance.get('DBInstanceStatus', 'not there')}, not {status}, after {limit} s"
            time.sleep(0.05)

    def await_gone(self, name: str, limit: float = 60) -> None:
        """No instance has a name any more."""
        deadline = time.monotonic() + limit
        while name in self.instances():
            assert time.monotonic() < deadline, f"{name} is still there after {limit} s"
            time.sleep(0.05)

    def await_call(self, wanted, running=None, limit: float = 120) -> dict:
        """The first accepted call for which ``wanted(call)`` holds, as soon as it was made.

        :param running: a run that must not end before.
        """
        deadline = time.monotonic() + limit
        while True:
            for call in self.mutating():
                if wanted(call):
                    return call
            assert time.monotonic() < deadline, f"no such call in {limit} s"
            assert running is None or running.process.poll() is None, f"the run ended before:\n{running.wait().output[-4000:]}"
            time.sleep(0.01)


def step_of(call: dict) -> tuple[str, str]:
    """A call in the words of the plans."""
    given, operation = call["parameters"], call["operation"]
    if operation == "ModifyDBInstance" and given.get("NewDBInstanceIdentifier"):
        operation = "Rename"
    if "ResourceName" in given:
        resource = given["ResourceName"].rpartition(":")[2]
    elif operation == "CopyDBSnapshot":
        resource = given["TargetDBSnapshotIdentifier"]
    elif operation == "CreateDBSnapshot":
        resource = given["DBSnapshotIdentifier"]
    else:
        resource = given.get("DBInstanceIdentifier", "")
    return operation, FENCE.sub("FENCE", resource)


class Double(Api):
    """The control plane in this process, without database servers; a test seeds what it needs."""

    TIMESCALE = 400

    def __init__(self):
        self.plane = ControlPlane(Clock(self.TIMESCALE), NullEngines(), Settings())
        self._server = self.plane.serve("127.0.0.1", free_port())
        self.url = self._server.url
        self.password = "correct-Horse-Battery-9"

    def close(self) -> None:
        self.note_actions()
        self._server.close()

    def reset(self) -> None:
        """Nothing is there but a key and a network."""
        self.note_actions()
        self.plane.reset()
        vars(self.plane.settings).update(vars(Settings()))
        self.plane.seed_kms_key("alias/prod-rds", REGION)

    def seed(self, name: str, region: str = REGION, **members) -> str:
        """Add an instance; answers its resource id."""
        description = {"DBInstanceIdentifier": name, "Engine": "mariadb", "EngineVersion": "10.11.14", "DBInstanceClass": "db.m6g.large",
                       "AllocatedStorage": 20, "StorageType": "gp3", "BackupRetentionPeriod": 1, "TagList": [{"Key": "team", "Value": name}], **members}
        return self.plane.seed_instance(description, region=region, master_password=self.password)

    def seed_replica(self, name: str, source: str, **members) -> str:
        """Add a replica of an instance."""
        return self.seed(name, ReadReplicaSourceDBInstanceIdentifier=source, **{"BackupRetentionPeriod": 0, **members})

    @property
    def problems(self) -> list:
        """Defects that the lab saw in itself."""
        return self.plane.store.problems

    def operator(self, folder: pathlib.Path) -> Operator:
        """Somebody who encrypts, without SQL."""
        return Operator(folder, self.environment, {**QUICK, "rds_encryption_database_access": False})


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses."""
    # Each worker of a parallel run looks in its own range: a port that was free a moment ago may be taken by another.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    first = 5701 + 30 * (int(worker[2:]) % 20)
    for port in range(first, first + 30):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"all ports from {first} to {first + 29} are in use")


class Lab(Api):
    """The lab as a user runs it: by its command line, with real database servers."""

    def __init__(self, directory: pathlib.Path, fleet, timescale: float):
        self._port = free_port()
        self._directory = directory
        self._stopped = False
        self._command("start", "--fleet", str(fleet), "--timescale", str(timescale))
        self.url = f"http://127.0.0.1:{self._port}"
        exported = re.findall(r"^export (\w+)='?(.*?)'?$", self._command("env"), re.M)
        self._exported = dict(exported)
        self.password = self._exported["RDS_LAB_PASSWORD"]
        self.application_password = self._exported["RDS_LAB_APPLICATION_PASSWORD"]

    def _command(self, name: str, *arguments: str) -> str:
        done = subprocess.run([sys.executable, "-m", "rds_lab", name, "--port", str(self._port), "--directory", str(self._directory), *arguments],
                              env={**os.environ, "PYTHONPATH": str(TOP / "extensions" / "lab")}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        assert done.returncode == 0, f"rds_lab {name}:\n{done.stdout}"
        return done.stdout

    def stop(self) -> None:
        """Nothing is left of it."""
        if not self._stopped:
            self.note_actions()
            problems = self.problems
            self._stopped = True
            self._command("stop")
            assert not problems, problems

    @property
    def environment(self) -> dict[str, str]:
        return self._exported

    @property
    def problems(self) -> list:
        return self.admin("GET", "state")["problems"]

    def operator(self, folder: pathlib.Path) -> Operator:
        """Somebody who encrypts and logs in to the databases, with the password in the environment."""
        return Operator(folder, self.environment, {
            **QUICK, "rds_encryption_login_password": "{{ lookup('ansible.builtin.env', 'RDS_LAB_PASSWORD') }}",
            "rds_encryption_login_ca_cert": self._exported["RDS_LAB_CA_CERT"]})
