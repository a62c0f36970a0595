"""The token cache: what it holds, when it is reused, and that a half-written one never is."""

import os
import time

import numpy as np
import pytest

from easymft.config.data_section import DataConfig
from easymft.data import token_cache
from easymft.data.bad_rows import SkippedRows
from easymft.data.label_map import LabelMap
from easymft.data.npy_writer import NpyWriter
from easymft.data.text_preprocessor import TextPreprocessor
from easymft.data.token_cache import build_token_dataset
from easymft.data.token_dataset import ARRAYS, TokenDataset
from easymft.data.token_fit import TokenFit
from easymft.data.vocabulary import AddedToken, Vocabulary
from easymft.errors import DataError
from easymft.files import remove_folder

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "book", "film", "a", "##s", ".", "C")
VOCABULARY = Vocabulary(TOKENS, lower_case=True)
LABELS, DOMAINS = LabelMap(("neg", "pos")), LabelMap(("books", "films"))
ROWS = [
    ("good books.", "a", "books", "pos"),
    ("bad film . . . . . .", "bad", "films", "neg"),
    ("a bad book", "good books good books good books", "books", "neg"),
    ("film", "a good film", "films", "pos"),
    ("unheard of", "book", "films", "pos"),
]
COLUMNS = {"text": 0, "text_pair": 1, "domain": 2, "label": 3}


def write_rows(path, rows=ROWS):
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_config(pair=True, **changes):
    columns = COLUMNS if pair else {name: place for name, place in COLUMNS.items() if name != "text_pair"}
    return DataConfig.model_validate({"columns": columns, "header": False, "max_sequence_length": 10} | changes)


@pytest.fixture
def build(tmp_path):
    """Builds a data set; the keyword arguments are those that differ from the usual ones."""

    def run(files=None, data=None, **changes):
        if files is None:
            files = [tmp_path / "rows.tsv"]
            if not files[0].exists():
                write_rows(files[0])
        arguments = {
            "pair": True,
            "vocabulary": VOCABULARY,
            "labels": LABELS,
            "domains": DOMAINS,
            "cache_folder": tmp_path / "cache",
            "progress": False,
        }
        data = data or make_config(changes.get("pair", True))
        return build_token_dataset([str(file) for file in files], data, **(arguments | changes))

    return run


@pytest.fixture
def count_builds(monkeypatch):
    """A list that grows by one whenever files are read anew."""
    builds = []

    def counted(*arguments, **keywords):
        builds.append(arguments)
        return original(*arguments, **keywords)

    original = token_cache.read_examples
    monkeypatch.setattr(token_cache, "read_examples", counted)
    return builds


@pytest.mark.parametrize("pair", [True, False])
def test_features_are_what_the_preprocessor_makes(build, pair):
    tokens = build(pair=pair)
    preprocessor = TextPreprocessor(VOCABULARY, 10)
    expected = preprocessor([row[0] for row in ROWS], [row[1] for row in ROWS] if pair else None, length=12)
    features = tokens.features(np.arange(5), 12)
    for name, values in expected.items():
        assert features[name].dtype == np.int32
        np.testing.assert_array_equal(features[name], values)
    np.testing.assert_array_equal(tokens.lengths, expected["input_mask"].numpy().sum(1))
    assert tokens.num_examples == 5
    assert tokens.max_sequence_length == 10


def test_labels_domains_and_weights(build):
    tokens = build()
    features = tokens.features(np.array([3, 1]), 10)
    assert features["label"].tolist() == [1, 0]
    assert features["domain"].tolist() == [1, 1]
    assert features["weight"].tolist() == [1.0, 1.0]
    assert [features[name].dtype for name in ("label", "domain", "weight")] == [np.int32, np.int32, np.float32]
    assert tokens.label_ids.tolist() == [1, 0, 0, 1, 1]
    assert tokens.domain_ids.tolist() == [0, 1, 0, 1, 1]
    assert tokens.typicality is None


def test_weights_and_typicality_columns(build, tmp_path):
    rows = [(*row, str(place / 4), str(place / 8)) for place, row in enumerate(ROWS)]
    data = make_config(columns=COLUMNS | {"weight": 4, "typicality": 5})
    tokens = build([write_rows(tmp_path / "scored.tsv", rows)], data)
    assert tokens.weights.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert tokens.typicality.tolist() == [0, 0.125, 0.25, 0.375, 0.5]
    assert tokens.subset([4, 1]).typicality.tolist() == [0.5, 0.125]


