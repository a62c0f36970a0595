"""Makes train.tsv, dev.tsv and test.tsv of Amazon reviews from the archive of the Multi-Domain Sentiment Dataset.

The input is domain_sentiment_data.tar.gz (Blitzer, Dredze and Pereira, ACL 2007) or its unpacked folder
sorted_data_acl, with a folder for each domain that holds positive.review and negative.review. For example:

    python scripts/prepare_amazon.py --input domain_sentiment_data.tar.gz --output data/amazon

Rows are `title. review`, domain, and POS (more than 3 stars) or NEG (fewer), without a header line. Copies of a text
are dropped, so that none stands in two files. The text and --seed decide which file a review goes to, not its place.
report.md counts what was read, written and dropped; remarks.tsv lists what was dropped or is odd. See docs/data.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

from prepare_amazon_reviews import LABEL_OF_FILE, read_reviews
from prepare_common import Log, Record, add_shared_arguments, fraction, run
from prepare_output import check_output, render_report, told, write_output
from prepare_sources import Source, open_source
from prepare_splits import draw_splits, drop_copies

from easymft.errors import DataError

SPLITS = ("train", "dev", "test")
DOMAIN_OF_FOLDER = {"kitchen_&_housewares": "kitchen"}  # any other folder's name is its domain


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="the .tar.gz, or the unpacked folder")
    parser.add_argument("--domains", nargs="+", help="only these, such as books dvd (default: all that are there)")
    parser.add_argument("--dev_fraction", type=fraction, default=0.1, help="of each domain and label (default: 0.1)")
    parser.add_argument("--test_fraction", type=fraction, default=0.2, help="of each domain and label (default: 0.2)")
    parser.add_argument("--with_unlabeled", action="store_true", help="read unlabeled.review too: it has ratings")
    add_shared_arguments(parser)
    return parser.parse_args(arguments)


def find_files(source: Source, domains: Sequence[str] | None, with_unlabeled: bool) -> tuple[dict[str, str], list[str]]:
    """Finds the files of reviews.

    Returns:
        File -> domain; and the other files that end in .review.

    Raises:
        DataError: There is no domain, or not one that was asked for, or only one of a domain's two files.
    """
    paths = [PurePosixPath(name) for name in source.names if name.endswith(".review")]
    domain_of = {path.parent: DOMAIN_OF_FOLDER.get(path.parent.name, path.parent.name) for path in paths}
    labelled = sorted({path.parent for path in paths if path.name in LABEL_OF_FILE})
    found = sorted({domain_of[folder] for folder in labelled})
    if not found:
        raise DataError(f"{source.path}: no positive.review, expected a folder for each domain that holds one")
    for domain in domains or ():
        if domain not in found:
            raise DataError(f"{source.path}: no domain {domain!r}, expected of --domains: {', '.join(found)}")
    chosen = [folder for folder in labelled if domain_of[folder] in (domains or found)]
    names = [*LABEL_OF_FILE, *(["unlabeled.review"] if with_unlabeled else [])]
    files = {}
    for path in (folder / name for folder in chosen for name in names):
        if path in paths:
            files[str(path)] = domain_of[path.parent]
        elif path.name in LABEL_OF_FILE:
            raise DataError(f"{source.path}: no {path}, expected one beside the file of the other label")
    return files, [str(path) for path in paths if str(path) not in files]


def split_records(records: list[Record], fractions: dict[str, float]) -> dict[str, list[Record]]:
    """Draws fractions of each domain and label for dev and test; the rest is for training."""
    drawn = draw_splits((((record.domain, record.label), record.key) for record in records), fractions)
    splits: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for record in records:
        splits[drawn.get(record.key, "train")].append(record)
    return splits


def prepare(arguments: argparse.Namespace) -> str:
    """Reads the input and writes all files.

    Returns:
        What to tell the user.

    Raises:
        DataError: Input or output are not as they should be.
    """
    fractions = {"test": arguments.test_fraction, "dev": arguments.dev_fraction}
    total = sum(fractions.values())
    if total >= 1:
        raise DataError(f"--dev_fraction and --test_fraction sum up to {total:g}, expected less than 1")
    check_output(arguments.output, SPLITS, arguments.overwrite)
    log, records = Log(arguments.bad_rows), []
    with open_source(arguments.input) as source:
        files, log.files_not_read = find_files(source, arguments.domains, arguments.with_unlabeled)
        for file, domain in files.items():
            records += read_reviews(source.lines(file), file, domain, arguments.seed, log)
    splits = split_records(drop_copies(records, log), fractions)
    settings = {name: getattr(arguments, name) for name in ("dev_fraction", "test_fraction", "seed", "bad_rows")}
    settings["domains"] = sorted(set(files.values()))
    report = render_report("Amazon reviews: what became of the records", settings, splits, log)
    write_output(arguments.output, splits, report, log)
    return told(arguments.output, splits, log)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit code."""
    return run("prepare_amazon", prepare, parse_arguments(arguments))


if __name__ == "__main__":
    sys.exit(main())
