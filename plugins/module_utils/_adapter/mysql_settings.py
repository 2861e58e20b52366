# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Read what a server runs with: global variables, RDS's own settings, and from whom it replicates."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_accounts import read_configuration
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import StatementError

# In order: all sources of MariaDB, MySQL from 8.0.22 and MariaDB from 10.5, what came before, and the procedure of RDS for MariaDB, whose
# master user has no right to the plain statements. The first that the server understands and allows answers.
_REPLICATION = ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS", "CALL mysql.rds_replica_status")
# Syntax, missing right, no such procedure, no right to it.
_NOT_HERE = (1064, 1227, 1305, 1370)


def read_settings(server: Server) -> dict:
    """``variables`` by name, ``configuration`` of ``mysql.rds_show_configuration`` (None without it), ``replication`` (None if nobody tells)."""
    variables = {row["variable_name"].lower(): str(row["value"]) for row in server.rows("SHOW GLOBAL VARIABLES")}
    return dict(variables=variables, configuration=read_configuration(server), replication=read_replication(server))


def read_replication(server: Server) -> list[dict] | None:
    """The rows of the replica status, column names in lower case; empty for a server that replicates from nobody, None if it does not tell."""
    for statement in _REPLICATION:
        try:
            return [{name.lower(): value for name, value in row.items()} for row in server.execute(statement) if len(row) > 10]
        except StatementError as e:
            if server.lost(e) or e.code not in _NOT_HERE:
                raise
    return None
