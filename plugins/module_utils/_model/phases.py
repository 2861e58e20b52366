# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.
"""The phases of a run: one row each, for the report, for failures and for the recovery guide, which has a heading of the same name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """One phase: the role of this name does it.

    :param changes: whether a run that has it changes instances, and so leaves a report.
    """

    name: str
    title: str
    changes: bool = True

    @property
    def recovery(self) -> str:
        """Where the recovery guide says what to do."""
        return f"docs/recovery.md#{self.name}"


PHASES = (
    Phase("preflight", "Preflight", changes=False),
    Phase("seed", "Seed"),
    Phase("prepare", "Prepare"),
    Phase("fence", "Fence"),
    Phase("build", "Build"),
    Phase("validate", "Validate"),
    Phase("cutover", "Cut over"),
    Phase("report", "Report", changes=False),
    Phase("rollback", "Roll back"),
    Phase("retire", "Retire"),
)
PHASES_BY_NAME = {phase.name: phase for phase in PHASES}
