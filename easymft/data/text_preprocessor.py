"""Texts to BERT's token ids, inside the TensorFlow graph, with only the ops that a released TF Serving knows."""

import tensorflow as tf
from tensorflow_text import WordpieceTokenizer, normalize_utf8

from easymft.data.vocabulary import Vocabulary
from easymft.data.whole_tokens import WholeTokens
from easymft.errors import CheckpointError

MAX_CHARACTERS_PER_WORD = 100

# Character classes as in Hugging Face's BertNormalizer (Unicode 8). Private-use characters are among the removed ones,
# so they are free to stand for whole tokens; U+E001 to U+E3FF do (and U+E000 marks them), and are spared here.
_REMOVED = (
    r"[\x{0}-\x{8}\x{B}\x{C}\x{E}-\x{1F}\x{7F}-\x{9F}\x{AD}\x{600}-\x{605}\x{61C}\x{6DD}\x{70F}\x{180E}"
    r"\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{2066}-\x{206F}\x{E400}-\x{F8FF}\x{FEFF}\x{FFF9}-\x{FFFB}"
    r"\x{FFFD}\x{110BD}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}\x{E0001}\x{E0020}-\x{E007F}"
    r"\x{F0000}-\x{FFFFD}\x{100000}-\x{10FFFD}]+"
)
_PLACEHOLDERS = r"\x{E000}-\x{E3FF}"
_FIRST_PLACEHOLDER = 0xE001  # of MAX_WHOLE_TOKENS, up to U+E3FF
_REMOVED_CHARACTER = "\uf8ff"
_WHITE_SPACE = r"[\t\n\r\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"
_CJK = (
    r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B81F}\x{2B920}-\x{2CEAF}"
    r"\x{2F800}-\x{2FA1F}"
)
_PUNCTUATION = r"!-/:-@\[-`{-~\p{P}"
# The capitals whose small letters depend on the language (Turkish, Lithuanian), with those that BERT takes.
_CAPITALS = {"\u0130": "i\u0307", "\u00cc": "\u00ec", "\u00cd": "\u00ed", "\u0128": "\u0129", "\u012e": "\u012f"}


