import math

import numpy as np
import pytest
import tensorflow as tf

from easymft.errors import ConfigError
from easymft.mft.domain_corruption import (
    CorruptedDomainClassifier,
    DomainEmbedding,
    corrupt_domain_labels,
    domain_loss_floor,
    pool_layer,
    resolve_layers,
)


def draw(domains, num_domains=5, num_layers=3, corruption="false_domain", seed=7, step=11):
    return corrupt_domain_labels(
        tf.constant(domains), num_domains, num_layers, corruption=corruption, seed=seed, step=tf.constant(step)
    ).numpy()


def test_a_false_domain_is_never_the_truth_and_uniform_over_the_others():
    domains = np.repeat(np.arange(5), 4000)
    drawn = draw(domains)
    assert drawn.shape == (20000, 3)
    assert not (drawn == domains[:, None]).any()
    for domain in range(5):
        counts = np.bincount(drawn[domains == domain].ravel(), minlength=5)
        others = np.delete(counts, domain)
        assert others.sum() == 12000
        # 4 equal shares of 12,000: a standard deviation of 47.
        assert np.abs(others - 3000).max() < 5 * 47


def test_shuffled_targets_are_a_permutation_for_each_layer():
    domains = np.arange(64) % 5
    drawn = draw(domains, corruption="shuffle")
    for layer in range(3):
        np.testing.assert_array_equal(np.sort(drawn[:, layer]), np.sort(domains))
    assert (drawn[:, 0] != drawn[:, 1]).any()
    assert (drawn == domains[:, None]).any()  # it can equal the truth


def test_reversed_targets():
    np.testing.assert_array_equal(draw([0, 1, 2], corruption="reverse", num_layers=2), [[2, 2], [1, 1], [0, 0]])


@pytest.mark.parametrize("corruption", ["false_domain", "shuffle"])
def test_a_function_of_seed_and_step(corruption):
    domains = np.arange(64) % 5
    first = draw(domains, corruption=corruption)
    np.testing.assert_array_equal(first, draw(domains, corruption=corruption))
    assert (first != draw(domains, corruption=corruption, step=12)).any()
    assert (first != draw(domains, corruption=corruption, seed=8)).any()


def test_two_domains_are_flipped():
    np.testing.assert_array_equal(draw([0, 1, 1], num_domains=2, num_layers=1), [[1], [0], [0]])


def test_needs_two_domains_and_a_known_corruption():
    with pytest.raises(ConfigError, match="at least 2 domains, received 1"):
        draw([0, 0], num_domains=1)
    with pytest.raises(ValueError, match="Received: swap"):
        draw([0, 1], corruption="swap")


def test_floor():
    assert domain_loss_floor([10, 30, 5, 5], "false_domain") == pytest.approx(math.log(3))
    assert domain_loss_floor([8, 8, 8, 8], "shuffle") == pytest.approx(math.log(4))
    assert domain_loss_floor([1, 3], "shuffle") == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert domain_loss_floor([5, 0], "shuffle") == 0.0


def fit_domain_loss(corruption, domains, num_domains):
    """Trains domain embedding and classifier alone (h = 0) and returns the mean loss of the last 200 steps."""
    embedding = DomainEmbedding(num_domains, 8, initializer_seed=1)
    classifier = CorruptedDomainClassifier(num_domains, 8, num_layers=1, initializer_seed=2)
    variables = [embedding.table, classifier.kernel, classifier.bias]
    domains = tf.constant(domains)

    @tf.function
    def step(number):
        targets = corrupt_domain_labels(domains, num_domains, 1, corruption=corruption, seed=0, step=number)
        with tf.GradientTape() as tape:
            logits = classifier(embedding(domains)[:, None, :])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
            loss = tf.reduce_mean(losses)
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.5 * tf.convert_to_tensor(gradient))
        return loss

    return np.mean([float(step(tf.constant(number))) for number in range(1200)][-200:])


def test_false_targets_settle_at_their_floor_from_the_domain_embedding_alone():
    domains = np.arange(256) % 4
    assert fit_domain_loss("false_domain", domains, 4) == pytest.approx(math.log(3), abs=0.02)


def test_shuffled_targets_do_not_settle_under_the_entropy_of_the_mix():
    domains = np.repeat([0, 1, 2], [128, 64, 64])
    floor = domain_loss_floor([128, 64, 64], "shuffle")
    assert floor == pytest.approx(1.5 * math.log(2))
    assert fit_domain_loss("shuffle", domains, 3) == pytest.approx(floor, abs=0.02)


def test_layers_of_the_published_scripts():
    assert resolve_layers(None, 12) == [2, 5, 8, 11]
    assert resolve_layers(None, 6) == [2, 5]
    assert resolve_layers(None, 2) == [1]
    assert resolve_layers([0, -1], 6) == [0, 5]


@pytest.mark.parametrize("layers", [[6], [-7], [0, 0], [5, -1], []])
def test_refuses_layers(layers):
    with pytest.raises(ConfigError, match="mft.layers"):
        resolve_layers(layers, 6)


def test_pooling_with_and_without_padding():
    states = tf.constant([[[2.0, 4.0], [4.0, 8.0], [9.0, 9.0]]])
    mask = tf.constant([[1, 1, 0]])
    np.testing.assert_allclose(pool_layer(states, mask, "real_tokens"), [[3.0, 6.0]])
    np.testing.assert_allclose(pool_layer(states, mask, "all_positions"), [[5.0, 7.0]])
    with pytest.raises(ValueError, match="Received: cls"):
        pool_layer(states, mask, "cls")


@pytest.mark.parametrize("shared", [False, True])
def test_classifier_of_each_layer_or_of_all(shared):
    classifier = CorruptedDomainClassifier(3, 4, num_layers=2, shared=shared)
    assert classifier.kernel.shape == ((1 if shared else 2), 4, 3)
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=classifier.kernel.shape), generator.normal(size=classifier.bias.shape)
    classifier.set_weights([kernel, bias])
    states = generator.normal(size=(5, 2, 4)).astype(np.float32)
    logits = classifier(tf.constant(states)).numpy()
    for layer in range(2):
        used = 0 if shared else layer
        np.testing.assert_allclose(logits[:, layer], states[:, layer] @ kernel[used] + bias[used], rtol=1e-5)


def test_domain_gradient_keeps_one_row_for_each_example():
    # The published code clips by the norm of these rows before repeated ones are added up.
    embedding = DomainEmbedding(3, 4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(embedding(tf.constant([1, 1, 0])))
    gradient = tape.gradient(loss, embedding.table)
    assert isinstance(gradient, tf.IndexedSlices)
    assert gradient.values.shape == (3, 4)
