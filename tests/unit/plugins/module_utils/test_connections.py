# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Who counts as connected, how it is said, and the wait until nobody is."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import postgresql as postgresql_adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError, WaitTimeoutError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import mysql_connections as mysql
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import postgresql_connections as postgresql
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import Known, Look, grouped, in_words
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import sort_sessions as sort_by_rules
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.mysql_connections import login_warnings, missing_rights, reader_warnings
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.drain import drain


def sort_sessions(rows, own_id, replication_users=(), ignore_users=(), **more):
    known = Known(own_id, frozenset(replication_users), frozenset(ignore_users))
    return sort_by_rules(mysql.RULES, [mysql.session_from(one) for one in rows], known, **more)


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
        "1 prepared transaction(s): t1"
    )
    assert in_words(Look()) == "no client connections"
    assert in_words(sort_sessions([row(n, f"u{n}") for n in range(10, 30)], 5)).endswith("and 10 more")


def test_rights_are_read_from_the_grants_of_the_session():
    master = "GRANT SELECT, PROCESS, CREATE USER ON *.* TO `admin`@`%` WITH GRANT OPTION"
    assert missing_rights(dict(grants=[master], account_tables_readable=True)) == []
    assert missing_rights(dict(grants=["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"], account_tables_readable=True)) == []
    assert [text.split(" (")[0] for text in missing_rights(dict(grants=["GRANT PROCESS ON `shop`.* TO `x`@`%`"], account_tables_readable=False))] == [
        "PROCESS",
        "CREATE USER",
        "GRANT OPTION on *.*",
        "SELECT on the mysql schema",
    ]


def test_warnings_at_login():
    report = dict(foreign_engines=[{"s": "old", "e": "MyISAM", "n": 2}], event_scheduler="ON", enabled_events=["a.x", "a.y", "b.z"])
    look = Look(prepared=("x",), blind=("open InnoDB transactions",))
    words = " ".join(login_warnings(report, look, read_only=False, is_replica=True))
    for expected in ("MyISAM", "prepared transaction", "3 event(s)", "read_only=0", "Could not look at open InnoDB"):
        assert expected in words
    quiet = dict(foreign_engines=[], event_scheduler="ON", enabled_events=[])
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
        return session.id != 7

    seen, killed = wait([sort_sessions([row(6, "app"), row(7, "app")], 5), Look()], kill=kill)
    assert seen.quiet and [session.id for session in killed] == [6]


def test_who_writes_between_two_looks_keeps_the_server_from_being_quiet():
    """A client that connects, writes and leaves is never seen; the table tells. Then it is looked for so often that it is seen and ended."""
    clock, lines = FakeClock(), []
    late = [Look()] * 3 + [Look()] * 50 + [BUSY, Look()]
    answers = iter(late)
    seen, killed = drain(
        lambda: next(answers, Look()),
        lambda session: True,
        in_words,
        clock,
        lines.append,
        settle_time=10,
        wait_timeout=300,
        writes=lambda: {"shop.orders": 1 if clock.now < 8 else 2, "shop.items": 1},
    )
    assert seen.quiet and [session.user for session in killed] == ["app"]
    assert any("somebody wrote to shop.orders between two looks" in line for line in lines)
    assert clock.now >= 10 + 50 * 0.05 + 10, "and it must have been quiet again since"


def test_who_always_writes_and_is_never_seen_is_named_by_what_he_writes_to():
    clock = FakeClock()
    with pytest.raises(WaitTimeoutError, match="After 3.. seconds somebody wrote to shop.orders"):
        drain(Look, None, in_words, clock, lambda line: None, settle_time=10, wait_timeout=300, writes=lambda: {"shop.orders": clock.now})


