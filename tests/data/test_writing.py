import json
from datetime import date

import pyarrow as pa
import pytest

from easymft.config.data_section import ColumnsConfig, DataConfig
from easymft.data.reading import read_examples
from easymft.data.writing import TableWriter, same_form
from easymft.errors import DataError

TABLE = pa.table({"text": ["a", "b\u2028c", 'say "x"'], "id": [1, 2, None], "share": [0.5, None, 1.0]})


def write(path, *parts, **options):
    with TableWriter(path, **options) as writer:
        for table, columns in parts:
            writer.write(table, columns)
    assert not list(path.parent.glob("*.part"))
    return path.read_text(encoding="utf-8")


def test_tsv(tmp_path):
    more = pa.table({"text": ["d"], "id": [4], "share": [2.0]})
    content = write(tmp_path / "x.tsv", (TABLE, {"score": [0.25, 1e-9, 1]}), (more, {"score": [0.0]}))
    assert content == (
        'text\tid\tshare\tscore\na\t1\t0.5\t0.25\nb\u2028c\t2\t\t1e-9\nsay "x"\t\t1\t1\nd\t4\t2\t0\n'
    )


def test_tsv_without_header(tmp_path):
    content = write(tmp_path / "x.tsv", (TABLE.select(["text"]), {"n": ["1", "2", "3"]}), header=False)
    assert content.startswith("a\t1\n")


def test_jsonl_keeps_types(tmp_path):
    table = TABLE.append_column("tags", pa.array([["x", "y"], [], None])).append_column(
        "day", pa.array([date(2020, 1, 2)] * 3)
    )
    lines = [json.loads(line) for line in write(tmp_path / "x.jsonl", (table, {"score": [1, 2, 3]})).splitlines()[:1]]
    assert lines == [{"text": "a", "id": 1, "share": 0.5, "tags": ["x", "y"], "day": "2020-01-02", "score": 1}]


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


def test_json_values_of_several_types(tmp_path):
    path = tmp_path / "a.jsonl"
    own = [1, 2.5, "n/a", {"a": [1]}, None]
    rows = [{"text": "a", "own": value} for value in own]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(columns=ColumnsConfig(text="text", label=None, domain=None))
    (batch,) = read_examples([str(path)], data, pair=False, need_label=False)
    assert write(tmp_path / "x.jsonl", (batch.table, {})) == path.read_text()
    assert write(tmp_path / "x.tsv", (batch.table, {})) == 'text\town\na\t1\na\t2.5\na\tn/a\na\t{"a": [1]}\na\t\n'


@pytest.mark.parametrize("value", ["a\tb", "a\nb"])
def test_a_value_that_a_tsv_cannot_hold(tmp_path, value):
    first = pa.table({"text": ["x", "y"]})
    with pytest.raises(DataError, match="x.tsv: the value of column 'text' in output row 4 holds a tab or a line"):
        write(tmp_path / "x.tsv", (first, {}), (pa.table({"text": ["z", value]}), {}))
    assert not list(tmp_path.iterdir())
    assert json.loads(write(tmp_path / "x.jsonl", (pa.table({"text": [value]}), {}))) == {"text": value}


@pytest.mark.parametrize(
    "values", [[["x"]], [{"x": 1}], pa.array([b"\xff"])], ids=["list", "struct", "bytes"]
)
def test_a_nested_value_that_a_tsv_cannot_hold(tmp_path, values):
    table = pa.table({"text": ["a"], "own": values})
    with pytest.raises(DataError, match="x.tsv: column 'own' is of type .*, which a TSV file cannot hold; write"):
        write(tmp_path / "x.tsv", (table, {}))
    assert not list(tmp_path.iterdir())


def test_a_column_name_that_a_tsv_cannot_hold(tmp_path):
    with pytest.raises(DataError, match=r"x.tsv: the name of column 'te\\txt' holds a tab or a line break"):
        write(tmp_path / "x.tsv", (pa.table({"te\txt": ["a"]}), {}))
    assert not list(tmp_path.iterdir())


def test_a_name_taken_by_the_user(tmp_path):
    with pytest.raises(DataError, match="x.tsv: the input already has a column 'id'; rename it"):
        write(tmp_path / "x.tsv", (TABLE, {"id": ["1", "2", "3"]}))


def test_an_earlier_file_stays_after_an_error(tmp_path):
    path = tmp_path / "x.tsv"
    write(path, (TABLE, {}))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), TableWriter(path) as writer:
        writer.write(TABLE, {})
        assert path.read_bytes() == before
        raise KeyboardInterrupt
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["x.tsv"]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match="cannot write .csv, expected .tsv or .jsonl"):
        TableWriter(tmp_path / "x.csv")
    with pytest.raises(DataError, match="cannot write a file without an ending"):
        TableWriter(tmp_path / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="x.tsv: cannot be written"):
        TableWriter(tmp_path / "file" / "x.tsv")
    assert write(tmp_path / "new" / "deep" / "x.tsv", (TABLE, {}))


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("a.tsv", {}, ("out.tsv", True)),
        ("a.tsv.gz", {}, ("out.tsv", True)),
        ("a.tsv", {"quoting": True}, ("out.jsonl", True)),
        ("a.csv", {}, ("out.jsonl", True)),
        ("a.jsonl", {}, ("out.jsonl", True)),
        ("a.tsv", {"columns": ColumnsConfig(text=0)}, ("out.tsv", False)),
        ("a.txt", {"format": "tsv", "column_names": ["text"]}, ("out.tsv", False)),
    ],
)
def test_the_form_of_the_input(tmp_path, name, settings, expected):
    (tmp_path / name).write_bytes(b"")
    path, header = same_form(tmp_path / "out", [str(tmp_path / name)], DataConfig(**settings))
    assert (path.name, header) == expected and path.parent == tmp_path


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl"])
def test_what_is_written_reads_back(tmp_path, name):
    texts = ["plain", ' "quoted', "tab\\t", "NULL", "nan", "日本", "1.50", "true", "a\rb", "\u0085x"]
    table = pa.table({"text": texts, "label": ["x"] * 10})
    write(tmp_path / name, (table, {"typicality": [0.1] * 10}))
    data = DataConfig(columns=ColumnsConfig(label="label", typicality="typicality"))
    (batch,) = read_examples([str(tmp_path / name)], data, pair=False)
    assert batch.text == texts and batch.typicality.tolist() == pytest.approx([0.1] * 10)
    assert batch.table.column("text").to_pylist() == texts
