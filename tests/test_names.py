import pytest
from rich.cells import cell_len

from easymft.names import NAME_WIDTH, cut_name, cut_names

LONG = "The complete and unabridged history of everything that was ever sold"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("books", "books"),
        ("", ""),
        ("a\tb\n c", "a b c"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 39 + "…"),
        ("日" * 20, "日" * 20),
        ("日" * 21, "日" * 19 + "…"),
        ("x" * 10_000_000, "x" * 39 + "…"),
        (LONG, "The complete and unabridged history of…"),
    ],
)
def test_a_name_is_cut_to_its_width(name, shown):
    assert cut_name(name) == shown and cell_len(shown) <= NAME_WIDTH


def test_names_that_begin_alike_stay_different():
    alike = ["x" * 300 + letter + "y" * 300 for letter in "ab"]
    names = ["books", LONG + " 1", LONG + " 2", *alike, "x" * 39 + "…"]
    shown = cut_names(names)
    assert list(shown) == names and len(set(shown.values())) == len(names)
    assert shown[LONG + " 1"] == "The complete and unabridge…s ever sold 1"
    assert shown[names[3]].startswith("x" * 30) and shown[names[3]].endswith("…#1")
    assert max(map(cell_len, shown.values())) == NAME_WIDTH
    assert cut_names([LONG, "b"])[LONG] == cut_name(LONG)
    assert cut_names(["b", "a", "b"]) == {"b": "b", "a": "a"}
