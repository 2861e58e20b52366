# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What the worker processes of one controller leave for each other: who asked for what, who works on it, and the answers.

It is kept in memory that has no name, which only processes forked from this one can reach, and which is gone with the last of them, however
they end: requests may hold secrets, and these never reach a disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pickle
import struct
import tempfile
import threading

_SIZE = struct.Struct("<Q")
_MOMENT = struct.Struct("<d")
_HEAD = 8  # bytes of a moment


class Spool:
    """Entries in the order in which they were added: ``(kind, ident, key, content)``."""

    def __init__(self):
        self._fd = _nameless()
        self._threads = threading.Lock()  # the file's lock is that of a process

    @contextlib.contextmanager
    def locked(self):
        """Nobody else adds or reads meanwhile."""
        with self._threads:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def add(self, kind: str, ident: str, key: tuple, content=None) -> None:
        """Add an entry; the caller holds the lock."""
        packed = pickle.dumps((kind, ident, key, pickle.dumps(content)))
        fd = self._fd
        _write(fd, _SIZE.pack(len(packed)) + packed, os.fstat(fd).st_size)

    def entries(self, *kinds: str) -> list[tuple]:
        """All entries of these kinds; the content of each is still packed (``unpacked``). The caller holds the lock."""
        fd = self._fd
        size, at, found = os.fstat(fd).st_size, 0, []
        whole = _read(fd, size)
        while at < size:
            (length,) = _SIZE.unpack_from(whole, at)
            entry = pickle.loads(whole[at + _SIZE.size : at + _SIZE.size + length])
            at += _SIZE.size + length
            if entry[0] in kinds:
                found.append(entry)
        return found

    def clear(self) -> None:
        """Nothing is in it any more; the caller holds the lock."""
        os.ftruncate(self._fd, 0)


class Recent:
    """What one process has just read, for the others: a single thing, and not for long.

    :param seconds: for how long.
    """

    def __init__(self, clock, seconds: float = 10.0):
        self._fd = _nameless()
        self._clock = clock
        self._seconds = seconds

    def get(self, key: str, read):
        """What ``read()`` answers, or has answered to somebody who asked for the same since ``forget`` and not long ago."""
        known = self._load()
        begun = self._clock.monotonic()
        if known and known[0] == _hashed(key) and begun - known[1] < self._seconds:
            return known[2]
        found = read()
        with self._locked():
            if begun >= self._forgotten():
                self._store((_hashed(key), begun, found))
        return found

    def forget(self) -> None:
        """What was read so far is old: something may have changed."""
        with self._locked():
            os.ftruncate(self._fd, 0)
            _write(self._fd, _MOMENT.pack(self._clock.monotonic()), 0)

    @contextlib.contextmanager
    def _locked(self):
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _forgotten(self) -> float:
        head = _read(self._fd, _MOMENT.size)
        return _MOMENT.unpack(head)[0] if len(head) == _MOMENT.size else 0.0

    def _load(self):
        with self._locked():
            whole = _read(self._fd, os.fstat(self._fd).st_size)
        return pickle.loads(whole[_HEAD:]) if len(whole) > _HEAD else None

    def _store(self, what) -> None:
        fd = self._fd
        os.ftruncate(fd, _MOMENT.size)
        _write(fd, pickle.dumps(what), _MOMENT.size)


def _nameless() -> int:
    """A descriptor of an empty file that nobody else can open: memory where the system has such files (Linux), else one without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("rds-encryption", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def unpacked(entry: tuple):
    """The content of an entry."""
    return pickle.loads(entry[3])


def _write(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


def _read(fd: int, size: int) -> bytes:
    parts, at = [], 0
    while at < size:
        part = os.pread(fd, size - at, at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    return b"".join(parts)
