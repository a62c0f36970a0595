import contextlib
import io
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import prepare_mnli
import pytest

from app_zoo.main import main as easymft

ROOT = Path(__file__).resolve().parents[2]
TRAIN, MATCHED, MISMATCHED = (f"multinli_1.0_{name}.jsonl" for name in ("train", "dev_matched", "dev_mismatched"))
LABELS = ("entailment", "neutral", "contradiction")
SPLITS = ("train", "dev", "test", "mismatched_dev")
OUTPUTS = ["dev.tsv", "mismatched_dev.tsv", "remarks.tsv", "report.md", "test.tsv", "train.tsv"]


def pair(premise, hypothesis, label="neutral", genre="fiction", prompt="1", **fields):
    """A line in the form of the archive."""
    found = {"annotator_labels": [label], "genre": genre, "gold_label": label, "pairID": f"{prompt}{label[0]}"}
    found |= {"promptID": prompt, "sentence1": premise, "sentence1_parse": "(ROOT)", "sentence2": hypothesis}
    return json.dumps(found | fields) + "\n"


def prompts(start, count, genre):
    """`count` premises with a hypothesis of each label."""
    return [
        pair(f"Premise {at} of {genre}.", f"It is {label} {at}.", label, genre, str(at))
        for at in range(start, start + count)
        for label in LABELS
    ]


class Corpus:
    """multinli_1.0 with 40 premises of each training genre and 5 of each dev genre, and the script run on it."""

    def __init__(self, folder):
        self.folder, self.output = folder / "multinli_1.0", folder / "out"
        self.folder.mkdir()
        self.write(TRAIN, *prompts(0, 40, "fiction"), *prompts(100, 40, "travel"))
        self.write(MATCHED, *prompts(1000, 5, "fiction"), *prompts(1100, 5, "travel"))
        self.write(MISMATCHED, *prompts(2000, 5, "letters"), *prompts(2100, 5, "oup"))

    def write(self, name, *lines):
        (self.folder / name).write_bytes(b"".join(one if isinstance(one, bytes) else one.encode() for one in lines))

    def lines(self, name):
        return (self.folder / name).read_bytes().splitlines(keepends=True)

    def add(self, name, *lines):
        self.write(name, *self.lines(name), *lines)

    def run(self, *words, source=None):
        """Returns the exit code, what was told and the errors."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = prepare_mnli.main(["--input", str(source or self.folder), "--output", str(self.output), *words])
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
        return err.removeprefix("prepare_mnli: error: ").strip().replace(str(self.folder.parent), "@")

    def written(self):
        return {file.name: file.read_bytes() for file in self.output.iterdir()} if self.output.exists() else {}

    def _lines(self, name):
        return (self.output / name).read_bytes().decode().split("\n")[:-1]

    def rows(self, *splits):
        return [line.split("\t") for split in splits or SPLITS for line in self._lines(f"{split}.tsv")]

    def remarks(self):
        """(file, line, name, fate, remark, detail) of each."""
        rows = [line.split("\t") for line in self._lines("remarks.tsv")[1:]]
        return [(row[0].removeprefix("multinli_1.0/"), int(row[1]), row[2], *row[5:]) for row in rows]

    def report(self, *start):
        """The numbers of the report's row that begins with `start`."""
        rows = [line.strip("| ").split(" | ") for line in self._lines("report.md") if line.startswith("|")]
        (row,) = [row for row in rows if row[: len(start)] == list(start)]
        return [int(cell) for cell in row[len(start) :] if cell]


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def premises(rows):
    return {row[0].casefold() for row in rows}


def test_test_and_mismatched_dev_are_the_published_files(corpus):
    told = corpus.succeed("--dev_fraction", "0.1")
    counts = "train.tsv 216, dev.tsv 24, test.tsv 30, mismatched_dev.tsv 30"
    assert told == f"{corpus.output}: rows of {counts}; dropped 0 of 300 records, see report.md\n"
    for split, name in (("train", TRAIN), ("test", MATCHED), ("mismatched_dev", MISMATCHED)):
        read = [json.loads(line) for line in corpus.lines(name)]
        columns = [[one["sentence1"], one["sentence2"], one["genre"], one["gold_label"]] for one in read]
        assert sorted(corpus.rows(split, *(["dev"] if split == "train" else []))) == sorted(columns)
    assert sorted(corpus.written()) == OUTPUTS
    assert corpus.report("fiction", "neutral") == [45, 36, 4, 5, 0]
    assert corpus.report("oup", "neutral") == [5, 0, 0, 0, 5]


