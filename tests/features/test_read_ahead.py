"""Reading ahead in a second thread: the same items, with errors passed on, and an end when nobody asks for more."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fivefold.domain.errors import FileFormatError
from fivefold.features.ahead import read_ahead, work_ahead
from fivefold.features.reading import sources
from fivefold.features.reading.sources import stream_histories
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import RATES
from tests.features.reading.test_sources import lay_out, of, streamed
from tests.pace import until


def test_reading_ahead_gives_the_same_items_in_order() -> None:
    assert list(read_ahead(iter(range(1000)))) == list(range(1000))
    assert list(read_ahead([])) == []
    assert list(read_ahead([None, 0, None])) == [None, 0, None]


def test_reading_ahead_passes_an_exception_on_after_what_came_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise FileFormatError("the third cannot be read")

    ahead = read_ahead(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(FileFormatError, match="the third"):
        next(ahead)


def test_reading_ahead_stops_when_it_is_abandoned() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    before = set(threading.enumerate())
    ahead = read_ahead(items())
    assert next(ahead) == 0
    ahead.close()
    until(lambda: set(threading.enumerate()) <= before)
    assert len(made) <= 2


def test_reading_ahead_works_while_the_caller_does() -> None:
    ready = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        ready.set()
        yield 2

    ahead = read_ahead(items())
    assert next(ahead) == 1
    assert ready.wait(60)  # the second is made before it is asked for
    assert list(ahead) == [2]


def test_a_stream_read_ahead_is_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 2)
    path = lay_out(of("aabbbcccd"), [4], tmp_path)
    assert all(map(same, read_ahead(stream_histories(path, RATES)), streamed(path)))


def test_threads_that_work_ahead_give_results_in_order() -> None:
    assert list(work_ahead(lambda number: number * 2, iter(range(100)), 3)) == [number * 2 for number in range(100)]
    assert list(work_ahead(abs, [])) == []


def test_no_more_is_taken_than_threads_work_on() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    ahead = work_ahead(abs, items(), 2)
    assert next(ahead) == 0
    assert taken == [0, 1, 2]
    ahead.close()


def test_an_exception_of_the_work_comes_in_its_turn() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise FileFormatError("the third cannot be made")
        return number

    ahead = work_ahead(work, range(10), 3)
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(FileFormatError, match="the third"):
        next(ahead)
