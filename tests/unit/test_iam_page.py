"""docs/iam.md allows what the code calls, the planning identity cannot change anything, and nobody can delete."""

from __future__ import annotations

import ast
import fnmatch
import json
import pathlib
import re

import pytest

botocore_session = pytest.importorskip("botocore.session")
from botocore import xform_name  # noqa: E402

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import _METHODS  # noqa: E402
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.restore import RestoreRequest, snapshot_candidates  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "iam.md"
READING = re.compile(r"(Describe|List|Get|Decrypt$)")
DELETING = re.compile(r"Delete|ScheduleKeyDeletion")


def policies() -> dict[str, dict]:
    """Heading -> the JSON block under it."""
    found = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        for block in re.findall(r"^```json\n(.*?)^```", section, flags=re.M | re.S):
            heading = section.splitlines()[0]
            assert heading not in found, f"two JSON blocks under {heading}"
            found[heading] = json.loads(block)
    return found


def as_list(value) -> list:
    return [value] if isinstance(value, str) else value


def actions(policy: dict) -> set[str]:
    assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])
    return {action for statement in policy["Statement"] for action in as_list(statement["Action"])}


def allowed(policy: dict, action: str, resource: str) -> bool:
    return any(
        action in as_list(statement["Action"]) and any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        for statement in policy["Statement"]
    )


def operations(service: str) -> dict[str, str]:
    """The boto3 method name of each operation of a service -> ``service:Operation``."""
    model = botocore_session.get_session().get_service_model(service)
    return {xform_name(name): f"{service}:{name}" for name in model.operation_names}


def words_of(source: str) -> tuple[set[str], set[str]]:
    """(AWS services of which a client is made, names of called methods and of paginated operations) in a piece of Python."""
    services, names = set(), set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if called == "client" and isinstance(first, str):
            services.add(first)
        if isinstance(node.func, ast.Attribute):
            names.add(first if called in ("get_paginator", "get_waiter") and isinstance(first, str) else called)
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
    known = {method: action for service in services for method, action in operations(service).items()}
    return {known[name] for name in names if name in known}


def test_the_calls_are_found():
    assert words_of("client('kms').describe_key(KeyId=k); rds.get_paginator('describe_db_instances')") == (
        {"kms"},
        {"describe_key", "describe_db_instances"},
    )
    assert {"rds:CopyDBSnapshot", "rds:DescribeDBInstances", "rds:DescribeBlueGreenDeployments", "kms:DescribeKey"} <= calls()
    assert "secretsmanager:GetSecretValue" in calls()


def test_each_policy_is_there():
    assert list(policies()) == ["Plan", "Encrypt", "Key policy"]


def test_the_encrypt_policy_allows_every_call_of_the_code():
    missing = calls() - actions(policies()["Encrypt"])
    assert not missing, f"docs/iam.md, Encrypt: not allowed, but called: {sorted(missing)}"


def test_the_encrypt_policy_allows_no_more_rds_calls_than_the_code_makes():
    surplus = {action for action in actions(policies()["Encrypt"]) if action.startswith("rds:")} - calls()
    assert not surplus, f"docs/iam.md, Encrypt: allowed, but never called: {sorted(surplus)}"


def test_the_plan_policy_allows_every_reading_call_and_no_other():
    plan = actions(policies()["Plan"])
    reads = {action for action in calls() if READING.match(action.partition(":")[2])}
    assert reads <= plan, f"docs/iam.md, Plan: not allowed, but called: {sorted(reads - plan)}"
    changing = {action for action in plan if not READING.match(action.partition(":")[2])}
    assert not changing, f"docs/iam.md, Plan: may change something: {sorted(changing)}"


@pytest.mark.parametrize("heading", ["Plan", "Encrypt", "Key policy"])
def test_nobody_can_delete(heading):
    named = actions(policies()[heading])
    deletions = [action for service in ("rds", "kms", "secretsmanager", "iam") for action in operations(service).values() if DELETING.search(action)]
    assert len(deletions) > 20
    possible = {action for action in deletions for pattern in named if fnmatch.fnmatchcase(action.lower(), pattern.lower())}
    assert not possible
    assert not [action for action in named if "*" in action or "?" in action], "an action with a wildcard allows what nobody looked at"


def test_the_encrypt_policy_covers_the_names_that_a_run_makes():
    policy = policies()["Encrypt"]
    here = "arn:aws:rds:eu-central-1:111122223333"
    request = RestoreRequest(name="prod-one", target_identifier="new-prod-one", kms_key_arn="", fence_id="f0123456789a")
    snapshots = [identifier for series in snapshot_candidates(request) for identifier in series]
    names = [f"{here}:db:{prefix}prod-one" for prefix in ("", "old-", "new-")] + [f"{here}:snapshot:{name}" for name in snapshots]
    for operation in _METHODS:
        closed = [name for name in names if not allowed(policy, f"rds:{operation}", name)]
        assert not closed, f"rds:{operation}: {closed}"
    for operation in ("RestoreDBInstanceFromDBSnapshot", "CreateDBInstanceReadReplica", "ModifyDBInstance"):
        for kind in ("og:default:mysql-8-0", "pg:prod", "subgrp:prod"):
            assert allowed(policy, f"rds:{operation}", f"{here}:{kind}")
    assert not allowed(policy, "rds:ModifyDBInstance", f"{here}:db:other-one")


@pytest.mark.parametrize("heading", ["Encrypt", "Key policy"])
def test_a_grant_on_the_key_is_for_rds_only(heading):
    for statement in policies()[heading]["Statement"]:
        if "kms:CreateGrant" in as_list(statement["Action"]):
            assert statement["Condition"] == {
                "Bool": {"kms:GrantIsForAWSResource": "true"},
                "StringEquals": {"kms:ViaService": "rds.eu-central-1.amazonaws.com"},
            }
            break
    else:
        pytest.fail(f"docs/iam.md, {heading}: kms:CreateGrant is missing")
