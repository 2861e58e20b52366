# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What protects a connection to MySQL is made once, verifies what it was told to, and leaves option files to PyMySQL."""

from __future__ import annotations

import pathlib
import ssl

import botocore
import pymysql
import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter import mysql

BUNDLE = str(pathlib.Path(botocore.__file__).parent / "cacert.pem")


def test_a_context_verifies_what_it_is_told_to():
    loose = mysql._tls_context(verify_mode="none", check_hostname=False)
    assert (loose.verify_mode, loose.check_hostname, loose.get_ca_certs()) == (ssl.CERT_NONE, False, [])
    assert mysql._tls_context(verify_mode="none", check_hostname=False) is loose
    for named in (False, True):
        strict = mysql._tls_context(verify_mode="required", check_hostname=named, ca=BUNDLE)
        assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, named) and strict.get_ca_certs()


@pytest.mark.parametrize("more, kind", [({}, ssl.SSLContext), ({"read_default_file": "my.cnf"}, dict)])
def test_options_of_a_file_are_added_by_pymysql(monkeypatch, more, kind):
    seen = []

    def connect(self, **arguments):
        seen.append(arguments["ssl"])
        raise pymysql.err.OperationalError(1045, "no")

    monkeypatch.setattr(pymysql.connections.Connection, "__init__", connect)
    with pytest.raises(pymysql.err.OperationalError):
        mysql._connect("require", connect_timeout=1, ssl=dict(verify_mode="none", check_hostname=False), **more)
    assert [type(each) for each in seen] == [kind]
