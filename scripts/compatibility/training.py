"""Trials of training: seeds, accumulation, best checkpoints, divergence, replicas."""

import json
import re

import numpy as np
from safetensors.numpy import load_file

from compatibility.project import Project, accepted, expect, make_rows
from compatibility.trial import Bench, trial


def _tensors(project: Project, run: str) -> dict[str, np.ndarray]:
    return load_file(project.folder / run / "last" / "model.safetensors")


def _largest_difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


@trial(
    "huggingface/transformers/issues/14647",
    "The same seed twice, other results",
    "the same bits with runtime.deterministic",
)
def same_seed_twice(bench: Bench) -> str:
    """And another seed gives other weights."""
    project = bench.project()
    for run, seed in (("first", 7), ("second", 7), ("third", 8)):
        sets = (f"output_folder={project.folder / run}", f"runtime.seed={seed}", "runtime.deterministic=true")
        project.accept("meta_tune", *sets, "data.test_files=[]")
    first, second, third = (_tensors(project, run) for run in ("first", "second", "third"))
    expect(_largest_difference(first, second) == 0.0, "the weights differ")
    expect(_largest_difference(first, third) > 0.0, "another seed gives the same weights")
    return "trains to the same bits with runtime.deterministic"


@trial(
    "axolotl-ai-cloud/axolotl/issues/3196",
    "Batches in parts (accumulated gradients) train otherwise than whole ones",
    "the same update but for rounding",
)
def accumulated_gradients(bench: Bench) -> str:
    """Texts of different lengths, a last batch that is smaller."""
    project = bench.project()
    project.train_on(project.write_rows("train.tsv", make_rows(45)))
    dropout = ("model.dropout=0", "model.attention_dropout=0", "model.head_dropout=0")
    for run, steps in (("whole", 1), ("parts", 4)):
        project.accept(
            "meta_tune", f"output_folder={project.folder / run}", f"train.accumulation_steps={steps}", *dropout
        )
    difference = _largest_difference(_tensors(project, "whole"), _tensors(project, "parts"))
    expect(difference < 1e-4, f"weights differ by {difference:.2g}")
    return f"makes the same updates: weights differ by at most {difference:.0e}"


@trial(
    "huggingface/transformers/issues/27332",
    "The best checkpoint is not the one that is kept, or not where it is looked for",
    "best/ is that of the epoch with the best dev metric",
)
def best_checkpoint(bench: Bench) -> str:
    """The metrics of the best epoch are those that are measured in the end."""
    project = bench.project()
    project.accept("meta_tune", "train.epochs=3", "train.monitor=loss", "train.learning_rate=0.01")
    record = json.loads((project.folder / "run" / "run.json").read_text())["training"]
    losses = [epoch["metrics"]["loss"] for epoch in record["history"]]
    measured = json.loads((project.folder / "run" / "metrics.json").read_text())["dev"]["overall"]["loss"]
    expect(abs(min(losses) - measured) < 1e-4, f"dev losses {losses}, measured {measured}")
    return "keeps the epoch with the best dev metric in best/, and measures that one"


@trial(
    "huggingface/transformers/pull/35101",
    "Early stopping without anything to stop by",
    "refused before training",
)
def early_stopping_without_dev_files(bench: Bench) -> str:
    """Silently without effect, or an assertion, elsewhere."""
    project = bench.project()
    said = project.refuse("meta_tune", "train.early_stopping_patience=1", "data.dev_files=[]", words=("dev_files",))
    return f"refused: {said}"


@trial("facebookresearch/fastText/issues/385", "Training that diverges", "stopped in one line with a hint at the rate")
def training_that_diverges(bench: Bench) -> str:
    """A learning rate of a million."""
    project = bench.project()
    said = project.refuse(
        "meta_tune", "train.learning_rate=1e30", "train.clip_norm=null", "train.epochs=3", words=("learning_rate",)
    )
    return f"stopped: {said}"


@trial(
    "tensorflow/tensorflow/issues/41657",
    "A last batch that leaves a replica without rows: NaN elsewhere",
    "finite, and the same as on one device",
)
def replica_without_rows(bench: Bench) -> str:
    """Two logical CPUs, and 41 rows in batches of 8; dev rows are one too many as well."""
    project = bench.project()
    project.set("data.train_files", [project.write_rows("train.tsv", make_rows(41))])
    project.set("data.dev_files", [project.write_rows("dev.tsv", make_rows(13, seed=3))])
    dropout = ("model.dropout=0", "model.attention_dropout=0", "model.head_dropout=0", "evaluation.batch_size=4")
    two = ("runtime.strategy=mirrored", "runtime.logical_cpus=2")
    started = project.start("meta_tune", *dropout, *two, f"output_folder={project.folder / 'two'}")
    accepted(project.wait(started))
    project.accept("meta_tune", *dropout, f"output_folder={project.folder / 'one'}")
    one, two = (
        json.loads((project.folder / run / "metrics.json").read_text())["dev"]["overall"] for run in ("one", "two")
    )
    expect(abs(one["loss"] - two["loss"]) < 1e-3, f"dev loss {one['loss']} on one device, {two['loss']} on two")
    return f"trains; the dev loss on two devices differs by {abs(one['loss'] - two['loss']):.0e}"


@trial(
    "huggingface/transformers/issues/3456",
    "A model that predicts one class alone after training on few rows",
    "it is visible: a table by class, or a warning",
)
def one_class_is_predicted(bench: Bench) -> str:
    """Told where it is measured."""
    project = bench.project()
    rows = [[text, domain, "pos" if number % 12 else "neg"] for number, (text, domain, _) in enumerate(make_rows(48))]
    for split in ("train", "dev", "test"):
        project.write_rows(f"{split}.tsv", rows)
    result = accepted(project.run("meta_tune", "train.epochs=4"))
    confusion = json.loads((project.folder / "run" / "metrics.json").read_text())["test"]["overall"]["confusion_matrix"]
    expect([row[0] for row in confusion] == [0, 0], f"the model predicts both classes: {confusion}")
    said = result.out + result.err
    lines = [line for line in said.splitlines() if re.search("neg.*never|never.*neg|no row.*neg|only.*pos", line)]
    expect(bool(lines), "the command does not say that a class is never predicted (accuracy is 92%)")
    return f"says: {' '.join(lines[0].split())}"
