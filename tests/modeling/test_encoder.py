"""The encoder's config and what it builds."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from easymft.errors import CheckpointError
from easymft.modeling.encoder import approximate_gelu, build_encoder, exact_gelu
from easymft.modeling.encoder_config import EncoderConfig

NESTED = json.loads("[" * 500 + "]" * 500)
CONFIG = EncoderConfig(
    vocab_size=50,
    hidden_size=8,
    num_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    type_vocab_size=3,
)
HUGGINGFACE = CONFIG.to_huggingface()


def features(batch=2, length=5):
    ids = np.arange(batch * length, dtype=np.int32).reshape(batch, length)
    return {"input_word_ids": ids, "input_mask": np.ones_like(ids), "input_type_ids": np.zeros_like(ids)}


def test_outputs_have_the_contract_shapes():
    output = build_encoder(CONFIG)(features())
    assert output["sequence_output"].shape == (2, 5, 8)
    assert output["pooled_output"].shape == (2, 8)
    assert [states.shape for states in output["encoder_outputs"]] == [(2, 5, 8)] * 2
    np.testing.assert_array_equal(output["encoder_outputs"][-1], output["sequence_output"])


def test_all_variables_exist_before_the_first_call():
    encoder = build_encoder(CONFIG)
    shapes = [tuple(variable.shape) for variable in encoder.trainable_variables]
    assert shapes[:5] == [(50, 8), (16, 8), (3, 8), (8,), (8,)]
    assert len(shapes) == 5 + 2 * 16 + 2
    embeddings = 50 * 8 + 16 * 8 + 3 * 8 + 2 * 8
    layer = 4 * (8 * 8 + 8) + 2 * 2 * 8 + 8 * 12 + 12 + 12 * 8 + 8
    assert sum(map(math.prod, shapes)) == embeddings + 2 * layer + 8 * 8 + 8


def test_dropout_is_as_configured():
    without = build_encoder(dataclasses.replace(CONFIG, dropout=0.0, attention_dropout=0.0))
    still = without(features(), training=False)["pooled_output"].numpy()
    np.testing.assert_array_equal(without(features(), training=True)["pooled_output"], still)
    encoder = build_encoder(CONFIG)
    for variable in encoder.trainable_variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    first, second = (encoder(features(), training=True)["pooled_output"].numpy() for _ in range(2))
    assert np.abs(first - second).max() > 0


def test_gelu_against_the_standard_library():
    values = np.linspace(-4, 4, 41, dtype=np.float32)
    exact = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in values]
    approximate = [0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in values]
    np.testing.assert_allclose(exact_gelu(tf.constant(values)), exact, atol=1e-6)
    np.testing.assert_allclose(approximate_gelu(tf.constant(values)), approximate, atol=1e-6)
    assert np.abs(np.subtract(exact, approximate)).max() > 1e-4


@pytest.mark.parametrize("activation", ["gelu", "gelu_approximate"])
def test_config_survives_huggingface_json(activation):
    config = dataclasses.replace(CONFIG, activation=activation, dropout=0.25, attention_dropout=0.0)
    assert EncoderConfig.from_huggingface(config.to_huggingface()) == config


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gelu", "gelu"), ("gelu_new", "gelu_approximate"), ("gelu_pytorch_tanh", "gelu_approximate")],
)
def test_activation_names(name, expected):
    assert EncoderConfig.from_huggingface({**HUGGINGFACE, "hidden_act": name}).activation == expected


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden_act", "relu", "x.json: hidden_act is 'relu'; expected one of gelu, gelu_new, gelu_pytorch_tanh"),
        ("model_type", "roberta", "x.json: model_type is 'roberta'; only 'bert' is supported"),
        ("layer_norm_eps", 1e-5, "x.json: layer_norm_eps is 1e-05; only 1e-12 is supported"),
        (
            "position_embedding_type",
            "relative_key",
            "x.json: position_embedding_type is 'relative_key'; only 'absolute'",
        ),
        ("is_decoder", True, "x.json: is_decoder is True; only False is supported"),
        ("is_encoder_decoder", True, "x.json: is_encoder_decoder is True; only False is supported"),
        ("quantization_config", {"bits": 8}, "x.json: quantization_config is {'bits': 8}; only None is supported"),
        ("auto_map", {"AutoModel": "a.B"}, "x.json: auto_map is {'AutoModel': 'a.B'}: a network of its own code, not"),
        ("hidden_size", 9, "hidden_size 9 is no multiple of num_attention_heads 2"),
        ("num_hidden_layers", "2", "x.json: num_hidden_layers is '2'; expected a positive integer"),
        ("num_hidden_layers", 2.0, "x.json: num_hidden_layers is 2.0; expected a positive integer"),
        ("num_hidden_layers", True, "x.json: num_hidden_layers is True; expected a positive integer"),
        ("num_hidden_layers", 10**9, "x.json: num_hidden_layers is 1000000000; expected at most 1000"),
        ("vocab_size", 0, "vocab_size is 0; expected a positive integer"),
        ("vocab_size", -5, "vocab_size is -5; expected a positive integer"),
        ("hidden_size", 10**9, "hidden_size 1000000000, num_layers 2, "),
        ("hidden_size", 10**9, "make more than 1e+10 weights (40 GB); expected the sizes of a BERT"),
        ("hidden_dropout_prob", "0.1", "x.json: hidden_dropout_prob is '0.1'; expected a number from 0 to below 1"),
        ("attention_probs_dropout_prob", -0.1, "x.json: attention_probs_dropout_prob is -0.1; expected a number"),
        ("attention_probs_dropout_prob", float("nan"), "x.json: attention_probs_dropout_prob is nan; expected"),
        ("hidden_act", ["gelu"], "x.json: hidden_act is ['gelu']; expected one of gelu, gelu_new, gelu_pytorch_tanh"),
        ("hidden_act", NESTED, "x.json: hidden_act is [[[[[[[...]]]]]]]; expected one of gelu"),
    ],
)
def test_other_networks_are_refused(field, value, message):
    with pytest.raises(CheckpointError) as error:
        EncoderConfig.from_huggingface({**HUGGINGFACE, field: value}, source="x.json")
    assert message in str(error.value)


def test_number_of_weights():
    """Counted before they are there, since too many would not fit into any memory."""
    assert CONFIG.num_values == sum(int(tf.size(variable)) for variable in build_encoder(CONFIG).trainable_variables)


def test_missing_sizes_are_named():
    with pytest.raises(CheckpointError, match=r"config\.json: no vocab_size, hidden_size, "):
        EncoderConfig.from_huggingface({"num_hidden_layers": 2})


def test_unknown_activation_is_refused():
    with pytest.raises(CheckpointError, match="activation 'swish'; expected gelu or gelu_approximate"):
        dataclasses.replace(CONFIG, activation="swish")
