# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Run a module of this collection inside the controller's worker process; for many hosts, in one of these.

Measured reason (docs/architecture.md): one AWS module costs about a second of CPU for unpacking and importing; the same work in the
worker, which inherits the imports, costs a fifth of it, and its progress lines appear while it waits.

A wait would hold one of Ansible's forks for hours, and there are five. So the roles say each long task three times, with the variable
``__rds_encryption_turn``: with ``ask``, each host leaves its request; with ``work`` and ``run_once``, one worker does what all of them asked,
each in a thread of its own; without it, each host takes its answer as if it had done it itself. Where nobody asked, or the worker died, or the
strategy is ``free``, the third does the work by itself, or waits for whoever is at it: the first two can be left out of any playbook.
"""

from __future__ import annotations

import gc
import hashlib
import math
import os
import random
import threading
import uuid

from ansible import constants as C
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.aws_session import read_ahead
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.clock import Clock, GridClock
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import COMPANY, forget
from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import Context, answer
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.together import MANY, Board, all_at_once
from ansible_collections.dbre.rds_encryption.plugins.plugin_utils._spool import Recent, Spool, unpacked

display = Display()
# The parent of all workers imports this file once.
read_ahead()
# While a worker works, its parent looks a thousand times a second whether it is done: minutes of processor time for the hours of a copy.
SELDOM, OFTEN = 0.02, 0.001
if C.DEFAULT_INTERNAL_POLL_INTERVAL == OFTEN:  # nobody has set internal_poll_interval
    C.DEFAULT_INTERNAL_POLL_INTERVAL = SELDOM
# A worker is a fork of the parent, with which it shares all memory until one of them writes to it, as the garbage collector does in what it looks
# through. So a worker's collector is not shown what it has inherited (docs.python.org/3/library/gc.html#gc.freeze).
os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)
# Made when the first action plugin is loaded, which the controller does itself before it starts a worker for it.
SPOOL = Spool()
RECENT = Recent(Clock())
TURN, AFTER = "__rds_encryption_turn", "__rds_encryption_after"


class _Connection:
    """What amazon.aws's connection helpers ask of a module: its parameters and a way to fail."""

    def __init__(self, name, params):
        self._name = name
        self.params = params

    def fail_json(self, msg, **kwargs):
        raise EncryptionError(str(msg))

    def fail_json_aws(self, exception, msg=None, **kwargs):
        raise EncryptionError(f"{msg}: {exception}" if msg else str(exception))


def _unreadable(spec: dict, args: dict) -> list[str]:
    """The options at whose values Ansible's own validation breaks off (infinity as a whole number); the values may be secrets."""
    found = []
    for name in args:
        option = {key: each for key, each in spec.get(name, {}).items() if key != "required"}
        try:
            ArgumentSpecValidator({name: option}).validate({name: args[name]})
        except Exception:
            found.append(f"the value of {name}")
    return found or ["an option"]


class ControllerAction(ActionBase):
    """Base of the action plugins: subclasses name their module in ``MODULE``."""

    MODULE = None
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        turn = task_vars.get(TURN)
        if self._must_run_on_the_host():
            return dict(changed=False) if turn else self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        if turn == "work":
            return self._work()
        request = self._request(task_vars)
        if turn == "ask":
            if "params" in request:
                _ask(request, self._templar.template(task_vars.get(AFTER, "")))
            return dict(changed=False)
        answered = _answer_to(request) if "params" in request else None
        return answered if answered is not None else _do(request, self.MODULE.run)

    def _run_here(self, task_vars) -> dict:
        return _do(self._request(task_vars), self.MODULE.run)

    def _must_run_on_the_host(self) -> bool:
        # Elsewhere other credentials, another environment or another user count: only the module itself sees those.
        environment = [e for e in (self._task.environment or []) if e]
        return bool(self._connection.transport != "local" or environment or self._task.async_val or self._play_context.become)

    def _request(self, task_vars: dict) -> dict:
        """What a task asks for, its options checked; with ``failed`` and in words why it cannot be."""
        action = self._task.action
        spec = {**aws_argument_spec(), **self.MODULE.ARGUMENT_SPEC}
        validator = ArgumentSpecValidator(spec, **getattr(self.MODULE, "ARGUMENT_RULES", {}))
        try:
            checked = validator.validate(self._task.args)
        except Exception:
            return dict(failed=True, msg=f"{action}: {', '.join(_unreadable(spec, self._task.args))} cannot be read.")
        secrets = set(checked._no_log_values)
        if checked.error_messages:
            return remove_values(dict(failed=True, msg=f"{action}: " + "; ".join(checked.error_messages)), secrets)
        return dict(
            host=task_vars.get("inventory_hostname", "localhost"),
            action=action,
            params=checked.validated_parameters,
            secrets=secrets,
            check_mode=self._task.check_mode,
            diff_mode=self._task.diff,
        )

    def _work(self) -> dict:
        """Do what all hosts have asked for and nobody is at."""
        with SPOOL.locked():
            taken = {ident for _kind, ident, _key, _content in SPOOL.entries("claim", "taken")}
            asked = [entry for entry in SPOOL.entries("ask") if entry[1] not in taken]
            for entry in asked:
                SPOOL.add("claim", entry[1], entry[2], os.getpid())
        if asked:
            loader = self._shared_loader_obj.action_loader
            _Fleet([(entry[1], entry[2], unpacked(entry)) for entry in asked], lambda action: loader.get(action, class_only=True).MODULE.run).work()
        return dict(changed=False)


