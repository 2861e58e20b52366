# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage rules, with their messages, at restore, at modification and for replicas."""

from __future__ import annotations

import pytest

BELOW_400 = "You can't specify IOPS or storage throughput for engine mysql and a storage size less than 400."
OPTIMIZING = "You can't currently modify the storage of this DB instance because the previous storage change is being optimized."


@pytest.fixture
def snapshot(lab):
    lab.seed()
    return lab.snapshot()


@pytest.mark.parametrize("members", [{"Iops": 3000}, {"StorageThroughput": 125}, {"Iops": 3000, "StorageThroughput": 125}])
def test_gp3_below_the_threshold_refuses_what_it_reports(lab, snapshot, refused, members):
    with refused("InvalidParameterCombination", BELOW_400):
        lab.restore(StorageType="gp3", **members)
    assert (lab.restore(StorageType="gp3")["Iops"], lab.describe("new-prod-one")["StorageThroughput"]) == (3000, 125)


def test_threshold_of_oracle_is_200(lab, refused):
    lab.seed(Engine="oracle-ee", EngineVersion="19.0.0.0.ru-2025-01.rur-2025-01.r1", AllocatedStorage=199)
    lab.snapshot()
    with refused("InvalidParameterCombination", "for engine oracle-ee and a storage size less than 200."):
        lab.restore(StorageType="gp3", Iops=12000)
    assert lab.restore(StorageType="gp3", AllocatedStorage=200, Iops=12000)["Iops"] == 12000


def test_gp3_above_the_threshold(lab, refused):
    lab.seed(AllocatedStorage=400)
    lab.snapshot()
    assert lab.restore("base")["Iops"] == 12000
    assert lab.describe("base")["StorageThroughput"] == 500
    target = lab.restore("fast", StorageType="gp3", Iops=16000, StorageThroughput=4000)
    assert (target["Iops"], target["StorageThroughput"]) == (16000, 4000)
    for members in ({"Iops": 3000}, {"Iops": 65000}, {"StorageThroughput": 125}, {"Iops": 12000, "StorageThroughput": 3500}):
        with refused("InvalidParameterCombination"):
            lab.restore(StorageType="gp3", **members)


def test_types_of_a_restore(lab, refused):
    lab.seed(StorageType="io1", Iops=4000)
    lab.snapshot()
    assert lab.restore("a")["StorageType"] == "gp3"
    assert lab.restore("b", Iops=2000)["StorageType"] == "io1"
    assert lab.restore("c", StorageType="io2")["Iops"] == 4000          # taken from the backup
    assert lab.restore("d", StorageType="gp2")["StorageType"] == "gp2"
    assert "Iops" not in lab.describe("d")
    assert lab.restore("e", StorageType="standard")["StorageType"] == "standard"
    for members in ({"StorageType": "gp2", "Iops": 1000}, {"StorageType": "standard", "Iops": 1000}, {"StorageType": "io1", "Iops": 0},
                    {"StorageType": "io1", "Iops": 999}, {"StorageType": "io1", "Iops": 5001},
                    {"StorageType": "gp2", "StorageThroughput": 500}):
        with refused("InvalidParameterCombination"):
            lab.restore("x", **members)
    with refused("InvalidParameterValue"):
        lab.restore("x", StorageType="gp9")


def test_storage_is_never_smaller(lab, snapshot, refused):
    with refused("InvalidParameterCombination", "Invalid storage size for engine name mysql and storage type gp3: 20"):
        lab.restore(AllocatedStorage=20)
    with refused("InvalidParameterCombination", "Invalid storage size for engine name mysql and storage type gp2: 50"):
        lab.modify(AllocatedStorage=50)
    assert lab.restore(AllocatedStorage=150)["AllocatedStorage"] == 150


