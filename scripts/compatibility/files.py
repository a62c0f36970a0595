"""Trials of whole files: encodings, separators, quoting, formats, names."""

import gzip
import json
import os
import subprocess

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from compatibility.project import LABELS, expect, make_rows, refused
from compatibility.trial import Bench, trial


@trial(
    "huggingface/datasets/issues/6641",
    "A CSV file in Windows-1252, as spreadsheets write it",
    "refused with the row and a hint at data.encoding; read with data.encoding",
)
def encoding_of_windows(bench: Bench) -> str:
    """Accented letters that are not UTF-8."""
    project = bench.project()
    rows = [[f"café {text}", *rest] for text, *rest in make_rows(48)]
    path = project.write_rows("train.csv", rows)
    project.write("train.csv", (project.folder / "train.csv").read_text(encoding="utf-8").encode("cp1252"))
    project.train_on(path)
    said = project.refuse("validate", words=("row 2", "not UTF-8", "data.encoding"))
    project.accept("validate", "data.encoding=cp1252", "output_folder=" + str(project.folder / "second"))
    return f"refused without data.encoding: {said}"


@trial("haotian-liu/LLaVA/issues/1139", "A file that starts with byte 0xff: UTF-16", "read by its byte order mark")
def encoding_of_utf16(bench: Bench) -> str:
    """As Excel writes its Unicode text."""
    project = bench.project()
    path = project.folder / "train.tsv"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    project.accept("validate")
    return "reads it by its byte order mark"


@trial(
    "pandas-dev/pandas/issues/4793", "A quoted header behind a UTF-8 byte order mark", "the mark is no part of a name"
)
def mark_before_a_quoted_header(bench: Bench) -> str:
    """The first name is "text" without the mark and without quotes."""
    project = bench.project()
    path = project.write_rows("train.csv", make_rows(48))
    content = (project.folder / "train.csv").read_bytes().replace(b"text,domain,label", b'"text","domain","label"', 1)
    project.write("train.csv", b"\xef\xbb\xbf" + content)
    project.train_on(path)
    project.accept("validate")
    return "reads the names without the mark and the quotes"


@trial(
    "huggingface/datasets/issues/6908",
    "A gzipped file without the ending .gz",
    "read by its first bytes, or refused with a word of gzip",
)
def gzip_without_its_ending(bench: Bench) -> str:
    """Byte 0x8b at position 1."""
    project = bench.project()
    path = project.folder / "train.tsv"
    path.write_bytes(gzip.compress(path.read_bytes()))
    result = project.run("validate")
    if result.code == 0:
        return "reads it by its first bytes"
    return "refused: " + project.refuse("validate", words=("gzip",))


@trial(
    "pandas-dev/pandas/issues/25228",
    "Quotation marks within the texts of a TSV file, some of them single",
    "no row is lost: a quotation mark is a character like any other",
)
def quotes_in_a_tsv_file(bench: Bench) -> str:
    """Pandas reads fewer rows than there are lines."""
    project = bench.trained()
    texts = ['"great" book', 'a 5" screen', '"not closed', "plain", 'ends with "']
    path = project.write_rows("new.tsv", [[text, "book", "pos"] for text in texts])
    rows = project.predict(f'prediction.input_files=["{path}"]')
    expect([row["text"] for row in rows] == texts, f"{len(rows)} rows of {len(texts)}")
    return f"predicts all {len(texts)} rows, with the quotation marks as they stand"


@trial(
    "pandas-dev/pandas/issues/22661",
    "A CSV file in which a quotation mark is not closed",
    "refused with the row in which it opens",
)
def quote_that_never_closes(bench: Bench) -> str:
    """Silently swallows the rest of the file elsewhere."""
    project = bench.project()
    lines = ["text,domain,label", *(",".join(row) for row in make_rows(48))]
    lines[10] = '"' + lines[10]
    project.train_on(project.write("train.csv", "\n".join(lines) + "\n"))
    return "refused: " + project.refuse("validate", words=("row 11", "quoted"))


