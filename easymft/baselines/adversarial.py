"""`AdversarialClassifier`: a classifier whose pooled state a domain classifier reads through a reversed gradient."""

import math

import tensorflow as tf
import tf_keras


@tf.custom_gradient
def reverse_gradient(states: tf.Tensor, strength: tf.Tensor) -> tuple[tf.Tensor, object]:
    """The states [n, d] themselves; their gradient is that of the outputs times minus the strength, [n].

    Source: Ganin and Lempitsky 2015, Unsupervised Domain Adaptation by Backpropagation, equations 11 and 12.
    """

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return -tf.cast(strength, upstream.dtype)[:, None] * upstream, tf.zeros_like(strength)

    return tf.identity(states), gradient


class AdversarialClassifier(tf_keras.Model):
    """Trains `classifier` and, behind gradient reversal on its pooled state, a linear classifier of the true domain.

    L = mean_i w_i CE(logits_i, y_i) + mean_i w_i CE(domain_logits_i, k_i), where the encoder gets the gradient of the
    second term times minus weight * (2 / (1 + exp(-gamma * p)) - 1), p from 0 to 1 being the training's progress.

    Source: docs/methods.md 1.5, Adv; the schedule is that of Ganin and Lempitsky 2015, section 4.

    Args:
        classifier: Features -> {"logits", "text_embedding" [n, d], ...}.
        num_domains: K.
        width: d.
        weight: What the strength rises to.
        gamma: How fast.
        seed: Of the domain classifier's kernel.

    Attributes:
        total_steps: Of the training, to be set before its first step.
    """

    def __init__(
        self,
        classifier: tf_keras.Model,
        *,
        num_domains: int,
        width: int,
        weight: float = 1.0,
        gamma: float = 10.0,
        seed: int = 42,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.classifier = classifier
        self.total_steps = 1
        self._weight, self._gamma = weight, gamma
        # Another seed than the label head's: with as many domains as classes the two would begin alike.
        initializer = tf_keras.initializers.TruncatedNormal(stddev=0.02, seed=seed + 1)
        self.domain_classifier = tf_keras.layers.Dense(
            num_domains, kernel_initializer=initializer, dtype=tf.float32, name="domain_classifier"
        )
        self.domain_classifier.build([None, width])

    def strength(self, step: tf.Tensor) -> tf.Tensor:
        """How strong the reversed gradient is in step 0, 1, ...: a float32 scalar."""
        progress = tf.cast(step, tf.float32) / self.total_steps
        return self._weight * (2.0 / (1.0 + tf.exp(-self._gamma * progress)) - 1.0)

    def prepare(self, step: tf.Tensor, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Adds "reversal_strength" [N] to the features of a global batch; to be mapped over a data set."""
        return {**features, "reversal_strength": tf.ones_like(features["weight"]) * self.strength(step)}

    def call(self, features: dict[str, tf.Tensor], training: bool | None = None) -> dict[str, tf.Tensor]:
        """The classifier's outputs, and in training "domain_logits" [n, K] float32."""
        outputs = dict(self.classifier(features, training=training))
        if training:
            states = reverse_gradient(outputs["text_embedding"], features["reversal_strength"])
            outputs["domain_logits"] = self.domain_classifier(states)
        return outputs

    def counts(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the losses of these features are divided by."""
        return self.classifier.counts(features)

    def compute_losses(
        self, features: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor], counts: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """These examples' share of "loss", "label_loss" and "domain_loss", in nats; `counts` is the whole batch's."""
        label_loss = self.classifier.compute_losses(features, outputs, counts)["loss"]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=features["domain"], logits=outputs["domain_logits"]
        )
        domain_loss = tf.reduce_sum(features["weight"] * losses) / counts["examples"]
        return {"loss": label_loss + domain_loss, "label_loss": label_loss, "domain_loss": domain_loss}


def domain_loss_at_chance(num_domains: int) -> float:
    """Where the domain loss settles if the pooled state gives nothing away and all domains are as large, in nats."""
    return math.log(num_domains)
