r"""Examples per second of EasyMFT beside what a user would pick instead, in alternating runs on the same rows.

    python scripts/benchmark.py --configs configs/amazon/meta_tune.json configs/mnli/meta_tune.json \
        --output runs/benchmark --peer_python PYTHON_WITH_TORCH --keras_python PYTHON_WITH_KERAS_HUB

Four things are measured. `train`, `predict` and `typicality` (embedding) time some steps after a warm-up, on the same
rows, which differ from turn to turn. `run` times whole processes, from starting Python over tokenising a TSV file to
trained weights, with the accuracy on another file after each epoch. EasyMFT's training is meta_tune with its whole
loss, the peers' plain fine-tuning. Peers not installed, or that fail, are left out and named. Every measurement is a
process of its own, the subjects take turns, and a ratio is that of two measurements of one turn. With --ablation,
EasyMFT without each of its tricks takes the place of the peers.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from run_line import first_rows, read_lines, subset_train_file

from easymft.config.loading import load_config
from easymft.files import replacing
from easymft.model_zoo.locate import locate_weights

SCRIPTS = Path(__file__).parent
MODES = ("train", "predict", "typicality", "run")
# Name -> (program, its words, what it measures). The first is what the others are compared with.
PEERS = {
    "EasyMFT": ("easymft", [], MODES),
    "EasyMFT, float32": ("easymft", ["--set", "runtime.precision=float32"], ("train", "predict", "typicality")),
    "EasyMFT, plain training": (
        "easymft",
        ["--set", "mft.weighting=none", "--set", "mft.domain_loss_weight=0"],
        ("run",),
    ),
    "transformers, float32, batch's longest": ("transformers", [], MODES),
    "transformers, bfloat16 autocast, length-grouped": ("transformers", ["--best"], MODES),
    "Model Garden's task, float32, padded to the maximum": ("model_garden", [], ("train", "predict")),
    "Model Garden's task, mixed_bfloat16, padded to the maximum": ("model_garden", ["--best"], ("train", "predict")),
    "KerasHub, float32, padded to the maximum": ("keras_hub", [], ("train", "predict")),
    "KerasHub, mixed_bfloat16, padded to the maximum": ("keras_hub", ["--best"], ("train", "predict")),
}
ALL_TRICKS = ["fast_encoder", "packing", "one_op_adamw", "length_grouping", "short_rows"]
TRAINING = {
    "bfloat16 products": ["bfloat16"],
    "packing of real tokens": ["packing"],
    "length grouping": ["length_grouping"],
    "packing and length grouping": ["packing", "length_grouping"],
    "written gradients": ["written_gradients"],
    "GELU's slope with its value": ["gelu_with_slope"],
    "biases' gradients as products": ["bias_products"],
    "dropout from bytes": ["byte_dropout"],
    "AdamW as one operation": ["one_op_adamw"],
    "all of it: Model Garden's encoder, rows padded to the maximum": ALL_TRICKS,
}
PREDICTION = {
    "bfloat16 products": ["bfloat16"],
    "packing of real tokens": ["packing"],
    "length grouping": ["length_grouping"],
    "the first token alone in the last layer": ["first_token_alone"],
    "normalisation as one operation": ["one_op_normalization"],
    "GELU fused with its product": ["fused_gelu"],
    "two batches in flight": ["batches_in_flight"],
    "all of it: Model Garden's encoder, rows padded to the maximum": [*ALL_TRICKS, "batches_in_flight"],
}
ABLATION = {"EasyMFT": ("easymft", [], ("train", "predict"))} | {
    f"{mode} without {name}": ("easymft", ["--without", *words], (mode,))
    for mode, tricks in (("train", TRAINING), ("predict", PREDICTION))
    for name, words in tricks.items()
}
NEEDS = {
    "transformers": "torch, transformers",
    "model_garden": "official.nlp.tasks.sentence_prediction",
    "keras_hub": "keras_hub",
}


class WorkerError(Exception):
    """A measurement failed."""


def run_process(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a program that is told when it was started."""
    environment = os.environ | {"BENCHMARK_STARTED": str(time.time())}
    environment.pop("TF_USE_LEGACY_KERAS", None)  # EasyMFT sets it, KerasHub cannot be imported with it
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def run_worker(python: str, program: str, words: list[str]) -> dict[str, Any]:
    """Runs a measurement; returns what it printed.

    Raises:
        WorkerError: It failed.
    """
    command = [python, str(SCRIPTS / f"benchmark_{program}.py"), *words]
    result = run_process(command)
    if result.returncode:
        raise WorkerError(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1]) if "tokens" not in words else {}


