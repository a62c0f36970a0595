"""Batches that hold the bad rows too, in their places."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easymft.config.data_section import ColumnsConfig, DataConfig
from easymft.data.bad_rows import SkippedRows
from easymft.data.label_map import LabelMap
from easymft.data.reading import read_examples

SKIP = {"bad_rows": "skip", "columns": ColumnsConfig(text="text", domain="domain")}


def read(file, chunk_size=100, **data):
    skipped = SkippedRows(None)
    batches = read_examples(
        [str(file)],
        DataConfig(**SKIP | data),
        pair=False,
        domains=LabelMap(("a", "b")),
        need_label=False,
        chunk_size=chunk_size,
        skipped_rows=skipped,
        keep_bad_rows=True,
    )
    return list(batches), skipped


def table_of(batches):
    return pa.concat_tables([batch.table for batch in batches], promote_options="permissive").to_pydict()


TSV = "text\tdomain\tid\ngood\ta\t1\nshort\tb\n\n\ta\t4\n\tc\t5\nlong\ta\t6\t7\ngood\tb\t8\n"


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
def test_tsv(tmp_path, chunk_size):
    (tmp_path / "a.tsv").write_text(TSV)
    batches, skipped = read(tmp_path / "a.tsv", chunk_size)
    assert [row for batch in batches for row in batch.rows] == [2, 3, 4, 5, 6, 7, 8]
    assert table_of(batches) == {
        "text": ["good", "short", None, "", "", "long", "good"],
        "domain": ["a", "b", None, "a", "c", "a", "b"],
        "id": ["1", None, None, "4", "5", "6", "8"],
    }
    problems = [problem for batch in batches for problem in batch.problem]
    assert problems == [
        None,
        "2 fields, expected 3 (text, domain, id); it holds 'short | b'",
        "empty line, expected 3 fields (text, domain, id)",
        "column 'text': text is empty, expected a text",
        "column 'text': text is empty, expected a text; column 'domain': unknown domain 'c', expected one of a, b",
        "4 fields, expected 3 (text, domain, id); it holds 'long | a | 6 | 7'",
        None,
    ]
    assert (skipped.count, skipped.kept) == (5, 2)


def test_json_lines(tmp_path):
    rows = ['{"text": "x", "domain": "a", "n": 1}', "{broken", '{"text": "\\ud800", "domain": "a", "n": 2}', "[]"]
    rows += [json.dumps({"text": 5, "domain": "b", "n": 3}), json.dumps({"text": "y", "domain": "b"})]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n")
    batches, skipped = read(tmp_path / "a.jsonl")
    (batch,) = batches
    assert batch.rows.tolist() == [1, 2, 3, 4, 5, 6]
    found = table_of(batches)
    assert found["n"] == [1, None, 2, None, 3, None] and found["domain"] == ["a", None, "a", None, "b", "b"]
    # No file holds half a surrogate pair. Values of several types stand there as JSON.
    assert found["text"] == ['"x"', None, None, None, "5", '"y"']
    assert [problem is None for problem in batch.problem] == [True, False, False, False, False, True]
    assert "half a surrogate pair" in batch.problem[2] and "\n" not in "".join(filter(None, batch.problem))
    assert (skipped.count, skipped.kept) == (4, 2)


def test_csv_and_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'text,domain\n"two\nlines",a\ncaf\xe9,a\n"",b\nx,b\n')
    batches, _ = read(tmp_path / "a.csv")
    assert batches[0].rows.tolist() == [2, 3, 4, 5]
    assert [problem is None for problem in batches[0].problem] == [True, False, False, True]
    assert table_of(batches) == {"text": ["two\nlines", "caf\ufffd", "", "x"], "domain": ["a", "a", "b", "b"]}
    (tmp_path / "a.tsv").write_bytes(b"text\tdomain\ncaf\xe9\ta\nx\tb\n")
    batches, _ = read(tmp_path / "a.tsv")
    assert table_of(batches) == {"text": ["caf\\xe9", "x"], "domain": ["a", "b"]}


def test_parquet(tmp_path):
    table = pa.table({"text": ["x", None, "z"], "domain": ["a", "a", "b"], "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet")
    batches, _ = read(tmp_path / "a.parquet", chunk_size=2)
    assert table_of(batches) == table.to_pydict()
    assert [batch.problem is None for batch in batches] == [False, False]
    assert batches[0].problem[1].startswith("column 'text': text is of type null")


def test_what_stops_still_stops(tmp_path):
    (tmp_path / "a.tsv").write_text(TSV)
    with pytest.raises(Exception, match="row 3: 2 fields"):
        read(tmp_path / "a.tsv", bad_rows="stop")
    (tmp_path / "a.tsv").write_text("text\tdomain\n\ta\n")
    with pytest.raises(Exception, match="No row is left after skipping all bad ones"):
        read(tmp_path / "a.tsv")
