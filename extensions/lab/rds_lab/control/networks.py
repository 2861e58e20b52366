# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VPCs, subnets and subnet groups."""

from __future__ import annotations

import ipaddress
import itertools

from . import view
from .errors import RdsError, value


def _groups_in_force(instance) -> tuple:
    return tuple(instance.security_groups if instance.security_status == "active" else instance.groups_before)


class Networks:
    """The part of the control plane that makes and checks networks."""

    def default_vpc(self, region: str) -> str:
        """The id of the region's default VPC."""
        return self.neighbours.ec2(region).default_vpc.id

    def default_subnet_group(self, region: str) -> str:
        """The name of the subnet group `default`, made of the default VPC's subnets when it is first needed."""
        with self.lock:
            state = self.store.region(region)
            if "default" not in state.subnet_groups:
                vpc_id = self.default_vpc(region)
                subnets = [
                    (subnet.id, subnet.availability_zone)
                    for zone in self.neighbours.ec2(region).subnets.values() for subnet in zone.values() if subnet.vpc_id == vpc_id
                ]
                self._put_subnet_group("default", "default", vpc_id, subnets, region, ("IPV4",))
            return "default"

    def _put_subnet_group(self, name: str, description: str, vpc_id: str, subnets: list, region: str, network_types) -> None:
        self.store.region(region).subnet_groups[name] = {
            "DBSubnetGroupName": name,
            "DBSubnetGroupDescription": description,
            "VpcId": vpc_id,
            "SubnetGroupStatus": "Complete",
            "Subnets": [
                {"SubnetIdentifier": identifier, "SubnetAvailabilityZone": {"Name": zone}, "SubnetOutpost": {}, "SubnetStatus": "Active"}
                for identifier, zone in subnets
            ],
            "SupportedNetworkTypes": list(network_types),
        }

    def seed_network(self, name: str, region: str | None = None, azs=None) -> dict:
        """Make a VPC with a subnet per zone; answers `vpc_id`, `subnets` (pairs of id and zone) and `default_security_group`."""
        region = region or self.settings.default_region
        with self.lock:
            vpc_id = self._make_vpc(region, None, name)
            subnets = self._make_subnets(region, vpc_id, [(None, zone) for zone in azs or view.zones(self, region)[:3]])
            return {"vpc_id": vpc_id, "subnets": subnets, "default_security_group": self.neighbours.default_security_group(region, vpc_id)}

    def seed_subnet_group(self, name: str, vpc_id: str | None = None, subnets=None, azs=None, region: str | None = None,
                          network_types=("IPV4",)) -> str:
        """Add a subnet group; a VPC and subnets that do not exist are made.

        :param subnets: pairs of subnet id (None: a new one) and zone.
        :param azs: zones, where the subnets do not matter.
        """
        region = region or self.settings.default_region
        with self.lock:
            wanted = list(subnets or [(None, zone) for zone in azs or view.zones(self, region)[:3]])
            vpc_id = self._make_vpc(region, vpc_id, name)
            self._put_subnet_group(name.lower(), name, vpc_id, self._make_subnets(region, vpc_id, wanted), region, network_types)
        return name.lower()

    def seed_security_group(self, name: str, region: str | None = None, vpc_id: str | None = None, group_id: str | None = None) -> str:
        """Add a security group to a VPC (the default one if none is named); answers its id."""
        region = region or self.settings.default_region
        with self.lock:
            backend = self.neighbours.ec2(region)
            vpc_id = self._make_vpc(region, vpc_id, name) if vpc_id else self.default_vpc(region)
            group = backend.create_security_group(name, "security group of the lab", vpc_id=vpc_id)
            if group_id:
                del backend.groups[vpc_id][group.id]
                group.id = group.group_id = group_id
                backend.groups[vpc_id][group_id] = group
            return group.id

    def _make_vpc(self, region: str, vpc_id: str | None, name: str) -> str:
        """The id of a VPC that exists."""
        backend = self.neighbours.ec2(region)
        if vpc_id in backend.vpcs:
            return vpc_id
        vpc = backend.create_vpc("10.0.0.0/16", tags=[{"Key": "Name", "Value": name}])
        if vpc_id:
            self._rename_vpc(backend, vpc, vpc_id)
        return vpc.id

    @staticmethod
    def _rename_vpc(backend, vpc, vpc_id: str) -> None:
        """Give a VPC the id it was captured with, and all that moto made for it too."""
        old = vpc.id
        backend.vpcs[vpc_id] = backend.vpcs.pop(old)
        vpc.id = vpc_id
        groups = backend.groups.pop(old, {})
        for group in groups.values():
            group.vpc_id = vpc_id
        backend.groups[vpc_id] = groups
        for holder in itertools.chain(backend.route_tables.values(), backend.network_acls.values()):
            if getattr(holder, "vpc_id", None) == old:
                holder.vpc_id = vpc_id

    def _make_subnets(self, region: str, vpc_id: str, wanted: list) -> list:
        """Pairs of id and zone, of subnets that exist."""
        backend, result = self.neighbours.ec2(region), []
        vpc_range = ipaddress.IPv4Network(backend.vpcs[vpc_id].cidr_block)
        for identifier, zone in wanted:
            existing = self.neighbours.subnet(region, identifier) if identifier else None
            if existing is None:
                used = [subnet.cidr for zone_subnets in backend.subnets.values() for subnet in zone_subnets.values()
                        if subnet.vpc_id == vpc_id]
                free = next(block for block in vpc_range.subnets(new_prefix=24) if not any(block.overlaps(other) for other in used))
                existing = backend.create_subnet(vpc_id, str(free), availability_zone=zone)
                if identifier:
                    del backend.subnets[zone][existing.id]
                    existing.id = identifier
                    backend.subnets[zone][identifier] = existing
            result.append((existing.id, zone))
        return result

    # Traffic

    def admits(self, resource_id: str, client: str, port: int, client_id: str | None = None) -> bool:
        """Whether a rule of one of an instance's security groups lets a client in, by its address or, if it is an instance, by its security groups.

        Groups that are being added do not count before they are active, and those that they replace count until then.

        :param client_id: the resource id of a client that is an instance of the lab.
        """
        with self.lock:
            instance, peer = self.store.instance(resource_id), self.store.instance(client_id) if client_id else None
            if instance is None or (resource_id, client_id) in self.closed_links:
                return False
            groups, network = (_groups_in_force(peer), self._network_of(peer)) if peer else ((), None)
            return any(self.neighbours.security_group_admits(instance.region, group, client, port, groups, network)
                       for group in _groups_in_force(instance))

    def _network_of(self, instance) -> str | None:
        """The address range of the subnet in which an instance stands."""
        for subnet in self.store.region(instance.region).subnet_groups[instance.subnet_group]["Subnets"]:
            if subnet["SubnetAvailabilityZone"]["Name"] == instance.facts.get("AvailabilityZone"):
                found = self.neighbours.subnet(instance.region, subnet["SubnetIdentifier"])
                return found.cidr_block if found else None
        return None

    # Checks

    def check_network(self, region: str, subnet_group: str | None, security_groups: list | None, network_type: str | None,
                      zone: str | None, multi_az: bool) -> tuple:
        """The subnet group's name and the security groups that an instance gets.

        :raises RdsError: they do not exist, do not fit together, or do not cover the zone.
        """
        if zone and multi_az:
            raise RdsError("InvalidParameterCombination", "Requesting a specific availability zone is not valid for Multi-AZ instances.")
        name = (subnet_group or self.default_subnet_group(region)).lower()
        group = self.store.region(region).subnet_groups.get(name)
        if group is None:
            raise RdsError("DBSubnetGroupNotFoundFault", f"DB subnet group '{subnet_group}' does not exist.")
        covered = {subnet["SubnetAvailabilityZone"]["Name"] for subnet in group["Subnets"]}
        if zone and zone not in view.zones(self, region):
            raise value(f"Invalid availability zone: {zone}")
        if zone and zone not in covered or multi_az and len(covered) < 2:
            raise RdsError(
                "DBSubnetGroupDoesNotCoverEnoughAZs",
                "DB Subnet Group doesn't meet availability zone coverage requirement. Please add subnets to cover at least 2 "
                f"availability zones. Current coverage: {len(covered)}")
        if network_type not in (None, "IPV4", "DUAL"):
            raise value(f"Invalid network type: {network_type}")
        if network_type and network_type not in group["SupportedNetworkTypes"]:
            raise RdsError("NetworkTypeNotSupported", f"The network type {network_type} is not supported by the DB subnet group {name}.")
        chosen = security_groups or [self.neighbours.default_security_group(region, group["VpcId"])]
        self.neighbours.check_security_groups(region, chosen, group["VpcId"])
        return name, list(chosen)
