"""Names of classes or domains, and their ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from easymft.config.section import composed
from easymft.data.bad_rows import shown
from easymft.data.columns import check_unique
from easymft.errors import DataError


@dataclass(frozen=True)
class LabelMap:
    """Names in order; a name's index is its id, whatever Unicode form it is given in.

    Attributes:
        names: Different names, at least one.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Checks that there are names, all different.

        Raises:
            DataError: There is none, one is no string, or one stands twice.
        """
        if not self.names or not all(isinstance(name, str) for name in self.names):
            raise DataError(f"A label map holds {self.names!r}, expected at least one name, all of them strings.")
        check_unique(self.names, "A label map")

    @classmethod
    def from_names(cls, names: Sequence[str]) -> "LabelMap":
        """Returns a map of `names` in their order."""
        return cls(tuple(names))

    @cached_property
    def _ids(self) -> dict[str, int]:
        # A run of long ago may have two names that differ in their form alone; the first is the one that is found.
        return {composed(name): index for index, name in reversed(list(enumerate(self.names)))}

    def __len__(self) -> int:
        """Returns the number of names."""
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        """Whether `name` is one of the names."""
        return isinstance(name, str) and composed(name) in self._ids

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names in order."""
        return iter(self.names)

    def index(self, name: str) -> int:
        """Returns the id of `name`.

        Raises:
            DataError: It is none of the names.
        """
        if name not in self:
            raise DataError(f"Unknown name {shown(name)}, expected one of {', '.join(self.names)}.")
        return self._ids[composed(name)]

    def encode(self, names: Sequence[str], *, empty_as_missing: bool = False) -> np.ndarray:
        """Returns the ids of `names`.

        Args:
            names: [n] names.
            empty_as_missing: Give "" (an unlabelled row) the id -1.

        Returns:
            [n] int32.

        Raises:
            DataError: One is none of the names.
        """
        ids = {"": -1} | self._ids if empty_as_missing else self._ids
        try:
            return np.fromiter((ids[composed(name)] for name in names), np.int32, len(names))
        except KeyError as error:
            raise DataError(f"Unknown name {shown(error.args[0])}, expected one of {', '.join(self.names)}.") from error

    def to_json(self) -> list[str]:
        """Returns the names as a JSON list."""
        return list(self.names)

    @classmethod
    def from_json(cls, value: object) -> "LabelMap":
        """Returns the map that `to_json` wrote.

        Raises:
            DataError: `value` is no list of different strings.
        """
        if not isinstance(value, list):
            raise DataError(f"A label map is {shown(value)}, expected a JSON list of names.")
        return cls(tuple(value))
