# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Settings that live in ``mysql.rds_configuration`` instead of a parameter group."""

from __future__ import annotations


def plan_configuration(source: dict, target: dict, explicit: dict) -> tuple[list[dict], list[tuple[str, str]]]:
    """Changes ``{name, before, after, from}`` that make the target's settings equal, and settings that cannot be made equal.

    :param source: the source's values by name (None is RDS's "NULL"); empty if they are not to be carried.
    :param explicit: the operator's values, which win.
    """
    wanted = {name: (value, "source") for name, value in source.items()}
    wanted.update({str(name): (_text(value), "configuration") for name, value in explicit.items()})
    changes, problems = [], []
    for name, (value, origin) in sorted(wanted.items()):
        if name not in target:
            if value is not None:
                problems.append((name, f"the target does not know this setting (value {value} from {origin})"))
        elif target[name] != value:
            changes.append({"name": name, "before": target[name], "after": value, "from": origin})
    return changes, problems


def _text(value) -> str | None:
    return None if value is None or str(value).strip().upper() in ("", "NULL", "NONE") else str(value)
