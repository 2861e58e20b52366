# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 8, and names that mean harm: whole runs at -vvvv with every log and cache on, and every byte of what they leave searched."""

from __future__ import annotations

import contextlib
import json
import pathlib
import stat
import threading

import pytest
import yaml
from scenario_lab import QUICK, REGION
from scenario_play import Operator, descendants
from scenario_truth import Database

from iam_actions import access_key_of  # isort: skip  (scenario_play has put its folder into the path)

MASTER = "Vault-Master-9a71"
WRONG = "Vault-Wrong-5d20"
# Passwords of accounts: the collection never learns them, so none may appear whatever happens.
CLEAR = ("Vault-Application-1", "Vault-Old-1", "Vault-New-1", "Vault-Repl-1", "Vault-Brien-1", "Vault-Ed-1", "Vault-Native-1", "Vault-Cdc-1")
ESCAPE = "\x1b]0;taken\x07\x1b[2J"


def fleet() -> dict:
    """A MySQL topology that is logged in to with a password, and a MariaDB one whose master password RDS manages."""
    common = {"DBInstanceClass": "db.t4g.medium", "MasterUsername": "admin", "AllocatedStorage": 20, "BackupRetentionPeriod": 1}
    evil_names = ["semi; DROP TABLE app.victim; --", "quo'te\"d", "back`tick", "per%cent %s %(x)s", "{{ 7*7 }}", "new\nline", ESCAPE[:4]]
    tables = [f"CREATE TABLE app.`{name.replace('`', '``')}` (`{name.replace('`', '``')}` INT PRIMARY KEY)" for name in evil_names]
    harmful = [
        "CREATE DATABASE app CHARACTER SET utf8mb4",
        "CREATE TABLE app.victim (id INT PRIMARY KEY)",
        *tables,
        "CREATE DATABASE `o'schema; --`",
        "CREATE TABLE `o'schema; --`.`t` (id INT PRIMARY KEY)",
        "CREATE USER 'o''brien'@'%' IDENTIFIED BY 'Vault-Brien-1'",
        "GRANT SELECT ON `app`.`back``tick` TO 'o''brien'@'%'",
        "GRANT SELECT ON `o'schema; --`.* TO 'o''brien'@'%'",
        "CREATE USER 'application'@'%' IDENTIFIED BY 'Vault-Application-1'",
    ]
    only_on_the_replica = [
        "CREATE USER 'cdc`; --'@'%' IDENTIFIED BY 'Vault-Cdc-1'",
        f"CREATE USER '{ESCAPE}'@'%' IDENTIFIED BY 'Vault-Cdc-1'",
        "CREATE USER '{{ lookup(''pipe'',''id'') }}'@'%' IDENTIFIED BY 'Vault-Cdc-1'",
        "CREATE USER '%s %(user)s'@'%' IDENTIFIED BY 'Vault-Cdc-1'",
        "GRANT REPLICATION SLAVE ON *.* TO 'cdc`; --'@'%'",
    ]
    mysql_accounts = [
        "CREATE USER 'two'@'%' IDENTIFIED BY 'Vault-Old-1'",
        "ALTER USER 'two'@'%' IDENTIFIED BY 'Vault-New-1' RETAIN CURRENT PASSWORD",
        "CREATE USER 'repl'@'%' IDENTIFIED BY 'Vault-Repl-1'",
        "GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'",
        "CREATE DEFINER='o''brien'@'%' VIEW app.of_obrien AS SELECT id FROM app.victim",
        "CREATE DEFINER='o''brien'@'%' PROCEDURE app.`p``; --`() SELECT 1",
        "GRANT EXECUTE ON PROCEDURE app.`p``; --` TO 'o''brien'@'%'",
    ]
    mariadb_accounts = ["CREATE USER 'native'@'%' IDENTIFIED BY 'Vault-Native-1'"]
    return {
        "name": "vault", "group": "prod", "region": REGION, "master_password": MASTER, "kms_keys": ["prod-rds"],
        "application": {"user": "application", "password": "Vault-Application-1", "database": "app"},
        "parameter_groups": {"writable": {"family": "mysql8.4", "values": {"read_only": 0}}},
        "instances": [
            {**common, "DBInstanceIdentifier": "alpha", "Engine": "mysql", "EngineVersion": "8.4.7", "Sql": ["harmful", "mysql"]},
            {"DBInstanceIdentifier": "alpha-replica", "ReadReplicaSourceDBInstanceIdentifier": "alpha", "Engine": "mysql",
             "DBParameterGroups": [{"DBParameterGroupName": "writable", "ParameterApplyStatus": "in-sync"}], "Sql": ["replica"]},
            {**common, "DBInstanceIdentifier": "beta", "Engine": "mariadb", "EngineVersion": "10.11.14", "Sql": ["harmful", "mariadb"],
             "MasterUserSecret": {"SecretStatus": "active"}},
        ],
        "sql": {"harmful": harmful, "mysql": mysql_accounts, "mariadb": mariadb_accounts, "replica": only_on_the_replica},
    }


