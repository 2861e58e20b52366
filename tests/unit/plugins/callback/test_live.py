# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live view: what it draws, on a real terminal (a pty), and that a pipe sees nothing of it."""

from __future__ import annotations

import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import sysconfig
import termios
import time

from ansible_collections.dbre.rds_encryption.plugins.callback.live import Fleet, wanted

HERE = pathlib.Path(__file__).resolve().parent
ANSIBLE = pathlib.Path(sysconfig.get_path("scripts")) / "ansible-playbook"
COLUMNS, LINES = 100, 30
PLAYS = """
- name: Preflight - read everything
  hosts: all
  gather_facts: false
  tasks:
    - name: Begin as a module of the collection does
      dbre.rds_encryption.rds_fence: {name: not_a_name_, region: eu-central-1}
      ignore_errors: true
    - name: Plan
      tell: {lines: [looks], estimate: [{phase: build, minutes: 40}, {phase: build, minutes: 2}]}
- name: Gate - every host passed preflight
  hosts: all
  gather_facts: false
  tasks: [{name: Arrive, debug: {msg: arrived}}]
- name: Build - make it
  hosts: all
  gather_facts: false
  tasks:
    - name: Restore
      tell: {lines: ["new-{{ inventory_hostname }}: creating 4 %", "\\e[31mnew-{{ inventory_hostname }}: creating 40 % (3.2 min)\\e[0m"], pause: 1.3}
    - name: Fail on one
      tell: {lines: [trouble], fail: "{{ inventory_hostname == 'two' }}"}
"""


def environment(**more) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWX_", "RUNNER_", "NO_COLOR"))}
    merged = {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH") or sysconfig.get_paths()["purelib"],
        "ANSIBLE_ACTION_PLUGINS": str(HERE / "action"),
        "ANSIBLE_CALLBACKS_ENABLED": "dbre.rds_encryption.live",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "TERM": "xterm",
        **more,
    }
    return {name: value for name, value in merged.items() if value is not None}


def command(folder: pathlib.Path, *arguments: str) -> list[str]:
    (folder / "plays.yml").write_text(PLAYS)
    return [str(ANSIBLE), "-i", "one,two,", "-c", "local", str(folder / "plays.yml"), *arguments]


def on_a_terminal(folder: pathlib.Path, *arguments: str, **more) -> str:
    """All that a terminal receives."""
    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(command(folder, *arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**more), cwd=folder)
    os.close(theirs)
    received, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([own], [], [], 1)[0]:
            try:
                chunk = os.read(own, 65536)
            except OSError:  # the last writer has closed it
                break
            received += chunk
        elif process.poll() is not None:
            break
    os.close(own)
    assert process.wait(10) == 2  # one host failed
    return received.decode()


class Terminal:
    """What somebody sees: lines, and the few sequences that the view uses."""

    def __init__(self):
        self.lines, self.row, self.seen = [""], 0, []

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self.seen.append(list(self.lines))
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
                self.column = 0
            elif part == "\r":
                self.column = 0
            elif part.endswith("A") and part.startswith("\x1b"):
                self.row -= int(part[2:-1] or 1)
            elif part == "\x1b[J":
                self.seen.append(list(self.lines))
                self.lines[self.row:] = [self.lines[self.row][: self.column]]
            elif not part.startswith("\x1b"):
                line = self.lines[self.row]
                self.lines[self.row] = line[: self.column] + part + line[self.column + len(part):]
                self.column += len(part)

    column = 0


def plain(folder: pathlib.Path, **more) -> str:
    done = subprocess.run(
        command(folder), env=environment(**more), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    return done.stdout


def test_on_a_terminal_each_host_has_a_row_below_the_output_and_none_at_the_end(tmp_path):
    terminal = Terminal()
    terminal.feed(on_a_terminal(tmp_path, "-vvvv"))
    rows = [line for lines in terminal.seen for line in lines]
    assert any(re.match(r"one +build +40 % +0:0[1-9] +~42 min new-one: creating 40 % \(3\.2 min\)", line) for line in rows)
    assert any(re.match(r"two +preflight .* at the gate", line) for line in rows)
    assert any(re.match(r"-- 2 hosts, 2 at work, 0:\d\d -+$", line) for line in rows)
    assert any(re.match(r"two +build +.* failed$", line) for line in rows)
    assert all(len(line) < COLUMNS for line in rows if re.match(r"(one|two) +(preflight|build) |-- ", line))
    # What stays is what Ansible alone would have left, every progress line included.
    left = "\n".join(terminal.lines)
    assert "-- 2 hosts" not in left and "~42 min" not in left
    for line in ("[one] new-one: creating 4 %", "[two] trouble", "PLAY RECAP"):
        assert left.count(line) == 1, line
    assert left.index("PLAY [Preflight") < left.index("[one] looks") < left.index("PLAY [Build") < left.index("[two] trouble") < left.index("PLAY RECAP")


def test_a_pipe_sees_what_it_saw_before(tmp_path):
    def comparable(text):
        # Hosts go on side by side: the order of their lines is another one each time.
        return sorted(re.sub(r"\d+\.\d+", "N", line) for line in text.splitlines())

    assert comparable(plain(tmp_path)) == comparable(plain(tmp_path, ANSIBLE_CALLBACKS_ENABLED=None))


def test_a_terminal_that_knows_no_sequences_gets_plain_lines(tmp_path):
    assert "\x1b[J" not in on_a_terminal(tmp_path, TERM="dumb")


def test_when_a_view_is_wanted():
    good = {"TERM": "xterm-256color"}
    assert wanted(good, True, False, "default")
    assert not wanted(good, False, False, "default")
    assert not wanted(good, True, True, "default")
    assert not wanted(good, True, False, "awx_display")
    for more in ({"TERM": "dumb"}, {"NO_COLOR": "1"}, {"AWX_ISOLATED_DATA_DIR": "/runner"}, {"RUNNER_OMIT_EVENTS": "False"}):
        assert not wanted({**good, **more}, True, False, "default")
    assert not wanted({}, True, False, "default")


def fleet(number: int) -> Fleet:
    view = Fleet(0.0)
    view.play("Build - make it", 0.0)
    for each in range(number):
        view.task(f"host-{each:03d}", "Restore", 1.0, known_only=False)
    return view


def test_a_large_fleet_leaves_room_for_the_output_and_shows_trouble_first():
    view = fleet(100)
    view.ended("host-077", "failed", 5.0)
    lines = view.draw(80, 24, 10.0)
    assert len(lines) <= 12 and all(len(line) < 80 for line in lines)
    assert any(line.startswith("host-077") and "failed" in line for line in lines)
    assert lines[-1] == f"... and {100 - (len(lines) - 2)} more"


def test_what_is_said_cannot_move_the_cursor():
    view = fleet(1)
    view.line("[host-000] \x1b[2Jcreating\x07 100 % \x1b]0;title\x07")
    text = "\n".join(view.draw(200, 24, 10.0))
    assert "creating 100 %" in text and "\x1b" not in text and "\x07" not in text


def test_hosts_of_other_plays_and_other_lines_make_no_rows():
    view = fleet(1)
    view.task("webserver", "Stop services", 2.0, known_only=True)
    view.line("[webserver] 5 %")
    view.line("TASK [something] 7 %")
    assert list(view.rows) == ["host-000"] and view.rows["host-000"].percent is None
