"""Good input: every format, header, numbering, quoting and shard gives the same examples."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easymft.config.data_section import DataConfig
from easymft.data import encoding
from easymft.data.chunks import plain_rows
from easymft.data.encoding import iter_lines
from easymft.data.label_map import LabelMap
from easymft.data.reading import read_examples
from easymft.data.sources import expand_files
from easymft.errors import DataError

NAMED = {"text": "text", "domain": "domain", "label": "label"}
NUMBERED = {"text": 0, "domain": 1, "label": 2}
ROWS = [("Good book", "books", "POS"), ('Bad "disc", really', "dvd", "NEG"), ("Ünïcode ¼ 犬", "books", "NEG")]
HEADER = ("text", "domain", "label")


def config(columns=NAMED, **settings):
    return DataConfig.model_validate({"columns": columns} | settings)


def read(paths, data, *, pair=False, **options):
    return list(read_examples([str(path) for path in paths], data, pair=pair, **options))


def write(path, rows, separator="\t"):
    content = "".join(separator.join(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def as_rows(batches):
    return [row for batch in batches for row in zip(batch.text, batch.domain, batch.label, strict=True)]


def quoted(rows):
    return [['"' + field.replace('"', '""') + '"' for field in row] for row in rows]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        ([HEADER, *ROWS], {}),
        ([HEADER, *ROWS], {"columns": NUMBERED, "header": True}),
        (ROWS, {"columns": NUMBERED}),
        (ROWS, {"column_names": list(HEADER)}),
        (quoted([HEADER, *ROWS]), {"quoting": True}),
    ],
    ids=["header", "header and numbers", "numbers", "column_names", "quoted"],
)
def test_tsv(tmp_path, name, rows, settings):
    (batch,) = read([write(tmp_path / name, rows)], config(**settings))
    assert as_rows([batch]) == ROWS
    assert batch.table.column_names == list(HEADER)
    assert batch.table.to_pydict()["text"] == batch.text
    assert batch.rows.tolist() == ([2, 3, 4] if rows[0] != ROWS[0] else [1, 2, 3])
    assert batch.first_row == batch.rows[0]
    assert (batch.text_pair, batch.weight, batch.id, batch.typicality) == (None, None, None, None)


def test_csv_fields_may_span_lines_and_end_in_crlf(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'text,domain,label\r\n"two\r\nlines, a comma",books,POS\r\n"He said ""no""",dvd,NEG\r\nlast,dvd,POS'
    )
    (batch,) = read([path], config())
    assert batch.text == ["two\r\nlines, a comma", 'He said "no"', "last"]
    assert batch.rows.tolist() == [2, 3, 4]
    assert batch.label == ["POS", "NEG", "POS"]


def test_csv_without_quoting(tmp_path):
    (batch,) = read([write(tmp_path / "a.csv", [HEADER, ('"a', "books", "POS")], ",")], config(quoting=False))
    assert batch.text == ['"a']


def test_jsonl_and_parquet_keep_types_and_take_integers_as_names(tmp_path):
    rows = [
        {"key": 7, "text": "a", "domain": "x", "label": 0, "extra": [1, 2], "w": 0.5},
        {"key": 8, "text": "b", "domain": "y", "label": 1, "extra": [3], "w": 2},
    ]
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parquet = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    data = config(NAMED | {"id": "key", "weight": "w"})
    for path in (lines, parquet):
        (batch,) = read([path], data, labels=LabelMap(("0", "1")))
        assert batch.label == ["0", "1"]
        assert batch.id == ["7", "8"]
        np.testing.assert_array_equal(batch.weight, np.array([0.5, 2], np.float32))
        assert batch.table.column_names == list(rows[0])
        assert plain_rows(batch.table) == rows
    assert read([parquet], data)[0].rows.tolist() == [1, 2]


def test_dictionary_strings_in_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({name: pa.array(["u", "v"]).dictionary_encode() for name in HEADER}), path)
    assert read([path], config())[0].domain == ["u", "v"]


def test_keys_of_jsonl_may_be_missing_and_in_any_order_between_shards(tmp_path):
    (tmp_path / "1.jsonl").write_text('{"text": "a", "label": "x", "note": "n"}\n{"text": "b", "label": "y"}\n')
    (tmp_path / "2.jsonl").write_text('{"label": "z", "note": null, "text": "c"}\n')
    first, second = read([tmp_path / "*.jsonl"], config({"text": "text", "label": "label"}))
    assert first.table.to_pydict()["note"] == ["n", None]
    assert second.table.to_pylist() == [{"text": "c", "label": "z", "note": None}]
    assert second.table.column_names == first.table.column_names == ["text", "label", "note"]
    assert second.label == ["z"]


