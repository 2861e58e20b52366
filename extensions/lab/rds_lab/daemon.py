# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running lab: one process that owns the API, the servers and the names, and takes them with it when it ends."""
from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable

from . import fleet as fleets
from .engines import Engines
from .engines import clean
from .null_engines import NullEngines
from .servers.pristine import PROGRAMS

HOST = "127.0.0.1"
STATE = "lab.json"
LOG = "lab.log"


class LabError(RuntimeError):
    """The lab cannot do what was asked; the text says why."""


@dataclasses.dataclass
class Options:
    """How a lab is started; kept in its directory for ``reset``."""

    fleet: str
    directory: str
    port: int = 5555
    timescale: float = 60.0
    engines: bool = True
    consistency: float | None = None

    def save(self) -> None:
        """The next ``reset`` starts such a lab."""
        _write(pathlib.Path(self.directory) / "options.json", dataclasses.asdict(self))

    @classmethod
    def load(cls, directory: pathlib.Path) -> "Options":
        """The options of the last start.

        :raises LabError: there was none.
        """
        try:
            return cls(**json.loads((directory / "options.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise LabError(f"No lab was ever started in {directory}.") from None


class Hold:
    """The right to be the lab of a directory; the kernel takes it back when the process ends."""

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = open(directory / "lab.lock", "a+", encoding="ascii")
        deadline = time.monotonic() + 1  # somebody may be looking (is_running)
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._file.close()
                    raise LabError(f"A lab is running in {directory}: stop it first.") from None
            time.sleep(0.02)

    def release(self) -> None:
        """Another lab may start here."""
        self._file.close()


def is_running(directory: pathlib.Path) -> bool:
    """Whether a lab runs in this directory."""
    try:
        with open(directory / "lab.lock", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def state_of(directory: pathlib.Path) -> dict | None:
    """Process, URL and fleet of the lab that runs in this directory, None when there is none."""
    if not is_running(directory):
        return None
    try:
        return json.loads((directory / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def serve(options: Options, say: Callable[[str], None], ready: Callable[[], None], stopping: threading.Event | None = None) -> None:
    """Start a lab, say so, and run it until a signal (or ``stopping``) ends it; nothing is left of it then.

    :param ready: called when everything can be used.
    """
    directory = pathlib.Path(options.directory)
    stopping = stopping or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_unused: stopping.set())
    hold = Hold(directory)
    engines = plane = server = None
    try:
        options.save()
        clean(directory)
        fleet = fleets.read(options.fleet)
        _check_port(options.port)
        _write(directory / STATE, {"pid": os.getpid(), "ready": False})
        with _interruptible(stopping):
            settings = _settings(options, fleet)
            certified = [f"*.{settings.account_hash}.{fleet.region}.{settings.dns_suffix}"]
            engines = Engines(directory, certified=certified) if options.engines else NullEngines()
            plane = _plane(options, engines, settings)
            if options.engines and settings.enforce_security_groups:
                engines.guard_endpoints(plane.admits)
            if options.engines:
                _prepare(engines, fleet, say)
            identities = fleets.Loader(plane, engines, say).load(fleet)
            server = plane.serve(HOST, options.port)
        _write(directory / STATE, {
            "pid": os.getpid(), "ready": True, "url": server.url, "fleet": fleet.name, "fleet_file": str(fleet.path), "region": fleet.region,
            "group": fleet.group, "hosts": fleet.hosts(), "master_password": fleet.master_password, "application": fleet.application,
            "ca_cert": str(directory / "tls" / "ca.pem") if options.engines else None,
            "instances": len(identities), "timescale": options.timescale, "engines": options.engines, "started_at": time.time(),
        })
        say(f"ready: {server.url}")
        ready()
        stopping.wait()
    except _Stopped:
        say("stopped while starting")
    finally:
        # From here on a second signal changes nothing: the first thing to do is done in any case.
        for part, method in ((server, "close"), (plane, "close"), (engines, "shutdown")):
            if part is not None:
                with contextlib.suppress(Exception):
                    getattr(part, method)()
        (directory / STATE).unlink(missing_ok=True)
        hold.release()


def clean_up(directory: pathlib.Path) -> None:
    """Nothing is left of a lab that died in this directory: no server, no name, no data."""
    hold = Hold(directory)
    try:
        clean(directory)
        from .names import Names

        Names().clean()
        (directory / STATE).unlink(missing_ok=True)
    finally:
        hold.release()


def _settings(options: Options, fleet):
    from .control.settings import Settings

    # Names of labs that run side by side must differ, as they share one hosts file.
    settings = Settings(account_hash=f"c{options.port}lab", default_region=fleet.region)
    settings.update(fleet.document.get("settings", {}))
    if options.consistency is not None:
        settings.consistency = options.consistency
    return settings


def _plane(options: Options, engines, settings):
    from .clock import Clock
    from .control.plane import ControlPlane

    return ControlPlane(Clock(options.timescale), engines, settings)


def _prepare(engines: Engines, fleet, say: Callable[[str], None]) -> None:
    wanted = {entry.get("Engine", "mysql") for entry in fleet.instances}
    for engine in sorted(wanted):
        if not engines.supports(engine):
            say(f"{engine}: no server here, its instances have none behind them" + (
                " (tools/get_databases.sh gets it)" if engine in PROGRAMS else ""))
    engines.prepare(*sorted(engine for engine in wanted if engines.supports(engine)))


class _Stopped(BaseException):
    """A signal came while the lab was starting."""


@contextlib.contextmanager
def _interruptible(stopping: threading.Event):
    """A signal ends the block at once instead of after it."""
    def stop(*_unused):
        stopping.set()
        raise _Stopped

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LabError(f"Port {port} of {HOST} is in use: give the lab another --port ({error}).") from error


def _write(path: pathlib.Path, content: dict) -> None:
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    temporary.replace(path)


def remove_directory(directory: pathlib.Path) -> None:
    """The directory of a lab that does not run is gone."""
    if is_running(directory):
        raise LabError(f"A lab is running in {directory}.")
    shutil.rmtree(directory, ignore_errors=True)
