# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database servers that fail while a run works with them."""

from __future__ import annotations

import contextlib
import socket
import threading

from scenario_crash import HOOK


class Restarter:
    """Lets a server fail, and come back, right before it is sent a certain statement.

    :param moments: pairs of an instance and a part of a statement; each happens once.
    """

    def __init__(self, lab, moments: set[tuple[str, str]]):
        self._lab = lab
        self._moments = set(moments)
        self.due = set(moments)
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What a run needs for it."""
        address = "127.0.0.1:%d" % self._socket.getsockname()[1]
        return {"PYTHONPATH": str(HOOK), "CRASH_ARBITER": address, "CRASH_WATCH": "|".join(sorted({text for _name, text in self._moments}))}

    def _serve(self) -> None:
        while True:
            connection, _address = self._socket.accept()
            with contextlib.closing(connection):
                _word, host, text = connection.makefile().readline().rstrip("\n").split(" ", 2)
                moment = (host.partition(".")[0], text)
                if moment in self.due:
                    self._lab.admin("POST", "crash", {"name": moment[0]})
                    self.due.discard(moment)
                with contextlib.suppress(OSError):
                    connection.sendall(b"go\n")
