import math

import numpy as np
import pytest
import tensorflow as tf


def losses_of(network, features, step=0):
    features = network.prepare(tf.constant(step), features)
    return network.compute_losses(features, network(features, training=True), network.counts(features))


def test_the_parts_add_up(make_finetuner, make_features):
    losses = losses_of(make_finetuner(domain_loss_weight=0.3), make_features())
    assert set(losses) == {"loss", "label_loss", "domain_loss", "domain_loss_layer_0", "domain_loss_layer_1"}
    by_layer = [float(losses["domain_loss_layer_0"]), float(losses["domain_loss_layer_1"])]
    assert float(losses["domain_loss"]) == pytest.approx(np.mean(by_layer))
    assert float(losses["loss"]) == pytest.approx(float(losses["label_loss"]) + 0.3 * np.mean(by_layer))


def test_typicality_weights_both_losses_in_the_paper_variant(make_finetuner, make_features):
    features = make_features()
    doubled = features | {"typicality": features["typicality"] * 2}
    network = make_finetuner()
    once, twice = losses_of(network, features), losses_of(network, doubled)
    for name in ("label_loss", "domain_loss"):
        assert float(twice[name]) == pytest.approx(2 * float(once[name]), rel=1e-5)


def test_published_code_leaves_the_domain_loss_unweighted(make_finetuner, make_features):
    features = make_features()
    network = make_finetuner(domain_weighting="none")
    once, twice = (
        losses_of(network, features),
        losses_of(network, features | {"typicality": features["typicality"] * 2}),
    )
    assert float(twice["domain_loss"]) == float(once["domain_loss"])
    assert float(twice["label_loss"]) == pytest.approx(2 * float(once["label_loss"]), rel=1e-5)


def test_weighting_none_ignores_typicality(make_finetuner, make_features):
    features = make_features()
    network = make_finetuner(weighting="none")
    without = {name: value for name, value in features.items() if name != "typicality"}
    assert float(losses_of(network, features)["loss"]) == float(losses_of(network, without)["loss"])


def test_without_typicality_a_weighting_network_stops(make_finetuner, make_features):
    features = make_features()
    del features["typicality"]
    with pytest.raises(KeyError, match="typicality"):
        losses_of(make_finetuner(), features)


def test_domain_logits_see_layer_states_and_the_true_domains_embedding(make_finetuner, make_features):
    network, features = make_finetuner(), make_features()
    outputs = network(features, training=True)
    table = network.domain_embedding.table.numpy()
    mask = features["input_mask"].numpy()[:, :, None]
    for place, layer in enumerate((0, 1)):
        states = outputs["encoder_outputs"][layer].numpy()
        pooled = (states * mask).sum(1) / mask.sum(1) + table[features["domain"].numpy()]
        kernel, bias = network.domain_classifier.kernel.numpy()[place], network.domain_classifier.bias.numpy()[place]
        np.testing.assert_allclose(outputs["domain_logits"][:, place], pooled @ kernel + bias, atol=1e-5)


def test_padding_enters_the_layer_mean_only_in_the_published_variant(make_finetuner, make_features):
    features = make_features()
    longer = dict(features)
    for name in ("input_word_ids", "input_mask", "input_type_ids"):
        longer[name] = tf.pad(features[name], [[0, 0], [0, 4]])
    for pooling, same in (("real_tokens", True), ("all_positions", False)):
        network = make_finetuner(layer_pooling=pooling)
        short, long = (network(f, training=True)["domain_logits"].numpy() for f in (features, longer))
        assert np.allclose(short, long, atol=1e-5) == same


def test_corrupted_targets_are_those_of_the_step(make_finetuner, make_features):
    network, features = make_finetuner(), make_features(count=64)
    first, second = (network.prepare(tf.constant(step), features)["corrupted_domain"].numpy() for step in (0, 1))
    assert first.shape == (64, 2)
    assert not (first == features["domain"].numpy()[:, None]).any()
    assert (first != second).any()


def test_lambda_zero_has_no_domain_part(make_finetuner, make_features):
    network, features = make_finetuner(domain_loss_weight=0.0), make_features()
    assert network.prepare(tf.constant(0), features) is features
    assert set(losses_of(network, features)) == {"loss", "label_loss"}
    assert not hasattr(network, "domain_embedding")


def test_domain_loss_does_not_move_the_label_logits_of_a_frozen_encoder(make_finetuner, make_features):
    features = make_features()
    logits = []
    for domain_loss_weight in (0.0, 5.0):
        network = make_finetuner(domain_loss_weight=domain_loss_weight)
        network.classifier.encoder.trainable = False
        for step in range(5):
            batch = network.prepare(tf.constant(step), features)
            with tf.GradientTape() as tape:
                loss = network.compute_losses(batch, network(batch, training=True), network.counts(batch))["loss"]
            for variable, gradient in zip(
                network.trainable_variables, tape.gradient(loss, network.trainable_variables), strict=True
            ):
                variable.assign_sub(0.5 * tf.convert_to_tensor(gradient))
        logits.append(network(features, training=False)["logits"].numpy())
    np.testing.assert_array_equal(*logits)


def test_two_domains_warn_of_the_flip(make_finetuner):
    with pytest.warns(UserWarning, match="deterministic flip"):
        make_finetuner(num_domains=2)


def test_first_domain_loss_is_near_the_uniform_guess(make_finetuner, make_features):
    losses = losses_of(make_finetuner(domain_weighting="none"), make_features(count=64))
    assert float(losses["domain_loss"]) == pytest.approx(math.log(4), abs=0.1)
