import numpy as np
import pytest
import tensorflow as tf


@pytest.mark.parametrize("pooling", ["pooled", "token_mean"])
def test_the_head_reads_the_texts_embedding(make_classifier, make_features, pooling):
    classifier, features = make_classifier(pooling=pooling), make_features()
    inputs = {name: features[name] for name in ("input_word_ids", "input_mask", "input_type_ids")}
    encoded = classifier.encoder(inputs)
    if pooling == "pooled":
        expected = encoded["pooled_output"].numpy()
    else:
        states, mask = encoded["sequence_output"].numpy(), features["input_mask"].numpy()
        expected = np.stack([row[real == 1].mean(0) for row, real in zip(states, mask, strict=True)])
    outputs = classifier(features)
    np.testing.assert_allclose(outputs["text_embedding"], expected, atol=1e-6)
    np.testing.assert_allclose(outputs["logits"], expected @ classifier.head.kernel + classifier.head.bias, atol=1e-6)


@pytest.mark.parametrize(("pooling", "reads_tokens"), [("pooled", False), ("token_mean", True)])
def test_the_last_layer_is_computed_only_where_it_is_read(make_classifier, make_features, pooling, reads_tokens):
    classifier, features = make_classifier(pooling=pooling), make_features()
    assert ("sequence_output" in classifier(features)) == reads_tokens
    assert "sequence_output" in classifier(features, last_layer=True)


def test_the_embedding_is_dropped_from_in_training(make_classifier, make_features):
    classifier = make_classifier(pooling="token_mean")
    classifier.dropout.rate = 0.5
    outputs = classifier(make_features(), training=True)
    whole = outputs["text_embedding"] @ classifier.head.kernel + classifier.head.bias
    assert tf.reduce_max(tf.abs(outputs["logits"] - whole)) > 1e-3
