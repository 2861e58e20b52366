# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""State ``compared`` of mysql_replication_link: the rows that the target holds are those of the source, while both run."""

from __future__ import annotations

import contextlib
from functools import partial

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql_replication as adapter
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_catalog import digest_chunk, key_bounds, next_key, read_catalog
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_link_common import asked, limits_of_link
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server, see_that_they_differ
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import has_applied, link_name
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_checks import DIFFERS, EQUAL, catalog_from
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_chunks import (
    ROWS_OF_A_CHUNK,
    Chunk,
    chunks_of,
    differing_in_words,
    divisible,
    look,
    rows_of_tables,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.data_chunks import compare_chunks
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.replication import Sparing, wait_applied


def compared(context) -> dict:
    """The result of the state; see the module's documentation."""
    params = context.params
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_server(context, params["source"], "source"))
        target = stack.enter_context(open_server(context, params["target"], "target"))
        see_that_they_differ(source, target, params["target"])
        # The marker of a drain is none of the data.
        ours, theirs = (catalog_from(read_catalog(server), excluded=[link_name(params["link_id"])]) for server in (source, target))
        by_key, whole, left = divisible(ours, theirs)
        left = [*left, *by_key, *whole]  # those that are done are taken out below

        def catch_up() -> None:
            end = adapter.read_end(source)
            wait_applied(
                [(asked(target, adapter.read_progress), lambda state: has_applied(state, end))],
                clock=context.clock,
                limits=limits_of_link(context),
                progress=lambda line: None,
                what=f"applying up to {end}",
            )

        def chunks():
            for table in whole:
                left.remove(table)
                yield Chunk(table)
            for table in by_key:
                column = ours.tables[table].key[0]
                bounds = key_bounds(source, table, column)
                yield from chunks_of(table, column, bounds and bounds[1], partial(next_key, source, table, column, ROWS_OF_A_CHUNK))
                left.remove(table)

        seen = compare_chunks(
            chunks(),
            lambda chunk: digest_chunk(source, chunk.table, chunk.column, chunk.low, chunk.high),
            lambda chunk: digest_chunk(target, chunk.table, chunk.column, chunk.low, chunk.high),
            catch_up,
            look,
            clock=context.clock,
            time_budget=params["time_budget"],
            progress=Sparing(lambda line: context.progress(f"{target.label}: {line}"), context.clock),
        )
        tables = rows_of_tables(ours, seen, left)
        verdicts = [row["verdict"] for row in tables]
        open_tables = [f"{row['schema']}.{row['table']}" for row in tables if row["verdict"] not in (EQUAL, DIFFERS)]
        if open_tables:
            context.warn(
                f"{target.label}: not compared in whole while both run, being written to or for lack of time: {', '.join(open_tables[:10])}"
                f"{', ...' if len(open_tables) > 10 else ''}. Behind the fence they are compared as far as time allows."
            )
        result = dict(changed=False, tables=tables, summary=dict(tables=len(tables), **{verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}))
        words = differing_in_words(tables, seen)
        if words:
            raise EncryptionError(
                f"{target.label} does not hold the data of {source.label}, which it follows. {words}",
                done="nothing was changed; the source serves, and was not fenced.",
                next_step="find out who wrote to the target, or which statement replicates unsafely; then roll this attempt back and begin anew.",
                **result,
            )
        return result