@trial("pandas-dev/pandas/issues/15910", 'A CSV field of the kind "a"b', "refused with the row")
def text_behind_a_closed_quote(bench: Bench) -> str:
    """One parser reads it, another does not."""
    project = bench.project()
    lines = ["text,domain,label", *(",".join(row) for row in make_rows(48))]
    lines[5] = '"a"b,book,pos'
    project.train_on(project.write("train.csv", "\n".join(lines) + "\n"))
    return "refused: " + project.refuse("validate", words=("row 6", "quoted"))


@trial(
    "facebookresearch/pytext/pull/477",
    "A text of 200,000 characters, in TSV and in CSV",
    "read, as a text is cut at the tokens anyway",
)
def field_beyond_the_limit_of_csv(bench: Bench) -> str:
    """Python's csv stops at 131,072 characters."""
    project = bench.trained()
    texts = ["good " * 40_000, "bad book"]
    for name in ("new.tsv", "new.csv"):
        path = project.write_rows(name, [[text.strip(), "book", "pos"] for text in texts])
        rows = project.predict(f'prediction.input_files=["{path}"]')
        expect(len(rows) == 2 and len(rows[0]["text"]) == 199_999, f"{name}: {len(rows)} rows")
    return "predicts both, and writes the whole text back"


@trial(
    "pandas-dev/pandas/issues/10911",
    "Line breaks of all kinds within quoted fields",
    "one row each, the text unchanged",
)
def line_breaks_in_quoted_fields(bench: Bench) -> str:
    r"""Of the kinds \n, \r\n and \r."""
    project = bench.trained()
    texts = ["one\ntwo", "one\r\ntwo", "one\rtwo", "plain"]
    path = project.write("new.csv", "text,domain\n" + "".join(f'"{text}",book\n' for text in texts))
    rows = project.predict(f'prediction.input_files=["{path}"]')
    expect([row["text"] for row in rows] == texts, f"texts came back as {[row['text'] for row in rows]}")
    return "predicts one row for each, and writes the texts back unchanged"


@trial(
    "pandas-dev/pandas/issues/39857",
    "A carriage return in a CSV field without quotes, as some programs write it",
    "read, or refused with the row and in words of one's own",
)
def carriage_return_without_quotes(bench: Bench) -> str:
    """Fewer rows than lines elsewhere."""
    project = bench.trained()
    path = project.write("new.csv", "text,domain\ngood,book\none\rtwo,book\nbad,book\n")
    result = project.run("predict", f'prediction.input_files=["{path}"]')
    if result.code == 0:
        return "reads it as a part of the text"
    said = refused(result, ("row 3", "carriage return"))
    return f"refused: {said}"


@trial("flairNLP/flair/issues/1412", "A CSV file with semicolons or bars between its fields", "the separator is found")
def other_separators(bench: Bench) -> str:
    """Elsewhere a corpus without a sentence."""
    project = bench.project()
    for separator in (";", "|"):
        lines = ["text;domain;label", *(";".join(row) for row in make_rows(48))]
        project.train_on(project.write("train.csv", "\n".join(lines).replace(";", separator) + "\n"))
        project.accept("validate")
    return "finds the separator in the first lines"


@trial(
    "flairNLP/flair/issues/2136",
    "A file in fastText's form (__label__) where a table is expected",
    "refused with what was found and what was expected",
)
def file_of_another_form(bench: Bench) -> str:
    """Elsewhere an empty corpus."""
    project = bench.project()
    rows = [f"__label__{label} {text}\n" for text, _, label in make_rows(48)]
    project.train_on(project.write("train.tsv", "".join(rows)))
    return "refused: " + project.refuse("validate", words=("train.tsv", "column"))


@trial(
    "huggingface/datasets/issues/7322", "A JSON list where JSON Lines are expected", "refused with a word of the form"
)
def list_in_place_of_lines(bench: Bench) -> str:
    """[{...}, {...}] in one line, and spread over lines."""
    project = bench.project()
    rows = [dict(zip(("text", "domain", "label"), row, strict=True)) for row in make_rows(48)]
    for indent in (None, 1):
        project.train_on(project.write("train.jsonl", json.dumps(rows, indent=indent)))
        said = project.refuse("validate", words=("JSON array", "one JSON object on each line"))
    return f"refused: {said}"


