r"""Examples per second of EasyMFT beside what a user would pick instead, in alternating runs on the same rows.

    python scripts/benchmark.py --configs configs/amazon/meta_tune.json configs/mnli/meta_tune.json \
        --output runs/benchmark --peer_python PYTHON_WITH_TORCH

EasyMFT's training is meta_tune with its whole loss, the peers' plain fine-tuning. Transformers is measured where
`--peer_python` (by default this Python) has it with torch; it is given EasyMFT's token ids. Every measurement is a
process of its own, the subjects take turns, and a ratio is that of two measurements of one turn.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from easymft.config.loading import load_config
from easymft.files import replacing
from easymft.model_zoo.locate import locate_weights

SCRIPTS = Path(__file__).parent
SUBJECTS = {  # name -> (script, its words)
    "EasyMFT": ("easymft", []),
    "EasyMFT, float32": ("easymft", ["--set", "runtime.precision=float32"]),
    "transformers, float32, batch's longest": ("transformers", []),
    "transformers, bfloat16 autocast, length-grouped": ("transformers", ["--best"]),
    "Model Garden, float32, padded to the maximum": ("easymft", ["--model_garden"]),
}


def run_worker(python: str, script: str, words: list[str]) -> dict[str, Any]:
    """Runs a measurement; returns what it printed.

    Raises:
        SystemExit: It failed.
    """
    command = [python, str(SCRIPTS / f"benchmark_{script}.py"), *words]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1]) if "tokens" not in words else {}


def has_transformers(python: str) -> bool:
    """Whether a Python has transformers and torch."""
    return subprocess.run([python, "-c", "import torch, transformers"], capture_output=True).returncode == 0


def measure(arguments: argparse.Namespace, config: str, folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Mode -> subject -> a measurement for each round."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = ["--config", config, "--rows", str(arguments.rows), "--steps", str(arguments.steps)]
    tokens = folder / "tokens.npz"
    run_worker(sys.executable, "easymft", [*ours, "--mode", "tokens", "--output", str(tokens)])
    loaded = load_config(config)
    weights = str(locate_weights(loaded.model.weights, loaded.model.weights_format).folder)
    theirs = ["--tokens", str(tokens), "--weights", weights, "--steps", str(arguments.steps)]
    peers = has_transformers(arguments.peer_python)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"train": {}, "predict": {}}
    for turn in range(arguments.rounds):
        for mode, by_subject in found.items():
            for name, (script, words) in SUBJECTS.items():
                if script == "transformers" and not peers:
                    continue
                python = sys.executable if script == "easymft" else arguments.peer_python
                common = [*ours, "--output", str(folder)] if script == "easymft" else theirs
                result = run_worker(python, script, [*common, *words, "--mode", mode])
                by_subject.setdefault(name, []).append(result)
                print(f"{Path(config).parent.name} turn {turn + 1}, {mode}: {name}: {result['rate']:.1f}/s", flush=True)
    return found


def render(found: dict[str, dict[str, list[dict[str, Any]]]], title: str) -> list[str]:
    """A table: median rate, its range, EasyMFT's ratio to it and that one's range, peak memory."""
    lines = [f"## {title}", ""]
    for mode, by_subject in found.items():
        lines += [f"| {mode} | examples/s | EasyMFT is faster by | peak memory, MiB |", "|---|---:|---:|---:|"]
        ours = [result["rate"] for result in by_subject["EasyMFT"]]
        for name, results in by_subject.items():
            rates = [result["rate"] for result in results]
            ratios = [our / rate for our, rate in zip(ours, rates, strict=True)]
            peak = max(result["peak_mib"] for result in results)
            lines.append(
                f"| {name} | {_median_and_range(rates, '.1f')} | {_median_and_range(ratios, '.2f')} | {peak:.0f} |"
            )
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
    return f"{names[0] if names else platform.processor()}, {len(names)} cores, {', '.join(fast) or 'no AVX-512'}"


def main() -> None:
    """Measures every config and writes table.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", required=True, help="meta_tune configs")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer_python", default=sys.executable)
    arguments = parser.parse_args()
    lines = [f"Machine: {describe_machine()}. Median (range) of {arguments.rounds} rounds of {arguments.steps} steps."]
    versions: set[str] = set()
    for number, config in enumerate(arguments.configs):
        found = measure(arguments, config, arguments.output / str(number))
        versions |= {result["versions"] for mode in found.values() for results in mode.values() for result in results}
        lines += ["", *render(found, config)]
    lines += [f"Versions: {'; '.join(sorted(versions))}."]
    with replacing(arguments.output / "table.md") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
