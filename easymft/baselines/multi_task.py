"""`MultiTaskClassifier`: one encoder, a head for each domain."""

import numpy as np
import tensorflow as tf
import tf_keras


class MultiTaskClassifier(tf_keras.Model):
    """Trains the encoder of `classifier` with a linear head for each domain (docs/methods.md 1.5, MTL).

    Args:
        classifier: Features -> {"text_embedding" [n, d], ...}, with `dropout`, `head` and `set_head`. Every domain's
            head begins as its own, fresh or trained.
        num_domains: K.
    """

    def __init__(self, classifier: tf_keras.Model, *, num_domains: int, **kwargs):
        super().__init__(**kwargs)
        self.classifier = classifier
        kernel, bias = (tf.stack([weights] * num_domains) for weights in classifier.head.get_weights())
        self.kernels = tf.Variable(kernel, name="domain_heads/kernel")
        self.biases = tf.Variable(bias, name="domain_heads/bias")

    def head_of(self, domain: int) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [d, M] and bias [M] of one domain."""
        return self.kernels[domain].numpy(), self.biases[domain].numpy()

    def call(self, features: dict[str, tf.Tensor], training: bool | None = None) -> dict[str, tf.Tensor]:
        """The classifier's outputs, "logits" [n, M] float32 being those of each example's own domain."""
        outputs = dict(self.classifier(features, training=training))
        states = self.classifier.dropout(outputs["text_embedding"], training=training)
        kernels, biases = tf.gather(self.kernels, features["domain"]), tf.gather(self.biases, features["domain"])
        return outputs | {"logits": tf.einsum("nd,ndm->nm", states, kernels) + biases}

    def counts(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the loss of these features is divided by."""
        return self.classifier.counts(features)

    def compute_losses(
        self, features: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor], counts: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """These examples' share of the mean cross entropy, in nats: {"loss": scalar}; `counts` is the whole batch's."""
        return self.classifier.compute_losses(features, outputs, counts)
