"""What `meta_tune` and `finetune` share: weights, classifier, dev metrics, the trainer, the saved model."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from app_zoo.base import Application, Maps
from app_zoo.inputs import padded_length, plan_steps, training_batches
from app_zoo.run_folder import part_folder
from easymft.baselines.adversarial import AdversarialClassifier
from easymft.baselines.multi_task import MultiTaskClassifier
from easymft.data.batching import BatchPlan, make_dataset
from easymft.data.token_dataset import TokenDataset
from easymft.errors import CheckpointError
from easymft.evaluation.metrics import DomainMetrics, flatten_metrics
from easymft.mft.model import MetaFineTuner
from easymft.model_zoo.opening import tell_new_pooler
from easymft.model_zoo.pretrained import PretrainedModel, save_pretrained
from easymft.model_zoo.tensor_store import list_names
from easymft.modeling.classifier import TextClassifier
from easymft.modeling.encoder_config import Pooling
from easymft.names import cut_name
from easymft.training.callbacks import StepSummaries
from easymft.training.inference import BatchInference
from easymft.training.optimizer import build_optimizer, restart_optimizer
from easymft.training.resume import StartingPoint
from easymft.training.scoring import weights_fingerprint
from easymft.training.strategy import describe_devices
from easymft.training.trainable import build_trainable
from easymft.training.trainer import Trainer


def load_weights(app: Application) -> PretrainedModel:
    """The configured encoder, made under the run's strategy; tells what is noteworthy of the weights.

    Raises:
        CheckpointError: The weights cannot be had.
        ConfigError: They have fewer positions than the config's sequences.
    """
    pretrained = app.load_encoder(app.config.model)
    pretrained.encoder.recompute = app.config.train.gradient_checkpointing
    app.check_encoder(pretrained.config, pretrained.source)
    for note in pretrained.notes:
        print(f"note: {note}", flush=True)
    return pretrained


def head_fits(pretrained: PretrainedModel, maps: Maps, pooling: Pooling) -> bool:
    """Whether the weights hold a classifier head of the run's classes, in whatever order, that reads what it should."""
    return sorted(pretrained.labels or []) == sorted(maps.labels.names) and pretrained.pooling == pooling


def build_classifier(app: Application, pretrained: PretrainedModel, maps: Maps, head: str) -> TextClassifier:
    """A classifier on the encoder, its head fresh or the weights' own; `auto`: their own if it is of the same classes.

    Tells if it reads a pooler that the weights do not hold.

    Raises:
        CheckpointError: `head` is `transfer` and the weights hold none, or one of other classes.
    """
    with app.strategy.scope():
        classifier = TextClassifier(
            pretrained.encoder,
            width=pretrained.config.hidden_size,
            num_labels=len(maps.labels.names),
            pooling=app.config.model.pooling,
            head_dropout=app.config.model.head_dropout,
            seed=app.config.runtime.seed,
        )
    if app.config.model.pooling == "pooled" and not pretrained.has_pooler:
        warnings.warn(tell_new_pooler(pretrained.source), stacklevel=2)
    if head == "transfer" or (head == "auto" and head_fits(pretrained, maps, app.config.model.pooling)):
        transfer_head(classifier, pretrained, maps)
    return classifier


def tell_head(app: Application, pretrained: PretrainedModel, maps: Maps) -> None:
    """Says whether a head that came with the weights is taken over, where the config leaves that open."""
    if app.config.model.head != "auto" or pretrained.head is None:
        return
    if head_fits(pretrained, maps, app.config.model.pooling):
        chosen = "taken over"
    elif pretrained.pooling != app.config.model.pooling:
        chosen = f"not taken over, as it reads {pretrained.pooling}, this run's {app.config.model.pooling}"
    else:
        theirs = f" ({list_names(map(cut_name, pretrained.labels))})" if pretrained.labels else ""
        chosen = f"not taken over, as it is of other classes{theirs}"
    print(f"classifier head of {pretrained.source}: {chosen}", flush=True)


def transfer_head(classifier: TextClassifier, pretrained: PretrainedModel, maps: Maps) -> None:
    """Gives a classifier the weights' own head, its classes in the order of `maps`.

    Raises:
        CheckpointError: The weights hold none, or one of other classes.
    """
    if pretrained.head is None:
        raise CheckpointError(f"model.head: {pretrained.source} holds no classifier head to transfer")
    if pretrained.pooling != classifier.pooling:
        raise CheckpointError(
            f"model.pooling: the head of {pretrained.source} reads {pretrained.pooling}, received {classifier.pooling}"
        )
    if not head_fits(pretrained, maps, classifier.pooling):
        raise CheckpointError(
            f"model.head: the head of {pretrained.source} is for the classes {pretrained.labels}, "
            f"expected {list(maps.labels.names)}"
        )
    order = [pretrained.labels.index(name) for name in maps.labels.names]
    classifier.set_head(pretrained.head[0][:, order], pretrained.head[1][order])


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


