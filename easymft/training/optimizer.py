"""AdamW and learning-rate schedules, in tf_keras' and in the published code's arithmetic."""

import math
from collections.abc import Iterable

import tensorflow as tf
import tf_keras

from easymft.config.schema import TrainConfig


class LinearWarmupLinearDecay(tf_keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `learning_rate` over the warm-up steps, then falls linearly to 0 at `total_steps`.

    Args:
        learning_rate: The peak.
        total_steps: Optimizer steps of the whole run.
        warmup_steps: Steps of the rise.
    """

    def __init__(self, learning_rate: float, total_steps: int, warmup_steps: int):
        self.learning_rate = learning_rate
        # Variables, as a traced step may go on to another run, of another length.
        self.total_steps = tf.Variable(total_steps, trainable=False, dtype=tf.float32)
        self.warmup_steps = tf.Variable(warmup_steps, trainable=False, dtype=tf.float32)

    def span(self, total_steps: int, warmup_steps: int) -> None:
        """Sets the numbers of steps anew."""
        self.total_steps.assign(total_steps)
        self.warmup_steps.assign(warmup_steps)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of step s = 0, 1, ..., a float32 scalar; the last step's rate is above 0."""
        done = tf.cast(step, tf.float32) + 1.0
        rise = done / tf.maximum(self.warmup_steps, 1.0)
        fall = (self.total_steps - done + 1.0) / tf.maximum(self.total_steps - self.warmup_steps, 1.0)
        return self.learning_rate * tf.clip_by_value(tf.minimum(rise, fall), 0.0, 1.0)

    def get_config(self) -> dict[str, float | int]:
        """The constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "total_steps": int(self.total_steps.numpy()),
            "warmup_steps": int(self.warmup_steps.numpy()),
        }


class EasyTransferSchedule(LinearWarmupLinearDecay):
    """The published code's rate: lr * (1 - s / steps), times s / warm-up while s < warm-up; step 0 moves nothing."""

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of step s = 0, 1, ..., a float32 scalar."""
        step = tf.cast(step, tf.float32)
        rate = self.learning_rate * (1.0 - tf.minimum(step, self.total_steps) / self.total_steps)
        return tf.where(step < self.warmup_steps, rate * step / tf.maximum(self.warmup_steps, 1.0), rate)


class AdamW(tf_keras.optimizers.AdamW):
    """tf_keras' AdamW, its arithmetic and its variables, with one operation that moves each variable.

    tf_keras has two dozen for each of BERT's hundred variables, the same powers and constants every time: a third of a
    train step's graph, which every process has to trace and optimise.
    """

    def _apply_weight_decay(self, variables: Iterable[tf.Variable]) -> None:
        """Nothing yet: each variable decays just before it is moved."""

    def _distributed_apply_gradients_fn(
        self,
        distribution: tf.distribute.Strategy,
        grads_and_vars: Iterable[tuple[tf.Tensor | tf.IndexedSlices, tf.Variable]],
        **kwargs,
    ) -> tf.Operation:
        """Moves the variables; tf_keras calls it once for all replicas, with the sum of their gradients."""
        step = tf.cast(self.iterations + 1, tf.float32)
        terms = {
            "lr": tf.convert_to_tensor(self.learning_rate),
            "beta1_power": tf.pow(tf.constant(self.beta_1), step),
            "beta2_power": tf.pow(tf.constant(self.beta_2), step),
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "epsilon": tf.constant(self.epsilon),
        }
        decay = self._decay_factors(terms)

        def move(variable: tf.Variable, gradient: tf.Tensor | tf.IndexedSlices) -> None:
            if self._use_weight_decay(variable):
                variable.assign_sub(math.prod(decay, start=variable))
            if isinstance(gradient, tf.IndexedSlices):  # embeddings are moved in all rows
                gradient = tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])
            index = self._index_dict[self._var_key(variable)]
            m, v = self._momentums[index].handle, self._velocities[index].handle
            tf.raw_ops.ResourceApplyAdam(var=variable.handle, m=m, v=v, grad=gradient, **terms)

        for gradient, variable in grads_and_vars:
            distribution.extended.update(variable, move, args=(gradient,), group=False)
        return self.iterations.assign_add(1)

    def _decay_factors(self, terms: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        """What a variable is multiplied by, one after the other, to be subtracted from itself."""
        return tf.constant(self.weight_decay), terms["lr"]


class AdamWEasyTransfer(AdamW):
    """AdamW as in the published code: the bias correction scales the decay as well.

    rate_t = rate * sqrt(1 - b2^t) / (1 - b1^t); p -= rate_t * (m / (sqrt(v) + eps) + wd * p). The library's Adam adds
    epsilon before the bias correction already, so only the decay differs here.
    """

    def _decay_factors(self, terms: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        correction = tf.sqrt(1.0 - terms["beta2_power"]) / (1.0 - terms["beta1_power"])
        return (terms["lr"] * correction * self.weight_decay,)


def _step_counts(train: TrainConfig, total_steps: int) -> tuple[int, int]:
    return total_steps, int(train.warmup_fraction * total_steps)


def restart_optimizer(optimizer: tf_keras.optimizers.Optimizer, train: TrainConfig, total_steps: int) -> None:
    """Takes an optimizer of `build_optimizer` back to step 0, for a run of `total_steps`; traced steps stay good."""
    if isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        optimizer._loss_scale._current_loss_scale.assign(optimizer.initial_scale)
        optimizer._loss_scale._counter.assign(0)
        optimizer = optimizer.inner_optimizer
    optimizer._learning_rate.span(*_step_counts(train, total_steps))
    for variable in optimizer.variables:
        variable.assign(tf.zeros_like(variable))


def build_optimizer(train: TrainConfig, total_steps: int) -> tf_keras.optimizers.Optimizer:
    """AdamW with the configured schedule; weight decay spares LayerNorm and biases.

    Clipping is not the optimizer's: the train step does it, on the gradients summed over replicas.

    Args:
        train: The config's train section, presets resolved.
        total_steps: Steps that the schedule spans.
    """
    schedules = {"linear": LinearWarmupLinearDecay, "easytransfer": EasyTransferSchedule}
    optimizers = {"adamw": AdamW, "adamw_easytransfer": AdamWEasyTransfer}
    optimizer = optimizers[train.optimizer](
        learning_rate=schedules[train.schedule](train.learning_rate, *_step_counts(train, total_steps)),
        weight_decay=train.weight_decay,
        beta_1=train.beta_1,
        beta_2=train.beta_2,
        epsilon=train.epsilon,
    )
    optimizer.exclude_from_weight_decay(var_names=["layer_norm", "LayerNorm", "bias"])
    return optimizer
