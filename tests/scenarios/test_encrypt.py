# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way on real servers, while applications write: predicted, done, judged, and done again to no effect."""

from __future__ import annotations

import collections
import re

import pytest
from rds_lab.writer import Writer
from scenario_lab import FENCE
from scenario_truth import BY_NATURE, BY_RENAME, OF_MULTI_AZ, Database, differences, replicates

# Names that pt-show-grants cannot print, or garbles; they are judged by SHOW CREATE USER and SHOW GRANTS alone.
UNPRINTABLE = {"prod": ("müller|ops",), "mysql": ("müller|ops",)}
OWN_ACCOUNTS_OF_REPLICAS = {"prod-one-replica2": ["cdc@%", "analyst's tool@10.1.%", "night_batch@%"], "shop-db-replica": ["cdc@%"]}
RETENTION = {"prod-one": "48", "prod-one-replica2": "168", "prod-three": "24", "shop-db": "72", "shop-db-replica": "24"}


class Story:
    """One lab, all that was done in it, and what was true before and after."""

    def __init__(self, lab, folder, judge):
        self.lab = lab
        self._judge = judge
        self.fleet_before = lab.instances()
        self.before = self._world(self.fleet_before)
        self.primaries = [name for name, instance in self.fleet_before.items() if not instance.get("ReadReplicaSourceDBInstanceIdentifier")]
        hosts = {name: {"rds_encryption_login_user": self.fleet_before[name]["MasterUsername"], "rds_encryption_warm_up_budget": 60} for name in self.primaries}
        operator = lab.operator(folder)
        self.calls = {}
        self.runs = {}
        self._run("plan", operator, hosts, "plan.yml")
        self._run("predicted", operator, hosts, "encrypt.yml", "--check")
        writers = [self._writer(name) for name in self.primaries]
        try:
            self._run("real", operator, hosts)
            for writer in writers:
                writer.wait_for(20)
        finally:
            for writer in writers:
                writer.stop()
        self.written = {writer.name.partition(".")[0]: writer.verify() for writer in writers}
        self.fleet_after = lab.instances()
        self.after = self._world(self.fleet_after)
        self._run("again", operator, hosts)
        self._run("predicted again", operator, hosts, "encrypt.yml", "--check")

    def _run(self, name: str, operator, *arguments) -> None:
        began = self.lab.now
        self.runs[name] = operator.run(*arguments, limit=400).good()
        self.calls[name] = self.lab.mutating(began, accepted=False)
        if name == "real":
            self.steps = self.lab.steps(began)

    def _world(self, fleet: dict) -> dict[str, dict]:
        found = {}
        for name, instance in fleet.items():
            database = Database(instance, self.lab.password)
            found[name] = {"tables": database.tables(), "accounts": database.accounts(), "settings": database.settings(),
                           "printed": database.printed_grants(self._judge)}
        return found

    def _writer(self, name: str) -> Writer:
        instance = self.fleet_before[name]
        return Writer(instance["Endpoint"]["Address"], port=instance["Endpoint"]["Port"], user="application", password=self.lab.application_password,
                      workers=2).start()

    def database(self, name: str) -> Database:
        return Database(self.fleet_after[name], self.lab.password)


@pytest.fixture(scope="module", params=["prod", "mysql"])
def fleet(request):
    """The name of a fleet that the lab ships."""
    return request.param


@pytest.fixture(scope="module")
def story(fleet, start_lab, databases, tmp_path_factory):
    """The story of a fleet."""
    lab = start_lab(fleet)
    yield Story(lab, tmp_path_factory.mktemp(fleet), databases / "percona" / "pt-show-grants")
    lab.stop()


def by_instance(steps) -> dict[str, list]:
    """Steps by the name that their resource belongs to: replicas are made side by side, so only the order of each counts."""
    found = collections.defaultdict(list)
    for action, resource in steps:
        found[re.sub(r"^(old|new)-|-FENCE.*$", "", resource)].append((action, resource))
    return dict(found)


def planned(steps: list[dict]) -> list[tuple[str, str]]:
    """Steps of a plan like those of the log of calls."""
    return [(step["action"], FENCE.sub("FENCE", step["resource"])) for step in steps]


# -- prediction ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["plan", "predicted", "again", "predicted again"])
def test_plan_check_mode_and_a_second_run_call_nothing_that_changes(story, run):
    assert story.calls[run] == []


def test_the_plan_holds_the_steps_that_were_executed(story):
    steps = [step for record in story.runs["plan"].results(kind="ok") if "topology" in record["result"]
             for step in planned(record["result"]["topology"]["steps"])]
    assert by_instance(steps) == by_instance(story.steps)


def test_check_mode_predicts_the_steps_that_were_executed(story):
    steps = [step for record in story.runs["predicted"].records if record["kind"] in ("ok", "item") and record["action"].startswith("dbre.rds_encryption.rds_")
             for step in planned(record["result"].get("plan", []))]
    assert by_instance(steps) == by_instance(story.steps)


def test_check_mode_predicts_which_accounts_are_carried(story):
    def carried(run):
        return sorted((record["host"], record["result"]["item"]["name"]) for record in story.runs[run].results("Carry accounts and settings", kind="item")
                      if record["result"]["changed"])

    assert carried("predicted") == carried("real")


