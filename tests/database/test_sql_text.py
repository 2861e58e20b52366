# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers read back exactly what was quoted, and a refused statement repeats no secret."""

from __future__ import annotations

import random

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import Secret, literal, name, sql

HARMFUL = ["o'brien", "x'; DROP TABLE t; -- ", "x`; DROP TABLE t; -- ", "\\", "\\'", "'\\", '"', "%s %(a)s", "/*!50000 SLEEP(9) */", "a\nb", "a\rb", "a\x1ab",
           "#", "--", "müller|ops", "東京", "😀", " leading", "{{ 7*7 }}", "\x1b[2J", "x' OR '1'='1", "\xbf\x27", "$(id)", "${x}", "?", ":x", "@@version"]


@pytest.fixture
def server(pair):
    login = pair.source.login()
    connection = Server({"host": login["login_host"], "port": login.get("login_port", 3306), "user": login["login_user"],
                         "password": login["login_password"]}, "source")
    with connection:
        yield connection.connect()


def test_the_server_reads_what_was_meant(server):
    seed = random.Random(4711)
    alphabet = "`'\"\\;-/*#\n\r\x1a%s{}é😀 a"
    texts = HARMFUL + ["\0", "a\0b"] + ["".join(seed.choices(alphabet, k=seed.randint(1, 20))) for _number in range(400)]
    rows = server.rows(" UNION ALL ".join(f"SELECT {number} AS i, HEX({literal(text)}) AS h" for number, text in enumerate(texts)))
    assert {row["i"]: bytes.fromhex(row["h"]).decode() for row in rows} == dict(enumerate(texts))
    # A name holds neither NUL nor a character beyond the basic plane.
    names = [text.replace("😀", "") for text in HARMFUL + ["".join(seed.choices(alphabet, k=12)) for _number in range(100)]]
    found = server.rows("SELECT " + ", ".join(f"1 AS {name('n' + text + str(number))}" for number, text in enumerate(names)))[0]
    assert set(found) == {('n' + text + str(number)).lower() for number, text in enumerate(names)}


def test_a_refused_statement_repeats_no_secret(server):
    """The server quotes what it stumbles over, and quotes it as far as it likes."""
    secret = "0x2A414141414242424243434343444444"
    statements = [
        sql("CREATE USER x@y IDENTIFIED WITH no_such_plugin AS ", Secret(secret)),
        sql("CREATE USER x@y IDENTIFIED BY IDENTIFIED BY ", Secret(secret)),
        sql("SET PASSWORD FOR nobody@nowhere = ", Secret(f"'{secret}'")),
        sql("SELECT CAST(", Secret(f"'{secret}'"), " AS JSON)->"),
    ]
    for statement in statements:
        with pytest.raises(StatementError) as refused:
            server.execute(statement.text, statement.secrets)
        assert secret not in str(refused.value) and secret[4:] not in str(refused.value), str(refused.value)
