# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attribute rules against the installed botocore: every member has a row, every parameter exists."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import botocore
import botocore.session
import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model import attributes
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.attributes import LATE, RULES, RULES_BY_MEMBER, Carry, Compare
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import ENGINES, STRATEGIES, engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import (
    MOVING_STATUSES,
    READY_STATUSES,
    TERMINAL_STATUSES,
    meaning_of_status,
)

MODEL = botocore.session.get_session().get_service_model("rds")
MEMBERS = MODEL.shape_for("DBInstance").members
CALLS = {
    "restore": "RestoreDBInstanceFromDBSnapshot",
    "modify": "ModifyDBInstance",
    "replica": "CreateDBInstanceReadReplica",
}
TOP = pathlib.Path(__file__).resolve().parents[4]


def release(version):
    return tuple(int(each) for each in version.split("."))


IS_OLD = release(botocore.__version__) < release(attributes.NEWEST_BOTOCORE)


def names_of(which):
    return (which,) if isinstance(which, str) else which or ()


def operation_of(rule, call):
    return rule.operation if call == "modify" else CALLS[call]


def test_every_member_of_botocore_has_a_rule():
    missing = sorted(set(MEMBERS) - set(RULES_BY_MEMBER))
    assert not missing, f"botocore {botocore.__version__} describes {missing}: add a row to _model/attributes.py (see docs/attributes.md)"


@pytest.mark.skipif(IS_OLD, reason="this botocore is older than the rules")
def test_no_rule_is_obsolete():
    obsolete = sorted(set(RULES_BY_MEMBER) - set(MEMBERS))
    assert not obsolete, f"botocore {botocore.__version__} no longer describes {obsolete}: drop the rows"


def test_a_member_has_one_row():
    assert len(RULES) == len(RULES_BY_MEMBER)


@pytest.mark.skipif(IS_OLD, reason="this botocore is older than the rules")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.member)
def test_parameters_exist(rule, call):
    known = set(MODEL.operation_model(operation_of(rule, call)).input_shape.members)
    unknown = set(names_of(getattr(rule, call))) - known
    assert not unknown, f"{rule.member}: {operation_of(rule, call)} has no {sorted(unknown)}"


@pytest.mark.parametrize("call", CALLS)
def test_a_parameter_belongs_to_one_member(call):
    names = [(operation_of(rule, call), name) for rule in RULES for name in names_of(getattr(rule, call))]
    assert sorted(names) == sorted(set(names))


# What RDS can set at the restore and no row sets there, with the reason.
NOT_SET_AT_RESTORE = {
    "DBInstanceIdentifier": "identity",
    "DBSnapshotIdentifier": "identity",
    "DBClusterSnapshotIdentifier": "clusters",
    "Tags": "the caller adds the run's own tags",
    "TagSpecifications": "Tags does it",
    "Engine": "conversions only",
    "DBName": "comes with the snapshot",
    "DeletionProtection": "set last",
    "ManageMasterUserPassword": "after the replicas",
    "MasterUserSecretKmsKeyId": "after the replicas",
    "TdeCredentialArn": "its password cannot be read",
    "TdeCredentialPassword": "its password cannot be read",
    "CustomIamInstanceProfile": "RDS Custom",
    "DBCapacityReservationIdentifier": "the old instance holds it",
    "UseDefaultProcessorFeatures": "the default",
}


@pytest.mark.skipif(IS_OLD, reason="this botocore is older than the rules")
def test_what_the_restore_accepts_is_used():
    used = {name for rule in RULES for name in names_of(rule.restore)}
    known = set(MODEL.operation_model(CALLS["restore"]).input_shape.members)
    assert known - used == set(NOT_SET_AT_RESTORE)
    assert len(used) == 34


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.member)
def test_rows_are_complete(rule):
    assert rule.why and rule.source
    assert (rule.compare is Compare.EXPECTED) == (rule.expected is not None)
    assert (rule.applies is attributes._true) == (rule.not_applicable == "")
    assert set(rule.together) <= set(RULES_BY_MEMBER)
    assert rule.late or not rule.after_replicas
    if rule.carry is Carry.RESTORE:
        assert rule.restore
    if rule.carry is Carry.MODIFY:
        assert rule.modify and not rule.restore
    if rule.carry in (Carry.VOLATILE, Carry.BY_DESIGN, Carry.INHERITED, Carry.SEPARATE_CALL):
        assert not rule.restore and not rule.replica
    assert not re.search(r"/work|\.\./", rule.why + rule.source)


