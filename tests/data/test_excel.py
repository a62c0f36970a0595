"""Excel files give the texts that a spreadsheet shows, with its row numbers."""

import datetime
import sys
import zipfile

import openpyxl
import pytest

from easymft.config.data_section import DataConfig
from easymft.data.reading import read_examples
from easymft.errors import DataError

NAMED = {"text": "text", "domain": "domain", "label": "label"}
HEADER = ("text", "domain", "label")


def save(path, rows, title="Sheet", **others):
    book = openpyxl.Workbook()
    book.active.title = title
    for name, some in {title: rows, **others}.items():
        sheet = book[name] if name in book else book.create_sheet(name)
        for row in some:
            sheet.append(row)
    book.save(path)
    return path


def read(path, columns=NAMED, **settings):
    data = DataConfig.model_validate({"columns": columns} | settings)
    return list(read_examples([str(path)], data, pair=False))


def test_cells_as_a_spreadsheet_shows_them(tmp_path):
    cells = [1, 2.0, 2.5, 0.1 + 0.2, True, datetime.datetime(2026, 1, 31), datetime.datetime(2026, 1, 31, 9, 5), None]
    expected = ["1", "2", "2.5", "0.3", "TRUE", "2026-01-31", "2026-01-31 09:05:00", ""]
    rows = [(*HEADER, "more"), *[("a", "books", "POS", cell) for cell in cells]]
    (batch,) = read(save(tmp_path / "a.xlsx", rows))
    assert batch.table["more"].to_pylist() == expected
    assert (batch.label, batch.rows.tolist()) == (["POS"] * 8, list(range(2, 10)))


def test_numbers_are_labels_and_rows_without_a_header_are_read(tmp_path):
    (batch,) = read(save(tmp_path / "A.XLSX", [("a", "x", 1), ("b", "y", 0.0)]), {"text": 0, "domain": 1, "label": 2})
    assert (batch.label, batch.rows.tolist()) == (["1", "0"], [1, 2])


def test_empty_rows_and_columns_at_the_end_are_left_out(tmp_path):
    rows = [(*HEADER, None, None), ("a", "x", "POS", None, ""), (None,) * 5, ("", "", "", None, None)]
    with pytest.warns(UserWarning, match=r"a.xlsx: 2 rows without any content at the end of the file, from row 3 on"):
        (batch,) = read(save(tmp_path / "a.xlsx", rows))
    assert batch.table.to_pylist() == [{"text": "a", "domain": "x", "label": "POS"}]


def test_an_empty_row_in_between_is_told_with_the_row_of_the_spreadsheet(tmp_path):
    rows = [HEADER, ("a", "x", "POS"), (None,), ("b", "x", None)]
    with pytest.raises(DataError) as caught:
        read(save(tmp_path / "a.xlsx", rows))
    lines = str(caught.value).replace(f"{tmp_path}/", "").split("\n")
    assert lines[0].startswith("a.xlsx: row 3, column 'text': text is empty")
    assert lines[3].startswith("a.xlsx: row 4, column 'label': label is empty")
    assert lines[4:] == ["to leave out bad rows, set data.bad_rows: skip"]


def test_the_first_of_several_sheets_is_read_and_told(tmp_path):
    path = save(tmp_path / "a.xlsx", [HEADER, ("a", "x", "POS")], title="one", two=[HEADER, ("b", "y", "NEG")])
    with pytest.warns(UserWarning, match="has the sheets 'one', 'two'; 'one' is read, data.sheet names another"):
        assert read(path)[0].text == ["a"]
    assert read(path, sheet="two")[0].text == ["b"]
    with pytest.raises(DataError, match="has no sheet 'tow' .*, expected one of 'one', 'two'; did you mean 'two'"):
        read(path, sheet="tow")


def test_formulas_and_errors_are_told(tmp_path):
    path = save(tmp_path / "a.xlsx", [(*HEADER, "more"), ("a", "x", "POS", "=1+1")])
    with pytest.warns(UserWarning, match="the formula '=1.1', perhaps others, has no stored value and reads as empty"):
        assert read(path)[0].table["more"].to_pylist() == [""]
    path = save(tmp_path / "b.xlsx", [HEADER, ("a", "x", "POS"), ("b", "x", "#N/A")])
    with pytest.warns(UserWarning, match="row 3, perhaps others, holds the error '#N/A' of a formula"):
        assert read(path)[0].label == ["POS", "#N/A"]


def test_the_size_that_a_file_says_it_has_may_be_wrong(tmp_path):
    path = save(tmp_path / "a.xlsx", [HEADER, ("a", "x", "POS"), ("b", "x", "NEG")])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b'<dimension ref="A1:C3"', b'<dimension ref="A1:B2"'))
    assert read(tmp_path / "b.xlsx")[0].label == ["POS", "NEG"]


def test_more_fields_than_columns_far_below(tmp_path):
    rows = [HEADER, *[("a", "x", "POS")] * 1000, ("a", "x", "POS", "note")]
    with pytest.raises(DataError, match="row 1002: 4 fields, expected 3"):
        read(save(tmp_path / "a.xlsx", rows))


def test_no_excel_file_an_empty_one_and_no_openpyxl(tmp_path, monkeypatch):
    (tmp_path / "a.xlsx").write_text("text,label\n")
    with pytest.raises(DataError, match="a.xlsx: is not an Excel file .* set data.format to what it is"):
        read(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="b.xlsx: sheet 'Sheet' is empty, expected rows"):
        read(save(tmp_path / "b.xlsx", []))
    path = save(tmp_path / "c.csv", [HEADER])
    with pytest.raises(DataError, match='is an Excel file .* though its ending is .csv; set data.format: "xlsx"'):
        read(path)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match=r'openpyxl, which is not installed; pip install "easymft\[excel\]"'):
        read(path, format="xlsx")
