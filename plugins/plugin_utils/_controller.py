# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Run a module of this collection inside the controller's worker process.

Measured reason (docs/architecture.md): one AWS module costs about a second of CPU for unpacking and importing; the same work in the
worker, which inherits the imports, costs a fifth of it, and its progress lines appear while it waits.
"""

from __future__ import annotations

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.aws_session import read_ahead
from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import Context, answer
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

display = Display()
# The parent of all workers imports this file once.
read_ahead()


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
        if self._must_run_on_the_host():
            return self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        return self._run_here(task_vars)

    def _must_run_on_the_host(self) -> bool:
        # Elsewhere other credentials, another environment or another user count: only the module itself sees those.
        environment = [e for e in (self._task.environment or []) if e]
        return bool(self._connection.transport != "local" or environment or self._task.async_val or self._play_context.become)

    def _run_here(self, task_vars) -> dict:
        host = task_vars.get("inventory_hostname", "localhost")
        spec = {**aws_argument_spec(), **self.MODULE.ARGUMENT_SPEC}
        validator = ArgumentSpecValidator(spec, **getattr(self.MODULE, "ARGUMENT_RULES", {}))
        try:
            checked = validator.validate(self._task.args)
        except Exception:
            return dict(failed=True, msg=f"{self._task.action}: {', '.join(_unreadable(spec, self._task.args))} cannot be read.")
        secrets = set(checked._no_log_values)
        if checked.error_messages:
            return remove_values(dict(failed=True, msg=f"{self._task.action}: " + "; ".join(checked.error_messages)), secrets)
        warnings: list[str] = []
        context = Context(
            checked.validated_parameters,
            check_mode=self._task.check_mode,
            diff_mode=self._task.diff,
            connection=_Connection(self._task.action, checked.validated_parameters),
            progress=lambda line: display.display(f"[{host}] {remove_values(line, secrets)}"),
            warn=warnings.append,
            mask=secrets.add,
        )
        result = answer(self.MODULE.run, context, secrets)
        if warnings:
            result["warnings"] = remove_values(warnings, secrets)
        result.setdefault("changed", False)
        return result
