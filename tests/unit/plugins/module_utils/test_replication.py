# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replication links: verbs and fields by version, places in a log, where a target begins, and what counts as caught up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model import replication as model
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import (
    ConnectionLostError,
    EncryptionError,
    RefusedError,
    TerminalStateError,
    WaitTimeoutError,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB, MYSQL, facts_from
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import FollowerState, Position, ReplicaStatus, SourceState
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_link as link
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan import replication_sql as sql
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.connections import Known, sort_sessions
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.mysql_connections import RULES, session_from
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.replication_source import examine_source
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.replication import Asked, wait_applied, wait_caught_up
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Limits
from fakes.clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

S, R, T = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002", "cccccccc-0000-0000-0000-000000000003"
LOG = "mysql-bin-changelog"


def place(number: int, position: int, gtid: str | None = None) -> Position:
    return Position(f"{LOG}.{number:06d}", position, gtid)


# -- versions ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "family, version, word, end, by_gtid, keep",
    [
        (MYSQL, (5, 7, 44), "master", "SHOW MASTER STATUS", "_with_auto_position", None),
        (MYSQL, (8, 0, 25), "master", "SHOW MASTER STATUS", None, "SET_USER_ID"),
        (MYSQL, (8, 0, 40), "master", "SHOW MASTER STATUS", "_with_auto_position", "SET_USER_ID"),
        (MYSQL, (8, 4, 3), "source", "SHOW BINARY LOG STATUS", "_with_auto_position", "SET_ANY_DEFINER"),
        (MYSQL, (9, 7, 4), "source", "SHOW BINARY LOG STATUS", "_with_auto_position", "SET_ANY_DEFINER"),
        (MARIADB, (10, 11, 19), "master", "SHOW MASTER STATUS", "_gtid", None),
    ],
)
def test_each_version_has_its_verbs(family, version, word, end, by_gtid, keep):
    verbs = model.verbs_of(family, version)
    assert (verbs.set_position, verbs.reset) == (f"rds_set_external_{word}", f"rds_reset_external_{word}")
    assert (verbs.end, verbs.set_gtid, verbs.keep_definer) == (end, by_gtid and f"rds_set_external_{word}{by_gtid}", keep)


def test_a_version_that_is_too_old_has_none():
    assert model.verbs_of(MYSQL, (5, 6, 51)) is None and model.verbs_of(MARIADB, (10, 3, 39)) is None


# What the servers answered, as far as it is read: what was fetched (586614) is ahead of what was applied (584039).
RECORDED = {
    "MySQL 5.7 and 8.0": dict(
        master_host="10.0.0.7", master_user="rdsrepladmin", master_port=3306, master_log_file=f"{LOG}.000013", read_master_log_pos=586614,
        relay_master_log_file=f"{LOG}.000012", exec_master_log_pos=584039, slave_io_running="Yes", slave_sql_running="No", last_errno=1062, last_error="Dup",
        last_io_errno=0, last_io_error="", last_sql_errno=1062, last_sql_error="Dup", master_server_id=7, master_uuid=S, auto_position=1, sql_delay=0,
        seconds_behind_master=None, replicate_do_db="", replicate_ignore_table="mysql.plugin,innodb_memcache.config_options", master_ssl_allowed="No",
    ),
    "MySQL 8.4 and 9": dict(
        source_host="10.0.0.7", source_user="rdsrepladmin", source_port=3306, source_log_file=f"{LOG}.000013", read_source_log_pos=586614,
        relay_source_log_file=f"{LOG}.000012", exec_source_log_pos=584039, replica_io_running="Yes", replica_sql_running="No", last_errno=1062,
        last_error="Dup", last_io_errno=0, last_io_error="", last_sql_errno=1062, last_sql_error="Dup", source_server_id=7, source_uuid=S, auto_position=1,
        sql_delay=0, seconds_behind_source=None, replicate_do_db="", replicate_ignore_table="",
    ),
    "MariaDB SHOW": dict(
        master_host="10.0.0.7", master_user="rdsrepladmin", master_port=3306, master_log_file=f"{LOG}.000013", read_master_log_pos=586614,
        relay_master_log_file=f"{LOG}.000012", exec_master_log_pos=584039, slave_io_running="Yes", slave_sql_running="No", last_errno=1062, last_error="Dup",
        last_io_errno=0, last_io_error="", last_sql_errno=1062, last_sql_error="Dup", master_server_id=7, using_gtid="Slave_Pos", gtid_io_pos="0-7-9",
        sql_delay=0, replicate_rewrite_db="",
    ),
    "MariaDB rds_replica_status": dict(
        source_host="10.0.0.7", source_user="rdsrepladmin", source_port=3306, source_log_file=f"{LOG}.000013", read_source_log_pos=586614,
        relay_source_log_file=f"{LOG}.000012", exec_source_log_pos=584039, replica_io_running="Yes", replica_sql_running="No", last_errno=1062,
        last_error="Dup", last_io_errno=0, last_io_error="", last_sql_errno=1062, last_sql_error="Dup", source_server_id=7, using_gtid="Slave_Pos",
        seconds_behind_master=None,
    ),
}


