import base64
import re
from html.parser import HTMLParser

import pytest

from easymft.evaluation.experiment.failures import CellFailure
from easymft.evaluation.experiment.page import Picture, Pictures, render_page
from easymft.evaluation.experiment.tables import build_tables

VOID = {"meta", "br", "img"}
EVIL = "<script>alert('x')</script>\"&"
OUTCOMES = {
    "two_stage": {1: {"books": "0111", EVIL: "0011"}, 2: {"books": "0111", EVIL: "0001"}},
    EVIL: {1: {"books": "0111", EVIL: "0011"}, 2: {"books": "0111", EVIL: "0111"}},
}


class Reader(HTMLParser):
    """Collects tags, attributes and texts, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and "style" not in self.open:
            self.texts.append(data.strip())

    def values(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture
def page(make_cells):
    cells = make_cells(OUTCOMES) + make_cells(OUTCOMES, setting="few_both", amount=EVIL)
    tables = build_tables(cells, {cell.group: 1e-4 for cell in cells}, 50)
    failures = [
        CellFailure("mix", "full", "100%", "books", 1, 1e-3, f"out of memory {EVIL}"),
        CellFailure(EVIL, "full", "100%", "books", 1, 1e-4, "killed"),
    ]
    pictures = Pictures([Picture("a.png", b"first", f"all {EVIL}")], {("full", "100%"): [Picture("b.png", b"2", "b")]})
    return render_page(cells, tables, failures, pictures)


def test_stands_alone(page):
    reader = Reader(page)
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert all(source.startswith("data:image/png;base64,") for source in reader.values("src"))
    assert all(link.startswith("#") for link in reader.values("href"))
    assert not re.search(r"https?:|@import|url\(", page)
    assert page.startswith("<!DOCTYPE html>") and '<meta charset="utf-8">' in page


def test_light_dark_and_narrow(page):
    assert "@media (prefers-color-scheme: dark)" in page and "color-scheme: light dark" in page
    assert 'name="viewport"' in page and "overflow-x: auto" in page


def test_everything_is_escaped(page):
    reader = Reader(page)
    assert "<script" not in page
    shown = [text for text in reader.texts if EVIL in text]
    assert EVIL in reader.texts and f"out of memory {EVIL}" in reader.texts and len(shown) > 10
    assert [attributes["alt"] for tag, attributes in reader.tags if tag == "img"] == [f"all {EVIL}", "b"]


def test_links_and_pictures(page):
    reader = Reader(page)
    ids = reader.values("id")
    assert len(set(ids)) == len(ids) and {link[1:] for link in reader.values("href")} == {"table-1", "table-2"}
    assert {"table-1", "table-2", "failures"} == set(ids)
    assert [base64.b64decode(source.split(",")[1]) for source in reader.values("src")] == [b"first", b"2"]
    assert page.index("Zmlyc3Q=") < page.index('id="table-1"') < page.index("Mg==") < page.index('id="table-2"')


def test_numbers_and_words(page):
    texts = Reader(page).texts
    assert "16 results, 2 methods, 2 domains, 2 seeds, 2 failures; 0.0 hours in all." in texts
    assert "56.2 ± 8.8" in texts and "p = 0.50" in texts
    sentence = f"{EVIL} is 12.5 points above two_stage (p = 0.50, 2 seeds; 95% interval over test items "
    assert any(text.startswith(sentence) for text in texts)
    assert "Every method has every domain with seeds 1, 2; methods are paired by seed." in texts
    assert [text for text in texts if text.startswith("The highest average is")]
    best = re.findall(r"<td class=best>(.*?)</td>", page)
    assert best == ["75.0 ± 0.0", "62.5 ± 17.7", "75.0 ± 0.0", "68.8 ± 8.8"] * 2


def test_overview(page):
    row = re.search(r'<a href="#table-1">All data, 100%</a></th>(.*?)</tr>', page)[1]
    cells = re.findall(r"<td>(.*?)</td>", row)
    assert cells[0].endswith(", 68.8%") and cells[1:] == ["two_stage", "0", "0", "1", "2"]


def test_failures(page, make_cell):
    section = page[page.index('<h2 id="failures">') :]
    assert re.findall(r"<td class=text>(yes|no)</td>", section) == ["no", "yes"]  # the second has a result since
    cell = make_cell("mft")
    tables = build_tables([cell], {cell.group: 1e-4}, 10)
    text = render_page([cell], tables, [])
    assert "No cell failed." in text and "1 result, 1 method, 1 domain, 1 seed, 0 failures" in text
    assert "<td>–</td><td>–</td><td>–</td><td>–</td><td>1</td>" in text  # no baseline to compare with
    assert "What the differences say" not in text
