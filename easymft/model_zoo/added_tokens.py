"""Tokens that a tokenizer's files declare beside the vocabulary, to be found whole in texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from easymft.data.vocabulary import SPECIAL_TOKENS, AddedToken, without_last_empty
from easymft.errors import CheckpointError


@dataclass(frozen=True)
class Declared:
    """A token as a file declares it.

    Attributes:
        token: The token.
        number: Its id, if the file gives one.
        source: The file and field, for messages.
        optional: Whether it counts only if the vocabulary holds it.
    """

    token: AddedToken
    number: int | None
    source: str
    optional: bool = False


def read_declared(entry: Any, source: str, number: Any = None, *, special: bool | None = None) -> Declared:
    """Reads a declaration: the token itself, or an object with `content` and settings.

    `lstrip` and `rstrip` are of no effect, since BERT takes no notice of white space.

    Args:
        entry: What the file holds.
        source: The file and field.
        number: The id, where it stands beside the declaration.
        special: Whether the token is special, where the entry does not say. None: exactly if it is one of BERT's own.

    Raises:
        CheckpointError: The entry is malformed, or the token is to be found only as a word of its own.
    """
    entry = {"content": entry} if isinstance(entry, str) else entry
    content = entry.get("content") if isinstance(entry, dict) else None
    if not isinstance(content, str) or not content:
        raise CheckpointError(f"{source}: holds {entry!r:.80}; expected a token")
    number = entry.get("id", number)
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        raise CheckpointError(f"{source}: token {content!r:.80} has the number {number!r:.40}; expected 0, 1, 2, ...")
    flags = {name: entry.get(name) for name in ("special", "normalized", "single_word")}
    for name, flag in flags.items():
        if flag is not None and not isinstance(flag, bool):
            raise CheckpointError(f"{source}: {name} of token {content!r:.80} is {flag!r:.40}; expected true or false")
    if flags["single_word"]:
        raise CheckpointError(f"{source}: token {content!r:.80} is a single_word; only tokens without it are supported")
    if flags["special"] is None:
        flags["special"] = content in SPECIAL_TOKENS if special is None else special
    normalized = not flags["special"] if flags["normalized"] is None else flags["normalized"]
    return Declared(AddedToken(content, normalized, flags["special"]), number, source)


def join_added(
    tokens: Sequence[str], source: str, declared: Iterable[Declared]
) -> tuple[tuple[str, ...], tuple[AddedToken, ...]]:
    """Puts declared tokens behind a vocabulary's own.

    Args:
        tokens: The vocabulary's own, with the empty ones at its end.
        source: Their file.
        declared: The first of several declarations of a token says how it is found.

    Returns:
        All tokens in the order of their ids, and those of the declared ones that are not BERT's own.

    Raises:
        CheckpointError: A token has another number than the vocabulary says, or than it has in transformers.
    """
    all_tokens = list(without_last_empty(tokens))
    ids = {token: number for number, token in enumerate(all_tokens)}
    found: dict[str, AddedToken] = {}
    apart = set()
    declared = list(declared)
    for one in sorted((one for one in declared if one.number is not None), key=lambda one: one.number or 0):
        content, number = one.token.content, one.number
        if content in ids and ids[content] != number:
            raise CheckpointError(
                f"{one.source}: token {content!r:.80} has the number {number}; {source} gives it {ids[content]}"
            )
        if content not in ids:
            # Empty lines at the end of a vocab.txt may have been counted.
            if number is not None and len(all_tokens) < number <= len(tokens):
                all_tokens += [""] * (number - len(all_tokens))
            if number != len(all_tokens):
                raise CheckpointError(
                    f"{one.source}: added token {content!r:.80} has the number {number}; expected {len(all_tokens)}, "
                    f"the first after the tokens of {source}"
                )
            all_tokens.append(content)
            ids[content] = number
            apart.add(content)
    for one in declared:
        if one.token.content in ids:
            found.setdefault(one.token.content, replace(one.token, apart=one.token.content in apart))
        elif not one.optional:
            raise CheckpointError(
                f"{one.source}: token {one.token.content!r:.80} is none of the {len(all_tokens)} tokens of {source}, "
                "and no file gives it a number"
            )
    plain = {AddedToken(token) for token in SPECIAL_TOKENS}
    added = sorted((token for token in found.values() if token not in plain), key=lambda token: ids[token.content])
    return tuple(all_tokens), tuple(added)