@pytest.mark.parametrize("row", RECORDED.values(), ids=RECORDED.keys())
def test_each_version_says_what_was_applied(row):
    status = model.status_from(row)
    assert (status.host, status.port, status.user, status.source_server_id) == ("10.0.0.7", 3306, "rdsrepladmin", 7)
    assert (status.file, status.position) == (f"{LOG}.000012", 584039)
    assert (status.receiver, status.applier, status.applier_code) == ("Yes", "No", 1062)
    assert status.by_gtid and status.filters == () and not status.running and not status.stopped


def test_what_a_replica_leaves_out_is_seen():
    row = dict(RECORDED["MySQL 8.4 and 9"], replicate_ignore_table="mysql.plugin,shop.big", replicate_do_db="shop", auto_position=0)
    status = model.status_from(row)
    assert status.filters == ("replicate_do_db shop", "replicate_ignore_table shop.big") and not status.by_gtid


def test_what_a_plain_reset_leaves_behind_is_no_link():
    assert model.status_from(dict(source_host="", source_user="", relay_source_log_file="", exec_source_log_pos=0)) is None


# -- places --------------------------------------------------------------------------------------------------------------------------

places = st.builds(place, st.integers(1, 2_000_000), st.integers(4, 2**40))


@given(places, places)
def test_places_are_ordered_by_number_and_then_by_position(here, there):
    expected = (int(here.file.split(".")[1]), here.position) >= (int(there.file.split(".")[1]), there.position)
    assert model.at_or_after(here, there) == expected
    assert model.at_or_after(here, there) or model.at_or_after(there, here)


def test_the_number_outgrows_its_zeros():
    assert model.at_or_after(place(1_000_000, 4), place(999_999, 10**9))


@pytest.mark.parametrize("file", ["binlog.000001", "mysql-bin-changelog", "mysql-bin-changelog.x", ""])
def test_places_of_different_logs_are_not_compared(file):
    with pytest.raises(EncryptionError):
        model.at_or_after(Position(file, 4), place(1, 4))


def test_bytes_between_places():
    logs = [(f"{LOG}.000001", 100), (f"{LOG}.000002", 200), (f"{LOG}.000003", 50)]
    assert model.bytes_between(logs, place(1, 90), place(3, 40)) == 10 + 200 + 40
    assert model.bytes_between(logs, place(2, 10), place(2, 60)) == 50
    assert model.bytes_between(logs[1:], place(1, 90), place(3, 40)) is None
    assert model.bytes_between(None, place(1, 90), place(3, 40)) is None


sets = st.dictionaries(st.tuples(st.sampled_from([S, R]), st.sampled_from(["", "tag_1"])), st.sets(st.integers(1, 30), min_size=1), max_size=4)


def text_of(transactions: dict) -> str:
    """A set as somebody might write it: unsorted, one by one."""
    return ",\n".join(":".join([uuid, *([tag] if tag else []), *map(str, numbers)]) for (uuid, tag), numbers in transactions.items()).upper()


@given(sets, sets)
def test_sets_are_subtracted(one, other):
    left = model.gtids_missing(model.gtid_set(text_of(one)), model.gtid_set(text_of(other)))
    assert {(key, n) for key, intervals in left.items() for low, high in intervals for n in range(low, high + 1)} == {
        (key, n) for key, numbers in one.items() for n in numbers - other.get(key, set())
    }
    assert model.gtid_set(model.gtid_text(left)) == left