@trial(
    "huggingface/datasets/issues/7664",
    "A JSON Lines text that reads like a schema (string, timestamp[s], ...)",
    "it is a text, and comes back as it is",
)
def text_that_reads_like_a_schema(bench: Bench) -> str:
    """Elsewhere taken for types."""
    project = bench.trained()
    text = "### bug (...) ,action: string, datetime: timestamp[s], author: string, (...) version: 1.3.4"
    path = project.write_objects(
        "new.jsonl", [{"id": 1, "text": text, "note": None}, {"id": 2, "text": "good", "note": "x"}]
    )
    rows = project.predict(f'prediction.input_files=["{path}"]')
    expect(rows[0]["text"] == text and rows[1]["note"] == "x", f"came back as {rows}")
    return "predicts it; the text comes back as it is"


@trial(
    "huggingface/datasets/issues/7222",
    "A JSON Lines column that is null in 9,000 rows, and then a string",
    "read; the column comes back as it is",
)
def column_that_is_null_for_long(bench: Bench) -> str:
    """Elsewhere the type of the first block is kept."""
    project = bench.trained()
    objects = [{"text": "good book", "note": None if number < 9000 else f"n{number}"} for number in range(9010)]
    rows = project.predict(f'prediction.input_files=["{project.write_objects("new.jsonl", objects)}"]')
    expect([row["note"] for row in rows] == [one["note"] for one in objects], "the column came back changed")
    return "predicts all rows; the column comes back as it is"


@trial(
    "hiyouga/LlamaFactory/issues/427",
    "Two train files with the same columns in different order",
    "columns go by their names, or the second file is refused",
)
def columns_in_another_order(bench: Bench) -> str:
    """Never a label read as a text."""
    project = bench.project()
    second = [[label, text, domain] for text, domain, label in make_rows(24, seed=5)]
    path = project.write_rows("second.tsv", second, ["label", "text", "domain"])
    project.config["data"]["train_files"].append(path)
    result = project.run("validate")
    if result.code == 2:
        return "refused: " + project.refuse("validate", words=("second.tsv", "label"))
    expect(result.code == 0 and "72" in result.out, f"exit {result.code}: {result.told}")
    return "reads both by the names of their columns"


@trial("huggingface/datasets/issues/3212", "Many files behind one pattern", "read in the order of their names")
def order_of_files(bench: Bench) -> str:
    """As a folder lists them in any order."""
    project = bench.trained()
    for name in ("part_10", "part_02", "part_01"):
        project.write_rows(f"new/{name}.tsv", [[f"good {name}", "book", "pos"]])
    rows = project.predict(f'prediction.input_files=["{project.folder}/new/part_*.tsv"]')
    found = [row["text"].split()[1] for row in rows]
    expect(found == ["part_01", "part_02", "part_10"], f"order: {found}")
    return "reads them in the order of their names"


@trial("huggingface/datasets/issues/7468", "Data in a folder whose name has brackets", "found")
def brackets_in_a_path(bench: Bench) -> str:
    """They mean something in a pattern."""
    project = bench.trained("[data] {1}")
    project.accept("validate")
    rows = project.predict()
    expect(len(rows) == 18, f"{len(rows)} rows of 18")
    return "finds the files, predicts from them"


@trial("huggingface/datasets/issues/6073", "Data in a hidden folder (.cache/...)", "found")
def hidden_folders(bench: Bench) -> str:
    """Named directly, and by a pattern within it."""
    project = bench.project(".hidden")
    project.accept("validate", f'data.train_files=["{project.folder}/tr*.tsv"]')
    return "finds them, named directly or by a pattern within"


@trial("huggingface/datasets/issues/444", "A file whose content changed since it was read", "read anew, no stale cache")
def content_that_changed(bench: Bench) -> str:
    """Under the same name; and the run on the old content is not taken for one on the new."""
    project = bench.project()
    project.accept("meta_tune", "data.test_files=[]")
    project.write_rows("train.tsv", make_rows(60, seed=9))
    refusal = project.refuse("meta_tune", "data.test_files=[]", words=("train_files", "contents"))
    out = project.accept("validate", f"output_folder={project.folder / 'second'}").out
    expect("60" in out, "validate does not count 60 rows")
    return f"reads it anew; the finished run is not taken for one of the new content: {refusal}"


