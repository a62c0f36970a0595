"""One measurement of EasyMFT, or of Model Garden's encoder in its place, for scripts/benchmark.py; prints JSON."""

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from app_zoo.base import Application
from app_zoo.inputs import load_tokens, plan_steps, training_batches
from app_zoo.registry import resolve_application
from app_zoo.stages.fitting import load_weights
from app_zoo.stages.meta_tune import build_network
from easymft.config.loading import load_config
from easymft.data.batching import BatchPlan, make_dataset
from easymft.training.inference import BatchInference
from easymft.training.optimizer import build_optimizer
from easymft.training.trainable import build_trainable

WARM_STEPS = 3
# What a user of Model Garden has: its encoder, tf_keras' AdamW, every row padded to the maximum, float32.
MODEL_GARDEN = ["runtime.precision=float32", "data.padding=max_length"]


class Clock(tf_keras.callbacks.Callback):
    """Notes when the warm-up ends and when training ends."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Reads the loss, so that the step is done."""
        float(logs["loss"])
        if batch == WARM_STEPS - 1:
            self.started = time.perf_counter()
        self.ended = time.perf_counter()


def export_tokens(app: Application, file: Path, rows: int) -> None:
    """Writes the first rows' tokens for the peers."""
    tokens = load_tokens(app, "train", app.infer_maps(), load_weights(app).vocabulary)
    tokens = tokens.subset(np.arange(min(rows, tokens.num_examples)))
    ids, types = [], []
    rows_alone = [np.array([row]) for row in range(tokens.num_examples)]
    for length, batch in zip(tokens.lengths, make_dataset(tokens, rows_alone, padded_length=None), strict=True):
        ids.append(batch["input_word_ids"].numpy()[0, :length])
        types.append(batch["input_type_ids"].numpy()[0, :length])
    arrays = {"ids": np.concatenate(ids), "types": np.concatenate(types)}
    np.savez(file, **arrays, lengths=tokens.lengths, labels=tokens.label_ids)


def prepare(app: Application, rows: int, model_garden: bool) -> tuple[Any, Any, Any]:
    """Tokens of the first rows, the meta fine-tuner, and its classifier."""
    maps, pretrained = app.infer_maps(), load_weights(app)
    tokens = load_tokens(app, "train", maps, pretrained.vocabulary)
    network, classifier = build_network(app, pretrained, maps)
    pretrained.encoder.fast = not model_garden
    return tokens.subset(np.arange(min(rows, tokens.num_examples))), network, classifier


def train(app: Application, rows: int, steps: int, model_garden: bool) -> tuple[int, float]:
    """Runs meta_tune's own steps; returns how many examples were trained on after the warm-up, and in which time."""
    tokens, network, _ = prepare(app, rows, model_garden)
    plan = plan_steps(app, tokens)
    optimizer = build_optimizer(app.config.train, plan.total_steps)
    if model_garden:
        optimizer = tf_keras.optimizers.AdamW(app.config.train.learning_rate)
    with app.strategy.scope():
        trainable = build_trainable(network, app.config.train)
        trainable.compile(optimizer=optimizer)
    batches = plan.batches(0, min(steps + WARM_STEPS, plan.epoch_ends[0]))
    scores = np.full(tokens.num_examples, 0.3, np.float32)
    clock = Clock()
    trainable.fit(training_batches(app, tokens, scores, network.corrupt)(batches, 0), verbose=0, callbacks=[clock])
    return sum(map(len, batches[WARM_STEPS:])), clock.ended - clock.started


def predict(app: Application, rows: int, steps: int, model_garden: bool) -> tuple[int, float]:
    """Runs evaluation's forward pass likewise."""
    tokens, _, classifier = prepare(app, rows, model_garden)
    plan = BatchPlan(tokens.lengths, 64, seed=0, shuffle=False, group_by_length=not model_garden)
    batches = plan.batches(0)
    np.random.default_rng(0).shuffle(batches)
    batches = batches[: steps + WARM_STEPS]
    length = app.config.data.max_sequence_length if model_garden else None
    outputs = BatchInference(classifier, ["logits"], app.strategy)(make_dataset(tokens, batches, padded_length=length))
    done, started = 0, 0.0
    for step, (index, _) in enumerate(outputs):
        if step == WARM_STEPS - 1:
            started = time.perf_counter()
        done += len(index) if step >= WARM_STEPS else 0
    return done, time.perf_counter() - started


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--mode", choices=("train", "predict", "tokens"), required=True)
    parser.add_argument("--model_garden", action="store_true")
    parser.add_argument("--output", required=True, help="scratch folder; with --mode tokens the file to write")
    arguments = parser.parse_args()
    folder = str(Path(arguments.output).parent if arguments.mode == "tokens" else arguments.output)
    overrides = [f"output_folder={folder}", "runtime.progress=false", *arguments.set]
    overrides += MODEL_GARDEN if arguments.model_garden else []
    config = load_config(arguments.config, overrides, mode="meta_tune")
    app = resolve_application(config.application)(config)
    app.strategy  # noqa: B018 (sets seeds)
    if arguments.mode == "tokens":
        export_tokens(app, Path(arguments.output), arguments.rows)
        return
    measure = train if arguments.mode == "train" else predict
    done, seconds = measure(app, arguments.rows, arguments.steps, arguments.model_garden)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    versions = f"tensorflow {tf.__version__}, Python {sys.version.split()[0]}, {app.precision}"
    print(json.dumps({"rate": done / seconds, "peak_mib": peak, "versions": versions}))


if __name__ == "__main__":
    main()