def test_a_hole_is_seen():
    assert model.is_gapless(model.gtid_set(f"{S}:1-1366,{R}:1"))
    assert not model.is_gapless(model.gtid_set(f"{S}:1-4:6-1366"))
    assert not model.is_gapless(model.gtid_set(f"{S}:2-9"))
    assert model.gtid_text(model.gtid_set(f"{S}:1-5:6:8:x:1")) == f"{S}:1-6:8,{S}:x:1"


def test_domains_of_mariadb():
    assert model.gtid_reached(MARIADB, "0-1-10,3-2-7", "0-9-10") and not model.gtid_reached(MARIADB, "0-1-9", "0-1-10")
    assert not model.gtid_reached(MARIADB, "0-1-10", "0-1-10,3-2-1")
    assert model.same_gtid(MARIADB, "3-2-7,0-1-10", "0-1-10,3-2-7") and not model.same_gtid(MARIADB, "0-1-10", "0-2-10")


# -- the seed ------------------------------------------------------------------------------------------------------------------------

RUNNING = ReplicaStatus("10.0.0.7", 3306, "rdsrepladmin", "Yes", "Yes", f"{LOG}.000012", 500, source_server_id=1, source_uuid=S)
STANDING = replace(RUNNING, receiver="No", applier="No")
SOURCE = SourceState(MYSQL, place(20, 900, f"{S}:1-90"), 1, uuid=S, gtid_on=True, purged="", logs=tuple((f"{LOG}.{n:06d}", 1000) for n in range(10, 21)))
SEED = FollowerState(MYSQL, RUNNING, 1, 2, uuid=R, gtid=f"{S}:1-50", gtid_on=True)
AT = place(12, 500, f"{S}:1-50")


def test_a_seed_that_follows_is_stopped_and_one_that_stands_is_left():
    assert link.decide_seed("R", SOURCE, SEED, None) == link.STOP
    assert link.decide_seed("R", SOURCE, replace(SEED, status=STANDING), None) == link.NOTHING
    assert link.decide_seed("R", SOURCE, replace(SEED, status=STANDING), AT) == link.NOTHING


@pytest.mark.parametrize(
    "seed, words",
    [
        (replace(SEED, status=None), "replicates from nobody"),
        (replace(SEED, status=replace(RUNNING, source_uuid=T)), "follows another server"),
        (replace(SEED, status=replace(RUNNING, source_uuid="", source_server_id=0)), "never reached its source"),
        (replace(SEED, status=replace(RUNNING, filters=("replicate_do_db shop",))), "leaves data out"),
        (replace(SEED, status=replace(RUNNING, applier="No", applier_code=1062, applier_error="Dup")), "1062"),
        (replace(SEED, keeps_order=False), "preserve_commit_order"),
    ],
)
def test_a_seed_that_cannot_be_copied_is_refused(seed, words):
    with pytest.raises(EncryptionError, match=words):
        link.decide_seed("R", SOURCE, seed, None)


@pytest.mark.parametrize("status", [RUNNING, replace(STANDING, position=501), replace(STANDING, file=f"{LOG}.000013"), replace(STANDING, file="")])
def test_a_seed_that_moved_voids_what_was_made_of_it(status):
    with pytest.raises(RefusedError, match="void"):
        link.decide_seed("R", SOURCE, replace(SEED, status=status), AT)
    with pytest.raises(RefusedError, match="void"):
        link.decide_seed("R", SOURCE, replace(SEED, status=STANDING, gtid=f"{S}:1-51"), AT)


def test_a_seed_with_an_open_temporary_table_runs_on():
    standing = replace(SEED, status=STANDING)
    assert link.seed_stands("R", standing)
    assert not link.seed_stands("R", replace(standing, temporary_tables=1)) and not link.seed_stands("R", SEED)
    with pytest.raises(EncryptionError, match="no position"):
        link.seed_stands("R", replace(SEED, status=replace(STANDING, file="")))


# -- where a target begins -----------------------------------------------------------------------------------------------------------

WISH = link.LinkWish("old-x.example", 3306, "rdsenc_a1", AT)
FRESH = FollowerState(MYSQL, None, 0, 3, uuid=T, gtid=f"{S}:1-50", gtid_on=True)
OURS = replace(RUNNING, host="old-x.example", user="rdsenc_a1", position=700)
FOLLOWS = replace(FRESH, status=OURS, links=1, has_login=True, gtid=f"{S}:1-60")


