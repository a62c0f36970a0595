import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from easymft.errors import ExportError


def test_labels_must_fit_the_classifier(single_model):
    with pytest.raises(ExportError, match=r"2 labels \(a, b\) for a classifier of 3 classes"):
        dataclasses.replace(single_model, labels=("a", "b"))


@pytest.mark.parametrize("label", ["", "a\nb", "a\r"])
def test_a_label_must_be_a_line(single_model, label):
    with pytest.raises(ExportError, match="expected one line of labels.txt"):
        dataclasses.replace(single_model, labels=("a", "b", label))


def test_embedding_must_be_known(single_model):
    with pytest.raises(ExportError, match="expected token_mean, pooled or None, got 'max'"):
        dataclasses.replace(single_model, embedding="max")


def test_token_mean_is_over_real_tokens(single_model):
    features = single_model.featurize(tf.constant(["good", "a really good book , we love it"]))
    states = single_model.classifier(features, last_layer=True)["sequence_output"].numpy()
    mask = features["input_mask"].numpy()
    assert mask[0].sum() == 3 < mask.shape[1]
    expected = [states[0, :3].mean(0), states[1, mask[1] == 1].mean(0)]
    np.testing.assert_allclose(single_model.embed(features)["embedding"], expected, atol=1e-6)


def test_pooled_embedding(single_model):
    features = single_model.featurize(tf.constant(["good"]))
    pooled = dataclasses.replace(single_model, embedding="pooled")
    expected = single_model.classifier(features)["pooled_output"]
    np.testing.assert_array_equal(pooled.embed(features)["embedding"], expected)


def test_padding_is_that_of_the_run(single_model, pair_model):
    texts = tf.constant(["good"])
    assert single_model.featurize(texts)["input_word_ids"].shape == [1, 3]
    assert pair_model.featurize(texts, texts)["input_word_ids"].shape == [1, 12]


def test_traced_graphs_have_no_dropout(single_model):
    for function in single_model.trace().values():
        types = {operation.type for operation in function.graph.get_operations()}
        assert not [name for name in types if "Random" in name]


def test_embeddings_signature_is_optional(single_model):
    assert set(dataclasses.replace(single_model, embedding=None).trace()) == {"serving_default", "token_ids"}
