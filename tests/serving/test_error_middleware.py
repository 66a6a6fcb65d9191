"""The error middleware: headers of every response, and the responses of other layers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from polars.exceptions import PanicException
from sqlalchemy import create_engine, text
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from fivefold.serving.champion.loader import ServedModel
from fivefold.serving.error_middleware import CALLER_LEFT, ErrorMiddleware
from fivefold.serving.responses import error_response, json_response
from fivefold.store.sql.database import reachable
from tests.serving.inprocess import Application, Holding, Watching, exchange

SECRET = "a-word-of-the-request"


class BrokenError(Exception):
    """What an application raises, with what it must not say."""

    def __init__(self) -> None:
        super().__init__(SECRET)


def edge(app: Application, seconds: float = 5.0) -> tuple[ErrorMiddleware, Watching]:
    watching = Watching(Holding(None))
    return ErrorMiddleware(app, watching, seconds), watching  # type: ignore[arg-type]  # stands in for the metrics


def ask(app: Application, seconds: float = 5.0, **scope: Any) -> tuple[list[Message], list[tuple[str, int]]]:
    """Give the messages that were sent, and the counted responses."""
    wrapped, watching = edge(app, seconds)
    return asyncio.run(exchange(wrapped, **scope)), watching.seen


def headers_of(message: Message) -> dict[str, str]:
    assert message["type"] == "http.response.start"
    pairs = [(name.decode(), value.decode()) for name, value in message["headers"]]
    assert len({name for name, _ in pairs}) == len(pairs), "no header appears twice"
    return dict(pairs)


def assert_is_array(messages: list[Message], status: int, detail: str) -> None:
    """One whole answer, and nothing after it."""
    start, body = messages
    assert (start["status"], json.loads(body["body"])) == (status, [{"detail": detail}])
    headers = headers_of(start)
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(body["body"])
    assert not body.get("more_body", False)
    assert {"x-request-id", "x-model-version"} <= set(headers)


async def begin(send: Send, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers or []})


async def continue_(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def test_a_good_answer_passes_with_its_headers_and_two_more() -> None:
    (start, body), seen = ask(json_response({"a": 1}))
    assert (start["status"], body["body"]) == (200, b'{"a":1}')
    assert set(headers_of(start)) == {"content-length", "content-type", "x-request-id", "x-model-version"}
    assert seen == [("/", 200)]


def test_an_error_that_is_an_array_passes_without_its_mark() -> None:
    (start, body), seen = ask(error_response(422, "no", [], {"X-One": "1"}))
    assert (start["status"], body["body"]) == (422, b'[{"detail":"no","errors":[]}]')
    assert set(headers_of(start)) == {"content-length", "content-type", "x-one", "x-request-id", "x-model-version"}
    assert seen == [("/", 422)]


WORDS = {400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 503: "Service Unavailable"}


@pytest.mark.parametrize(("status", "detail"), WORDS.items())
def test_an_error_of_others_becomes_an_array(status: int, detail: str) -> None:
    messages, seen = ask(PlainTextResponse(f"{SECRET} went wrong", status, {"X-One": SECRET}))
    assert_is_array(messages, status, detail)
    assert SECRET not in repr(messages)
    assert seen == [("/", status)]


def test_allow_and_retry_after_are_kept() -> None:
    kept = {"Allow": "GET, POST", "Retry-After": "7"}
    (start, _), _ = ask(PlainTextResponse("no", 405, {**kept, "X-One": "1"}))
    headers = headers_of(start)
    assert {name: headers[name.lower()] for name in kept} == kept
    assert "x-one" not in headers


def test_an_error_in_parts_becomes_one_array() -> None:
    async def in_parts(_: Scope, __: Receive, send: Send) -> None:
        await begin(send, 500)
        await continue_(send, b"Internal ")
        await continue_(send, b"Server Error", more=False)

    assert_is_array(ask(in_parts)[0], 500, "Internal Server Error")


def test_an_exception_is_500_and_a_log_line_without_its_words() -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        await asyncio.sleep(0)
        _raise_at_a_place_with_a_name()

    with capture_logs() as logs:
        messages, seen = ask(broken, headers=[(b"token", SECRET.encode())])
    assert_is_array(messages, 500, "Internal Server Error")
    (line,) = logs
    assert (line["event"], line["log_level"], line["error"]) == ("failed", "error", "BrokenError")
    assert line["request_id"] == headers_of(messages[0])["x-request-id"]
    assert line["at"].startswith("_raise_at_a_place_with_a_name:")
    assert SECRET not in repr(logs) + repr(messages)
    assert seen == [("/", 500)]


def test_of_a_damaged_database_the_log_names_the_file_and_the_answer_does_not(tmp_path: Path) -> None:
    file = tmp_path / "fivefold.db"
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE damaged (a)"))
        connection.execute(text("CREATE INDEX whole ON damaged (a)"))
    engine.dispose()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\x07" * 4096)

    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        await asyncio.sleep(0)
        with reachable(engine), reachable(engine), engine.connect() as connection:
            connection.execute(text("SELECT * FROM damaged"))

    with capture_logs() as logs:
        messages, _ = ask(broken)
    assert_is_array(messages, 500, "Internal Server Error")
    assert str(file) not in repr(messages)
    (line,) = logs
    assert line["why"].startswith(f"the database's file is damaged: {file}: database disk image is malformed; put")


def test_an_error_of_polars_that_is_no_exception_is_500_too() -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        await asyncio.sleep(0)
        raise PanicException(SECRET)

    with capture_logs() as logs:
        messages, _ = ask(broken)
    assert_is_array(messages, 500, "Internal Server Error")
    assert [line["error"] for line in logs] == ["PanicException"]


def _raise_at_a_place_with_a_name() -> None:
    raise BrokenError


@pytest.mark.parametrize("status", [200, 404, 500])
def test_after_an_answer_has_begun_nothing_is_sent_in_its_place(status: int) -> None:
    """Whether it is a good one or an error that is an array already."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        answer = json_response([]) if status == 200 else error_response(status)
        await begin(send, status, list(answer.raw_headers))
        await continue_(send, b"[")
        raise BrokenError

    with capture_logs() as logs:
        messages, seen = ask(broken)
    assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
    assert messages[1]["body"] == b"["
    assert [line["error"] for line in logs] == ["BrokenError"]
    assert seen == [("/", status)]


