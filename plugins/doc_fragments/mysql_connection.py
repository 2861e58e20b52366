# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Option text for the connection dicts of the mysql_* modules."""

from __future__ import annotations

_SUBOPTIONS = """
    suboptions:
      db_instance_identifier:
        description:
          - The RDS DB instance to connect to. Endpoint, port and master user name are read from C(DescribeDBInstances).
        type: str
      login_host:
        description:
          - Host to connect to. Takes the place of the instance's endpoint.
        type: str
      login_port:
        description:
          - Port to connect to. Takes the place of the instance's port; V(3306) when neither is known.
        type: int
      login_user:
        description:
          - User to log in as. The master user of O(@.db_instance_identifier) when a password is known and no user is given.
          - If it is the master user and RDS manages that user's password, the managed secret is used, because RDS has replaced the password.
        type: str
      login_password:
        description:
          - Password of O(@.login_user). Contradicts O(@.login_secret_id).
        type: str
      login_secret_id:
        description:
          - Name or ARN of a secret in AWS Secrets Manager, whose value is JSON with C(username) and C(password).
          - Without this option and O(@.login_password) the managed master secret of the instance is used, if there is an active one.
        type: str
      login_db_instance_identifier:
        description:
          - The DB instance whose managed master secret is used to log in, if the instance itself has none of its own.
          - For a restored copy, which still has the password of the instance that it was made from.
        type: str
      login_unix_socket:
        description:
          - Path of a Unix domain socket, instead of a host and port.
        type: path
      config_file:
        description:
          - A MySQL option file whose C([client]) section holds user and password. Unlike in P(community.mysql.mysql_query#module), none is read by
            default, so that the login never depends on whose home directory it is.
        type: path
      ca_cert:
        description:
          - File with the certificates of the authorities that sign the server's certificate. With it, TLS is demanded, and the server and its
            name are verified.
          - The authorities of RDS are no public ones; AWS offers them as U(https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem).
        type: path
        aliases: [ssl_ca]
      client_cert:
        description:
          - File with the client's certificate. With it, TLS is demanded.
        type: path
        aliases: [ssl_cert]
      client_key:
        description:
          - File with the key of O(@.client_cert).
        type: path
        aliases: [ssl_key]
      ssl_mode:
        description:
          - How the connection is protected. V(disable) is open; V(prefer) encrypts where the server offers it; V(require) refuses a server that does
            not; V(verify-ca) and V(verify-full) demand a certificate that an authority in O(@.ca_cert) signed, V(verify-full) one that names the host.
          - V(verify-full) where O(@.ca_cert) is given, V(require) with a client's certificate, V(disable) over a socket, otherwise V(prefer). V(prefer)
            and V(require) do not know whom they talk to.
        type: str
        choices: [disable, prefer, require, verify-ca, verify-full]
      check_hostname:
        description:
          - Whether the server's certificate must name the host. V(false) makes V(verify-ca) the default of O(@.ssl_mode).
        type: bool
      connect_timeout:
        description:
          - Seconds during which a server that cannot be reached or resolved is tried again. A refused login is never tried again.
        type: int
        default: 30
      dns_timeout:
        description:
          - Seconds during which DNS may not know the endpoint of O(@.db_instance_identifier) yet, or may know it as the server of
            another instance, as happens after a rename.
        type: int
        default: 30
"""


_REQUIREMENTS = "requirements:\n  - PyMySQL\n"


def _option(name: str, description: str, required: bool = False, many: bool = False) -> str:
    text = f"  {name}:\n    description:\n      - {description}\n    type: dict\n"
    if many:
        text = text.replace("type: dict", "type: list\n    elements: dict" + ("" if required else "\n    default: []"))
    if required:
        text += "    required: true\n"
    return text + _SUBOPTIONS.replace("@.", f"{name}[]." if many else f"{name}.").lstrip("\n")


class ModuleDocFragment:
    """Fragments by the names of the connection options."""

    CONNECTION: str = _REQUIREMENTS + "options:\n" + _option("connection", "The server, and how to log in to it.", required=True)
    SERVERS: str = _REQUIREMENTS + "options:\n" + _option("servers", "The servers, and how to log in to them.", required=True, many=True)
    SOURCE_TARGET: str = (
        _REQUIREMENTS
        + "options:\n"
        + _option("source", "The server that is the model, and how to log in to it.", required=True)
        + _option("target", "The server that is compared with the source or made equal to it, and how to log in to it.", required=True)
    )
    LINK: str = (
        _REQUIREMENTS
        + "options:\n"
        + _option("source", "The server that applications use, which is followed, and how to log in to it.", required=True)
        + _option("seed", "The read replica of O(source) that stands still to be copied. Needed for O(state=seeded).")
        + _option("target", "The encrypted copy that follows O(source). Needed for O(state=linked), O(state=compared) and O(state=drained).")
        + _option("replicas", "Read replicas of O(target), which must have applied everything, too, for O(state=drained).", many=True)
    )
    BASELINE: str = "options:\n" + _option(
        "baseline",
        "The former primary of a replica that is being recreated (O(source) is the old replica, O(target) the new one). Accounts that come to the "
        "target by replication from its primary are then never created on the target.",
    )
    PREDICT_FROM: str = "options:\n" + _option(
        "predict_from",
        "In check mode, a server that holds the accounts with which the target will start, used while O(target) does not exist yet. "
        "Ignored outside check mode.",
    )
