# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Files for their owner alone: the only place that writes any (plans, reports, evidence), and reads evidence again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError


def private_folder(path: str) -> str:
    """The absolute path of a folder that exists now; one that is made is its owner's alone.

    :raises EncryptionError: it cannot be made.
    """
    path = os.path.abspath(os.path.expanduser(path))
    try:
        _make_folder(path)
    except OSError as e:
        raise _unwritable(path, e) from e
    return path


def _make_folder(path: str) -> None:
    # os.makedirs gives its mode to the last folder only.
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode=0o700)
        os.listdir(path)  # a file of that name is no folder


def fresh_folder(parent: str, name: str) -> str:
    """A new folder in another one, under the first of ``name``, ``name-2``, ... that nobody has: runs side by side never share one.

    :raises EncryptionError: it cannot be made.
    """
    parent = private_folder(parent)
    number = 1
    while True:
        path = os.path.join(parent, name if number == 1 else f"{name}-{number}")
        try:
            os.mkdir(path, mode=0o700)
            return path
        except FileExistsError:
            number += 1
        except OSError as e:
            raise _unwritable(path, e) from e


def write_private(folder: str, files: dict[str, str]) -> list[str]:
    """The paths of files with these texts, by their names below the folder; each is whole or not there.

    :raises EncryptionError: one cannot be written.
    """
    written = []
    for name, text in files.items():
        path = os.path.join(folder, *name.split("/"))
        part = f"{path}.{os.getpid()}.part"
        try:
            _make_folder(os.path.dirname(path))
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.write(text)
            os.replace(part, path)
        except OSError as e:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise _unwritable(path, e) from e
        written.append(path)
    return written


def _unwritable(path: str, error: OSError) -> EncryptionError:
    return EncryptionError(f"{path} cannot be written: {error.strerror}.", next_step="Name a folder that the user of the controller may write to.")


def read_text(path: str, largest: int) -> str:
    """The text of a file.

    :raises EncryptionError: it cannot be read, is no text, or has more than ``largest`` bytes.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(largest + 1)
        if len(data) > largest:
            raise EncryptionError(f"{path} is too large to be what it should be.")
        return data.decode("utf-8")
    except OSError as e:
        raise EncryptionError(f"{path} cannot be read: {e.strerror}.", next_step="Check the path.") from e
    except UnicodeDecodeError as e:
        raise EncryptionError(f"{path} is no text.", next_step="Check the path.") from e


def hashes_below(folder: str) -> dict[str, str]:
    """The SHA-256 of each file below a folder, by its path from there with ``/``; of what is no plain file, what it is instead.

    :raises EncryptionError: something cannot be read.
    """
    found = {}
    for where, folders, names in os.walk(folder, onerror=_raise):
        for name in [*names, *(each for each in folders if os.path.islink(os.path.join(where, each)))]:
            path = os.path.join(where, name)
            found[os.path.relpath(path, folder).replace(os.sep, "/")] = _hash(path)
    return found


def _hash(path: str) -> str:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return "not a plain file"
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        return digest.hexdigest()
    except OSError as e:
        return _raise(e)


def _raise(error: OSError):
    raise EncryptionError(f"{error.filename} cannot be read: {error.strerror}.", next_step="Check the path and its permissions.") from error
