# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each error of a mutating call means, and that the adapter sends each call once."""

from __future__ import annotations

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import PATIENT
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds import CHANGING, Rds, sort_client_error
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import CallError, EncryptionError, Trouble
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from fakes.region import Region
from fakes.shapes import instance

CODES = [
    ("Throttling", 400, "", Trouble.THROTTLED),
    ("ThrottlingException", 400, "", Trouble.THROTTLED),
    ("RequestLimitExceeded", 503, "", Trouble.THROTTLED),
    ("PriorRequestNotComplete", 400, "", Trouble.THROTTLED),
    ("Anything", 429, "", Trouble.THROTTLED),
    ("InternalFailure", 500, "", Trouble.UNKNOWN),
    ("ServiceUnavailable", 503, "", Trouble.UNKNOWN),
    ("InternalFailure", 400, "", Trouble.UNKNOWN),
    ("Unknown", 502, "", Trouble.UNKNOWN),
    ("InvalidDBInstanceState", 400, "RDS is configuring Enhanced Monitoring", Trouble.BUSY),
    ("InvalidDBInstanceStateFault", 400, "", Trouble.BUSY),
    ("InvalidDBSnapshotState", 400, "", Trouble.BUSY),
    ("DBInstanceAlreadyExists", 400, "", Trouble.EXISTS),
    ("DBSnapshotAlreadyExists", 400, "", Trouble.EXISTS),
    ("DBInstanceRoleAlreadyExists", 400, "", Trouble.EXISTS),
    ("DBInstanceNotFound", 404, "", Trouble.NOT_FOUND),
    ("DBInstanceNotFoundFault", 404, "", Trouble.NOT_FOUND),
    ("DBSnapshotNotFound", 404, "", Trouble.NOT_FOUND),
    ("InvalidParameterValue", 400, "IAM role ARN value is invalid or does not include the required permissions", Trouble.PROPAGATING),
    ("InvalidParameterValue", 400, "... ENHANCED_MONITORING ...", Trouble.PROPAGATING),
    ("InvalidParameterValue", 400, "bad", Trouble.REFUSED),
    ("InvalidParameterCombination", 400, "No modifications were requested", Trouble.NOTHING_TO_DO),
    ("InvalidParameterCombination", 400, "previous storage change is being optimized", Trouble.REFUSED),
    ("AccessDenied", 403, "", Trouble.REFUSED),
    ("KMSKeyNotAccessibleFault", 400, "", Trouble.REFUSED),
    ("InstanceQuotaExceeded", 400, "", Trouble.REFUSED),
    ("InsufficientDBInstanceCapacity", 400, "", Trouble.REFUSED),
    ("DBParameterGroupNotFound", 404, "", Trouble.REFUSED),
    ("DBSubnetGroupNotFoundFault", 404, "", Trouble.REFUSED),
    ("OptionGroupNotFoundFault", 404, "", Trouble.REFUSED),
    ("ExpiredToken", 403, "", Trouble.REFUSED),
]


@pytest.mark.parametrize(("code", "status", "message", "trouble"), CODES)
def test_the_meaning_of_an_answer(code, status, message, trouble):
    error = sort_client_error(code, message, status, "ModifyDBInstance")
    assert (error.trouble, error.code, error.operation) == (trouble, code, "ModifyDBInstance")
    assert code in str(error) and "ModifyDBInstance" in str(error)


def answer(code, status):
    return ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "X")


class Refusing:
    """A client whose calls all end in one error."""

    def __init__(self, error):
        self.error = error
        self.sent = 0

    def reboot_db_instance(self, **parameters):
        self.sent += 1
        raise self.error


TROUBLES = [
    (answer("Throttling", 400), Trouble.THROTTLED),
    (answer("InternalFailure", 500), Trouble.UNKNOWN),
    (answer("InvalidDBInstanceState", 400), Trouble.BUSY),
    (ConnectionClosedError(endpoint_url="u"), Trouble.UNKNOWN),
    (ReadTimeoutError(endpoint_url="u"), Trouble.UNKNOWN),
    (ConnectTimeoutError(endpoint_url="u"), Trouble.UNKNOWN),
    (EndpointConnectionError(endpoint_url="u"), Trouble.UNKNOWN),
    (ResponseParserError("<html>"), Trouble.UNKNOWN),
    (NoCredentialsError(), Trouble.REFUSED),
    (ParamValidationError(report="r"), Trouble.REFUSED),
]


