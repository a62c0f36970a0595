import codecs
import gzip

import pytest

from easymft.config.data_section import ColumnsConfig, DataConfig
from easymft.data.table_form import form_of_predictions, plain_form, same_form
from easymft.errors import DataError

CSV = b"text;id\r\na;1\r\n"


def make(folder, **contents):
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return [str(folder / name.replace("_", ".")) for name in contents]


@pytest.mark.parametrize(
    ("name", "settings", "expected", "header", "quoted"),
    [
        ("a.tsv", {}, "out.tsv", True, False),
        ("a.tsv.gz", {}, "out.tsv", True, False),
        ("a.tsv", {"quoting": True}, "out.tsv", True, True),
        ("a.csv", {}, "out.csv", True, True),
        ("a.CSV", {}, "out.csv", True, True),
        ("a.csv", {"quoting": False}, "out.csv", True, False),
        ("a.jsonl", {}, "out.jsonl", True, True),
        ("a.parquet", {}, "out.parquet", True, True),
        ("a.tsv", {"columns": ColumnsConfig(text=0)}, "out.tsv", False, False),
        ("a.txt", {"format": "tsv", "column_names": ["text"]}, "out.tsv", False, False),
    ],
)
def test_the_form_of_the_input(tmp_path, name, settings, expected, header, quoted):
    (tmp_path / name).write_bytes(b"")
    form = same_form(tmp_path / "out", [str(tmp_path / name)], DataConfig(**settings))
    assert form.path == tmp_path / expected and (form.header, form.quoted, form.note) == (header, quoted, "")


def test_the_details_of_the_first_file(tmp_path):
    files = make(tmp_path, a_csv=codecs.BOM_UTF8 + CSV, b_csv=b"text;id\nb;2\n")
    form = same_form(tmp_path / "out", files, DataConfig(separator=";"))
    assert (form.separator, form.line_end, form.encoding) == (";", "\r\n", "utf-8-sig")
    form = same_form(tmp_path / "out", files[1:], DataConfig())
    assert (form.separator, form.line_end, form.encoding) == (";", "\n", "utf-8")
    # The separator that the file shows is told by who reads it; it is not written compressed.
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(codecs.BOM_UTF8 + CSV))
    form = same_form(tmp_path / "out", [str(tmp_path / "c.csv.gz")], DataConfig())
    assert (form.path.name, form.separator, form.line_end, form.encoding) == ("out.csv", ";", "\r\n", "utf-8-sig")
    (tsv,) = make(tmp_path, d_tsv=b"text\tid\r\n")
    assert same_form(tmp_path / "out", [tsv], DataConfig()).line_end == "\r\n"
    (excel,) = make(tmp_path, e_xlsx=b"")
    form = same_form(tmp_path / "out", [excel], DataConfig(format="xlsx", sheet="Rows"))
    assert (form.path.name, form.sheet) == ("out.xlsx", "Rows")


def test_several_formats_become_json_lines(tmp_path):
    form = same_form(tmp_path / "out", make(tmp_path, a_csv=b"", b_tsv=b""), DataConfig())
    assert form.path.name == "out.jsonl" and form.note == "the input files are of several formats (csv, tsv)"


def test_encodings(tmp_path):
    """What reads back with the same settings keeps the input's encoding; predictions are UTF-8, marked for Excel."""
    (csv,) = make(tmp_path, a_csv=CSV)
    for data, same, predictions in (
        (DataConfig(), "utf-8", "utf-8"),
        (DataConfig(encoding="utf-8"), "utf-8", "utf-8"),
        (DataConfig(encoding="cp1252"), "cp1252", "utf-8-sig"),
    ):
        assert same_form(tmp_path / "out", [csv], data).encoding == same
        assert form_of_predictions(tmp_path, None, [csv], data).encoding == predictions
    (wide,) = make(tmp_path, b_tsv="text\n".encode("utf-16"))
    with pytest.warns(UserWarning, match="is read as UTF-16"):
        assert same_form(tmp_path / "out", [wide], DataConfig()).encoding == "utf-8-sig"
    (lines,) = make(tmp_path, c_jsonl=codecs.BOM_UTF8 + b"{}\n")
    assert form_of_predictions(tmp_path, None, [lines], DataConfig()).encoding == "utf-8"


def test_predictions(tmp_path):
    """They have a header, and of a file that the user names the details of the input, where it is of its format."""
    (csv,) = make(tmp_path, a_csv=CSV)
    by_number = DataConfig(separator=";", columns=ColumnsConfig(text=0))
    form = form_of_predictions(tmp_path / "run", None, [csv], by_number)
    assert form.path == tmp_path / "run/predictions.csv" and not form.named
    assert (form.header, form.separator, form.line_end) == (True, ";", "\r\n")
    form = form_of_predictions(tmp_path, str(tmp_path / "X.CSV"), [csv], by_number)
    assert (form.path.name, form.named, form.kind, form.separator, form.quoted) == ("X.CSV", True, "csv", ";", True)
    form = form_of_predictions(tmp_path, "x.tsv", [csv], by_number)
    assert (form.named, form.separator, form.quoted, form.line_end) == (True, "\t", False, "\n")
    (tsv,) = make(tmp_path, b_tsv=b"text\n")
    assert form_of_predictions(tmp_path, "x.tsv", [tsv], DataConfig(quoting=True)).quoted
    form = form_of_predictions(tmp_path, "x.csv", [csv, tsv], DataConfig())
    assert (form.path.name, form.note) == ("x.csv", "")


def test_json_lines_in_place_of_another_form(tmp_path):
    form = plain_form(tmp_path / "x.tsv").as_jsonl("why")
    assert (form.path, form.note) == (tmp_path / "x.jsonl", "why")


@pytest.mark.parametrize(("name", "what"), [("x.txt", ".txt"), ("x", "a file without an ending"), ("x.csv.gz", ".gz")])
def test_endings_of_no_format(name, what):
    with pytest.raises(DataError, match=f"cannot write {what}, expected .csv, .tsv, .jsonl, .parquet or .xlsx"):
        plain_form(name)
