"""Labels, domains and columns: one name whatever its type or Unicode form, keys and columns that come and go."""

import json
import unicodedata
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easymft.config.data_section import DataConfig
from easymft.data import jsonl
from easymft.data.chunks import own_name, plain_rows
from easymft.data.label_map import LabelMap
from easymft.data.labels import infer_maps
from easymft.data.reading import read_examples
from easymft.data.validation import validate_files
from easymft.errors import DataError

NAMED = {"text": "text", "domain": "domain", "label": "label"}
NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
ROW = {"text": "a", "domain": "books", "label": "POS"}


def read(paths, columns=NAMED, labels=None, domains=None, need_label=True, **settings):
    data = DataConfig.model_validate({"columns": columns} | settings)
    paths = [str(path) for path in paths]
    return list(read_examples(paths, data, pair=False, labels=labels, domains=domains, need_label=need_label))


def error_of(path, **settings):
    with pytest.raises(DataError) as caught:
        read([path], **settings)
    return str(caught.value).replace(f"{path.parent}/", "")


def lines(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(ROW | row)) + "\n" for row in rows))
    return path


def table(path, **columns):
    count = len(next(iter(columns.values())))
    pq.write_table(pa.table({name: [value] * count for name, value in ROW.items()} | columns), path)
    return path


def test_whole_numbers_and_booleans_are_names(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"label": 1}, {"label": 1.0}, {"label": "1"}, {"label": 2.0})
    with pytest.warns(UserWarning, match="a.jsonl: column 'label': whole .* such as 1.0 as the name \"1\"") as told:
        assert read([path], labels=LabelMap(("1", "2")))[0].label == ["1", "1", "1", "2"]
    assert len(told) == 1
    path = lines(tmp_path / "b.jsonl", {"label": True, "domain": False}, {"label": "false", "domain": "x"})
    with pytest.warns(UserWarning, match='booleans are read as the names "true" and "false"') as told:
        (batch,) = read([path])
    assert (batch.label, batch.domain) == (["true", "false"], ["false", "x"])
    assert [str(one.message).split(": ")[1] for one in told] == ["column 'domain'", "column 'label'"]
    assert plain_rows(batch.table)[0]["label"] is True
    path = lines(tmp_path / "c.jsonl", {"label": 1.5})
    assert "label is of type number (1.5), expected a string or whole" in error_of(path)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1.0, 0.0], ["1", "0"]),
        ([True, False], ["true", "false"]),
        ([Decimal("1.00"), Decimal("2")], ["1", "2"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        (pa.array([3.0, 4.0]).dictionary_encode(), ["3", "4"]),
        (pa.array([3, 4], pa.uint8()), ["3", "4"]),
    ],
)
def test_labels_of_parquet(tmp_path, column, expected):
    path = table(tmp_path / "a.parquet", label=column)
    if expected[0] in "xy" or pa.array(column).type == pa.uint8():
        assert read([path])[0].label == expected
        return
    with pytest.warns(UserWarning, match="column 'label'"):
        assert read([path])[0].label == expected


def test_missing_names(tmp_path):
    path = lines(tmp_path / "a.jsonl", {}, '{"text": "a", "domain": "x", "label": NaN}', {"label": None})
    first, second, _ = error_of(path).split("\n")
    assert first.endswith("row 2, column 'label': label is missing (NaN), expected a name")
    assert second.endswith("row 3, column 'label': label is missing (null), expected a name")
    assert read([path], need_label=False)[0].label == ["POS", "", ""]
    path = table(tmp_path / "a.parquet", label=[1.0, None])
    with pytest.warns(UserWarning, match="1.0 as the name"):
        assert "row 2, column 'label': label is missing (null)" in error_of(path)


def test_names_differ_by_more_than_their_unicode_form(tmp_path):
    train = tmp_path / "train.tsv"
    train.write_text(f"text\tdomain\tlabel\na\t{NFC}\t{NFC}\nb\t{NFD}\tthé\nc\t{NFD}\t{NFD}\n")
    with pytest.warns(UserWarning, match=f"train.tsv: column '(label|domain)': {NFC!r} is also written in") as told:
        labels, domains = infer_maps(DataConfig(train_files=[str(train)], columns=NAMED), pair=False)
    assert (labels.names, domains.names, len(told)) == ((NFC, "thé"), (NFC,), 2)
    with pytest.warns(UserWarning, match="another Unicode form"):
        (batch,) = read([train], labels=LabelMap((NFD, "thé")), domains=LabelMap((NFD,)))
    assert batch.table["label"].to_pylist() == [NFC, "thé", NFD]
    # A run of an older version may have saved names as they were.
    assert LabelMap((NFD, "thé")).encode([NFC, "thé", NFD]).tolist() == [0, 1, 0]
    assert LabelMap((NFD,)).index(NFC) == LabelMap((NFC,)).index(NFD) == 0 and NFC in LabelMap((NFD,))


def test_names_of_the_config_are_composed():
    config = {"labels": [NFD, "x"], "domains": [NFD], "columns": {"text": NFD}, "column_names": [NFD]}
    data = DataConfig.model_validate(config | {"subset": {"exclude_domains": [NFD]}})
    assert [data.labels[0], data.domains[0], data.columns.text, data.column_names[0]] == [NFC] * 4
    assert data.subset.exclude_domains == [NFC]


