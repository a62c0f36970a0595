"""`MetaFineTuner`: a classifier with the domain embedding and the corrupted domain classifiers around it."""

import warnings
from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from easymft.mft.domain_corruption import CorruptedDomainClassifier, DomainEmbedding, corrupt_domain_labels, pool_layer
from easymft.mft.loss import MetaFineTuningLoss


class MetaFineTuner(tf_keras.Model):
    """Meta fine-tunes `classifier`; afterwards the classifier alone is kept (MFT, section 3.3).

    Args:
        classifier: A model, features -> {"logits": [n, M], "encoder_outputs": one [n, T, d] for each layer, ...}.
        num_domains: K.
        width: d, the encoder's width.
        layers: L_s, indexes into encoder_outputs.
        loss: Holds lambda and the normalization. With lambda = 0 there is no domain part at all.
        weighting: `typicality`: t_i as fed, or `none`: t_i = 1 everywhere (ablation DC).
        corruption: `false_domain`, `shuffle` or `reverse`; see `corrupt_domain_labels`.
        domain_weighting: w_i is `typicality` (paper) or `none` for 1 (published code).
        layer_pooling: `real_tokens` (paper) or `all_positions` (published code).
        shared_classifier: One domain classifier for all layers (published code).
        seed: Of the run.
    """

    def __init__(
        self,
        classifier: tf_keras.Model,
        *,
        num_domains: int,
        width: int,
        layers: Sequence[int],
        loss: MetaFineTuningLoss,
        weighting: str = "typicality",
        corruption: str = "false_domain",
        domain_weighting: str = "typicality",
        layer_pooling: str = "real_tokens",
        shared_classifier: bool = False,
        seed: int = 42,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.classifier = classifier
        self.layer_indexes = tuple(layers)
        self.num_domains = num_domains
        self.loss_terms = loss
        self.weighting = weighting
        self.corruption = corruption
        self.domain_weighting = domain_weighting
        self.layer_pooling = layer_pooling
        self.seed = seed
        self.corrupts_domains = loss.domain_loss_weight > 0.0
        if self.corrupts_domains:
            if num_domains == 2 and corruption == "false_domain":
                warnings.warn("with 2 domains a false domain is a deterministic flip of the true one", stacklevel=2)
            self.domain_embedding = DomainEmbedding(num_domains, width, seed, name="domain_embedding")
            self.domain_classifier = CorruptedDomainClassifier(
                num_domains, width, len(layers), shared_classifier, seed + 1, name="domain_classifier"
            )

    def prepare(self, step: tf.Tensor, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Adds "corrupted_domain" [N, |L_s|] to the features of a global batch; to be mapped over a data set.

        Args:
            step: The optimizer step that will read the batch.
            features: Hold "domain", [N].
        """
        if not self.corrupts_domains:
            return features
        corrupted = corrupt_domain_labels(
            features["domain"],
            self.num_domains,
            len(self.layer_indexes),
            corruption=self.corruption,
            seed=self.seed,
            step=step,
        )
        return {**features, "corrupted_domain": corrupted}

    def call(self, features: dict[str, tf.Tensor], training: bool | None = None) -> dict[str, tf.Tensor]:
        """The classifier's outputs, and in training "domain_logits" [n, |L_s|, K] float32."""
        reads_layers = self.corrupts_domains and bool(training)
        outputs = dict(self.classifier(features, training=training, last_layer=reads_layers))
        if reads_layers:
            states = [
                pool_layer(outputs["encoder_outputs"][layer], features["input_mask"], self.layer_pooling)
                for layer in self.layer_indexes
            ]
            domain = self.domain_embedding(features["domain"])
            states = tf.stack(states, axis=1)
            outputs["domain_logits"] = self.domain_classifier(states + tf.cast(domain, states.dtype)[:, None, :])
        return outputs

    def counts(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the losses of these features are divided by; see `MetaFineTuningLoss.counts`."""
        return self.loss_terms.counts(self._example_weights(features))

    def _example_weights(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        weights = features["weight"]
        return weights * features["typicality"] if self.weighting == "typicality" else weights

    def compute_losses(
        self, features: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor], counts: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """These examples' share of the losses: "loss", "label_loss", "domain_loss", "domain_loss_layer_<l>", scalars.

        Args:
            features: Hold "label" [n], "weight" [n] (the user's own), "typicality" [n], "corrupted_domain" [n, |L_s|].
            outputs: Of `call` in training.
            counts: `counts` of the whole batch.
        """
        weights = self._example_weights(features)
        label_loss = self.loss_terms.label_loss(features["label"], outputs["logits"], weights, counts["labels"])
        if not self.corrupts_domains:
            return {"loss": self.loss_terms(label_loss, None), "label_loss": label_loss}
        by_layer = self.loss_terms.domain_loss_by_layer(
            features["corrupted_domain"],
            outputs["domain_logits"],
            weights if self.domain_weighting == "typicality" else features["weight"],
            counts["examples"],
        )
        losses = {
            "loss": self.loss_terms(label_loss, by_layer),
            "label_loss": label_loss,
            "domain_loss": tf.reduce_mean(by_layer),
        }
        return losses | {f"domain_loss_layer_{layer}": by_layer[i] for i, layer in enumerate(self.layer_indexes)}
