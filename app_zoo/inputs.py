"""From an application's config to token ids and batches."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import tensorflow as tf

from app_zoo.base import Application, Maps
from easymft.data.batching import PREFETCHED_BATCHES, BatchPlan, OneDomainBatchPlan, make_dataset
from easymft.data.label_map import LabelMap
from easymft.data.reading import OPTIONAL_OUTSIDE_TRAINING
from easymft.data.subsets import select_rows
from easymft.data.token_cache import build_token_dataset
from easymft.data.token_dataset import TokenDataset
from easymft.data.vocabulary import Vocabulary
from easymft.training.trainer import StepSequence


def load_tokens(app: Application, split: str, maps: Maps, vocabulary: Vocabulary) -> TokenDataset:
    """Validates and tokenises the config's train, dev or test files, or takes them from the cache.

    Rows of `data.subset.exclude_domains` are left out, and of train and dev files all that the subset does not hold.
    """
    subset, domains = app.config.data.subset, with_excluded(app, maps)
    with app.skipped_rows(split) or nullcontext() as skipped_rows:
        tokens = build_token_dataset(
            getattr(app.config.data, f"{split}_files"),
            app.config.data,
            pair=app.pair,
            vocabulary=vocabulary,
            labels=maps.labels,
            domains=domains,
            cache_folder=app.cache_folder,
            optional_columns=() if split == "train" else OPTIONAL_OUTSIDE_TRAINING,
            progress=app.config.runtime.progress,
            progress_name=f"tokenising the {split} files",
            skipped_rows=skipped_rows,
        )
    for line in tokens.fit.describe(tokens.max_sequence_length):
        warnings.warn(f"{split} files: {line}", stacklevel=2)
    if len(domains) > len(maps.domains):
        tokens = tokens.subset(np.flatnonzero(tokens.domain_ids < len(maps.domains)))
    small = {"train": subset.share or subset.examples_per_class, "dev": subset.dev_examples_per_class}
    if small.get(split):
        tokens = tokens.subset(select_rows(tokens, maps.labels, maps.domains, subset, dev=split == "dev"))
    return tokens


def with_excluded(app: Application, maps: Maps) -> LabelMap:
    """The domains of the run, and after them those that the subset leaves out of it: all that the files may hold."""
    excluded = app.config.data.subset.exclude_domains
    return LabelMap((*maps.domains, *(name for name in excluded if name not in maps.domains)))


def padded_length(app: Application) -> int | None:
    """The fixed length of all batches, or None where each is padded to its longest row."""
    return app.config.data.max_sequence_length if app.config.data.padding == "max_length" else None


def plan_steps(app: Application, tokens: TokenDataset, one_domain: bool = False) -> StepSequence:
    """The global batches of a training run over `tokens`, a function of the seed alone; perhaps of one domain each."""
    data, train = app.config.data, app.config.train
    if one_domain:
        plan = OneDomainBatchPlan(
            tokens.lengths,
            tokens.domain_ids,
            train.global_batch_size,
            seed=app.config.runtime.seed,
            group_by_length=data.group_by_length,
        )
        return StepSequence(plan, train.epochs, 1 if app.dry_run else train.max_steps)
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
    prepare: Callable[[tf.Tensor, dict[str, tf.Tensor]], dict[str, tf.Tensor]] | None = None,
) -> Callable[[Sequence[np.ndarray], int], tf.data.Dataset]:
    """A function (batches, first step) -> data set, for `Trainer`.

    Args:
        app: The application.
        tokens: What the batches index.
        typicality: Scores of the examples, [N]; adds "typicality" to the features.
        prepare: (step, features of a global batch) -> features, mapped before the batch is split over replicas.
    """
    length = padded_length(app)

    def make(batches: Sequence[np.ndarray], first_step: int) -> tf.data.Dataset:
        dataset = make_dataset(tokens, batches, padded_length=length)
        if typicality is not None:
            scores = tf.constant(typicality, tf.float32)
            dataset = dataset.map(lambda features: features | {"typicality": tf.gather(scores, features["index"])})
        if prepare is not None:
            dataset = dataset.enumerate(start=first_step).map(prepare)
        return dataset.prefetch(PREFETCHED_BATCHES)

    return make
