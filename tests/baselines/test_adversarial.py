import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easymft.baselines.adversarial import AdversarialClassifier, domain_loss_at_chance, reverse_gradient


@pytest.fixture
def make_adversary(make_classifier):
    def make(seed=0, **options):
        network = AdversarialClassifier(make_classifier(seed), num_domains=4, width=16, seed=seed, **options)
        network.total_steps = 10
        return network

    return make


def gradients_of(network, features, step, variables):
    features = network.prepare(tf.constant(step), features)
    with tf.GradientTape() as tape:
        losses = network.compute_losses(features, network(features, training=True), network.counts(features))
    return losses, tape.gradient(losses["loss"], variables)


def test_reversed_gradient_by_hand():
    states, strength = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([0.5, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(states)
        result = tf.reduce_sum(reverse_gradient(states, strength) * [[1.0, 2.0], [3.0, 4.0]])
    assert float(result) == 1 + 4 + 9 + 16
    assert tape.gradient(result, states).numpy().tolist() == [[-0.5, -1.0], [-6.0, -8.0]]


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_strength_rises_from_0_to_the_weight(make_adversary, weight):
    network = make_adversary(weight=weight, gamma=10.0)
    for step in (0, 3, 10):
        expected = weight * (2 / (1 + math.exp(-10 * step / 10)) - 1)
        assert float(network.strength(tf.constant(step))) == pytest.approx(expected, abs=1e-6)
    assert float(network.strength(tf.constant(10))) == pytest.approx(weight, rel=1e-3)


def test_the_domain_classifier_does_not_begin_as_the_label_head(make_classifier):
    """With as many domains as classes both kernels have one shape."""
    head = tf_keras.initializers.TruncatedNormal(stddev=0.02, seed=5)([16, 4])
    kernel = AdversarialClassifier(make_classifier(), num_domains=4, width=16, seed=5).domain_classifier.kernel
    assert kernel.shape == head.shape and not np.allclose(kernel, head)


def test_loss_is_that_of_an_independent_version(make_adversary, make_features):
    network, features = make_adversary(), make_features()
    losses, _ = gradients_of(network, features, 4, [])
    outputs = network.classifier(features, training=True)
    weights = features["weight"].numpy()

    def cross_entropy(logits, targets):
        return [math.log(sum(math.exp(v) for v in row)) - row[t] for row, t in zip(logits, targets, strict=True)]

    states = outputs["pooled_output"].numpy().astype(np.float64)
    domain_logits = states @ network.domain_classifier.kernel.numpy() + network.domain_classifier.bias.numpy()
    label = np.dot(weights, cross_entropy(outputs["logits"].numpy().astype(float), features["label"].numpy()))
    domain = np.dot(weights, cross_entropy(domain_logits, features["domain"].numpy()))
    assert float(losses["label_loss"]) == pytest.approx(label / len(weights), rel=1e-5)
    assert float(losses["domain_loss"]) == pytest.approx(domain / len(weights), rel=1e-5)
    assert float(losses["loss"]) == pytest.approx((label + domain) / len(weights), rel=1e-5)


def test_the_encoder_is_driven_against_the_domain_classifier_which_is_not(make_adversary, make_features):
    network, features = make_adversary(weight=0.5), make_features()
    encoder, domain = network.classifier.encoder.trainable_variables[-2], network.domain_classifier.kernel
    _, (at_start, domain_at_start) = gradients_of(network, features, 0, [encoder, domain])
    _, (at_end, domain_at_end) = gradients_of(network, features, 1000, [encoder, domain])
    np.testing.assert_allclose(domain_at_start, domain_at_end, rtol=1e-5)
    assert float(tf.norm(domain_at_end)) > 0

    with tf.GradientTape(persistent=True) as tape:
        outputs = network.classifier(features, training=True)
        label_loss = network.classifier.compute_losses(features, outputs, network.counts(features))["loss"]
        logits = network.domain_classifier(outputs["pooled_output"])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(features["domain"], logits)
        domain_loss = tf.reduce_mean(features["weight"] * losses)
    of_label, of_domain = tape.gradient(label_loss, encoder), tape.gradient(domain_loss, encoder)
    np.testing.assert_allclose(at_start, of_label, atol=1e-6)
    np.testing.assert_allclose(at_end, of_label - 0.5 * of_domain, atol=1e-6)
    assert float(tf.norm(of_domain)) > 1e-4


def test_chance():
    assert domain_loss_at_chance(4) == pytest.approx(1.3862944)
