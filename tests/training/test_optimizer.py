import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easymft.config.schema import TrainConfig
from easymft.training.optimizer import (
    EasyTransferSchedule,
    LinearWarmupLinearDecay,
    build_optimizer,
    restart_optimizer,
)


def test_linear_schedule_rises_then_falls():
    rates = [float(LinearWarmupLinearDecay(2.0, 10, 4)(step)) for step in range(10)]
    np.testing.assert_allclose(rates, [0.5, 1.0, 1.5, 2.0, 2.0, 10 / 6, 8 / 6, 1.0, 4 / 6, 2 / 6], rtol=1e-6)


def test_linear_schedule_without_warm_up_starts_at_its_peak():
    assert float(LinearWarmupLinearDecay(2.0, 4, 0)(0)) == 2.0


def test_published_schedule():
    rates = [float(EasyTransferSchedule(1.0, 20, 2)(step)) for step in range(20)]
    expected = [(1 - s / 20) * (s / 2 if s < 2 else 1) for s in range(20)]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert rates[0] == 0.0


def train_config(**changes):
    settings = {
        "optimizer": "adamw",
        "schedule": "linear",
        "learning_rate": 0.1,
        "warmup_fraction": 0.0,
        "weight_decay": 0.2,
        "epsilon": 1e-2,
    }
    return TrainConfig(**(settings | changes))


def slow_adamw(gradients, value, rates, decay, published):
    m = v = 0.0
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient * gradient
        rate_t = rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        if published:
            value -= rate_t * (m / (math.sqrt(v) + 1e-2) + decay * value)
        else:
            value -= rate * decay * value
            value -= rate_t * m / (math.sqrt(v) + 1e-2)
    return value


@pytest.mark.parametrize("published", [False, True])
def test_adamw_in_both_arithmetics(published):
    names = ("adamw_easytransfer", "easytransfer") if published else ("adamw", "linear")
    optimizer = build_optimizer(train_config(optimizer=names[0], schedule=names[1]), 5)
    decayed, bias = tf.Variable([1.5], name="kernel"), tf.Variable([1.5], name="bias")
    gradients = [0.3, -0.2, 0.05, 0.4]
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant([gradient]), decayed), (tf.constant([gradient]), bias)])
    rates = [0.1 * (1 - s / 5) for s in range(4)]
    assert decayed.numpy()[0] == pytest.approx(slow_adamw(gradients, 1.5, rates, 0.2, published), rel=1e-5)
    assert bias.numpy()[0] == pytest.approx(slow_adamw(gradients, 1.5, rates, 0.0, published), rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adamw_easytransfer"])
def test_embeddings_are_updated_densely(name):
    """Rows that did not occur go on with their momentum, and repeated rows count as their sum."""
    dense, sparse = tf.Variable(tf.ones([4, 2])), tf.Variable(tf.ones([4, 2]))
    optimizers = [build_optimizer(train_config(optimizer=name), 5) for _ in range(2)]
    slices = tf.IndexedSlices(tf.ones([3, 2]), tf.constant([1, 1, 2]), tf.constant([4, 2]))
    steps = [slices, tf.IndexedSlices(tf.ones([1, 2]), tf.constant([0]), tf.constant([4, 2]))]
    for step in steps:
        optimizers[0].apply_gradients([(tf.convert_to_tensor(step), dense)])
        optimizers[1].apply_gradients([(step, sparse)])
    np.testing.assert_allclose(dense, sparse, rtol=1e-6)
    assert (sparse.numpy()[3] != 1.0).all()  # decayed though it never occurred


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("schedule", ["linear", "easytransfer"])
def test_restarted_on_its_traced_step(schedule, scaled):
    """As a new optimizer for a run of another length, without tracing anew."""
    train, variable = train_config(schedule=schedule, warmup_fraction=0.5), tf.Variable([1.5], name="kernel")

    def build(total_steps):
        optimizer = build_optimizer(train, total_steps)
        optimizer.build([variable])
        return tf_keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=8.0) if scaled else optimizer

    @tf.function
    def step(optimizer, gradient):
        optimizer.apply_gradients([(gradient, variable)])

    def run(optimizer, gradients):
        variable.assign([1.5])
        for gradient in gradients:
            step(optimizer, tf.constant([gradient]))
        return float(variable[0])

    gradients = [0.3, -0.2, 0.05, 0.4, 0.1, -0.3]
    fresh, optimizer = build(9), build(4)
    run(optimizer, [0.5, 0.7, math.inf if scaled else 0.2])
    if scaled:
        assert float(optimizer.loss_scale) == 4.0
    traces = step.experimental_get_tracing_count()
    restart_optimizer(optimizer, train, 9)
    assert not scaled or float(optimizer.loss_scale) == 8.0
    again = run(optimizer, gradients)
    assert step.experimental_get_tracing_count() == traces
    assert again == run(fresh, gradients) != 1.5


def test_what_is_spared_from_decay(make_classifier):
    classifier = make_classifier()
    optimizer = build_optimizer(train_config(), 5)
    decayed = {v.name for v in classifier.trainable_variables if optimizer._use_weight_decay(v)}
    spared = {v.name for v in classifier.trainable_variables} - decayed
    assert all("layer_norm" in name or "bias" in name for name in spared)
    assert sum("layer_norm" in name for name in spared) == 2 * (1 + 2 * 2)
    assert any("word_embeddings" in name for name in decayed)
    assert not any("bias" in name or "norm" in name for name in decayed)
