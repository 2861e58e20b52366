# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator adds and may get wrong on real servers: hooks, passwords, a name given back by hand, much verbosity."""

from __future__ import annotations

import re

import pytest
import yaml
from rds_lab.fleet import find
from scenario_truth import Database

NAMES = ("first", "second")


@pytest.fixture(scope="module")
def lab(start_lab, tmp_path_factory):
    """Two small topologies of their own, the first with a replica."""
    fleet = yaml.safe_load(find("small").read_text(encoding="utf-8"))
    primary, replica = fleet["instances"]
    fleet["instances"] = [{**primary, "DBInstanceIdentifier": name} for name in NAMES]
    fleet["instances"].append({**replica, "DBInstanceIdentifier": "first-replica", "ReadReplicaSourceDBInstanceIdentifier": "first"})
    path = tmp_path_factory.mktemp("fleet") / "pair.yml"
    path.write_text(yaml.safe_dump(fleet), encoding="utf-8")
    return start_lab(path)


@pytest.fixture
def operator(lab, tmp_path):
    return lab.operator(tmp_path)


# Tasks of the operator run where the inventory says.
HOST = {"rds_encryption_login_user": "admin", "ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


def test_credentials_that_do_not_log_in_stop_every_host(lab, operator):
    began = lab.now
    run = operator.run({"first": HOST, "second": {**HOST, "rds_encryption_login_user": "nobody"}}, connect_timeout=2)
    assert run.rc != 0
    assert "BLOCKED (login)" in run.said("second") and "nobody" in run.failure("second")
    assert "BLOCKED" not in run.said("first")
    assert lab.mutating(began, accepted=False) == []


def test_hooks_run_in_their_places_and_no_secret_shows_at_any_verbosity(lab, operator, tmp_path):
    """One whole run at -vvvv with a hook at each place."""
    places = tmp_path / "places"
    hooks = {}
    for place in ("before_fence_tasks", "validate_tasks", "after_cutover_tasks"):
        path = tmp_path / f"{place}.yml"
        path.write_text(yaml.safe_dump([{"name": f"Note {place}", "ansible.builtin.lineinfile": {
            "path": str(places), "create": True, "mode": "0600",
            "line": f"{place} {{{{ rds_encryption_name }}}} {{{{ __rds_encryption_read.topology.members[0].source_identifier }}}}"}}]), encoding="utf-8")
        hooks[place] = str(path)
    hashes = {found for name in ("first", "first-replica") for said in Database(lab.instances()[name], lab.password).accounts().values()
              for found in re.findall(r"\*[0-9A-F]{40}", " ".join(said))}
    run = operator.run({"first": HOST}, "encrypt.yml", "-vvvv", "--diff", **hooks).good()
    assert places.read_text().splitlines() == ["before_fence_tasks first first", "validate_tasks first old-first", "after_cutover_tasks first old-first"]
    assert len(hashes) > 3 and len(run.output) > 20000
    shown = [secret for secret in (lab.password, lab.application_password, "lab-Cdc-1", *hashes) if secret in run.output]
    assert not shown
    there = lab.instances()
    assert there["first"]["KmsKeyId"] == there["first-replica"]["KmsKeyId"] == lab.key()
    assert "cdc@%" in Database(there["first-replica"], lab.password).accounts()


def test_what_was_made_under_an_earlier_fence_never_serves(lab, operator):
    """Stopped after the restore, name given back by hand, written to: the target of before lacks a write."""
    running = operator.start({"second": HOST})
    lab.await_call(lambda call: call["operation"] == "RestoreDBInstanceFromDBSnapshot" and call["parameters"]["DBInstanceIdentifier"] == "new-second", running)
    running.kill()
    lab.await_status("new-second", "available")
    rds = lab.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier="old-second", NewDBInstanceIdentifier="second", ApplyImmediately=True)
    instance = lab.await_status("second", "available")
    with Database(instance, lab.password).cursor() as cursor:
        cursor.execute("INSERT INTO app.items (name) VALUES ('written after the way back')")
    began = lab.now
    refused = operator.run({"second": HOST})
    assert refused.rc != 0
    assert "new-second exists already" in refused.failure("second") and "no longer in force, so it may lack writes" in refused.failure("second")
    assert lab.mutating(began, accepted=False) == []

    rds.modify_db_instance(DBInstanceIdentifier="new-second", NewDBInstanceIdentifier="stale-second", ApplyImmediately=True)
    lab.await_status("stale-second", "available")
    operator.run({"second": HOST}).good()
    encrypted = lab.instances()["second"]
    assert encrypted["KmsKeyId"] == lab.key()
    assert Database(encrypted, lab.password).rows("SELECT COUNT(*) FROM app.items WHERE name = 'written after the way back'") == [(1,)]
    assert encrypted["DbiResourceId"] != lab.instances()["stale-second"]["DbiResourceId"]
