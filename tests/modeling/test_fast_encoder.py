"""The fast encoder against Model Garden's own code, and its parts against TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easymft.modeling.encoder import build_encoder
from easymft.modeling.encoder_config import EncoderConfig
from easymft.modeling.fast_ops import GELU_SCALE, Dropout, add_and_normalize, attend, gelu, gelu_to_train, linear
from easymft.modeling.packing import TokenPacking

CONFIG = EncoderConfig(
    vocab_size=60,
    hidden_size=24,
    num_layers=3,
    num_attention_heads=3,
    intermediate_size=40,
    max_position_embeddings=16,
    dropout=0.0,
    attention_dropout=0.0,
)
LENGTHS = (7, 1, 12, 4)


@pytest.fixture
def features():
    draw = np.random.default_rng(3)
    mask = (np.arange(12) < np.array(LENGTHS)[:, None]).astype(np.int32)
    ids = draw.integers(1, 60, mask.shape, dtype=np.int32) * mask
    types = (np.arange(12) >= 3).astype(np.int32) * mask
    return {"input_word_ids": tf.constant(ids), "input_mask": tf.constant(mask), "input_type_ids": tf.constant(types)}


def make(seed=0, activation="gelu", **options):
    tf_keras.backend.experimental.enable_tf_random_generator()
    rates = {name: options.pop(name) for name in ("dropout", "attention_dropout") if name in options}
    tf_keras.utils.set_random_seed(seed)
    encoder = build_encoder(EncoderConfig(**{**vars(CONFIG), **rates, "activation": activation}), **options)
    draw = np.random.default_rng(seed)
    for variable in encoder.trainable_variables:
        variable.assign(variable + draw.normal(0, 0.3, variable.shape).astype(np.float32))
    return encoder


@pytest.mark.parametrize("fast", [True, False])
def test_with_one_type_both_texts_are_of_it(features, fast):
    encoder = build_encoder(EncoderConfig(**{**vars(CONFIG), "type_vocab_size": 1}))
    for variable in encoder.trainable_variables:
        variable.assign(variable + np.random.default_rng(0).normal(0, 0.3, variable.shape).astype(np.float32))
    encoder.fast = fast
    zeros = features | {"input_type_ids": tf.zeros_like(features["input_type_ids"])}
    pair, single = (encoder(inputs)["sequence_output"] for inputs in (features, zeros))
    np.testing.assert_array_equal(pair, single)
    two = make()
    assert np.abs(two(features)["sequence_output"] - two(zeros)["sequence_output"]).max() > 0.01


def run(encoder, features, fast, read):
    """Outputs and the gradients of a sum that `read` takes of them."""
    encoder.fast = fast
    with tf.GradientTape() as tape:
        outputs = encoder(features, training=True)
        total = read(outputs)
    gradients = tape.gradient(total, encoder.trainable_variables, unconnected_gradients="zero")
    gradients = [tf.convert_to_tensor(one) for one in gradients]
    return outputs, gradients


def weigh_real_tokens(features):
    weights = tf.constant(np.random.default_rng(1).normal(size=(3, 4, 12, 24)), tf.float32)
    weights *= tf.cast(features["input_mask"], tf.float32)[None, :, :, None]

    def read(outputs):
        return tf.reduce_sum(tf.stack(outputs["encoder_outputs"]) * weights) + tf.reduce_sum(outputs["pooled_output"])

    return read


@pytest.mark.parametrize("activation", ["gelu", "gelu_approximate"])
@pytest.mark.parametrize("pack_tokens", [True, False])
def test_equals_model_garden(features, activation, pack_tokens):
    encoder = make(activation=activation, pack_tokens=pack_tokens)
    read = weigh_real_tokens(features)
    theirs, their_gradients = run(encoder, features, False, read)
    ours, our_gradients = run(encoder, features, True, read)
    real = features["input_mask"].numpy()[:, :, None]
    for one, other in zip(ours["encoder_outputs"], theirs["encoder_outputs"], strict=True):
        np.testing.assert_allclose(one * real, other * real, atol=1e-5)
    np.testing.assert_allclose(ours["pooled_output"], theirs["pooled_output"], atol=1e-5)
    np.testing.assert_array_equal(ours["sequence_output"], ours["encoder_outputs"][-1])
    for variable, one, other in zip(encoder.trainable_variables, our_gradients, their_gradients, strict=True):
        scale = max(1.0, float(tf.reduce_max(tf.abs(other))))
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5, err_msg=variable.name)


@pytest.mark.parametrize("activation", ["gelu", "gelu_approximate"])
def test_what_dropout_keeps_is_scaled_up(features, activation, monkeypatch):
    """With dropouts that keep everything, and scale it nevertheless, against Model Garden's with the same."""
    monkeypatch.setattr(Dropout, "mask", lambda self, shape, dtype: tf.ones(shape, dtype))
    monkeypatch.setattr(tf_keras.layers.Dropout, "call", lambda self, inputs, training=None: inputs / (1 - self.rate))
    encoder = make(activation=activation, dropout=0.25, attention_dropout=0.5)
    for layer in encoder.transformer_layers:
        layer._attention_dropout.rate = 0.25  # BERT drops attention's outputs as others, Model Garden as its shares
    read = weigh_real_tokens(features)
    theirs, their_gradients = run(encoder, features, False, read)
    ours, our_gradients = run(encoder, features, True, read)
    undropped = make(activation=activation)(features)["pooled_output"]
    assert np.abs(ours["pooled_output"] - undropped).max() > 0.1
    np.testing.assert_allclose(ours["pooled_output"], theirs["pooled_output"], atol=1e-5)
    for variable, one, other in zip(encoder.trainable_variables, our_gradients, their_gradients, strict=True):
        scale = max(1.0, float(tf.reduce_max(tf.abs(other))))
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5, err_msg=variable.name)


