"""The command line: a lab that starts, serves, and leaves nothing behind however it ends."""
from __future__ import annotations

import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time

import pymysql
import pytest
import yaml
from lab_servers import LAB
from lab_servers import await_that

pytestmark = pytest.mark.usefixtures("databases")


class Lab:
    """The command, with a port and a directory of its own."""

    def __init__(self, directory: pathlib.Path, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.environment = {**os.environ, "PYTHONPATH": str(LAB)}

    def arguments(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "rds_lab", words[0], "--port", str(self.port), "--directory", str(self.directory), *words[1:]]

    def run(self, *words: str, status: int = 0) -> str:
        done = subprocess.run(self.arguments(*words), env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start_here(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(self.arguments("start", "--foreground", *words), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    @property
    def state(self) -> dict:
        return json.loads((self.directory / "lab.json").read_text(encoding="utf-8"))

    def servers(self) -> list[int]:
        """The processes of database servers in this lab's directory."""
        return [pid for pid, command in processes().items() if f"--datadir={self.directory}/" in command]

    def names(self) -> list[str]:
        return [line for line in pathlib.Path("/etc/hosts").read_text(encoding="utf-8").splitlines() if f".c{self.port}lab." in line]

    def leftovers(self) -> dict:
        return {
            "processes": {pid: command for pid, command in processes().items() if str(self.directory) in command and pid != os.getpid()},
            "names": self.names(),
            "data": [path.name for name in ("servers", "snapshots") for path in self.directory.glob(f"{name}/*")],
            "sockets": [str(path) for path in self.directory.glob("sockets")],
        }


NOTHING = {"processes": {}, "names": [], "data": [], "sockets": []}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes() -> dict[int, str]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found[int(entry)] = pathlib.Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path / "lab")
    yield lab
    lab.run("stop")


def test_a_lab_serves_a_fleet_and_leaves_nothing(lab, tmp_path):
    output = lab.run("start", "--fleet", "small", "--timescale", "600")
    assert "ready: " in output
    status = [line.split() for line in lab.run("status").splitlines()]
    assert [row[:3] for row in status[1:3]] == [["small", "available", "no"], ["small-replica", "available", "no"]]
    assert "A lab is running" in lab.run("start", "--fleet", "small", status=1)

    exported = dict(word.removeprefix("export ").split("=", 1) for line in lab.run("env").splitlines() for word in [" ".join(shlex.split(line))])
    assert exported["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{lab.port}"
    assert len(exported["AWS_SECRET_ACCESS_KEY"]) >= 30
    inventory = yaml.safe_load(lab.run("inventory"))
    assert list(inventory) == ["prod"] and list(inventory["prod"]["hosts"]) == ["small"]
    assert inventory["prod"]["vars"]["ansible_connection"] == "local"
    assert "lookup" in inventory["prod"]["vars"]["rds_encryption_login_password"]
    assert exported["RDS_LAB_PASSWORD"] not in lab.run("inventory")

    name = f"small.c{lab.port}lab.us-east-1.rds.lab.internal"
    with pymysql.connect(host=name, user="admin", password=exported["RDS_LAB_PASSWORD"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM app.items ORDER BY id")
        assert cursor.fetchall() == (("one",), ("two",), ("three",))
        cursor.execute("SELECT user FROM mysql.user WHERE user IN ('cdc', 'application')")
        assert cursor.fetchall() == (("application",),), "the replica's own account is not on the primary"
    with pymysql.connect(host=name.replace("small.", "small-replica."), user="cdc", password="lab-Cdc-1") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@read_only")
        assert cursor.fetchone() == (0,)

    lab.environment.update(exported)
    report = tmp_path / "report.json"
    subprocess.run([sys.executable, "-m", "rds_lab", "write", "--name", name, "--seconds", "1", "--report", str(report)], env=lab.environment, check=True,
                   timeout=60)
    written = json.loads(report.read_text(encoding="utf-8"))
    assert written["ok"] and written["acknowledged"] > 20 and written["missing"] == written["doubled"] == 0 and not written["running"]

    # another lab beside it, without servers
    other = Lab(tmp_path / "other")
    other.run("start", "--fleet", "prod", "--engines", "off")
    assert other.run("status").count("available") == 6
    other.run("stop")
    assert other.leftovers() == NOTHING
    assert len(lab.servers()) == 2, "stopping a lab must not touch another one"

    began = time.monotonic()
    lab.run("stop")
    assert time.monotonic() - began < 20
    assert lab.leftovers() == NOTHING
    with pytest.raises(OSError):
        socket.getaddrinfo(name, None)
    assert "no lab was running" in lab.run("stop")


def test_a_killed_lab_takes_its_servers_with_it_and_the_next_one_cleans_up(lab):
    lab.run("start", "--fleet", "small")
    assert len(lab.servers()) == 2
    os.kill(lab.state["pid"], signal.SIGKILL)
    await_that(lambda: lab.servers() == [], 10)
    assert len(lab.names()) == 2, "nobody was left to take the names away"
    assert "No lab is running" in lab.run("status", status=1)
    lab.run("reset")
    assert len(lab.servers()) == 2 and len(lab.names()) == 2
    lab.run("stop")
    assert lab.leftovers() == NOTHING


def test_ctrl_c_ends_a_lab_in_the_foreground(lab):
    process = lab.start_here("--fleet", "small")
    for line in process.stdout:
        if line.startswith("ready"):
            break
    assert len(lab.servers()) == 2
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert lab.leftovers() == NOTHING


def test_ctrl_c_ends_a_lab_that_is_starting(lab):
    process = lab.start_here("--fleet", "prod")
    await_that(lambda: len(lab.servers()) >= 1, 60)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert lab.leftovers() == NOTHING


def test_a_bad_fleet_is_refused_in_words(lab, tmp_path):
    assert "There is no fleet file nonsense; the lab ships mysql, postgres, prod, small." in lab.run("start", "--fleet", "nonsense", status=1)
    bad = tmp_path / "bad.yml"
    bad.write_text("instances: [{DBInstanceIdentifier: a, ReadReplicaSourceDBInstanceIdentifier: b}]\n", encoding="utf-8")
    assert "the source b of a is not in the fleet" in lab.run("start", "--fleet", str(bad), status=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        lab.port = taken.getsockname()[1]
        assert "in use" in lab.run("start", "--fleet", "small", status=1)
    assert lab.leftovers() == NOTHING


def test_a_captured_fleet_can_be_rehearsed(lab, tmp_path):
    captured = {"DBInstances": [
        {"DBInstanceIdentifier": "captured", "Engine": "mariadb", "EngineVersion": "10.11.13", "MasterUsername": "boss", "AllocatedStorage": 30,
         "StorageType": "gp2", "BackupRetentionPeriod": 3, "DBInstanceArn": "arn:aws:rds:eu-west-1:999999999999:db:captured",
         "DBParameterGroups": [{"DBParameterGroupName": "theirs", "ParameterApplyStatus": "in-sync"}], "StorageEncrypted": False},
        {"DBInstanceIdentifier": "captured-replica", "Engine": "mariadb", "EngineVersion": "10.11.13", "ReadReplicaSourceDBInstanceIdentifier": "captured",
         "DBInstanceArn": "arn:aws:rds:eu-west-1:999999999999:db:captured-replica"}]}
    path = tmp_path / "captured.json"
    path.write_text(json.dumps(captured), encoding="utf-8")
    lab.run("start", "--fleet", str(path))
    assert lab.run("status").count("available") == 2
    with pymysql.connect(host=f"captured.c{lab.port}lab.eu-west-1.rds.lab.internal", user="boss", password="lab-Master-1") as connection:
        assert connection.get_server_info()
