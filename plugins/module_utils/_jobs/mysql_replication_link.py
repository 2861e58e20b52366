# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The code of mysql_replication_link: each state has a file."""

from __future__ import annotations

import re

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_absent import absent
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_compared import compared
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_drained import drained
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_linked import linked
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_seeded import seeded
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server, server_dict
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.restarts import despite_restarts
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import verbs_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replication_source import examine_source

_RETENTION = re.compile("NULL|[0-9]{1,3}", re.ASCII)
_LINK_ID = re.compile("[a-z0-9]{1,16}", re.ASCII)


def run(context) -> dict:
    """The link is what the state says."""
    params = context.params
    state = params["state"]
    if params["link_id"] is None:
        if state != "examined":
            raise RefusedError(f"state {state} needs link_id.", done="Nothing was changed.")
    elif not _LINK_ID.fullmatch(params["link_id"]):
        raise RefusedError("link_id must be 1 to 16 lower-case letters and digits: it becomes part of a login's name.", done="Nothing was changed.")
    retention = params["restore_binlog_retention"]
    if retention is not None and not _RETENTION.fullmatch(retention):
        raise RefusedError("restore_binlog_retention must be NULL or a number of hours.", done="Nothing was changed.")
    needed = {"seeded": ("seed",), "linked": ("target",), "compared": ("target",), "drained": ("target",)}.get(state, ())
    missing = [name for name in needed if params[name] is None]
    if missing:
        raise RefusedError(f"state {state} needs {missing[0]}.", done="Nothing was changed.")
    began = context.clock.monotonic()
    job = _STATES[state]
    return despite_restarts(context, lambda: {"state": state, **(job(context, began) if job is drained else job(context))})


def _examined(context) -> dict:
    with open_server(context, context.params["source"], "source") as source:
        verbs = verbs_of(source.facts.family, source.facts.version)
        found = examine_source(
            source.facts,
            verbs,
            adapter.examine(source, verbs),
            is_rds_replica=bool(source.instance and source.instance.replica_of),
            accept_non_transactional=context.params["accept_non_transactional"],
        )
        return dict(changed=False, server=server_dict(source), **found)


_STATES = dict(examined=_examined, seeded=seeded, linked=linked, compared=compared, drained=drained, absent=absent)
