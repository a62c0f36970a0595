"""The vocabulary from a tokenizer's files: each field honoured, refused by name, or known to change no id."""

import json

import pytest

from easymft.data.vocabulary import AddedToken, Vocabulary
from easymft.errors import CheckpointError
from easymft.model_zoo.tokenizer_files import read_vocabulary, write_vocabulary

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s", "[unused1]")
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ],
    "pair": [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 1}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
    ],
    "special_tokens": {
        "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
        "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
    },
}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
E1, E2 = AddedToken("[E1]", apart=True), AddedToken("[E2]", apart=True)


def entry(content, number=None, **changes):
    values = {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    return values | {"special": True} | ({} if number is None else {"id": number}) | changes


def tokenizer_json(**changes):
    """A tokenizer.json as Hugging Face writes it; changes are `part__key=value`."""
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [entry(token, place) for place, token in enumerate(TOKENS[:5])],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
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
    return content


@pytest.fixture
def make(tmp_path):
    """Writes a folder's files, each an object or a text."""

    def write(vocab=TOKENS, **files):
        if vocab is not None:
            (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab))
        for name, value in files.items():
            (tmp_path / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
        return tmp_path

    return write


def read(folder, lower_case=None):
    return read_vocabulary(folder, None, lower_case)


def failure(folder, **settings) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(folder, **settings)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(folder)), message
    return message.removeprefix(f"{folder}").removeprefix("/")


@pytest.mark.parametrize(
    "files",
    [
        {"vocab": TOKENS, "tokenizer_config": {"do_lower_case": True}},
        {"vocab": TOKENS, "tokenizer_config": "\ufeff{}"},
        {"vocab": None, "tokenizer": tokenizer_json()},
        {"vocab": TOKENS, "tokenizer": tokenizer_json(), "tokenizer_config": FAST},
        {"vocab": None, "tokenizer": tokenizer_json(post_processor=TEMPLATE), "tokenizer_config": FAST},
        {"vocab": None, "tokenizer": tokenizer_json(post_processor=None, normalizer__strip_accents=True)},
        {"vocab": None, "tokenizer": tokenizer_json(normalizer={"type": "Sequence", "normalizers": [
            tokenizer_json()["normalizer"]]})},
        {"tokenizer_config": {"do_lower_case": True, "bos_token": "[CLS]", "mask_token": entry("[MASK]", lstrip=True)}},
        {"special_tokens_map": {"unk_token": "[UNK]", "additional_special_tokens": []}, "added_tokens": {"the": 5}}
        | {"tokenizer_config": {"added_tokens_decoder": {}}},
    ],
)  # fmt: skip
def test_plain_berts(make, files):
    assert read(make(**files)) == Vocabulary(TOKENS, True)