def test_who_sees_only_his_own_login_leaves_now_and_then_and_nobody_leaves_for_anybody_else():
    alike = sort_sessions([row(5, "admin"), row(6, "admin")], 5)
    assert alike.mirrored
    for other in ([row(5, "admin"), row(6, "app")], [row(6, "admin")], [row(5, "admin")], [row(5, "admin"), row(6, "admin"), row(7, "app")]):
        assert not sort_sessions(other, 5).mirrored
    assert not sort_sessions([row(5, "admin"), row(6, "admin")], 5, prepared=["t1"]).mirrored
    clock, left, lots = FakeClock(), [], iter([0.9, 0.1])

    def leave(seconds):
        left.append(seconds)
        clock.sleep(seconds)

    seen, _killed = wait([alike] * 6 + [Look()], clock=clock, leave=leave, jitter=lambda: next(lots))
    assert seen.quiet and left == [pytest.approx(3.3), pytest.approx(27.5)], "the other one needs ten seconds, and looks every five"
    with pytest.raises(WaitTimeoutError, match="1 connection of app"):
        wait([BUSY], leave=pytest.fail)
    clock, ended = FakeClock(), []
    with pytest.raises(WaitTimeoutError, match="connection of admin"):
        wait([alike], clock=clock, kill=lambda session: ended.append(session) or True, leave=leave, jitter=lambda: 0.1)
    assert 1 < len(ended) < 10 and clock.now < 310, "killing and leaving take turns, within the limit"


def test_a_refused_kill_is_not_swallowed():
    def kill(session):
        raise StatementError("not owner", 1095)

    with pytest.raises(StatementError, match="not owner"):
        wait([BUSY], kill=kill)


# -- PostgreSQL -------------------------------------------------------------------------------------------------------------------------


def backend(pid, user="app", kind="client backend", state="idle", **more):
    shown = dict(datname="shop", client_addr="10.0.0.5", application_name="", backend_start="2026-01-01 00:00:00+00", in_transaction=False)
    return {"pid": pid, "usename": user, "backend_type": kind, "state": state, **shown, **more}


def look_at(rows, own_id=1, replication_users=(), ignore_users=(), **more):
    known = Known(own_id, frozenset(replication_users), frozenset(ignore_users))
    sessions = [postgresql.session_from(one) for one in rows]
    return sort_by_rules(postgresql.RULES, sessions, known, transactions=postgresql.transactions_of(rows), **more)


OF_THE_SERVER = [
    "autovacuum launcher", "autovacuum worker", "background writer", "checkpointer", "walwriter", "archiver", "startup", "walreceiver",
    "logical replication launcher", "parallel worker", "pg_cron launcher", "io worker", "slotsync worker",
]  # fmt: skip


def test_processes_of_the_server_and_of_the_platform_do_not_count():
    rows = [backend(n, None, kind, None, datname=None, client_addr=None) for n, kind in enumerate(OF_THE_SERVER, 10)]
    rows += [backend(1, "me"), backend(2, "rdsadmin"), backend(3, "rdstopmgr"), backend(4, "rdsrepladmin", "walsender", "active")]
    look = look_at(rows)
    assert look.quiet and look.log_readers == () and look.clients == ()


def test_a_walsender_counts_by_user_and_type():
    rows = [
        backend(5, "rdsrepladmin"),
        backend(6, "debezium", "walsender", "active", application_name="Debezium Streaming"),
        backend(7, "ours", "walsender", "active"),
    ]
    look = look_at(rows, replication_users=("ours",), slots=["cdc (pgoutput, database shop, in use)"])
    assert [session.id for session in look.clients] == [5]
    assert [session.id for session in look.log_readers] == [6]
    said = " ".join(postgresql.reader_warnings(look))
    assert "debezium@10.0.0.5 ('Debezium Streaming')" in said and "slot cdc (pgoutput" in said


@pytest.mark.parametrize(
    "kind", ["logical replication worker", "logical replication apply worker", "logical replication parallel worker", "logical replication tablesync worker"]
)
def test_a_subscription_writes_behind_the_fence(kind):
    assert not look_at([backend(5, "postgres", kind, None)]).quiet
    assert look_at([backend(5, "postgres", kind, None)], ignore_users=("postgres",)).quiet


