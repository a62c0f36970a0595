"""What a set of typicality scores holds: statistics by domain and class, and the lowest and highest texts."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

_CHUNK = 8192  # examples looked at at once
_BINS = 60
_TEXT_WIDTH = 200

Text = str | tuple[str, str]


@dataclass(frozen=True)
class ScoredText:
    """An example with its score.

    Attributes:
        typicality: Its score.
        row: Its number among the examples, from 1.
        domain: Its domain.
        label: Its class.
        text: Its text on one line, shortened.
    """

    typicality: float
    row: int
    domain: str
    label: str
    text: str


@dataclass(frozen=True)
class Summary:
    """Count, mean, standard deviation (of these very scores, no estimate), least and greatest; None without a score."""

    count: int
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class TypicalityReport:
    """Typicality of N examples of K domains and M classes.

    Attributes:
        labels: The M classes.
        domains: The K domains.
        summaries: (domain, class) -> summary; None stands for all domains or all classes.
        histograms: Examples in each bin, [K, M, bins].
        edges: Edges of the bins, [bins + 1].
        lowest: Class -> its examples of the lowest typicality, lowest first; None -> those of all classes.
        highest: The same with the highest, highest first.
    """

    labels: tuple[str, ...]
    domains: tuple[str, ...]
    summaries: dict[tuple[str | None, str | None], Summary]
    histograms: np.ndarray
    edges: np.ndarray
    lowest: dict[str | None, list[ScoredText]]
    highest: dict[str | None, list[ScoredText]]


def build_typicality_report(
    typicality: np.ndarray,
    label_ids: np.ndarray,
    domain_ids: np.ndarray,
    labels: Sequence[str],
    domains: Sequence[str],
    texts: Iterable[Text],
    *,
    num_extremes: int = 10,
) -> TypicalityReport:
    """Reads scores and texts once; holds a chunk of them and the extreme texts, never all.

    Args:
        typicality: Finite scores, [N]; may be memory-mapped.
        label_ids: [N] in [0, M).
        domain_ids: [N] in [0, K).
        labels: The M classes.
        domains: The K domains.
        texts: N texts, or (text, second text), in the same order.
        num_extremes: How many of the lowest and highest texts are kept, overall and by class.

    Raises:
        ValueError: There is no example, the arrays or texts differ in number, or a score is not finite.
    """
    total = len(typicality)
    if total == 0 or len(label_ids) != total or len(domain_ids) != total:
        raise ValueError(f"expected three arrays [N]. Received: {total}, {len(label_ids)}, {len(domain_ids)}")
    cells = _Cells((len(domains), len(labels)), _bin_edges(typicality))
    extremes = {name: _Extremes(num_extremes) for name in (None, *labels)}
    remaining = iter(texts)
    for start in range(0, total, _CHUNK):
        span = slice(start, start + _CHUNK)
        scores = np.asarray(typicality[span], np.float64)
        chunk = _Chunk(start, scores, np.asarray(label_ids[span]), np.asarray(domain_ids[span]), [], labels, domains)
        chunk.texts.extend(islice(remaining, len(scores)))
        if len(chunk.texts) < len(scores):
            raise ValueError(f"expected {total} texts. Received: {start + len(chunk.texts)}")
        cells.update(chunk)
        for name, rows in chunk.groups():
            extremes[name].update(scores, rows, chunk.example)
    if next(remaining, None) is not None:
        raise ValueError(f"expected {total} texts. Received: more than that")
    return TypicalityReport(
        labels=tuple(labels),
        domains=tuple(domains),
        summaries=cells.summaries(labels, domains),
        histograms=cells.histograms,
        edges=cells.edges,
        lowest={name: found.lowest for name, found in extremes.items()},
        highest={name: found.highest for name, found in extremes.items()},
    )


def shorten_text(text: Text) -> str:
    """Returns a text, or both of a pair, on one line of at most about 200 characters."""
    parts = (text,) if isinstance(text, str) else text
    width = _TEXT_WIDTH // len(parts)
    lines = [" ".join(part.split()) for part in parts]
    return " ‖ ".join(line if len(line) <= width else line[: width - 1].rstrip() + "…" for line in lines)


@dataclass(frozen=True)
class _Chunk:
    start: int
    scores: np.ndarray
    label_ids: np.ndarray
    domain_ids: np.ndarray
    texts: list[Text] = field(repr=False)
    labels: Sequence[str]
    domains: Sequence[str]

    def example(self, row: int) -> ScoredText:
        domain, label = self.domains[self.domain_ids[row]], self.labels[self.label_ids[row]]
        return ScoredText(
            float(self.scores[row]), self.start + int(row) + 1, domain, label, shorten_text(self.texts[row])
        )

    def groups(self) -> Iterator[tuple[str | None, np.ndarray]]:
        yield None, np.arange(len(self.scores))
        for index, name in enumerate(self.labels):
            yield name, np.flatnonzero(self.label_ids == index)


class _Extremes:
    """The `size` examples of the lowest and of the highest scores so far; the earlier one where scores are equal."""

    def __init__(self, size: int):
        self.lowest: list[ScoredText] = []
        self.highest: list[ScoredText] = []
        self._size = size

    def update(self, scores: np.ndarray, rows: np.ndarray, example: Callable[[int], ScoredText]) -> None:
        rising = rows[np.argsort(scores[rows], kind="stable")[: self._size]]
        falling = rows[np.argsort(-scores[rows], kind="stable")[: self._size]]
        lowest, highest = [*self.lowest, *map(example, rising)], [*self.highest, *map(example, falling)]
        self.lowest = heapq.nsmallest(self._size, lowest, key=lambda found: (found.typicality, found.row))
        self.highest = heapq.nsmallest(self._size, highest, key=lambda found: (-found.typicality, found.row))


class _Cells:
    """Running statistics of each (domain, class) cell; variances are merged as in Chan, Golub and LeVeque (1979)."""

    def __init__(self, shape: tuple[int, int], edges: np.ndarray):
        self.edges = edges
        self.histograms = np.zeros([*shape, len(edges) - 1], np.int64)
        self._shape = shape
        self._counts, self._means, self._squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._minima, self._maxima = np.full(shape, np.inf), np.full(shape, -np.inf)

    def update(self, chunk: _Chunk) -> None:
        scores, ids = chunk.scores, (chunk.domain_ids, chunk.label_ids)
        cells = np.ravel_multi_index(ids, self._shape)
        size = self._counts.size
        counts = np.bincount(cells, minlength=size)
        means = np.bincount(cells, scores, size) / np.maximum(counts, 1)
        squares = np.bincount(cells, (scores - means[cells]) ** 2, size)
        counts, means, squares = (values.reshape(self._shape) for values in (counts, means, squares))
        shift, together = means - self._means, np.maximum(self._counts + counts, 1)
        self._squares += squares + shift**2 * self._counts * counts / together
        self._means += shift * counts / together
        self._counts += counts
        np.minimum.at(self._minima, ids, scores)
        np.maximum.at(self._maxima, ids, scores)
        bins = np.clip(np.searchsorted(self.edges, scores, side="right") - 1, 0, len(self.edges) - 2)
        np.add.at(self.histograms, (*ids, bins), 1)

    def summaries(self, labels: Sequence[str], domains: Sequence[str]) -> dict[tuple[str | None, str | None], Summary]:
        every = slice(None)
        rows = [*((name, index) for index, name in enumerate(domains)), (None, every)]
        columns = [*((name, index) for index, name in enumerate(labels)), (None, every)]
        return {
            (domain, label): self._summary((domain_index, label_index))
            for domain, domain_index in rows
            for label, label_index in columns
        }

    def _summary(self, where: tuple[int | slice, int | slice]) -> Summary:
        counts, means, squares = self._counts[where], self._means[where], self._squares[where]
        total = counts.sum()
        if not total:
            return Summary(0)
        mean = (counts * means).sum() / total
        variance = (squares + counts * (means - mean) ** 2).sum() / total
        return Summary(
            int(total),
            float(mean),
            float(np.sqrt(variance)),
            float(self._minima[where].min()),
            float(self._maxima[where].max()),
        )


def _bin_edges(typicality: np.ndarray) -> np.ndarray:
    low, high = float(np.min(typicality)), float(np.max(typicality))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"typicality must be finite. Received: least {low}, greatest {high}")
    if high - low < 1e-6:  # all alike: bins of a visible width around the one value
        low, high = low - 0.05, high + 0.05
    return np.linspace(low, high, _BINS + 1)
