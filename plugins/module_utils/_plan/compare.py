# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The only comparison of two DB instances: every member gets a row, and every difference a reason. Pure functions over the rules."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.attributes import (
    DIFFERENT,
    EQUAL,
    EXPLAINED,
    NEWEST_BOTOCORE,
    RULES,
    RULES_BY_MEMBER,
    UNKNOWN,
    Circumstances,
    Compare,
    Rule,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import engine_row
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError

NO_RULE = "no rule"

NEVER_ACCEPTED = frozenset(rule.member for rule in RULES if not rule.acceptable)
"""A target that is not encrypted as asked, or is the source itself, is nothing that an operator can accept."""


@dataclass(frozen=True)
class Row:
    """One attribute of two instances.

    :param attribute: the member of ``DBInstance``.
    :param source: the source's value as an operator may see it (no secrets); plain data.
    :param target: the target's.
    :param carry: the value of ``Carry``, or ``no rule``.
    :param verdict: ``equal``, ``explained``, ``different`` or ``unknown``; the last two are unexplained.
    :param reason: why it differs, or what the difference means; empty when equal.
    """

    attribute: str
    source: Any
    target: Any
    carry: str
    verdict: str
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data for a module's result."""
        return dict(
            attribute=self.attribute, source=self.source, target=self.target, carry=self.carry, verdict=self.verdict, reason=self.reason
        )

    def __str__(self) -> str:
        text = f"{self.attribute}: {_one_line(self.source)} -> {_one_line(self.target)}"
        return f"{text} ({self.reason})" if self.reason else text


def compare(
    source: dict,
    target: dict,
    *,
    names: dict[str, str] | None = None,
    kms_key_arn: str | None = None,
    accepted_differences: Iterable[str] = frozenset(),
    to_come: Iterable[str] = frozenset(),
    newest_known: str = NEWEST_BOTOCORE,
) -> list[Row]:
    """A row for every member that either description has or that is wrong, sorted; absent and null are the same, so are absent and false.

    :param names: identifiers of the source's side -> identifiers of the target's side (sources and replicas).
    :param kms_key_arn: the key that the target must be encrypted with; None: any.
    :param accepted_differences: members whose difference the operator accepts.
    :param to_come: members that a later step makes equal (replicas, the managed password, deletion protection).
    :param newest_known: the botocore release that the rules were made for, to be named where a member has no rule.
    """
    circumstances = Circumstances(dict(names or {}), kms_key_arn)
    accepted = frozenset(accepted_differences) - NEVER_ACCEPTED
    later = frozenset(to_come)
    # A member that neither has can still be wrong: no key on the target is a difference.
    members = {rule.member for rule in RULES if judge(rule, source, target, circumstances)[0] != EQUAL}
    members |= {member for each in (source, target) for member, value in each.items() if value is not None}
    rows = []
    for member in sorted(members - {"ResponseMetadata"}):
        rule = RULES_BY_MEMBER.get(member)
        if rule is None:
            row = _without_rule(member, source, target, newest_known)
        else:
            verdict, reason = judge(rule, source, target, circumstances)
            row = Row(member, plain(rule.shown(source)), plain(rule.shown(target)), rule.carry.value, verdict, reason)
        if row.verdict in (DIFFERENT, UNKNOWN) and member in accepted:
            row = _explained(row, "accepted by the operator")
        elif row.verdict == DIFFERENT and member in later:
            row = _explained(row, "a later step of the run makes it equal")
        rows.append(row)
    return rows


def judge(rule: Rule, source: dict, target: dict, circumstances: Circumstances) -> tuple[str, str]:
    """(verdict, reason) of one attribute."""
    if rule.compare is Compare.EXPECTED:
        return rule.expected(source, target, circumstances)
    mine, its = rule.read(source), rule.read(target)
    if rule.compare is Compare.MAPPED:
        mine, its = _mapped(mine, circumstances.names), _mapped(its, {})
        if mine == its:
            return (EQUAL, "") if rule.read(source) == rule.read(target) else (EXPLAINED, "the same instances under their other names")
    if mine == its:
        return EQUAL, ""
    if rule.compare is Compare.IGNORED or (rule.compare is Compare.PRESENCE and bool(mine) == bool(its)):
        return EXPLAINED, rule.why
    if not rule.applies(source, engine_row(source.get("Engine"))):
        return EXPLAINED, rule.not_applicable
    return DIFFERENT, rule.why


def unexplained(rows: Iterable[Row]) -> list[Row]:
    """The rows that stand between the target and the name of the source."""
    return [row for row in rows if row.verdict in (DIFFERENT, UNKNOWN)]


