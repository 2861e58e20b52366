# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ``ansible-playbook``, as an operator calls it, and what it said."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import sysconfig
import termios
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tools"))

from iam_actions import access_key_of, identity_of  # noqa: E402

CONFIGURATION = pathlib.Path(__file__).resolve().parent / "ansible.cfg"
PROGRAM = pathlib.Path(sys.executable).parent / "ansible-playbook"
LIMIT = 240.0
KEY = "alias/prod-rds"


@dataclasses.dataclass
class Run:
    """A finished run: ``rc``, ``output``, and what the recording callback wrote."""

    rc: int
    output: str
    seconds: float
    records: list[dict]

    @property
    def recap(self) -> dict[str, dict]:
        """Host -> counts: ok, changed, failures, ignored, unreachable, skipped."""
        return next((record["hosts"] for record in self.records if record["kind"] == "recap"), {})

    @property
    def changed(self) -> dict[str, int]:
        """Host -> number of changed tasks."""
        return {host: counts["changed"] for host, counts in self.recap.items()}

    def results(self, task: str | None = None, host: str | None = None, kind: str | None = None) -> list[dict]:
        """Records of results, in order."""
        return [record for record in self.records if record["kind"] != "recap" and (task is None or record["task"].endswith(task))
                and host in (None, record["host"]) and kind in (None, record["kind"])]

    def failure(self, host: str) -> str:
        """What the failed tasks of a host said."""
        return " ".join(str(record["result"].get("msg", "")) for record in self.results(host=host) if record["kind"] in ("failed", "item_failed"))

    def said(self, host: str) -> str:
        """What the debug tasks showed for a host: plan and report."""
        lines = [line for record in self.results(host=host) if record["action"].endswith("debug") for line in record["result"].get("msg", [])]
        return "\n".join(lines)

    def report(self) -> dict:
        """The data of the report that it wrote."""
        path = re.search(r"^Report: (.+/)report\.html$", self.output, re.M)
        assert path, f"no report\n{self.output[-3000:]}"
        return json.loads(pathlib.Path(path[1], "report.json").read_text())

    def good(self) -> Run:
        """This run, which ended well.

        :raises AssertionError: it did not; with the end of its output.
        """
        assert self.rc == 0, f"rc {self.rc}\n{self.output[-6000:]}"
        assert self.recap, "the run has no recap"
        return self


class Running:
    """A run that goes on; ``wait()`` for it or ``kill()`` it with all that it started."""

    def __init__(self, command: list[str], environment: dict, folder: pathlib.Path, terminal: bool = False):
        self._folder = folder
        self._started = time.monotonic()
        self._output = folder / "output"
        self._keyboard = self._screen = None
        with open(self._output, "wb") as file:
            if terminal:
                self._at_terminal(command, environment)
            else:
                self.process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)

    def _at_terminal(self, command: list[str], environment: dict) -> None:
        self._keyboard, theirs = pty.openpty()
        self.process = subprocess.Popen(command, env=environment, cwd=self._folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self._screen = threading.Thread(target=self._note, daemon=True)
        self._screen.start()

    def _note(self) -> None:
        with open(self._output, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while text := os.read(self._keyboard, 65536):  # an error when nobody has the terminal any more
                file.write(text)

    def type(self, text: str) -> None:
        """Somebody types at the terminal."""
        os.write(self._keyboard, text.encode())

    def await_output(self, text: str, limit: float = LIMIT) -> None:
        """The run has said something.

        :raises AssertionError: it ended before, or does not say it.
        """
        deadline = time.monotonic() + limit
        while True:
            ended = self.process.poll() is not None
            said = self._output.read_text(encoding="utf-8", errors="replace")
            if text in said:
                return
            assert not ended, f"the run ended without {text!r}:\n{said[-4000:]}"
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"no {text!r} in {limit} s:\n{said[-4000:]}")
            time.sleep(0.05)

    def wait(self, limit: float = LIMIT) -> Run:
        """The finished run."""
        try:
            code = self.process.wait(limit)
            if self._screen:
                self._screen.join()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not finished after {limit} s:\n{self._output.read_text(errors='replace')[-6000:]}") from None
        record = self._folder / "record"
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        return Run(code, self._output.read_text(encoding="utf-8", errors="replace"), time.monotonic() - self._started, [json.loads(line) for line in lines])

    def kill(self) -> None:
        """SIGKILL at once for the process and all its descendants: workers live in sessions of their own."""
        doomed = [self.process.pid]
        for pid in doomed:
            # Stopped first: who is stopped starts no further process.
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
            doomed += _children(pid)
        for pid in doomed:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _children(pid: int) -> list[int]:
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """A process and all that it started, as of now."""
    found = [pid]
    for each in found:
        found += _children(each)
    return found


class Operator:
    """Runs playbooks against a lab.

    :param folder: for inventories, variables and output; one subfolder for each run.
    :param environment: how to reach the lab.
    :param variables: of all runs; those of a call override them.
    """

    def __init__(self, folder: pathlib.Path, environment: dict[str, str], variables: dict):
        self._folder = folder
        self._environment = environment
        self._variables = {"rds_encryption_kms_key_id": KEY, **variables}
        self._numbers = itertools.count(1)

    def start(self, hosts, playbook: str = "encrypt.yml", *arguments: str, environment: dict[str, str] | None = None, terminal: bool = False,
              **variables) -> Running:
        """Start a playbook.

        :param hosts: names, or a mapping of names to host variables.
        :param environment: of this run, besides what every run has; None takes one of those away.
        :param terminal: whether somebody sits at a terminal, and may type.
        :param variables: extra variables without the prefix ``rds_encryption_``; None takes one of the usual ones away.
        """
        folder = self._folder / f"run-{next(self._numbers)}"
        folder.mkdir(parents=True)
        hosts = hosts if isinstance(hosts, dict) else dict.fromkeys(hosts, {})
        merged = {**self._variables, **{f"rds_encryption_{name}": value for name, value in variables.items()}}
        inventory = {"all": {"hosts": hosts, "vars": {name: value for name, value in merged.items() if value is not None}}}
        (folder / "inventory.json").write_text(json.dumps(inventory))
        exported = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_", "RDS_LAB_", "PYTHONDONTWRITEBYTECODE"))}
        exported |= {
            "ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH") or sysconfig.get_paths()["purelib"],
            "ANSIBLE_CALLBACK_PLUGINS": str(pathlib.Path(__file__).resolve().parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "scenario_record",
            "SCENARIO_RECORD": str(folder / "record"),
            "ANSIBLE_FORKS": "20",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CONFIG": str(CONFIGURATION),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_HOME": str(self._folder / "ansible"),
            "PYTHONUNBUFFERED": "1",
            **self._environment,
            # By this the lab's log of calls tells whose they are: tools/iam_actions.py.
            "AWS_ACCESS_KEY_ID": access_key_of(identity_of(playbook, arguments)),
            **(environment or {}),
        }
        command = [str(PROGRAM), "-i", "inventory.json", str(TOP / "playbooks" / playbook), *arguments]
        return Running(command, {name: value for name, value in exported.items() if value is not None}, folder, terminal)

    def run(self, hosts, playbook: str = "encrypt.yml", *arguments: str, limit: float = LIMIT, **variables) -> Run:
        """Run a playbook to its end."""
        return self.start(hosts, playbook, *arguments, **variables).wait(limit)