class Watch:
    """Looks at the arguments and the environment of a process and all that it starts, again and again."""

    def __init__(self, running):
        self._running, self._over, self.seen = running, threading.Event(), set()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            for pid in descendants(self._running.process.pid):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        self.seen.add(pathlib.Path(f"/proc/{pid}/{name}").read_bytes())

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def hashes_of(database: Database) -> set[bytes]:
    """What the server stores for the passwords of accounts: as it is, in hexadecimal, and the printable half of it."""
    found = set()
    if database.instance["Engine"] == "mysql":
        with database.cursor() as cursor:
            cursor.execute("SELECT HEX(authentication_string), HEX(User_attributes) FROM mysql.user WHERE user NOT LIKE 'mysql.%'")
            stored = [bytes.fromhex(value) for row in cursor.fetchall() for value in row if value]
    else:
        stored = [bytes.fromhex(row[0]) for row in database.rows("SELECT HEX(JSON_VALUE(Priv, '$.authentication_string')) FROM mysql.global_priv") if row[0]]
    for value in stored:
        if value.startswith(b"{"):
            value = str(json.loads(value).get("additional_password", "")).encode()
        if len(value) > 12 and value != b"invalid":
            # Of $A$005$ + 20 bytes of salt + 43 characters, the salt is printed in a dozen ways; the rest is text.
            found |= {value, value.hex().encode(), value.hex().upper().encode(), value[-40:]}
    return found


