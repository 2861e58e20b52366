# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Whether the policy of a KMS key lets a caller use the key through RDS, as far as a policy alone can say that.

The policy of the key is the first word (KMS guide: Key policies): who is not named in it, by the account or in person, may not use the key
whatever IAM says. Naming the account (``arn:aws:iam::ACCOUNT:root``) leaves the decision to IAM. RDS needs two things of its caller
(RDS guide: KMS key management): to look at the key, which preflight does by itself, and to make a grant on it for RDS.
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass

ALLOWED, DENIED, LEFT_TO_IAM, UNKNOWN = "allowed", "denied", "left to IAM", "unknown"
# What RDS makes its caller do with the key; the data keys themselves are used under the grant, not by the caller.
NEEDED = ("kms:DescribeKey", "kms:CreateGrant")


@dataclass(frozen=True)
class Caller:
    """Who calls, as ``sts:GetCallerIdentity`` says it: an ARN of a user, of an assumed role, of the account's root, and the account."""

    arn: str
    account: str

    @property
    def role_name(self) -> str | None:
        """The name of the assumed role; the ARN of a session does not tell the role's path."""
        kind, _slash, rest = self.arn.rpartition(":")[2].partition("/")
        return rest.partition("/")[0] if kind == "assumed-role" else None

    @property
    def principal(self) -> str:
        """The ARN to write into a policy."""
        if self.role_name:
            partition = self.arn.split(":")[1]
            return f"arn:{partition}:iam::{self.account}:role/{self.role_name}"
        return self.arn


def judge_key_policy(policy_text: str, caller: Caller, region: str) -> dict[str, str]:
    """Action -> ``allowed``, ``denied``, ``left to IAM`` or ``unknown``, for each action in ``NEEDED``.

    :param policy_text: the JSON that ``kms:GetKeyPolicy`` answers.
    """
    try:
        statements = json.loads(policy_text)["Statement"]
    except (ValueError, KeyError, TypeError):
        return dict.fromkeys(NEEDED, UNKNOWN)
    statements = [each for each in _as_list(statements) if isinstance(each, dict)]
    return {action: _verdict(statements, action, caller, region) for action in NEEDED}


def _verdict(statements: list[dict], action: str, caller: Caller, region: str) -> str:
    found, doubtful = set(), False
    for statement in statements:
        who = _principal_meant(statement, caller)
        holds = _conditions_hold(statement.get("Condition"), action, caller, region)
        if not _action_meant(statement, action) or who == DENIED or holds is False:
            continue
        certain = holds is True and who != UNKNOWN
        if statement.get("Effect") == "Deny":
            # A denial that names the account hits everybody in it.
            if certain:
                return DENIED
            doubtful = True
        else:
            found.add(who if certain else UNKNOWN)
    if doubtful:
        return UNKNOWN
    return next((verdict for verdict in (ALLOWED, LEFT_TO_IAM, UNKNOWN) if verdict in found), DENIED)


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _action_meant(statement: dict, action: str) -> bool:
    if "NotAction" in statement:
        return not any(_like(action, pattern) for pattern in _as_list(statement["NotAction"]))
    return any(_like(action, pattern) for pattern in _as_list(statement.get("Action", [])))


def _like(action: str, pattern) -> bool:
    # Actions do not care for case; [ has no meaning in them as it has in fnmatch.
    return fnmatch.fnmatchcase(action.lower(), str(pattern).lower().replace("[", "[[]"))


def _principal_meant(statement: dict, caller: Caller) -> str:
    """``allowed``: the caller in person; ``left to IAM``: the account; ``denied``: somebody else; ``unknown``: cannot be told."""
    if "NotPrincipal" in statement:
        return UNKNOWN
    principal = statement.get("Principal")
    names = principal.get("AWS", []) if isinstance(principal, dict) else principal
    found = DENIED
    for name in map(str, _as_list(names or [])):
        if name == "*" or name in (caller.arn, caller.principal):
            return ALLOWED
        if name == caller.account or name.endswith(f":iam::{caller.account}:root"):
            found = LEFT_TO_IAM
        elif caller.role_name and f":iam::{caller.account}:role/" in name and name.endswith(f"/{caller.role_name}"):
            return ALLOWED  # a role with a path
    return found


