"""Makes tests/golden/tokens.json: what Hugging Face's `tokenizers` makes of texts that are hard to tokenise.

Usage (needs `pip install tokenizers`):
    python scripts/make_golden_tokens.py
"""

import json
import string
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken
from tokenizers.implementations import BertWordPieceTokenizer

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_WORDS = ["the", "movie", "great", "un", "##aff", "##able", "##ing", "word", "Paris", "École", "NASA", "ecole"]
_OTHERS = "éößœæøłı中国日本語がのアαβγσςдхाह한ᄒ½™…€½⁄"
_TEXTS = [
    "The movie, the GREAT movie!",
    "unaffable unaffableness UNAFFABLE",
    "",
    "   \t \n ",
    "École naïve façade Ünïcödé",
    "don't [stop]...now?!  $5.99 a+b=c #1 x^y ~z `q` |r| <s>",
    "中国的 movie日本語word",
    "がのア ｶﾞ 한국어",
    "ΑΒΓ ΣΑΣ ας ΟΔΟΣ",
    "straße STRASSE ẞ",
    "İstanbul ıI",
    "ﬁne ½ ™ … € №",
    "zero\u200bwidth\u200djoin soft\u00adhyphen bom\ufeff",
    "nul\u0000 bell\u0007 vt\u000b ff\u000c esc\u001b del\u007f nel\u0085x",
    "nbsp\u00a0thin\u2009line\u2028para\u2029ideo\u3000end",
    "tab\tline\nreturn\rend",
    "replacement\ufffdcharacter private\ue000use\uf8ffhere",
    "“quoted” ‘single’ – dash — em ¿que? ¡ya! « g » 。、",
    "the [SEP] movie [CLS][MASK] [PAD] [UNK]great[SEP]",
    "[sep] [Sep] [S EP] [[SEP]]",
    "[SE\u200bP] [SE\ue000P]",
    "a" * 100 + " " + "a" * 101 + " end",
    "é" * 100 + " " + "é" * 101 + " end",
    "中" * 101,
    "e\u0301cole combining\u0300\u0301\u0302",
    "😀 emoji 👍🏽 word 🇫🇷",
    "हिन्दी का",
    "Дд Хх",
    "##ing ##able",
    "word " * 30,
    "Paris NASA École paris nasa école",
]
_SETTINGS = [
    {"lower_case": True, "strip_accents": False, "tokenize_chinese_chars": True},
    {"lower_case": False, "strip_accents": True, "tokenize_chinese_chars": True},
    {"lower_case": True, "strip_accents": True, "tokenize_chinese_chars": False},
]
# Content, and whether it is looked for in the normalised text.
_ADDED = [["<user>", False], ["ab", False], ["bcd", False], ["abcde", False], ["a|b", False], [r"\1", False]]
_ADDED += [["Film", True], ["New York", True], ["中国", True], ["École", True], ["movie", True]]
_ADDED_TEXTS = [
    "<user>wrote<user> <USER> <user>\u0301",
    "abcde abcd xabcx bcd ABC ABCDE",
    r"a|b \1 \\1 [SEP]ab[SEP]",
    "FILMS film Filmography movies MOVIE",
    "New York new\tyork NEW\u00a0YORK new  york newyork",
    "中国x中国人 中 国",
    "ÉCOLE école ecole E\u0301cole écoles",
    "İSTANBUL ÌÍĨ Į J\u030c Σας ΟΔΟΣ Ünïcödé",
    "the \ue000ab\ue000 \ue001 \ue005 movie",
]


def _make_settings(tokens: list[str]) -> list[dict[str, Any]]:
    """What other settings and added tokens make of the texts."""
    made = []
    for settings in [{"lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}, *_SETTINGS]:
        reference = BertWordPieceTokenizer(
            {token: i for i, token in enumerate(tokens)},
            lowercase=settings["lower_case"],
            strip_accents=settings["strip_accents"],
            handle_chinese_chars=settings["tokenize_chinese_chars"],
        )
        for content, normalized in _ADDED:
            reference.add_tokens([AddedToken(content, normalized=normalized)])
        made.append({**settings, "ids": [row.ids for row in reference.encode_batch([*_ADDED_TEXTS, *_TEXTS])]})
    return made


def main() -> None:
    """Writes the file."""
    letters = string.ascii_letters + string.digits
    tokens = [*_SPECIAL, *_WORDS, *letters, *string.punctuation, *(f"##{letter}" for letter in letters)]
    tokens += [*_OTHERS, *(f"##{letter}" for letter in _OTHERS if letter not in "中国日本語")]
    tokens = list(dict.fromkeys(tokens))
    cases = []
    for lower_case in (True, False):
        for length in (16, 17, 128):
            for shift in (None, 1, 7):
                reference = BertWordPieceTokenizer({t: i for i, t in enumerate(tokens)}, lowercase=lower_case)
                reference.enable_truncation(length, strategy="longest_first")
                pairs = None if shift is None else [*_TEXTS[shift:], *_TEXTS[:shift]]
                rows = reference.encode_batch(_TEXTS if pairs is None else list(zip(_TEXTS, pairs, strict=True)))
                cases.append(
                    {
                        "lower_case": lower_case,
                        "max_sequence_length": length,
                        "text_pair": pairs,
                        "ids": [row.ids for row in rows],
                        "type_ids": [row.type_ids for row in rows],
                    }
                )
    golden = {"made_with": f"tokenizers {tokenizers.__version__}", "tokens": tokens, "text": _TEXTS, "cases": cases}
    golden |= {"added": _ADDED, "more_text": [*_ADDED_TEXTS, *_TEXTS], "settings": _make_settings(tokens)}
    path = Path(__file__).parents[1] / "tests" / "golden" / "tokens.json"
    path.write_text(json.dumps(golden) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
