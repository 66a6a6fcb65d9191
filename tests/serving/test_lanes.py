"""Threads that organisations share fairly, and what becomes of those for whom there is no room."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from fivefold.serving.lanes import BodyMemory, Lane, PendingBodies
from fivefold.serving.responses import ApiError
from fivefold.serving.v1.dispatch import LANES
from fivefold.serving.v1.route import Work as KindOfWork

OURS, THEIRS = 1, 2


class Work:
    """Notes who ran, and holds its threads until it is let go."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.gate = threading.Event()

    def named(self, name: str) -> Callable[[], str]:
        def run() -> str:
            assert self.gate.wait(60)
            self.ran.append(name)
            return name

        return run


def lane(threads: int = 1, each: int = 1, waiting_each: int = 3, waiting: int = 5) -> Lane:
    return Lane("test", threads, each=each, waiting_each=waiting_each, waiting=waiting)


async def begun(lane: Lane, organisation: int, *functions: Callable[[], str]) -> list["asyncio.Task[str]"]:
    tasks = [asyncio.create_task(lane.run(organisation, function)) for function in functions]
    await asyncio.sleep(0)
    return tasks


def test_one_organisations_many_do_not_keep_anothers_one_waiting() -> None:
    work, one = Work(), lane()

    async def ask() -> None:
        ours = await begun(one, OURS, *(work.named(f"ours {number}") for number in range(4)))
        theirs = await begun(one, THEIRS, work.named("theirs"))
        work.gate.set()
        await asyncio.gather(*ours, *theirs)

    asyncio.run(ask())
    assert work.ran == ["ours 0", "ours 1", "theirs", "ours 2", "ours 3"]


@pytest.mark.parametrize("kind", KindOfWork)
def test_no_request_waits_for_one_slow_request_of_another_organisation(kind: KindOfWork) -> None:
    work = Work()

    async def ask() -> str:
        ours = await begun(LANES[kind], OURS, work.named("ours"))
        found = await asyncio.wait_for(LANES[kind].run(THEIRS, lambda: "theirs"), 5)
        work.gate.set()
        await asyncio.gather(*ours)
        return found

    try:
        assert asyncio.run(ask()) == "theirs"
    finally:
        work.gate.set()


def test_one_organisation_never_has_all_threads() -> None:
    """Three wait for ever; another's request runs all the same."""
    work, two = Work(), lane(threads=2)

    async def ask() -> str:
        ours = await begun(two, OURS, *(work.named("ours") for _ in range(3)))
        found = await asyncio.wait_for(two.run(THEIRS, lambda: "theirs"), 5)
        work.gate.set()
        await asyncio.gather(*ours)
        return found

    assert asyncio.run(ask()) == "theirs"


def test_more_of_one_organisation_than_may_wait_are_refused_and_others_are_not() -> None:
    work, one = Work(), lane()

    async def ask() -> None:
        ours = await begun(one, OURS, *(work.named("ours") for _ in range(4)))
        with pytest.raises(ApiError) as refused:
            await one.run(OURS, work.named("one more"))
        assert refused.value.status == 429
        assert int(refused.value.headers["Retry-After"]) > 0
        theirs = await begun(one, THEIRS, work.named("theirs"))
        work.gate.set()
        await asyncio.gather(*ours, *theirs)

    asyncio.run(ask())


def test_when_all_wait_the_server_is_busy_and_soon_it_is_not() -> None:
    work, one = Work(), lane(waiting=2)

    async def ask() -> None:
        ours = await begun(one, OURS, *(work.named("ours") for _ in range(3)))
        with pytest.raises(ApiError) as refused:
            await one.run(THEIRS, work.named("theirs"))
        assert refused.value.status == 503
        work.gate.set()
        await asyncio.gather(*ours)
        assert await one.run(THEIRS, work.named("theirs")) == "theirs"

    asyncio.run(ask())


def test_a_later_step_of_a_request_that_was_accepted_is_never_refused() -> None:
    work, one = Work(), lane(waiting=3)

    async def ask() -> None:
        ours = await begun(one, OURS, *(work.named("first") for _ in range(4)))
        with pytest.raises(ApiError):
            await one.run(OURS, work.named("new"))
        later = asyncio.create_task(one.run(OURS, work.named("later"), accepted=True))
        await asyncio.sleep(0)
        with pytest.raises(ApiError):
            await one.run(THEIRS, work.named("new"))
        work.gate.set()
        await asyncio.gather(*ours, later)

    asyncio.run(ask())
    assert work.ran == ["first"] * 4 + ["later"]


def test_who_leaves_while_waiting_does_not_run() -> None:
    work, one = Work(), lane()

    async def ask() -> None:
        first, second, third = await begun(one, OURS, *map(work.named, ("first", "second", "third")))
        second.cancel()
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(first, third) == ["first", "third"]

    asyncio.run(ask())
    assert work.ran == ["first", "third"]


def test_who_leaves_while_running_holds_its_thread_to_the_end() -> None:
    work, one = Work(), lane()

    async def ask() -> None:
        (first,) = await begun(one, OURS, work.named("first"))
        await asyncio.sleep(0.05)
        first.cancel()
        (second,) = await begun(one, THEIRS, work.named("second"))
        await asyncio.sleep(0.05)
        assert work.ran == []
        work.gate.set()
        await second

    asyncio.run(ask())
    assert work.ran == ["first", "second"]


def test_an_error_reaches_who_asked_and_the_thread_goes_on() -> None:
    one = lane()

    def broken() -> str:
        raise KeyError("no")

    async def ask() -> str:
        with pytest.raises(KeyError):
            await one.run(OURS, broken)
        return await one.run(OURS, lambda: "yes")

    assert asyncio.run(ask()) == "yes"


def test_bodies_are_held_up_to_a_limit_each_and_in_all() -> None:
    room = BodyMemory(100, 60)
    with room.reserving_for(OURS) as ours, room.reserving_for(THEIRS) as theirs:
        ours(60)
        with pytest.raises(ApiError) as refused:
            ours(1)
        assert refused.value.status == 429
        theirs(40)
        with pytest.raises(ApiError) as refused:
            theirs(1)
        assert refused.value.status == 503
    with room.reserving_for(THEIRS) as theirs:
        theirs(60)


def test_what_a_request_reserved_is_there_for_the_next_even_if_more_was_refused() -> None:
    room = BodyMemory(100, 60)
    for _ in range(2):
        with room.reserving_for(OURS) as ours:
            ours(60)
            with pytest.raises(ApiError):
                ours(1)


def test_a_body_counts_until_it_is_there_and_a_refused_one_does_not() -> None:
    pending = PendingBodies(lambda: 2)
    for _ in range(2):
        with pending.awaited_from("one"), pending.awaited_from("one"), pending.awaited_from("other"):
            for _ in range(2):
                with pytest.raises(ApiError) as refused, pending.awaited_from("one"):
                    pass
                assert refused.value.status == 503