def test_dev_holds_whole_premises_of_each_genre(corpus):
    corpus.succeed("--dev_fraction", "0.2")
    dev = corpus.rows("dev")
    assert Counter(Counter(row[0] for row in dev).values()) == {3: 16}
    cells = [(genre, label) for genre in ("fiction", "travel") for label in LABELS]
    assert Counter((row[2], row[3]) for row in dev) == dict.fromkeys(cells, 8)
    assert not premises(dev) & premises(corpus.rows("train"))


def test_a_premise_under_two_prompts_stays_in_one_file(corpus):
    for at in range(40):  # each premise of fiction also under a prompt of its own
        corpus.add(TRAIN, pair(f"premise {at} of FICTION", f"It is another {at}.", prompt=f"again {at}"))
    corpus.succeed("--dev_fraction", "0.5")
    train, dev = ([row for row in corpus.rows(split) if row[2] == "fiction"] for split in ("train", "dev"))
    names = [{row[0].lower().rstrip(".") for row in rows} for rows in (train, dev)]
    assert [len(one) for one in names] == [20, 20] and not names[0] & names[1]
    assert [len(rows) for rows in (train, dev)] == [80, 80]


def test_premises_under_many_prompts_are_drawn_as_often(corpus):
    """The draw is by hashes, and the least of many hashes is small."""
    corpus.write(TRAIN, *prompts(0, 200, "fiction"))
    for at in range(20):
        corpus.add(TRAIN, *(pair(f"Premise {at} again.", f"So {at} {one}.", prompt=f"{at}x{one}") for one in range(20)))
    corpus.succeed("--dev_fraction", "0.1")
    assert len({row[0] for row in corpus.rows("dev") if "again" in row[0]}) <= 6  # of 20; 2 are expected


def test_a_prompt_with_two_premises_stays_in_one_file(corpus):
    for at in range(40):
        corpus.add(TRAIN, pair(f"Premise {at}, mended.", f"It is another {at}.", prompt=str(at)))
    corpus.succeed("--dev_fraction", "0.5")
    mended = {row[0].split()[1].rstrip(",") for row in corpus.rows("dev") if "mended" in row[0]}
    assert mended == {row[0].split()[1] for row in corpus.rows("dev") if row[2] == "fiction" and "mended" not in row[0]}
    assert len(mended) == 20


def test_training_pairs_with_a_premise_of_test_are_dropped(corpus):
    corpus.add(TRAIN, pair("premise 1000 of fiction", "New.", prompt="5000"))
    corpus.add(TRAIN, pair("Premise 2000 of letters.", "New.", prompt="5001"))
    corpus.succeed("--dev_fraction", "0.4")
    published = premises(corpus.rows("test", "mismatched_dev"))
    assert not published & premises(corpus.rows("train", "dev"))
    assert [row[1] for row in corpus.rows()].count("New.") == 0
    assert [remark[2:5] for remark in corpus.remarks()] == [
        ("5000n", "dropped", "premise is in test.tsv"),
        ("5001n", "dropped", "premise is in mismatched_dev.tsv"),
    ]


def test_pairs_without_a_gold_label_are_dropped_and_counted(corpus):
    corpus.add(TRAIN, pair("A premise.", "Nobody agrees.", "-", prompt="7"))
    corpus.add(MATCHED, pair("Another premise.", "Nobody agrees.", "-", prompt="8"))
    corpus.succeed()
    assert not [row for row in corpus.rows() if row[1] == "Nobody agrees."]
    assert [remark[:1] + remark[2:5] for remark in corpus.remarks()] == [
        (MATCHED, "8-", "dropped", "no gold label"),
        (TRAIN, "7-", "dropped", "no gold label"),
    ]
    assert corpus.report("fiction", "-") == [2, 0, 0, 0, 0, 2]
    assert corpus.report(f"multinli_1.0/{MATCHED}") == [31, 30, 1]


@pytest.mark.parametrize("texts", [("", "Text."), ("Text.", " \n"), ("...", "Text.")])
def test_a_pair_without_a_word_is_dropped_and_listed(corpus, texts):
    corpus.add(TRAIN, pair(*texts, prompt="7"))
    corpus.succeed()
    ((*_, fate, remark, detail),) = corpus.remarks()
    assert (fate, remark) == ("dropped", "text without a letter or digit")
    assert len(corpus.rows()) == 300


def test_texts_stand_in_one_field_each_and_keep_their_wording(corpus):
    corpus.add(TRAIN, pair("Tab\tand\nbreak\r\n\x00 \u2028 \ud800 here", ' "AT&T" &amp; <b>caf\u00e9</b> ', prompt="7"))
    corpus.succeed()
    assert ["Tab and break here", '"AT&T" &amp; <b>café</b>', "fiction", "neutral"] in corpus.rows("train", "dev")
    assert all(len(row) == 4 for row in corpus.rows())


