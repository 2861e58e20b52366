# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_rollback``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import (
    achieved,
    predicted,
    prefixes_of,
    read_topology,
    runner_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.topology_info import means_the_same
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Listing, Topology, plain_name
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.rollback import (
    check_nobody_took_the_name,
    doubtful,
    fence_age,
    leftovers,
    plan_rollback,
    standing,
)


def run(context) -> dict:
    """Give the names back to the originals."""
    rds = Rds(context.client)
    params = context.params
    prefixes = prefixes_of(params)
    name = _existing(params["name"].lower(), rds, prefixes)

    def read() -> tuple[Topology, Listing]:
        topology, listing = read_topology(context, rds, name, prefixes)
        if topology.problems and not topology.skip_reason:
            raise RefusedError(topology.problems[0], done="Nothing was changed.")
        check_nobody_took_the_name(topology, listing)
        return topology, listing

    topology, listing = read()
    duplicate = means_the_same(params["name"], topology, params.get("fleet") or [], listing, prefixes)
    if duplicate:
        reason = f"{params['name']} means {topology.name}, which {duplicate} stands for in this run."
        return predicted(Plan(), context, action="none", reason=reason, **_facts(topology, listing, context))
    stands = standing(topology)
    said = dict(action=stands.action, reason=stands.reason, discards_writes=stands.served, fence_age=fence_age(topology, context.clock.utc()))

    def plan(topology: Topology) -> Plan:
        return plan_rollback(
            topology,
            context.clock.utc(),
            discard_writes=params["discard_writes"],
            assumed=context.check_mode,
            keep_link=bool(params.get("keep_link")),
        )

    first = plan(topology)
    if context.check_mode or stands.action == "none":
        return predicted(first, context, **said, **_facts(topology, listing, context))
    runner = runner_of(context, rds)
    waits = doubtful(topology)
    if waits:
        runner.perform(waits)
    addresses = _addresses(topology)
    runner.reconcile(lambda: plan(read()[0]))
    topology, listing = read()
    _confirm(topology, addresses)
    return achieved(runner, Plan(remarks=first.remarks), context, **said, **_facts(topology, listing, context))


def _existing(asked: str, rds: Rds, prefixes) -> str:
    """The name to look for: ``old-NAME`` in an inventory means ``NAME`` when it was given back, and its marks are gone."""
    listing = Listing(rds.all_instances())
    plain = plain_name(asked, prefixes)
    return plain if asked not in listing.by_name and plain in listing.by_name else asked


def _facts(topology: Topology, listing: Listing, context) -> dict:
    left = leftovers(topology, listing)
    return dict(
        name=topology.name,
        members=[
            dict(name=m.name, identifier=m.source_identifier, endpoint=_address(m.source)) for m in topology.members if m.source is not None
        ],
        leftovers=[described["DBInstanceIdentifier"] for described in left],
    )


def _address(described: dict) -> str:
    return (described.get("Endpoint") or {}).get("Address", "")


def _addresses(topology: Topology) -> dict[str, str]:
    """Resource id -> what follows the name in the address: one value for an account and a region, as far as is known."""
    found = {}
    for member in topology.members:
        if member.source is not None:
            found[member.source["DbiResourceId"]] = _address(member.source)[len(member.source_identifier) :]
    return found


def _confirm(topology: Topology, before: dict[str, str]) -> None:
    """Raise if an original does not answer at the address that applications know."""
    for member in topology.members:
        if member.source is None:
            continue
        suffix = before.get(member.source["DbiResourceId"])
        now = _address(member.source)
        if member.source_identifier != member.name or suffix and now != member.name + suffix:
            raise EncryptionError(
                f"{member.name} should be its original again, but that is called {member.source_identifier} and answers at {now or 'no address'}.",
                done="Everything that had to be done was accepted by RDS.",
                next_step="Look at the events of the instance (aws rds describe-events), then run the rollback again.",
            )
