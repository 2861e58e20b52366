# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What hangs on a topology, found in what other services say of themselves; and what is to be done about each piece of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.dependents import BY_KIND, KINDS, Fate, Kind
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_NAME, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.shown import shown
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member, Topology
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.rebinding import (
    is_bound,
    is_target_of,
    listed_sources,
    serving_instance,
    state_of,
)

MONITORING_GROUP = "RDSOSMetrics"
_CAPTURES = ("cdc", "full-load-and-cdc")
_SHOWN_NAMES = 10


@dataclass(frozen=True)
class Readings:
    """What was read, in the shapes of AWS (``_adapter.dependents`` says which); what could not be read is empty."""

    proxies: list[dict] = field(default_factory=list)
    subscriptions: list[dict] = field(default_factory=list)
    integrations: list[dict] = field(default_factory=list)
    exports: list[dict] = field(default_factory=list)
    metric_alarms: list[dict] = field(default_factory=list)
    composite_alarms: list[dict] = field(default_factory=list)
    log_groups: list[dict] = field(default_factory=list)
    policies: list[dict] = field(default_factory=list)
    backup_selections: list[dict] = field(default_factory=list)
    dms_endpoints: list[dict] = field(default_factory=list)
    dms_tasks: list[dict] = field(default_factory=list)
    secrets: list[dict] = field(default_factory=list)
    rules: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class Dependent:
    """One thing that hangs on one member.

    :param resource: what its service calls it.
    :param done: nothing is left to be done about it.
    :param remark: what else is to be said about this one.
    :param commands: for a shell; complete, or with words in capitals that nobody but the owner can know.
    """

    kind: Kind
    member: str
    resource: str
    done: bool = False
    remark: str = ""
    commands: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.kind.title}: {self.resource} ({self.member}). {self.kind.swap}" + (f" {self.remark}" if self.remark else "")

    def to_dict(self) -> dict:
        return {
            "kind": self.kind.kind,
            "member": self.member,
            "resource": self.resource,
            "fate": self.kind.fate.name.lower(),
            "done": self.done,
            "text": self.text,
            "commands": list(self.commands),
        }


def words_of(topology: Topology) -> list[str]:
    """What an entry that hangs on a topology must have somewhere, in lower case: a name or a resource id of a member."""
    words = {member.name for member in topology.members}
    for member in topology.members:
        words |= {side["DbiResourceId"].lower() for side in (member.source, member.target) if side}
    return sorted(words)


def log_group_prefixes(topology: Topology) -> list[str]:
    """Where the log groups of a topology begin (RDS guide: Publishing database logs to CloudWatch Logs, Enhanced Monitoring)."""
    prefixes = []
    for member in members_with_source(topology):
        if member.source.get("EnabledCloudwatchLogsExports"):
            prefixes += [f"/aws/rds/instance/{member.name}/", f"/aws/rds/instance/{member.new_name}/"]
    if any(member.source.get("MonitoringInterval") for member in topology.members if member.source):
        prefixes.append(MONITORING_GROUP)
    return prefixes


def uses_iam_logins(topology: Topology) -> bool:
    """Whether anybody can log in to a member by token: elsewhere policies with ``rds-db:connect`` mean nothing."""
    return any(member.source.get("IAMDatabaseAuthenticationEnabled") for member in members_with_source(topology))


def find_dependents(topology: Topology, readings: Readings, remarks: list[str] | None = None) -> list[Dependent]:
    """Everything that hangs on the members that have a source, in the order of the table.

    :param remarks: takes what is to be said of entries that lack what AWS documents; without it they raise.
    """
    found = []
    members = members_with_source(topology)
    searches = [(finder, member) for member in members for finder in _OF_A_MEMBER] + [(finder, members) for finder in _OF_ALL]
    for finder, subject in searches:
        try:
            found += finder(subject, readings)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            if remarks is None:
                raise
            remarks.append(f"Some dependents were not recognised ({finder.__name__.strip('_')}): {type(e).__name__} {e}.")
    order = {row.kind: number for number, row in enumerate(KINDS)}
    return sorted(found, key=lambda dependent: order[dependent.kind.kind])


