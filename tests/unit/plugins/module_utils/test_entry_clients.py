# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a client asks: reads patiently, changes exactly once, whatever the operator's aws_config says."""

from __future__ import annotations

import types

import pytest
from botocore.awsrequest import AWSResponse

from ansible_collections.dbre.rds_encryption.plugins.module_utils import _entry
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import aws_session
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError


def context(aws_config=None, **more) -> _entry.Context:
    params = dict(region="eu-west-1", access_key="a", secret_key="b", aws_config=aws_config) | more
    if "profile" in more:
        del params["access_key"], params["secret_key"]
    return _entry.Context(params, check_mode=False, diff_mode=False, connection=types.SimpleNamespace(params=params, boto3=None, fail_json=pytest.fail),
                          progress=None, warn=None, mask=None)


@pytest.mark.parametrize("aws_config", [None, {"retries": {"max_attempts": 7}}, {"retries": {"mode": "adaptive", "total_max_attempts": 20}}])
def test_a_change_is_sent_once_whatever_the_operator_set(aws_config):
    rds = Rds(context(aws_config).client)
    assert rds._change.meta.config.retries["total_max_attempts"] == 1


def test_reads_are_patient_by_default_and_follow_the_operator():
    assert context().client("kms").meta.config.retries["total_max_attempts"] == 10
    assert Rds(context({"retries": {"mode": "adaptive", "total_max_attempts": 20}}).client).read.meta.config.retries["total_max_attempts"] == 20
    assert context({"max_pool_connections": 3}).client("rds").meta.config.max_pool_connections == 3


def test_what_botocore_reads_from_its_files_is_read_once():
    aws_session.read_ahead()
    loaders = [aws_session.Session()._core.get_component("data_loader") for _time in range(2)]
    assert loaders[0].load_service_model("rds", "service-2") is loaders[1].load_service_model("rds", "service-2")


def test_the_clients_of_a_task_have_one_session(monkeypatch):
    """Credentials that are fetched, from a role or an instance, are fetched once."""
    made = []
    monkeypatch.setattr(aws_session, "Session", lambda profile: made.append(profile) or Kept(profile))
    rds = Rds(context().client)
    assert (rds.read, rds.glance, rds._change) and made == [None]


class Kept(aws_session.Session):
    """The session as it is, under a name of its own."""


@pytest.mark.parametrize("params, words", [
    ({"profile": "nobody"}, "nobody"),
    ({}, "region"),
    ({"region": "eu-west-1", "endpoint_url": "nowhere"}, "nowhere"),
])
def test_what_no_client_can_be_made_of_is_said_in_words(monkeypatch, tmp_path, params, words):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(EncryptionError, match=words) as failure:
        context(**{"region": None, **params}).client("rds")
    assert "Next:" in str(failure.value)


@pytest.mark.parametrize("method, kind", [
    ("describe_db_instances", {}),
    ("modify_db_instance", {"changes": True, "mark": False, "interrupts": True}),
    ("reboot_db_instance", {"changes": True, "mark": False, "interrupts": False}),
    ("add_tags_to_resource", {"changes": True, "mark": True, "interrupts": False}),
])
def test_each_request_waits_for_its_turn_before_it_is_signed(monkeypatch, method, kind):
    """A signature is good for five minutes, and the turn of a change may come later."""
    order = []
    monkeypatch.setattr(_entry.COMPANY, "take_turn", lambda **given: order.append(given))
    client = context().client("rds")

    def sent(request, **_unused):
        empty = b"<a/>"
        return AWSResponse(request.url, 200, {}, types.SimpleNamespace(read=lambda: empty, stream=lambda **_: iter([empty])))

    sign = client._request_signer.get_auth_instance
    monkeypatch.setattr(client._request_signer, "get_auth_instance", lambda *given, **more: (order.append("signed"), sign(*given, **more))[1])
    client.meta.events.register("before-send", sent)
    parser = types.SimpleNamespace(parse=lambda *_: {"ResponseMetadata": {}})
    monkeypatch.setattr(client._endpoint._response_parser_factory, "create_parser", lambda _protocol: parser)
    arguments = {"ResourceName": "r", "Tags": []} if "tags" in method else {} if method.startswith("describe") else {"DBInstanceIdentifier": "x"}
    getattr(client, method)(**arguments)
    assert order == [kind, "signed"]
