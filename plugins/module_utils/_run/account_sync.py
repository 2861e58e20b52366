# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Carry out the statements of an account plan: phase by phase, many accounts and many statements at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import groupby

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import ConnectionLostError, EncryptionError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import CONNECTION_LOST

_READ_ONLY = 1290
# What one round trip carries: far below max_allowed_packet, and little enough for lines of progress.
PACKET_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one statement.

    :param done: whether the server carried it out, wholly or in part.
    :param problem: the server's words if it refused it or a part of it.
    """

    statement: object
    done: bool
    problem: str | None = None


class Sender:
    """What carrying out needs of the server and of the plan.

    :param send: ``([Sql], oracle_mode) -> (number done, StatementError | None)``: carried out in order up to the first that is refused.
    :param existing: ``([Key]) -> set[Key]``: those of the accounts that exist now.
    :param is_read_only: ``() -> bool``, asked when a statement failed with error 1290.
    :param list_together: statements of one phase -> ``[(Sql, members)]``.
    :param unlock_phase: statements of this phase are left out for an account that would otherwise be able to do too much.
    """

    def __init__(self, *, send, existing, is_read_only, list_together, unlock_phase: int):
        self.send = send
        self.existing = existing
        self.is_read_only = is_read_only
        self.list_together = list_together
        self.unlock_phase = unlock_phase


def carry_out(statements, sender: Sender, progress=lambda line: None) -> list[Outcome]:
    """What came of each statement; a refusal ends nothing but what depends on it.

    :param statements: in the order of their phases.
    :raises EncryptionError: if the server is read-only or gone.
    """
    run = _Run(sender, len(statements), progress)
    for _phase, of_phase in groupby(statements, key=lambda statement: statement.phase):
        run.phase(list(of_phase))
    return [run.outcomes[id(statement)] for statement in statements]


class _Run:
    def __init__(self, sender: Sender, total: int, progress):
        self.sender = sender
        self.total = total
        self.progress = progress
        self.outcomes: dict[int, Outcome] = {}
        self.lost: set = set()  # accounts that could not be made
        self.too_open: set = set()  # accounts that can do more than they should
        self._told = 0

    def phase(self, statements) -> None:
        waiting = deque(self.sender.list_together(statements))
        while waiting:
            packet = self._next_packet(waiting)
            if not packet:
                continue
            done, error = self.sender.send([sql for sql, unused in packet], packet[0][1][0].oracle_mode)
            for _sql, members in packet[:done]:
                self._settle(members, True)
            if error is not None:
                self._give_up_if_hopeless(error)
                waiting.extendleft(reversed(packet[done + 1 :]))
                self._refused(*packet[done], error, waiting)
            self._tell()

    def _next_packet(self, waiting: deque) -> list:
        packet: list = []
        size = 0
        while waiting and size < PACKET_BYTES:
            sql, members = waiting[0]
            if packet and members[0].oracle_mode != packet[0][1][0].oracle_mode:
                break
            waiting.popleft()
            left = tuple(member for member in members if not self._left_out(member))
            if len(left) < len(members):
                waiting.extendleft(reversed(self.sender.list_together(list(left))))
                continue
            packet.append((sql, members))
            size += len(sql.text)
        return packet

    def _left_out(self, statement) -> bool:
        if statement.key in self.lost:
            reason = "left out, since the account could not be made"
        elif statement.phase == self.sender.unlock_phase and statement.key in self.too_open:
            reason = "stays locked, since a statement that limits the account failed"
        else:
            return False
        self._settle((statement,), False, reason)
        return True

    def _refused(self, sql, members, error: StatementError, waiting: deque) -> None:
        if len(members) > 1:
            # One account of the list is to blame: each by itself. MySQL has done none of them then; MariaDB may have made some.
            if members[0].creates:
                made = self.sender.existing([member.key for member in members])
                self._settle([member for member in members if member.key in made], True)
                members = [member for member in members if member.key not in made]
            waiting.extendleft(reversed([(member.sql, (member,)) for member in members]))
            return
        (statement,) = members
        done, problem = False, error.problem
        if statement.singles:
            done, problem = self._one_by_one(statement)
        self._settle(members, done, problem)
        if problem and statement.required:
            self.lost.add(statement.key)
        if problem and statement.narrows:
            self.too_open.add(statement.key)

    def _one_by_one(self, statement) -> tuple[bool, str | None]:
        """One of several privileges was refused: those that can be given are."""
        problems, any_done = [], False
        for single in statement.singles:
            done, error = self.sender.send([single], statement.oracle_mode)
            any_done = any_done or bool(done)
            if error is not None:
                self._give_up_if_hopeless(error)
                problems.append(f"{single.masked}: {error.problem}")
        return any_done, "; ".join(problems) or None

    def _settle(self, statements, done: bool, problem: str | None = None) -> None:
        for statement in statements:
            self.outcomes[id(statement)] = Outcome(statement, done, problem)

    def _tell(self) -> None:
        settled = len(self.outcomes)
        if settled - self._told >= max(500, self.total // 10) and settled < self.total:
            self._told = settled
            self.progress(f"{settled} of {self.total} account statements")

    def _give_up_if_hopeless(self, error: StatementError) -> None:
        done = sum(outcome.done for outcome in self.outcomes.values())
        if error.code == _READ_ONLY and self.sender.is_read_only():
            raise EncryptionError(
                f"{error.problem}. The server is read-only; accounts can only be written with SUPER then, which no master user of RDS has.",
                done=f"{done} account statement(s) were carried out before.",
                next_step="set read_only=0 in the parameter group of this replica, run again, and set it back to 1 afterwards.",
            )
        if error.code in CONNECTION_LOST:
            raise ConnectionLostError(
                f"{error.problem}.",
                error.code,
                done=f"{done} account statement(s) were carried out; accounts in the making are locked.",
                next_step="run again: accounts are compared anew, and only what is missing is done.",
                changed=done > 0,
            )
