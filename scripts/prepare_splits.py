"""Finding copies of texts and drawing splits, whatever the order of the records. Shared by the scripts prepare_*.py."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b

from prepare_common import Log, Record

_NO_LETTER_OR_DIGIT = re.compile(r"[\W_]+")


def normalise(text: str) -> str:
    """Returns the letters and digits of `text` in lower case: what two copies of a text have in common."""
    return _NO_LETTER_OR_DIGIT.sub("", text.casefold())


def fingerprint(texts: Iterable[str], seed: int) -> bytes:
    """Returns 16 bytes that are the same for the same normalised texts, and in random order for different ones."""
    words = "\n".join([str(seed), *(normalise(text) for text in texts)])
    return blake2b(words.encode("utf-8"), digest_size=16).digest()


def drop_copies(records: Iterable[Record], log: Log) -> list[Record]:
    """Keeps one record for each key: the first by domain and text; none where copies have different labels."""
    copies = defaultdict(list)
    for record in records:
        copies[record.key].append(record)
    kept = []
    for same in copies.values():
        first, *others = sorted(same, key=lambda record: (record.domain, record.texts, record.file, record.line))
        if len({record.label for record in same}) > 1:
            for record in same:
                log.drop(record, "copies with different labels", f"first: {first.file} line {first.line}")
            continue
        kept.append(first)
        for record in others:
            log.drop(record, "copy of another text", f"of {first.file} line {first.line}")
    return kept


def draw_splits(cells: Iterable[tuple[Hashable, bytes]], fractions: Mapping[str, float]) -> dict[bytes, str]:
    """Draws a fraction of the keys of each cell for each split.

    The draw is decided by the keys, which are `fingerprint`s, so the order of `cells` does not matter.

    Args:
        cells: (cell, key); the same key may come again.
        fractions: Split -> share of each cell's keys.

    Returns:
        Key -> split, for the keys that were drawn.
    """
    keys_of = defaultdict(set)
    for cell, key in cells:
        keys_of[cell].add(key)
    drawn = {}
    for keys in keys_of.values():
        left = sorted(keys)
        for split, fraction in fractions.items():
            count = round(len(keys) * fraction)
            drawn.update(dict.fromkeys(left[:count], split))
            left = left[count:]
    return drawn
