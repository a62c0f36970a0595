"""Writes a deterministic trace of meta fine-tuning steps, so that two implementations can be compared step by step.

Dropout is off, the corrupted targets are the batch's domains in reverse order instead of shuffled, batches are taken in
the order of the file, and the head and the domain variables start from given values. The config must name a scored file
(data.columns.typicality). Both sides of a comparison:
    python scripts/trace_steps.py --config configs/amazon/meta_tune.json --set mft.preset=easytransfer \
        --set 'data.train_files=["runs/amazon/typicality/scored.tsv"]' --set data.columns.typicality=3 \
        --steps 10 --initial runs/trace/initial.npz --output runs/trace/easymft
    python scripts/trace_reference.py ... (an independent version in PyTorch; see there)

initial.npz holds head_kernel [d, M], head_bias [M], domain_embedding [K, d], domain_kernel [1 or layers, d, K] and
domain_bias [1 or layers, K]; it is drawn (normal, 0.02, seed 0) and written if it does not exist. The output folder
gets trace.jsonl, a line for each step, and final.npz with all variables after the last.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from app_zoo.base import Application
from app_zoo.inputs import load_tokens, padded_length
from app_zoo.registry import resolve_application
from app_zoo.stages.fitting import load_weights
from app_zoo.stages.meta_tune import build_network
from easymft.config.loading import load_config
from easymft.data.batching import BatchPlan, make_dataset
from easymft.mft.model import MetaFineTuner
from easymft.model_zoo.weight_map import get_variable, weight_rows
from easymft.training.optimizer import build_optimizer
from easymft.training.trainable import build_trainable

EXACT = ["model.dropout=0.0", "model.attention_dropout=0.0", "model.head_dropout=0.0", "runtime.precision=float32"]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--initial", required=True)
    parser.add_argument("--output", required=True)
    return parser.parse_args()


def added_variables(network: MetaFineTuner) -> dict[str, tf.Variable]:
    """What is not in the pre-trained weights."""
    head = network.classifier.head
    return {
        "head_kernel": head.kernel,
        "head_bias": head.bias,
        "domain_embedding": network.domain_embedding.table,
        "domain_kernel": network.domain_classifier.kernel,
        "domain_bias": network.domain_classifier.bias,
    }


def set_initial(network: MetaFineTuner, file: Path) -> None:
    """Assigns the added variables from `file`, or draws them and writes it."""
    variables = added_variables(network)
    if not file.exists():
        generator = np.random.default_rng(0)
        values = {name: generator.normal(0, 0.02, v.shape).astype(np.float32) for name, v in variables.items()}
        values |= {name: np.zeros_like(value) for name, value in values.items() if name.endswith("bias")}
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **values)
    with np.load(file) as values:
        for name, variable in variables.items():
            variable.assign(values[name])


class TraceWriter(tf_keras.callbacks.Callback):
    """Appends a JSON line for each step."""

    def __init__(self, file: Path):
        super().__init__()
        self._stream = open(file, "w", encoding="utf-8")

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Notes the rate that the step is going to use."""
        optimizer = self.model.optimizer
        self._rate = float(optimizer._learning_rate(optimizer.iterations))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Writes the step."""
        values = {name: float(value) for name, value in logs.items()}
        self._stream.write(json.dumps({"step": batch, "rate": self._rate} | values) + "\n")

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the file."""
        self._stream.close()


def final_variables(network: MetaFineTuner, num_layers: int) -> dict[str, np.ndarray]:
    """All variables: the encoder's under their Hugging Face names and shapes, and the added ones."""
    values = {name: variable.numpy() for name, variable in added_variables(network).items()}
    for row in weight_rows(num_layers):
        variable = get_variable(network.classifier.encoder, row)
        values[row.name("huggingface")] = row.to_stored(variable.numpy(), "huggingface")
    return values


def main() -> None:
    """Runs the steps."""
    arguments = parse_arguments()
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    overrides = [*arguments.set, *EXACT, f"output_folder={output}"]
    config = load_config(arguments.config, overrides, mode="meta_tune")
    if config.data.columns.typicality is None:
        raise SystemExit("data.columns.typicality: expected the column of a scored file, got null")
    app: Application = resolve_application(config.application)(config)
    maps, pretrained = app.infer_maps(), load_weights(app)
    tokens = load_tokens(app, "train", maps, pretrained.vocabulary)
    network, _ = build_network(app, pretrained, maps)
    network.corruption = "reverse"
    set_initial(network, Path(arguments.initial))
    train = config.train
    plan = BatchPlan(
        tokens.lengths,
        train.global_batch_size,
        seed=0,
        shuffle=False,
        group_by_length=False,
        continuous_epochs=train.epochs if train.epoch_batches == "continuous" else None,
    )
    trainable = build_trainable(network, train)
    trainable.compile(optimizer=build_optimizer(train, plan.total_steps(train.epochs)))
    batches = [batch for epoch in range(train.epochs) for batch in plan.batches(epoch)][: arguments.steps]
    scores = tf.constant(tokens.typicality)
    dataset = make_dataset(tokens, batches, padded_length=padded_length(app))
    dataset = dataset.map(lambda features: features | {"typicality": tf.gather(scores, features["index"])})
    trainable.fit(dataset.enumerate().map(network.prepare), verbose=0, callbacks=[TraceWriter(output / "trace.jsonl")])
    np.savez(output / "final.npz", **final_variables(network, pretrained.config.num_layers))


if __name__ == "__main__":
    main()
