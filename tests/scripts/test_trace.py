"""The published code's arithmetic, step by step, against an independent implementation in PyTorch.

tests/golden/trace was made with (torch and transformers installed):
    python scripts/trace_steps.py --config tests/golden/trace/config.json --steps 5 \
        --initial tests/golden/trace/initial.npz --output runs/trace/easymft
    python scripts/trace_reference.py --weights tests/golden/tiny_bert --scored tests/golden/trace/scored.tsv \
        --columns 0 1 2 3 4 --layers 0 2 --steps 5 --rate 0.01 --epochs 3 --batch_size 8 --length 16 \
        --initial tests/golden/trace/initial.npz --output tests/golden/trace
Pairs that are cut, also on a tie, weights of 0, and gradients above and below the clipping norm are among them.
"""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "trace"
pytestmark = pytest.mark.filterwarnings("ignore:.* are cut")  # as they shall be


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Runs the script on the golden inputs; returns a function of further settings."""

    def run(*settings):
        output = tmp_path_factory.mktemp("trace")
        words = ["trace_steps.py", "--config", str(GOLDEN / "config.json"), "--steps", "5"]
        words += ["--initial", str(GOLDEN / "initial.npz"), "--output", str(output)]
        words += [word for setting in (*settings, "runtime.progress=false") for word in ("--set", setting)]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            patch.setattr(sys, "argv", words)
            runpy.run_path(str(ROOT / "scripts" / "trace_steps.py"), run_name="__main__")
        lines = [json.loads(line) for line in (output / "trace.jsonl").read_text().splitlines()]
        with np.load(output / "final.npz") as final:
            return lines, dict(final)

    return run


def golden_lines():
    return [json.loads(line) for line in (GOLDEN / "trace.jsonl").read_text().splitlines()]


def test_steps_and_final_variables_equal_the_reference(trace):
    lines, final = trace()
    for ours, theirs in zip(lines, golden_lines(), strict=True):
        for name, value in theirs.items():
            # Keras' logs are float32; the norm goes through every gradient.
            assert ours[name] == pytest.approx(value, rel=5e-5), (ours["step"], name)
    with np.load(GOLDEN / "final.npz") as theirs:
        assert set(final) == set(theirs)
        for name in theirs:
            np.testing.assert_allclose(final[name], theirs[name], atol=2e-5, err_msg=name)


def test_the_paper_preset_steps_elsewhere(trace):
    lines, _ = trace("mft.preset=paper", "mft.domain_classifier=shared")
    assert abs(lines[0]["label_loss"] - golden_lines()[0]["label_loss"]) > 1e-3
