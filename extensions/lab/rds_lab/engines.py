# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data plane: a real database server behind every instance."""
from __future__ import annotations

import itertools
import pathlib
import shutil
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pymysql

from .gates import Gate
from .names import Names
from .servers.certificates import issue
from .servers.base import Server
from .servers.base import ServerError
from .servers.base import copy_folder
from .servers.base import pause
from .servers.base import remove_left_over
from .servers.pristine import PROGRAMS
from .servers.pristine import Distribution
from .servers.pristine import default_databases
from .servers.pristine import find_program
from .servers.pristine import prepare
from .servers.spawn import holder_of
from .servers.spawn import memory_of

# Not needed by the recovery of a copy, and large or misleading: temporary tables, the identity of the server it came from.
_NOT_COPIED = ("server.pid", "auto.cnf", "ibtmp1", "#innodb_temp", "aria_log.lock")


class Addresses:
    """Loopback addresses 127.42.x.y that no other lab on this machine uses and that are given out once.

    A block 127.42.x is claimed by an abstract socket, which the kernel releases when the program ends however it ends.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._claims: list[socket.socket] = []
        self._pool = self._addresses()

    def take(self) -> tuple[str, int]:
        """An address and a number that no other server on this machine has."""
        with self._guard:
            return next(self._pool)

    def close(self) -> None:
        """Other labs may use the blocks."""
        for claim in self._claims:
            claim.close()

    def _addresses(self):
        for block in range(1, 255):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0rds-lab-127.42.{block}")
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            for host in range(1, 255):
                yield f"127.42.{block}.{host}", 1000 + block * 256 + host
        raise ServerError("No loopback addresses are left: 127.42.0.0/16 is used by other labs.")


class Engines:
    """The database servers of one lab.

    All methods return when the thing is done, may be called from any thread, and run side by side for different
    instances. An instance is named by its DbiResourceId, a snapshot by a key that the caller chooses.

    ``parameters`` are the values of the parameter group that are in force. Values that a server does not know, formulas
    and values that would break the lab (paths, buffer pools) are left out. ``{TrueIfReplica}`` is understood. One value is
    the lab's own: ``log_bin: "0"`` leaves the binary log out, as RDS does for instances without backups.

    :param directory: holds the data; emptied at the beginning, removed at the end.
    :param databases: where tools/get_databases.sh put the servers.
    :param hosts: the file in which names are published.
    :param certified: the names, with an asterisk for their first part, that the servers' certificate is for; its authority is ``tls/ca.pem``.
    """

    def __init__(self, directory: str | pathlib.Path, *, databases: str | pathlib.Path | None = None, hosts: str = "/etc/hosts",
                 certified: list[str] | None = None) -> None:
        self._databases = pathlib.Path(databases) if databases else default_databases()
        self._directory = pathlib.Path(directory).resolve()
        self._servers_folder = self._directory / "servers"
        self._snapshots_folder = self._directory / "snapshots"
        clean(self._directory)
        self._servers_folder.mkdir(parents=True)
        self._snapshots_folder.mkdir(parents=True)
        self._certificate = issue(self._directory / "tls", certified or ["*.rds.lab.internal"])
        self._sockets = pathlib.Path(tempfile.mkdtemp(prefix="rds-lab-", dir="/tmp"))  # a socket's path may have 107 characters
        (self._directory / "sockets").symlink_to(self._sockets)
        self._addresses = Addresses()
        self._names = Names(hosts)
        self._names.clean()
        self._guard = threading.Lock()
        self._servers: dict[str, Server] = {}
        self._snapshots: dict[str, str] = {}
        self._distributions: dict[str, Distribution] = {}
        self._preparing = {engine: threading.Lock() for engine in PROGRAMS}
        self._counter = itertools.count(1)
        self._admits = None
        self._gates: dict[str, Gate] = {}
        self._closed = False

    # -- instances -----------------------------------------------------------------------------------------------------

    def supports(self, engine: str) -> bool:
        """Whether a real server stands behind instances of this engine."""
        return engine in self._preparing and find_program(engine, self._databases) is not None

    def create(self, resource_id: str, *, engine: str, engine_version: str, master_username: str, master_password: str, port: int,
               parameters: dict[str, str]) -> None:
        """A new, empty server runs. Its version is the one that is installed here, whatever ``engine_version`` says."""
        server = self._new(resource_id, engine, port, parameters)
        with self._undone_on_error(server), server.guard:
            copy_folder(server.distribution.pristine, server.data)
            server.start()
            server.create_master(master_username, master_password)

    def stop(self, resource_id: str) -> None:
        """The server is down."""
        server = self._server(resource_id)
        with server.guard:
            server.remember_replication()
            server.stop()

    def start(self, resource_id: str, *, parameters: dict[str, str]) -> None:
        """The server runs with these parameters; replication goes on unless it was stopped on purpose."""
        server = self._server(resource_id)
        with server.guard:
            server.parameters = dict(parameters)
            server.start(replicate=not server.replication_was_stopped)

    def restart(self, resource_id: str, *, parameters: dict[str, str], port: int | None = None) -> None:
        """The server was down and runs with these parameters; every connection is cut.

        :param port: a new port to listen on; replicas follow.
        """
        server = self._server(resource_id)
        with server.guard:
            self.stop(resource_id)
            moved = port is not None and port != server.port
            server.port = port or server.port
            self.start(resource_id, parameters=parameters)
        if moved:
            for replica in self._replicas_of(resource_id):
                with replica.guard:
                    if replica.pid is not None:
                        replica.point_to(server)

    def apply_dynamic(self, resource_id: str, parameters: dict[str, str]) -> None:
        """The values that can change while the server runs are these; the others wait for the next restart."""
        self._server(resource_id).apply_dynamic(parameters)

    def delete(self, resource_id: str) -> None:
        """Nothing is left of the server."""
        with self._guard:
            server = self._servers.pop(resource_id, None)
            gate = self._gates.pop(resource_id, None)
        if gate is not None:
            gate.close()
        if server is not None:
            server.remove()

    def set_master_password(self, resource_id: str, username: str, password: str) -> None:
        """The master user has this password, and its rights again."""
        self._server(resource_id).set_master_password(username, password)

    def drop_connections(self, resource_id: str) -> None:
        """Every client is cut off; it may connect again at once."""
        self._server(resource_id).drop_connections()

    def care_for_binary_logs(self, now: float) -> None:
        """Every server has begun a new binary log, and old ones that RDS does not keep are gone; a server that is busy waits for the next time.

        :param now: virtual time in seconds, by which files grow old.
        """
        with self._guard:
            servers = list(self._servers.values())
        for server in servers:
            if server.guard.acquire(blocking=False):
                try:
                    if server.pid is not None and server.has_binary_log:
                        server.care_for_binary_log(now, self._replicas_of(server.resource_id))
                except (OSError, pymysql.err.MySQLError, ServerError):
                    continue  # it has just been stopped or deleted
                finally:
                    server.guard.release()

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def snapshot(self, resource_id: str, key: str) -> None:
        """The data of the instance as it was at one moment is kept under ``key``.

        The server is paused while its folder is copied (some tenths of a second, connections stay): the copy is what the
        disk would hold after a power cut, and the recovery of a restore makes it the committed state of that moment, for
        everything whose commit had been answered.
        """
        server = self._server(resource_id)
        with server.guard:
            folder = self._snapshots_folder / f"{next(self._counter)}"
            folder.mkdir()
            self._copy_paused(server, folder / "data")
            with self._guard:
                if key in self._snapshots:
                    raise ServerError(f"There is a snapshot {key} already.")
                self._snapshots[key] = f"{server.engine}/{folder.name}"

    def copy_snapshot(self, key: str, new_key: str) -> None:
        """``new_key`` holds the same data; it does not change when ``key`` is deleted."""
        engine, folder = self._snapshot(key)
        target = self._snapshots_folder / f"{next(self._counter)}"
        target.mkdir()
        copy_folder(folder / "data", target / "data", linked=True)
        with self._guard:
            self._snapshots[new_key] = f"{engine}/{target.name}"

    def delete_snapshot(self, key: str) -> None:
        """The data is gone."""
        with self._guard:
            found = self._snapshots.pop(key, None)
        if found is not None:
            shutil.rmtree(self._snapshots_folder / found.partition("/")[2], ignore_errors=True)

    def restore(self, key: str, resource_id: str, *, port: int, parameters: dict[str, str], replication: str = "none") -> None:
        """A new server runs with the data of a snapshot, its users and passwords included, and its binary log begins anew.

        :param replication: what becomes of the settings that the copy of a replica carries, see :meth:`Server.start_restored`.
        """
        engine, folder = self._snapshot(key)
        server = self._new(resource_id, engine, port, parameters)
        with self._undone_on_error(server), server.guard:
            copy_folder(folder / "data", server.data)
            server.start_restored(replication)

    # -- replicas ------------------------------------------------------------------------------------------------------

    def create_replica(self, source_resource_id: str, resource_id: str, *, port: int, parameters: dict[str, str]) -> None:
        """A server runs with a copy of the source's data and follows it, by address: names may change as they like."""
        source = self._server(source_resource_id)
        if not source.has_binary_log:
            raise ServerError(f"{source_resource_id} has no binary log to replicate from.")
        server = self._new(resource_id, source.engine, port, parameters, source=source_resource_id)
        with self._undone_on_error(server), server.guard:
            with source.guard:
                self._copy_paused(source, server.data)
            server.start_as_replica(source)

    def promote(self, resource_id: str) -> None:
        """The replica was restarted and is on its own."""
        server = self._server(resource_id)
        with server.guard:
            if server.pid is None:
                server.start(replicate=False)
            server.detach()
            server.mark_managed(False)
            server.source = None
            self.restart(resource_id, parameters=server.parameters)

    def replication_status(self, resource_id: str) -> dict[str, str]:
        """``status`` (replicating, error, stopped) and ``message``."""
        server = self._server(resource_id)
        if server.pid is None:
            return {"status": "stopped", "message": "The instance is stopped"}
        try:
            return server.replication_status()
        except OSError as error:
            return {"status": "error", "message": str(error)}

    # -- endpoints -----------------------------------------------------------------------------------------------------

    def publish(self, resource_id: str, dns_name: str) -> None:
        """``dns_name`` resolves to the instance, for every program on this machine."""
        self._names.publish(dns_name, self._public_address(self._server(resource_id)))

    def guard_endpoints(self, admits) -> None:
        """From now on endpoints are addresses of their own, which pass on whom ``admits`` lets in.

        :param admits: called with the instance's resource id, the client's address, the port, and the client's resource id if it is a server of this lab
            (an instance that replicates from another by its name), else None.
        """
        self._admits = admits

    def _public_address(self, server: Server) -> str:
        if self._admits is None:
            return server.address
        resource_id = server.resource_id
        with self._guard:
            gate = self._gates.get(resource_id)
            if gate is None or gate.port != server.port:
                address = gate.address if gate else self._addresses.take()[0]
                if gate:
                    gate.close()
                gate = Gate(address, server.port, (server.address, server.port),
                            lambda client: self._admits(resource_id, client, server.port, self._instance_at(client)), self._known_as)
                self._gates[resource_id] = gate
            return gate.address

    def _known_as(self, host: str, port: int) -> str:
        """The address of the server that has opened a connection; the client's own, if no server has."""
        with self._guard:
            running = {server.pid: server for server in self._servers.values() if server.pid is not None}
        server = running.get(holder_of(host, port, list(running)))
        return host if server is None else self._own_address(server)

    def _own_address(self, server: Server) -> str:
        gate = self._gates.get(server.resource_id)
        return gate.address if gate else server.address

    def _instance_at(self, address: str) -> str | None:
        with self._guard:
            return next((server.resource_id for server in self._servers.values() if self._own_address(server) == address), None)

    def cut_link(self, resource_id: str, client_resource_id: str) -> int:
        """How many connections of one instance to another were cut; replication that RDS manages goes another way.

        :raises ServerError: the lab has no gates.
        """
        gate = self._gates.get(resource_id)
        if gate is None:
            raise ServerError("Only the endpoints of a lab with enforce_security_groups can be cut off.")
        return gate.cut(self._own_address(self._server(client_resource_id)))

    def unpublish(self, dns_name: str) -> None:
        """``dns_name`` no longer resolves."""
        self._names.unpublish(dns_name)

    def endpoint_port(self, resource_id: str, wanted_port: int) -> int:
        """The port that clients use: the wanted one, as every instance has an address of its own.

        A server that listens elsewhere is restarted there.
        """
        with self._guard:
            server = self._servers.get(resource_id)
        if server is not None and server.port != wanted_port:
            self.restart(resource_id, parameters=server.parameters, port=wanted_port)
        return wanted_port

    # -- the lab's own -------------------------------------------------------------------------------------------------

    def administration(self, resource_id: str):
        """A context with a cursor of rdsadmin, whose statements are not replicated."""
        return self._server(resource_id).administration()

    def describe(self) -> dict[str, dict]:
        """Engine, version, address, port, process and memory of every server, by resource id."""
        with self._guard:
            servers = list(self._servers.values())
        return {
            server.resource_id: {"engine": server.engine, "version": server.distribution.version, "address": server.address, "port": server.port,
                                 "pid": server.pid, "memory": memory_of(server.pid) if server.pid else None}
            for server in servers
        }

    def prepare(self, *engines: str) -> None:
        """The pristine data of these engines is there, so that creating an instance does not wait for it."""
        with ThreadPoolExecutor(max(1, len(engines))) as pool:
            list(pool.map(self._distribution, engines))

    def shutdown(self) -> None:
        """No process, no name and no data of this lab is left."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            servers = list(self._servers.values())
            self._servers.clear()
            for gate in self._gates.values():
                gate.close()
        for server in servers:
            # not remove(): a thread that waits for a server holds its guard
            server.kill_now()
        self._names.close()
        clean(self._directory)
        self._addresses.close()

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _distribution(self, engine: str) -> Distribution:
        if engine not in self._preparing:
            raise ServerError(f"The lab has no {engine} server.")
        with self._preparing[engine]:
            if engine not in self._distributions:
                self._distributions[engine] = prepare(engine, self._databases)
            return self._distributions[engine]

    def _new(self, resource_id: str, engine: str, port: int, parameters: dict[str, str], source: str | None = None) -> Server:
        distribution = self._distribution(engine)
        address, number = self._addresses.take()
        folder = self._servers_folder / resource_id
        with self._guard:
            if self._closed:
                raise ServerError("The lab has been stopped.")
            if resource_id in self._servers:
                raise ServerError(f"There is a server of {resource_id} already.")
            folder.mkdir()
            server = distribution.server_class()(resource_id, folder, address, number, distribution, self._sockets)
            server.certificate = self._certificate
            server.port, server.parameters, server.source = port, dict(parameters), source
            self._servers[resource_id] = server
        return server

    def _undone_on_error(self, server: Server):
        return _Undone(self, server)

    def _server(self, resource_id: str) -> Server:
        with self._guard:
            server = self._servers.get(resource_id)
        if server is None:
            raise ServerError(f"There is no server of {resource_id}.")
        return server

    def _replicas_of(self, resource_id: str) -> list[Server]:
        with self._guard:
            return [server for server in self._servers.values() if server.source == resource_id]

    def _snapshot(self, key: str) -> tuple[str, pathlib.Path]:
        with self._guard:
            found = self._snapshots.get(key)
        if found is None:
            raise ServerError(f"There is no snapshot {key}.")
        engine, _unused, folder = found.partition("/")
        return engine, self._snapshots_folder / folder

    @staticmethod
    def _copy_paused(server: Server, target: pathlib.Path) -> None:
        with pause(server):
            copy_folder(server.data, target)
        for name in _NOT_COPIED:
            leftover = target / name
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
        server.mend_copy(target)


class _Undone:
    """Leaves no half-made server behind."""

    def __init__(self, engines: Engines, server: Server) -> None:
        self._engines = engines
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, *_unused) -> None:
        if kind is not None:
            self._engines.delete(self._server.resource_id)


def clean(directory: str | pathlib.Path) -> None:
    """Nothing is left of a lab that died and had this directory."""
    directory = pathlib.Path(directory)
    for folder in (directory / "servers").glob("*"):
        remove_left_over(folder)
    sockets = directory / "sockets"
    if sockets.is_symlink():
        shutil.rmtree(sockets.resolve(), ignore_errors=True)
        sockets.unlink()
    for folder in (directory / "servers", directory / "snapshots", directory / "tls"):
        # a copy that was being made may add a file meanwhile
        while folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
