"""The loss of meta fine-tuning: L = L_TW + lambda * L_SDC (MFT, section 3.3, equations 3 to 5)."""

import tensorflow as tf


class MetaFineTuningLoss:
    """Typicality-weighted classification plus selective domain corruption.

    L_TW  = (1/N) sum_i t_i * CE(softmax(logits_i), y_i)
    L_SDC = (1/(|L_s| N)) sum_i sum_l w_i * CE(softmax(domain_logits_il), z_il)
    L     = L_TW + lambda * L_SDC

    A replica, or a step of gradient accumulation, holds a part of the global batch. Its terms are divided by the counts
    of the *whole* batch, so that the parts' values add up to the loss of the whole, and so do their gradients.

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

    def counts(self, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the two terms of examples with weights t, [n], are divided by: scalars, to be added over all parts."""
        examples = tf.ones_like(weights)
        counted = examples if self.normalization == "examples" else tf.cast(weights != 0.0, weights.dtype)
        return {"examples": tf.reduce_sum(examples), "labels": tf.reduce_sum(counted)}

    def label_loss(
        self, labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor, count: tf.Tensor
    ) -> tf.Tensor:
        """L_TW of these examples, in nats.

        Args:
            labels: y, [n] integers.
            logits: [n, M].
            weights: t, [n].
            count: "labels" of the whole batch's `counts`.

        Returns:
            A scalar; the sum over the parts of a batch is L_TW.
        """
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(logits, tf.float32))
        return tf.math.divide_no_nan(tf.reduce_sum(weights * losses), count)

    def domain_loss_by_layer(
        self, corrupted_domains: tf.Tensor, domain_logits: tf.Tensor, weights: tf.Tensor, count: tf.Tensor
    ) -> tf.Tensor:
        """L_SDC of these examples before the mean over layers, in nats.

        Args:
            corrupted_domains: z, [n, |L_s|] integers.
            domain_logits: [n, |L_s|, K].
            weights: w, [n].
            count: "examples" of the whole batch's `counts`.

        Returns:
            [|L_s|]; the mean over layers of the sum over the parts of a batch is L_SDC.
        """
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=corrupted_domains, logits=domain_logits)
        return tf.reduce_sum(weights[:, None] * losses, axis=0) / count

    def __call__(self, label_loss: tf.Tensor, domain_loss_by_layer: tf.Tensor | None) -> tf.Tensor:
        """L, from the two terms above; without a domain term it is L_TW itself."""
        if domain_loss_by_layer is None:
            return label_loss
        return label_loss + self.domain_loss_weight * tf.reduce_mean(domain_loss_by_layer)
