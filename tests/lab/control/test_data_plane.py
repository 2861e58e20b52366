# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control plane asks of the data plane: when, with what, and never under its lock."""

from __future__ import annotations

import inspect
import threading

import pytest
from served_lab import PASSWORD, REGION, Lab

from rds_lab.clock import Clock
from rds_lab.control.plane import ControlPlane
from rds_lab.control.settings import Settings
from rds_lab.null_engines import NullEngines


class RecordingEngines(NullEngines):
    """Keeps a small truth of its own: servers, snapshots, names; fails when it is told to."""

    def __init__(self):
        self.calls: list = []
        self.servers: dict = {}
        self.snapshots: dict = {}
        self.names: dict = {}
        self.failing: set = set()
        self.hold: dict = {}
        self.lock = None
        self.called_under_lock: list = []

    def supports(self, engine):
        return engine == "mysql"

    def endpoint_port(self, resource_id, wanted_port):
        return wanted_port + 10000

    def replication_status(self, resource_id):
        return dict(self.servers[resource_id].get("replication", {"status": "replicating", "message": ""}))

    def _enter(self, name, *arguments):
        if self.lock is not None and self.lock._is_owned():
            self.called_under_lock.append(name)
        self.calls.append((name, *arguments))
        if name in self.hold:
            assert self.hold[name].wait(30)
        if name in self.failing:
            raise RuntimeError(f"{name} failed")

    def create(self, resource_id, **members):
        self._enter("create", resource_id)
        self.servers[resource_id] = {"rows": [], **members}

    def stop(self, resource_id):
        self._enter("stop", resource_id)

    def start(self, resource_id, *, parameters):
        self._enter("start", resource_id, parameters)

    def restart(self, resource_id, *, parameters):
        self._enter("restart", resource_id, parameters)

    def apply_dynamic(self, resource_id, parameters):
        self._enter("apply_dynamic", resource_id, parameters)

    def snapshot(self, resource_id, key):
        self._enter("snapshot", resource_id)
        self.snapshots[key] = list(self.servers[resource_id]["rows"])

    def copy_snapshot(self, key, new_key):
        self._enter("copy_snapshot")
        self.snapshots[new_key] = list(self.snapshots[key])

    def delete_snapshot(self, key):
        self._enter("delete_snapshot")
        del self.snapshots[key]

    def restore(self, key, resource_id, *, port, parameters, replication):
        self._enter("restore", resource_id, port, parameters)
        self.servers[resource_id] = {"rows": list(self.snapshots[key]), "settings of replication": replication}

    def create_replica(self, source_resource_id, resource_id, *, port, parameters):
        self._enter("create_replica", source_resource_id, resource_id)
        self.servers[resource_id] = {"rows": self.servers[source_resource_id]["rows"]}

    def promote(self, resource_id):
        self._enter("promote", resource_id)

    def delete(self, resource_id):
        self._enter("delete", resource_id)
        del self.servers[resource_id]

    def set_master_password(self, resource_id, username, password):
        self._enter("set_master_password", resource_id, username, password)

    def publish(self, resource_id, dns_name):
        self._enter("publish", dns_name)
        self.names[dns_name] = resource_id

    def unpublish(self, dns_name):
        self._enter("unpublish", dns_name)
        self.names.pop(dns_name, None)


@pytest.fixture(scope="module")
def _served():
    lab = Lab.__new__(Lab)
    lab.plane = ControlPlane(Clock(0), RecordingEngines(), Settings())
    lab.server, lab._clients = lab.plane.serve("127.0.0.1", 0), {}
    lab.rds = lab.client("rds")
    yield lab
    lab.server.close()


@pytest.fixture
def lab(_served):
    _served.reset()
    engines = RecordingEngines()
    engines.lock = _served.plane.lock
    _served.plane.engines = engines
    yield _served
    assert engines.called_under_lock == []


@pytest.fixture
def engines(lab):
    return lab.plane.engines


def test_null_engines_have_the_whole_interface():
    for name, _method in inspect.getmembers(RecordingEngines, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(NullEngines, name)).parameters)[:1] == ["self"]


def address(name: str) -> str:
    return f"{name}.c4lab0double.{REGION}.rds.lab.internal"


