"""Reads all data of a config once and reports what is in it (`--mode validate`)."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import SkippedRows, shown
from easymft.data.label_map import LabelMap
from easymft.data.labels import MapBuilder
from easymft.data.notes import gather_notes
from easymft.data.reading import OPTIONAL_OUTSIDE_TRAINING, ExampleBatch, read_examples
from easymft.data.text_statistics import DuplicateFinder, Duplicates, LengthCounter, LengthSummary
from easymft.data.token_fit import TokenFit
from easymft.errors import DataError

# Called with [n] texts and their [n] second texts or None; returns the [n] numbers of tokens before any cut, [CLS] and
# [SEP] included, and the [n] numbers of [UNK] among them.
TokenCounter = Callable[[list[str], list[str] | None], tuple[np.ndarray, np.ndarray]]

_MISSING = {"nan", "null", "<na>", "n/a", "#n/a"}
_FEW_ROWS = 10  # with fewer a class of a single row is no surprise


@dataclass
class SplitReport:
    """What one split holds.

    Attributes:
        name: "train", "dev" or "test".
        files: The configured files and globs.
        rows: Good rows.
        skipped_rows: Bad rows that were left out.
        counts: Domain ("" without a column of domains) -> class -> rows, zeros included.
        words: Lengths in words, split at white space.
        tokens: Lengths in tokens before any cut; None where they were not counted.
        fit: How well the texts fit vocabulary and `max_sequence_length`, counted before any cut; None likewise.
    """

    name: str
    files: list[str]
    rows: int
    skipped_rows: int
    counts: dict[str, dict[str, int]]
    words: LengthSummary
    tokens: LengthSummary | None
    fit: TokenFit | None


@dataclass
class ValidationReport:
    """What all splits hold; `dataclasses.asdict` makes JSON of it.

    Attributes:
        labels: The classes in order of their ids; [] without a column of labels.
        domains: The domains likewise; [""] without a column of domains.
        max_sequence_length: Tokens that a row keeps.
        splits: One report for each split that has files.
        duplicates: Equal texts, for each pair of splits that has some.
        warnings: What a user should know, one line each.
    """

    labels: list[str]
    domains: list[str]
    max_sequence_length: int
    splits: list[SplitReport]
    duplicates: list[Duplicates]
    warnings: list[str] = field(default_factory=list)


class _Split:
    """Gathers the statistics of one split."""

    def __init__(
        self,
        name: str,
        files: list[str],
        count_tokens: TokenCounter | None,
        duplicates: DuplicateFinder,
        max_sequence_length: int,
    ):
        self.name = name
        self.files = files
        self._max_length = max_sequence_length
        self._fit = TokenFit()
        self.rows = 0
        self.skipped = 0
        self.cells: Counter[tuple[str, str]] = Counter()
        self._count_tokens = count_tokens
        self._duplicates = duplicates
        self._words = LengthCounter()
        self._tokens = LengthCounter()

    def add(self, batch: ExampleBatch) -> None:
        number = len(batch.rows)
        self.rows += number
        domains = batch.domain if batch.domain is not None else [""] * number
        labels = batch.label if batch.label is not None else [""] * number
        self.cells.update(zip(domains, labels, strict=True))
        words = [text.split() for text in batch.text]
        if batch.text_pair is not None:
            words = [[*one, "", *pair.split()] for one, pair in zip(words, batch.text_pair, strict=True)]
        self._words.add(np.array([len(one) for one in words]) - (batch.text_pair is not None))
        self._duplicates.add(self.name, batch, words)
        if self._count_tokens is not None:
            lengths, unknown = self._count_tokens(batch.text, batch.text_pair)
            self._tokens.add(lengths)
            self._fit.add(number, (lengths > self._max_length).sum(), lengths.sum(), unknown.sum())

    def report(self, labels: Sequence[str], domains: Sequence[str]) -> SplitReport:
        counted = self._count_tokens is not None
        return SplitReport(
            name=self.name,
            files=list(self.files),
            rows=self.rows,
            skipped_rows=self.skipped,
            counts={domain: {label: self.cells[domain, label] for label in labels or [""]} for domain in domains},
            words=self._words.summary(),
            tokens=self._tokens.summary() if counted else None,
            fit=self._fit if counted else None,
        )


def validate_files(
    data: DataConfig,
    *,
    pair: bool,
    count_tokens: TokenCounter | None = None,
    labels: LabelMap | None = None,
    domains: LabelMap | None = None,
    chunk_size: int = 8192,
    skipped_rows: SkippedRows | None = None,
) -> ValidationReport:
    """Reads the train, dev and test files once.

    Labels and domains of the train files decide which ones dev may hold, and which labels test may. A domain that only
    test files hold is told as a warning.

    Args:
        data: The data section. Only train files need columns of typicality, weight and id.
        pair: Whether the application reads two texts.
        count_tokens: Counts tokens, for lengths in tokens and the share of cut rows; None: only words are counted.
        labels: The classes of a run; None: those of the config, or of the train files.
        domains: The domains of a run; None likewise.
        chunk_size: Rows in memory at once.
        skipped_rows: Takes bad rows where `data.bad_rows` is "skip".

    Raises:
        DataError: No files are given, or files or rows of any split are bad: one error with all of them.
    """
    files = {"train": data.train_files, "dev": data.dev_files, "test": data.test_files}
    if not any(files.values()):
        raise DataError("data.train_files, dev_files and test_files are all [], expected files to validate.")
    if skipped_rows is None:
        skipped_rows = SkippedRows(None)
    duplicates = DuplicateFinder()
    splits = [
        _Split(name, some, count_tokens, duplicates, data.max_sequence_length) for name, some in files.items() if some
    ]
    builder = MapBuilder(data)
    known = (labels or builder.given_labels, domains or builder.given_domains)
    errors = []
    with gather_notes() as notes:
        for split in splits:
            is_train = split.name == "train"
            skipped_before = skipped_rows.count
            try:
                for batch in _read(split, data, pair, known, chunk_size, skipped_rows):
                    split.add(batch)
                    if is_train:
                        builder.add(batch)
                if is_train and data.columns.label is not None and labels is None:
                    known = builder.finish()
            except DataError as error:
                errors.append(str(error))
            split.skipped = skipped_rows.count - skipped_before
        if errors:
            raise DataError("\n".join(errors))
    names = [_names(known[0], splits, 1), _names(known[1], splits, 0)]
    new_domains = sorted({domain for split in splits for domain, _ in split.cells}.difference(names[1], [""]))
    names[1] += new_domains
    reports = [split.report(names[0], names[1]) for split in splits]
    report = ValidationReport(names[0], names[1], data.max_sequence_length, reports, duplicates.find())
    report.warnings = notes + list(_warnings(report, new_domains, has_domains=data.columns.domain is not None))
    return report


def _read(
    split: _Split,
    data: DataConfig,
    pair: bool,
    known: tuple[LabelMap | None, LabelMap | None],
    chunk_size: int,
    skipped_rows: SkippedRows,
) -> Iterator[ExampleBatch]:
    return read_examples(
        split.files,
        data,
        pair=pair,
        labels=known[0],
        # A model may be tried on the domains of a test file that it has not seen.
        domains=known[1] if data.columns.domain is not None and split.name != "test" else None,
        need_label=data.columns.label is not None,
        optional_columns=() if split.name == "train" else OPTIONAL_OUTSIDE_TRAINING,
        chunk_size=chunk_size,
        skipped_rows=skipped_rows,
    )


def _names(known: LabelMap | None, splits: list[_Split], position: int) -> list[str]:
    if known is not None:
        return known.to_json()
    found = sorted({cell[position] for split in splits for cell in split.cells})
    return found if position == 0 or found != [""] else []


def _warnings(report: ValidationReport, new_domains: list[str], *, has_domains: bool) -> Iterator[str]:
    if new_domains:
        yield (
            f"test: {', '.join(map(repr, new_domains))}: no domain of the train files; a model of all domains "
            "(meta_tune, or finetune with train.domains union) is evaluated on such rows, finetune with a model for "
            "each domain refuses them."
        )
    if has_domains and len(report.domains) - len(new_domains) == 1:
        yield f"all rows are of the one domain {report.domains[0]!r}; to corrupt domains (mft.preset paper) takes two."
    for split in report.splits:
        for domain, cells in split.counts.items():
            if domain in new_domains and split.name != "test":
                continue
            where = f"{split.name}, domain {domain!r}" if has_domains else split.name
            empty = [label for label, count in cells.items() if count == 0]
            if len(empty) == len(cells):
                needed = has_domains and split.name != "test"
                yield f"{where}: no rows{'; finetune with a model for each domain needs one' if needed else ''}."
            elif empty:
                yield f"{where}: no rows of the class{'es' * (len(empty) > 1)} {', '.join(map(repr, empty))}."
        if split.skipped_rows:
            yield f"{split.name}: bad rows skipped: {split.skipped_rows}."
        for line in split.fit.describe(report.max_sequence_length) if split.fit is not None else ():
            yield f"{split.name}: {line}."
    yield from _doubtful_names(report, has_domains)
    for found in report.duplicates:
        later, earlier = found.splits
        file, row, other_file, other_row = found.examples[0]
        yield (
            f"{later}: rows with the text of an earlier row of {earlier}: {found.count}, "
            f"the first is {file} row {row} with that of {other_file} row {other_row}."
        )


def _doubtful_names(report: ValidationReport, has_domains: bool) -> Iterator[str]:
    """What a mistake in the column of labels or domains, or a slip of the keyboard, looks like."""
    train = next((split for split in report.splits if split.name == "train"), None)
    if train is not None:
        totals = {label: sum(cells.get(label, 0) for cells in train.counts.values()) for label in report.labels}
        single = [label for label, count in totals.items() if count == 1]
        if single and train.rows >= _FEW_ROWS:
            yield (
                f"train: classes with a single row: {len(single)} of {len(totals)}, such as {shown(single[0])}; check "
                "that data.columns.label is the column of the classes, and the spelling."
            )
    for what, names in (("classes", report.labels), ("domains", report.domains if has_domains else [])):
        alike: dict[str, str] = {}
        for name in names:
            if not _seen(name).strip() or any(unicodedata.category(one) == "Cc" for one in name):
                yield f"one of the {what} is {ascii(name)}, with a character that cannot be seen."
            if name.casefold() in _MISSING:
                yield f"one of the {what} is {name!r}, as programs write what is missing; is it a name?"
            other = alike.setdefault(_seen(name), name)
            if other != name:
                yield f"the {what} {ascii(other)} and {ascii(name)} differ in what is hard to see alone; are they one?"


def _seen(name: str) -> str:
    """What a reader sees of a name: no case, no forms of compatibility, no characters without a shape."""
    return "".join(one for one in unicodedata.normalize("NFKC", name).casefold() if unicodedata.category(one) != "Cf")
