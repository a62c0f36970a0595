"""Makes train.tsv, dev.tsv, test.tsv and mismatched_dev.tsv of sentence pairs from the published MultiNLI 1.0.

The input is multinli_1.0.zip (Williams, Nangia and Bowman, NAACL 2018) or its unpacked folder, with three files .jsonl.
For example:

    python scripts/prepare_mnli.py --input multinli_1.0.zip --output data/mnli

Rows are premise, hypothesis, genre and label, without a header line. The labels of MultiNLI's own test files are not
public, so test.tsv is its matched development set (five genres), mismatched_dev.tsv its mismatched one (five others),
and dev.tsv is held out from its training set. No premise of train.tsv stands in another file, and none of dev.tsv.
report.md counts what was read, written and dropped; remarks.tsv lists what was dropped or is odd. See docs/data.md.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from prepare_common import Log, Record, add_shared_arguments, fraction, run, whole_number
from prepare_mnli_pairs import read_pairs
from prepare_output import check_output, render_report, told, write_output
from prepare_sources import Source, open_source
from prepare_splits import draw_splits, drop_copies, fingerprint

from easymft.errors import DataError

FILE_OF_SPLIT = {
    "train": "multinli_1.0_train.jsonl",
    "test": "multinli_1.0_dev_matched.jsonl",
    "mismatched_dev": "multinli_1.0_dev_mismatched.jsonl",
}
SPLITS = ("train", "dev", "test", "mismatched_dev")

Splits = dict[str, list[Record]]


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="the .zip, or the unpacked folder")
    parser.add_argument(
        "--dev_fraction", type=fraction, default=0.025, help="of each genre's training premises (default: 0.025)"
    )
    parser.add_argument(
        "--rows_per_cell", type=whole_number, help="write at most N rows of each genre and label to train.tsv"
    )
    add_shared_arguments(parser)
    return parser.parse_args(arguments)


def find_files(source: Source) -> dict[str, str]:
    """Finds the file of each published split.

    Returns:
        Split -> file.

    Raises:
        DataError: There is none, or more than one.
    """
    files = {}
    for split, base in FILE_OF_SPLIT.items():
        found = [name for name in source.names if name.rpartition("/")[2] == base]
        if len(found) != 1:
            raise DataError(f"{source.path}: {', '.join(found) or f'no {base}'}, expected one file {base}")
        files[split] = found[0]
    return files


def join_groups(records: Iterable[Record], seed: int) -> dict[bytes, bytes]:
    """Joins the records that share a prompt or a premise.

    Returns:
        The group of a record (its prompt) -> one fingerprint of all prompts and premises it is joined with.
    """
    parent: dict[bytes, bytes] = {}

    def root(one: bytes) -> bytes:
        while (above := parent.setdefault(one, one)) != one:
            parent[one] = one = parent[above]
        return one

    for record in records:
        prompt, premise = root(record.group), root(fingerprint(record.texts[:1], seed))
        parent[max(prompt, premise)] = min(prompt, premise)
    # The root is the least of its members, and dev takes the least: hashed anew, a large group is drawn as often.
    return {record.group: fingerprint([root(record.group).hex()], seed) for record in records}


def split_records(published: Splits, dev_fraction: float, seed: int, log: Log) -> Splits:
    """Holds dev out from the published training records, and drops those whose premise is in a published dev set."""
    taken: dict[bytes, str] = {}
    for split in ("test", "mismatched_dev"):
        for record in published[split]:
            taken.setdefault(fingerprint(record.texts[:1], seed), split)
        keys = Counter(record.key for record in published[split])
        for record in published[split]:
            if keys[record.key] > 1:
                log.note(record, f"copies of a pair in {split}.tsv, kept as published")
    free = []
    for record in drop_copies(published["train"], log):
        split = taken.get(fingerprint(record.texts[:1], seed))
        if split is None:
            free.append(record)
        else:
            log.drop(record, f"premise is in {split}.tsv")
    group_of = join_groups(free, seed)
    drawn = draw_splits(((record.domain, group_of[record.group]) for record in free), {"dev": dev_fraction})
    splits: Splits = {"train": [], "dev": []}
    for record in free:
        splits[drawn.get(group_of[record.group], "train")].append(record)
    return {**splits, "test": published["test"], "mismatched_dev": published["mismatched_dev"]}


def take_subset(records: list[Record], rows_per_cell: int, log: Log) -> list[Record]:
    """Takes the first rows of each genre and label in the order of their keys, and counts the others."""
    taken: Counter[tuple[str, str]] = Counter()
    kept = []
    for record in sorted(records, key=lambda record: record.key):
        taken[record.domain, record.label] += 1
        if taken[record.domain, record.label] <= rows_per_cell:
            kept.append(record)
        else:
            log.drop(record, "beyond --rows_per_cell", listed=False)
    return kept


def prepare(arguments: argparse.Namespace) -> str:
    """Reads the input and writes all files.

    Returns:
        What to tell the user.

    Raises:
        DataError: Input or output are not as they should be.
    """
    check_output(arguments.output, SPLITS, arguments.overwrite)
    log = Log(arguments.bad_rows)
    with open_source(arguments.input) as source:
        published = {
            split: list(read_pairs(source.lines(file), file, arguments.seed, log))
            for split, file in find_files(source).items()
        }
    splits = split_records(published, arguments.dev_fraction, arguments.seed, log)
    if arguments.rows_per_cell:
        splits["train"] = take_subset(splits["train"], arguments.rows_per_cell, log)
    settings = {name: getattr(arguments, name) for name in ("dev_fraction", "rows_per_cell", "seed", "bad_rows")}
    settings["rows_per_cell"] = arguments.rows_per_cell or "all"
    report = render_report("MultiNLI: what became of the records", settings, splits, log)
    write_output(arguments.output, splits, report, log)
    return told(arguments.output, splits, log)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit code."""
    return run("prepare_mnli", prepare, parse_arguments(arguments))


if __name__ == "__main__":
    sys.exit(main())