def test_late_attributes_in_order():
    assert LATE == (
        "MasterUserSecret",
        "ActivityStreamStatus",
        "ActivityStreamPolicyStatus",
        "DBInstanceAutomatedBackupsReplications",
        "DeletionProtection",
    )


def test_a_value_survives_being_written():
    """read(write(x)) == x for every row, on a description with everything in it."""
    full = dict(
        DBInstanceIdentifier="a",
        Engine="mysql",
        Endpoint={"Address": "a.b.c", "Port": 3306},
        AllocatedStorage=100,
        MaxAllocatedStorage=200,
        VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-2", "Status": "active"}, {"VpcSecurityGroupId": "sg-1", "Status": "active"}],
        DBParameterGroups=[{"DBParameterGroupName": "g", "ParameterApplyStatus": "in-sync"}],
        OptionGroupMemberships=[{"OptionGroupName": "o", "Status": "in-sync"}],
        DBSubnetGroup={"DBSubnetGroupName": "s", "VpcId": "v"},
        DomainMemberships=[{"Domain": "d-1", "IAMRoleName": "r", "Status": "joined"}],
        ProcessorFeatures=[{"Name": "threadsPerCore", "Value": "1"}, {"Name": "coreCount", "Value": "4"}],
        AssociatedRoles=[{"RoleArn": "arn:r", "FeatureName": "s3Import", "Status": "ACTIVE"}],
        AdditionalStorageVolumes=[{"VolumeName": "rdsdbdata2", "AllocatedStorage": 200, "StorageType": "gp3"}],
        MasterUserSecret={"SecretArn": "arn:s", "SecretStatus": "active", "KmsKeyId": "k"},
        TagList=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}],
        EnabledCloudwatchLogsExports=["slowquery", "error"],
        CertificateDetails={"CAIdentifier": "ca"},
        DBInstanceAutomatedBackupsReplications=[{"DBInstanceAutomatedBackupsArn": "arn:aws:rds:us-east-1:1:auto-backup:x"}],
        MultiAZ=True,
    )
    for rule in RULES:
        value = rule.read(full)
        again = dict(full)
        rule.write(again, value)
        assert rule.read(again) == value, rule.member


def test_engine_rows():
    assert engine_row("mysql").client == engine_row("mariadb").client == "mysql"
    assert engine_row("postgres").client == "postgresql"
    assert engine_row("oracle-se2").gp3_threshold_gib == 200
    assert not engine_row("sqlserver-web").storage_at_restore
    assert engine_row("sqlserver-new-edition").default_port == 1433
    unknown = engine_row("cassandra")
    assert not unknown.supported and unknown.client is None and unknown.unsupported_reason
    assert engine_row(None).supported is False
    assert not engine_row("aurora-mysql").supported
    for engine in ENGINES:
        assert engine_row(engine.name) == engine
        assert set(engine.strategies) <= set(STRATEGIES)
        assert bool(engine.strategies) == engine.supported == (not engine.unsupported_reason)


def test_statuses_are_of_one_kind():
    assert not READY_STATUSES & MOVING_STATUSES and not READY_STATUSES & TERMINAL_STATUSES and not MOVING_STATUSES & TERMINAL_STATUSES
    for status in TERMINAL_STATUSES:
        kind, advice = meaning_of_status(status)
        assert kind == "terminal" and advice.endswith(".")
    assert meaning_of_status("storage-full")[0] == "terminal"
    assert meaning_of_status("insufficient-capacity")[0] == "capacity"
    assert meaning_of_status("stopped")[0] == "still"
    assert meaning_of_status("backing-up") == ("moving", "")
    kind, advice = meaning_of_status("brand-new")
    assert kind == "moving" and "unknown" in advice


def test_the_page_says_what_the_rules_say():
    tool = TOP / "tools" / "attributes_page.py"
    if not tool.exists():
        pytest.skip("the tools are not part of the built collection")
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
