import csv
import json
from datetime import date, datetime, timezone

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easymft.config.data_section import ColumnsConfig, DataConfig
from easymft.data.reading import read_examples
from easymft.data.table_checks import TablePlan
from easymft.data.table_form import TableForm, plain_form, same_form
from easymft.data.writing import TableWriter
from easymft.errors import DataError

TABLE = pa.table({"text": ["a", "b\u2028c", 'say "x"'], "id": [1, 2, None], "share": [0.5, None, 1.0]})


def write(form, *parts):
    form = form if isinstance(form, TableForm) else plain_form(form)
    with TableWriter(form) as writer:
        for table, columns in parts:
            writer.write(table, columns)
    assert not [path for path in form.path.parent.iterdir() if ".part." in path.name]
    return form.path.read_bytes().decode(form.encoding) if form.is_delimited or form.kind == "jsonl" else None


def test_tsv(tmp_path):
    more = pa.table({"text": ["d"], "id": [4], "share": [2.0]})
    content = write(tmp_path / "x.tsv", (TABLE, {"score": [0.25, 1e-9, 1]}), (more, {"score": [0.0]}))
    assert content == (
        'text\tid\tshare\tscore\na\t1\t0.5\t0.25\nb\u2028c\t2\t\t1e-9\nsay "x"\t\t1\t1\nd\t4\t2\t0\n'
    )


def test_without_header(tmp_path):
    for name, separator in (("x.tsv", "\t"), ("x.csv", ",")):
        form = plain_form(tmp_path / name)
        form = TableForm(form.path, header=False, separator=separator, quoted=form.quoted)
        assert write(form, (TABLE.select(["text"]), {"n": ["1", "2", "3"]})).startswith(f"a{separator}1\n")


def test_csv_is_quoted_where_it_needs_it(tmp_path):
    texts = ["plain", "a,b", 'say "x"', "two\nlines", "old\rMac", "", " space", "semi;colon"]
    content = write(tmp_path / "x.csv", (pa.table({"te,xt": texts}), {"label": [*"abcdefg", None]}))
    assert content == (
        '"te,xt",label\nplain,a\n"a,b",b\n"say ""x""",c\n"two\nlines",d\n"old\rMac","e"\n,f\n space,g\nsemi;colon,\n'
    )
    with open(tmp_path / "x.csv", newline="") as stream:
        assert [row[0] for row in csv.reader(stream)] == ["te,xt", *texts]


def test_csv_of_another_separator_line_end_and_encoding(tmp_path):
    form = TableForm(tmp_path / "x.csv", separator=";", line_end="\r\n", encoding="utf-8-sig")
    write(form, (pa.table({"text": ["a,b", "c;d"]}), {"p": [0.5, 1.0]}), (pa.table({"text": ["é"]}), {"p": [0.0]}))
    assert form.path.read_bytes() == '\ufefftext;p\r\na,b;0.5\r\n"c;d";1\r\né;0\r\n'.encode()


def test_jsonl_keeps_types(tmp_path):
    table = TABLE.append_column("tags", pa.array([["x", "y"], [], None])).append_column(
        "day", pa.array([date(2020, 1, 2)] * 3)
    )
    lines = [json.loads(line) for line in write(tmp_path / "x.jsonl", (table, {"score": [1, 2, 3]})).splitlines()[:1]]
    assert lines == [{"text": "a", "id": 1, "share": 0.5, "tags": ["x", "y"], "day": "2020-01-02", "score": 1}]


def test_jsonl_of_an_encoding_that_lacks_characters(tmp_path):
    form = TableForm(tmp_path / "x.jsonl", encoding="cp1252")
    assert json.loads(write(form, (pa.table({"text": ["é日"]}), {}))) == {"text": "é日"}


def test_json_has_no_nan_and_no_bytes(tmp_path):
    table = pa.table({"text": ["a", "b"], "share": [float("nan"), 0.5]})
    lines = write(tmp_path / "x.jsonl", (table, {"score": [1.0, float("inf")]})).splitlines()
    assert [json.loads(line, parse_constant=pytest.fail) for line in lines] == [
        {"text": "a", "share": None, "score": 1.0},
        {"text": "b", "share": 0.5, "score": None},
    ]
    with pytest.raises(DataError, match="column 'raw' holds bytes"):
        write(tmp_path / "y.jsonl", (pa.table({"raw": [b"\xff"]}), {}))
    assert not (tmp_path / "y.jsonl").exists()


