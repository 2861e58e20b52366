# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Real MariaDB and MySQL servers for the tests of this folder: two of each, started here and stopped at the end.

Their programs are ``.cache/databases/{mariadb/mariadbd,mysql/mysqld}`` (``tools/get_databases.sh``), else those on PATH. A server that
cannot be had is an error and not a skip: a test that was not run proves nothing.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import sys

import pytest

from rds_lab.servers.certificates import issue

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import Context

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # account_torture, master_rights, real_servers

from real_servers import RealServer, free_network, make_pristine  # noqa: E402  (found by the line above)


class Pair:
    """A source and a target of one family."""

    def __init__(self, family, source, target):
        self.family = family
        self.source = source
        self.target = target


@contextlib.contextmanager
def running_pair(family: str, folder: pathlib.Path):
    """Two prepared servers of one family, whose data are below ``folder`` and gone at the end."""
    pristine = make_pristine(family, folder)
    network = free_network()
    # Both show the certificate of the first.
    certificate = issue(folder / "tls", [f"{network}.1"])
    started = []
    try:
        for number in (1, 2):
            (folder / str(number)).mkdir()
            server = RealServer(family, f"{network}.{number}", folder / str(number), pristine, certificate)
            started.append(server)
            server.prepare()
        yield Pair(family, *started)
    finally:
        for server in started:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["mariadb", "mysql"])
def servers(request, tmp_path_factory):
    with running_pair(request.param, tmp_path_factory.mktemp(request.param, numbered=False)) as both:
        yield both


@pytest.fixture()
def pair(servers):
    """Source and target without any account of a test."""
    for server in (servers.source, servers.target):
        server.forget_accounts()
    return servers


class Heard:
    """What a module would have told its caller besides the result."""

    def __init__(self):
        self.lines = []
        self.warnings = []


def call(module, arguments: dict, check: bool = False, diff: bool = True, heard: Heard | None = None) -> dict:
    """The result of a module's ``run`` for these options, as ``module_main`` would call it."""
    heard = heard or Heard()
    checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(arguments)
    if checked.error_messages:
        raise ValueError(checked.error_messages)
    context = Context(
        checked.validated_parameters,
        check_mode=check,
        diff_mode=diff,
        connection=None,
        progress=heard.lines.append,
        warn=heard.warnings.append,
        mask=lambda secret: None,
    )
    return module.run(context)


@pytest.fixture(name="call")
def call_fixture():
    return call


@pytest.fixture(name="heard")
def heard_fixture():
    return Heard()
