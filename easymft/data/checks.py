"""Checks the values of one field of an example; each check reports what is wrong and returns usable values."""

import difflib
import math
import re
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

import numpy as np

from easymft.config.section import composed
from easymft.data.bad_rows import shown
from easymft.data.jsonl import json_type

# Called with the index of a bad row among the values, its value, and what is wrong.
Report = Callable[[int, Any, str], None]

# Called with a kind of noteworthy thing about the values of a column, and what to say, as often as there is one.
Tell = Callable[[str, str], None]

LONGEST_NAME = 200  # characters of a label or domain
_SUGGESTIONS = 20
# Anything but white space, control characters and marks without a shape, of which no token is made.
_SEEN = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_NAMES_SHOWN = 20
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def _tell_nobody(kind: str, text: str) -> None:
    """For columns about which nothing is noteworthy."""


def check_texts(values: list[Any], field: str, strip: bool, report: Report) -> list[str]:
    """Reports values that are no strings, empty, or only white space and what cannot be seen.

    Args:
        values: [n] strings; from JSON or Parquet anything.
        field: "text" or "text_pair".
        strip: Remove white space around them.
        report: Takes what is wrong.

    Returns:
        The [n] texts; bad ones as they may be.
    """
    if not set(map(type, values)) <= {str}:
        for index, value in enumerate(values):
            if not isinstance(value, str):
                report(index, value, f"{field} is of type {json_type(value)} ({shown(value)}), expected a string")
        values = [value if isinstance(value, str) else "-" for value in values]
    stripped = [value.strip() for value in values]
    if not all(map(_SEEN.search, stripped)):
        for index, value in enumerate(stripped):
            if not _SEEN.search(value):
                what = f"only {'what cannot be seen' if value else 'white space'} ({shown(values[index])})"
                what = what if values[index] else "empty"
                report(index, values[index], f"{field} is {what}, expected a text")
    return stripped if strip else values


def _as_names(
    values: list[Any], field: str, strip: bool, may_be_empty: bool, report: Report, tell: Tell
) -> list[str]:
    names = []
    for index, value in enumerate(values):
        name = value if isinstance(value, str) else _number_name(value, tell)
        if name is not None:
            name = name.strip() if strip else name
            names.append(name if name.isascii() else _composed(name, tell))
        elif _is_missing(value) and may_be_empty:
            names.append("")
        else:
            report(index, value, _no_name(value, field))
            names.append("-")
    return names


def _composed(name: str, tell: Tell) -> str:
    same = composed(name)
    if same != name:
        tell(
            "form",
            f"{shown(same)} is also written in another Unicode form (letters and accents apart, as macOS writes them), "
            "which is taken for the same",
        )
    return same


def _number_name(value: Any, tell: Tell) -> str | None:
    """The name that a number or boolean of JSON, Parquet or pandas stands for; None for other values."""
    if isinstance(value, bool):
        tell("boolean", 'booleans are read as the names "true" and "false"')
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        tell("number", f'whole numbers are read without a decimal point, such as {value} as the name "{int(value)}"')
        return str(int(value))
    return None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _no_name(value: Any, field: str) -> str:
    if _is_missing(value):
        return f"{field} is missing ({'null' if value is None else 'NaN'}), expected a name"
    what = f"{field} is of type {json_type(value)} ({shown(value)}), expected a string or whole number"
    if isinstance(value, list) and field == "label":
        what += "; several labels for one text are not supported"
    return what


def check_names(
    values: list[Any],
    field: str,
    known: Collection[str] | None,
    strip: bool,
    may_be_empty: bool,
    report: Report,
    tell: Tell = _tell_nobody,
) -> list[str]:
    """Reports labels or domains that are empty, too long, unknown, or have white space around them.

    Args:
        values: [n] strings; from JSON or Parquet whole numbers and booleans too, or anything.
        field: "label" or "domain".
        known: The names that may occur, composed (NFC); None: any.
        strip: Remove white space around them.
        may_be_empty: Empty, null or NaN is fine.
        report: Takes what is wrong.
        tell: Takes what is noteworthy: names that are read from values that are none, or in another Unicode form.

    Returns:
        The [n] names, composed; bad ones as they may be, empty ones as "".
    """
    wrong_type: set[int] = set()

    def report_type(index: int, value: Any, problem: str) -> None:
        wrong_type.add(index)
        report(index, value, problem)

    names = _as_names(values, field, strip, may_be_empty, report_type, tell)
    problems: dict[str, str] = {}
    bad = 0
    for name in dict.fromkeys(names):
        # To look for the nearest name takes time, and who has many unknown ones is not helped by it.
        problems[name] = _name_problem(name, field, known, may_be_empty, suggest=bad < _SUGGESTIONS)
        bad += bool(problems[name])
    if bad:
        for index, name in enumerate(names):
            if problems[name] and index not in wrong_type:
                report(index, name, problems[name])
    return names


def _name_problem(
    name: str, field: str, known: Collection[str] | None, may_be_empty: bool, suggest: bool
) -> str:
    expected = "a name" if known is None else _listed(known)
    if not name.strip():
        return "" if not name and may_be_empty else f"{field} is empty ({name!r}), expected {expected}"
    if known is not None and name in known:
        return ""
    if len(name) > LONGEST_NAME:
        return (
            f"{field} has {len(name)} characters ({shown(name[:LONGEST_NAME])}), expected a name of at most "
            f"{LONGEST_NAME}; is this the column of the texts?"
        )
    if name != name.strip():
        return (
            f"{field} {shown(name)} has white space around it, expected {expected}; "
            "to remove it set data.strip_whitespace: true"
        )
    if known is None:
        return ""
    nearest = _nearest(name, known) if suggest else None
    return f"unknown {field} {shown(name)}, expected {expected}" + (f"; did you mean {nearest!r}?" if nearest else "")


def _listed(names: Collection[str]) -> str:
    listed = ", ".join(list(names)[:_NAMES_SHOWN])
    return f"one of {listed}" + (f", ... ({len(names)} in all)" if len(names) > _NAMES_SHOWN else "")


def _nearest(name: str, known: Collection[str]) -> str | None:
    folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def check_ids(values: list[Any], report: Report) -> list[str]:
    """Reports ids that are neither strings nor integers; returns them as [n] strings."""
    return _as_names(values, "id", False, False, report, _tell_nobody)


def check_numbers(values: list[Any], field: str, lowest: float | None, report: Report) -> np.ndarray:
    """Reports values that are no finite numbers, or below `lowest`.

    Args:
        values: [n] strings (from TSV and CSV) or anything (from JSON and Parquet).
        field: "weight" or "typicality".
        lowest: The least number that is fine; None: any.
        report: Takes what is wrong.

    Returns:
        [n] float32; 1 where bad.
    """
    numbers = np.ones(len(values), np.float32)
    expected = "a finite number" if lowest is None else f"a finite number of at least {lowest:g}"
    for index, value in enumerate(values):
        number = _to_float(value)
        if value is None or (isinstance(value, str) and not value.strip()):
            report(index, value, f"{field} is empty, expected {expected}")
        elif number is None:
            report(index, value, f"{field} {shown(value)} is not a number, expected {expected}")
        # A comparison with NaN is false.
        elif not abs(number) <= _FLOAT32_MAX or (lowest is not None and number < lowest):
            report(index, value, f"{field} is {value}, expected {expected}")
        else:
            numbers[index] = number
    return numbers


def _to_float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        # Python reads "1_000" too, which no other program writes.
        return None if isinstance(value, str) and "_" in value else float(value)
    except (ValueError, OverflowError):
        return None
