"""Items that are done each for itself: one that fails holds up none, and a database that fails holds up nobody long."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from fivefold.domain.errors import LockedError, StoreError
from fivefold.store.sql.database import open_database, writing
from fivefold.usecases.unexpected import do_each


def failing(done: list[int], error: Callable[[], Exception]) -> Callable[[int], int]:
    """Fail at the first item, and note each."""

    def do(item: int) -> int:
        done.append(item)
        if item == 1:
            raise error()
        return item

    return do


def out_of_reach() -> StoreError:
    """An error of a host that does not answer."""
    error = StoreError("the database cannot be reached")
    error.__cause__ = OperationalError(None, None, psycopg.OperationalError("timeout expired"))  # type: ignore[arg-type]  # nothing was asked yet
    return error


@pytest.mark.parametrize("error", [lambda: LockedError("a row is locked"), lambda: ValueError("a bad one")])
def test_one_that_fails_holds_up_none_behind_it(error: Callable[[], Exception]) -> None:
    done: list[int] = []
    with pytest.raises((LockedError, ValueError)):
        do_each([1, 2, 3], failing(done, error))
    assert done == [1, 2, 3]


def test_a_database_out_of_reach_is_asked_once() -> None:
    done: list[int] = []
    with pytest.raises(StoreError):
        do_each([1, 2, 3], failing(done, out_of_reach))
    assert done == [1]


def test_a_locked_file_is_waited_for_once(tmp_path: Path) -> None:
    engine, done = open_database(f"sqlite:///{tmp_path / 'a.db'}"), list[int]()
    with engine.connect():
        pass

    def write(item: int) -> None:
        done.append(item)
        with writing(engine, busy_seconds=0.05):
            pass

    with sqlite3.connect(tmp_path / "a.db") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockedError):
            do_each([1, 2, 3], write)
    engine.dispose()
    assert done == [1]
