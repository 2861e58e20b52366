"""Write docs/after-the-swap.md from the table of dependents; with --check fail when the page is stale instead."""

from __future__ import annotations

import pathlib
import sys

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.dependents import KINDS, Fate, Kind

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "after-the-swap.md"

INTRODUCTION = """\
# After the swap

<!-- Made by tools/dependents_page.py from plugins/module_utils/_model/dependents.py; edit those. -->

After the cutover another instance has the name. What knows it by name, ARN or address goes on with the encrypted instance; what knows it
by resource id (`DbiResourceId`) stays with the original, which is called `old-NAME` now. Preflight lists what it finds (*Hangs on it* in the
plan); the cutover binds again what can be bound; the report prints the rest (*Left to you*), with the command for each, until `old-NAME` is
retired. The module behind all three is `dbre.rds_encryption.rds_dependents`.

- Commands with quotes are printed once more as progress lines of the report: results of Ansible are JSON, in which quotes are escaped.
- What may not be read is a warning that names the permission ([iam.md](iam.md)), and no failure. Each host costs at least one call to each
  service that is marked in the table, in preflight and in the report; accounts with thousands of alarms or policies take a page for each hundred.
  `rds_encryption_dependents: false` switches all of it off, binding again included.
- An instance named like a word (`prod`) finds more than its own: rules, secrets and expressions that name that word.
- What blocks is no obstacle once it is named in `rds_encryption_accepted_dependents`; then it is an item of the report.

RDS Proxy: AWS does not say what becomes of a target whose instance is renamed. If the proxy does not reach the encrypted instance under the
name, the stale target is taken off and the name is registered; a tag `rds-encryption:name` on the proxy says what is to be registered if the
run is stopped in between. A proxy that still does not reach it after ten minutes is a warning and an item of the report: the cutover is done
all the same. A run that is started again tries again.
"""

TABLE = """
## What hangs on an instance

"""

OTHERS = """
## Logins with IAM tokens

A policy on `rds-db:connect` names the resource id, `arn:aws:rds-db:REGION:ACCOUNT:dbuser:db-OLD/user`, and the encrypted instance has another one.
Allow both before the cutover, since the new id is known as soon as `new-NAME` exists (the report and `aws rds describe-db-instances` have it); take the
old one out when the original is retired. A wildcard in place of the id needs no change. Until the policy allows it, such logins fail with
`PAM authentication failed` or `Access denied`, which looks like a wrong password.

## Readers of the log of changes

Debezium, DMS with CDC, an external replica, a logical subscriber: each keeps a position in the source's log (file and offset, GTID, LSN), and the log of
the encrypted instance is another one that begins with the restore. A position of before means nothing there, at worst it means another place.

1. Before the fence: let the reader catch up, stop it, note its position.
2. After the cutover: remove its position (Debezium: the connector's offsets and, if it cannot go on, its history topic), let it take a new snapshot or
   reload, then follow the log. Where the consumer of the data can tell duplicates, a reload is harmless; where not, empty its tables first.
3. PostgreSQL: a slot is not moved. Make it anew on the encrypted instance; drop what the copy may have brought along, since a slot that nobody
   reads keeps the log until the storage is full.
4. Replication set up with `mysql.rds_set_external_master`/`_source` away from the instance: point the external replica at the name again, from a new dump.

## Slow first hours

A restored instance is available long before its data are on its volume: each block comes from the snapshot when it is first touched (lazy loading),
and the caches are empty. First touches take tens of milliseconds in place of one; the plan of a query does not change, its time does.

- Before the cutover: `rds_encryption_warm_up_budget: 600` reads the tables, the largest first, on the target and its replicas, within so many seconds, and
  shows the latency of single reads before and after. **Those seconds are part of the outage**: the plan shows them. What the budget does not reach stays
  cold.
- Without it, or for the rest: scan the hot tables by hand once applications work, on the replicas first.
- How far RDS is: `aws rds describe-db-instances --query 'DBInstances[].[DBInstanceIdentifier,StorageOperationStatus,StorageOperationPercentProgress]'` (newer
  APIs; `Initializing` is lazy loading). Statistics that the optimiser keeps come along; those of Performance Insights begin anew.
- Still slow on the next day: not the load. Compare parameter group, class, storage type and throughput (`rds_attr_diff`): they are equal, or were accepted.
- The volume behind the instance may be in another Availability Zone than before (where the source was Multi-AZ): see the latency between application and
  instance, and fail over if the other zone is nearer.
"""