def predict_logits(app: Application, inference: BatchInference, tokens: TokenDataset, rows: np.ndarray) -> np.ndarray:
    """Float32 [n, M] of the examples `rows` [n], sorted, by the classifier behind `inference` ("logits")."""
    plan = BatchPlan(
        tokens.lengths[rows], app.config.evaluation.batch_size, seed=0, shuffle=False, group_by_length=True
    )
    batches = [rows[batch] for batch in plan.batches(0)]
    parts = list(inference(make_dataset(tokens, batches, padded_length=padded_length(app))))
    index = np.concatenate([part for part, _ in parts])
    return np.concatenate([outputs["logits"] for _, outputs in parts])[np.argsort(index)]


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
        pooling=classifier.pooling,
        pooler=pretrained.has_pooler or classifier.pooling == "pooled",
        extra=extra or None,
    )


class Fitting:
    """A network compiled once and trained on one part of the data after another, each time from the same start.

    Tracing a step takes as long as some ten of them, so that a new network for each part would cost more than training.

    Args:
        app: The application.
        network: What is trained.
        classifier: The part of it that is kept.
        pretrained: Holds the classifier's encoder.
        maps: Of the run.
        restarts: Whether more than one part will be trained; keeps a copy of the first values.
    """

    def __init__(
        self,
        app: Application,
        network: tf_keras.Model,
        classifier: TextClassifier,
        pretrained: PretrainedModel,
        maps: Maps,
        *,
        restarts: bool = False,
    ):
        self._app, self._network, self._classifier = app, network, classifier
        self._pretrained, self._maps = pretrained, maps
        self._weights = weights_fingerprint(pretrained.encoder)
        self._start = StartingPoint(network) if restarts else None
        config = app.config
        with app.strategy.scope():
            self._trainable = build_trainable(network, config.train)
            optimizer = build_optimizer(config.train, total_steps=1)  # the number is set for each part
            if app.precision == "mixed_float16":
                optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer)
            self._trainable.compile(optimizer=optimizer, jit_compile=config.runtime.jit_compile)
        self._inference = BatchInference(classifier, ["logits"], app.strategy)
        print(describe_devices(app.strategy, app.precision), flush=True)

    def train(
        self,
        folder: Path,
        tokens: TokenDataset,
        dev_tokens: TokenDataset | None,
        typicality: np.ndarray | None = None,
        domain_loss_floor: float | None = None,
    ) -> dict[str, Any]:
        """Trains on `tokens` from the start, and keeps the best and last weights in `folder`.

        Returns:
            The trainer's record.
        """
        app, network = self._app, self._network
        steps = plan_steps(app, tokens, one_domain=isinstance(network, MultiTaskClassifier))
        if self._start is not None:
            self._start.restore()
        restart_optimizer(self._trainable.optimizer, app.config.train, steps.total_steps)
        if isinstance(network, AdversarialClassifier):
            network.total_steps = steps.total_steps
        trainer = Trainer(
            self._trainable,
            steps,
            training_batches(app, tokens, typicality, getattr(network, "prepare", None)),
            train=app.config.train,
            folder=folder,
            evaluate=None if dev_tokens is None or app.dry_run else lambda: self._evaluate(dev_tokens),
            save=lambda name: None if app.dry_run else self._save(folder, name),
            inputs=hashlib.sha256((tokens.fingerprint() + self._weights).encode()).hexdigest(),
            summaries=StepSummaries(folder / "tensorboard", domain_loss_floor),
            progress=app.config.runtime.progress and not app.dry_run,
        )
        return trainer.fit()

    def _evaluate(self, dev_tokens: TokenDataset) -> dict[str, float]:
        metrics = DomainMetrics(self._maps.labels.names, self._maps.domains.names)
        if isinstance(self._network, MultiTaskClassifier):
            for domain in np.unique(dev_tokens.domain_ids):
                self._classifier.set_head(*self._network.head_of(domain))
                rows = np.flatnonzero(dev_tokens.domain_ids == domain)
                measure(self._app, self._inference, dev_tokens, rows, metrics)
        else:
            measure(self._app, self._inference, dev_tokens, np.arange(dev_tokens.num_examples), metrics)
        return flatten_metrics(metrics.result())

    def _save(self, folder: Path, name: str) -> None:
        if isinstance(self._network, MultiTaskClassifier):  # a model for each domain, as finetune leaves them
            for number, domain in enumerate(self._maps.domains):
                self._classifier.set_head(*self._network.head_of(number))
                target = part_folder(folder, domain) / name
                save_classifier(target, self._pretrained, self._classifier, self._maps, {})
            return
        extra = _domain_variables(self._network)
        save_classifier(folder / name, self._pretrained, self._classifier, self._maps, extra)


def _domain_variables(network: tf_keras.Model) -> dict[str, np.ndarray]:
    if not isinstance(network, MetaFineTuner) or not network.corrupts_domains:
        return {}
    return {
        "mft.domain_embedding": network.domain_embedding.table.numpy(),
        "mft.domain_classifier.kernel": network.domain_classifier.kernel.numpy(),
        "mft.domain_classifier.bias": network.domain_classifier.bias.numpy(),
    }
