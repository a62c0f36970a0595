import importlib.util
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_sample():
    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "scripts" / "make_sample.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sample(make_sample):
    return make_sample.make_sample()


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_shipped_file_is_what_the_script_makes(make_sample, sample, split):
    shipped = (ROOT / "configs" / "sample" / f"{split}.tsv").read_text(encoding="utf-8")
    assert shipped == make_sample.render(sample[split]), "run: python scripts/make_sample.py"


def test_another_seed_makes_other_texts(make_sample, sample):
    other = make_sample.make_sample(seed=make_sample.SEED + 1)
    assert {split: len(rows) for split, rows in other.items()} == {split: len(rows) for split, rows in sample.items()}
    assert other["train"] != sample["train"]


def test_no_text_stands_twice(sample):
    texts = [text for rows in sample.values() for text, _, _ in rows]
    assert len(texts) == len(set(texts))


def test_labels_are_balanced_and_domains_are_not(sample):
    for rows in sample.values():
        counts = Counter((domain, label) for _, domain, label in rows)
        assert len(counts) == 10
        assert all(counts[domain, "positive"] == counts[domain, "negative"] for domain, _ in counts)
    sizes = Counter(domain for _, domain, _ in sample["train"]).values()
    assert min(sizes) >= 50 and max(sizes) >= 1.5 * min(sizes)


def test_every_place_of_a_pattern_is_filled_and_sentences_begin_and_end_well(sample):
    for rows in sample.values():
        for text, _, _ in rows:
            assert not set("{}\t") & set(text), text
            assert text.endswith(".") and "  " not in text and ".." not in text, text
            assert all(sentence[0].isupper() for sentence in text.split(". ")), text


def test_some_clauses_are_kept_from_the_training_file(sample):
    texts = {split: " ".join(text for text, _, _ in rows) for split, rows in sample.items()}
    assert "comes together in the last ten pages" in texts["test"]
    assert "comes together in the last ten pages" not in texts["train"]


def test_a_clause_is_of_the_labels_polarity(make_sample):
    wording = {
        "patterns": {"plain": ["{P} {P2} {V}."], "concession": ["{O} {V}."], "negation": ["{O} {O2} {S} {W}."]},
        "verdicts": {"good": ["verdict+"], "bad": ["verdict-"]},
        "domains": {
            "toys": {
                "train_rows": 2, "this": "x", "many": "x", "one": "x", "again": "x",
                "aspects": {f"a{n}": {"good": [f"g{n}+", "held+"], "bad": [f"b{n}-", "held-"]} for n in range(6)},
            }
        },
    }  # fmt: skip
    writer = make_sample.ReviewWriter("toys", wording, seed=0)
    own = {"positive": "+", "negative": "-"}
    signs = {"plain": "{0} {0} {0}", "concession": "{1} {0}", "negation": "{1} {1} {0} {1}"}
    for kind, expected in signs.items():
        for label in own:
            other = own["negative" if label == "positive" else "positive"]
            text = writer._write_new(kind, label, "train")
            assert " ".join(c for c in text if c in "+-") == expected.format(own[label], other)
            assert "held" not in text


def test_check_tells_whether_the_files_are_current(make_sample, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_sample, "SAMPLE_FOLDER", tmp_path)
    assert make_sample.main([]) == 0
    assert make_sample.main(["--check"]) == 0
    (tmp_path / "dev.tsv").write_text("text\tdomain\tlabel\n")
    assert make_sample.main(["--check"]) == 1
    assert "dev.tsv" in capsys.readouterr().err
