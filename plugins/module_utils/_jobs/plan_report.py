# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_plan_report``."""

from __future__ import annotations

import json

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.files import private_folder, write_private
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.shown import shown
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.plan_pages import fleet_lines, plan_markdown, plan_of, plan_text, topology_lines


def run(context) -> dict:
    """Draw up the plan, and write it where it was asked for."""
    params = context.params
    try:
        plan = shown(plan_of(params["topologies"], params["retire_after_days"]))
    except (KeyError, TypeError, AttributeError) as e:
        raise RefusedError(
            f"topologies does not hold what rds_topology_info and rds_dependents returned ({type(e).__name__}: {e}).",
            done="Nothing was written.",
            next_step="Give for each host: host, topology, and where there are any dependents and problems.",
        ) from e
    files = []
    if params["directory"] and not context.check_mode:
        texts = {"plan.txt": plan_text(plan), "plan.md": plan_markdown(plan), "plan.json": json.dumps(plan, indent=2, sort_keys=True) + "\n"}
        files = write_private(private_folder(params["directory"]), texts)
    lines = {topology["host"]: topology_lines(topology) for topology in plan["topologies"]}
    return dict(changed=False, fleet=plan["fleet"], fleet_lines=fleet_lines(plan), lines=lines, files=files)
