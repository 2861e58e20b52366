# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Two catalogs compared, and the settings of mysql.rds_configuration planned."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.configuration import plan_configuration
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_checks import (
    Catalog,
    Table,
    batches,
    compare_catalogs,
    failures_in_words,
    orphans,
    summary,
    table_rows,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.data_checks import measure_within


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


def test_the_budget_ends_the_measuring_before_a_table_that_would_not_fit():
    clock = FakeClock()

    def measure(names):
        clock.now += 5  # both servers add their share: a group takes ten seconds
        return {name: (1, 1) for name in names}

    groups = [(["a"], 100), (["b"], 100), (["huge"], 100_000), (["huger"], 200_000)]
    measured, left_out = measure_within(groups, measure, measure, clock, lambda line: None, 60)
    assert set(measured) == {"a", "b"} and left_out == 2
    assert measure_within(groups, measure, measure, clock, lambda line: None, 0) == ({}, 4)


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
        tables=6, equal=1, different=2, not_checked=3, other_differences=0, unreadable_definitions=0, definers_missing=0
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
