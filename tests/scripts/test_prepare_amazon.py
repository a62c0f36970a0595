import contextlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import prepare_amazon
import pytest
from prepare_amazon_reviews import resolve_markup

from app_zoo.main import main as easymft

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"books": "books", "kitchen_&_housewares": "kitchen"}
STARS = {"positive": 5.0, "negative": 1.0}
OUTPUTS = ["dev.tsv", "remarks.tsv", "report.md", "test.tsv", "train.tsv"]


def review(text, rating=5.0, title="A title", name="0785758968:a_title:a_b", end="</review_text>\n</review>\n"):
    """A review in the form of the archive."""
    return (
        f"<review>\n<unique_id>\n{name}\n</unique_id>\n<asin>\n0785758968\n</asin>\n<product_name>\nA & B: Books\n"
        f"</product_name>\n<product_type>\nbooks\n</product_type>\n<helpful>\n\n</helpful>\n<rating>\n{rating}\n</rating>\n"
        f"<title>\n{title}\n</title>\n<date>\nJuly 1, 2006\n</date>\n<reviewer>\nJoseph M\n</reviewer>\n"
        f"<reviewer_location>\nColorado, USA\n</reviewer_location>\n<review_text>\n{text}\n{end}"
    )


class Archive:
    """sorted_data_acl with 20 good reviews in each file, and the script run on it."""

    def __init__(self, folder):
        self.folder, self.output = folder / "sorted_data_acl", folder / "out"
        for name in FOLDERS:
            for label, stars in STARS.items():
                self.write(name, label, [review(f"{label} text {at} of {name}.", stars) for at in range(20)])

    def path(self, folder="books", label="positive"):
        return self.folder / folder / f"{label}.review"

    def write(self, folder, label, reviews):
        path = self.path(folder, label)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(one if isinstance(one, bytes) else one.encode() for one in reviews))

    def add(self, *reviews, folder="books", label="positive"):
        self.write(folder, label, [self.path(folder, label).read_bytes(), *reviews])

    def run(self, *words, source=None):
        """Returns the exit code, what was told and the errors."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = prepare_amazon.main(["--input", str(source or self.folder), "--output", str(self.output), *words])
        return code, out.getvalue(), err.getvalue()

    def succeed(self, *words, source=None):
        code, out, err = self.run(*words, source=source)
        assert (code, err, out.count("\n")) == (0, "", 1), err
        return out

    def fail(self, *words, source=None):
        """The one line of the error; nothing new is there."""
        before = self.written()
        code, out, err = self.run(*words, source=source)
        assert (code, out, err.count("\n"), self.written()) == (2, "", 1, before), err
        return err.removeprefix("prepare_amazon: error: ").strip().replace(str(self.folder.parent), "@")

    def written(self):
        return {file.name: file.read_bytes() for file in self.output.iterdir()} if self.output.exists() else {}

    def rows(self, *splits):
        splits = splits or ("train", "dev", "test")
        return [line.split("\t") for split in splits for line in self._lines(f"{split}.tsv")]

    def remarks(self):
        """(file, line, fate, remark, detail) of each."""
        header, *rows = [line.split("\t") for line in self._lines("remarks.tsv")]
        assert header == ["file", "line", "name", "domain", "label", "fate", "remark", "detail"]
        return [(row[0].removeprefix("sorted_data_acl/"), int(row[1]), *row[5:]) for row in rows]

    def _lines(self, name):
        return (self.output / name).read_bytes().decode().split("\n")[:-1]

    def report(self, *start):
        """The numbers of the report's row that begins with `start`."""
        rows = [line.strip("| ").split(" | ") for line in self._lines("report.md") if line.startswith("|")]
        (row,) = [row for row in rows if row[: len(start)] == list(start)]
        return [int(cell) for cell in row[len(start) :] if cell]


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def texts(rows):
    return [row[0] for row in rows]


def test_each_domain_and_label_is_split_by_the_fractions(archive):
    told = archive.succeed("--dev_fraction", "0.15", "--test_fraction", "0.25")
    counts = "rows of train.tsv 48, dev.tsv 12, test.tsv 20; dropped 0 of 80 records"
    assert told == f"{archive.output}: {counts}, see report.md\n"
    for domain in FOLDERS.values():
        for label in ("POS", "NEG"):
            counts = [archive.rows(split) for split in ("train", "dev", "test")]
            assert [sum(row[1:] == [domain, label] for row in rows) for rows in counts] == [12, 3, 5]
            assert archive.report(domain, label) == [20, 12, 3, 5]
    found = texts(archive.rows())
    assert len(found) == len(set(found)) == 80
    assert "A title. positive text 7 of kitchen_&_housewares." in found
    assert sorted(archive.written()) == OUTPUTS
    assert sorted(texts(archive.rows("train"))) != texts(archive.rows("train"))  # shuffled


