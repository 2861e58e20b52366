# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""How connections to databases are protected, in libpq's words, for every kind of database."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError

SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
RDS_BUNDLE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


def ssl_mode_of(options: dict, socket: str | None) -> str:
    """The mode that one connection dict asks for.

    :raises RefusedError: if the options contradict each other.
    """
    ca = options.get("ca_cert")
    if options.get("ssl_mode"):
        mode = options["ssl_mode"]
    elif ca:
        mode = "verify-ca" if options.get("check_hostname") is False else "verify-full"
    else:
        mode = "disable" if socket else "require" if options.get("client_cert") else "prefer"
    if mode.startswith("verify") and not ca:
        raise RefusedError(f"ssl_mode {mode} needs ca_cert: without it no certificate can be verified.", next_step=f"RDS's bundle is {RDS_BUNDLE}.")
    if ca and not mode.startswith("verify"):
        raise RefusedError(f"ca_cert is given, and ssl_mode {mode} would not look at it.", next_step="take one of them away.")
    return mode
