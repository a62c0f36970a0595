"""The .review files of the Multi-Domain Sentiment Dataset: like XML, but with raw & and < and in mixed encodings.

A file is a sequence of

    <review>
    <unique_id>
    0785758968:a_title:a_reviewer
    </unique_id>
    <rating>
    5.0
    </rating>
    <title>
    A title
    </title>
    <review_text>
    A text of some lines.
    </review_text>
    </review>

with more fields that are not used. <review> and </review> stand on lines of their own; a field may stand on one line.
"""

import re
from collections.abc import Iterable, Iterator
from html import unescape
from html.entities import html5

from prepare_common import Log, Record, clean_text, has_control_characters
from prepare_splits import fingerprint, normalise

from easymft.data.bad_rows import shown

LABEL_OF_FILE = {"positive.review": "POS", "negative.review": "NEG"}
_NEEDED = ("rating", "title", "review_text")
_FIELD = re.compile(r"<(\w+)>(.*?)</\1>", re.DOTALL)
_ENTITY = re.compile(r"&(#[0-9]+;|#[xX][0-9a-fA-F]+;|[A-Za-z][A-Za-z0-9]*;)")
_LINE_BREAK_TAG = re.compile(r"<br\s*/?>", re.IGNORECASE)


def read_reviews(lines: Iterable[bytes], file: str, domain: str, seed: int, log: Log) -> Iterator[Record]:
    """Yields the reviews of a file with their labels, and logs all that are left out or odd.

    Args:
        lines: Of the file.
        file: Its name in the source; one of LABEL_OF_FILE says what its reviews should be.
        domain: Of its reviews.
        seed: Of the fingerprints.
        log: Counts and lists.

    Raises:
        DataError: A record is broken, and `log.bad_rows` is "stop".
    """
    number = 0
    for number, block, problem in iter_blocks(lines):
        log.read[file] += 1
        decoded = [decode(line) for line in block]
        text = "".join(line for line, _ in decoded)
        fields, wrong = ({}, problem) if problem else read_fields(text)
        record = Record(file, number, fields.get("unique_id", ""), domain)
        rating = None if wrong else read_rating(fields["rating"])
        if wrong or rating is None:
            log.bad(record, wrong or f"<rating> is {shown(fields['rating'])}, expected a number from 1 to 5")
            continue
        if rating == 3:
            log.drop(record, "rating 3")
            continue
        title, body = (clean_text(resolve_markup(fields[tag])) for tag in ("title", "review_text"))
        label = "POS" if rating > 3 else "NEG"
        texts = (f"{title}. {body}" if title else body,)
        record = Record(file, number, record.name, domain, label, texts, fingerprint(texts, seed))
        if not normalise(body):
            log.drop(record, "text without a letter or digit", shown(body))
            continue
        _note_what_is_odd(record, rating, fields, all(is_utf8 for _, is_utf8 in decoded), log)
        yield record
    if not number:
        log.read[file] += 1
        log.bad(Record(file, 1, "", domain), "no review, expected <review>")


def _note_what_is_odd(record: Record, rating: float, fields: dict[str, str], is_utf8: bool, log: Log) -> None:
    expected = LABEL_OF_FILE.get(record.file.rpartition("/")[2], record.label)
    if record.label != expected:
        log.note(record, "rating disagrees with the file's name, and decides", f"rating {rating:g}")
    if not is_utf8:
        log.note(record, "not UTF-8, read as Windows-1252")
    if any(has_control_characters(resolve_markup(fields[tag])) for tag in ("title", "review_text")):
        log.note(record, "control characters replaced by spaces")


def iter_blocks(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes], str]]:
    """Yields the first line's number of each review, the lines between its tags, and what is wrong with it or ""."""
    start, block, outside = 0, [], False
    for number, line in enumerate(lines, 1):
        word = line.strip()
        if word == b"<review>":
            if start:
                yield start, block, f"<review> is not closed before the one in line {number}, expected </review>"
            start, block, outside = number, [], False
        elif word == b"</review>" and start:
            yield start, block, ""
            start = 0
        elif start:
            block.append(line)
        elif word and not outside:
            outside = True  # told once, however many lines there are
            yield number, [], f"{shown(decode(word)[0])} stands outside of a review, expected <review>"
    if start:
        yield start, block, "<review> is not closed before the end of the file, expected </review>"


def decode(line: bytes) -> tuple[str, bool]:
    """Decodes a line as UTF-8, else as Windows-1252 (Latin-1 with quotes); the flag tells whether it was UTF-8."""
    try:
        return line.decode("utf-8"), True
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace"), False


def read_fields(text: str) -> tuple[dict[str, str], str]:
    """Returns the fields of a review by their tags, and what is wrong with it or ""."""
    fields: dict[str, str] = {}
    for tag, value in _FIELD.findall(text):
        if tag in _NEEDED and tag in fields:
            return fields, f"a second <{tag}>, expected one"
        if tag != "unique_id" or not fields.get(tag) or fields[tag].isdigit():  # there may be one that is only a number
            fields[tag] = clean_text(value) if tag in ("unique_id", "rating") else value
    for tag in _NEEDED:
        if tag not in fields:
            found = f"<{tag}> is not closed" if f"<{tag}>" in text else f"no <{tag}>"
            return fields, f"{found}, expected <{tag}> and </{tag}>"
    return fields, ""


def read_rating(word: str) -> float | None:
    """The number of stars; None where `word` is no number from 1 to 5."""
    try:
        rating = float(word)
    except ValueError:
        return None
    return rating if 1 <= rating <= 5 else None


def resolve_markup(text: str) -> str:
    """Resolves HTML entities that end in a semicolon, also if escaped twice, and <br>; a raw & or < stays."""
    while (resolved := _ENTITY.sub(_resolve, text)) != text:
        text = resolved
    return _LINE_BREAK_TAG.sub(" ", text)


def _resolve(found: re.Match[str]) -> str:
    return unescape(found[0]) if found[1].startswith("#") else html5.get(found[1], found[0])
