"""Predictions of the input's form, with every row that came in."""

import csv
import json
import warnings

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app_zoo.stages.predict import _columns

ROWS = [["good book", "book", "1"], ["bad; dvd", "dvd", "2"], ["a \"great\" phone", "phone", "3"]]
NAMES = ["text", "domain", "number"]
OURS = ["predicted_label", "probability_neg", "probability_pos"]


def predict(trained, folder, files, *settings):
    run = trained.copy(folder / "project") if not (folder / "project").exists() else trained
    run.set("output_folder", f"{run.folder}/mft")
    return run, run.succeed("predict", f"prediction.input_files={json.dumps(list(map(str, files)))}", *settings)


def write_csv(path, rows=ROWS, mark="", **options):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        stream.write(mark)
        csv.writer(stream, **options).writerows([NAMES, *rows])
    return path


def test_csv_comes_back_as_csv(trained, tmp_path):
    file = write_csv(tmp_path / "a.csv", mark="\ufeff")
    run, said = predict(trained, tmp_path, [file])
    assert said == "predictions: @/mft/predictions.csv (3 rows)\n"
    content = (run.folder / "mft/predictions.csv").read_bytes().decode()
    assert content.startswith('\ufefftext,domain,number,predicted_label,probability_neg,probability_pos\r\n')
    assert '\r\n"a ""great"" phone",phone,3,' in content
    names, *rows = csv.reader(content.removeprefix("\ufeff").splitlines())
    assert names == NAMES + OURS and [row[:3] for row in rows] == ROWS
    assert all(len(share) <= 8 and 0 <= float(share) <= 1 for row in rows for share in row[4:])


def test_a_csv_with_semicolons_keeps_them(trained, tmp_path):
    run = trained.copy(tmp_path / "project")
    file = write_csv(tmp_path / "a.csv", delimiter=";")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        found = run.run("predict", f'prediction.input_files=["{file}"]', f"output_folder={run.folder}/mft")
    assert found.code == 0 and found.err.count("is read with a semicolon (';') between fields") == 1, found
    with open(run.folder / "mft/predictions.csv", newline="") as stream:
        names, *rows = csv.reader(stream, delimiter=";")
    assert names == NAMES + OURS and [row[:3] for row in rows] == ROWS


def test_excel_comes_back_as_excel(trained, tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Rows"
    for row in [NAMES, *ROWS]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    run, said = predict(trained, tmp_path, [tmp_path / "a.xlsx"], "data.sheet=Rows")
    assert said == "predictions: @/mft/predictions.xlsx (3 rows)\n"
    book.create_sheet("Other")
    book.save(tmp_path / "b.xlsx")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        found = run.run(
            "predict", f'prediction.input_files=["{tmp_path}/b.xlsx"]', f"prediction.output_file={tmp_path}/b_out.xlsx"
        )
    assert (found.code, found.err.count("data.sheet names another")) == (0, 1), found  # told once, though read twice
    names, *rows = openpyxl.load_workbook(run.folder / "mft/predictions.xlsx")["Rows"].values
    assert list(names) == NAMES + OURS and [list(row[:3]) for row in rows] == ROWS
    assert all(isinstance(share, float) and share == round(share, 6) for row in rows for share in row[4:])


def test_other_formats_come_back_too(trained, tmp_path):
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS))
    parquet = tmp_path / "a.parquet"
    table = pa.table(dict(zip(NAMES, zip(*ROWS, strict=True), strict=True)))
    pq.write_table(table.set_column(2, "number", pa.array([1, 2, 3], pa.int8())), parquet)
    run, _ = predict(trained, tmp_path, [lines])
    found = [json.loads(line) for line in (run.folder / "mft/predictions.jsonl").read_text().splitlines()]
    assert [list(row.values())[:3] for row in found] == ROWS and list(found[0])[3:] == OURS
    assert all(len(json.dumps(row["probability_neg"])) <= 8 for row in found)
    run.succeed("predict", f'prediction.input_files=["{parquet}"]', "prediction.chunk_size=2")
    read = pq.read_table(run.folder / "mft/predictions.parquet")
    assert [read.schema.field(name).type for name in ("text", "number", *OURS[:2])] == [
        pa.string(), pa.int8(), pa.string(), pa.float64()
    ]  # fmt: skip
    assert read["probability_neg"].to_pylist() == pytest.approx([row["probability_neg"] for row in found], abs=2e-6)
    both = f'prediction.input_files=["{lines}", "{write_csv(tmp_path / "a.csv")}"]'
    said = run.succeed("predict", both)
    assert said.splitlines() == [
        "note: predictions go to @/mft/predictions.jsonl, as the input files are of several formats (csv, jsonl)",
        "predictions: @/mft/predictions.jsonl (6 rows)",
    ]
    run.succeed("predict", f'prediction.input_files=["{lines}"]', f"prediction.output_file={tmp_path}/p.XLSX")
    names, *rows = openpyxl.load_workbook(tmp_path / "p.XLSX").active.values
    assert list(names) == NAMES + OURS and [list(row[:3]) for row in rows] == ROWS
    assert [row[4] for row in rows] == [row["probability_neg"] for row in found]


