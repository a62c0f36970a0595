"""Vocabulary: what it reads, and what it refuses."""

import json

import pytest

from easymft.data.vocabulary import Vocabulary
from easymft.errors import CheckpointError

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s")


def tokenizer_json(**changes):
    """A tokenizer.json as Hugging Face writes it; changes are `part__key=value`."""
    content = {
        "added_tokens": [{"id": place, "content": token} for place, token in enumerate(TOKENS[:5])],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: place for place, token in enumerate(TOKENS)},
        },
    }
    for path, value in changes.items():
        part, _, key = path.partition("__")
        if key:
            content[part][key] = value
        else:
            content[part] = value
    return json.dumps(content)


def test_ids_are_places():
    vocabulary = Vocabulary(TOKENS, lower_case=True)
    assert vocabulary.ids["the"] == 5
    assert len(vocabulary) == 7
    assert vocabulary.special_tokens == TOKENS[:5]


def test_mask_token_is_optional():
    assert Vocabulary(TOKENS[:4], lower_case=True).special_tokens == TOKENS[:4]


@pytest.mark.parametrize("token", TOKENS[:4])
def test_missing_special_token_is_named(token):
    with pytest.raises(CheckpointError, match=rf"of 6 tokens lacks \{token}"):
        Vocabulary(tuple(other for other in TOKENS if other != token), lower_case=True)


def test_double_and_empty_tokens_are_refused():
    with pytest.raises(CheckpointError, match="the token 'the' twice, as numbers 5 and 7"):
        Vocabulary((*TOKENS, "the"), lower_case=True)
    with pytest.raises(CheckpointError, match="token number 7 is empty"):
        Vocabulary((*TOKENS, ""), lower_case=True)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_from_file(tmp_path, line_end):
    path = tmp_path / "vocab.txt"
    path.write_bytes(line_end.join([*TOKENS, "été", "a\u2028b"]).encode() + line_end.encode())
    vocabulary = Vocabulary.from_file(path, lower_case=False)
    assert vocabulary.tokens == (*TOKENS, "été", "a\u2028b")
    assert not vocabulary.lower_case


def test_save_and_read_again(tmp_path):
    vocabulary = Vocabulary((*TOKENS, "日", "a\u2028b"), lower_case=True)
    vocabulary.save(tmp_path / "vocab.txt")
    assert Vocabulary.from_file(tmp_path / "vocab.txt", lower_case=True) == vocabulary
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.txt"]


def test_unusable_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="gone.txt: the vocabulary cannot be read"):
        Vocabulary.from_file(tmp_path / "gone.txt", lower_case=True)
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"[PAD]\n\xff\n")
    with pytest.raises(CheckpointError, match="vocab.txt: byte 6 is not UTF-8"):
        Vocabulary.from_file(path, lower_case=True)
    path.write_text("one\ntwo\n")
    with pytest.raises(CheckpointError, match=r"vocab.txt: The vocabulary of 2 tokens lacks \[PAD\]"):
        Vocabulary.from_file(path, lower_case=True)


def test_from_tokenizer_json(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json())
    assert Vocabulary.from_tokenizer_json(path) == Vocabulary(TOKENS, lower_case=True)
    path.write_text(tokenizer_json(normalizer__lowercase=False, normalizer__strip_accents=False))
    assert Vocabulary.from_tokenizer_json(path) == Vocabulary(TOKENS, lower_case=False)


def test_added_special_token_joins_the_vocabulary(tmp_path):
    path = tmp_path / "tokenizer.json"
    ids = {token: place for place, token in enumerate(TOKENS) if token != "[MASK]"} | {"##s": 4}
    path.write_text(tokenizer_json(model__vocab=ids, added_tokens=[{"id": 6, "content": "[MASK]"}]))
    assert Vocabulary.from_tokenizer_json(path).ids["[MASK]"] == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model__type": "BPE"}, 'model.type is "BPE", expected "WordPiece"'),
        ({"model__unk_token": "<unk>"}, "model.unk_token"),
        ({"model__continuing_subword_prefix": "@@"}, "model.continuing_subword_prefix"),
        ({"model__max_input_chars_per_word": 50}, "model.max_input_chars_per_word is 50, expected 100"),
        ({"normalizer__lowercase": "no"}, "normalizer.lowercase"),
        ({"normalizer__strip_accents": False}, "normalizer.strip_accents is false, expected null or true"),
        ({"normalizer__handle_chinese_chars": False}, "normalizer.handle_chinese_chars"),
        ({"normalizer__clean_text": False}, "normalizer.clean_text"),
        ({"normalizer": None}, "normalizer.type is null"),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "pre_tokenizer.type"),
        ({"model__vocab": {"[PAD]": 0, "a": 7}}, "the ids of the 6 tokens are not 0 to 5"),
        ({"added_tokens": [{"id": 7, "content": "<ent>"}]}, "added token '<ent>' is not known"),
    ],
)
def test_other_tokenizers_are_refused(tmp_path, change, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json(**change))
    with pytest.raises(CheckpointError, match=message) as caught:
        Vocabulary.from_tokenizer_json(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "null"])
def test_json_that_is_no_tokenizer(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match="tokenizer.json: (is not valid JSON|model.type is null)"):
        Vocabulary.from_tokenizer_json(path)
