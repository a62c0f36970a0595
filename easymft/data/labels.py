"""The classes and domains of a run: given or inferred once, saved with the run, used by every later stage."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from easymft.checksums import read_object, write_object
from easymft.config.data_section import DataConfig
from easymft.config.section import composed
from easymft.data.bad_rows import SkippedRows, shown
from easymft.data.checks import LONGEST_NAME
from easymft.data.columns import check_unique, has_header
from easymft.data.label_map import LabelMap
from easymft.data.reading import ExampleBatch, read_examples
from easymft.errors import DamagedError, DataError

_MOST_INFERRED_NAMES = 1000
# With fewer rows a class that only the first row has is more likely rare than a header.
_ROWS_TO_TELL_A_HEADER = 10


class MapBuilder:
    """Gathers labels and domains from batches of training examples.

    Give every batch to `add`, then call `finish`. Memory grows with the number of different names, not of rows.
    """

    def __init__(self, data: DataConfig):
        """Starts with the names that the config gives.

        Raises:
            DataError: They are not fit to be names, or there are domains but no column of them.
        """
        self._data = data
        self.given_labels = None if data.labels is None else _given(data.labels, "data.labels", least=2)
        self.given_domains = None if data.domains is None else _given(data.domains, "data.domains", least=1)
        if self.given_domains is not None and data.columns.domain is None:
            raise DataError(f"data.domains is {data.domains!r} but data.columns.domain is null, expected both or none.")
        self._labels: Counter[str] = Counter()
        self._domains: Counter[str] = Counter()
        self._rows = 0
        self._first_rows: list[tuple[str, str, str | None]] = []

    def add(self, batch: ExampleBatch) -> None:
        """Counts the names of a batch.

        Raises:
            DataError: There are more than 1000 different labels or domains, so the column is not one of names.
        """
        self._rows += len(batch.rows)
        self._labels.update(batch.label or [])
        self._domains.update(batch.domain or [])
        for names, given, field in (
            (self._labels, self.given_labels, "label"),
            (self._domains, self.given_domains, "domain"),
        ):
            if given is None and len(names) > _MOST_INFERRED_NAMES:
                raise DataError(
                    f"{batch.file}: row {batch.rows[-1]}: more than {_MOST_INFERRED_NAMES} different {field}s so far, "
                    f"such as {shown(next(iter(names)))}; check data.columns.{field}, or list them in data.{field}s."
                )
        if batch.first_row == 1 and not has_header(self._data) and batch.label is not None:
            self._first_rows.append((batch.file, batch.label[0], None if batch.domain is None else batch.domain[0]))

    def finish(self) -> tuple[LabelMap, LabelMap]:
        """Returns the labels, and the domains: one named "" where there is no column of domains.

        Raises:
            DataError: A given name never occurred, there are fewer than two labels, or the only row with a label and a
                domain is the first one of a file, so it is a header.
        """
        if self.given_labels is None:
            self._check_no_header_counted()
        labels = self._finish(self.given_labels, self._labels, "label")
        if len(labels) < 2:
            raise DataError(f"The train files hold the one label {labels[0]!r}, expected at least 2.")
        if self._data.columns.domain is None:
            return LabelMap.from_names(labels), LabelMap.from_names([""])
        domains = self._finish(self.given_domains, self._domains, "domain")
        return LabelMap.from_names(labels), LabelMap.from_names(domains)

    def _finish(self, given: LabelMap | None, counted: Counter[str], field: str) -> list[str]:
        if given is None:
            return sorted(counted)
        missing = [name for name in given if name not in counted]
        if missing:
            raise DataError(
                f"data.{field}s: {', '.join(map(shown, missing))} never occur{'s' * (len(missing) == 1)} in the "
                f"{self._rows} rows of the train files, which hold {', '.join(sorted(counted))}."
            )
        return list(given)

    def _check_no_header_counted(self) -> None:
        if self._rows < _ROWS_TO_TELL_A_HEADER:
            return
        for file, label, domain in self._first_rows:
            if self._labels[label] == 1 and (domain is None or self._domains[domain] == 1):
                raise DataError(
                    f"{file}: row 1: the label {shown(label)} occurs nowhere else, as if this row were a header; "
                    "if it is one set data.header: true, if not list the classes in data.labels."
                )


def _given(names: list[str], place: str, least: int) -> LabelMap:
    names = [composed(name) for name in names]
    if len(names) < least:
        raise DataError(f"{place} is {names!r}, expected at least {least}.")
    check_unique(names, place)
    for name in names:
        if not name or name != name.strip():
            raise DataError(f"{place} holds {name!r}, expected names without white space around them, not empty.")
        if len(name) > LONGEST_NAME:
            raise DataError(f"{place} holds {shown(name)}, expected names of at most {LONGEST_NAME} characters.")
    return LabelMap.from_names(names)


def infer_maps(
    data: DataConfig,
    *,
    pair: bool,
    files: Sequence[str] | None = None,
    chunk_size: int = 8192,
    skipped_rows: SkippedRows | None = None,
) -> tuple[LabelMap, LabelMap]:
    """Finds the labels and domains of a run in one streaming pass over its training data.

    Those that the config gives keep their order and must all occur; others are sorted.

    Args:
        data: The data section.
        pair: Whether the application reads two texts.
        files: Files and globs; None: `data.train_files`.
        chunk_size: Rows in memory at once.
        skipped_rows: Takes bad rows where `data.bad_rows` is "skip"; None there: they are only left out.

    Returns:
        Labels, and domains: a map of the one name "" where there is no column of domains.

    Raises:
        DataError: Bad rows, a given name that never occurs, fewer than two labels, or a header taken for an example.
    """
    builder = MapBuilder(data)
    for batch in read_examples(
        data.train_files if files is None else files,
        data,
        pair=pair,
        labels=builder.given_labels,
        domains=builder.given_domains,
        chunk_size=chunk_size,
        skipped_rows=SkippedRows(None) if skipped_rows is None else skipped_rows,
    ):
        builder.add(batch)
    return builder.finish()


def save_maps(path: str | os.PathLike[str], labels: LabelMap, domains: LabelMap) -> None:
    """Writes both maps as JSON, under a temporary name first.

    Raises:
        DataError: The file cannot be written.
    """
    try:
        write_object(Path(path), {"labels": labels.to_json(), "domains": domains.to_json()})
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}).") from error


def load_maps(path: str | os.PathLike[str]) -> tuple[LabelMap, LabelMap]:
    """Reads what `save_maps` wrote.

    Returns:
        Labels, domains.

    Raises:
        DataError: The file is missing or does not hold two maps.
    """
    try:
        content = read_object(Path(path))
        if content.keys() != {"labels", "domains"}:
            raise DataError(f"{path}: holds {shown(content)}, expected an object of 'labels' and 'domains'.")
        return LabelMap.from_json(content["labels"]), LabelMap.from_json(content["domains"])
    except FileNotFoundError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); a run's training writes it.") from error
    except (DamagedError, DataError) as error:
        problem = str(error).removesuffix(".")
        problem = problem if str(path) in problem else f"{path}: {problem}"
        raise DataError(f"{problem}; put back a copy of it, or train anew in another folder.") from error