def test_columns_with_names_in_any_order_between_files(tmp_path):
    (tmp_path / "1.csv").write_text("text,label,note\na,x,n\n")
    (tmp_path / "2.csv").write_text("note;label;text\nm;y;b\n")
    pq.write_table(pa.table({"label": ["z"], "note": ["k"], "text": ["c"]}), tmp_path / "3.parquet")
    (tmp_path / "4.jsonl").write_text('{"note": "j", "text": "d", "label": "w"}\n')
    with pytest.warns(UserWarning, match="2.csv: is read with a semicolon"):
        batches = read([tmp_path / "*"], config({"text": "text", "label": "label"}))
    assert [(batch.text, batch.label) for batch in batches] == [([t], [k]) for t, k in ("ax", "by", "cz", "dw")]
    assert [list(batch.table.to_pylist()[0].items()) for batch in batches] == [
        [("text", text), ("label", label), ("note", note)] for text, label, note in ("axn", "bym", "czk", "dwj")
    ]


def test_settings_of_other_formats_are_told(tmp_path):
    path = write(tmp_path / "a.csv", [HEADER, ("a", "b", "c")], ",")
    with pytest.warns(UserWarning, match=r"a.csv: data.sheet is 'x', which is for xlsx; the file is csv"):
        read([path], config(sheet="x"))
    (tmp_path / "b.jsonl").write_text('{"text": "a", "domain": "b", "label": "c"}\n')
    with pytest.warns(UserWarning, match="data.separator is ',', which is for tsv, csv; the file is jsonl"):
        read([tmp_path / "b.jsonl"], config(separator=",", encoding="utf-8"))
    read([path, tmp_path / "b.jsonl"], config(separator=",", quoting=True))


def test_pairs_weights_ids_and_typicality(tmp_path):
    names = ["id", "one", "two", "w", "typ", "label"]
    columns = {"text": "one", "text_pair": "two", "weight": "w", "typicality": "typ", "id": "id", "label": "label"}
    path = write(tmp_path / "a.tsv", [names, ["k1", "p", "h", "0", "-0.25", "x"], ["k2", "q", "i", "1e1", "0.5", "y"]])
    (batch,) = read([path], config(columns), pair=True)
    assert (batch.text, batch.text_pair, batch.id) == (["p", "q"], ["h", "i"], ["k1", "k2"])
    assert batch.weight.dtype == batch.typicality.dtype == np.float32
    assert batch.weight.tolist() == [0, 10]
    assert batch.typicality.tolist() == [-0.25, 0.5]
    assert batch.domain is None


def test_chunks_are_full_and_shards_are_kept_apart(tmp_path):
    for shard, count in (("1", 5), ("2", 3)):
        write(tmp_path / f"{shard}.tsv", [HEADER] + [(f"t{shard}{i}", "books", "POS") for i in range(count)])
    batches = read([tmp_path / "*.tsv"], config(), chunk_size=2)
    assert [text for batch in batches for text in batch.text] == [
        "t10",
        "t11",
        "t12",
        "t13",
        "t14",
        "t20",
        "t21",
        "t22",
    ]
    assert [batch.rows.tolist() for batch in batches] == [[2], [3, 4], [5, 6], [2], [3, 4]]
    assert [batch.file[-5:] for batch in batches] == ["1.tsv"] * 3 + ["2.tsv"] * 2


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
@pytest.mark.parametrize("end", ["", "\n"])
def test_lines_across_blocks(tmp_path, monkeypatch, size, end):
    monkeypatch.setattr("easymft.data.packing._BLOCK_BYTES", 7)
    lines = [b"", b"a" * 20, b"b", "ü¼".encode(), b"c\rc", b"d", b"last"]
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines) + end.encode())
    chunks = list(iter_lines(str(path), size))
    assert [line for _, chunk in chunks for line in chunk] == lines
    assert [number for number, _ in chunks] == list(range(1, 8, size))
    assert all(len(chunk) == size for _, chunk in chunks[:-1])


def test_strip_whitespace_accepts_spaces_and_crlf(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"text \t domain\tlabel\r\n a b \tbooks \t POS\r\nc\tdvd\tNEG\n")
    (batch,) = read([path], config(strip_whitespace=True), labels=LabelMap(("NEG", "POS")))
    assert as_rows([batch]) == [("a b", "books", "POS"), ("c", "dvd", "NEG")]
    assert batch.table.to_pydict() == {"text": ["a b", "c"], "domain": ["books", "dvd"], "label": ["POS", "NEG"]}
    csv = tmp_path / "b.csv"
    csv.write_text('text, domain, label\n"a, b", "books", POS \n')
    assert as_rows(read([csv], config(strip_whitespace=True))) == [("a, b", "books", "POS")]
    lines = tmp_path / "c.jsonl"
    lines.write_text('{"text": " a", "domain": "x ", "label": " y"}\r\n')
    assert as_rows(read([lines], config(strip_whitespace=True))) == [("a", "x", "y")]


UNLABELLED = [("a", "books"), ("b", "dvd")]


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        ([HEADER[:2], *UNLABELLED], {}),
        (UNLABELLED, {"columns": NUMBERED}),
        (UNLABELLED, {"column_names": list(HEADER)}),
        (UNLABELLED, {"columns": {"text": 0, "domain": 1}}),
    ],
)
def test_unlabelled_rows_without_a_label_column(tmp_path, rows, settings):
    (batch,) = read(
        [write(tmp_path / "a.tsv", rows)], config(**settings), need_label=False, labels=LabelMap(("x", "y"))
    )
    assert batch.label is None
    assert (batch.text, batch.domain) == (["a", "b"], ["books", "dvd"])


