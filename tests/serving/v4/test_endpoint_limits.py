"""What one request, or several at once, may take of a worker: threads, time and memory."""

import asyncio
import resource
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from fivefold.domain.settings import Limits
from fivefold.serving.lanes import Lane
from fivefold.serving.v4 import endpoint as scoring
from tests.serving.inprocess import SCORING, rows_of, started


class LaneOfFour(Lane):
    """One thread and one place to wait, where work begins once four requests are there."""

    def __init__(self) -> None:
        super().__init__("test", 1, each=1, waiting_each=1, waiting=9)
        self.requests = 0
        self.four_are_there = threading.Event()

    async def run(self, organisation: int, function: Callable[[], Any], *, accepted: bool = False) -> Any:
        self.requests += 1
        if self.requests == 4:
            asyncio.get_running_loop().call_later(0.2, self.four_are_there.set)

        def work() -> Any:
            assert self.four_are_there.wait(60)
            return function()

        return await super().run(organisation, work, accepted=accepted)


def test_large_requests_wait_for_each_other_and_too_many_are_refused(tmp_path: Path) -> None:
    with started(tmp_path, Limits()) as place:
        place.endpoint = replace(place.endpoint, lane=LaneOfFour())
        token, rows = place.token(), rows_of(*map(str, range(scoring.EXPLAINED_IN_LOOP + 1)))

        async def ask() -> list[int]:
            asked = [
                place.asked("POST", SCORING, json=rows, headers={"token": token}, params={"explain": "1"})
                for _ in range(4)
            ]
            answers = await asyncio.gather(*asked)
            assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)
            return sorted(answer.status_code for answer in answers)

        assert asyncio.run(ask()) == [200, 200, 429, 429]
        assert place.usage()[0] == 2


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a million ones": lambda: b"[" + b"1," * 10**6 + b"1]",
    "a million unknown fields": lambda: (
        b'[{"user_id":"a",' + b",".join(b'"k%d":%d' % (n, n) for n in range(10**6)) + b"}]"
    ),
    "a million nested": lambda: b'[{"user_id":"a","x":' + b"[" * 10**6,
    "many values": lambda: b'[{"user_id":"a","x":[' + b"1," * (10**6 * 5) + b"1]}]",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_is_refused_in_no_time_and_little_memory(kind: str, tmp_path: Path) -> None:
    """Each of these froze a worker for seconds, or took gigabytes."""
    body = HOSTILE[kind]()
    with started(tmp_path, Limits()) as place:
        token = place.token()
        place.post(b"[{}]", token)  # loops are compiled
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, process_time()
        answer = place.post(body, token)
        assert answer.status_code in {413, 422}
        assert len(answer.content) < 50_000
        assert process_time() - begun < 2
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_more_customers_than_are_explained_at_once_are_413(tmp_path: Path) -> None:
    with started(tmp_path, Limits(explained=3)) as place:
        token = place.token()
        assert place.post(rows_of(*"abcd"), token).status_code == 200
        answer = place.post(rows_of(*"abcd"), token, explain="true")
        assert (answer.status_code, answer.json()[0]["errors"][0]["problem"]) == (413, "has 4 users")
        assert place.post(rows_of(*"abcabc"), token, explain="true").status_code in {200, 400}
