# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets: files that say which instances the lab has, and what is in their databases."""
from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import yaml

from .clients import client_of

FLEETS = pathlib.Path(__file__).resolve().parents[1] / "fleets"
DEFAULT_PASSWORD = "lab-Master-1"
_KNOWN = {"name", "region", "group", "master_password", "kms_keys", "roles", "subnet_groups", "security_groups", "parameter_groups", "option_groups",
          "settings", "sql", "instances", "application"}
CONNECT = "\\connect "  # as in psql: a session of PostgreSQL has one database
_LAB_MEMBERS = {"Sql", "Configuration", "Parameters", "MasterUserPassword"}


class FleetError(ValueError):
    """A fleet file that cannot be used; the text says why."""


@dataclasses.dataclass(frozen=True)
class Fleet:
    """The contents of a fleet file.

    ``instances`` are entries in the shape of DescribeDBInstances; ``extras`` holds, by name, what the lab adds to them:
    ``Sql`` (names of entries of ``sql``), ``Configuration`` (mysql.rds_set_configuration), ``Parameters``.
    """

    name: str
    path: pathlib.Path
    region: str
    group: str
    master_password: str
    captured: bool
    instances: list[dict]
    extras: dict[str, dict]
    document: dict

    @property
    def primaries(self) -> list[dict]:
        """The entries that are no replicas."""
        return [entry for entry in self.instances if not entry.get("ReadReplicaSourceDBInstanceIdentifier")]

    def replicas_of(self, name: str) -> list[dict]:
        """The entries that replicate from an instance of the fleet."""
        return [entry for entry in self.instances if (entry.get("ReadReplicaSourceDBInstanceIdentifier") or "").lower() == name.lower()]

    def password_of(self, name: str) -> str:
        """The master password of an instance."""
        return self.extras.get(name, {}).get("MasterUserPassword") or self.master_password

    @property
    def application(self) -> dict[str, str]:
        """``user``, ``password`` and ``database`` of the account that an application writes with."""
        return {"user": "admin", "password": self.master_password, "database": "app", **self.document.get("application", {})}

    def hosts(self) -> list[dict]:
        """Name, master user, engine and port of the primaries: what an inventory needs."""
        return [
            {"name": entry["DBInstanceIdentifier"], "user": entry.get("MasterUsername", "admin"), "engine": entry.get("Engine", "mysql"),
             "port": (entry.get("Endpoint") or {}).get("Port") or client_of(entry.get("Engine", "mysql")).default_port}
            for entry in self.primaries
        ]


def find(name: str) -> pathlib.Path:
    """The path of a fleet file, given as a path or by the name of one that the lab ships.

    :raises FleetError: there is none.
    """
    for candidate in (pathlib.Path(name), FLEETS / name, FLEETS / f"{name}.yml"):
        if candidate.is_file():
            return candidate.resolve()
    raise FleetError(f"There is no fleet file {name}; the lab ships {', '.join(sorted(path.stem for path in FLEETS.glob('*.yml')))}.")


def read(path: str | pathlib.Path) -> Fleet:
    """The fleet of a file: the lab's YAML, or the JSON of ``aws rds describe-db-instances``.

    :raises FleetError: it is neither.
    """
    path = pathlib.Path(path)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except yaml.YAMLError as error:
        raise FleetError(f"{path}: {error}") from error
    if isinstance(document, dict) and "DBInstances" in document:
        document = document["DBInstances"]
    if isinstance(document, list):
        return _captured(path, document)
    if not isinstance(document, dict) or not document.get("instances"):
        raise FleetError(f"{path}: neither a fleet of the lab (with `instances`) nor the output of describe-db-instances")
    unknown = set(document) - _KNOWN
    if unknown:
        raise FleetError(f"{path}: unknown key {', '.join(sorted(unknown))}")
    instances, extras = [], {}
    for entry in document["instances"]:
        name = entry["DBInstanceIdentifier"].lower()
        if name in extras:
            raise FleetError(f"{path}: {name} is there twice")
        extras[name] = {member: entry[member] for member in _LAB_MEMBERS if member in entry}
        instances.append({**{member: item for member, item in entry.items() if member not in _LAB_MEMBERS}, "DBInstanceIdentifier": name})
    fleet = Fleet(document.get("name", path.stem), path, document.get("region", "us-east-1"), document.get("group", document.get("name", path.stem)),
                  document.get("master_password", DEFAULT_PASSWORD), False, instances, extras, document)
    for entry in instances:
        source = entry.get("ReadReplicaSourceDBInstanceIdentifier")
        if source and source.lower() not in extras:
            raise FleetError(f"{path}: the source {source} of {entry['DBInstanceIdentifier']} is not in the fleet")
        for name in extras[entry["DBInstanceIdentifier"]].get("Sql", []):
            if name not in document.get("sql", {}):
                raise FleetError(f"{path}: there is no sql named {name}")
    return fleet