@pytest.mark.parametrize(("error", "trouble"), TROUBLES, ids=lambda each: type(each).__name__)
def test_a_call_goes_out_once_and_its_error_is_sorted(error, trouble):
    client = Refusing(error)
    with pytest.raises(CallError) as sorted_error:
        Rds(lambda service, config=None: client).call("RebootDBInstance", DBInstanceIdentifier="x")
    assert sorted_error.value.trouble is trouble
    assert client.sent == 1


def test_changes_are_not_repeated_by_botocore():
    rds = Rds(lambda service, config=None: (service, config))
    (_rds, reading), (_rds, glancing), (_rds, changing) = rds.read, rds.glance, rds._change
    assert changing["retries"] == {"total_max_attempts": 1} == CHANGING["retries"]
    assert reading is None, "the patient default"
    assert PATIENT["retries"]["total_max_attempts"] > glancing["retries"]["total_max_attempts"] > 1


PASSING = [
    (answer("Throttling", 400), True),
    (answer("InternalFailure", 500), True),
    (answer("AccessDenied", 403), False),
    (answer("ExpiredToken", 403), False),
    (ConnectionClosedError(endpoint_url="u"), True),
    (EndpointConnectionError(endpoint_url="u"), True),
    (ConnectTimeoutError(endpoint_url="u"), True),
    (ResponseParserError("<html>"), True),
    (NoCredentialsError(), False),
]


@pytest.mark.parametrize(("error", "expected"), PASSING, ids=lambda each: type(each).__name__)
def test_which_errors_of_a_read_pass(error, expected):
    assert Rds.is_passing(error) is expected
    assert isinstance(error, Rds.read_errors)


def test_reading():
    region = Region(instance("x"), instance("y"))
    rds = Rds(region.client)
    assert rds.instance("x")["DbiResourceId"] == "db-X" and rds.instance("z") is None
    assert sorted(i["DBInstanceIdentifier"] for i in rds.all_instances()) == ["x", "y"]
    assert [i["DBInstanceIdentifier"] for i in rds.instances(resource_ids={"db-Y"})] == ["y"]
    assert [i["DBInstanceIdentifier"] for i in rds.instances(identifiers={"x", "z"})] == ["x"]
    assert len(rds.instances(resource_ids={"db-X"}, identifiers={"x"})) == 1
    assert rds.instances() == []
    assert rds.describe_snapshot("s") is None
    region.event_log.append((region.clock.now, "x", "DB instance restarted"))
    assert rds.events("x", 60) == ["DB instance restarted"] and rds.events("y", 60) == []


def test_events_that_cannot_be_read_are_none():
    class Mute:
        def get_paginator(self, name):
            raise answer("AccessDenied", 403)

    assert Rds(lambda service, config=None: Mute()).events("x", 60) == []


def test_other_errors_of_a_read_are_not_hidden():
    class Denied:
        def describe_db_instances(self, **parameters):
            raise answer("AccessDenied", 403)

        def describe_db_snapshots(self, **parameters):
            raise answer("AccessDenied", 403)

    rds = Rds(lambda service, config=None: Denied())
    with pytest.raises(ClientError):
        rds.instance("x")
    with pytest.raises(ClientError):
        rds.describe_snapshot("s")


def test_an_error_is_one_text_for_the_person_on_call():
    error = EncryptionError("It broke.", done="Nothing was changed.", next_step="Mend it.", code=7)
    assert str(error) == "It broke. State: Nothing was changed. Next: Mend it."
    assert error.facts == {"code": 7}
    assert str(EncryptionError("It broke.")) == "It broke."
    assert issubclass(NoCredentialsError, BotoCoreError)
