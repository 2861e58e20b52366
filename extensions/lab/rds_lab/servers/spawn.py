"""Server processes that never outlive the lab."""
from __future__ import annotations

import contextlib
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future


class Spawner:
    """Starts processes from one thread that lives as long as the program.

    PR_SET_PDEATHSIG kills a child when the *thread* that started it ends, not when the process does: a server started by
    the thread of one HTTP request would die with that request.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, command: list[str], **options) -> subprocess.Popen:
        """The started process, killed by the kernel when this program dies however it dies."""
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="spawner", daemon=True)
                self._thread.start()
        future: Future = Future()
        self._requests.put((command, options, future))
        return future.result()

    def _serve(self) -> None:
        while True:
            command, options, future = self._requests.get()
            try:
                # A group of its own keeps a Ctrl-C at the terminal from reaching the server before the lab does.
                future.set_result(subprocess.Popen(_dying_with_parent(command), start_new_session=True, stdin=subprocess.DEVNULL, **options))
            except BaseException as error:  # noqa: B902  (handed to the caller)
                future.set_exception(error)


SPAWNER = Spawner()


def _dying_with_parent(command: list[str]) -> list[str]:
    tool = shutil.which("setpriv")
    if tool is None:
        raise RuntimeError("The lab needs setpriv (package util-linux) to tie its servers to its own life.")
    return [tool, "--pdeathsig", "KILL", "--", *command]


def unprivileged(command: list[str]) -> list[str]:
    """The command for a server that refuses to be root: as nobody, who may reach its files in folders that are root's alone.

    The kernel forgets PR_SET_PDEATHSIG when the user changes, so it is set again.
    """
    if os.geteuid() != 0:
        return command
    user = pwd.getpwnam("nobody")
    return [shutil.which("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override", "--pdeathsig", "KILL", "--", *command]


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                    if int(stat.read().rpartition(")")[2].split()[1]) == pid:
                        found.append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def kill_workers_in(folder: str) -> None:
    """No process works in a folder any more: a server that died while it was paused leaves paused processes behind."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.readlink(f"/proc/{entry}/cwd") == folder:
                    os.kill(int(entry), signal.SIGKILL)
            except OSError:
                continue


def holder_of(address: str, port: int, pids: list[int]) -> int | None:
    """Which of these processes has the TCP connection that begins at this IPv4 address and port."""
    place = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        inode = next((fields[9] for fields in map(str.split, table) if fields[1] == place), None)
    for pid in pids if inode else ():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for descriptor in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    if os.readlink(descriptor.path) == f"socket:[{inode}]":
                        return pid
    return None


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_left_over(pid: int, mark: str) -> bool:
    """Whether a process was killed: one with this id whose command line holds ``mark``."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            arguments = cmdline.read().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    if mark not in arguments:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def memory_of(pid: int) -> dict[str, int]:
    """Memory of a process in KiB: ``rss`` as listed by ps, ``pss`` with shared pages divided among their users."""
    result = {"rss": 0, "pss": 0}
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                name, _unused, rest = line.partition(":")
                if name in ("Rss", "Pss"):
                    result[name.lower()] = int(rest.split()[0])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return result