def test_without_labels_and_domains(build, tmp_path):
    file = write_rows(tmp_path / "plain.tsv", [row[:2] for row in ROWS])
    data = make_config(columns={"text": 0, "text_pair": 1})
    tokens = build([file], data, need_label=False, domains=LabelMap(("",)))
    assert tokens.label_ids.tolist() == [-1] * 5
    assert tokens.domain_ids.tolist() == [0] * 5
    tokens = build([file], data, need_label=False)
    assert tokens.domain_ids.tolist() == [-1] * 5


def test_some_labels_empty(build, tmp_path):
    rows = [(*row[:3], "" if place == 2 else row[3]) for place, row in enumerate(ROWS)]
    tokens = build([write_rows(tmp_path / "partly.tsv", rows)], need_label=False)
    assert tokens.label_ids.tolist() == [1, 0, -1, 1, 1]


def test_features_of_random_batches(build, tmp_path):
    generator = np.random.default_rng(0)
    words = ["good", "bad", "book", "films"]
    rows = [
        (" ".join(generator.choice(words, generator.integers(1, 12))), "a " * generator.integers(1, 12), "books", "pos")
        for _ in range(3000)
    ]
    tokens = build([write_rows(tmp_path / "many.tsv", rows)])
    whole = TextPreprocessor(VOCABULARY, 10)([row[0] for row in rows], [row[1] for row in rows], length=10)
    for _ in range(20):
        batch = generator.integers(0, 3000, generator.integers(1, 64))
        length = int(tokens.lengths[batch].max()) if generator.random() < 0.5 else 10
        features = tokens.features(batch, length)
        for name, values in whole.items():
            np.testing.assert_array_equal(features[name], values.numpy()[batch, :length])


def test_padding_with_another_pad_id(build):
    vocabulary = Vocabulary((*TOKENS[1:], "[PAD]"), lower_case=True)
    features = build(vocabulary=vocabulary).features(np.array([3]), 10)
    assert features["input_word_ids"][0, -3:].tolist() == [len(TOKENS) - 1] * 3


def test_too_short_padding_is_refused(build):
    with pytest.raises(ValueError, match="padded_length must be at least 10, the longest row. Received: 9"):
        build().features(np.arange(5), 9)


def test_subset_is_a_view(build):
    tokens = build()
    films = tokens.subset(np.flatnonzero(tokens.domain_ids == 1))
    assert films.num_examples == 3
    assert films.label_ids.tolist() == [0, 1, 1]
    last = films.subset([2])
    for name, values in last.features(np.array([0]), 10).items():
        np.testing.assert_array_equal(values, tokens.features(np.array([4]), 10)[name])
    with pytest.raises(IndexError, match="from 0 to 2. Received: 1 to 3"):
        films.subset([1, 3])


def test_fingerprint_tells_data_sets_apart(build):
    tokens = build()
    assert tokens.fingerprint() == build().fingerprint()
    prints = {
        tokens.fingerprint(),
        build(pair=False).fingerprint(),
        build(labels=LabelMap(("pos", "neg"))).fingerprint(),
    }
    assert len(prints | {tokens.subset([0, 1, 2]).fingerprint(), tokens.subset([0, 2, 1]).fingerprint()}) == 5


def test_finished_cache_is_reused(build, count_builds, tmp_path):
    first = build()
    again = build()
    renamed = build([write_rows(tmp_path / "other_name.tsv")])
    assert len(count_builds) == 1
    for tokens in (again, renamed):
        for name, values in first.features(np.arange(5), 10).items():
            np.testing.assert_array_equal(tokens.features(np.arange(5), 10)[name], values)


@pytest.mark.filterwarnings("ignore:.*data.sheet is 'one', which is for xlsx")
@pytest.mark.parametrize(
    "change",
    [
        {"pair": False},
        {"vocabulary": Vocabulary((*TOKENS, "heard"), lower_case=True)},
        {"vocabulary": Vocabulary(TOKENS, lower_case=False)},
        {"vocabulary": Vocabulary(TOKENS, lower_case=True, strip_accents=False)},
        {"vocabulary": Vocabulary(TOKENS, lower_case=True, tokenize_chinese_chars=False)},
        {"vocabulary": Vocabulary(TOKENS, lower_case=True, added_tokens=(AddedToken(TOKENS[-1]),))},
        {"labels": LabelMap(("pos", "neg"))},
        {"domains": LabelMap(("books", "films", "dvd"))},
        {"need_label": False},
        {"optional_columns": ("domain",)},
        {"data": make_config(max_sequence_length=11)},
        {"data": make_config(truncation_tie="second")},
        {"data": make_config(strip_whitespace=True)},
        {"data": make_config(quoting=True)},
        {"data": make_config(encoding="cp1252")},
        {"data": make_config(separator="\t")},
        {"data": make_config(sheet="one")},
        {"data": make_config(columns=COLUMNS | {"text": 1, "text_pair": 0})},
        {"data": make_config(bad_rows="skip"), "skipped_rows": SkippedRows(None)},
    ],
)
def test_every_setting_that_matters_makes_another_cache(build, count_builds, change, tmp_path):
    build()
    build(**change)
    assert len(count_builds) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_settings_that_do_not_matter(build, count_builds):
    build()
    build(data=make_config(truncation_tie="first", padding="max_length", group_by_length=False, bad_row_limit=3))
    assert len(count_builds) == 1