def test_numbers_read_back_to_the_same(tmp_path):
    values = [0.1, 1 / 3, 1e-30, 0.9999999403953552, 123456.789]
    content = write(tmp_path / "x.tsv", (pa.table({"text": list("abcde")}), {"p": values}))
    assert [float(line.split("\t")[1]) for line in content.splitlines()[1:]] == values
    assert write(tmp_path / "y.csv", (pa.table({"text": ["a"]}), {"p": [0.000001]})) == "text,p\na,0.000001\n"


def test_json_values_of_several_types(tmp_path):
    path = tmp_path / "a.jsonl"
    own = [1, 2.5, "n/a", {"a": [1]}, None]
    rows = [{"text": "a", "own": value} for value in own]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(columns=ColumnsConfig(text="text", label=None, domain=None))
    (batch,) = read_examples([str(path)], data, pair=False, need_label=False)
    assert write(tmp_path / "x.jsonl", (batch.table, {})) == path.read_text()
    assert write(tmp_path / "x.tsv", (batch.table, {})) == 'text\town\na\t1\na\t2.5\na\tn/a\na\t{"a": [1]}\na\t\n'


def planned(path, *tables, ours=()):
    plan = TablePlan(plain_form(path), pa.schema(list(ours)))
    for table in tables:
        plan.check(table, str)
    with TableWriter(plan) as writer:
        for table in tables:
            writer.write(table, {field.name: [None] * len(table) for field in ours})
    return pq.read_table(path)


def test_parquet_keeps_types(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["a", "b"]),
            "day": [date(2020, 1, 2), None],
            "raw": [b"\xff", None],
            "small": pa.array([1, 2], pa.int8()),
            "tags": [["x"], []],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    found = planned(tmp_path / "x.parquet", table, table, ours=[pa.field("p", pa.float64())])
    assert found.drop(["p"]).equals(pa.concat_tables([table, table]))
    assert found.schema.field("p").type == pa.float64() and found["p"].null_count == 4


def test_parquet_whose_first_rows_do_not_know_the_type(tmp_path):
    first = pa.table({"text": ["a"], "own": pa.nulls(1), "n": pa.array([1], pa.int32())})
    second = pa.table({"text": ["b"], "own": [2.5], "n": pa.array([2**40], pa.int64())})
    found = planned(tmp_path / "x.parquet", first, second, first)
    assert found.to_pydict() == {"text": ["a", "b", "a"], "own": [None, 2.5, None], "n": [1, 2**40, 1]}


def test_parquet_of_values_of_several_types(tmp_path):
    """Else whether 1 becomes 1.0 would depend on where one chunk of JSON Lines ends."""
    tables = [pa.table({"own": values}) for values in ([1, None], ["x"], [2.5], [True])]
    with pytest.warns(UserWarning, match="column 'own' holds values of several types, which become their JSON texts"):
        found = planned(tmp_path / "x.parquet", *tables)
    assert found["own"].to_pylist() == ["1", None, '"x"', "2.5", "true"]
    (tmp_path / "a.jsonl").write_text('{"text": "a", "own": 1}\n{"text": "b", "own": "x"}\n')
    data = DataConfig(columns=ColumnsConfig(text="text"))
    (batch,) = read_examples([str(tmp_path / "a.jsonl")], data, pair=False, need_label=False)
    with pytest.warns(UserWarning, match="JSON texts"):
        assert planned(tmp_path / "y.parquet", batch.table)["own"].to_pylist() == ["1", '"x"']


def test_excel(tmp_path):
    own = [2**60, 1.5, True, float("nan")]
    table = pa.table({"text": ["=1+1", "#N/A", "a\nb", "日本"], "n": [1, 2, 3, None]})
    table = table.append_column("day", pa.array([date(2020, 1, 2), date(1850, 1, 2), None, None]))
    table = table.append_column("at", pa.array([datetime(2020, 1, 2, tzinfo=timezone.utc)] + [None] * 3))
    form = TableForm(tmp_path / "x.xlsx", sheet="Rows")
    write(form, (table.slice(0, 3), {"p": [0.25, None, 0.5]}), (table.slice(3), {"p": [1.0]}))
    sheet = openpyxl.load_workbook(form.path)["Rows"]
    found = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert found == [
        ["text", "n", "day", "at", "p"],
        ["=1+1", 1, datetime(2020, 1, 2), "2020-01-02 00:00:00+00:00", 0.25],
        ["#N/A", 2, "1850-01-02", None, None],
        ["a\nb", 3, None, None, 0.5],
        ["日本", None, None, None, 1],
    ]
    assert [sheet.cell(row, 1).data_type for row in (2, 3)] == ["s", "s"]  # no formula, no error
    values = pa.table({"n": pa.array([own[0]]), "x": pa.array([own[3]]), "yes": [own[2]]})
    write(tmp_path / "y.xlsx", (values, {}))
    assert list(openpyxl.load_workbook(tmp_path / "y.xlsx").active.values)[1] == (str(2**60), None, True)


