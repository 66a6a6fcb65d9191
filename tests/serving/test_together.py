"""Small requests that wait for each other are answered together; organisations take turns, and errors stay apart."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from fivefold.serving.responses import ApiError
from fivefold.serving.together import SharedLane

OURS, THEIRS = 1, 2


class Work:
    """Notes what was answered together, and holds its threads until it is let go."""

    def __init__(self, *errors: str) -> None:
        self.ran: list[list[str]] = []
        self.gate, self.is_taken = threading.Event(), threading.Event()
        self.errors = errors

    def answer(self, items: Sequence[str]) -> Iterator[tuple[int, str | BaseException]]:
        self.is_taken.set()
        assert self.gate.wait(60)
        self.ran.append(list(items))
        for place, item in enumerate(items):
            if item == "ends":
                raise RuntimeError("nobody behind it gets an answer")
            yield place, ValueError(item) if item in self.errors else item.upper()


def lane(work: Work, most: int = 10, waiting_each: int = 4, waiting: int = 6) -> SharedLane[str, str]:
    return SharedLane("test", 1, work.answer, most=most, waiting_each=waiting_each, waiting=waiting)


async def begun(lane: SharedLane[str, str], organisation: int, *items: str) -> list["asyncio.Task[str]"]:
    tasks = [asyncio.create_task(lane.run(organisation, item)) for item in items]
    await asyncio.sleep(0)  # each runs up to where it waits for its answer
    return tasks


async def under_way(lane: SharedLane[str, str], work: Work) -> list["asyncio.Task[str]"]:
    """Send a first request, and wait until a thread has taken it: what comes now waits for the next turn."""
    tasks = await begun(lane, OURS, "first")
    assert await asyncio.to_thread(work.is_taken.wait, 60)
    return tasks


def answered(work: Work, *asked: tuple[int, tuple[str, ...]], **bounds: int) -> list[str | BaseException]:
    """Send a first request, then others while it is under way; give what each got."""

    async def ask() -> list[str | BaseException]:
        one = lane(work, **bounds)
        tasks = await under_way(one, work)
        for organisation, items in asked:
            tasks += await begun(one, organisation, *items)
        work.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(ask())


def test_what_came_meanwhile_is_answered_at_once_each_with_its_own() -> None:
    work = Work()
    assert answered(work, (OURS, ("a", "b", "c"))) == ["FIRST", "A", "B", "C"]
    assert work.ran == [["first"], ["a", "b", "c"]]


def test_more_than_are_answered_at_once_come_behind_another_organisation() -> None:
    work = Work()
    assert answered(work, (OURS, ("a", "b", "c")), (THEIRS, ("x",)), most=2) == ["FIRST", "A", "B", "C", "X"]
    assert sorted(work.ran[1:3]) == [["a", "b"], ["x"]]
    assert work.ran[3:] == [["c"]]


def test_an_error_is_that_of_its_own_request() -> None:
    first, one, other = answered(Work("a"), (OURS, ("a", "b")))
    assert (first, other) == ("FIRST", "B")
    assert isinstance(one, ValueError)


def test_an_error_of_all_comes_to_those_without_an_answer_and_the_next_ones_are_answered() -> None:
    work = Work()
    found = answered(work, (OURS, ("a", "ends", "b")))
    assert [type(each) for each in found] == [str, str, RuntimeError, RuntimeError]
    assert answered(work, (OURS, ("b",))) == ["FIRST", "B"]


@pytest.mark.parametrize(("asked", "status"), [([(OURS, "abcde")], 429), ([(OURS, "abc"), (THEIRS, "wxyz")], 503)])
def test_too_many_are_refused(asked: list[tuple[int, str]], status: int) -> None:
    *taken, refused = answered(Work(), *((organisation, tuple(items)) for organisation, items in asked))
    assert all(isinstance(each, str) for each in taken)
    assert isinstance(refused, ApiError)
    assert (refused.status, refused.headers["Retry-After"]) == (status, "2")


def test_who_went_away_is_left_out() -> None:
    work = Work()

    async def ask() -> list[str | BaseException]:
        one = lane(work)
        tasks = [*await under_way(one, work), *await begun(one, OURS, "a", "b")]
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        work.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(ask())
    assert (found[0], found[2]) == ("FIRST", "B")
    assert work.ran == [["first"], ["b"]]