def test_data_follow_the_identity_through_the_whole_way(lab, engines):
    lab.plane.seed_parameter_group("custom", "mysql8.0", {"max_connections": "77"}, REGION)
    source = lab.seed(DBParameterGroups=[{"DBParameterGroupName": "custom"}])
    assert engines.servers[source]["master_password"] == PASSWORD
    assert engines.servers[source]["parameters"] == {"max_connections": "77"}
    assert lab.describe("prod-one")["Endpoint"]["Port"] == 13306
    engines.servers[source]["rows"].append("before")
    lab.modify(NewDBInstanceIdentifier="old-prod-one")
    assert engines.names == {address("old-prod-one"): source}
    engines.servers[source]["rows"].append("last write")
    lab.snapshot(instance="old-prod-one")
    engines.servers[source]["rows"].append("too late")
    lab.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="snap", TargetDBSnapshotIdentifier="copy",
                             KmsKeyId=lab.plane.seed_kms_key("alias/lab", REGION))
    lab.finish()
    target = lab.restore(snapshot="copy", DBParameterGroupName="custom")["DbiResourceId"]
    assert engines.servers[target]["rows"] == ["before", "last write"]
    assert ("restore", target, 23306, {"max_connections": "77"}) in engines.calls
    lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="new-prod-one")
    lab.finish()
    assert engines.calls[-2][:2] == ("create_replica", target)
    lab.modify("new-prod-one", NewDBInstanceIdentifier="prod-one")
    assert engines.names[address("prod-one")] == target
    assert address("new-prod-one") not in engines.names


def test_what_a_copy_of_a_replica_does_with_its_settings_is_a_setting(lab, engines):
    lab.seed()
    lab.snapshot()
    kept = engines.servers[lab.restore()["DbiResourceId"]]
    lab.admin("POST", "/_lab/settings", {"restored_copies_replicate": "running"})
    running = engines.servers[lab.restore("another")["DbiResourceId"]]
    assert [server["settings of replication"] for server in (kept, running)] == ["configured", "running"]
    with pytest.raises(ValueError, match="none, configured, running"):
        lab.plane.settings.update({"restored_copies_replicate": "runing"})


def test_rename_takes_the_old_name_from_the_net_before_the_new_one_comes(lab, engines):
    resource_id = lab.seed()
    engines.calls.clear()
    lab.modify(NewDBInstanceIdentifier="old-prod-one")
    assert engines.calls == [("unpublish", address("prod-one")), ("restart", resource_id, {}), ("publish", address("old-prod-one"))]


def test_final_status_waits_for_the_real_work(lab, engines):
    lab.seed()
    engines.hold["restart"] = threading.Event()
    lab.plane.settings.consistency = 0
    lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")
    lab.plane.clock.advance(5)
    while not any(call[0] == "restart" for call in engines.calls):
        threading.Event().wait(0.001)
    lab.plane.clock.advance(100000)
    assert lab.status("prod-one") == "rebooting"
    engines.hold["restart"].set()
    lab.finish()
    assert lab.status("prod-one") == "available"


def test_parameters_in_force_reach_the_server(lab, engines):
    lab.plane.seed_parameter_group("custom", "mysql8.0", {}, REGION)
    resource_id = lab.seed(DBParameterGroups=[{"DBParameterGroupName": "custom"}])
    lab.rds.modify_db_parameter_group(DBParameterGroupName="custom", Parameters=[
        {"ParameterName": "max_connections", "ParameterValue": "77", "ApplyMethod": "immediate"},
        {"ParameterName": "lower_case_table_names", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}])
    lab.finish()
    assert engines.calls[-1] == ("apply_dynamic", resource_id, {"max_connections": "77"})
    lab.rds.reboot_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    assert engines.calls[-1] == ("restart", resource_id, {"max_connections": "77", "lower_case_table_names": "1"})


def test_passwords_reach_the_server(lab, engines):
    resource_id = lab.seed()
    lab.modify(MasterUserPassword="another-pass-9")
    assert engines.calls[-1] == ("set_master_password", resource_id, "admin", "another-pass-9")
    lab.modify(ManageMasterUserPassword=True)
    assert engines.calls[-1] == ("set_master_password", resource_id, "admin", lab.record("prod-one").password)


