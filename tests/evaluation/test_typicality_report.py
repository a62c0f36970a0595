import numpy as np
import pytest

from easymft.evaluation import typicality_report
from easymft.evaluation.markdown import escape_markdown
from easymft.evaluation.typicality_files import render_markdown, write_typicality_report
from easymft.evaluation.typicality_report import build_typicality_report, shorten_text

LABELS, DOMAINS = ("NEG", "POS"), ("books", "dvd")
SCORES = np.array([0.5, 0.7, 0.9, 0.8], np.float32)
LABEL_IDS, DOMAIN_IDS = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
TEXTS = ["one", "two", "three", "four"]


def make(scores=SCORES, texts=TEXTS, **options):
    return build_typicality_report(scores, LABEL_IDS, DOMAIN_IDS, LABELS, DOMAINS, texts, **options)


def test_by_hand():
    report = make(texts=iter(TEXTS), num_extremes=2)
    cell = report.summaries["books", "NEG"]
    assert cell.count == 2
    assert (cell.mean, cell.deviation) == pytest.approx((0.6, 0.1))
    assert (cell.minimum, cell.maximum) == pytest.approx((0.5, 0.7))
    everything = report.summaries[None, None]
    assert everything.count == 4
    assert everything.mean == pytest.approx(0.725)
    assert everything.deviation == pytest.approx(np.std([0.5, 0.7, 0.9, 0.8]))
    empty = report.summaries["dvd", "NEG"]
    assert (empty.count, empty.mean, empty.deviation, empty.minimum, empty.maximum) == (0, None, None, None, None)
    assert [found.text for found in report.lowest[None]] == ["one", "two"]
    assert [found.text for found in report.highest[None]] == ["three", "four"]
    assert [found.text for found in report.lowest["POS"]] == ["four", "three"]
    lowest = report.lowest[None][0]
    assert (lowest.row, lowest.domain, lowest.label) == (1, "books", "NEG")
    assert report.histograms.sum(axis=2).tolist() == [[2, 1], [0, 1]]
    assert report.histograms[0, 1, -1] == 1  # the greatest score lies in the last bin


def test_streaming_equals_numpy(monkeypatch):
    monkeypatch.setattr(typicality_report, "_CHUNK", 37)
    rng = np.random.default_rng(3)
    scores = np.round(rng.normal(0.9, 0.02, 500), 2).astype(np.float32)  # rounded: many ties
    label_ids, domain_ids = rng.integers(0, 2, 500), rng.integers(0, 2, 500)
    texts = (f"text {index}" for index in range(500))
    report = build_typicality_report(scores, label_ids, domain_ids, LABELS, DOMAINS, texts)
    for (domain, label), summary in report.summaries.items():
        rows = np.ones(500, bool)
        if domain is not None:
            rows &= domain_ids == DOMAINS.index(domain)
        if label is not None:
            rows &= label_ids == LABELS.index(label)
        own = scores[rows].astype(np.float64)
        assert summary.count == len(own)
        measured = (summary.mean, summary.deviation, summary.minimum, summary.maximum)
        assert measured == pytest.approx((own.mean(), own.std(), own.min(), own.max()), abs=1e-12)
    order = sorted(range(500), key=lambda index: (scores[index], index))
    assert [found.row - 1 for found in report.lowest[None]] == order[:10]
    order = sorted(np.flatnonzero(label_ids == 1), key=lambda index: (-scores[index], index))
    assert [found.row - 1 for found in report.highest["POS"]] == order[:10]
    assert [found.text for found in report.highest["POS"]] == [f"text {index}" for index in order[:10]]
    expected = np.histogram(scores[(domain_ids == 1) & (label_ids == 0)].astype(np.float64), report.edges)[0]
    assert report.histograms[1, 0].tolist() == expected.tolist()


def test_never_holds_all_texts(monkeypatch):
    monkeypatch.setattr(typicality_report, "_CHUNK", 10)
    alive = set()

    class Tracked(str):
        def __init__(self, _):
            alive.add(id(self))

        def __del__(self):
            alive.discard(id(self))

    most = 0

    def texts():
        nonlocal most
        for index in range(400):
            yield Tracked(f"text {index}")
            most = max(most, len(alive))

    zeros = np.zeros(400, int)
    build_typicality_report(np.linspace(0, 1, 400), zeros, zeros, LABELS, DOMAINS, texts(), num_extremes=3)
    assert most < 50


def test_equal_scores_have_a_visible_histogram():
    report = make(scores=np.full(4, 0.9))
    assert report.histograms.sum() == 4
    assert report.edges[-1] - report.edges[0] > 0.05
    assert report.summaries[None, None].deviation == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texts": TEXTS[:3]}, "expected 4 texts. Received: 3"),
        ({"texts": [*TEXTS, "five"]}, "expected 4 texts. Received: more"),
        ({"scores": np.array([0.1, np.nan, 0.2, 0.3])}, "typicality must be finite. Received: least nan"),
        ({"scores": np.array([0.1, np.inf, 0.2, 0.3])}, "greatest inf"),
        ({"scores": SCORES[:2]}, "Received: 2, 4, 4"),
        ({"scores": SCORES[:0]}, "Received: 0, 4, 4"),
    ],
)
def test_what_does_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_texts_are_shortened():
    assert shorten_text(" a\n b\tc ") == "a b c"
    assert len(shorten_text("word " * 100)) <= 200
    assert shorten_text("word " * 100).endswith("…")
    assert shorten_text(("first", "second")) == "first ‖ second"
    assert len(shorten_text(("x" * 500, "y" * 500))) < 210


def test_markdown():
    report = make(texts=["a | b", "<b>*bold*</b>", "three\nlines", "four"])
    text = render_markdown(report)
    assert "| books | NEG | 2 | 0.6000 | 0.1000 | 0.5000 | 0.7000 |" in text
    assert "| dvd | NEG | 0 | – | – | – | – |" in text
    assert "| **all** | **all** | **4** |" in text
    assert "| 0.5000 | books | NEG | 1 | a \\| b |" in text
    assert "| &lt;b&gt;\\*bold\\*&lt;/b&gt; |" in text
    assert "three lines" in text
    for heading in ("## Lowest typicality", "## Highest typicality", "### All classes", "### Class POS"):
        assert heading in text
    assert escape_markdown("R&D_x") == "R&amp;D\\_x"


def test_one_unnamed_domain_is_not_listed_twice():
    report = build_typicality_report(SCORES, LABEL_IDS, np.zeros(4, int), LABELS, ("",), TEXTS)
    text = render_markdown(report)
    assert text.count("| **all** |") == 1
    assert "| 0.5000 | all | NEG | 1 | one |" in text


def test_files(tmp_path):
    markdown, picture = write_typicality_report(tmp_path / "typicality", make())
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"]({picture.name})" in markdown.read_text(encoding="utf-8")
    assert sorted(path.name for path in markdown.parent.iterdir()) == ["typicality.md", "typicality.png"]
