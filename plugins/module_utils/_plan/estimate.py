# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""How long a topology may take, part by part, and how that is known: the account's own past first, an assumption by size where it has none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.durations import usual_minutes
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.engines import STRATEGIES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Topology

# (begins, ends): the words of RDS's events, in lower case (RDS guide: Event categories and event messages; 0001 and 0002, 0196 and 0197).
BACKUP_EVENTS = ("backing up db instance", "finished db instance backup")
COPY_EVENTS = ("started copy of snapshot", "finished copy of snapshot")
SHORTEST_COPY_SECONDS = 300


@dataclass(frozen=True)
class Past:
    """What the events of the last 14 days tell; nothing where they could not be read.

    :param backups: seconds of each automated backup of the source. Like a snapshot behind a seed, it holds what changed since the one before.
    :param copies: (GiB, seconds, identifier) of each copy of a snapshot in the account and region.
    """

    backups: tuple[float, ...] = ()
    copies: tuple[tuple[int, float, str], ...] = ()


@dataclass(frozen=True)
class Part:
    """One part of a run.

    :param phase: the phase that it belongs to.
    :param basis: how the number is known.
    :param outage: whether applications wait during it.
    """

    name: str
    phase: str
    minutes: int
    basis: str
    outage: bool = True

    def to_dict(self) -> dict:
        return {"part": self.name, "phase": self.phase, "minutes": self.minutes, "basis": self.basis, "outage": self.outage}


def past_of(instance_events: list[dict], copy_events: list[dict], snapshots: list[dict]) -> Past:
    """What events (``Event`` shapes) and snapshots (``DBSnapshot`` shapes) tell of durations."""
    sizes = {snapshot["DBSnapshotIdentifier"]: snapshot.get("AllocatedStorage") for snapshot in snapshots}
    copies = [(sizes[name], seconds, name) for name, seconds in durations(copy_events, COPY_EVENTS) if sizes.get(name)]
    return Past(tuple(seconds for _name, seconds in durations(instance_events, BACKUP_EVENTS)), tuple(copies))


def durations(events: list[dict], words: tuple[str, str]) -> list[tuple[str, float]]:
    """(identifier, seconds) of each pair of events that begins and ends something, in the order of their ends."""
    begun: dict[str, datetime] = {}
    found = []
    for event in sorted((e for e in events if isinstance(e.get("Date"), datetime)), key=lambda e: e["Date"]):
        name, message = event.get("SourceIdentifier", ""), event.get("Message", "").lower()
        if message.startswith(words[0]):
            begun[name] = event["Date"]
        elif message.startswith(words[1]) and name in begun:
            found.append((name, (event["Date"] - begun.pop(name)).total_seconds()))
    return found


def estimate(topology: Topology, past: Past | None = None, strategy: str = "cold", warm_up_budget: int = 0) -> list[Part]:
    """What is left, in order. RDS promises no duration; where the past tells nothing, ``_model.durations`` assumes.

    :param warm_up_budget: seconds that the operator gives to a warm-up.
    """
    past = past or Past()
    primary = topology.primary
    if primary is None or primary.source is None:
        return []
    size = primary.source.get("AllocatedStorage", 20)
    waiting = not STRATEGIES[strategy].follows
    assumed = f"assumed for {size} GiB"
    parts = []
    if not primary.fenced_by_name:
        parts.append(Part("fence", "fence", 4, "assumed: a rename, a restart, the look for connections"))
    if primary.target is None:
        minutes, basis = _snapshot(past, primary.source)
        parts.append(Part("snapshot", "build", minutes, basis, waiting))
        minutes, basis = _copy(past, primary.source)
        parts.append(Part("encrypted copy", "build", minutes, basis, waiting))
        parts.append(Part("restore", "build", usual_minutes("RestoreDBInstanceFromDBSnapshot", primary.source), assumed, waiting))
    levels = max((m.level for m in topology.members if m.target is None), default=0)
    if levels:
        each = usual_minutes("CreateDBInstanceReadReplica", primary.source)
        parts.append(Part("replicas", "build", each * levels, f"assumed: {each} min for each of {levels} level{'s' * (levels > 1)}", waiting))
    if warm_up_budget and waiting:
        parts.append(Part("warm-up", "build", _minutes(warm_up_budget), "at most rds_encryption_warm_up_budget", waiting))
    parts.append(Part("cutover", "cutover", 4, "assumed: a rename, its confirmation"))
    return parts


def _snapshot(past: Past, source: dict) -> tuple[int, str]:
    if past.backups:
        number = f"{len(past.backups)} automated backups" if len(past.backups) > 1 else "one automated backup"
        return _minutes(max(past.backups)), f"the longest of {number} of the last 14 days" if len(past.backups) > 1 else f"{number} of the last 14 days"
    return usual_minutes("CreateDBSnapshot", source), f"assumed for {source.get('AllocatedStorage', 20)} GiB"


def _copy(past: Past, source: dict) -> tuple[int, str]:
    size = source.get("AllocatedStorage", 20)
    if past.copies:
        gib, seconds, name = min(past.copies, key=lambda copy: (abs(copy[0] - size), -copy[1]))
        return _minutes(max(seconds * size / gib, SHORTEST_COPY_SECONDS)), f"by the copy {name} of the last 14 days: {gib} GiB in {_minutes(seconds)} min"
    return usual_minutes("CopyDBSnapshot", source), f"assumed for {size} GiB"


def _minutes(seconds: float) -> int:
    return max(1, -int(-seconds // 60))


def estimate_minutes(topology: Topology) -> dict[str, int]:
    """A guess of the parts in minutes, from sizes alone."""
    return {part.name: part.minutes for part in estimate(topology)}


def together(parts_of: list[list[dict]]) -> dict[str, int]:
    """Minutes of a run of several topologies, and of its outage: at each gate all wait for the slowest.

    :param parts_of: for each topology its parts, as ``Part.to_dict`` gives them.
    :return: ``{"minutes", "outage_minutes"}``; the outage is that of every topology that is fenced by this run.
    """
    slowest: dict[str, int] = {}
    waiting: dict[str, int] = {}
    for parts in parts_of:
        for phase in {part["phase"] for part in parts}:
            here = [part for part in parts if part["phase"] == phase]
            slowest[phase] = max(slowest.get(phase, 0), sum(part["minutes"] for part in here))
            waiting[phase] = max(waiting.get(phase, 0), sum(part["minutes"] for part in here if part["outage"]))
    return {"minutes": sum(slowest.values()), "outage_minutes": sum(waiting.values())}
