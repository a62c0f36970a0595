"""What the scripts prepare_*.py share: records, the log of what became of them, cleaning texts, the command line."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from easymft.errors import DataError, EasyMFTError

# Control characters other than tabs and line breaks, halves of surrogate pairs, and byte order marks.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a source.

    Attributes:
        file: Its file's name in the source.
        line: Where it begins, counted from 1.
        name: What the source calls it; "" if nothing.
        domain: Of the record; "" if not known.
        label: Of the record; "" if not known.
        texts: Its cleaned texts, in the order of the columns.
        key: The `fingerprint` of its texts.
        group: What must stay in one split: a fingerprint; b"" where records stand alone.
    """

    file: str
    line: int
    name: str
    domain: str
    label: str = ""
    texts: tuple[str, ...] = ()
    key: bytes = b""
    group: bytes = b""


@dataclass
class Log:
    """What became of every record: read = written + dropped, by domain and label.

    Attributes:
        bad_rows: "stop" raises an error at the first bad record, "skip" drops and lists them.
        read: File -> records.
        dropped: (file, reason, domain, label) -> records.
        noted: (remark, domain, label) -> records that were kept.
        remarks: For each record that was dropped or noted: file, line, name, domain, label, fate, remark, detail.
        files_not_read: Names of files in the source that looked like data.
    """

    bad_rows: str = "stop"
    read: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    noted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    remarks: list[tuple[str, ...]] = field(default_factory=list)
    files_not_read: list[str] = field(default_factory=list)

    def drop(self, record: Record, reason: str, detail: str = "", *, listed: bool = True) -> None:
        """Counts a record that is left out, and lists it unless there is no more to say than the reason."""
        self.dropped[record.file, reason, record.domain, record.label] += 1
        if listed:
            self._remark(record, "dropped", reason, detail)

    def note(self, record: Record, remark: str, detail: str = "") -> None:
        """Lists a record that is kept although there is something about it."""
        self.noted[remark, record.domain, record.label] += 1
        self._remark(record, "kept", remark, detail)

    def bad(self, record: Record, problem: str) -> None:
        """Stops at a record that is not of the format, or drops it.

        Raises:
            DataError: `bad_rows` is "stop".
        """
        if self.bad_rows == "stop":
            raise DataError(f"{record.file}: line {record.line}: {problem} (--bad_rows skip leaves such records out)")
        self.drop(record, "bad record", problem)

    def _remark(self, record: Record, *words: str) -> None:
        place = (record.file, str(record.line), record.name, record.domain, record.label)
        self.remarks.append(tuple(clean_text(word) for word in place + words))


def clean_text(text: str) -> str:
    """Returns `text` on one line: control characters, tabs, line breaks and runs of white space become one space."""
    return " ".join(_CONTROL.sub(" ", text).split())


def has_control_characters(text: str) -> bool:
    """Whether there are characters that are no text, other than tabs and line breaks."""
    return _CONTROL.search(text) is not None


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that all of the scripts have."""
    parser.add_argument("--output", required=True, help="folder of the files to write")
    parser.add_argument("--seed", type=int, default=42, help="another one draws other splits (default: 42)")
    parser.add_argument(
        "--bad_rows", choices=("stop", "skip"), default="stop", help="skip: leave broken records out, and list them"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run")


def fraction(word: str) -> float:
    """A command line value: a number between 0 and 1, without them.

    Raises:
        argparse.ArgumentTypeError: It is another one.
    """
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{word!r}, expected a number between 0 and 1")
    return value


def whole_number(word: str) -> int:
    """A command line value: a whole number above 0.

    Raises:
        argparse.ArgumentTypeError: It is another one.
    """
    if not word.isdecimal() or int(word) == 0:
        raise argparse.ArgumentTypeError(f"{word!r}, expected a whole number above 0")
    return int(word)


def run(script: str, work: Callable[[argparse.Namespace], str], arguments: argparse.Namespace) -> int:
    """Does the work of a script and prints what it returns.

    Returns:
        The exit code: 0, or 2 after an error of the user, which is told in one line.
    """
    try:
        print(work(arguments))
    except EasyMFTError as error:
        print(f"{script}: error: {error}", file=sys.stderr)
        return 2
    return 0
