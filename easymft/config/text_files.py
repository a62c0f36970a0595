"""Checks of the settings that say how text files are read: encoding and separator."""

import codecs
import difflib
import encodings.aliases
from collections.abc import Iterator

from easymft.config.data_section import DataConfig

_OF_HOST_NAMES = ("idna", "punycode")


def find_text_file_problems(data: DataConfig) -> Iterator[tuple[str, str]]:
    """Yields (path of a setting, what was expected) for those that no text file can be read with."""
    if data.encoding is not None and not _is_encoding(data.encoding):
        known = sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values()})
        near = difflib.get_close_matches(data.encoding.lower().replace("-", "_"), filter(_is_encoding, known), n=1)
        hint = f'did you mean "{near[0]}"?' if near else 'such as "utf-8", "cp1252", "utf-16", "gb18030", "shift_jis"'
        yield "data.encoding", f"null or the name of an encoding that Python knows ({hint})"
    if data.separator is not None and data.separator in '"\r\n':
        yield "data.separator", "null or a character that is no quote and no line end"


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name)  # which those of Python's codecs refuse that turn something else into something else
        codecs.getincrementaldecoder(name)
        return codecs.lookup(name).name not in _OF_HOST_NAMES
    except (LookupError, ValueError):
        return False
