"""What it costs to check a token cache each time it is opened: a table of times.

    python scripts/measure_checksums.py --rows 100000

The rows are made up: 40 words each, of the test model's vocabulary.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from easymft.checksums import check_sums, forget_digests, write_sums
from easymft.config.data_section import DataConfig
from easymft.data.label_map import LabelMap
from easymft.data.token_cache import build_token_dataset
from easymft.data.vocabulary import Vocabulary

_VOCABULARY = Path(__file__).parents[1] / "tests" / "golden" / "tiny_bert" / "vocab.txt"


def main() -> None:
    """Makes the cache, and opens it again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vocabulary = Vocabulary.from_file(_VOCABULARY, lower_case=True)
        words = [token for token in vocabulary.tokens if token.isalpha()]
        draw = random.Random(0)
        lines = (f"{' '.join(draw.choices(words, k=40))}\tbooks\t{('neg', 'pos')[n % 2]}\n" for n in range(rows))
        (folder / "rows.tsv").write_text("text\tdomain\tlabel\n" + "".join(lines))
        data = DataConfig(columns={"text": "text", "domain": "domain", "label": "label"}, max_sequence_length=64)

        def build() -> None:
            build_token_dataset(
                [str(folder / "rows.tsv")],
                data,
                pair=False,
                vocabulary=vocabulary,
                labels=LabelMap(("neg", "pos")),
                domains=LabelMap(("books",)),
                cache_folder=folder / "cache",
            )

        print(f"to tokenise {rows:,} rows: {_seconds(build):.2f} s")
        (cache,) = (folder / "cache").iterdir()
        size = sum(file.stat().st_size for file in cache.iterdir())
        for what, run in (("to write the digests", lambda: write_sums(cache)), ("to check", lambda: check_sums(cache))):
            forget_digests()
            print(f"{what}: {_seconds(run):.3f} s for {size / 1e6:.0f} MB")
        forget_digests()
        print(f"to open the cache, with the digest of the rows by which it is found: {_seconds(build):.2f} s")


def _seconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
