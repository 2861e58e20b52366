# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fleet comes to be: everything is there, available and visible at once."""

from __future__ import annotations

import datetime
import hashlib
import re

from . import catalogue, storage, streams, view
from .errors import RdsError
from .networks import Networks
from .state import Instance

_ACCOUNT = re.compile(r"(arn:aws[a-z-]*:[a-z-]+:[a-z0-9-]*:)(\d{12})(:)")
_LONG_AGO = 10 ** 6

#: Members that are computed or that the record holds itself.
_COMPUTED = {
    "DBInstanceIdentifier", "DBInstanceArn", "DbiResourceId", "DBInstanceStatus", "DBParameterGroups", "OptionGroupMemberships",
    "VpcSecurityGroups", "DBSubnetGroup", "PendingModifiedValues", "ReadReplicaDBInstanceIdentifiers", "StatusInfos",
    "AssociatedRoles", "TagList", "MasterUserSecret", "LatestRestorableTime", "Endpoint", "ReadReplicaSourceDBInstanceIdentifier",
    "CertificateDetails", "EnhancedMonitoringResourceArn",
}


class Seeding(Networks):
    """The part of the control plane that seeds."""

    def seed_instance(self, description: dict, *, region: str | None = None, master_password: str | None = None,
                      parameters: dict | None = None) -> str:
        """Add an instance in the shape of one entry of DescribeDBInstances; answers its DbiResourceId.

        Missing members get the defaults of a creation. A replica names ReadReplicaSourceDBInstanceIdentifier and is seeded
        after its source. Groups, keys and roles that it names must exist (seed them, or use seed_captured).

        :param parameters: values that the server runs with, beside those of its parameter group.
        """
        region = region or self.settings.default_region
        description = self._at_home(description)
        name = description["DBInstanceIdentifier"].lower()
        engine = description.get("Engine", "mysql")
        facts = {member: item for member, item in description.items() if member not in _COMPUTED and item is not None}
        with self.lock:
            if self.name_taken(region, name):
                raise ValueError(f"{name} is seeded twice")
            source = self._seeded_source(description, region)
            self._creation_defaults(facts, engine, region, source)
            instance = Instance(region, name, facts, {tag["Key"]: tag["Value"] for tag in description.get("TagList", [])},
                                description.get("DbiResourceId"))
            instance.supported = bool(self.engines.supports(engine))
            instance.status = description.get("DBInstanceStatus", "available")
            instance.stopped_since = self.clock.now() if instance.status == "stopped" else 0.0
            instance.password = master_password or (source.password if source else "")
            instance.source_id = source.resource_id if source else ""
            named = description.get("ReadReplicaSourceDBInstanceIdentifier", "")
            instance.source_arn = named if named and not source else ""
            instance.foreign_replicas = [
                other for other in description.get("ReadReplicaDBInstanceIdentifiers", []) if other.startswith("arn:")
            ]
            self._seed_memberships(instance, description, source)
            instance.in_force = {**self.group_values(instance), **(parameters or {})}
            if facts.get("BackupRetentionPeriod"):
                instance.first_backup = self.clock.time() - datetime.timedelta(days=1)
            wanted = description.get("Endpoint", {}).get("Port") or catalogue.facts(engine).port
            self.store.region(region).instances[instance.resource_id] = instance
        self._seed_server(instance, source, wanted)
        with self.lock:
            instance.addressed = True
            if facts.get("BackupRetentionPeriod"):
                self.note_automated_backup(instance)
            for copied in facts.get("DBInstanceAutomatedBackupsReplications") or []:
                streams.note_copy(self, instance, copied["DBInstanceAutomatedBackupsArn"], 14, None)
            # History begins long ago, so that a read sees it at once.
            instance.publish(self.clock.now() - _LONG_AGO, view.instance_view(self, instance))
            for other in [source] if source else []:
                other.history.clear()
                other.publish(self.clock.now() - _LONG_AGO, view.instance_view(self, other))
        return instance.resource_id

    def _seeded_source(self, description: dict, region: str):
        named = description.get("ReadReplicaSourceDBInstanceIdentifier")
        if not named:
            return None
        where, name = (named.split(":")[3], named.split(":")[6]) if named.startswith("arn:") else (region, named)
        for other in self.store.region(where).instances.values():
            if other.name == name.lower():
                return other
        if named.startswith("arn:"):
            return None
        raise ValueError(f"the source {named} of {description['DBInstanceIdentifier']} must be seeded first")

    def _creation_defaults(self, facts: dict, engine: str, region: str, source) -> None:
        """Complete the members with what CreateDBInstance, or CreateDBInstanceReadReplica, would have given."""
        known = catalogue.facts(engine)
        model = source.facts if source else {}
        version = model.get("EngineVersion") or (catalogue.default_version(engine) if known.versions else "1.0")
        cluster = bool(facts.get("DBClusterIdentifier"))
        defaults = {
            "Engine": engine,
            "EngineVersion": version,
            "DBInstanceClass": model.get("DBInstanceClass", "db.m6g.large"),
            "MasterUsername": model.get("MasterUsername", "admin"),
            "DBName": model.get("DBName"),
            "AllocatedStorage": 1 if cluster else model.get("AllocatedStorage", 20),
            "InstanceCreateTime": self.clock.time() - datetime.timedelta(days=100),
            "PreferredBackupWindow": "03:30-04:00",
            "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
            "BackupRetentionPeriod": 0 if source else 1,
            "DBSecurityGroups": [],
            "AvailabilityZone": f"{region}a",
            "MultiAZ": False,
            "AutoMinorVersionUpgrade": True,
            "LicenseModel": known.license,
            "PubliclyAccessible": False,
            "StorageType": "aurora" if cluster else "gp2",
            "DbInstancePort": 0,
            "StorageEncrypted": False,
            "UpgradeRolloutOrder": "second",
            "ReadReplicaDBClusterIdentifiers": None,
            "DomainMemberships": [],
            "CopyTagsToSnapshot": False,
            "MonitoringInterval": 0,
            "PromotionTier": 1 if cluster else None,
            "IAMDatabaseAuthenticationEnabled": False,
            "DatabaseInsightsMode": "standard",
            "PerformanceInsightsEnabled": False,
            "DeletionProtection": False,
            "CustomerOwnedIpEnabled": False,
            "NetworkType": "IPV4",
            "ActivityStreamStatus": "stopped",
            "BackupTarget": "region",
            "CACertificateIdentifier": catalogue.DEFAULT_CERTIFICATE,
            "DedicatedLogVolume": False,
            "IsStorageConfigUpgradeAvailable": False,
            "MultiTenant": None,
        }
        if engine in ("mysql", "postgres"):
            defaults["EngineLifecycleSupport"] = model.get("EngineLifecycleSupport", "open-source-rds-extended-support")
        for member, item in defaults.items():
            if item is not None:
                facts.setdefault(member, item)
        if isinstance(facts["InstanceCreateTime"], str):
            facts["InstanceCreateTime"] = datetime.datetime.fromisoformat(facts["InstanceCreateTime"].replace("Z", "+00:00"))
        if facts["MultiAZ"]:
            facts.setdefault("SecondaryAvailabilityZone", f"{region}{'b' if facts['AvailabilityZone'].endswith('a') else 'a'}")
        if facts["StorageEncrypted"]:
            facts.setdefault("KmsKeyId", self.neighbours.service_key(region).arn)
        facts.setdefault("StorageEncryptionType", "sse-kms" if facts["StorageEncrypted"] else "none")
        if not cluster:
            for member, item in storage.shown(engine, facts).items():
                facts.setdefault(member, item)
        if facts["PerformanceInsightsEnabled"]:
            facts.setdefault("PerformanceInsightsKMSKeyId", self.neighbours.service_key(region).arn)
            facts.setdefault("PerformanceInsightsRetentionPeriod", 7)

    def _seed_memberships(self, instance: Instance, description: dict, source) -> None:
        region, facts = instance.region, instance.facts
        family = catalogue.family(instance.engine, facts["EngineVersion"])
        groups = description.get("DBParameterGroups") or [{}]
        instance.parameter_group = groups[0].get(
            "DBParameterGroupName", source.parameter_group if source else f"default.{family}")
        instance.parameter_status = groups[0].get("ParameterApplyStatus", "in-sync")
        self.find_parameter_group(region, instance.parameter_group)
        options = description.get("OptionGroupMemberships") or [{}]
        instance.option_group = options[0].get(
            "OptionGroupName", catalogue.default_option_group(instance.engine, facts["EngineVersion"]))
        instance.option_status = options[0].get("Status", "in-sync")
        self.find_option_group(region, instance.option_group)
        named = (description.get("DBSubnetGroup") or {}).get("DBSubnetGroupName")
        instance.subnet_group = named or (source.subnet_group if source and source.region == region else self.default_subnet_group(region))
        if instance.subnet_group not in self.store.region(region).subnet_groups:
            raise ValueError(f"the subnet group {instance.subnet_group} of {instance.name} does not exist")
        security = [group["VpcSecurityGroupId"] for group in description.get("VpcSecurityGroups") or []]
        vpc_id = self.store.region(region).subnet_groups[instance.subnet_group]["VpcId"]
        self.neighbours.check_security_groups(region, security, vpc_id)
        instance.security_groups = security or [self.neighbours.default_security_group(region, vpc_id)]
        instance.roles = [dict(role, Status=role.get("Status", "ACTIVE")) for role in description.get("AssociatedRoles") or []]
        instance.pending_shown = dict(description.get("PendingModifiedValues") or {})
        if description.get("MasterUserSecret"):
            key = description["MasterUserSecret"].get("KmsKeyId") or self.neighbours.service_key(region, "aws/secretsmanager").arn
            arn = self.neighbours.create_secret(region, self.arn(instance), facts["MasterUsername"], instance.password, key)
            instance.secret_arn, instance.secret = arn, {"SecretArn": arn, "SecretStatus": "active", "KmsKeyId": key}

    def _seed_server(self, instance: Instance, source, wanted: int) -> None:
        """Start the real server, outside the lock."""
        instance.dns_name = self.dns_name(instance.region, instance.name)
        instance.port = wanted
        if not instance.supported:
            return
        instance.port = self.engines.endpoint_port(instance.resource_id, wanted)
        if source is not None:
            self.engines.create_replica(source.resource_id, instance.resource_id, port=instance.port,
                                        parameters=self.server_parameters(instance))
        else:
            self.engines.create(
                instance.resource_id, engine=instance.engine, engine_version=instance.facts["EngineVersion"],
                master_username=instance.facts["MasterUsername"], master_password=instance.password, port=instance.port,
                parameters=self.server_parameters(instance))
        self.engines.publish(instance.resource_id, instance.dns_name)

    def seed_parameter_group(self, name: str, family: str, values: dict | None = None, region: str | None = None) -> str:
        """Add a parameter group; values that the family does not know are kept as static ones."""
        region = region or self.settings.default_region
        with self.lock:
            state = self.store.region(region)
            state.parameter_groups[name.lower()] = {
                "DBParameterGroupName": name.lower(),
                "DBParameterGroupFamily": family,
                "Description": f"{family} parameters of the lab",
                "_values": {key: str(item) for key, item in (values or {}).items()},
                "_methods": {},
                "_tags": {},
            }
        return name.lower()

    def seed_option_group(self, name: str, engine: str, major_version: str, region: str | None = None, options=()) -> str:
        """Add an option group."""
        region = region or self.settings.default_region
        with self.lock:
            self.store.region(region).option_groups[name.lower()] = {
                "OptionGroupName": name.lower(),
                "OptionGroupDescription": "option group of the lab",
                "EngineName": engine,
                "MajorEngineVersion": major_version,
                "Options": [dict(option) for option in options],
                "AllowsVpcAndNonVpcInstanceMemberships": False,
                "_tags": {},
            }
        return name.lower()

    def seed_maintenance(self, name: str, region: str | None = None, action: str = "system-update",
                         description: str = "New Operating System update is available") -> None:
        """Add a pending maintenance action to an instance."""
        region = region or self.settings.default_region
        with self.lock:
            instance = self.instance(region, name)
            self.store.region(region).maintenance[instance.resource_id].append(
                {"Action": action, "Description": description, "OptInStatus": "next-maintenance"})

    def seed_captured(self, descriptions: list, region: str | None = None, passwords: dict | None = None) -> list:
        """Add a captured fleet (the entries of `describe-db-instances`) with all that the entries refer to.

        :param passwords: master passwords by name; others get one made of the name.
        """
        region = region or self.settings.default_region
        descriptions = [self._at_home(description) for description in descriptions]
        names = {description["DBInstanceIdentifier"].lower() for description in descriptions}
        # Entries that list the subnets of their group go first: the others of the group need not.
        for description in sorted(descriptions, key=lambda entry: not (entry.get("DBSubnetGroup") or {}).get("Subnets")):
            self._seed_references(description, region)
        done, waiting, result = set(), list(descriptions), []
        while waiting:
            ready = [
                description for description in waiting
                if not (source := description.get("ReadReplicaSourceDBInstanceIdentifier")) or source.lower() in done
                or source.lower() not in names
            ]
            if not ready:
                raise ValueError("the replicas of the captured fleet form a ring")
            for description in ready:
                waiting.remove(description)
                name = description["DBInstanceIdentifier"].lower()
                source = description.get("ReadReplicaSourceDBInstanceIdentifier", "")
                if source and not source.startswith("arn:") and source.lower() not in names:
                    description = {**description, "ReadReplicaSourceDBInstanceIdentifier":
                                   f"arn:aws:rds:{region}:{self.settings.account}:db:{source}"}
                password = (passwords or {}).get(name) or "lab-" + hashlib.sha256(name.encode()).hexdigest()[:20]
                result.append(self.seed_instance(description, region=region, master_password=password))
                done.add(name)
        return result

    def _seed_references(self, description: dict, region: str) -> None:
        """Make the groups, keys and roles that a captured entry names."""
        engine = description["Engine"]
        version = description.get("EngineVersion") or catalogue.default_version(engine)
        state = self.store.region(region)
        for group in description.get("DBParameterGroups") or []:
            name = group["DBParameterGroupName"].lower()
            if not name.startswith("default.") and name not in state.parameter_groups:
                self.seed_parameter_group(name, catalogue.family(engine, version), {}, region)
        for group in description.get("OptionGroupMemberships") or []:
            name = group["OptionGroupName"].lower()
            if not name.startswith("default:") and name not in state.option_groups:
                self.seed_option_group(name, engine, catalogue.major(engine, version), region)
        subnet_group = description.get("DBSubnetGroup") or {}
        if subnet_group.get("DBSubnetGroupName") and subnet_group["DBSubnetGroupName"].lower() not in state.subnet_groups:
            self.seed_subnet_group(
                subnet_group["DBSubnetGroupName"], vpc_id=subnet_group.get("VpcId"),
                subnets=[(item["SubnetIdentifier"], item["SubnetAvailabilityZone"]["Name"]) for item in subnet_group.get("Subnets", [])],
                region=region, network_types=subnet_group.get("SupportedNetworkTypes") or ("IPV4",))
        vpc_id = subnet_group.get("VpcId") or self.default_vpc(region)
        for group in description.get("VpcSecurityGroups") or []:
            if self.neighbours.security_group(region, group["VpcSecurityGroupId"]) is None:
                self.seed_security_group("captured-" + group["VpcSecurityGroupId"], region, vpc_id, group["VpcSecurityGroupId"])
        for arn in (description.get("KmsKeyId"), description.get("PerformanceInsightsKMSKeyId"),
                    (description.get("MasterUserSecret") or {}).get("KmsKeyId"), description.get("ActivityStreamKmsKeyId")):
            if arn and self.neighbours.find_key(region, arn) is None:
                self.seed_kms_key(None, region, arn.split("key/")[-1])
        for arn in [description.get("MonitoringRoleArn")] + [role["RoleArn"] for role in description.get("AssociatedRoles") or []]:
            if arn:
                self.seed_role(arn.split(":role/")[-1])

    def seed_kms_key(self, alias: str | None = None, region: str | None = None, key_id: str | None = None) -> str:
        """Add a customer key; answers its ARN."""
        region = region or self.settings.default_region
        with self.lock:
            backend = self.neighbours.kms(region)
            key = backend.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "key of the lab", None)
            if key_id:
                del backend.keys[key.id]
                key.arn = key.arn.replace(key.id, key_id)
                key.id = key_id
                backend.keys[key.id] = key
            if alias:
                backend.create_alias(key.id, alias if alias.startswith("alias/") else f"alias/{alias}")
        return key.arn

    def seed_role(self, name: str) -> str:
        """Add an IAM role that RDS may assume, made long ago; answers its ARN."""
        path, _slash, short = name.rpartition("/")
        path = f"/{path}/" if path else "/"
        with self.lock:
            backend = self.neighbours.iam()
            role = next((role for role in backend.roles.values() if role.name == short), None)
            if role is None:
                document = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":'
                            '["rds.amazonaws.com","monitoring.rds.amazonaws.com"]},"Action":"sts:AssumeRole"}]}')
                role = backend.create_role(short, document, path, None, "role of the lab", [], "3600")
            role.create_date = datetime.datetime(2020, 1, 1)
            self.neighbours.trust_role(role.arn)
        return role.arn

    def _at_home(self, data):
        """A description with the ARNs of this account."""
        if isinstance(data, dict):
            return {name: self._at_home(item) for name, item in data.items()}
        if isinstance(data, list):
            return [self._at_home(item) for item in data]
        if isinstance(data, str):
            return _ACCOUNT.sub(rf"\g<1>{self.settings.account}\g<3>", data)
        return data

    # Groups as instances use them

    def find_parameter_group(self, region: str, name: str) -> dict:
        """A parameter group; the default group of a family exists as soon as it is asked for.

        :raises RdsError: DBParameterGroupNotFound.
        """
        groups, wanted = self.store.region(region).parameter_groups, name.lower()
        if wanted not in groups and wanted.startswith("default.") and catalogue.FAMILY_ENGINES.match(wanted[8:]):
            family = wanted[8:]
            groups[wanted] = {"DBParameterGroupName": wanted, "DBParameterGroupFamily": family,
                              "Description": f"Default parameter group for {family}", "_values": {}, "_methods": {}, "_tags": {}}
        if wanted not in groups:
            raise RdsError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}")
        return groups[wanted]

    def find_option_group(self, region: str, name: str) -> dict:
        """An option group; default ones exist as soon as they are asked for.

        :raises RdsError: OptionGroupNotFoundFault.
        """
        groups, wanted = self.store.region(region).option_groups, name.lower()
        found = re.fullmatch(r"default:([a-z0-9-]+?)-(\d+(?:-\d+)*)", wanted)
        if wanted not in groups and found:
            groups[wanted] = {"OptionGroupName": wanted, "OptionGroupDescription": f"Default option group for {found[1]} {found[2]}",
                              "EngineName": found[1], "MajorEngineVersion": found[2].replace("-", "."), "Options": [],
                              "AllowsVpcAndNonVpcInstanceMemberships": True, "_tags": {}}
        if wanted not in groups:
            raise RdsError("OptionGroupNotFoundFault", f"Specified OptionGroupName: {name} not found.")
        return groups[wanted]

    def group_values(self, instance: Instance) -> dict:
        """All values that the instance's parameter group sets."""
        return dict(self.find_parameter_group(instance.region, instance.parameter_group)["_values"])
