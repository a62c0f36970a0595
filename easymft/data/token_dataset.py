"""Tokenised examples on disk, read through memory maps."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from easymft.errors import DataError

SUMMARY_FILE = "summary.json"
# Name of an array file -> its type. All but `ids` and `row_splits` hold one value for each example.
ARRAYS: dict[str, type] = {
    "ids": np.int32,
    "row_splits": np.int64,
    "second_starts": np.int32,
    "label_ids": np.int32,
    "domain_ids": np.int32,
    "weights": np.float32,
    "typicality": np.float32,
}
_BY_ROW = frozenset(ARRAYS) - {"ids", "row_splits"}


class TokenDataset:
    """Token ids, labels, domains and weights of n examples; the tokens stay on disk.

    Attributes:
        num_examples: n.
        max_sequence_length: The most tokens that an example has.
        lengths: [n] int32, tokens with [CLS] and [SEP].
        label_ids: [n] int32, -1 where unlabelled.
        domain_ids: [n] int32, -1 where unknown.
        weights: [n] float32, the user's own weights, 1 where there are none.
        typicality: [n] float32, or None.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        *,
        max_sequence_length: int,
        pad_id: int,
        rows: np.ndarray | None = None,
    ):
        """Wraps arrays as in `ARRAYS`; use `load` or `build_token_dataset` rather.

        Args:
            arrays: `ids` [total tokens], `row_splits` [n + 1], `second_starts` [n] (the place in its row where the
                second text begins), and those of the class; `typicality` may be absent.
            max_sequence_length: As in the class.
            pad_id: The id of [PAD].
            rows: [m] integers, the rows that this view shows; None: all.
        """
        self._arrays = arrays
        self._pad_id = pad_id
        self._rows = rows
        self.max_sequence_length = max_sequence_length
        splits = arrays["row_splits"]
        # Without `rows` all but the lengths are the mapped arrays themselves, and so not in memory.
        self._starts = splits[:-1] if rows is None else splits[rows]
        self.lengths = (splits[1:] - self._starts if rows is None else splits[rows + 1] - self._starts).astype(np.int32)
        self.num_examples = len(self.lengths)
        of_rows = {name: values if rows is None else values[rows] for name, values in arrays.items() if name in _BY_ROW}
        self.label_ids, self.domain_ids = of_rows["label_ids"], of_rows["domain_ids"]
        self.weights, self.typicality = of_rows["weights"], of_rows.get("typicality")
        self._second_starts = of_rows["second_starts"]

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "TokenDataset":
        """Opens a finished folder of array files.

        Raises:
            DataError: It is damaged.
        """
        try:
            summary = json.loads((Path(folder) / SUMMARY_FILE).read_text(encoding="utf-8"))
            # np.asarray: a memmap's own indexing costs many times an ndarray's; the memory stays mapped.
            arrays = {
                name: np.asarray(np.load(Path(folder) / f"{name}.npy", mmap_mode="r")) for name in summary["arrays"]
            }
            dataset = cls(arrays, max_sequence_length=summary["max_sequence_length"], pad_id=summary["pad_id"])
            found = dataset.num_examples, len(arrays["ids"])
            expected = summary["num_examples"], int(arrays["row_splits"][-1])
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise DataError(f"{folder}: cannot be read ({error})") from error
        if found != expected:
            raise DataError(
                f"{folder}: holds {found[0]} examples and {found[1]} tokens, expected {expected[0]} and {expected[1]}"
            )
        return dataset

    @property
    def rows(self) -> np.ndarray:
        """The places [n] of these examples among all that were tokenised."""
        return np.arange(self.num_examples) if self._rows is None else self._rows

    def fingerprint(self) -> str:
        """Returns the sha256 of tokens, labels and domains, to tell whether what was made of them still fits."""
        rows = slice(None) if self._rows is None else self._rows
        kept = (self._arrays["ids"], self._starts, self.lengths, self._arrays["second_starts"][rows])
        digest = hashlib.sha256()
        for values in (*kept, self.label_ids, self.domain_ids):
            digest.update(np.ascontiguousarray(values))
        return digest.hexdigest()

    def subset(self, indices: np.ndarray) -> "TokenDataset":
        """Returns a view of the examples `indices` [m] in that order; example j of it is `indices[j]` of this one.

        Raises:
            IndexError: An index is outside of 0 to n - 1.
        """
        indices = np.asarray(indices, np.int64)
        if len(indices) and not 0 <= indices.min() <= indices.max() < self.num_examples:
            raise IndexError(
                f"Indices must be from 0 to {self.num_examples - 1}. Received: {indices.min()} to {indices.max()}"
            )
        return TokenDataset(
            self._arrays,
            max_sequence_length=self.max_sequence_length,
            pad_id=self._pad_id,
            rows=indices if self._rows is None else self._rows[indices],
        )

    def features(self, indices: np.ndarray, padded_length: int) -> dict[str, np.ndarray]:
        """Returns a batch.

        Args:
            indices: [b] integers, the examples.
            padded_length: L, tokens of each row after padding.

        Returns:
            `input_word_ids`, `input_mask`, `input_type_ids` [b, L] int32; `label`, `domain` [b] int32; `weight` [b]
            float32.

        Raises:
            ValueError: An example is longer than `padded_length`.
        """
        lengths = self.lengths[indices]
        if len(lengths) and lengths.max() > padded_length:
            raise ValueError(
                f"padded_length must be at least {lengths.max()}, the longest row. Received: {padded_length}"
            )
        places = np.arange(padded_length, dtype=np.int32)
        mask = places < lengths[:, np.newaxis]
        word_ids = np.full(mask.shape, self._pad_id, np.int32)
        # A row-major mask picks the real places in the very order in which rows lie one after another.
        word_ids[mask] = self._arrays["ids"][(self._starts[indices][:, np.newaxis] + places)[mask]]
        return {
            "input_word_ids": word_ids,
            "input_mask": mask.astype(np.int32),
            "input_type_ids": (mask & (places >= self._second_starts[indices][:, np.newaxis])).astype(np.int32),
            "label": self.label_ids[indices],
            "domain": self.domain_ids[indices],
            "weight": self.weights[indices],
        }
