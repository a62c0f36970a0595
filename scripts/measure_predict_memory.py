"""Peak memory of --mode predict on files of two sizes: it must not grow with the rows.

    python scripts/measure_predict_memory.py --run runs/sample/meta_tune --rows 5000 100000

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


def predict(run: Path, rows: int, folder: Path) -> tuple[float, float]:
    """Predicts `rows` short texts in a process of its own; returns (seconds, peak resident MiB)."""
    texts, predictions = folder / "texts.tsv", folder / "predictions.tsv"
    with open(texts, "w", encoding="utf-8") as stream:
        stream.write("text\n")
        stream.writelines(f"The room number {row} was small, but the staff was kind.\n" for row in range(rows))
    config = folder / "predict.json"
    settings = {"output_folder": str(run), "data": {"columns": {"text": "text"}}, "runtime": {"progress": False}}
    settings["prediction"] = {"input_files": [str(texts)], "output_file": str(predictions)}
    config.write_text(json.dumps(settings))
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "app_zoo.main", "--mode", "predict", "--config", str(config)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("predict failed")
    with open(predictions, encoding="utf-8") as stream:
        written = sum(1 for _ in stream) - 1
    if written != rows:
        raise SystemExit(f"{written} predictions for {rows} rows")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Measures each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[5000, 100000])
    arguments = parser.parse_args()
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak = predict(arguments.run, rows, Path(folder))
        print(f"{rows} rows: {seconds:.0f} s, peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
