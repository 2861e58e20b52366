# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Two catalogs compared, and the settings of mysql.rds_configuration planned."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.configuration import (
    compare_settings,
    inbound,
    plan_configuration,
    refused_settings,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_checks import (
    Catalog,
    Sample,
    Table,
    batches,
    beyond_the_budget,
    compare_catalogs,
    failures_in_words,
    orphans,
    sample_starts,
    summary,
    table_rows,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.data_checks import measure_within, sample_within


def catalog(tables=None, others=None, definers=None, accounts=frozenset({"a@%"}), schemas=None):
    return Catalog(schemas or {"d": "utf8mb4"}, tables or {}, others or {}, definers or {}, accounts)


def table(size=10, next_id=None, definition="x"):
    return Table(approximate_rows=5, size=size, auto_increment=next_id, engine="InnoDB", definition=definition)


def test_small_tables_first_in_groups():
    tables = {("d", name): table(size) for name, size in (("big", 900), ("a", 10), ("b", 20), ("c", 30))}
    groups = batches(catalog(tables), catalog(tables), at_most_tables=2, at_most_bytes=1000)
    assert [[name for unused, name in names] for names, unused in groups] == [["a", "b"], ["c", "big"]]
    assert batches(catalog(tables), catalog()) == []


class FakeClock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


MIB = 1 << 20


def test_the_budget_ends_the_measuring_before_a_table_that_would_not_fit():
    clock = FakeClock()

    def measure(names):
        clock.now += 5  # both servers add their share: a group takes ten seconds
        return {name: (1, 1) for name in names}

    groups = [(["a"], 100 * MIB), (["b"], 100 * MIB), (["huge"], 100_000 * MIB), (["c"], 1 * MIB), (["huger"], 200_000 * MIB)]
    measured, left_out = measure_within(groups, measure, measure, clock, lambda line: None, 60)
    assert set(measured) == {"a", "b", "c"} and left_out == ["huge", "huger"], "a smaller one behind it still fits in"
    assert measure_within(groups, measure, measure, clock, lambda line: None, 0) == ({}, ["a", "b", "huge", "c", "huger"])
    assert measure_within(groups[2:3], measure, measure, clock, lambda line: None, 60) == ({}, ["huge"]), "not even when it is the first"


def test_what_was_written_since_the_start_comes_first():
    tables = {("d", "small"): table(1), ("d", "written"): replace(table(1000), written=True)}
    assert [names for names, _size in batches(catalog(tables), catalog(tables), at_most_tables=1)] == [[("d", "written")], [("d", "small")]]
    assert batches(catalog(tables), catalog(tables), only_written=True) == [([("d", "written")], 1000)]


def test_samples_begin_at_the_same_places_and_say_what_they_are():
    assert sample_starts(1, 1_000_001, 4) == (200001, 400001, 600001, 800001)
    assert sample_starts(7, 7) == () and sample_starts(0, 3) == (1, 2)
    tables = {("d", name): table() for name in "abcdef"}
    whole, other = Sample(((500, 11), (500, 12))), Sample(((500, 11), (500, 13)))
    samples = {
        ("d", "a"): (whole, whole),
        ("d", "b"): (whole, other),
        ("d", "c"): (Sample(count=4), Sample(count=4)),
        ("d", "d"): (Sample(count=4), Sample(count=5)),
        ("d", "e"): (Sample(), whole),
    }
    rows = table_rows(catalog(tables), catalog(tables), {}, samples)
    assert [row["verdict"] for row in rows] == ["sample equal", "differs", "number of rows equal", "differs", "not checked", "not checked"]
    assert rows[0]["sampled_rows"] == 1000 and not rows[0]["exact"] and rows[2]["exact"]
    assert summary(rows, [], [])["sampled"] == 1
    assert "table d.b: a sample of 1000 rows, checksum differs" in failures_in_words(rows, [], [])
    words = beyond_the_budget(rows, 60)
    assert "1 compared by a sample" in words and "(d.a)" in words and "2 not compared" in words and "(d.e, d.f)" in words


def test_no_more_samples_than_there_is_time_for():
    clock = FakeClock()

    def slow(name, hint=None):
        clock.now += 10
        return (name, hint) if hint is None else name

    assert set(sample_within(["a", "b", "c"], lambda name: (slow(name), 1), slow, clock, lambda line: None, 15)) == {"a"}


def test_verdicts_of_tables():
    tables = {("d", name): table() for name in "abcdef"}
    measured = {
        ("d", "a"): ((5, 1), (5, 1)),
        ("d", "b"): ((5, 1), (4, 2)),
        ("d", "c"): ((5, 1), (5, 2)),
        ("d", "d"): ((5, None), (5, None)),
        ("d", "e"): ((None, None), (5, 1)),
    }
    rows = table_rows(catalog(tables), catalog(tables), measured)
    assert [row["verdict"] for row in rows] == ["equal", "differs", "differs", "not checked", "not checked", "not checked"]
    assert summary(rows, [], []) == dict(
        tables=6, equal=1, different=2, sampled=0, counted=0, not_checked=3, other_differences=0, unreadable_definitions=0, definers_missing=0
    )
    assert "table d.b: 5 rows on the source, 4 on the target" in failures_in_words(rows, [], [])


def test_other_differences():
    ours = catalog({("d", "t"): table(next_id=9), ("d", "u"): table()}, {("view", "d", "v"): "1", ("procedure", "d", "p"): None})
    theirs = catalog({("d", "t"): table(next_id=3), ("d", "w"): table()}, {("view", "d", "v"): "2", ("procedure", "d", "p"): "1"}, schemas={"d": "latin1"})
    found = [(row["kind"], row["name"], row["verdict"]) for row in compare_catalogs(ours, theirs)]
    assert found == [
        ("schema", "", "differs"),
        ("auto_increment", "t", "differs"),
        ("table", "u", "only on the source"),
        ("table", "w", "only on the target"),
        ("procedure", "p", "not checked"),
        ("view", "v", "differs"),
    ]
    assert failures_in_words([], compare_catalogs(ours, theirs), []).startswith("5 difference(s)")
    assert compare_catalogs(ours, ours) == [dict(kind="procedure", schema="d", name="p", verdict="not checked", detail="the login may not see the definition")]
    assert failures_in_words([], compare_catalogs(ours, ours), []) is None


def test_definers():
    definers = {("view", "d", "v"): "gone@%", ("view", "d", "w"): "a@%", ("view", "d", "x"): "never@%", ("view", "d", "r"): "role"}
    source = catalog(definers=definers, accounts=frozenset({"a@%", "gone@%", "role@"}))
    target = catalog(definers=definers, accounts=frozenset({"a@%", "role@"}))
    new, old = orphans(source, target)
    assert [row["name"] for row in new] == ["v"] and [row["name"] for row in old] == ["x"]
    assert orphans(source, catalog(definers=definers, accounts=None)) == ([], [])


def test_configuration_is_carried_and_overridden():
    source = {"binlog retention hours": "24", "source delay": "0", "new one": "1", "unset": None}
    target = {"binlog retention hours": None, "source delay": "0", "target only": "7"}
    changes, problems = plan_configuration(source, target, {})
    assert changes == [{"name": "binlog retention hours", "before": None, "after": "24", "from": "source"}]
    assert [name for name, text in problems] == ["new one"]
    changes, unused = plan_configuration(source, target, {"binlog retention hours": 72})
    assert changes[0]["after"] == "72" and changes[0]["from"] == "configuration"
    assert plan_configuration({}, {"a": "1"}, {"a": None})[0][0]["after"] is None
    assert plan_configuration({}, {"a": None}, {"a": "NULL"}) == ([], [])


def test_event_states_count_between_primaries_and_not_between_replicas():
    def with_event(state):
        return replace(catalog(), event_states={("d", "tick"): state})

    found = compare_catalogs(with_event("ENABLED"), with_event("DISABLED"))
    assert [(row["kind"], row["name"], row["verdict"], row["detail"]) for row in found] == [("event", "tick", "differs", "ENABLED / DISABLED")]
    assert compare_catalogs(with_event("ENABLED"), with_event("SLAVESIDE_DISABLED"), replicas=True) == []
    assert compare_catalogs(with_event("ENABLED"), with_event("DISABLED"), replicas=True), "somebody switched it off"


# -- settings --------------------------------------------------------------------------------------------------------------------------


def settings(variables=None, configuration=None, replication=()):
    return dict(variables=variables or {}, configuration=configuration, replication=None if replication is None else list(replication))


def verdicts(source, target, replicas=False):
    return {row["name"]: row["verdict"] for row in compare_settings(source, target, replicas=replicas)}


def test_every_setting_of_rds_is_carried_or_reported_known_or_not():
    ours = settings(configuration={"binlog retention hours": "24", "of tomorrow": "1", "same": None})
    theirs = settings(configuration={"binlog retention hours": None, "same": None})
    assert verdicts(ours, theirs) == {
        "rds_configuration: binlog retention hours": "reported",
        "rds_configuration: of tomorrow": "reported",
        "rds_configuration: same": "carried",
    }


def test_variables_that_differ_have_a_reason_or_are_reported_and_secrets_are_not_shown():
    ours = settings({"server_id": "1", "event_scheduler": "ON", "time_zone": "UTC", "init_connect": "SET @a='s3cret'", "read_only": "OFF", "gone": "1"})
    theirs = settings({"server_id": "2", "event_scheduler": "OFF", "time_zone": "UTC", "init_connect": "", "read_only": "ON"})
    assert verdicts(ours, theirs) == {
        "server_id": "explained", "event_scheduler": "reported", "init_connect": "reported", "read_only": "reported", "gone": "reported"
    }
    assert "s3cret" not in str(compare_settings(ours, theirs, replicas=False))
    assert verdicts(ours, theirs, replicas=True)["read_only"] == "explained"


LINK = {"master_host": "10.1.1.1", "master_user": "repl", "slave_sql_running": "Yes", "replicate_do_db": "shop", "sql_delay": 0}


def test_a_target_that_replicates_from_outside_must_not_serve():
    rows = compare_settings(settings(), settings(replication=[LINK]), replicas=False)
    assert [row["verdict"] for row in rows] == ["refused"]
    assert "repl@10.1.1.1 (running)" in refused_settings(rows)[0]
    assert failures_in_words([], [], [], refused_settings(rows)).startswith("1 difference(s): replication: repl@10.1.1.1")
    assert compare_settings(settings(replication=[LINK]), settings(), replicas=False) == []
    assert inbound([]) is None


def test_filters_and_delay_of_replicas_are_compared():
    other = {**LINK, "replicate_do_db": "", "sql_delay": 60}
    assert verdicts(settings(replication=[LINK]), settings(replication=[LINK]), True) == {"replication: replicate_do_db": "carried"}
    assert verdicts(settings(replication=[LINK]), settings(replication=[other]), True) == {
        "replication: replicate_do_db": "reported", "replication: sql_delay": "reported"
    }
    assert verdicts(settings(replication=None), settings(), True) == {"replication": "reported"}
