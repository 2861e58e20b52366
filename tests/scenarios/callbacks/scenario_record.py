# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes every result of a play, also those of loop items, as a line of JSON: what the tests of the scenarios read."""

from __future__ import annotations

DOCUMENTATION = """
name: scenario_record
type: notification
short_description: Writes results as lines of JSON
description: For the tests of this collection.
requirements: []
"""

import json
import os
import time

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """One line for each result: kind, play, task, host, result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "scenario_record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._file = open(os.environ["SCENARIO_RECORD"], "a", encoding="utf-8", buffering=1)  # noqa: SIM115  (open as long as the run)
        self._play = ""

    def v2_playbook_on_play_start(self, play):
        self._play = play.get_name()

    def _write(self, kind, result):
        # Through the display's own serializer: it masks what no_log masks and knows ansible's types.
        line = {"time": time.time(), "kind": kind, "play": self._play, "task": result.task.get_name(),
                "action": result.task.action, "host": result.host.get_name(), "result": json.loads(self._dump_results(result.result))}
        self._file.write(json.dumps(line) + "\n")

    def v2_runner_on_ok(self, result):
        self._write("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self._write("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._write("skipped", result)

    def v2_runner_item_on_ok(self, result):
        self._write("item", result)

    def v2_runner_item_on_failed(self, result):
        self._write("item_failed", result)

    def v2_playbook_on_stats(self, stats):
        self._file.write(json.dumps({"kind": "recap", "hosts": {host: stats.summarize(host) for host in stats.processed}}) + "\n")
