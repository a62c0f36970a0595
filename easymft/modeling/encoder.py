"""The BERT encoder of Model Garden, built from a config that speaks the weights' own terms."""

from typing import Any

import numpy as np
import tf_keras

from easymft.modeling.encoder_config import EncoderConfig
from easymft.modeling.fast_encoder import FastBertEncoder


def exact_gelu(inputs: Any) -> Any:
    """GELU by the error function, x * Phi(x); same shape and type as `inputs`."""
    return tf_keras.activations.gelu(inputs, approximate=False)


def approximate_gelu(inputs: Any) -> Any:
    """GELU by its tanh approximation; same shape and type as `inputs`."""
    return tf_keras.activations.gelu(inputs, approximate=True)


def build_encoder(config: EncoderConfig, compute_dtype: str = "float32", pack_tokens: bool = True) -> FastBertEncoder:
    """Builds Model Garden's BERT encoder with all its variables, for a caller who assigns every one.

    Called with {"input_word_ids", "input_mask", "input_type_ids"}, int32 [b, L] each, it returns "sequence_output"
    [b, L, d], "pooled_output" [b, d] (dense + tanh of the first token) and "encoder_outputs", a list of each layer's
    [b, L, d]. Variables are float32, made under the current distribution strategy.

    Args:
        config: The encoder's shape.
        compute_dtype: Of matrix products: "float32", "bfloat16" or "float16".
        pack_tokens: Leave padding out, where the outputs are then 0.

    Returns:
        The encoder. Kernels and embeddings are 0, as drawing the 110 million values of a BERT-base, only to overwrite
        them, takes seconds; `easymft.model_zoo.pretrained.load_pretrained` fills them in.
    """
    encoder = FastBertEncoder(
        compute_dtype_name=compute_dtype,
        pack_tokens=pack_tokens,
        approximate_gelu=config.activation == "gelu_approximate",
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        num_attention_heads=config.num_attention_heads,
        max_sequence_length=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        inner_dim=config.intermediate_size,
        inner_activation=exact_gelu if config.activation == "gelu" else approximate_gelu,
        output_dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        initializer="zeros",
        name="encoder",
    )
    # Model Garden's layers make their variables when they are called: on one token, and not symbolically, which is
    # several times slower the first time.
    encoder.fast = False
    token = np.zeros((1, 1), np.int32)
    encoder({"input_word_ids": token, "input_mask": token + 1, "input_type_ids": token})
    encoder.fast = True
    return encoder
