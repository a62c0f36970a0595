"""Finding tokens whole in texts, such as [SEP] or an added <user>, inside the TensorFlow graph."""

from collections.abc import Mapping

import tensorflow as tf

MARK = "\ue000"  # of the private-use characters, which BERT's tokenizer removes, so that no text holds it


class WholeTokens(tf.Module):
    """Puts one character in the place of each token that a text holds.

    Where tokens overlap, the first one counts, and of those that begin at one place the longest, as in Hugging Face's
    `tokenizers`.
    """

    def __init__(self, characters: Mapping[str, str], name: str):
        """Builds the lookup table.

        Args:
            characters: The character that takes the place of each token; at least one.
            name: The name of the module.
        """
        super().__init__(name=name)
        # RE2 takes the first alternative that fits; so the longest stand first.
        longest_first = sorted(characters, key=len, reverse=True)
        self._pattern = "(" + "|".join(_literal(token) for token in longest_first) + ")"
        keys, values = tf.constant(list(characters)), tf.constant(list(characters.values()))
        self._table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value="")

    def replace(self, text: tf.Tensor) -> tf.Tensor:
        """Returns [n] texts in which each token is its character.

        Args:
            text: [n] string, without `MARK`.
        """
        parts = tf.strings.split(tf.strings.regex_replace(text, self._pattern, rf"{MARK}\1{MARK}"), MARK)
        places = tf.ragged.range(parts.row_lengths()).flat_values
        # Between two marks, at the odd places, stands a token.
        found = tf.where(places % 2 == 1, self._table.lookup(parts.flat_values), parts.flat_values)
        return tf.strings.reduce_join(parts.with_flat_values(found), axis=-1)


def _literal(token: str) -> str:
    return "".join(rf"\x{{{ord(character):X}}}" for character in token)
