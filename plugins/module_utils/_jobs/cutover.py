# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_cutover``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    check_fence,
    predicted,
    prefixes_of,
    runner_of,
    working_topology,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.cutover import plan_cutover


def run(context) -> dict:
    """Give every name of the topology to its encrypted instance."""
    rds = Rds(context.client)
    params = context.params
    prefixes = prefixes_of(params)
    key = rds_read.key_description(context.client("kms"), params["kms_key_id"])["Arn"] if params["kms_key_id"] else None

    def read_and_plan():
        topology = working_topology(context, rds, params["name"], prefixes)
        check_fence(rds, topology)
        return plan_cutover(
            topology,
            context.clock.utc(),
            kms_key_arn=key,
            accepted_differences=frozenset(params["accepted_differences"] or ()),
            assumed=context.check_mode,
        )

    if context.check_mode:
        return predicted(read_and_plan(), context)
    runner = runner_of(context, rds)
    last = runner.reconcile(read_and_plan)
    topology = working_topology(context, rds, params["name"], prefixes)
    _confirm_endpoints(topology)
    return achieved(runner, last, context, members=[_outcome(member) for member in topology.members if member.source])


def _confirm_endpoints(topology: Topology) -> None:
    """Raise if a name's address is not the one that applications know.

    The part after the name is the same for one account and region; the swap of names rests on that, so it is looked at, not assumed.
    """
    for member in topology.members:
        if member.source is None or member.target is None:
            continue
        old = (member.source.get("Endpoint") or {}).get("Address", "")
        now = (member.target.get("Endpoint") or {}).get("Address", "")
        expected = member.name + old[len(member.old_name) :] if old.startswith(member.old_name + ".") else now
        if now != expected:
            raise EncryptionError(
                f"{member.name} now answers at {now or 'no address'}, applications know it as {expected}.",
                done="The names are swapped; the data is complete.",
                next_step="Point the applications (or a CNAME) at the new address, or give the names back.",
            )


def _outcome(member) -> dict:
    return {
        "name": member.name,
        "old": member.source_identifier,
        "resource_id": member.target["DbiResourceId"] if member.target else None,
        "endpoint": (member.target.get("Endpoint") or {}).get("Address") if member.target else None,
    }