@trial(
    "huggingface/datasets/issues/778",
    "The same file read again with another setting (quoting)",
    "read anew, no cache of the first reading",
)
def same_file_read_otherwise(bench: Bench) -> str:
    """The setting counts, not the file alone."""
    project = bench.project()
    rows = [[f'"{text}"', *rest] for text, *rest in make_rows(48)]
    project.train_on(project.write_rows("train.tsv", rows))
    cache = f"data.cache_folder={project.folder / 'cache'}"
    losses = []
    for quoting in ("false", "true"):
        folder = project.folder / f"quoting_{quoting}"
        project.accept("meta_tune", f"data.quoting={quoting}", cache, f"output_folder={folder}", "train.max_steps=1")
        losses.append(len(list((project.folder / "cache").iterdir())))
    expect(losses[1] > losses[0], "the second reading used the tokens of the first")
    return "tokenises it anew"


@trial(
    "pandas-dev/pandas/issues/5500",
    "A control character (0x1a, once the end of a file) within a text",
    "a character like any other: all rows are read",
)
def end_of_file_character(bench: Bench) -> str:
    """Rows behind it are lost elsewhere."""
    project = bench.trained()
    texts = ["before \x1a after", "good", "bad"]
    path = project.write_rows("new.csv", [[text, "book", LABELS[0]] for text in texts])
    rows = project.predict(f'prediction.input_files=["{path}"]')
    expect([row["text"] for row in rows] == texts, f"texts came back as {rows}")
    return "predicts all rows; the character comes back"


@trial(
    "facebookresearch/fastText/issues/752",
    "A named pipe in place of a file, which can be read but once",
    "refused as no file, or read; never waiting for ever",
)
def pipe_in_place_of_a_file(bench: Bench) -> str:
    """As shells make of <(zcat file)."""
    project = bench.trained()
    pipe = project.folder / "pipe.tsv"
    os.mkfifo(pipe)
    feeder = subprocess.Popen(["cp", str(project.folder / "test.tsv"), str(pipe)], stderr=subprocess.DEVNULL)
    try:
        result = project.wait(project.start("predict", f'prediction.input_files=["{pipe}"]'), 60)
    finally:
        feeder.kill()
        feeder.wait()
    if result.code == 0:
        expect(len((project.folder / "run" / "predictions.tsv").read_text().splitlines()) == 19, "not 18 rows")
        return "reads it"
    return "refused: " + refused(result, ("pipe.tsv",))


@trial(
    "autogluon/autogluon/issues/4553", "An Excel file, with numbers and dates as labels", "read, by the cells' values"
)
def excel_file(bench: Bench) -> str:
    """The first sheet; a number that is whole has no .0."""
    project = bench.project()
    book = openpyxl.Workbook()
    book.active.append(["text", "domain", "label"])
    for text, domain, label in make_rows(48):
        book.active.append([text, domain, LABELS.index(label)])
    path = project.folder / "train.xlsx"
    book.save(path)
    project.train_on(str(path))
    project.accept("validate")
    project.accept("meta_tune")
    rows = project.predict()
    expect({row["predicted_label"] for row in rows} <= {"0", "1"}, f"labels {rows[0]}")
    return "reads the first sheet; the labels 0 and 1 are names without .0"


@trial(
    "huggingface/datasets/issues/5706",
    "Parquet columns of pandas' type category",
    "read as the strings that they stand for",
)
def categories_of_pandas(bench: Bench) -> str:
    """Dictionaries of Arrow, and large strings."""
    project = bench.project()
    texts, domains, labels = (list(column) for column in zip(*make_rows(48), strict=True))
    columns = {"domain": pa.array(domains).dictionary_encode(), "label": pa.array(labels).dictionary_encode()}
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string()), **columns}), project.folder / "c.parquet")
    project.train_on(str(project.folder / "c.parquet"))
    project.accept("validate", told="book")
    return "reads them"