@pytest.mark.parametrize("pack_tokens", [True, False])
def test_without_the_last_layer_the_pooled_output_and_all_gradients_are_the_same(features, pack_tokens):
    encoder = make(pack_tokens=pack_tokens)
    weights = tf.constant(np.random.default_rng(2).normal(size=(4, 24)), tf.float32)
    results = []
    for last_layer in (True, False):
        with tf.GradientTape() as tape:
            outputs = encoder(features, training=True, last_layer=last_layer)
            total = tf.reduce_sum(outputs["pooled_output"] * weights) + tf.reduce_sum(outputs["encoder_outputs"][1])
        gradients = tape.gradient(total, encoder.trainable_variables, unconnected_gradients="zero")
        results.append((outputs, [tf.convert_to_tensor(one) for one in gradients]))
    (whole, gradients), (part, part_gradients) = results
    assert "sequence_output" not in part and len(part["encoder_outputs"]) == len(whole["encoder_outputs"]) - 1
    np.testing.assert_allclose(part["pooled_output"], whole["pooled_output"], atol=1e-6)
    for variable, one, other in zip(encoder.trainable_variables, part_gradients, gradients, strict=True):
        scale = max(1.0, float(tf.reduce_max(tf.abs(other))))
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5, err_msg=variable.name)


def test_without_the_last_layer_dropout_still_drops(features):
    encoder = make(dropout=0.5, attention_dropout=0.5)
    one, other = (encoder(features, training=True, last_layer=False)["pooled_output"].numpy() for _ in range(2))
    assert (one != other).any(-1).all()


def test_padding_is_zero_when_packed_and_computed_when_not(features):
    blank = features["input_mask"].numpy() == 0
    packed, whole = make()(features)["sequence_output"].numpy(), make(pack_tokens=False)
    assert (packed[blank] == 0).all() and (packed[~blank] != 0).any(-1).all()
    ours = whole(features)["sequence_output"].numpy()
    whole.fast = False
    np.testing.assert_allclose(ours, whole(features)["sequence_output"], atol=1e-5)
    assert (np.abs(ours[blank]).max(-1) > 0.1).all()