def test_an_error_that_was_replaced_is_not_replaced_again() -> None:
    """Starlette answers an exception, then raises it once more."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)
        raise BrokenError

    with capture_logs() as logs:
        messages, seen = ask(broken)
    assert_is_array(messages, 500, "Internal Server Error")
    assert len(logs) == 1
    assert seen == [("/", 500)]


def test_what_takes_too_long_is_504() -> None:
    ended = []

    async def slow(_: Scope, __: Receive, ___: Send) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    messages, seen = ask(slow, seconds=0.01)
    assert_is_array(messages, 504, "Gateway Timeout")
    assert ended == [True]
    assert seen == [("/", 504)]


def test_a_timeout_of_the_applications_own_is_an_error() -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        raise TimeoutError(SECRET)

    with capture_logs() as logs:
        messages, seen = ask(broken)
    assert_is_array(messages, 500, "Internal Server Error")
    assert [line["error"] for line in logs] == ["TimeoutError"]
    assert seen == [("/", 500)]


def test_what_takes_too_long_in_the_middle_is_cut_off() -> None:
    async def slow(_: Scope, __: Receive, send: Send) -> None:
        await begin(send)
        await continue_(send, b"[")
        await asyncio.sleep(60)

    messages, seen = ask(slow, seconds=0.01)
    assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
    assert seen == [("/", 200)]


def test_a_stream_passes_part_by_part() -> None:
    async def parts() -> Any:
        for number in range(3):
            yield f"{number}"

    messages, _ = ask(StreamingResponse(parts()))
    assert [message.get("body") for message in messages[1:]] == [b"0", b"1", b"2", b""]


def test_a_caller_who_left_is_counted_and_not_answered() -> None:
    async def left(_: Scope, __: Receive, ___: Send) -> None:
        raise ClientDisconnect

    with capture_logs() as logs:
        messages, seen = ask(left)
    assert (messages, logs, seen) == ([], [], [("/", CALLER_LEFT)])


def test_every_request_has_an_identifier_of_its_own() -> None:
    wrapped, _ = edge(json_response([]))

    async def ask_all() -> list[list[Message]]:
        return [await exchange(wrapped) for _ in range(500)]

    found = [headers_of(start)["x-request-id"] for start, _ in asyncio.run(ask_all())]
    assert len(set(found)) == 500
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in found)


@pytest.mark.parametrize("own", ["order-17", "a" * 64, "0af7651916cd43dd8448eb211c80319c", "A.b_c-9"])
def test_a_callers_own_name_of_a_request_is_kept(own: str) -> None:
    (start, _), _ = ask(json_response([]), headers=[(b"x-request-id", own.encode())])
    assert headers_of(start)["x-request-id"] == own


@pytest.mark.parametrize("own", ["", "a b", "a" * 65, "-a", "a\nb", "ä", "<b>", 'a"b', "{}"])
def test_a_name_that_is_not_safe_to_repeat_is_not_taken_over(own: str) -> None:
    headers = [(b"x-request-id", own.encode("latin-1")), (b"x-model-version", b"99")]
    found = headers_of(ask(json_response([]), headers=headers)[0][0])
    assert len(found["x-request-id"]) == 16
    assert found["x-request-id"] != own
    assert found["x-model-version"] == "none"


def test_the_version_is_that_of_the_request_or_else_of_now() -> None:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/scored":
            scope["fivefold.model_version"] = 3
        await json_response([])(scope, receive, send)

    wrapped, watching = edge(answering)
    for current, path, version in ((None, "/", "none"), (None, "/scored", "3"), (8, "/", "8"), (8, "/scored", "3")):
        watching.loader.current = None if current is None else ServedModel(None, current, "value")  # type: ignore[arg-type]  # no model is asked
        start = asyncio.run(exchange(wrapped, path=path))[0]
        assert headers_of(start)["x-model-version"] == version


def test_what_is_no_request_passes_untouched() -> None:
    seen: list[Scope] = []

    async def lifespan(scope: Scope, _: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "lifespan.startup.complete"})

    wrapped, watching = edge(lifespan)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    scope = {"type": "lifespan"}
    asyncio.run(wrapped(scope, receive, send))
    assert (sent, seen, watching.seen) == ([{"type": "lifespan.startup.complete"}], [{"type": "lifespan"}], [])


def test_a_server_that_ends_is_not_held_up() -> None:
    """A cancelled request is cancelled: there is nobody to answer."""

    async def cancelled(_: Scope, __: Receive, ___: Send) -> None:
        raise asyncio.CancelledError

    wrapped, watching = edge(cancelled)

    async def ask_one() -> None:
        with pytest.raises(asyncio.CancelledError):
            await exchange(wrapped)

    asyncio.run(ask_one())
    assert watching.seen == []
