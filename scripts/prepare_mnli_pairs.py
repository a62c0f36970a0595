"""The .jsonl files of MultiNLI 1.0: one JSON object in a line, with two sentences, their genre and a gold label."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from prepare_common import Log, Record, clean_text
from prepare_splits import fingerprint, normalise

from easymft.data.bad_rows import shown

LABELS = ("entailment", "neutral", "contradiction")


def read_pairs(lines: Iterable[bytes], file: str, seed: int, log: Log) -> Iterator[Record]:
    """Yields the pairs of a file that have a label, and logs all others.

    Args:
        lines: Of the file.
        file: Its name in the source.
        seed: Of the fingerprints.
        log: Counts and lists.

    Raises:
        DataError: A record is broken, and `log.bad_rows` is "stop".
    """
    for number, line in enumerate(lines, 1):
        log.read[file] += 1
        found, problem = parse(line)
        name, domain, label = (clean_text(str(found.get(key, ""))) for key in ("pairID", "genre", "gold_label"))
        record = Record(file, number, name, sys.intern(domain), sys.intern(label))
        if problem:
            log.bad(Record(file, number, "", ""), problem)
        elif label == "-":
            log.drop(record, "no gold label")
        elif not all(normalise(found[key]) for key in ("sentence1", "sentence2")):
            log.drop(record, "text without a letter or digit", shown(found["sentence1"]) + shown(found["sentence2"]))
        else:
            texts = (clean_text(found["sentence1"]), clean_text(found["sentence2"]))
            group = fingerprint((str(found["promptID"]), "prompt"), seed)
            yield Record(file, number, name, record.domain, record.label, texts, fingerprint(texts, seed), group)


def parse(line: bytes) -> tuple[dict[str, Any], str]:
    """Returns the object in a line, and what is wrong with it or ""."""
    try:
        found = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return {}, f"byte {line[error.start]:#04x} at {error.start} is no UTF-8"
    except (ValueError, RecursionError) as error:
        start = shown(line.decode("utf-8").strip())
        return {}, f"{start} is no JSON ({error}), expected an object"
    if not isinstance(found, dict):
        return {}, f"{shown(found)}, expected an object"
    for key in ("sentence1", "sentence2", "genre", "gold_label", "promptID", "pairID"):
        value = found.get(key)
        if not (isinstance(value, str) or (key.endswith("ID") and type(value) is int)):
            return {}, f"{key} is {shown(value) if key in found else 'missing'}, expected text"
    if found["gold_label"] not in (*LABELS, "-"):
        return {}, f"gold_label is {shown(found['gold_label'])}, expected {', '.join(LABELS)} or -"
    if not found["genre"].strip():
        return {}, f"genre is {shown(found['genre'])}, expected a name"
    return found, ""
