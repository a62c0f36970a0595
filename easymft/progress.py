"""What a person sees: consoles, and progress bars with a name, the time that is left, and a line when they are done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]


_WIDTH_WITHOUT_TERMINAL = 200


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves to the caller what to do when nobody reads on; rich itself would end the process with code 1."""
        raise


def plain_console() -> Console:
    """A console on standard output for tables: as wide as the terminal; where there is none, as they need it."""
    console = _Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


def shown_seconds(seconds: float) -> str:
    """Returns a duration for people: "0.4 s", "42 s", "3 min 10 s", "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def progress_bar(
    name: str, total: int | None, *, show: bool, unit: str = "rows", told: bool = True
) -> Iterator[Advance]:
    """Shows a bar while the block runs; on a terminal alone, so that no log file fills with bars.

    Args:
        name: What is being done, such as "tokenising the train files".
        total: The number of units; None where it is not known.
        show: False: no bar, and nothing is said at the end.
        unit: What is counted.
        told: Print a line when the block has ended well: the name, the count and the time it took.

    Yields:
        A function to call with the number of units done since the last call.
    """
    done, started = 0, time.perf_counter()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,}/{task.total:,} " + unit if total else "{task.completed:,} " + unit),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("left" if total else "", markup=False),
    )
    console = plain_console()
    seen = show and (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, transient=True, expand=True, disable=not seen) as bar:
        task = bar.add_task(name, total=total)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            bar.update(task, completed=done, total=None if total is None else max(total, done))

        yield advance
    if show and told:
        print(f"{name}: {done:,} {unit} in {shown_seconds(time.perf_counter() - started)}", flush=True)
