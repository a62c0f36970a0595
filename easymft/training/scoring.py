"""Typicality of a whole data set: embed it on any number of devices, keep embeddings on disk, score in chunks."""

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from easymft.checksums import check_sums, write_sums
from easymft.config.schema import TypicalityConfig
from easymft.data.batching import BatchPlan, make_dataset
from easymft.data.token_dataset import TokenDataset
from easymft.errors import ConfigError, DamagedError, one_line
from easymft.files import new_folder, remove_folder, replacing
from easymft.mft.domain_corruption import pool_layer
from easymft.mft.typicality import EmbeddingTransform, PrototypeAccumulator, compute_typicality
from easymft.progress import progress_bar
from easymft.training.inference import BatchInference

_EMBEDDINGS = "embeddings.npy"
_CHUNK = 8192  # rows scored at once
_LEAST_MEAN = 0.01  # smaller means would blow the weights up, or flip them


@dataclass(frozen=True)
class TypicalityScores:
    """Scores of a data set and what they were made from.

    Attributes:
        typicality: t, [N] float32.
        prototypes: c_m^k under the transform, [K, M, d] float64.
        counts: Examples in each cell, [K, M].
        embeddings: E(x) as it came from the encoder, [N, d] float32, memory-mapped.
        transform: From embeddings to the prototypes' space.
    """

    typicality: np.ndarray
    prototypes: np.ndarray
    counts: np.ndarray
    embeddings: np.ndarray
    transform: EmbeddingTransform


