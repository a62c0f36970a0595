"""Vocabulary: what it reads, and what it refuses."""

import pytest

from easymft.data.vocabulary import AddedToken, Vocabulary, read_tokens
from easymft.errors import CheckpointError

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s")


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


def test_tokens_that_no_vocab_txt_can_hold():
    for token, shown in (("a\nb", "'a.nb'"), ("\r", "'.r'"), ("\ud800", "'.ud800'")):
        with pytest.raises(CheckpointError, match=f"token number 7 is {shown}, expected a word"):
            Vocabulary((*TOKENS, token), lower_case=True)


def test_of_a_token_that_stands_twice_the_last_counts():
    vocabulary = Vocabulary((*TOKENS, "the", "", "a"), lower_case=True)
    assert (vocabulary.ids["the"], vocabulary.ids["a"], len(vocabulary)) == (7, 9, 10) and "" not in vocabulary.ids


@pytest.mark.parametrize("token", [" the", "the ", "\ue001", "\u200b", "\ufffd.", ""])
def test_added_tokens_that_cannot_be_found(token):
    with pytest.raises(CheckpointError, match="added token .* (cannot be found in texts: expected letters|is none of)"):
        Vocabulary((*TOKENS, token), True, added_tokens=(AddedToken(token),))


def test_an_added_token_is_one_of_the_vocabulary():
    with pytest.raises(CheckpointError, match=r"The added token '<e>' is none of the vocabulary's 7 tokens"):
        Vocabulary(TOKENS, True, added_tokens=(AddedToken("<e>"),))


def test_settings_name_what_is_not_berts_own():
    assert Vocabulary(TOKENS, True).settings == {"lower_case": True}
    assert Vocabulary(TOKENS, True, strip_accents=True).settings == {"lower_case": True}
    added = (AddedToken("<e>", apart=True),)
    assert Vocabulary((*TOKENS, "<e>"), False, True, False, added).settings == {
        "lower_case": False,
        "strip_accents": True,
        "tokenize_chinese_chars": False,
        "added_tokens": [{"content": "<e>", "normalized": False, "special": True, "apart": True}],
    }


def test_whole_tokens_are_berts_own_and_the_added_ones():
    added = (AddedToken("the", normalized=True), AddedToken("[SEP]", normalized=True))
    whole = Vocabulary(TOKENS, True, added_tokens=added).whole_tokens
    assert [token.content for token in whole] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the"]
    assert [token.normalized for token in whole] == [False, False, False, True, False, True]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_from_file(tmp_path, line_end):
    path = tmp_path / "vocab.txt"
    path.write_bytes(line_end.join([*TOKENS, "été", "a\u2028b"]).encode() + line_end.encode())
    vocabulary = Vocabulary.from_file(path, lower_case=False)
    assert vocabulary.tokens == (*TOKENS, "été", "a\u2028b")
    assert not vocabulary.lower_case


def test_what_transformers_loads_loads(tmp_path):
    path = tmp_path / "vocab.txt"

    def read(text, message=None):
        path.write_bytes(text.encode())
        if message is None:
            return Vocabulary.from_file(path, lower_case=True).tokens
        with pytest.warns(UserWarning, match=message) as caught:
            tokens = Vocabulary.from_file(path, lower_case=True).tokens
        assert len(caught) == 1 and str(caught[0].message).startswith(f"{path}: ")
        return tokens

    plain = "\n".join(TOKENS)
    for text in (plain, plain + "\n", plain + "\n\n\r\n", plain.replace("the", "the \t")):
        assert read(text) == TOKENS
    assert read("\ufeff" + plain, r"begins with a byte order mark; it is no part of token 0, '\[PAD\]'") == TOKENS
    assert read(plain + "\n\na", "line 8 is empty; its number is counted, but no text gets it") == (*TOKENS, "", "a")
    twice = "token 'the' stands twice, as numbers 5 and 7; texts get 7, as in transformers$"
    assert read(plain + "\nthe", twice) == (*TOKENS, "the")
    more = "token 'the' stands twice, as numbers 5 and 8; texts get 8, as in transformers; so do 1 more"
    assert read(plain + "\n##s\nthe\n##s", more) == (*TOKENS, "##s", "the", "##s")


def test_empty_lines_at_the_end_are_read(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\n\n\n")
    assert read_tokens(tmp_path / "vocab.txt") == ["a", "", ""]


def test_tokens_apart_are_not_saved(tmp_path):
    vocabulary = Vocabulary((*TOKENS, "", "<e>"), True, added_tokens=(AddedToken("<e>", apart=True),))
    vocabulary.save(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_text() == "".join(f"{token}\n" for token in (*TOKENS, ""))


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
