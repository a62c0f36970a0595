"""Files as they come: packed in any way, pipes, any ending, and what cannot be read named as what it is."""

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easymft.config.data_section import DataConfig
from easymft.data import sources
from easymft.data.packing import local_file
from easymft.data.reading import read_examples
from easymft.data.sources import digest_files, expand_files, file_format, look_beside
from easymft.errors import DataError

ROWS = b"text\tlabel\na\tPOS\nb\tNEG\n"
COLUMNS = {"text": "text", "label": "label"}
JSON = b'{"text": "a", "label": "POS"}\n{"text": "b", "label": "NEG"}\n'


def texts(path, **settings):
    data = DataConfig.model_validate({"columns": COLUMNS} | settings)
    return [text for batch in read_examples([str(path)], data, pair=False) for text in batch.text]


def error_of(path, **settings):
    with pytest.raises(DataError) as caught:
        texts(path, **settings)
    return str(caught.value).replace(f"{path.parent}/", "")


PACKED = {"gz": gzip.compress(ROWS, mtime=0), "bz2": bz2.compress(ROWS), "xz": lzma.compress(ROWS)}


@pytest.mark.parametrize("ending", ["gz", "BZ2", "xz"])
@pytest.mark.parametrize("content", list(PACKED))
def test_the_content_tells_how_a_file_is_packed(tmp_path, ending, content):
    path = tmp_path / f"a.TSV.{ending}"
    path.write_bytes(PACKED[content])
    assert texts(path) == ["a", "b"]
    (tmp_path / "a.tsv").write_bytes(PACKED[content])
    assert texts(tmp_path / "a.tsv") == ["a", "b"]
    path.write_bytes(PACKED[content][:-6])
    assert " file (" in error_of(path) and ": is no complete " in error_of(path)


def test_zstd_and_a_gz_that_is_not_packed(tmp_path):
    path = tmp_path / "a.tsv.zst"
    with pa.OSFile(str(path), "wb") as target, pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(ROWS)
    assert texts(path) == ["a", "b"]
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(ROWS)
    assert texts(path) == ["a", "b"]
    path.write_bytes(b"BZh is a text\tPOS\nb\tNEG\n")
    assert texts(path, columns={"text": 0, "label": 1})[0] == "BZh is a text"


@pytest.mark.parametrize("name", ["a.tsv", "a.TSV", "a.jsonl", "a.NDJSON", "a.json", "a.csv", "a.Csv"])
def test_endings_in_any_case(tmp_path, name):
    content = JSON if "js" in name.lower() else ROWS.replace(b"\t", b",") if "csv" in name.lower() else ROWS
    (tmp_path / name).write_bytes(content)
    assert texts(tmp_path / name) == ["a", "b"]


