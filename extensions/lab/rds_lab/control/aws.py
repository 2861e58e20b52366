# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other services that RDS asks: KMS, EC2, IAM and Secrets Manager, as moto holds them in this process."""

from __future__ import annotations

import ipaddress
import json
import secrets as random_secrets
import string
import uuid

from moto.backends import get_backend

from .errors import RdsError, key_not_accessible, value


class Neighbours:
    """Reads and, where RDS itself would, changes the neighbouring services of one account."""

    def __init__(self, account: str, clock, settings):
        self.account, self.clock, self.settings = account, clock, settings
        self._roles: dict = {}      # ARN of a role -> virtual time when it was made through the API

    def _backend(self, service: str, region: str):
        return get_backend(service)[self.account][region]

    def kms(self, region: str):
        return self._backend("kms", region)

    def ec2(self, region: str):
        return self._backend("ec2", region)

    def iam(self):
        return get_backend("iam")[self.account]["aws"]

    def secrets(self, region: str):
        return self._backend("secretsmanager", region)

    def reset(self) -> None:
        self._roles.clear()
        for service in ("kms", "ec2", "iam", "secretsmanager", "cloudwatch", "logs", "sts", "sns", "route53", "events", "backup", "dms"):
            get_backend(service).reset()

    # KMS

    def find_key(self, region: str, identifier: str):
        """The key that an id, ARN, alias or alias ARN names in a region, or None; creates nothing."""
        text = identifier
        if text.startswith("arn:"):
            parts = text.split(":", 5)
            if len(parts) < 6 or parts[2] != "kms" or parts[3] != region or parts[4] != self.account:
                return None
            text = parts[5].removeprefix("key/")
        keys = self.kms(region).keys
        if text.startswith("alias/"):
            return next((key for key in keys.values() if text in key.aliases), None)
        return keys.get(text)

    def check_key(self, region: str, identifier: str):
        """The usable key an identifier names.

        :raises RdsError: KMSKeyNotAccessibleFault, with the reason.
        """
        if identifier.startswith("arn:") and f":kms:{region}:" not in identifier:
            raise key_not_accessible(identifier, f"the key is not in region {region}")
        key = self.find_key(region, identifier)
        if key is None:
            raise key_not_accessible(identifier, "the key does not exist")
        reason = self.key_trouble(key)
        if reason:
            raise key_not_accessible(identifier, reason)
        return key

    def key_trouble(self, key) -> str:
        """Why a key cannot be used for storage, or an empty text."""
        if key.key_spec != "SYMMETRIC_DEFAULT" or (key.key_usage or "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
            return "the key is not a symmetric encryption key"
        if not key.enabled or key.key_state != "Enabled":
            return f"the key is {key.key_state}"
        return ""

    def key_usable(self, region: str, arn: str) -> bool:
        key = self.find_key(region, arn)
        return key is not None and not self.key_trouble(key)

    def service_key(self, region: str, service: str = "aws/rds"):
        """An AWS managed key; made at its first use by RDS."""
        key = self.find_key(region, f"alias/{service}")
        if key is None:
            backend = self.kms(region)
            key = backend.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", f"Default key of {service}", None)
            key.key_manager = "AWS"
            backend.create_alias(key.id, f"alias/{service}")
        return key

    # EC2

    def security_group(self, region: str, identifier: str):
        for groups in self.ec2(region).groups.values():
            if identifier in groups:
                return groups[identifier]
        return None

    def default_security_group(self, region: str, vpc_id: str) -> str:
        for group in self.ec2(region).groups.get(vpc_id, {}).values():
            if group.name == "default":
                return group.id
        raise RdsError("InvalidVPCNetworkStateFault", f"The VPC {vpc_id} has no default security group.")

    def check_security_groups(self, region: str, identifiers: list, vpc_id: str) -> None:
        for identifier in identifiers:
            group = self.security_group(region, identifier)
            if group is None:
                raise value(f"Invalid security group , groupId= {identifier}, groupName=.")
            if group.vpc_id != vpc_id:
                raise RdsError(
                    "InvalidVPCNetworkStateFault",
                    f"The DB instance and EC2 security group are in different VPCs. The DB instance is in {vpc_id} "
                    f"and the EC2 security group is in {group.vpc_id}",
                )

    def security_group_admits(self, region: str, identifier: str, client: str, port: int, groups: tuple = (), network: str | None = None) -> bool:
        """Whether an inbound rule lets a client in; rules by prefix list are not looked at.

        :param groups: the security groups of a client that is an instance itself.
        :param network: the address range of such a client's subnet: a rule for the whole range admits it.
        """
        group = self.security_group(region, identifier)
        for rule in group.ingress_rules if group else ():
            everything = str(rule.ip_protocol) == "-1"
            if not everything and (rule.ip_protocol != "tcp" or not int(rule.from_port) <= port <= int(rule.to_port)):
                continue
            if rule.source_group and rule.source_group.get("GroupId") in groups:
                return True
            admitted = (rule.ip_range or {}).get("CidrIp")
            if not admitted:
                continue
            admitted = ipaddress.ip_network(admitted, strict=False)
            if ipaddress.ip_address(client) in admitted or network and ipaddress.ip_network(network).subnet_of(admitted):
                return True
        return False

    def subnet(self, region: str, identifier: str):
        for subnets in self.ec2(region).subnets.values():
            if identifier in subnets:
                return subnets[identifier]
        return None

    # IAM

    def role(self, arn: str):
        return next((role for role in self.iam().roles.values() if role.arn == arn), None)

    def check_role(self, arn: str, message: str) -> None:
        """A role exists and has existed long enough for RDS to see it."""
        role = self.role(arn)
        if role is None:
            raise value(message)
        if self.clock.now() - self._roles.get(arn, float("-inf")) < self.settings.iam_propagation:
            raise value(message)

    def notice_roles(self) -> None:
        """Remember when roles appeared; called after every change of IAM."""
        arns = {role.arn for role in self.iam().roles.values()}
        self._roles = {arn: self._roles.get(arn, self.clock.now()) for arn in arns}

    def trust_role(self, arn: str) -> None:
        """A role was made long ago."""
        self._roles[arn] = float("-inf")

    # Secrets Manager

    def create_secret(self, region: str, instance_arn: str, username: str, password: str, kms_key: str) -> str:
        """The ARN of a new managed secret of an instance."""
        secret = self.secrets(region).create_managed_secret(
            "rds",
            f"rds!db-{uuid.uuid4()}",
            secret_string=json.dumps({"username": username, "password": password}),
            description="Secret associated with primary RDS DB instance: " + instance_arn,
            tags=[{"Key": "aws:rds:primaryDBInstanceArn", "Value": instance_arn}],
            kms_key_id=kms_key,
        )
        return secret.arn

    def rotate_secret(self, region: str, arn: str, username: str, password: str) -> None:
        self.secrets(region).put_secret_value(
            arn, json.dumps({"username": username, "password": password}), None, str(uuid.uuid4()), ["AWSCURRENT"]
        )

    def delete_secret(self, region: str, arn: str) -> None:
        self.secrets(region).delete_secret(arn, None, True)


def new_password() -> str:
    """A password as RDS makes them for managed secrets."""
    alphabet = string.ascii_letters + string.digits + "!#$%&*()-_=+[]{}<>?:"
    return "".join(random_secrets.choice(alphabet) for _unused in range(28))