def test_splits_do_not_depend_on_the_order_of_the_records_but_on_the_seed(archive):
    archive.succeed()
    first = archive.written()
    for name in FOLDERS:
        for label, stars in STARS.items():
            archive.write(name, label, [review(f"{label} text {at} of {name}.", stars) for at in reversed(range(20))])
    archive.succeed("--overwrite")
    assert archive.written() == first
    archive.succeed("--overwrite", "--seed", "43")
    assert archive.written()["dev.tsv"] != first["dev.tsv"]


def test_a_record_more_hardly_moves_the_others(archive):
    archive.succeed()
    before = set(texts(archive.rows("test")))
    archive.add(review("One more text."))
    archive.succeed("--overwrite")
    assert len(before ^ set(texts(archive.rows("test")))) <= 2


def test_the_packed_archive_gives_what_the_folder_gives(archive, tmp_path):
    archive.succeed()
    first = archive.written()
    (archive.folder / "books" / "._positive.review").write_bytes(b"\x00\x05 of macOS")
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as packed:
        packed.add(archive.folder, "./sorted_data_acl")
    archive.succeed("--overwrite", source=tmp_path / "data.tar.gz")
    assert archive.written() == first


def test_texts_are_cleaned_into_one_field_of_a_row(archive):
    text = "AT&T sells &quot;x&quot;,\n&amp;lt;b&amp;gt;\t<br />1 < 2\x1a &unknown; &#39;y&#39;"
    archive.add(review(text, title="Q & A").replace("\n", "\r\n"))
    archive.add(review("CAFE").encode().replace(b"CAFE", b"Latin caf\xe9, \x93quoted\x94, \x81"))
    archive.add(review("Unicode café, “quoted”."), review("No title.", title=""))
    archive.succeed()
    found = texts(archive.rows())
    assert "Q & A. AT&T sells \"x\", <b> 1 < 2 &unknown; 'y'" in found
    assert "A title. Latin café, “quoted”, �" in found
    assert "A title. Unicode café, “quoted”." in found
    assert "No title." in found
    assert all(len(row) == 3 for row in archive.rows())
    control, windows = "control characters replaced by spaces", "not UTF-8, read as Windows-1252"
    assert [remark[2:4] for remark in archive.remarks()] == [("kept", control), ("kept", windows)]
    assert archive.report(windows, "books", "POS") == [1]


def test_copies_are_kept_once(archive):
    archive.add(review("the same TEXT", name="1:a:b"), review("The Same, text!", name="2:a:b"))
    archive.add(review("<br />the same\ntext"), folder="kitchen_&_housewares")
    archive.succeed()
    same = [row for row in archive.rows() if "same" in row[0].lower()]
    assert same == [["A title. The Same, text!", "books", "POS"]]
    where = "of sorted_data_acl/books/positive.review line "
    assert [remark[2:4] for remark in archive.remarks()] == [("dropped", "copy of another text")] * 2
    assert all(remark[4].startswith(where) for remark in archive.remarks())
    assert archive.report("books", "POS") == [22, 15, 2, 4, 1]
    assert archive.report("kitchen", "POS") == [21, 14, 2, 4, 1]
    assert archive.report("sorted_data_acl/books/positive.review") == [22, 21, 1]


def test_copies_with_different_labels_are_all_dropped(archive):
    archive.add(review("Really.", 5.0))
    archive.add(review("really", 1.0), folder="kitchen_&_housewares", label="negative")
    archive.succeed()
    assert not [row for row in archive.rows() if "eally" in row[0]]
    assert [remark[3] for remark in archive.remarks()] == ["copies with different labels"] * 2


def test_the_rating_decides_the_label(archive):
    archive.add(review("In the wrong file.", 2.0), review("So so.", "3.0"), review("Four stars.", "4"))
    archive.succeed()
    labels = {row[0]: row[2] for row in archive.rows()}
    assert labels["A title. In the wrong file."] == "NEG"
    assert labels["A title. Four stars."] == "POS"
    assert "A title. So so." not in labels
    first, second = archive.remarks()
    assert first[2:] == ("kept", "rating disagrees with the file's name, and decides", "rating 2")
    assert second[2:4] == ("dropped", "rating 3")


@pytest.mark.parametrize("text", ["", " \n\t", "...", "<br />", "\x00"])
def test_a_review_without_a_word_is_dropped_and_listed(archive, text):
    archive.add(review(text))
    archive.succeed()
    assert len(archive.rows()) == 80
    (remark,) = archive.remarks()
    assert remark[:4] == ("books/positive.review", remark[1], "dropped", "text without a letter or digit")


