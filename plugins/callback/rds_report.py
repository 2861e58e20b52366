# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notes what each task of a run said, and writes the report and the evidence when the run is over, also when it failed.

Beside the playbooks of the collection lies a callback of the same name that Ansible loads without being told to; whoever imports single
roles into a playbook of their own enables this one. A fault in here never harms a run: Ansible turns it into a warning.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: rds_report
type: notification
version_added: 1.0.0
short_description: The report and the evidence of a run
description:
  - Writes what became of each host, how long each phase and the outage of each instance took, what differs and why, and what is left to do, as
    HTML, Markdown and JSON, also of a run that failed; and the evidence for the auditor, if that was asked for.
  - Shows all failures together at the end of the run, each with the page of the recovery guide.
  - The playbooks of this collection bring it along. Enable it for playbooks of your own that import its roles.
  - It reads the variables C(rds_encryption_report_directory) and C(rds_encryption_evidence_directory) of the first host.
requirements:
  - enable in configuration, for playbooks of your own
author:
  - The dbre.rds_encryption contributors (@dbre)
"""

import getpass
import importlib.metadata
import json
import os
import platform

from ansible import constants, context
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as ansible_version
from ansible.template import Templar

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.clock import Clock
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.saved import version_beside
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.report import make_report, write_evidence, write_report
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, parts_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.phases import PHASES_BY_NAME
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report import failure_lines

OURS = "dbre.rds_encryption."
GATE = "gate"
DIRECTORIES = {"rds_encryption_report_directory": "rds-encryption-reports", "rds_encryption_evidence_directory": ""}


class CallbackModule(CallbackBase):
    """One record for each result of one of our modules, and for each failure."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "dbre.rds_encryption.rds_report"
    CALLBACK_NEEDS_ENABLED = True

    # The one that writes, where both this callback and the one beside the playbooks are loaded.
    _writer: CallbackModule | None = None

    def __init__(self):
        super().__init__()
        self._clock = Clock()
        self._started: dict[tuple[str, str], str] = {}
        self._records: list[dict] = []
        # Host -> its place in the play: who answers first is chance.
        self._places: dict[str, int] = {}
        self._roles: set[str] = set()
        self._playbook = ""
        self._began = ""
        self._play = None
        self._directories: dict[str, str] | None = None

    def v2_playbook_on_start(self, playbook):
        """The run begins: what it is called, and which phases it will have."""
        if CallbackModule._writer is None:
            CallbackModule._writer = self
        self._playbook = os.path.basename(playbook._file_name)
        self._began = self._clock.utc()
        self._roles = {name for play in playbook.get_plays() for name in map(phase_of_role, play.get_roles()) if name}

    def v2_playbook_on_play_start(self, play):
        """A play begins; its variables may be asked for from now on."""
        self._play = play

    def v2_runner_on_start(self, host, task):
        """A task begins for a host."""
        self._started[(host.get_name(), task._uuid)] = self._clock.utc()
        self._places.setdefault(host.get_name(), len(self._places))
        if self._directories is None and phase_of(task):
            self._directories = self._read_directories(host, task)

    def v2_runner_on_ok(self, result):
        """A task went well."""
        self._note(result, "changed" if _answer(result).get("changed") else "ok")

    def v2_runner_on_skipped(self, result):
        """A task was not needed."""
        self._started.pop((_host(result), _task(result)._uuid), None)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """A task failed."""
        self._note(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        """A host of an operator's own task cannot be reached."""
        self._note(result, "failed")

    def v2_playbook_on_stats(self, stats):
        """The run is over: write, and say what failed."""
        phases = {record["phase"] for record in self._records if record["phase"]} - {GATE}
        if CallbackModule._writer is not self or not phases:
            return
        failed = sorted(host for host in stats.processed if stats.failures.get(host) or stats.dark.get(host))
        run = {
            "playbook": self._playbook,
            "started": self._began,
            "finished": self._clock.utc(),
            "check": bool(context.CLIARGS.get("check")),
            "user": f"{_user()} on {platform.node()}",
            "versions": _versions(),
            "failed_hosts": failed,
        }
        report = make_report(run, sorted(self._records, key=lambda record: self._places.get(record["host"], 0)))
        lines = failure_lines(report["failures"])
        if any(PHASES_BY_NAME[name].changes for name in (phases | self._roles) - {GATE}) and not run["check"]:
            lines += self._write(report)
        for line in lines:
            self._display.display(line, color=constants.COLOR_ERROR if line.startswith("FAILED") else None)

    def _write(self, report: dict) -> list[str]:
        lines = []
        directories = self._directories or DIRECTORIES
        try:
            if directories["rds_encryption_report_directory"]:
                lines.append(f"Report: {write_report(report, directories['rds_encryption_report_directory'])[0]}")
            if directories["rds_encryption_evidence_directory"]:
                folder, digest = write_evidence(report, self._records, directories["rds_encryption_evidence_directory"])
                lines.append(f"Evidence: {folder} (SHA-256 of its manifest, to be noted elsewhere: {digest})")
        except EncryptionError as e:
            self._display.warning(f"What became of the run was not written. {e}")
        return lines

    def _read_directories(self, host, task) -> dict[str, str]:
        variables = self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task)
        templar = Templar(loader=self._play.get_loader(), variables=variables)
        return {name: str(templar.template(variables.get(name, default)) or "") for name, default in DIRECTORIES.items()}

    def _note(self, result, status: str) -> None:
        task, host, answer = _task(result), _host(result), _answer(result)
        started = self._started.pop((host, task._uuid), None) or self._clock.utc()
        phase = phase_of(task)
        action = getattr(task, "resolved_action", None) or task.action
        ours = action.startswith(OURS)
        failures = _failures(answer) if status == "failed" else []
        if not ours and not failures and not phase:
            return
        self._records.append(
            {
                "host": host,
                "phase": phase,
                "task": task.name or action,
                "module": action[len(OURS) :] if ours else "",
                "started": started,
                "finished": self._clock.utc(),
                "status": status,
                "results": [{"label": label, "result": each} for label, each in _each(answer)] if ours else [],
                "failures": failures,
            }
        )


