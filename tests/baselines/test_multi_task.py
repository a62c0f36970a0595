import numpy as np
import pytest
import tensorflow as tf

from easymft.baselines.multi_task import MultiTaskClassifier


@pytest.fixture
def network(make_classifier):
    return MultiTaskClassifier(make_classifier(), num_domains=4)


def test_each_example_is_read_by_its_own_domains_head(network, make_features):
    features = make_features()
    network.kernels.assign(tf.random.stateless_normal([4, 16, 3], [1, 2]))
    network.biases.assign(tf.random.stateless_normal([4, 3], [3, 4]))
    found = network(features)["logits"].numpy()
    assert len(set(features["domain"].numpy())) > 1
    for row, domain in enumerate(features["domain"].numpy()):
        network.classifier.set_head(*network.head_of(domain))
        np.testing.assert_allclose(found[row], network.classifier(features)["logits"][row], atol=1e-5)


def test_heads_begin_as_the_classifiers_and_learn_from_their_own_domain_alone(network, make_features):
    for domain in range(4):
        for found, begun in zip(network.head_of(domain), network.classifier.head.get_weights(), strict=True):
            np.testing.assert_array_equal(found, begun)
    features = make_features() | {"domain": tf.ones([8], tf.int32)}
    with tf.GradientTape() as tape:
        losses = network.compute_losses(features, network(features, training=True), network.counts(features))
    gradient = tf.convert_to_tensor(tape.gradient(losses["loss"], network.kernels)).numpy()
    assert [bool(np.abs(one).max() > 0) for one in gradient] == [False, True, False, False]


def test_with_equal_heads_the_loss_is_the_classifiers(network, make_features):
    features = make_features()
    kernel, bias = network.classifier.head.get_weights()
    network.kernels.assign(np.stack([kernel] * 4))
    network.biases.assign(np.stack([bias] * 4))
    counts = network.counts(features)
    mine = network.compute_losses(features, network(features, training=True), counts)["loss"]
    plain = network.classifier.compute_losses(features, network.classifier(features, training=True), counts)["loss"]
    assert float(mine) == pytest.approx(float(plain), rel=1e-6)