def blocking(topology: Topology, found: list[Dependent], accepted: frozenset) -> list[dict]:
    """Dependents that must not be there when the topology is fenced, as blockers: ``{code, resource, text}``.

    A topology that is fenced already goes on: its outage is not prolonged for them.
    """
    if topology.primary is None or topology.primary.source is None or topology.primary.fenced_by_name:
        return []
    return [
        {
            "code": dependent.kind.kind,
            "resource": dependent.resource,
            "text": f"{dependent.text} Or name {dependent.kind.kind} in rds_encryption_accepted_dependents, and see to it yourself.",
        }
        for dependent in found
        if dependent.kind.fate is Fate.BLOCKS and dependent.kind.kind not in accepted
    ]


def plan_lines(found: list[Dependent]) -> list[str]:
    """The dependents for the plan, one line for each kind and fate."""
    lines = []
    for row in KINDS:
        names = list(dict.fromkeys(dependent.resource for dependent in found if dependent.kind is row))
        if names:
            more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
            text = f"{row.title} ({row.fate.value}): {', '.join(names[:_SHOWN_NAMES])}{more}."
            lines.append(text if row.fate is Fate.SURVIVES else f"{text} {row.swap}")
    return lines


# -- finding -------------------------------------------------------------------------------------------------------------------------------


def members_with_source(topology: Topology) -> list[Member]:
    """The members of which the original is there: what hung on the others nobody can tell."""
    return [member for member in topology.members if member.source is not None]


def mentions(text, identifier: str) -> bool:
    """Whether a text names an identifier as a word of its own: ``prod-one`` is neither in ``old-prod-one`` nor in ``prod-one-replica``."""
    return bool(identifier) and bool(re.search(rf"(?<![a-z0-9-]){re.escape(identifier.lower())}(?![a-z0-9-])", str(text).lower()))


def _found(kind: str, member: Member, resource: str, *, done: bool | None = None, remark: str = "", commands=None, **facts) -> Dependent:
    """A dependent with the commands of its row, or with its own; what survives is done unless it is said to be not."""
    row = BY_KIND[kind]
    done = row.fate is Fate.SURVIVES if done is None else done
    facts = {"name": member.name, "resource": resource, "new_id": _new_id(member), **facts}
    if commands is None:
        commands = () if None in facts.values() else tuple(fill(template, facts) for template in row.commands)
    return Dependent(row, member.name, resource, done, remark, tuple(commands))


def fill(template: str, facts: dict) -> str:
    """A command template with its placeholders filled, each word quoted for a shell."""
    return shlex.join(word.format_map(facts) for word in template.split())


def _new_id(member: Member) -> str | None:
    return member.target["DbiResourceId"] if member.target else None


def _proxies(member: Member, readings: Readings) -> Iterator[Dependent]:
    serving = serving_instance(member)
    secret = (member.source.get("MasterUserSecret") or {}).get("SecretArn")
    for proxy in readings.proxies:
        targets = [target for target in proxy["Targets"] if is_target_of(member, target)]
        if not targets and tags_of({"TagList": proxy["Tags"]}).get(TAG_NAME) != member.name:
            continue
        bound = serving is not None and any(is_bound(target, serving) for target in targets)
        health = [f"{t.get('RdsResourceId')} is {state_of(t)}: {(t.get('TargetHealth') or {}).get('Reason', 'no reason given')}." for t in targets]
        remark = "" if bound else " ".join(health) or "It has no target."
        registered = targets[0]["RdsResourceId"] if targets else member.name
        yield _found("rds_proxy", member, proxy["DBProxyName"], done=bound, remark=remark, registered=registered)
        if secret and any(auth.get("SecretArn") == secret for auth in proxy.get("Auth") or []):
            yield _found("rds_proxy_secret", member, proxy["DBProxyName"])


def _subscriptions(member: Member, readings: Readings) -> Iterator[Dependent]:
    for subscription in readings.subscriptions:
        listed = listed_sources(subscription)
        if member.name in listed or member.old_name in listed:
            yield _found("event_subscription", member, subscription["CustSubscriptionId"], done=member.name in listed)