def test_copies_are_dropped_from_the_training_file_and_told_of_published_ones(corpus):
    corpus.add(TRAIN, pair("Same.", "Text.", prompt="7"), pair("same", "TEXT", prompt="8"))
    corpus.add(TRAIN, pair("Odd.", "Text.", "entailment", prompt="9"), pair("Odd.", "Text.", "neutral", prompt="9"))
    corpus.add(MATCHED, pair("Kept.", "Text.", prompt="10"), pair("Kept.", "Text.", prompt="11"))
    corpus.succeed()
    count = Counter(row[0].casefold().rstrip(".") for row in corpus.rows())
    assert (count["same"], count["odd"], count["kept"]) == (1, 0, 2)
    fates = [(remark[2], *remark[3:5]) for remark in corpus.remarks()]
    kept = "copies of a pair in test.tsv, kept as published"
    assert fates[:2] == [("10n", "kept", kept), ("11n", "kept", kept)]
    assert fates[2][1:] == ("dropped", "copy of another text")
    assert [fate[1:] for fate in fates[3:]] == [("dropped", "copies with different labels")] * 2


def test_splits_do_not_depend_on_the_order_of_the_records_but_on_the_seed(corpus):
    corpus.succeed("--rows_per_cell", "9")
    first = corpus.written()
    for name in (TRAIN, MATCHED, MISMATCHED):
        corpus.write(name, *reversed(corpus.lines(name)))
    corpus.succeed("--rows_per_cell", "9", "--overwrite")
    assert corpus.written() == first
    corpus.succeed("--rows_per_cell", "9", "--overwrite", "--seed", "43")
    assert all(corpus.written()[f"{split}.tsv"] != first[f"{split}.tsv"] for split in ("train", "dev"))


def test_a_subset_of_the_training_file_has_so_many_rows_of_each_genre_and_label(corpus):
    corpus.succeed("--dev_fraction", "0.1")
    whole = corpus.rows()
    corpus.succeed("--dev_fraction", "0.1", "--rows_per_cell", "7", "--overwrite")
    assert Counter(map(tuple, (row[2:] for row in corpus.rows("train")))) == {
        (genre, label): 7 for genre in ("fiction", "travel") for label in LABELS
    }
    assert corpus.rows()[42:] == whole[216:]  # dev, test and mismatched_dev
    assert {tuple(row) for row in corpus.rows("train")} < {tuple(row) for row in whole[:216]}
    assert corpus.report("fiction", "neutral") == [45, 7, 4, 5, 0, 29]
    assert corpus.remarks() == []


