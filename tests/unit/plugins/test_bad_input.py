# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever an operator writes into an option of any module: an answer in words, no fault of Python, and no change for what was refused.

The whole way of a task in the controller is gone: Ansible's validation, ours, the job. RDS is the one in memory, which knows no lenience
for texts that could not be sent; nobody answers under any address of a database.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import re
import types

import pytest

mysql_library = pytest.importorskip("pymysql")
from ansible_collections.dbre.rds_encryption.plugins.module_utils import _entry
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.options import BOUNDS, IDENTIFIERS, option_problems
from botocore.exceptions import ClientError
from fakes.region import OPERATIONS, Region
from fakes.shapes import KEY, encrypted, instance, marks, replica
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

importlib.import_module("ansible.plugins.loader")  # ActionBase wants it first
HERE = "ansible_collections.dbre.rds_encryption.plugins"
MODULES = sorted(path.stem for path in (pathlib.Path(__file__).resolve().parents[3] / "plugins" / "modules").glob("*_*.py"))
PASSWORD = "correct-horse-battery-staple"


def spec_of(module: str) -> dict:
    return importlib.import_module(f"{HERE}.modules.{module}").ARGUMENT_SPEC


class Nobody:
    """PyMySQL's errors, and a server that is not there."""

    def __getattr__(self, name):
        return getattr(mysql_library, name)

    def connect(self, **login):
        for value in login.values():
            str(value).encode("utf-8")
        raise mysql_library.err.OperationalError(1045, "Access denied")


class Strict:
    """A client that takes only what could be sent, and denies what the region in memory does not have."""

    def __init__(self, client):
        self._client = client
        self.meta = getattr(client, "meta", types.SimpleNamespace(region_name="eu-central-1"))

    def __getattr__(self, name):
        def call(*words, **parameters):
            json.dumps(parameters, ensure_ascii=False, allow_nan=False).encode("utf-8")
            try:
                found = getattr(self._client, name)
            except AttributeError:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not allowed"}}, name) from None
            try:
                return found(*words, **parameters)
            except KeyError as missing:
                if name != "get_paginator":
                    raise
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": f"{missing} is not allowed"}}, words[0]) from None

        return call


def region() -> Region:
    """A source that is not touched yet, a fenced one, and one that is encrypted."""
    return Region(
        instance("x", tags={"team": "a"}),
        replica("x-r1", "x"),
        instance("old-y", tags=marks("y", "source", "db-OLD-Y", fenced="f1 2026-11-22T00:00:00Z")),
        encrypted("z"),
    )


def answer(made: Region, module: str, args: dict, monkeypatch, check_mode: bool = False) -> dict:
    """The result of a task of that module with these arguments."""
    plugin = importlib.import_module(f"{HERE}.action.{module}").ActionModule
    action = object.__new__(plugin)
    action._task = types.SimpleNamespace(
        action=f"dbre.rds_encryption.{module}", args=args, check_mode=check_mode, diff=True, environment=[], async_val=0
    )
    made.asked = []

    def client(self, service, config=None, **more):
        made.asked.append(service)
        return Strict(made.client(service, config) if service in ("rds", "kms") else None)

    monkeypatch.setattr(_entry.Context, "client", client)
    monkeypatch.setattr(_entry, "Clock", lambda: made.clock)
    monkeypatch.setattr(mysql, "pymysql", Nobody())
    return action._run_here({"inventory_hostname": "x"})


def in_words(result: dict) -> str:
    """The message of a result.

    :raises AssertionError: there is none, or it tells of a fault of Python.
    """
    text = result.get("msg", "")
    assert text or not result.get("failed"), result
    assert "defect of this collection" not in text and "Traceback" not in text, result.get("exception", text)
    assert not re.search(r"object at 0x|<class '(?!str|int|list|dict|float|bool|NoneType)", text), text
    json.dumps(result).encode("utf-8")
    return text


