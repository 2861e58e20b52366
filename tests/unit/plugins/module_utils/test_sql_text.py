# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and texts from a server cannot end the quotes that they are put into; tests/database asks real servers the same."""

from __future__ import annotations

import re

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.sql_text import MASK, Secret, account_name, joined, literal, name, sql
from hypothesis import given
from hypothesis import strategies as st

# What ends a quote, a statement, a line or a comment somewhere.
texts = st.text(alphabet=st.one_of(st.sampled_from("`'\"\\;-/*#\n\r\0\x1a%s{}$"), st.characters(codec="utf-8")), max_size=30)
ESCAPES = {"0": "\0", "n": "\n", "r": "\r", "Z": "\x1a", "\\": "\\"}


def read_name(written: str) -> str:
    """The identifier that MySQL's lexer reads from text that must be one quoted identifier and nothing else."""
    assert re.fullmatch("`(?:[^`]|``)+`", written, re.S), written
    return written[1:-1].replace("``", "`")


def read_literal(written: str) -> str:
    """The string that MySQL's lexer reads from text that must be one literal and nothing else."""
    assert re.fullmatch(r"'(?:[^'\\]|''|\\.)*'", written, re.S), written
    return re.sub(r"''|\\(.)", lambda found: "'" if found[0] == "''" else ESCAPES[found[1]], written[1:-1], flags=re.S)


@given(texts.filter(bool))
def test_a_name_stays_one_name(text):
    assert read_name(name(text)) == text


@given(texts)
def test_a_text_stays_one_literal(text):
    assert read_literal(literal(text)) == text


@given(texts.filter(bool), texts.filter(bool))
def test_an_account_stays_two_names(user, host):
    found = re.fullmatch("(`(?:[^`]|``)+`)@(`(?:[^`]|``)+`)", account_name(user, host), re.S)
    assert (read_name(found[1]), read_name(found[2])) == (user, host)
    if user != "PUBLIC":
        assert read_name(account_name(user, "", is_role=True)) == user


@given(st.lists(texts, min_size=1, max_size=4), st.text(alphabet="0123456789abcdef", min_size=20, max_size=40))
def test_a_secret_is_in_the_statement_and_not_in_what_is_shown(parts, secret):
    statement = joined([sql("SET PASSWORD = ", Secret(f"0x{secret}")), *[literal(part) for part in parts]], ", ")
    assert secret in statement.text and MASK in statement.masked
    assert secret not in statement.masked or any(secret in part for part in parts)
    assert statement.secrets == (f"0x{secret}",)
