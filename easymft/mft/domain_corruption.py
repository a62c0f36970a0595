"""Selective domain corruption: false domain targets and the classifiers that are trained on them (MFT, section 3.3)."""

import math
from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from easymft.errors import ConfigError


def resolve_layers(layers: Sequence[int] | None, num_layers: int) -> list[int]:
    """The encoder layers whose states are corrupted, as indexes from 0 (the first block's output).

    Args:
        layers: Indexes, negative ones counting from the end. None: every third layer (2, 5, 8, 11 of 12).
        num_layers: Layers of the encoder.

    Raises:
        ConfigError: An index lies outside the encoder, or one layer is named twice.
    """
    if layers is None:
        return list(range(2, num_layers, 3)) or [num_layers - 1]
    for layer in layers:
        if not -num_layers <= layer < num_layers:
            raise ConfigError(
                f"mft.layers: layer {layer} is out of range, expected {-num_layers} to {num_layers - 1} "
                f"for an encoder of {num_layers} layers"
            )
    resolved = [layer % num_layers for layer in layers]
    if not resolved or len(set(resolved)) != len(resolved):
        raise ConfigError(f"mft.layers: expected distinct layers, at least one. Received: {list(layers)}")
    return resolved


def corrupt_domain_labels(
    domain_ids: tf.Tensor, num_domains: int, num_layers: int, *, corruption: str, seed: int, step: tf.Tensor
) -> tf.Tensor:
    """Draws the corrupted targets z of one global batch, anew for every step and layer.

    A pure function of (seed, step, position in the global batch): it does not depend on the number of replicas when it
    is applied before the batch is split.

    Args:
        domain_ids: The true domains, [N], in [0, K).
        num_domains: K, at least 2.
        num_layers: |L_s|, the number of corrupted layers.
        corruption: `false_domain` (paper): uniform over the K - 1 other domains. `shuffle` (published code): a random
            permutation of the batch's true domains for each layer; it can equal the truth. `reverse`: the batch's
            true domains in reverse order, for deterministic traces.
        seed: Of the run.
        step: The optimizer step, an integer scalar.

    Returns:
        z, [N, |L_s|] int32.

    Raises:
        ConfigError: There are fewer than 2 domains.
        ValueError: corruption is none of the above.
    """
    if num_domains < 2:
        raise ConfigError(
            f"domain corruption needs at least 2 domains, received {num_domains}; set mft.domain_loss_weight to 0"
        )
    domain_ids = tf.cast(domain_ids, tf.int32)
    seeds = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    count = tf.shape(domain_ids)[0]
    if corruption == "false_domain":
        offsets = tf.random.stateless_uniform([count, num_layers], seeds, 1, num_domains, tf.int32)
        return tf.math.floormod(domain_ids[:, None] + offsets, num_domains)
    if corruption == "shuffle":
        order = tf.argsort(tf.random.stateless_uniform([num_layers, count], seeds), axis=1)
        return tf.transpose(tf.gather(domain_ids, order))
    if corruption == "reverse":
        return tf.tile(domain_ids[::-1, None], [1, num_layers])
    raise ValueError(f"corruption must be false_domain, shuffle or reverse. Received: {corruption}")


def domain_loss_floor(domain_counts: Sequence[int], corruption: str) -> float:
    """The value, in nats, under which the domain loss cannot settle on average.

    ln(K - 1) for `false_domain` (reached from the domain embedding alone); the entropy of the domain mix for `shuffle`.
    """
    total = sum(domain_counts)
    if corruption == "false_domain":
        return math.log(max(len(domain_counts) - 1, 1))
    return -sum(count / total * math.log(count / total) for count in domain_counts if count)


def pool_layer(states: tf.Tensor, mask: tf.Tensor, layer_pooling: str) -> tf.Tensor:
    """h_l(x): the mean of a layer's token states.

    Args:
        states: [n, T, d].
        mask: 1 on real tokens, 0 on padding, [n, T].
        layer_pooling: `real_tokens` (paper) or `all_positions` (published code: padding is averaged in).

    Returns:
        [n, d] in the states' dtype.
    """
    if layer_pooling == "all_positions":
        return tf.reduce_mean(states, axis=1)
    if layer_pooling != "real_tokens":
        raise ValueError(f"layer_pooling must be real_tokens or all_positions. Received: {layer_pooling}")
    # Counted in float32: half precision has no whole numbers above 256 or 2048.
    counts = tf.reduce_sum(tf.cast(mask, tf.float32), axis=1, keepdims=True)
    return tf.einsum("ntd,nt->nd", states, tf.cast(mask, states.dtype)) / tf.cast(counts, states.dtype)


class DomainEmbedding(tf_keras.layers.Layer):
    """E_D, a learned table [K, d] shared by all layers: domain ids [n] -> [n, d]."""

    def __init__(self, num_domains: int, width: int, initializer_seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        initializer = tf_keras.initializers.TruncatedNormal(stddev=0.02, seed=initializer_seed)
        self.table = self.add_weight("table", [num_domains, width], initializer=initializer)

    def call(self, domain_ids: tf.Tensor) -> tf.Tensor:
        """Looks up [n] ids in one gather, whatever the number of layers that read the result."""
        return tf.gather(self.table, domain_ids)


class CorruptedDomainClassifier(tf_keras.layers.Layer):
    """Linear classifiers of the (corrupted) domain from h_l(x) + E_D(true domain).

    Args:
        num_domains: K.
        width: d.
        num_layers: |L_s|.
        shared: One classifier for all layers (published code) instead of one for each (paper).
        initializer_seed: For the truncated normal (0.02) kernels; biases start at 0.
    """

    def __init__(
        self,
        num_domains: int,
        width: int,
        num_layers: int,
        shared: bool = False,
        initializer_seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        count = 1 if shared else num_layers
        initializer = tf_keras.initializers.TruncatedNormal(stddev=0.02, seed=initializer_seed)
        self.kernel = self.add_weight("kernel", [count, width, num_domains], initializer=initializer)
        self.bias = self.add_weight("bias", [count, num_domains], initializer="zeros")

    def call(self, pooled_states: tf.Tensor) -> tf.Tensor:
        """Maps h_l + E_D, [n, |L_s|, d], to float32 logits [n, |L_s|, K]."""
        kernel = tf.cast(self.kernel, pooled_states.dtype)  # [|L_s| or 1, d, K]
        logits = tf.matmul(tf.transpose(pooled_states, [1, 0, 2]), kernel)
        return tf.cast(tf.transpose(logits, [1, 0, 2]), tf.float32) + tf.cast(self.bias, tf.float32)