def decide(target, wish=WISH, source=SOURCE, **more):
    return link.decide_link("T", wish, source, target, knows_gtid=True, **more)


def test_a_fresh_copy_begins_at_its_coordinates():
    decision = decide(FRESH)
    assert (decision.action, decision.at, decision.mode, decision.stop) == (link.SET, AT, link.GTID, False)


@pytest.mark.parametrize(
    "target, source",
    [
        (replace(FRESH, gtid=f"{S}:1-4:6-50"), SOURCE),  # came back without its binary logs
        (replace(FRESH, gtid=f"{S}:1-49"), SOURCE),
        (replace(FRESH, gtid_on=False, gtid=None), SOURCE),
        (FRESH, replace(SOURCE, gtid_on=False, end=place(20, 900))),
        (FRESH, replace(SOURCE, purged=f"{S}:1-55")),
    ],
)
def test_gtids_are_used_only_where_the_copy_proves_its_set(target, source):
    decision = decide(target, source=source)
    assert (decision.action, decision.mode, str(decision.at)) == (link.SET, link.COORDINATES, str(AT))


def test_gtids_of_mariadb_are_used_only_where_the_source_calls_the_place_the_same():
    at = place(12, 500, "0-1-50")
    source = SourceState(MARIADB, place(20, 900, "0-1-90"), 1, gtid_on=True, gtid_of_place="0-1-50")
    fresh = FollowerState(MARIADB, None, 0, 3, gtid="0-1-50", gtid_on=True)
    wish = replace(WISH, coordinates=at)
    assert decide(fresh, wish, source).mode == link.GTID
    for named in ("0-1-49", None, "0-1-50,1-1-3"):
        assert decide(fresh, wish, replace(source, gtid_of_place=named)).mode == link.COORDINATES
    with pytest.raises(RefusedError, match="apply changes twice"):
        decide(replace(fresh, gtid="0-1-51"), wish, source)


@pytest.mark.parametrize(
    "target, wish, words",
    [
        (FRESH, replace(WISH, drained_once=True), "link was taken off before"),
        (replace(FRESH, has_login=True), WISH, "holds the account rdsenc_a1"),
        (replace(FRESH, gtid=f"{S}:1-51"), WISH, "come after"),
        (FRESH, replace(WISH, coordinates=None), "no coordinates"),
        (FRESH, replace(WISH, coordinates=place(9, 4)), "1236"),
        (FRESH, replace(WISH, coordinates=place(21, 4)), "ends at"),
        (replace(FRESH, read_only=False), WISH, "accepts writes"),
        (replace(FRESH, event_scheduler="ON"), WISH, "event scheduler is ON"),
        (replace(FOLLOWS, links=2), WISH, "2 sources"),
        (replace(FOLLOWS, gtid=f"{S}:1-60,{R}:1"), WISH, "does not know: " + R),
        (replace(FOLLOWS, status=replace(OURS, position=400)), WISH, "lies before"),
        (replace(FOLLOWS, status=replace(OURS, source_uuid=R)), WISH, "another server"),
        (replace(FOLLOWS, status=replace(OURS, filters=("replicate_do_db a",))), WISH, "leaves data out"),
        (replace(FOLLOWS, status=replace(OURS, delay=60)), WISH, "delay of 60"),
        (replace(FOLLOWS, status=replace(OURS, file="", receiver="No", applier="No")), WISH, "lost its position"),
        (replace(FOLLOWS, status=replace(OURS, applier="No", applier_code=1032, applier_error="x")), WISH, "1032.*void"),
        (replace(FOLLOWS, status=replace(OURS, receiver="No", receiver_code=1236, receiver_error="x")), WISH, "1236.*purged"),
        (replace(FOLLOWS, status=replace(OURS, host="other", applier="No", applier_code=1146, applier_error="x")), WISH, "1146"),
        (replace(FOLLOWS, status=replace(OURS, host="other", file="")), WISH, "shows no position"),
    ],
)
def test_a_target_that_must_not_follow_is_refused(target, wish, words):
    with pytest.raises(EncryptionError, match=words):
        decide(target, wish)


def test_errant_transactions_of_the_seed_and_of_the_target_itself_are_not_errant():
    wish = replace(WISH, coordinates=replace(AT, gtid=f"{S}:1-50,{R}:1-3"))
    target = replace(FOLLOWS, gtid=f"{S}:1-60,{R}:1-3,{T}:1-2")
    assert decide(target, wish).action == link.NOTHING
    assert link.own_transactions(target) == f"{T}:1-2"


