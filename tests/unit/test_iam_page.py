"""docs/iam.md allows what the code calls, and no more; the identity that looks changes nothing, and only the one that retires deletes.

Which playbook calls what is seen by the scenarios: tools/iam_actions.py.
"""

from __future__ import annotations

import ast
import fnmatch
import pathlib
import re
import sys

import pytest

botocore_session = pytest.importorskip("botocore.session")
from botocore import xform_name  # noqa: E402

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import _METHODS  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import RestoreRequest, snapshot_candidates  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tools"))
import iam_actions  # noqa: E402

READING = re.compile(r"(Describe|List|Get|Decrypt$)")
DELETING = re.compile(r"Delete|ScheduleKeyDeletion|DisableKey|Revoke|RetireGrant")
STOPPING = re.compile(r"^rds:(Stop|Delete)")
HEADINGS = ["Audit", "Encrypt", "Cutover and rollback", "Retire", "Key policy"]
HERE = "arn:aws:rds:eu-central-1:111122223333"
# boto3's name of a service, where IAM has another.
IAM_NAMES = {"monitoring": "cloudwatch"}


def policy(heading: str) -> dict:
    return iam_actions.policies()[heading]


def as_list(value) -> list:
    return [value] if isinstance(value, str) else value


def actions(heading: str) -> set[str]:
    assert all(statement["Effect"] == "Allow" for statement in policy(heading)["Statement"])
    return iam_actions.allowed(policy(heading))


def allowed(heading: str, action: str, resource: str) -> bool:
    return any(
        action in as_list(statement["Action"]) and any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        for statement in policy(heading)["Statement"]
    )


def operations(service: str) -> dict[str, str]:
    """The boto3 method name of each operation of a service -> ``service:Operation``."""
    model = botocore_session.get_session().get_service_model(service)
    return {xform_name(name): f"{IAM_NAMES.get(service, service)}:{name}" for name in model.operation_names}


def words_of(source: str) -> tuple[set[str], set[str]]:
    """(AWS services of which a client is made, names of called methods and of paginated operations) in a piece of Python."""
    services, names = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "_" in node.value:
            # Paginators and methods may be named in a table.
            names.add(node.value)
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if called == "client" and isinstance(first, str):
            services.add(first)
        if isinstance(node.func, ast.Attribute):
            names.add(called)
    return services, names


def calls() -> set[str]:
    """Every AWS operation that the code can call, as IAM names it."""
    services, names = set(), {_METHODS[operation] for operation in _METHODS}
    for path in (TOP / "plugins").rglob("*.py"):
        more_services, more_names = words_of(path.read_text(encoding="utf-8"))
        services |= more_services
        # Only adapters talk to AWS; elsewhere a method of ours may be called like one of boto3's.
        names |= more_names if "_adapter" in path.parts else set()
    assert {"rds", "kms", "secretsmanager"} <= services
    known: dict[str, str] = {}
    # Some services have methods of the same name as RDS: it is RDS that is meant.
    for service in sorted(services, key=lambda name: name == "rds"):
        known |= operations(service)
    return {known[name] for name in names if name in known}


def test_the_calls_are_found():
    services, names = words_of("client('kms').describe_key(KeyId=k); rds.get_paginator('describe_db_instances')")
    assert services == {"kms"} and {"describe_key", "describe_db_instances"} <= names
    assert {"rds:CopyDBSnapshot", "rds:DescribeDBInstances", "rds:DescribeBlueGreenDeployments", "kms:DescribeKey"} <= calls()
    assert "secretsmanager:GetSecretValue" in calls()


def test_each_policy_is_there_and_fits_into_iam():
    assert list(iam_actions.policies()) == HEADINGS
    for heading in HEADINGS:
        # IAM allows 6144 characters in a managed policy, white space not counted.
        assert len(re.sub(r"\s", "", str(policy(heading)))) < 6144, heading


def test_the_policies_allow_every_call_of_the_code_and_no_other():
    named = set().union(*(actions(heading) for heading in HEADINGS[:4]))
    implied = set().union(*iam_actions.IMPLIED.values(), *iam_actions.OF_CALLS.values())
    assert not calls() - named, f"docs/iam.md: not allowed, but called: {sorted(calls() - named)}"
    assert not named - calls() - implied, f"docs/iam.md: allowed, but never called: {sorted(named - calls() - implied)}"


def test_the_audit_only_reads():
    changing = {action for action in actions("Audit") if not READING.match(action.partition(":")[2])}
    assert not changing, f"docs/iam.md, Audit: may change something: {sorted(changing)}"


@pytest.mark.parametrize("heading", HEADINGS)
def test_only_the_one_that_retires_stops_or_deletes(heading):
    named = actions(heading)
    assert not [action for action in named if "*" in action or "?" in action], "an action with a wildcard allows what nobody looked at"
    services = ("rds", "kms", "secretsmanager", "iam", "backup", "logs", "cloudwatch", "events", "dms", "ec2")
    dangerous = {action for service in services for action in operations(service).values() if DELETING.search(action) or STOPPING.match(action)}
    assert len(dangerous) > 100
    wanted = {"rds:DeleteDBInstance", "rds:DeleteDBParameterGroup", "rds:DeleteDBSnapshot", "rds:StopDBInstance"} if heading == "Retire" else set()
    assert named & dangerous == wanted


def test_who_moves_names_makes_nothing():
    making = {action for action in actions("Cutover and rollback") if re.search(r":(Create|Copy|Restore|Pass|Put|Start(?!DBInstance$))", action)}
    assert not making


