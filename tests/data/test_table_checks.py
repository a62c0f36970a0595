import builtins
import json

import pyarrow as pa
import pytest

from easymft.data import table_checks
from easymft.data.table_checks import TablePlan
from easymft.data.table_form import TableForm, plain_form
from easymft.data.writing import TableWriter
from easymft.errors import DataError

OURS = pa.schema([("predicted_label", pa.string())])


def check(form, *tables, texts=()):
    form = form if isinstance(form, TableForm) else plain_form(form)
    plan = TablePlan(form, OURS, texts)
    for table in tables:
        plan.check(table, lambda index: f"a.jsonl row {index + 1}")
    return plan.form


def refusal(form, *tables, texts=()):
    with pytest.raises(DataError) as caught:
        check(form, *tables, texts=texts)
    return str(caught.value)


@pytest.mark.parametrize("value", ["a\tb", "a\nb", "a\rb"])
def test_a_value_that_a_tsv_cannot_hold(value):
    tables = pa.table({"text": ["x", "y"]}), pa.table({"text": ["z", value]})
    assert refusal("x.tsv", *tables) == (
        "x.tsv: the value of column 'text' in a.jsonl row 2 holds a tab or a line break, which a TSV file cannot hold; "
        "write .csv or .jsonl instead"
    )
    # Where the user has not named the file, it is written as JSON Lines, which says why.
    form = check(plain_form("x.tsv", named=False), *tables)
    assert form.path.name == "x.jsonl" and form.note == (
        "the value of column 'text' in a.jsonl row 2 holds a tab or a line break, which a TSV file cannot hold"
    )
    for name in ("x.csv", "x.jsonl", "x.parquet"):
        assert check(name, *tables).path.name == name


def test_the_writer_checks_too(tmp_path):
    with pytest.raises(DataError, match="x.tsv: the value of column 'text' in output row 4 holds a tab or a line"):
        with TableWriter(plain_form(tmp_path / "x.tsv")) as writer:
            writer.write(pa.table({"text": ["x", "y"]}), {})
            writer.write(pa.table({"text": ["z", "a\tb"]}), {})
    assert not list(tmp_path.iterdir())


def test_csv_without_quotes():
    form = TableForm(plain_form("x.csv").path, quoted=False, separator=";")
    assert check(form, pa.table({"text": ["a,b"]})).path.name == "x.csv"
    assert check(form, pa.table({"text": ["a;b"]})).note.endswith(
        "holds ';' or a line break, which a CSV file without quotes cannot hold"
    )


@pytest.mark.parametrize(
    "values", [[["x"]], [{"x": 1}], pa.array([b"\xff"])], ids=["list", "struct", "bytes"]
)
@pytest.mark.parametrize(("name", "what"), [("x.tsv", "TSV"), ("x.csv", "CSV"), ("x.xlsx", "Excel")])
def test_types_that_a_format_cannot_hold(values, name, what):
    message = refusal(name, pa.table({"text": ["a"], "own": values}))
    assert f"{name}: column 'own' " in message and f", which a{'n' * (what == 'Excel')} {what} file cannot" in message


def test_a_column_name_that_a_tsv_cannot_hold():
    table = pa.table({"te\txt": ["a"]})
    assert r"the name of column 'te\txt' holds a tab or a line break" in refusal("x.tsv", table)
    assert check(TableForm(plain_form("x.tsv").path, header=False, quoted=False, separator="\t"), table).note == ""


@pytest.mark.parametrize("character", "\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_names_of_ours_that_a_tsv_cannot_hold(character):
    """They are looked at before any row is, by the same measure, and by what Python's splitlines breaks at."""
    name = f"a{character}b"
    assert refusal("x.tsv", texts=["fine", name]) == (
        f"x.tsv: the name {name!r} holds a tab or a line break, which a TSV file cannot hold; "
        "write .csv or .jsonl instead"
    )
    assert check(plain_form("x.tsv", named=False), texts=[name]).kind == "jsonl"
    assert check("x.csv", texts=[name]).kind == "csv"


def test_a_name_that_the_user_has_taken():
    assert "x.tsv: the input already has a column 'predicted_label'; rename it" in refusal(
        "x.tsv", pa.table({"predicted_label": ["a"]})
    )


def test_what_excel_cannot_hold(monkeypatch):
    long = pa.table({"text": ["a", "x" * 32_768]})
    assert refusal("x.xlsx", long) == (
        "x.xlsx: the value of column 'text' in a.jsonl row 2 has more than 32,767 characters, which an Excel "
        "file cannot hold; write .csv instead"
    )
    assert check("x.xlsx", pa.table({"text": ["x" * 32_767]})).kind == "xlsx"
    assert "row 1 holds a control character" in refusal("x.xlsx", pa.table({"text": ["\x0b"]}))
    assert "the name 'a\\x07' holds a control character" in refusal("x.xlsx", texts=["a\x07"])
    monkeypatch.setattr(table_checks, "EXCEL_ROWS", 4)
    rows = pa.table({"text": ["a", "b"]})
    assert check("x.xlsx", rows, rows.slice(1)).kind == "xlsx"
    assert refusal("x.xlsx", rows, rows) == (
        "x.xlsx: there are more than 3 rows, which an Excel file cannot hold; write .csv or .parquet instead"
    )
    assert check(plain_form("x.xlsx", named=False), rows, rows).path.name == "x.jsonl"


def test_excel_without_openpyxl(monkeypatch):
    load = builtins.__import__

    def missing(name, *others):
        if name == "openpyxl":
            raise ImportError(name)
        return load(name, *others)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert refusal("x.xlsx") == "Excel files need openpyxl: pip install 'easymft[excel]'"
    assert check("x.csv").kind == "csv"


def test_rows_written_as_json_lines_in_place_of_tsv(tmp_path):
    plan = TablePlan(plain_form(tmp_path / "x.tsv", named=False), OURS, ["a\tb"])
    table = pa.table({"text": ["x"]})
    plan.check(table, str)
    with TableWriter(plan) as writer:
        writer.write(table, {"predicted_label": ["a\tb"]})
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]
    assert json.loads((tmp_path / "x.jsonl").read_text()) == {"text": "x", "predicted_label": "a\tb"}
