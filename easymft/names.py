"""Names of domains and classes as pictures and tables show them: on one line, and no longer than they can lay out."""

from collections import Counter
from collections.abc import Iterable

from rich.cells import cell_len

NAME_WIDTH = 40  # characters, those of Chinese and the like twice
_CUT = "…"


def cut_name(name: str, width: int = NAME_WIDTH) -> str:
    """A name on one line; of one that is wider than `width` the beginning, with an ellipsis."""
    line = " ".join(name[: 4 * width].split())  # the end of a long one is not looked at
    if len(name) <= 4 * width and cell_len(line) <= width:
        return line
    return _fitting(line, width - 1).rstrip() + _CUT


def cut_names(names: Iterable[str], width: int = NAME_WIDTH) -> dict[str, str]:
    """Names as `cut_name` gives them, each different from all others.

    Args:
        names: Any number.
        width: As in `cut_name`.

    Returns:
        Name -> what to show: of those that begin alike, beginning and end, and where these are alike too, a number.
    """
    shown = {name: cut_name(name, width) for name in names}
    for shorten in (_with_end, None):
        counts = Counter(shown.values())
        alike = [name for name, text in shown.items() if counts[text] > 1 and text != name]
        for number, name in enumerate(alike, start=1):
            if shorten is not None:
                shown[name] = shorten(name, width)
            else:
                mark = f"{_CUT}#{number}"
                shown[name] = _fitting(cut_name(name, width), width - len(mark)) + mark
    return shown


def _with_end(name: str, width: int) -> str:
    tail = width // 3
    end = " ".join(name[-4 * tail :].split())
    while cell_len(end) > tail:
        end = end[1:]
    return _fitting(" ".join(name[: 4 * width].split()), width - tail - 1).rstrip() + _CUT + end.lstrip()


def _fitting(line: str, width: int) -> str:
    line = line[:width]
    while cell_len(line) > width:
        line = line[:-1]
    return line
