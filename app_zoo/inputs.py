"""From an application's config to token ids and batches."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import tensorflow as tf

from app_zoo.base import Application, Maps
from easymft.data.batching import PREFETCHED_BATCHES, BatchPlan, make_dataset
from easymft.data.reading import OPTIONAL_OUTSIDE_TRAINING
from easymft.data.token_cache import build_token_dataset
from easymft.data.token_dataset import TokenDataset
from easymft.data.vocabulary import Vocabulary
from easymft.training.trainer import StepSequence


def load_tokens(app: Application, split: str, maps: Maps, vocabulary: Vocabulary) -> TokenDataset:
    """Validates and tokenises the config's train, dev or test files, or takes them from the cache."""
    with app.skipped_rows(split) or nullcontext() as skipped_rows:
        return build_token_dataset(
            getattr(app.config.data, f"{split}_files"),
            app.config.data,
            pair=app.pair,
            vocabulary=vocabulary,
            labels=maps.labels,
            domains=maps.domains,
            cache_folder=app.cache_folder,
            optional_columns=() if split == "train" else OPTIONAL_OUTSIDE_TRAINING,
            progress=app.config.runtime.progress,
            skipped_rows=skipped_rows,
        )


def padded_length(app: Application) -> int | None:
    """The fixed length of all batches, or None where each is padded to its longest row."""
    return app.config.data.max_sequence_length if app.config.data.padding == "max_length" else None


def plan_steps(app: Application, tokens: TokenDataset) -> StepSequence:
    """The global batches of a training run over `tokens`, a function of the seed alone."""
    data, train = app.config.data, app.config.train
    plan = BatchPlan(
        tokens.lengths,
        train.global_batch_size,
        seed=app.config.runtime.seed,
        shuffle=True,
        group_by_length=data.group_by_length,
        continuous_epochs=train.epochs if train.epoch_batches == "continuous" else None,
    )
    return StepSequence(plan, train.epochs, 1 if app.dry_run else train.max_steps)


def training_batches(
    app: Application,
    tokens: TokenDataset,
    typicality: np.ndarray | None = None,
    corrupt: Callable[[tf.Tensor, dict[str, tf.Tensor]], dict[str, tf.Tensor]] | None = None,
) -> Callable[[Sequence[np.ndarray], int], tf.data.Dataset]:
    """A function (batches, first step) -> data set, for `Trainer`.

    Args:
        app: The application.
        tokens: What the batches index.
        typicality: Scores of the examples, [N]; adds "typicality" to the features.
        corrupt: (step, features of a global batch) -> features, mapped before the batch is split over replicas.
    """
    length = padded_length(app)

    def make(batches: Sequence[np.ndarray], first_step: int) -> tf.data.Dataset:
        dataset = make_dataset(tokens, batches, padded_length=length)
        if typicality is not None:
            scores = tf.constant(typicality, tf.float32)
            dataset = dataset.map(lambda features: features | {"typicality": tf.gather(scores, features["index"])})
        if corrupt is not None:
            dataset = dataset.enumerate(start=first_step).map(corrupt)
        return dataset.prefetch(PREFETCHED_BATCHES)

    return make
