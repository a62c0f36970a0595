"""Work in threads, for what leaves the interpreter's lock: TensorFlow, files."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yields function(item) of each, in their order, while `workers` threads compute the next ones.

    Items are taken as they are needed: at most `workers` beyond the one whose result is yielded. Whoever stops taking
    results waits for what is being computed, and nothing more is begun.
    """
    running: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) > workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