def _of_the_instance(member: Member, readings: Readings) -> Iterator[Dependent]:
    source = member.source
    if source.get("MasterUserSecret"):
        # Not by its ARN: that is nobody's business in a log.
        yield _found("managed_secret", member, f"that of {member.name}")
    if source.get("MonitoringInterval"):
        yield _found("enhanced_monitoring", member, source["DbiResourceId"])
    if source.get("PerformanceInsightsEnabled"):
        yield _found("performance_insights", member, source["DbiResourceId"])
    stack = tags_of(source).get("aws:cloudformation:stack-name")
    if stack:
        yield _found("cloudformation", member, stack, done=True)  # infrastructure() says what to do


def _by_id(kind: str, members: list[Member], resource: str, text: str, changed, command) -> Dependent:
    """What names resource ids of one or more members: one change for all of them, for a second one would undo the first.

    :param text: as it is.
    :param changed: ``(old id, new id, text) -> text``.
    :param command: ``text -> shell command``.
    """
    after = text
    for member in members:
        if _new_id(member):
            after = changed(member.source["DbiResourceId"], _new_id(member), after)
    known = all(_new_id(member) for member in members)
    commands = (command(after),) if after != text else ()
    return Dependent(BY_KIND[kind], members[0].name, resource, done=known and after == text, commands=commands)


def _replaced(old: str, new: str, text: str) -> str:
    return text if mentions(text, new) else re.sub(re.escape(old), new, text, flags=re.I)


def _policies(members: list[Member], readings: Readings) -> Iterator[Dependent]:
    for policy in readings.policies:
        named = _resources(policy["document"])
        hit = [member for member in members if any(mentions(resource, member.source["DbiResourceId"]) for resource in named)]
        if not hit:
            continue
        label = f"{policy['holder']} {policy['holder_name']}"
        if policy["holder"] != "policy":
            label += f", policy {policy['policy_name']}"
        found = _by_id("iam_connect", hit, label, json.dumps(policy["document"]), _allowed, lambda text, p=policy: _policy_command(p, text))
        if any(shown(command) != command for command in found.commands):
            # No output may have the ARN of a secret, and a policy without it must not be put in force.
            pairs = ", ".join(f"{_new_id(member)} beside {member.source['DbiResourceId']}" for member in hit if _new_id(member))
            remark = f"It names a secret, too, which is not shown: between the two commands add {pairs} in policy.json."
            found = replace(found, remark=remark, commands=(_policy_reading(policy), _policy_command(policy, "file://policy.json")))
        yield found


def _allowed(old: str, new: str, text: str) -> str:
    return json.dumps(allow_beside(json.loads(text), old, new))


def _statements(document) -> list[dict]:
    statements = document.get("Statement", []) if isinstance(document, dict) else []
    return [statements] if isinstance(statements, dict) else statements


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _resources(document) -> list[str]:
    return [r for s in _statements(document) for key in ("Resource", "NotResource") if key in s for r in _as_list(s[key]) if ":dbuser:" in str(r)]


def allow_beside(document: dict, old: str, new: str) -> dict:
    """A policy document in which each ``dbuser`` resource with the old resource id has one with the new id beside it."""
    statements = []
    for statement in _statements(document):
        statement = dict(statement)
        for key in ("Resource", "NotResource"):
            if key not in statement:
                continue
            named = _as_list(statement[key])
            more = [re.sub(re.escape(old), new, r, flags=re.I) for r in named if ":dbuser:" in str(r) and mentions(r, old)]
            missing = [resource for resource in more if resource not in named]
            if missing:
                statement[key] = [*named, *missing]
        statements.append(statement)
    same_shape = statements if isinstance(document.get("Statement"), list) else statements[0]
    return {**document, "Statement": same_shape}


def _policy_command(policy: dict, text: str) -> str:
    if policy["holder"] == "policy":
        # IAM keeps five versions of a managed policy: the command says so if there is no room for another.
        words = ["aws", "iam", "create-policy-version", "--policy-arn", policy["arn"], "--policy-document", text, "--set-as-default"]
    else:
        holder = policy["holder"]
        words = ["aws", "iam", f"put-{holder}-policy", f"--{holder}-name", policy["holder_name"], "--policy-name", policy["policy_name"]]
        words += ["--policy-document", text]
    return shlex.join(words)


