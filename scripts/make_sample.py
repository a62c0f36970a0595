"""Writes the sample of configs/sample: made-up reviews of five kinds of things, positive or negative.

Usage:
    python scripts/make_sample.py            writes configs/sample/train.tsv, dev.tsv and test.tsv anew
    python scripts/make_sample.py --check    only says whether they are current (exit code 1 if not)

All wording is in scripts/sample_wording.toml. Three in ten texts carry a concession or a negation, in which the clause
that decides the label stands beside one of the other polarity. The last of the clauses about each aspect is kept from
the training file, so that the dev and test files also ask for wording that no training text holds.
"""

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from easymft.files import replacing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_FOLDER = ROOT / "configs" / "sample"
WORDING_FILE = Path(__file__).resolve().parent / "sample_wording.toml"
SEED = 20
DEV_ROWS, TEST_ROWS = 40, 160  # of each domain; the wording file says how many rows a domain has to train on
LABELS = {"positive": ("good", "bad"), "negative": ("bad", "good")}  # label -> its polarity, the other polarity
# How often each kind of pattern is used, of 10 texts.
_KINDS = ("plain",) * 7 + ("concession",) * 2 + ("negation",)
_HELD_OUT = -1  # the last of the clauses about an aspect is not used in the training file

Row = tuple[str, str, str]


class ReviewWriter:
    """Writes the reviews of one domain.

    Args:
        name: Of the domain.
        wording: What scripts/sample_wording.toml holds.
        seed: Decides everything.
    """

    def __init__(self, name: str, wording: Mapping[str, Any], seed: int):
        self._domain = wording["domains"][name]
        self._patterns, self._verdicts = wording["patterns"], wording["verdicts"]
        self._random = random.Random(f"{seed} {name}")
        self._written: set[str] = set()

    def write(self, rows: int, use: str) -> list[tuple[str, str]]:
        """Writes new texts, as many positive as negative, that no earlier call has written.

        Args:
            rows: How many; even.
            use: "train" (without the clauses that are held out) or "all".

        Returns:
            (text, label) in random order.
        """
        reviews = []
        for number in range(rows // 2):
            kind = _KINDS[number % len(_KINDS)]
            reviews += [(self._write_new(kind, label, use), label) for label in LABELS]
        self._random.shuffle(reviews)
        return reviews

    def _write_new(self, kind: str, label: str, use: str) -> str:
        while (text := self._fill(self._random.choice(self._patterns[kind]), label, use)) in self._written:
            pass
        self._written.add(text)
        return text

    def _fill(self, pattern: str, label: str, use: str) -> str:
        own, other = LABELS[label]
        aspects = self._random.sample(list(self._domain["aspects"]), 4)  # no text says two things of one aspect
        places = zip(("P", "P2", "O", "O2"), aspects, (own, own, other, other), strict=True)
        parts = {place: self._clause(aspect, polarity, use) for place, aspect, polarity in places}
        parts["S"] = self._clause(aspects[2], own, use)
        parts["V"] = self._random.choice(self._verdicts[own])
        parts["W"] = self._random.choice(self._verdicts[other])
        text = pattern.format(**parts).format(**{key: self._domain[key] for key in ("this", "many", "one", "again")})
        return _capitalize_sentences(_avoid_repeats(text, self._domain["this"]))

    def _clause(self, aspect: str, polarity: str, use: str) -> str:
        ends = self._domain["aspects"][aspect][polarity]
        return f"{aspect} {self._random.choice(ends[:_HELD_OUT] if use == 'train' else ends)}"


def _avoid_repeats(text: str, thing: str) -> str:
    """Says "it" where a text names its thing a second time."""
    first, found, rest = text.partition(thing)
    return first + found + rest.replace(thing, "it")


def _capitalize_sentences(text: str) -> str:
    return ". ".join(sentence[:1].upper() + sentence[1:] for sentence in text.split(". "))


def make_sample(seed: int = SEED) -> dict[str, list[Row]]:
    """Makes the sample.

    Args:
        seed: Decides which texts are made.

    Returns:
        "train", "dev" and "test": rows (text, domain, label) in random order.
    """
    wording = tomllib.loads(WORDING_FILE.read_text(encoding="utf-8"))
    splits: dict[str, list[Row]] = {"train": [], "dev": [], "test": []}
    for name, domain in wording["domains"].items():
        writer = ReviewWriter(name, wording, seed)
        for split, rows in (("train", domain["train_rows"]), ("dev", DEV_ROWS), ("test", TEST_ROWS)):
            reviews = writer.write(rows, "train" if split == "train" else "all")
            splits[split] += [(text, name, label) for text, label in reviews]
    for split, rows in splits.items():
        random.Random(f"{seed} {split}").shuffle(rows)
    return splits


def render(rows: Sequence[Row]) -> str:
    """Returns rows as the text of a TSV file with a header."""
    return "".join("\t".join(row) + "\n" for row in [("text", "domain", "label"), *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or with --check returns 1 where one is not current."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the files are current")
    check = parser.parse_args(arguments).check
    for split, rows in make_sample().items():
        file = SAMPLE_FOLDER / f"{split}.tsv"
        if check:
            if not file.is_file() or file.read_text(encoding="utf-8") != render(rows):
                print(f"{file}: not what this script makes; run it without --check", file=sys.stderr)
                return 1
            continue
        with replacing(file) as part:
            part.write_text(render(rows), encoding="utf-8")
        print(f"{file}: {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
