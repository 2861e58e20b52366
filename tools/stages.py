"""Run stages of the Makefile one after the other and say what came of each: ``python tools/stages.py lint unit ...``.

A failing stage does not stop the next ones, so that one run tells everything. The last line counts tests as pytest does: those of the
pytest stages, and each other stage as one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

WIDTH = 100
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)\b")
CLOSING = re.compile(r"^=*\s*(?:\d+ [a-z]+,? ?)+ in [\d.]+s")


def heading(text: str) -> str:
    return f" {text} ".center(WIDTH, "=")


def run(stage: str) -> tuple[int, dict[str, int], float]:
    """The exit code, the counted tests and the seconds of one stage, whose output is shown as it comes."""
    started = time.monotonic()
    closing = None
    # Started by an outer make, an inner one would try to share its jobs and print its folders.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    process = subprocess.Popen(
        ["make", "--no-print-directory", stage],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    )
    for line in process.stdout:
        print(line, end="", flush=True)
        if CLOSING.match(line):
            closing = line
    code = process.wait()
    counts: dict[str, int] = {}
    if closing:
        for number, word in COUNT.findall(closing):
            word = "failed" if word.startswith("error") else word
            counts[word] = counts.get(word, 0) + int(number)
        if code and not counts.get("failed"):
            counts["failed"] = 1
    else:
        counts["failed" if code else "passed"] = 1
    return code, counts, time.monotonic() - started


def main(stages: list[str]) -> int:
    started = time.monotonic()
    total: dict[str, int] = {}
    rows = []
    for stage in stages:
        print(heading(stage), flush=True)
        code, counts, seconds = run(stage)
        rows.append((stage, code, counts, seconds))
        for word, number in counts.items():
            total[word] = total.get(word, 0) + number
        print(f"-- {stage}: {'ok' if code == 0 else f'FAILED (exit code {code})'} in {seconds:.0f} s\n", flush=True)
    print(heading("summary"))
    for stage, code, counts, seconds in rows:
        told = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
        print(f"{stage:<12} {'ok' if code == 0 else 'FAILED':<7} {seconds:>6.0f} s   {told}")
    order = [word for word in ("failed", "passed", "skipped", "xfailed", "xpassed") if word in total]
    print(heading(f"{', '.join(f'{total[word]} {word}' for word in order)} in {time.monotonic() - started:.2f}s"))
    return 1 if any(code for _stage, code, _counts, _seconds in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if sys.argv[1:] else __doc__)
