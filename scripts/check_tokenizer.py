"""Compares EasyMFT's token ids with those of Hugging Face's `tokenizers` (pip install tokenizers) on your own texts.

Usage:
    python scripts/check_tokenizer.py --vocabulary bert/vocab.txt --files reviews.tsv
    python scripts/check_tokenizer.py --vocabulary bert --files nli.tsv --pair_column 1 --show 20

Exit code 0: no text differs but for characters that the two treat differently by themselves, which are listed.
"""

import argparse
import collections
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import SkippedRows
from easymft.data.reading import read_examples
from easymft.data.text_preprocessor import TextPreprocessor
from easymft.data.vocabulary import Vocabulary
from easymft.errors import EasyMFTError
from easymft.model_zoo.tokenizer_files import read_vocabulary

Ids = list[int]


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--vocabulary", required=True, help="A vocab.txt, or a folder with a tokenizer's files.")
    parser.add_argument("--cased", action="store_true", help="Do not lower-case (with a vocab.txt).")
    parser.add_argument("--files", required=True, nargs="+", help="TSV, CSV, JSON Lines or Parquet; globs.")
    parser.add_argument("--text_column", default="0", help="A number from 0, or a name.")
    parser.add_argument("--pair_column", help="The second text of pairs: a number or a name.")
    parser.add_argument("--pair_with_next", action="store_true", help="Make pairs of each text and the one after it.")
    parser.add_argument("--header", action="store_true", help="The first line holds the columns' names.")
    parser.add_argument("--max_sequence_length", type=int, default=128)
    parser.add_argument("--show", type=int, default=10, help="Differing texts to print.")
    return parser.parse_args(arguments)


def read_texts(options: argparse.Namespace) -> Iterator[tuple[list[str], list[str] | None]]:
    """Yields chunks of texts, and of second texts where there are any."""

    def column(value: str | None) -> int | str | None:
        return int(value) if value is not None and value.isdigit() else value

    columns = {"text": column(options.text_column), "text_pair": column(options.pair_column)}
    data = DataConfig.model_validate({"columns": columns, "header": options.header or None, "bad_rows": "skip"})
    pair = options.pair_column is not None
    with SkippedRows(None) as skipped:
        for batch in read_examples(options.files, data, pair=pair, need_label=False, skipped_rows=skipped):
            if options.pair_with_next:
                yield batch.text, [*batch.text[1:], batch.text[0]]
            else:
                yield batch.text, batch.text_pair
    if skipped.count:
        print(f"{skipped.count} bad rows were left out.")


class Peer:
    """Both tokenizers, with one vocabulary and one maximum length."""

    def __init__(self, vocabulary: Vocabulary, max_sequence_length: int):
        """Builds them.

        Raises:
            ImportError: `tokenizers` is not installed.
        """
        from tokenizers import AddedToken
        from tokenizers.implementations import BertWordPieceTokenizer

        self.own = TextPreprocessor(vocabulary, max_sequence_length)
        self.reference = BertWordPieceTokenizer(
            {token: place for place, token in enumerate(vocabulary.wordpiece_tokens)},
            lowercase=vocabulary.lower_case,
            strip_accents=vocabulary.strip_accents,
            handle_chinese_chars=vocabulary.tokenize_chinese_chars,
        )
        for token in vocabulary.added_tokens:
            self.reference.add_tokens([AddedToken(token.content, normalized=token.normalized)])
        self.reference.enable_truncation(max_sequence_length, strategy="longest_first")

    def rows(self, text: list[str], text_pair: list[str] | None) -> Iterator[tuple[Ids, Ids, Ids, Ids]]:
        """Yields ids and type ids of EasyMFT, then of the reference, row by row."""
        encoded = self.reference.encode_batch(text if text_pair is None else list(zip(text, text_pair, strict=True)))
        ids, types = self.own.tokenize(text, text_pair)
        for own_ids, own_types, expected in zip(ids.to_list(), types.to_list(), encoded, strict=True):
            yield own_ids, own_types, expected.ids, expected.type_ids

    def reason(self, text: str) -> str:
        """Returns the characters of `text` that the two treat differently when they stand alone within a word."""
        candidates = sorted({character for character in text if not character.isascii()})
        probes = [f"a{character}b" for character in candidates]
        differing = [
            f"U+{ord(character):04X} {unicodedata.name(character, '(no name)')}"
            for character, (ids, _, expected, _) in zip(candidates, self.rows(probes, None), strict=True)
            if ids != expected
        ]
        return ", ".join(differing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares, prints the outcome, and returns the exit code."""
    options = parse_arguments(arguments)
    if Path(options.vocabulary).is_dir():
        vocabulary = read_vocabulary(Path(options.vocabulary), None, None)
    else:
        vocabulary = Vocabulary.from_file(options.vocabulary, lower_case=not options.cased)
    peer = Peer(vocabulary, options.max_sequence_length)
    total = equal = cut = shown = 0
    reasons: collections.Counter[str] = collections.Counter()
    for text, text_pair in read_texts(options):
        for place, (ids, types, expected, expected_types) in enumerate(peer.rows(text, text_pair)):
            total += 1
            cut += len(expected) == options.max_sequence_length
            if ids == expected and types == expected_types:
                equal += 1
                continue
            whole = text[place] + (f" ||| {text_pair[place]}" if text_pair else "")
            reason = peer.reason(whole) or "unexplained"
            reasons[reason] += 1
            if shown < options.show:
                shown += 1
                print(f"{whole[:300]}\n  reason:    {reason}\n  EasyMFT:   {ids}\n  reference: {expected}")
    print(f"{total} texts, {cut} of full length ({options.max_sequence_length} tokens), {equal} equal.")
    print(f"{total - equal} different" + ":" * (total > equal))
    for reason, count in reasons.most_common():
        print(f"  {count} x {reason}")
    return 1 if reasons["unexplained"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EasyMFTError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except ImportError as error:
        print(f"{error}: the comparison needs `pip install tokenizers`.", file=sys.stderr)
        sys.exit(2)
