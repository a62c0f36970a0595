"""A small project of a user, made from nothing: files, weights, a config, and the command with what it says."""

import contextlib
import csv
import io
import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.numpy import load_file, save_file

import app_zoo
from app_zoo.main import main

_ROOT = Path(__file__).parents[2]
DOMAINS, LABELS = ("book", "dvd", "phone"), ("neg", "pos")
_TINY_BERT = _ROOT / "tests" / "golden" / "tiny_bert"
_WORDS = {"neg": "bad hate not never no".split(), "pos": "good great love really very".split()}
_FILLER = "the an and is was it this that you we they of to in on for with buy price work one two all there".split()
_HEADER = ("text", "domain", "label")
_SPLITS = {"train": 48, "dev": 12, "test": 18}


class Surprise(Exception):
    """The command did something else than was expected."""


class Result(NamedTuple):
    """What a command did: its exit code (1 with a traceback), and what it wrote; the project's folder is called @."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """What it said on stderr, on one line; of a traceback its last line."""
        if "Traceback (most recent call last)" in self.err:
            return f"Traceback: {self.err.strip().splitlines()[-1]}"
        return " ".join(self.err.split())


def expect(holds: bool, found: str) -> None:
    """Raises Surprise with what was found, unless it holds."""
    if not holds:
        raise Surprise(found)


def make_rows(count: int, seed: int = 0, domains: Sequence[str] = DOMAINS) -> list[list[str]]:
    """Generated reviews [text, domain, label]; every domain holds both classes."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        domain, label = domains[number % len(domains)], LABELS[number // len(domains) % 2]
        words = draw.choices(_FILLER, k=draw.randint(2, 9)) + draw.choices(_WORDS[label], k=2) + [domain]
        draw.shuffle(words)
        rows.append([" ".join(words), domain, label])
    return rows


class Project:
    """A folder with train.tsv, dev.tsv, test.tsv, weights, and a config of small values.

    Args:
        folder: Where everything stands.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.weights = folder / "weights"
        if not self.weights.exists():
            _copy_weights(self.weights)
        for name, count in _SPLITS.items():
            self.write_rows(f"{name}.tsv", make_rows(count, seed=count))
        self.config: dict[str, Any] = {
            "output_folder": str(folder / "run"),
            "data": {f"{name}_files": [str(folder / f"{name}.tsv")] for name in _SPLITS}
            | {"columns": {name: name for name in _HEADER}, "max_sequence_length": 32},
            "model": {"weights": str(self.weights)},
            "train": {"epochs": 1, "global_batch_size": 8, "learning_rate": 1e-3},
            "prediction": {"input_files": [str(folder / "test.tsv")]},
            "runtime": {"progress": False, "precision": "float32"},
        }

    def copy(self, folder: Path) -> "Project":
        """The same files and runs elsewhere."""
        shutil.copytree(self.folder, folder)
        other = Project(folder)
        other.config = json.loads(json.dumps(self.config).replace(str(self.folder), str(folder)))
        return other

    def write(self, name: str, content: str | bytes) -> str:
        """Writes a file and returns its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def write_rows(self, name: str, rows: Sequence[Sequence[str]], header: Sequence[str] = _HEADER) -> str:
        """Writes a table, TSV without quotes or CSV with them by the name's ending, and returns its path."""
        if name.endswith(".tsv"):
            return self.write(name, "".join("\t".join(row) + "\n" for row in (header, *rows)))
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([header, *rows])
        return self.write(name, table.getvalue())

    def write_objects(self, name: str, rows: Sequence[dict[str, Any]]) -> str:
        """Writes JSON Lines and returns the path."""
        return self.write(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def set(self, path: str, value: Any) -> None:
        """Changes a setting of the config."""
        *sections, key = path.split(".")
        node = self.config
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = value

    def train_on(self, *files: str) -> None:
        """Trains on these files alone: no dev, no test files."""
        self.config["data"] |= {"train_files": list(files), "dev_files": [], "test_files": []}

    def words(self, mode: str, *sets: str) -> list[str]:
        """The words of the command, for a config file that is written now."""
        config = self.write("config.json", json.dumps(self.config))
        return ["--mode", mode, "--config", config, *(word for one in sets for word in ("--set", one))]

    def run(self, mode: str, *sets: str) -> Result:
        """Runs the command in this process."""
        return self.run_words(self.words(mode, *sets))

    def run_words(self, words: list[str]) -> Result:
        """Runs the command with words of one's own in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("default")
            try:
                code = main(words)
            except Exception as error:  # whatever a user would see as a traceback
                code = 1
                print(f"Traceback: {type(error).__name__}: {error}", file=err)
        return Result(code, self._short(out.getvalue()), self._short(err.getvalue()))

    def start(self, mode: str, *sets: str, **options: Any) -> subprocess.Popen:
        """Starts the command in a process of its own; `options` are those of Popen, `environment` is added."""
        environment = (
            os.environ | {"PYTHONPATH": str(Path(app_zoo.__file__).parents[1])} | options.pop("environment", {})
        )
        words = [sys.executable, "-m", "app_zoo.main", *self.words(mode, *sets)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(words, env=environment, **(streams | options))

    def wait(self, process: subprocess.Popen, seconds: float = 300) -> Result:
        """What a started command did; it is killed when it takes longer."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Surprise(f"no end after {seconds:.0f} s") from None
        return Result(process.returncode, *(self._short((text or b"").decode(errors="replace")) for text in (out, err)))

    def _short(self, text: str) -> str:
        return text.replace(str(self.folder), "@")

    def accept(self, mode: str, *sets: str, told: str = "") -> Result:
        """Runs a command that must end well, and tell `told` on stdout or stderr."""
        return accepted(self.run(mode, *sets), told)

    def refuse(self, mode: str, *sets: str, words: Sequence[str] = ()) -> str:
        """Runs a command that must be refused with lines of error that hold `words`; returns the first line."""
        return refused(self.run(mode, *sets), words)

    def predict(self, *sets: str) -> list[dict[str, str]]:
        """Predicts, and returns the rows."""
        target = self.folder / "predicted.jsonl"
        self.accept("predict", f"prediction.output_file={target}", *sets)
        return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


def accepted(result: Result, told: str = "") -> Result:
    """Returns the result of a command that must have ended well, and told `told`."""
    expect(result.code == 0, f"exit {result.code}: {result.told or result.out[-300:]}")
    expect(told.lower() in (result.out + result.err).lower(), f"exit 0 without a word of {told!r}")
    return result


def refused(result: Result, words: Sequence[str] = ()) -> str:
    """Returns the first line of error of a command that must have been refused with all of `words`."""
    expect(result.code == 2, f"exit {result.code}: {result.told[:300] or result.out[-300:]}")
    lines = result.err.splitlines()
    errors = [line.removeprefix("easymft: error: ") for line in lines if line.startswith("easymft: error: ")]
    others = [line for line in lines if not line.startswith(("easymft: error: ", "easymft: warning: "))]
    expect(bool(errors) and not others, f"exit 2 without a clear line: {result.told[:300]}")
    missing = [word for word in words if word.lower() not in " ".join(errors).lower()]
    expect(not missing, f"refused without a word of {', '.join(missing)}: {errors[0][:300]}")
    return errors[0]


def _copy_weights(folder: Path) -> None:
    """The tiny BERT of the tests with one of its blocks, since a small graph is traced in less time."""
    shutil.copytree(_TINY_BERT, folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {
        name: value for name, value in tensors.items() if not name.startswith(("encoder.layer.1.", "encoder.layer.2."))
    }
    save_file(kept, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
