"""The vocabulary of a model from its tokenizer's files, and back."""

import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from easymft.data.vocabulary import AddedToken, Vocabulary, read_tokens
from easymft.errors import CheckpointError
from easymft.model_zoo.added_tokens import join_added
from easymft.model_zoo.foreign import LFS_POINTER, is_lfs_pointer
from easymft.model_zoo.json_files import write_json
from easymft.model_zoo.tokenizer_config import (
    BERT_NAMES,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_CONFIG_FILE,
    TokenizerConfig,
    read_tokenizer_config,
)
from easymft.model_zoo.tokenizer_json import TokenizerJson, read_tokenizer_json

VOCABULARY_FILE = "vocab.txt"
TOKENIZER_FILE = "tokenizer.json"

_FEW = 0.01


def read_vocabulary(folder: Path | None, vocabulary_file: str | None, lower_case: bool | None) -> Vocabulary:
    """Reads the vocabulary of a model, such that texts get the ids that they get in transformers.

    Args:
        folder: The weights' folder, with vocab.txt or tokenizer.json or both, and the small files beside them; None
            without one.
        vocabulary_file: The user's own vocab.txt, which then is read instead of the folder's.
        lower_case: The user's own choice. None: as tokenizer_config.json says, or else tokenizer.json, or else false
            exactly if a word of the vocabulary has a capital.

    Raises:
        CheckpointError: There is no vocabulary, or its files contradict one another, or they ask for something that
            EasyMFT's tokeniser does not do.
    """
    config = TokenizerConfig() if folder is None else read_tokenizer_config(folder)
    rules = None
    if folder is not None and (folder / TOKENIZER_FILE).is_file():
        rules = read_tokenizer_json(folder / TOKENIZER_FILE)
    if config.is_json_class and (rules is None or rules.adds_cls is False):
        problem = f"no {TOKENIZER_FILE}" if rules is None else f"{TOKENIZER_FILE} has no post_processor"
        raise CheckpointError(f"{folder}: {problem}; expected one, as the tokenizer_class is not BertTokenizer")
    tokens, source = _read_tokens(folder, vocabulary_file, rules)
    tokens, added = join_added(tokens, source, [*config.decoder, *(rules.added if rules else ()), *config.added])
    settings = _choose(folder, config, rules, lower_case)
    lower = settings.get("do_lower_case")
    if lower is None:
        whole = {token.content for token in added}
        lower = _guess_lower_case(source, [token for token in tokens if token not in whole])
    strip = settings.get("strip_accents")
    chinese = settings.get("tokenize_chinese_chars", True) is True
    try:
        vocabulary = Vocabulary(tokens, lower, None if strip == lower else strip, chinese, added)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error
    if config.lower_cased_before and not lower and lower_case is None:
        raise CheckpointError(
            f"{config.lower_cased_before}: do_lower_case is true, but the tokenizer keeps capitals; expected both to "
            "agree: set model.lower_case"
        )
    return vocabulary


def write_vocabulary(folder: Path, vocabulary: Vocabulary, max_length: int) -> None:
    """Writes vocab.txt, tokenizer_config.json and special_tokens_map.json; `max_length` is in tokens."""
    vocabulary.save(folder / VOCABULARY_FILE)
    special = {key: token for key, token in BERT_NAMES.items() if token in vocabulary.special_tokens}
    values: dict[str, Any] = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": vocabulary.lower_case,
        "tokenize_chinese_chars": vocabulary.tokenize_chinese_chars,
        "strip_accents": vocabulary.strip_accents,
        "model_max_length": max_length,
        **special,
    }
    if vocabulary.added_tokens:
        values["added_tokens_decoder"] = {
            str(vocabulary.ids[token.content]): _written(token) for token in vocabulary.whole_tokens
        }
    write_json(folder / TOKENIZER_CONFIG_FILE, values)
    write_json(folder / SPECIAL_TOKENS_FILE, special)


def _written(token: AddedToken) -> dict[str, Any]:
    flags = {"lstrip": False, "rstrip": False, "single_word": False}
    return {"content": token.content, "normalized": token.normalized, "special": token.special, **flags}


