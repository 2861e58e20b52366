"""Endpoints that resolve like DNS names: a marked block in the hosts file of this machine."""
from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading

BEGIN = "# rds-lab begin"
END = "# rds-lab end"
# A block holds lines of one width, free ones included: a name that comes or goes changes its own line and moves no other.
_WIDTH = 160
_SLOTS = 16
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

    The hosts file may be a bind mount (a container), which cannot be replaced by a rename: it is written in place, and so
    that somebody who reads meanwhile finds the other names where they were. Programs resolve the names through the C
    library as usual.

    :param path: the hosts file.
    """

    def __init__(self, path: str = "/etc/hosts") -> None:
        self._path = path
        self._pid = os.getpid()
        self._mark = f"{BEGIN} pid={self._pid} started={started(self._pid)} lab={id(self):x}"
        self._names: dict[str, str] = {}
        self._slots: list[str | None] = []
        self._guard = threading.Lock()

    def publish(self, name: str, address: str) -> None:
        """Make ``name`` resolve to ``address``; a name that resolved to another address moves.

        :raises RuntimeError: another lab publishes this name.
        """
        name = name.lower()
        with self._guard:
            if self._names.get(name) == address:
                return
            names, slots = dict(self._names), list(self._slots)
            if name not in self._slots:
                if None not in self._slots:
                    self._slots += [None] * _SLOTS
                self._slots[self._slots.index(None)] = name
            self._names[name] = address
            try:
                self._write()
            except BaseException:
                self._names, self._slots = names, slots
                raise

    def unpublish(self, name: str) -> None:
        """Make ``name`` stop resolving."""
        name = name.lower()
        with self._guard:
            if self._names.pop(name, None) is not None:
                self._slots[self._slots.index(name)] = None
                self._write()

    def address(self, name: str) -> str | None:
        """The address that ``name`` has here."""
        return self._names.get(name.lower())

    def close(self) -> None:
        """Take every name of this lab out of the hosts file, and those of labs that died."""
        with self._guard:
            self._names.clear()
            self._slots.clear()
            self._write()

    def clean(self) -> None:
        """Take names of labs that died out of the hosts file."""
        with self._guard:
            self._write()

    def _write(self) -> None:
        with _locked(self._path) as descriptor:
            old = os.pread(descriptor, 1 << 24, 0)
            lines, taken, own = self._without_own_and_dead(old.decode(errors="surrogateescape"))
            clash = sorted(set(self._names) & taken)
            if clash:
                raise RuntimeError(f"Another lab on this machine publishes {', '.join(clash)}: stop it, or give this one other names.")
            text = "".join(lines)
            if self._slots:
                if text and not text.endswith("\n"):
                    text += "\n"
                text = text[:own] + self._block() + text[own:] if own is not None else text + self._block()
            _replace(descriptor, old, text.encode(errors="surrogateescape"))

    def _block(self) -> str:
        lines = [f"{self._names[name]} {name}" if name else "#" for name in self._slots]
        return f"{self._mark}\n" + "".join(f"{line:<{_WIDTH}}\n" for line in lines) + f"{END}\n"

    def _without_own_and_dead(self, text: str) -> tuple[list[str], set[str], int | None]:
        """The lines of others, the names of other labs in them, and where in them the own block was."""
        kept: list[str] = []
        taken: set[str] = set()
        own: int | None = None
        block: list[str] | None = None
        for line in text.splitlines(keepends=True):
            if line.startswith(BEGIN):
                block = [line]
            elif block is None:
                kept.append(line)
            else:
                block.append(line)
                if line.startswith(END):
                    if block[0].rstrip("\n") == self._mark:
                        own = sum(map(len, kept))
                    elif self._is_others_alive(block[0]):
                        kept.extend(block)
                        taken.update(word.lower() for entry in block[1:-1] if not entry.startswith("#") for word in entry.split()[1:])
                    block = None
        return kept, taken, own

    def _is_others_alive(self, header: str) -> bool:
        found = _HEADER.match(header)
        return bool(found) and started(int(found[1])) == int(found[2]) != 0


def _replace(descriptor: int, old: bytes, new: bytes) -> None:
    """The file holds ``new``; only what differs is written."""
    if len(old) == len(new):
        different = [position for position in range(len(new)) if old[position] != new[position]]
        if different:
            os.pwrite(descriptor, new[different[0]:different[-1] + 1], different[0])
        return
    # A reader between the write and the truncation sees empty lines, not the rest of old ones.
    os.pwrite(descriptor, new + b"\n" * max(0, len(old) - len(new)), 0)
    os.ftruncate(descriptor, len(new))


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