@pytest.mark.parametrize("name", ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast"])
def test_classes_that_are_berts(make, name):
    folder = make(tokenizer_config={"tokenizer_class": name}, config={"tokenizer_class": "BertJapaneseTokenizer"})
    assert read(folder).lower_case


@pytest.mark.parametrize(
    "values",
    [
        {"model_max_length": 512, "name_or_path": "x", "tokenizer_class": None, "use_auth_token": "hf_x"},
        {"never_split": None, "do_basic_tokenize": True, "clean_text": True, "init_inputs": [], "add_bos_token": False},
        {"padding_side": "right", "truncation_side": "right", "max_len": 512, "chat_template": "x", "auto_map": {}},
    ],
)
def test_fields_that_change_no_id(make, values):
    assert read(make(tokenizer_config=values)) == Vocabulary(TOKENS, True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer_class is 'BertJapaneseTokenizer'; expected 'BertTok"),
        ({"tokenizer_class": "XLMRobertaTokenizer"}, "tokenizer_class is 'XLMRobertaTokenizer'"),
        ({"tokenizer_class": 5}, "tokenizer_class is 5"),
        ({"word_tokenizer_type": "mecab"}, 'word_tokenizer_type is "mecab"; expected "basic"'),
        ({"subword_tokenizer_type": "character"}, 'subword_tokenizer_type is "character"; expected "wordpiece"'),
        ({"do_lower_case": "no"}, 'do_lower_case is "no"; expected true or false'),
        ({"do_lower_case": 1}, "do_lower_case is 1; expected true or false"),
        ({"strip_accents": "no"}, "strip_accents"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize is false; expected true"),
        ({"never_split": ["<e>"]}, 'never_split is ["<e>"]'),
        ({"clean_text": False}, "clean_text"),
        ({"split_special_tokens": True}, "split_special_tokens"),
        ({"wordpieces_prefix": "_"}, "wordpieces_prefix"),
        ({"padding_side": "left"}, 'padding_side is "left"; expected "right"'),
        ({"truncation_side": "left"}, "truncation_side"),
        ({"unk_token": "<unk>"}, "unk_token is '<unk>'; expected '[UNK]'"),
        ({"pad_token": {"content": "<pad>"}}, "pad_token is '<pad>'; expected '[PAD]'"),
        ({"auto_map": {"AutoTokenizer": ["x.X", None]}}, "auto_map names code of its own (['x.X', None])"),
        ({"additional_special_tokens": ["<e>"]}, "additional_special_tokens: token '<e>' is none of the 8 tokens of"),
        ({"bos_token": "<s>"}, "bos_token: token '<s>' is none of the 8 tokens of"),
        ({"additional_special_tokens": "<e>"}, "additional_special_tokens is '<e>'; expected a list of tokens"),
        ({"additional_special_tokens": [5]}, "additional_special_tokens: holds 5; expected a token"),
        ({"added_tokens_decoder": {"5": entry("<e>")}}, "'<e>' has the number 5; expected 8, the first after the tok"),
        ({"added_tokens_decoder": {"9": entry("<e>")}}, "'<e>' has the number 9; expected 8"),
        ({"added_tokens_decoder": {"6": entry("the")}}, "'the' has the number 6; "),
        ({"added_tokens_decoder": {"x": entry("the")}}, "added_tokens_decoder is {'x': "),
        ({"added_tokens_decoder": {"8": {}}}, "added_tokens_decoder: holds {}; expected a token"),
        ({"added_tokens_decoder": {"8": entry("<e>", single_word=True)}}, "token '<e>' is a single_word"),
        ({"added_tokens_decoder": {"8": entry("<e>", normalized="x")}}, "normalized of token '<e>' is 'x'"),
    ],
)
def test_what_tokenizer_config_json_asks_for_in_vain(make, values, message):
    found = failure(make(tokenizer_config=values))
    assert found.startswith("tokenizer_config.json: ") and message in found, found


def test_config_json_names_a_class(make):
    folder = make(config={"tokenizer_class": "BertJapaneseTokenizer"}, tokenizer_config={"tokenizer_class": None})
    assert failure(folder).startswith("config.json: tokenizer_class is 'BertJapaneseTokenizer'")
    assert "word_tokenizer_type" in failure(make(config={"word_tokenizer_type": "mecab"}))


def test_a_class_that_is_what_tokenizer_json_says(make):
    assert failure(make(tokenizer_config=FAST)).startswith(": no tokenizer.json; expected one")
    folder = make(tokenizer=tokenizer_json(post_processor=None))
    assert failure(folder).startswith(": tokenizer.json has no post_processor; expected one")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "BPE", "vocab": {}}}, 'model.type is "BPE"; expected "WordPiece"'),
        ({"model": []}, "model is []; expected an object"),
        ({"model__unk_token": "<unk>"}, "model.unk_token"),
        ({"model__continuing_subword_prefix": "@@"}, "model.continuing_subword_prefix"),
        ({"model__max_input_chars_per_word": 50}, "model.max_input_chars_per_word is 50; expected 100"),
        ({"normalizer__lowercase": "no"}, 'normalizer.lowercase is "no"; expected true or false'),
        ({"normalizer__strip_accents": 0}, "normalizer.strip_accents is 0"),
        ({"normalizer__clean_text": False}, "normalizer.clean_text"),
        ({"normalizer": None}, 'normalizer.type is null; expected "BertNormalizer"'),
        ({"normalizer": {"type": "Sequence", "normalizers": [{}, {}]}}, 'normalizer.type is "Sequence"'),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "pre_tokenizer.type"),
        ({"truncation": {"direction": "Left"}}, "truncation.direction"),
        ({"padding": {"direction": "Left"}}, "padding.direction"),
        ({"post_processor": {"type": "RobertaProcessing"}}, "post_processor of type 'RobertaProcessing' does not make"),
        ({"post_processor__sep": ["[SEP]", 4]}, "post_processor of type 'BertProcessing'"),
        ({"post_processor": TEMPLATE | {"pair": TEMPLATE["single"]}}, "post_processor of type 'TemplateProcessing'"),
        ({"post_processor": TEMPLATE | {"special_tokens": {}}}, "post_processor of type 'TemplateProcessing'"),
        ({"model__vocab": {"[PAD]": 0, "a": 7}}, "model.vocab has 2 tokens with numbers up to 7; expected 0 to 1"),
        ({"model__vocab": {"[CLS]": 2, "[SEP]": 3, "a": 0, "b": 0}}, "gives 'a' and 'b' the same number, 0"),
        ({"model__vocab": {"a": "0"}}, "model.vocab is {'a': '0'}; expected an object of tokens and their numbers"),
        ({"model__vocab": ["a"]}, 'model.type is null; expected "WordPiece"'),
        ({"added_tokens": {}, "model__vocab": {"[CLS]": 2, "[SEP]": 3}}, "The vocabulary of 4 tokens lacks [PAD]"),
        ({"added_tokens": "x"}, "added_tokens is 'x'; expected a list"),
        ({"added_tokens": [entry("<e>")]}, "added_tokens has a token without an id"),
        ({"added_tokens": [entry("<e>", "8")]}, "token '<e>' has the number '8'; expected 0, 1, 2, ..."),
        ({"added_tokens": [entry("<e>", 12)]}, "added_tokens: added token '<e>' has the number 12; expected 8"),
    ],
)
def test_other_tokenizers_are_refused(make, change, message):
    content = tokenizer_json(**change)
    if change == {"model__vocab": ["a"]}:
        del content["model"]["type"]
    found = failure(make(vocab=None, tokenizer=content))
    assert found.startswith("tokenizer.json: ") and message in found, found


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_config", "special_tokens_map", "added_tokens", "config"])
@pytest.mark.parametrize("content", ["{", "[]", "null", "[" * 100_000, '{"a":' * 100_000])
def test_json_that_is_no_object(make, name, content):
    assert failure(make(**{name: content})).startswith(f"{name}.json: ")


