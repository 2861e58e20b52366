"""Run stages of the Makefile and say what came of each: ``python tools/stages.py lint+sanity unit ...``.

Stages joined by a plus sign run side by side: those that keep one core busy, and share no files. What they say is shown in their order, that of
the first as it comes. A failing stage does not stop the next ones, so that one run tells everything. The last line counts tests as pytest
does: those of the pytest stages, and each other stage as one.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time

WIDTH = 100
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)\b")
CLOSING = re.compile(r"^=*\s*(?:\d+ [a-z]+,? ?)+ in [\d.]+s")


def heading(text: str) -> str:
    return f" {text} ".center(WIDTH, "=")


class Stage:
    """One stage, begun at once."""

    def __init__(self, name: str):
        self.name = name
        self.began = time.monotonic()
        self.seconds = 0.0
        # Started by an outer make, an inner one would try to share its jobs and print its folders.
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        self._process = subprocess.Popen(
            ["make", "--no-print-directory", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        )
        self._lines: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._process.wait()
        self.seconds = time.monotonic() - self.began
        self._lines.put(None)

    def show(self) -> tuple[int, dict[str, int]]:
        """Show what it says until it ends; the exit code and the counted tests."""
        closing = None
        while (line := self._lines.get()) is not None:
            print(line, end="", flush=True)
            if CLOSING.match(line):
                closing = line
        return self._process.returncode, counted(self._process.returncode, closing)


def counted(code: int, closing: str | None) -> dict[str, int]:
    """Tests by what came of them, from the closing line of pytest; a stage without one is a test itself."""
    counts: dict[str, int] = {}
    if closing is None:
        return {"failed" if code else "passed": 1}
    for number, word in COUNT.findall(closing):
        word = "failed" if word.startswith("error") else word
        counts[word] = counts.get(word, 0) + int(number)
    if code and not counts.get("failed"):
        counts["failed"] = 1
    return counts


def main(stages: list[str]) -> int:
    started = time.monotonic()
    total: dict[str, int] = {}
    rows = []
    for group in stages:
        for stage in [Stage(name) for name in group.split("+")]:
            print(heading(stage.name), flush=True)
            code, counts = stage.show()
            rows.append((stage.name, code, counts, stage.seconds))
            for word, number in counts.items():
                total[word] = total.get(word, 0) + number
            print(f"-- {stage.name}: {'ok' if code == 0 else f'FAILED (exit code {code})'} in {stage.seconds:.0f} s\n", flush=True)
    print(heading("summary"))
    for stage, code, counts, seconds in rows:
        told = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
        print(f"{stage:<12} {'ok' if code == 0 else 'FAILED':<7} {seconds:>6.0f} s   {told}")
    order = [word for word in ("failed", "passed", "skipped", "xfailed", "xpassed") if word in total]
    print(heading(f"{', '.join(f'{total[word]} {word}' for word in order)} in {time.monotonic() - started:.2f}s"))
    return 1 if any(code for _stage, code, _counts, _seconds in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if sys.argv[1:] else __doc__)
