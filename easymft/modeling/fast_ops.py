"""The arithmetic of a transformer layer with few passes over memory; each gradient is written out.

Products take `dtype` (float32, bfloat16 or float16) in and out; sums over a row, the residual stream and all gradients
of variables are float32. Between matrix products the arithmetic is bound by memory, so that what counts is how often a
tensor is read: dropout masks are single random bytes, gradients of softmax and GELU reuse what the forward pass left,
and constant factors are left to the next kernel.
"""

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

RATE_STEPS = 256  # a dropout rate is rounded to so many parts, as a mask compares random bytes
GELU_SCALE = math.sqrt(0.5)  # of the error function's argument

_local_kernels = ContextVar("local_kernels", default=False)


@contextmanager
def local_kernels() -> Iterator[None]:
    """What is traced inside, and never trained, may use operations that only this machine's TensorFlow has."""
    token = _local_kernels.set(True)
    try:
        yield
    finally:
        _local_kernels.reset(token)


class Dropout:
    """Draws masks from random bytes.

    Args:
        rate: Share of the values to drop, in [0, 1); rounded to 1/256, at most 255/256.
        seed: [2] int32, of one step.

    Attributes:
        scale: What is kept must be multiplied by it, here or in the next linear layer's kernel.
    """

    def __init__(self, rate: float, seed: tf.Tensor):
        self._threshold = min(round(rate * RATE_STEPS), RATE_STEPS - 1)
        self.scale = RATE_STEPS / (RATE_STEPS - self._threshold)
        self._seed, self._draws = seed, 0

    def mask(self, shape: tf.Tensor, dtype: tf.DType) -> tf.Tensor | None:
        """Ones and zeros of `shape`, each time others; None where nothing is dropped."""
        if not self._threshold:
            return None
        self._draws += 1
        count = tf.reduce_prod(shape)
        seed = self._seed + [0, self._draws]
        words = tf.random.stateless_uniform([(count + 3) // 4], seed, minval=None, maxval=None, dtype=tf.int32)
        drawn = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count], shape)
        return tf.cast(drawn >= tf.constant(self._threshold, tf.uint8), dtype)


