"""The WordPiece vocabulary of a BERT: its tokens in the order of their ids, and how texts are normalised for it."""

import os
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from easymft.errors import CheckpointError
from easymft.files import replacing

REQUIRED_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SPECIAL_TOKENS = (*REQUIRED_TOKENS, "[MASK]")
# Each has a character of its own inside the tokeniser: see easymft.data.text_preprocessor.
MAX_WHOLE_TOKENS = 1023


@dataclass(frozen=True)
class AddedToken:
    """A token that is found whole in a text, before the text is split into words.

    Attributes:
        content: The token, one of the vocabulary's.
        normalized: Whether it is looked for in the normalised text, as `film` in `FILMS`; else in the text as it is.
        special: Whether it is markup rather than text. Ids hardly depend on it.
        apart: Whether it stands behind the WordPiece vocabulary and not in it, so that no word or piece becomes it.
    """

    content: str
    normalized: bool = False
    special: bool = True
    apart: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a BERT and how texts are normalised for them.

    Attributes:
        tokens: The tokens; a token's id is its place, its last one where it stands twice. Pieces inside a word begin
            with `##`. An empty token is a place that no text gets.
        lower_case: Whether texts are lower-cased (an "uncased" BERT).
        strip_accents: Whether texts lose their accents. None: exactly if they are lower-cased.
        tokenize_chinese_chars: Whether each Chinese character is a word.
        added_tokens: Tokens that are found whole in texts, beside [PAD] [UNK] [CLS] [SEP] [MASK], which always are.
    """

    tokens: tuple[str, ...]
    lower_case: bool
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    added_tokens: tuple[AddedToken, ...] = ()

    def __post_init__(self) -> None:
        """Checks the tokens.

        Raises:
            CheckpointError: One of [PAD] [UNK] [CLS] [SEP] is missing, a token cannot be stored in a vocab.txt, or an
                added token cannot be found in texts.
        """
        missing = [token for token in REQUIRED_TOKENS if token not in self.ids]
        if missing:
            raise CheckpointError(
                f"The vocabulary of {len(self.tokens)} tokens lacks {', '.join(missing)}: expected the tokens of a "
                f"BERT WordPiece vocabulary, got {[token[:40] for token in self.tokens[:5]]} ..."
            )
        for place, token in enumerate(self.tokens):
            if "\n" in token or "\r" in token or not _is_unicode(token):
                raise CheckpointError(f"The vocabulary's token number {place} is {token!r:.80}, expected a word.")
        for token in self.added_tokens:
            _check_added(token.content, self.ids)
        if len(self.whole_tokens) > MAX_WHOLE_TOKENS:
            raise CheckpointError(
                f"{len(self.whole_tokens)} special and added tokens ({self.whole_tokens[0].content!r}, "
                f"{self.whole_tokens[1].content!r}, ...): expected at most {MAX_WHOLE_TOKENS}."
            )

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: place for place, token in enumerate(self.tokens) if token}

    def __len__(self) -> int:
        """Returns the number of tokens."""
        return len(self.tokens)

    @property
    def wordpiece_tokens(self) -> tuple[str, ...]:
        """The tokens that words of a text may become, up to the first that stands apart."""
        apart = [self.ids[token.content] for token in self.added_tokens if token.apart]
        return self.tokens[: min(apart, default=len(self.tokens))]

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Those of [PAD] [UNK] [CLS] [SEP] [MASK] that the vocabulary holds."""
        return tuple(token for token in SPECIAL_TOKENS if token in self.ids)

    @property
    def whole_tokens(self) -> tuple[AddedToken, ...]:
        """All tokens that are found whole in texts, each once, in the order of their ids."""
        found = {token: AddedToken(token) for token in self.special_tokens}
        found |= {token.content: token for token in self.added_tokens}
        return tuple(sorted(found.values(), key=lambda token: self.ids[token.content]))

    @property
    def strips_accents(self) -> bool:
        """Whether texts lose their accents."""
        return self.lower_case if self.strip_accents is None else self.strip_accents

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the ids of a text beside the tokens, as JSON knows it; what is BERT's own way is left out."""
        settings: dict[str, Any] = {"lower_case": self.lower_case}
        if self.strips_accents != self.lower_case:
            settings["strip_accents"] = self.strip_accents
        if not self.tokenize_chinese_chars:
            settings["tokenize_chinese_chars"] = False
        if self.added_tokens:
            settings["added_tokens"] = [asdict(token) for token in self.added_tokens]
        return settings

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, lower_case: bool) -> "Vocabulary":
        """Reads a `vocab.txt`, as `read_tokens` does.

        Args:
            path: The file.
            lower_case: As in the class; the file does not say.

        Raises:
            CheckpointError: The file cannot be read, or the tokens are not valid.
        """
        try:
            return cls(tuple(without_last_empty(read_tokens(path))), lower_case)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the WordPiece tokens as a `vocab.txt`, under a temporary name first.

        Raises:
            OSError: The file cannot be written.
        """
        with replacing(path) as part:
            part.write_text("".join(f"{token}\n" for token in self.wordpiece_tokens), encoding="utf-8", newline="\n")


def read_tokens(path: str | os.PathLike[str]) -> list[str]:
    """Reads the lines of a `vocab.txt`: UTF-8, one token a line, in the order of their ids.

    White space at the end of a line is no part of the token, and a byte order mark none of the first. It warns of a
    byte order mark, of tokens that stand twice, and of empty lines before the last token.

    Raises:
        CheckpointError: The file cannot be read.
    """
    try:
        # newline="\n" would keep the \r of Windows line ends; splitlines() would also split at U+2028 in a token.
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{path}: the vocabulary cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: byte {error.start} is not UTF-8, expected one token a line.") from error
    tokens = [line.rstrip() for line in text.removeprefix("\ufeff").removesuffix("\n").split("\n")]
    if text.startswith("\ufeff"):
        warnings.warn(f"{path}: begins with a byte order mark; it is no part of token 0, {tokens[0]!r}", stacklevel=2)
    inside = without_last_empty(tokens)
    if "" in inside:
        line, count = inside.index("") + 1, inside.count("")
        more = f" (and {count - 1} more)" if count > 1 else ""
        warnings.warn(f"{path}: line {line} is empty{more}; its number is counted, but no text gets it", stacklevel=2)
    _warn_of_doubles(path, inside)
    return tokens


def without_last_empty(tokens: Sequence[str]) -> Sequence[str]:
    """Returns the tokens up to the last that is not empty."""
    count = len(tokens)
    while count and not tokens[count - 1]:
        count -= 1
    return tokens[:count]


def _warn_of_doubles(path: str | os.PathLike[str], tokens: Sequence[str]) -> None:
    last = {token: place for place, token in enumerate(tokens)}
    doubles = [place for place, token in enumerate(tokens) if token and last[token] != place]
    if doubles:
        first, token = doubles[0], tokens[doubles[0]]
        others = len({tokens[place] for place in doubles}) - 1
        more = f"; so do {others} more" if others else ""
        warnings.warn(
            f"{path}: token {token!r} stands twice, as numbers {first} and {last[token]}; texts get {last[token]}, as "
            f"in transformers{more}",
            stacklevel=3,
        )


def _check_added(content: str, ids: dict[str, int]) -> None:
    """Raises where an added token could not be found in texts as transformers finds it."""
    categories = {unicodedata.category(character) for character in content}
    if content not in ids:
        raise CheckpointError(f"The added token {content!r:.80} is none of the vocabulary's {len(ids)} tokens.")
    hidden = "Co" in categories or "\ufffd" in content or not any(kind[0] in "LNPS" for kind in categories)
    if hidden or content != content.strip():
        raise CheckpointError(
            f"The added token {content!r:.80} cannot be found in texts: expected letters, digits or signs, none of "
            "private use, without white space around them."
        )


def _is_unicode(token: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in token)
