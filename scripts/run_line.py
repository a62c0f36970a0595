r"""Runs a folder of configs from typicality to test accuracy over seeds, and writes a table with times and memory.

Example, what the Amazon reviews of docs/results.md were measured with:
    python scripts/run_line.py --configs configs/amazon --seeds 42 43 44 --rows_per_cell 100 --dev_rows 800 \
        --test_rows 2000 --set train.learning_rate=1e-4 \
        --stages typicality meta_tune finetune finetune_transfer finetune_plain --output runs/amazon_line
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from easymft.config.loading import load_config

# Stage -> its mode, the config's name, what it changes, and its row in the table.
STAGES = {
    "typicality": ("typicality", "typicality", [], None),
    "meta_tune": ("meta_tune", "meta_tune", [], "MFT model, no fine-tuning"),
    "finetune": ("finetune", "finetune", ["model.head=fresh"], "MFT, then fine-tuned, fresh head"),
    "finetune_transfer": ("finetune", "finetune", ["model.head=transfer"], "MFT, then fine-tuned, its own head"),
    "finetune_plain": ("finetune", "finetune_plain", [], "plain fine-tuning of each domain"),
}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", required=True, help="a folder such as configs/amazon")
    parser.add_argument("--output", required=True, help="folder of the runs and of table.md")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument(
        "--rows_per_cell", type=int, help="train on the first N rows of each domain and class"
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="of these only")
    parser.add_argument("--dev_rows", type=int, help="evaluate on the first N rows of the dev files")
    parser.add_argument("--test_rows", type=int, help="evaluate on the first N rows of the test files")
    parser.add_argument("--set", action="append", default=[], help="passed on to every stage")
    return parser.parse_args()


def read_lines(files: Iterable[str]) -> Iterator[str]:
    """The lines of files, one file after the other."""
    for file in files:
        with open(file, encoding="utf-8", newline="\n") as stream:
            yield from stream


def subset_train_file(config_file: Path, rows_per_cell: int, folder: Path) -> Path:
    """Writes the first rows of each (domain, class) cell of a config's (headerless, numbered) train files."""
    data = load_config(config_file).data
    taken: Counter[tuple[str, str]] = Counter()
    target = folder / "train.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    with open(target, "w", encoding="utf-8") as output:
        for line in read_lines(data.train_files):
            fields = line.rstrip("\n").split("\t")
            cell = fields[data.columns.domain], fields[data.columns.label]
            taken[cell] += 1
            if taken[cell] <= rows_per_cell:
                output.write(line)
    return target


def first_rows(files: list[str], rows: int, target: Path) -> Path:
    """Writes the first rows of (headerless) files."""
    target.write_text("".join(itertools.islice(read_lines(files), rows)), encoding="utf-8", newline="\n")
    return target


def run_stage(configs: Path, stage: str, folder: Path, overrides: list[str]) -> dict[str, float]:
    """Runs one stage in a process of its own.

    Returns:
        "seconds" of wall time and "peak_mib" of resident memory.

    Raises:
        SystemExit: The stage failed.
    """
    mode, config, changes, _ = STAGES[stage]
    words = [sys.executable, "-m", "app_zoo.main", "--mode", mode, "--config", str(configs / f"{config}.json")]
    for override in [f"output_folder={folder / stage}", "runtime.progress=false", *changes, *overrides]:
        words += ["--set", override]
    print(" ".join(words[1:]), flush=True)
    started = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{stage} failed")
    return {"seconds": time.perf_counter() - started, "peak_mib": usage.ru_maxrss / 1024}


def run_seed(arguments: argparse.Namespace, seed: int, folder: Path) -> dict[str, dict]:
    """All stages of one seed; stages that are measured already are skipped."""
    configs, overrides = Path(arguments.configs), [f"runtime.seed={seed}", *arguments.set]
    if arguments.rows_per_cell:
        subset = subset_train_file(configs / "meta_tune.json", arguments.rows_per_cell, folder.parent)
        training = [f'data.train_files=["{subset}"]']
    else:
        training = []
    data = load_config(configs / "meta_tune.json").data
    for name in ("dev", "test"):
        rows = getattr(arguments, f"{name}_rows")
        if rows:
            folder.mkdir(parents=True, exist_ok=True)
            subset = first_rows(getattr(data, f"{name}_files"), rows, folder / f"{name}.tsv")
            training.append(f'data.{name}_files=["{subset}"]')
    measured = {}
    for stage in arguments.stages:
        record = folder / f"{stage}.json"
        if not record.exists():
            extra = [] if stage == "typicality" else training  # the whole file is scored, once
            if STAGES[stage][1] == "finetune":
                extra = [*extra, f"model.weights={folder / 'meta_tune'}"]
            if stage == "typicality" and seed != arguments.seeds[0]:
                continue
            cost = run_stage(configs, stage, folder, [*overrides, *extra])
            metrics = folder / stage / "metrics.json"
            accuracy = {}
            if metrics.exists():
                for split, found in json.loads(metrics.read_text()).items():
                    accuracy[split] = {name: values["accuracy"] for name, values in found["by_domain"].items()}
                    accuracy[split]["average"] = found["domain_average"]["accuracy"]
            record.write_text(json.dumps({**cost, "accuracy": accuracy}, indent=1))
        measured[stage] = json.loads(record.read_text())
    return measured


def render(results: list[dict[str, dict]], arguments: argparse.Namespace) -> str:
    """The tables: accuracy in percent (mean and standard deviation over seeds), seconds and peak memory."""
    lines = [f"Command: `python scripts/run_line.py {' '.join(sys.argv[1:])}`"]
    for split in ("dev", "test"):
        names = list(results[0]["meta_tune"]["accuracy"][split])
        lines += ["", f"| {split} accuracy, % | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
        for stage, (*_, title) in STAGES.items():
            if title is not None and stage in arguments.stages:
                measured = [result[stage]["accuracy"][split] for result in results]
                cells = [_mean_and_spread([100 * accuracy[name] for accuracy in measured]) for name in names]
                lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", "| stage | seconds | peak memory, MiB |", "|---|---:|---:|"]
    for stage in arguments.stages:
        costs = [result[stage] for result in results if stage in result]
        seconds = ", ".join(f"{cost['seconds']:.0f}" for cost in costs)
        lines.append(f"| {stage} | {seconds} | {max(cost['peak_mib'] for cost in costs):.0f} |")
    return "\n".join(lines) + "\n"


def _mean_and_spread(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def main() -> None:
    """Runs all seeds and writes table.md."""
    arguments = parse_arguments()
    output = Path(arguments.output)
    results = [run_seed(arguments, seed, output / f"seed_{seed}") for seed in arguments.seeds]
    table = render(results, arguments)
    (output / "table.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