@pytest.mark.parametrize(
    "status, action",
    [
        (OURS, link.NOTHING),
        (replace(OURS, receiver="Connecting", receiver_code=2003), link.NOTHING),
        (replace(OURS, receiver="No", applier="No"), link.START),
        (replace(OURS, receiver="No", receiver_code=2003), link.START),
        (replace(OURS, applier="No", applier_code=1021), link.START),
        (replace(OURS, applier="No", applier_code=1205), link.START),
        (replace(OURS, host="x.example", applier="No", applier_code=1205), link.SET),
        (replace(OURS, receiver="Connecting", receiver_code=1045), link.SET),
        (replace(OURS, receiver="Connecting", receiver_code=2061), link.SET),
        (replace(OURS, host="x.example"), link.SET),
        (replace(OURS, user="rdsrepladmin"), link.SET),
        (replace(OURS, port=3307), link.SET),
    ],
)
def test_a_target_with_a_link_goes_on_where_it_stands(status, action):
    decision = decide(replace(FOLLOWS, status=status))
    assert decision.action == action
    if action == link.SET:
        assert (decision.at.file, decision.at.position) == (status.file, status.position) and decision.stop != status.stopped


def test_a_link_by_gtid_that_was_never_connected_is_started():
    fresh = replace(OURS, by_gtid=True, file="", receiver="No", applier="No")
    assert decide(replace(FOLLOWS, status=fresh, gtid=f"{S}:1-50")).action == link.START
    with pytest.raises(RefusedError, match="lost its position"):
        decide(replace(FOLLOWS, status=fresh, gtid=f"{S}:1-50"), replace(WISH, coordinates=place(12, 500)))
    # Behind the fence nobody has the coordinates at hand: what came by the link tells that it was set before.
    assert decide(replace(FOLLOWS, status=fresh), replace(WISH, coordinates=None)).action == link.START
    with pytest.raises(RefusedError, match="lost its position"):
        decide(replace(FOLLOWS, status=fresh, has_login=False), replace(WISH, coordinates=None))
    with pytest.raises(RefusedError, match="lost its position"):
        decide(replace(FOLLOWS, status=replace(fresh, by_gtid=False)), replace(WISH, coordinates=None))


def test_a_link_by_gtid_stays_one_even_without_a_position():
    decision = decide(replace(FOLLOWS, status=replace(OURS, host="x.example", by_gtid=True, file="")))
    assert (decision.action, decision.mode) == (link.SET, link.GTID)


@given(
    st.integers(11, 20), st.integers(4, 900), st.sampled_from(["old-x.example", "x.example"]), st.sampled_from(["rdsenc_a1", "rdsrepladmin"]),
    st.sampled_from(["Yes", "No", "Connecting"]), st.sampled_from([0, 1045, 2003, 1236]), st.booleans(), st.booleans(),
)
def test_what_was_applied_is_never_set_back(number, position, host, user, receiver, code, by_gtid, drained):
    status = replace(OURS, file=f"{LOG}.{number:06d}", position=position, host=host, user=user, receiver=receiver, receiver_code=code, by_gtid=by_gtid)
    try:
        decision = decide(replace(FOLLOWS, status=status), replace(WISH, drained_once=drained))
    except EncryptionError:
        return
    if decision.action == link.SET:
        assert model.at_or_after(decision.at, place(number, position)) and model.at_or_after(decision.at, AT)


# -- statements ----------------------------------------------------------------------------------------------------------------------


def test_no_statement_shows_its_password():
    verbs = model.verbs_of(MYSQL, (8, 4, 3))
    made = sql.login_statements("rdsenc_a1", "Pa5s-word", tls=True, plugin=None)
    made.append(sql.set_statement(verbs, MYSQL, "h", 3306, ("rdsenc_a1", "Pa5s-word"), AT, link.COORDINATES, True))
    assert [statement.masked for statement in made] == [
        "CREATE USER IF NOT EXISTS `rdsenc_a1`@`%` IDENTIFIED BY <hidden> REQUIRE SSL",
        "ALTER USER `rdsenc_a1`@`%` IDENTIFIED BY <hidden> REQUIRE SSL",
        "GRANT REPLICATION SLAVE ON *.* TO `rdsenc_a1`@`%`",
        f"CALL mysql.rds_set_external_source('h', 3306, 'rdsenc_a1', <hidden>, '{LOG}.000012', 500, 1)",
    ]
    native = sql.login_statements("u", "x", tls=False, plugin=sql.NATIVE)[0]
    assert native.masked == "CREATE USER IF NOT EXISTS `u`@`%` IDENTIFIED WITH mysql_native_password BY <hidden> REQUIRE NONE"


