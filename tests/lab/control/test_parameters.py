# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state machine of parameter groups."""

from __future__ import annotations

import pytest

STATIC = {"ParameterName": "lower_case_table_names", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
DYNAMIC = {"ParameterName": "max_connections", "ParameterValue": "77", "ApplyMethod": "immediate"}


@pytest.fixture
def group(lab):
    lab.rds.create_db_parameter_group(DBParameterGroupName="Custom", DBParameterGroupFamily="mysql8.0", Description="d")
    return "custom"


def applied(lab, name: str = "prod-one") -> tuple:
    shown = lab.describe(name)["DBParameterGroups"][0]
    return shown["DBParameterGroupName"], shown["ParameterApplyStatus"]


def change(lab, *parameters):
    lab.rds.modify_db_parameter_group(DBParameterGroupName="custom", Parameters=list(parameters))


def test_by_modify_applying_pending_reboot_in_sync(lab, group):
    change(lab, STATIC, DYNAMIC)
    lab.seed()
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", DBParameterGroupName=group)
    lab.advance(6)
    assert applied(lab) == ("custom", "applying")
    lab.finish()
    assert applied(lab) == ("custom", "pending-reboot")
    assert lab.record("prod-one").in_force == {"max_connections": "77"}
    lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    assert applied(lab) == ("custom", "in-sync")
    assert lab.record("prod-one").in_force == {"max_connections": "77", "lower_case_table_names": "1"}


def test_family_must_fit(lab, group, refused):
    lab.seed(EngineVersion="8.4.7")
    with refused("InvalidParameterCombination", "mysql8.4"):
        lab.modify(DBParameterGroupName=group)
    with refused("DBParameterGroupNotFound", status=404):
        lab.modify(DBParameterGroupName="none")


def test_static_change_puts_every_user_to_pending_reboot(lab, group):
    for name in ("one", "two"):
        lab.seed(name, DBParameterGroups=[{"DBParameterGroupName": group}])
    lab.seed("three")
    change(lab, STATIC)
    lab.finish()
    assert [applied(lab, name)[1] for name in ("one", "two", "three")] == ["pending-reboot", "pending-reboot", "in-sync"]
    assert lab.record("one").in_force == {}


def test_dynamic_change_is_applied(lab, group):
    lab.seed(DBParameterGroups=[{"DBParameterGroupName": group}])
    change(lab, DYNAMIC)
    lab.advance(6)
    assert applied(lab)[1] == "applying"
    lab.finish()
    assert applied(lab)[1] == "in-sync"
    assert lab.record("prod-one").in_force == {"max_connections": "77"}
    lab.rds.reset_db_parameter_group(DBParameterGroupName=group, ResetAllParameters=True)
    lab.finish()
    assert lab.record("prod-one").in_force == {}


def test_dynamic_change_at_the_next_reboot(lab, group):
    lab.seed(DBParameterGroups=[{"DBParameterGroupName": group}])
    change(lab, {**DYNAMIC, "ApplyMethod": "pending-reboot"})
    lab.finish()
    assert applied(lab)[1] == "pending-reboot" and lab.record("prod-one").in_force == {}


def test_refusals(lab, group, refused):
    for code, parameter in (
            ("InvalidParameterCombination", {**STATIC, "ApplyMethod": "immediate"}),
            ("InvalidParameterValue", {**DYNAMIC, "ParameterName": "no_such_thing"}),
            ("InvalidParameterValue", {**DYNAMIC, "ParameterValue": "many"}),
            ("InvalidParameterValue", {"ParameterName": "binlog_format", "ParameterValue": "BAD", "ApplyMethod": "immediate"})):
        with refused(code):
            change(lab, parameter)
    with refused("InvalidDBParameterGroupState"):
        lab.rds.modify_db_parameter_group(DBParameterGroupName="default.mysql8.0", Parameters=[DYNAMIC])
    with refused("DBParameterGroupAlreadyExists"):
        lab.rds.create_db_parameter_group(DBParameterGroupName="custom", DBParameterGroupFamily="mysql8.0", Description="d")
    lab.seed(DBParameterGroups=[{"DBParameterGroupName": group}])
    with refused("InvalidDBParameterGroupState"):
        lab.rds.delete_db_parameter_group(DBParameterGroupName=group)


def test_parameters_are_described(lab, group):
    change(lab, STATIC, DYNAMIC)
    paginator = lab.rds.get_paginator("describe_db_parameters")
    found = {entry["ParameterName"]: entry for page in paginator.paginate(DBParameterGroupName=group, PaginationConfig={"PageSize": 20})
             for entry in page["Parameters"]}
    assert len(found) > 60
    assert (found["max_connections"]["ParameterValue"], found["max_connections"]["Source"]) == ("77", "user")
    assert found["lower_case_table_names"]["ApplyType"] == "static"
    user = lab.rds.describe_db_parameters(DBParameterGroupName=group, Source="user")["Parameters"]
    assert [entry["ParameterName"] for entry in user] == ["lower_case_table_names", "max_connections"]
    assert "ParameterValue" not in found["sql_mode"]


def test_stopped_instances_take_the_group_at_their_start(lab, group):
    lab.seed(DBParameterGroups=[{"DBParameterGroupName": group}])
    lab.rds.stop_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    change(lab, DYNAMIC)
    lab.finish()
    assert applied(lab)[1] == "pending-reboot" and lab.record("prod-one").in_force == {}
    lab.rds.start_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    assert applied(lab)[1] == "in-sync" and lab.record("prod-one").in_force == {"max_connections": "77"}


def test_default_groups_exist_by_their_names(lab, refused):
    shown = lab.rds.describe_db_parameter_groups(DBParameterGroupName="default.postgres16")["DBParameterGroups"][0]
    assert shown["DBParameterGroupFamily"] == "postgres16"
    with refused("DBParameterGroupNotFound", status=404):
        lab.rds.describe_db_parameter_groups(DBParameterGroupName="default.nonsense1")
    assert lab.rds.describe_option_groups(OptionGroupName="default:mysql-8-0")["OptionGroupsList"][0]["MajorEngineVersion"] == "8.0"


def test_groups_are_copied_with_their_values_but_default_ones(lab, group, refused):
    change(lab, STATIC, {**DYNAMIC, "ApplyMethod": "pending-reboot"})
    words = {"TargetDBParameterGroupDescription": "private"}
    for source in (group, "arn:aws:rds:us-east-1:123456789012:pg:custom"):
        made = lab.rds.copy_db_parameter_group(SourceDBParameterGroupIdentifier=source, TargetDBParameterGroupIdentifier=f"Private-{len(source)}",
                                               Tags=[{"Key": "a", "Value": "b"}], **words)["DBParameterGroup"]
        name = made["DBParameterGroupName"]
        assert (name, made["DBParameterGroupFamily"], made["Description"]) == (f"private-{len(source)}", "mysql8.0", "private")
        assert lab.rds.list_tags_for_resource(ResourceName=made["DBParameterGroupArn"])["TagList"] == [{"Key": "a", "Value": "b"}]
        user = {entry["ParameterName"]: (entry["ParameterValue"], entry["ApplyMethod"])
                for entry in lab.rds.describe_db_parameters(DBParameterGroupName=name, Source="user")["Parameters"]}
        assert user == {"lower_case_table_names": ("1", "pending-reboot"), "max_connections": ("77", "pending-reboot")}
    lab.rds.reset_db_parameter_group(DBParameterGroupName=name, ResetAllParameters=True)
    assert len(lab.rds.describe_db_parameters(DBParameterGroupName=group, Source="user")["Parameters"]) == 2, "a copy is on its own"
    for code, source, target, status in (
            ("InvalidParameterValue", "default.mysql8.0", "other", 400), ("DBParameterGroupNotFound", "none", "other", 404),
            ("DBParameterGroupAlreadyExists", group, name, 400), ("InvalidParameterValue", group, "9-other", 400)):
        with refused(code, status=status):
            lab.rds.copy_db_parameter_group(SourceDBParameterGroupIdentifier=source, TargetDBParameterGroupIdentifier=target, **words)
