# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Option text for the connection dicts of the postgresql_* modules."""

from __future__ import annotations


class ModuleDocFragment:
    """The option connection."""

    DOCUMENTATION = r"""
requirements:
  - psycopg >= 3.1
options:
  connection:
    description:
      - The server, and how to log in to it.
    type: dict
    required: true
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
          - Port to connect to. Takes the place of the instance's port; V(5432) when neither is known.
        type: int
      login_user:
        description:
          - User to log in as. The master user of O(connection.db_instance_identifier) when a password is known and no user is given.
          - If it is the master user and RDS manages that user's password, the managed secret is used, because RDS has replaced the password.
        type: str
      login_password:
        description:
          - Password of O(connection.login_user). Contradicts O(connection.login_secret_id).
        type: str
      login_secret_id:
        description:
          - Name or ARN of a secret in AWS Secrets Manager, whose value is JSON with C(username) and C(password).
          - Without this option and O(connection.login_password) the managed master secret of the instance is used, if there is an active one.
        type: str
      login_db_instance_identifier:
        description:
          - The DB instance whose managed master secret is used to log in, if the instance itself has none of its own.
          - For a restored copy, which still has the password of the instance that it was made from.
        type: str
      login_unix_socket:
        description:
          - Folder of a Unix domain socket, instead of a host.
        type: path
      login_db:
        description:
          - The database to connect to. Sessions of all databases are seen from any of them.
        type: str
        default: postgres
      ca_cert:
        description:
          - File with the certificates of the authorities that sign the server's certificate. With it, TLS is demanded, and the server and its
            name are verified.
          - The authorities of RDS are no public ones; AWS offers them as U(https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem).
        type: path
        aliases: [ssl_rootcert]
      client_cert:
        description:
          - File with the client's certificate. With it, TLS is demanded.
        type: path
        aliases: [ssl_cert]
      client_key:
        description:
          - File with the key of O(connection.client_cert).
        type: path
        aliases: [ssl_key]
      ssl_mode:
        description:
          - How the connection is protected. V(disable) is open; V(prefer) encrypts where the server offers it; V(require) refuses a server that does
            not; V(verify-ca) and V(verify-full) demand a certificate that an authority in O(connection.ca_cert) signed, V(verify-full) one that
            names the host.
          - V(verify-full) where O(connection.ca_cert) is given, V(require) with a client's certificate, V(disable) over a socket, otherwise
            V(prefer). V(prefer) and V(require) do not know whom they talk to.
        type: str
        choices: [disable, prefer, require, verify-ca, verify-full]
      connect_timeout:
        description:
          - Seconds during which a server that cannot be reached or resolved, or is just starting, is tried again. A refused login is never
            tried again.
        type: int
        default: 30
      dns_timeout:
        description:
          - Seconds during which DNS may not know the endpoint of O(connection.db_instance_identifier) yet, or may know it as the server of
            another instance, as happens after a rename.
        type: int
        default: 30
"""

    SERVERS: str = DOCUMENTATION.replace("connection.", "servers[].").replace(
        """  connection:
    description:
      - The server, and how to log in to it.
    type: dict
""",
        """  servers:
    description:
      - The servers, and how to log in to them.
    type: list
    elements: dict
""",
    )