def count_verdicts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows have each verdict."""
    counts = dict.fromkeys((EQUAL, EXPLAINED, DIFFERENT, UNKNOWN), 0)
    for row in rows:
        counts[row.verdict] += 1
    return counts


def refuse_unknown_members(members: Iterable[str], *descriptions: dict) -> None:
    """Nothing, if each is an attribute with a rule, or one that a description has, and may be accepted.

    :raises RefusedError: a misspelt name would accept nothing, and be found out in the night of the run.
    """
    never = sorted(NEVER_ACCEPTED.intersection(members))
    if never:
        raise RefusedError(
            f"A difference in {', '.join(never)} cannot be accepted: the target must be another instance, encrypted as asked.",
            done="nothing was changed.",
            next_step="Take the names out of accepted_differences; if another key is right, ask for that key.",
        )
    known = set(RULES_BY_MEMBER).union(*descriptions)
    unknown = sorted(set(members) - known)
    if unknown:
        hints = [f"{each} (did you mean {' or '.join(near)}?)" if (near := _near(each, known)) else each for each in unknown]
        raise RefusedError(
            f"accepted_differences names attributes that a DB instance does not have: {', '.join(hints)}.",
            done="nothing was changed.",
            next_step="Write them as aws rds describe-db-instances does, for instance AvailabilityZone.",
        )


def _near(word: str, known: set[str]) -> list[str]:
    by_letters = {each.lower().replace("_", ""): each for each in known}
    return [by_letters[each] for each in difflib.get_close_matches(word.lower().replace("_", ""), by_letters, n=2, cutoff=0.75)]


def counterparts(source: dict, target: dict, *, old_prefix: str, new_prefix: str) -> dict[str, str]:
    """Which identifier of the target's side stands for which one of the source's side, for both instances, their sources and replicas.

    ``old-NAME`` or ``NAME`` on the source's side corresponds to ``new-NAME`` or ``NAME`` on the target's, whichever is there.
    """
    there = _identifiers(target)
    names = {source["DBInstanceIdentifier"]: target["DBInstanceIdentifier"]}
    for identifier in _identifiers(source):
        plain_name = identifier[len(old_prefix) :] if old_prefix and identifier.startswith(old_prefix) else identifier
        for name in dict.fromkeys((plain_name, identifier)):
            found = [candidate for candidate in (new_prefix + name, name) if candidate in there]
            if found:
                names.setdefault(identifier, found[0])
    return names


def _identifiers(description: dict) -> list[str]:
    linked = [description.get("ReadReplicaSourceDBInstanceIdentifier"), *(description.get("ReadReplicaDBInstanceIdentifiers") or ())]
    return [description["DBInstanceIdentifier"], *(each.rpartition(":")[2] for each in linked if each)]


def unified_diff(rows: Iterable[Row], *, before_header: str = "source", after_header: str = "target") -> dict[str, str]:
    """The rows as Ansible's ``diff``: one attribute a line, sorted, the verdict of a difference beside the target's value."""
    before, after = [], []
    for row in sorted(rows, key=lambda row: row.attribute):
        before.append(f"{row.attribute}: {_one_line(row.source)}")
        equal = row.source == row.target and row.verdict == EQUAL
        note = "" if equal else f"  # {row.verdict}" + (f": {row.reason}" if row.reason else "")
        after.append(f"{row.attribute}: {_one_line(row.target)}{note}")
    return dict(
        before="".join(line + "\n" for line in before),
        after="".join(line + "\n" for line in after),
        before_header=before_header,
        after_header=after_header,
    )


def plain(value: Any) -> Any:
    """A value as data that JSON and YAML can hold: tuples become lists, times ISO 8601."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def _mapped(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, tuple):
        return tuple(sorted(_mapped(each, names) for each in value))
    if not isinstance(value, str):
        return value or None
    before, colon, identifier = value.rpartition(":")  # replicas in another region are named by ARN
    return before + colon + names.get(identifier, identifier)


def _without_rule(member: str, source: dict, target: dict, newest_known: str) -> Row:
    mine, its = source.get(member), target.get(member)
    shown = [plain(_without_secrets(member, each)) for each in (mine, its)]
    if (mine or None) == (its or None):
        return Row(member, *shown, NO_RULE, EQUAL)
    reason = (
        f"this version (made for botocore {newest_known}) has no rule for the attribute; compare it by hand and accept it"
    )
    return Row(member, *shown, NO_RULE, UNKNOWN, reason)


def _without_secrets(name: str, value: Any) -> Any:
    """A value of which nothing is known, without what its names say to be secret."""
    if value and any(word in name.lower() for word in ("secret", "password", "token", "credential")):
        return "(given)"
    if isinstance(value, dict):
        return {key: _without_secrets(key, each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(name, each) for each in value]
    return value


def _explained(row: Row, how: str) -> Row:
    reason = f"{how} ({row.reason})" if row.reason else how
    return Row(row.attribute, row.source, row.target, row.carry, EXPLAINED, reason)


def _one_line(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