def linear(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Inputs [T, d] @ kernel [d, e] + bias [e], as `dtype`; the gradients have the arguments' types."""
    inputs_dtype = inputs.dtype

    @tf.custom_gradient
    def product(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, object]:
        inputs, kernel = tf.cast(inputs, dtype), tf.cast(kernel, dtype)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            upstream = tf.cast(upstream, dtype)
            to_inputs = tf.cast(tf.matmul(upstream, kernel, transpose_b=True), inputs_dtype)
            to_kernel = tf.cast(tf.matmul(inputs, upstream, transpose_a=True), tf.float32)
            return to_inputs, to_kernel, _sum_of_rows(upstream)

        return tf.nn.bias_add(tf.matmul(inputs, kernel), tf.cast(bias, dtype)), gradient

    return product(inputs, tf.convert_to_tensor(kernel), tf.convert_to_tensor(bias))


def _sum_of_rows(inputs: tf.Tensor) -> tf.Tensor:
    """[T, d] -> [d] float32."""
    if inputs.dtype == tf.bfloat16:  # as a product it is summed in float32 without a copy in float32
        ones = tf.reshape(tf.ones_like(inputs[:, 0]), [1, -1])
        return tf.cast(tf.reshape(tf.matmul(ones, inputs), [-1]), tf.float32)
    return tf.reduce_sum(tf.cast(inputs, tf.float32), 0)


def gelu(inputs: tf.Tensor, approximate: bool, fused: bool = False) -> tf.Tensor:
    """GELU in the type of `inputs`, by the error function or its tanh approximation.

    tf.nn.gelu takes erfc, which is several times slower than erf here, and which no graph rewriting knows.

    Args:
        inputs: Of any shape.
        approximate: By tanh.
        fused: The inputs are a product with its bias, and nothing else reads them: TensorFlow's graph rewriting makes
            one operation of all, in float32 inside. Where it does not, sums are rounded to the type of the inputs.
    """

    @tf.custom_gradient
    def activation(inputs: tf.Tensor) -> tuple[tf.Tensor, object]:
        if approximate:
            outputs = tf.nn.gelu(inputs, approximate)
        else:
            x = inputs if fused else tf.cast(inputs, tf.float32)
            # In this order it is what the rewriting looks for.
            outputs = (0.5 * x) * (1.0 + tf.math.erf(x * tf.constant(math.sqrt(0.5), x.dtype)))
        return tf.cast(outputs, inputs.dtype), lambda upstream: upstream * _gelu_slope(inputs, approximate)

    return activation(inputs)


def gelu_to_train(inputs: tf.Tensor) -> tf.Tensor:
    """GELU(inputs / GELU_SCALE) / GELU_SCALE by the error function, in the type of `inputs`.

    The layers before and after have the factors, so that these cost nothing. The slope is computed with the function,
    from the same error function, and kept in the inputs' place.
    """

    @tf.custom_gradient
    def activation(inputs: tf.Tensor) -> tuple[tf.Tensor, object]:
        x = tf.cast(inputs, tf.float32)
        twice = 1.0 + tf.math.erf(x)  # the normal distribution up to x / GELU_SCALE
        slope = tf.cast(twice + x * tf.exp(math.log(2.0 / math.sqrt(math.pi)) - x * x), inputs.dtype)
        return tf.cast(x * twice, inputs.dtype), lambda upstream: upstream * slope

    return activation(inputs)


def _gelu_slope(inputs: tf.Tensor, approximate: bool) -> tf.Tensor:
    x = tf.cast(inputs, tf.float32)
    square = x * x
    if approximate:
        scale = math.sqrt(2.0 / math.pi)
        tanh = tf.tanh(scale * x * (1.0 + 0.044715 * square))
        slope = 0.5 * (1.0 + tanh) + (0.5 * scale) * x * (1.0 - tanh * tanh) * (1.0 + (3 * 0.044715) * square)
    else:
        density = tf.exp(-0.5 * square) * (1.0 / math.sqrt(2.0 * math.pi))
        slope = (0.5 + 0.5 * tf.math.erf(x * math.sqrt(0.5))) + x * density
    return tf.cast(slope, inputs.dtype)


def add_and_normalize(
    residual: tf.Tensor | None,
    inputs: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    epsilon: float,
    dropout: Dropout | None = None,
) -> tf.Tensor:
    """Layer normalisation of residual + dropout(inputs), in float32; inputs must bring the dropout's scale.

    Args:
        residual: [T, d] float32; None for 0.
        inputs: [T, d] of any float type.
        gamma: [d], of the normalisation.
        beta: [d] likewise.
        epsilon: Added to the variance.
        dropout: None for none.
    """
    mask = None if dropout is None else dropout.mask(tf.shape(inputs), inputs.dtype)

    @tf.custom_gradient
    def normalize(total: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, object]:
        centered = total - tf.reduce_mean(total, -1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centered), -1, keepdims=True) + epsilon)
        normal = centered * inverse

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            along = upstream * normal
            scaled = upstream * gamma
            slope = tf.reduce_mean(scaled * normal, -1, keepdims=True)
            to_total = inverse * (scaled - tf.reduce_mean(scaled, -1, keepdims=True) - normal * slope)
            return to_total, tf.reduce_sum(along, 0), tf.reduce_sum(upstream, 0)

        return normal * gamma + beta, gradient

    inputs = tf.cast(inputs if mask is None else inputs * mask, tf.float32)
    total = inputs if residual is None else residual + inputs
    if _local_kernels.get() and normalizes_in_one():
        return normalize_in_one(total, gamma, beta, epsilon)
    return normalize(total, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def normalize_in_one(inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Layer normalisation of [T, d] float32, without a gradient.

    TensorFlow's oneDNN graph rewriting makes one operation of this, and of nothing else that says the same: a batch
    normalisation in which the rows are the channels. Without oneDNN the CPU has no such batch normalisation.
    """
    shape, none = tf.shape(inputs), tf.constant([])
    normal = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(inputs, [1, shape[0], shape[1], 1]),
        scale=tf.fill(shape[:1], 1.0),
        offset=tf.fill(shape[:1], 0.0),
        mean=none,
        variance=none,
        epsilon=epsilon,
        data_format="NCHW",
        is_training=True,
    ).y
    return tf.reshape(normal, shape) * gamma + beta


@functools.cache
def normalizes_in_one() -> bool:
    """Whether this machine can compute `normalize_in_one`: on a CPU, with oneDNN."""
    if tf.config.list_physical_devices("GPU"):
        return False
    try:
        with tf.init_scope():
            ones = tf.ones([3, 4])
            tf.function(normalize_in_one)(ones, ones[0], ones[0], 1e-12)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return False
    return True


def attend(
    queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, mask: tf.Tensor, dropout: Dropout | None = None
) -> tf.Tensor:
    """Softmax attention.

    Args:
        queries: [b, heads, L, width], scaled already.
        keys: [b, heads, L, width].
        values: [b, heads, L, width].
        mask: [b, L], 1 for real tokens.
        dropout: On the attention probabilities; None for none.

    Returns:
        [b, heads, L, width], not multiplied by the dropout's scale.
    """
    dtype = queries.dtype
    least = -3e4 if dtype == tf.float16 else -1e9
    unseen = (1.0 - tf.cast(mask, dtype))[:, None, None, :] * tf.constant(least, dtype)
    shape = tf.stack([*tf.unstack(tf.shape(queries))[:3], tf.shape(keys)[2]])
    kept = None if dropout is None else dropout.mask(shape, dtype)

    @tf.custom_gradient
    def attention(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, object]:
        shares = tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True) + unseen)
        used = shares if kept is None else shares * kept
        outputs = tf.matmul(used, values)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # What softmax takes off each row, sum_j share_j * gradient_j, is outputs . upstream, which is far smaller.
            taken = tf.reduce_sum(tf.cast(upstream, tf.float32) * tf.cast(outputs, tf.float32), -1, keepdims=True)
            to_shares = tf.matmul(upstream, values, transpose_b=True)
            to_shares = to_shares if kept is None else to_shares * kept
            to_scores = shares * (to_shares - tf.cast(taken, dtype))
            return (
                tf.matmul(to_scores, keys),
                tf.matmul(to_scores, queries, transpose_a=True),
                tf.matmul(used, upstream, transpose_a=True),
            )

        return outputs, gradient

    return attention(queries, keys, values)
