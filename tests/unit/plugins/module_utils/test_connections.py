# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Who counts as connected, how it is said, and the wait until nobody is."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import WaitTimeoutError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import (
    Look,
    grouped,
    in_words,
    login_warnings,
    missing_rights,
    reader_warnings,
    sort_sessions,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.drain import drain


def row(number, user, command="Sleep", host="10.0.0.5:4711", db="shop"):
    return {"id": number, "user": user, "host": host, "db": db, "command": command, "time": 3, "state": ""}


PLATFORM = [
    row(1, "event_scheduler", "Daemon"),
    row(2, "system user", "Slave_IO"),
    row(3, "rdsadmin"),
    row(4, "rdsrepladmin", "Binlog Dump GTID"),
    row(5, "me"),
]


def test_sessions_of_server_and_platform_do_not_count():
    look = sort_sessions(PLATFORM, own_id=5)
    assert look.quiet and look.has_applier and look.log_readers == ()


def test_user_and_command_decide_together():
    rows = [*PLATFORM, row(6, "rdsrepladmin", "Query"), row(7, "cdc", "Binlog Dump"), row(8, "ours", "Binlog Dump")]
    look = sort_sessions(rows, 5, replication_users=("ours",))
    assert [session.id for session in look.clients] == [6]
    assert [session.id for session in look.log_readers] == [7]
    assert "cdc@10.0.0.5" in reader_warnings(look)[0]


def test_vouched_for_users_do_not_count_and_neither_do_their_transactions():
    look = sort_sessions([row(6, "monitor"), row(7, "app")], 5, transactions=[(6, 0), (7, 9), (0, 4)], ignore_users=("monitor",))
    assert [session.user for session in look.clients] == ["app"]
    assert look.transactions == ((7, 9),)


def test_a_prepared_transaction_is_not_quiet():
    assert not sort_sessions([], 5, prepared=["x"]).quiet


def test_words():
    look = sort_sessions([row(6, "app"), row(7, "app", "Query"), row(8, "etl", db=None, host="localhost")], 5, prepared=["t1"])
    assert grouped(look.clients)[0] == dict(user="app", host="10.0.0.5", database="shop", connections=2, idle=1, active=1)
    assert in_words(look) == (
        "2 connections of app@10.0.0.5 to shop (1 idle, 1 active); 1 connection of etl@localhost (1 idle, 0 active); "
        "1 prepared XA transaction(s): t1"
    )
    assert in_words(Look()) == "no client connections"
    assert in_words(sort_sessions([row(n, f"u{n}") for n in range(10, 30)], 5)).endswith("and 10 more")


def test_rights_are_read_from_the_grants_of_the_session():
    master = "GRANT SELECT, PROCESS, CREATE USER ON *.* TO `admin`@`%` WITH GRANT OPTION"
    assert missing_rights([master], True) == []
    assert missing_rights(["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"], True) == []
    assert [text.split(" (")[0] for text in missing_rights(["GRANT PROCESS ON `shop`.* TO `x`@`%`"], False)] == [
        "PROCESS",
        "CREATE USER",
        "GRANT OPTION on *.*",
        "SELECT on the mysql schema",
    ]


def test_warnings_at_login():
    report = dict(foreign_engines=[{"s": "old", "e": "MyISAM", "n": 2}], event_scheduler="ON", enabled_events=3)
    look = Look(prepared=("x",), blind=("open InnoDB transactions",))
    words = " ".join(login_warnings(report, look, read_only=False, is_replica=True))
    for expected in ("MyISAM", "prepared XA", "3 event(s)", "read_only=0", "Could not look at open InnoDB"):
        assert expected in words
    quiet = dict(foreign_engines=[], event_scheduler="ON", enabled_events=0)
    assert login_warnings(quiet, Look(), read_only=True, is_replica=True) == []


class FakeClock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def wait(looks, kill=None, clock=None, **times):
    answers = iter(looks)
    last = [None]

    def look():
        last[0] = next(answers, last[0])
        return last[0]

    return drain(look, kill, in_words, clock or FakeClock(), lambda line: None, **{"settle_time": 10, "wait_timeout": 300, **times})


BUSY = sort_sessions([row(6, "app")], 5)


def test_quiet_means_quiet_in_several_looks_over_the_settle_time():
    clock = FakeClock()
    wait([Look()], clock=clock)
    assert clock.now == 10


def test_a_pool_that_comes_back_starts_the_settling_anew():
    clock = FakeClock()
    wait([Look(), Look(), BUSY, Look()], clock=clock)
    assert clock.now == 25


def test_the_wait_has_a_limit_and_names_who_is_left():
    clock = FakeClock()
    with pytest.raises(WaitTimeoutError, match="1 connection of app@10.0.0.5 to shop"):
        wait([BUSY], clock=clock)
    assert 300 <= clock.now < 310


def test_killed_sessions_are_returned_and_those_already_gone_are_not():
    def kill(session):
        if session.id == 7:
            raise StatementError("Unknown thread id: 7", 1094)

    seen, killed = wait([sort_sessions([row(6, "app"), row(7, "app")], 5), Look()], kill=kill)
    assert seen.quiet and [session.id for session in killed] == [6]


def test_a_refused_kill_is_not_swallowed():
    def kill(session):
        raise StatementError("not owner", 1095)

    with pytest.raises(StatementError, match="not owner"):
        wait([BUSY], kill=kill)
