# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A live view of the fleet below the output of Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: live
type: notification
short_description: A live view of the fleet at the bottom of the terminal
version_added: 1.0.0
description:
  - While modules of this collection run, the last lines of the terminal show one row for each host - phase, what was last said of it, percent, time in
    this phase, and the time that the plan expected. All that Ansible prints goes on above it, unchanged.
  - Where it cannot be shown, nothing changes - output that is no terminal, C(TERM=dumb), C(NO_COLOR) or C(ANSIBLE_NOCOLOR), AWX and ansible-runner.
  - It shows what is printed anyway (progress lines, names of tasks), and no results.
author:
  - The dbre.rds_encryption contributors (@dbre)
requirements:
  - enable in configuration, C(callbacks_enabled = dbre.rds_encryption.live) in C(ansible.cfg) or C(ANSIBLE_CALLBACKS_ENABLED)
"""

import atexit
import math
import os
import re
import shutil
import sys
import threading
import time

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

COLLECTION = "dbre.rds_encryption."
EVERY = 1.0
# Escape sequences of terminals, and every other character that is not to be printed.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.|[\x00-\x1f\x7f-\x9f]")
_PERCENT = re.compile(r"(?<!\d)(100|\d{1,2})(?:\.\d+)? ?%")
_OUTCOMES = ("failed", "unreachable")


def wanted(environment, is_terminal: bool, no_color: bool, stdout_callback: str) -> bool:
    """Whether a view can be drawn; AWX and ansible-runner record a terminal of their own, which nobody looks at."""
    recorded = any(name.startswith(("AWX_", "RUNNER_")) for name in environment) or stdout_callback.endswith("awx_display")
    return is_terminal and not recorded and not no_color and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") not in ("", "dumb")


class Row:
    """What is known of one host."""

    def __init__(self, host: str, now: float):
        self.host = host
        self.phase = ""
        self.text = ""
        self.percent: str | None = None
        self.began = now
        self.ended: float | None = None
        self.working = False
        self.expected: dict[str, int] = {}

    def columns(self, now: float) -> tuple[str, str, str, str, str]:
        expected = self.expected.get(self.phase)
        percent = f"{self.percent} %" if self.percent else ""
        return self.host, self.phase, percent, minutes((self.ended or now) - self.began), f"~{expected} min" if expected else ""


class Fleet:
    """The rows of all hosts, and how they are drawn; knows neither Ansible nor a terminal."""

    def __init__(self, now: float):
        self.rows: dict[str, Row] = {}
        self.started = now
        self._play = ""

    def play(self, name: str, now: float) -> None:
        """Another play: its name begins with the phase."""
        phase = name.split(" - ")[0].strip().lower()
        self._play = {"cut over": "cutover", "pause": "cutover"}.get(phase, phase)
        for row in self.rows.values():
            if row.text not in _OUTCOMES:
                row.working, row.ended = False, row.ended or now
                if self._play == "gate":
                    row.text, row.percent = "at the gate", None

    def task(self, host: str, name: str, now: float, known_only: bool) -> None:
        """A task began on a host.

        :param known_only: a host without a row does not get one.
        """
        if host not in self.rows and known_only:
            return
        row = self.rows.setdefault(host, Row(host, now))
        if self._play not in ("gate", row.phase):
            row.phase, row.began, row.ended = self._play, now, None
        row.working = self._play != "gate"
        if row.working:
            row.text, row.percent = name, None

    def line(self, text: str) -> None:
        """A line was printed; ``[host] ...`` is what a module says of its work there."""
        match = re.match(r"\[([^\]]+)\] (.+)", _ESCAPES.sub("", text))
        row = self.rows.get(match[1]) if match else None
        if row:
            row.text = match[2].strip()
            percent = _PERCENT.findall(row.text)
            row.percent = percent[-1] if percent else None

    def planned(self, host: str, parts) -> None:
        """The plan expects so many minutes of each phase.

        :param parts: ``[{"phase", "minutes"}]``.
        """
        row = self.rows.get(host)
        if row and isinstance(parts, list):
            expected: dict[str, int] = {}
            for part in parts:
                expected[part["phase"]] = expected.get(part["phase"], 0) + int(part["minutes"])
            # What is left becomes less in the course of a run; the first plan is what was expected.
            row.expected = {**expected, **row.expected}

    def ended(self, host: str, outcome: str, now: float) -> None:
        """A host is out of the run."""
        row = self.rows.get(host)
        if row:
            row.text, row.percent, row.working, row.ended = outcome, None, False, now

    def draw(self, width: int, height: int, now: float) -> list[str]:
        """The lines of the view, none longer than the width, not more than half of the height."""
        most = max(1, height // 2 - 1)
        rows = sorted(self.rows.values(), key=lambda row: (row.text not in _OUTCOMES, not row.working, row.host))
        shown = sorted(rows[:most if len(rows) <= most else most - 1] or rows[:1], key=lambda row: row.host)
        cells = [row.columns(now) for row in shown]
        wide = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
        lines = [f"-- {len(rows)} hosts, {sum(row.working for row in rows)} at work, {minutes(now - self.started)} "]
        lines[0] += "-" * (width - len(lines[0]) - 1)
        for row, cell in zip(shown, cells, strict=True):
            lines.append(" ".join(f"{text:<{size}}" for text, size in zip(cell, wide, strict=True)) + " " + _ESCAPES.sub("", row.text))
        if len(shown) < len(rows):
            lines.append(f"... and {len(rows) - len(shown)} more")
        return [line[: width - 1] for line in lines]


def minutes(seconds: float) -> str:
    """``h:mm:ss`` or ``m:ss``."""
    whole = max(0, int(seconds))
    clock = f"{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600}:{clock}" if whole >= 3600 else clock.removeprefix("0")


class Screen:
    """The last lines of a terminal, below what Ansible prints. It writes past Python's buffers: workers are forked at any moment."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._drawn: list[str] = []

    def erase(self) -> None:
        """The view is gone, the cursor where it began."""
        if self._drawn:
            width = max(1, shutil.get_terminal_size().columns)
            # A terminal that became narrower has broken the lines.
            up = sum(max(1, math.ceil(len(line) / width)) for line in self._drawn) - 1
            self._drawn = []
            self._write("\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J")

    def draw(self, lines: list[str]) -> None:
        """The view stands below what was printed."""
        self._drawn = lines
        self._write("\r\n".join(lines))

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._descriptor, data):]


