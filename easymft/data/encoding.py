"""Tells how the bytes of a text file are to be read, and yields its lines in UTF-8, in constant memory."""

import codecs
import itertools
import warnings
from collections.abc import Iterator

from easymft.data.bad_rows import Problem, shown
from easymft.data.packing import read_blocks, read_start
from easymft.errors import DataError

HEAD_BYTES = 1 << 18  # of a file, that are looked at before it is read
LONGEST_LINE = 1 << 26
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MANY_NULS = 0.2  # of UTF-16 texts in Latin letters it is half of the bytes
_FEW_SPECIAL = 0.3  # the share of letters beyond ASCII in a text of Western Europe
_NOT_IN_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")


def find_encoding(path: str, head: bytes, configured: str | None) -> str:
    """Returns the encoding of a text file: what a byte order mark says, else `configured`, else UTF-8.

    Args:
        path: The file, for messages.
        head: Its first bytes.
        configured: `data.encoding`.

    Raises:
        DataError: It holds so many zero bytes that it is UTF-16 without a mark, or no text.

    Warns:
        UserWarning: It is of another encoding than one would think.
    """
    wanted = codecs.lookup(configured or "utf-8").name
    for mark, name in _MARKS:
        if head.startswith(mark):
            if name != "utf-8" or wanted not in ("utf-8", "utf-8-sig"):
                though = "" if configured is None else f", though data.encoding is {configured!r}"
                _tell(f"{path}: is read as {name.upper()}, as its first bytes, a byte order mark, say{though}")
            return name
    if configured is None:
        _check_no_nuls(path, head[:4096])
    elif wanted != "utf-8" and not head.isascii() and _is_utf8(head):
        _tell(
            f'{path}: is read as {configured}, as data.encoding says, but looks like UTF-8 ("é" becomes "Ã©"); '
            "data.encoding: null reads UTF-8"
        )
    return wanted


def _tell(text: str) -> None:
    # From here, as Python shows a warning once for each place: a file is looked at, and then read.
    warnings.warn(text, stacklevel=1)


def _check_no_nuls(path: str, start: bytes) -> None:
    even, odd = start[::2].count(0), start[1::2].count(0)
    if even + odd <= _MANY_NULS * len(start):
        return
    if 5 * min(even, odd) < max(even, odd):
        name = "utf-16-le" if odd > even else "utf-16-be"
        raise DataError(
            f'{path}: is UTF-16 without a byte order mark, as its many zero bytes show; set data.encoding: "{name}".'
        )
    raise DataError(f"{path}: holds many zero bytes ({even + odd} of the first {len(start)}), expected a text file.")


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def read_head(path: str, configured: str | None) -> str:
    """Returns the text of a file's first `HEAD_BYTES` bytes, without its last line if that is cut.

    Raises:
        DataError: It cannot be read, or is no text.
    """
    head = read_start(path, HEAD_BYTES)
    text = head.decode(find_encoding(path, head, configured), errors="replace").removeprefix("\ufeff")
    return text if len(head) < HEAD_BYTES or "\n" not in text else text[: text.rindex("\n") + 1]


def iter_lines(path: str, size: int, encoding: str | None = None) -> Iterator[tuple[int, list[bytes]]]:
    r"""Yields the lines of a text file in lists of `size` (the last may be shorter), in constant memory.

    A line ends at `\n`, which is cut off; a byte order mark is dropped.

    Args:
        path: The file; a packed one is unpacked on the way.
        size: Lines per list.
        encoding: `data.encoding`.

    Yields:
        The 1-based number of the list's first line, and the lines in UTF-8. A line that its encoding cannot read is no
        valid UTF-8 either.

    Raises:
        DataError: The file cannot be read, is empty, damaged, no text, or has the line ends of old Macs.
    """
    number, lines, rest = 1, [], b""
    for block in _utf8_blocks(path, encoding):
        *complete, rest = (rest + block).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise DataError(
                f"{path}: line {number + len(lines) + len(complete)} has more than {LONGEST_LINE >> 20} MiB, "
                "expected a text file with a row on each line."
            )
        lines += complete
        while len(lines) > size:
            yield number, lines[:size]
            del lines[:size]
            number += size
    if rest:
        lines.append(rest)
    if not lines and number == 1:
        raise DataError(f"{path}: is empty (0 bytes), expected rows.")
    for start in range(0, len(lines), size):
        yield number + start, lines[start : start + size]


