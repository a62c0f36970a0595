"""A trial: a problem that somebody reported of a comparable tool, and what EasyMFT is expected to do with its like."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from compatibility.project import Project


class Bench:
    """Gives a trial its projects, in a folder of its own.

    Args:
        folder: Where they are made.
        shared: Where projects are that are made once for all trials.
    """

    def __init__(self, folder: Path, shared: Path):
        self.shared = shared
        self._folder, self._made = folder, 0

    def project(self, name: str = "") -> Project:
        """A project in which nothing has run yet."""
        self._made += 1
        return Project(self._folder / (name or f"project{self._made}"))

    def trained(self, name: str = "trained") -> Project:
        """A copy of a project whose run is of meta_tune: one model for all domains."""
        first = Project(self.shared / "trained")
        if not (first.folder / "run" / "run.json").exists():
            first.accept("meta_tune")
        return first.copy(self._folder / name)


class Trial(NamedTuple):
    """What is tried.

    Attributes:
        name: How it is called on the command line.
        link: The report; "" where it is a neighbour of others that nobody is known to have reported.
        tried: What is tried, in our words.
        expected: What EasyMFT shall do.
        run: Does it; returns what EasyMFT did in one line, or raises Surprise.
    """

    name: str
    link: str
    tried: str
    expected: str
    run: Callable[[Bench], str]


def trial(link: str, tried: str, expected: str) -> Callable[[Callable[[Bench], str]], Trial]:
    """Makes a Trial of a function, which is called as the function is; a link of github.com may be cut there."""
    address = f"https://github.com/{link}" if link and not link.startswith("https://") else link
    return lambda run: Trial(run.__name__.replace("_", "-"), address, tried, expected, run)
