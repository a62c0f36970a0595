"""What `meta_tune` and `finetune` share: weights, classifier, dev metrics, the trainer, the saved model."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from app_zoo.base import Application, Maps
from app_zoo.inputs import padded_length, plan_steps, training_batches
from easymft.data.batching import BatchPlan, make_dataset
from easymft.data.token_dataset import TokenDataset
from easymft.errors import CheckpointError
from easymft.evaluation.metrics import DomainMetrics, flatten_metrics
from easymft.model_zoo.pretrained import PretrainedModel, save_pretrained
from easymft.modeling.classifier import TextClassifier
from easymft.training.callbacks import StepSummaries
from easymft.training.inference import BatchInference
from easymft.training.optimizer import build_optimizer
from easymft.training.scoring import weights_fingerprint
from easymft.training.trainable import Trainable
from easymft.training.trainer import Trainer


def load_weights(app: Application) -> PretrainedModel:
    """The configured encoder, made under the run's strategy.

    Raises:
        CheckpointError: The weights cannot be had.
        ConfigError: They have fewer positions than the config's sequences.
    """
    pretrained = app.load_encoder(app.config.model)
    app.check_length(pretrained.config, pretrained.source)
    return pretrained


def head_fits(pretrained: PretrainedModel, maps: Maps) -> bool:
    """Whether the weights hold a classifier head of the run's classes, in whatever order."""
    return sorted(pretrained.labels or []) == sorted(maps.labels.names)


def build_classifier(app: Application, pretrained: PretrainedModel, maps: Maps, head: str) -> TextClassifier:
    """A classifier on the encoder, its head fresh or the weights' own; `auto`: their own if it is of the same classes.

    Raises:
        CheckpointError: `head` is `transfer` and the weights hold none, or one of other classes.
    """
    with app.strategy.scope():
        classifier = TextClassifier(
            pretrained.encoder,
            width=pretrained.config.hidden_size,
            num_labels=len(maps.labels.names),
            head_dropout=app.config.model.head_dropout,
            seed=app.config.runtime.seed,
        )
    if head == "transfer" or (head == "auto" and head_fits(pretrained, maps)):
        if pretrained.head is None:
            raise CheckpointError(f"model.head: {pretrained.source} holds no classifier head to transfer")
        if not head_fits(pretrained, maps):
            raise CheckpointError(
                f"model.head: the head of {pretrained.source} is for the classes {pretrained.labels}, "
                f"expected {list(maps.labels.names)}"
            )
        order = [pretrained.labels.index(name) for name in maps.labels.names]
        classifier.set_head(pretrained.head[0][:, order], pretrained.head[1][order])
    return classifier


def measure(
    app: Application, inference: BatchInference, tokens: TokenDataset, rows: np.ndarray, metrics: DomainMetrics
) -> None:
    """Adds the classifier behind `inference` ("logits") on some rows of labelled examples to `metrics`."""
    plan = BatchPlan(
        tokens.lengths[rows], app.config.evaluation.batch_size, seed=0, shuffle=False, group_by_length=True
    )
    batches = [rows[batch] for batch in plan.batches(0)]
    for index, outputs in inference(make_dataset(tokens, batches, padded_length=padded_length(app))):
        metrics.update(tokens.label_ids[index], outputs["logits"], tokens.domain_ids[index])


def save_classifier(
    folder: Path, pretrained: PretrainedModel, classifier: TextClassifier, maps: Maps, extra: dict[str, np.ndarray]
) -> None:
    """Writes encoder and head as a Hugging Face folder; `extra` holds what only meta fine-tuning needs."""
    kernel, bias = classifier.head.get_weights()
    save_pretrained(
        folder,
        encoder=pretrained.encoder,
        config=pretrained.config,
        vocabulary=pretrained.vocabulary,
        head=(kernel, bias),
        labels=list(maps.labels.names),
        extra=extra or None,
    )


def fit(
    app: Application,
    network: tf_keras.Model,
    classifier: TextClassifier,
    pretrained: PretrainedModel,
    maps: Maps,
    *,
    folder: Path,
    tokens: TokenDataset,
    dev_tokens: TokenDataset | None,
    typicality: np.ndarray | None = None,
    domain_loss_floor: float | None = None,
) -> dict[str, Any]:
    """Trains `network`, which holds `classifier`, and keeps its best and last weights in `folder`.

    Returns:
        The trainer's record.
    """
    config, steps = app.config, plan_steps(app, tokens)
    with app.strategy.scope():
        trainable = Trainable(network, config.train.clip_norm, config.train.clip_repeated_rows)
        trainable.compile(
            optimizer=_with_loss_scale(build_optimizer(config.train, steps.total_steps), app.precision),
            jit_compile=config.runtime.jit_compile,
        )
    make_batches = training_batches(app, tokens, typicality, getattr(network, "corrupt", None))
    inference = BatchInference(classifier, ["logits"], app.strategy)

    def evaluate() -> dict[str, float]:
        metrics = DomainMetrics(maps.labels.names, maps.domains.names)
        measure(app, inference, dev_tokens, np.arange(dev_tokens.num_examples), metrics)
        return flatten_metrics(metrics.result())

    def save(name: str) -> None:
        if not app.dry_run:
            extra = {} if network is classifier else _domain_variables(network)
            save_classifier(folder / name, pretrained, classifier, maps, extra)

    trainer = Trainer(
        trainable,
        steps,
        make_batches,
        train=config.train,
        folder=folder,
        evaluate=evaluate if dev_tokens is not None and not app.dry_run else None,
        save=save,
        inputs=hashlib.sha256((tokens.fingerprint() + weights_fingerprint(pretrained.encoder)).encode()).hexdigest(),
        summaries=StepSummaries(folder / "tensorboard", domain_loss_floor),
        progress=config.runtime.progress and not app.dry_run,
    )
    return trainer.fit()


def _with_loss_scale(optimizer: tf_keras.optimizers.Optimizer, precision: str) -> tf_keras.optimizers.Optimizer:
    return tf_keras.mixed_precision.LossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer


def _domain_variables(network: tf_keras.Model) -> dict[str, np.ndarray]:
    if not network.corrupts_domains:
        return {}
    return {
        "mft.domain_embedding": network.domain_embedding.table.numpy(),
        "mft.domain_classifier.kernel": network.domain_classifier.kernel.numpy(),
        "mft.domain_classifier.bias": network.domain_classifier.bias.numpy(),
    }