def test_every_position_gets_gradients_where_all_are_read(features):
    encoder = make(pack_tokens=False)

    def read(outputs):
        return tf.reduce_sum(tf.square(tf.stack(outputs["encoder_outputs"])))

    for one, other in zip(*(run(encoder, features, fast, read)[1] for fast in (True, False)), strict=True):
        scale = max(1.0, float(tf.reduce_max(tf.abs(other))))
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.15), ("float16", 0.03)])
def test_half_precision_is_near(features, dtype, tolerance):
    read = weigh_real_tokens(features)
    whole, gradients = run(make(), features, True, read)
    half, half_gradients = run(make(compute_dtype=dtype), features, True, read)
    assert half["sequence_output"].dtype == half["pooled_output"].dtype == tf.float32
    difference = np.abs(half["sequence_output"] - whole["sequence_output"])
    assert 1e-5 < difference.max() < tolerance
    for one, other in zip(half_gradients, gradients, strict=True):
        assert one.dtype == tf.float32
        assert float(tf.norm(one - other)) < 0.1 * float(tf.norm(other)) + 0.2  # of keys' biases it is but noise


def test_recomputed_layers_give_the_same_gradients(features):
    """Also where the second computation must drop what the first dropped."""
    results, computed = [], []
    for recompute in (False, True):
        encoder = make(dropout=0.5, attention_dropout=0.25)
        encoder.recompute = recompute

        def run_layer(*arguments, run=encoder._run_layer, recompute=recompute):
            computed.append(recompute)
            return run(*arguments)

        encoder._run_layer = run_layer
        results.append(tf.function(run)(encoder, features, True, weigh_real_tokens(features)))
    assert computed.count(False) == 3 and computed.count(True) == 6
    for kept, again in zip(*map(tf.nest.flatten, results), strict=True):
        np.testing.assert_allclose(again, kept, rtol=1e-4, atol=1e-4)
    assert float(tf.norm(results[0][1][-1])) > 0


def test_dropout_differs_by_step_and_is_off_outside_of_training(features):
    encoder = make(dropout=0.5, attention_dropout=0.25)
    step = tf.function(lambda: encoder(features, training=True)["sequence_output"])
    first, second = step(), step()
    assert not np.allclose(first, second)
    still = encoder(features, training=False)["sequence_output"]
    np.testing.assert_array_equal(still, encoder(features)["sequence_output"])
    np.testing.assert_allclose(still, make()(features)["sequence_output"], atol=1e-6)


def test_gradients_with_dropout_are_those_of_the_masked_function():
    """Against TensorFlow's own gradients of the plain formulas, with the same masks."""
    draw = np.random.default_rng(0)
    q, k, v = (tf.constant(draw.normal(size=(2, 2, 5, 4)), tf.float32) for _ in range(3))
    mask = tf.constant([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    seed = tf.constant([5, 6])
    kept = Dropout(0.25, seed).mask([2, 2, 5, 5], tf.float32)
    assert 0 < float(tf.reduce_mean(kept)) < 1
    upstream = tf.constant(draw.normal(size=(2, 2, 5, 4)), tf.float32)

    def plain():
        scores = tf.matmul(q, k, transpose_b=True) - 1e9 * (1 - tf.cast(mask, tf.float32))[:, None, None, :]
        return tf.matmul(tf.nn.softmax(scores) * kept, v)

    found = []
    for function in (plain, lambda: attend(q, k, v, mask, Dropout(0.25, seed))):
        with tf.GradientTape() as tape:
            tape.watch([q, k, v])
            outputs = function()
        found.append([outputs, *tape.gradient(outputs, [q, k, v], output_gradients=upstream)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)

    x, r = (tf.constant(draw.normal(size=(6, 8)), tf.float32) for _ in range(2))
    gamma, beta = (tf.constant(draw.normal(size=8), tf.float32) for _ in range(2))
    norm = tf_keras.layers.LayerNormalization(epsilon=1e-12)
    norm.build([None, 8])
    norm.set_weights([gamma, beta])
    kept = Dropout(0.5, seed).mask([6, 8], tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, r, gamma, beta])
        ours = add_and_normalize(r, x, gamma, beta, 1e-12, Dropout(0.5, seed))
        theirs = norm(r + x * kept)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    pairs = zip(
        tape.gradient(ours, [x, r, gamma, beta]),
        tape.gradient(theirs, [x, r, norm.gamma, norm.beta]),
        strict=True,
    )
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("approximate", [True, False])
def test_slope_of_gelu(approximate):
    values = tf.linspace(-5.0, 5.0, 101)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        ours, theirs = gelu(values, approximate), tf.nn.gelu(values, approximate)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(ours, values), tape.gradient(theirs, values), atol=1e-5)


def test_gelu_to_train_is_gelu_of_scaled_values():
    values = tf.linspace(-5.0, 5.0, 101)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        ours, theirs = gelu_to_train(values * GELU_SCALE) * GELU_SCALE, tf.nn.gelu(values)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(ours, values), tape.gradient(theirs, values), atol=1e-6)


