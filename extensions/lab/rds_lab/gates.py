# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security groups that act: an address in front of each server, which lets in whom the instance's groups admit."""
from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Gate:
    """Listens in the place of a server and passes connections on to it, with the client's own address.

    Who is not admitted gets no answer, as when packets are dropped. A connection that stands lives on whatever is decided later (AWS tracks it),
    until the server or the client ends it.

    :param admits: ``address of a client -> bool``, asked at every new connection.
    :param known_as: ``address and port of a client -> the address it counts as having``: servers of the lab that connect to others count as having their own.
    """

    def __init__(self, address: str, port: int, server: tuple[str, int], admits: Callable[[str], bool],
                 known_as: Callable[[str, int], str] = lambda host, _port: host) -> None:
        self.address = address
        self.port = port
        self._server = server
        self._admits = admits
        self._known_as = known_as
        self._ignored: list[socket.socket] = []
        self._standing: dict[socket.socket, str] = {}
        self._guard = threading.Lock()
        self._listener = socket.create_server((address, port))
        threading.Thread(target=self._serve, name=f"gate-{address}", daemon=True).start()

    def close(self) -> None:
        """Nobody listens any more; connections that stand are the server's affair."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._ignored:
            client.close()

    def cut(self, host: str) -> int:
        """How many connections of a client were cut: what its network does when it fails, not what a security group does."""
        with self._guard:
            found = [end for end, whose in self._standing.items() if whose == host]
        for end in found:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(found)

    def _serve(self) -> None:
        while True:
            try:
                client, (host, port) = self._listener.accept()
            except OSError:
                return
            host = self._known_as(host, port)
            if not self._admits(host):
                self._ignored.append(client)
                continue
            try:
                server = socket.create_connection(self._server, timeout=5, source_address=(host, 0))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._guard:
                self._standing[client] = host
            for here, there in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(here, there), daemon=True).start()

    def _pass_on(self, here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                there.sendall(data)
        # Both directions end together: a client whose server is gone must notice.
        for end in (here, there):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._guard:
            self._standing.pop(here, None)
