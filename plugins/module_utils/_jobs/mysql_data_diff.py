# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Compare the data of two servers, read only."""

from __future__ import annotations

from functools import partial

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_catalog import digest_rows, measure, read_catalog
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server, server_dict
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.data_checks import (
    batches,
    catalog_from,
    compare_catalogs,
    failures_in_words,
    orphans,
    summary,
    table_rows,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.data_checks import measure_within


def compare_data(context) -> dict:
    """What differs between the two servers' data, table by table."""
    params = context.params
    with open_server(context, params["source"], "source") as source, open_server(context, params["target"], "target") as target:
        if source.facts.version[:2] != target.facts.version[:2]:
            context.warn(
                f"{source.label} runs {source.facts.version_text}, {target.label} {target.facts.version_text}: "
                "CHECKSUM TABLE may differ between versions for equal rows."
            )
        ours, theirs = (
            catalog_from(read_catalog(server), params["schemas"], params["exclude_schemas"]) for server in (source, target)
        )
        measured, left_out = measure_within(
            batches(ours, theirs),
            partial(measure, source),
            partial(measure, target),
            context.clock,
            lambda line: context.progress(f"{target.label}: {line}"),
            params["time_budget"],
            closer=(partial(digest_rows, source), partial(digest_rows, target)),
        )
        rows = table_rows(ours, theirs, measured)
        differences = [
            row for row in compare_catalogs(ours, theirs) if params["compare_auto_increment"] or row["kind"] != "auto_increment"
        ]
        new_orphans, old_orphans = orphans(ours, theirs)
        if left_out:
            context.warn(f"{left_out} table(s) were beyond the time budget of {params['time_budget']} s: only approximate row counts are known.")
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
            source=server_dict(source),
            target=server_dict(target),
        )
        words = failures_in_words(rows, differences, new_orphans)
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
