# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What AWS knows of a database login: the instance's endpoint and master user, and the values of secrets."""

from __future__ import annotations

import json

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

try:
    from botocore.exceptions import ClientError
except ImportError:  # reported by the entry point

    class ClientError(Exception):
        """Stands in when botocore is absent; never raised then."""


def describe_for_login(rds, identifier: str) -> dict | None:
    """The element of ``DescribeDBInstances`` for that identifier, or None if there is no such instance.

    :param rds: a boto3 RDS client.
    """
    try:
        answer = rds.describe_db_instances(DBInstanceIdentifier=identifier)
    except ClientError as e:
        if e.response.get("Error", {}).get("Code") in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            return None
        raise
    found = answer.get("DBInstances") or []
    return found[0] if found else None


def read_secret(secrets_manager, secret_id: str, label: str) -> dict:
    """The JSON object stored as that secret; its values must not be shown to anybody.

    :param secrets_manager: a boto3 Secrets Manager client.
    :raises EncryptionError: in words, without any part of the value.
    """
    try:
        answer = secrets_manager.get_secret_value(SecretId=secret_id)
    except ClientError as e:
        code = e.response.get("Error", {}).get("Code", "")
        if code == "ResourceNotFoundException":
            raise EncryptionError(f"{label}: the secret named for the login does not exist in this region.", next_step="correct login_secret_id.") from None
        if "AccessDenied" in code:
            raise EncryptionError(
                f"{label}: this identity may not read the secret for the login (secretsmanager:GetSecretValue, and kms:Decrypt for its key).",
                next_step="allow it (docs/iam.md) and run again.",
            ) from None
        if code in ("DecryptionFailure", "InvalidRequestException"):
            raise EncryptionError(f"{label}: the secret for the login cannot be read now ({code}).", next_step="look at the secret and its key.") from None
        raise
    try:
        value = json.loads(answer.get("SecretString") or "")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EncryptionError(
            f"{label}: the secret for the login is not a JSON object.", next_step='store {"username": "...", "password": "..."} in it.'
        )
    return value
