# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom security groups let in, and the gate that asks them."""

from __future__ import annotations

import socket
import threading

import pytest
from rds_lab.gates import Gate

FAR, NEAR = "127.66.0.9", "127.0.0.1"


@pytest.fixture
def groups(lab):
    """A group that admits everybody and one that admits one address, in the default VPC."""
    ec2 = lab.client("ec2")
    made = []
    for name, cidr in (("open", "127.0.0.0/8"), ("narrow", f"{NEAR}/32")):
        group = ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
        ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "IpRanges": [{"CidrIp": cidr}]}])
        made.append(group)
    return made


def test_rules_decide_by_address_and_port_and_new_groups_once_they_are_active(lab, groups):
    wide, narrow = groups
    description = {"DBInstanceIdentifier": "one", "Engine": "mariadb", "EngineVersion": "10.11.14", "DBInstanceClass": "db.m6g.large",
                   "AllocatedStorage": 20, "VpcSecurityGroups": [{"VpcSecurityGroupId": wide}]}
    identity = lab.plane.seed_instance(description, region="us-east-1", master_password="correct-horse-9")
    assert lab.plane.admits(identity, FAR, 3306) and not lab.plane.admits(identity, FAR, 3307)
    lab.rds.modify_db_instance(DBInstanceIdentifier="one", VpcSecurityGroupIds=[narrow], ApplyImmediately=True)
    assert lab.plane.admits(identity, FAR, 3306), "accepted is not in force"
    lab.finish()
    assert lab.plane.admits(identity, NEAR, 3306) and not lab.plane.admits(identity, FAR, 3306)
    assert not lab.plane.admits("db-UNKNOWN", NEAR, 3306)


def test_instances_are_let_in_by_their_group_their_subnet_or_not_at_all(lab, groups):
    ec2 = lab.client("ec2")
    inner = ec2.create_security_group(GroupName="inner", Description="inner")["GroupId"]
    ids = {name: lab.seed(name, VpcSecurityGroups=[{"VpcSecurityGroupId": group}]) for name, group in (("source", inner), ("target", groups[1]))}

    def reaches() -> bool:
        return lab.plane.admits(ids["source"], "127.42.1.7", 3306, ids["target"])

    assert not reaches()
    for rule in ({"UserIdGroupPairs": [{"GroupId": groups[1]}]}, {"IpRanges": [{"CidrIp": "172.16.0.0/12"}]}):
        rules = [{"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, **rule}]
        ec2.authorize_security_group_ingress(GroupId=inner, IpPermissions=rules)
        assert reaches() and not lab.plane.admits(ids["source"], FAR, 3306)
        ec2.revoke_security_group_ingress(GroupId=inner, IpPermissions=rules)
        assert not reaches()
    ec2.authorize_security_group_ingress(GroupId=inner, IpPermissions=rules)
    lab.plane.closed_links.add((ids["source"], ids["target"]))
    assert not reaches()
    lab.plane.closed_links.clear()
    assert reaches()


@pytest.fixture
def echo():
    """A server that says who called, and then repeats what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client, host):
        client.sendall(host.encode() + b"\n")
        while data := client.recv(100):
            client.sendall(data)
        client.close()

    def accept():
        while True:
            try:
                client, (host, _port) = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client, host), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()
    listener.close()


def test_a_gate_passes_on_whom_it_admits_answers_nobody_else_and_lets_live_what_stands(echo):
    admitted = {FAR}
    gate = Gate("127.0.0.1", 0, echo, lambda host: host in admitted)
    try:
        place = gate._listener.getsockname()
        with socket.create_connection(place, 5, (FAR, 0)) as client:
            assert client.recv(100) == FAR.encode() + b"\n", "the server sees the client's own address"
            admitted.clear()
            client.sendall(b"still here")
            assert client.recv(100) == b"still here"
            with socket.create_connection(place, 0.3, (FAR, 0)) as late, pytest.raises(TimeoutError):
                late.recv(1)
            assert gate.cut(NEAR) == 0 and gate.cut(FAR) == 1
            assert client.recv(100) == b""
    finally:
        gate.close()
