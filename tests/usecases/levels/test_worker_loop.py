"""Duties: side by side, over and over, none held up by another's failure; and done until nothing is left."""

from collections.abc import Callable
from threading import Event
from time import monotonic

import pytest
from polars.exceptions import PanicException

from fivefold.domain.errors import StoreError
from fivefold.usecases.levels.worker_loop import Duty, finish, perform

LONGEST_SECONDS = 20.0


def counting(times: int, then: Callable[[], None] = lambda: None) -> tuple[list[int], Callable[[], bool]]:
    """Something to do that many times, and what it does after."""
    done: list[int] = []

    def run() -> bool:
        if len(done) < times:
            done.append(len(done))
            return True
        then()
        return False

    return done, run


def test_each_is_done_until_nothing_is_left() -> None:
    few, run_few = counting(2)
    many, run_many = counting(5)
    finish([Duty("few", run_few, 0.01), Duty("many", run_many, 0.01)])
    assert (len(few), len(many)) == (2, 5)


def test_and_goes_on_while_something_is_to_come() -> None:
    asked: list[int] = []

    def until() -> bool:
        asked.append(1)
        return len(asked) == 3

    done, run = counting(1)
    finish([Duty("one", run, 0.01)], until)
    assert (len(done), len(asked)) == (1, 3)


def test_errors_are_raised_where_it_is_done_once() -> None:
    def run() -> bool:
        raise StoreError("gone")

    with pytest.raises(StoreError):
        finish([Duty("bad", run, 0.01)])


@pytest.mark.parametrize(
    "error", [StoreError("the database cannot be reached"), ValueError("a secret"), PanicException("a secret")]
)
def test_one_that_fails_is_tried_again_and_holds_up_no_other(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, failed = Event(), list[int]()
    good, run_good = counting(50)

    def run_bad() -> bool:
        failed.append(1)
        if len(failed) >= 3 and len(good) == 50:
            stop.set()
        raise error

    begun = monotonic()
    perform([Duty("good", run_good, 0.001), Duty("bad", run_bad, 0.001)], stop)
    assert len(good) == 50
    assert len(failed) >= 3
    assert monotonic() - begun < LONGEST_SECONDS
    assert "a secret" not in capsys.readouterr().err


def test_what_goes_on_alongside_is_told_to_stop() -> None:
    stop, ended = Event(), list[bool]()

    def alongside(asked: Event) -> None:
        ended.append(asked.wait(LONGEST_SECONDS))

    _, run = counting(1, stop.set)
    perform([Duty("one", run, 0.001)], stop, alongside)
    assert ended == [True]