def test_every_row_comes_out(trained, tmp_path):
    """Of bad ones also those whose text is there but no row; the models of several domains and one model alike."""
    content = "text\tdomain\na good\tbook\n\tdvd\nno domain\nb bad\tmoon\n\nc good\tphone\n"
    (tmp_path / "new.tsv").write_text(content)
    project = trained.copy(tmp_path / "project")
    given = f'prediction.input_files=["{tmp_path / "new.tsv"}"]'
    for run, bad in (("domains", [1, 2, 3, 4]), ("mft", [1, 2, 4])):
        settings = f"output_folder={project.folder / run}", "data.bad_rows=skip", "prediction.chunk_size=2"
        said = project.succeed("predict", given, *settings)
        assert said.splitlines() == [
            f"predictions: @/{run}/predictions.tsv (6 rows)",
            f"skipped rows: {len(bad)} of 6 in the input files, listed in @/{run}/skipped_rows_input.tsv",
        ]
        assert len(project.read_rows(f"{run}/skipped_rows_input.tsv")) == len(bad)
        rows = project.read_rows(f"{run}/predictions.tsv")
        assert [row["text"] for row in rows] == ["a good", "", "no domain", "b bad", "", "c good"]
        assert [at for at, row in enumerate(rows) if row["problem"]] == bad
        for at, row in enumerate(rows):
            assert all(bool(row[name]) == (at not in bad) for name in OURS), row
        # A good row has what it has without the bad ones.
        (tmp_path / "good.tsv").write_text("text\tdomain\na good\tbook\nc good\tphone\n")
        alone = f'prediction.input_files=["{tmp_path / "good.tsv"}"]', f"output_folder={project.folder / run}"
        assert "skipped" not in project.succeed("predict", *alone, "data.bad_rows=skip")
        found = project.read_rows(f"{run}/predictions.tsv")
        assert found == [rows[0], rows[5]] and found[0]["problem"] == ""
        project.succeed("predict", *alone)
        assert "problem" not in project.read_rows(f"{run}/predictions.tsv")[0]


def test_labels_that_a_tsv_cannot_hold(project):
    rows = [(text, domain, {"neg": "a\tb", "pos": "c\nd"}[label]) for text, domain, label in project.make_rows(12)]
    names = ("text", "domain", "label")
    lines = "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    train = f'data.train_files=["{project.write("train.jsonl", lines)}"]'
    project.set("data.dev_files", [])
    project.succeed("finetune", train, "data.test_files=[]", "train.domains=union", "train.max_steps=1")
    said = project.succeed("predict")
    assert said.splitlines() == [
        r"note: predictions go to @/run/predictions.jsonl, as the name 'probability_a\tb' holds a tab or a line break, "
        "which a TSV file cannot hold",
        "predictions: @/run/predictions.jsonl (18 rows)",
    ]
    found = [json.loads(line) for line in (project.folder / "run/predictions.jsonl").read_text().splitlines()]
    assert {row["predicted_label"] for row in found} <= {"a\tb", "c\nd"} and "probability_c\nd" in found[0]
    message = project.fail("predict", f"prediction.output_file={project.folder}/p.tsv")
    assert message == (
        r"@/p.tsv: the name 'probability_a\tb' holds a tab or a line break, which a TSV file cannot hold; "
        "write .csv or .jsonl instead"
    )
    project.succeed("predict", f"prediction.output_file={project.folder}/p.csv")
    with open(project.folder / "p.csv", newline="") as stream:
        assert next(csv.reader(stream))[-2:] == ["probability_a\tb", "probability_c\nd"]
    assert not (project.folder / "p.tsv").exists() and not (project.folder / "run/predictions.tsv").exists()


def test_probabilities_have_six_decimals():
    import numpy as np

    shares = np.array([[0.12345678, 0.87654322], [0.5, 0.5]])
    columns = _columns(shares, ["a", "b"], [None, "bad"])
    assert columns == {
        "predicted_label": ["b", None],
        "probability_a": [0.123457, None],
        "probability_b": [0.876543, None],
        "problem": [None, "bad"],
    }


def test_texts_that_are_cut_are_told(trained, tmp_path):
    run = trained.copy(tmp_path / "project")
    file = write_csv(tmp_path / "a.csv", [["good " * 2311, "book", "1"], *ROWS])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        found = run.run("predict", f'prediction.input_files=["{file}"]', f"output_folder={run.folder}/mft")
    line = "input files: 1 of 4 rows (25%) have more than 32 tokens (data.max_sequence_length) and are cut"
    assert found.code == 0 and found.err == f"easymft: warning: {line}\n", found


def test_words_that_the_vocabulary_does_not_know_are_told(project):
    project.write_rows("train.tsv", [["\u6771\u4eac\u306b\u884c\u304f" * 3, *row[1:]] for row in project.make_rows(12)])
    for mode in ("validate", "finetune"):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            found = project.run(mode, "data.test_files=[]", "data.dev_files=[]")
        said = found.err + found.out
        assert found.code == 0 and "of the tokens are [UNK], which stands for words that the vocabulary" in said, found