@pytest.mark.parametrize("name", ["do_lower_case", "never_split", "additional_special_tokens", "tokenizer_class"])
def test_a_value_nested_deeply(make, name):
    assert name in failure(make(tokenizer_config=f'{{"{name}": {"[" * 900}{"]" * 900}}}'))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"do_lower_case": True, "strip_accents": False}, {"lower_case": True, "strip_accents": False}),
        ({"do_lower_case": False, "strip_accents": True}, {"lower_case": False, "strip_accents": True}),
        ({"do_lower_case": True, "strip_accents": True}, {"lower_case": True}),
        ({"do_lower_case": False, "strip_accents": None}, {"lower_case": False}),
        ({"tokenize_chinese_chars": False}, {"lower_case": True, "tokenize_chinese_chars": False}),
    ],
)
def test_case_accents_and_chinese_characters(make, tmp_path, settings, expected):
    assert read(make(tokenizer_config=settings)) == Vocabulary(TOKENS, **expected)
    (tmp_path / "tokenizer_config.json").unlink()
    names = {"do_lower_case": "lowercase", "tokenize_chinese_chars": "handle_chinese_chars"}
    rules = {f"normalizer__{names.get(name, name)}": value for name, value in settings.items()}
    assert read(make(tokenizer=tokenizer_json(**rules))) == Vocabulary(TOKENS, **expected)
    assert read(tmp_path, lower_case=False).lower_case is False


