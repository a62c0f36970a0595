"""Real tokens without the padding between them: what a position-wise layer has to compute, and nothing else."""

import tensorflow as tf


class TokenPacking:
    """Moves between padded rows [b, L] and their T real tokens in one list, in the order of rows and positions.

    Both ways are gathers, and so are their gradients, since every real token has one place in each.

    Args:
        mask: [b, L] int32, 1 for real tokens.
        pack: False: padding counts as real, so that T = b * L and every position is computed.

    Attributes:
        tokens: [T] int32, the packed tokens' places among the b * L.
        places: [b * L] int32, each place's packed token; any for padding.
    """

    def __init__(self, mask: tf.Tensor, pack: bool = True):
        self.shape = tf.shape(mask)
        self._real = None
        everything = tf.range(self.shape[0] * self.shape[1])
        if pack:
            self._real = tf.reshape(mask, [-1])
            self.tokens = tf.cast(tf.where(self._real > 0)[:, 0], tf.int32)
            self.places = tf.maximum(tf.cumsum(self._real) - 1, 0) * self._real
        else:
            self.tokens = self.places = everything

    @property
    def positions(self) -> tf.Tensor:
        """[T] int32, the tokens' positions in their rows."""
        return self.tokens % self.shape[1]

    def pack(self, rows: tf.Tensor) -> tf.Tensor:
        """[b * L, ...] or [b, L] -> [T, ...]; the gradient of padding is 0."""
        if rows.dtype.is_integer:
            return tf.gather(tf.reshape(rows, [-1]), self.tokens)
        return self._move(rows, self.tokens, lambda gradient: self._blank(tf.gather(gradient, self.places)))

    def unpack(self, tokens: tf.Tensor, blank: bool = True) -> tf.Tensor:
        """[T, d] -> [b * L, d]; padding is 0, or with `blank` False some token's value, for a reader that masks it."""
        rows = self._move(tokens, self.places, lambda gradient: tf.gather(gradient, self.tokens))
        return self._blank(rows) if blank else rows

    def first_tokens(self, tokens: tf.Tensor) -> tf.Tensor:
        """[T, d] -> [b, d], of each row's first token, which is real."""
        return tf.gather(tokens, tf.gather(self.places, tf.range(self.shape[0]) * self.shape[1]))

    def _move(self, values: tf.Tensor, indexes: tf.Tensor, gradient: object) -> tf.Tensor:
        if self._real is None:
            return values

        @tf.custom_gradient
        def move(values: tf.Tensor) -> tuple[tf.Tensor, object]:
            return tf.gather(values, indexes), gradient

        return move(values)

    def _blank(self, rows: tf.Tensor) -> tf.Tensor:
        return rows if self._real is None else rows * tf.cast(self._real, rows.dtype)[:, None]
