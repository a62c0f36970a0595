"""The WordPiece vocabulary of a BERT: its tokens in the order of their ids, and whether texts are lower-cased."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from easymft.errors import CheckpointError
from easymft.files import replacing

REQUIRED_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SPECIAL_TOKENS = (*REQUIRED_TOKENS, "[MASK]")


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a BERT and how texts are normalised for them.

    Attributes:
        tokens: The tokens; a token's id is its place. Pieces inside a word begin with `##`.
        lower_case: Whether texts are lower-cased and stripped of accents (an "uncased" BERT).
    """

    tokens: tuple[str, ...]
    lower_case: bool

    def __post_init__(self) -> None:
        """Checks the tokens.

        Raises:
            CheckpointError: One of [PAD] [UNK] [CLS] [SEP] is missing, or a token is empty or stands there twice.
        """
        missing = [token for token in REQUIRED_TOKENS if token not in self.ids]
        if missing:
            raise CheckpointError(
                f"The vocabulary of {len(self.tokens)} tokens lacks {', '.join(missing)}: expected the tokens of a "
                f"BERT WordPiece vocabulary, got {list(self.tokens[:5])} ..."
            )
        if "" in self.ids:
            raise CheckpointError(f"The vocabulary's token number {self.ids['']} is empty, expected a token.")
        if len(self.ids) != len(self.tokens):
            twice = next(token for place, token in enumerate(self.tokens) if self.ids[token] != place)
            first = self.tokens.index(twice)
            raise CheckpointError(
                f"The vocabulary holds the token {twice!r} twice, as numbers {first} and {self.ids[twice]}: "
                "expected each once."
            )

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: place for place, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        """Returns the number of tokens."""
        return len(self.tokens)

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Those of [PAD] [UNK] [CLS] [SEP] [MASK] that the vocabulary holds."""
        return tuple(token for token in SPECIAL_TOKENS if token in self.ids)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, lower_case: bool) -> "Vocabulary":
        """Reads a `vocab.txt`: UTF-8, one token a line, in the order of their ids.

        Args:
            path: The file.
            lower_case: As in the class; the file does not say.

        Raises:
            CheckpointError: The file cannot be read, or the tokens are not valid.
        """
        try:
            # newline="\n" would keep the \r of Windows line ends; splitlines() would also split at U+2028 in a token.
            tokens = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except OSError as error:
            raise CheckpointError(f"{path}: the vocabulary cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path}: byte {error.start} is not UTF-8, expected one token a line.") from error
        return _with_place(path, tokens, lower_case)

    @classmethod
    def from_tokenizer_json(cls, path: str | os.PathLike[str]) -> "Vocabulary":
        """Reads a Hugging Face `tokenizer.json` of a BERT tokenizer.

        Raises:
            CheckpointError: The file cannot be read, is no BERT WordPiece tokenizer, or asks for a normalisation or for
                special tokens that EasyMFT does not know.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"{path}: the tokenizer cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise CheckpointError(f"{path}: is not valid JSON ({error}).") from error
        lower_case = _check_tokenizer(path, content)
        ids: dict[str, int] = dict(content["model"]["vocab"])
        for added in content.get("added_tokens") or ():
            ids.setdefault(added["content"], added["id"])
        tokens = sorted(ids, key=ids.__getitem__)
        if [ids[token] for token in tokens] != list(range(len(tokens))):
            raise CheckpointError(f"{path}: the ids of the {len(tokens)} tokens are not 0 to {len(tokens) - 1}.")
        return _with_place(path, tokens, lower_case)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `vocab.txt`, under a temporary name first.

        Raises:
            OSError: The file cannot be written.
        """
        with replacing(path) as part:
            part.write_text("".join(f"{token}\n" for token in self.tokens), encoding="utf-8", newline="\n")


def _with_place(path: str | os.PathLike[str], tokens: Sequence[str], lower_case: bool) -> Vocabulary:
    try:
        return Vocabulary(tuple(tokens), lower_case)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _check_tokenizer(path: str | os.PathLike[str], content: Any) -> bool:
    """Returns whether the tokenizer lower-cases; raises where TextPreprocessor would not do what it asks for."""
    content = content if isinstance(content, dict) else {}
    model, normalizer = content.get("model") or {}, content.get("normalizer") or {}
    lower_case = normalizer.get("lowercase")
    pre_tokenizer = (content.get("pre_tokenizer") or {}).get("type")
    expected = {
        "model.type": (model.get("type"), ["WordPiece"]),
        "model.unk_token": (model.get("unk_token"), ["[UNK]"]),
        "model.continuing_subword_prefix": (model.get("continuing_subword_prefix"), ["##"]),
        "model.max_input_chars_per_word": (model.get("max_input_chars_per_word", 100), [100]),
        "normalizer.type": (normalizer.get("type"), ["BertNormalizer"]),
        "normalizer.lowercase": (lower_case, [True, False]),
        "normalizer.clean_text": (normalizer.get("clean_text"), [True]),
        "normalizer.handle_chinese_chars": (normalizer.get("handle_chinese_chars"), [True]),
        "normalizer.strip_accents": (normalizer.get("strip_accents"), [None, lower_case]),
        "pre_tokenizer.type": (pre_tokenizer, ["BertPreTokenizer"]),
    }
    for place, (value, allowed) in expected.items():
        if value not in allowed:
            raise CheckpointError(
                f"{path}: {place} is {json.dumps(value)}, expected {' or '.join(map(json.dumps, allowed))}: "
                "only BERT's WordPiece tokenizer is known."
            )
    # BERT's own five are recognised inside texts; another added token would have to be as well.
    added = [token["content"] for token in content.get("added_tokens") or ()]
    unknown = [token for token in added if token not in SPECIAL_TOKENS]
    if unknown:
        raise CheckpointError(f"{path}: added token {unknown[0]!r} is not known, expected {', '.join(SPECIAL_TOKENS)}.")
    return bool(lower_case)