def _captured(path: pathlib.Path, entries: list[dict]) -> Fleet:
    if not entries or not all(isinstance(entry, dict) and entry.get("DBInstanceIdentifier") for entry in entries):
        raise FleetError(f"{path}: no instances")
    arn = next((entry["DBInstanceArn"] for entry in entries if entry.get("DBInstanceArn")), "arn:aws:rds:us-east-1:123456789012:db:x")
    return Fleet(path.stem, path, arn.split(":")[3], re.sub(r"\W", "_", path.stem), DEFAULT_PASSWORD, True, [dict(entry) for entry in entries],
                 {entry["DBInstanceIdentifier"].lower(): {} for entry in entries}, {})


class Loader:
    """Brings a fleet into a control plane, and data into its databases.

    :param plane: a ``rds_lab.control.plane.ControlPlane``.
    :param engines: its data plane.
    :param say: gets a line of progress.
    """

    def __init__(self, plane, engines, say: Callable[[str], None] = lambda line: None) -> None:
        self._plane = plane
        self._engines = engines
        self._say = say
        self._guard = threading.Lock()

    def load(self, fleet: Fleet) -> dict[str, str]:
        """The DbiResourceIds by name, when every instance is there with its data."""
        began = time.monotonic()
        if fleet.captured:
            result = self._load_captured(fleet)
        else:
            resolve = self._seed_surroundings(fleet)
            result = {}
            with ThreadPoolExecutor(4) as pool:
                for part in pool.map(lambda entry: self._load_topology(fleet, entry, resolve), fleet.primaries):
                    result.update(part)
        self._say(f"{len(result)} instances in {time.monotonic() - began:.1f} s")
        return result

    # -- captured fleets -----------------------------------------------------------------------------------------------

    def _load_captured(self, fleet: Fleet) -> dict[str, str]:
        passwords = {name: fleet.master_password for name in fleet.extras}
        entries = [json.loads(json.dumps(entry, default=str)) for entry in fleet.instances]
        identities = self._plane.seed_captured(entries, fleet.region, passwords=passwords)
        self._say(f"captured fleet {fleet.path.name}: {len(identities)} instances, empty databases")
        return dict(enumerate(identities))

    # -- fleets of the lab ---------------------------------------------------------------------------------------------

    def _seed_surroundings(self, fleet: Fleet) -> Callable[[dict], dict]:
        """Keys, roles, networks and groups exist; the answer puts their ARNs and ids into a description."""
        plane, region, document = self._plane, fleet.region, fleet.document
        keys = {f"alias/{alias}": plane.seed_kms_key(f"alias/{alias}", region) for alias in document.get("kms_keys", [])}
        roles = {name: plane.seed_role(name) for name in document.get("roles", [])}
        networks = {}
        for name, facts in document.get("subnet_groups", {}).items():
            network = plane.seed_network(name, region, facts.get("zones"))
            plane.seed_subnet_group(name, network["vpc_id"], network["subnets"], region=region, network_types=facts.get("network_types", ("IPV4",)))
            networks[name] = network["vpc_id"]
        groups = {name: plane.seed_security_group(name, region, networks[subnet_group]) for name, subnet_group in document.get("security_groups", {}).items()}
        for name, facts in document.get("parameter_groups", {}).items():
            plane.seed_parameter_group(name, facts["family"], facts.get("values", {}), region)
        for name, facts in document.get("option_groups", {}).items():
            plane.seed_option_group(name, facts["engine"], str(facts["major_version"]), region, facts.get("options", ()))

        def resolve(value):
            if isinstance(value, dict):
                return {member: resolve(item) for member, item in value.items()}
            if isinstance(value, list):
                return [resolve(item) for item in value]
            if isinstance(value, str):
                if value.startswith("alias/"):
                    return _known(keys, value, "kms_keys")
                if value.startswith("role/"):
                    return _known(roles, value[5:], "roles")
                if value.startswith("security-group/"):
                    return _known(groups, value[15:], "security_groups")
            return value

        return resolve

    def _load_topology(self, fleet: Fleet, primary: dict, resolve: Callable) -> dict[str, str]:
        result = {}
        waiting = [primary]
        while waiting:
            entry = waiting.pop(0)
            name = entry["DBInstanceIdentifier"]
            extra = fleet.extras[name]
            began = time.monotonic()
            identity = self._plane.seed_instance(resolve(entry), region=fleet.region, master_password=fleet.password_of(name),
                                                 parameters=extra.get("Parameters"))
            result[name] = identity
            if self._engines.supports(entry.get("Engine", "mysql")):
                # before any replica is made: it gets all this with the copy
                self._write(fleet, entry, identity, extra)
            waiting.extend(fleet.replicas_of(name))
            self._say(f"{name}: {time.monotonic() - began:.1f} s")
        return result

    def _write(self, fleet: Fleet, entry: dict, identity: str, extra: dict) -> None:
        """Run the fleet's SQL as the master user, who is not allowed more than on RDS."""
        statements = [statement for name in extra.get("Sql", []) for statement in fleet.document["sql"][name]]
        statements += [f"CALL mysql.rds_set_configuration('{name}', {'NULL' if value is None else int(value)})"
                       for name, value in extra.get("Configuration", {}).items()]
        if not statements:
            return
        place = self._engines.describe()[identity]
        client = client_of(place["engine"])
        database = None
        connection = None
        try:
            for statement in statements:
                if statement.startswith(CONNECT) or connection is None:
                    database = statement.removeprefix(CONNECT).strip() if statement.startswith(CONNECT) else database
                    with contextlib.suppress(AttributeError):
                        connection.close()
                    connection = client.connect(place["address"], place["port"], _master(fleet, entry), self._password(fleet, entry), database)
                if not statement.startswith(CONNECT):
                    self._execute(client, connection, entry, statement)
        finally:
            if connection is not None:
                connection.close()

    @staticmethod
    def _execute(client, connection, entry: dict, statement: str) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                while cursor.nextset():
                    pass
        except client.errors as error:
            raise FleetError(f"{entry['DBInstanceIdentifier']}: {error.args[-1]}: {statement.strip()[:120]}") from error

    @staticmethod
    def _password(fleet: Fleet, entry: dict) -> str:
        return fleet.password_of(_root(fleet, entry)["DBInstanceIdentifier"])


def _root(fleet: Fleet, entry: dict) -> dict:
    """The primary that an instance's master user comes from."""
    while entry.get("ReadReplicaSourceDBInstanceIdentifier"):
        source = entry["ReadReplicaSourceDBInstanceIdentifier"].lower()
        entry = next(other for other in fleet.instances if other["DBInstanceIdentifier"] == source)
    return entry


def _master(fleet: Fleet, entry: dict) -> str:
    return _root(fleet, entry).get("MasterUsername", "admin")


def _known(table: dict, name: str, where: str) -> str:
    if name not in table:
        raise FleetError(f"{name} is not in {where} of the fleet")
    return table[name]