def test_an_earlier_file_stays_after_an_error(tmp_path):
    for ending in ("tsv", "csv", "jsonl", "parquet", "xlsx"):
        path = tmp_path / ending / f"x.{ending}"
        write(path, (TABLE, {}))
        before = path.read_bytes()
        with pytest.raises(KeyboardInterrupt), TableWriter(plain_form(path)) as writer:
            writer.write(TABLE, {})
            assert path.read_bytes() == before
            raise KeyboardInterrupt
        assert path.read_bytes() == before and [one.name for one in path.parent.iterdir()] == [path.name]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for ending in ("tsv", "csv", "jsonl", "xlsx"):
        with pytest.raises(DataError, match=f"x.{ending}: cannot be written"):
            TableWriter(plain_form(tmp_path / "file" / f"x.{ending}"))
    assert write(tmp_path / "new" / "deep" / "x.tsv", (TABLE, {}))


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.parquet"])
def test_what_is_written_reads_back(tmp_path, name):
    texts = ["plain", ' "quoted', "tab\\t", "NULL", "nan", "日本", "1.50", "true", "x\x0by", "\u0085x"]
    texts += [] if name == "a.tsv" else ["a\rb", "a\nb", "a\tb", "a\r\nb", "a,b"]
    table = pa.table({"text": texts, "label": ["x"] * len(texts)})
    write(tmp_path / name, (table, {"typicality": [0.1] * len(texts)}))
    data = DataConfig(columns=ColumnsConfig(label="label", typicality="typicality"))
    (batch,) = read_examples([str(tmp_path / name)], data, pair=False)
    assert batch.text == texts and batch.typicality.tolist() == pytest.approx([0.1] * len(texts))
    assert batch.table.column("text").to_pylist() == texts


def test_own_names_come_back(tmp_path):
    """Those of columns without a name, or with that of another, as spreadsheets write them."""
    (tmp_path / "a.csv").write_text("text,,note,note,\na,b,c,d,\n")
    data = DataConfig(columns=ColumnsConfig(text="text"))
    (batch,) = read_examples([str(tmp_path / "a.csv")], data, pair=False, need_label=False)
    assert write(tmp_path / "x.csv", (batch.table, {"p": [0.5]})) == "text,,note,note,,p\na,b,c,d,,0.5\n"
    write(tmp_path / "x.xlsx", (batch.table, {}))
    assert next(openpyxl.load_workbook(tmp_path / "x.xlsx").active.values) == ("text", None, "note", "note", None)
    assert len(json.loads(write(tmp_path / "x.jsonl", (batch.table, {})))) == 5
    assert len(planned(tmp_path / "x.parquet", batch.table).schema) == 5


def test_excel_reads_back(tmp_path):
    table = pa.table({"text": ["=1+1", "two\nlines", "007"], "label": ["x", "y", "z"]})
    write(tmp_path / "a.xlsx", (table, {"typicality": [0.1, 0.25, 1.0]}))
    data = DataConfig(columns=ColumnsConfig(label="label", typicality="typicality"))
    (batch,) = read_examples([str(tmp_path / "a.xlsx")], data, pair=False)
    assert batch.table.column("text").to_pylist() == table["text"].to_pylist()
    assert batch.typicality.tolist() == pytest.approx([0.1, 0.25, 1.0])


def test_the_encoding_of_the_input_reads_back(tmp_path):
    (tmp_path / "a.csv").write_bytes("text;label\r\ncafé;thé\r\nœuf;x\r\n".encode("cp1252"))
    data = DataConfig(columns=ColumnsConfig(label="label"), encoding="cp1252", separator=";")
    (batch,) = read_examples([str(tmp_path / "a.csv")], data, pair=False)
    write(same_form(tmp_path / "scored", [str(tmp_path / "a.csv")], data), (batch.table, {"typicality": ["0.5", "1"]}))
    assert (tmp_path / "scored.csv").read_bytes().startswith(b"text;label;typicality\r\ncaf\xe9;th\xe9;0.5\r\n")
    (again,) = read_examples([str(tmp_path / "scored.csv")], data, pair=False)
    assert again.text == ["café", "œuf"] and again.label == ["thé", "x"]
