# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Warm up PostgreSQL servers."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import postgresql_warm_up
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.postgresql_connections import CONNECTION_OPTIONS, open_server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.warm_up import Means, warm_up_servers, warm_up_spec

_MEANS = Means(
    lambda context, options, label: postgresql_warm_up.Session(open_server(context, options, label)),
    postgresql_warm_up.another,
    postgresql_warm_up.begin,
    postgresql_warm_up.tables,
    postgresql_warm_up.bounds,
    postgresql_warm_up.read,
    postgresql_warm_up.touch,
)

ARGUMENT_SPEC = warm_up_spec(CONNECTION_OPTIONS)


def run(context) -> dict:
    """The servers read through, as far as the time budget goes."""
    return warm_up_servers(context, _MEANS)