def _policy_reading(policy: dict) -> str:
    if policy["holder"] == "policy":
        words = [
            "aws",
            "iam",
            "get-policy-version",
            "--policy-arn",
            policy["arn"],
            "--version-id",
            policy["version"],
            "--query",
            "PolicyVersion.Document",
        ]
    else:
        holder = policy["holder"]
        words = ["aws", "iam", f"get-{holder}-policy", f"--{holder}-name", policy["holder_name"], "--policy-name", policy["policy_name"]]
        words += ["--query", "PolicyDocument"]
    return shlex.join(words) + " > policy.json"


def _integrations(member: Member, readings: Readings) -> Iterator[Dependent]:
    arns = {arn for arn in (member.source.get("DBInstanceArn"), _arn_of_name(member)) if arn}
    for integration in readings.integrations:
        if integration.get("SourceArn") not in arns or integration.get("Status") == "deleting":
            continue
        create = ["aws", "rds", "create-integration", "--integration-name", integration["IntegrationName"]]
        create += ["--source-arn", _arn_of_name(member), "--target-arn", integration["TargetArn"]]
        for option, key in (("--kms-key-id", "KMSKeyId"), ("--data-filter", "DataFilter"), ("--description", "Description")):
            if integration.get(key):
                create += [option, integration[key]]
        delete = ["aws", "rds", "delete-integration", "--integration-identifier", integration["IntegrationArn"]]
        yield _found("zero_etl", member, integration["IntegrationName"], commands=[shlex.join(delete), shlex.join(create)])


def _arn_of_name(member: Member) -> str:
    arn = member.source.get("DBInstanceArn", "")
    return arn.rpartition(":")[0] + ":" + member.name if arn else ""


def _exports(member: Member, readings: Readings) -> Iterator[Dependent]:
    for task in readings.exports:
        if task.get("DbiResourceId") == member.source["DbiResourceId"]:
            yield _found("export_task", member, task["ExportTaskIdentifier"])


def _alarms(member: Member, readings: Readings) -> Iterator[Dependent]:
    names = [alarm["AlarmName"] for alarm in readings.metric_alarms if _watches(alarm, member.name)]
    arns = [alarm.get("AlarmArn") for alarm in readings.metric_alarms if alarm["AlarmName"] in names]
    for name in names:
        yield _found("alarm", member, name)
    # A composite alarm may be made of composite ones: until none is added any more.
    composite = list(readings.composite_alarms)
    known = [*names, *filter(None, arns)]
    while True:
        more = [alarm for alarm in composite if any(f'"{name}"' in alarm.get("AlarmRule", "").replace("'", '"') for name in known)]
        if not more:
            return
        for alarm in more:
            composite.remove(alarm)
            known += [alarm["AlarmName"], *filter(None, [alarm.get("AlarmArn")])]
            yield _found("composite_alarm", member, alarm["AlarmName"])


def _watches(alarm: dict, name: str) -> bool:
    metrics = [alarm, *((query.get("MetricStat") or {}).get("Metric") or {} for query in alarm.get("Metrics") or [])]
    dimensions = [dimension for metric in metrics for dimension in metric.get("Dimensions") or []]
    expressions = [query.get("Expression") or "" for query in alarm.get("Metrics") or []]
    return any(d["Name"] == "DBInstanceIdentifier" and d["Value"].lower() == name for d in dimensions) or any(mentions(e, name) for e in expressions)


def _logs(member: Member, readings: Readings) -> Iterator[Dependent]:
    for group in readings.log_groups:
        name = group["logGroupName"]
        if name.startswith(f"/aws/rds/instance/{member.name}/"):
            for each in [*group["metricFilters"], *group["subscriptionFilters"]]:
                yield _found("log_filter", member, f"{name}: {each['filterName']}")
        elif name.startswith(f"/aws/rds/instance/{member.new_name}/") and member.cut_over:
            yield _found("log_group_left", member, name)


