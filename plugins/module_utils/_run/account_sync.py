# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Carry out the statements of an account plan, one by one."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError

_READ_ONLY = 1290
_CONNECTION_LOST = (0, 2006, 2013, 2055)


@dataclass(frozen=True)
class Outcome:
    """What came of one statement.

    :param done: whether the server carried it out, wholly or in part.
    :param problem: the server's words if it refused it or a part of it.
    """

    statement: object
    done: bool
    problem: str | None = None


def carry_out(statements, execute, is_read_only, unlock_phase: int, progress=lambda line: None) -> list[Outcome]:
    """What came of each statement; a refusal ends nothing but what depends on it.

    :param execute: ``(Sql, oracle_mode) -> None``.
    :param is_read_only: ``() -> bool``, asked when a statement failed with error 1290.
    :param unlock_phase: statements of this phase are left out for an account that would otherwise be able to do too much.
    :raises EncryptionError: if the server is read-only or gone.
    """
    outcomes: list[Outcome] = []
    lost, too_open = set(), set()
    tell_every = max(500, len(statements) // 10)
    for number, statement in enumerate(statements):
        if number and number % tell_every == 0:
            progress(f"{number} of {len(statements)} account statements")
        if statement.key in lost:
            outcomes.append(Outcome(statement, False, "left out, since the account could not be made"))
            continue
        if statement.phase == unlock_phase and statement.key in too_open:
            outcomes.append(Outcome(statement, False, "stays locked, since a statement that limits the account failed"))
            continue
        done, problem = _attempt(statement, execute, is_read_only, number)
        outcomes.append(Outcome(statement, done, problem))
        if problem and statement.required:
            lost.add(statement.key)
        if problem and statement.narrows:
            too_open.add(statement.key)
    return outcomes


def _attempt(statement, execute, is_read_only, done_so_far: int) -> tuple[bool, str | None]:
    try:
        execute(statement.sql, statement.oracle_mode)
        return True, None
    except StatementError as e:
        _give_up_if_hopeless(e, is_read_only, done_so_far)
        if not statement.singles:
            return False, e.problem
    # One of several privileges was refused: give those that can be given.
    problems, done = [], False
    for single in statement.singles:
        try:
            execute(single, statement.oracle_mode)
            done = True
        except StatementError as e:
            _give_up_if_hopeless(e, is_read_only, done_so_far)
            problems.append(f"{single.masked}: {e.problem}")
    return done, "; ".join(problems) or None


def _give_up_if_hopeless(error: StatementError, is_read_only, done_so_far: int) -> None:
    if error.code == _READ_ONLY and is_read_only():
        raise EncryptionError(
            f"{error.problem}. The server is read-only; accounts can only be written with SUPER then, which no master user of RDS has.",
            done=f"{done_so_far} account statement(s) were carried out before.",
            next_step="set read_only=0 in the parameter group of this replica, run again, and set it back to 1 afterwards.",
        )
    if error.code in _CONNECTION_LOST:
        raise EncryptionError(
            f"{error.problem}.",
            done=f"{done_so_far} account statement(s) were carried out; accounts in the making are locked.",
            next_step="run again: accounts are compared anew, and only what is missing is done.",
        )