class CallbackModule(CallbackBase):
    """Keeps the view below the output; gives up, and changes nothing any more, at the first error of its own."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "dbre.rds_encryption.live"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._fleet = Fleet(time.monotonic())
        self._screen = None
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._at_line_start = True
        self._stopped = threading.Event()
        self._possible = wanted(os.environ, sys.stdout.isatty(), bool(C.ANSIBLE_NOCOLOR), str(C.DEFAULT_STDOUT_CALLBACK))

    # -- what happens ------------------------------------------------------------------------------------------------------------------

    def v2_playbook_on_play_start(self, play):
        self._safely(lambda: self._fleet.play(play.get_name(), time.monotonic()))

    def v2_runner_on_start(self, host, task):
        ours = str(task.action).startswith(COLLECTION)
        if ours and self._possible and self._screen is None:
            self._safely(self._begin)
        self._safely(lambda: self._fleet.task(host.get_name(), task.get_name().split(" : ")[-1], time.monotonic(), known_only=not ours))

    def v2_runner_on_ok(self, result):
        found = _part(result, "result").get("topology")
        if isinstance(found, dict):
            self._safely(lambda: self._fleet.planned(_part(result, "host").get_name(), found.get("estimate")))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            self._safely(lambda: self._fleet.ended(_part(result, "host").get_name(), "failed", time.monotonic()))

    def v2_runner_on_unreachable(self, result):
        self._safely(lambda: self._fleet.ended(_part(result, "host").get_name(), "unreachable", time.monotonic()))

    def v2_playbook_on_stats(self, stats):
        self._end()

    # -- the terminal ------------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._screen = Screen(sys.stdout.fileno())
        display = self._display
        original, original_prompt = display.display, getattr(display, "prompt_until", None)

        def show(msg, *args, **kwargs):
            # Workers are forked from this process: what they display comes here by a queue.
            if os.getpid() != self._process or self._screen is None:
                return original(msg, *args, **kwargs)
            with self._lock:
                self._safely(self._screen.erase)
                try:
                    return original(msg, *args, **kwargs)
                finally:
                    self._at_line_start = kwargs.get("newline", True) or str(msg).endswith("\n")
                    self._safely(lambda: self._fleet.line(str(msg)))
                    self._redraw()

        def prompt(*args, **kwargs):
            if os.getpid() != self._process or self._screen is None:
                return original_prompt(*args, **kwargs)
            # Until somebody has answered, nothing is drawn.
            with self._lock:
                self._safely(self._screen.erase)
                return original_prompt(*args, **kwargs)

        display.display = show
        if original_prompt:
            display.prompt_until = prompt
        atexit.register(self._end)
        threading.Thread(target=self._tick, name="dbre.rds_encryption.live", daemon=True).start()

    def _tick(self) -> None:
        while not self._stopped.wait(EVERY):
            with self._lock:
                self._safely(lambda: self._screen and self._screen.erase())
                self._redraw()

    def _redraw(self) -> None:
        if self._screen is not None and self._at_line_start and not self._stopped.is_set():
            size = shutil.get_terminal_size()
            self._safely(lambda: self._screen.draw(self._fleet.draw(size.columns, size.lines, time.monotonic())))

    def _end(self) -> None:
        """The terminal is as Ansible alone would have left it."""
        if os.getpid() != self._process:
            return
        self._stopped.set()
        with self._lock:
            screen, self._screen = self._screen, None
            for name in ("display", "prompt_until"):
                self._display.__dict__.pop(name, None)
            try:
                if screen:
                    screen.erase()
            except OSError:
                pass

    def _safely(self, act) -> None:
        """A view is never worth a run."""
        try:
            with self._lock:
                act()
        except Exception:
            self._possible = False
            self._end()


def _part(result, name: str):
    # ansible-core before 2.19 has them as private names alone.
    return getattr(result, name, None) or getattr(result, f"_{name}")
