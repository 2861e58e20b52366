# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Identifiers and tags that the collection gives to things, and RDS's rules for them."""

from __future__ import annotations

import re

TAG_PREFIX = "rds-encryption:"
TAG_NAME = TAG_PREFIX + "name"
TAG_ROLE = TAG_PREFIX + "role"
TAG_SOURCE_RESOURCE_ID = TAG_PREFIX + "source-resource-id"
TAG_FENCE_ID = TAG_PREFIX + "fence-id"
TAG_FENCED = TAG_PREFIX + "fenced"
TAG_TARGET_RESOURCE_ID = TAG_PREFIX + "target-resource-id"
TAG_VALIDATED = TAG_PREFIX + "validated"
TAG_CUT_OVER_AT = TAG_PREFIX + "cut-over-at"
TAG_RESTARTS_ACCEPTED = TAG_PREFIX + "restarts-accepted"
TAG_SECURITY_GROUPS = TAG_PREFIX + "security-groups"
TAG_QUARANTINE = TAG_PREFIX + "quarantine"
TAG_LINK_ID = TAG_PREFIX + "link-id"
TAG_BINLOG_RETENTION = TAG_PREFIX + "binlog-retention-hours"
TAG_COORDINATES = TAG_PREFIX + "coordinates"
TAG_GTID = TAG_PREFIX + "gtid"
TAG_DRAINED = TAG_PREFIX + "drained"
PRODUCT_TAGS_AT_MOST = 16

# What the ids of rehearsals begin with; those of fences are f and hexadecimal digits.
REHEARSAL = "rehearsal"

MAX_TAGS = 50
MAX_INSTANCE_IDENTIFIER = 63
MAX_SNAPSHOT_IDENTIFIER = 255

_IDENTIFIER = re.compile(r"[a-z](?:[a-z0-9]|-(?!-))*", re.ASCII)


def identifier_problem(identifier: str, longest: int = MAX_INSTANCE_IDENTIFIER) -> str | None:
    """Why RDS would refuse this identifier, or None (AWS: ModifyDBInstance, NewDBInstanceIdentifier)."""
    if len(identifier) > longest:
        return f"has {len(identifier)} characters, RDS allows {longest}"
    if not _IDENTIFIER.fullmatch(identifier.lower()) or identifier.endswith("-"):
        return "must start with a letter, hold only letters, digits and single hyphens, and not end with a hyphen"
    return None


def tags_of(described: dict) -> dict[str, str]:
    """The tags of a described instance or snapshot as a mapping (``TagList`` is ``[{Key, Value}]``)."""
    return {tag["Key"]: tag.get("Value", "") for tag in described.get("TagList") or []}


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """A mapping as RDS takes tags: ``[{Key, Value}]``, sorted by key."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def own_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags that a user made: without ours, and without ``aws:`` ones, which nobody may set (RDS guide: Tagging)."""
    return {key: value for key, value in tags.items() if not key.startswith((TAG_PREFIX, "aws:"))}
