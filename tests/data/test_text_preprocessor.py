"""TextPreprocessor against stored ids of Hugging Face's tokenizer, against a pure-Python version, and in the graph."""

import importlib.util
import itertools
import json
import random
import re
import string
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easymft.data.text_preprocessor import TextPreprocessor, longest_first_lengths
from easymft.data.vocabulary import MAX_WHOLE_TOKENS, AddedToken, Vocabulary
from easymft.errors import CheckpointError

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "tokens.json").read_text(encoding="ascii"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# The tensorflow-text ops that a released TF Serving knows.
SERVED_OPS = {"RegexSplitWithOffsets", "WordpieceTokenizeWithOffsets", "CaseFoldUTF8", "NormalizeUTF8"}


def make_vocabulary(lower_case=True, tokens=GOLDEN["tokens"]):
    return Vocabulary(tuple(tokens), lower_case)


def token_strings(preprocessor, text):
    ids, _ = preprocessor.tokenize([text])
    return [preprocessor.vocabulary.tokens[place] for place in ids.to_list()[0][1:-1]]


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_equals_hugging_face(case):
    preprocessor = TextPreprocessor(make_vocabulary(case["lower_case"]), case["max_sequence_length"])
    ids, types = preprocessor.tokenize(GOLDEN["text"], case["text_pair"])
    for text, row, expected in zip(GOLDEN["text"], ids.to_list(), case["ids"], strict=True):
        assert row == expected, text
    assert types.to_list() == case["type_ids"]


def with_added(added, tokens=GOLDEN["tokens"], **settings):
    """A vocabulary with added tokens; those that it does not hold stand behind it."""
    more = [content for content, _ in added if content not in tokens]
    found = (AddedToken(content, normalized, False, content in more) for content, normalized in added)
    return Vocabulary((*tokens, *more), added_tokens=tuple(found), **({"lower_case": True} | settings))


@pytest.mark.parametrize("case", GOLDEN["settings"], ids=lambda case: str(list(case.values())[:3]))
def test_settings_and_added_tokens_equal_hugging_face(case):
    settings = {name: value for name, value in case.items() if name != "ids"}
    ids, _ = TextPreprocessor(with_added(GOLDEN["added"], **settings), 512).tokenize(GOLDEN["more_text"])
    for text, row, expected in zip(GOLDEN["more_text"], ids.to_list(), case["ids"], strict=True):
        assert row == expected, text


class PythonTokenizer:
    """BERT's tokenizer as its authors describe it, one character after the other."""

    def __init__(self, vocabulary):
        self.vocabulary = vocabulary

    def words(self, text):
        spaced = ""
        for character in text:
            if unicodedata.category(character) in ("Cc", "Cf", "Co") and character not in "\t\n\r":
                continue
            spaced += f" {character} " if "\u4e00" <= character <= "\u9fff" else character
        if self.vocabulary.lower_case:
            decomposed = unicodedata.normalize("NFD", spaced)
            spaced = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
            spaced = "".join(c.lower() for c in spaced)
        words = []
        for word in spaced.split():
            start_new = True
            for character in word:
                if character in string.punctuation or unicodedata.category(character).startswith("P"):
                    words.append(character)
                    start_new = True
                elif start_new:
                    words.append(character)
                    start_new = False
                else:
                    words[-1] += character
        return words

    def pieces(self, word):
        if len(word) > 100:
            return ["[UNK]"]
        start, pieces = 0, []
        while start < len(word):
            prefix = "##" if start else ""
            ends = [e for e in range(len(word), start, -1) if prefix + word[start:e] in self.vocabulary.ids]
            if not ends:
                return ["[UNK]"]
            pieces.append(prefix + word[start : ends[0]])
            start = ends[0]
        return pieces

    def ids(self, text):
        return [self.vocabulary.ids[piece] for word in self.words(text) for piece in self.pieces(word)]


def loop_cut(first, second, budget, tie):
    """One token at a time from the longer text; on a tie as `truncation_tie` says."""
    first_loses_ties = tie == "first" and len(first) <= len(second)
    first, second = list(first), list(second)
    while len(first) + len(second) > budget:
        if len(first) > len(second) or (len(first) == len(second) and first_loses_ties):
            first.pop()
        else:
            second.pop()
    return first, second


def random_texts(seed, count):
    generator = random.Random(seed)
    alphabet = string.printable + " " * 60 + "eéÉßœΣσςıİ中国日\u0301\u00a0\u200b\ue000–“ がह한😀" + "aeiounst" * 8
    words = ["the", "movie", "unaffable", "word", "Paris", "École", "x" * 99, "x" * 102]
    texts = []
    for _ in range(count):
        parts = ["".join(generator.choices(alphabet, k=generator.randrange(12))) for _ in range(generator.randrange(6))]
        parts += generator.choices(words, k=generator.randrange(4))
        generator.shuffle(parts)
        texts.append(" ".join(parts))
    return texts


@pytest.mark.parametrize("lower_case", [True, False])
def test_single_texts_equal_pure_python(lower_case):
    vocabulary = make_vocabulary(lower_case)
    reference = PythonTokenizer(vocabulary)
    texts = random_texts(1, 400)
    ids, types = TextPreprocessor(vocabulary, 20).tokenize(texts)
    for text, row in zip(texts, ids.to_list(), strict=True):
        assert row == [2, *reference.ids(text)[:18], 3], repr(text)
    assert not tf.reduce_any(types.flat_values != 0)


@pytest.mark.parametrize("tie", ["first", "second"])
@pytest.mark.parametrize("length", [14, 15])
def test_pairs_equal_pure_python(tie, length):
    vocabulary = make_vocabulary()
    reference = PythonTokenizer(vocabulary)
    firsts, seconds = random_texts(2, 300), random_texts(3, 300)
    ids, types = TextPreprocessor(vocabulary, length, tie).tokenize(firsts, seconds)
    for first, second, row, row_types in zip(firsts, seconds, ids.to_list(), types.to_list(), strict=True):
        a, b = loop_cut(reference.ids(first), reference.ids(second), length - 3, tie)
        assert row == [2, *a, 3, *b, 3], (first, second)
        assert row_types == [0] * (len(a) + 2) + [1] * (len(b) + 1)


@pytest.mark.parametrize("tie", ["first", "second"])
@pytest.mark.parametrize("budget", [1, 2, 3, 8, 9])
def test_closed_form_equals_loop(tie, budget):
    first, second = (grid.ravel() for grid in np.meshgrid(np.arange(15), np.arange(15)))
    kept = longest_first_lengths(tf.constant(first), tf.constant(second), budget, tie)
    expected = [loop_cut("a" * n, "b" * m, budget, tie) for n, m in zip(first, second, strict=True)]
    assert [(a, b) for a, b in zip(*(k.numpy() for k in kept), strict=True)] == [(len(a), len(b)) for a, b in expected]


def test_tie_goes_to_the_named_side():
    vocabulary = make_vocabulary()
    for tie, expected in (("first", (4, 5)), ("second", (5, 4))):
        _, types = TextPreprocessor(vocabulary, 12, tie).tokenize(["a " * 9], ["b " * 9])
        assert (types.to_list()[0].count(0) - 2, types.to_list()[0].count(1) - 1) == expected


def test_words_by_hand():
    preprocessor = TextPreprocessor(make_vocabulary(), 128)
    assert token_strings(preprocessor, "Unaffable, GREAT!") == ["un", "##aff", "##able", ",", "great", "!"]
    assert token_strings(preprocessor, "中国word") == ["中", "国", "word"]
    assert token_strings(preprocessor, "mo\u200bv\x00ie") == ["movie"]
    assert token_strings(preprocessor, "École") == ["ecole"]
    assert token_strings(preprocessor, "a" * 101) == ["[UNK]"]
    assert token_strings(preprocessor, "a" * 100) == ["a"] + ["##a"] * 99
    assert token_strings(preprocessor, "the[SEP]movie [sep]") == ["the", "[SEP]", "movie", "[", "s", "##e", "##p", "]"]


def test_cased_keeps_case_and_accents():
    preprocessor = TextPreprocessor(make_vocabulary(lower_case=False), 64)
    assert token_strings(preprocessor, "École Paris NASA") == ["École", "Paris", "NASA"]


def test_accents_without_lower_case_and_lower_case_without_accents():
    tokens = (*GOLDEN["tokens"], "école", "Ecole", "i\u0307")
    keeps = TextPreprocessor(Vocabulary(tokens, True, strip_accents=False), 64)
    assert token_strings(keeps, "École İ") == ["école", "i\u0307"]
    strips = TextPreprocessor(Vocabulary(tokens, False, strip_accents=True), 64)
    assert token_strings(strips, "École école") == ["Ecole", "ecole"]


def test_chinese_characters_within_words():
    vocabulary = Vocabulary((*GOLDEN["tokens"], "中国word"), True, tokenize_chinese_chars=False)
    assert token_strings(TextPreprocessor(vocabulary, 64), "中国Word") == ["中国word"]


def test_an_added_token_is_found_whole_and_no_word_becomes_it():
    preprocessor = TextPreprocessor(with_added([["movi", False], ["film", True]]), 64)
    assert token_strings(preprocessor, "themovie")[:2] == ["the", "movi"]
    assert "movi" not in token_strings(preprocessor, "MOVI")
    assert token_strings(preprocessor, "FILMing") == ["film", "i", "##n", "##g"]


def test_of_a_token_that_stands_twice_the_last_place_counts():
    tokens = (*GOLDEN["tokens"], "the", "")
    ids, _ = TextPreprocessor(make_vocabulary(tokens=tokens), 16).tokenize(["the"])
    assert ids.to_list() == [[2, len(tokens) - 2, 3]]


def test_as_many_added_tokens_as_there_are_characters_for():
    contents = [f"<{number}>" for number in range(MAX_WHOLE_TOKENS - 5)]
    vocabulary = with_added([[content, False] for content in contents])
    ids, _ = TextPreprocessor(vocabulary, 2048).tokenize([" the ".join(contents) + "\ue001\ue3ff"])
    the, first = GOLDEN["tokens"].index("the"), len(GOLDEN["tokens"])
    expected = [place for number in range(len(contents)) for place in (first + number, the)]
    assert ids.to_list() == [[2, *expected[:-1], 3]]
    with pytest.raises(CheckpointError, match=r"1024 special and added tokens \('\[PAD\]', .*: expected at most 1023"):
        with_added([[content, False] for content in (*contents, "<more>")])


def test_added_tokens_that_are_the_same_once_normalised():
    with pytest.raises(CheckpointError, match="'Film' and 'FILM' are both 'film' in normalised texts"):
        TextPreprocessor(with_added([["Film", True], ["FILM", True]]), 16)


def test_special_token_only_where_the_vocabulary_has_it():
    tokens = [token for token in GOLDEN["tokens"] if token != "[MASK]"]
    assert token_strings(TextPreprocessor(make_vocabulary(False, tokens), 16), "[MASK]")[0] == "["


def test_bytes_that_are_no_utf8_do_not_fail():
    ids, _ = TextPreprocessor(make_vocabulary(), 16).tokenize(tf.constant([b"the \xff\xfe movie", b"\xc3"]))
    the, movie = (GOLDEN["tokens"].index(word) for word in ("the", "movie"))
    assert ids.to_list() == [[2, the, 1, movie, 3], [2, 1, 3]]


def test_padding():
    preprocessor = TextPreprocessor(make_vocabulary(), 16)
    batch = preprocessor(["the", "the movie"], ["great", "a a"])
    the, movie, great, a = (GOLDEN["tokens"].index(word) for word in ("the", "movie", "great", "a"))
    assert batch["input_word_ids"].numpy().tolist() == [[2, the, 3, great, 3, 0, 0], [2, the, movie, 3, a, a, 3]]
    assert batch["input_mask"].numpy().tolist() == [[1] * 5 + [0] * 2, [1] * 7]
    assert batch["input_type_ids"].numpy().tolist() == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1]]
    assert {values.dtype for values in batch.values()} == {tf.int32}
    longer = preprocessor(["the", "the movie"], ["great", "a a"], length=20)
    for name, values in batch.items():
        assert longer[name].shape == [2, 20]
        np.testing.assert_array_equal(longer[name][:, :7], values)
        assert not longer[name].numpy()[:, 7:].any()