def test_of_two_unique_ids_the_one_that_is_only_a_number_is_not_used(archive):
    for ids in ("17\n</unique_id>\n<unique_id>\nB000:a:b", "B000:a:b\n</unique_id>\n<unique_id>\n17"):
        archive.add(review("", name=ids))
    archive.succeed()
    names = [line.split("\t")[2] for line in archive.written()["remarks.tsv"].decode().splitlines()[1:]]
    assert names == ["B000:a:b", "B000:a:b"]


GOOD = review("Another good one.")
BAD = {
    "no_end_of_text": (review("Lost.", end="</review>\n"), 1, "<review_text> is not closed, expected <review_text> "),
    "no_end_of_title": (review("x").replace("</title>", ""), 1, "<title> is not closed, expected <title> and </title>"),
    "no_rating": (review("x").replace("rating>", "stars>"), 1, "no <rating>, expected <rating> and </rating>"),
    "two_ratings": (review("x", "5.0\n</rating>\n<rating>\n1.0"), 1, "a second <rating>, expected one"),
    "a_word": (review("x", "five"), 1, "<rating> is 'five', expected a number from 1 to 5"),
    "too_many_stars": (review("x", "7.0"), 1, "<rating> is '7.0', expected a number from 1 to 5"),
    "not_a_number": (review("x", "nan"), 1, "<rating> is 'nan', expected a number from 1 to 5"),
    "empty_rating": (review("x", ""), 1, "<rating> is '', expected a number from 1 to 5"),
    "never_closed": (review("x", end="</review_text>\n"), 1, "<review> is not closed before the one in line N, "),
    "outside": ("Some text\nand more\n\n", 1, "'Some text' stands outside of a review, expected <review>"),
    "never_opened": ("</review>\n", 1, "'</review>' stands outside of a review, expected <review>"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_record_stops_with_one_line_or_is_listed(archive, name):
    broken, line, problem = BAD[name]
    place = archive.path().read_bytes().count(b"\n") + line
    archive.add(broken, GOOD)
    problem = problem.replace("line N", f"line {place + broken.count(chr(10))}")
    told = archive.fail()
    assert told.startswith(f"sorted_data_acl/books/positive.review: line {place}: {problem}"), told
    assert told.endswith("(--bad_rows skip leaves such records out)")
    archive.succeed("--bad_rows", "skip")
    ((*where, fate, remark, detail),) = archive.remarks()
    assert [*where, fate, remark] == ["books/positive.review", place, "dropped", "bad record"]
    assert detail.startswith(problem)
    assert len(archive.rows()) == 81
    assert archive.report("sorted_data_acl/books/positive.review") == [22, 21, 1]


def test_a_file_that_ends_early_or_is_empty_is_told(archive):
    archive.add(review("x", end=""))
    assert "<review> is not closed before the end of the file, expected </review>" in archive.fail()
    archive.write("books", "positive", [])
    assert archive.fail().startswith("sorted_data_acl/books/positive.review: line 1: no review, expected <review>")


def test_read_is_written_and_dropped_in_every_row_of_the_report(archive):
    archive.add(review(""), review("So so.", 3.0), review("Twice."), review("twice"), review("x", "y"))
    archive.add(review("Wrong.", 1.0))
    archive.succeed("--bad_rows", "skip")
    header = next(line for line in archive._lines("report.md") if line.startswith("| domain"))
    dropped = ["bad record", "copy of another text", "rating 3", "text without a letter or digit"]
    columns = ["train.tsv", "dev.tsv", "test.tsv", *(f"dropped: {one}" for one in dropped)]
    assert header.strip("| ").split(" | ")[3:] == columns
    for start in (("all",), ("books", ""), ("books", "POS"), ("books", "NEG"), ("kitchen", "POS")):
        read, *others = archive.report(*start)
        assert read == sum(others) > 0
    read, *written_and_dropped = archive.report("all")
    assert (read, written_and_dropped[3:]) == (86, [1, 1, 1, 1])
    assert archive.report("sorted_data_acl/books/positive.review") == [26, 22, 4]


def test_unlabeled_reviews_are_read_only_if_asked_for(archive):
    archive.write("books", "unlabeled", [review("Not labelled one.", 1.0), review("Not labelled two.", 4.0)])
    archive.succeed()
    assert len(archive.rows()) == 80
    assert "- sorted_data_acl/books/unlabeled.review" in archive._lines("report.md")
    archive.succeed("--with_unlabeled", "--overwrite")
    labels = {row[0]: row[2] for row in archive.rows()}
    assert (labels["A title. Not labelled one."], labels["A title. Not labelled two."]) == ("NEG", "POS")
    assert (len(labels), archive.remarks()) == (82, [])


def test_some_domains_only(archive):
    archive.succeed("--domains", "kitchen")
    assert {row[1] for row in archive.rows()} == {"kitchen"}
    assert "- sorted_data_acl/books/negative.review" in archive._lines("report.md")
    told = archive.fail("--overwrite", "--domains", "kitchen", "cars")
    assert told == "@/sorted_data_acl: no domain 'cars', expected of --domains: books, kitchen"


def test_earlier_files_are_replaced_only_if_asked_for(archive):
    archive.output.mkdir()
    (archive.output / "dev.tsv").write_text("precious")
    assert archive.fail() == "@/out/dev.tsv: is there already, expected another --output, or --overwrite"
    archive.succeed("--overwrite")
    assert sorted(archive.written()) == OUTPUTS
    archive.add("broken")
    archive.fail("--overwrite")  # and leaves the files as they were


def test_all_files_are_written_or_none(archive):
    (archive.output / "report.md").mkdir(parents=True)
    code, _, err = archive.run("--overwrite")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"prepare_amazon: error: {archive.output}: cannot be written (")
    assert [file.name for file in archive.output.iterdir()] == ["report.md"]


def test_what_is_no_archive_is_told_in_one_line(archive, tmp_path):
    assert archive.fail(source=tmp_path / "none.tar.gz").startswith("@/none.tar.gz: cannot be read (No such file")
    (tmp_path / "text.tar.gz").write_text("no archive")
    told = archive.fail(source=tmp_path / "text.tar.gz")
    assert told == (
        "@/text.tar.gz: cannot be read (file could not be opened successfully), expected a folder, a .tar.gz or a .zip"
    )
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as packed:
        packed.add(archive.folder, "sorted_data_acl")
    whole = (tmp_path / "data.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert archive.fail(source=tmp_path / "cut.tar.gz").startswith("@/cut.tar.gz: cannot be read (")
    (tmp_path / "empty").mkdir()
    assert archive.fail(source=tmp_path / "empty").startswith("@/empty: no positive.review, expected a folder for each")
    archive.path(label="negative").unlink()
    assert archive.fail().startswith("@/sorted_data_acl: no sorted_data_acl/books/negative.review, expected one beside")


def test_settings_that_make_no_sense_are_told(archive, tmp_path):
    told = archive.fail("--dev_fraction", "0.5", "--test_fraction", "0.5")
    assert told == "--dev_fraction and --test_fraction sum up to 1, expected less than 1"
    assert archive.fail("--dev_fraction", "0.001").startswith("dev.tsv would have no rows, expected more records")
    (tmp_path / "out").write_text("a file")
    code, _, err = archive.run()
    assert (code, "out: is a file, expected the name of a folder" in err) == (2, True)
    with pytest.raises(SystemExit) as stop, contextlib.redirect_stderr(io.StringIO()) as err:
        prepare_amazon.main(["--input", "x", "--output", "y", "--dev_fraction", "2"])
    assert stop.value.code == 2
    assert "argument --dev_fraction: '2', expected a number between 0 and 1" in err.getvalue()


@pytest.mark.parametrize(
    ("text", "resolved"),
    [("&amp;amp;", "&"), ("&lt3 R&D", "&lt3 R&D"), ("&#x41;&#66;&notit;", "AB&notit;"), ("a<BR/>b", "a b")],
)
def test_markup(text, resolved):
    assert resolve_markup(text) == resolved


def test_easymft_accepts_the_files_with_the_shipped_config(archive, tmp_path, capsys):
    archive.succeed()
    words = ["--mode", "validate", "--config", str(ROOT / "configs" / "amazon" / "meta_tune.json")]
    sets = {"output_folder": tmp_path / "run", "model.weights": ROOT / "tests" / "golden" / "tiny_bert"}
    sets |= {f"data.{split}_files": f'["{archive.output / split}.tsv"]' for split in ("train", "dev", "test")}
    assert easymft([*words, *(word for key, value in sets.items() for word in ("--set", f"{key}={value}"))]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "kitchen" in out
    assert "duplicate" not in out and "earlier row" not in out, out


def test_the_command_of_the_docs_runs(archive, tmp_path):
    words = [sys.executable, str(ROOT / "scripts" / "prepare_amazon.py"), "--input", str(archive.folder)]
    done = subprocess.run([*words, "--output", str(archive.output)], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(archive.written()) == OUTPUTS
