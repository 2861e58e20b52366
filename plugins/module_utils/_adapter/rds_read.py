# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Reading calls to RDS and KMS: one function per call, no decisions."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import gathered
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

try:
    from botocore.exceptions import ClientError
except ImportError:  # AnsibleAWSModule reports the missing library in words
    ClientError = ()

# The code on the wire has no "Fault"; the class of botocore has.
_NO_INSTANCE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")


def describe_instance(client, identifier: str) -> dict | None:
    """The ``DBInstance`` that has this identifier now, or None."""
    try:
        found = client.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    except ClientError as e:
        if e.response.get("Error", {}).get("Code") in _NO_INSTANCE:
            return None
        raise
    return found[0] if found else None


def describe_all_instances(client) -> list[dict]:
    """Every ``DBInstance`` of the account in the region."""
    return _pages(client)


def describe_instances_by(client, filter_name: str, values) -> list[dict]:
    """The ``DBInstance``s that a filter of DescribeDBInstances finds (``dbi-resource-id``, ``db-instance-id``, ...)."""
    return _pages(client, Filters=[{"Name": filter_name, "Values": list(values)}])


# Values of one filter in one call; each page has up to 100 instances.
MOST_VALUES = 100


def describe_instances_of(client, keys) -> list[dict]:
    """The ``DBInstance``s of (filter name, value) pairs, as few calls as it takes."""
    found = []
    for name in ("dbi-resource-id", "db-instance-id"):
        values = sorted(value for filter_name, value in keys if filter_name == name)
        for first in range(0, len(values), MOST_VALUES):
            found += describe_instances_by(client, name, values[first : first + MOST_VALUES])
    return found


def instances_asked_for(client, keys) -> list[dict]:
    """What ``describe_instances_of`` finds, by one call for all hosts of the process that ask at the same moment; of the others' keys, too."""
    return gathered(client, "instances", lambda together: describe_instances_of(client, together)).get(keys)


def describe_snapshots_of(client, identifiers) -> list[dict]:
    """The ``DBSnapshot``s that have these identifiers."""
    identifiers = sorted(identifiers)
    if len(identifiers) == 1:
        try:
            return client.describe_db_snapshots(DBSnapshotIdentifier=identifiers[0])["DBSnapshots"]
        except ClientError as e:
            if e.response.get("Error", {}).get("Code", "").startswith("DBSnapshotNotFound"):
                return []
            raise
    found = []
    for first in range(0, len(identifiers), MOST_VALUES):
        filters = [{"Name": "db-snapshot-id", "Values": identifiers[first : first + MOST_VALUES]}]
        pages = client.get_paginator("describe_db_snapshots").paginate(Filters=filters)
        found += [snapshot for page in pages for snapshot in page["DBSnapshots"]]
    return found


def describe_snapshots_of_instances(client, resource_ids, kind: str | None) -> list[dict]:
    """The ``DBSnapshot``s of instances with these resource ids.

    :param kind: ``manual`` for those alone; None for manual and automated ones.
    """
    wanted = sorted(resource_ids)
    more = {"SnapshotType": kind} if kind else {}
    found = []
    for first in range(0, len(wanted), MOST_VALUES):
        some = wanted[first : first + MOST_VALUES]
        which = {"DbiResourceId": some[0]} if len(wanted) == 1 else {"Filters": [{"Name": "dbi-resource-id", "Values": some}]}
        pages = client.get_paginator("describe_db_snapshots").paginate(**which, **more)
        found += [snapshot for page in pages for snapshot in page["DBSnapshots"]]
    return found


# Up to so many instances are asked for one by one: their events are fewer than those of a region.
FEW = 5


def describe_events_of(client, identifiers, minutes: int) -> list[dict]:
    """The ``Event``s of the last minutes of these instances, newest last for each; for more than a few, those of all others of the region, too."""
    of_one = [{"SourceIdentifier": identifier} for identifier in sorted(identifiers)]
    found = []
    for which in of_one if len(of_one) <= FEW else [{}]:
        pages = client.get_paginator("describe_events").paginate(SourceType="db-instance", Duration=minutes, **which)
        found += [event for page in pages for event in page.get("Events", [])]
    return found


