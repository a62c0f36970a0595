"""Checks the values of one field of an example; each check reports what is wrong and returns usable values."""

import difflib
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from easymft.data.bad_rows import shown
from easymft.data.jsonl import json_type

# Called with the index of a bad row among the values, its value, and what is wrong.
Report = Callable[[int, Any, str], None]

_NAMES_SHOWN = 20
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def check_texts(values: list[Any], field: str, strip: bool, report: Report) -> list[str]:
    """Reports values that are no strings, empty, or only white space.

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
    if not all(stripped):
        for index, value in enumerate(stripped):
            if not value:
                what = f"only white space ({shown(values[index])})" if values[index] else "empty"
                report(index, values[index], f"{field} is {what}, expected a text")
    return stripped if strip else values


def _as_names(values: list[Any], field: str, strip: bool, may_be_empty: bool, report: Report) -> list[str]:
    names = []
    for index, value in enumerate(values):
        if isinstance(value, str):
            names.append(value.strip() if strip else value)
        elif isinstance(value, int) and not isinstance(value, bool):
            names.append(str(value))
        elif value is None and may_be_empty:
            names.append("")
        else:
            report(
                index, value, f"{field} is of type {json_type(value)} ({shown(value)}), expected a string or integer"
            )
            names.append("-")
    return names


def check_names(
    values: list[Any], field: str, known: Collection[str] | None, strip: bool, may_be_empty: bool, report: Report
) -> list[str]:
    """Reports labels or domains that are empty, have white space around them, or are unknown.

    Args:
        values: [n] strings; from JSON or Parquet integers too, which are taken by their digits, or anything.
        field: "label" or "domain".
        known: The names that may occur; None: any.
        strip: Remove white space around them.
        may_be_empty: Empty or null is fine.
        report: Takes what is wrong.

    Returns:
        The [n] names; bad ones as they may be, empty ones as "".
    """
    wrong_type: set[int] = set()

    def report_type(index: int, value: Any, problem: str) -> None:
        wrong_type.add(index)
        report(index, value, problem)

    names = _as_names(values, field, strip, may_be_empty, report_type)
    problems = {name: _name_problem(name, field, known, may_be_empty) for name in set(names)}
    if any(problems.values()):
        for index, name in enumerate(names):
            if problems[name] and index not in wrong_type:
                report(index, name, problems[name])
    return names


def _name_problem(name: str, field: str, known: Collection[str] | None, may_be_empty: bool) -> str:
    expected = "a name" if known is None else _listed(known)
    if not name.strip():
        return "" if not name and may_be_empty else f"{field} is empty ({name!r}), expected {expected}"
    if known is not None and name in known:
        return ""
    if name != name.strip():
        return (
            f"{field} {shown(name)} has white space around it, expected {expected}; "
            "to remove it set data.strip_whitespace: true"
        )
    if known is None:
        return ""
    nearest = _nearest(name, known)
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
    return _as_names(values, "id", False, False, report)


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
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        # Python reads "1_000" too, which no other program writes.
        return None if isinstance(value, str) and "_" in value else float(value)
    except (ValueError, OverflowError):
        return None