def test_a_link_by_gtid_is_set_in_the_words_of_each_family():
    login = ("u", "p")
    assert sql.set_statement(model.verbs_of(MYSQL, (8, 0, 40)), MYSQL, "h", 1, login, AT, link.GTID, False).text == (
        "CALL mysql.rds_set_external_master_with_auto_position('h', 1, 'u', 'p', 0, 0)"
    )
    at = place(1, 4, "0-1-5")
    assert sql.set_statement(model.verbs_of(MARIADB, (11, 4)), MARIADB, "h", 1, login, at, link.GTID, True).text == (
        "CALL mysql.rds_set_external_master_gtid('h', 1, 'u', 'p', '0-1-5', 1)"
    )


@pytest.mark.parametrize("present, wanted, value", [(None, 24, "24"), ("12", 24, "24"), ("24", 24, None), ("168", 24, None)])
def test_the_retention_is_only_raised(present, wanted, value):
    assert sql.retention_to_raise(present, wanted) == value


def test_the_retention_is_put_back():
    assert sql.retention_to_restore("24", "NULL") == (True, None) and sql.retention_to_restore(None, "NULL") == (False, None)
    assert sql.retention_to_restore("24", "12") == (True, "12") and sql.retention_to_restore("12", "12") == (False, "12")


def test_events_are_enabled_only_where_they_keep_their_definer():
    source = [dict(s="shop", n=n, definer="app@%", status=status) for n, status in (("a", "ENABLED"), ("b", "DISABLED"), ("c", "ENABLED"))]
    target = [dict(row, status=status) for row, status in zip(source, ("SLAVESIDE_DISABLED", "REPLICA_SIDE_DISABLED", "ENABLED"), strict=True)]
    (step,) = sql.event_steps(source, target, login=("admin", "%"), may_keep_definer=False)
    assert step["statement"] == "ALTER DEFINER = `app`@`%` EVENT `shop`.`a` ENABLE" and not step["keeps_definer"]
    (step,) = sql.event_steps(source, target, login=("app", "%"), may_keep_definer=False)
    assert step["statement"] == "ALTER EVENT `shop`.`a` ENABLE" and step["keeps_definer"]


# -- errors --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, words",
    [(1236, "purged"), (13114, "purged"), (1062, "void"), (1032, "void"), (1146, "temporary"), (1396, "accounts"), (1410, "accounts"), (2061, "TLS"),
     (1045, "login"), (1290, "too early"), (1021, "disk"), (3, "disk"), (9999, "ends replication")],
)
def test_errors_are_told_in_words_with_what_to_do(code, words):
    error = model.replication_error("target new-x", replace(OURS, applier="No", applier_code=code, applier_error="text"))
    assert isinstance(error, TerminalStateError) and words in str(error) and "Next:" in str(error) and "skip the error" not in words
    assert error.facts["replication_error"] == code


def test_a_receiver_that_goes_on_trying_is_no_error():
    assert model.replication_error("T", replace(OURS, receiver="Connecting", receiver_code=2003)) is None
    assert model.replication_error("T", replace(OURS, receiver="No", receiver_code=2003)) is not None
    assert model.replication_error("T", replace(OURS, receiver="Connecting", receiver_code=2061)) is not None


# -- waiting -------------------------------------------------------------------------------------------------------------------------


