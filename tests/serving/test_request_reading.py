"""Slow bodies of one token leave connections to the others, however small they are."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.types import Message

from fivefold.serving.http_protocol import GuardedProtocol
from fivefold.serving.request_reading import read_body
from fivefold.serving.responses import ApiError

OURS, THEIRS = 7, 8


def reading(token: int, receive: Callable[[], Awaitable[Message]]) -> Awaitable[bytes]:
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    return read_body(request, token, 1000)


async def at_once() -> Message:
    return {"type": "http.request", "body": b"[]", "more_body": False}


def test_one_tokens_slow_bodies_keep_at_most_half_of_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "most_connections", 4)

    async def story() -> None:
        last_byte = asyncio.Event()

        async def slow() -> Message:
            await last_byte.wait()
            return await at_once()

        waiting = [asyncio.ensure_future(reading(OURS, slow)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as refused:
            await reading(OURS, at_once)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "2"})
        assert await reading(THEIRS, at_once) == b"[]"
        waiting[0].cancel()  # its caller leaves
        await asyncio.wait(waiting[:1])
        assert await reading(OURS, at_once) == b"[]"
        last_byte.set()
        assert await waiting[1] == b"[]"

    asyncio.run(story())
