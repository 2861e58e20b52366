# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""The job of ``rds_attr_diff``."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.gathered import COMPANY, remembered
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.rds_read import describe_instance, instances_asked_for, key_description
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.saved import read_description
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import Prefixes, without_seed
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.compare import (
    compare,
    count_verdicts,
    counterparts,
    plain,
    refuse_unknown_members,
    unexplained,
    unified_diff,
)


def run(context) -> dict:
    """Read both instances, from RDS or from files, and compare them."""
    params = context.params
    source, source_name = _read(context, "source")
    source = without_seed(source, Prefixes(params["old_prefix"].lower(), params["new_prefix"].lower()))
    target, target_name = _read(context, "target")
    refuse_unknown_members(params["accepted_differences"], source, target)
    try:
        rows = _compare(params, source, target, _key_arn(context))
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        if not (params.get("source_description") or params.get("target_description")):
            raise
        # RDS keeps to its shape; a file holds what somebody wrote.
        raise EncryptionError(
            f"{source_name} or {target_name} is not described as RDS describes a DB instance ({type(e).__name__}).",
            next_step="Save the description again: aws rds describe-db-instances --output json.",
        ) from e
    result = dict(
        changed=False,
        rows=[row.to_dict() for row in rows if params["all"] or row.verdict != "equal"],
        counts=count_verdicts(rows),
    )
    if context.diff_mode:
        result["diff"] = unified_diff(rows, before_header=source_name, after_header=target_name)
    left = unexplained(rows)
    if left and params["fail_on_difference"]:
        raise EncryptionError(
            f"{target_name} is not equal to {source_name}: " + "; ".join(str(row) for row in left) + ".",
            done="nothing was changed.",
            next_step="Make the target equal, or name what you accept in accepted_differences.",
            **result,
        )
    return result


def _compare(params: dict, source: dict, target: dict, key_arn: str | None):
    return compare(
        source,
        target,
        names=counterparts(source, target, old_prefix=params["old_prefix"].lower(), new_prefix=params["new_prefix"].lower()),
        kms_key_arn=key_arn,
        accepted_differences=params["accepted_differences"],
    )


def _read(context, side: str) -> tuple[dict, str]:
    """One side's description, and what to call it."""
    identifier, path = context.params[f"{side}_db_instance_identifier"], context.params.get(f"{side}_description")
    if path:
        described = read_description(path, identifier)
        return described, f"{described['DBInstanceIdentifier']} ({path})"
    rds = context.client("rds")
    described = _described(rds, identifier)
    if described is None:
        raise EncryptionError(
            f"There is no DB instance {identifier} in {rds.meta.region_name}.",
            next_step="Check the identifier, the region and the account.",
        )
    # As in a file: times are texts.
    return plain(described), identifier


def _described(rds, identifier: str) -> dict | None:
    if COMPANY.size < 2:
        return describe_instance(rds, identifier)
    found = instances_asked_for(rds, {("db-instance-id", identifier.lower())})
    return next((each for each in found if each["DBInstanceIdentifier"] == identifier.lower()), None)


def _key_arn(context) -> str | None:
    params = context.params
    key = params["kms_key_id"]
    saved = params.get("source_description") and params.get("target_description")
    if not key or (saved and ":key/" in key):  # two files need no AWS
        return key or None
    return key_description(remembered(context.client("kms")), key)["Arn"]
