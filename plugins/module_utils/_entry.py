# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The one place where a module's ``run(context)`` meets Ansible.

A module file holds ``ARGUMENT_SPEC``, optionally ``ARGUMENT_RULES`` (``mutually_exclusive``, ...), ``run(context) -> result`` and
``main()``. ``main()`` serves the module on any host; the action plugin of the same name calls the same ``run`` inside the
controller, which is several times cheaper and shows progress lines at once.
"""

from __future__ import annotations

import copy
import threading
import traceback

from ansible.module_utils.common.parameters import remove_values

from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule, aws_argument_spec

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.aws_session import make_client
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.clock import Clock
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import COMPANY, kind_of_change
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.options import option_problems
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.shown import shown

try:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    AWS_ERRORS: tuple = (BotoCoreError, ClientError, ResponseParserError)
except ImportError:  # AnsibleAWSModule reports the missing library in words
    AWS_ERRORS = ()

# Hosts that one process works for share clients, which may be used by many threads, but not made by them.
_CLIENTS: dict[str, object] = {}
_SESSIONS: dict = {}
_MAKING = threading.Lock()
_CONNECTION = tuple(aws_argument_spec())
# Throttling comes in bursts that outlast botocore's own three attempts.
PATIENT = {"retries": {"mode": "standard", "total_max_attempts": 10}, "connect_timeout": 15, "read_timeout": 60}
# How the names of operations begin that change nothing.
READS = ("Describe", "Get", "List", "Simulate", "Download", "Lookup")


class Context:
    """What a ``run`` may know of its caller: parameters, modes, clients, and a voice.

    :param connection: an object with ``params`` and ``fail_json`` as amazon.aws's connection helpers want it.
    :param progress: called with one line of text whenever something worth telling moves.
    :param mask: called with each secret that was read at run time, so that no output can show it.
    :param recent: ``(what, read) -> answer``: what another task of this run has just read under this name, or else ``read()``.
    :param stand: called with what is awaited and how it stands, where one line tells of many hosts; see ``wait_until``.
    """

    def __init__(self, params, *, check_mode, diff_mode, connection, progress, warn, mask, clock=None, stand=None, recent=None):
        self.params = params
        self.check_mode = check_mode
        self.diff_mode = diff_mode
        self.progress = lambda line: progress(shown(line))
        self.warn = lambda text: warn(shown(text))
        self.mask = mask
        self.clock = clock or Clock()
        self.stand = stand and (lambda what, texts, expected: stand(shown(what), [shown(text) for text in texts], expected))
        self._recent = recent
        self._connection = connection
        self._sessions: dict = {}

    def recent(self, read):
        """What ``read()`` brings, or has just brought another host of this run that has the same connection."""
        return self._recent(self._connected(), read) if self._recent else read()

    def _connected(self) -> str:
        """What tells one connection from another; not to be kept, it holds secrets."""
        return repr(sorted((name, self.params.get(name)) for name in _CONNECTION))

    def client(self, service: str, config: dict | None = None, region: str | None = None):
        """A boto3 client made from the amazon.aws connection options.

        :param config: botocore settings that win over the operator's ``aws_config``. Whatever neither of them says, a client is patient:
            it is for reading, and reads may be repeated.
        :param region: another region than that of the connection options.
        """
        if COMPANY.size < 2:
            return self._new_client(service, config, region)
        key = repr((service, config, region, self._connected()))
        with _MAKING:
            if key not in _CLIENTS:
                _CLIENTS[key] = self._new_client(service, config, region)
            return _CLIENTS[key]

    def _new_client(self, service: str, config: dict | None, region: str | None):
        home, endpoint_url, kwargs = get_aws_connection_info(self._connection)
        asked = kwargs.pop("aws_config", None)
        # Copies, because botocore writes into the dictionaries that it is given.
        settings = Config(**copy.deepcopy(PATIENT))
        for more in (asked, config and Config(**copy.deepcopy(config))):
            settings = settings.merge(more) if more else settings
        sessions = _SESSIONS if COMPANY.size > 1 else self._sessions
        client = make_client(sessions, service, region=region or home, endpoint_url=endpoint_url, config=settings, **kwargs)
        client.meta.events.register("before-sign", _take_turn)  # a signature is good for five minutes only
        return client


def _take_turn(event_name: str = "", **_unused) -> None:
    """Called by botocore before each request, as ``before-sign.SERVICE.OPERATION``."""
    operation = event_name.rpartition(".")[2]
    if operation.startswith(READS):
        COMPANY.take_turn()
    else:
        COMPANY.take_turn(**kind_of_change(operation))


def aws_failure(error) -> dict:
    """The ``fail_json`` arguments for an AWS error that nothing closer to the call put into words."""
    response = getattr(error, "response", None) or {}
    code = response.get("Error", {}).get("Code")
    operation = getattr(error, "operation_name", None)
    hint = "Next: correct the cause named above and run again; the run goes on where it stopped."
    if code and ("AccessDenied" in code or "Unauthorized" in code):
        hint = f"Next: allow the operation {operation} (docs/iam.md holds the complete policy) and run again."
    return dict(msg=f"AWS refused {operation or 'a call'}: {error}. {hint}", error_code=code, operation=operation)


def answer(run, context: Context, secrets) -> dict:
    """The result of a module, or of its failure (``failed`` is set then): in words, without secrets, and harmless to a terminal.

    :param secrets: what no output may show; ``context.mask`` may add to it while the module runs.
    """
    try:
        problems = option_problems(context.params)
        if problems:
            raise RefusedError(" ".join(problems), done="Nothing was changed.")
        result = run(context)
    except EncryptionError as e:
        result = dict(e.facts, failed=True, msg=str(e))
    except AWS_ERRORS as e:
        result = dict(aws_failure(e), failed=True)
    except Exception as e:
        text = f"A defect of this collection: {type(e).__name__}: {e}. Next: run again, which goes on where it stopped; please report it, with -vvv."
        result = dict(failed=True, msg=text, exception=traceback.format_exc())
    # Secrets first: written out otherwise, they would not be found any more.
    return shown(remove_values(result, set(secrets)))


def module_main(argument_spec: dict, run, **rules) -> None:
    """Run a module in its own process.

    :param argument_spec: the module's own options; amazon.aws's connection options are added.
    :param run: ``run(context) -> result dict``.
    :param rules: ``mutually_exclusive``, ``required_together``, ... as AnsibleModule takes them.
    """
    module = AnsibleAWSModule(argument_spec=argument_spec, supports_check_mode=True, **rules)
    context = Context(
        module.params,
        check_mode=module.check_mode,
        diff_mode=module._diff,
        connection=module,
        progress=lambda line: None,
        warn=module.warn,
        mask=module._module.no_log_values.add,
    )
    result = answer(run, context, module._module.no_log_values)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)
