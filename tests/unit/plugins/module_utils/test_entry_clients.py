# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a client asks: reads patiently, changes exactly once, whatever the operator's aws_config says."""

from __future__ import annotations

import types

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils import _entry
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import Rds


def context(aws_config=None) -> _entry.Context:
    params = dict(region="eu-west-1", access_key="a", secret_key="b", aws_config=aws_config)
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
