# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""mysql_data_diff against real servers."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run import data_checks
from ansible_collections.dbre.rds_encryption.plugins.modules import mysql_data_diff


def options(pair, **more) -> dict:
    return dict(source=pair.source.login(), target=pair.target.login(), **more)


@pytest.fixture()
def data(pair):
    """A schema of its own on both servers, equal."""
    statements = [
        "DROP DATABASE IF EXISTS stock",
        "CREATE DATABASE stock",
        "CREATE TABLE stock.items (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20), KEY (v))",
        "CREATE TABLE stock.`odd``name` (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES stock.items (id))",
        "INSERT INTO stock.items (v) VALUES ('a'), ('b')",
        "CREATE DEFINER=root@localhost VIEW stock.seen AS SELECT id FROM stock.items",
        "CREATE DEFINER=root@localhost PROCEDURE stock.act(a INT) SELECT a",
        "CREATE DEFINER=root@localhost EVENT stock.tick ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 00:00:00' DISABLE DO DO 1",
    ]
    for server in (pair.source, pair.target):
        server.run(*statements, "CREATE DEFINER=root@localhost TRIGGER stock.up BEFORE INSERT ON stock.items FOR EACH ROW SET NEW.v = UPPER(NEW.v)")
    yield pair
    for server in (pair.source, pair.target):
        server.run("DROP DATABASE stock")


def test_equal_servers_are_equal(data, call):
    done = call(mysql_data_diff, options(data))
    assert done["equal"] and done["differences"] == [] and done["definers_missing"] == []
    assert {row["schema"] for row in done["tables"]} == {"shop", "stock"}
    assert all(row["exact"] and row["checksum"] == "equal" for row in done["tables"])


def test_stored_generated_columns_are_compared_by_their_rows(data, call):
    # CHECKSUM TABLE of such a table differs between servers with equal rows (MariaDB 10.11).
    for server in (data.source, data.target):
        server.run(
            "CREATE TABLE stock.sums (id INT PRIMARY KEY, a INT, b BLOB, t INT AS (a * 2) STORED, n INT NULL)",
            "INSERT INTO stock.sums (id, a, b) VALUES (1, 2, x'00ff'), (2, 3, NULL), (3, NULL, x'')",
        )
    assert call(mysql_data_diff, options(data))["equal"]
    data.target.run("UPDATE stock.sums SET b = x'00fe' WHERE id = 1")
    with pytest.raises(EncryptionError, match="table stock.sums: 3 rows on the source, 3 on the target, checksum differs"):
        call(mysql_data_diff, options(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("INSERT INTO stock.items (v) VALUES ('c')", r"table stock.items: 2 rows on the source, 3 on the target"),
        ("UPDATE stock.items SET v = 'z' WHERE id = 1", r"table stock.items: 2 rows on the source, 2 on the target, checksum differs"),
        ("ALTER TABLE stock.items ADD COLUMN extra INT", r"table stock.items differs \(columns, indexes"),
        ("ALTER TABLE stock.items DROP KEY v", r"table stock.items differs \(columns, indexes"),
        ("DROP TABLE stock.`odd``name`", r"table stock.odd`name only on the source"),
        ("CREATE TABLE stock.more (id INT)", r"table stock.more only on the target"),
        ("CREATE OR REPLACE VIEW stock.seen AS SELECT v FROM stock.items", r"view stock.seen differs"),
        ("DROP PROCEDURE stock.act", r"procedure stock.act only on the source"),
        ("DROP TRIGGER stock.up", r"trigger stock.up only on the source"),
        ("ALTER EVENT stock.tick ENABLE", r"event stock.tick differs"),
        ("ALTER DATABASE stock CHARACTER SET utf8mb3", r"schema stock differs"),
    ],
)
def test_each_difference_is_found_and_named(data, call, change, words):
    data.target.run(change)
    with pytest.raises(EncryptionError, match=words):
        call(mysql_data_diff, options(data))
    done = call(mysql_data_diff, options(data, fail_on_difference=False))
    assert not done["equal"] and done["diff"]["before"] != done["diff"]["after"]
    assert call(mysql_data_diff, options(data, exclude_schemas=["stock"]))["equal"]


def test_a_smaller_next_id_is_a_difference_a_larger_one_is_not(data, call):
    data.target.run("ALTER TABLE stock.items AUTO_INCREMENT = 100")
    assert call(mysql_data_diff, options(data))["equal"]
    data.source.run("ALTER TABLE stock.items AUTO_INCREMENT = 200")
    with pytest.raises(EncryptionError, match=r"auto_increment stock.items differs \(200 / 100\)"):
        call(mysql_data_diff, options(data))
    assert call(mysql_data_diff, options(data, compare_auto_increment=False))["equal"], "a replica gives no ids away"


def test_beyond_the_budget_nothing_is_claimed(data, call, heard):
    data.target.run("INSERT INTO stock.items (v) VALUES ('c')")
    done = call(mysql_data_diff, options(data, time_budget=0, schemas=["stock"]), heard=heard)
    assert {row["verdict"] for row in done["tables"]} == {"not checked"} and not any(row["exact"] for row in done["tables"])
    assert any("Beyond the time budget" in warning for warning in heard.warnings)


