"""Tables that people have: separators, quotes, headers, line ends and empty rows, told where they are noteworthy."""

import warnings

import pytest

from easymft.config.data_section import DataConfig
from easymft.data import table_reader
from easymft.data.bad_rows import SkippedRows
from easymft.data.chunks import own_name
from easymft.data.reading import read_examples
from easymft.errors import DataError

NAMED = {"text": "text", "domain": "domain", "label": "label"}
NUMBERED = {"text": 0, "domain": 1, "label": 2}
ROWS = [("good, really", "books", "POS"), ("a; b; c", "dvd", "NEG"), ("1|2 and \t", "dvd", "POS"), ("d", "x", "NEG")]


def read(path, columns=NAMED, pair=False, skipped_rows=None, chunk_size=8192, need_label=True, **settings):
    data = DataConfig.model_validate({"columns": columns} | settings)
    return list(
        read_examples(
            [str(path)], data, pair=pair, skipped_rows=skipped_rows, chunk_size=chunk_size, need_label=need_label
        )
    )


def rows_of(batches):
    return [row for batch in batches for row in zip(batch.text, batch.domain, batch.label, strict=True)]


def error_of(path, *arguments, **settings):
    with pytest.raises(DataError) as caught:
        read(path, *arguments, **settings)
    return str(caught.value).replace(f"{path.parent}/", "")


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def joined(separator, header=True, rows=ROWS):
    """Rows as Excel writes them: fields with the separator in quotes."""
    fields = [[f'"{field}"' if separator in field else field for field in row] for row in rows]
    lines = [["text", "domain", "label"], *fields] if header else fields
    return "".join(separator.join(line) + "\r\n" for line in lines)


@pytest.mark.parametrize(("separator", "name"), [(";", "a semicolon"), ("|", "a bar"), ("\t", "a tab")])
@pytest.mark.parametrize("header", [True, False])
def test_the_separator_of_csv_is_detected_told_and_settable(tmp_path, separator, name, header):
    path = write(tmp_path / "a.csv", joined(separator, header))
    columns = NAMED if header else NUMBERED
    with pytest.warns(UserWarning) as told:
        assert rows_of(read(path, columns)) == ROWS
    expected = f"is read with {name} ({separator!r}) between fields, as its first lines show, not a comma; data.sep"
    assert [expected in str(one.message) for one in told] == [True]
    assert rows_of(read(path, columns, separator=separator)) == ROWS


@pytest.mark.parametrize("header", [True, False])
def test_a_comma_file_stays_one_whatever_its_texts_hold(tmp_path, header):
    rows = [(f"one; two; {number} | three", "books;x", "POS|y") for number in range(20)]
    path = write(tmp_path / "a.csv", joined(",", header, rows))
    assert rows_of(read(path, NAMED if header else NUMBERED)) == rows


def test_a_csv_of_one_column_is_read_by_commas(tmp_path):
    path = write(tmp_path / "a.csv", 'text\n"one, two; three"\nfour; five\n')
    (batch,) = read(path, {"text": "text"}, need_label=False)
    assert batch.text == ["one, two; three", "four; five"]


def test_the_line_that_excel_hides_says_the_separator(tmp_path):
    path = write(tmp_path / "a.csv", "sep=;\r\n" + joined(";") + '"x;books;POS\r\n')
    with pytest.warns(UserWarning, match="with a semicolon .';'. between fields, as its first line shows"):
        message = error_of(path)
    assert message.startswith("a.csv: row 6 (line 7): a quoted field begins that has no end")
    path = write(tmp_path / "b.csv", "sep=;\n" + joined(";").replace("d;x;NEG", "d;x"))
    with pytest.warns(UserWarning, match="semicolon"):
        assert error_of(path).endswith("(text, domain, label); it holds 'd | x' (line 6)")
    with pytest.warns(UserWarning, match="semicolon"), SkippedRows(None) as skipped:
        (batch,) = read(path, bad_rows="skip", quoting=False, skipped_rows=skipped)
    assert batch.rows.tolist() == [2, 4]  # row 3 holds semicolons in quotes


@pytest.mark.parametrize(("separator", "hint"), [(";", '";"'), (",", '","'), ("|", '"|"')])
def test_a_tsv_that_is_none_is_told_its_separator(tmp_path, separator, hint):
    path = write(tmp_path / "a.tsv", joined(separator))
    message = error_of(path)
    assert "no column 'text' for data.columns.text, the columns there are: 'text" + separator in message
    assert message.endswith(f"({separator!r}): set data.separator: {hint}.") and "\n" not in message
    assert rows_of(read(path, separator=separator, quoting=True)) == ROWS
    assert f"set data.separator: {hint}" in error_of(write(tmp_path / "b.tsv", joined(separator, False)), NUMBERED)