def test_an_enabled_subscription_is_refused_before_the_fence():
    rows = [dict(subname="from_erp", subenabled=True, datname="shop"), dict(subname="off", subenabled=False, datname="shop")]
    assert "from_erp of database shop" in postgresql.inbound_refusals(rows)[0]
    assert postgresql.inbound_refusals(rows[1:]) == []


def test_sessions_of_the_check_itself_do_not_count():
    assert look_at([backend(5, "postgres", application_name="dbre.rds_encryption")]).quiet


def test_what_the_login_may_not_see_counts():
    assert not look_at([backend(5, "app", None, None, client_addr=None)]).quiet


def test_words_name_database_and_application_and_open_transactions():
    rows = [
        backend(5, application_name="rails"),
        backend(6, application_name="rails", state="idle in transaction", in_transaction=True),
        backend(7, "me2", client_addr=None, in_transaction=True, state="active", datname="other"),
        backend(8, "monitor", in_transaction=True),
    ]
    look = look_at(rows, ignore_users=("monitor",), prepared=["order-7 of app in shop"])
    assert grouped(look.clients)[0] == dict(
        user="app", host="10.0.0.5", database="shop", application="rails", connections=2, idle=1, active=1
    )
    assert in_words(look) == (
        "2 connections of app@10.0.0.5 to shop by 'rails' (1 idle, 1 active); 1 connection of me2@local to other by 'client backend' (0 idle, 1 active); "
        "1 prepared transaction(s): order-7 of app in shop; 2 open transaction(s)"
    )
    assert not look_at([], prepared=["x"]).quiet


def test_rights_to_see_and_to_end_sessions():
    assert postgresql.missing_rights({"pg_read_all_stats": True, "pg_signal_backend": True}) == []
    assert [text.split()[0] for text in postgresql.missing_rights({"pg_read_all_stats": False})] == ["pg_read_all_stats", "pg_signal_backend"]


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(postgresql_adapter, "psycopg", None)
    with pytest.raises(EncryptionError, match="psycopg"):
        postgresql_adapter.Server({}, "server prod-one")


def test_libpq_is_told_how_to_protect_the_connection(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    place = dict(host="h", port=5432, socket=None, user="u", password="p")

    def told(**options):
        return postgresql_adapter.login_arguments(options, **place)

    assert told()["sslmode"] == "prefer" and told()["dbname"] == "postgres"
    assert told(ca_cert=str(ca)) == dict(host="h", port=5432, user="u", password="p", dbname="postgres", sslrootcert=str(ca), sslmode="verify-full")
    assert told(ca_cert=str(ca), ssl_mode="verify-ca", login_db="shop")["sslmode"] == "verify-ca"
    for options in (dict(ssl_mode="verify-full"), dict(ca_cert=str(ca), ssl_mode="require"), dict(ca_cert=str(tmp_path / "none.pem"))):
        with pytest.raises(EncryptionError):
            told(**options)


def test_what_a_copy_changes_or_starts_is_said():
    shop = dict(
        name="shop",
        unlogged=[f"cache{number}" for number in range(7)],
        publications=["orders_pub"],
        cron_jobs=2,
        foreign_servers=[dict(srvname="legacy", fdwname="postgres_fdw", host="old-erp.example", mappings=1)],
    )
    plain = dict(name="plain", unlogged=[], publications=[], cron_jobs=None, foreign_servers=[])
    report = dict(in_recovery=False, databases=[shop, plain], blind=("database secret (no)",))
    said = postgresql.login_warnings(report, Look(prepared=("order-7 of app in shop",)), is_replica=True)
    for expected in (
        "does not follow a source", "order-7", "7 unlogged table(s) of database shop (cache0, cache1, cache2, cache3, cache4 and 2",
        "publishes orders_pub", "pg_cron (2 active", "legacy (postgres_fdw)", "old-erp.example", "Could not look at database secret",
    ):  # fmt: skip
        assert sum(expected in line for line in said) == 1, expected
    assert len(said) == 7
    nothing = dict(in_recovery=True, databases=[plain], blind=())
    assert postgresql.login_warnings(nothing, Look(), is_replica=True) == []
