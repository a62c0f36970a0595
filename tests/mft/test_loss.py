import math

import numpy as np
import pytest
import tensorflow as tf

from easymft.mft.loss import MetaFineTuningLoss


def cross_entropy(logits, target):
    return math.log(sum(math.exp(value) for value in logits)) - logits[target]


def slow_label_loss(labels, logits, weights, normalization):
    total = sum(t * cross_entropy(row, y) for y, row, t in zip(labels, logits, weights, strict=True))
    count = len(weights) if normalization == "examples" else sum(t != 0 for t in weights)
    return total / count


def slow_domain_loss(targets, logits, weights):
    layers = len(targets[0])
    total = sum(
        w * cross_entropy(logits[i][layer], targets[i][layer]) for i, w in enumerate(weights) for layer in range(layers)
    )
    return total / (layers * len(weights))


@pytest.fixture
def batch():
    generator = np.random.default_rng(3)
    return {
        "labels": generator.integers(0, 3, 6),
        "logits": generator.normal(size=(6, 3)).astype(np.float32),
        "weights": np.array([0.5, 0.0, 1.2, 0.9, 0.0, 0.3], np.float32),
        "targets": generator.integers(0, 4, (6, 2)),
        "domain_logits": generator.normal(size=(6, 2, 4)).astype(np.float32),
    }


def total_loss(loss, batch, counts=None):
    counts = counts or loss.counts(batch["weights"])
    label = loss.label_loss(batch["labels"], batch["logits"], batch["weights"], counts["labels"])
    layers = loss.domain_loss_by_layer(batch["targets"], batch["domain_logits"], batch["weights"], counts["examples"])
    return loss(label, layers)


@pytest.mark.parametrize("normalization", ["examples", "nonzero_weights"])
def test_equals_the_definition(batch, normalization):
    loss = MetaFineTuningLoss(0.3, normalization)
    label = slow_label_loss(batch["labels"], batch["logits"].tolist(), batch["weights"], normalization)
    domain = slow_domain_loss(batch["targets"], batch["domain_logits"].tolist(), batch["weights"])
    assert float(total_loss(loss, batch)) == pytest.approx(label + 0.3 * domain, rel=1e-5)


def test_two_examples_by_hand():
    # Logits 0 make every cross entropy ln M or ln K; weights 1 and 0.
    loss = MetaFineTuningLoss(0.1)
    weights = tf.constant([1.0, 0.0])
    counts = loss.counts(weights)
    label = loss.label_loss(tf.constant([0, 1]), tf.zeros([2, 2]), weights, counts["labels"])
    assert float(label) == pytest.approx(0.5 * math.log(2))
    targets = tf.constant([[0, 1], [1, 2]])
    by_layer = loss.domain_loss_by_layer(targets, tf.zeros([2, 2, 3]), weights, counts["examples"])
    np.testing.assert_allclose(by_layer, [0.5 * math.log(3)] * 2, rtol=1e-6)
    assert float(loss(label, by_layer)) == pytest.approx(0.5 * math.log(2) + 0.05 * math.log(3))


def test_published_code_divides_by_the_weights_that_count():
    loss, weights = MetaFineTuningLoss(0.1, "nonzero_weights"), tf.constant([0.5, 0.0])
    counts = loss.counts(weights)
    assert (float(counts["labels"]), float(counts["examples"])) == (1.0, 2.0)
    label = loss.label_loss(tf.constant([0, 1]), tf.zeros([2, 2]), weights, counts["labels"])
    assert float(label) == pytest.approx(0.5 * math.log(2))


def test_all_weights_zero_is_zero_not_nan():
    loss, weights = MetaFineTuningLoss(0.1, "nonzero_weights"), tf.zeros([1])
    label = loss.label_loss(tf.constant([0]), tf.zeros([1, 2]), weights, loss.counts(weights)["labels"])
    assert float(label) == 0.0


def test_parts_of_a_batch_add_up_to_the_whole(batch):
    loss = MetaFineTuningLoss(0.3, "nonzero_weights")
    whole = float(total_loss(loss, batch))
    parts = [{name: values[rows] for name, values in batch.items()} for rows in (slice(0, 4), slice(4, 6))]
    counts = [loss.counts(part["weights"]) for part in parts]
    together = {name: counts[0][name] + counts[1][name] for name in ("labels", "examples")}
    assert (float(together["labels"]), float(together["examples"])) == (4.0, 6.0)
    assert sum(float(total_loss(loss, part, together)) for part in parts) == pytest.approx(whole, rel=1e-6)


def test_gradients_against_differences(batch):
    loss = MetaFineTuningLoss(0.3)
    for name in ("logits", "domain_logits"):
        inputs = tf.constant(batch[name])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = total_loss(loss, batch | {name: inputs})
        gradient = tape.gradient(value, inputs).numpy()
        for place in [(0,) * inputs.ndim, tuple(size - 1 for size in inputs.shape), (2,) + (1,) * (inputs.ndim - 1)]:
            moved = {}
            for sign in (-1, 1):
                values = batch[name].copy()
                values[place] += sign * 1e-2
                moved[sign] = float(total_loss(loss, batch | {name: values}))
            assert gradient[place] == pytest.approx((moved[1] - moved[-1]) / 2e-2, abs=2e-4)


def test_refuses_an_unknown_normalization():
    with pytest.raises(ValueError, match="Received: weights"):
        MetaFineTuningLoss(0.1, "weights")