@pytest.mark.parametrize("fast", [False, True])
def test_where_the_files_contradict_each_other(make, fast):
    config = {"do_lower_case": False, "strip_accents": False, "tokenize_chinese_chars": False}
    rules = tokenizer_json(normalizer__strip_accents=True)
    folder = make(tokenizer_config=config | (FAST if fast else {}), tokenizer=rules)
    with pytest.warns(UserWarning) as caught:
        vocabulary = read(folder)
    winner = "tokenizer.json" if fast else "tokenizer_config.json"
    assert [str(one.message) for one in caught] == [
        f"{folder}: {name} is false in tokenizer_config.json, true in tokenizer.json; {winner} counts, as in "
        "transformers"
        for name in ("do_lower_case", "tokenize_chinese_chars", "strip_accents")
    ]
    assert vocabulary == (Vocabulary(TOKENS, True) if fast else Vocabulary(TOKENS, False, None, False))


def test_the_users_choice_is_no_contradiction(make):
    folder = make(tokenizer_config={"do_lower_case": False}, tokenizer=tokenizer_json())
    assert read(folder, lower_case=True) == Vocabulary(TOKENS, True)


@pytest.mark.parametrize(
    ("more", "lower_case"),
    [
        (("<S>", "<T>", "[E1]", "##Ⅳ", "ℝ", "A-B", "Ⓐ"), True),
        (("中", "国"), True),
        (("Film", "The"), False),
        (("##É",), False),
        (("ǅ",), False),
    ],
)
def test_only_words_with_capitals_make_a_vocabulary_cased(make, more, lower_case):
    assert read(make((*TOKENS, *more))).lower_case is lower_case


def test_a_doubtful_guess_is_told(make):
    words = [chr(97 + a) + chr(97 + b) for a in range(26) for b in range(26)]
    folder = make((*TOKENS, *words, "COVID"))
    with pytest.warns(UserWarning, match="vocab.txt: taken as cased, since 1 of its 685 tokens have capitals, such as"):
        assert read(folder).lower_case is False
    assert read(folder, lower_case=True).lower_case is True
    assert read(make(vocab=(*TOKENS, *words), added_tokens={"COVID": 684})).lower_case is True


def test_sentence_transformers_lower_cases_before(make):
    folder = make((*TOKENS, "Film"), sentence_bert_config={"do_lower_case": True})
    assert failure(folder).startswith("sentence_bert_config.json: do_lower_case is true, but the tokenizer keeps capit")
    assert read(folder, lower_case=False).lower_case is False
    assert read(make(TOKENS)).lower_case is True


@pytest.mark.parametrize(
    ("files", "added"),
    [
        ({"added_tokens": {"[E1]": 8, "[E2]": 9}}, (AddedToken("[E1]", True, False, True),) * 2),
        ({"added_tokens": {"[E2]": 9, "[E1]": 8}, "special_tokens_map": {"extra_special_tokens": ["[E1]"]}}, (E1,)),
        ({"vocab": None, "tokenizer": tokenizer_json(added_tokens=[entry("[E1]", 8), entry("[E2]", 9)])}, (E1, E2)),
        ({"tokenizer": tokenizer_json(added_tokens=[entry("[E1]", 8), entry("[E2]", 9, normalized=True)])}, (E1,)),
        ({"tokenizer_config": {"added_tokens_decoder": {"8": entry("[E1]"), "9": entry("[E2]")}}}, (E1, E2)),
        ({"vocab": (*TOKENS, "", ""), "added_tokens": {"[E1]": 9}, "tokenizer_config": {"bos_token": "[E1]"}}, (E1,)),
    ],
)
def test_added_tokens(make, files, added):
    vocabulary = read(make(**files))
    assert vocabulary.added_tokens[0] == added[0] and all(token.apart for token in vocabulary.added_tokens)
    assert vocabulary.ids["[E1]"] == 9 - ("[E2]" in vocabulary.ids) and vocabulary.wordpiece_tokens[:8] == TOKENS
    if len(added) == 2:
        assert [token.special for token in vocabulary.added_tokens] == [token.special for token in added]


