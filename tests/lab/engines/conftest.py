"""Real servers for the tests of the lab's data plane."""
from __future__ import annotations

import itertools
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lab_servers import CHECKOUT  # noqa: E402
from lab_servers import PASSWORD  # noqa: E402
from lab_servers import Engines  # noqa: E402
from lab_servers import Instance  # noqa: E402

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def databases() -> None:
    subprocess.run([str(CHECKOUT / "tools" / "get_databases.sh")], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def engines(databases, tmp_path_factory):
    engines = Engines(tmp_path_factory.mktemp("lab"))
    yield engines
    engines.shutdown()


@pytest.fixture(params=["mariadb", "mysql"])
def engine(request) -> str:
    return request.param


@pytest.fixture
def resource_id():
    """Gives out ids of instances and snapshots that no other test has."""
    return lambda: f"db-TEST{next(_NUMBERS)}"


@pytest.fixture
def primary(engines, engine, resource_id):
    """A fresh server with a database ``app``."""
    instance = Instance(engines, resource_id(), engine)
    engines.create(instance.resource_id, engine=engine, engine_version="", master_username="admin", master_password=PASSWORD, port=3306,
                   parameters={"log_bin_trust_function_creators": "1"})
    instance.query("CREATE DATABASE app")
    yield instance
    engines.delete(instance.resource_id)


@pytest.fixture
def another(engines, engine, resource_id):
    """Makes further servers, by restore or as replicas, and takes them away."""
    made = []

    def make(kind: str, of: str, **parameters) -> Instance:
        instance = Instance(engines, resource_id(), engine)
        method = {"restore": engines.restore, "replica": engines.create_replica}[kind]
        method(of, instance.resource_id, port=3306, parameters=parameters)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        engines.delete(instance.resource_id)
