# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_dependents``: what hangs on a topology, what blocks the run, what is bound again and what is left to its owner."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import dependents as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import remembered
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import achieved, predicted, prefixes_of, read_topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.dependents import BY_KIND, Fate
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.dependents import (
    Readings,
    blocking,
    find_dependents,
    log_group_prefixes,
    members_with_source,
    plan_lines,
    uses_iam_logins,
    words_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.owners import item_lines, items_of, quoted_commands
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.rebinding import plan_proxy, plan_subscription, serving_instance
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.apply import Runner
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits


def run(context) -> dict:
    """List what hangs on a topology; with ``rebind`` also bind again what lost its instance."""
    params = context.params
    accepted = frozenset(params["accepted_dependents"] or ())
    unknown = sorted(accepted - {row.kind for row in BY_KIND.values() if row.fate is Fate.BLOCKS})
    if unknown:
        known = ", ".join(sorted(row.kind for row in BY_KIND.values() if row.fate is Fate.BLOCKS))
        raise RefusedError(f"accepted_dependents names {', '.join(unknown)}; what can be accepted: {known}.", done="Nothing was changed.")
    rds = adapter.RdsOfDependents(context.client)
    topology, _listing = read_topology(context, rds, params["name"], prefixes_of(params))
    if topology.skip_reason or topology.problems or not any(member.source for member in topology.members):
        # Whoever asks for the topology says why; where the original is gone, nobody can tell what hung on it.
        return _listed(context, topology, [], [], Plan())
    looking = adapter.Looking(context.clock)
    if params["rebind"]:
        return _rebind(context, rds, topology, looking)
    readings = _read_all(context, rds, topology, looking)
    found = find_dependents(topology, readings, looking.remarks)
    steps = _rebinding(topology, readings, assumed=not topology.primary.cut_over)
    return _listed(context, topology, found, looking.remarks, steps, accepted)


def _read_all(context, rds, topology: Topology, looking: adapter.Looking) -> Readings:
    words = words_of(topology)
    prefixes = log_group_prefixes(topology)
    look = looking.attempt
    alarms = look("CloudWatch alarms", lambda: adapter.alarms(remembered(context.client("cloudwatch", adapter.LOOKING)), words), {})
    migrations = look("DMS endpoints and tasks", lambda: adapter.migrations(remembered(context.client("dms", adapter.LOOKING)), words), {})
    groups = policies = []
    if prefixes:
        groups = look("Filters on log groups", lambda: adapter.log_groups(remembered(context.client("logs", adapter.LOOKING)), prefixes), [])
    if uses_iam_logins(topology):
        policies = look("IAM policies", lambda: adapter.policies(remembered(context.client("iam", adapter.LOOKING)), words), [])
    return Readings(
        **_read_rds(rds, words, looking),
        integrations=look("Zero-ETL integrations", lambda: adapter.integrations(rds.glance, words), []),
        exports=look("Exports of snapshots", lambda: adapter.exports(rds.glance), []),
        metric_alarms=alarms.get("metric", []),
        composite_alarms=alarms.get("composite", []),
        log_groups=groups,
        policies=policies,
        backup_selections=look(
            "AWS Backup selections", lambda: adapter.backup_selections(remembered(context.client("backup", adapter.LOOKING)), words), []
        ),
        dms_endpoints=migrations.get("endpoints", []),
        dms_tasks=migrations.get("tasks", []),
        secrets=look("Secrets", lambda: adapter.secrets(remembered(context.client("secretsmanager", adapter.LOOKING)), words), []),
        rules=look("EventBridge rules", lambda: adapter.rules(remembered(context.client("events", adapter.LOOKING)), words), []),
    )


def _read_rds(rds, words: list[str], looking: adapter.Looking) -> dict:
    """What can be bound again."""
    return dict(
        proxies=looking.attempt("RDS Proxies", lambda: adapter.proxies(rds.glance, words), []),
        subscriptions=looking.attempt("RDS event subscriptions", lambda: adapter.subscriptions(rds.glance, words), []),
    )


def _rebinding(topology: Topology, readings: Readings, *, assumed: bool) -> Plan:
    groups = []
    for member in members_with_source(topology):
        serving = serving_instance(member)
        for proxy in readings.proxies:
            groups += plan_proxy(member, serving, proxy, assumed=assumed).stages
        for subscription in readings.subscriptions:
            groups += plan_subscription(member, None if assumed else serving, subscription).stages
    return Plan(stages(*groups))


def _rebind(context, rds, topology: Topology, looking: adapter.Looking) -> dict:
    readings = Readings(**_read_rds(rds, words_of(topology), looking))
    for remark in looking.remarks:
        context.warn(f"{topology.name}: {remark}")
    if context.check_mode:
        return predicted(_rebinding(topology, readings, assumed=not topology.primary.cut_over), context)
    limits = Limits(poll_interval=context.params["poll_interval"], wait_timeout=float(context.params["rebind_timeout"]))
    runner = Runner(rds, context.clock, context.progress, limits)
    for member in members_with_source(topology):
        serving = serving_instance(member)
        for proxy in readings.proxies:
            _each(context, runner, lambda m=member, s=serving, p=proxy: plan_proxy(m, s, _again(rds, p)))
        for subscription in readings.subscriptions:
            name = subscription["CustSubscriptionId"]
            _each(context, runner, lambda m=member, s=serving, n=name: plan_subscription(m, s, rds.subscription(n)))
    return achieved(runner, Plan(), context)


def _again(rds, proxy: dict) -> dict:
    return {**proxy, "Targets": rds.proxy_targets(proxy["DBProxyName"]), "Tags": rds.proxy_tags(proxy["DBProxyArn"])}


def _each(context, runner: Runner, read_and_plan) -> None:
    """Bind one thing; what cannot be bound keeps neither the others nor the cutover: it becomes an item of the report."""
    try:
        runner.reconcile(read_and_plan)
    except EncryptionError as e:
        context.warn(str(e))
    except runner.rds.read_errors as e:
        context.warn(f"It could not be read whether it is to be bound again: {e}")


def _listed(context, topology: Topology, found, remarks, steps: Plan, accepted=frozenset()) -> dict:
    items = items_of(topology, found)
    for number, command in enumerate(quoted_commands(items)):
        # Ansible shows results as JSON, in which a command with quotes is none any more.
        if number == 0:
            context.progress("Commands of the report that have quotes, as a shell wants them:")
        context.progress(command)
    return predicted(
        steps,
        context,
        dependents=[dependent.to_dict() for dependent in found],
        blockers=blocking(topology, found, accepted),
        items=items,
        unread=[f"{topology.name}: {remark}" for remark in remarks],
        plan_lines=plan_lines(found),
        report_lines=item_lines(items),
    ) | {"changed": False}
