# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Compare settings and data of two servers, read only."""

from __future__ import annotations

from functools import partial

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_catalog import (
    count_within,
    digest_rows,
    digest_sample,
    key_bounds,
    measure,
    read_catalog,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_settings import read_settings
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server, see_that_they_differ, server_dict
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.configuration import compare_settings, refused_settings
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_checks import (
    SAMPLE_SIZE,
    Sample,
    batches,
    beyond_the_budget,
    catalog_from,
    compare_catalogs,
    failures_in_words,
    orphans,
    sample_starts,
    summary,
    table_rows,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.data_checks import measure_within, sample_within


# Seconds that samples may take beyond the time budget, at least; and that counting one table without a key may take.
_SAMPLING_AT_LEAST = 10.0
_COUNTING = 20.0


def compare_data(context) -> dict:
    """What differs between the two servers' settings and data, table by table."""
    params = context.params
    with open_server(context, params["source"], "source") as source, open_server(context, params["target"], "target") as target:
        see_that_they_differ(source, target, params["target"])
        if source.facts.version[:2] != target.facts.version[:2]:
            context.warn(
                f"{source.label} runs {source.facts.version_text}, {target.label} {target.facts.version_text}: "
                "CHECKSUM TABLE may differ between versions for equal rows."
            )
        ours, theirs = (
            catalog_from(read_catalog(server), params["schemas"], params["exclude_schemas"]) for server in (source, target)
        )
        replicas = bool(source.instance and source.instance.replica_of)
        settings = [] if params["only_written"] else _compare_settings(source, target, replicas)
        groups = batches(ours, theirs, only_written=params["only_written"])
        measured, samples = _measure(context, source, target, ours, groups)
        rows = table_rows(ours, theirs, measured, samples, names=sorted(name for names, _size in groups for name in names))
        differences = [
            row
            for row in compare_catalogs(ours, theirs, replicas=replicas)
            if params["compare_auto_increment"] or row["kind"] != "auto_increment"
        ]
        new_orphans, old_orphans = orphans(ours, theirs)
        not_whole = beyond_the_budget(rows, params["time_budget"])
        if not_whole:
            context.warn(f"{target.label}: {not_whole}")
        if theirs.accounts is None:
            context.warn(f"{target.label}: the login may not read the accounts, so definers were not checked.")
        result = dict(
            changed=False,
            equal=True,
            summary=summary(rows, differences, new_orphans),
            tables=rows,
            differences=differences,
            definers_missing=new_orphans,
            definers_missing_on_both=old_orphans,
            settings=settings,
            source=server_dict(source),
            target=server_dict(target),
        )
        words = failures_in_words(rows, differences, new_orphans, refused_settings(settings))
        result["equal"] = words is None
        if context.diff_mode and words is not None:
            result["diff"] = _diff(rows, differences, source.label, target.label)
        if words is not None and params["fail_on_difference"]:
            raise EncryptionError(
                f"{target.label} does not hold the data of {source.label}. {words}",
                done="nothing was changed; this check only reads.",
                next_step="find out who wrote where: the source must be fenced and the target must not be in use while they are compared.",
                **result,
            )
        return result


def _compare_settings(source, target, replicas: bool) -> list[dict]:
    return compare_settings(read_settings(source), read_settings(target), replicas=replicas)


def _measure(context, source, target, catalog, groups) -> tuple[dict, dict]:
    """What was measured in whole, and samples of what the time budget did not allow for."""
    budget = context.params["time_budget"]

    def progress(line: str) -> None:
        context.progress(f"{target.label}: {line}")

    measured, left_out = measure_within(
        groups,
        partial(measure, source),
        partial(measure, target),
        context.clock,
        progress,
        budget,
        closer=(partial(digest_rows, source), partial(digest_rows, target)),
    )
    if not budget:
        return measured, {}

    def sample(server, name, starts=None):
        table = catalog.tables[name]
        if not table.key:
            return Sample(count=count_within(server, name, _COUNTING)), ()
        if starts is None:
            bounds = key_bounds(server, name, table.key[0]) if table.numeric_key else None
            starts = sample_starts(*bounds) if bounds else ()
        return Sample(digest_sample(server, name, table.key, starts, SAMPLE_SIZE)), starts

    samples = sample_within(
        left_out,
        partial(sample, source),
        lambda name, starts: sample(target, name, starts)[0],
        context.clock,
        progress,
        max(_SAMPLING_AT_LEAST, budget / 4),
    )
    return measured, samples


def _diff(rows, differences, source_label, target_label) -> dict:
    before, after = [], []
    for row in rows:
        if row["verdict"] == "differs":
            before.append(f"{row['schema']}.{row['table']}: {row['source_rows']} rows")
            after.append(f"{row['schema']}.{row['table']}: {row['target_rows']} rows, checksum {row['checksum']}")
    for row in differences:
        line = f"{row['kind']} {row['schema']}.{row['name']}"
        if row["verdict"] != "only on the target":
            before.append(line)
        if row["verdict"] != "only on the source":
            after.append(line if row["verdict"] == "only on the target" else f"{line} {row['verdict']}: {row['detail']}")
    return dict(
        before="".join(f"{line}\n" for line in before),
        after="".join(f"{line}\n" for line in after),
        before_header=source_label,
        after_header=target_label,
    )
