"""Where the time of EasyMFT's steps goes, by operation, as the TensorFlow profiler sees it.

    python scripts/profile_step.py --config configs/amazon/meta_tune.json --mode train --output runs/profile

The milliseconds are those of each operation's kernel in one step. Operations that run side by side share the cores, so
that their sum is more than the step takes, which the last line tells. TensorBoard's profile plugin opens the folder.
"""

import argparse
import collections
from pathlib import Path

import benchmark_easymft
import tensorflow as tf
from benchmark_tokens import WARM_STEPS, Report
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from app_zoo.registry import resolve_application
from easymft.config.loading import load_config

MODES = benchmark_easymft.MEASURES


class ProfiledReport(Report):
    """Traces the steps after the warm-up.

    Attributes:
        steps: How many these were.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self._folder, self.steps = folder, 0

    def step(self, number: int, examples: int) -> None:
        """To be called after each step."""
        if number == WARM_STEPS - 1:
            tf.profiler.experimental.start(str(self._folder))
        self.steps = number - WARM_STEPS + 1
        super().step(number, examples)  # which starts the clock

    @property
    def milliseconds(self) -> float:
        """Of one step."""
        return 1000.0 * (self._ended - self._warm) / self.steps


def read_operations(folder: Path) -> dict[str, tuple[float, int]]:
    """Type of operation -> milliseconds and calls in the newest trace of a folder."""
    (*_, file) = sorted(folder.glob("**/*.xplane.pb"), key=lambda file: file.stat().st_mtime)
    space = xplane_pb2.XSpace()
    space.ParseFromString(file.read_bytes())
    times: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            # A kernel's name is that of its node, a colon and its type; a colon is in C++ names too.
            name, colon, kind = plane.event_metadata[event.metadata_id].name.partition("#")[0].rpartition(":")
            if colon and name and not name.endswith(":") and kind.replace("_", "").isalnum():
                times[kind] += event.duration_ps / 1e9
                calls[kind] += 1
    return {kind: (time, calls[kind]) for kind, time in times.most_common()}


def render(operations: dict[str, tuple[float, int]], report: ProfiledReport, rows: int) -> str:
    """A Markdown table of the operations that take the longest."""
    total = sum(time for time, _ in operations.values())
    lines = ["| operation | calls | ms | share |", "|---|---:|---:|---:|"]
    shown = list(operations.items())[:rows]
    for kind, (time, calls) in shown:
        lines.append(f"| {kind} | {calls / report.steps:.0f} | {time / report.steps:.1f} | {time / total:.1%} |")
    rest = total - sum(time for _, (time, _) in shown)
    lines += [f"| {len(operations) - len(shown)} others | | {rest / report.steps:.1f} | {rest / total:.1%} |", ""]
    return "\n".join([*lines, f"A step took {report.milliseconds:.0f} ms, mean of {report.steps}."])


def main() -> None:
    """Profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="of meta_tune")
    parser.add_argument("--mode", choices=tuple(MODES), default="train")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1600, help="of the training data")
    parser.add_argument("--steps", type=int, default=8, help="after the warm-up")
    parser.add_argument("--operations", type=int, default=20, help="of the table")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    overrides = [f"output_folder={arguments.output}", "runtime.progress=false", *arguments.set]
    config = load_config(arguments.config, overrides, mode="meta_tune")
    app = resolve_application(config.application)(config)
    app.strategy  # noqa: B018 (sets seeds)
    report = ProfiledReport(arguments.output)
    MODES[arguments.mode](app, arguments.rows, arguments.steps, [], report)
    if report.steps < 1:
        raise SystemExit(f"--rows {arguments.rows}: too few for a step after {WARM_STEPS} of warm-up")
    tf.profiler.experimental.stop()
    print(render(read_operations(arguments.output), report, arguments.operations))


if __name__ == "__main__":
    main()
