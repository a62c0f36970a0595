from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.image import imread

from easymft.evaluation import plots
from easymft.evaluation.plots import draw_confusion_matrix, draw_typicality, save_figure


def test_confusion_matrix_shows_counts_and_shares(tmp_path):
    figure = draw_confusion_matrix([[3, 1], [0, 0]], ["NEG", "$5 or less$"], "books")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["3\n75.0%", "1\n25.0%", "0\n0.0%", "0\n0.0%"]
    assert figure.axes[0].get_title() == "books"
    save_figure(figure, tmp_path / "a" / "c.png")
    picture = imread(tmp_path / "a" / "c.png")
    assert picture.shape[0] > 300 and picture.std() > 0.05


def test_large_confusion_matrix_leaves_numbers_out():
    figure = draw_confusion_matrix(np.eye(30, dtype=int), [f"class {index}" for index in range(30)])
    assert len(figure.axes[0].texts) == 0


def test_letters_that_no_font_has_are_one_note(tmp_path, monkeypatch, capsys, recwarn):
    monkeypatch.setattr(plots, "_FONTS_OF_OTHER_SCRIPTS", ())
    save_figure(draw_confusion_matrix([[3, 1], [0, 2]], ["图书", "手机"]), tmp_path / "c.png")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"note: {tmp_path}/c.png shows boxes for letters that no font here has")
    assert not recwarn.list


def test_other_scripts_take_the_fonts_that_are_installed(monkeypatch):
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [SimpleNamespace(name="Noto Sans Thai")])
    assert plots._installed_fonts() == ["DejaVu Sans", "Noto Sans Thai"]


@pytest.mark.parametrize(("classes", "named"), [(150, True), (400, False)])
def test_a_confusion_matrix_of_hundreds_of_classes_is_no_larger(classes, named):
    figure = draw_confusion_matrix(np.eye(classes, dtype=int), [f"class {index}" for index in range(classes)])
    assert max(figure.get_size_inches()) < 18
    assert ("class 7" in [tick.get_text() for tick in figure.axes[0].get_yticklabels()]) is named


def test_typicality_of_many_domains_and_classes_is_of_the_largest():
    edges = np.linspace(0.5, 1.0, 11)
    histograms = {f"d{index}": np.full([30, 10], index) for index in range(50)}
    figure = draw_typicality(histograms, edges, dict.fromkeys(histograms), [f"c{index}" for index in range(30)])
    titles = [axes.get_title(loc="left").split()[0] for axes in figure.axes if axes.axison]
    assert titles == [f"d{index}" for index in range(10, 50)]
    assert figure.get_supxlabel() == "the 40 largest of 50 domains"
    assert not figure.legends


@pytest.mark.parametrize("num_domains", [1, 2, 3, 5])
def test_typicality_has_a_panel_for_each_domain(tmp_path, num_domains):
    edges = np.linspace(0.5, 1.0, 11)
    histograms = {f"d{index}": np.full([2, 10], index) for index in range(num_domains)}
    means = {f"d{index}": 0.7 if index else None for index in range(num_domains)}
    figure = draw_typicality(histograms, edges, means, ["NEG", "POS"])
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == [f"d{index}  ({20 * index})" for index in range(num_domains)]
    assert [text.get_text() for text in figure.legends[0].texts] == ["NEG", "POS", "mean"]
    save_figure(figure, tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 5000


LONG = "The complete and unabridged history of everything that was ever sold, "


def test_long_names_are_cut_and_stay_different(tmp_path):
    names = ["x" * 10_000_000, LONG * 40 + "1", LONG * 40 + "2"]
    figure = draw_confusion_matrix(np.eye(3, dtype=int), names, LONG * 4)
    shown = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert shown[0] == "x" * 39 + "…" and len(set(shown)) == 3 and max(map(len, shown)) <= 40
    assert len(figure.axes[0].get_title()) <= 80 and max(figure.get_size_inches()) < 9
    save_figure(figure, tmp_path / "c.png")
    squares = figure.axes[0].get_window_extent()
    assert squares.width > 200 and squares.height > 200  # names do not take the room of the numbers
    edges = np.linspace(0.5, 1.0, 11)
    figure = draw_typicality({name: np.ones([3, 10]) for name in names}, edges, dict.fromkeys(names, 0.7), names)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == [f"{name}  (30)" for name in shown]
    assert [text.get_text() for text in figure.legends[0].texts] == [*shown, "mean"] and figure.legends[0]._ncols == 2
