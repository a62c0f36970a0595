"""One measurement of EasyMFT for scripts/benchmark.py; prints it as a line of JSON."""

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
import tf_keras
from benchmark_tokens import PREDICT_BATCH, WARM_STEPS, Report, plan_steps

from app_zoo.base import Application
from app_zoo.inputs import load_tokens, padded_length, training_batches
from app_zoo.registry import resolve_application
from app_zoo.stages import meta_tune
from app_zoo.stages.fitting import load_weights
from easymft.config.loading import load_config
from easymft.data.batching import make_dataset
from easymft.data.token_dataset import TokenDataset
from easymft.modeling import fast_encoder, fast_ops
from easymft.training import inference as inference_module
from easymft.training.inference import BatchInference
from easymft.training.optimizer import build_optimizer
from easymft.training.scoring import TypicalityEmbedder
from easymft.training.trainable import build_trainable

CALL = fast_encoder.FastBertEncoder.call


class StepClock(tf_keras.callbacks.Callback):
    """Reports each step once its loss is there."""

    def __init__(self, report: Report, batches: list[np.ndarray]):
        super().__init__()
        self._report, self._batches = report, batches

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Reads the loss, so that the step is done."""
        float(logs["loss"])
        self._report.step(batch, len(self._batches[batch]))


def without_custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """In place of tf.custom_gradient: TensorFlow derives the gradient from the forward pass."""
    return lambda *inputs: function(*inputs)[0]


def mask_of_floats(dropout: fast_ops.Dropout, shape: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """In place of `Dropout.mask`: one random float for each value."""
    dropout._draws += 1
    drawn = tf.random.stateless_uniform(shape, dropout._seed + [0, dropout._draws])
    return tf.cast(drawn >= 1.0 - 1.0 / dropout.scale, dtype)


def sum_of_copied_rows(inputs: tf.Tensor) -> tf.Tensor:
    """In place of `fast_ops._sum_of_rows`: of a copy in float32, whatever the type."""
    return tf.reduce_sum(tf.cast(inputs, tf.float32), 0)


def whole_last_layer(
    encoder: fast_encoder.FastBertEncoder, inputs: dict[str, tf.Tensor], training: bool | None = None, **_: bool
) -> dict[str, Any]:
    """In place of `FastBertEncoder.call`: every token of the last layer, whoever reads them."""
    return CALL(encoder, inputs, training)


def gelu_by_erfc(inputs: tf.Tensor, approximate: bool, fused: bool = False) -> tf.Tensor:
    """In place of `fast_ops.gelu`: TensorFlow's own."""
    return tf.nn.gelu(inputs, approximate)


# What an ablation takes away -> how. The overrides of a config, or a patch of the code.
OVERRIDES = {
    "bfloat16": ["runtime.precision=float32"],
    "fast_encoder": ["runtime.precision=float32"],
    "length_grouping": ["data.group_by_length=false"],
    "short_rows": ["data.padding=max_length"],
}
PATCHES = {
    "written_gradients": lambda: mock.patch.object(tf, "custom_gradient", without_custom_gradient),
    "byte_dropout": lambda: mock.patch.object(fast_ops.Dropout, "mask", mask_of_floats),
    "gelu_with_slope": lambda: mock.patch.object(fast_encoder, "GELU_SCALE", 1.0),
    "bias_products": lambda: mock.patch.object(fast_ops, "_sum_of_rows", sum_of_copied_rows),
    "first_token_alone": lambda: mock.patch.object(fast_encoder.FastBertEncoder, "call", whole_last_layer),
    "one_op_normalization": lambda: mock.patch.object(fast_ops, "normalizes_in_one", lambda: False),
    "fused_gelu": lambda: mock.patch.object(fast_encoder, "gelu", gelu_by_erfc),
    "batches_in_flight": lambda: mock.patch.object(inference_module, "IN_FLIGHT", 1),
}
ABLATIONS = sorted({*OVERRIDES, *PATCHES, "packing", "one_op_adamw"})


@contextlib.contextmanager
def patched(ablations: list[str]) -> Iterator[None]:
    """Takes the patches of these ablations for a while."""
    with contextlib.ExitStack() as stack:
        for name in ablations:
            if name in PATCHES:
                stack.enter_context(PATCHES[name]())
        yield


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


def plan(app: Application, tokens: TokenDataset, size: int, steps: int, ablations: list[str]) -> list[np.ndarray]:
    """The batches to measure, of like length unless that is taken away."""
    grouped = not {"length_grouping", "short_rows"} & set(ablations)
    return plan_steps(tokens.lengths, size, grouped, steps, app.config.runtime.seed)


