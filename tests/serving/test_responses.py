"""Bodies: answers byte for byte, and slow requests that leave connections to others."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from threading import Event
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message
from structlog.testing import capture_logs

from fivefold.domain.errors import Problem
from fivefold.serving import request_reading
from fivefold.serving import responses as answers
from fivefold.serving.http_protocol import GuardedProtocol
from fivefold.serving.request_reading import read_body, read_body_of_stranger
from fivefold.serving.responses import ARRAY, ApiError, error_response, json_response

PROBLEM = Problem(3, "user_category", "is 'APP'", "API or WEB")


@pytest.mark.parametrize(
    ("status", "text", "body"),
    [
        (400, answers.DATA_NOT_VALID, b'[{"detail":"Data not valid"}]'),
        (401, answers.NO_CREDENTIALS, b'[{"detail":"Could not validate credentials"}]'),
        (405, answers.USER_TYPE, b'[{"detail":"User type not allowed"}]'),
        (
            406,
            answers.TOO_MANY_ROWS,
            b'[{"detail":"the number of observations in the payload exceed the available quote"}]',
        ),
        (422, answers.UNPROCESSABLE, b'[{"detail":"Unprocessable Entity"}]'),
        (
            429,
            answers.USED_UP,
            b'[{"detail":"The maximum monthly number of calls or predictions for your account has been exceeded"}]',
        ),
    ],
)
def test_the_texts_of_the_contract(status: int, text: str, body: bytes) -> None:
    for answer in (error_response(status, text), ApiError(status, text).response()):
        assert (answer.status_code, answer.body) == (status, body)
        assert answer.headers["content-type"] == "application/json"


WORDS = {404: "Not Found", 500: "Internal Server Error", 504: "Gateway Timeout"}


@pytest.mark.parametrize(("status", "text"), WORDS.items())
def test_an_error_without_words_has_those_of_its_status(status: int, text: str) -> None:
    assert error_response(status).body == b'[{"detail":"%s"}]' % text.encode()


def test_problems_are_a_second_key() -> None:
    assert json.loads(error_response(400, "no", [PROBLEM]).body) == [
        {
            "detail": "no",
            "errors": [{"row": 3, "field": "user_category", "problem": "is 'APP'", "allowed": "API or WEB"}],
        }
    ]
    assert error_response(422, "no", []).body == b'[{"detail":"no","errors":[]}]'
    assert json.loads(ApiError(400, "no", [PROBLEM] * 2).response().body)[0]["errors"][1]["row"] == 3


def test_an_array_says_that_it_is_one_and_keeps_its_headers() -> None:
    answer = ApiError(429, "no", headers={"Retry-After": "60"}).response()
    assert {name: answer.headers[name] for name in (ARRAY, "retry-after")} == {ARRAY: "1", "retry-after": "60"}
    assert ARRAY not in json_response([]).headers


def test_what_goes_well_is_json() -> None:
    answer: Response = json_response([{"user_id": "é\u2028😀", "score": 4.35}])
    assert answer.status_code == 200
    assert json.loads(answer.body) == [{"user_id": "é\u2028😀", "score": 4.35}]
    assert answer.headers["content-type"] == "application/json"
    assert answer.body.startswith(b'[{"user_id":"\xc3\xa9')


def test_a_message_may_quote_what_utf_8_cannot_encode() -> None:
    problem = Problem(1, "name", "is '\ud800'", "text")
    body = json.loads(error_response(422, "it is '\ud800'", [problem]).body)
    assert body[0]["detail"] == r"it is '\ud800'"
    assert body[0]["errors"][0]["problem"] == r"is '\ud800'"


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


def strangers_request(host: str, receive: Callable[[], Awaitable[Message]], forwarded: str = "") -> Request:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "client": (host, 1)}
    return Request(scope, receive)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("theirs", "of_the_same", "ours"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::2:0:0:1", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("unknown", "unknown", "192.0.2.1"),
    ],
)
def test_slow_bodies_from_one_address_leave_the_others_free_to_sign_in(
    monkeypatch: pytest.MonkeyPatch, theirs: str, of_the_same: str, ours: str
) -> None:
    monkeypatch.setattr(request_reading, "STRANGERS_EACH", 2)

    async def story() -> None:
        waiting = [
            asyncio.ensure_future(read_body_of_stranger(strangers_request(theirs, never), 1000, 5)) for _ in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="not signed in") as refused:
            await read_body_of_stranger(strangers_request(of_the_same, at_once), 1000, 5)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "2"})
        assert await read_body_of_stranger(strangers_request(ours, at_once), 1000, 5) == b"[]"
        assert await reading(OURS, at_once) == b"[]"
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
        assert await read_body_of_stranger(strangers_request(theirs, at_once), 1000, 5) == b"[]"

    asyncio.run(story())


def test_strangers_of_many_addresses_keep_at_most_half_of_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "most_connections", 4)

    async def story() -> None:
        waiting = [
            asyncio.ensure_future(read_body_of_stranger(strangers_request(f"192.0.2.{number}", never), 1000, 5))
            for number in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="not signed in"):
            await read_body_of_stranger(strangers_request("192.0.2.9", at_once), 1000, 5)
        assert await reading(OURS, at_once) == b"[]"
        for each in waiting:
            each.cancel()

    asyncio.run(story())


@pytest.mark.parametrize(("seen", "refused_after"), [("203.0.113.1", 2), ("10.0.0.5", 4)], ids=["trusted", "not"])
def test_behind_a_proxy_that_is_not_trusted_slow_forms_of_one_caller_leave_the_others_free(
    monkeypatch: pytest.MonkeyPatch, seen: str, refused_after: int
) -> None:
    monkeypatch.setattr(GuardedProtocol, "most_connections", 16)
    monkeypatch.setattr(request_reading, "STRANGERS_EACH", 2)
    monkeypatch.setattr(request_reading, "_WARNED", Event())

    def reading_form(receive: Callable[[], Awaitable[Message]]) -> Coroutine[Any, Any, bytes]:
        return read_body_of_stranger(strangers_request(seen, receive, "203.0.113.1"), 1000, 5)

    async def story() -> None:
        waiting = []
        for _ in range(refused_after):
            assert await reading_form(at_once) == b"[]"
            waiting.append(asyncio.ensure_future(reading_form(never)))
            await asyncio.sleep(0)
        with pytest.raises(ApiError, match="not signed in"):
            await reading_form(at_once)
        assert await read_body_of_stranger(strangers_request("192.0.2.1", at_once), 1000, 5) == b"[]", "comes directly"
        for each in waiting:
            each.cancel()

    with capture_logs() as logs:
        asyncio.run(story())
    hints = [line["hint"] for line in logs]
    assert hints == (["if that is your proxy, set FIVEFOLD_TRUSTED_PROXIES"] if seen == "10.0.0.5" else [])


def test_a_strangers_body_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(ApiError, match=r"within 0\.01 seconds; send it again") as refused:
        asyncio.run(read_body_of_stranger(strangers_request("192.0.2.1", never), 1000, seconds=0.01))
    assert refused.value.status == 408
