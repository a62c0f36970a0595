import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from easymft.evaluation.experiment.plots import draw_differences, draw_few_shot_curves, draw_seed_spread, method_styles
from easymft.evaluation.experiment.tables import build_tables
from easymft.evaluation.plots import save_figure

LONG_NAMES = [f"a_method_with_quite_a_long_name_number_{index}_$\\frac$" for index in range(10)]


def random_marks(rate, seed):
    return "".join(map(str, (np.random.default_rng(seed).random(50) < rate).astype(int)))


def outcomes_of(methods, rate=0.8, seeds=3):
    return {
        method: {
            seed: {"books": random_marks(rate, 7 * index + seed), "dvd": random_marks(rate, 100 + 7 * index + seed)}
            for seed in range(seeds)
        }
        for index, method in enumerate(methods)
    }


@pytest.fixture
def make_tables(make_cells):
    def make(methods, keys):
        cells = []
        for index, (setting, amount) in enumerate(keys):
            cells += make_cells(outcomes_of(methods, 0.6 + 0.1 * index), setting=setting, amount=amount)
        return build_tables(cells, {cell.group: 1e-4 for cell in cells}, 50)

    return make


def texts_of(figure):
    """Every text that is drawn, with its place in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axes in figure.axes:
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        found += [*axes.get_xticklabels(), *axes.get_yticklabels()]
    found += [text for legend in figure.legends for text in legend.texts]
    renderer = canvas.get_renderer()
    return {text: text.get_window_extent(renderer) for text in found if text.get_text() and text.get_visible()}


def overlapping(figure):
    places = list(texts_of(figure).items())
    return [
        (first.get_text(), second.get_text())
        for index, (first, box) in enumerate(places)
        for second, other in places[index + 1 :]
        if box.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9))
    ]


@pytest.mark.parametrize("methods", [["mft"], ["mix", "two_stage", *LONG_NAMES]])
def test_no_text_lies_on_another_or_on_the_data(make_tables, tmp_path, methods):
    keys = [("all_then_few", "8 per class"), ("all_then_few", "5%"), ("all_then_few", "10%"), ("few_both", "5%")]
    tables = make_tables(methods, [*keys, ("few_both", "100 per class")])
    figures = [draw_few_shot_curves(tables), draw_seed_spread(tables[0]), draw_differences(tables[0], "two_stage")]
    for number, figure in enumerate(figure for figure in figures if figure):
        assert overlapping(figure) == []
        legends = [legend.get_window_extent() for legend in figure.legends]
        assert not any(legend.overlaps(axes.bbox) for legend in legends for axes in figure.axes)
        save_figure(figure, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 5000


def test_curves(make_tables):
    keys = [("full", "100%"), ("few_both", "10%"), ("few_both", "8 per class"), ("all_then_few", "5%")]
    tables = make_tables(["mix", "mft"], [*keys, ("all_then_few", "10%")])
    figure = draw_few_shot_curves(tables)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "All data first, then few to fine-tune",
        "Few data in both stages",
    ]
    axes = figure.axes[1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["8 per class", "10%"]
    lines = {line.get_label(): line for line in axes.lines}
    by_amount = {table.amount: table for table in tables if table.setting == "few_both"}
    rows = [next(row for row in by_amount[amount].rows if row.method == "mft") for amount in ("8 per class", "10%")]
    assert lines["mft"].get_ydata() == pytest.approx([100 * row.average.mean for row in rows])
    band = axes.collections[1].get_paths()[0].get_extents()
    edges = [100 * (row.average.mean + sign * row.average.deviation) for row in rows for sign in (-1, 1)]
    assert (band.y0, band.y1) == pytest.approx((min(edges), max(edges)))
    assert [text.get_text() for text in figure.legends[0].texts] == ["mix", "mft"]


def test_curves_of_many_methods_stand_side_by_side(make_tables):
    tables = make_tables(["mix", "two_stage", *LONG_NAMES], [("few_both", "5%"), ("few_both", "10%")])
    axes = draw_few_shot_curves(tables).axes[0]
    marks = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    places = [line.get_xdata()[0] for line in marks]
    assert len(places) == 12 and min(np.diff(places)) > 0.05
    assert max(places) < 0.5 < 1 + min(places)


def test_no_curves_of_single_amounts(make_tables):
    assert draw_few_shot_curves(make_tables(["mix"], [("full", "100%"), ("few_both", "5%")])) is None


def test_a_gap_in_a_curve(make_cells):
    cells = make_cells(outcomes_of(["mix", "mft"]), setting="few_both", amount="5%")
    cells += make_cells(outcomes_of(["mix"]), setting="few_both", amount="10%")
    tables = build_tables(cells, {cell.group: 1e-4 for cell in cells}, 10)
    lines = {line.get_label(): line.get_ydata() for line in draw_few_shot_curves(tables).axes[0].lines}
    assert np.isfinite(lines["mft"]).tolist() == [True, False] and np.isfinite(lines["mix"]).all()


def test_styles_are_told_apart_without_colour():
    class Named:
        def __init__(self, method):
            self.method = method

    class Table:
        rows = [Named(name) for name in LONG_NAMES + ["x", "y"]]

    styles = method_styles([Table, Table])
    assert len(styles) == 12
    assert len({style.marker for style in styles.values()}) == 12
    assert len({(style.color, style.line) for style in styles.values()}) == 12


def test_seed_spread(make_table):
    outcomes = {
        "mix": {1: {"d": "0011"}},
        "b": {1: {"d": "0111"}, 2: {"d": "1111"}},
        "lost": {3: {}},
        "a": {1: {"d": "0001"}},
    }
    figure = draw_seed_spread(make_table(outcomes))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "mix", "b"]  # from below
    assert [text.get_text() for text in axes.texts] == ["25.0", "50.0", "87.5 ± 17.7"]
    dots = [dots.get_offsets()[:, 0].tolist() for dots in axes.collections]
    assert dots == [[25.0], [50.0], [75.0, 100.0]]
    assert [line.get_xdata()[0] for line in axes.lines] == [25.0, 50.0, 87.5]
    colors = [to_hex(dots.get_facecolor()[0]) for dots in axes.collections]
    assert colors[0] == colors[2] != colors[1]


def test_differences(make_table):
    better, worse = "1" * 40, "0" * 40
    half = "10" * 20
    outcomes = {
        "two_stage": {seed: {"d": half} for seed in (1, 2)},
        "b_same": {1: {"d": half[::-1]}, 2: {"d": half[1:] + "1"}},
        "a_up": {1: {"d": better}, 2: {"d": better[:-1] + "0"}},
        "c_down": {1: {"d": worse}, 2: {"d": worse[:-1] + "1"}},
    }
    table = make_table(outcomes)
    axes = draw_differences(table, "two_stage").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c_down", "b_same", "a_up"]
    zero, *bars = axes.lines
    assert list(zero.get_xdata()) == [0.0, 0.0]
    found = {row.method: row.comparisons["two_stage"] for row in table.rows if row.method != "two_stage"}
    assert bars[2].get_xdata() == pytest.approx([100 * found["a_up"].low, 100 * found["a_up"].high])
    assert len({bar.get_color() for bar in bars}) == 3
    marks = axes.collections[1::2]
    filled = [to_hex(mark.get_facecolor()[0]) != "#ffffff" for mark in marks]
    assert filled == [True, False, True]
    seeds = axes.collections[4].get_offsets()[:, 0].tolist()
    assert seeds == pytest.approx([50.0, 47.5])
    texts = [text.get_text() for text in axes.texts]
    assert texts[-3:] == ["points", "95% interval", "t-test"] and "+48.8" in texts


def test_nothing_to_draw(make_table):
    table = make_table({"a": {1: {"d": "01"}}, "b": {1: {"e": "01"}}})
    assert draw_differences(table, "two_stage") is None and draw_seed_spread(table) is None


def test_settings_of_matplotlib_stay(make_table):
    before = dict(rcParams)
    draw_seed_spread(make_table({"a": {1: {"d": "01"}}}))
    assert dict(rcParams) == before
