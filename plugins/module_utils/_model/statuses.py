# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What each status of a DB instance means for a wait (RDS User Guide: Viewing DB instance status)."""

from __future__ import annotations

READY = "ready"
MOVING = "moving"
STILL = "still"
CAPACITY = "capacity"
TERMINAL = "terminal"

_ADVICE: dict[str, tuple[str, str]] = {
    "available": (READY, ""),
    "storage-optimization": (READY, "The storage is being reorganised, for hours or days; the instance is usable meanwhile."),
    "stopped": (STILL, "Start the instance (aws rds start-db-instance); AWS starts it by itself after seven days."),
    "insufficient-capacity": (
        CAPACITY,
        "AWS has no capacity for this class in this Availability Zone; choose another class or zone, or run again later.",
    ),
    "storage-full": (TERMINAL, "The volume is full; raise its AllocatedStorage, then run again."),
    "failed": (TERMINAL, "RDS gave the instance up; read its events (aws rds describe-events) and restore again."),
    "restore-error": (TERMINAL, "The restore failed; delete the restored instance without a final snapshot and restore again."),
    "incompatible-restore": (
        TERMINAL,
        "RDS cannot recover the restored data (MyISAM or Aria tables in the snapshot, or a version that no longer fits); "
        "delete the restored instance without a final snapshot and restore again.",
    ),
    "incompatible-parameters": (
        TERMINAL,
        "A value of the parameter group does not fit the version or the class; reset it in the group, then reboot the instance.",
    ),
    "incompatible-network": (
        TERMINAL,
        "A subnet of the subnet group is gone or has no free address; correct the subnets, then start the instance.",
    ),
    "incompatible-option-group": (TERMINAL, "An option of the option group could not be applied; correct the group, then reboot."),
    "incompatible-create": (TERMINAL, "RDS could not make the instance with these settings; read its events and make it again."),
    "incompatible-credentials": (TERMINAL, "The Secrets Manager or CloudHSM credentials of the instance cannot be used; correct them."),
    "modify-failed": (TERMINAL, "A modification failed; read the instance's events (aws rds describe-events)."),
    "upgrade-failed": (TERMINAL, "An engine upgrade failed; read the instance's events (aws rds describe-events)."),
    "inaccessible-encryption-credentials": (
        TERMINAL,
        "RDS lost access to the KMS key for good; restore from a backup that another key encrypts.",
    ),
    "inaccessible-encryption-credentials-recoverable": (
        TERMINAL,
        "RDS cannot use the KMS key; enable the key and its grants within seven days, then start the instance.",
    ),
}

MOVING_STATUSES = frozenset(
    {
        "backing-up",
        "configuring-enhanced-monitoring",
        "configuring-iam-database-auth",
        "configuring-log-exports",
        "converting-to-vpc",
        "creating",
        "delete-precheck",
        "deleting",
        "maintenance",
        "modifying",
        "moving-to-vpc",
        "rebooting",
        "renaming",
        "resetting-master-credentials",
        "starting",
        "stopping",
        "storage-config-upgrade",
        "storage-initialization",
        "upgrading",
    }
)
READY_STATUSES = frozenset(status for status, (kind, advice) in _ADVICE.items() if kind == READY)
TERMINAL_STATUSES = frozenset(status for status, (kind, advice) in _ADVICE.items() if kind == TERMINAL)


def meaning_of_status(status: str | None) -> tuple[str, str]:
    """(kind, advice) of a status: kind is ready, moving, still (stopped), capacity (AWS has none) or terminal; the last three end a wait.

    A status that nobody documented counts as moving, and the advice says that it is unknown: a wait goes on, its stall limit ends it.
    """
    if status in _ADVICE:
        return _ADVICE[status]
    if status in MOVING_STATUSES:
        return MOVING, ""
    return MOVING, f"Status {status!r} is unknown to this version of the collection; taken for a passing one."