def test_a_header_in_another_unicode_form(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(f"text\tdomain\t{NFD}\na\tx\tPOS\n")
    with pytest.warns(UserWarning, match=f"the name of column {NFC!r} has another Unicode form"):
        (batch,) = read([path], NAMED | {"label": NFC})
    assert (batch.label, batch.table.column_names[2]) == (["POS"], NFD)


def test_texts_as_labels_are_told_and_do_not_take_forever(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tdomain\tlabel\na\tx\t" + "word " * 2_000_000 + "end\n")
    message = error_of(path, labels=LabelMap(tuple(f"name {number}" for number in range(500))))
    assert "label has 10000003 characters ('word word" in message and len(message) < 250
    assert message.endswith("expected a name of at most 200; is this the column of the texts?")
    with pytest.raises(DataError, match="data.labels holds 'xxx.*', expected names of at most 200 characters"):
        infer_maps(DataConfig(labels=["x" * 201, "y"], columns=NAMED, train_files=[str(path)]), pair=False)


def test_the_nearest_name_is_looked_for_a_few_times_alone(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tdomain\tlabel\n" + "".join(f"a\tx\tPOS{number}\n" for number in range(50)))
    message = error_of(path, labels=LabelMap(("POS", "NEG")), bad_row_limit=50)
    assert message.count("did you mean 'POS'?") == 20 and message.count("unknown label") == 50


def test_keys_that_only_later_rows_and_files_have(tmp_path):
    first = lines(tmp_path / "1.jsonl", {}, {"more": 1}, {"more": 2, "last": "x"}, "", "no JSON")
    second = lines(tmp_path / "2.jsonl", {"own": [1]})
    with pytest.raises(DataError, match="row 4: empty line.*\n.*row 5: is not JSON"):
        read([first, second])
    first = lines(first, {}, {"more": 1}, {"more": 2, "last": "x"})
    batches = read([first, second])
    names = ["text", "domain", "label", "more", "last", "own"]
    assert [batch.table.column_names for batch in batches] == [names] * 2
    rows = [row for batch in batches for row in plain_rows(batch.table)]
    assert [(row["more"], row["last"], row["own"]) for row in rows] == [
        (None, None, None),
        (1, None, None),
        (2, "x", None),
        (None, None, [1]),
    ]


def test_keys_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_MOST_KEYS", 5)
    path = lines(tmp_path / "a.jsonl", *({f"key {number}": 1} for number in range(5)))
    assert "a.jsonl: has more than 5 different keys in its first 5 rows" in error_of(path)


def test_values_that_json_does_not_know_in_columns_that_nobody_uses(tmp_path):
    row = json.dumps(ROW)[:-1] + ', "own": '
    path = lines(tmp_path / "a.jsonl", {}, *(row + own + "}" for own in ("NaN", "1.5", "-Infinity")))
    (batch,) = read([path])
    assert str(batch.table["own"].to_pylist()) == "[None, nan, 1.5, -inf]"
    path = lines(tmp_path / "b.jsonl", *(row + own + "}" for own in ("NaN", '"x"', '{"a": [NaN, 1]}')))
    (batch,) = read([path])
    assert [row["own"] for row in plain_rows(batch.table)] == [None, "x", {"a": [None, 1]}]


def test_the_index_of_pandas_in_some_of_the_files(tmp_path):
    index = {"__index_level_0__": [5]}
    first, second = table(tmp_path / "1.parquet", text=["a"], **index), table(tmp_path / "2.parquet", text=["b"])
    for paths in ([first, second], [second, first]):
        with pytest.warns(UserWarning, match="__index_level_0__: left out, as only some of the files have this column"):
            batches = read(paths)
        assert [batch.table.column_names for batch in batches] == [list(ROW)] * 2
    assert read([first])[0].table["__index_level_0__"].to_pylist() == [5]
    with pytest.raises(DataError, match="no column '__index_level_0__' for data.columns.id"):
        read([first, second], NAMED | {"id": "__index_level_0__"})


def test_repeated_columns_of_parquet(tmp_path):
    names, columns = [*ROW, "note", "note"], [[value] for value in (*ROW.values(), 1, "two")]
    pq.write_table(pa.Table.from_arrays([pa.array(column) for column in columns], names), tmp_path / "a.parquet")
    (batch,) = read([tmp_path / "a.parquet"])
    assert batch.table.to_pylist() == [ROW | {"note": 1, "note_2": "two"}]
    assert [own_name(field) for field in batch.table.schema] == names


def test_validate_reports_what_readers_tell(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;label\na;POS\nb;NEG\n")
    data = DataConfig(train_files=[str(path)], columns={"text": "text", "label": "label"})
    report = validate_files(data, pair=False)
    assert [f"{path}: is read with a semicolon" in warning for warning in report.warnings] == [True]
    path.write_text("text;label\na;POS\n;NEG\n")
    with pytest.warns(UserWarning, match="semicolon"), pytest.raises(DataError, match="row 3, column 'text'"):
        validate_files(data, pair=False)