def test_linear_in_bfloat16_sums_the_gradient_of_the_bias_in_float32():
    upstream = tf.cast(tf.random.stateless_normal([5000, 3], [1, 2], mean=1.0), tf.bfloat16)
    bias = tf.Variable([0.0, 0.0, 0.0])
    with tf.GradientTape() as tape:
        outputs = linear(tf.ones([5000, 2]), tf.ones([2, 3]), bias, tf.bfloat16)
    found = tape.gradient(outputs, bias, output_gradients=upstream)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, tf.reduce_sum(tf.cast(upstream, tf.float32), 0), rtol=2**-8)


def test_linear():
    x, w, b = tf.constant([[1.0, 2.0]]), tf.Variable([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]]), tf.Variable([0.5, 0.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = linear(x, w, b, tf.float32)
    assert y.numpy().tolist() == [[7.5, 2.0, 2.0]]
    to_x, to_w, to_b = tape.gradient(y, [x, w, b], output_gradients=tf.constant([[1.0, 10.0, 0.0]]))
    assert to_x.numpy().tolist() == [[1.0, 13.0]]
    assert to_w.numpy().tolist() == [[1.0, 10.0, 0.0], [2.0, 20.0, 0.0]] and to_b.numpy().tolist() == [1.0, 10.0, 0.0]


def test_dropout_rate_and_scale():
    dropout = Dropout(0.1, tf.constant([1, 2]))
    first, second = (dropout.mask(tf.constant([300, 301]), tf.float32).numpy() for _ in range(2))
    assert set(np.unique(first)) == {0.0, 1.0} and (first != second).any()
    assert first.mean() * dropout.scale == pytest.approx(1.0, abs=0.01)
    assert 1 / dropout.scale == 230 / 256
    assert Dropout(0.0, tf.constant([1, 2])).mask(tf.constant([4]), tf.float32) is None


def test_packing():
    mask = tf.constant([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    packing = TokenPacking(mask)
    values = tf.reshape(tf.range(9.0), [9, 1])
    assert packing.pack(values)[:, 0].numpy().tolist() == [0, 1, 3, 6, 7, 8]
    assert packing.pack(tf.constant([[5, 6, 0], [7, 0, 0], [8, 9, 4]])).numpy().tolist() == [5, 6, 7, 8, 9, 4]
    assert packing.positions.numpy().tolist() == [0, 1, 0, 0, 1, 2]
    tokens = tf.reshape(tf.range(1.0, 7.0), [6, 1])
    assert packing.unpack(tokens)[:, 0].numpy().tolist() == [1, 2, 0, 3, 0, 0, 4, 5, 6]
    assert packing.first_tokens(tokens)[:, 0].numpy().tolist() == [1, 3, 4]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([values, tokens])
        packed, unpacked = packing.pack(values), packing.unpack(tokens)
    upstream = tf.reshape(tf.range(10.0, 16.0), [6, 1])
    assert tape.gradient(packed, values, upstream)[:, 0].numpy().tolist() == [10, 11, 0, 12, 0, 0, 13, 14, 15]
    assert tape.gradient(unpacked, tokens, values)[:, 0].numpy().tolist() == [0, 1, 3, 6, 7, 8]
