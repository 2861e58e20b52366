# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""The rule of credentials: which login is used, and which combinations are refused."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.login import (
    CONFIG_FILE,
    EXPLICIT,
    SECRET,
    SOCKET,
    InstanceLogin,
    choose_login,
    instance_login,
    login_from_secret,
)

PLAIN = InstanceLogin("prod-one", "prod-one.example", 3307, "admin")
MANAGED = InstanceLogin("prod-one", "prod-one.example", 3307, "admin", "arn:secret", "active")
ROTATING = InstanceLogin("prod-one", "prod-one.example", 3307, "admin", "arn:secret", "creating")
LENDER = InstanceLogin("old-prod-one", "old-prod-one.example", 3306, "admin", "arn:lent", "active")


def chosen(options, instance=None, lender=None):
    login = choose_login(options, "target", instance, lender)
    return login.kind, login.user, login.secret_id


def test_a_given_password_is_used():
    assert chosen({"login_host": "h", "login_user": "app", "login_password": "p"}) == (EXPLICIT, "app", None)
    assert chosen({"login_password": "p"}, PLAIN) == (EXPLICIT, "admin", None)
    assert chosen({"login_user": "app", "login_password": ""}, MANAGED) == (EXPLICIT, "app", None)


def test_a_given_secret_is_used():
    assert chosen({"login_secret_id": "s"}, MANAGED) == (SECRET, "admin", "s")


def test_without_either_the_managed_secret_is_used():
    assert chosen({}, MANAGED) == (SECRET, "admin", "arn:secret")
    assert chosen({"login_user": "admin"}, MANAGED) == (SECRET, "admin", "arn:secret")


def test_a_restored_copy_borrows_the_managed_secret_of_its_source():
    assert chosen({}, PLAIN, LENDER) == (SECRET, "admin", "arn:lent")
    assert chosen({}, ROTATING, LENDER) == (SECRET, "admin", "arn:lent")
    assert chosen({}, MANAGED, LENDER) == (SECRET, "admin", "arn:secret")


def test_a_managed_password_replaces_the_given_one_of_the_master_user():
    assert chosen({"login_user": "admin", "login_password": "old"}, MANAGED) == (SECRET, "admin", "arn:secret")
    assert chosen({"login_user": "admin", "login_password": "old"}, ROTATING) == (EXPLICIT, "admin", None)


def test_other_ways():
    assert chosen({"login_host": "h", "config_file": "/f"}) == (CONFIG_FILE, None, None)
    assert chosen({"login_unix_socket": "/s", "login_user": "root"}) == (SOCKET, "root", None)


def test_place():
    assert choose_login({}, "target", MANAGED).host == "prod-one.example"
    assert choose_login({}, "target", MANAGED).port == 3307
    tunnel = choose_login({"login_host": "localhost", "login_port": 9}, "target", MANAGED)
    assert (tunnel.host, tunnel.port) == ("localhost", 9)
    assert choose_login({"login_host": "h", "login_user": "u", "login_password": "p"}, "target").port == 3306


@pytest.mark.parametrize(
    ("options", "instance", "words"),
    [
        ({"login_password": "p", "login_secret_id": "s"}, PLAIN, "both given"),
        ({"login_host": "h", "login_password": "p"}, None, "without login_user"),
        ({"login_host": "h"}, None, "no password"),
        ({}, PLAIN, "RDS manages none for prod-one"),
        ({}, ROTATING, "is creating, not active"),
        ({"login_user": "app"}, MANAGED, "for user app .the managed secret belongs to admin"),
        ({"login_user": "u", "login_password": "p"}, None, "nothing says where"),
    ],
)
def test_refused_in_words(options, instance, words):
    with pytest.raises(RefusedError, match=words):
        choose_login(options, "target", instance)


def test_an_instance_without_endpoint_is_not_ready():
    with pytest.raises(EncryptionError, match="no endpoint .status creating"):
        choose_login({}, "target", InstanceLogin("new-prod-one", status="creating"))


def test_described_instance():
    described = {
        "DBInstanceIdentifier": "prod-one",
        "DBInstanceStatus": "available",
        "MasterUsername": "admin",
        "Endpoint": {"Address": "a", "Port": 1},
        "MasterUserSecret": {"SecretArn": "arn", "SecretStatus": "active"},
    }
    assert instance_login(described).active_secret == "arn"
    assert instance_login({"DBInstanceIdentifier": "x"}).host is None


def test_secret_values():
    login = choose_login({}, "target", MANAGED)
    assert login_from_secret(login, {"username": "boss", "password": "p"}, "target") == ("boss", "p")
    assert login_from_secret(login, {"password": "p"}, "target") == ("admin", "p")
    for value in ({}, {"password": ""}, {"password": ["hunter2"]}):
        with pytest.raises(RefusedError, match="no text member 'password'") as refused:
            login_from_secret(login, value, "target")
        assert "hunter2" not in str(refused.value)