def _monitoring_filters(members: list[Member], readings: Readings) -> Iterator[Dependent]:
    for group in readings.log_groups:
        if group["logGroupName"] != MONITORING_GROUP:
            continue
        for each in [*group["metricFilters"], *group["subscriptionFilters"]]:
            pattern = each.get("filterPattern", "")
            # Once it was changed it names the new ids, and nobody finds it any more: that is how it is done.
            hit = [member for member in members if mentions(pattern, member.source["DbiResourceId"])]
            if hit:
                yield _by_id(
                    "log_filter_by_id",
                    hit,
                    f"{MONITORING_GROUP}: {each['filterName']}",
                    pattern,
                    _replaced,
                    lambda text, f=each: _filter_command(f, text),
                )


def _filter_command(found: dict, pattern: str) -> str:
    kind = "metric" if "metricTransformations" in found else "subscription"
    words = [
        "aws",
        "logs",
        f"put-{kind}-filter",
        "--log-group-name",
        MONITORING_GROUP,
        "--filter-name",
        found["filterName"],
        "--filter-pattern",
        pattern,
    ]
    if kind == "metric":
        words += ["--metric-transformations", json.dumps(found["metricTransformations"])]
    for option, key in (("--destination-arn", "destinationArn"), ("--role-arn", "roleArn"), ("--distribution", "distribution")):
        if found.get(key):
            words += [option, found[key]]
    return shlex.join(words)


def _rules(member: Member, readings: Readings) -> Iterator[Dependent]:
    for rule in readings.rules:
        if mentions(rule.get("EventPattern", ""), member.name):
            yield _found("event_rule", member, rule["Name"])


def _rules_by_id(members: list[Member], readings: Readings) -> Iterator[Dependent]:
    for rule in readings.rules:
        pattern = rule.get("EventPattern", "")
        hit = [member for member in members if mentions(pattern, member.source["DbiResourceId"])]
        if hit:
            yield _by_id("event_rule_by_id", hit, rule["Name"], pattern, _replaced, lambda text, r=rule: _rule_command(r, text))


def _rule_command(rule: dict, pattern: str) -> str:
    # PutRule replaces the whole rule: what is not given is lost (EventBridge API reference, PutRule).
    words = ["aws", "events", "put-rule", "--name", rule["Name"], "--event-pattern", pattern]
    for option, key in (
        ("--state", "State"),
        ("--description", "Description"),
        ("--role-arn", "RoleArn"),
        ("--schedule-expression", "ScheduleExpression"),
    ):
        if rule.get(key):
            words += [option, rule[key]]
    return shlex.join(words)


def _backup(member: Member, readings: Readings) -> Iterator[Dependent]:
    for selection in readings.backup_selections:
        if any(str(resource).lower().endswith(f":db:{member.name}") for resource in selection.get("Resources") or []):
            yield _found("backup_selection", member, f"{selection['BackupPlanName'] or selection['BackupPlanId']}: {selection['SelectionName']}")


def _migrations(member: Member, readings: Readings) -> Iterator[Dependent]:
    _label, _dot, domain = (member.source.get("Endpoint") or {}).get("Address", "").partition(".")
    address = f"{member.name}.{domain}"
    mine = [endpoint for endpoint in readings.dms_endpoints if domain and str(endpoint.get("ServerName", "")).lower() == address]
    for endpoint in mine:
        yield _found("dms_endpoint", member, endpoint["EndpointIdentifier"])
    arns = {endpoint["EndpointArn"] for endpoint in mine}
    for task in readings.dms_tasks:
        if task.get("MigrationType") in _CAPTURES and task.get("SourceEndpointArn") in arns:
            yield _found("dms_task", member, task["ReplicationTaskIdentifier"], arn=task["ReplicationTaskArn"])


def _secrets(member: Member, readings: Readings) -> Iterator[Dependent]:
    for secret in readings.secrets:
        words = [secret.get("Name", ""), secret.get("Description", "")]
        words += [text for tag in secret.get("Tags") or [] for text in (tag.get("Key", ""), tag.get("Value", ""))]
        if any(mentions(text, member.source["DbiResourceId"]) for text in words):
            yield _found("secret_by_id", member, secret["Name"])
        elif any(mentions(text, member.name) for text in words):
            yield _found("secret", member, secret["Name"])


_OF_A_MEMBER = (_proxies, _subscriptions, _of_the_instance, _integrations, _exports, _alarms, _logs, _rules, _backup, _migrations, _secrets)
_OF_ALL = (_policies, _monitoring_filters, _rules_by_id)
