# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane over HTTP, without database servers, in a time that stands still unless a test moves it."""

from __future__ import annotations

import json
import pathlib
import sys
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "extensions" / "lab"))

from rds_lab.clock import Clock  # noqa: E402
from rds_lab.control.plane import ControlPlane  # noqa: E402
from rds_lab.control.settings import Settings  # noqa: E402
from rds_lab.null_engines import NullEngines  # noqa: E402

REGION = "us-east-1"
PASSWORD = "correct-horse-9"


class Lab:
    """A control plane, its server, and clients of it."""

    def __init__(self):
        self.plane = ControlPlane(Clock(0), NullEngines(), Settings())
        self.server = self.plane.serve("127.0.0.1", 0)
        self._clients: dict = {}
        self.rds = self.client("rds")

    def client(self, service: str, region: str = REGION):
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service, region_name=region, endpoint_url=self.server.url, aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
                aws_secret_access_key="wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
                config=botocore.config.Config(retries={"total_max_attempts": 1}, parameter_validation=True))
        return self._clients[service, region]

    def reset(self) -> None:
        self.plane.reset()
        vars(self.plane.settings).update(vars(Settings()))
        self.plane.clock.timescale = 0

    def admin(self, method: str, path: str, data=None):
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(urllib.request.Request(self.server.url + path, data=body, method=method)) as answer:
            return json.loads(answer.read())

    # Time

    def advance(self, seconds: float) -> None:
        self.plane.advance(seconds)

    def finish(self) -> None:
        """All that is in progress is done, and reads show it."""
        self.plane.finish()
        self.advance(self.plane.settings.consistency + 0.1)

    # Fleet

    def seed(self, name: str = "prod-one", **members) -> str:
        description = {"DBInstanceIdentifier": name, "Engine": "mysql", "EngineVersion": "8.0.42", "BackupRetentionPeriod": 7,
                       "AllocatedStorage": 100, **members}
        return self.plane.seed_instance(description, region=REGION, master_password=PASSWORD)

    def seed_replica(self, name: str, source: str = "prod-one", **members) -> str:
        return self.seed(name, ReadReplicaSourceDBInstanceIdentifier=source, **{"BackupRetentionPeriod": 0, **members})

    def describe(self, name: str) -> dict:
        return self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def by_resource(self, resource_id: str) -> list:
        return self.rds.describe_db_instances(Filters=[{"Name": "dbi-resource-id", "Values": [resource_id]}])["DBInstances"]

    def status(self, name: str) -> str:
        """The status of an instance, or the code that refuses the read."""
        try:
            return self.describe(name)["DBInstanceStatus"]
        except botocore.exceptions.ClientError as problem:
            return problem.response["Error"]["Code"]

    def snapshot(self, name: str = "snap", instance: str = "prod-one", **members) -> dict:
        self.rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=instance, **members)
        self.finish()
        return self.describe_snapshot(name)

    def describe_snapshot(self, name: str) -> dict:
        return self.rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]

    def restore(self, name: str = "new-prod-one", snapshot: str = "snap", **members) -> dict:
        self.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=snapshot, **members)
        self.finish()
        return self.describe(name)

    def modify(self, name: str = "prod-one", **members) -> dict:
        self.rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **members)
        self.finish()
        return self.describe(members.get("NewDBInstanceIdentifier", name))

    def record(self, name: str):
        """The truth about an instance."""
        return next(record for record in self.plane.store.instances() if record.name == name)


class Refused:
    """What an error said."""

    def __init__(self, code: str, text: str = "", status: int = 400):
        self.code, self.text, self.status = code, text, status

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, _trace):
        assert kind is not None, f"was not refused with {self.code}"
        if not isinstance(problem, botocore.exceptions.ClientError):
            return False
        error = problem.response["Error"]
        assert (error["Code"], problem.response["ResponseMetadata"]["HTTPStatusCode"]) == (self.code, self.status), error
        assert self.text in error["Message"], error
        return True