def test_storage_grows_by_ten_percent_at_least(lab, refused):
    lab.seed()
    with refused("InvalidParameterCombination"):
        lab.modify(AllocatedStorage=105)
    assert lab.modify(AllocatedStorage=110)["AllocatedStorage"] == 110


def test_storage_change_is_optimized_and_the_next_waits_six_hours(lab, refused):
    lab.seed()
    lab.rds.modify_db_instance(DBInstanceIdentifier="prod-one", AllocatedStorage=200, ApplyImmediately=True)
    lab.finish()
    assert lab.status("prod-one") == "storage-optimization"
    assert lab.describe("prod-one")["AllocatedStorage"] == 200
    with refused("InvalidParameterCombination", OPTIMIZING):
        lab.modify(AllocatedStorage=300)
    lab.rds.create_db_snapshot(DBInstanceIdentifier="prod-one", DBSnapshotIdentifier="during")   # a usable state
    lab.plane.finish()
    lab.advance(700)
    lab.advance(6)
    assert lab.status("prod-one") == "available"
    with refused("InvalidParameterCombination", OPTIMIZING):
        lab.modify(AllocatedStorage=300)
    lab.advance(6 * 3600)
    assert lab.modify(AllocatedStorage=300)["AllocatedStorage"] == 300


def test_piops_change_needs_size_and_iops_together(lab, refused):
    lab.seed(StorageType="io1", Iops=3000)
    for members in ({"Iops": 4000}, {"AllocatedStorage": 200}):
        with refused("InvalidParameterCombination", "You must specify both"):
            lab.modify(**members)
    target = lab.modify(Iops=4000, AllocatedStorage=100)
    assert (target["Iops"], target["AllocatedStorage"]) == (4000, 100)


def test_type_change(lab, refused):
    lab.seed()
    with refused("InvalidParameterCombination", BELOW_400):
        lab.modify(StorageType="gp3", Iops=3000)
    target = lab.modify(StorageType="gp3")
    assert (target["StorageType"], target["Iops"], target["StorageThroughput"]) == ("gp3", 3000, 125)


def test_what_a_gp3_instance_reports_is_refused_as_a_parameter(lab, refused):
    lab.seed(StorageType="gp3")
    assert lab.describe("prod-one")["Iops"] == 3000
    with refused("InvalidParameterCombination", BELOW_400):
        lab.modify(Iops=3000)


def test_max_allocated_storage(lab, refused):
    lab.seed()
    assert lab.modify(MaxAllocatedStorage=500)["MaxAllocatedStorage"] == 500
    assert "MaxAllocatedStorage" not in lab.modify(MaxAllocatedStorage=100)
    with refused("InvalidParameterCombination", "Invalid max storage size"):
        lab.modify(MaxAllocatedStorage=50)


def test_sql_server_takes_no_storage_parameters_at_restore(lab, refused):
    lab.seed(Engine="sqlserver-se", EngineVersion="15.00.4430.1.v1", StorageType="gp3", Iops=4000, StorageThroughput=300)
    lab.snapshot()
    for members in ({"AllocatedStorage": 200}, {"StorageType": "gp3"}, {"Iops": 4000}, {"StorageThroughput": 300}):
        with refused("InvalidParameterCombination"):
            lab.restore(**members)
    target = lab.restore()
    assert (target["StorageType"], target["Iops"], target["StorageThroughput"]) == ("gp3", 4000, 300)
    assert lab.modify("new-prod-one", Iops=5000)["Iops"] == 5000


def test_what_can_be_modified(lab):
    lab.seed()
    answer = lab.rds.describe_valid_db_instance_modifications(DBInstanceIdentifier="prod-one")["ValidDBInstanceModificationsMessage"]
    options = {entry["StorageType"]: entry for entry in answer["Storage"]}
    assert "ProvisionedIops" not in options["gp3"]
    assert options["io1"]["IopsToStorageRatio"] == [{"From": 0.5, "To": 50.0}]
    assert options["gp2"]["StorageSize"][0]["From"] == 100
