import threading
from concurrent.futures import Future

import pytest

from easymft.threads import map_ahead


def test_results_come_in_order_from_threads_side_by_side():
    meeting = threading.Barrier(2)

    def meet(number):
        meeting.wait(timeout=20)
        return number * 10

    assert list(map_ahead(meet, range(6), 2)) == [0, 10, 20, 30, 40, 50]


def test_items_are_taken_as_they_are_needed():
    taken = []
    results = map_ahead(str, (taken.append(number) or number for number in range(100)), 3)
    assert taken == []
    assert next(results) == "0" and taken == [0, 1, 2, 3]
    assert next(results) == "1" and taken == [0, 1, 2, 3, 4]


def test_nothing_is_begun_after_an_interruption(monkeypatch):
    begun, go_on = [], threading.Event()

    def run(number):
        begun.append(number)
        assert go_on.wait(timeout=20)

    def interrupt(future):
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupt)
    threading.Timer(0.2, go_on.set).start()
    with pytest.raises(KeyboardInterrupt):
        next(map_ahead(run, range(100), 1))
    assert begun == [0]  # which was waited for; 1 was next


def test_an_error_comes_in_its_place():
    results = map_ahead(lambda number: 1 // number, [1, 2, 0, 3], 2)
    assert [next(results), next(results)] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        next(results)
