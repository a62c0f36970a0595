import numpy as np
import pytest
import tensorflow as tf

from easymft.modeling import fast_ops
from easymft.modeling.fast_ops import add_and_normalize, local_kernels, normalizes_in_one


@pytest.fixture
def arguments():
    draw = np.random.default_rng(0)
    residual, inputs = (tf.constant(draw.normal(3, 5, (7, 24)), tf.float32) for _ in range(2))
    gamma, beta = (tf.constant(draw.normal(1, 1, 24), tf.float32) for _ in range(2))
    return residual, inputs, gamma, beta, 1e-12


def trace(arguments):
    """The normalisation of 7 rows, traced for any number, and its operations."""
    spec = tf.TensorSpec([None, 24])
    function = tf.function(lambda residual, inputs: add_and_normalize(residual, inputs, *arguments[2:]))
    concrete = function.get_concrete_function(spec, spec)
    return concrete(*arguments[:2]).numpy(), {one.type for one in concrete.graph.get_operations()}


@pytest.mark.skipif(not normalizes_in_one(), reason="TensorFlow without oneDNN, or a GPU")
def test_local_kernels_normalize_alike(arguments):
    plain, plain_ops = trace(arguments)
    with local_kernels():
        local, local_ops = trace(arguments)
    np.testing.assert_allclose(local, plain, atol=1e-5)
    assert "FusedBatchNormV3" in local_ops and "FusedBatchNormV3" not in plain_ops
    assert "FusedBatchNormV3" not in trace(arguments)[1]


def test_local_kernels_are_not_used_where_the_machine_has_none(arguments, monkeypatch):
    monkeypatch.setattr(fast_ops, "normalizes_in_one", lambda: False)
    with local_kernels():
        assert "FusedBatchNormV3" not in trace(arguments)[1]


def test_a_machine_that_cannot_normalize_in_one_says_so(monkeypatch):
    def fail(*arguments):
        raise tf.errors.InvalidArgumentError(None, None, "The CPU implementation only supports NHWC")

    monkeypatch.setattr(fast_ops, "normalize_in_one", fail)
    assert not fast_ops.normalizes_in_one.__wrapped__()


def test_a_rate_close_to_1_leaves_something():
    dropout = fast_ops.Dropout(0.999, tf.constant([1, 2]))
    kept = dropout.mask(tf.constant([100_000]), tf.float32).numpy().mean()
    assert dropout.scale == 256 and abs(kept - 1 / 256) < 1e-3
