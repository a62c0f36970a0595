"""The loss of meta fine-tuning: L = L_TW + lambda * L_SDC (MFT, section 3.3, equations 3 to 5)."""

from collections.abc import Callable

import tensorflow as tf


def _on_one_device(value: tf.Tensor) -> tf.Tensor:
    return value


class MetaFineTuningLoss:
    """Typicality-weighted classification plus selective domain corruption.

    L_TW  = (1/N) sum_i t_i * CE(softmax(logits_i), y_i)
    L_SDC = (1/(|L_s| N)) sum_i sum_l w_i * CE(softmax(domain_logits_il), z_il)
    L     = L_TW + lambda * L_SDC

    Under data parallelism each replica holds a part of the global batch. Its terms are divided by the *global* count,
    so that the replicas' values add up to the loss of the global batch, and so do their gradients.

    Args:
        domain_loss_weight: lambda.
        normalization: `examples` (paper): L_TW is a mean over examples, those of weight 0 included. `nonzero_weights`
            (published code): the sum is divided by the number of weights that are not 0.
    """

    def __init__(self, domain_loss_weight: float = 0.1, normalization: str = "examples"):
        if normalization not in ("examples", "nonzero_weights"):
            raise ValueError(f"normalization must be examples or nonzero_weights. Received: {normalization}")
        self.domain_loss_weight = domain_loss_weight
        self.normalization = normalization

    def label_loss(
        self,
        labels: tf.Tensor,
        logits: tf.Tensor,
        weights: tf.Tensor,
        sum_over_replicas: Callable[[tf.Tensor], tf.Tensor] = _on_one_device,
    ) -> tf.Tensor:
        """L_TW of this replica's examples, in nats.

        Args:
            labels: y, [n] integers.
            logits: [n, M].
            weights: t, [n].
            sum_over_replicas: Adds a scalar over all replicas.

        Returns:
            A scalar; the sum over replicas is L_TW.
        """
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(logits, tf.float32))
        counted = tf.ones_like(weights) if self.normalization == "examples" else tf.cast(weights != 0.0, weights.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(weights * losses), sum_over_replicas(tf.reduce_sum(counted)))

    def domain_loss_by_layer(
        self,
        corrupted_domains: tf.Tensor,
        domain_logits: tf.Tensor,
        weights: tf.Tensor,
        sum_over_replicas: Callable[[tf.Tensor], tf.Tensor] = _on_one_device,
    ) -> tf.Tensor:
        """L_SDC of this replica's examples before the mean over layers, in nats.

        Args:
            corrupted_domains: z, [n, |L_s|] integers.
            domain_logits: [n, |L_s|, K].
            weights: w, [n].
            sum_over_replicas: Adds a scalar over all replicas.

        Returns:
            [|L_s|]; the mean over layers of the sum over replicas is L_SDC.
        """
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=corrupted_domains, logits=domain_logits)
        count = sum_over_replicas(tf.cast(tf.shape(losses)[0], tf.float32))
        return tf.reduce_sum(weights[:, None] * losses, axis=0) / count

    def __call__(self, label_loss: tf.Tensor, domain_loss_by_layer: tf.Tensor | None) -> tf.Tensor:
        """L, from the two terms above; without a domain term it is L_TW itself."""
        if domain_loss_by_layer is None:
            return label_loss
        return label_loss + self.domain_loss_weight * tf.reduce_mean(domain_loss_by_layer)