def test_content_and_order_of_files_matter(build, count_builds, tmp_path):
    one, two = write_rows(tmp_path / "1.tsv", ROWS[:3]), write_rows(tmp_path / "2.tsv", ROWS[3:])
    assert build([one, two]).label_ids.tolist() == [1, 0, 0, 1, 1]
    assert build([two, one]).label_ids.tolist() == [1, 1, 1, 0, 0]
    write_rows(two, ROWS[2:])
    assert build([one, two]).num_examples == 6
    assert len(count_builds) == 3


def test_skipped_rows_are_the_same_on_reuse(build, count_builds, tmp_path):
    rows = [*ROWS[:2], ("", "a", "books", "pos"), ROWS[2], ("a", "a", "nowhere", "maybe"), ROWS[3]]
    data = make_config(bad_rows="skip")
    lists = []
    for name in ("first", "second"):
        with SkippedRows(tmp_path / f"{name}.tsv") as skipped:
            file = write_rows(tmp_path / "rows_with_holes.tsv", rows)
            assert build([file], data, skipped_rows=skipped).num_examples == 4
        assert skipped.count == 2
        lists.append((tmp_path / f"{name}.tsv").read_text(encoding="utf-8"))
    assert len(count_builds) == 1
    assert lists[0] == lists[1]
    assert lists[0].count("rows_with_holes.tsv") == 3
    with SkippedRows(tmp_path / "third.tsv") as skipped:
        build([(tmp_path / "rows_with_holes.tsv").rename(tmp_path / "moved.tsv")], data, skipped_rows=skipped)
    assert (tmp_path / "third.tsv").read_text(encoding="utf-8") == lists[0].replace("rows_with_holes", "moved")
    with pytest.raises(ValueError, match="skipped_rows is None"):
        build([tmp_path / "moved.tsv"], data)


def test_bad_rows_leave_no_cache(build, tmp_path):
    file = write_rows(tmp_path / "bad.tsv", [*ROWS, ("a", "a", "books", "maybe")])
    for _ in range(2):
        with pytest.raises(
            DataError, match="bad.tsv: row 6, column .*: unknown label 'maybe', expected one of neg, pos"
        ):
            build([file])
        assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_build_left_is_not_taken_for_a_cache(build, count_builds, tmp_path):
    build()
    (folder,) = (tmp_path / "cache").iterdir()
    left = folder.rename(folder.with_name(f".part.123.456.{folder.name}"))
    assert build().num_examples == 5
    assert len(count_builds) == 2
    assert left.exists(), "a young one may belong to a process at work"
    os.utime(left, (0, time.time() - 2 * 24 * 3600))
    folder.rename(tmp_path / "elsewhere")
    assert build().num_examples == 5
    assert len(count_builds) == 3
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_a_process_that_was_faster_wins(build, tmp_path, monkeypatch):
    write = token_cache._write_arrays

    def write_after_another_process(folder, *arguments):
        monkeypatch.setattr(token_cache, "_write_arrays", write)
        build()
        return write(folder, *arguments)

    monkeypatch.setattr(token_cache, "_write_arrays", write_after_another_process)
    assert build().num_examples == 5
    assert len(list((tmp_path / "cache").iterdir())) == 1


def damages(content):
    """A flipped bit at the beginning, in the midst and at the end; a cut; nothing; another header; more."""
    for place in (0, len(content) // 2, len(content) - 1) if content else ():
        yield content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]
    yield from (content[:-1], b"", b"\x93NUMPY\x02\0" + content[8:], content + b"\0")


