"""The train step that every method shares: global losses, clipping, one update, on any number of replicas."""

from typing import Any

import tensorflow as tf
import tf_keras


def sum_over_replicas(value: Any) -> Any:
    """Adds tensors (or nested lists of them, IndexedSlices too) over the replicas that run this step."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def sum_repeated_rows(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor | tf.IndexedSlices:
    """An embedding's gradient with each row once, so that its norm is that of the dense gradient."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, positions = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, positions, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


class Trainable(tf_keras.Model):
    """Wraps a network for `fit` under tf.distribute.

    The network gives `call(features, training)` and `compute_losses(features, outputs, sum_over_replicas)`, whose
    values summed over the replicas are the losses of the global batch; so are the gradients, for any number of them.

    Args:
        network: A classifier or a `MetaFineTuner`.
        clip_norm: Global gradient norm, None for no clipping.
        clip_repeated_rows: `summed`: the norm of the true gradient. `separate` (published code): the rows of an
            embedding gradient enter the norm one by one, before repeated ones are added up.
    """

    def __init__(
        self, network: tf_keras.Model, clip_norm: float | None = 1.0, clip_repeated_rows: str = "summed", **kwargs
    ):
        super().__init__(**kwargs)
        self.network = network
        self.clip_norm = clip_norm
        self.clip_repeated_rows = clip_repeated_rows
        self.distribute_reduction_method = "first"  # what train_step returns is the same on every replica

    def call(self, features: dict[str, tf.Tensor], training: bool | None = None) -> dict[str, tf.Tensor]:
        """The network's outputs."""
        return self.network(features, training=training)

    def train_step(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update.

        Args:
            features: This replica's part of a global batch.

        Returns:
            The network's losses for the global batch, and "gradient_norm" before clipping; the same on every replica.
        """
        scaled = isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape:
            outputs = self.network(features, training=True)
            losses = self.network.compute_losses(features, outputs, sum_over_replicas)
            objective = self.optimizer.get_scaled_loss(losses["loss"]) if scaled else losses["loss"]
        variables = self.network.trainable_variables
        gradients = tape.gradient(objective, variables)
        used = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        gradients, variables = [g for g, _ in used], [v for _, v in used]
        if scaled:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        gradients = sum_over_replicas(gradients)
        if self.clip_repeated_rows == "summed":
            gradients = [sum_repeated_rows(gradient) for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, use_norm=norm)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True), skip_gradients_aggregation=True)
        return {name: sum_over_replicas(value) for name, value in losses.items()} | {"gradient_norm": norm}
