# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says, from a worker, what a module of the collection says while it waits: for the tests of the live view."""

from __future__ import annotations

import time

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """``lines`` as progress of the host, a moment apart."""

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        for line in self._task.args["lines"]:
            Display().display(f"[{task_vars['inventory_hostname']}] {line}")
            time.sleep(float(self._task.args.get("pause", 0)))
        return dict(changed=False, topology=dict(estimate=self._task.args.get("estimate", [])), failed=self._task.args.get("fail", False), msg="told")