texts = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ["", " ", "x", "X", "old-y", "y", "new-y", "z", "x-r1", "nowhere", "a" * 64, "-x", "x-", "x--y", "9x", "müller", "o'brien", "`;--", "%s", "a\nb",
         "\x1b[2J", "a\0b", "\ud800", "{{ 7*7 }}", "arn:aws:rds:x", "null", KEY, "alias/rds", "../../etc", "x" * 100_000, "old-", "new-", "f1", "cold"]
    ),
)
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1, 10**400, float("nan"), float("inf"), "nan", "inf", "-inf", "1e400", "0x10", "twelve", "", "9" * 5000, True, None]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
keys = st.one_of(texts, st.integers(), st.none())
anything = st.recursive(scalars, lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(keys, each, max_size=3)), max_leaves=5)


def likely(option: dict, name: str):
    """Values of the right kind for an option, most of them odd."""
    kind = option.get("type", "str")
    if option.get("options"):
        return arguments(option["options"])
    if kind in ("int", "float"):
        return st.one_of(numbers, st.sampled_from([1, 20]))
    if kind == "bool":
        return st.sampled_from([True, False, "yes", "maybe", 3, ""])
    if kind == "list":
        return st.one_of(st.lists(texts, max_size=3), st.just(["x"] * 20_000), st.just("a,b"))
    if kind == "dict":
        return st.dictionaries(keys, scalars, max_size=4)
    usual = {"name": ["x", "y", "z"], "kms_key_id": [KEY], "login_password": [PASSWORD], "old_prefix": ["old-", "x-"], "new_prefix": ["new-"]}
    return st.one_of(texts, st.sampled_from(usual.get(name, ["x", "old-y", "new-y"])))


def arguments(spec: dict):
    """Arguments for a spec: required ones mostly there, now and then something of a wrong kind."""
    required = {name: st.one_of(likely(option, name), likely(option, name), anything) for name, option in spec.items() if option.get("required")}
    optional = {name: st.one_of(likely(option, name), likely(option, name), anything) for name, option in spec.items() if not option.get("required")}
    return st.fixed_dictionaries(required, optional=optional)


