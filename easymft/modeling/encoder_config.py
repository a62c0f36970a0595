"""The shape of a BERT encoder, in the weights' own terms. Without TensorFlow, so that files can be checked fast."""

import dataclasses
from reprlib import repr as shorten
from typing import Any, Literal

from easymft.errors import CheckpointError

LAYER_NORM_EPSILON = 1e-12
# Far above any BERT, and below what would be built for hours, or fill any memory, before an error is met.
MOST_LAYERS, MOST_VALUES = 1000, 10**10
Activation = Literal["gelu", "gelu_approximate"]
# What a classifier reads: the pooled [CLS] (dense + tanh), or the mean of the last layer's real tokens.
Pooling = Literal["pooled", "token_mean"]

# Names in a Hugging Face config.json -> ours. A Hugging Face "gelu" is the exact erf.
_FROM_HUGGINGFACE_ACTIVATION: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_approximate",
    "gelu_pytorch_tanh": "gelu_approximate",
}
_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
}
_RATES = {"dropout": "hidden_dropout_prob", "attention_dropout": "attention_probs_dropout_prob"}
# What Google's BERT and Hugging Face's mean where a config.json leaves a field out; any other value is another network.
_FIXED = {
    "model_type": "bert",
    "layer_norm_eps": LAYER_NORM_EPSILON,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "quantization_config": None,
}


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The shape of a BERT encoder. Its layer-norm epsilon is always 1e-12.

    Attributes:
        vocab_size: Rows of the word embedding table.
        hidden_size: Width d of the encoder.
        num_layers: Transformer layers.
        num_attention_heads: Heads of a layer; they divide hidden_size.
        intermediate_size: Width of the feed-forward layer.
        max_position_embeddings: The longest sequence, in tokens.
        type_vocab_size: Rows of the token type embedding table.
        activation: "gelu" is the exact erf, "gelu_approximate" the tanh approximation.
        dropout: Rate after embeddings, attention and feed-forward outputs.
        attention_dropout: Rate on attention probabilities.
    """

    vocab_size: int
    hidden_size: int = 768
    num_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    activation: Activation = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        """Checks the sizes and rates.

        Raises:
            CheckpointError: A size is no positive integer, does not fit the others or is beyond all reason, a rate is
                none, or the activation is unknown.
        """
        for name in _SIZES:
            _check_size(getattr(self, name), name, f"encoder config: {name}")
        for name in _RATES:
            _check_rate(getattr(self, name), f"encoder config: {name}")
        if self.num_values > MOST_VALUES:
            sizes = ", ".join(f"{name} {shorten(getattr(self, name))}" for name in _SIZES)
            raise CheckpointError(
                f"encoder config: {sizes} make more than {MOST_VALUES:.0e} weights ({4 * MOST_VALUES // 10**9} GB); "
                "expected the sizes of a BERT"
            )
        if self.hidden_size % self.num_attention_heads:
            raise CheckpointError(
                f"encoder config: hidden_size {self.hidden_size} is no multiple of num_attention_heads "
                f"{self.num_attention_heads}"
            )
        if self.activation not in ("gelu", "gelu_approximate"):
            raise CheckpointError(f"encoder config: activation {self.activation!r}; expected gelu or gelu_approximate")

    @property
    def num_values(self) -> int:
        """How many weights such an encoder holds."""
        width, inner = self.hidden_size, self.intermediate_size
        layer = 4 * (width + 1) * width + (2 * width + 1) * inner + width + 4 * width
        rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size + 2
        return rows * width + self.num_layers * layer + (width + 1) * width

    @classmethod
    def from_huggingface(cls, values: dict[str, Any], *, source: str = "config.json") -> "EncoderConfig":
        """Reads the fields of a Hugging Face BERT `config.json`.

        Args:
            values: The parsed JSON object.
            source: The file's name, for messages.

        Returns:
            The encoder's config.

        Raises:
            CheckpointError: A size is missing, or a field describes something other than a plain BERT encoder.
        """
        missing = [key for key in _SIZES.values() if key not in values and key != "type_vocab_size"]
        if missing:
            raise CheckpointError(f"{source}: no {', '.join(missing)}; expected the fields of a BERT config")
        for key, expected in _FIXED.items():
            if values.get(key, expected) != expected:
                raise CheckpointError(f"{source}: {key} is {shorten(values[key])}; only {expected!r} is supported")
        own_code = values.get("auto_map")
        if isinstance(own_code, dict) and any(key.startswith("AutoModel") for key in own_code):
            raise CheckpointError(f"{source}: auto_map is {shorten(own_code)}: a network of its own code, not BERT's")
        activation = values.get("hidden_act", "gelu")
        if not isinstance(activation, str) or activation not in _FROM_HUGGINGFACE_ACTIVATION:
            expected_names = ", ".join(_FROM_HUGGINGFACE_ACTIVATION)
            raise CheckpointError(f"{source}: hidden_act is {shorten(activation)}; expected one of {expected_names}")
        sizes = {ours: values[theirs] for ours, theirs in _SIZES.items() if theirs in values}
        rates = {ours: values[theirs] for ours, theirs in _RATES.items() if theirs in values}
        for ours, value in sizes.items():
            _check_size(value, ours, f"{source}: {_SIZES[ours]}")
        for ours, value in rates.items():
            _check_rate(value, f"{source}: {_RATES[ours]}")
        try:
            return cls(**sizes, **rates, activation=_FROM_HUGGINGFACE_ACTIVATION[activation])
        except CheckpointError as error:  # of sizes that do not fit one another
            raise CheckpointError(f"{source}: {error}") from error

    def to_huggingface(self) -> dict[str, Any]:
        """Returns the fields of a Hugging Face BERT `config.json`; `from_huggingface` of it equals this config."""
        return {
            "model_type": "bert",
            **{theirs: getattr(self, ours) for ours, theirs in _SIZES.items()},
            "hidden_act": "gelu" if self.activation == "gelu" else "gelu_new",
            **{theirs: getattr(self, ours) for ours, theirs in _RATES.items()},
            "layer_norm_eps": LAYER_NORM_EPSILON,
            "initializer_range": 0.02,
            "position_embedding_type": "absolute",
            "pad_token_id": 0,
        }


def _check_size(value: Any, name: str, where: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(f"{where} is {shorten(value)}; expected a positive integer")
    if name == "num_layers" and value > MOST_LAYERS:
        raise CheckpointError(f"{where} is {shorten(value)}; expected at most {MOST_LAYERS}")


def _check_rate(value: Any, where: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0.0 <= value < 1.0:
        raise CheckpointError(f"{where} is {shorten(value)}; expected a number from 0 to below 1")