def _pages(client, **parameters) -> list[dict]:
    pages = client.get_paginator("describe_db_instances").paginate(**parameters)
    return [instance for page in pages for instance in page["DBInstances"]]


def describe_manual_snapshots(client) -> list[dict]:
    """Every manual ``DBSnapshot`` of the account in the region; shared ones of other accounts are none of them."""
    pages = client.get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
    return [snapshot for page in pages for snapshot in page["DBSnapshots"]]


def describe_parameter_group(client, name: str, wanted) -> dict | None:
    """``{name, family, values}`` of a DB parameter group, or None; ``values`` holds those of ``wanted`` that a user has set."""
    try:
        found = client.describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"]
        if not found:
            return None
        values = {}
        if wanted:
            for page in client.get_paginator("describe_db_parameters").paginate(DBParameterGroupName=name, Source="user"):
                values.update((each["ParameterName"], each.get("ParameterValue", "")) for each in page["Parameters"])
    except ClientError as e:
        if e.response.get("Error", {}).get("Code", "").startswith("DBParameterGroupNotFound"):
            return None
        raise
    return {"name": name, "family": found[0]["DBParameterGroupFamily"], "values": {key: values[key] for key in wanted if key in values}}


def accepted_parameters(client, operation_name: str) -> frozenset[str]:
    """The parameter names that the installed botocore knows for an operation (``RestoreDBInstanceFromDBSnapshot``, ...)."""
    shape = client.meta.service_model.operation_model(operation_name).input_shape
    return frozenset(shape.members)


def replicated_backup_days(client, arn: str) -> int | None:
    """For how many days a replicated automated backup is kept in the client's region, or None when it is not there."""
    try:
        found = client.describe_db_instance_automated_backups(DBInstanceAutomatedBackupsArn=arn)["DBInstanceAutomatedBackups"]
    except ClientError as e:
        if e.response.get("Error", {}).get("Code", "").startswith("DBInstanceAutomatedBackupNotFound"):
            return None
        raise
    return found[0].get("BackupRetentionPeriod") if found else None


def key_description(kms_client, key_id: str) -> dict:
    """The ``KeyMetadata`` of a KMS key given by id, ARN or alias, with which RDS can encrypt in the client's region.

    :raises EncryptionError: when there is no such key in the region, it may not be read, or it is of no use.
    """
    region = kms_client.meta.region_name
    try:
        key = gathered(kms_client, f"key {key_id}", lambda _keys: kms_client.describe_key(KeyId=key_id)["KeyMetadata"]).get()
    except ClientError as e:
        code = e.response.get("Error", {}).get("Code", "")
        if code in ("NotFoundException", "InvalidArnException", "ValidationException"):
            raise EncryptionError(
                f"KMS knows no key {key_id} in {region} ({code}).",
                next_step="Give the id, ARN or alias of a key of that region (aws kms list-aliases).",
            ) from e
        if "AccessDenied" in code:
            raise EncryptionError(
                f"The key {key_id} in {region} may not be read ({code}).",
                next_step="Allow kms:DescribeKey on it, in the key policy as well when the key is another account's.",
            ) from e
        raise
    problem = _key_problem(key, region)
    if problem:
        raise EncryptionError(f"The key {key_id} {problem}.", next_step=f"Give an enabled symmetric key of {region}, or make this one usable.")
    return key


def _key_problem(key: dict, region: str) -> str | None:
    """Why RDS cannot encrypt with a key (RDS guide: Encrypting resources; KMS guide: Key states), or None."""
    home = key["Arn"].split(":")[3]
    if home != region:
        return f"is a key of {home}, the instances are in {region}: RDS takes only keys of its own region"
    if key.get("KeyState", "Enabled") != "Enabled":
        return f"is {key['KeyState']}: it must be Enabled"
    if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT" or key.get("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
        return f"is a {key.get('KeySpec')} key for {key.get('KeyUsage')}: RDS takes only symmetric keys that encrypt and decrypt"
    return None