def _conditions_hold(conditions, action: str, caller: Caller, region: str) -> bool | None:
    """Whether the conditions hold when RDS uses the key for the caller; None if that cannot be told."""
    known = {
        "kms:calleraccount": caller.account,
        "aws:principalaccount": caller.account,
        "aws:principalarn": caller.principal,
    }
    if action == "kms:CreateGrant":
        known |= {"kms:viaservice": f"rds.{region}.amazonaws.com", "kms:grantisforawsresource": "true"}
    if not isinstance(conditions or {}, dict):
        return None
    certain = True
    for operator, tests in (conditions or {}).items():
        for key, wanted in tests.items() if isinstance(tests, dict) else [("", None)]:
            actual = known.get(key.lower())
            if key.lower() in ("kms:viaservice", "kms:grantisforawsresource") and actual is None:
                return False  # preflight asks KMS directly: there is no service in between, and no grant
            held = None if actual is None else _holds(operator, actual, [str(each) for each in _as_list(wanted)])
            if held is False:
                return False
            certain = certain and held is True
    return True if certain else None


def _holds(operator: str, actual: str, wanted: list[str]) -> bool | None:
    name = operator.lower().removesuffix("ifexists")
    if name in ("stringequals", "arnequals", "bool"):
        return actual.lower() in [each.lower() for each in wanted] if name == "bool" else actual in wanted
    if name in ("stringlike", "arnlike"):
        return any(fnmatch.fnmatchcase(actual, each.replace("[", "[[]")) for each in wanted)
    if name == "stringnotequals":
        return actual not in wanted
    return None


def statement_to_add(caller: Caller | None, region: str) -> str:
    """The statements, as JSON on one line, that a key policy needs (docs/iam.md, Key policy)."""
    who = {"AWS": caller.principal if caller else "arn:aws:iam::ACCOUNT:role/ROLE-OF-THE-RUN"}
    statements = [
        {"Effect": "Allow", "Principal": who, "Action": "kms:DescribeKey", "Resource": "*"},
        {
            "Effect": "Allow",
            "Principal": who,
            "Action": "kms:CreateGrant",
            "Resource": "*",
            "Condition": {
                "Bool": {"kms:GrantIsForAWSResource": "true"},
                "StringEquals": {"kms:ViaService": f"rds.{region}.amazonaws.com"},
            },
        },
    ]
    return json.dumps(statements)


def account_of(key: dict) -> str:
    """The account that a key (``KeyMetadata``) belongs to."""
    return key["Arn"].split(":")[4]


def key_policy_in_words(key: dict, policy_text: str | None, caller: Caller | None, region: str) -> tuple[str | None, str | None]:
    """(why the key cannot be used, or None; what the operator should look at, or None).

    :param key: ``KeyMetadata`` as this caller got it from ``kms:DescribeKey``.
    :param policy_text: the key's policy, or None if it could not be read.
    """
    if key.get("KeyManager") == "AWS":
        return None, None  # its policy is AWS's: everybody in the account who may use RDS
    add = f"Statements for the key policy: {statement_to_add(caller, region)}"
    owner = account_of(key)
    if caller is not None and owner != caller.account:
        return None, (
            f"The key {key['Arn']} belongs to account {owner}, whose policy cannot be read from {caller.account}: the key policy there and the "
            f"IAM policy here must both allow kms:DescribeKey and kms:CreateGrant. {add}"
        )
    if policy_text is None or caller is None:
        return None, None  # that it could not be read is said where it was tried
    verdicts = judge_key_policy(policy_text, caller, region)
    verdict = verdicts["kms:CreateGrant"]
    if verdicts["kms:DescribeKey"] == DENIED:
        verdict = UNKNOWN  # it was called all the same: by a grant on the key, which may allow more
    if verdict == DENIED:
        return f"The policy of the key {key['Arn']} does not let {caller.principal} call kms:CreateGrant, which RDS needs. {add}", None
    if verdict == UNKNOWN:
        return None, (
            f"Whether {caller.principal} may call kms:CreateGrant on {key['Arn']} cannot be told from the key's policy: the encrypted copy will "
            f"show it, behind the fence. {add}"
        )
    return None, None