def test_no_texts():
    batch = TextPreprocessor(make_vocabulary(), 16)(tf.constant([], tf.string), tf.constant([], tf.string))
    assert all(values.shape[0] == 0 for values in batch.values())


def test_wrong_arguments():
    with pytest.raises(ValueError, match="at least 4. Received: 3"):
        TextPreprocessor(make_vocabulary(), 3)
    with pytest.raises(ValueError, match="'first' or 'second'. Received: 'third'"):
        TextPreprocessor(make_vocabulary(), 8, "third")
    with pytest.raises(ValueError, match="at least max_sequence_length, 16. Received: 8"):
        TextPreprocessor(make_vocabulary(), 16)(["the"], length=8)


def graph_ops(concrete):
    definition = concrete.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return {node.op for node in nodes}


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("settings", [{}, {"lower_case": False}, {"strip_accents": False}])
def test_only_ops_that_serving_knows(pair, settings):
    preprocessor = TextPreprocessor(with_added(GOLDEN["added"], **settings), 16)
    signature = [tf.TensorSpec([None], tf.string)] * (1 + pair)
    ops = graph_ops(tf.function(preprocessor).get_concrete_function(*signature))
    functions = {op for op in ops if op.startswith("__")}
    not_core = {op for op in ops - functions if not hasattr(tf.raw_ops, op)}
    assert not_core <= SERVED_OPS
    assert "WordpieceTokenizeWithOffsets" in not_core
    assert not any("PyFunc" in op for op in ops)


