"""What the programs that scripts/benchmark.py measures have in common: batches of given tokens, and a clock.

It needs numpy alone, as it runs in the Pythons of the peers.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

WARM_STEPS = 3
MEGABATCH = 50  # batches that are sorted by length together, as in transformers' own sampler
PREDICT_BATCH = 64


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a peer's program."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tokens", help="an .npz of ids, types, lengths and labels; not for --mode run")
    parser.add_argument("--weights", required=True, help="a Hugging Face folder")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--mode", choices=("train", "predict", "typicality", "run"), required=True)
    parser.add_argument("--batch_size", type=int, default=32, help="of training")
    parser.add_argument("--best", action="store_true", help="length-grouped where it pads to the longest, bfloat16")
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--train_file", help="a TSV file, for --mode run")
    parser.add_argument("--dev_file", help="likewise")
    parser.add_argument("--columns", type=int, nargs="+", help="of text, perhaps text_pair, and label in these files")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def plan_batches(lengths: np.ndarray, size: int, grouped: bool, seed: int = 0) -> list[np.ndarray]:
    """Batches of all rows in a random order, of random ones or of ones of like length."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lengths))
    if grouped:
        parts = [order[start : start + MEGABATCH * size] for start in range(0, len(order), MEGABATCH * size)]
        order = np.concatenate([part[np.argsort(-lengths[part], kind="stable")] for part in parts])
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if grouped:
        generator.shuffle(batches)
    return batches


def plan_steps(lengths: np.ndarray, size: int, grouped: bool, steps: int, seed: int) -> list[np.ndarray]:
    """The whole batches that are measured: first those of the warm-up, then `steps`, fewer if there are no more.

    The rows of these are the same whether they are grouped or not, and of all lengths: of a few random batches the
    number of tokens varies by a tenth.
    """
    generator = np.random.default_rng(seed)
    batches = [batch for batch in plan_batches(lengths, size, True, seed) if len(batch) == size]
    batches.sort(key=lambda batch: lengths[batch].sum())
    steps = max(0, min(steps, len(batches) - WARM_STEPS))
    spread = ((generator.random() + np.arange(steps)) * len(batches) / max(1, steps)).astype(int)
    others = generator.permutation(np.setdiff1d(np.arange(len(batches)), spread))[:WARM_STEPS]
    chosen = [batches[place] for place in (*others, *generator.permutation(spread))]
    if grouped:
        return chosen
    rows = [np.concatenate(part) for part in (chosen[:WARM_STEPS], chosen[WARM_STEPS:]) if part]
    return [batch for part in rows for batch in generator.permutation(part).reshape(-1, size)]


def pad(tokens: dict[str, np.ndarray], batch: np.ndarray, length: int | None, dtype: type) -> dict[str, np.ndarray]:
    """Ids, types and mask of some rows, [b, L], padded to `length` or, with None, to the longest of them."""
    starts = np.concatenate([[0], np.cumsum(tokens["lengths"])])
    shape = len(batch), length or int(tokens["lengths"][batch].max())
    padded = {name: np.zeros(shape, dtype) for name in ("ids", "types", "mask")}
    for row, example in enumerate(batch):
        part = slice(starts[example], starts[example + 1])
        count = part.stop - part.start
        padded["ids"][row, :count] = tokens["ids"][part]
        padded["types"][row, :count] = tokens["types"][part]
        padded["mask"][row, :count] = 1
    return padded


class Report:
    """Notes when the process has done its first step, and how many examples it has gone through since the warm-up."""

    def __init__(self) -> None:
        # As of scripts/benchmark.py, so that starting Python and importing count; by itself, from here on.
        self._started = float(os.environ.get("BENCHMARK_STARTED", time.time()))
        self._examples, self._warm, self.first_step = 0, 0.0, 0.0

    def step(self, number: int, examples: int) -> None:
        """To be called after each step, once its result is there."""
        if number == 0:
            self.first_step = time.time() - self._started
        if number == WARM_STEPS - 1:
            self._warm = time.perf_counter()
        elif number >= WARM_STEPS:
            self._examples += examples
            self._ended = time.perf_counter()

    def run(self, batches: Iterable[np.ndarray], compute: Callable[[np.ndarray], Any]) -> None:
        """Goes through batches; `compute` returns when its result is there."""
        for number, batch in enumerate(batches):
            compute(batch)
            self.step(number, len(batch))

    def print(self, versions: str, **values: float) -> None:
        """Prints the measurement as the one line of JSON that scripts/benchmark.py reads."""
        if self._examples:
            values |= {"rate": self._examples / (self._ended - self._warm), "first_step": self.first_step}
        values |= {
            "seconds": time.time() - self._started,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(values | {"versions": versions}))