def test_the_policies_cover_the_names_that_a_run_makes():
    request = RestoreRequest(name="prod-one", target_identifier="new-prod-one", kms_key_arn="", fence_id="f0123456789a")
    snapshots = [identifier for series in snapshot_candidates(request) for identifier in series] + ["prod-one-seed-20261122073404"]
    names = [f"{HERE}:db:{prefix}prod-one" for prefix in ("", "old-", "new-", "rehearsal-")]
    names += [f"{HERE}:snapshot:rehearsal-prod-one-rehearsal20261122073404{end}" for end in ("", "-encrypted")]
    names += [f"{HERE}:snapshot:{name}" for name in snapshots]
    elsewhere = {"AddSourceIdentifierToSubscription", "DeregisterDBProxyTargets", "RegisterDBProxyTargets"}
    elsewhere |= {"CopyDBParameterGroup", "CreateDBParameterGroup", "ModifyDBParameterGroup"}
    for action in sorted(actions("Encrypt")):
        operation = action.partition(":")[2]
        if action.startswith("rds:") and not READING.match(operation) and operation not in elsewhere:
            closed = [name for name in names if not allowed("Encrypt", action, name)]
            assert not closed, f"{action}: {closed}"
    for operation in ("RestoreDBInstanceFromDBSnapshot", "CreateDBInstanceReadReplica", "ModifyDBInstance"):
        for kind in ("og:default:mysql-8-0", "pg:prod", "subgrp:prod"):
            assert allowed("Encrypt", f"rds:{operation}", f"{HERE}:{kind}")
    for heading in HEADINGS[1:4]:
        assert not allowed(heading, "rds:ModifyDBInstance", f"{HERE}:db:other-one")


def test_nothing_that_serves_can_be_deleted():
    for name in ("prod-one", "new-prod-one", "other"):
        assert not allowed("Retire", "rds:DeleteDBInstance", f"{HERE}:db:{name}") or name == "new-prod-one"
        assert not allowed("Retire", "rds:StopDBInstance", f"{HERE}:db:{name}")
    for statement in policy("Retire")["Statement"]:
        if as_list(statement["Action"]) == ["rds:DeleteDBParameterGroup"]:
            # It is not tagged, and RDS deletes no group that is in use; its name begins like a target's.
            assert as_list(statement["Resource"]) == [f"{HERE}:pg:new-prod-*"]
        elif any(action.startswith("rds:Delete") for action in as_list(statement["Action"])):
            assert statement["Condition"] == {"StringLike": {"aws:ResourceTag/rds-encryption:name": "*"}}


@pytest.mark.parametrize("heading", ["Encrypt", "Retire", "Key policy"])
def test_a_grant_on_the_key_is_for_rds_only(heading):
    for statement in policy(heading)["Statement"]:
        if "kms:CreateGrant" in as_list(statement["Action"]):
            assert statement["Condition"] == {
                "Bool": {"kms:GrantIsForAWSResource": "true"},
                "StringEquals": {"kms:ViaService": "rds.eu-central-1.amazonaws.com"},
            }
            break
    else:
        pytest.fail(f"docs/iam.md, {heading}: kms:CreateGrant is missing")


# -- the tool that compares calls of the scenarios -------------------------------------------------------------------------------------


def call(operation: str, service: str = "rds", identity: str = "encrypt", **parameters) -> dict:
    return {"service": service, "operation": operation, "parameters": parameters, "agent": f"Boto3/1 key/{iam_actions.access_key_of(identity)}"}


def test_the_tool_knows_what_a_call_asks_for():
    found = iam_actions.actions_of(iam_actions.rows_of([
        call("ModifyDBInstance", DBInstanceIdentifier="x", MonitoringRoleArn="arn:role", ManageMasterUserPassword=False),
        call("CopyDBSnapshot", KmsKeyId="key", Tags=[{"Key": "a"}]),
        call("DescribeAlarms", "monitoring"),
        call("GetSecretValue", "secretsmanager"),
        call("GET /backup/plans/some-id/selections/other-id", "backup", "audit"),
        call("POST /service/GraniteServiceVersion20100801/operation/DescribeAlarms", "monitoring", "audit"),
        {**call("DeleteDBInstance"), "agent": "Boto3/1 key/AKIASOMEBODYELSE"},
    ]))
    assert found == {
        "encrypt": {"rds:ModifyDBInstance", "iam:PassRole", "rds:CopyDBSnapshot", "kms:CreateGrant", "rds:AddTagsToResource", "cloudwatch:DescribeAlarms",
                    "secretsmanager:GetSecretValue", "kms:Decrypt"},
        "audit": {"backup:GetBackupSelection", "cloudwatch:DescribeAlarms"},
    }


def test_the_tool_tells_what_is_missing_and_what_is_unused():
    exact = {identity: actions(heading) for heading, identity in iam_actions.IDENTITIES.items()}
    assert iam_actions.faults(exact) == []
    called = {**exact, "audit": exact["audit"] - {"kms:DescribeKey"} | {"rds:RebootDBInstance"}}
    assert iam_actions.faults(called) == [
        "Audit: rds:RebootDBInstance was called and is not allowed",
        "Audit: kms:DescribeKey is allowed and was never called",
    ]
    assert iam_actions.faults({}, partial=True) == []


def test_a_run_that_only_looks_has_the_rights_of_the_audit():
    assert iam_actions.identity_of("encrypt.yml", ["--check"]) == iam_actions.identity_of("plan.yml", []) == "audit"
    assert iam_actions.identity_of("encrypt.yml", ["--diff"]) == "encrypt" and iam_actions.identity_of("rollback.yml", []) == "cutover"
    known = {path.stem for path in (TOP / "playbooks").glob("*.yml")}
    assert known <= set(iam_actions.PLAYBOOKS), "a playbook without an identity: name it in tools/iam_actions.py and docs/iam.md"
