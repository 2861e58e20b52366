# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Mutating calls to RDS, each sent exactly once, and their errors sorted by what one may do about them.

botocore resends a request whose answer was lost. For a rename, a restart or a create the second sending meets another world than the
first (AWS: "Renaming a DB instance"), so here every mutating call goes out once; whoever made it reads before trying again (law 4).
"""

from __future__ import annotations

import contextlib
import functools

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import rds_read
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import COMPANY, gathered, kind_of_change, remembered
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import CallError, Trouble

try:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NotConnectedError
    from botocore.parsers import ResponseParserError
except ImportError:  # reported by AnsibleAWSModule
    BotoCoreError = ClientError = HTTPClientError = NotConnectedError = ResponseParserError = ()

# What preflight would merely like to know is not worth minutes of patience.
GLANCING = {"retries": {"mode": "standard", "total_max_attempts": 3}, "connect_timeout": 15, "read_timeout": 60}
# Up to so many minutes, what happened in the whole region is less to read than what happened to each of many hosts.
LATELY_MINUTES = 24 * 60
CHANGING = {"retries": {"total_max_attempts": 1}, "connect_timeout": 15, "read_timeout": 60}


_THROTTLES = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "PriorRequestNotComplete",
    "SlowDown",
}
# RDS's words while IAM has not spread a role that was just made (rds guide: Enhanced Monitoring; seen by the Terraform provider).
_IAM_WORDS = ("ENHANCED_MONITORING", "IAM role ARN value is invalid")


def sort_client_error(code: str, message: str, status: int, operation: str) -> CallError:
    """The meaning of an error answer; decided by code and HTTP status, by text only where RDS has one code for several causes."""
    if code in _THROTTLES or status == 429:
        trouble = Trouble.THROTTLED
    elif status >= 500 or code in ("InternalFailure", "InternalError", "ServiceUnavailable", "RequestTimeout"):
        trouble = Trouble.UNKNOWN
    elif code in (
        "InvalidDBInstanceState",
        "InvalidDBInstanceStateFault",
        "InvalidDBInstanceAutomatedBackupState",
        "InvalidDBSnapshotState",
        "InvalidDBSnapshotStateFault",
        "InvalidDBParameterGroupState",
        "InvalidDBParameterGroupStateFault",
        "InvalidDBProxyStateFault",
    ):
        trouble = Trouble.BUSY
    elif "AlreadyExists" in code or "AlreadyRegistered" in code:
        trouble = Trouble.EXISTS
    elif code.startswith(("DBInstanceNotFound", "DBSnapshotNotFound", "DBProxyTargetNotFound", "SourceNotFound")):
        trouble = Trouble.NOT_FOUND
    elif code == "InvalidParameterValue" and any(words in message for words in _IAM_WORDS):
        trouble = Trouble.PROPAGATING
    elif code == "InvalidParameterCombination" and "No modifications were requested" in message:
        trouble = Trouble.NOTHING_TO_DO
    else:
        trouble = Trouble.REFUSED
    return CallError(trouble, code, message, operation)


class Rds:
    """One region's RDS, seen through three clients: a patient one for reading, a quick one, one that sends each change once.

    :param client: ``client(service, config=None) -> boto3 client``, patient unless told otherwise, such as ``Context.client``.
    """

    read_errors = (BotoCoreError, ClientError, ResponseParserError) if BotoCoreError else ()

    def __init__(self, client):
        self._client = client

    @functools.cached_property
    def read(self):
        """The patient client."""
        return self._client("rds")

    @functools.cached_property
    def glance(self):
        """The quick client."""
        return remembered(self._client("rds", GLANCING))

    @functools.cached_property
    def _change(self):
        return self._client("rds", CHANGING)

    def call(self, operation: str, **parameters) -> dict:
        """Make one mutating call.

        :param operation: the name of the AWS operation, e.g. ``CopyDBSnapshot``.
        :raises CallError: whatever goes wrong, sorted.
        """
        return self._send(self._change, operation, parameters)

    def call_in(self, region: str, operation: str, **parameters) -> dict:
        """Make one mutating call in another region.

        :raises CallError: whatever goes wrong, sorted.
        """
        return self._send(self._client("rds", CHANGING, region=region), operation, parameters)

    @contextlib.contextmanager
    def turn(self, action: str):
        """Wait until a change may be made: what is read from now on is not old when it is. Its turn is for a change that is made in this context.

        :param action: of a step: the name of the AWS operation, or ``Rename``.
        """
        COMPANY.take_turn_ahead(**kind_of_change(action))
        try:
            yield
        finally:
            COMPANY.give_back(changes=True)

    @staticmethod
    def _send(client, operation: str, parameters: dict) -> dict:
        method = getattr(client, _METHODS[operation])
        try:
            return method(**parameters)
        except ClientError as e:
            error = e.response.get("Error", {})
            status = e.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            raise sort_client_error(error.get("Code", "Unknown"), error.get("Message", str(e)), status, operation) from e
        except ResponseParserError as e:
            # What a proxy or a failing server says in place of AWS: whether the call got through is not known.
            raise CallError(Trouble.UNKNOWN, type(e).__name__, "the answer could not be understood", operation) from e
        except (HTTPClientError, NotConnectedError) as e:
            raise CallError(Trouble.UNKNOWN, type(e).__name__, "the connection was lost before an answer came", operation) from e
        except BotoCoreError as e:
            raise CallError(Trouble.REFUSED, type(e).__name__, str(e), operation) from e

    @staticmethod
    def is_passing(error) -> bool:
        """Whether an error of a read may go away by itself: throttling, a server's fault, a lost connection."""
        if isinstance(error, ClientError):
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            return sort_client_error(error.response.get("Error", {}).get("Code", ""), "", status, "read").trouble in (
                Trouble.THROTTLED,
                Trouble.UNKNOWN,
            )
        return isinstance(error, (HTTPClientError, NotConnectedError, ResponseParserError))

    def all_instances(self) -> list[dict]:
        """Every ``DBInstance`` of the region and account."""
        return gathered(self.read, "all instances", lambda keys: rds_read.describe_all_instances(self.read)).get()

    def instance(self, identifier: str) -> dict | None:
        """The ``DBInstance`` that answers under this identifier now, or None."""
        if COMPANY.size < 2:
            return rds_read.describe_instance(self.read, identifier)
        return next(iter(self.instances(identifiers=[identifier])), None)

    def instances(self, resource_ids=(), identifiers=()) -> list[dict]:
        """The ``DBInstance``s with these resource ids or identifiers, as far as they are visible: one call for each kind of key."""
        keys = {("dbi-resource-id", each) for each in resource_ids} | {("db-instance-id", each) for each in identifiers}
        found = rds_read.instances_asked_for(self.read, keys) if keys else []
        mine = [each for each in found if {("dbi-resource-id", each["DbiResourceId"]), ("db-instance-id", each["DBInstanceIdentifier"])} & keys]
        return list({each["DbiResourceId"]: each for each in mine}.values())

    def describe_snapshot(self, identifier: str) -> dict | None:
        """The ``DBSnapshot`` with this identifier, or None."""
        found = gathered(self.read, "snapshots", lambda keys: rds_read.describe_snapshots_of(self.read, keys)).get([identifier])
        return next((each for each in found if each["DBSnapshotIdentifier"] == identifier), None)

    def snapshots_of(self, resource_id: str) -> list[dict]:
        """The manual ``DBSnapshot``s of an instance."""
        return self._snapshots(resource_id, "manual")

    def all_snapshots_of(self, resource_id: str) -> list[dict]:
        """The ``DBSnapshot``s of an instance, manual and automated."""
        return self._snapshots(resource_id)

    def _snapshots(self, resource_id: str, kind: str | None = None) -> list[dict]:
        reading = gathered(self.read, f"snapshots of instances, {kind}", lambda keys: rds_read.describe_snapshots_of_instances(self.read, keys, kind))
        return [snapshot for snapshot in reading.get([resource_id]) if snapshot.get("DbiResourceId") == resource_id]

    def manual_snapshots(self) -> list[dict]:
        """Every manual ``DBSnapshot`` of the region and account."""
        return rds_read.describe_manual_snapshots(self.read)

    def parameter_group(self, name: str, wanted) -> dict | None:
        """``{name, family, values}`` of a DB parameter group, or None; ``values`` holds those of ``wanted`` that a user has set."""
        return rds_read.describe_parameter_group(self.read, name, wanted)

    def events(self, identifier: str, minutes: int) -> list[str]:
        """Messages of an instance's events of the last minutes, newest last; empty if they cannot be read."""
        return [event.get("Message", "") for event in self.dated_events(identifier, minutes)]

    def dated_events(self, identifier: str, minutes: int) -> list[dict]:
        """The ``Event``s of the last minutes under an instance's identifier, newest last; empty if they cannot be read."""
        try:
            if minutes > LATELY_MINUTES:
                return rds_read.describe_events_of(self.read, [identifier], minutes)
            reading = gathered(self.read, f"events of {minutes} minutes", lambda keys: rds_read.describe_events_of(self.read, keys, minutes))
            return [event for event in reading.get([identifier]) if event.get("SourceIdentifier") == identifier]
        except (BotoCoreError, ClientError, ResponseParserError):
            return []