def test_the_zip_gives_what_the_folder_gives(corpus, tmp_path):
    corpus.succeed()
    first = corpus.written()
    with zipfile.ZipFile(tmp_path / "multinli_1.0.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in (TRAIN, MATCHED, MISMATCHED):
            packed.write(corpus.folder / name, f"multinli_1.0/{name}")
            packed.writestr(f"__MACOSX/multinli_1.0/._{name}", b"\x00\x05")
            packed.writestr(f"__MACOSX/multinli_1.0/{name}", b"\x00\x05")
    corpus.succeed("--overwrite", source=tmp_path / "multinli_1.0.zip")
    assert corpus.written() == first


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(corpus):
    corpus.succeed()
    first = corpus.written()
    corpus.write(TRAIN, b"\xef\xbb\xbf", *(line.replace(b"\n", b"\r\n") for line in corpus.lines(TRAIN)))
    corpus.succeed("--overwrite")
    assert corpus.written() == first


BAD = {
    "cut": ('{"gold_label": "neu\n', "'{\"gold_label\": \"neu' is no JSON ("),
    "blank": ("\n", "'' is no JSON (Expecting value"),
    "list": ("[1]\n", "[1], expected an object"),
    "deep": ("[" * 100_000 + "\n", "'[[["),
    "latin_1": (pair("Premise.", "caf\u00e9").encode().replace(b"caf\\u00e9", b"caf\xe9"), "byte 0xe9 at "),
    "label": (pair("Premise.", "Text.", "maybe"), "gold_label is 'maybe', expected entailment, neutral, contradict"),
    "hidden": (pair("Premise.", "Text.", "hidden"), "gold_label is 'hidden', expected entailment,"),
    "missing": (pair("Premise.", "Text.").replace("sentence2", "other"), "sentence2 is missing, expected text"),
    "null": (pair("Premise.", None), "sentence2 is None, expected text"),
    "no_genre": (pair("Premise.", "Text.", genre=" "), "genre is ' ', expected a name"),
    "no_prompt": (pair("Premise.", "Text.", promptID=True), "promptID is True, expected text"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_record_stops_with_one_line_or_is_listed(corpus, name):
    broken, problem = BAD[name]
    corpus.add(TRAIN, broken, pair("A good one.", "After it.", prompt="7"))
    told = corpus.fail()
    assert told.startswith(f"multinli_1.0/{TRAIN}: line 241: {problem}"), told
    assert told.endswith("(--bad_rows skip leaves such records out)")
    corpus.succeed("--bad_rows", "skip")
    ((*where, fate, remark, detail),) = corpus.remarks()
    assert (where, fate, remark) == ([TRAIN, 241, ""], "dropped", "bad record")
    assert detail.startswith(problem)
    assert len(corpus.rows()) == 301
    assert corpus.report(f"multinli_1.0/{TRAIN}") == [242, 241, 1]


def test_numbers_may_identify_prompts_and_pairs(corpus):
    found = [json.loads(line) | {"promptID": at // 3, "pairID": at} for at, line in enumerate(corpus.lines(TRAIN))]
    corpus.write(TRAIN, *(json.dumps(one) + "\n" for one in found))
    corpus.succeed("--dev_fraction", "0.1")
    assert len(corpus.rows("dev")) == 24


def test_what_is_no_corpus_is_told_in_one_line(corpus, tmp_path):
    assert corpus.fail(source=tmp_path / "none.zip").startswith("@/none.zip: cannot be read (No such file")
    (tmp_path / "text.zip").write_text("no archive")
    assert corpus.fail(source=tmp_path / "text.zip").startswith("@/text.zip: cannot be read (file could not be opened")
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as packed:
        for name in (TRAIN, MATCHED, MISMATCHED):
            packed.write(corpus.folder / name, name)
    damaged = (tmp_path / "good.zip").read_bytes().replace(b"Premise 3 of fiction", b"Premise 4 of fiction")
    (tmp_path / "damaged.zip").write_bytes(damaged)
    assert corpus.fail(source=tmp_path / "damaged.zip").startswith("@/damaged.zip: cannot be read (Bad CRC-32")
    start = b"PK\x01\x02\x14\x03\x14\x00"  # of an entry of the directory; the flag of encryption follows
    locked = (tmp_path / "good.zip").read_bytes().replace(start + b"\x00", start + b"\x01")
    (tmp_path / "locked.zip").write_bytes(locked)
    assert corpus.fail(source=tmp_path / "locked.zip").endswith(" is encrypted, expected a .zip without a password")
    (corpus.folder / "more").mkdir()
    (corpus.folder / "more" / TRAIN).write_bytes(b"")
    assert corpus.fail() == (
        f"@/multinli_1.0: multinli_1.0/more/{TRAIN}, multinli_1.0/{TRAIN}, expected one file {TRAIN}"
    )
    (corpus.folder / "more" / TRAIN).unlink()
    (corpus.folder / MATCHED).unlink()
    assert corpus.fail() == f"@/multinli_1.0: no {MATCHED}, expected one file {MATCHED}"


def test_a_file_without_rows_is_told_and_earlier_files_stay(corpus):
    assert corpus.fail("--dev_fraction", "0.001").startswith("dev.tsv would have no rows, expected more records or")
    corpus.succeed()
    assert corpus.fail() == "@/out/train.tsv: is there already, expected another --output, or --overwrite"
    corpus.write(MATCHED)
    assert corpus.fail("--overwrite").startswith("test.tsv would have no rows")


@pytest.mark.parametrize("word", ["0", "-3", "1.5", "many"])
def test_a_subset_must_have_rows(word, capsys):
    with pytest.raises(SystemExit) as stop:
        prepare_mnli.main(["--input", "x", "--output", "y", "--rows_per_cell", word])
    assert stop.value.code == 2
    assert f"'{word}', expected a whole number above 0" in capsys.readouterr().err


def test_easymft_accepts_the_files_with_the_shipped_config(corpus, tmp_path, capsys):
    corpus.succeed("--dev_fraction", "0.1")
    words = ["--mode", "validate", "--config", str(ROOT / "configs" / "mnli" / "meta_tune.json")]
    sets = {"output_folder": tmp_path / "run", "model.weights": ROOT / "tests" / "golden" / "tiny_bert"}
    sets |= {f"data.{split}_files": f'["{corpus.output / split}.tsv"]' for split in ("train", "dev")}
    sets["data.test_files"] = json.dumps([str(corpus.output / f"{split}.tsv") for split in ("test", "mismatched_dev")])
    assert easymft([*words, *(word for key, value in sets.items() for word in ("--set", f"{key}={value}"))]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "contradiction" in out
    assert "earlier row" not in out, out


def test_the_command_of_the_docs_runs(corpus, tmp_path):
    words = [sys.executable, str(ROOT / "scripts" / "prepare_mnli.py"), "--input", str(corpus.folder)]
    done = subprocess.run([*words, "--output", str(corpus.output)], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(corpus.written()) == OUTPUTS
