# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database servers that fail in the middle, and DNS that is late: the same end, nothing lost, no server taken for another."""

from __future__ import annotations

import socket
import time

import yaml
from scenario_crash import Served, Story
from scenario_restarts import Restarter

# Before the snapshot of the fence the source may fail; later that would be a restart that somebody has to vouch for.
MOMENTS = {
    ("small", "SHOW FULL PROCESSLIST"),
    ("old-small", "SHOW FULL PROCESSLIST"),
    ("new-small", "global_priv"),
    ("new-small-replica", "CREATE USER"),
    ("new-small", "CHECKSUM TABLE"),
    ("new-small-replica", "information_schema.tables"),
    ("small-replica", "SHOW GRANTS"),
}


def address_of(name: str) -> str | None:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return None


def await_address(name: str, limit: float = 60) -> None:
    """A name is in DNS."""
    deadline = time.monotonic() + limit
    while address_of(name) is None:
        assert time.monotonic() < deadline, f"{name} is unknown after {limit} s"
        time.sleep(0.05)


def test_servers_that_fail_and_dns_that_is_late(databases, tmp_path):
    lab = Served(tmp_path / "lab", "small")
    story = Story(lab, engines=True)
    restarter = Restarter(lab, MOMENTS)
    endpoint = story.before["small"]["Endpoint"]["Address"]
    try:
        operator = lab.operator(tmp_path / "runs")
        host = {"small": {"rds_encryption_login_user": lab.fleet.hosts()[0]["user"]}}
        lab.admin("POST", "settings", {"dns_delay": 1e9})
        running = operator.start(host, environment=restarter.environment)
        for name in ("old-small", "small"):
            running.await_output(f"server {name}: DNS does not know {name}.")
            # Both members were renamed when somebody logs in to one of them.
            lab.admin("POST", "settings", {"dns_delay": 0})
            await_address(endpoint.replace("small.", f"{name}."))
            await_address(endpoint.replace("small.", f"{name}-replica."))
            lab.admin("POST", "settings", {"dns_delay": 1e9})
        run = running.wait(400).good()
        assert not restarter.due, f"these did not fail: {restarter.due}"
        assert run.output.count("Beginning anew") >= 3
        story.judge()
        stale(lab, operator, host, tmp_path)
    finally:
        story.end()
        lab.stop()


def stale(lab, operator, host: dict, folder) -> None:
    """DNS takes the encrypted instance for the original: nobody compares a server with itself, or takes one for the other."""
    login = {"login_user": "{{ rds_encryption_login_user }}", "login_password": "{{ rds_encryption_login_password }}", "dns_timeout": 1}
    names = [{**login, "db_instance_identifier": name} for name in ("old-small", "small")]
    tasks = [{"dbre.rds_encryption.mysql_connections": {"connection": names[1], "other_than": "old-small", "login_only": True}},
             {"dbre.rds_encryption.mysql_user_sync": {"source": names[0], "target": names[1]}},
             {"dbre.rds_encryption.mysql_data_diff": {"source": names[0], "target": names[1], "fail_on_difference": False}}]
    tasks = [{"name": f"Task {number}", "ignore_errors": "{{ stale }}", **task} for number, task in enumerate(tasks, 1)]
    book = folder / "stale.yml"
    book.write_text(yaml.safe_dump([{"name": "Late", "hosts": "all", "gather_facts": False, "connection": "local", "tasks": tasks,
                                     "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}}]))
    lab.admin("POST", "dns", {"name": "small", "instance": "old-small"})
    run = operator.run(host, str(book), "-e", "{stale: true}").good()
    for number in (1, 2, 3):
        record = run.results(f"Task {number}")[0]
        assert record["kind"] == "ignored" and "lead to the same server" in record["result"]["msg"], record
    assert "Waiting for DNS" in run.output
    lab.admin("POST", "dns", {"name": "small", "instance": "small"})
    run = operator.run(host, str(book), "-e", "{stale: false}").good()
    assert run.results("Task 3")[0]["result"]["equal"] is False, "the application has written since"
