# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What RDS's long operations usually take, by size, for plans and for whoever watches a wait. RDS promises none of it.

One small PostgreSQL took 1 + 15 + 20 minutes for snapshot, encrypted copy and restore, a 600 GB restore 15 minutes, a small replica 22 to 27
minutes (reports of operators; references 000 to 003).
"""

from __future__ import annotations

MINUTES = {
    "CreateDBSnapshot": lambda gib: 2 + gib // 100,
    "CopyDBSnapshot": lambda gib: 10 + gib // 20,
    # With the backup that RDS takes of it at once.
    "RestoreDBInstanceFromDBSnapshot": lambda gib: 20 + gib // 100,
    "CreateDBInstanceReadReplica": lambda gib: 25,
}


def usual_minutes(action: str, described: dict) -> int:
    """Minutes of one of the actions above.

    :param described: the instance (``DBInstance``) that is copied, or a snapshot of it (``DBSnapshot``): both hold the size.
    """
    return MINUTES[action](described.get("AllocatedStorage") or 20)


def usual_seconds(action: str, described: dict) -> float:
    """The same in seconds."""
    return 60.0 * usual_minutes(action, described)