class TextPreprocessor(tf.Module):
    """Tokenises single texts or pairs as Hugging Face's BERT tokenizer does (`tokenizers`, "longest_first").

    Special and added tokens written in a text, such as `[SEP]`, become their ids, as there. Differences that remain:
    accents and punctuation that Unicode added after version 8 are recognised here and not there, and letters in pairs
    of case that it added lately may be lower-cased there only. Bytes that are no UTF-8 become one or more [UNK].

    An instance can be traced and saved as part of a SavedModel. tensorflow-text ops used: NormalizeUTF8 and
    WordpieceTokenizeWithOffsets.
    """

    def __init__(self, vocabulary: Vocabulary, max_sequence_length: int, truncation_tie: str = "first"):
        """Builds the lookup table.

        Args:
            vocabulary: The tokens, and whether to lower-case.
            max_sequence_length: Tokens that a row has at most, [CLS] and [SEP] included; at least 4.
            truncation_tie: Who loses a token where both texts of a pair are equally long and one has to go. "second":
                the second, always, as EasyTransfer does. "first": as Hugging Face does, that is the text that was
                shorter to begin with, and the first where they were equal.

        Raises:
            ValueError: `max_sequence_length` or `truncation_tie` is none of these.
            CheckpointError: Two added tokens are the same in normalised texts.
        """
        super().__init__(name="text_preprocessor")
        if max_sequence_length < 4:
            raise ValueError(f"max_sequence_length must be at least 4. Received: {max_sequence_length}")
        if truncation_tie not in ("first", "second"):
            raise ValueError(f"truncation_tie must be 'first' or 'second'. Received: {truncation_tie!r}")
        self.vocabulary = vocabulary
        self.max_sequence_length = max_sequence_length
        self.truncation_tie = truncation_tie
        self._isolated = rf"([{_PUNCTUATION}{_PLACEHOLDERS}{_CJK if vocabulary.tokenize_chinese_chars else ''}])"
        characters = {
            token.content: chr(_FIRST_PLACEHOLDER + place) for place, token in enumerate(vocabulary.whole_tokens)
        }
        self._unknown = characters["[UNK]"]
        self._raw_tokens, self._normalized_tokens = self._whole_tokens(characters)
        # Of a token that stands twice the last place counts.
        ids = {token: place for place, token in enumerate(vocabulary.wordpiece_tokens) if token}
        ids |= {character: vocabulary.ids[token] for token, character in characters.items()}
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(list(ids)), tf.constant(list(ids.values()), tf.int64)),
            default_value=-1,
        )
        self._wordpiece = WordpieceTokenizer(
            self._table, token_out_type=tf.int32, max_bytes_per_word=4 * MAX_CHARACTERS_PER_WORD
        )

    def tokenize(self, text: tf.Tensor, text_pair: tf.Tensor | None = None) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
        """Returns the ids of `[CLS] text [SEP]` or `[CLS] text [SEP] text_pair [SEP]`, cut to the maximum length.

        Args:
            text: [n] string.
            text_pair: [n] string.

        Returns:
            Token ids and type ids (0 up to the first [SEP], 1 after it), both [n, None] int32.
        """
        cls_id, sep_id = self.vocabulary.ids["[CLS]"], self.vocabulary.ids["[SEP]"]
        text = tf.convert_to_tensor(text, tf.string)
        if text_pair is None:
            ids = self._pieces(text, self.max_sequence_length - 2)[:, : self.max_sequence_length - 2]
            segments = [ids]
        else:
            first, second = self._pieces(text), self._pieces(tf.convert_to_tensor(text_pair, tf.string))
            kept = longest_first_lengths(
                first.row_lengths(), second.row_lengths(), self.max_sequence_length - 3, self.truncation_tie
            )
            segments = [_cut(first, kept[0]), _cut(second, kept[1])]
        column = tf.ones([tf.shape(text)[0], 1], tf.int32)
        parts, types = [column * cls_id], [column * 0]
        for number, segment in enumerate(segments):
            parts += [segment, column * sep_id]
            types += [segment * 0 + number, column * number]
        return tf.concat(parts, axis=1), tf.concat(types, axis=1)

    def __call__(
        self, text: tf.Tensor, text_pair: tf.Tensor | None = None, length: int | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns an encoder's inputs.

        Args:
            text: [n] string.
            text_pair: [n] string.
            length: Pad to this many tokens, at least `max_sequence_length`. None: to the longest row.

        Returns:
            `input_word_ids`, `input_mask` (1 on real tokens) and `input_type_ids`, each [n, L] int32.

        Raises:
            ValueError: `length` would cut rows.
        """
        if length is not None and length < self.max_sequence_length:
            raise ValueError(
                f"length must be at least max_sequence_length, {self.max_sequence_length}. Received: {length}"
            )
        ids, types = self.tokenize(text, text_pair)
        pad_id = self.vocabulary.ids["[PAD]"]
        return {
            "input_word_ids": ids.to_tensor(pad_id, shape=[None, length]),
            "input_mask": tf.ones_like(ids).to_tensor(0, shape=[None, length]),
            "input_type_ids": types.to_tensor(0, shape=[None, length]),
        }

    def _whole_tokens(self, characters: dict[str, str]) -> tuple[WholeTokens | None, WholeTokens | None]:
        """Returns what finds the whole tokens in the text as it is, and in the normalised text."""
        tokens = self.vocabulary.whole_tokens
        raw = {token.content: characters[token.content] for token in tokens if not token.normalized}
        late = [token.content for token in tokens if token.normalized]
        normalized: dict[str, str] = {}
        if late:
            with tf.init_scope():
                contents = [content.decode() for content in self._normalize(tf.constant(late)).numpy()]
            for token, content in zip(late, contents, strict=True):
                if content in normalized:
                    raise CheckpointError(
                        f"The added tokens {late[contents.index(content)]!r} and {token!r} are both {content!r} "
                        "in normalised texts: expected at most one of them."
                    )
                normalized[content] = characters[token]
        return (
            WholeTokens(raw, "raw_tokens") if raw else None,
            WholeTokens(normalized, "normalized_tokens") if normalized else None,
        )

    def _normalize(self, text: tf.Tensor) -> tf.Tensor:
        """Returns [n] texts without what the vocabulary does not tell apart."""
        text = tf.strings.regex_replace(text, _REMOVED, "")
        text = tf.strings.regex_replace(text, _WHITE_SPACE, " ")
        if self.vocabulary.strips_accents:
            text = tf.strings.regex_replace(normalize_utf8(text, "NFD"), r"\p{Mn}+", "")
        if self.vocabulary.lower_case:
            # Not CaseFoldUTF8, which also applies NFKC. ASCII comes first, so that no Turkish locale makes a dotless i
            # of I; a capital sigma by hand, since ICU would write the final form at the end of a word.
            text = tf.strings.regex_replace(tf.strings.lower(text), "\u03a3", "\u03c3")
            for capital, small in () if self.vocabulary.strips_accents else _CAPITALS.items():
                text = tf.strings.regex_replace(text, capital, small)
            text = tf.strings.lower(text, encoding="utf-8")
        return text

    def _words(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Returns the normalised words, punctuation marks and CJK characters of [n] texts: [n, None] string."""
        text = tf.strings.regex_replace(text, f"[{_PLACEHOLDERS}]", _REMOVED_CHARACTER)
        if self._raw_tokens is not None:
            text = self._raw_tokens.replace(text)
        text = self._normalize(text)
        if self._normalized_tokens is not None:
            text = self._normalized_tokens.replace(text)
        # Spaces around the isolated characters, then a split at spaces, is three times as fast as RegexSplit.
        return tf.strings.split(tf.strings.regex_replace(text, self._isolated, r" \1 "))

    def _pieces(self, text: tf.Tensor, max_words: int | None = None) -> tf.RaggedTensor:
        """Returns the WordPiece ids of the first `max_words` words of [n] texts: [n, None] int32."""
        words = self._words(text)
        if max_words is not None:
            words = words[:, :max_words]  # Each word becomes at least one token.
        # Most words are tokens themselves; only the others need WordPiece, which costs a hundred times a lookup.
        ids = tf.cast(self._table.lookup(words.flat_values), tf.int32)  # WordPiece wants a table of int64.
        is_split = ids < 0
        split_places = tf.where(is_split)[:, 0]
        rare = tf.gather(words.flat_values, split_places)
        too_long = tf.strings.length(rare, unit="UTF8_CHAR") > MAX_CHARACTERS_PER_WORD
        pieces = self._wordpiece.tokenize(tf.where(too_long, self._unknown, rare))
        counts = tf.tensor_scatter_nd_update(
            tf.ones_like(ids, tf.int64), split_places[:, tf.newaxis], pieces.row_lengths()
        )
        ends = tf.cumsum(counts)
        places = tf.ragged.range(tf.gather(ends - counts, split_places), tf.gather(ends, split_places)).flat_values
        whole_places = tf.boolean_mask(ends - counts, ~is_split)
        flat = tf.dynamic_stitch(
            [tf.cast(whole_places, tf.int32), tf.cast(places, tf.int32)],
            [tf.boolean_mask(ids, ~is_split), pieces.flat_values],
        )
        splits = tf.gather(tf.concat([tf.zeros([1], tf.int64), ends], axis=0), words.row_splits)
        return tf.RaggedTensor.from_row_splits(flat, splits, validate=False)


def _cut(ids: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """Keeps the first `lengths` [n] int64 tokens of each row of `ids`."""
    places = tf.ragged.range(ids.row_starts(), ids.row_starts() + lengths)
    return places.with_flat_values(tf.gather(ids.flat_values, places.flat_values))


def longest_first_lengths(first: tf.Tensor, second: tf.Tensor, budget: int, tie: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns how many tokens of each text of a pair are kept, in closed form.

    It equals the loop that takes one token at a time from the longer text until both fit, with `tie` as in
    `TextPreprocessor`: the longer one is cut down to what the other leaves; where that would make it the shorter one,
    each gets half, and the odd token goes to the text that is not the tie's loser.

    Args:
        first: [n] integers, the tokens of the first texts.
        second: [n] integers, those of the second texts.
        budget: Tokens for both together.
        tie: "first" or "second".
    """
    half, larger_half = budget // 2, budget - budget // 2
    if tie == "second":
        first_half, second_half = larger_half, half
    else:
        first_half = tf.where(first > second, larger_half, half)
        second_half = budget - first_half
    cut_first = tf.maximum(budget - second, tf.cast(first_half, first.dtype))
    cut_second = tf.maximum(budget - first, tf.cast(second_half, second.dtype))
    return tf.minimum(first, cut_first), tf.minimum(second, cut_second)
