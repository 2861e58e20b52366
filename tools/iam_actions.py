"""Compare the AWS actions that the scenarios were seen to call with the policies of docs/iam.md: none missing, none unused.

    python tools/iam_actions.py FOLDER

The scenarios write into FOLDER, for each call, which identity made it: each has an access key of its own, whose id the lab logs.
After only a part of the scenarios, add ``--partial``: what was not called is not told then.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "iam.md"
# Heading on the page -> who has the policy; how a run is told apart: `identity_of`.
IDENTITIES = {"Audit": "audit", "Encrypt": "encrypt", "Cutover and rollback": "cutover", "Retire": "retire"}
PLAYBOOKS = {"plan": "audit", "audit": "audit", "capture": "audit", "encrypt": "encrypt", "rehearse_on_aws": "encrypt", "rollback": "cutover",
             "retire": "retire"}
# It asks AWS nothing.
PLAYBOOKS["verify_evidence"] = "audit"

# Actions that AWS asks the caller for and that are no calls of their own: by what the call names.
IMPLIED = {
    "MonitoringRoleArn": {"iam:PassRole"},
    "DomainIAMRoleName": {"iam:PassRole"},
    "RoleArn": {"iam:PassRole"},
    "ManageMasterUserPassword": {"secretsmanager:CreateSecret", "secretsmanager:TagResource"},
    "KmsKeyId": {"kms:CreateGrant"},
    "FinalDBSnapshotIdentifier": {"rds:CreateDBSnapshot"},
    "Tags": {"rds:AddTagsToResource"},
}
# Read only when a wait ends badly: no scenario has to show it for each identity.
ON_FAILURE = {"rds:DescribeEvents"}
OF_CALLS = {"secretsmanager:GetSecretValue": {"kms:Decrypt"}}
# What boto3 calls a service is not always what IAM calls it.
PREFIXES = {"monitoring": "cloudwatch"}


def identity_of(playbook: str, arguments) -> str:
    """Who runs a playbook: nobody needs a right to change something for ``--check``."""
    return "audit" if "--check" in arguments else PLAYBOOKS.get(pathlib.Path(playbook).stem, "other")


def access_key_of(identity: str) -> str:
    """The id of the access key by which the lab's log of calls tells an identity."""
    return f"AKIALAB{identity.upper()}"


def rows_of(calls: list[dict]) -> set[tuple[str, str, str, str]]:
    """(identity, service, operation, parameter) of the lab's log of calls; a call without parameters has an empty one."""
    rows = set()
    for call in calls:
        key = re.search(r" key/(\w+)$", call.get("agent") or "")
        identity = next((each for each in IDENTITIES.values() if key and key[1] == access_key_of(each)), None)
        if identity:
            for name in ("", *(name for name, value in call["parameters"].items() if value not in (None, "", False, "false", []))):
                rows.add((identity, call["service"], operation_of(call), name))
    return rows


def operation_of(call: dict) -> str:
    """The AWS operation of a call; REST services are logged by method and path."""
    operation = call["operation"]
    method, _space, path = operation.partition(" ")
    if not path:
        return operation
    if "/operation/" in path:
        return path.rpartition("/")[2]
    from botocore.session import get_session

    model = get_session().get_service_model(call["service"])
    for name in model.operation_names:
        http = model.operation_model(name).http
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(http["requestUri"].partition("?")[0].rstrip("/")))
        if http["method"] == method and re.fullmatch(pattern, path.rstrip("/")):
            return name
    return operation


def actions_of(rows) -> dict[str, set[str]]:
    """Identity -> actions as IAM names them."""
    found: dict[str, set[str]] = {}
    for identity, service, operation, parameter in rows:
        action = f"{PREFIXES.get(service, service)}:{operation}"
        more = IMPLIED.get(parameter, set()) if service == "rds" else set()
        found.setdefault(identity, set()).update({action}, more, OF_CALLS.get(action, set()))
    return found


def policies() -> dict[str, dict]:
    """Heading of docs/iam.md -> the JSON block under it."""
    found: dict[str, dict] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        heading = section.splitlines()[0]
        for block in re.findall(r"^```json\n(.*?)^```", section, flags=re.M | re.S):
            if heading in found:
                raise ValueError(f"{PAGE.name}: two JSON blocks under {heading}")
            found[heading] = json.loads(block)
    return found


def allowed(policy: dict) -> set[str]:
    """The actions that a policy allows."""
    return {action for statement in policy["Statement"] for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])}


def faults(called: dict[str, set[str]], partial: bool = False) -> list[str]:
    """Where page and calls differ."""
    page = policies()
    found = []
    for heading, identity in IDENTITIES.items():
        listed, seen = allowed(page[heading]), called.get(identity, set())
        found += [f"{heading}: {action} was called and is not allowed" for action in sorted(seen - listed)]
        if not partial:
            found += [f"{heading}: {action} is allowed and was never called" for action in sorted(listed - seen - ON_FAILURE)]
    return found


def main(arguments: list[str]) -> int:
    """Read what the scenarios wrote, and compare."""
    folder = pathlib.Path(next(each for each in arguments if not each.startswith("-")))
    rows = {tuple(row) for path in folder.glob("*.json") for row in json.loads(path.read_text(encoding="utf-8"))}
    called = actions_of(rows)
    found = faults(called, partial="--partial" in arguments)
    print("\n".join(found) or f"docs/iam.md allows what was called: {', '.join(f'{who} {len(called.get(who, ()))}' for who in IDENTITIES.values())} actions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) > 1 else __doc__)