class World:
    """A source that writes and a target that applies, each at a rate in bytes per second; time passes only while somebody waits."""

    def __init__(self, *, behind: float, applies: float, writes: float = 100.0):
        self.clock = FakeClock()
        self.begin = self.clock.now
        self.behind, self.applies, self.writes = behind, applies, writes
        self.status = OURS
        self.lost_until = 0.0
        self.lines: list[str] = []

    def _end(self) -> float:
        return 10_000 + self.writes * (self.clock.now - self.begin)

    def source(self) -> Position:
        if self.clock.now < self.lost_until:
            raise ConnectionLostError("gone", 2013)
        return place(12, int(self._end()))

    def target(self) -> FollowerState:
        applied = 10_000 - self.behind + self.applies * (self.clock.now - self.begin)
        return replace(FOLLOWS, gtid=None, gtid_on=False, status=replace(self.status, position=int(min(applied, self._end()))))

    def asked(self, ask) -> Asked:
        return Asked("T", ask, lambda: None, lambda error: error.code in (2003, 2013))

    def wait(self, max_lag: float = 10, **limits):
        limits = Limits(steady_reads=1, **limits)
        return wait_caught_up(
            self.asked(self.source), self.asked(self.target), logs=lambda: None, max_lag=max_lag, clock=self.clock, limits=limits,
            progress=self.lines.append,
        )


def test_caught_up_means_that_a_place_of_the_source_was_applied_in_time():
    world = World(behind=100_000, applies=1000)
    caught = world.wait()
    # At 900 bytes a second 100 000 are made up in 111 s, and what the source had ten seconds ago a little earlier.
    assert 99 <= world.clock.now - world.begin <= 140 and caught.lag <= 10
    assert World(behind=0, applies=100).wait().lag == 0


def test_a_target_that_stays_behind_has_not_caught_up():
    with pytest.raises(WaitTimeoutError, match="wait_timeout"):
        World(behind=2000, applies=100).wait(wait_timeout=600)


def test_a_network_that_stands_still_is_not_caught_up():
    """Both threads run, and Seconds_Behind is 0: what counts is that nothing arrives."""
    with pytest.raises(WaitTimeoutError, match="stall_timeout"):
        World(behind=50, applies=0).wait(stall_timeout=300)


def test_a_lost_connection_is_waited_for_and_an_error_is_not():
    world = World(behind=0, applies=100)
    world.lost_until = world.clock.now + 90
    assert world.wait().lag == 0 and world.clock.now >= world.lost_until
    world = World(behind=0, applies=100)
    world.lost_until = world.clock.now + 9000
    with pytest.raises(WaitTimeoutError, match="cannot be reached"):
        world.wait(stall_timeout=300)
    broken, stopped = replace(OURS, applier="No", applier_code=1062), replace(OURS, receiver="No", applier="No")
    for status, words in ((broken, "1062"), (stopped, "was stopped"), (None, "nobody")):
        world = World(behind=5000, applies=100)
        world.status = status
        world.target = lambda world=world: replace(FOLLOWS, status=world.status)
        with pytest.raises(EncryptionError, match=words):
            world.wait()
        assert world.clock.now == world.begin


def test_what_is_proven_was_read_after_it_was_reached():
    world = World(behind=500, applies=100, writes=0)
    (seen,) = wait_applied(
        [(world.asked(world.target), lambda state: model.has_applied(state, place(12, 10_000)))],
        clock=world.clock, limits=Limits(steady_reads=1, poll_interval=0.25), progress=world.lines.append, what="draining",
    )
    assert seen.applied.position == 10_000 and world.clock.now - world.begin >= 5
    world.status = replace(OURS, receiver="Connecting", receiver_code=2003)
    with pytest.raises(WaitTimeoutError, match="error 2003"):
        wait_applied(
            [(world.asked(world.target), lambda state: True)],
            clock=world.clock, limits=Limits(steady_reads=1, wait_timeout=30), progress=world.lines.append, what="draining",
        )


def test_a_link_by_gtid_is_judged_by_gtid():
    status = replace(OURS, by_gtid=True, file="", position=0)
    assert model.has_applied(replace(FOLLOWS, status=status, gtid=f"{S}:1-90"), place(20, 900, f"{S}:1-90"))
    assert not model.has_applied(replace(FOLLOWS, status=status, gtid=f"{S}:1-89"), place(20, 900, f"{S}:1-90"))
    assert not model.has_applied(replace(FOLLOWS, status=replace(status, by_gtid=False)), place(20, 900, f"{S}:1-90"))


# -- the source ----------------------------------------------------------------------------------------------------------------------

