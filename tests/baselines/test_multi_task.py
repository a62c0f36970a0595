import numpy as np
import pytest
import tensorflow as tf

from easymft.baselines.multi_task import MultiTaskClassifier


@pytest.fixture
def network(make_classifier):
    return MultiTaskClassifier(make_classifier(), num_domains=4, width=16, num_labels=3)


def test_each_example_is_read_by_its_own_domains_head(network, make_features):
    features = make_features()
    found = network(features)["logits"].numpy()
    assert len(set(features["domain"].numpy())) > 1
    for row, domain in enumerate(features["domain"].numpy()):
        network.classifier.set_head(*network.head_of(domain))
        np.testing.assert_allclose(found[row], network.classifier(features)["logits"][row], atol=1e-5)


def test_heads_begin_apart_and_learn_from_their_own_domain_alone(network, make_features):
    kernels = network.kernels.numpy()
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
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


def test_same_seed_same_heads(make_classifier):
    one, same, other = (
        MultiTaskClassifier(make_classifier(), num_domains=2, width=16, num_labels=3, seed=seed) for seed in (1, 1, 5)
    )
    np.testing.assert_array_equal(one.kernels, same.kernels)
    assert np.abs(one.kernels - other.kernels).max() > 0
