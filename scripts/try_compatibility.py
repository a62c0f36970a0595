r"""Tries EasyMFT on what users of comparable tools have reported as problems, offline, on data that it makes itself.

Example:
    python scripts/try_compatibility.py
    python scripts/try_compatibility.py text-of-null resume-with-other-batches
    python scripts/try_compatibility.py --write docs/compatibility.md

It prints a line for each trial, and ends with exit code 1 if one of them came out otherwise than expected. `--write`
puts the outcomes into the table of a document, between its two lines of comment.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from compatibility import configs, files, machine, results, runs, serving, tables, training, weights
from compatibility.project import Surprise
from compatibility.trial import Bench, Trial

_KINDS = {
    "Files": (files, tables),
    "Weights": (weights,),
    "Training": (training,),
    "Runs that stop": (runs,),
    "Metrics and predictions": (results,),
    "Serving": (serving,),
    "Machines and terminals": (machine,),
    "Configs": (configs,),
}
_BEGIN, _END = "<!-- outcomes -->", "<!-- end of outcomes -->"


class Outcome(NamedTuple):
    """What came of a trial."""

    kind: str
    trial: Trial
    passed: bool
    said: str


def find_trials() -> list[tuple[str, Trial]]:
    """All trials with their kinds, in the order in which they are written down."""
    return [
        (kind, one)
        for kind, modules in _KINDS.items()
        for module in modules
        for one in vars(module).values()
        if isinstance(one, Trial)
    ]


def run_trial(kind: str, trial: Trial, folder: Path) -> Outcome:
    """Runs a trial in a folder of its own; a defect of the trial itself counts as failed too."""
    bench = Bench(folder / trial.name, folder / "shared")
    try:
        return Outcome(kind, trial, True, trial.run(bench))
    except Surprise as surprise:
        return Outcome(kind, trial, False, str(surprise))
    except Exception as error:  # such as a file that should have been written
        return Outcome(kind, trial, False, f"{type(error).__name__}: {error}")


def render_table(outcomes: list[Outcome]) -> str:
    """Markdown: a table for each kind."""
    lines = []
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        lines += ["", f"## {kind}", "", "| reported | what was tried | what EasyMFT does |", "|---|---|---|"]
        lines += ["".join(_row(outcome)) for outcome in outcomes if outcome.kind == kind]
    return "\n".join(lines) + "\n"


def _row(outcome: Outcome) -> tuple[str, str]:
    """A trial's row: what was tried, which tells it from others, and what came of it."""
    trial, said = outcome.trial, _cell(outcome.said)
    report = re.sub("/(issues|pull)/", "#", trial.link.removeprefix("https://github.com/"))
    where = f"[{report}]({trial.link})" if report else "a neighbour"
    said = said if outcome.passed else f"**Not yet as expected** ({_cell(trial.expected)}): {said}"
    return f"| {where} | {_cell(trial.tried)} |", f" {said} |"


def _cell(text: str) -> str:
    text = " ".join(text.replace(str(Path.cwd()), "the current folder").split())
    text = text.replace("|", r"\|").replace("<", "&lt;")
    return text if len(text) < 400 else text[:400] + " ..."


def write_table(path: Path, table: str) -> None:
    """Puts the table between the two comments of a document.

    Raises:
        SystemExit: The document does not have them.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"{path}: expected the lines {_BEGIN} and {_END}, to write the table between them")
    path.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


def write_rows(path: Path, outcomes: list[Outcome]) -> None:
    """Renews the rows of some trials in a document that has them."""
    rows = dict(map(_row, outcomes))
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines):
        tried = next((tried for tried in rows if line.startswith(tried)), None)
        lines[number] = line if tried is None else tried + rows[tried]
    path.write_text("\n".join(lines), encoding="utf-8")


def main() -> int:
    """Runs the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="trials; all unless given")
    parser.add_argument("--write", type=Path, help="a document whose table, or rows of named trials, are written anew")
    parser.add_argument("--failures", action="store_true", help="print those alone that failed")
    arguments = parser.parse_args()
    trials = find_trials()
    unknown = set(arguments.names) - {trial.name for _, trial in trials}
    if unknown:
        parser.error(
            f"no such trial: {', '.join(sorted(unknown))}; expected some of "
            + ", ".join(trial.name for _, trial in trials)
        )
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="easymft_try_") as folder:
        for kind, trial in trials:
            if arguments.names and trial.name not in arguments.names:
                continue
            started = time.perf_counter()
            outcome = run_trial(kind, trial, Path(folder))
            outcomes.append(outcome)
            if not (outcome.passed and arguments.failures):
                verdict = "pass" if outcome.passed else f"FAIL (expected: {trial.expected})"
                seconds = time.perf_counter() - started
                print(f"{trial.name}: {verdict}: {' '.join(outcome.said.split())} [{seconds:.1f} s]", flush=True)
    failed = sum(not outcome.passed for outcome in outcomes)
    print(f"{len(outcomes)} trials, {failed} failed")
    if arguments.write and arguments.names:
        write_rows(arguments.write, outcomes)
    elif arguments.write:
        write_table(arguments.write, render_table(outcomes))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
