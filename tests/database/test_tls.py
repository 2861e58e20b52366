# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Who is at the other end: TLS to real servers, with the right authority, a wrong one, another server's certificate, and none at all."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from pymysql.constants import CLIENT
from rds_lab.servers.certificates import issue

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from ansible_collections.dbre.rds_encryption.plugins.modules import mysql_connections


def log_in(call, login, **more):
    return call(mysql_connections, dict(connection={**login, **more}, login_only=True))["server"]["tls"]


def test_the_authority_that_signed_the_certificate_is_verified(servers, call):
    assert log_in(call, servers.source.login(), ca_cert=str(servers.source.certificate.authority)) == "verified"


def test_without_an_authority_the_connection_is_encrypted_where_the_server_can(servers, call, heard):
    assert log_in(call, servers.source.login()) == "unverified"
    assert log_in(call, servers.source.login(), ssl_mode="disable") == "none"
    call(mysql_connections, dict(connection=servers.source.login(), login_only=True), heard=heard)
    assert any("nobody knows whether it is the server" in warning for warning in heard.warnings)


def test_another_authority_is_refused_at_once_and_in_words(servers, call, tmp_path):
    began = time.monotonic()
    with pytest.raises(EncryptionError) as refused:
        log_in(call, servers.source.login(), connect_timeout=30, ca_cert=str(issue(tmp_path, ["x"]).authority))
    assert time.monotonic() - began < 10, "a certificate does not become right by waiting"
    assert "TLS failed" in str(refused.value) and "does not hold the CA" in str(refused.value) and "global-bundle.pem" in str(refused.value)


def test_the_certificate_of_another_server_is_refused(servers, call):
    """The second server shows the certificate of the first."""
    authority = str(servers.source.certificate.authority)
    with pytest.raises(EncryptionError, match=f"names {servers.target.address} otherwise"):
        log_in(call, servers.target.login(), ca_cert=authority)
    assert log_in(call, servers.target.login(), ca_cert=authority, ssl_mode="verify-ca") == "verified"
    assert log_in(call, servers.target.login(), ca_cert=authority, check_hostname=False) == "verified"


class Meddler:
    """Somebody in between, who takes the offer of TLS out of the server's greeting and listens."""

    def __init__(self, address: str):
        self._address = address
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _from = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._address, 3306))
            greeting = bytearray(server.recv(4096))
            # header, protocol, version with its end, thread, salt, filler; then the lower half of the capabilities
            place = greeting.index(0, 5) + 1 + 4 + 8 + 1
            greeting[place + 1] &= ~(CLIENT.SSL >> 8)
            client.sendall(greeting)
            for here, there, listens in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=(here, there, listens), daemon=True).start()

    def _pass_on(self, here, there, listens):
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                self.heard += data if listens else b""
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)


def test_nothing_is_said_to_who_hides_the_tls_that_is_demanded(servers, call):
    meddler = Meddler(servers.source.address)
    login = dict(servers.source.login(), login_host="127.0.0.1", login_port=meddler.port)
    try:
        for demand in ({"ssl_mode": "require"}, {"ca_cert": str(servers.source.certificate.authority)}):
            with pytest.raises(EncryptionError, match="The server offers no TLS"):
                log_in(call, login, **demand)
        assert meddler.heard == b""
        assert log_in(call, login) == "none"
        assert b"operator" in meddler.heard
    finally:
        meddler.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"ssl_mode": "verify-full"}, "needs ca_cert"), ({"ssl_mode": "require", "ca_cert": __file__}, "would not look at it")],
)
def test_options_that_contradict_each_other_are_refused(servers, call, options, words):
    with pytest.raises(EncryptionError, match=words):
        log_in(call, servers.source.login(), **options)