class Story:
    """All runs in one lab, and all that they left."""

    def __init__(self, lab, folder: pathlib.Path):
        self.lab, self.folder = lab, folder
        self.left = folder / "left"
        self.left.mkdir()
        self.watched: list[bytes] = []
        self.runs = {}
        secrets = lab.client("secretsmanager")
        self.own_arn = secrets.create_secret(Name="vault/own", SecretString=json.dumps({"username": "admin", "password": MASTER}))["ARN"]
        before = lab.instances()
        self.managed_arn = before["beta"]["MasterUserSecret"]["SecretArn"]
        self.managed = json.loads(secrets.get_secret_value(SecretId=self.managed_arn)["SecretString"])["password"]
        self.secrets = {MASTER.encode(), WRONG.encode(), self.managed.encode(), *map(str.encode, CLEAR)}
        for name in before:
            self.secrets |= hashes_of(self._database(before[name]))
        # Not what lab.operator() exports: the password is not in the environment either.
        reach = {name: value for name, value in lab.environment.items() if name.startswith("AWS_")}
        self.operator = Operator(folder / "runs", reach, QUICK)
        # Only this file of the operator holds the password, as a vault would.
        self.vault = folder / "vault.yml"
        self.vault.write_text(yaml.safe_dump({"the_password": MASTER, "wrong": WRONG}))
        password = {"rds_encryption_login_user": "admin", "rds_encryption_login_password": "{{ the_password }}"}
        self._fail({"alpha": {**password, "rds_encryption_login_password": "{{ wrong }}"}, "beta": {}})
        by_secret = {"alpha": {"rds_encryption_login_secret_id": self.own_arn}, "beta": {}}
        self._run("plan", by_secret, "plan.yml")
        self._run("predicted", {"alpha": password, "beta": {}}, "encrypt.yml", "--check", "--diff")
        # Built by one identity, given the names by another: the second run goes through all of it again.
        self._run("built", {"alpha": password, "beta": {}}, "encrypt.yml", "--diff", good=False, cutover_pause=True)
        self._run("cut over", by_secret, "encrypt.yml", "--diff", environment={"AWS_ACCESS_KEY_ID": access_key_of("cutover")})
        self.after = lab.instances()
        self.managed_anew = json.loads(secrets.get_secret_value(SecretId=self.after["beta"]["MasterUserSecret"]["SecretArn"])["SecretString"])["password"]
        self.secrets.add(self.managed_anew.encode())
        self.content = {name: self._content(self.after[name], password) for name, password in (("alpha", MASTER), ("beta", self.managed_anew))}
        self.users = {row[0] for row in Database(self.after["alpha-replica"], MASTER).rows("SELECT user FROM mysql.user")}
        self._modules()
        self._run("audited", {"localhost": {}}, "audit.yml", good=False, audit_file=str(self.left / "audit.json"))
        self._run("captured", {"localhost": {}}, "capture.yml", capture_file=str(self.left / "captured.json"))
        self._run("retired", {"alpha": password}, "retire.yml", "--diff", retire_action="delete", retire_after_days=0, retire_confirm=["alpha"])
        self._run("taken back", {"beta": {}}, "rollback.yml", "--diff", rollback_discard_writes=True)

    def _database(self, instance: dict) -> Database:
        return Database(instance, self.managed if instance["DBInstanceIdentifier"] == "beta" else MASTER)

    def _content(self, instance: dict, password: str) -> tuple:
        """Rows of the table that the names want dropped, and how many tables there are."""
        database = Database(instance, password)
        tables = database.rows("SELECT 1 FROM information_schema.tables WHERE table_schema = 'app' AND table_type = 'BASE TABLE'")
        return database.rows("SELECT COUNT(*) FROM app.victim"), len(tables)

    def _fail(self, hosts: dict) -> None:
        """A wrong password, and an AWS that repeats what it should not."""
        self.lab.faults({"service": "secretsmanager", "operation": "GetSecretValue", "kind": "error", "code": "InternalServiceError", "http_status": 400,
                         "message": f"{ESCAPE}{self.managed_arn} cannot be read"})
        self._run("refused", hosts, "plan.yml", good=False)
        self.lab.admin("DELETE", "faults")

    def _run(self, name: str, hosts, playbook: str, *arguments: str, good: bool = True, environment: dict | None = None, **variables) -> None:
        environment = {
            **(environment or {}),
            "ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_LOG_PATH": str(self.left / f"{name}.log"), "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.left / f"{name}.facts"), "ANSIBLE_LOCAL_TEMP": str(self.left / "local"),
            "ANSIBLE_REMOTE_TMP": str(self.left / "remote"), "ANSIBLE_GATHERING": "explicit",
        }
        running = self.operator.start(hosts, playbook, "-vvvv", "-e", f"@{self.vault}", *arguments, environment=environment, **variables)
        watch = Watch(running)
        run = running.wait(400)
        watch.end()
        self.watched += watch.seen
        self.runs[name] = run.good() if good else run
        if not good:
            assert run.rc != 0, name

    def _modules(self) -> None:
        """The modules as processes of their own, as with an environment or async; nothing is kept of them here."""
        book = self.folder / "modules.yml"
        login = {"db_instance_identifier": "{{ inventory_hostname }}", "login_user": "admin", "login_password": "{{ the_password }}"}
        old = {**login, "db_instance_identifier": "old-{{ inventory_hostname }}"}
        task = {"dbre.rds_encryption.mysql_user_sync": {"source": old, "target": login}, "check_mode": True}
        book.write_text(yaml.safe_dump([{
            "name": "As modules", "hosts": "all", "gather_facts": False, "connection": "local",
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "tasks": [{"name": "With an environment", **task, "environment": {"ANY": "thing"}}, {"name": "In the background", **task, "async": 60, "poll": 1}],
        }]))
        running = self.operator.start(["alpha"], str(book), "-vvvv", "-e", f"@{self.vault}",
                                      environment={"ANSIBLE_LOG_PATH": str(self.left / "modules.log"), "ANSIBLE_ASYNC_DIR": str(self.left / "async")})
        watch = Watch(running)
        self.runs["modules"] = running.wait(200).good()
        watch.end()
        self.watched += watch.seen

    def everything(self):
        """(where, bytes) of all that was said or left: output, records, logs, caches, kept files, the lab's log of calls, processes."""
        for folder in (self.left, self.folder / "runs"):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield str(path.relative_to(self.folder)), path.read_bytes()
        yield "the lab's log of calls", json.dumps(self.lab.admin("GET", "calls")).encode()
        for number, text in enumerate(self.watched):
            yield f"process {number}", text


