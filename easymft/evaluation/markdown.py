"""Text and rows of tables in Markdown."""

from collections.abc import Iterable

_ESCAPED = str.maketrans({mark: "\\" + mark for mark in "\\|`*_[]#~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def escape_markdown(text: str) -> str:
    """Returns `text` so that Markdown shows it as it is, also inside a table."""
    return text.translate(_ESCAPED)


def markdown_row(cells: Iterable[str]) -> str:
    """A row of a table; the cells are Markdown already."""
    return f"| {' | '.join(cells)} |"