@pytest.mark.parametrize("name", [*ARRAYS, "summary.json", "skipped_rows.jsonl", "easymft.sha256"])
def test_a_damaged_cache_is_made_anew(build, count_builds, tmp_path, name):
    rows = [(*row, str(place / 4), str(place / 8)) for place, row in enumerate([*ROWS, ("", "a", "books", "pos")])]
    file = write_rows(tmp_path / "scored.tsv", rows)
    settings = {"bad_rows": "skip", "columns": COLUMNS | {"weight": 4, "typicality": 5}}

    def run():
        with SkippedRows(None) as skipped:
            tokens = build([file], make_config(**settings), skipped_rows=skipped)
        return tokens.fingerprint(), tokens.weights.tolist(), tokens.typicality.tolist(), skipped.count

    expected = run()
    (folder,) = (tmp_path / "cache").iterdir()
    damaged = folder / (name if "." in name else f"{name}.npy")
    content = damaged.read_bytes()
    for number, other in enumerate(found for found in damages(content) if found != content):
        damaged.write_bytes(other)
        with pytest.warns(UserWarning, match=f"{folder}/.*; the token cache is damaged and made anew$") as warnings:
            assert run() == expected
        assert len(warnings) == 1 and "\n" not in str(warnings[0].message)
        assert len(count_builds) == number + 2 and damaged.read_bytes() == content
    damaged.unlink()
    with pytest.warns(UserWarning, match="made anew"):
        assert run() == expected
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_a_cache_that_is_a_file_or_empty_is_made_anew(build, tmp_path):
    expected = build().fingerprint()
    (folder,) = (tmp_path / "cache").iterdir()
    folder.rename(tmp_path / "elsewhere")
    for make in (lambda: folder.write_text("what?"), folder.mkdir):
        make()
        with pytest.warns(UserWarning, match="the token cache is damaged and made anew"):
            assert build().fingerprint() == expected
        remove_folder(folder)


def test_a_folder_without_digests_is_checked_as_far_as_it_goes(build, tmp_path):
    tokens = build()
    folder = folder_of(tokens)
    with NpyWriter(f"{folder}/ids.npy", np.int32) as writer:
        writer.append(np.zeros(3, np.int32))
    with pytest.raises(DataError, match="holds 5 examples and 3 tokens, expected 5 and"):
        TokenDataset.load(folder)
    (tmp_path / "cache" / os.path.basename(folder) / "summary.json").write_text("[]")
    with pytest.raises(DataError, match=f"{folder}: cannot be read"):
        TokenDataset.load(folder)


def test_cache_folder_that_cannot_be_written(build, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the token cache cannot be written"):
        build(cache_folder=tmp_path / "file" / "cache")


def test_missing_file(build, tmp_path):
    with pytest.raises(DataError, match="gone.tsv: no such file"):
        build([tmp_path / "gone.tsv"])
    assert not (tmp_path / "cache").exists()


def test_progress_bar(build, capsys):
    build(progress=True, progress_name="tokenising the dev files")
    assert capsys.readouterr().out.startswith("tokenising the dev files: 5 rows in ")


def test_the_fit_of_texts_is_kept_with_the_tokens(build, tmp_path):
    rows = [("a " * length, "a", "books", "pos") for length in (1, 20, 40)]
    files = [write_rows(tmp_path / "fit.tsv", [*rows, ("zzz\u4e00 a", "\u4e00", "books", "pos")])]
    for _ in range(2):  # made, and taken from the cache
        tokens = build(files)
        rows = [tokens.features(np.array([row]), tokens.lengths[row]) for row in range(4)]
        ids = np.concatenate([row["input_word_ids"][0] for row in rows])
        unknown = int((ids == VOCABULARY.ids["[UNK]"]).sum())
        cut = [20 + 1 + 3 > tokens.max_sequence_length, 40 + 1 + 3 > tokens.max_sequence_length]
        assert tokens.fit == TokenFit(4, sum(cut), len(ids), unknown) and any(cut) and unknown
    assert tokens.subset(np.arange(2)).fit is None


def test_order_is_kept_over_many_chunks(build, tmp_path, monkeypatch):
    monkeypatch.setattr(token_cache, "_CHUNK_ROWS", 3)
    rows = [("a " * (place % 6 + 1), "a", "books", "pos") for place in range(50)]
    tokens = build([write_rows(tmp_path / "many.tsv", rows)])
    assert tokens.lengths.tolist() == [place % 6 + 5 for place in range(50)]


def test_npy_writer_equals_numpy(tmp_path):
    path = tmp_path / "values.npy"
    with NpyWriter(path, np.float32) as writer:
        for size in (0, 3, 5):
            writer.append(np.arange(size))
    np.testing.assert_array_equal(np.load(path), [0, 1, 2, 0, 1, 2, 3, 4])
    assert np.load(path, mmap_mode="r").dtype == np.float32


def test_tokens_stay_on_disk(build):
    tokens = build()
    assert isinstance(TokenDataset.load(folder_of(tokens))._arrays["ids"].base, np.memmap)


def folder_of(tokens):
    return os.path.dirname(tokens._arrays["ids"].base.filename)