def _utf8_blocks(path: str, configured: str | None) -> Iterator[bytes]:
    blocks = read_blocks(path)
    head = next(blocks, b"")
    encoding = find_encoding(path, head[:HEAD_BYTES], configured)
    blocks = itertools.chain([head], blocks)
    blocks = _without_mark(blocks) if encoding in ("utf-8", "utf-8-sig") else _transcoded(path, blocks, encoding)
    first = next(blocks, b"")
    if b"\n" not in first and b"\r" in first.rstrip(b"\r"):
        raise DataError(
            f"{path}: its lines end as on old Macs (CR alone), expected LF or CR LF; to convert it: "
            f"tr '\\r' '\\n' < {path} > new"
        )
    yield first
    yield from blocks


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield next(blocks, b"").removeprefix(codecs.BOM_UTF8)
    yield from blocks


def _transcoded(path: str, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yields `blocks` in UTF-8; a byte that is no character becomes half a surrogate pair, which UTF-8 refuses."""
    # Of UTF-16 and UTF-32 bytes cannot be left out one by one.
    errors = "strict" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    row = 1
    for block in itertools.chain(blocks, [b""]):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                row += error.object[: error.start].decode(encoding, errors="ignore").count("\n")
            raise DataError(f"{path}: from row {row} on, is not {encoding} throughout ({error}).") from error
        if row == 1:
            text = text.removeprefix("\ufeff")
        row += text.count("\n")
        yield text.encode("utf-8", "surrogatepass")


class LineDecoder:
    """Turns the lines of one file, as `iter_lines` yields them, into texts.

    Args:
        path: The file, for problems.
        encoding: `data.encoding`.
    """

    def __init__(self, path: str, encoding: str | None):
        self._path = path
        self._encoding = encoding
        self._told = False
        self._seen_utf8 = False

    def decode(self, number: int, lines: list[bytes]) -> tuple[list[int], list[str], list[Problem]]:
        """Decodes lines of which the first has the number `number`.

        Returns:
            The numbers of the good lines, the good lines, and the problems of the others.
        """
        try:
            texts = [line.decode() for line in lines]
            self._seen_utf8 = self._seen_utf8 or not all(map(str.isascii, texts))
            return list(range(number, number + len(lines))), texts, []
        except UnicodeDecodeError:
            rows, texts, problems = [], [], []
        for row, line in enumerate(lines, number):
            try:
                texts.append(line.decode())
                rows.append(row)
            except UnicodeDecodeError as error:
                problems.append(self.problem(row, line, error))
            else:
                self._seen_utf8 = self._seen_utf8 or not line.isascii()
        return rows, texts, problems

    def problem(self, row: int, line: bytes, error: UnicodeDecodeError) -> Problem:
        """Returns the problem of a line that cannot be decoded; that of the first such line says what may help."""
        value = line.decode(errors="backslashreplace")
        near = shown(line[max(error.start - 15, 0) : error.start + 15].decode(errors="backslashreplace"))
        if self._encoding is None:
            byte = f"0x{line[error.start]:02x}"
            message = f"byte {error.start + 1} of the line is {byte}, which is not UTF-8 (near {near})"
            message += "" if self._told else self._hint(line)
            self._told = True
        else:
            text = line.decode("utf-8", "surrogatepass")
            at = next((at for at, one in enumerate(text) if "\udc80" <= one <= "\udcff"), 0)
            message = (
                f"character {at + 1} of the line is the byte 0x{ord(text[at]) & 255:02x}, which {self._encoding} "
                "(data.encoding) does not have"
            )
        return Problem(self._path, row, None, value, message)

    def _hint(self, line: bytes) -> str:
        read = line.decode(errors="surrogateescape")
        bad = sum("\udc80" <= one <= "\udcff" for one in read)
        if self._seen_utf8 or sum(not one.isascii() for one in read) > 2 * bad:
            return "; other letters are UTF-8, so mend this row, or set data.bad_rows: skip"
        special = len(line) - len(line.decode("ascii", errors="ignore"))
        letters = special + sum(one.isascii() and one.isalpha() for one in read)
        if special <= max(1, _FEW_SPECIAL * letters) and not _NOT_IN_CP1252.intersection(line):
            return '; it looks like Windows\' cp1252: set data.encoding: "cp1252"'
        return (
            "; set data.encoding to the encoding it has, such as cp1251 (Cyrillic), gb18030 (Chinese), shift_jis "
            "(Japanese) or euc_kr (Korean), which cannot be told apart"
        )