class TypicalityEmbedder(tf_keras.Model):
    """E(x): features -> {"embedding": [n, d] float32}.

    Args:
        encoder: The un-tuned encoder.
        embedding: `token_mean` (paper): mask-aware mean of the last layer; `pooled` (published code): the pooled [CLS].
    """

    def __init__(self, encoder: tf_keras.layers.Layer, embedding: str, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.embedding = embedding

    def call(self, features: dict[str, tf.Tensor], training: bool | None = None) -> dict[str, tf.Tensor]:
        """Embeds a batch, without dropout."""
        inputs = {name: features[name] for name in ("input_word_ids", "input_mask", "input_type_ids")}
        outputs = self.encoder(inputs, training=False, last_layer=self.embedding != "pooled")
        if self.embedding == "pooled":
            return {"embedding": tf.cast(outputs["pooled_output"], tf.float32)}
        states = tf.cast(outputs["sequence_output"], tf.float32)
        return {"embedding": pool_layer(states, features["input_mask"], "real_tokens")}


class LayerEmbedder(tf_keras.Model):
    """h_l(x) of every layer: features -> {"embedding": [n, layers * d] float32}, means over the real tokens.

    Args:
        encoder: Of any model.
    """

    def __init__(self, encoder: tf_keras.layers.Layer, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder

    def call(self, features: dict[str, tf.Tensor], training: bool | None = None) -> dict[str, tf.Tensor]:
        """Embeds a batch, without dropout."""
        inputs = {name: features[name] for name in ("input_word_ids", "input_mask", "input_type_ids")}
        layers = self.encoder(inputs, training=False)["encoder_outputs"]
        means = [pool_layer(tf.cast(layer, tf.float32), features["input_mask"], "real_tokens") for layer in layers]
        return {"embedding": tf.concat(means, 1)}


def weights_fingerprint(encoder: tf_keras.layers.Layer) -> str:
    """The sha256 of an encoder's weights, to tell whether scores made with it are still its own."""
    digest = hashlib.sha256()
    for variable in encoder.variables:
        digest.update(variable.name.encode() + np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def embed_dataset(
    embedder: TypicalityEmbedder | LayerEmbedder,
    tokens: TokenDataset,
    file: Path,
    *,
    batch_size: int,
    padded_length: int | None,
    strategy: tf.distribute.Strategy,
    progress: bool,
) -> np.ndarray:
    """Embeds all examples into a memory-mapped .npy file.

    Args:
        embedder: Made under the strategy.
        tokens: N examples.
        file: Written under a temporary name, renamed when it is complete.
        batch_size: Examples a step, over all replicas.
        padded_length: Pad all batches to it; None for each batch's longest.
        strategy: Where to run.
        progress: Show a bar.

    Returns:
        E, [N, d] float32, in the order of the examples.
    """
    plan = BatchPlan(tokens.lengths, batch_size, seed=0, shuffle=False, group_by_length=True)
    dataset = make_dataset(tokens, plan.batches(0), padded_length=padded_length)
    batches = BatchInference(embedder, ["embedding"], strategy)(dataset)
    bar = progress_bar("embedding the texts", tokens.num_examples, show=progress)
    with replacing(file) as part, bar as advance:
        embeddings = None
        for index, outputs in batches:
            if embeddings is None:
                shape = (tokens.num_examples, outputs["embedding"].shape[1])
                embeddings = np.lib.format.open_memmap(part, "w+", np.float32, shape)
                _take_room(part)
            embeddings[index] = outputs["embedding"]
            advance(len(index))
        embeddings.flush()
        del embeddings
    return np.load(file, mmap_mode="r")


def cached_embeddings(folder: Path, embed: Callable[[Path], np.ndarray]) -> np.ndarray:
    """The embeddings of an earlier call, or new ones where there are none, or damaged ones.

    Args:
        folder: Where they are kept, under a name that says what they are made of; nobody else may be at work in it.
        embed: Writes them into a file, [N, d] float32.

    Returns:
        E, memory-mapped.

    Warns:
        UserWarning: Those there are damaged.
    """
    if os.path.lexists(folder):
        try:
            check_sums(folder, needed=True)
            return np.load(folder / _EMBEDDINGS, mmap_mode="r")
        except (DamagedError, OSError, ValueError) as error:
            warnings.warn(f"{one_line(error)}; the embeddings are damaged and made anew", stacklevel=2)
            remove_folder(folder)
    with new_folder(folder) as part:
        embed(part / _EMBEDDINGS)
        write_sums(part)
        part.rename(folder)
    return np.load(folder / _EMBEDDINGS, mmap_mode="r")


def _take_room(file: Path) -> None:
    """Fills the holes of a sparse file, as to write to its memory map on a full disk would kill the process.

    Raises:
        OSError: There is too little room.
    """
    if hasattr(os, "posix_fallocate"):  # not under macOS
        with open(file, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)


def score_embeddings(
    embeddings: np.ndarray, tokens: TokenDataset, num_domains: int, num_labels: int, config: TypicalityConfig
) -> TypicalityScores:
    """Prototypes and typicality from embeddings, two streaming passes; see `easymft.mft.typicality`."""
    spans = [slice(start, start + _CHUNK) for start in range(0, len(embeddings), _CHUNK)]
    statistics = PrototypeAccumulator(num_domains, num_labels, embeddings.shape[1], covariance=config.whiten)
    for span in spans:
        statistics.update(embeddings[span], tokens.label_ids[span], tokens.domain_ids[span])
    transform = EmbeddingTransform.fit(
        statistics, center=config.center, whiten=config.whiten, epsilon=config.whitening_epsilon
    )
    # The transform would move the zeros of empty cells.
    prototypes = transform(statistics.prototypes()) * (statistics.counts > 0)[:, :, None]
    scores = [
        compute_typicality(
            transform(embeddings[span]),
            tokens.label_ids[span],
            tokens.domain_ids[span],
            prototypes,
            statistics.counts,
            alpha=config.alpha,
            out_of_domain=config.out_of_domain,
        )
        for span in spans
    ]
    typicality = np.concatenate(scores)
    if config.rescale_to_mean_1:
        mean = float(typicality.mean())
        if mean < _LEAST_MEAN:
            raise ConfigError(
                f"mft.typicality.rescale_to_mean_1: the mean score is {mean:.3g}, expected at least {_LEAST_MEAN} to "
                "divide by (centring and whitening bring it near 0)"
            )
        typicality = typicality / mean
    if config.decimals is not None:
        typicality = np.round(typicality, config.decimals)
    return TypicalityScores(typicality.astype(np.float32), prototypes, statistics.counts, embeddings, transform)
