# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""mysql_data_diff against real servers."""

from __future__ import annotations

import pytest

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
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
    assert any("beyond the time budget" in warning for warning in heard.warnings)


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