@pytest.fixture(scope="module")
def story(start_lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vault")
    path = folder / "fleet.yml"
    path.write_text(yaml.safe_dump(fleet(), allow_unicode=True), encoding="utf-8")
    return Story(start_lab(path, timescale=600), folder)


def test_no_secret_is_in_anything_that_a_run_says_or_leaves(story):
    assert len(story.secrets) > 30 and len(story.watched) > 10
    found = {(where, secret) for where, text in story.everything() for secret in story.secrets if secret in text}
    assert not found, sorted(found)[:10]


def test_no_arn_of_a_secret_is_in_anything_but_what_the_operator_wrote(story):
    arns = [story.managed_arn, story.after["beta"]["MasterUserSecret"]["SecretArn"], story.own_arn]
    found = {where for where, text in story.everything() for arn in arns if arn.encode() in text}
    # The operator named one of them in the inventory; the lab's log holds what AWS was asked.
    assert {where for where in found if not where.endswith("inventory.json")} <= {"the lab's log of calls"}


def test_what_the_runs_did_is_what_was_to_be_kept_secret(story):
    """Otherwise nothing would have been searched: accounts were made, hashes were masked, secrets were read."""
    made = json.dumps([record["result"] for record in story.runs["built"].results(task="Carry accounts and settings")])
    assert "<hidden>" in made and "CREATE USER `cdc``; --`@`%`" in made
    assert any(call["operation"] == "GetSecretValue" for call in story.lab.admin("GET", "calls")["calls"])
    assert "wrong user or password" in story.runs["refused"].failure("alpha").lower()
    assert "InternalServiceError" in story.runs["refused"].failure("beta")
    assert "nobody said yes" in story.runs["built"].failure("alpha") + story.runs["built"].failure("beta")
    there = story.lab.instances()
    assert "old-alpha" not in there and "alpha" in there, "nothing was retired"
    assert "new-beta" in there and not there["beta"]["StorageEncrypted"], "nothing was taken back"
    assert "old-alpha" in story.runs["audited"].output and (story.left / "captured.json").stat().st_size > 1000
    assert [result["result"]["counts"]["equal"] for result in story.runs["modules"].results(kind="ok")] == [10, 10]


def test_names_that_mean_harm_do_none(story):
    for name in ("alpha", "beta"):
        assert story.after[name]["StorageEncrypted"]
        assert story.content[name] == ([(0,)], 8)
    assert story.users >= {"cdc`; --", ESCAPE, "{{ lookup('pipe','id') }}", "%s %(user)s", "o'brien"}
    assert "uid=" not in "".join(run.output for run in story.runs.values())


def test_no_escape_sequence_reaches_the_terminal(story):
    for name, run in story.runs.items():
        assert "\x1b" not in run.output and "\x07" not in run.output, name
        assert "\\x1b" in run.output or name not in ("built", "refused"), f"{name}: the name is not shown at all"


def test_what_is_left_is_for_the_operator_alone(story):
    """Files that the collection itself writes; Ansible's log and caches are Ansible's."""
    written = [path for path in (story.folder / "runs").rglob("*") if path.is_file() and path.name not in ("inventory.json", "output", "record")
               and not {"ansible", "tmp"} & set(path.relative_to(story.folder / "runs").parts)]
    readable = [str(path) for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert not readable


def test_texts_from_aws_are_not_templated(double, operator, tmp_path):
    """A description that somebody gave to a maintenance action goes through the plan, the assertion and the message."""
    marker = tmp_path / "touched"
    double.seed("one")
    text = f"{{{{ lookup('pipe', 'touch {marker}') }}}} {{% raw %}} \u202e\u0085 {{{{ rds_encryption_kms_key_id }}}}"
    double.plane.seed_maintenance("one", REGION, "system-update", text)
    run = operator.run(["one"], "plan.yml", "-vvvv")
    assert run.rc != 0 and not marker.exists()
    assert "lookup('pipe'" in run.failure("one") and "{{ rds_encryption_kms_key_id }}" in run.failure("one")
    assert "\u202e" not in run.output and "\\u202e" in run.failure("one")
