import re

import pytest

from easymft.evaluation.experiment.layout import escape_latex, lay_out, render_latex, render_markdown, shown_score
from easymft.evaluation.experiment.tables import Score, build_tables

OUTCOMES = {
    "two_stage": {1: {"books": "0111", "dvd": "0011"}, 2: {"books": "0111", "dvd": "0001"}},
    "mft_full": {1: {"books": "0111", "dvd": "0011"}, 2: {"books": "0111", "dvd": "0111"}},
}
INTERVAL = re.compile(r"\[.*?\]")


def test_cells_of_the_table(make_table):
    headings, rows = lay_out(make_table(OUTCOMES))
    assert headings == ["method", "books", "dvd", "average", "vs two_stage", "seeds", "learning rate"]
    texts = [[INTERVAL.sub("[]", cell.whole) for cell in row] for row in rows]
    assert texts == [
        ["two_stage", "75.0 ± 0.0", "37.5 ± 17.7", "56.2 ± 8.8", "–", "2", "1e-4"],
        ["mft_full", "75.0 ± 0.0", "62.5 ± 17.7", "68.8 ± 8.8", "+12.5 [], p = 0.50", "2", "1e-4"],
    ]
    assert [[cell.best for cell in row] for row in rows] == [
        [False, True, False, False, False, False, False],
        [False, True, True, True, False, False, False],
    ]


def test_cells_that_are_missing(make_table):
    _, rows = lay_out(make_table({**OUTCOMES, "mft_full": {1: {"books": "0111"}, 2: {"books": "1111", "dvd": "0111"}}}))
    texts = [INTERVAL.sub("[]", cell.whole) for cell in rows[1]]
    assert texts == ["mft_full", "87.5 ± 17.7", "75.0", "87.5", "+37.5 []", "1 (of 2)", "1e-4"]
    _, rows = lay_out(make_table({**OUTCOMES, "mft_full": {1: {"books": "0111"}}}))
    assert [cell.whole for cell in rows[1]] == ["mft_full", "75.0", "–", "–", "–", "0 (of 1)", "1e-4"]


def test_rates_that_were_tried(make_cells):
    cells = make_cells(OUTCOMES) + make_cells(OUTCOMES, learning_rate=3e-5)
    (table,) = build_tables(cells, {cell.group: 3e-5 for cell in cells}, 10)
    assert {row[-1].text for row in lay_out(table)[1]} == {"3e-5 (of 2)"}


def test_one_method_is_not_the_best(make_table):
    _, rows = lay_out(make_table({"mix": OUTCOMES["mft_full"]}))
    assert not any(cell.best for cell in rows[0])


def test_scores():
    assert [shown_score(Score(0.91, 0.004, (1, 2))), shown_score(Score(0.91, None, (1,)))] == ["91.0 ± 0.4", "91.0"]
    assert shown_score(None) == "–"


def test_markdown(make_table):
    text = render_markdown([make_table({**OUTCOMES, "a|b": {1: OUTCOMES["mft_full"][1]}})])
    lines = text.splitlines()
    start = lines.index("## All data, 100%")
    assert lines[start + 2] == "| method | books | dvd | average | vs two\\_stage | seeds | learning rate |"
    assert lines[start + 3] == "|---|---:|---:|---:|---:|---:|---:|"
    assert lines[start + 4] == "| two\\_stage | **75.0 ± 0.0** | 37.5 ± 17.7 | 56.2 ± 8.8 | – | 2 | 1e-4 |"
    assert lines[start + 5].startswith("| a\\|b | **75.0** | 50.0 | 62.5 | 0.0 \\[0.0, 0.0\\] | 1 ")
    assert lines[start + 6].startswith("| mft\\_full | **75.0 ± 0.0** | **62.5 ± 17.7** | **68.8 ± 8.8** | +12.5 \\[")
    assert "- a\\|b: no result for seed 2." in lines
    assert "1. " not in text and "sample standard deviation" in lines[2]


def test_latex(make_table):
    outcomes = {**OUTCOMES, "R&D_50%": {1: {"books": "0000", "dvd": "0000"}}}
    tables = [make_table(outcomes), make_table(outcomes, setting="few_both", amount="5%")]
    text = render_latex(tables)
    lines = text.splitlines()
    assert lines[0].startswith("% \\usepackage{booktabs,graphicx}")
    for opening in (r"\begin{table}", r"\begin{tabular}{lrrrrrr}", r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(opening) == 2
    assert [line for line in lines if "label" in line] == [rf"\label{{tab:experiment-{n}}}" for n in (1, 2)]
    assert r"method & books & dvd & average & vs two\_stage & seeds & learning rate \\" in lines
    assert r"two\_stage & \textbf{75.0 $\pm$ 0.0} & 37.5 $\pm$ 17.7 & 56.2 $\pm$ 8.8 & -- & 2 & 1e-4 \\" in lines
    assert any(line.startswith(r"R\&D\_50\% & 0.0 & 0.0 & 0.0 & $-$62.5 {[}") for line in lines)
    assert r"\caption{Few data in both stages, 5\%. Test" in text
    assert text.isascii()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {7}
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5% #1 $x$ {y}", r"a\_b \& 5\% \#1 \$x\$ \{y\}"),
        ("\\input{x}~^", r"\textbackslash{}input\{x\}\textasciitilde{}\textasciicircum{}"),
        ('<p|q> "r"', r"\textless{}p\textbar{}q\textgreater{} \textquotedbl{}r\textquotedbl{}"),
        ("one\n two", "one two"),
        ("−1 ± 2 – é", "$-$1 $\\pm$ 2 -- é"),
    ],
)
def test_latex_escapes(text, expected):
    assert escape_latex(text) == expected
