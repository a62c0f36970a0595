"""Encodings: told by marks, set by data.encoding, and the word that helps where neither fits."""

import pytest

from easymft.config.data_section import DataConfig
from easymft.data import encoding as encodings
from easymft.data.bad_rows import SkippedRows
from easymft.data.encoding import iter_lines, read_head
from easymft.data.reading import read_examples
from easymft.errors import DataError

NAMED = {"text": "text", "domain": "domain", "label": "label"}
HEAD = "text\tdomain\tlabel\n"
TEXT = HEAD + "un café à Genève\tlivres\tPOS\n" * 3


def read(path, skipped_rows=None, **settings):
    data = DataConfig.model_validate({"columns": NAMED} | settings)
    return list(read_examples([str(path)], data, pair=False, skipped_rows=skipped_rows))


def error_of(path, **settings):
    with pytest.raises(DataError) as caught:
        read(path, **settings)
    return str(caught.value).replace(f"{path.parent}/", "")


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["utf-16", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, name):
    mark = "\ufeff" if name == "utf-16-be" else ""
    path = write(tmp_path / "a.tsv", (mark + TEXT).encode(name))
    with pytest.warns(UserWarning) as told:
        assert read(path)[0].text == ["un café à Genève"] * 3
    expected = f"is read as {name[:6].upper()}, as its first bytes, a byte order mark, say"
    assert all(expected in str(one.message) for one in told)


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "gb18030", "mac_roman"])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_data_encoding(tmp_path, monkeypatch, name, size):
    monkeypatch.setattr("easymft.data.packing._BLOCK_BYTES", 7)
    path = write(tmp_path / "a.tsv", TEXT.encode(name))
    lines = [line.decode() for _, part in list_lines(path, size, name) for line in part]
    assert lines == TEXT.splitlines()


def list_lines(path, size, name):
    if name == "utf-16":
        with pytest.warns(UserWarning, match="byte order mark"):
            return list(iter_lines(str(path), size, name))
    return list(iter_lines(str(path), size, name))


def test_data_encoding_of_csv_and_jsonl(tmp_path):
    path = write(tmp_path / "a.csv", TEXT.replace("\t", ",").encode("cp1252"))
    assert read(path, encoding="cp1252")[0].text == ["un café à Genève"] * 3
    path = write(tmp_path / "a.jsonl", '{"text": "café", "domain": "é", "label": "à"}\n'.encode("latin-1"))
    assert read(path, encoding="latin-1")[0].domain == ["é"]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
def test_no_utf8_with_the_word_that_helps_once(tmp_path, name):
    text = TEXT.replace("\t", ",") if name == "a.csv" else TEXT
    if name == "a.jsonl":
        text = '{"text": "ca", "domain": "e", "label": "a"}\n' + '{"text": "ca", "domain": "é", "label": "à"}\n' * 3
    lines = error_of(write(tmp_path / name, text.encode("cp1252")), bad_row_limit=2).split("\n")
    assert lines[0].endswith("; it looks like Windows' cp1252: set data.encoding: \"cp1252\"")
    assert "which is not UTF-8 (near" in lines[0] and "cp1252" not in lines[1]


@pytest.mark.parametrize("name", ["cp1251", "shift_jis", "gb18030", "euc_kr"])
def test_other_encodings_cannot_be_told_apart(tmp_path, name):
    word = {"cp1251": "Хорошая книга", "shift_jis": "いい本だ", "gb18030": "一本好书", "euc_kr": "좋은 책"}[name]
    path = write(tmp_path / "a.tsv", (HEAD + f"{word}\tx\tPOS\n").encode(name))
    assert "set data.encoding to the encoding it has, such as cp1251 (Cyrillic), gb18030" in error_of(path)
    assert read(path, encoding=name)[0].text == [word]


def test_a_damaged_row_of_a_utf8_file_is_no_other_encoding(tmp_path):
    path = write(tmp_path / "a.tsv", TEXT.encode() + b"caf\xe9\tlivres\tPOS\n")
    assert error_of(path).endswith("; other letters are UTF-8, so mend this row, or set data.bad_rows: skip")


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_damaged_row_is_told_whatever_stands_beside_it_in_memory(tmp_path, size):
    path = write(tmp_path / "a.tsv", TEXT.encode() + b"caf\xe9\tlivres\tPOS\n" + TEXT.encode().partition(b"\n")[2])
    data = DataConfig.model_validate({"columns": NAMED, "bad_rows": "skip"})
    with SkippedRows(None) as skipped:
        batches = list(read_examples([str(path)], data, pair=False, chunk_size=size, skipped_rows=skipped))
    assert [row for batch in batches for row in batch.rows.tolist()] == [2, 3, 4, 6, 7, 8] and skipped.count == 1


def test_bytes_that_the_encoding_does_not_have(tmp_path):
    path = write(tmp_path / "a.tsv", TEXT.encode("cp1252") + b"ab\x81c\tlivres\tPOS\n")
    expected = "a.tsv: row 5: character 3 of the line is the byte 0x81, which cp1252 (data.encoding) does not have"
    assert error_of(path, encoding="cp1252") == expected
    with SkippedRows(None) as skipped:
        assert len(read(path, encoding="cp1252", bad_rows="skip", skipped_rows=skipped)[0].rows) == 3
    assert skipped.count == 1
    path = write(tmp_path / "b.tsv", TEXT.encode("utf-16-le") + b"\x00\xd8a\x00\n\x00")
    assert "b.tsv: from row 5 on, is not utf-16-le throughout" in error_of(path, encoding="utf-16-le")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_named(tmp_path, name):
    message = error_of(write(tmp_path / "a.tsv", TEXT.encode(name)))
    expected = "is UTF-16 without a byte order mark, as its many zero bytes show; set data.encoding"
    assert message.endswith(f'{expected}: "{name}".')
    assert "holds many zero bytes (2048 of the first 2050)" in error_of(write(tmp_path / "b.tsv", b"\0" * 2048 + b"ab"))


def test_utf8_that_is_read_as_something_else_is_told(tmp_path):
    path = write(tmp_path / "a.tsv", TEXT.encode())
    with pytest.warns(UserWarning, match="is read as cp1252, as data.encoding says, but looks like UTF-8"):
        assert read(path, encoding="cp1252")[0].text[0] == "un cafÃ© Ã\xa0 GenÃ¨ve"
    path = write(tmp_path / "b.tsv", TEXT.encode("utf-8-sig"))
    with pytest.warns(UserWarning, match="is read as UTF-8, as its first bytes, .* though data.encoding is 'cp1252'"):
        assert read(path, encoding="cp1252")[0].text[0] == "un café à Genève"
    assert read(path)[0].text[0] == "un café à Genève"


def test_a_file_without_line_ends_is_no_text(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "LONGEST_LINE", 1 << 20)
    path = write(tmp_path / "a.tsv", HEAD.encode() + b"x" * (3 << 20))
    assert "a.tsv: line 2 has more than 1 MiB, expected a text file with a row on each line" in error_of(path)


def test_the_head_of_a_file_ends_at_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "HEAD_BYTES", 20)
    assert read_head(str(write(tmp_path / "a.tsv", "é\nabc\ndefghijklmnopqrs\n".encode())), None) == "é\nabc\n"
    assert read_head(str(write(tmp_path / "b.tsv", b"\xef\xbb\xbfa\xff")), None) == "a�"