def test_a_wrong_separator_is_told_the_tab(tmp_path):
    path = write(tmp_path / "a.csv", joined("\t"))
    assert 'a tab (\'\\t\'): set data.separator: "\\t", or data.format: tsv' in error_of(path, separator=",")


def test_a_column_that_is_nearly_there(tmp_path):
    path = write(tmp_path / "a.csv", "Text,domain,label\na,b,c\n")
    assert error_of(path).endswith("the columns there are: 'Text', 'domain', 'label'; did you mean 'Text'?")
    assert error_of(write(tmp_path / "c.csv", "text:domain:label\na:b:c\n")).endswith(
        "the columns there are: 'text:domain:label'; if another character separates its fields set data.separator."
    )
    path = write(tmp_path / "b.csv", "text,domian,label\na,b,c\n")
    assert error_of(path).endswith("did you mean 'domian'?")


def test_quotes_in_a_tsv_are_told(tmp_path):
    rows = ['"he said ""no"""\tdvd\tPOS\n', 'plain "this" text\tdvd\tNEG\n']
    path = write(tmp_path / "a.tsv", "text\tdomain\tlabel\n" + rows[1] * 100 + rows[0])
    with pytest.warns(UserWarning, match=r"its fields look quoted, .* 1 of 102 lines .* set data.quoting: true"):
        assert read(path)[0].text[-1] == '"he said ""no"""'
    assert read(path, quoting=False)[0].text[-1] == '"he said ""no"""'
    path = write(tmp_path / "b.tsv", "text\tdomain\tlabel\n" + '"a, b"\tdvd\tPOS\n' * 3 + rows[1] * 10)
    with pytest.warns(UserWarning, match="3 of 14 lines hold a field in quotes"):
        read(path)


def test_a_tsv_of_excel_is_told_by_its_commas(tmp_path):
    """It puts into quotes what holds a comma, be it a single text."""
    head, row = "text\tdomain\tlabel\n", '"Good, really"\tdvd\tPOS\n'
    path = write(tmp_path / "a.tsv", head + row + "a\tdvd\tPOS\n" * 60)
    with pytest.warns(UserWarning, match=r"1 of 62 lines .*, which are those with a comma, as Excel writes them"):
        assert read(path)[0].text[0] == '"Good, really"'
    for other in ("b, c", 'a 5" disc', '"b"'):
        read(write(tmp_path / "b.tsv", head + row + f"{other}\tdvd\tPOS\n"))


def test_a_few_texts_within_quotes_are_no_quoting(tmp_path):
    path = write(tmp_path / "a.tsv", "text\tdomain\tlabel\n" + '"Great!"\tdvd\tPOS\n' * 3 + "a\tdvd\tPOS\n" * 60)
    assert read(path)[0].text[0] == '"Great!"'


