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
_DRY_RUN = r"^dry run of --mode finetune: everything loads and one batch runs\nexit 0$"
_READ = r"^train: 12 rows"
EXPECTED: dict[str, list[str]] = {
    "01": [
        r"states kept .*\n2$",
        r"^resuming after step 100 of 9000$",
        r"^easymft: interrupted; the same command goes on",
        r"^SavedModel: .*proj \[2024\]/done/saved_model/1",
        r"^exit 0$",
        r"^-> tf1 in .*proj \[2024\]/cv/converted$",
        r"^exit 0$",
    ],
    "02": [_DRY_RUN, r"^lower_case: True "],
    "03": [r"^easymft: error: .*: tokenizer_class is 'BertJapaneseTokenizer'; expected 'BertTokenizer'", r"^exit 2$"],
    "04": [r"^easymft: warning: .*: holds no pooler; a new one", _DRY_RUN, r"cls.predictions$", _DRY_RUN],
    "05": [r"^note: .*: 176 rows of word embeddings for 169 tokens", _DRY_RUN, r"^No warnings\.$", r"^exit 0$"],
    "06": [_DRY_RUN],
    "07": [_DRY_RUN, _DRY_RUN, r"^\[CLS\] x \[unused1\] y \[SEP\] "],
    "08": [
        _READ,
        r"^Warning: pandas.tsv: its fields look quoted, .* set data.quoting: true",
        r"^exit 0$",
        r"row 2: 1 field, expected 3 .*; to read quoted fields, which may span lines, set data.quoting: true$",
        r"^exit 2$",
    ],
    "09": [
        *(_READ, r"^Warning: semi.csv: is read with a semicolon \(';'\) between fields", r"^exit 0$"),
        *(_READ, r"^Warning: pipe.csv: is read with a bar \('\|'\) between fields", r"^exit 0$"),
        *(_READ, r"^Warning: tabs.csv: is read with a tab \('\\t'\) between fields", r"^exit 0$"),
    ],
    "10": [*(_READ, r"^exit 0$") * 3, r"which looks like a header, .*; set data.header: true", r"^exit 2$"],
    "11": [
        *(_READ, r"^exit 0$"),
        *(r"cp1252.csv: row 2: .*; it looks like Windows' cp1252: set data.encoding: \"cp1252\"$", r"^exit 2$"),
        *(_READ, r"^Warning: utf16.csv: is read as UTF-16, as its first bytes, a byte order mark, say$", r"^exit 0$"),
    ],
    "12": [*(_READ, r"^No warnings\.$", r"^exit 0$") * 2],
    "13": [_READ, r"^Warning: dev.tsv: column 'label': 'café' is also written in another Unicode form", r"^exit 0$"],
    "14": [r"^note: .*: heads of other tasks, which are not used: qa_outputs$", _DRY_RUN],
    "15": [_READ, r"^exit 0$", r"domain \?\? \(1/2\)", r"^exit 0$"],
    "16": [r"^easymft: error: .* there is no home folder .*; set model.cache_folder", r"^exit 2$", "^dry run of"],
    "17": [
        *(r"^note: predictions go to out/predictions.jsonl, as the name 'probability_neg\\tx'", r"^exit 0$"),
        *(r"^note: predictions go to out/predictions.jsonl, as the name 'probability_neg\\nx'", r"^exit 0$"),
    ],
}
_OWN_TRACEBACK = {"03"}  # its run.sh calls the library after the command, and meets the same refusal


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
    if "Traceback" in output and case not in _OWN_TRACEBACK:
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