def test_a_special_token_inside_the_vocabulary(make):
    for files in (
        {"tokenizer_config": {"additional_special_tokens": ["[unused1]"]}},
        {"tokenizer_config": {"extra_special_tokens": {"x_token": "[unused1]"}}},
        {"tokenizer_config": {"image_token": "[unused1]"}},
        {"tokenizer_config": {"eos_token": {"content": "[unused1]"}}},
        {"tokenizer_config": {}, "special_tokens_map": {"additional_special_tokens": [{"content": "[unused1]"}]}},
        {"special_tokens_map": {}, "tokenizer": tokenizer_json(added_tokens=[entry("[unused1]", 7)])},
    ):
        assert read(make(**files)) == Vocabulary(TOKENS, True, added_tokens=(AddedToken("[unused1]"),))


def test_vocab_txt_and_tokenizer_json_are_one_vocabulary(make):
    ids = {token: place for place, token in enumerate(TOKENS)}
    message = "vocab.txt: token 'the' is number 5, but number 6 in tokenizer.json (2 differ); expected the same numbers"
    assert failure(make(tokenizer=tokenizer_json(model__vocab=ids | {"the": 6, "##s": 5}))).startswith(message)
    found = failure(make((*TOKENS, "more"), tokenizer=tokenizer_json()))
    assert "token 'more' is number 8, but absent in tokenizer.json (1 differ)" in found
    found = failure(make((*TOKENS[:6], "[unused1]"), tokenizer=tokenizer_json()))
    assert "token '[unused1]' is number 6, but number 7 in tokenizer.json (2 differ)" in found
    folder = make(TOKENS[:7], tokenizer=tokenizer_json())
    assert "token '[unused1]' is absent, but number 7 in tokenizer.json (1 differ)" in failure(folder)


def test_numbers_without_a_token(make):
    ids = {token: place + (place > 5) for place, token in enumerate(TOKENS)}
    vocabulary = read(make(vocab=None, tokenizer=tokenizer_json(model__vocab=ids | {"no word ": 9})))
    assert vocabulary.tokens == (*TOKENS[:6], "", *TOKENS[6:], "")[:9] and vocabulary.ids["##s"] == 7


def test_the_users_own_vocabulary_file(make, tmp_path):
    folder = make(added_tokens={"[E1]": 8})
    mine = tmp_path / "mine.txt"
    mine.write_text("\n".join([*TOKENS[:5], "a", "b", "c"]))
    assert read_vocabulary(folder, str(mine), None).tokens == (*TOKENS[:5], "a", "b", "c", "[E1]")
    mine.write_text("\n".join(TOKENS[:5]))
    with pytest.raises(
        CheckpointError, match=r"token '\[E1\]' has the number 8; expected 5, the first after .*mine.txt"
    ):
        read_vocabulary(folder, str(mine), None)
    assert read_vocabulary(None, str(mine), None) == Vocabulary(TOKENS[:5], True)


@pytest.mark.parametrize(
    "vocabulary",
    [
        Vocabulary(TOKENS, True),
        Vocabulary(TOKENS, True, strip_accents=False),
        Vocabulary(TOKENS, False, True, False),
        Vocabulary((*TOKENS, "", "[E1]", "film"), True, added_tokens=(E1, AddedToken("film", True, False, True))),
        Vocabulary(TOKENS, True, added_tokens=(AddedToken("[SEP]", True), AddedToken("[unused1]"))),
        Vocabulary(TOKENS[:4], False),
    ],
)
def test_written_and_read_again(tmp_path, vocabulary):
    write_vocabulary(tmp_path, vocabulary, 64)
    assert read(tmp_path) == vocabulary
    values = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert values["model_max_length"] == 64 and ("added_tokens_decoder" in values) == bool(vocabulary.added_tokens)
