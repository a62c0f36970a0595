"""Peak memory of --mode predict or typicality on files of two sizes: it must not grow with the rows.

    python scripts/measure_memory.py --mode predict --run runs/sample/meta_tune --rows 9000 36000
    python scripts/measure_memory.py --mode typicality --weights all-minilm-l6-v2 --rows 9000 36000

The run is a finished one of text_classification; its output folder gets no file but the predictions, which are removed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DOMAINS, LABELS = ("hotels", "inns", "hostels"), ("good", "bad")


def write_rows(file: Path, rows: int) -> None:
    """Short texts of three domains and two classes."""
    with open(file, "w", encoding="utf-8") as stream:
        stream.write("text\tdomain\tlabel\n")
        for row in range(rows):
            domain, label = DOMAINS[row % 3], LABELS[row // 3 % 2]
            stream.write(f"The room number {row} was {label}, but the staff was kind.\t{domain}\t{label}\n")


def make_config(arguments: argparse.Namespace, texts: Path, folder: Path) -> tuple[dict[str, Any], Path]:
    """The settings, and the file that the mode will write."""
    columns = {"text": "text", "domain": "domain", "label": "label"}
    config = {"data": {"columns": columns}, "runtime": {"progress": False}}
    if arguments.mode == "predict":
        written = folder / "predictions.tsv"
        inputs = {"input_files": [str(texts)], "output_file": str(written)}
        return config | {"output_folder": str(arguments.run), "prediction": inputs}, written
    config["data"]["train_files"] = [str(texts)]
    output = folder / "run"
    return config | {"output_folder": str(output), "model": {"weights": arguments.weights}}, output / "scored.tsv"


def measure(arguments: argparse.Namespace, rows: int, folder: Path) -> tuple[float, float]:
    """Runs the mode in a process of its own; returns (seconds, peak resident MiB)."""
    texts, file = folder / "texts.tsv", folder / "config.json"
    write_rows(texts, rows)
    config, written = make_config(arguments, texts, folder)
    file.write_text(json.dumps(config))
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "app_zoo.main", "--mode", arguments.mode, "--config", str(file)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{arguments.mode} failed")
    with open(written, encoding="utf-8") as stream:
        lines = sum(1 for _ in stream) - 1
    if lines != rows:
        raise SystemExit(f"{lines} rows written for {rows}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Measures each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=("predict", "typicality"), required=True)
    parser.add_argument("--run", type=Path, help="for predict")
    parser.add_argument("--weights", default="all-minilm-l6-v2", help="for typicality")
    parser.add_argument("--rows", type=int, nargs="+", default=[9000, 36000])
    arguments = parser.parse_args()
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak = measure(arguments, rows, Path(folder))
        print(f"{arguments.mode}, {rows} rows: {seconds:.0f} s, peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
