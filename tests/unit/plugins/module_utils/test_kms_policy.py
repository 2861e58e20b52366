# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the policy of a key says of a caller: yes, no, ask IAM, or cannot tell; never a wrong yes or no."""

from __future__ import annotations

import json

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.kms_policy import (
    ALLOWED,
    DENIED,
    LEFT_TO_IAM,
    NEEDED,
    UNKNOWN,
    Caller,
    judge_key_policy,
    key_policy_in_words,
    statement_to_add,
)
from fakes.region import Region
from fakes.shapes import KEY, instance
from fakes.way import Way
from hypothesis import given
from hypothesis import strategies as st

REGION = "eu-central-1"
ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/dbre-encrypt"
BY_ROLE = Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/dbre-encrypt/run", ACCOUNT)
BY_USER = Caller(f"arn:aws:iam::{ACCOUNT}:user/ops", ACCOUNT)
VIA_RDS = {"StringEquals": {"kms:ViaService": f"rds.{REGION}.amazonaws.com"}, "Bool": {"kms:GrantIsForAWSResource": "true"}}


def allow(who, action="kms:*", **more) -> dict:
    return {"Effect": "Allow", "Principal": who if who == "*" else {"AWS": who}, "Action": action, "Resource": "*", **more}


def deny(who, action="kms:*", **more) -> dict:
    return {**allow(who, action, **more), "Effect": "Deny"}


def grant(*statements, caller=BY_ROLE) -> str:
    return judge_key_policy(json.dumps({"Statement": list(statements)}), caller, REGION)["kms:CreateGrant"]