def _read_tokens(
    folder: Path | None, vocabulary_file: str | None, rules: TokenizerJson | None
) -> tuple[Sequence[str], str]:
    """The vocabulary's own tokens and their file."""
    if vocabulary_file is not None:
        return _read_lines(Path(vocabulary_file)), vocabulary_file
    if folder is not None and (folder / VOCABULARY_FILE).is_file():
        tokens = _read_lines(folder / VOCABULARY_FILE)
        if rules is None:
            return tokens, str(folder / VOCABULARY_FILE)
        _check_same(folder / VOCABULARY_FILE, tokens, rules)
    if folder is not None and rules is not None:
        return rules.tokens(str(folder / TOKENIZER_FILE)), str(folder / TOKENIZER_FILE)
    raise CheckpointError(f"{folder}: no {VOCABULARY_FILE} or {TOKENIZER_FILE}; give model.vocabulary_file")


def _read_lines(file: Path) -> Sequence[str]:
    if is_lfs_pointer(file):
        raise CheckpointError(f"{file}: {LFS_POINTER}")
    return read_tokens(file)


def _check_same(file: Path, tokens: Sequence[str], rules: TokenizerJson) -> None:
    """Raises unless vocab.txt and tokenizer.json give the same numbers; either may leave added tokens out."""
    added = {one.token.content: one.number for one in rules.added}
    listed = added | {token: number for number, token in enumerate(tokens) if token}
    theirs = added | {token.rstrip(): number for token, number in rules.ids.items() if token.strip()}
    differing = sorted(
        (token for token in listed.keys() | theirs.keys() if listed.get(token) != theirs.get(token)),
        key=lambda token: (listed.get(token, len(listed)), token),
    )
    if differing:
        token = differing[0]
        ours, other = (f"number {ids[token]}" if token in ids else "absent" for ids in (listed, theirs))
        raise CheckpointError(
            f"{file}: token {token!r:.80} is {ours}, but {other} in {TOKENIZER_FILE} ({len(differing)} differ); "
            "expected the same numbers in both: take away the file that is not of these weights"
        )


def _choose(
    folder: Path | None, config: TokenizerConfig, rules: TokenizerJson | None, lower_case: bool | None
) -> dict[str, bool | None]:
    """What is done to texts: as transformers has it, tokenizer_config.json's word counts, unless its class has none."""
    theirs = rules.settings if rules else {}
    merged = theirs | config.settings
    if rules:
        for name in _differing(merged, theirs):
            winner = TOKENIZER_FILE if config.is_json_class else TOKENIZER_CONFIG_FILE
            if name != "do_lower_case" or lower_case is None:
                warnings.warn(
                    f"{folder}: {name} is {_shown(merged[name])} in {TOKENIZER_CONFIG_FILE}, {_shown(theirs[name])} in "
                    f"{TOKENIZER_FILE}; {winner} counts, as in transformers",
                    stacklevel=3,
                )
    chosen = theirs if config.is_json_class else merged
    return chosen if lower_case is None else chosen | {"do_lower_case": lower_case}


def _differing(merged: dict[str, bool | None], theirs: dict[str, bool | None]) -> list[str]:
    """The settings that differ in what they do; without strip_accents texts lose their accents if lower-cased."""
    names = [name for name in ("do_lower_case", "tokenize_chinese_chars") if merged[name] != theirs[name]]
    strip, other = (
        said["do_lower_case"] if said["strip_accents"] is None else said["strip_accents"] for said in (merged, theirs)
    )
    explicit = merged["strip_accents"] is not None or theirs["strip_accents"] is not None
    return [*names, "strip_accents"] if strip != other and explicit else names


def _shown(value: bool | None) -> str:
    return "null" if value is None else str(value).lower()


def _is_capital(character: str) -> bool:
    """Whether it is one that lower-casing changes: a Roman numeral's sign is no letter, and some have no small form."""
    return unicodedata.category(character) in ("Lu", "Lt") and character.lower() != character


def _guess_lower_case(source: str, tokens: Sequence[str]) -> bool:
    """False exactly if a word has a capital; markers such as [CLS], <S> or [E1] are no words."""
    words = [word for word in (token.removeprefix("##") for token in tokens) if word.isalnum()]
    capital = [word for word in words if any(_is_capital(character) for character in word)]
    small = [word for word in words if word != word.upper()]
    if capital and len(capital) < _FEW * len(small):
        warnings.warn(
            f"{source}: taken as cased, since {len(capital)} of its {len(tokens)} tokens have capitals, such as "
            f"{capital[0]!r}; no file says do_lower_case: set model.lower_case to choose",
            stacklevel=3,
        )
    return not capital
