# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of several accounts and regions in one run: roles assumed by profiles. A lab is one account, so two stand for two."""

from __future__ import annotations

import configparser

import pytest
from scenario_lab import Double
from scenario_play import TOP

EXAMPLE = TOP / "examples" / "accounts"
ACCOUNT_OF_A_LAB = "123456789012"


@pytest.fixture
def billing(double):
    """Another account."""
    other = Double()
    other.plane.reset()
    yield other
    problems = other.problems
    other.close()
    assert not problems, problems


def configuration(path, endpoints: dict[str, str]):
    """The example's file with keys for the controller, the endpoints of the labs and their account."""
    profiles = configparser.ConfigParser()
    profiles.read(EXAMPLE / "aws_config.ini")
    controller = profiles["profile controller"]
    controller.pop("credential_source")
    controller.update({"aws_access_key_id": "AKIACONTROLLER", "aws_secret_access_key": "secret"})
    for name, url in endpoints.items():
        role = profiles[f"profile {name}"]["role_arn"].split(":")
        profiles[f"profile {name}"].update({"endpoint_url": url, "role_arn": ":".join([*role[:4], ACCOUNT_OF_A_LAB, *role[5:]])})
    with open(path, "w", encoding="utf-8") as file:
        profiles.write(file)
    return path


def test_each_host_is_encrypted_where_its_group_says(double, billing, operator, tmp_path, monkeypatch):
    places = {"orders": (double, "eu-central-1"), "orders-us": (double, "us-east-1"), "invoices": (billing, "eu-central-1")}
    for host, (lab, region) in places.items():
        lab.plane.seed_kms_key("alias/rds-prod", region)
        lab.seed(host.removesuffix("-us"), region=region)
    config = configuration(tmp_path / "config", {"shop": double.url, "billing": billing.url})
    # Neither endpoint nor keys of the environment: both come by the profile.
    environment = dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"))
    run = operator.start({}, "encrypt.yml", "-i", str(EXAMPLE), "-l", "prod", environment={**environment, "AWS_CONFIG_FILE": str(config)},
                         kms_key_id=None).wait().good()
    assert set(run.recap) == set(places)
    for host, (lab, region) in places.items():
        name = host.removesuffix("-us")
        rds = lab.client("rds", region)
        there = {each["DBInstanceIdentifier"]: each for each in rds.describe_db_instances()["DBInstances"]}
        key = lab.client("kms", region).describe_key(KeyId="alias/rds-prod")["KeyMetadata"]["Arn"]
        assert set(there) == {name, f"old-{name}"} and there[name]["KmsKeyId"] == key, host
    for lab in (double, billing):
        changes = [call for call in lab.mutating() if call["service"] == "rds"]
        assert changes and not [call for call in changes if " key/ASIA" not in call["agent"]], "made without the role"