@pytest.mark.parametrize(
    "verdict, statements",
    [
        (LEFT_TO_IAM, [allow(ROOT)]),
        (LEFT_TO_IAM, [allow(ACCOUNT)]),
        (LEFT_TO_IAM, [allow([ROOT, "arn:aws:iam::999988887777:root"])]),
        (ALLOWED, [allow(ROLE)]),
        (ALLOWED, [allow(f"arn:aws:iam::{ACCOUNT}:role/with/a/path/dbre-encrypt")]),
        (ALLOWED, [allow(BY_ROLE.arn)]),
        (ALLOWED, [allow("*", Condition=VIA_RDS)]),
        (ALLOWED, [allow(ROLE, ["kms:describekey", "KMS:createg*"])]),
        (ALLOWED, [allow(ROLE, "kms:Create?rant")]),
        (ALLOWED, [{"Effect": "Allow", "Principal": {"AWS": ROLE}, "NotAction": "kms:Delete*"}]),
        (ALLOWED, [allow("*", Condition={"StringLike": {"kms:ViaService": "rds.*.amazonaws.com"}, "StringEquals": {"kms:CallerAccount": ACCOUNT}})]),
        (ALLOWED, [allow("*", Condition={"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/dbre-*"}})]),
        (ALLOWED, [allow(ROLE), allow("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})]),
        (DENIED, []),
        (DENIED, [allow("arn:aws:iam::999988887777:root")]),
        (DENIED, [allow(f"arn:aws:iam::{ACCOUNT}:role/dbre-encrypt2")]),
        (DENIED, [allow(f"arn:aws:iam::{ACCOUNT}:user/dbre-encrypt")]),
        (DENIED, [allow("arn:aws:iam::999988887777:role/dbre-encrypt")]),
        (DENIED, [allow(ROLE, ["kms:Encrypt", "kms:DescribeKey"])]),
        (DENIED, [allow(ROOT, "kms:[CD]reateGrant")]),
        (DENIED, [{"Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "kms:*"}]),
        (DENIED, [allow(ROLE, Condition={"StringEquals": {"kms:ViaService": "rds.eu-west-1.amazonaws.com"}})]),
        (DENIED, [allow(ROLE, Condition={"Bool": {"kms:GrantIsForAWSResource": "false"}})]),
        (DENIED, [allow(ROOT), deny(ROLE)]),
        (DENIED, [allow(ROLE), deny("*", "kms:CreateGrant")]),
        (DENIED, [allow(ROLE), deny("*", Condition={"StringNotEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/other"}})]),
        (ALLOWED, [allow(ROLE), deny("*", Condition={"Bool": {"kms:GrantIsForAWSResource": "false"}})]),
        (ALLOWED, [allow(ROLE), deny("*", "kms:ScheduleKeyDeletion")]),
        (UNKNOWN, [allow(ROOT), deny("*", Condition={"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}})]),
        (UNKNOWN, [allow("*", Condition={"StringEquals": {"aws:PrincipalTag/team": "dbre"}})]),
        (UNKNOWN, [allow(ROLE, Condition={"ForAnyValue:StringEquals": {"kms:GrantOperations": "Decrypt"}})]),
        (UNKNOWN, [{"Effect": "Allow", "NotPrincipal": {"AWS": ROLE}, "Action": "kms:*"}]),
    ],
)
def test_what_a_policy_says(verdict, statements):
    assert grant(*statements) == verdict


def test_a_user_and_the_root_are_callers_too():
    assert grant(allow(BY_USER.arn), caller=BY_USER) == ALLOWED
    assert grant(allow(ROOT), caller=Caller(ROOT, ACCOUNT)) == ALLOWED
    assert grant(allow(ROLE), caller=BY_USER) == DENIED


def test_preflight_asks_kms_itself_so_a_service_in_between_is_no_permission_to_look():
    verdicts = judge_key_policy(json.dumps({"Statement": [allow(ROLE, Condition=VIA_RDS)]}), BY_ROLE, REGION)
    assert verdicts == {"kms:DescribeKey": DENIED, "kms:CreateGrant": ALLOWED}


def test_the_statements_to_add_are_enough():
    for caller in (BY_ROLE, BY_USER):
        policy = json.dumps({"Statement": json.loads(statement_to_add(caller, REGION))})
        assert judge_key_policy(policy, caller, REGION) == dict.fromkeys(NEEDED, ALLOWED)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"Statement": null}', '{"Statement": ["x", 3]}', '{"Statement": {"Effect": "Allow"}}'])
def test_what_is_no_policy_is_no_fault(text):
    assert set(judge_key_policy(text, BY_ROLE, REGION).values()) <= {UNKNOWN, DENIED}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["*", ROOT, ROLE, "Allow", "Deny", "kms:*", "true"]) | st.text(max_size=5),
        lambda each: st.lists(each, max_size=3)
        | st.dictionaries(st.sampled_from(["Statement", "Effect", "Principal", "AWS", "Action", "NotAction", "Condition", "Bool"]), each, max_size=4),
        max_leaves=12,
    )
)
def test_no_policy_causes_a_fault(policy):
    for whole in (policy, {"Statement": policy}, {"Statement": [policy]}):
        assert set(judge_key_policy(json.dumps(whole), BY_ROLE, REGION)) == set(NEEDED)


def test_in_words():
    key = {"Arn": KEY, "KeyManager": "CUSTOMER"}
    only_look = json.dumps({"Statement": [allow(ROLE, "kms:DescribeKey")]})
    problem, remark = key_policy_in_words(key, only_look, BY_ROLE, REGION)
    assert f"does not let {ROLE} call kms:CreateGrant" in problem and remark is None
    assert json.dumps(ROLE) in problem and "kms:ViaService" in problem
    nobody = json.dumps({"Statement": [allow("arn:aws:iam::999988887777:root")]})
    problem, remark = key_policy_in_words(key, nobody, BY_ROLE, REGION)
    assert problem is None and "cannot be told" in remark, "DescribeKey worked, so there is another way than the policy"
    problem, remark = key_policy_in_words(key, None, Caller("arn:aws:iam::999988887777:user/ops", "999988887777"), REGION)
    assert problem is None and "belongs to account 111122223333" in remark and "both" in remark
    assert key_policy_in_words({**key, "KeyManager": "AWS"}, nobody, BY_ROLE, REGION) == (None, None)
    assert key_policy_in_words(key, None, BY_ROLE, REGION) == (None, None)


# -- in preflight ----------------------------------------------------------------------------------------------------------------------


def test_preflight_blocks_on_a_policy_that_leaves_the_caller_out():
    made = Region(instance("x"))
    made.key_policy = {"Statement": [allow(ROOT, "kms:Describe*")]}
    seen = Way(made, "x").info(preflight=True)
    assert seen["action"] == "blocked"
    assert [(blocker["code"], "does not let " + ROLE in blocker["text"]) for blocker in seen["blockers"]] == [("kms_key", True)]


def test_preflight_warns_where_the_policy_may_not_be_read():
    made = Region(instance("x"))
    made.key_policy = None
    seen = Way(made, "x").info(preflight=True)
    assert seen["action"] == "encrypt"
    assert "The policy of the KMS key could not be checked: AccessDeniedException." in seen["warnings"]


def test_preflight_says_nothing_of_a_policy_that_leaves_it_to_iam():
    seen = Way(Region(instance("x")), "x").info(preflight=True)
    assert seen["action"] == "encrypt" and not [text for text in seen["warnings"] if "key" in text.lower() and "policy" in text.lower()]
