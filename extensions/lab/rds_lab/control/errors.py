# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as RDS writes them on the wire: the codes, not the names of botocore's classes."""

from __future__ import annotations

#: Codes whose HTTP status is neither 400 nor (for *NotFound) 404.
_STATUS = {
    "AccessDenied": 403,
    "DBClusterEndpointNotFoundFault": 400,
    "DBClusterEndpointQuotaExceededFault": 403,
    "InsufficientDBClusterCapacityFault": 403,
    "ReservedDBInstanceAlreadyExists": 404,
    "AccessDeniedException": 403,
    "DBClusterQuotaExceededFault": 403,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
    "NotImplemented": 501,
}


class RdsError(Exception):
    """An answer of RDS that refuses a request."""

    def __init__(self, code: str, message: str, status: int | None = None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code) or (404 if code.endswith(("NotFound", "NotFoundFault")) else 400)


def combination(message: str) -> RdsError:
    return RdsError("InvalidParameterCombination", message)


def value(message: str) -> RdsError:
    return RdsError("InvalidParameterValue", message)


def missing(parameter: str) -> RdsError:
    return RdsError("MissingParameter", f"The request must contain the parameter {parameter}.")


def instance_not_found(name: str) -> RdsError:
    return RdsError("DBInstanceNotFound", f"DBInstance {name} not found.")


def instance_exists() -> RdsError:
    return RdsError("DBInstanceAlreadyExists", "DB instance already exists")


def instance_state(message: str) -> RdsError:
    return RdsError("InvalidDBInstanceState", message)


def snapshot_not_found(name: str) -> RdsError:
    return RdsError("DBSnapshotNotFound", f"DBSnapshot {name} not found.")


def snapshot_exists(name: str) -> RdsError:
    return RdsError("DBSnapshotAlreadyExists", f"Cannot create the snapshot because a snapshot with the identifier {name} already exists.")


def snapshot_state(message: str) -> RdsError:
    return RdsError("InvalidDBSnapshotState", message)


def key_not_accessible(key: str, reason: str) -> RdsError:
    return RdsError(
        "KMSKeyNotAccessibleFault",
        f"The specified KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it. ({reason})",
    )