def test_a_quoted_field_over_lines_in_a_tsv_is_told(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tdomain\tlabel\n"one\ntwo"\tdvd\tPOS\n' * 3)
    first, second = error_of(path).split("\n")[:2]
    assert "row 2: 1 field, expected 3" in first and first.endswith("may span lines, set data.quoting: true")
    assert "data.quoting" not in second


def test_rows_swallowed_by_a_stray_quote_are_told(tmp_path):
    rows = 'text,domain,label\n"five inch,dvd,POS\na,dvd,NEG\nb,dvd,NEG\nsix inch",dvd,POS\nc,dvd,NEG\n'
    path = write(tmp_path / "a.csv", rows)
    with pytest.warns(UserWarning, match=r"row 2 \(from line 2 on\) holds 4 lines in one quoted field, of which 2"):
        (batch,) = read(path)
    assert batch.rows.tolist() == [2, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(write(tmp_path / "b.csv", 'text,domain,label\n"a poem\nin two, or three\nlines",dvd,POS\n'))


def test_names_that_nobody_uses_may_be_empty_or_repeated(tmp_path):
    path = write(tmp_path / "a.csv", "text,note,domain,label,,note,,note_2\na,1,b,c,2,3,4,5\n")
    for columns, settings in ((NAMED, {}), ({"text": 0, "domain": 2, "label": 3}, {"header": True})):
        (batch,) = read(path, columns, **settings)
        assert batch.table.column_names == "text note domain label column_4 note_3 column_6 note_2".split()
        assert [own_name(field) for field in batch.table.schema] == "text,note,domain,label,,note,,note_2".split(",")
        assert [column[0].as_py() for column in batch.table.columns] == list("a1bc2345")
    path = write(tmp_path / "b.csv", "text,domain,label,label\na,b,c,d\n")
    assert error_of(path) == "b.csv: header: holds 'label' more than once, expected different names."


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_empty_lines_at_the_end(tmp_path, name, size):
    row, header = "a,b,c\n", "text,domain,label\n"
    if name == "a.tsv":
        row, header = row.replace(",", "\t"), header.replace(",", "\t")
    elif name == "a.jsonl":
        row, header = '{"text": "a", "domain": "b", "label": "c"}\n', ""
    path = write(tmp_path / name, header + row + row + "\n\r\n \n"[: None if name == "a.jsonl" else 3] + "\n\n")
    assert rows_of(read(path, chunk_size=size)) == [("a", "b", "c")] * 2
    path = write(tmp_path / name, header + row + "\n\n" + row + "\n")
    first = 2 if header else 1
    lines = error_of(path, chunk_size=size).split("\n")
    assert [line.split(",")[0] for line in lines[:2]] == [f"{name}: row {first + n}: empty line" for n in (1, 2)]
    assert lines[2:] == ["to leave out bad rows, set data.bad_rows: skip"]
    with SkippedRows(None) as skipped:
        batches = read(path, chunk_size=size, bad_rows="skip", skipped_rows=skipped)
    assert [row for batch in batches for row in batch.rows.tolist()] == [first, first + 3] and skipped.count == 2


def test_rows_of_empty_fields_at_the_end_are_left_out_and_told(tmp_path):
    path = write(tmp_path / "a.csv", "text,domain,label\na,b,c\n,,\n,,\n\n,,\n")
    with pytest.warns(UserWarning, match="a.csv: 3 rows without any content at the end of the file, from row 3 on"):
        assert rows_of(read(path)) == [("a", "b", "c")]
    path = write(tmp_path / "b.tsv", "text\na\nb\n\n")
    with pytest.warns(UserWarning, match="b.tsv: 1 row without any content at the end of the file, from row 4 on, is"):
        assert read(path, {"text": "text"}, need_label=False)[0].text == ["a", "b"]
    path = write(tmp_path / "c.csv", "text,domain,label\na,b,c\n,,\nd,e,f\n")
    assert "row 3, column 'text': text is empty" in error_of(path)


def test_empty_fields_beyond_the_columns(tmp_path):
    path = write(tmp_path / "a.csv", "text,domain,label\na,b,c,,\nd,e,f\n")
    with pytest.warns(UserWarning, match="row 2, perhaps others, has 5 fields and the file 3 columns; those too"):
        assert rows_of(read(path)) == [("a", "b", "c"), ("d", "e", "f")]
    path = write(tmp_path / "b.csv", "text,domain,label,,\na,b,c,,\nd,e,f\n")
    assert rows_of(read(path)) == [("a", "b", "c"), ("d", "e", "f")]
    assert "row 2: 2 fields, expected 3" in error_of(write(tmp_path / "c.csv", "text,domain,label\na,b\n"))


def test_windows_line_ends_are_line_ends(tmp_path):
    path = write(tmp_path / "a.tsv", "text\tdomain\tlabel\r\n a \tb\tc\r\nd\te\tf\n")
    assert rows_of(read(path)) == [(" a ", "b", "c"), ("d", "e", "f")]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_old_mac_line_ends_are_named(tmp_path, name):
    path = write(tmp_path / name, "text,domain,label\ra,b,c\r".replace(",", "\t" if name == "a.tsv" else ","))
    assert error_of(path).startswith(f"{name}: its lines end as on old Macs (CR alone), expected LF or CR LF")
    path = write(tmp_path / "b.csv", "text,domain,label\na,b,c\rd,e,f\ng,h,i\n")
    assert "row 2: is not well quoted: a carriage return (CR) stands alone" in error_of(path)


def test_what_helps_where_quotes_are_written_otherwise(tmp_path):
    path = write(tmp_path / "a.csv", 'text,domain,label\n"he said \\"no\\"",b,c\nd,e,f\n')
    assert error_of(path).endswith('expected after \'"\'; a quote in a quoted field is written "", not \\"')
    path = write(tmp_path / "b.csv", 'domain,text,label\nb, "one, two",c\nd,e,f\n')
    assert error_of(path).endswith("; a space stands before a quote, which data.strip_whitespace: true takes away")
    assert read(path, strip_whitespace=True)[0].text == ["one, two", "e"]


def test_a_damaged_line_of_a_quoted_row_is_named(tmp_path):
    path = write(tmp_path / "a.csv", b'text,domain,label\n"a\nb\n\xff",b,c\n"two\nlines",,c\n')
    first, second, _ = error_of(path).split("\n")
    assert first.startswith("a.csv: row 2: byte 1 of the line is 0xff") and first.endswith("(line 4)")
    assert second == "a.csv: row 3, column 'domain': domain is empty (''), expected a name (line 5)"


def test_long_texts_in_csv(tmp_path, monkeypatch):
    text = "word " * 40_000
    path = write(tmp_path / "a.csv", f'text,domain,label\n"{text}",b,c\n')
    assert read(path)[0].text == [text]
    monkeypatch.setattr("easymft.data.delimited.LONGEST_FIELD", 100)
    monkeypatch.setattr("csv.field_size_limit", lambda *_: 1000)
    read(path)  # the limit is only ever raised


def test_a_file_with_nothing_but_separators_or_an_empty_first_row(tmp_path):
    assert error_of(write(tmp_path / "a.csv", ",,\n,,\n")) == "a.csv: row 1 is empty, expected a header."
    assert error_of(write(tmp_path / "b.csv", "\ntext,domain,label\n")) == "b.csv: row 1 is empty, expected a header."
    path = write(tmp_path / "c.csv", "sep=,\n")
    assert error_of(path) == "c.csv: is empty, expected rows."


def test_reader_takes_no_openpyxl_for_text(monkeypatch, tmp_path):
    monkeypatch.setattr(table_reader, "excel_records", None)
    assert rows_of(read(write(tmp_path / "a.csv", joined(",")))) == ROWS


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_header_that_stands_again_is_no_example(tmp_path, separator):
    rows = "text,domain,label\na,b,c\n".replace(",", separator)
    path = write(tmp_path / ("a.csv" if separator == "," else "a.tsv"), rows * 2)
    assert error_of(path) == f"{path.name}: row 3: is the header again, as where files were put together; remove it"
    marked = write(tmp_path / f"b{path.suffix}", rows + "\ufeff" + rows.replace("text", "text "))
    assert read(marked)[0].text == ["a", "\ufefftext ", "a"]
    assert "row 3: is the header again" in error_of(marked, strip_whitespace=True)
    assert "row 3: is the header again" in error_of(write(tmp_path / f"c{path.suffix}", rows + "\ufeff" + rows))
    batch = read(path, bad_rows="skip", skipped_rows=SkippedRows(None))[0]
    assert (batch.text, batch.rows.tolist()) == (["a", "a"], [2, 4])


def test_a_text_that_is_the_name_of_its_column(tmp_path):
    path = write(tmp_path / "a.csv", "text\ntext\n")
    assert read(path, {"text": "text"}, need_label=False)[0].text == ["text"]


@pytest.mark.parametrize("above", ["My report,,\n,,\n", "# of today\n\n"])
def test_rows_above_the_header_are_told(tmp_path, above):
    path = write(tmp_path / "a.csv", above + "id,label,text,domain\n1,x,a,b\n")
    assert error_of(path).endswith("; row 3 holds these names: remove the rows above it.")


def test_more_fields_than_names(tmp_path):
    first, second, third = error_of(write(tmp_path / "a.csv", "text,domain,label\na, b,c,d\ne, f,c,d\ng\n")).split("\n")
    assert first.endswith("it holds 'a |  b | c | d'; a field that holds a comma has to stand in quotes")
    assert second.endswith("it holds 'e |  f | c | d'") and third.endswith("it holds 'g'")
    by_r = error_of(write(tmp_path / "b.tsv", "text\tdomain\tlabel\n1\ta\tb\tc\n"))
    assert by_r.endswith(" lacks a name for the first column, as R leaves out that of row names, add one")


@pytest.mark.parametrize(("name", "line", "separator"), [("a.csv", "SEP=;", ";"), ("a.tsv", "sep=\t", "\t")])
def test_the_line_of_the_separator_in_any_case_and_in_tsv(tmp_path, name, line, separator):
    rows = "text,domain,label\na,b,c\n".replace(",", separator)
    path = write(tmp_path / name, f"{line}\n{rows}")
    if separator == ";":
        with pytest.warns(UserWarning, match="as its first line shows, not a comma"):
            assert rows_of(read(path)) == [("a", "b", "c")]
    else:
        assert rows_of(read(path)) == [("a", "b", "c")]