def find_programs(arguments: argparse.Namespace) -> dict[str, str]:
    """Program -> the Python that has what it needs; says which are left out."""
    pythons = {
        "transformers": arguments.peer_python,
        "model_garden": sys.executable,
        "keras_hub": arguments.keras_python,
    }
    found = {"easymft": sys.executable}
    for program, python in pythons.items():
        if shutil.which(python) is None:
            raise SystemExit(f"{python}: no such program, expected a Python that has {NEEDS[program]}")
        result = run_process([python, "-c", f"import {NEEDS[program]}"])
        if result.returncode:
            why = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.returncode}"]
            print(f"{program} is left out: {python}: import {NEEDS[program]}: {why[0]}", flush=True)
        else:
            found[program] = python
    return found


class Measurements:
    """The words of every measurement of a config, on the same rows.

    Args:
        arguments: Of the command line.
        config: A meta_tune config of headerless files with numbered columns.
        folder: Scratch files.
    """

    def __init__(self, arguments: argparse.Namespace, config: str, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._arguments, self._config, self._folder = arguments, config, folder
        loaded = load_config(config)
        self._data = loaded.data
        weights = str(locate_weights(loaded.model.weights, loaded.model.weights_format).folder)
        self._steps = ["--rows", str(arguments.rows), "--steps", str(arguments.steps)]
        self._tokens = folder / "tokens.npz"
        self._theirs = ["--weights", weights, "--max_length", str(self._data.max_sequence_length)]
        self._theirs += ["--batch_size", str(loaded.train.global_batch_size)]
        self._cache = ["--set", f"data.cache_folder={folder / 'cache'}"]  # all have the tokens when they start
        self._failed: set[str] = set()
        if "run" in arguments.modes:
            self._train_file = subset_train_file(Path(config), arguments.rows_per_cell, folder)
            self._dev_file = first_rows(self._data.dev_files, arguments.dev_rows, folder / "dev.tsv")
            self.run_rows = sum(1 for _ in read_lines([self._train_file])) * arguments.epochs
        if {*arguments.modes} - {"run"}:
            words = ["--config", config, *self._steps, *self._cache, "--mode", "tokens", "--output", str(self._tokens)]
            run_worker(sys.executable, "easymft", words)

    def words(self, program: str, mode: str, turn: int) -> list[str]:
        """Of one measurement."""
        if program != "easymft":
            if mode == "run":
                columns = self._data.columns
                numbers = [columns.text, columns.text_pair, columns.label]
                return [
                    *["--mode", mode, *self._theirs, "--seed", str(turn)],
                    *["--train_file", str(self._train_file), "--dev_file", str(self._dev_file)],
                    *["--columns", *(str(number) for number in numbers if number is not None)],
                    *["--epochs", str(self._arguments.epochs), "--learning_rate", str(self._arguments.learning_rate)],
                ]
            words = ["--tokens", str(self._tokens), "--steps", str(self._arguments.steps), "--seed", str(turn)]
            return ["--mode", mode, *self._theirs, *words]
        words = ["--mode", mode, "--config", self._config, "--set", f"runtime.seed={turn}"]
        if mode != "run":
            return [*words, *self._steps, *self._cache, "--output", str(self._folder / "easymft")]
        folder = self._folder / f"run_{time.time_ns()}"  # a finished run, or a token cache, would save it work
        changes = {
            "data.train_files": json.dumps([str(self._train_file)]),
            "data.dev_files": json.dumps([str(self._dev_file)]),
            "data.test_files": "[]",
            "train.epochs": self._arguments.epochs,
            "train.learning_rate": self._arguments.learning_rate,
            "evaluation.after_training": "false",  # beyond what is taken after each epoch
        }
        sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
        return [*words, "--output", str(folder), *sets]

    def measure(self, found: dict[str, dict[str, list[dict[str, Any]]]], programs: dict[str, str], turn: int) -> None:
        """One turn of every subject, added to mode -> subject -> measurements."""
        subjects = ABLATION if self._arguments.ablation else PEERS
        for mode in self._arguments.modes:
            # There and back, so that a machine that slows down does not favour the first.
            for name, (program, words, modes) in list(subjects.items())[:: -1 if turn % 2 else 1]:
                if program not in programs or mode not in modes or name in self._failed:
                    continue
                try:
                    result = run_worker(programs[program], program, [*self.words(program, mode, turn), *words])
                except WorkerError as error:
                    if program == "easymft":
                        raise SystemExit(str(error)) from error
                    print(f"{name} is left out: {error}", flush=True)
                    self._failed.add(name)
                    for by_subject in found.values():
                        by_subject.pop(name, None)
                    continue
                if mode == "run":
                    result["rate"] = self.run_rows / result["seconds"]
                found.setdefault(mode, {}).setdefault(name, []).append(result)
                print(f"{self._config} turn {turn + 1}, {mode}: {name}: {result['rate']:.1f}/s", flush=True)


COLUMNS = {  # key of a measurement -> its column's title and format
    "first_step": ("first step after, s", ".1f"),
    "seconds": ("seconds in all", ".0f"),
    "accuracy": ("dev accuracy", ".4f"),
}


def render(found: dict[str, dict[str, list[dict[str, Any]]]], title: str) -> list[str]:
    """A table for each mode: median and range of the rate, of EasyMFT's ratio to it, of more; and the peak memory."""
    lines = [f"## {title}", ""]
    for mode, by_subject in found.items():
        ours = [result["rate"] for result in by_subject["EasyMFT"]]
        # The whole process's time says nothing where it is of a few steps.
        more = [key for key in COLUMNS if key in by_subject["EasyMFT"][0] and (key != "seconds" or mode == "run")]
        titles = [mode, "examples/s", "EasyMFT is faster by", *(COLUMNS[key][0] for key in more), "peak memory, MiB"]
        lines += [f"| {' | '.join(titles)} |", "|---|" + "---:|" * (len(titles) - 1)]
        for name, results in by_subject.items():
            rates = [result["rate"] for result in results]
            ratios = [our / rate for our, rate in zip(ours, rates, strict=True)]
            cells = [name, _median_and_range(rates, ".1f"), _median_and_range(ratios, ".2f")]
            cells += [_median_and_range([result[key] for result in results], COLUMNS[key][1]) for key in more]
            lines.append(f"| {' | '.join(cells)} | {max(result['peak_mib'] for result in results):.0f} |")
        lines.append("")
    return lines


def _median_and_range(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def describe_machine() -> str:
    """The processor, as Linux names it, and how many cores this process has."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    fast = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.processor()}, {cores} cores, {', '.join(fast) or 'no AVX-512'}"


def main() -> None:
    """Measures every config and writes table.md, anew after each turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", required=True, help="meta_tune configs of headerless TSV files")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--ablation", action="store_true", help="EasyMFT without each of its tricks, not the peers")
    parser.add_argument("--rows", type=int, default=1600, help="of train and predict")
    parser.add_argument("--steps", type=int, default=25, help="of train and predict, after the warm-up")
    parser.add_argument("--rows_per_cell", type=int, default=100, help="of run: rows of each domain and class")
    parser.add_argument("--dev_rows", type=int, default=800, help="of run")
    parser.add_argument("--epochs", type=int, default=1, help="of run")
    parser.add_argument("--learning_rate", type=float, default=1e-4, help="of run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer_python", default=sys.executable, help="a Python with torch and transformers")
    parser.add_argument("--keras_python", default=sys.executable, help="a Python with keras_hub and tensorflow")
    arguments = parser.parse_args()
    if arguments.ablation:
        arguments.modes = [mode for mode in arguments.modes if mode != "run"]
    programs = {"easymft": sys.executable} if arguments.ablation else find_programs(arguments)
    folders = [arguments.output / str(number) for number in range(len(arguments.configs))]
    setups = [Measurements(arguments, *both) for both in zip(arguments.configs, folders, strict=True)]
    found: list[dict[str, Any]] = [{} for _ in setups]
    for turn in range(arguments.rounds):
        for setup, by_mode in zip(setups, found, strict=True):
            setup.measure(by_mode, programs, turn)
        lines = [f"Machine: {describe_machine()}. Median (range) of {turn + 1} rounds."]
        for config, by_mode in zip(arguments.configs, found, strict=True):
            lines += ["", *render(by_mode, config)]
        results = [result for by_mode in found for by in by_mode.values() for many in by.values() for result in many]
        lines += [f"Versions: {'; '.join(sorted({result['versions'] for result in results}))}."]
        with replacing(arguments.output / "table.md") as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