def prepare(app: Application, rows: int, ablations: list[str]) -> tuple[Any, Any, Any]:
    """Tokens of the first rows, the meta fine-tuner, and its classifier."""
    maps, pretrained = app.infer_maps(), load_weights(app)
    tokens = load_tokens(app, "train", maps, pretrained.vocabulary)
    network, classifier = meta_tune.build_network(app, pretrained, maps)
    pretrained.encoder.fast = "fast_encoder" not in ablations
    pretrained.encoder._pack_tokens = pretrained.encoder._pack_tokens and "packing" not in ablations
    return tokens.subset(np.arange(min(rows, tokens.num_examples))), network, classifier


def train(app: Application, rows: int, steps: int, ablations: list[str], report: Report) -> None:
    """Runs meta_tune's own steps."""
    tokens, network, _ = prepare(app, rows, ablations)
    batches = plan(app, tokens, app.config.train.global_batch_size, steps, ablations)
    optimizer = build_optimizer(app.config.train, max(len(batches), WARM_STEPS))
    if "one_op_adamw" in ablations:
        optimizer = tf_keras.optimizers.AdamW(app.config.train.learning_rate)
    with app.strategy.scope():
        trainable = build_trainable(network, app.config.train)
        trainable.compile(optimizer=optimizer)
        optimizer.build(network.trainable_variables)  # as meta_tune does, else the step is traced twice
    scores = np.full(tokens.num_examples, 0.3, np.float32)
    clock = StepClock(report, batches)
    with patched(ablations):
        trainable.fit(training_batches(app, tokens, scores, network.prepare)(batches, 0), verbose=0, callbacks=[clock])


def predict(app: Application, rows: int, steps: int, ablations: list[str], report: Report) -> None:
    """Runs evaluation's forward pass likewise."""
    tokens, _, classifier = prepare(app, rows, ablations)
    stream(app, tokens, BatchInference(classifier, ["logits"], app.strategy), steps, ablations, report)


def score(app: Application, rows: int, steps: int, ablations: list[str], report: Report) -> None:
    """Runs typicality's forward pass likewise; what follows it takes no time worth measuring."""
    tokens, _, classifier = prepare(app, rows, ablations)
    with app.strategy.scope():
        embedder = TypicalityEmbedder(classifier.encoder, app.config.mft.typicality.embedding)
    stream(app, tokens, BatchInference(embedder, ["embedding"], app.strategy), steps, ablations, report)


def stream(
    app: Application,
    tokens: TokenDataset,
    inference: BatchInference,
    steps: int,
    ablations: list[str],
    report: Report,
) -> None:
    """Runs the batches of the warm-up, and when these are done the others, several of which are in flight at once."""
    batches = plan(app, tokens, PREDICT_BATCH, steps, ablations)
    number = 0
    with patched(ablations):
        for part in filter(None, (batches[:WARM_STEPS], batches[WARM_STEPS:])):
            for index, _ in inference(make_dataset(tokens, part, padded_length=padded_length(app))):
                report.step(number, len(index))
                number += 1


MEASURES = {"train": train, "predict": predict, "typicality": score}


def run(app: Application) -> dict[str, float]:
    """Runs the whole of meta_tune, from files to weights; returns the dev accuracy of the last epoch, not the best."""
    meta_tune.run(app)
    history = json.loads((app.folder.path / "run.json").read_text(encoding="utf-8"))["training"]["history"]
    return {"accuracy": history[-1]["metrics"]["accuracy"]}


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--mode", choices=(*MEASURES, "run", "tokens"), required=True)
    parser.add_argument("--without", choices=ABLATIONS, nargs="+", default=[], help="what to take away")
    parser.add_argument("--output", required=True, help="scratch folder; with --mode tokens the file to write")
    arguments = parser.parse_args()
    report, values = Report(), {}
    folder = str(Path(arguments.output).parent if arguments.mode == "tokens" else arguments.output)
    overrides = [f"output_folder={folder}", "runtime.progress=false", *arguments.set]
    overrides += [override for name in arguments.without for override in OVERRIDES.get(name, [])]
    config = load_config(arguments.config, overrides, mode="meta_tune")
    app = resolve_application(config.application)(config)
    app.strategy  # noqa: B018 (sets seeds)
    if arguments.mode == "tokens":
        export_tokens(app, Path(arguments.output), arguments.rows)
        return
    if arguments.mode == "run":
        values = run(app)
    else:
        MEASURES[arguments.mode](app, arguments.rows, arguments.steps, arguments.without, report)
    report.print(f"tensorflow {tf.__version__}, {app.precision}", **values)


if __name__ == "__main__":
    main()
