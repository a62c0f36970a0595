"""Gathers what readers tell as warnings, for a report that has a place for them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gather_notes() -> Iterator[list[str]]:
    """Gives a list that holds, after the block, the texts of the `UserWarning`s in it, each once.

    After an error they are shown as warnings, as are others.
    """
    notes: list[str] = []
    caught: list[warnings.WarningMessage] = []
    told = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield notes
        told = True
    finally:
        for one in caught:
            if not told or not issubclass(one.category, UserWarning):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
            elif str(one.message) not in notes:
                notes.append(str(one.message))
