# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What comes from servers reaches a terminal, a log and a result as text that does nothing and holds no ARN of a secret."""

from __future__ import annotations

import json
import unicodedata

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import Context, answer
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.shown import shown
from hypothesis import given
from hypothesis import strategies as st

ARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-0f2e4d6c-AbCdEf"
ESCAPE = "\x1b]0;pwned\x07\x1b[2J"


@pytest.mark.parametrize("text", [ARN, f"secret {ARN}.", f'"{ARN}"', f"({ARN})", ARN.replace("aws", "aws-us-gov", 1), f"a\x1b{ARN}\n{ARN}"])
def test_the_arn_of_a_secret_is_hidden(text):
    assert "0f2e4d6c" not in shown(text) and "111122223333" not in shown(text)


def test_other_arns_and_ordinary_texts_stay():
    text = "arn:aws:rds:eu-central-1:1:db:x and müller|ops, 東京\n\tindented"
    assert shown(text) == text


@given(st.recursive(st.text() | st.integers() | st.none() | st.booleans(), lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=8))
def test_no_control_character_is_left(value):
    text = json.dumps(shown({"x": value}), ensure_ascii=False)
    assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}


def outcome(run, secrets=("hunter2hunter2",)) -> tuple[dict, list[str]]:
    said: list[str] = []
    hidden = set(secrets)
    context = Context({}, check_mode=False, diff_mode=False, connection=None, progress=said.append, warn=said.append, mask=hidden.add)
    return answer(run, context, hidden), said


def test_every_way_out_of_a_module_is_cleaned():
    def talkative(context):
        context.progress(f"{ESCAPE} {ARN}")
        context.warn(f"{ESCAPE} {ARN}")
        return {"changed": False, "accounts": [f"'{ESCAPE}'@'%'", ARN], "diff": {"after": f"{ESCAPE}\n"}}

    def failing(context):
        context.mask("read\x1blater")
        raise EncryptionError(f"{ESCAPE} {ARN} hunter2hunter2 read\x1blater", **{"row": ESCAPE})

    def broken(context):
        raise ValueError(f"{ESCAPE} {ARN} hunter2hunter2")

    for run in (talkative, failing, broken):
        result, said = outcome(run)
        everything = json.dumps(result) + "".join(said)
        assert "\\u001b" not in everything and "\x1b" not in everything and "\x07" not in everything
        assert "0f2e4d6c" not in everything and "hunter2" not in everything and "later" not in everything, everything