@pytest.mark.parametrize("module", MODULES)
def test_no_arguments_cause_a_fault(module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(args=arguments(spec_of(module)), check_mode=st.booleans())
    def judge(args, check_mode):
        made = region()
        before = made.names
        result = answer(made, module, args, monkeypatch, check_mode)
        text = in_words(result)
        changes = [operation for operation, _parameters in made.calls if operation in OPERATIONS]
        if check_mode:
            assert changes == [] and made.names == before, "check mode changed something"
        if result.get("failed") and "State: Nothing was changed" in text:
            assert changes == [], text
        assert PASSWORD not in json.dumps(result)

    judge()


@pytest.mark.parametrize("module", MODULES)
def test_every_number_has_bounds(module):
    """A number without bounds takes 10**400 and -1, and fails far away, or never."""

    def unbounded(spec):
        found = [name for name, option in spec.items() if option.get("type") in ("int", "float") and name not in BOUNDS]
        return found + [name for option in spec.values() if option.get("options") for name in unbounded(option["options"])]

    assert not unbounded(spec_of(module)), "add it to BOUNDS in _model/options.py"


@pytest.mark.parametrize("module, option", [(module, name) for module in MODULES for name, each in spec_of(module).items()
                                            if each.get("type") in ("int", "float")])
@pytest.mark.parametrize("value", [-1, 10**400, float("nan"), float("inf"), "nan"], ids=["negative", "huge", "nan", "infinite", "nan as text"])
def test_an_absurd_number_is_refused_before_anything_else(module, option, value, monkeypatch):
    made = region()
    names = {name: "y" for name in IDENTIFIERS if name in spec_of(module)}
    required = {
        name: names.get(name, each.get("choices", [KEY])[0])
        for name, each in spec_of(module).items()
        if each.get("required") and each.get("type") == "str"
    }
    required |= {name: {"login_host": "nowhere"} for name, each in spec_of(module).items() if each.get("required") and each.get("type") == "dict"}
    required |= {name: [{}] for name, each in spec_of(module).items() if each.get("required") and each.get("type") == "list"}
    result = answer(made, module, {**required, option: value}, monkeypatch)
    assert result["failed"] and option in in_words(result)
    assert made.asked == []


@pytest.mark.parametrize(
    "old, new",
    [("", "new-"), ("old-", ""), ("x-", "x-"), ("X-", "x-"), ("x-", "x-x-"), ("x", "xy"), ("9-", "new-"), ("old--", "new-"), ("ö-", "new-"),
     ("o" * 63, "new-")],
)
def test_prefixes_that_cannot_be_told_apart_or_used_are_refused(old, new, monkeypatch):
    for module in ("rds_fence", "rds_topology_info", "rds_cutover"):
        made = region()
        result = answer(made, module, {"name": "x", "old_prefix": old, "new_prefix": new}, monkeypatch)
        assert result["failed"] and "prefix" in in_words(result), module
        assert made.calls == []


def test_a_name_without_room_for_the_prefix_is_not_even_marked(monkeypatch):
    made = Region(instance("a" * 60))
    result = answer(made, "rds_fence", {"name": "a" * 60}, monkeypatch)
    assert result["failed"] and "has 64 characters, RDS allows 63" in in_words(result)
    assert made.calls == []


@pytest.mark.parametrize("fence_id", ["f 1", "f/1", "f--1", "f" * 65, "ä", "1\n"])
def test_a_fence_id_that_no_snapshot_could_bear_is_refused(fence_id, monkeypatch):
    made = region()
    args = {"source_db_instance_identifier": "x", "target_db_instance_identifier": "new-x", "kms_key_id": KEY, "fence_id": fence_id}
    result = answer(made, "rds_encrypted_restore", args, monkeypatch)
    assert result["failed"] and "fence_id" in in_words(result)
    assert made.calls == []


@pytest.mark.parametrize(
    "tags, words",
    [
        ({"aws:x": "1"}, "not yours to set"),
        ({"rds-encryption:name": "z"}, "not yours to set"),
        ({"": "1"}, "too long or empty"),
        ({"a": "b" * 257}, "too long or empty"),
        ({"a": ["b"]}, "must have a text"),
        ({"a": None}, "must have a text"),
        ({str(n): "x" for n in range(51)}, "RDS allows 50"),
        ({"a": "\ud800"}, "no service takes"),
    ],
)
def test_tags_that_rds_would_refuse_are_refused_before_the_snapshot(tags, words, monkeypatch):
    made = region()
    args = {"source_db_instance_identifier": "old-y", "target_db_instance_identifier": "new-y", "kms_key_id": KEY, "tags": tags}
    result = answer(made, "rds_encrypted_restore", args, monkeypatch)
    assert result["failed"] and words in in_words(result)
    assert made.calls == []


def test_numbers_in_tags_are_texts(monkeypatch):
    made = region()
    args = {"source_db_instance_identifier": "old-y", "target_db_instance_identifier": "new-y", "kms_key_id": KEY, "tags": {1: 2, "team": True}}
    result = answer(made, "rds_encrypted_restore", args, monkeypatch)
    assert not result.get("failed"), result
    assert {"1": "2", "team": "True"}.items() <= {tag["Key"]: tag["Value"] for tag in made.truth("new-y")["TagList"]}.items()


def test_a_fault_of_python_is_put_into_words(monkeypatch):
    """What nobody foresaw still says what to do, and shows its traceback only to whoever asks for it."""
    made = region()
    monkeypatch.setattr(Region, "read", lambda self: 1 / 0)
    result = answer(made, "rds_topology_info", {"name": "x", "kms_key_id": KEY}, monkeypatch)
    assert result["failed"] and "A defect of this collection: ZeroDivisionError" in result["msg"]
    assert "Traceback" not in result["msg"] and "Traceback" in result["exception"]


def test_every_problem_is_told_at_once():
    problems = option_problems({"name": "-", "poll_interval": -1, "old_prefix": "a", "new_prefix": "a", "source": {"login_port": 0}})
    assert [problem.split()[0] for problem in problems] == ["name", "poll_interval", "source.login_port", "old_prefix"]