@pytest.mark.parametrize(("content", "kind"), [(ROWS, "tsv"), (JSON, "jsonl"), (gzip.compress(ROWS, mtime=0), "tsv")])
@pytest.mark.parametrize("name", ["a.txt", "a.tab", "a"])
def test_the_first_line_tells_the_format_where_the_ending_does_not(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.warns(UserWarning, match=f"{name}: is read as {kind}, as its first line looks like it; data."):
        assert texts(tmp_path / name) == ["a", "b"]


def test_neither_ending_nor_first_line_tell_the_format(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"text,label\n")
    assert "a.txt: cannot tell the format from the ending '.txt', expected one of .tsv" in error_of(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_bytes(b"")
    assert error_of(tmp_path / "b.txt") == "b.txt: is empty (0 bytes), expected rows."
    (tmp_path / "a").write_bytes(b"text\n")
    assert "a: cannot tell the format from a name without an ending" in error_of(tmp_path / "a")


def zipped(*names):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel file (.xls), or one with a password; save"),
        ("a.xls", b"\n <html><table>", "is an HTML page; save it as .xlsx or .csv"),
        ("a.csv", b"<!DOCTYPE html>\n", "is an HTML page"),
        ("a.csv", b'<?xml version="1.0"?>', "is an XML file"),
        ("a.tsv", b"%PDF-1.7\n", "is a PDF file; save its table as .csv"),
        ("a.zip", zipped("train.csv"), "is a ZIP archive; unpack it"),
        ("a.csv", zipped("train.csv"), "is a ZIP archive; unpack it"),
        ("a.ods", zipped("content.xml"), "is an OpenDocument file (.ods); save it as .xlsx or .csv"),
        ("a.docx", zipped("word/document.xml"), "is a Word document"),
        ("a.xlsb", zipped("xl/workbook.bin"), "is a binary Excel file (.xlsb)"),
        ("a.csv", b"PK\x03\x04 cut", "is a damaged ZIP file (or Excel file)"),
        ("a.pkl", b"\x80\x04\x95", "is a file of Python objects (.pkl)"),
        ("a.tar", b"a" * 257 + b"ustar\0", "is a tar archive; unpack it"),
        ("a.csv", zipped("xl/workbook.xml"), "is an Excel file (.xlsx) by its content, though its ending is .csv; set"),
        ("a.tsv.gz", gzip.compress(zipped("x"), mtime=0), "is a packed ZIP or Excel file (gzip); unpack it"),
        ("a.xlsx.gz", gzip.compress(b"x", mtime=0), "an Excel file (.xlsx) is compressed inside, expected it without"),
        ("a.json", b' [\n{"text": "a"}]\n', "is a JSON array, expected one JSON object on each line (JSON Lines)"),
        ("a.json", b'{"text":{"0":"a","1":"b"},"label":{"0":"x"}}', "is one JSON object of columns, as pandas writes"),
        ("a.jsonl", b'{\n "text": "a"}\n', "is a JSON object over several lines, expected one JSON object on each"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a packed file holds the time
)
def test_what_cannot_be_read_is_named_as_what_it_is(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    message = error_of(tmp_path / name)
    assert message.startswith(f"{name}: {expected}") and "\n" not in message


def test_parquet_is_told_by_its_content(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "label": ["POS"]}), tmp_path / "a.csv")
    assert 'is a Parquet file by its content, though its ending is .csv; set data.format: "parquet"' in error_of(
        tmp_path / "a.csv"
    )
    (tmp_path / "a.csv").rename(tmp_path / "a.dat")
    assert texts(tmp_path / "a.dat") == ["a"]
    (tmp_path / "b.tsv").write_bytes(b"PAR1\tPOS\nb\tNEG\n")
    assert texts(tmp_path / "b.tsv", columns={"text": 0, "label": 1}) == ["PAR1", "b"]
    (tmp_path / "c.tsv").write_bytes(b"<html> page\tPOS\nb\tNEG\n")
    assert texts(tmp_path / "c.tsv", columns={"text": 0, "label": 1}, format="tsv") == ["<html> page", "b"]


def test_a_pipe_is_read_once_into_a_copy(tmp_path):
    path = tmp_path / "pipe.tsv"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(ROWS,))
    writer.start()
    assert [texts(path), texts(path)] == [["a", "b"]] * 2
    writer.join()
    (tmp_path / "file.tsv").write_bytes(ROWS)
    assert digest_files([str(path)]) == digest_files([str(tmp_path / "file.tsv")])
    assert local_file(str(path)) == local_file(str(path)) != str(path)
    assert local_file(str(tmp_path / "file.tsv")) == str(tmp_path / "file.tsv")


def test_a_minus_is_standard_input():
    assert expand_files(["-"]) == ["/dev/stdin"]


def test_a_file_that_stands_beside_the_config(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.tsv").write_bytes(ROWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "_config_folder", sources.ContextVar("config_folder", default=None))
    with pytest.raises(DataError, match=r"train.tsv: no such file \(looked in .*[^.]\)\.$"):
        expand_files(["train.tsv"])
    look_beside(sources.Path("configs"))
    for pattern, found in (("train.tsv", "no such file"), ("t*.tsv", "no file matches this glob")):
        with pytest.raises(DataError) as caught:
            expand_files([pattern])
        assert str(caught.value) == (
            f"{pattern}: {found} (looked in {tmp_path}); it stands beside the config: run the command in configs, or "
            f"write configs/{pattern}."
        )
    with pytest.raises(DataError, match=r"dev.tsv: no such file \(looked in [^;]*$"):
        expand_files(["dev.tsv"])


def test_format_that_is_set_wins_over_the_ending(tmp_path):
    (tmp_path / "a.csv").write_bytes(ROWS)
    assert (file_format(str(tmp_path / "a.csv"), "tsv"), file_format(str(tmp_path / "a.csv"), "auto")) == ("tsv", "csv")
