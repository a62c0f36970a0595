"""Labels and domains: inferred or given, saved and loaded."""

import numpy as np
import pytest

from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import SkippedRows
from easymft.data.labels import LabelMap, infer_maps, load_maps, save_maps
from easymft.errors import DataError

ROWS = [("a", "dvd", "POS"), ("b", "books", "NEG"), ("c", "books", "POS"), ("d", "dvd", "NEG")] * 3


def infer(folder, rows=ROWS, columns=None, **settings):
    (folder / "a.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    data = DataConfig.model_validate(
        {
            "train_files": [str(folder / "a.tsv")],
            "columns": {"text": 0, "domain": 1, "label": 2} if columns is None else columns,
        }
        | settings
    )
    return infer_maps(data, pair=False, chunk_size=5)


def test_inferred_maps_are_sorted(tmp_path):
    labels, domains = infer(tmp_path)
    assert labels.names == ("NEG", "POS")
    assert domains.names == ("books", "dvd")


def test_given_maps_keep_their_order(tmp_path):
    labels, domains = infer(tmp_path, labels=["POS", "NEG"], domains=["dvd", "books"])
    assert labels.names == ("POS", "NEG")
    assert domains.names == ("dvd", "books")


def test_no_domain_column_is_one_unnamed_domain(tmp_path):
    assert infer(tmp_path, columns={"text": 0, "label": 2})[1].names == ("",)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"labels": ["POS", "NEG", "MEH"]}, "data.labels: 'MEH' never occurs in the 12 rows .* which hold NEG, POS"),
        ({"domains": ["dvd", "books", "x", "y"]}, "data.domains: 'x', 'y' never occur in the 12 rows"),
        ({"labels": ["POS", "BAD"]}, "unknown label 'NEG', expected one of POS, BAD"),
        ({"domains": ["dvd"]}, "unknown domain 'books', expected one of dvd"),
        ({"labels": ["POS"]}, r"data.labels is \['POS'\], expected at least 2"),
        ({"labels": ["POS", "NEG", "POS"]}, "data.labels: holds 'POS' more than once"),
        ({"labels": ["POS", "NEG "]}, "data.labels holds 'NEG ', expected names without white space"),
        ({"domains": []}, r"data.domains is \[\], expected at least 1"),
        ({"domains": ["x"], "columns": {"text": 0, "label": 2}}, "data.columns.domain is null, expected both or none"),
        ({"columns": {"text": 0, "domain": 1}}, "data.columns.label is null"),
        ({"rows": [row for row in ROWS if row[2] == "POS"]}, "hold the one label 'POS', expected at least 2"),
        ({"rows": [("text", "kind", "stars"), *ROWS]}, "row 1: the label 'stars' occurs nowhere else, as if this row"),
        ({"rows": [(f"t{i}", "x", f"l{i}") for i in range(1002)]}, "more than 1000 different labels so far"),
    ],
)
def test_bad_names(tmp_path, settings, expected):
    with pytest.raises(DataError, match=expected):
        infer(tmp_path, **settings)


def test_a_rare_class_in_the_first_row_is_no_header(tmp_path):
    rows = [("a", "dvd", "RARE"), *ROWS]
    assert infer(tmp_path, rows)[0].names == ("NEG", "POS", "RARE")
    new_domain = [("a", "new", "RARE"), *ROWS]
    assert infer(tmp_path, new_domain, labels=["NEG", "POS", "RARE"])[1].names == ("books", "dvd", "new")
    assert infer(tmp_path, new_domain[:5])[0].names == ("NEG", "POS", "RARE")


def test_bad_rows_do_not_count_as_names(tmp_path):
    rows = [*ROWS, ("", "moon", "MEH")]
    with pytest.raises(DataError, match="row 13, column 'text': text is empty"):
        infer(tmp_path, rows)
    labels, domains = infer(tmp_path, rows, bad_rows="skip")
    assert (labels.names, domains.names) == (("NEG", "POS"), ("books", "dvd"))


def test_infer_maps_lists_skipped_rows_where_asked(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\na\tx\n\ty\nb\ty\n")
    data = DataConfig.model_validate({"columns": {"label": "label"}, "bad_rows": "skip"})
    skipped = SkippedRows(None)
    infer_maps(data, pair=False, files=[str(tmp_path / "a.tsv")], skipped_rows=skipped)
    assert skipped.count == 1


def test_label_map():
    names = LabelMap.from_names(["b", "a", ""])
    assert (names.index("a"), len(names), "b" in names, "c" in names, list(names)) == (
        1,
        3,
        True,
        False,
        ["b", "a", ""],
    )
    ids = LabelMap(("b", "a")).encode(["a", "b", "a"])
    assert ids.dtype == np.int32 and ids.tolist() == [1, 0, 1]
    assert LabelMap(("b", "a")).encode(["", "a"], empty_as_missing=True).tolist() == [-1, 1]
    for call in (lambda: names.index("c"), lambda: names.encode(["a", "c"])):
        with pytest.raises(DataError, match="Unknown name 'c', expected one of b, a"):
            call()
    with pytest.raises(DataError, match="Unknown name ''"):
        LabelMap(("b", "a")).encode([""])
    with pytest.raises(DataError, match=r"A label map holds \(\)"):
        LabelMap(())
    with pytest.raises(DataError, match="holds 'a' more than once"):
        LabelMap(("a", "a"))


def test_maps_file_round_trip(tmp_path):
    path = tmp_path / "run" / "maps.json"
    maps = LabelMap(("POS", "ünï")), LabelMap(("",))
    save_maps(path, *maps)
    assert load_maps(path) == maps
    assert [file.name for file in path.parent.iterdir()] == ["maps.json"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "maps.json: cannot be read"),
        ("{", "maps.json: is not JSON"),
        ("[]", "maps.json: holds a list, expected a JSON object; put back a copy of it, or train anew in another"),
        ('{"labels": ["a"]}', "expected an object of 'labels' and 'domains'"),
        ('{"labels": "ab", "domains": [""]}', "maps.json: A label map is 'ab', expected a JSON list"),
        ('{"labels": ["a", 1], "domains": [""]}', "maps.json: A label map holds"),
        ('{"labels": ["a", "a"], "domains": [""]}', "maps.json: A label map: holds 'a' more than once"),
    ],
)
def test_bad_maps_file(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "maps.json").write_text(content)
    with pytest.raises(DataError, match=expected):
        load_maps(tmp_path / "maps.json")


def test_maps_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="maps.json: cannot be written"):
        save_maps(tmp_path / "file" / "maps.json", LabelMap(("a",)), LabelMap(("",)))
