# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The security groups of an instance before and during its quarantine.

An instance in quarantine has one security group, which lets in the controller and nobody else. The groups that it had are noted in its tags
before they are taken off, so that whoever reads the instance, on any controller, knows both (law 3). Everything that compares or carries
security groups asks :func:`original_security_groups`.
"""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    TAG_QUARANTINE,
    TAG_SECURITY_GROUPS,
    TAG_SOURCE_RESOURCE_ID,
    tags_of,
)

# RDS guide "Tagging": a value has at most 256 characters; 12 ids with 17 digits each.
MAX_TAG_VALUE = 256
_BEGUN = " begun"


def security_groups_now(described: dict) -> tuple[str, ...]:
    """Ids of the security groups that an instance has, or is being given."""
    groups = described.get("VpcSecurityGroups") or ()
    return tuple(sorted(group["VpcSecurityGroupId"] for group in groups if group.get("Status") != "removing"))


def quarantine_of(described: dict) -> str | None:
    """The quarantine group that is in force for an instance, or coming; None if it is not in quarantine.

    Tags that came from another instance, with a snapshot of it or by hand, mean nothing.
    """
    tags = tags_of(described)
    group = tags.get(TAG_QUARANTINE, "").partition(" ")[0]
    own = tags.get(TAG_SOURCE_RESOURCE_ID) == described.get("DbiResourceId")
    return group if own and tags.get(TAG_SECURITY_GROUPS) and group in security_groups_now(described) else None


def quarantine_begun(described: dict) -> bool:
    """Whether an instance is in quarantine, and the restart that cuts connections of before is still to come.

    A security group decides about new connections; what AWS tracks as established may live on (EC2 guide: connection tracking).
    """
    return bool(quarantine_of(described)) and tags_of(described)[TAG_QUARANTINE].endswith(_BEGUN)


def original_security_groups(described: dict) -> tuple[str, ...]:
    """Ids of the security groups that an instance has when it is not in quarantine: what is carried, compared, and given back."""
    if quarantine_of(described):
        return tuple(sorted(tags_of(described)[TAG_SECURITY_GROUPS].split()))
    return security_groups_now(described)


def quarantine_tags(described: dict, group: str, *, begun: bool) -> dict[str, str]:
    """The tags of an instance in quarantine: set as begun before its groups are replaced, and as complete after its restart."""
    return {TAG_SECURITY_GROUPS: " ".join(original_security_groups(described)), TAG_QUARANTINE: group + (_BEGUN if begun else "")}


def quarantine_problem(described: dict, group: str) -> str | None:
    """Why an instance cannot be put into quarantine, or None (also if it is there already)."""
    name = described["DBInstanceIdentifier"]
    now = security_groups_now(described)
    if quarantine_of(described):
        return None
    if group in now:
        return (
            f"{name} has security group {group} already, and no tag says which groups it has otherwise: what would be put back later is unknown"
        )
    if not now:
        return f"{name} has no VPC security groups that could be replaced by {group}"
    if len(" ".join(now)) > MAX_TAG_VALUE:
        return f"{name} has {len(now)} security groups, more than a tag can hold: they could not be put back"
    return None
