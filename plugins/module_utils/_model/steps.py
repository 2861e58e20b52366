# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Plans are data: stages of steps, printed by check mode, executed by ``_run.apply``, asserted by tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


WAITS = ("SeeThatItStays", "WaitUntilReady")


@dataclass(frozen=True)
class Step:
    """One change of one resource.

    :param action: the AWS operation (``CopyDBSnapshot``), or ``Rename`` for ModifyDBInstance with a new identifier, or one of ``WAITS``,
        which change nothing.
    :param resource: the identifier that the resource has before the step.
    :param what: the step in words, for the plan.
    :param parameters: of the AWS operation, without the identifier for ModifyDBInstance and its like; never secrets.
    :param resource_id: the ``DbiResourceId`` of the instance, where it exists already: steps are keyed on it, not on names.
    :param started: an earlier run made the call already: only wait for its outcome.
    :param confirmed: pure; whether a description (of the instance, or of the snapshot that the step makes) shows the step's effect and
        that it is ours.
    :param replan: later steps of this plan rest on an assumed outcome of this one; read and plan anew after it.
    :param still: pure; asked with all instances of the region right before the call: whether what the step rests on still holds. If not,
        somebody else was here meanwhile, and everything is read and planned anew.
    :param agreed: whoever makes this step writes the same, but for the time of day, and another step of the same plan follows: seen once, it is
        in force. What two operators might fight for, or what is read anew next, is watched for a while.
    :param expected: seconds that the operation usually takes, for whoever watches; None where that is seconds, or nobody knows.
    """

    action: str
    resource: str
    what: str
    parameters: dict = field(default_factory=dict)
    resource_id: str | None = None
    replan: bool = False
    started: bool = False
    agreed: bool = False
    expected: float | None = None
    confirmed: Callable[[dict], bool] | None = field(default=None, compare=False)
    still: Callable[[list[dict]], bool] | None = field(default=None, compare=False)

    @property
    def mutates(self) -> bool:
        return self.action not in WAITS and not self.started

    def to_dict(self) -> dict:
        return {"action": self.action, "resource": self.resource, "what": self.what}


@dataclass(frozen=True)
class Plan:
    """What should happen: steps of one stage are started together and awaited together; stages follow each other.

    :param remarks: things that the operator should know and that need no step.
    """

    stages: tuple[tuple[Step, ...], ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def steps(self) -> list[Step]:
        return [step for stage in self.stages for step in stage]

    @property
    def changes(self) -> bool:
        return any(step.mutates for step in self.steps)

    def to_list(self) -> list[dict]:
        return [step.to_dict() for step in self.steps if step.mutates]


def stages(*groups) -> tuple[tuple[Step, ...], ...]:
    """The non-empty groups of steps, in order."""
    return tuple(tuple(group) for group in groups if group)
