# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read the data of servers through before applications do: the code behind the modules ``*_warm_up``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.warm_up import (
    NOT_REACHED,
    PARTLY,
    READ,
    in_words,
    median_ms,
    parts_of,
    probes_of,
    table_rows,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.warm_up import Work, warm_up

_VERDICTS = {True: READ, False: PARTLY, None: NOT_REACHED}


@dataclass(frozen=True)
class Means:
    """How one kind of server is read: the functions of ``_adapter/*_warm_up.py``, and how a connection is opened.

    :param open_server: ``(context, options, label)`` -> a connected server.
    :param another: ``server`` -> another connection with the same login, connected.
    """

    open_server: Callable
    another: Callable
    begin: Callable
    tables: Callable
    bounds: Callable
    read: Callable
    touch: Callable


def warm_up_spec(server_options: dict) -> dict:
    """The argument spec of such a module.

    :param server_options: of one connection dict.
    """
    return dict(
        servers=dict(type="list", elements="dict", required=True, options=server_options),
        time_budget=dict(type="int", default=600),
        connections=dict(type="int", default=4),
    )


def warm_up_servers(context, means: Means) -> dict:
    """What was read of each server, and what single reads took before and after. Nothing that fails on the way is a failure."""
    params = context.params
    results: list[dict] = []
    with ExitStack() as opened:
        pending = []
        for options in params["servers"]:
            try:
                pending.append(_look(context, means, options, opened))
            except EncryptionError as e:
                context.warn(f"Not warmed up: {e}")
                results.append(dict(server=options.get("db_instance_identifier") or options.get("login_host"), complete=False, problem=e.problem, tables=[]))
        if not context.check_mode and params["time_budget"]:
            warm_up([work for work, _tables, _name in pending], context.clock, params["time_budget"], context.progress)
            results += [_told(context, work, tables, name) for work, tables, name in pending]
        else:
            results += [dict(server=name, complete=False, read_bytes=0, tables=table_rows(tables, None, {}, {})) for _work, tables, name in pending]
    return dict(changed=False, time_budget=params["time_budget"], servers=results, measures=[m for result in results for m in _measures(result)])


def _measures(result: dict) -> list[dict]:
    """What single reads took, for the report of the run."""
    told = (("before_ms", "before"), ("after_ms", "after"))
    return [
        {
            "resource": result["server"],
            "measure": f"read_latency_{when}_warm_up",
            "value": result[key],
            "unit": "ms",
            "text": f"median of single reads at places of the largest tables, {when} they were read through",
        }
        for key, when in told
        if result.get(key) is not None
    ]


def _look(context, means: Means, options: dict, opened: ExitStack) -> tuple[Work, list[dict], str]:
    """What there is to be read on one server, and the connections to do it."""
    server = opened.enter_context(means.open_server(context, options, "target"))
    means.begin(server)
    tables = means.tables(server)
    name = options.get("db_instance_identifier") or server.label
    if context.check_mode or not context.params["time_budget"]:
        return Work(server.label, [], [], [server], means.read, means.touch), tables, name
    bounds = {}
    for table in tables:
        found = means.bounds(server, table)
        if found:
            bounds[table["schema"], table["table"]] = found
    sessions = [server]
    for _number in range(context.params["connections"] - 1):
        try:
            more = opened.enter_context(means.another(server))
            means.begin(more)
            sessions.append(more)
        except StatementError as e:
            context.progress(f"{server.label}: {len(sessions)} connections for the warm-up, no more ({e.problem})")
            break
    return Work(server.label, parts_of(tables, bounds), probes_of(tables, bounds), sessions, means.read, means.touch), tables, name


def _told(context, work: Work, tables: list[dict], name: str) -> dict:
    outcomes = {part: outcome if isinstance(outcome, str) else _VERDICTS[outcome] for part, outcome in work.outcomes.items()}
    rows = table_rows(tables, outcomes, work.before, work.after)
    before, after = (median_ms([each for seconds in found.values() for each in seconds]) for found in (work.before, work.after))
    context.progress(in_words(work.label, rows, work.read_bytes, work.seconds, before, after))
    problems = sorted({outcome for outcome in work.outcomes.values() if isinstance(outcome, str)})
    if problems:
        context.warn(f"{work.label}: not all could be read: {'; '.join(problems[:5])}{' ...' if len(problems) > 5 else ''}")
    return dict(
        server=name,
        complete=all(outcome is True for outcome in work.outcomes.values()),
        read_bytes=work.read_bytes,
        seconds=round(work.seconds, 1),
        before_ms=before,
        after_ms=after,
        tables=rows,
    )
