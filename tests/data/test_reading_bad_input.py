"""Bad input: each mistake gives one clear line with file, row, column and value, or is skipped and listed."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import SkippedRows
from easymft.data.label_map import LabelMap
from easymft.data.reading import read_examples
from easymft.errors import DataError

NAMED = {"text": "text", "domain": "domain", "label": "label"}
NUMBERED = {"text": 0, "domain": 1, "label": 2}
LABELS = LabelMap(("NEG", "POS"))
DOMAINS = LabelMap(("books", "dvd", "kitchen"))
HEAD = b"text\tdomain\tlabel\n"
GOOD = b"fine\tbooks\tPOS\n"


def read(files, *, pair=False, columns=NAMED, need_label=True, skipped_rows=None, **settings):
    data = DataConfig.model_validate({"columns": columns} | settings)
    return list(
        read_examples(
            files, data, pair=pair, labels=LABELS, domains=DOMAINS, need_label=need_label, skipped_rows=skipped_rows
        )
    )


def error_of(folder, content, name="a.tsv", **settings):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read([str(folder / name)], **settings)
    return str(caught.value).replace(str(folder) + "/", "")


BAD_ROWS = {
    "ragged, short": (b"a\tbooks\n", "row 3: 2 fields, expected 3 (text, domain, label); it holds 'a | books'"),
    "ragged, long": (b"a\tb\tbooks\tPOS\n", "row 3: 4 fields, expected 3 (text, domain, label); it holds"),
    "empty line": (b"\n", "row 3: empty line, expected 3 fields"),
    "unknown label": (b"a\tbooks\tGOOD\n", "row 3, column 'label': unknown label 'GOOD', expected one of NEG, POS"),
    "nearly known label": (b"a\tbooks\tpos\n", "unknown label 'pos', expected one of NEG, POS; did you mean 'POS'?"),
    "unknown domain": (
        b"a\tvideo\tPOS\n",
        "column 'domain': unknown domain 'video', expected one of books, dvd, kitchen",
    ),
    "nearly known domain": (
        b"a\tBook\tPOS\n",
        "unknown domain 'Book', expected one of books, dvd, kitchen; did you mean 'books'?",
    ),
    "empty text": (b"\tbooks\tPOS\n", "row 3, column 'text': text is empty, expected a text"),
    "unseen text": (
        "\u200b\x00\tbooks\tPOS\n".encode(),
        "row 3, column 'text': text is only what cannot be seen ('\\u200b\\x00'), expected a text",
    ),
    "white text": (b" \xc2\xa0 \tbooks\tPOS\n", "row 3, column 'text': text is only white space (' \\xa0 ')"),
    "empty label": (b"a\tbooks\t\n", "row 3, column 'label': label is empty ('')"),
    "empty domain": (b"a\t\tPOS\n", "row 3, column 'domain': domain is empty ('')"),
    "white domain": (b"a\t \tPOS\n", "row 3, column 'domain': domain is empty (' ')"),
    "space around label": (
        b"a\tbooks\t POS\n",
        "label ' POS' has white space around it, expected one of NEG, POS; to remove it set data.strip",
    ),
    "space around domain": (b"a\tdvd \tPOS\n", "domain 'dvd ' has white space around it"),
    "not UTF-8": (b"caf\xe9 bar\tbooks\tPOS\n", "row 3: byte 4 of the line is 0xe9, which is not UTF-8 (near 'caf"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row(tmp_path, case):
    row, expected = BAD_ROWS[case]
    message = error_of(tmp_path, HEAD + GOOD + row + GOOD)
    assert message.startswith("a.tsv: row 3") and expected in message
    assert "\n" not in message


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row_is_skipped_and_listed(tmp_path, case):
    row, expected = BAD_ROWS[case]
    (tmp_path / "a.tsv").write_bytes(HEAD + GOOD + row + GOOD)
    with SkippedRows(tmp_path / "out" / "skipped.tsv") as skipped:
        (batch,) = read([str(tmp_path / "a.tsv")], bad_rows="skip", skipped_rows=skipped)
        assert not (tmp_path / "out" / "skipped.tsv").exists()
    assert batch.rows.tolist() == [2, 4]
    assert batch.text == batch.table.to_pydict()["text"] == ["fine", "fine"]
    assert skipped.count == 1
    header, listed = (tmp_path / "out" / "skipped.tsv").read_text().splitlines()
    assert header == "file\trow\tcolumn\tproblem\tvalue"
    file, number, column, problem, _ = listed.split("\t")
    assert (file, number) == (str(tmp_path / "a.tsv"), "3")
    assert problem.split(",")[0] in expected or expected in problem
    assert (column in expected) if column else "column '" not in expected


def test_all_bad_rows_come_in_one_error_up_to_the_limit(tmp_path):
    rows = b"".join(b"t%d\tbooks\tBAD%d\n" % (i, i) for i in range(7)) + b"short\n" + b"\tmoon\tPOS\n"
    lines = error_of(tmp_path, HEAD + GOOD + rows, bad_row_limit=4).split("\n")
    assert len(lines) == 6
    assert [line.split(",")[0] for line in lines[:4]] == [f"a.tsv: row {row}" for row in (3, 4, 5, 6)]
    assert lines[4:] == ["... and 6 more", "to leave out bad rows, set data.bad_rows: skip"]
    assert len(error_of(tmp_path, HEAD + GOOD + rows).split("\n")) == 11


def test_bad_rows_of_all_shards_come_together(tmp_path):
    (tmp_path / "1.tsv").write_bytes(HEAD + b"a\tbooks\tBAD\n")
    (tmp_path / "2.tsv").write_bytes(HEAD + GOOD + b"short\n")
    with pytest.raises(DataError) as caught:
        read([str(tmp_path / "*.tsv")])
    first, second = str(caught.value).split("\n")
    assert "1.tsv: row 2" in first and "2.tsv: row 3" in second


def test_skipping_every_row_is_an_error(tmp_path):
    message = error_of(tmp_path, HEAD + b"a\tbooks\tBAD\n", bad_rows="skip", skipped_rows=SkippedRows(None))
    assert message.startswith("No row is left") and "unknown label 'BAD'" in message


def test_skipped_rows_needs_a_list(tmp_path):
    (tmp_path / "a.tsv").write_bytes(HEAD + GOOD)
    with pytest.raises(ValueError, match="expected a SkippedRows"):
        read([str(tmp_path / "a.tsv")], bad_rows="skip")


def test_skipped_rows_counts_rows_not_problems_and_is_discarded_after_an_error(tmp_path):
    (tmp_path / "a.tsv").write_bytes(HEAD + GOOD + b"\tmoon\tBAD\n" + b"x\ty\t\tz\n")
    target = tmp_path / "skipped.tsv"
    with SkippedRows(target) as skipped:
        read([str(tmp_path / "a.tsv")], bad_rows="skip", skipped_rows=skipped)
    assert skipped.count == 2
    assert [line.split("\t")[2] for line in target.read_text().splitlines()] == [
        "column",
        "text",
        "domain",
        "label",
        "",
    ]
    with pytest.raises(KeyError), SkippedRows(tmp_path / "other.tsv"):
        raise KeyError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tsv", "skipped.tsv"]


BAD_FILES = {
    "no bytes": (b"", {}, "a.tsv: is empty (0 bytes)"),
    "header only": (HEAD, {}, "a.tsv: is empty (a header without rows)"),
    "header not UTF-8": (b"text\tdom\xe4ne\tlabel\n" + GOOD, {}, "a.tsv: row 1: byte 9 of the line is 0xe4"),
    "column missing": (
        b"text\tdomain\tsentiment\n" + GOOD,
        {},
        "no column 'label' for data.columns.label, the columns there are: 'text', 'domain', 'sentiment'",
    ),
    "data taken for a header": (
        GOOD + GOOD,
        {},
        "'fine', 'books', 'POS'. Row 1 was read as the header; if it is an example, set data.header: false",
    ),
    "quoted header": (b'"text"\t"domain"\t"label"\n' + GOOD, {}, "to read quoted fields set data.quoting: true"),
    "spaces in header": (b"text\tdomain\tlabel \n" + GOOD, {}, "to remove white space set data.strip_whitespace: true"),
    "name twice": (b"text\tdomain\tlabel\ttext\n", {}, "a.tsv: header: holds 'text' more than once"),
    "number too high": (
        b"a\tb\n",
        {"columns": NUMBERED},
        "a.tsv: no column number 2 for data.columns.label, the file has 2 (0 to 1).",
    ),
    "name without header": (
        GOOD,
        {"columns": {"text": 0, "domain": 1, "label": "label"}},
        "no column 'label' for data.columns.label, as data.header is false or other columns are numbers",
    ),
    "header taken for data, numbers": (
        HEAD + GOOD,
        {"columns": NUMBERED},
        "a.tsv: row 1 holds 'text', 'domain', 'label', which looks like a header",
    ),
    "usual header taken for data": (
        b"Review\tGenre\tClass\n" + GOOD,
        {"columns": NUMBERED},
        "row 1 holds 'Review', 'Genre', 'Class', which looks like a header",
    ),
    "header taken for data, names": (
        b"x\ty\tz\n" + GOOD,
        {"columns": {"text": "x", "domain": "y", "label": "z"}, "column_names": ["x", "y", "z"]},
        "which looks like a header",
    ),
    "header taken for data, label": (
        b"it\tbooks\tstars\n" + GOOD,
        {"columns": NUMBERED},
        "unknown label 'stars', expected one of NEG, POS; if row 1 is a header set data.header: true",
    ),
    "first row lost as header": (
        GOOD + GOOD,
        {"columns": NUMBERED, "header": True},
        "row 1 was read as the header (data.header is true), but holds the label 'POS'",
    ),
    "fewer fields than names": (
        b"a\tbooks\n",
        {"column_names": ["text", "domain", "label"]},
        "row 1: 2 fields, expected 3",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(tmp_path, case):
    content, settings, expected = BAD_FILES[case]
    message = error_of(tmp_path, content, **settings)
    assert expected in message
    assert "\n" not in message


CSV_HEAD = b"text,domain,label\n"
BAD_CSV = {
    "after a quoted row of two lines": (
        b'"two\nlines",books,POS\n"a",books,BAD\n',
        "a.csv: row 3, column 'label': unknown label 'BAD', expected one of NEG, POS (line 4)",
    ),
    "quote inside": (b'"a"b,books,POS\nc,books,POS\n', "a.csv: row 2: is not well quoted: ',' expected after '\"'"),
    "quote left open": (
        b'a,books,POS\n"b,books,POS\nc,books,POS\n',
        "a.csv: row 3: a quoted field begins that has no end",
    ),
    "quote left open, long": (
        b'"two\nlines",books,POS\n"b,books,POS\n' + b"c,books,POS\n" * 20,
        "a.csv: row 3 (line 4): a quoted field begins that has no end, or more than 16 million characters; if no",
    ),
    "ragged": (b'"a, b",books\n', "a.csv: row 2: 2 fields, expected 3"),
    "not UTF-8 inside": (
        b'"a\nb\xff",books,POS\n',
        "a.csv: row 2: byte 2 of the line is 0xff, which is not UTF-8 (near 'b",
    ),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv(tmp_path, case):
    rows, expected = BAD_CSV[case]
    assert expected in error_of(tmp_path, CSV_HEAD + rows, name="a.csv")


def test_rows_after_a_bad_one_of_csv_are_read(tmp_path):
    (tmp_path / "a.csv").write_bytes(
        CSV_HEAD + b'"a\nb\xff",dvd,POS\nc,dvd,NEG\n"d"d,dvd,POS\n"e\n",dvd,POS\nf,dvd,NEG\n'
    )
    with SkippedRows(None) as skipped:
        (batch,) = read([str(tmp_path / "a.csv")], bad_rows="skip", skipped_rows=skipped)
    assert batch.rows.tolist() == [3, 5, 6]
    assert batch.text == ["c", "e\n", "f"]
    assert skipped.count == 2


def json_lines(*rows):
    first = {"text": "a", "domain": "dvd", "label": "NEG", "w": 1}
    return b"".join((row if isinstance(row, str) else json.dumps(first | row)).encode() + b"\n" for row in ({}, *rows))


BAD_JSON = {
    "number for text": ({"text": 5}, "row 2, column 'text': text is of type integer (5), expected a string"),
    "null text": ({"text": None}, "column 'text': text is of type null (None), expected a string"),
    "list for label": (
        {"label": ["POS"]},
        "label is of type list (['POS']), expected a string or whole number; several labels for one text are not supp",
    ),
    "float for domain": ({"domain": 1.5}, "domain is of type number (1.5)"),
    "null label": ({"label": None}, "label is missing (null), expected a name"),
    "unknown integer": ({"label": 3}, "unknown label '3', expected one of NEG, POS"),
    "null weight": ({"w": None}, "weight is empty, expected a finite number of at least 0"),
    "boolean weight": ({"w": False}, "weight False is not a number"),
    "object weight": ({"w": {}}, "weight {} is not a number"),
    "huge weight": ({"w": 1e39}, "weight is 1e+39, expected a finite number"),
    "half a surrogate": ({"text": "a\ud83d"}, "row 2, column 'text': holds '\\ud83d', half a surrogate pair"),
    "no object": ("[1]", "row 2: is of JSON type list, expected an object"),
    "no JSON": ('{"text": "a"', "row 2: is not JSON ("),
    "a key twice": ('{"text": "a", "text": "b"}', "row 2: is not JSON (the key 'text' stands twice in one object"),
    "NaN": (
        '{"text": "a", "domain": "dvd", "label": "POS", "w": NaN}',
        "row 2, column 'w': weight is nan, expected a finite number of at least 0",
    ),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json(tmp_path, case):
    row, expected = BAD_JSON[case]
    message = error_of(tmp_path, json_lines(row), name="a.jsonl", columns=NAMED | {"weight": "w"})
    assert message.startswith("a.jsonl: row 2") and expected in message and "\n" not in message
    with SkippedRows(tmp_path / "skipped.tsv") as skipped:
        read([str(tmp_path / "a.jsonl")], columns=NAMED | {"weight": "w"}, bad_rows="skip", skipped_rows=skipped)
    assert skipped.count == 1


def test_json_columns(tmp_path):
    assert "the columns there are: 'text'." in error_of(tmp_path, b'{"text": "a"}\n', name="a.jsonl")
    assert "a.jsonl: row 1: is of JSON type string" in error_of(tmp_path, b'"text"\n', name="a.jsonl")


@pytest.mark.parametrize(
    ("value", "what"), [('{"a": "\\ud800"}', "surrogates not allowed"), ('["\\udfff"]', "surrogates not allowed")]
)
def test_json_values_that_no_file_can_hold(tmp_path, value, what):
    content = '{"text": "a", "domain": "dvd", "label": "POS", "own": 1}\n'
    message = error_of(tmp_path, (content + content.replace('"own": 1', f'"own": {value}')).encode(), name="a.jsonl")
    assert "a.jsonl: row 2, column 'own': holds what no file in UTF-8 can hold" in message and what in message


@pytest.mark.parametrize("field", ["weight", "typicality"])
@pytest.mark.parametrize("value", ["", " ", "heavy", "NaN", "inf", "-inf", "1e39", "1_0", "0,5", "-1"])
def test_bad_numbers(tmp_path, field, value):
    content = f"text\tdomain\tlabel\tnumber\na\tdvd\tPOS\t1\nb\tdvd\tPOS\t{value}\n".encode()
    if (field, value) == ("typicality", "-1"):
        (tmp_path / "a.tsv").write_bytes(content)
        assert read([str(tmp_path / "a.tsv")], columns=NAMED | {field: "number"})[0].typicality.tolist() == [1, -1]
        return
    message = error_of(tmp_path, content, columns=NAMED | {field: "number"})
    assert message.startswith(f"a.tsv: row 3, column 'number': {field} ")
    assert "expected a finite number" in message and value.strip() in message


def parquet_error(folder, table, **settings):
    pq.write_table(pa.table(table), folder / "a.parquet")
    with pytest.raises(DataError) as caught:
        read([str(folder / "a.parquet")], **settings)
    return str(caught.value).replace(str(folder) + "/", "")


def test_bad_parquet(tmp_path):
    good = {"text": ["a", "b"], "domain": ["dvd", "dvd"], "label": ["POS", "NEG"]}
    error = parquet_error
    assert error(tmp_path, good | {"text": ["a", None]}).startswith(
        "a.parquet: row 2, column 'text': text is of type null"
    )
    assert "column 'text' is of type int64, expected strings" in error(tmp_path, good | {"text": [1, 2]})
    assert "column 'label': label is of type number (0.5), expected a string or whole" in error(
        tmp_path, good | {"label": [0.5, 1.5]}
    )
    assert "of type date32[day], expected strings, whole numbers or booleans" in error(
        tmp_path, good | {"label": pa.array([1, 2], pa.date32())}
    )
    assert "expected strings, whole numbers or booleans; several labels for one text are not supported" in error(
        tmp_path, good | {"label": [["POS"], ["NEG"]]}
    )
    assert "column 'w' is of type string, expected numbers" in error(
        tmp_path, good | {"w": ["1", "2"]}, columns=NAMED | {"weight": "w"}
    )
    assert "row 1, column 'w': weight is nan" in error(
        tmp_path, good | {"w": [float("nan"), 2]}, columns=NAMED | {"weight": "w"}
    )
    assert "the columns there are: 'text', 'domain'." in error(tmp_path, {"text": ["a"], "domain": ["dvd"]})
    assert "is empty (no rows)" in error(tmp_path, {name: pa.array([], pa.string()) for name in good})
    no_utf8 = pa.array([b"a", b"\xff"]).view(pa.string())
    assert "from row 1 on cannot be read (" in error(tmp_path, good | {"text": no_utf8})
    assert "is not a Parquet file by its content" in error_of(tmp_path, b"text,label", name="a.parquet")
    assert error_of(tmp_path, b"", name="a.xlsx") == "a.xlsx: is empty (0 bytes), expected rows."
    assert "is no readable Parquet file" in error_of(tmp_path, b"PAR1 no", name="b.parquet")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("b.tsv", b"text\tdomain\tlabel\tmore\n" + GOOD, "differ from the 3 of"),
        ("b.jsonl", json_lines({}), "b.jsonl: its 4 columns"),
    ],
)
def test_header_mismatch_between_shards(tmp_path, name, content, expected):
    (tmp_path / "a.tsv").write_bytes(HEAD + GOOD)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read([str(tmp_path / "a.tsv"), str(tmp_path / name)])
    assert expected in str(caught.value) and "a.tsv ('text', 'domain', 'label')" in str(caught.value)


def test_columns_in_another_order_are_refused_where_they_are_numbered(tmp_path):
    (tmp_path / "a.tsv").write_bytes(HEAD + GOOD)
    (tmp_path / "b.tsv").write_bytes(b"text\tlabel\tdomain\nfine\tPOS\tbooks\n")
    files = [str(tmp_path / "a.tsv"), str(tmp_path / "b.tsv")]
    with pytest.raises(DataError) as caught:
        read(files, columns=NUMBERED, header=True)
    assert "b.tsv: its 3 columns ('text', 'label', 'domain') differ from the 3 of" in str(caught.value)
    assert str(caught.value).endswith("the same in all files, in the same order, as data.columns has numbers.")
    (tmp_path / "c.jsonl").write_bytes(b'{"label": "POS", "text": "fine", "domain": "books"}\n')
    with pytest.raises(DataError, match="c.jsonl: its 3 columns"):
        read([files[0], str(tmp_path / "c.jsonl")], columns=NUMBERED, header=True)


def test_width_mismatch_between_shards_without_header(tmp_path):
    (tmp_path / "a.tsv").write_bytes(GOOD)
    (tmp_path / "b.tsv").write_bytes(b"a\tbooks\tPOS\tmore\n")
    with pytest.raises(DataError, match="b.tsv: its 4 columns .* differ from the 3 of"):
        read([str(tmp_path / "*.tsv")], columns=NUMBERED)


def test_files_that_cannot_be_found_or_opened(tmp_path):
    (tmp_path / "a.txt").write_bytes(HEAD + GOOD)
    (tmp_path / "a.tsv").write_bytes(HEAD + GOOD)
    packed = gzip.compress(HEAD + GOOD * 1000)
    (tmp_path / "cut.tsv.gz").write_bytes(packed[:-20])
    (tmp_path / "empty.tsv.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "a.parquet.gz").write_bytes(packed)
    for files, expected in [
        ([], "No input files are given"),
        (["b.tsv"], "b.tsv: no such file"),
        (["*.csv"], r"\*.csv: no file matches"),
        ([""], "is a folder"),
        (["a.tsv", "a.t*v"], "a.tsv: is named twice"),
        (["cut.tsv.gz"], "cut.tsv.gz: is no complete gzip file"),
        (["empty.tsv.gz"], "empty.tsv.gz: is empty"),
        (["a.parquet.gz"], "compressed inside"),
    ]:
        with pytest.raises(DataError, match=expected):
            read([str(tmp_path / file) for file in files])
    assert len(read([str(tmp_path / "a.txt")], format="tsv")) == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pair": True}, "data.columns.text_pair is null, expected a column"),
        ({"columns": NAMED | {"text_pair": "two"}}, "data.columns.text_pair is 'two', expected null"),
        ({"columns": {"text": "text"}}, "data.columns.label is null, expected the column of the classes"),
        ({"header": True, "column_names": ["text"]}, "data.column_names is given and data.header is true"),
        ({"column_names": ["text", "text"]}, "data.column_names: holds 'text' more than once"),
        ({"columns": {"text": "a", "label": "a"}}, "data.columns.text and data.columns.label are both 'a'"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, settings, expected):
    assert expected in error_of(tmp_path, HEAD + GOOD, **settings)


def test_pair_text_is_checked_too(tmp_path):
    content = b"text\ttwo\tdomain\tlabel\na\t\tdvd\tPOS\n"
    message = error_of(tmp_path, content, pair=True, columns=NAMED | {"text_pair": "two"})
    expected = "a.tsv: row 2, column 'two': text_pair is empty, expected a text"
    assert message == f"{expected}; to leave out bad rows, set data.bad_rows: skip"


def test_long_values_are_cut_in_messages(tmp_path):
    message = error_of(tmp_path, HEAD + b"a\tdvd\t" + b"x" * 5000 + b"\n")
    assert len(message) < 200 and "xxx...'" in message