FACTS = facts_from("8.4.3", "MySQL", label="source x")
SEEN = dict(
    variables=dict(log_bin="ON", binlog_format="ROW", gtid_mode="ON", event_scheduler="ON", sync_binlog="1", innodb_flush_log_at_trx_commit="1"),
    configuration={"binlog retention hours": None}, configuration_refused=None, missing_procedures=[], replication=[], end={"file": f"{LOG}.000001"},
    sessions=dict(rows=[dict(id=1, user="rdsrepladmin", host="h:1", command="Binlog Dump GTID")], own_id=9, prepared=[], blind=()),
    grants=["GRANT ALL PRIVILEGES ON *.* TO `admin`@`%` WITH GRANT OPTION"], account_tables_readable=True, offers_tls=True, native_plugin=False, events=[],
    foreign_tables=[], keyless_tables=[],
)


VERBS = model.verbs_of(MYSQL, (8, 4, 3))


def examine(accept=False, is_replica=False, verbs=VERBS, variables=None, **more):
    seen = {**SEEN, **more, "variables": {**SEEN["variables"], **(variables or {})}}
    return examine_source(FACTS, verbs, seen, is_rds_replica=is_replica, accept_non_transactional=accept)


def test_a_good_source_has_nothing_in_the_way():
    found = examine()
    assert found["blockers"] == [] and found["warnings"] == []
    assert found["facts"]["binlog_retention_hours"] == "NULL" and found["facts"]["version"] == "8.4.3"


FOREIGN = dict(foreign_tables=[dict(s="shop", n="old", e="MyISAM")])


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(variables=dict(log_bin="OFF")), "log_bin is OFF"),
        (dict(variables=dict(binlog_format="STATEMENT")), "binlog_format is STATEMENT"),
        (dict(verbs=None), "not known"),
        (FOREIGN, "shop.old"),
        (dict(sessions=dict(SEEN["sessions"], prepared=["order-7"])), "order-7"),
        (dict(replication=[dict(master_host="erp", master_user="repl", slave_sql_running="Yes")]), "repl@erp"),
        (dict(replication=None), "may not see the replica status"),
        (dict(is_replica=True), "read replica itself"),
        (dict(configuration_refused="denied (error 1370)"), "1370"),
        (dict(missing_procedures=["rds_set_external_source"]), "mysql.rds_set_external_source"),
        (dict(end={"refused": "denied (error 1227)"}), "1227"),
        (dict(end={"binlog_ignore_db": "scratch"}), "scratch"),
        (dict(grants=["GRANT SELECT, PROCESS ON *.* TO `a`@`%` WITH GRANT OPTION"]), "CREATE USER"),
        (dict(grants=["GRANT ALL PRIVILEGES ON *.* TO `a`@`%`"]), "GRANT OPTION"),
        (dict(offers_tls=False), "2061"),
    ],
)
def test_what_stands_in_the_way_is_told_with_what_to_do(change, words):
    found = examine(**change)
    assert any(words in blocker["reason"] and blocker["next_step"] for blocker in found["blockers"])


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(variables=dict(binlog_format="MIXED")), "MIXED"),
        (dict(accept=True, **FOREIGN), "Accepted"),
        (dict(variables=dict(sync_binlog="0")), "sync_binlog"),
        (dict(variables=dict(replica_parallel_workers="4", replica_preserve_commit_order="OFF")), "preserve_commit_order"),
        (dict(events=[dict(s="shop", n="nightly", status="ENABLED")]), "shop.nightly"),
        (dict(keyless_tables=[dict(s="shop", n="log")]), "shop.log"),
        (dict(offers_tls=False, native_plugin=True), "openly"),
        (dict(sessions=dict(SEEN["sessions"], rows=[dict(id=2, user="cdc", host="h:1", command="Binlog Dump")])), "cdc@h"),
        (dict(sessions=dict(SEEN["sessions"], blind=("open InnoDB transactions",))), "Could not look"),
    ],
)
def test_what_to_know_is_told_and_is_no_obstacle(change, words):
    found = examine(**change)
    assert found["blockers"] == [] and any(words in warning for warning in found["warnings"])


def test_the_login_of_a_link_reads_the_log_for_us_and_nobody_else_does():
    def look(user, command):
        return sort_sessions(RULES, [session_from(dict(id=5, user=user, host="10.0.0.9:4", command=command))], Known(own_id=1))

    assert look("rdsenc_a1", "Binlog Dump GTID").quiet and not look("rdsenc_a1", "Binlog Dump").log_readers
    assert look("rdsenc_a1", "Query").clients, "a person may log in as anybody"
    assert look("cdc", "Binlog Dump").log_readers and look("rdsenc_", "Binlog Dump").log_readers
