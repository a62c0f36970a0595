import threading

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easymft.modeling.fast_ops import add_and_normalize, normalizes_in_one
from easymft.training.inference import BatchInference


class Echo(tf_keras.Model):
    """Says what it was given, and how often its forward pass was traced."""

    traces = 0

    def call(self, features, training=None):
        self.traces += 1
        rows = tf.cast(features["index"], tf.float32)
        padded = tf.fill([tf.shape(rows)[0]], tf.shape(features["input_word_ids"])[1])
        return {"rows": rows * 2.0, "both": tf.stack([rows, -rows], 1), "padded": padded, "training": rows * 0.0}


def make_dataset(batches):
    """Batches (indexes, padded length)."""
    parts = [
        {"index": np.array(rows, np.int64), "input_word_ids": np.ones([len(rows), length], np.int32)}
        for rows, length in batches
    ]
    signature = {"index": tf.TensorSpec([None], tf.int64), "input_word_ids": tf.TensorSpec([None, None], tf.int32)}
    return tf.data.Dataset.from_generator(lambda: iter(parts), output_signature=signature)


@pytest.fixture
def one_device():
    return tf.distribute.OneDeviceStrategy("CPU:0")


@pytest.fixture(params=["one_device", "two_replicas"])
def strategy(request):
    return request.getfixturevalue(request.param)


BATCHES = [([4, 0, 6], 8), ([1, 5, 2, 3], 16), ([7], 24)]


def test_every_row_comes_once_with_its_outputs(strategy):
    """Also the last batch, of which the second replica has nothing."""
    with strategy.scope():
        network = Echo()
    found = list(BatchInference(network, ["both", "rows"], strategy)(make_dataset(BATCHES)))
    assert [index.tolist() for index, _ in found] == [rows for rows, _ in BATCHES]
    for index, outputs in found:
        assert list(outputs) == ["both", "rows"]
        assert index.dtype == np.int64 and outputs["both"].shape == (len(index), 2)
        np.testing.assert_array_equal(outputs["rows"], 2.0 * index)
        np.testing.assert_array_equal(outputs["both"][:, 1], -1.0 * index)


@pytest.mark.skipif(not normalizes_in_one(), reason="TensorFlow without oneDNN, or a GPU")
def test_it_normalizes_by_this_machines_kernels(one_device):
    class Normalizer(tf_keras.Model):
        ops = None

        def call(self, features, training=None):
            rows = tf.cast(features["input_word_ids"], tf.float32)
            width = tf.ones(tf.shape(rows)[1:])
            normal = add_and_normalize(None, rows, width, width, 1e-12)
            self.ops = {one.type for one in normal.graph.get_operations()}
            return {"normal": normal}

    network = Normalizer()
    [(_, outputs)] = BatchInference(network, ["normal"], one_device)(make_dataset([([4, 0], 8)]))
    np.testing.assert_allclose(outputs["normal"], np.ones((2, 8)))  # equal values, so that beta is left
    assert "FusedBatchNormV3" in network.ops


def test_it_is_traced_once(one_device):
    network = Echo()
    batches = [([0, 1], length) for length in range(8, 88, 8)] + [([2], 8)]
    inference = BatchInference(network, ["padded"], one_device)
    lengths = [outputs["padded"][0] for _, outputs in inference(make_dataset(batches))]
    assert lengths == [length for _, length in batches]
    assert list(inference(make_dataset([([3, 4, 5], 96)])))
    assert network.traces == 1


def test_two_batches_are_computed_side_by_side_and_come_in_order(one_device):
    meeting = threading.Barrier(2)

    def meet(rows):
        meeting.wait(timeout=20)
        return rows

    class Meeting(tf_keras.Model):
        def call(self, features, training=None):
            rows = tf.numpy_function(meet, [features["index"]], tf.int64)
            return {"rows": tf.ensure_shape(rows, [None])}

    dataset = make_dataset([([row], 8) for row in range(6)])
    found = list(BatchInference(Meeting(), ["rows"], one_device)(dataset))
    assert [index.tolist() for index, _ in found] == [outputs["rows"].tolist() for _, outputs in found]
    assert [index.tolist() for index, _ in found] == [[row] for row in range(6)]


def test_what_fails_in_a_batch_is_raised(one_device):
    class Failing(tf_keras.Model):
        def call(self, features, training=None):
            with tf.control_dependencies([tf.debugging.assert_less(features["index"], np.int64(3), "too large")]):
                return {"rows": tf.identity(features["index"])}

    batches = BatchInference(Failing(), ["rows"], one_device)(make_dataset([([row], 8) for row in range(6)]))
    assert [next(batches)[0].tolist() for _ in range(3)] == [[0], [1], [2]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        next(batches)


def test_batches_are_streamed(one_device):
    """Few batches are read before the first was taken."""
    made = []

    def generate():
        for number in range(1000):
            made.append(number)
            yield {"index": np.array([number], np.int64), "input_word_ids": np.ones([1, 4], np.int32)}

    signature = {"index": tf.TensorSpec([None], tf.int64), "input_word_ids": tf.TensorSpec([None, None], tf.int32)}
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    next(iter(BatchInference(Echo(), ["rows"], one_device)(dataset)))
    assert len(made) < 100


def test_a_classifier_without_dropout(make_classifier, make_features, strategy):
    with strategy.scope():
        classifier = make_classifier(dropout=0.5)
    features = make_features(count=7)
    expected = classifier(features, training=False)["logits"].numpy()
    dataset = tf.data.Dataset.from_tensor_slices(features | {"index": tf.range(7, dtype=tf.int64)}).batch(4)
    logits = np.zeros_like(expected)
    for index, outputs in BatchInference(classifier, ["logits"], strategy)(dataset):
        logits[index] = outputs["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    assert not np.allclose(classifier(features, training=True)["logits"], expected, atol=1e-3)