CODE = """
## Infrastructure as code

The report prints this for each instance, replicas too, with its names. Freeze the pipelines before the fence: during the run they would find
instances missing, and make them.

### Terraform

`aws_db_instance` is imported by its identifier. Since version 5.0 of the provider its `id` is the resource id: the state follows the original,
and a plan would rename it, or replace it for its encryption. **Never apply a plan that replaces an instance.**

    terraform show -json | jq -r '.. | objects | select(.type? == "aws_db_instance" and .values.resource_id? == "db-OLD") | .address'
    terraform state rm ADDRESS
    terraform import ADDRESS prod-one
    terraform plan

Before version 5.0 the state follows the name: only the configuration is to be changed. In pipelines without a command line, first apply a
configuration with a `removed` block (Terraform 1.7) in place of the resource, then one with the resource and an `import` block (1.5):

    removed {
      from = aws_db_instance.one
      lifecycle { destroy = false }
    }

    import {
      to = aws_db_instance.one
      id = "prod-one"
    }

| argument | now |
| --- | --- |
| `storage_encrypted` | `true` |
| `kms_key_id` | ARN of the key; not for a replica in the region of its source, which has that of the source |
| `snapshot_identifier` | is not imported: under `ignore_changes`, or taken out; otherwise the plan replaces the instance |
| `replicate_source_db` | stays: the identifier of the source is the one of before |
| `password`, `apply_immediately`, `skip_final_snapshot`, `final_snapshot_identifier` | are not imported: the first plan sets them, in place |
| `resource_id`, `master_user_secret` | new ones: so are the policies and proxies that are made of them |

### CloudFormation and CDK

A stack is known by the tags `aws:cloudformation:*` of the original. Its physical id is the name, `StorageEncrypted` and `KmsKeyId` mean
replacement: **never update the resource before it was imported.**

1. Set `DeletionPolicy` and `UpdateReplacePolicy` of the resource to `Retain`; update the stack with nothing else.
2. Take the resource out of the template (and what refers to it, or put the value there); update the stack. The instance stays.
3. Put it back with `DBInstanceIdentifier`, `StorageEncrypted: true`, `KmsKeyId`, without `DBSnapshotIdentifier`, and import it:

        aws cloudformation create-change-set --stack-name STACK --change-set-name import-prod-one --change-set-type IMPORT \\
          --template-body file://STACK.json --resources-to-import \\
          '[{"ResourceType": "AWS::RDS::DBInstance", "LogicalResourceId": "LOGICAL_ID", "ResourceIdentifier": {"DBInstanceIdentifier": "prod-one"}}]'

   Look at the change set, then execute it. CloudFormation applies what differs between template and instance while it imports: compare first.

CDK: the same with `cdk import` in place of step 3.

### Pulumi

`pulumi state delete URN`, then `pulumi import aws:rds/instance:Instance NAME prod-one`; arguments as for Terraform.
"""


def page() -> str:
    """The page as it must be."""
    head = "| what | known by | at the swap | searched with |\n| --- | --- | --- | --- |\n"
    return INTRODUCTION + TABLE + head + "".join(_line(row) for row in KINDS) + OTHERS + CODE


def _line(row: Kind) -> str:
    reads = "<br>".join(f"`{read}`" for read in row.reads) or ("the description of the instance" if row.searched else "not searched")
    code = f" (`{row.kind}`)" if row.fate is Fate.BLOCKS else ""
    return f"| {row.title}{code} | {row.key.value} | **{row.fate.value}**. {row.swap} | {reads} |\n"


def main() -> int:
    """Write the page, or check it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE} does not say what the table says: run python tools/dependents_page.py and commit it.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