_METHODS = {
    "AddRoleToDBInstance": "add_role_to_db_instance",
    "AddSourceIdentifierToSubscription": "add_source_identifier_to_subscription",
    "AddTagsToResource": "add_tags_to_resource",
    "CopyDBParameterGroup": "copy_db_parameter_group",
    "CopyDBSnapshot": "copy_db_snapshot",
    "CreateDBInstanceReadReplica": "create_db_instance_read_replica",
    "CreateDBParameterGroup": "create_db_parameter_group",
    "CreateDBSnapshot": "create_db_snapshot",
    "DeregisterDBProxyTargets": "deregister_db_proxy_targets",
    "DeleteDBInstance": "delete_db_instance",
    "DeleteDBParameterGroup": "delete_db_parameter_group",
    "DeleteDBSnapshot": "delete_db_snapshot",
    "ModifyActivityStream": "modify_activity_stream",
    "ModifyDBInstance": "modify_db_instance",
    "ModifyDBParameterGroup": "modify_db_parameter_group",
    "RebootDBInstance": "reboot_db_instance",
    "RegisterDBProxyTargets": "register_db_proxy_targets",
    "RemoveTagsFromResource": "remove_tags_from_resource",
    "RestoreDBInstanceFromDBSnapshot": "restore_db_instance_from_db_snapshot",
    "StartActivityStream": "start_activity_stream",
    "StartDBInstance": "start_db_instance",
    "StartDBInstanceAutomatedBackupsReplication": "start_db_instance_automated_backups_replication",
    "StopDBInstance": "stop_db_instance",
}