def test_a_definer_without_account_is_found(data, call):
    for server in (data.source, data.target):
        server.run("CREATE USER author@'%' IDENTIFIED BY 'Secret-1'")
        server.run("CREATE DEFINER=author@'%' VIEW stock.theirs AS SELECT 1 AS one")
    assert call(mysql_data_diff, options(data))["definers_missing"] == []
    # Only taken out of the table: DROP USER refuses on MySQL.
    table = "mysql.user" if data.family == "mysql" else "mysql.global_priv"
    data.target.run(f"DELETE FROM {table} WHERE User = 'author'", "FLUSH PRIVILEGES")
    with pytest.raises(EncryptionError, match="view stock.theirs: its definer author@% has no account"):
        call(mysql_data_diff, options(data))
    data.source.run(f"DELETE FROM {table} WHERE User = 'author'", "FLUSH PRIVILEGES")
    done = call(mysql_data_diff, options(data))
    assert done["equal"] and [row["name"] for row in done["definers_missing_on_both"]] == ["theirs"]


def test_beyond_the_budget_a_sample_finds_what_a_sample_can(data, call, heard, monkeypatch):
    monkeypatch.setattr(data_checks, "ASSUMED_SPEED", 1)  # nothing fits in
    for server in (data.source, data.target):
        server.run(
            "CREATE TABLE stock.big (id BIGINT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO stock.big SELECT seq, 'x' FROM (SELECT a.d * 1000 + b.d * 100 + c.d * 10 + d.d AS seq FROM " + ", ".join(
                "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 "
                f"UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS {alias}" for alias in "abcd") + ") AS numbers",
            "CREATE TABLE stock.words (word VARCHAR(20), number INT, PRIMARY KEY (word, number)) COLLATE utf8mb4_bin",
            "INSERT INTO stock.words VALUES ('b', 1), ('a', 2)",
            "CREATE TABLE stock.loose (v INT)",
            "INSERT INTO stock.loose VALUES (1), (2)",
        )
    wanted = options(data, schemas=["stock"], fail_on_difference=False)
    done = call(mysql_data_diff, wanted, heard=heard)
    verdicts = {row["table"]: row["verdict"] for row in done["tables"]}
    assert verdicts == {
        "big": "sample equal", "items": "sample equal", "loose": "number of rows equal", "odd`name": "sample equal", "words": "sample equal"
    }
    assert next(row for row in done["tables"] if row["table"] == "big")["sampled_rows"] > 5000
    assert any("stock.big" in warning and "by a sample" in warning for warning in heard.warnings)
    data.target.run("INSERT INTO stock.big VALUES (20000, 'late')", "UPDATE stock.words SET number = 3 WHERE word = 'a'", "DELETE FROM stock.loose LIMIT 1")
    done = call(mysql_data_diff, wanted)
    assert {row["table"] for row in done["tables"] if row["verdict"] == "differs"} == {"big", "words", "loose"}


def test_what_was_written_since_the_start_of_the_source_is_known(data, call):
    data.source.restart()
    wanted = options(data, only_written=True, exclude_schemas=["shop"])
    assert call(mysql_data_diff, wanted)["tables"] == []
    data.source.run("INSERT INTO stock.items (v) VALUES ('late')")
    with pytest.raises(EncryptionError, match=r"table stock.items: 3 rows on the source, 2 on the target"):
        call(mysql_data_diff, wanted)


def test_settings_that_differ_are_listed_with_a_reason(data, call):
    data.source.run("SET GLOBAL long_query_time = 7", "SET GLOBAL time_zone = '+05:00'")
    try:
        rows = {row["name"]: row for row in call(mysql_data_diff, options(data, time_budget=0))["settings"]}
    finally:
        data.source.run("SET GLOBAL long_query_time = DEFAULT", "SET GLOBAL time_zone = DEFAULT")
    reported = {name: (row["source"], row["target"]) for name, row in rows.items() if row["verdict"] != "explained"}
    reported.pop("log_slow_query_time", None)  # the new name of the first
    assert reported == {"long_query_time": ("7.000000", "10.000000"), "time_zone": ("+05:00", "SYSTEM")}
    assert all(row["reason"] for row in rows.values()) and "datadir" in rows


def test_a_target_that_replicates_from_outside_is_refused(data, call):
    link = dict(mariadb="CHANGE MASTER TO MASTER_HOST = '127.0.0.9', MASTER_USER = 'repl'",
                mysql="CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.9', SOURCE_USER = 'repl'")[data.family]
    data.target.run(link)
    try:
        with pytest.raises(EncryptionError, match=r"replication: repl@127.0.0.9 \(stopped\)"):
            call(mysql_data_diff, options(data, time_budget=0))
        # The master user of MariaDB may not ask the server; on RDS there is a procedure for it, here is none.
        sides = dict(source=data.source.login("master"), target=data.target.login("master"))
        found = call(mysql_data_diff, dict(**sides, time_budget=0, fail_on_difference=False))["settings"]
        verdict = next(row["verdict"] for row in found if row["name"] == "replication")
        assert verdict == ("reported" if data.family == "mariadb" else "refused")
    finally:
        data.target.run(dict(mariadb="RESET SLAVE ALL", mysql="RESET REPLICA ALL")[data.family])
