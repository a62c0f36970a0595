"""The train step that every method shares: global losses, clipping, one update, on any number of replicas."""

from typing import Any

import tensorflow as tf
import tf_keras

from easymft.config.schema import TrainConfig


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


def build_trainable(network: tf_keras.Model, train: TrainConfig) -> "Trainable":
    """A network's `Trainable` with the settings of the config's train section; to be compiled."""
    return Trainable(network, train.clip_norm, train.clip_repeated_rows, train.accumulation_steps)


class Trainable(tf_keras.Model):
    """Wraps a network for `fit` under tf.distribute.

    The network gives `call(features, training)`, `counts(features)`, and `compute_losses(features, outputs, counts)`
    with the counts of the global batch: values that add up over replicas, and over the parts in which each computes its
    share, to the losses of the global batch. So do the gradients, for any number of parts.

    Args:
        network: A classifier or a `MetaFineTuner`.
        clip_norm: Global gradient norm, None for no clipping.
        clip_repeated_rows: `summed`: the norm of the true gradient. `separate` (published code): the rows of an
            embedding gradient enter the norm one by one, before repeated ones are added up.
        accumulation_steps: A replica computes its share of the batch in so many parts, one after the other, before
            the one update: memory for a part's activations only, at the price of a dense gradient of embeddings.
    """

    def __init__(
        self,
        network: tf_keras.Model,
        clip_norm: float | None = 1.0,
        clip_repeated_rows: str = "summed",
        accumulation_steps: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.clip_norm = clip_norm
        self.clip_repeated_rows = clip_repeated_rows
        self.accumulation_steps = accumulation_steps
        self.distribute_reduction_method = "first"  # what train_step returns is the same on every replica

    def call(self, features: dict[str, tf.Tensor], training: bool | None = None) -> dict[str, tf.Tensor]:
        """The network's outputs."""
        return self.network(features, training=training)

    # Converting Python is a large part of the time to the first step, and no control flow here hangs on a tensor.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update.

        Args:
            features: This replica's part of a global batch.

        Returns:
            The network's losses for the global batch, and "gradient_norm" before clipping; the same on every replica.
        """
        counts = {name: sum_over_replicas(count) for name, count in self.network.counts(features).items()}
        differentiate = self._differentiate if self.accumulation_steps == 1 else self._accumulate
        losses, gradients = differentiate(features, counts)
        variables = self.network.trainable_variables
        used = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        gradients, variables = [g for g, _ in used], [v for _, v in used]
        if self._scales_loss:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        gradients = sum_over_replicas(gradients)
        if self.clip_repeated_rows == "summed":
            gradients = [sum_repeated_rows(gradient) for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, use_norm=norm)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True), skip_gradients_aggregation=True)
        return {name: sum_over_replicas(value) for name, value in losses.items()} | {"gradient_norm": norm}

    @property
    def _scales_loss(self) -> bool:
        return isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer)

    def _differentiate(self, features: dict[str, tf.Tensor], counts: dict[str, tf.Tensor]) -> tuple[dict, list]:
        """Losses of these features, and each trainable variable's gradient, of the scaled loss; None if unused."""
        with tf.GradientTape() as tape:
            outputs = self.network(features, training=True)
            losses = self.network.compute_losses(features, outputs, counts)
            objective = self.optimizer.get_scaled_loss(losses["loss"]) if self._scales_loss else losses["loss"]
        return losses, tape.gradient(objective, self.network.trainable_variables)

    def _accumulate(self, features: dict[str, tf.Tensor], counts: dict[str, tf.Tensor]) -> tuple[dict, list]:
        """The same, added up over parts of the features in a loop, which holds one part's activations at a time."""
        variables = self.network.trainable_variables
        names: list[str] = []
        unused: list[bool] = []
        rows = tf.shape(features["label"])[0]
        size = -(-rows // self.accumulation_steps)

        def add_part(number: tf.Tensor, losses: tf.TensorArray, sums: list[tf.Tensor]) -> tuple:
            part = {name: value[number * size : (number + 1) * size] for name, value in features.items()}
            found, gradients = self._differentiate(part, counts)
            names[:], unused[:] = list(found), [gradient is None for gradient in gradients]
            sums = [
                total if gradient is None else total + tf.convert_to_tensor(gradient)
                for total, gradient in zip(sums, gradients, strict=True)
            ]
            return number + 1, losses.write(number, tf.stack(list(found.values()))), sums

        start = tf.TensorArray(tf.float32, self.accumulation_steps), [tf.zeros(v.shape, v.dtype) for v in variables]
        _, losses, sums = tf.while_loop(
            lambda number, *_: number < self.accumulation_steps, add_part, (0, *start), parallel_iterations=1
        )
        totals = tf.unstack(tf.reduce_sum(losses.stack(), 0), num=len(names))
        gradients = [None if missing else total for missing, total in zip(unused, sums, strict=True)]
        return dict(zip(names, totals, strict=True)), gradients
