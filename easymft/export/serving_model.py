"""What is exported: a classifier with its way from texts to token ids, and the functions that a server calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from easymft.data.text_preprocessor import TextPreprocessor
from easymft.errors import ExportError
from easymft.mft.domain_corruption import pool_layer
from easymft.modeling.classifier import TextClassifier

Features = dict[str, tf.Tensor]
Embedding = Literal["token_mean", "pooled"]


@dataclass(frozen=True)
class ServingModel:
    """A classifier as a server sees it.

    Attributes:
        classifier: Features -> logits.
        preprocessor: Texts -> features.
        labels: The M classes, in the order of the logits.
        pair: Whether an example is a pair of texts.
        padded_length: Pad every batch to this many tokens; None: to its longest row.
        embedding: Also serve embeddings: `token_mean` is the mean of the last layer over the real tokens, [CLS] and
            [SEP] included, as in the paper's E(x); `pooled` is the pooled [CLS]. None: do not.
        domain: The domain that the classifier is for; None: any.

    Raises:
        ExportError: The labels do not fit the classifier, or `embedding` is none of these.
    """

    classifier: TextClassifier
    preprocessor: TextPreprocessor
    labels: tuple[str, ...]
    pair: bool
    padded_length: int | None = None
    embedding: Embedding | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        """Checks that the parts fit together."""
        if len(self.labels) != self.classifier.head.units:
            raise ExportError(
                f"{len(self.labels)} labels ({', '.join(self.labels)}) for a classifier of "
                f"{self.classifier.head.units} classes"
            )
        broken = [label for label in self.labels if label.splitlines() != [label]]
        if broken:
            raise ExportError(f"label {broken[0]!r} is empty or holds a line break, expected one line of labels.txt")
        if self.embedding not in (None, "token_mean", "pooled"):
            raise ExportError(f"embedding: expected token_mean, pooled or None, got {self.embedding!r}")

    def featurize(self, *texts: tf.Tensor) -> Features:
        """Turns one or two [n] strings into the encoder's inputs, [n, L] int32 each; n may be 0.

        A client that sends one string in place of a list, or a column [n, 1], is understood.
        """
        # The placeholder hides from TensorFlow that the signature promises a list, or it would drop the reshape.
        flat = (tf.reshape(tf.compat.v1.placeholder_with_default(text, None), [-1]) for text in texts)
        features = self.preprocessor(*flat, length=self.padded_length)
        # A batch of no rows has no longest one, but the encoder needs a first token.
        missing = tf.cast(tf.equal(tf.shape(features["input_word_ids"])[1], 0), tf.int32)
        return {name: tf.pad(value, [[0, 0], [0, missing]]) for name, value in features.items()}

    def classify(self, features: Features) -> dict[str, tf.Tensor]:
        """Returns "label" [n] string, the most probable class, and "probabilities" [n, M] float32."""
        probabilities = tf.nn.softmax(self.classifier(features, training=False)["logits"])
        label = tf.gather(tf.constant(self.labels), tf.argmax(probabilities, axis=1))
        return {"label": label, "probabilities": probabilities}

    def embed(self, features: Features) -> dict[str, tf.Tensor]:
        """Returns "embedding" [n, d] float32."""
        outputs = self.classifier(features, training=False, last_layer=self.embedding != "pooled")
        if self.embedding == "pooled":
            return {"embedding": tf.cast(outputs["pooled_output"], tf.float32)}
        states = tf.cast(outputs["sequence_output"], tf.float32)
        return {"embedding": pool_layer(states, features["input_mask"], "real_tokens")}

    def trace(self) -> dict[str, Any]:
        """Traces the signatures.

        Returns:
            Concrete functions: `serving_default` (text[, text_pair] -> label, probabilities), `token_ids`
            (input_word_ids, input_mask, input_type_ids -> the same) and, if wanted, `embeddings` (text[, text_pair] ->
            embedding). Batch size and length are free.
        """
        names = ("input_word_ids", "input_mask", "input_type_ids")
        tokens = [tf.TensorSpec([None, None], tf.int32, name=name) for name in names]
        signatures = {
            "serving_default": self._trace_texts(self.classify),
            "token_ids": tf.function(
                lambda input_word_ids, input_mask, input_type_ids: self.classify(
                    {"input_word_ids": input_word_ids, "input_mask": input_mask, "input_type_ids": input_type_ids}
                )
            ).get_concrete_function(*tokens),
        }
        if self.embedding is not None:
            signatures["embeddings"] = self._trace_texts(self.embed)
        return signatures

    def _trace_texts(self, compute: Callable[[Features], dict[str, tf.Tensor]]) -> Any:
        # The arguments' names become the signature's.
        single = tf.function(lambda text: compute(self.featurize(text)))
        pair = tf.function(lambda text, text_pair: compute(self.featurize(text, text_pair)))
        text, text_pair = (tf.TensorSpec([None], tf.string, name=name) for name in ("text", "text_pair"))
        return pair.get_concrete_function(text, text_pair) if self.pair else single.get_concrete_function(text)