def _key_of(request: dict) -> tuple:
    told = repr(sorted((name, request[name]) for name in ("action", "params", "check_mode", "diff_mode")))
    return request["host"], hashlib.sha256(told.encode()).hexdigest()


def _ask(request: dict, after: str) -> None:
    """Leave a request for whoever works for all.

    :param after: the target whose request, of the same host, must have succeeded before this one begins.
    """
    with SPOOL.locked():
        if len(SPOOL.entries("ask")) == len(SPOOL.entries("taken")):
            SPOOL.clear()
        SPOOL.add("ask", uuid.uuid4().hex, _key_of(request), dict(request, after=after))


def _answer_to(request: dict) -> dict | None:
    """What came of a request that was left before; None if nobody has worked or works on it. An answer is given once."""
    key = _key_of(request)
    while True:
        with SPOOL.locked():
            taken = {entry[1] for entry in SPOOL.entries("taken")}
            mine = [entry[1] for entry in SPOOL.entries("ask") if entry[2] == key and entry[1] not in taken]
            if not mine:
                return None
            answers = {entry[1]: entry for entry in SPOOL.entries("answer")}
            workers = [unpacked(entry) for entry in SPOOL.entries("claim") if entry[1] == mine[-1]]
            answer = answers.get(mine[-1])
            if answer is not None or not any(map(_lives, workers)):
                for ident in mine:
                    SPOOL.add("taken", ident, key)
                return unpacked(answer) if answer is not None else None
        Clock().sleep(0.5)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _only_looks(request: dict) -> bool:
    return request["check_mode"] or request["params"].get("preflight") is False


def _do(request: dict, run, clock=None, stand=None) -> dict:
    """The result of a request, done here and now."""
    if request.get("failed"):
        return request
    secrets, warnings = set(request["secrets"]), []
    context = Context(
        request["params"],
        check_mode=request["check_mode"],
        diff_mode=request["diff_mode"],
        connection=_Connection(request["action"], request["params"]),
        progress=lambda line: display.display(f"[{request['host']}] {remove_values(line, secrets)}"),
        warn=warnings.append,
        mask=secrets.add,
        clock=clock,
        stand=stand,
        recent=RECENT.get,
    )
    result = answer(run, context, secrets)
    if not _only_looks(request):
        RECENT.forget()
    if warnings:
        result["warnings"] = remove_values(warnings, secrets)
    result.setdefault("changed", False)
    return result


class _Fleet:
    """Many requests, done side by side in this process.

    :param asked: (ident, key, request) each.
    :param run_of: action -> ``run`` of its module.
    """

    def __init__(self, asked: list[tuple], run_of):
        self._asked = dict(zip(_names(asked), asked, strict=True))
        self._run_of = {request["action"]: run_of(request["action"]) for _ident, _key, request in asked}
        names = list(self._asked)
        clock = Clock()
        many = len(names) >= MANY
        self._clock = GridClock(random.uniform(0, 64)) if len(names) > 1 else clock
        self._board = Board(names, clock, lambda line: display.display(f"[all] {line}")) if many else None
        self._ended = {name: threading.Event() for name in names}
        self._failed: set[str] = set()

    def work(self) -> None:
        COMPANY.grow(len(self._asked), min(request["params"].get("poll_interval") or math.inf for _ident, _key, request in self._asked.values()))
        try:
            all_at_once({name: lambda n=name: self._one(n, *self._asked[n]) for name in self._asked}, self._board)
        finally:
            COMPANY.grow(1, math.inf)
            forget()

    def _one(self, name: str, ident: str, key: tuple, request: dict) -> None:
        stand = (lambda what, texts, expected: self._board.stand(name, what, texts, expected)) if self._board else None
        try:
            before = f"{request['host']} {request['after']}"
            if request["after"] and before in self._ended:
                self._ended[before].wait()
            if before in self._failed:
                result = dict(failed=True, changed=False, msg=f"Not begun, since {request['after']} was not finished (see there).")
            else:
                result = _do(request, self._run_of[request["action"]], self._clock, stand)
            if result.get("failed"):
                self._failed.add(name)
            with SPOOL.locked():
                SPOOL.add("answer", ident, key, result)
        finally:
            self._ended[name].set()


def _names(asked: list[tuple]) -> list[str]:
    """What each request is called: its host, the target where it has one, and a number where a host asks several times for the same."""
    names: list[str] = []
    for _ident, _key, request in asked:
        target = request["params"].get("target_db_instance_identifier")
        name = f"{request['host']} {target}" if target else request["host"]
        same = sum(each == name or each.startswith(f"{name} #") for each in names)
        names.append(f"{name} #{same + 1}" if same else name)
    return names
