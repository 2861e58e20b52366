# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A captured fleet has everything that a lab needs, and no secret."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.capture import capture

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-12345-AbCdEf"
FLEET = [
    {"DBInstanceIdentifier": "one", "ReadReplicaDBInstanceIdentifiers": ["two", "arn:aws:rds:us-east-1:123456789012:db:far"],
     "InstanceCreateTime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), "MasterUserSecret": {"SecretArn": SECRET, "SecretStatus": "active"},
     "DomainMemberships": [{"Domain": "d", "AuthSecretArn": SECRET}]},
    {"DBInstanceIdentifier": "two", "ReadReplicaDBInstanceIdentifiers": ["three"]},
    {"DBInstanceIdentifier": "three"},
    {"DBInstanceIdentifier": "other"},
]


def test_replicas_come_with_their_source_and_secrets_stay_behind():
    captured = capture(FLEET, ["ONE"])
    assert [i["DBInstanceIdentifier"] for i in captured] == ["one", "three", "two"]
    text = json.dumps(captured)
    assert SECRET not in text and "2026-01-02T03:04:05+00:00" in text
    assert captured[0]["MasterUserSecret"] == {"SecretStatus": "active"}, "that RDS manages the password is part of the shape"


def test_no_names_mean_all():
    assert len(capture(FLEET)) == 4
