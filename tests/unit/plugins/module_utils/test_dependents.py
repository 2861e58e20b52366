# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hangs on a topology is found, and nothing else; what can be bound again is, wherever a run was stopped; commands are ones that AWS knows."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

botocore_session = pytest.importorskip("botocore.session")
from botocore import xform_name  # noqa: E402
from botocore.exceptions import ClientError, EndpointConnectionError  # noqa: E402

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.dependents import Looking  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.dependents import BY_KIND, KINDS, Fate  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import CallError, EncryptionError, Trouble  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_NAME  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Member, Prefixes, Topology  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.dependents import (  # noqa: E402
    Readings,
    allow_beside,
    blocking,
    find_dependents,
    mentions,
    plan_lines,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.owners import infrastructure, item_lines, items_of  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.rebinding import plan_proxy, plan_subscription, serving_instance  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.apply import Runner  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits  # noqa: E402

from fakes.clock import FakeClock  # noqa: E402
from fakes.region import Crash  # noqa: E402

OLD, NEW = "db-AAAAAAAAAAAAAAAAAAAAAAAAAA", "db-BBBBBBBBBBBBBBBBBBBBBBBBBB"
OLD_REPLICA, NEW_REPLICA = "db-CCCCCCCCCCCCCCCCCCCCCCCCCC", "db-DDDDDDDDDDDDDDDDDDDDDDDDDD"
HERE = "arn:aws:rds:eu-central-1:111122223333"
USERS = "arn:aws:rds-db:eu-central-1:111122223333:dbuser"
SESSION = botocore_session.get_session()


def instance(identifier: str, resource_id: str, **more) -> dict:
    address = f"{identifier}.abc.eu-central-1.rds.amazonaws.com"
    described = {"DBInstanceIdentifier": identifier, "DbiResourceId": resource_id, "DBInstanceArn": f"{HERE}:db:{identifier}"}
    return {**described, "Endpoint": {"Address": address}, **more}


def topology(stage: str, **more) -> Topology:
    """A primary and a replica; ``before`` any run, ``fenced``, or ``over`` (cut over)."""
    prefix = "" if stage == "before" else "old-"
    prefixes = Prefixes()
    target = instance("prod", NEW, StorageEncrypted=True, KmsKeyId="arn:aws:kms:k") if stage == "over" else None
    replica = instance("prod-replica", NEW_REPLICA, StorageEncrypted=True, KmsKeyId="arn:aws:kms:k") if stage == "over" else None
    return Topology(
        "prod",
        prefixes,
        members=(
            Member("prod", 0, None, instance(prefix + "prod", OLD, **more), target, prefixes),
            Member("prod-replica", 1, "prod", instance(prefix + "prod-replica", OLD_REPLICA), replica, prefixes),
        ),
    )


def kinds_of(found) -> dict[str, list[str]]:
    return {kind: [d.resource for d in found if d.kind.kind == kind] for kind in dict.fromkeys(d.kind.kind for d in found)}


# -- the table -------------------------------------------------------------------------------------------------------------------------


def test_kinds_are_told_apart():
    assert len(BY_KIND) == len(KINDS) == len({row.title for row in KINDS})


def test_what_is_read_are_operations_of_aws():
    for row in KINDS:
        for read in row.reads:
            service, _colon, operation = read.partition(":")
            assert operation in SESSION.get_service_model(service).operation_names, read


def test_the_page_says_what_the_table_says():
    tool = pathlib.Path(__file__).resolve().parents[4] / "tools" / "dependents_page.py"
    if not tool.exists():
        pytest.skip("the tools are not part of the built collection")
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def command_faults(command: str) -> list[str]:
    """What of a command the AWS CLI would not understand: service, operation, options."""
    words = shlex.split(command)
    if words[0] != "aws":
        return [] if words[0] in ("terraform",) else [command]
    model = SESSION.get_service_model(words[1])
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if words[2] not in names:
        return [f"{words[1]} {words[2]}"]
    shape = model.operation_model(names[words[2]]).input_shape
    options = {"--" + xform_name(member, "-"): member for member in shape.members} | {"--query": None, "--output": None, "--set-as-default": "SetAsDefault"}
    faults = [word for word in words[3:] if word.startswith("--") and word not in options]
    given_members = {options.get(word) for word in words[3:]}
    return faults + [f"{member} is missing" for member in shape.required_members if member not in given_members]


def test_commands_of_the_table_are_ones_that_the_aws_cli_knows():
    assert command_faults("aws rds no-such --name x") and command_faults("aws rds delete-db-proxy --no-such x")
    for row in KINDS:
        for command in row.commands:
            assert command_faults(command) == [], command


# -- finding ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["prod", "x:db:prod", "PROD", "prod.abc.rds", '"prod"', "prod/a", "(prod)"])
def test_an_identifier_is_found_as_a_word(text):
    assert mentions(text, "prod")


@pytest.mark.parametrize("text", ["", "old-prod", "prod-replica", "production", "myprod", "prod2", "prod-"])
def test_an_identifier_is_not_found_in_another(text):
    assert not mentions(text, "prod")


def alarm(name: str, identifier: str | None = None, expression: str | None = None) -> dict:
    found = {"AlarmName": name, "AlarmArn": f"arn:aws:cloudwatch:::alarm:{name}"}
    if identifier:
        found["Dimensions"] = [{"Name": "DBInstanceIdentifier", "Value": identifier}]
    if expression:
        found["Metrics"] = [{"Id": "e", "Expression": expression}]
    return found


def everything(**more) -> Readings:
    """One of each kind on ``prod``, and neighbours that look alike."""
    policy = {"Statement": {"Effect": "Allow", "Action": "rds-db:connect", "Resource": f"{USERS}:{OLD}/app"}}
    both = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": [f"{USERS}:{OLD}/*", f"{USERS}:{OLD_REPLICA}/*", f"{USERS}:*/x"]}]}
    wide = {"Statement": [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": f"{USERS}:*/app"}]}
    endpoint = {"EndpointArn": "arn:e", "EndpointIdentifier": "from-prod", "ServerName": "prod.abc.eu-central-1.rds.amazonaws.com"}
    metric = {"filterName": "by id", "filterPattern": f'{{ $.id = "{OLD}" }}', "metricTransformations": [{"metricName": "m"}]}
    return Readings(**{
        "proxies": [
            proxy(target("prod"), name="prod-proxy", Auth=[{"SecretArn": "arn:secret-of-prod"}]),
            proxy(target("production"), name="not-ours"),
        ],
        "subscriptions": [
            {"CustSubscriptionId": "events", "SourceType": "db-instance", "SourceIdsList": ["prod", "other"]},
            {"CustSubscriptionId": "snapshots", "SourceType": "db-snapshot", "SourceIdsList": ["prod"]},
        ],
        "integrations": [{"IntegrationName": "etl", "SourceArn": f"{HERE}:db:prod", "TargetArn": "arn:t", "IntegrationArn": "arn:i", "Status": "active",
                          "DataFilter": "include: a.$(b)"}],
        "exports": [{"ExportTaskIdentifier": "export", "DbiResourceId": OLD}, {"ExportTaskIdentifier": "another", "DbiResourceId": "db-Z"}],
        "metric_alarms": [alarm("cpu", "prod"), alarm("other cpu", "old-prod"), alarm("math", expression='SEARCH(\'DBInstanceIdentifier="prod"\')')],
        "composite_alarms": [{"AlarmName": "top", "AlarmRule": "ALARM('middle')"}, {"AlarmName": "middle", "AlarmRule": 'ALARM("cpu")'},
                             {"AlarmName": "else", "AlarmRule": 'ALARM("other cpu")'}],
        "log_groups": [
            {"logGroupName": "/aws/rds/instance/prod/error", "metricFilters": [{"filterName": "errors"}], "subscriptionFilters": [{"filterName": "to-s3"}]},
            {"logGroupName": "/aws/rds/instance/new-prod/error", "metricFilters": [], "subscriptionFilters": []},
            {"logGroupName": "RDSOSMetrics", "metricFilters": [metric, {"filterName": "all", "filterPattern": ""}], "subscriptionFilters": []},
        ],
        "policies": [
            {"holder": "role", "holder_name": "app", "policy_name": "it's", "arn": None, "document": policy},
            {"holder": "policy", "holder_name": "both", "policy_name": "both", "arn": "arn:aws:iam::1:policy/both", "document": both},
            {"holder": "user", "holder_name": "wide", "policy_name": "wide", "arn": None, "document": wide},
        ],
        "backup_selections": [{"BackupPlanName": "nightly", "BackupPlanId": "p", "SelectionName": "dbs", "Resources": [f"{HERE}:db:prod"]},
                              {"BackupPlanName": "all", "BackupPlanId": "p", "SelectionName": "every", "Resources": [f"{HERE}:db:*"]}],
        "dms_endpoints": [endpoint, {**endpoint, "EndpointArn": "arn:f", "EndpointIdentifier": "elsewhere", "ServerName": "prod.example.com"}],
        "dms_tasks": [
            {"ReplicationTaskIdentifier": "cdc", "ReplicationTaskArn": "arn:task", "SourceEndpointArn": "arn:e", "MigrationType": "full-load-and-cdc"},
            {"ReplicationTaskIdentifier": "once", "ReplicationTaskArn": "arn:task2", "SourceEndpointArn": "arn:e", "MigrationType": "full-load"},
            {"ReplicationTaskIdentifier": "into", "ReplicationTaskArn": "arn:task3", "SourceEndpointArn": "arn:x", "TargetEndpointArn": "arn:e",
             "MigrationType": "cdc"},
        ],
        "secrets": [{"Name": "app/prod"}, {"Name": "by-tag", "Tags": [{"Key": "id", "Value": OLD}]}, {"Name": "app/production"}],
        "rules": [{"Name": "restarts", "EventPattern": '{"detail": {"SourceIdentifier": ["prod"]}}'}, {"Name": "by id", "EventPattern": f'{{"id": ["{OLD}"]}}'},
                  {"Name": "scheduled"}],
        **more,
    })


WATCHED = dict(
    MasterUserSecret={"SecretArn": "arn:secret-of-prod"},
    MonitoringInterval=60,
    PerformanceInsightsEnabled=True,
    TagList=[{"Key": "aws:cloudformation:stack-name", "Value": "the stack"}, {"Key": "aws:cloudformation:logical-id", "Value": "Db"}],
)


def test_everything_is_found_and_nothing_of_the_neighbours():
    assert kinds_of(find_dependents(topology("before", **WATCHED), everything())) == {
        "rds_proxy": ["prod-proxy"],
        "event_subscription": ["events"],
        "rds_proxy_secret": ["prod-proxy"],
        "managed_secret": ["that of prod"],
        "iam_connect": ["role app, policy it's", "policy both"],
        "zero_etl": ["etl"],
        "export_task": ["export"],
        "dms_task": ["cdc"],
        "event_rule": ["restarts"],
        "event_rule_by_id": ["by id"],
        "alarm": ["cpu", "math"],
        "composite_alarm": ["middle", "top"],
        "log_filter": ["/aws/rds/instance/prod/error: errors", "/aws/rds/instance/prod/error: to-s3"],
        "log_filter_by_id": ["RDSOSMetrics: by id"],
        "enhanced_monitoring": [OLD],
        "performance_insights": [OLD],
        "backup_selection": ["nightly: dbs"],
        "dms_endpoint": ["from-prod"],
        "secret": ["app/prod"],
        "secret_by_id": ["by-tag"],
        "cloudformation": ["the stack"],
    }


def test_nothing_hangs_on_an_instance_where_nothing_was_read():
    assert find_dependents(topology("before"), Readings()) == []


def test_an_entry_that_lacks_what_aws_documents_hides_no_other():
    remarks = []
    found = find_dependents(topology("before"), everything(rules=[{"EventPattern": '{"x": ["prod"]}'}]), remarks)
    assert "alarm" in kinds_of(found) and "event_rule" not in kinds_of(found)
    assert remarks and "rules" in remarks[0] and "KeyError 'Name'" in remarks[0]


def test_what_was_found_before_is_found_after_the_cutover_with_commands():
    over = topology("over", **WATCHED)
    found = find_dependents(over, everything(proxies=[proxy(bound("prod"), name="prod-proxy", Auth=[{"SecretArn": "arn:secret-of-prod"}])]))
    items = {item["kind"]: item for item in items_of(over, found)}
    survivors = {row.kind for row in KINDS if row.fate is Fate.SURVIVES}
    assert not survivors & set(items)
    assert "rds_proxy" not in items and "export_task" not in items
    assert set(items) == {"rds_proxy_secret", "managed_secret", "iam_connect", "zero_etl", "dms_task", "event_rule_by_id", "log_filter_by_id", "log_group_left",
                          "enhanced_monitoring", "performance_insights", "secret_by_id", "cloudformation", "terraform"}
    for item in items.values():
        assert item["commands"], item["kind"]
        assert [command_faults(command) for command in item["commands"] if "|" not in command] == [[] for command in item["commands"] if "|" not in command]
    said = "\n".join([*item_lines(list(items.values())), *plan_lines(found)])
    assert "arn:secret-of-prod" not in said, "the ARN of a secret was shown"
    assert "{" not in "".join(row.swap for row in KINDS)


def test_commands_survive_a_shell():
    """What is found may be called anything; a shell gives it to the command as it is."""
    name = "it's $(reboot); `id` \"x\" \\"
    found = find_dependents(topology("over"), Readings(rules=[{"Name": name, "EventPattern": json.dumps({"a b": [OLD]}), "Description": name}]))
    words = shlex.split(found[0].commands[0])
    assert words[words.index("--name") + 1] == words[words.index("--description") + 1] == name
    assert json.loads(words[words.index("--event-pattern") + 1]) == {"a b": [NEW]}


def test_a_policy_for_two_members_is_changed_by_one_command():
    over = topology("over")
    found = [d for d in find_dependents(over, everything()) if d.resource == "policy both"]
    assert len(found) == 1 and len(found[0].commands) == 1
    words = shlex.split(found[0].commands[0])
    document = json.loads(words[words.index("--policy-document") + 1])
    assert document["Statement"][0]["Resource"] == [
        f"{USERS}:{OLD}/*", f"{USERS}:{OLD_REPLICA}/*", f"{USERS}:*/x", f"{USERS}:{NEW}/*", f"{USERS}:{NEW_REPLICA}/*"]
    policy = {"holder": "policy", "holder_name": "both", "policy_name": "both", "arn": "arn:p", "document": document}
    again = find_dependents(over, Readings(policies=[policy]))
    assert [d.done for d in again] == [True] and items_of(over, again) == [d.to_dict() for d in infrastructure(over)]


@pytest.mark.parametrize("holder", ["role", "user", "group", "policy"])
def test_a_policy_that_names_a_secret_is_not_put_in_force_without_it(holder):
    """Outputs hide the ARNs of secrets: a command with the document would take the permission away."""
    secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:app-AbCdEf"
    document = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": [f"{USERS}:{OLD}/app", secret]}]}
    policy = {"holder": holder, "holder_name": "app", "policy_name": "p", "arn": "arn:aws:iam::1:policy/p", "version": "v2", "document": document}
    over = topology("over")
    item = items_of(over, find_dependents(over, Readings(policies=[policy])))[0]
    assert secret not in json.dumps(item) and "hidden" not in json.dumps(item)
    assert [command_faults(command) for command in item["commands"]] == [[], []]
    assert item["commands"][0].endswith("> policy.json") and "file://policy.json" in item["commands"][1]
    assert f"{NEW} beside {OLD}" in item["text"]


NAMED = [f"{USERS}:{OLD}/a", f"{USERS}:{NEW}/a", f"{USERS}:*/a", f"{USERS}:{OLD.lower()}/b", "*", f"arn:aws:s3:::{OLD}"]
RESOURCES = st.lists(st.sampled_from(NAMED), min_size=1)
STATEMENTS = st.lists(st.fixed_dictionaries({"Effect": st.just("Allow"), "Action": st.just("x"), "Resource": RESOURCES}), min_size=1)


@given(STATEMENTS)
def test_a_policy_keeps_what_it_allows_and_is_changed_once(statements):
    before = {"Version": "2012-10-17", "Statement": statements}
    after = allow_beside(before, OLD, NEW)
    assert allow_beside(after, OLD, NEW) == after
    for one, other in zip(statements, after["Statement"], strict=True):
        assert other["Resource"][: len(one["Resource"])] == one["Resource"]
        assert {r.lower() for r in other["Resource"]} == {r.lower() for r in one["Resource"]} | {
            r.lower().replace(OLD.lower(), NEW.lower()) for r in one["Resource"] if ":dbuser:" in r}


def test_blockers_stop_what_is_not_fenced_yet_until_they_are_accepted():
    before = topology("before")
    found = find_dependents(before, everything())
    assert [blocker["code"] for blocker in blocking(before, found, frozenset())] == ["zero_etl", "export_task"]
    assert [blocker["code"] for blocker in blocking(before, found, frozenset({"zero_etl"}))] == ["export_task"]
    fenced = topology("fenced")
    assert blocking(fenced, find_dependents(fenced, everything()), frozenset()) == [], "an outage is prolonged for what cannot be helped any more"


def test_an_integration_that_was_accepted_is_made_again_for_the_name():
    over = topology("over")
    item = next(item for item in items_of(over, find_dependents(over, everything())) if item["kind"] == "zero_etl")
    words = shlex.split(item["commands"][1])
    assert words[words.index("--source-arn") + 1] == f"{HERE}:db:prod" and words[words.index("--data-filter") + 1] == "include: a.$(b)"


# -- binding again ---------------------------------------------------------------------------------------------------------------------


def proxy(*targets: dict, name: str = "p", tags=(), **more) -> dict:
    return {"DBProxyName": name, "DBProxyArn": f"{HERE}:db-proxy:prx-{name}", "Targets": list(targets), "Tags": list(tags), **more}


def target(identifier: str, state: str = "UNAVAILABLE", reason: str = "UNREACHABLE") -> dict:
    health = {"State": state} if state == "AVAILABLE" else {"State": state, "Reason": reason}
    return {"Type": "RDS_INSTANCE", "RdsResourceId": identifier, "TargetHealth": health}


def bound(identifier: str) -> dict:
    described = instance(identifier, NEW)
    return {**target(identifier, "AVAILABLE"), "Endpoint": described["Endpoint"]["Address"], "TargetArn": described["DBInstanceArn"]}


MARK = {"Key": TAG_NAME, "Value": "prod"}
AGAIN = ["MarkProxy", "DeregisterDBProxyTargets", "RegisterDBProxyTargets", "UnmarkProxy"]


@pytest.mark.parametrize(
    "stage, found, actions",
    [
        ("over", proxy(target("prod")), AGAIN),
        ("over", proxy(target("old-prod", "AVAILABLE")), AGAIN),
        ("over", proxy({**bound("prod"), "Endpoint": "old-prod.abc.eu-central-1.rds.amazonaws.com"}), AGAIN),
        ("over", proxy(target("prod"), tags=[MARK]), AGAIN[1:]),
        ("over", proxy(tags=[MARK]), AGAIN[2:]),
        ("over", proxy(target("prod", "REGISTERING"), tags=[MARK]), AGAIN[2:]),
        ("over", proxy(bound("prod"), tags=[MARK]), AGAIN[3:]),
        ("over", proxy(bound("prod")), []),
        ("over", proxy(target("prod", "AVAILABLE")), []),
        ("over", proxy(), []),
        ("over", proxy(target("other")), []),
        ("over", proxy(tags=[{"Key": TAG_NAME, "Value": "other"}]), []),
        ("over", proxy({**target("prod"), "Type": "TRACKED_CLUSTER"}), []),
        ("fenced", proxy(target("prod")), []),
        ("before", proxy(target("prod")), AGAIN),
    ],
)
def test_a_proxy_is_bound_to_whoever_has_the_name(stage, found, actions):
    member = topology(stage).primary
    plan = plan_proxy(member, serving_instance(member), found)
    assert [step.action for step in plan.steps] == actions
    assert plan.changes == (actions not in ([],))


def test_a_plan_before_the_cutover_says_what_will_be_bound():
    member = topology("before").primary
    plan = plan_proxy(member, None, proxy(target("prod", "AVAILABLE")), assumed=True)
    assert [step.what for step in plan.steps][1:3] == ["Deregister prod from RDS Proxy p", "Register prod with RDS Proxy p"]


@pytest.mark.parametrize("listed, wanted", [(["old-prod"], True), (["prod"], False), (["prod", "old-prod"], False), (["other"], False), ([], False)])
def test_a_subscription_gets_the_name_back_where_rds_took_it_away(listed, wanted):
    subscription = {"CustSubscriptionId": "s", "SourceType": "db-instance", "SourceIdsList": listed}
    member = topology("over").primary
    assert bool(plan_subscription(member, serving_instance(member), subscription).steps) is wanted
    assert not plan_subscription(topology("fenced").primary, None, subscription).steps


class Proxies:
    """One proxy of AWS, as the runner sees it.

    :param health: what comes of a registration, look by look; the last one stays.
    :param crash: the controller dies at this call, before or after its effect.
    """

    read_errors = ()
    turn = contextlib.nullcontext

    def __init__(self, *targets: dict, health=("REGISTERING", "AVAILABLE"), reason: str = "", crash: int | None = None, after: bool = False):
        self.targets, self.tags = list(targets), {}
        self.calls: list[str] = []
        self._health, self._reason, self.crash, self._after = health, reason, crash, after
        self._looks = 0

    def found(self) -> dict:
        return proxy(*self.proxy_targets("p"), tags=self.proxy_tags(""))

    def instances(self, resource_ids=(), identifiers=()):
        return []

    def proxy_targets(self, name):
        self._looks += 1
        state = self._health[min(self._looks, len(self._health)) - 1]
        health = {"State": state, **({"Reason": self._reason} if self._reason and state == "UNAVAILABLE" else {})}
        return [{**t, "TargetHealth": health} if t.get("new") else t for t in self.targets]

    def proxy_tags(self, arn):
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def call(self, operation, **given):
        if self.crash == len(self.calls) and not self._after:
            raise Crash
        self.calls.append(operation)
        self._effect(operation, given)
        if self.crash == len(self.calls) - 1 and self._after:
            raise Crash

    def _effect(self, operation, given):
        if operation == "AddTagsToResource":
            self.tags.update({tag["Key"]: tag["Value"] for tag in given["Tags"]})
        elif operation == "RemoveTagsFromResource":
            for key in given["TagKeys"]:
                self.tags.pop(key, None)
        elif operation == "DeregisterDBProxyTargets":
            left = [t for t in self.targets if t["RdsResourceId"] not in given["DBInstanceIdentifiers"]]
            if len(left) == len(self.targets):
                raise CallError(Trouble.NOT_FOUND, "DBProxyTargetNotFoundFault", "", operation)
            self.targets = left
        elif self.targets:
            raise CallError(Trouble.REFUSED, "InvalidParameterValue", "the proxy has a target already", operation)
        else:
            self._looks = 0
            self.targets = [{**bound(given["DBInstanceIdentifiers"][0]), "new": True}]


def bind(rds: Proxies, **limits) -> None:
    member = topology("over").primary
    runner = Runner(rds, FakeClock(), lambda line: None, Limits(poll_interval=5, **{"wait_timeout": 600.0, **limits}), jitter=lambda: 0.5)
    runner.reconcile(lambda: plan_proxy(member, serving_instance(member), rds.found()))


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
@pytest.mark.parametrize("crash", range(4))
@pytest.mark.parametrize("stale", ["prod", "old-prod"])
def test_a_run_that_dies_anywhere_is_finished_by_the_next(stale, crash, after):
    rds = Proxies(target(stale), crash=crash, after=after)
    with pytest.raises(Crash):
        bind(rds)
    rds.crash = None
    bind(rds)
    assert [t["RdsResourceId"] for t in rds.targets] == ["prod"] and rds.targets[0].get("new")
    assert rds.tags == {}, "the note stayed on the proxy"
    assert [rds.calls.count(call) for call in ("DeregisterDBProxyTargets", "RegisterDBProxyTargets")] == [1, 1]
    made = len(rds.calls)
    bind(rds)
    assert len(rds.calls) == made


def test_a_proxy_that_cannot_log_in_is_given_up_at_once():
    with pytest.raises(EncryptionError, match="AUTH_FAILURE.*modify-db-proxy"):
        bind(Proxies(target("prod"), health=("REGISTERING", "UNAVAILABLE"), reason="AUTH_FAILURE"))


def test_a_proxy_that_never_reaches_its_instance_is_given_up_in_time():
    rds = Proxies(target("prod"), health=("UNAVAILABLE",), reason="UNREACHABLE")
    with pytest.raises(EncryptionError, match="took longer than 60 s"):
        bind(rds, wait_timeout=60.0)
    over = topology("over")
    item = items_of(over, find_dependents(over, Readings(proxies=[rds.found()])))[0]
    assert item["kind"] == "rds_proxy" and "prod is UNAVAILABLE: UNREACHABLE" in item["text"]
    assert "aws rds register-db-proxy-targets --db-proxy-name p --db-instance-identifiers prod" in item["commands"]


class Subscription:
    """One event subscription of AWS."""

    read_errors = ()
    turn = contextlib.nullcontext

    def __init__(self, *listed: str):
        self.listed = list(listed)
        self.calls = 0

    def instances(self, resource_ids=(), identifiers=()):
        return []

    def subscription(self, name):
        return {"CustSubscriptionId": name, "SourceType": "db-instance", "SourceIdsList": self.listed}

    def call(self, operation, SubscriptionName, SourceIdentifier):
        assert operation == "AddSourceIdentifierToSubscription"
        self.calls += 1
        self.listed.append(SourceIdentifier)


def test_the_name_is_added_once_to_a_subscription_that_followed_the_original():
    rds, member = Subscription("old-prod", "other"), topology("over").primary
    for _run in range(2):
        runner = Runner(rds, FakeClock(), lambda line: None, Limits(poll_interval=5), jitter=lambda: 0.5)
        runner.reconcile(lambda: plan_subscription(member, serving_instance(member), rds.subscription("s")))
    assert rds.listed == ["old-prod", "other", "prod"] and rds.calls == 1


# -- reading ---------------------------------------------------------------------------------------------------------------------------


def answers(code: str, status: int = 400, operation: str = "DescribeAlarms"):
    def read():
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)

    return read


@pytest.mark.parametrize(
    "read, words",
    [
        (answers("AccessDenied", 403), "Alarms were not looked for, AccessDenied: allow cloudwatch:DescribeAlarms (docs/iam.md)."),
        (answers("AccessDeniedException", operation="ListSecrets"), "allow secretsmanager:ListSecrets"),
        (answers("InternalFailure", 500), "InternalFailure on cloudwatch:DescribeAlarms"),
        (lambda: (nothing for nothing in ()).throw(EndpointConnectionError(endpoint_url="u")), "EndpointConnectionError: the service does not answer here"),
        (lambda: object().describe_integrations(), "AttributeError"),
        (lambda: {}["Alarms"], "KeyError"),
    ],
)
def test_what_cannot_be_read_is_a_remark(read, words):
    looking = Looking(FakeClock())
    assert looking.attempt("Alarms", read, "nothing") == "nothing"
    assert len(looking.remarks) == 1 and words in looking.remarks[0]


def test_a_throttled_read_is_tried_again():
    left = [1, 2, 3]

    def read():
        if left:
            left.pop()
            answers("ThrottlingException")()
        return "found"

    looking = Looking(FakeClock())
    assert looking.attempt("Alarms", read, "nothing") == "found" and not looking.remarks
    assert looking.attempt("Alarms", answers("Throttling"), "nothing") == "nothing" and "too many requests" in looking.remarks[0]


# -- infrastructure as code ------------------------------------------------------------------------------------------------------------


def test_each_instance_is_imported_by_the_tool_that_owns_it():
    over = topology("over", **WATCHED)
    stack, plain = infrastructure(over)
    imported = json.loads(shlex.split(stack.commands[0])[-1])
    assert imported == [{"ResourceType": "AWS::RDS::DBInstance", "LogicalResourceId": "Db", "ResourceIdentifier": {"DBInstanceIdentifier": "prod"}}]
    assert "DeletionPolicy" in stack.text and "StorageEncrypted: true, KmsKeyId: arn:aws:kms:k" in stack.text
    assert plain.commands[1:3] == ("terraform state rm ADDRESS", "terraform import ADDRESS prod-replica")
    assert OLD_REPLICA in plain.commands[0] and "replicate_source_db at prod" in plain.text and "snapshot_identifier" in plain.text
    assert infrastructure(topology("before")) == []