def test_stop_start_delete(lab, engines):
    resource_id = lab.seed()
    lab.rds.stop_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    lab.rds.start_db_instance(DBInstanceIdentifier="prod-one")
    lab.finish()
    lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)
    lab.finish()
    assert [call[0] for call in engines.calls[-4:]] == ["stop", "start", "unpublish", "delete"]
    assert resource_id not in engines.servers and engines.names == {}


def test_replicas_of_a_deleted_source_are_promoted(lab, engines):
    lab.seed()
    reader = lab.seed_replica("reader")
    lab.rds.delete_db_instance(DBInstanceIdentifier="prod-one", SkipFinalSnapshot=True)
    lab.finish()
    assert ("promote", reader) in engines.calls


def test_status_of_replication_is_the_server_s(lab, engines):
    lab.seed()
    reader = lab.seed_replica("reader")
    engines.servers[reader]["replication"] = {"status": "error", "message": "Duplicate entry"}
    lab.advance(1)
    lab.advance(6)
    assert lab.describe("reader")["StatusInfos"] == [
        {"StatusType": "read replication", "Normal": False, "Status": "error", "Message": "Duplicate entry"}]


@pytest.mark.parametrize("work,status", [("restore", "incompatible-restore"), ("restart", "failed"), ("create_replica", "failed")])
def test_work_that_fails_ends_in_a_terminal_status(lab, engines, work, status):
    lab.seed()
    lab.snapshot()
    engines.failing.add(work)
    if work == "restore":
        lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="x", DBSnapshotIdentifier="snap")
    elif work == "restart":
        lab.seed("x")
        lab.rds.reboot_db_instance(DBInstanceIdentifier="x")
    else:
        lab.rds.create_db_instance_read_replica(DBInstanceIdentifier="x", SourceDBInstanceIdentifier="prod-one")
    lab.finish()
    assert lab.status("x") == status
    assert f"{work} failed" in lab.admin("GET", "/_lab/state")["problems"][0]["problem"]
    events = lab.rds.describe_events(SourceType="db-instance", SourceIdentifier="x", EventCategories=["failure"])["Events"]
    assert f"{work} failed" in events[0]["Message"]


def test_snapshot_that_cannot_be_written_fails_and_leaves_the_instance(lab, engines):
    lab.seed()
    engines.failing.add("snapshot")
    assert lab.snapshot()["Status"] == "failed"
    assert lab.status("prod-one") == "available"


def test_engines_without_servers_are_left_alone(lab, engines):
    lab.seed(Engine="oracle-ee", EngineVersion="19.0.0.0.ru-2025-01.rur-2025-01.r1")
    lab.modify(NewDBInstanceIdentifier="old-prod-one")
    assert engines.calls == []


def test_without_backups_there_is_no_binary_log(lab, engines):
    resource_id = lab.seed(BackupRetentionPeriod=0)
    assert engines.servers[resource_id]["parameters"] == {"log_bin": "0"}
    lab.modify(BackupRetentionPeriod=3)
    assert ("restart", resource_id, {}) in engines.calls
    lab.modify(BackupRetentionPeriod=0)
    assert ("restart", resource_id, {"log_bin": "0"}) in engines.calls
    lab.snapshot()
    target = lab.restore()["DbiResourceId"]
    assert ("restore", target, 23306, {"log_bin": "0"}) in engines.calls


def test_data_of_a_deleted_snapshot_stay_while_they_are_read(lab, engines):
    lab.seed()
    lab.snapshot()
    engines.hold["restore"] = threading.Event()
    lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="new", DBSnapshotIdentifier="snap")
    while not any(call[0] == "restore" for call in engines.calls):
        threading.Event().wait(0.001)
    lab.rds.delete_db_snapshot(DBSnapshotIdentifier="snap")
    lab.plane.clock.advance(10)
    threading.Event().wait(0.05)
    assert len(engines.snapshots) == 1
    engines.hold["restore"].set()
    lab.finish()
    assert lab.status("new") == "available"
    assert [call[0] for call in engines.calls].count("delete_snapshot") == 1


def test_reset_leaves_nothing_behind(lab, engines):
    lab.seed()
    lab.snapshot()
    lab.admin("POST", "/_lab/reset", {})
    assert (engines.servers, engines.snapshots, engines.names) == ({}, {}, {})