def test_saved_model_gives_the_same(tmp_path):
    preprocessor = TextPreprocessor(with_added(GOLDEN["added"], strip_accents=False), 16)
    signature = [tf.TensorSpec([None], tf.string)] * 2
    module = tf.Module()
    module.preprocessor = preprocessor
    module.serve = tf.function(lambda text, pair: preprocessor(text, pair), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    texts, pairs = GOLDEN["more_text"], GOLDEN["more_text"][::-1]
    for count in (1, len(texts)):
        served, direct = (
            serve(tf.constant(texts[:count]), tf.constant(pairs[:count])) for serve in (loaded.serve, preprocessor)
        )
        for name, values in direct.items():
            np.testing.assert_array_equal(served[name], values)


@pytest.mark.skipif(importlib.util.find_spec("tokenizers") is None, reason="needs the package tokenizers")
def test_check_tokenizer_script_finds_no_difference(tmp_path, capsys):
    reviews = ROOT / "data" / "amazon" / "train.tsv"
    if not reviews.exists():
        pytest.skip(f"{reviews} is absent; docs/data.md says how to make it")
    file = tmp_path / "train.tsv"
    with open(reviews, "rb") as stream:
        file.write_bytes(b"".join(itertools.islice(stream, 256)))
    spec = importlib.util.spec_from_file_location("check_tokenizer", ROOT / "scripts" / "check_tokenizer.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    make_vocabulary().save(tmp_path / "vocab.txt")
    arguments = ["--vocabulary", str(tmp_path / "vocab.txt"), "--files", str(file), "--pair_with_next"]
    assert script.main(arguments) == 0
    found = re.search(r"256 texts, (\d+) of full length \(128 tokens\), 256 equal\.", capsys.readouterr().out)
    assert found and int(found[1]) > 128  # nearly all pairs of reviews are cut
