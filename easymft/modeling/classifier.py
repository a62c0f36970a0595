"""A text classifier: encoder, dropout on the text's embedding, linear head."""

import numpy as np
import tensorflow as tf
import tf_keras

from easymft.errors import CheckpointError
from easymft.mft.domain_corruption import pool_layer
from easymft.modeling.encoder_config import Pooling


class TextClassifier(tf_keras.Model):
    """The BERT classifier that every stage trains, and the only part of it that is exported.

    Args:
        encoder: Features -> {"pooled_output": [n, d], "sequence_output", "encoder_outputs"}.
        width: d.
        num_labels: M.
        pooling: The text's embedding, which the head reads: the pooled [CLS], or the mean of the last layer's real
            tokens.
        head_dropout: On it, in training.
        seed: Of the head's truncated normal (0.02) kernel.
    """

    def __init__(
        self,
        encoder: tf_keras.layers.Layer,
        *,
        width: int,
        num_labels: int,
        pooling: Pooling = "pooled",
        head_dropout: float = 0.1,
        seed: int = 42,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder, self.pooling = encoder, pooling
        self.dropout = tf_keras.layers.Dropout(head_dropout)
        self.dropout.build([None, width])  # makes its random generator, which a resumed run needs
        initializer = tf_keras.initializers.TruncatedNormal(stddev=0.02, seed=seed)
        self.head = tf_keras.layers.Dense(num_labels, kernel_initializer=initializer, name="classifier")
        self.head.build([None, width])

    def set_head(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        """Takes over a trained head, kernel [d, M] and bias [M].

        Raises:
            CheckpointError: The shapes are not this head's.
        """
        expected = tuple(self.head.kernel.shape)
        if kernel.shape != expected or bias.shape != expected[1:]:
            raise CheckpointError(
                f"the classifier head of the weights has shapes {kernel.shape} and {bias.shape}, "
                f"expected {expected} and {expected[1:]}"
            )
        self.head.set_weights([kernel, bias])

    def call(
        self, features: dict[str, tf.Tensor], training: bool | None = None, last_layer: bool = False
    ) -> dict[str, tf.Tensor]:
        """The encoder's outputs, "text_embedding" [n, d] and "logits" [n, M], both float32.

        Args:
            features: "input_word_ids", "input_mask", "input_type_ids", int32 [n, L].
            training: Whether dropout is on.
            last_layer: Whether the caller reads the outputs of the encoder's last layer, which may be missing else.
        """
        inputs = {name: features[name] for name in ("input_word_ids", "input_mask", "input_type_ids")}
        reads_tokens = self.pooling == "token_mean"
        outputs = dict(self.encoder(inputs, training=training, last_layer=last_layer or reads_tokens))
        if reads_tokens:
            embedding = pool_layer(outputs["sequence_output"], inputs["input_mask"], "real_tokens")
        else:
            embedding = outputs["pooled_output"]
        embedding = tf.cast(embedding, tf.float32)
        logits = self.head(self.dropout(embedding, training=training))
        return outputs | {"text_embedding": embedding, "logits": tf.cast(logits, tf.float32)}

    def counts(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the loss of these features is divided by: a scalar, to be added over the parts of a batch."""
        return {"examples": tf.cast(tf.shape(features["label"])[0], tf.float32)}

    def compute_losses(
        self, features: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor], counts: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """These examples' share of the mean cross entropy, in nats: {"loss": scalar}; `counts` is the whole batch's."""
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=features["label"], logits=outputs["logits"])
        return {"loss": tf.reduce_sum(features["weight"] * losses) / counts["examples"]}
