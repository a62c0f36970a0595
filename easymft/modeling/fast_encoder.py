"""Model Garden's BERT encoder, computed faster: the same variables and checkpoints, the same function."""

import math
from typing import Any

import tensorflow as tf
from official.nlp.modeling.networks import BertEncoderV2

from easymft.modeling.encoder_config import LAYER_NORM_EPSILON
from easymft.modeling.fast_ops import GELU_SCALE, Dropout, add_and_normalize, attend, gelu, gelu_to_train, linear
from easymft.modeling.packing import TokenPacking


class FastBertEncoder(BertEncoderV2):
    """A BertEncoderV2 that computes only real tokens, with few passes over memory, its products in the type of choice.

    In float32 its outputs are Model Garden's up to rounding (1e-5); `fast = False` goes back to Model Garden's code.

    Args:
        compute_dtype_name: Of matrix products and what passes between them; variables, sums over rows, the residual
            stream and all outputs are float32.
        pack_tokens: Leave padding out; outputs are 0 there. False where somebody reads padded positions.
        approximate_gelu: GELU by tanh.
        arguments: BertEncoderV2's.
    """

    def __init__(
        self, compute_dtype_name: str = "float32", pack_tokens: bool = True, approximate_gelu: bool = False, **arguments
    ):
        super().__init__(**arguments)
        self.fast = True
        self._products = tf.as_dtype(compute_dtype_name)
        self._pack_tokens, self._approximate_gelu = pack_tokens, approximate_gelu
        self._rates = arguments["output_dropout"], arguments["attention_dropout"]
        self._on_cpu = not tf.config.list_physical_devices("GPU")
        self.recompute = False  # layers in the backward pass, in place of keeping what is between their operations

    def call(
        self, inputs: dict[str, tf.Tensor], training: bool | None = None, last_layer: bool = True
    ) -> dict[str, Any]:
        """BertEncoderV2's outputs: "sequence_output" [b, L, d], "pooled_output" [b, d], "encoder_outputs".

        Args:
            inputs: "input_word_ids", "input_mask", "input_type_ids", int32 [b, L]; the first token of a row is real.
                With one type of token alone, types do not count.
            training: Whether dropout is on.
            last_layer: False: only "pooled_output" and the "encoder_outputs" before the last are wanted. The last layer
                then computes nothing but each row's first token, all that the pooler reads of it.
        """
        if self._type_embedding_layer.vocab_size == 1:  # no vector for the second text: both are of type 0
            inputs = {**inputs, "input_type_ids": tf.zeros_like(inputs["input_type_ids"])}
        if not self.fast:
            return super().call(inputs)
        packing = TokenPacking(inputs["input_mask"], self._pack_tokens)
        seed = self._draw_seed() if training else None
        states = self._embed(inputs, packing, self._make_dropouts(seed, 0)[0])
        layers = []
        for number, layer in enumerate(self._transformer_layers, start=1):

            first_only = number == len(self._transformer_layers) and not last_layer

            def run(
                states: tf.Tensor, number: int = number, layer: Any = layer, first_only: bool = first_only
            ) -> tf.Tensor:
                dropouts = self._make_dropouts(seed, number)
                return self._run_layer(layer, states, inputs["input_mask"], packing, *dropouts, first_only)

            states = (tf.recompute_grad(run) if self.recompute and training else run)(states)
            layers.append(states)
        first = packing.first_tokens(states) if last_layer else layers.pop()
        padded = [tf.reshape(packing.unpack(layer), [*tf.unstack(packing.shape), layer.shape[-1]]) for layer in layers]
        outputs = {"pooled_output": self._pooler_layer(first), "encoder_outputs": padded}
        return outputs | {"sequence_output": padded[-1]} if last_layer else outputs

    def _draw_seed(self) -> tf.Tensor:
        # The generator of Model Garden's own dropout, so that its state is kept where theirs would be.
        seed = self._embedding_dropout._random_generator.make_seed_for_stateless_op()
        if seed is None:  # Keras was not told to draw from generators
            seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        return tf.bitcast(tf.cast(seed, tf.int64), tf.int32)[:, 0]

    def _make_dropouts(self, seed: tf.Tensor | None, layer: int) -> tuple[Dropout | None, Dropout | None]:
        # A function of seed and layer, so that a layer that is computed twice drops the same both times.
        if seed is None:
            return None, None
        hidden, attention = self._rates
        return Dropout(hidden, seed + [2 * layer, 0]), Dropout(attention, seed + [2 * layer + 1, 0])

    def _embed(self, inputs: dict[str, tf.Tensor], packing: TokenPacking, dropout: Dropout | None) -> tf.Tensor:
        # The two short tables as products: their gradients are small dense tensors, as Model Garden's are.
        length = packing.shape[1]
        positions = self._position_embedding_layer._position_embeddings[:length]
        types = self._type_embedding_layer.embeddings
        total = tf.gather(self._embedding_layer.embeddings, packing.pack(inputs["input_word_ids"]))
        total += tf.matmul(tf.one_hot(packing.positions, length), positions)
        total += tf.matmul(tf.one_hot(packing.pack(inputs["input_type_ids"]), types.shape[0]), types)
        norm, scale = self._embedding_norm_layer, _scale(dropout)
        gamma, beta = _times(norm.gamma, scale), _times(norm.beta, scale)
        states = add_and_normalize(None, total, gamma, beta, LAYER_NORM_EPSILON)
        mask = None if dropout is None else dropout.mask(tf.shape(states), tf.float32)
        return states if mask is None else states * mask

    def _run_layer(
        self,
        layer: Any,
        states: tf.Tensor,
        mask: tf.Tensor,
        packing: TokenPacking,
        hidden_dropout: Dropout | None,
        attention_dropout: Dropout | None,
        first_only: bool,
    ) -> tf.Tensor:
        output = layer._attention_layer._output_dense
        width = states.shape[-1]
        attended = self._attend(layer._attention_layer, states, mask, packing, attention_dropout, first_only)
        states = packing.first_tokens(states) if first_only else states
        scale = _scale(hidden_dropout)  # on the weights rather than on every token
        kernel = _times(tf.reshape(output.kernel, [width, width]), _scale(attention_dropout) * scale)
        attended = linear(attended, kernel, _times(output.bias, scale), self._products)
        states = self._normalize(layer._attention_layer_norm, states, attended, hidden_dropout)
        inner, outer = layer._intermediate_dense, layer._output_dense
        training = hidden_dropout is not None
        part = GELU_SCALE if training and not self._approximate_gelu else 1.0
        inner = linear(states, _times(inner.kernel, part), _times(inner.bias, part), self._products)
        if part == 1.0:
            inner = gelu(inner, self._approximate_gelu, fused=self._on_cpu and not training)
        else:
            inner = gelu_to_train(inner)
        outer = linear(inner, _times(outer.kernel, part * scale), _times(outer.bias, scale), self._products)
        return self._normalize(layer._output_layer_norm, states, outer, hidden_dropout)

    def _attend(
        self,
        attention: Any,
        states: tf.Tensor,
        mask: tf.Tensor,
        packing: TokenPacking,
        dropout: Dropout | None,
        first_only: bool,
    ) -> tf.Tensor:
        width, heads, head_width = attention._query_dense.kernel.shape
        dense = (attention._query_dense, attention._key_dense, attention._value_dense)
        kernels = [tf.reshape(one.kernel, [width, width]) for one in dense]
        biases = [tf.reshape(one.bias, [width]) for one in dense]
        scale = 1.0 / math.sqrt(head_width)  # on the weights rather than on every token's query
        kernels[0], biases[0] = kernels[0] * scale, biases[0] * scale
        apart = int(first_only)  # the queries, of which there are fewer
        projected = linear(states, tf.concat(kernels[apart:], 1), tf.concat(biases[apart:], 0), self._products)
        projected = packing.unpack(projected, blank=False)
        projected = tf.reshape(projected, [*tf.unstack(packing.shape), 3 - apart, heads, head_width])
        projected = tf.unstack(tf.transpose(projected, [2, 0, 3, 1, 4]))
        if first_only:
            queries = linear(packing.first_tokens(states), kernels[0], biases[0], self._products)
            attended = attend(tf.reshape(queries, [-1, heads, 1, head_width]), *projected, mask, dropout)
            return tf.reshape(attended, [-1, width])
        attended = attend(*projected, mask, dropout)
        return packing.pack(tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [-1, width]))

    def _normalize(
        self, norm: Any, residual: tf.Tensor | None, inputs: tf.Tensor, dropout: Dropout | None = None
    ) -> tf.Tensor:
        return add_and_normalize(residual, inputs, norm.gamma, norm.beta, LAYER_NORM_EPSILON, dropout)


def _scale(dropout: Dropout | None) -> float:
    return 1.0 if dropout is None else dropout.scale


def _times(weights: tf.Tensor | tf.Variable, factor: float) -> tf.Tensor | tf.Variable:
    return weights if factor == 1.0 else weights * factor