@pytest.mark.parametrize("optional", [("id", "typicality"), ("typicality", "id")])
def test_which_column_is_absent_does_not_hang_on_chance(tmp_path, optional):
    """Scores are in training files alone; whatever order a set of names has in this process."""
    columns = NAMED | {"id": "id", "typicality": "score"}
    settings = config(columns, column_names=["id", *HEADER, "score"])
    path = write(tmp_path / "a.tsv", [("7", "a", "books", "NEG")])
    with pytest.warns(UserWarning, match="4 columns are read as id, text, domain, label, but any of score, id may be"):
        (batch,) = read([path], settings, optional_columns=optional)
    assert (batch.id, batch.text, batch.label) == (["7"], ["a"], ["NEG"])


def test_integers_of_64_bits(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a", "domain": "books", "label": "NEG", "hash": 2**64 - 1}) + "\n")
    (batch,) = read([path], config())
    assert batch.table["hash"].to_pylist() == [2**64 - 1]
    path.write_text(path.read_text().replace(str(2**64 - 1), str(2**64)))
    (batch,) = read([path], config())
    assert plain_rows(batch.table)[0]["hash"] == 2**64


def test_json_values_of_any_type_stay_as_they_are(tmp_path):
    values = [1, 2.5, "n/a", None, True, [1, "a"], {"a": 1, "b": None}, {}]
    rows = [{"text": "a", "domain": "books", "label": "NEG", "own": value} for value in values]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for size in (1, 2, 100):
        batches = read([path], config(), chunk_size=size)
        found = [row for batch in batches for row in plain_rows(batch.table)]
        # 1 == 1.0 == True
        assert [json.dumps(row) for row in found] == [json.dumps(row) for row in rows]


def test_unread_columns_are_neither_checked_nor_missed(tmp_path):
    path = write(tmp_path / "a.tsv", [HEADER, ("a", " books ", "GOOD")])
    known = {"labels": LabelMap(("NEG", "POS")), "unread_columns": ("label", "domain", "weight")}
    (batch,) = read([path], config(NAMED | {"weight": "absent"}), **known)
    assert (batch.text, batch.label, batch.domain, batch.weight) == (["a"], None, None, None)
    assert batch.table.to_pylist() == [{"text": "a", "domain": " books ", "label": "GOOD"}]


def test_empty_and_null_labels_where_labels_are_not_needed(tmp_path):
    known = LabelMap(("NEG", "POS"))
    path = write(tmp_path / "a.tsv", [HEADER, ("a", "books", ""), ("b", "dvd", "POS")])
    (batch,) = read([path], config(), need_label=False, labels=known)
    assert batch.label == ["", "POS"]
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"text": "a", "domain": "b", "label": null}\n')
    assert read([lines], config(), need_label=False, labels=known)[0].label == [""]
    with pytest.raises(DataError, match="unknown label 'GOOD'"):
        read([write(tmp_path / "b.tsv", [HEADER, ("a", "books", "GOOD")])], config(), need_label=False, labels=known)


def test_optional_columns_may_be_absent(tmp_path):
    path = write(tmp_path / "a.tsv", [("text", "label"), ("a", "x")])
    data = config(NAMED | {"typicality": "typicality"})
    (batch,) = read([path], data, optional_columns=("typicality", "domain"))
    assert batch.domain is None and batch.typicality is None and batch.label == ["x"]
    with pytest.raises(DataError, match="no column 'domain'"):
        read([path], data, optional_columns=("typicality",))


def test_expand_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b1.tsv", "b0.tsv", "a[1].tsv"):
        (tmp_path / name).write_text("x\n")
    assert expand_files(["b*.tsv", "a[1].tsv"]) == ["b0.tsv", "b1.tsv", "a[1].tsv"]


def test_reading_streams_and_stops_handing_on_at_a_bad_row(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"
    with open(path, "w") as stream:
        stream.write("text\tdomain\tlabel\n")
        stream.writelines("x\n" if i == 30_000 else f"{'w' * 100}{i}\tbooks\tPOS\n" for i in range(60_000))
    read_blocks, blocks = encoding.read_blocks, []

    def counted(path):
        for block in read_blocks(path):
            blocks.append(len(block))
            yield block

    monkeypatch.setattr(encoding, "read_blocks", counted)
    batches = read_examples([str(path)], config(), pair=False, chunk_size=1000)
    assert next(batches).rows.tolist() == list(range(2, 1001))
    assert len(blocks) == 1
    rows = [next(batches).rows[0] for _ in range(29)]
    with pytest.raises(DataError, match="row 30002: 1 field, expected 3"):
        next(batches)
    assert rows[-1] == 29001
    assert sum(blocks) == path.stat().st_size and len(blocks) > 5
