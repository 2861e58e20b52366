"""Endpoints that resolve like DNS names: a marked block in the hosts file of this machine."""
from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading

BEGIN = "# rds-lab begin"
END = "# rds-lab end"
_HEADER = re.compile(re.escape(BEGIN) + r" pid=(\d+) started=(\d+)\b")


def started(pid: int) -> int:
    """The start time of a process in clock ticks since boot, 0 when it does not run: tells a reused id from its predecessor."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as stat:
            fields = stat.read().rpartition(")")[2].split()
            return 0 if fields[0] in ("Z", "X") else int(fields[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Names:
    """The names that one lab publishes.

    The hosts file may be a bind mount (a container), which cannot be replaced by a rename: it is written in place, by one
    write that never leaves half of an old line behind. Programs resolve the names through the C library as usual.

    :param path: the hosts file.
    """

    def __init__(self, path: str = "/etc/hosts") -> None:
        self._path = path
        self._pid = os.getpid()
        self._mark = f"{BEGIN} pid={self._pid} started={started(self._pid)} lab={id(self):x}"
        self._names: dict[str, str] = {}
        self._guard = threading.Lock()

    def publish(self, name: str, address: str) -> None:
        """Make ``name`` resolve to ``address``; a name that resolved to another address moves."""
        with self._guard:
            if self._names.get(name) == address:
                return
            previous = dict(self._names)
            self._names[name.lower()] = address
            try:
                self._write()
            except BaseException:
                self._names = previous
                raise

    def unpublish(self, name: str) -> None:
        """Make ``name`` stop resolving."""
        with self._guard:
            if self._names.pop(name.lower(), None) is not None:
                self._write()

    def address(self, name: str) -> str | None:
        """The address that ``name`` has here."""
        return self._names.get(name.lower())

    def close(self) -> None:
        """Take every name of this lab out of the hosts file, and those of labs that died."""
        with self._guard:
            self._names.clear()
            self._write()

    def clean(self) -> None:
        """Take names of labs that died out of the hosts file."""
        with self._guard:
            self._write()

    def _write(self) -> None:
        with _locked(self._path) as descriptor:
            old = os.pread(descriptor, 1 << 24, 0)
            lines, taken = self._without_own_and_dead(old.decode(errors="surrogateescape"))
            clash = sorted(set(self._names) & taken)
            if clash:
                raise RuntimeError(f"Another lab on this machine publishes {', '.join(clash)}: stop it, or give this one other names.")
            text = "".join(lines)
            if self._names:
                if text and not text.endswith("\n"):
                    text += "\n"
                text += self._mark + "\n"
                text += "".join(f"{address} {name}\n" for name, address in self._names.items())
                text += END + "\n"
            new = text.encode(errors="surrogateescape")
            if new != old:
                # A reader between the write and the truncation sees empty lines, not the rest of old ones.
                os.pwrite(descriptor, new + b"\n" * max(0, len(old) - len(new)), 0)
                os.ftruncate(descriptor, len(new))

    def _without_own_and_dead(self, text: str) -> tuple[list[str], set[str]]:
        kept: list[str] = []
        taken: set[str] = set()
        block: list[str] | None = None
        for line in text.splitlines(keepends=True):
            if line.startswith(BEGIN):
                block = [line]
            elif block is None:
                kept.append(line)
            else:
                block.append(line)
                if line.startswith(END):
                    if self._is_others_alive(block[0]):
                        kept.extend(block)
                        taken.update(word.lower() for entry in block[1:-1] for word in entry.split()[1:])
                    block = None
        return kept, taken

    def _is_others_alive(self, header: str) -> bool:
        if header.rstrip("\n") == self._mark:
            return False
        found = _HEADER.match(header)
        return bool(found) and started(int(found[1])) == int(found[2]) != 0


@contextlib.contextmanager
def _locked(path: str):
    """A descriptor of the file, while no other lab writes it."""
    folder = "/run/lock" if os.path.isdir("/run/lock") and os.access("/run/lock", os.W_OK) else "/tmp"
    lock = os.open(os.path.join(folder, f"rds-lab{path.replace('/', '-')}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        os.close(lock)
