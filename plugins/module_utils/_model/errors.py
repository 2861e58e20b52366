# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The collection's exceptions: every message an operator reads is built here, in one shape."""

from __future__ import annotations

from enum import Enum


class EncryptionError(Exception):
    """A refusal or a failure, in words for the person on call.

    :param problem: what was tried on which resource, and what came of it (one sentence, names included).
    :param done: what has and has not been changed so far (one sentence), if anything can be said.
    :param next_step: what the operator should do now, with the command where there is one.
    :param facts: data for machines (no secrets); becomes part of the module's result.
    """

    def __init__(self, problem: str, done: str | None = None, next_step: str | None = None, **facts):
        super().__init__(problem)
        self.problem = problem
        self.done = done
        self.next_step = next_step
        self.facts = facts

    def __str__(self) -> str:
        text = self.problem
        if self.done:
            text += f" State: {self.done}"
        if self.next_step:
            text += f" Next: {self.next_step}"
        return text


def parts_of(message: str) -> tuple[str, str, str]:
    """(problem, done, next step) of a message that an ``EncryptionError`` became; what it does not say is empty."""
    rest, _next, next_step = message.rpartition(" Next: ") if " Next: " in message else (message, "", "")
    problem, _state, done = rest.partition(" State: ")
    return problem, done, next_step


class RefusedError(EncryptionError):
    """Asked for something that the laws or RDS do not allow; nothing was changed."""


class StatementError(EncryptionError):
    """A statement or a login that a database server refused.

    :param code: MySQL's error number (1045, 1227, ...) or its client's (2003, 2013, ...); PostgreSQL's SQLSTATE.
    """

    def __init__(self, problem: str, code: int | str = 0, next_step: str | None = None, **facts):
        super().__init__(problem, next_step=next_step, **facts)
        self.code = code


class ConnectionLostError(StatementError):
    """A connection that was there is gone: the server restarted, or something in between did. What was under way may have happened, or not."""


class NotReachedError(StatementError):
    """Nobody answered, or whoever did was not ready: the login was not looked at."""


class SameServerError(StatementError):
    """Two names of two instances lead to one server: DNS still says of one of them what was true before a rename.

    :param patience: seconds for which this may go on.
    """

    def __init__(self, one: str, other: str, patience: float):
        super().__init__(
            f"{one} and {other} lead to the same server: one of the two names still has the address that it had before a rename.",
            next_step="wait until each name has the address of its own instance (look for one that is pinned in /etc/hosts), then run again.",
        )
        self.patience = patience


class TerminalStateError(EncryptionError):
    """A resource went into a state that no wait can cure."""


class WaitTimeoutError(EncryptionError):
    """A wait reached its limit, or nothing moved for too long; running again goes on from here."""


class Trouble(Enum):
    """What an error of a mutating call means for its caller."""

    THROTTLED = "the call was not made; later"
    UNKNOWN = "the call may have been made; read first"
    BUSY = "the resource is in another state at this moment"
    NOT_FOUND = "not there, or not visible yet"
    EXISTS = "the identifier is taken"
    PROPAGATING = "a fresh IAM role is not visible to RDS yet"
    NOTHING_TO_DO = "the change is in force already"
    REFUSED = "the call will never succeed as it is"


class CallError(Exception):
    """An AWS error with its meaning.

    :param trouble: what the caller may do.
    :param code: the wire code (``InvalidDBInstanceState``), or the exception's name for a lost connection.
    """

    def __init__(self, trouble: Trouble, code: str, message: str, operation: str):
        super().__init__(f"{operation}: {code}: {message}")
        self.trouble = trouble
        self.code = code
        self.message = message
        self.operation = operation
