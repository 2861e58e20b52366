# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Which values the options of the modules may have; an option means the same, and has the same bounds, in every module.

Ansible checks types. What passes as a number or a text and would harm a run that has begun, or end it in a fault of Python, is refused
here before anything is read or changed.
"""

from __future__ import annotations

import re

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    MAX_INSTANCE_IDENTIFIER,
    MAX_TAGS,
    TAG_PREFIX,
    identifier_problem,
)

DAY = 86400

# Option -> least and greatest value, in seconds but for ports, days, hours, percentages and places in a binary log. A wait of more than a month is a mistake:
# RDS ends every operation before.
BOUNDS = {
    "poll_interval": (0.01, 3600),
    "wait_timeout": (1, 31 * DAY),
    "stall_timeout": (1, 31 * DAY),
    "rebind_timeout": (1, 31 * DAY),
    "settle_time": (0, 3600),
    "connect_timeout": (1, 3600),
    "dns_timeout": (0, DAY),
    "connections_timeout": (1, 31 * DAY),
    "time_budget": (0, 31 * DAY),
    "data_check_budget": (0, 31 * DAY),
    "fenced_data_check_budget": (0, 31 * DAY),
    "warm_up_budget": (0, DAY),
    "connections": (1, 64),
    "max_age": (0, 31 * DAY),
    "seed_snapshot_max_age": (0, 31 * DAY),
    "cutover_timeout": (1, DAY),
    "after_days": (0, 3650),
    "retire_after_days": (0, 3650),
    "login_port": (1, 65535),
    "source_port": (1, 65535),
    "position": (0, 2**63 - 1),
    "binlog_retention_hours": (1, 168),
    "max_lag": (1, DAY),
    "drain_timeout": (1, DAY),
    "min_free_storage": (0, 90),
}

IDENTIFIERS = (
    "name",
    "source_db_instance_identifier",
    "target_db_instance_identifier",
    "model_db_instance_identifier",
    "db_instance_identifier",
    "login_db_instance_identifier",
)
LONGEST_TEXT = 10_000
LONGEST_LIST = 10_000

_PREFIX = re.compile(r"[a-z](?:[a-z0-9]|-(?!-))*", re.ASCII | re.IGNORECASE)
_FENCE_ID = re.compile(r"[a-z0-9]{1,64}", re.ASCII | re.IGNORECASE)
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


def option_problems(params: dict) -> list[str]:
    """What is wrong with the options of a module, one sentence each; passwords are judged and never quoted.

    :param params: validated by Ansible: types are right, defaults set.
    """
    return [*_problems_below("", params), *_prefix_problems(params)]


def _problems_below(path: str, options: dict) -> list[str]:
    found = []
    for name, value in options.items():
        # What preflight passes on for later phases has no other name for an operator than that of the variable.
        where = f"rds_encryption_{name}" if path == "later." else f"{path}{name}"
        found += _text_problems(where, value)
        if name in BOUNDS and isinstance(value, (int, float)):
            low, high = BOUNDS[name]
            # Said the other way round, NaN would pass.
            if not low <= value <= high:
                found.append(f"{where} must be a number from {low} to {high}.")
        elif name in IDENTIFIERS and isinstance(value, str) and not value.startswith("arn:"):
            problem = identifier_problem(value)
            if problem:
                found.append(f"{where} {shortened(value)} {problem}.")
        elif name == "fence_id" and isinstance(value, str) and not _FENCE_ID.fullmatch(value):
            found.append(f"{where} must be 1 to 64 letters and digits: it becomes part of the snapshots' names.")
        elif name == "tags" and isinstance(value, dict):
            found += _tag_problems(where, value)
        elif isinstance(value, dict):
            found += _problems_below(f"{where}.", value)
    return found


def _text_problems(where: str, value) -> list[str]:
    """Problems of one value, whatever it means."""
    if isinstance(value, str):
        if _UNUSABLE.search(value):
            return [f"{where} holds a character that no service takes (NUL, or half of a surrogate pair)."]
        if len(value) > LONGEST_TEXT:
            return [f"{where} has {len(value)} characters; {LONGEST_TEXT} are allowed."]
    if isinstance(value, (list, tuple)):
        if len(value) > LONGEST_LIST:
            return [f"{where} has {len(value)} entries; {LONGEST_LIST} are allowed."]
        return [problem for number, each in enumerate(value, 1) for problem in _text_problems(f"{where}, entry {number},", each)]
    return []


def _tag_problems(where: str, tags: dict) -> list[str]:
    """RDS's rules for tags (botocore: ``Tag``; RDS guide: Tagging)."""
    found = [f"{where} has {len(tags)} tags; RDS allows {MAX_TAGS}."] if len(tags) > MAX_TAGS else []
    for key, value in tags.items():
        shown = f"{where}, {shortened(str(key))!r},"
        if isinstance(value, (dict, list, tuple)) or value is None:
            found.append(f"{shown} must have a text as value.")
        elif not 1 <= len(str(key)) <= 128 or len(str(value)) > 256:
            found.append(f"{shown} is too long or empty: a key has 1 to 128 characters, a value up to 256.")
        elif str(key).lower().startswith(("aws:", TAG_PREFIX)):
            found.append(f"{shown} begins with a prefix that is not yours to set (aws:, {TAG_PREFIX}).")
        found += _text_problems(shown, str(key)) + _text_problems(shown, str(value))
    return found


def _prefix_problems(params: dict) -> list[str]:
    if "old_prefix" not in params or "new_prefix" not in params:
        return []
    old, new = (str(params[name] or "").lower() for name in ("old_prefix", "new_prefix"))
    if not old or not new or old.startswith(new) or new.startswith(old):
        # NAME behind the longer one could not be told from a name that begins like its rest behind the shorter one.
        return ["old_prefix and new_prefix must both be set, and differ from each other; neither may begin with the other."]
    return [
        f"{option} {shortened(prefix)} must start with a letter, hold only letters, digits and single hyphens, and leave room for a name."
        for option, prefix in (("old_prefix", old), ("new_prefix", new))
        if not _PREFIX.fullmatch(prefix) or len(prefix) >= MAX_INSTANCE_IDENTIFIER
    ]


def shortened(text: str, at_most: int = 80) -> str:
    """A text that fits into a message."""
    return text if len(text) <= at_most else f"{text[:at_most]}... ({len(text)} characters)"