def phase_of_role(role) -> str:
    """The phase that a role of this collection is, or nothing."""
    name = role.get_name()
    short = name[len(OURS) :] if name.startswith(OURS) else ""
    return short if short in PHASES_BY_NAME or short == GATE else ""


def phase_of(task) -> str:
    """The phase that a task belongs to, through whatever roles and files it was included."""
    return next((phase for phase in map(phase_of_role, task.get_dep_chain() or []) if phase), "")


# ansible-core 2.19 gives these attributes new names; the older ones are those of 2.17 and 2.18.
def _task(result):
    return result.task if hasattr(result, "task") else result._task


def _host(result) -> str:
    return (result.host if hasattr(result, "host") else result._host).get_name()


def _answer(result) -> dict:
    """What a task answered, as plain data; what ``no_log`` hides stays hidden."""
    answer = result.result if hasattr(result, "result") else result._result
    if answer.get("censored") or answer.get("_ansible_no_log"):
        return {"msg": "hidden by no_log", "failed": bool(answer.get("failed"))}
    return json.loads(json.dumps({key: value for key, value in answer.items() if not key.startswith("_ansible")}, default=str))


def _each(answer: dict):
    """(label, result) of each item of a loop, or of the task itself."""
    if not isinstance(answer.get("results"), list):
        yield "", answer
        return
    for each in answer["results"]:
        if isinstance(each, dict) and not each.get("skipped"):
            item = each.get("item")
            yield _label(item), {key: value for key, value in each.items() if key not in ("item", "ansible_loop_var")}


def _label(item) -> str:
    if not isinstance(item, dict):
        return str(item)
    names = [str(item[key]) for key in ("source_identifier", "target_identifier") if item.get(key)]
    return " -> ".join(names) or str(item.get("name", ""))


def _failures(answer: dict) -> list[dict]:
    failed = [(label, each) for label, each in _each(answer) if each.get("failed") or each.get("unreachable")] or [("", answer)]
    return [_failure(label, each) for label, each in failed]


def _failure(label: str, answer: dict) -> dict:
    problem, done, next_step = parts_of(str(answer.get("msg") or "no reason was given"))
    return {"resource": str(answer.get("resource") or label), "cause": problem, "state": done, "next_step": next_step}


def _versions() -> dict[str, str]:
    found = {"ansible-core": ansible_version, "python": platform.python_version(), "dbre.rds_encryption": version_beside(__file__, 2)}
    for name in ("amazon.aws", "boto3", "botocore"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