def test_what_check_mode_would_warm_up_is_read_on_each_encrypted_instance(story):
    def servers(run):
        return [server for record in story.runs[run].results("Warm up (MySQL, MariaDB)", kind="ok") for server in record["result"]["servers"]]

    would, did = servers("predicted"), servers("real")
    assert {server["server"] for server in would} == set(story.fleet_before)
    assert {row["verdict"] for server in would for row in server["tables"]} == {"would be read"}
    assert {server["server"] for server in did} == {f"new-{name}" for name in story.fleet_before}
    assert all(server["complete"] and server["tables"] and server["after_ms"] for server in did)


def test_a_second_run_changes_nothing(story):
    for run in ("again", "predicted again"):
        assert story.runs[run].changed == dict.fromkeys(story.primaries, 0)
    assert all(story.runs["real"].changed.values())


# -- instances -------------------------------------------------------------------------------------------------------------------------


def test_every_instance_is_encrypted_with_the_asked_key_under_its_name(story):
    key = story.lab.key()
    for name in story.fleet_before:
        after = story.fleet_after[name]
        assert (after["StorageEncrypted"], after["KmsKeyId"], after["DBInstanceStatus"]) == (True, key, "available"), name
        assert after["DbiResourceId"] != story.fleet_before[name]["DbiResourceId"]
    assert set(story.fleet_after) == {*story.fleet_before, *(f"old-{name}" for name in story.fleet_before)}


def test_every_attribute_is_equal_or_explained(story):
    for name, before in story.fleet_before.items():
        explained = {*BY_NATURE, *(OF_MULTI_AZ if before["MultiAZ"] else ())}
        unexplained = {member: values for member, values in differences(before, story.fleet_after[name]).items() if member not in explained}
        assert not unexplained, name


def test_the_originals_are_kept_unencrypted_and_unchanged(story):
    for name, before in story.fleet_before.items():
        old = story.fleet_after[f"old-{name}"]
        assert not old["StorageEncrypted"] and old["DbiResourceId"] == before["DbiResourceId"]
        assert set(differences(before, old)) <= BY_RENAME, name
        tags = [tag for tag in old["TagList"] if not tag["Key"].startswith("rds-encryption:")]
        assert sorted(tags, key=str) == sorted(before["TagList"], key=str)
        assert story.before[name]["tables"] == story.after[f"old-{name}"]["tables"]


def test_nothing_was_deleted(story):
    assert not [step for step in story.steps if step[0].startswith("Delete")]


# -- databases -------------------------------------------------------------------------------------------------------------------------


def test_rows_and_checksums_are_equal(story):
    for name in story.fleet_before:
        assert story.before[name]["tables"] and story.after[name]["tables"] == story.before[name]["tables"], name


def test_no_acknowledged_write_is_lost_or_doubled_and_writing_goes_on(story):
    assert set(story.written) == set(story.primaries)
    for name, report in story.written.items():
        assert (report["missing"], report["doubled"]) == (0, 0), report
        assert report["ok"] and report["outage_seconds"] > 1, report
        assert len(report["servers"]) > 1, f"{name}: the writer never came to another server"


def test_replicas_replicate(story):
    number = 0
    for name, instance in story.fleet_after.items():
        source = instance.get("ReadReplicaSourceDBInstanceIdentifier")
        if source and not name.startswith("old-"):
            number += 1
            replicates(story.database(source), story.database(name), number)
    assert number == len(story.fleet_before) - len(story.primaries) > 0


def canonical(statements: list[str]) -> list[str]:
    """SHOW GRANTS with the columns of each privilege in order: the server shows them in the order of its memory."""
    column = r"`(?:[^`]|``)*`"
    return [re.sub(rf"\(({column}(?:, {column})*)\)", lambda found: f"({', '.join(sorted(re.findall(column, found[1])))})", statement)
            for statement in statements]


def test_accounts_are_equal_by_what_the_server_says(story):
    for name in story.fleet_before:
        before, after = ({account: canonical(said) for account, said in world[name]["accounts"].items()} for world in (story.before, story.after))
        assert len(before) > 5 and after == before, name


def test_accounts_are_equal_by_pt_show_grants(story, fleet):
    for name in story.fleet_before:
        before, after = ([line for line in world[name]["printed"] if not any(user in line.encode("latin-1").decode("utf-8", "replace") or
                                                                             user in line for user in UNPRINTABLE[fleet])]
                         for world in (story.before, story.after))
        assert len(before) > 5 and sorted(after) == sorted(before), name


def test_replicas_keep_their_own_accounts_and_settings(story, fleet):
    for name, accounts in OWN_ACCOUNTS_OF_REPLICAS.items():
        if name in story.fleet_before:
            assert set(accounts) <= set(story.after[name]["accounts"])
            primary = story.fleet_before[name]["ReadReplicaSourceDBInstanceIdentifier"]
            assert not set(accounts) & set(story.after[primary]["accounts"])
    for name in story.fleet_before:
        assert story.after[name]["settings"] == story.before[name]["settings"]
        if name in RETENTION:
            assert story.after[name]["settings"]["binlog retention hours"] == RETENTION[name]


def test_no_password_or_hash_was_shown(story):
    said = "".join(run.output for run in story.runs.values())
    hashes = {found for world in story.before.values() for account in world["accounts"].values() for text in account
              for found in re.findall(r"\*[0-9A-F]{40}|0x[0-9A-F]{40,}", text)}
    assert len(hashes) > 3
    assert not [secret for secret in (story.lab.password, story.lab.application_password, *hashes) if secret in said]
