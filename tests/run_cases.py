"""Runs small inputs on which the product once failed: python tests/run_cases.py CASES [NUMBER ...]

CASES is a folder with a folder for each case, whose run.sh calls the `easymft` command. Each is run in a copy; what it
prints must hold the lines that `EXPECTED` names for it, in their order, and no traceback.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 600
# Case -> regular expressions of what must stand in its output, one after the other.
EXPECTED: dict[str, list[str]] = {}


def run_case(folder: Path) -> str:
    """Returns what a case prints, on standard output and error, in a copy of its folder."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "case"
        shutil.copytree(folder, copy)
        for entry in [copy, *copy.rglob("*")]:
            entry.chmod(entry.stat().st_mode | 0o200)  # the cases may stand in a folder without write permission
        programs = Path(scratch) / "bin"
        programs.mkdir()
        for name, words in (("easymft", "-m easymft"), ("python", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (programs / name).chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        words = ["bash", "run.sh"]
        result = subprocess.run(
            words, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS
        )
        return result.stdout.decode(errors="replace")


def find_fault(case: str, output: str) -> str | None:
    """Returns what is wrong with the output of a case; None where it is as expected."""
    if "Traceback" in output:
        return "a traceback"
    place = 0
    for pattern in EXPECTED[case]:
        found = re.compile(pattern, re.MULTILINE).search(output, place)
        if found is None:
            return f"not there, or not in its place: {pattern}"
        place = found.end()
    return None


def main(words: list[str]) -> int:
    """Runs the cases that are named, or all; returns 1 if one of them is not as expected."""
    folder, *names = words
    failed = 0
    for case in names or sorted(EXPECTED):
        output = run_case(Path(folder) / case)
        fault = find_fault(case, output)
        failed += fault is not None
        print(f"{case}: {'as expected' if fault is None else fault}", flush=True)
        if fault is not None:
            print(output, flush=True)
    print(f"{len(names or EXPECTED) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
