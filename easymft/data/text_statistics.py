"""Statistics of texts gathered while streaming: lengths, and which texts are the same."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easymft.data.reading import ExampleBatch

_PERCENTILES = (50, 90, 95, 99)
_EXAMPLES = 5


@dataclass(frozen=True)
class LengthSummary:
    """Lengths of texts (of pairs: both together), in words or tokens.

    Attributes:
        mean: Their mean.
        percentiles: "50", "90", "95", "99" -> the length that as many percent of the rows do not exceed.
        longest: The greatest.
    """

    mean: float
    percentiles: dict[str, int]
    longest: int


class LengthCounter:
    """Counts lengths; memory grows with the number of different lengths, not of texts."""

    def __init__(self) -> None:
        """Starts with no lengths."""
        self._counts: Counter[int] = Counter()

    def add(self, lengths: np.ndarray) -> None:
        """Counts [n] lengths."""
        values, counts = np.unique(lengths, return_counts=True)
        self._counts.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def summary(self) -> LengthSummary:
        """Returns the exact statistics of all lengths; at least one must have been counted."""
        lengths = np.array(sorted(self._counts))
        counts = np.array([self._counts[length] for length in lengths.tolist()])
        up_to = np.cumsum(counts)
        needed = [np.searchsorted(up_to, up_to[-1] * percent / 100) for percent in _PERCENTILES]
        percentiles = {str(percent): int(lengths[at]) for percent, at in zip(_PERCENTILES, needed, strict=True)}
        return LengthSummary(float(lengths @ counts / up_to[-1]), percentiles, int(lengths[-1]))


@dataclass(frozen=True)
class Duplicates:
    """Rows whose text (of pairs: both) equals that of an earlier row, but for case and white space.

    Attributes:
        splits: The split of the rows and that of the earlier ones, e.g. ("test", "train").
        count: How many rows.
        examples: Some of them as (file, row, earlier file, earlier row).
    """

    splits: tuple[str, str]
    count: int
    examples: list[tuple[str, int, str, int]]


class DuplicateFinder:
    """Finds equal texts within and across splits, with 16 bytes of memory for each row.

    Texts are compared by 64 bits of their BLAKE2 hash: two different ones among ten million fall together with a
    probability of about 3 in a million.
    """

    def __init__(self) -> None:
        """Starts with no texts."""
        self._hashes: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._places: list[tuple[str, str]] = []

    def add(self, split: str, batch: ExampleBatch, word_lists: Sequence[list[str]]) -> None:
        """Takes the texts of `batch`, given as the [n] lists of their words (of pairs: both, with a "" in between)."""
        digests = b"".join(
            hashlib.blake2b(" ".join(words).casefold().encode(), digest_size=8).digest() for words in word_lists
        )
        self._hashes.append(np.frombuffer(digests, np.uint64))
        self._rows.append(batch.rows)
        self._places.append((split, batch.file))

    def find(self) -> list[Duplicates]:
        """Returns the duplicates of each pair of splits with some; each row counts once, against the first like it."""
        if not self._hashes:
            return []
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._rows)
        chunk = np.repeat(np.arange(len(self._places)), [len(one) for one in self._rows])
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        earlier = first[inverse]
        found: dict[tuple[str, str], list[int]] = {}
        for index in np.flatnonzero(earlier != np.arange(len(hashes))).tolist():
            splits = self._places[chunk[index]][0], self._places[chunk[earlier[index]]][0]
            found.setdefault(splits, []).append(index)

        def place(index: int) -> tuple[str, int]:
            return self._places[chunk[index]][1], int(rows[index])

        return [
            Duplicates(splits, len(indices), [(*place(i), *place(earlier[i])) for i in indices[:_EXAMPLES]])
            for splits, indices in found.items()
        ]
